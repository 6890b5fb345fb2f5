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

pub use content::{Choice, Content, Draw, of};
#[cfg(test)]
pub(crate) use pattern::MAX_PATTERN;
pub use pattern::Pattern;
pub use random::Key;
#[cfg(not(wipeit_alone))]
pub use random::{Generator, KEY_BYTES, best_generator};
pub use stream::WipeStrategy;
