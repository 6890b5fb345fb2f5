//! Hands chunks to the workers, in order, as far as the coordinator lets it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::extent::Extent;
use crate::plan::Verify;

/// A chunk that a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Where.
    pub extent: Extent,
    /// Whether it is tried again, at the end of the step.
    pub again: bool,
    /// When the search for bad blocks in it is given up; without it, some time
    /// after it was begun.
    pub until: Option<Duration>,
}

/// The gate that workers take chunks from.
pub struct Gate {
    state: Mutex<State>,
    opened: Condvar,
}

/// The gate's state; only the coordinator changes anything but `next` and
/// `dispensed`.
pub struct State {
    /// Where the next chunk begins.
    pub next: u64,
    /// Where chunks end for now: the aligned part, then the tail.
    pub end: u64,
    /// No chunk is dispensed that would end beyond this.
    pub limit: u64,
    /// Chunks handed out, ever.
    pub dispensed: u64,
    /// Bytes to be moved of the chunks handed out, ever.
    pub dispensed_bytes: u64,
    /// What is handed out before anything else.
    pub again: Option<Work>,
    closed: bool,
    chunk: u64,
    // which part of a chunk is moved, on a target of so many bytes
    part: (Verify, u64),
}

impl Gate {
    /// A gate that dispenses `start..end` in chunks, and nothing at first.
    /// `part`: what is moved of a chunk on a target of so many bytes.
    pub fn new(start: u64, end: u64, chunk: u64, part: (Verify, u64)) -> Self {
        Self {
            state: Mutex::new(State {
                next: start,
                end,
                limit: start,
                dispensed: 0,
                dispensed_bytes: 0,
                again: None,
                closed: false,
                chunk,
                part,
            }),
            opened: Condvar::new(),
        }
    }

    /// The next chunk, as soon as there is one; `None` when the gate is closed.
    pub fn take(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(chunk) = state.dispense() {
                return Some(chunk);
            }
            state = self
                .opened
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Looks at or changes the state, and wakes the workers.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        if state.again.is_some() || state.available().is_some() {
            self.opened.notify_all();
        }
        result
    }

    /// Sends the workers home.
    pub fn close(&self) {
        self.lock().closed = true;
        self.opened.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn available(&self) -> Option<Extent> {
        let end = self.end.min(self.next.saturating_add(self.chunk));
        Extent::between(self.next, end).filter(|extent| extent.end() <= self.limit)
    }

    fn dispense(&mut self) -> Option<Work> {
        let work = if let Some(again) = self.again.take() {
            again
        } else {
            let extent = self.available()?;
            self.next = extent.end();
            Work {
                extent,
                again: false,
                until: None,
            }
        };
        self.dispensed += 1;
        let (verify, size) = self.part;
        self.dispensed_bytes += verify.bytes_in(work.extent, size);
        Some(work)
    }

    /// Hands nothing out until a new limit is set.
    pub fn pause(&mut self) {
        self.limit = 0;
        self.again = None;
    }
}
