//! What was done, in the words of the closing lines and of the record.
//!
//! Pure: it is told how the run ended and prints nothing. "Clear" is the word
//! of NIST SP 800-88 for overwriting all user-addressable bytes; more is never
//! claimed.

pub mod page;
mod plot;
mod record;
mod result;
mod time;

pub use record::Record;
pub use result::{Ending, Saved, details, line, position, refused_line};
