//! What is looked at again and again while a step goes on: a signal, a rate limit,
//! and whether the drive answers. From here everything is told.

use std::time::Duration;

use super::credit::Credit;
use super::desk::Desk;
use super::ended::End;
use super::event::Event;
use super::ledger::{Cycle, Ledger};
use super::pace::{Pace, Slow};
use super::parts::Engine;
use super::state::State;

/// The delay with which a signal or a rate limit is seen on an idle drive. The clocks of
/// the tests go by looks.
const TICK: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 10 });
/// A drive that holds up an interrupt for this long is pointed out.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Watches over one step.
pub(crate) struct Watcher<'a> {
    engine: &'a Engine<'a>,
    pace: Pace,
    credit: Credit,
    // until when the pace has been told of answers
    heard: Duration,
    last_progress: Duration,
    // since when a signal is known, and whether the user heard of the wait
    stopping: Option<(Duration, bool)>,
}

impl<'a> Watcher<'a> {
    /// Watches from now on.
    pub(crate) fn new(engine: &'a Engine<'a>) -> Self {
        let now = engine.control.now();
        Self {
            engine,
            pace: Pace::new(now),
            credit: Credit::new(engine.settings, now),
            heard: now,
            last_progress: Duration::ZERO,
            stopping: None,
        }
    }

    /// Watches to the end of the step.
    pub(crate) fn watch(mut self, desk: &Desk) -> End {
        loop {
            let now = self.engine.control.now();
            let (stop, pauses) = (self.engine.control.stop(), self.engine.control.pauses());
            let mut ledger = desk.visit();
            if let Some(signal) = stop {
                match self.stopping {
                    None => {
                        self.stopping = Some((now, false));
                        ledger.stop(signal);
                    }
                    Some((since, false)) if now.saturating_sub(since) > PATIENCE => {
                        self.stopping = Some((since, true));
                        ledger.events.push(Event::StillWaiting);
                    }
                    Some(_) => {}
                }
            }
            ledger.take_in_results(now);
            let left = self.credit.left(now, ledger.handed_out);
            ledger.pay(left);
            let hangs = self.look(&mut ledger, now, pauses);
            let end = ledger.end();
            if end.is_some() || self.tells_progress(&ledger, now) {
                let progress = ledger.progress();
                ledger.events.push(Event::Progress(progress));
            }
            let events = std::mem::take(&mut ledger.events);
            desk.wake(&ledger, now);
            drop(ledger);
            for event in events {
                self.engine.observer.event(event);
            }
            if let Some((state, silence)) = hangs {
                self.engine.control.hangs(&state, silence);
            }
            if let Some(end) = end {
                return end;
            }
            desk.wait_for_watcher(TICK);
        }
    }

    fn tells_progress(&mut self, ledger: &Ledger, now: Duration) -> bool {
        // Nothing of a step before its start.
        let due = ledger.has_begun() && now.saturating_sub(self.last_progress) >= PROGRESS_EVERY;
        if due {
            self.last_progress = now;
        }
        due
    }

    /// Points out a target that does not answer, or has become slow. What is
    /// durable, where a silence lasts so long that the run is to end.
    fn look(
        &mut self,
        ledger: &mut Ledger,
        now: Duration,
        pauses: u64,
    ) -> Option<(State, Duration)> {
        let limit = self.engine.settings.stall;
        if ledger.heard > self.heard {
            self.heard = ledger.heard;
            self.pace.heard(ledger.heard);
        }
        self.pace.looks(now, pauses, limit);
        // Only what is asked of the target counts: a checkpoint that is being
        // saved is another disk's.
        if ledger.is_idle() {
            self.pace.idle(now);
        }
        let saves = matches!(ledger.cycle(), Some(Cycle::Opens | Cycle::Saves));
        let silent = self.pace.saves(now, saves).map(Event::StateSilent);
        let unanswered = self.pace.silence(now).map(Event::NoAnswer);
        let slow = self.pace.moved(now, ledger.moved);
        let slow = slow.map(|Slow { now, best }| Event::Slow { now, best });
        ledger
            .events
            .extend(silent.into_iter().chain(unanswered).chain(slow));
        let silence = self.pace.hang(now, limit?)?;
        Some((ledger.durable().clone(), silence))
    }
}
