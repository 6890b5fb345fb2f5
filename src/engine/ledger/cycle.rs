//! When a checkpoint is saved, and what comes of that.

use std::io;
use std::time::Duration;

use super::super::ended::Op;
use super::super::event::Event;
use super::super::joined::Joined;
use super::super::retry::Leftover;
use super::super::state::State;
use super::super::target::Presence;
use super::{Going, Halt, Ledger, op_of};
use crate::plan::{Extent, Phase};
use crate::text::reason;

/// A checkpoint is saved at least this often while anything moves.
const CYCLE_EVERY: Duration = Duration::from_secs(10);

/// How often a checkpoint is tried again that the run waits for.
const SAVE_RETRY: Duration = Duration::from_secs(1);

/// A second failed sync without progress in between ends the run.
const SYNC_ATTEMPTS: u32 = 2;

/// What a cycle is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cycle {
    /// It saves the first checkpoint of the run.
    Opens,
    /// It waits for the target's flush.
    Syncs,
    /// It saves a checkpoint.
    Saves,
}

/// What one cycle is to do.
pub(crate) struct Order {
    /// Whether the target must be synced first: when something was written.
    pub sync: bool,
    /// Whether it is the last of a step whose end was reached.
    pub last: bool,
    /// What is saved once that succeeded.
    pub state: State,
    /// The position within the step that the state stands for, in bytes.
    pub mark: u64,
    /// What is durable already, in bytes.
    pub durable: u64,
    /// What the state's lists have no longer one by one.
    pub joined: Joined,
}

/// How a cycle ended.
pub(crate) enum Done {
    /// The sync failed, and what that means for the target; nothing was saved.
    NotSynced(io::Error, Presence),
    /// The target is not what it was: where that was seen, and why, for people.
    /// Nothing was saved.
    Changed(u64, String),
    /// Synced up to the mark, and saved unless there is a reason why not.
    Synced(Option<String>),
}

impl Ledger<'_> {
    /// What a cycle that is to begin now would be at.
    pub(crate) fn due(&self, now: Duration) -> Option<Cycle> {
        if self.cycle.is_some() || self.going != Going::On {
            return None;
        }
        if self.opens {
            return self.is_opening().then_some(Cycle::Opens);
        }
        let due = !self.is_over()
            && match self.halt {
                Some(_) => self.in_flight == 0 && self.owes_cycle(),
                None => self.is_far() || self.is_late(now) || self.is_last() || self.is_stuck(now),
            };
        due.then_some(if self.terms.step.phase == Phase::Write {
            Cycle::Syncs
        } else {
            Cycle::Saves
        })
    }

    /// One last cycle for what was done since the one before.
    pub(super) fn owes_cycle(&self) -> bool {
        let more = self.cursor.done() > self.cursor.durable() || self.leftover.tried;
        let rewinds = matches!(self.halt, Some(Halt::Rewind));
        more && !planted!("stop-without-save") && !self.tainted && !rewinds
    }

    fn is_far(&self) -> bool {
        self.cursor.done() - self.mark >= self.terms.interval / 2
    }

    fn is_late(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.last_cycle);
        let more = self.cursor.done() > self.mark || self.leftover.tried;
        more && since >= CYCLE_EVERY && !planted!("no-time-trigger")
    }

    fn is_last(&self) -> bool {
        let over = self.cursor.done() == self.terms.size && !self.leftover.any;
        over && self.in_flight == 0 && self.durable_state.step == self.terms.step
    }

    /// Nothing goes on without a checkpoint that could not be saved.
    fn is_stuck(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.last_cycle);
        self.unsaved.is_some() && self.in_flight == 0 && since >= SAVE_RETRY
    }

    /// Begins a cycle that is due: the mark, and the maps that belong to it.
    pub(crate) fn begin_cycle(&mut self, now: Duration) -> Option<Order> {
        let cycle = self.due(now)?;
        let (mut state, mut last) = (self.durable_state.clone(), false);
        if cycle != Cycle::Opens {
            if self.halt.is_none() && !self.told.waits && self.is_stuck(now) {
                self.told.waits = true;
                self.events.push(Event::WaitsForCheckpoint);
            }
            last = self.halt.is_none() && self.is_last();
            self.bound_lists();
            self.mark = self.cursor.done();
            state = self.state_at(self.mark);
            self.leftover.in_cycle = std::mem::take(&mut self.leftover.tried);
        }
        self.cycle = Some(cycle);
        self.last_cycle = now;
        Some(Order {
            sync: cycle == Cycle::Syncs,
            last,
            state,
            mark: self.mark,
            durable: self.cursor.durable(),
            joined: std::mem::take(&mut self.lists.joined),
        })
    }

    /// The target's flush came back; what it covered is being saved.
    pub(crate) fn flushed(&mut self, now: Duration) {
        self.heard = now;
        self.cycle = Some(Cycle::Saves);
    }

    /// Takes in what came of a cycle.
    pub(crate) fn end_cycle(&mut self, order: Order, done: Done, now: Duration) {
        self.heard = now;
        debug_assert!(self.cycle.is_some(), "it is of this step");
        let opened = self.cycle.take() == Some(Cycle::Opens);
        match done {
            Done::Synced(Some(why)) if opened => {
                self.unsaved = Some(why.clone());
                self.halt = Some(Halt::NotStarted(why));
            }
            Done::NotSynced(error, presence) => self.sync_failed(&error, presence),
            Done::Changed(offset, why) => {
                // Nothing more may be claimed of it.
                self.tainted = true;
                self.fail(op_of(self.terms.step), offset, why);
            }
            Done::Synced(unsaved) => {
                self.synced(order, unsaved);
                if opened {
                    self.opens = false;
                    if self.halt.is_none() {
                        self.begun();
                    }
                }
            }
        }
        self.rewind_when_idle();
    }

    fn synced(&mut self, order: Order, unsaved: Option<String>) {
        if order.mark > self.cursor.durable() || self.leftover.in_cycle {
            self.sync_failures = 0;
        }
        self.cursor.advance_durable(order.mark);
        match (&self.unsaved, &unsaved) {
            (None, Some(why)) => self.events.push(Event::SaveFailed(why.clone())),
            (Some(_), None) => self.events.push(Event::SaveRecovered),
            _ => {}
        }
        if unsaved.is_none() {
            self.cursor.advance_saved(order.mark);
        }
        self.unsaved = unsaved;
        self.durable_state = order.state;
    }

    fn sync_failed(&mut self, error: &io::Error, presence: Presence) {
        let from = self.cursor.durable();
        self.sync_failures += 1;
        self.tainted = true;
        match presence {
            Presence::Gone(why) => self.fail(Op::Sync, from, why),
            _ if self.sync_failures >= SYNC_ATTEMPTS => self.fail(Op::Sync, from, reason(error)),
            Presence::Present | Presence::Passing(_) => {
                let errno = error.raw_os_error().unwrap_or(0);
                self.events.push(if self.halt.is_none() {
                    Event::SyncFailed { errno, from }
                } else {
                    Event::LastSyncFailed { errno, from }
                });
                self.halt_for(Halt::Rewind);
            }
        }
    }

    /// Goes back to the last good sync, once nothing is in flight and no cycle is
    /// under way.
    pub(super) fn rewind_when_idle(&mut self) {
        if !matches!(self.halt, Some(Halt::Rewind)) || self.in_flight > 0 || self.cycle.is_some() {
            return;
        }
        self.halt = None;
        self.tainted = false;
        if !planted!("no-rewind") {
            self.cursor.rewind();
        }
        self.ahead.clear();
        let pass = self.terms.step.pass + 1;
        // What was good when it was tried again is as unknown.
        self.lists.bad = self.durable_state.bad.clone();
        self.leftover = Leftover::of(&self.lists.bad, pass);
        let from = self.cursor.done();
        if let Some(unknown) = Extent::between(from, self.terms.size) {
            self.lists.bad().retry(unknown, pass);
        }
        self.mark = self.cursor.durable();
        (self.next, self.paid) = (from, self.paid.min(from));
    }

    /// What is saved when everything below `mark` is durable. At the end of a
    /// step that is the start of the next one: nothing of the next pass may be
    /// written while the checkpoint speaks of this one. While areas are left
    /// for the end of the step, its last block counts as not done.
    fn state_at(&self, mark: u64) -> State {
        let terms = &self.terms;
        let (step, position) = if mark == terms.size && !self.leftover.any {
            (self.plan.after(terms.step), 0)
        } else {
            let last = (terms.size - 1) / terms.block * terms.block;
            let mark = mark + if planted!("64k-ahead") { 64 << 10 } else { 0 };
            (terms.step, mark.min(last))
        };
        State {
            step,
            position,
            bad: self.lists.bad.clone(),
            mismatches: self.lists.mismatches.clone(),
            wrap: self.lists.wrap,
        }
    }
}
