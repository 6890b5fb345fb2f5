//! Chunks, handed out in order as far as they may be.

use std::time::Duration;

use super::super::event::Event;
use super::super::retry::Retry;
use super::super::work::Work;
use super::{Going, Ledger};
use crate::plan::{Extent, Phase};
use crate::text::MIB;

impl Ledger<'_> {
    /// The next chunk, where one may be begun.
    pub(crate) fn hand_out(&mut self, now: Duration) -> Option<Work> {
        if self.is_halted() {
            return None;
        }
        let work = if let Some(again) = self.next_retry(now) {
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
        self.in_flight += 1;
        self.handed_out += self.bytes_of(work);
        Some(work)
    }

    /// Whether a chunk would be handed out.
    pub(crate) fn has_work(&self) -> bool {
        !self.is_halted() && (self.may_retry() || self.available().is_some())
    }

    fn is_halted(&self) -> bool {
        self.halt.is_some() || self.opens || self.going != Going::On
    }

    /// Bytes that are moved of a chunk.
    pub(super) fn bytes_of(&self, work: Work) -> u64 {
        self.terms.part.bytes_in(work.extent, self.terms.size)
    }

    /// The next chunk of the step within the bounds.
    fn available(&self) -> Option<Extent> {
        let terms = &self.terms;
        // The tail of an image is written alone, after everything else.
        let end = if self.cursor.done() >= terms.aligned_end {
            terms.size
        } else {
            terms.aligned_end
        };
        let end = end.min(self.next.saturating_add(terms.chunk));
        let chunk = Extent::between(self.next, end)?;
        (chunk.end() <= self.bound().min(self.paid)).then_some(chunk)
    }

    /// No chunk may end beyond this: a crash would cost more.
    fn bound(&self) -> u64 {
        // At the start of a later pass a resume proves the drive by what the pass
        // before left beyond the bound.
        let step = self.terms.step;
        let may_run_ahead =
            step.pass == 0 || step.phase != Phase::Write || self.cursor.saved() >= MIB;
        if self.unsaved.is_some() && may_run_ahead {
            // The bound hangs on checkpoints that cannot be saved: it is
            // suspended, which was announced.
            return u64::MAX;
        }
        let times = if planted!("bound-times-3") { 3 } else { 1 };
        self.cursor.saved() + times * self.terms.interval
    }

    /// A rate limit lets so many bytes through from now on.
    pub(crate) fn pay(&mut self, bytes: u64) {
        self.paid = self.next.saturating_add(bytes);
    }

    fn may_retry(&self) -> bool {
        self.leftover.any && self.cursor.done() >= self.terms.size && self.in_flight == 0
    }

    /// The next chunk of an area that was left for the end of the step, one at
    /// a time.
    fn next_retry(&mut self, now: Duration) -> Option<Work> {
        if !self.may_retry() {
            return None;
        }
        if self.leftover.retry.is_none() {
            let areas = self.lists.bad.deferred(self.terms.step.pass + 1);
            let bytes = areas.iter().map(|area| area.length()).sum();
            let number = areas.len();
            if number > 0 {
                self.events.push(Event::Retrying {
                    areas: number,
                    bytes,
                });
            }
            let retry = Retry::new(areas, self.terms.chunk, self.terms.aligned_end);
            self.leftover.retry = Some(retry);
        }
        let next = self.leftover.retry.as_mut()?.next(now);
        if next.is_none() {
            self.leftover.retry = None;
            self.leftover.any = false;
        }
        next
    }
}
