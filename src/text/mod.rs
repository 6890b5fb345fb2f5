//! Words from outside made fit to be shown: on a terminal, as one field of a
//! line, as one word of a shell.

pub mod bounded;
pub mod size;
mod words;

pub use bounded::{Failure, Word};
pub use size::{KIB, MIB, grouped};
pub use words::{
    COLUMNS, about, broken, clean, clean_words, clock, columns, count, field, folded, from_hex,
    is_one_line, no_room, octal, reason, shell_word, shown, span, to_hex, visible, width,
};
