//! What the user sees while a run is under way, and the one way to print.
//!
//! A thread of its own draws, so that a terminal that stands still (Ctrl+S, a
//! dead connection) never holds the wipe. Nothing here can panic or fail:
//! output that cannot be written is dropped.

mod bar;
pub mod card;
mod display;
mod estimate;
mod face;
mod list;
mod notes;
mod output;
mod paper;
mod plain;
mod printer;
pub mod question;
mod stdout;
mod view;
mod warnings;

pub use card::{PassTimes, SameDrive};
pub use display::{Display, StatusHandle};
pub use face::{Face, Header, ProgressMode};
pub use list::{Listing, Past, PendingWipe, Readiness, Row};
pub use output::{message, notice, say};
pub use question::{Answer, Expected};
pub use stdout::{delivered, result, text};
