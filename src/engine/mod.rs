//! Runs a plan over a target.
//!
//! Several workers write or read chunks, a thread of its own syncs the target and
//! saves checkpoints while they go on, and who called watches; all meet at one lock
//! over the ledger of the step, which alone knows how far it is. The engine knows no command line, no terminal, no path and no clock:
//! it defines what it consumes as [`Target`], [`Journal`] and [`Control`].

mod buffers;
mod checkpointer;
mod credit;
mod desk;
mod doubtful;
mod ended;
mod event;
#[cfg(test)]
mod fake;
mod joined;
mod ledger;
mod lost;
pub mod means;
#[cfg(test)]
mod model;
mod narrow;
mod pace;
mod parts;
mod proof;
mod pulse;
mod retry;
mod run;
mod state;
mod sync;
mod target;
mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
mod verify;
mod watcher;
mod work;
mod worker;

pub use ended::{End, Ended};
pub use event::{Event, Observer, Progress};
pub use joined::Joined;
pub use means::no_threads;
pub use parts::Engine;
pub use proof::{Proof, prove, prove_all};
pub use run::run;
pub use state::{MAX_CHUNK, MAX_INTERVAL, MAX_WORKERS, MIN_CHUNK, MIN_INTERVAL, Settings, State};
pub use target::{Control, Journal, Presence, Target};
#[cfg(not(wipeit_alone))]
pub use verify::differing;
