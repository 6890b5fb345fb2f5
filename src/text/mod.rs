//! Text for people: escaped, in columns, in words; and bounded reading.
//!
//! - [`escape`]: what comes from outside, fit to be shown
//! - [`columns`]: lines that fit a terminal
//! - [`size`]: sizes as they are typed and read
//! - [`words`]: times, counts and reasons
//! - [`bounded`]: JSON from outside, in bounded memory

pub(crate) mod bounded;
mod columns;
mod escape;
pub(crate) mod size;
mod words;

pub(crate) use bounded::{Failure, Word};
pub(crate) use columns::{COLUMNS, broken, columns, cut, field, folded, padded, width};
pub(crate) use escape::{
    all_shown, clean, clean_words, is_one_line, octal, shell_word, shown, visible,
};
pub(crate) use size::{KIB, MIB, grouped};
pub(crate) use words::{about, ago, clock, count, no_room, reason, said, span};
