//! Text for people: escaped, in columns, in words; and bounded reading.
//!
//! - [`escape`]: what comes from outside, fit to be shown
//! - [`columns`]: lines that fit a terminal
//! - [`size`]: sizes as they are typed and read
//! - [`words`]: times, counts and reasons
//! - [`bounded`]: JSON from outside, in bounded memory

pub mod bounded;
mod columns;
mod escape;
pub mod size;
mod words;

pub use bounded::{Failure, Word};
pub use columns::{COLUMNS, broken, columns, cut, field, folded, padded, width};
pub use escape::{all_shown, clean, clean_words, is_one_line, octal, shell_word, shown, visible};
pub use size::{KIB, MIB, grouped};
pub use words::{about, ago, clock, count, no_room, reason, said, span};
