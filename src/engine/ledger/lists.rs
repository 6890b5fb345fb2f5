//! What came of chunks: the position, and what was bad or differs.

use std::sync::Arc;
use std::time::Duration;

use super::super::doubtful::Doubtful;
use super::super::event::Event;
use super::super::joined::Joined;
use super::super::state::State;
use super::super::work::{ChunkResult, CutShort, FailedRange, Work};
use super::{Halt, Ledger};
use crate::plan::{
    Bad, BadMap, BadState, Difference, Differences, During, Extent, ExtentMap, Phase, Wrap,
};

/// What was bad, and what differs.
pub(super) struct Lists {
    pub(super) bad: Arc<BadMap>,
    pub(super) mismatches: Arc<Differences>,
    pub(super) wrap: Option<Wrap>,
    /// Those of them that were joined since the last cycle began.
    pub(super) joined: Joined,
    // what the read-back finds of what was joined before it began
    doubtful: Doubtful,
}

impl Lists {
    pub(super) fn of(state: &State) -> Self {
        Self {
            bad: Arc::clone(&state.bad),
            mismatches: Arc::clone(&state.mismatches),
            wrap: state.wrap,
            joined: Joined::default(),
            doubtful: match state.step.phase {
                Phase::Verify => Doubtful::unwritten(&state.bad),
                Phase::Write | Phase::Complete => Doubtful::default(),
            },
        }
    }

    pub(super) fn bad(&mut self) -> &mut BadMap {
        Arc::make_mut(&mut self.bad)
    }
}

impl Ledger<'_> {
    /// Takes in a chunk that is simply done. Of another one the watcher takes in what
    /// came of it: lists grow in one thread, as each thread's allocator keeps what it
    /// once had.
    pub(crate) fn hand_in(&mut self, work: Work, result: ChunkResult, now: Duration) {
        if result.is_plain(work) && !self.lists.bad.touches(work.extent) {
            self.take_in(work, result, now);
        } else {
            self.results.push((work, result));
        }
    }

    /// Takes in what came of chunks that were not simply done.
    pub(crate) fn take_in_results(&mut self, now: Duration) {
        for (work, result) in std::mem::take(&mut self.results) {
            self.take_in(work, result, now);
        }
    }

    fn take_in(&mut self, work: Work, result: ChunkResult, now: Duration) {
        self.in_flight -= 1;
        self.moved += self.bytes_of(work);
        self.heard = now;
        self.record(work, result);
        self.rewind_when_idle();
    }

    fn record(&mut self, work: Work, result: ChunkResult) {
        match &result.end {
            Some(CutShort::Fatal(error)) => self.halt_for(Halt::Fail(error.clone())),
            Some(CutShort::Dead(error)) => {
                // What else failed lately may not be bad at all.
                self.tainted = true;
                self.halt_for(Halt::Fail(error.clone()));
            }
            // Seen by a worker before the watcher saw it.
            Some(CutShort::Stopped(signal)) => self.stop(*signal),
            None => {}
        }
        let step = self.terms.step;
        if work.again {
            if result.end.is_some() {
                // It stays deferred.
                return;
            }
            self.leftover.tried = true;
            self.lists.bad().settle(work.extent);
        } else if step.phase == Phase::Write && self.lists.bad.touches(work.extent) {
            // Done again, after a resume or a failed sync.
            self.lists.bad().retry(work.extent, step.pass + 1);
        }
        let left = if work.again {
            BadState::Abandoned
        } else {
            BadState::Deferred
        };
        self.leftover.any |= !work.again && !result.deferred.is_empty();
        if !planted!("bad-in-silence") {
            self.add_bad(result.bad, BadState::Failed);
        }
        self.add_bad(result.deferred, left);
        for difference in result.differences {
            self.add_difference(difference);
        }
        if result.end.is_none() && !work.again {
            self.ahead.insert(work.extent);
            if let Some(end) = self.ahead.take_from(self.cursor.done()) {
                self.cursor.advance_done(end);
            }
        }
        if self.lists.bad.is_crowded() || self.lists.mismatches.is_crowded() {
            self.bound_lists();
        }
    }

    fn add_bad(&mut self, ranges: Vec<FailedRange>, state: BadState) {
        for (range, during, errno) in ranges {
            let bad = Bad {
                pass: self.terms.step.pass + 1,
                state,
                during,
                errno,
            };
            if during == During::Read && state != BadState::Deferred {
                self.lists.doubtful.unread(range);
            }
            self.lists.bad().add(range, bad);
            self.events.push(Event::BadExtent(range, bad));
        }
    }

    fn add_difference(&mut self, difference: Difference) {
        let lists = &mut self.lists;
        if lists.doubtful.explains(difference.extent) {
            // The old data of what could not be written.
            return;
        }
        let first = &difference.first;
        if let Some(later) = first.written_for.filter(|origin| *origin > first.at) {
            let (distance, bytes) = (later - first.at, difference.extent.length());
            lists.wrap = Some(Wrap::and(lists.wrap, distance, bytes));
        }
        Arc::make_mut(&mut lists.mismatches).insert(difference.clone());
        self.events.push(Event::Mismatch(difference));
    }

    /// Joins ranges that are too many to be saved, as far as possible where
    /// nothing more is found: their bytes are then counted exactly.
    pub(super) fn bound_lists(&mut self) {
        let lists = &mut self.lists;
        if planted!("unbounded-lists") || !lists.bad.is_full() && !lists.mismatches.is_full() {
            return;
        }
        let mut again = ExtentMap::default();
        for area in lists.bad.deferred(self.terms.step.pass + 1) {
            again.insert(area, ());
        }
        let (done, ahead) = (self.cursor.done(), &self.ahead);
        let closed = |gap: Extent| {
            let is_done = gap.end() <= done || ahead.covers(gap);
            is_done && again.overlaps(gap).next().is_none()
        };
        if lists.bad.is_full() {
            let bad = Arc::make_mut(&mut lists.bad).bound(&closed);
            lists.joined.add_bad(bad);
        }
        if lists.mismatches.is_full() {
            let differ = Arc::make_mut(&mut lists.mismatches).bound(&closed);
            lists.joined.add_different(differ);
        }
    }
}
