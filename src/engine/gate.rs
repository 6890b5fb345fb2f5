//! Hands chunks to the workers, in order, as far as the coordinator lets it, and
//! keeps what came of them until the coordinator looks.
//!
//! At several gigabytes a second a message for each chunk would cost more than
//! writing it, so the coordinator is woken only when there is something to do
//! for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::work::{ChunkResult, Work};
use crate::plan::{Extent, Verify};

/// The gate that workers take chunks from.
pub struct Gate {
    state: Mutex<State>,
    opened: Condvar,
}

/// The gate's state. Workers take chunks out (`next`, `again`, what was
/// dispensed) and put in what came of them; the rest is the coordinator's.
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
    // what came of chunks since the coordinator looked last, and their bytes
    done: Vec<(Work, ChunkResult)>,
    done_bytes: u64,
    // whether the coordinator was woken since
    woken: bool,
    // workers that wait for a chunk
    waiting: usize,
    // bytes that are done before the coordinator is woken without need
    batch: u64,
    closed: bool,
    chunk: u64,
    // which part of a chunk is moved, on a target of so many bytes
    part: (Verify, u64),
}

impl Gate {
    /// A gate that dispenses `start..end` in chunks, and nothing at first.
    /// `part`: what is moved of a chunk on a target of so many bytes. `batch`:
    /// bytes that may be done before the coordinator hears of them.
    pub fn new(start: u64, end: u64, chunk: u64, part: (Verify, u64), batch: u64) -> Self {
        Self {
            state: Mutex::new(State {
                next: start,
                end,
                limit: start,
                dispensed: 0,
                dispensed_bytes: 0,
                again: None,
                done: Vec::new(),
                done_bytes: 0,
                woken: false,
                waiting: 0,
                batch,
                closed: false,
                chunk,
                part,
            }),
            opened: Condvar::new(),
        }
    }

    /// Takes in what came of the chunk before, and gives the next one as soon as
    /// there is one; `None` when the gate is closed. `wake` wakes the
    /// coordinator.
    pub fn next(&self, done: Option<(Work, ChunkResult)>, wake: &dyn Fn()) -> Option<Work> {
        let mut state = self.lock();
        let mut urgent = false;
        if let Some((work, result)) = done {
            urgent = !result.is_plain(work);
            state.done_bytes += work.extent.length();
            state.done.push((work, result));
        }
        loop {
            if state.closed {
                return None;
            }
            let next = state.dispense();
            let due = urgent || next.is_none() || state.done_bytes >= state.batch;
            if due && !state.woken && !state.done.is_empty() {
                state.woken = true;
                drop(state);
                wake();
                if next.is_some() {
                    return next;
                }
                state = self.lock();
                continue;
            }
            if next.is_some() {
                return next;
            }
            state.waiting += 1;
            state = self
                .opened
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// What came of chunks since the last time.
    pub fn collect(&self) -> Vec<(Work, ChunkResult)> {
        let mut state = self.lock();
        state.woken = false;
        state.done_bytes = 0;
        std::mem::take(&mut state.done)
    }

    /// Looks at or changes the state, and wakes the workers.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        // To wake nobody costs a system call all the same.
        if state.waiting > 0 && (state.again.is_some() || state.available().is_some()) {
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
