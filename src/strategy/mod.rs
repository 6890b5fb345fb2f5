//! What a pass writes, as data and as a pure function of the offset.
//!
//! A new strategy is a file here with its `WipeStrategy`, the line that names the
//! file below, and in `content` a variant of `Choice` (as it is typed) and one of
//! `Content` (as it is saved); the compiler then asks there for its words and its
//! bytes, and nowhere else.
//!
//! - [`content`]: what is typed, saved and told of each, and which bytes it is
//! - [`stream`]: the trait
//! - [`zero`], [`pattern`], [`random`]: one strategy each

mod content;
mod pattern;
mod random;
mod stream;
mod zero;

pub(crate) use content::{Choice, Draw};
pub use content::{Content, of};
#[cfg(test)]
pub(crate) use pattern::MAX_PATTERN;
pub(crate) use pattern::Pattern;
#[cfg(not(wipeit_alone))]
pub use random::Generator;
#[cfg(not(wipeit_alone))]
pub use random::KEY_BYTES;
pub use random::Key;
#[cfg(not(wipeit_alone))]
pub use random::best_generator;
pub use stream::WipeStrategy;
