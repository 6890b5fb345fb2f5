//! What is told of the run while it goes on.

use std::time::Duration;

use super::super::event::{Event, Progress};
use super::super::pace::Slow;
use super::{Coordinator, Cycle};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

impl Coordinator<'_> {
    pub(super) fn progress(&self) -> Progress {
        let steps = self.engine.plan.steps();
        let number = steps
            .iter()
            .position(|step| *step == self.step)
            .unwrap_or(0)
            + 1;
        Progress {
            step: self.step,
            number,
            steps: steps.len(),
            done: self.cursor.done(),
            saved: self.cursor.saved(),
            size: self.size,
        }
    }

    pub(super) fn tell_progress(&mut self) {
        if self.cycle == Some(Cycle::Opens) {
            // Nothing of a step before its start.
            return;
        }
        let now = self.engine.control.now();
        if now.saturating_sub(self.last_progress) >= PROGRESS_EVERY {
            self.last_progress = now;
            self.tell(Event::Progress(self.progress()));
        }
    }

    /// Points out a target that does not answer, or has become slow.
    pub(super) fn watch(&mut self) {
        let now = self.engine.control.now();
        let (pauses, limit) = (self.engine.control.pauses(), self.engine.settings.stall);
        self.pace.looks(now, pauses, limit);
        // Only what is asked of the target counts: a checkpoint that is being
        // saved is another disk's.
        if self.cycle != Some(Cycle::Syncs) && !self.in_flight() {
            self.pace.idle(now);
        }
        let saves = matches!(self.cycle, Some(Cycle::Opens | Cycle::Saves));
        if let Some(silence) = self.pace.saves(now, saves) {
            self.tell(Event::StateSilent(silence));
        }
        if let Some(silence) = self.pace.silence(now) {
            self.tell(Event::NoAnswer(silence));
        }
        if let Some(limit) = limit
            && let Some(silence) = self.pace.hang(now, limit)
        {
            self.engine.control.hangs(&self.saved_state, silence);
        }
        if let Some(Slow { now, best }) = self.pace.moved(now, self.moved) {
            self.tell(Event::Slow { now, best });
        }
    }

    pub(super) fn tell(&self, event: Event) {
        self.engine.observer.event(event);
    }
}
