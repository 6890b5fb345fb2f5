//! What was done, in the words of the closing lines and of the record.
//!
//! Pure: it is told how the run ended and prints nothing. "Clear" is the word
//! of NIST SP 800-88 for overwriting all user-addressable bytes; more is never
//! claimed.
//!
//! - [`ending`]: how the run of one target ended, with all that is told of it
//! - [`found`]: what a wipe found and what weakens it, as data
//! - [`time`]: how long its runs took
//! - [`line`]: the line on stdout
//! - [`closing`]: the lines on stderr that follow
//! - [`unfinished`]: those of a run that stopped or failed
//! - [`record`]: the record of a finished wipe
//! - [`page`]: the record as a page to read and print
//! - [`plot`]: speed over position, as SVG

mod closing;
mod ending;
mod found;
mod line;
pub(crate) mod page;
mod plot;
mod record;
#[cfg(test)]
mod tests;
mod time;
mod unfinished;

pub(crate) use closing::details;
pub(crate) use ending::{Ending, Saved};
pub(crate) use line::{line, position, refused_line};
pub(crate) use record::Record;
