//! Runs a plan over a target.
//!
//! Several workers write or read chunks, a thread of its own syncs the target and
//! saves checkpoints while they go on, and who called watches; all meet at one lock
//! over the ledger of the step, which alone knows how far it is. The engine knows no
//! command line (but for the words of `means`), no terminal, no path and no clock: it
//! defines what it consumes as [`Target`], [`Journal`] and [`Control`].
//!
//! A run, in the order in which it happens:
//! - `parts`: what it is made of; `state`: how far it got, and its settings; `target`:
//!   what it consumes; `event`: what it tells; `ended`: how it ends
//! - `run`: its threads and its steps; `buffers`, `means`: their memory; `sync`: locks,
//!   waits and threads; `task`: a step as workers get it
//! - `desk`: where the threads meet; `ledger`: how far the step is, what is handed out
//!   and what is due
//! - `worker`: does chunks; `work`: a chunk, and what came of it; `narrow`: the search
//!   for bad blocks; `retry`: what is left for the end; `verify`: the read-back;
//!   `pulse`, `lost`: whether the target does anything any more
//! - `checkpointer`: syncs and saves; `joined`: what is not kept one by one any more;
//!   `doubtful`: what may differ in it
//! - `watcher`: signals, rates, silence, and all that is told; `credit`, `pace`
//! - `proof`: whether a target still holds what its checkpoint says
//! - for tests, `model`: the threads under a model checker; `fake`, `timing`: a drive
//!   and clocks

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
pub(crate) mod means;
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

pub use ended::End;
pub(crate) use ended::Ended;
pub(crate) use event::Progress;
pub use event::{Event, Observer};
pub(crate) use joined::Joined;
pub(crate) use means::no_threads;
pub use parts::Engine;
pub(crate) use proof::{Proof, prove, prove_all};
pub use run::run;
pub(crate) use state::{MAX_CHUNK, MAX_WORKERS, MIN_CHUNK, MIN_INTERVAL};
pub use state::{MAX_INTERVAL, Settings, State};
pub use target::{Control, Journal, Presence, Target};
#[cfg(not(wipeit_alone))]
pub use verify::differing;
