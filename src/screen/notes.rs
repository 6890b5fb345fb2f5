//! What reaches the display's thread.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::{Event, Progress};
use crate::outcome::Outcome;

/// What goes to the display's thread.
#[derive(Debug)]
pub(super) enum Note {
    Event(Event),
    Status,
    /// From here on only the disk of the state directory is waited for.
    Closing,
    /// Look at [`Posted`].
    Wake,
}

/// The end; how it came, unless something else went wrong.
#[derive(Debug)]
pub(super) struct Finish(pub(super) Option<Outcome>);

/// What the thread finds beside its notes, where there may be no room.
#[derive(Debug, Default)]
pub(super) struct Posted {
    // the newest position; older ones tell nothing
    latest: Mutex<Option<Progress>>,
    finish: Mutex<Option<Finish>>,
    // events that found no room
    pub(super) lost: AtomicU64,
}

impl Posted {
    pub(super) fn latest(&self) -> MutexGuard<'_, Option<Progress>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn finish(&self) -> MutexGuard<'_, Option<Finish>> {
        self.finish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
