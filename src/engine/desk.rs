//! Where the threads of a run meet: one lock over the [`Ledger`] of the step under
//! way.
//!
//! Each critical section is one visit. A worker hands in what came of its chunk and
//! takes the next; who saves checkpoints takes the mark and the maps that belong to
//! it, and brings back what came of the cycle; the watcher looks, and takes what is
//! to be told, in the order in which it happened. Within a visit nothing is read,
//! written, told or called. Whoever leaves wakes those who have something to do.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::ledger::{Done, Going, Ledger, Order};
use super::sync::{Condvar, Mutex, MutexGuard, wait_for};
use super::target::Control;
use super::task::Shift;
use super::work::{ChunkResult, Work};

/// Wakes threads that wait at the desk.
#[derive(Default)]
struct Bell {
    condition: Condvar,
    // changed and read within visits only
    waiting: AtomicUsize,
}

impl Bell {
    fn wait<'a, 'l>(&self, visit: Visit<'a, 'l>) -> Visit<'a, 'l> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let visit = self.condition.wait(visit);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        visit.unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a, 'l>(&self, desk: &'a Desk<'l>, visit: Visit<'a, 'l>, at_most: Duration) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let visit = wait_for(&self.condition, (&desk.ledger, visit), at_most);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(visit);
    }

    // To wake nobody costs a system call all the same.
    fn ring(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.condition.notify_all();
        }
    }
}

/// The ledger, for as long as nobody else may see it.
pub(crate) type Visit<'a, 'l> = MutexGuard<'a, Ledger<'l>>;

/// The desk.
pub(crate) struct Desk<'l> {
    clock: &'l dyn Control,
    ledger: Mutex<Ledger<'l>>,
    workers: Bell,
    checkpointer: Bell,
    watcher: Bell,
}

impl<'l> Desk<'l> {
    /// With the ledger of the first step; closed until [`open`](Self::open).
    pub(crate) fn new(clock: &'l dyn Control, mut ledger: Ledger<'l>) -> Self {
        ledger.going = Going::Starts;
        Self {
            clock,
            ledger: Mutex::new(ledger),
            workers: Bell::default(),
            checkpointer: Bell::default(),
            watcher: Bell::default(),
        }
    }

    /// Waits until the checkpointer is there.
    pub(crate) fn wait_for_checkpointer(&self) {
        let mut ledger = self.visit();
        while ledger.going == Going::Starts
            && self.checkpointer.waiting.load(Ordering::Relaxed) == 0
        {
            ledger = self.watcher.wait(ledger);
        }
    }

    /// All threads are there.
    pub(crate) fn open(&self) {
        let mut ledger = self.visit();
        if ledger.going == Going::Starts {
            ledger.going = Going::On;
        }
        drop(ledger);
        self.workers.ring();
        self.checkpointer.ring();
    }

    /// Visits the desk.
    pub(crate) fn visit(&self) -> Visit<'_, 'l> {
        // Somebody who panicked here ended the run.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what came of the chunk before, and gives the next one as soon as
    /// there is one, with the step that it is of; `None` at the end of the run.
    pub(crate) fn next(
        &self,
        mut done: Option<(Work, ChunkResult)>,
    ) -> Option<(Arc<Shift<'l>>, Work)> {
        loop {
            let now = self.clock.now();
            let mut ledger = self.visit();
            if let Some((work, result)) = done.take() {
                ledger.hand_in(work, result, now);
            }
            if ledger.going == Going::Over {
                return None;
            }
            let next = ledger.hand_out(now);
            self.wake(&ledger, now);
            if let Some(work) = next {
                return Some((Arc::clone(&ledger.shift), work));
            }
            drop(self.workers.wait(ledger));
        }
    }

    /// Waits until a cycle is due, and begins it; `None` at the end of the run.
    pub(crate) fn next_cycle(&self) -> Option<Order> {
        loop {
            let now = self.clock.now();
            let mut ledger = self.visit();
            if ledger.going == Going::Over {
                return None;
            }
            let order = ledger.begin_cycle(now);
            if order.is_some() {
                return order;
            }
            if ledger.going == Going::Starts {
                self.watcher.ring();
            }
            drop(self.checkpointer.wait(ledger));
        }
    }

    /// The target's flush came back; what it covered is being saved.
    pub(crate) fn flushed(&self) {
        let now = self.clock.now();
        self.visit().flushed(now);
    }

    /// A cycle has ended.
    pub(crate) fn end_cycle(&self, order: Order, done: Done) {
        let now = self.clock.now();
        let mut ledger = self.visit();
        ledger.end_cycle(order, done, now);
        self.wake(&ledger, now);
    }

    /// Waits so long at most for what the watcher has to do.
    pub(crate) fn wait_for_watcher(&self, at_most: Duration) {
        let ledger = self.visit();
        if !ledger.awaits_watcher() {
            self.watcher.wait_for(self, ledger, at_most);
        }
    }

    /// Wakes those who have something to do, before a visit ends.
    pub(crate) fn wake(&self, ledger: &Ledger, now: Duration) {
        if ledger.has_work() {
            self.workers.ring();
        }
        if ledger.due(now).is_some() {
            self.checkpointer.ring();
        }
        if ledger.awaits_watcher() {
            self.watcher.ring();
        }
    }

    /// Puts the ledger of the next step there.
    pub(crate) fn turn_page(&self, ledger: Ledger<'l>) {
        let mut page = self.visit();
        // A panic stays.
        if page.going == Going::On {
            *page = ledger;
        }
        drop(page);
        self.workers.ring();
    }

    /// Sends everybody home.
    pub(crate) fn close(&self) {
        self.visit().going = Going::Over;
        self.workers.ring();
        self.checkpointer.ring();
    }

    /// A thread panicked: what it had will never come back.
    pub(crate) fn panicked(&self) {
        let mut ledger = self.visit();
        if ledger.going != Going::Over {
            ledger.going = Going::Panicked;
        }
        drop(ledger);
        self.watcher.ring();
    }
}

/// Tells of a panic of its thread, for which the run would wait for ever.
pub(crate) struct Alarm<'a, 'l>(pub &'a Desk<'l>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked();
        }
    }
}
