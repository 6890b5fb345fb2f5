//! What came of chunks: the position, and what was bad or differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::event::Event;
use super::super::retry::Leftover;
use super::super::state::State;
use super::super::work::{BadRange, ChunkResult, Unfinished, Work};
use super::{Coordinator, Halt};
use crate::plan::{Bad, BadState, During, Extent, ExtentMap, Phase, Wrap};

impl Coordinator<'_> {
    /// Takes in what came of all chunks that are done.
    pub(super) fn collect(&mut self) {
        let done = self.gate.collect();
        if !done.is_empty() {
            self.pace.heard(self.engine.control.now());
        }
        let part = self.engine.plan.part(self.step);
        for (work, result) in done {
            self.completed += 1;
            self.moved += part.bytes_in(work.extent, self.size);
            self.take_in(work, result);
        }
    }

    /// Takes in what came of a chunk.
    pub(super) fn take_in(&mut self, work: Work, result: ChunkResult) {
        match &result.end {
            Some(Unfinished::Fatal(error)) => self.halt_for(Halt::Fail(error.clone())),
            Some(Unfinished::Dead(error)) => {
                // What else failed lately may not be bad at all.
                self.tainted = true;
                self.halt_for(Halt::Fail(error.clone()));
            }
            Some(Unfinished::Stopped) | None => {}
        }
        if work.again {
            if result.end.is_some() {
                // It stays deferred.
                return;
            }
            self.leftover.tried = true;
            Arc::make_mut(&mut self.bad).settle(work.extent);
        } else if self.step.phase == Phase::Write && self.bad.touches(work.extent) {
            // Done again, after a resume or a failed sync.
            Arc::make_mut(&mut self.bad).retry(work.extent, self.step.pass + 1);
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
            if self.doubtful.explains(difference.extent) {
                // The old data of what could not be written.
                continue;
            }
            let first = &difference.first;
            if let Some(later) = first.written_for.filter(|origin| *origin > first.at) {
                let (distance, bytes) = (later - first.at, difference.extent.length());
                self.wrap = Some(Wrap::and(self.wrap, distance, bytes));
            }
            Arc::make_mut(&mut self.mismatches).insert(difference.clone());
            self.tell(Event::Mismatch(difference));
        }
        if result.end.is_none() && !work.again {
            self.ahead.insert(work.extent.start(), work.extent.end());
            while let Some(end) = self.ahead.remove(&self.cursor.done()) {
                self.cursor.advance_done(end);
            }
        }
        if self.bad.is_crowded() || self.mismatches.is_crowded() {
            self.bound();
        }
    }

    /// Joins ranges that are too many to be saved, as far as possible where
    /// nothing more is found: their bytes are then counted exactly.
    pub(super) fn bound(&mut self) {
        if planted!("unbounded-lists") || !self.bad.is_full() && !self.mismatches.is_full() {
            return;
        }
        let mut again = ExtentMap::default();
        for area in self.bad.deferred(self.step.pass + 1) {
            again.insert(area, ());
        }
        let (done, ahead) = (self.cursor.done(), &self.ahead);
        let closed = |gap| is_done(gap, done, ahead) && again.overlaps(gap).next().is_none();
        if self.bad.is_full() {
            self.joined
                .add_bad(Arc::make_mut(&mut self.bad).bound(&closed));
        }
        if self.mismatches.is_full() {
            let differ = Arc::make_mut(&mut self.mismatches).bound(&closed);
            self.joined.add_different(differ);
        }
    }

    pub(super) fn add_bad(&mut self, ranges: Vec<BadRange>, state: BadState) {
        for (range, during, errno) in ranges {
            let bad = Bad {
                pass: self.step.pass + 1,
                state,
                during,
                errno,
            };
            if during == During::Read && state != BadState::Deferred {
                self.doubtful.unread(range);
            }
            Arc::make_mut(&mut self.bad).add(range, bad);
            self.tell(Event::BadExtent(range, bad));
        }
    }

    /// Goes back to the last good sync. Only while nothing is in flight.
    pub(super) fn rewind(&mut self) {
        self.halt = None;
        self.tainted = false;
        if !planted!("no-rewind") {
            self.cursor.rewind();
        }
        self.ahead.clear();
        // What was good when it was tried again is as unknown.
        self.bad = Arc::clone(&self.saved_state.bad);
        self.leftover = Leftover {
            any: !self.bad.deferred(self.step.pass + 1).is_empty(),
            ..Leftover::default()
        };
        let from = self.cursor.done();
        if let Some(unknown) = Extent::between(from, self.size) {
            Arc::make_mut(&mut self.bad).retry(unknown, self.step.pass + 1);
        }
        self.mark = self.cursor.durable();
        let aligned_end = self.aligned_end();
        self.gate.with(|gate| {
            gate.next = from;
            gate.end = aligned_end.max(from);
        });
    }

    /// What is saved when everything below `mark` is durable. At the end of a
    /// step that is the start of the next one: nothing of the next pass may be
    /// written while the checkpoint speaks of this one. While areas are left
    /// for the end of the step, its last block counts as not done.
    pub(super) fn state_at(&self, mark: u64) -> State {
        let (step, position) = if mark == self.size && !self.leftover.any {
            (self.engine.plan.after(self.step), 0)
        } else {
            let last = (self.size - 1) / self.engine.target.alignment();
            let mark = mark + if planted!("64k-ahead") { 64 << 10 } else { 0 };
            (self.step, mark.min(last * self.engine.target.alignment()))
        };
        State {
            step,
            position,
            bad: Arc::clone(&self.bad),
            mismatches: Arc::clone(&self.mismatches),
            wrap: self.wrap,
        }
    }
}

/// Whether a range is done, and nothing more is found in it: it lies below
/// `done` or within what is done `ahead` of that.
fn is_done(range: Extent, done: u64, ahead: &BTreeMap<u64, u64>) -> bool {
    if range.end() <= done {
        return true;
    }
    let mut end = ahead
        .range(..=range.start())
        .next_back()
        .map(|(_, &end)| end);
    while let Some(at) = end.filter(|&at| range.start() < at && at < range.end()) {
        end = ahead.get(&at).copied();
    }
    end.is_some_and(|end| range.end() <= end)
}
