//! What was done, in the words of the closing lines and of the record.
//!
//! Pure: it is told how the run ended and prints nothing. "Clear" is the word
//! of NIST SP 800-88 for overwriting all user-addressable bytes; more is never
//! claimed.

mod closing;
mod ending;
mod found;
mod line;
pub mod page;
mod plot;
mod record;
#[cfg(test)]
mod tests;
mod time;
mod unfinished;

pub use closing::details;
pub use ending::{Ending, Saved};
pub use line::{line, position, refused_line};
pub use record::Record;
