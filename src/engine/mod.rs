//! Runs a plan over a target.
//!
//! Several workers write or read chunks; one coordinator owns the position; a
//! thread of its own syncs the target and saves checkpoints while the workers
//! go on. The engine knows no command line, no terminal, no path and no clock:
//! it defines what it consumes as [`Target`], [`Journal`] and [`Control`].

mod buffers;
mod coordinator;
mod credit;
mod cycle;
mod doubtful;
mod ended;
mod event;
#[cfg(test)]
mod fake;
mod gate;
mod joined;
mod lost;
pub mod means;
mod message;
mod narrow;
mod pace;
mod parts;
mod proof;
mod pulse;
mod retry;
mod run;
mod state;
mod step;
mod target;
mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
mod verify;
mod work;
mod worker;

pub use ended::{End, Ended};
pub use event::{Event, Observer, Progress};
pub use joined::Joined;
pub use means::no_threads;
pub use parts::Engine;
pub use proof::{Proof, prove, prove_all};
pub use state::{MAX_CHUNK, MAX_INTERVAL, MAX_WORKERS, MIN_CHUNK, MIN_INTERVAL, Settings, State};
pub use target::{Control, Journal, Presence, Target};
#[cfg(not(wipeit_alone))]
pub use verify::differing;
