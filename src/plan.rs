//! What is to be written and compared, and how far it got.

mod content;
mod passes;
mod position;
#[cfg(test)]
mod tests;
mod verify;
mod wish;

pub use content::{Content, Generator, KEY_BYTES, Key, Pattern};
pub use passes::{MAX_PASSES, Pass, Plan};
pub use position::{Cursor, Phase, Step, percent, percent_of};
pub use verify::{ReadBack, Verify};
pub use wish::{Choice, Wish};
