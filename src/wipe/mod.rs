//! One drive's way, step by step.

mod aftercheck;
mod ask;
mod check;
mod decide;
pub mod delivery;
mod end;
mod history;
mod kin;
mod open;
mod peek;
pub mod resume;
pub mod run;

#[cfg(not(wipeit_alone))]
pub use check::Nowhere;
#[cfg(not(wipeit_alone))]
pub use open::open;

pub use run::{Session, say_why};
