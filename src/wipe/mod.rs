//! One drive's way. In the order in which they happen:
//!
//! - [`context`]: what was asked for, and what every step stands on
//! - [`open`]: the target, locked, cleared by the guard and open, before anything is
//!   asked, so that nothing can take it while the question waits
//! - [`kin`]: what else is attached that may be the same drive
//! - [`peek`]: whether two such drives show the same bytes
//! - [`unfinished`]: its unfinished wipes
//! - [`history`]: the records of its finished ones
//! - [`decide`]: what is to be done; asks nothing, prints nothing
//! - [`job`]: that, and the checkpoint with which it begins
//! - [`ask`]: the card, and the question
//! - [`run`]: the engine over it
//! - [`aftercheck`]: whether it is still what it was, and unused
//! - [`end`]: the checkpoint completed or kept, the user told
//! - [`delivery`]: the record and the report written; before, whether they can be
//! - [`already`]: the same where an earlier run did all that
//! - [`way`]: all of these, one after the other
//! - [`check`]: the same for a finished wipe that is read back
//! - [`locate`]: the drives of unfinished wipes that nobody named

mod aftercheck;
mod already;
mod ask;
mod check;
mod context;
mod decide;
mod delivery;
mod end;
mod history;
mod job;
mod kin;
pub(crate) mod locate;
mod open;
mod peek;
mod run;
mod unfinished;
mod way;

#[cfg(not(wipeit_alone))]
pub use check::Nowhere;
pub(crate) use check::check;
pub(crate) use context::{Context, resume_command, state_dir};
#[cfg(not(wipeit_alone))]
pub use open::open;
pub(crate) use way::wipe;
