//! The list of unfinished wipes and of the disks of this machine, as text and
//! as JSON. Pure: what is listed comes from outside, and nothing is printed.

mod entry;
mod json;
mod pending;
mod readiness;
#[cfg(test)]
mod tests;
mod text;

pub use entry::{Listing, PendingWipe, Row};
pub use readiness::{Past, Readiness};
