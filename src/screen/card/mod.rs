//! The card: what is about to be destroyed or continued. Pure: it prints and
//! asks nothing.

mod device;
mod fresh;
mod kept;
mod plan;
mod resumed;
#[cfg(test)]
mod tests;

pub use fresh::fresh;
pub use kept::{kept_text, unflushed_text};
pub use plan::PassTimes;
pub use resumed::{SameDrive, resumed};
