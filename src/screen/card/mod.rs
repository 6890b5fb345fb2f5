//! The card: what is about to be destroyed or continued. Pure: it prints and
//! asks nothing. A new line of it is a line in `fresh` or `resumed`.
//!
//! - [`fresh`]: of a wipe that begins
//! - [`resumed`]: of one that is continued
//! - [`device`]: what a device is
//! - [`plan`]: the steps and their times
//! - [`kept`]: how surely the state is kept

mod device;
mod fresh;
mod kept;
mod plan;
mod resumed;
#[cfg(test)]
mod tests;

pub(crate) use fresh::fresh;
pub(crate) use kept::{kept_text, unflushed_text};
pub(crate) use plan::PassTimes;
pub(crate) use resumed::{SameDrive, resumed};
