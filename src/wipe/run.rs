//! The engine over a drive that is open, with all that hears of it: for a wipe
//! and for the check of one alike.

use std::time::Duration;

use super::context::Context;
use super::open::Opened;
use crate::engine::{self, Control, Ended, Engine, Journal, State};
use crate::outcome::{Outcome, Signal};
use crate::plan::{Plan, Step};
use crate::progress::Timekeeper;
use crate::refusal::Cause;
use crate::screen::{Display, Header};
use crate::signal;

/// It begins here; `aftercheck` looks at the target once more, `end` closes it.
pub(super) struct EngineRun<'a> {
    pub context: &'a Context,
    pub opened: &'a Opened,
    plan: &'a Plan,
    // bytes of one write or read
    chunk: u64,
    pub times: Timekeeper,
    pub display: Display,
    /// Whether a finished wipe is only read back.
    pub check: bool,
}

impl<'a> EngineRun<'a> {
    pub(super) fn begin(
        context: &'a Context,
        opened: &'a Opened,
        (plan, step): (&'a Plan, Step),
        chunk: u64,
        times: Timekeeper,
        check: bool,
    ) -> Result<Self, Cause> {
        let device = opened.device();
        let header = Header {
            name: device.name.clone(),
            serial: device.identity.serial.clone(),
            size: device.size,
            sector: u64::from(device.identity.logical_block),
            what: plan.pass(step.pass).content.name(),
            plan: plan.clone(),
        };
        let clock = times.clone();
        let display = Display::start(context.face(), header, move || {
            (clock.work(), clock.pauses())
        })
        .map_err(Cause::NoRunThread)?;
        context.answer_status(Some(display.handle()));
        // For the last words, while no drive hangs.
        context.keeping();
        Ok(Self {
            context,
            opened,
            plan,
            chunk,
            times,
            display,
            check,
        })
    }

    /// Runs the engine from a state to the end of the plan, or as far as it gets.
    /// `hung` tells of a drive that does not answer, as the program cannot end
    /// otherwise.
    pub(super) fn engine(
        &self,
        state: State,
        journal: &mut dyn Journal,
        hung: &(dyn Fn(&State, Duration) -> Outcome + Sync),
    ) -> Ended {
        let engine = Engine {
            plan: self.plan,
            settings: self.context.settings(self.opened.device(), self.chunk),
            target: &self.opened.writer,
            observer: &self.display,
            control: &World {
                context: self.context,
                times: &self.times,
                hung,
            },
        };
        engine::run(&engine, state, journal)
    }
}

struct World<'a> {
    context: &'a Context,
    times: &'a Timekeeper,
    hung: &'a (dyn Fn(&State, Duration) -> Outcome + Sync),
}

impl Control for World<'_> {
    fn stop(&self) -> Option<Signal> {
        self.context.stop.requested()
    }

    fn now(&self) -> Duration {
        self.times.work()
    }

    fn pauses(&self) -> u64 {
        self.times.pauses()
    }

    fn hangs(&self, state: &State, silence: Duration) {
        let outcome = (self.hung)(state, silence);
        signal::leave_hanging(self.stop(), outcome.code());
    }
}
