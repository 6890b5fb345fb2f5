//! How far chunks may be handed out.

use std::time::Duration;

use super::super::event::Event;
use super::super::retry::Retry;
use super::super::work::Work;
use super::{Coordinator, Cycle};
use crate::plan::{Phase, Verify};
use crate::text::MIB;

impl Coordinator<'_> {
    pub(super) fn in_flight(&self) -> bool {
        self.gate
            .with(|gate| gate.dispensed != self.completed || gate.again.is_some())
    }

    pub(super) fn aligned_end(&self) -> u64 {
        let alignment = self.engine.target.alignment();
        self.size / alignment * alignment
    }

    /// Moves the limit of what may be dispensed.
    pub(super) fn dispense(&mut self) {
        if self.halt.is_some() || self.cycle == Some(Cycle::Opens) {
            return;
        }
        let bound = if self.unsaved.is_some() && self.may_run_ahead() {
            // The bound hangs on checkpoints that cannot be saved: it is
            // suspended, which was announced.
            u64::MAX
        } else {
            let times = if planted!("bound-times-3") { 3 } else { 1 };
            self.cursor.saved() + times * self.interval()
        };
        let now = self.engine.control.now();
        let again = self.next_retry(now);
        // The tail is written alone, after everything else.
        let tail_next = self.cursor.done() >= self.aligned_end();
        let (credit, size) = (&mut self.credit, self.size);
        self.gate.with(|gate| {
            if tail_next {
                gate.end = size;
            }
            if again.is_some() {
                gate.again = again;
            }
            gate.limit = bound.min(
                gate.next
                    .saturating_add(credit.left(now, gate.dispensed_bytes)),
            );
        });
    }

    /// The next chunk of an area that was left for the end of the step, one at
    /// a time.
    pub(super) fn next_retry(&mut self, now: Duration) -> Option<Work> {
        if !self.leftover.any || self.cursor.done() < self.size || self.in_flight() {
            return None;
        }
        if self.leftover.retry.is_none() {
            let areas = self.bad.deferred(self.step.pass + 1);
            let bytes = areas.iter().map(|area| area.length()).sum();
            let number = areas.len();
            if number > 0 {
                self.tell(Event::Retrying {
                    areas: number,
                    bytes,
                });
            }
            let chunk = self.engine.settings.chunk;
            self.leftover.retry = Some(Retry::new(areas, chunk, self.aligned_end()));
        }
        let next = self.leftover.retry.as_mut()?.next(now);
        if next.is_none() {
            self.leftover.retry = None;
            self.leftover.any = false;
        }
        next
    }

    /// Bytes of the step between two checkpoints at most.
    pub(super) fn interval(&self) -> u64 {
        let interval = self.engine.settings.interval;
        match self.engine.plan.part(self.step) {
            // Of which a tenth is read.
            Verify::Sample { .. } => interval.saturating_mul(10),
            Verify::Full | Verify::None => interval,
        }
    }

    /// Whether the bound may be suspended. At the start of a later pass a resume
    /// proves the drive by what the pass before left beyond the bound.
    pub(super) fn may_run_ahead(&self) -> bool {
        self.step.pass == 0 || self.step.phase != Phase::Write || self.cursor.saved() >= MIB
    }
}
