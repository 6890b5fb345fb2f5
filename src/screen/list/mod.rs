//! The list of unfinished wipes and of the disks of this machine, as text and
//! as JSON. Pure: what is listed comes from outside, and nothing is printed.
//!
//! - [`entry`]: what is listed
//! - [`pending`]: an unfinished wipe in words
//! - [`readiness`]: whether a disk can be wiped
//! - [`text`]: all of it as text
//! - [`json`]: as JSON

mod entry;
mod json;
mod pending;
mod readiness;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use entry::{Listing, PendingWipe, Row};
pub(crate) use readiness::{Past, Readiness};
