//! What the user sees before a run, while it is under way and as a list, and the one way
//! to print.
//!
//! A thread of its own shows a run, so that a terminal that stands still (Ctrl+S, a
//! dead connection) never holds the wipe. What is shown on stderr cannot
//! fail: what cannot be written is dropped. Of stdout [`stdout`] tells.
//!
//! - [`card`]: what is about to be destroyed or continued
//! - [`question`]: the question, and what was typed
//! - [`list`]: unfinished wipes and disks
//! - [`display`]: the thread that shows a run
//! - [`notes`]: what reaches it
//! - [`view`]: what it shows
//! - [`face`]: as a bar or as lines
//! - [`bar`]: the bar
//! - [`plain`]: the lines of a log
//! - [`paper`]: where either goes
//! - [`estimate`]: speed and time
//! - [`warnings`]: what went wrong, in words
//! - [`output`]: lines to stderr
//! - [`stdout`]: lines to stdout
//! - [`printer`]: the thread behind each

mod bar;
pub(crate) mod card;
mod display;
mod estimate;
mod face;
mod list;
mod notes;
mod output;
mod paper;
mod plain;
mod printer;
pub(crate) mod question;
mod stdout;
mod view;
mod warnings;

pub(crate) use card::{PassTimes, SameDrive};
pub(crate) use display::{Display, StatusHandle};
pub(crate) use face::{Face, Header, ProgressMode};
pub(crate) use list::{Listing, Past, PendingWipe, Readiness, Row};
pub(crate) use output::{message, notice, say};
pub(crate) use question::{Answer, Expected};
pub(crate) use stdout::{delivered, result, text};
