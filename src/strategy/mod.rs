//! What a pass writes, as a pure function of the offset.
//!
//! A new strategy is a file in `strategy/`, a variant of
//! [`Content`](crate::plan::Content) and a line in [`of`].

mod choose;
mod pattern;
mod random;
mod stream;
mod zero;

pub use choose::of;
pub use random::best_generator;
pub use stream::WipeStrategy;
