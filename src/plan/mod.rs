//! What is to be written and compared, and how far it got.
//!
//! - [`wish`]: what was asked for
//! - [`scheme`]: named lists of passes
//! - [`passes`]: the passes of a wipe
//! - [`verify`]: how one is read back
//! - [`sample`]: in which places
//! - [`position`]: where a wipe is
//! - [`extent`]: ranges, and maps of them
//! - [`ranges`]: ranges that are joined where there are too many
//! - [`bad`]: those that could not be written or read
//! - [`bad_wire`]: these in a checkpoint
//! - [`difference`]: those that were not what was written

mod bad;
mod bad_wire;
mod difference;
mod extent;
mod passes;
mod position;
mod ranges;
mod sample;
pub(crate) mod scheme;
#[cfg(test)]
mod tests;
mod verify;
mod wish;

pub use bad::{Bad, BadMap, BadState, During};
#[cfg(test)]
pub(crate) use difference::example;
pub(crate) use difference::{Difference, Differences, First, Wrap};
pub use extent::Extent;
pub(crate) use extent::ExtentMap;
pub(crate) use passes::MAX_PASSES;
pub use passes::{Pass, Plan};
pub(crate) use position::{Cursor, Phase, Step, percent, percent_of};
pub(crate) use ranges::Amount;
#[cfg(test)]
pub(crate) use sample::pieces;
pub(crate) use scheme::{SCHEMES, Scheme};
pub(crate) use verify::ReadBack;
pub use verify::Verify;
pub(crate) use wish::Wish;
