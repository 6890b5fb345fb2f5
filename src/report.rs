//! What was done, in the words of the closing lines and of the record.
//!
//! Pure: it is told how the run ended and prints nothing. "Clear" is the word
//! of NIST SP 800-88 for overwriting all user-addressable bytes; more is never
//! claimed.

pub mod page;
pub mod plot;
pub mod record;
mod result;
pub mod time;

pub use self::result::{Ending, Saved, details, line, position, record_json, refused_line};
