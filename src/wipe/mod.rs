//! One drive's way. In the order in which they happen:
//!
//! - [`context`]: what was asked for, and what every step stands on
//! - [`open`]: the target, locked, cleared by the guard and open, before anything is
//!   asked, so that nothing can take it while the question waits
//! - [`kin`] and [`peek`]: what else is attached that may be the same drive
//! - [`resume`] and [`history`]: the unfinished wipes and the records of it
//! - [`decide`]: what is to be done, a [`job`]; asks nothing, prints nothing
//! - [`wanted`]: where the report goes, looked at before
//! - [`ask`]: the card, and the question
//! - [`run`]: the engine over it
//! - [`aftercheck`]: whether it is still what it was, and unused
//! - [`end`]: the checkpoint completed or kept, the record and the report written
//!   ([`delivery`]), the user told; [`already`] where that was done by an earlier run
//!
//! [`way`] walks through all of it for a wipe, [`check`] for the check of one;
//! [`attached`] finds the drives of unfinished wipes that nobody named.

mod aftercheck;
mod already;
mod ask;
pub mod attached;
mod check;
mod context;
mod decide;
pub mod delivery;
mod end;
mod history;
mod job;
mod kin;
mod open;
mod peek;
mod resume;
mod run;
mod wanted;
mod way;

#[cfg(not(wipeit_alone))]
pub use check::Nowhere;
pub use check::check;
pub use context::{Context, resume_command, state_dir};
#[cfg(not(wipeit_alone))]
pub use open::open;
pub use wanted::understood;
pub use way::wipe;
