//! When a checkpoint is saved, and what comes of that.

use std::io;
use std::time::Duration;

use super::super::cycle::Request;
use super::super::ended::{Error, Op};
use super::super::event::Event;
use super::super::message::Done;
use super::super::state::State;
use super::super::target::Presence;
use super::{Coordinator, Cycle, Halt, op_of};
use crate::plan::Phase;
use crate::text::reason;

/// A checkpoint is saved at least this often while anything moves.
const CYCLE_EVERY: Duration = Duration::from_secs(10);

/// How often a checkpoint is tried again that the run waits for.
const SAVE_RETRY: Duration = Duration::from_secs(1);

/// A second failed sync without progress in between ends the run.
const SYNC_ATTEMPTS: u32 = 2;

impl Coordinator<'_> {
    pub(super) fn cycle_ended(&mut self, done: Done) {
        let opened = self.cycle.take() == Some(Cycle::Opens);
        if opened
            && let Done::Synced {
                unsaved: Some(why), ..
            } = &done
        {
            self.unsaved = Some(why.clone());
            self.halt = Some(Halt::NotStarted(why.clone()));
            return;
        }
        match done {
            Done::NotSynced(error) => self.sync_failed(&error),
            Done::Changed(why) => {
                // Nothing more may be claimed of it.
                self.tainted = true;
                let offset = self.cursor.durable();
                self.halt_for(Halt::Fail(Error::new(op_of(self.step), offset, why)));
            }
            Done::Synced {
                mark,
                state,
                unsaved,
            } => {
                if mark > self.cursor.durable() || self.leftover.in_cycle {
                    self.sync_failures = 0;
                }
                self.cursor.advance_durable(mark);
                match (&self.unsaved, &unsaved) {
                    (None, Some(why)) => self.tell(Event::SaveFailed(why.clone())),
                    (Some(_), None) => self.tell(Event::SaveRecovered),
                    _ => {}
                }
                if unsaved.is_none() {
                    self.cursor.advance_saved(mark);
                }
                self.unsaved = unsaved;
                self.saved_state = state;
                if opened && self.halt.is_none() {
                    self.tell(Event::StepStarted(self.progress()));
                }
            }
        }
    }

    pub(super) fn sync_failed(&mut self, error: &io::Error) {
        let offset = self.cursor.durable();
        self.sync_failures += 1;
        self.tainted = true;
        match self.engine.target.presence(error) {
            Presence::Gone(why) => {
                self.halt_for(Halt::Fail(Error::new(Op::Sync, offset, why)));
            }
            _ if self.sync_failures >= SYNC_ATTEMPTS => {
                let error = Error::new(Op::Sync, offset, reason(error));
                self.halt_for(Halt::Fail(error));
            }
            Presence::Present | Presence::Passing(_) => {
                let errno = error.raw_os_error().unwrap_or(0);
                let from = offset;
                if self.halt.is_none() {
                    self.tell(Event::SyncFailed { errno, from });
                } else {
                    self.tell(Event::LastSyncFailed { errno, from });
                }
                self.halt_for(Halt::Rewind);
            }
        }
    }

    pub(super) fn start_due_cycle(&mut self) {
        if self.cycle.is_some() || self.halt.is_some() {
            return;
        }
        let done = self.cursor.done();
        let since = self.engine.control.now().saturating_sub(self.last_cycle);
        let far = done - self.mark >= self.interval() / 2;
        let late = since >= CYCLE_EVERY && !planted!("no-time-trigger");
        let long = (done > self.mark || self.leftover.tried) && late;
        let idle = !self.in_flight();
        let over = done == self.size && !self.leftover.any;
        let last = idle && over && self.saved_state.step == self.step;
        if last && let Err(why) = self.engine.target.is_whole() {
            // Nothing more may be claimed of it, least of all its end.
            self.tainted = true;
            self.halt_for(Halt::Fail(Error::new(op_of(self.step), self.size, why)));
            return;
        }
        // Nothing goes on without a checkpoint that could not be saved.
        let stuck = idle && self.unsaved.is_some() && since >= SAVE_RETRY;
        if stuck && !self.waits {
            self.waits = true;
            self.tell(Event::WaitsForCheckpoint);
        }
        if far || long || last || stuck {
            self.start_cycle();
        }
    }

    pub(super) fn start_cycle(&mut self) {
        self.bound();
        let mark = self.cursor.done();
        let state = self.state_at(mark);
        self.leftover.in_cycle = std::mem::take(&mut self.leftover.tried);
        let cycle = if self.step.phase == Phase::Write {
            Cycle::Syncs
        } else {
            Cycle::Saves
        };
        self.request(cycle, state, mark);
    }

    /// Begins a cycle.
    pub(super) fn request(&mut self, cycle: Cycle, state: State, mark: u64) {
        self.mark = mark;
        self.cycle = Some(cycle);
        let sync = cycle == Cycle::Syncs;
        self.last_cycle = self.engine.control.now();
        let joined = std::mem::take(&mut self.joined);
        let request = Request {
            sync,
            state,
            mark,
            joined,
        };
        if self.requests.send(request).is_err() {
            self.panicked = true;
        }
    }
}
