//! Ranges of bytes on a device, and the map of those that went wrong.

mod bad;
mod range;
mod ranges;

pub use self::range::{Extent, ExtentMap};
pub use bad::{Bad, BadMap, BadState, During};
pub use ranges::{Amount, Range, Ranges, amount, may_join, shortest};
