//! What the user sees while a run is under way, and the one way to print.
//!
//! A thread of its own draws, so that a terminal that stands still (Ctrl+S, a
//! dead connection) never holds the wipe. Nothing here can panic or fail:
//! output that cannot be written is dropped.

pub mod bar;
mod estimate;
mod face;
mod output;
pub mod plain;
mod screen;
mod stdout;

pub use self::face::{Choice, Display, Face, Header, StatusHandle, choose_here};
pub use estimate::Estimate;
pub use output::{message, say};
pub use stdout::{result, text};
