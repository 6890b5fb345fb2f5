//! How far a step is: what is done, durable and saved, what may be handed out, and
//! what is to be done next.
//!
//! Only its own fields are read and changed here, so each change is whole, and any
//! order of changes can be tried without a thread.
//!
//! - `hand`: what is handed out; `ahead`: what is completed beyond the position
//! - `lists`: what came of chunks, with what was bad and what differs
//! - `cycle`: when a checkpoint is saved, and what comes of that

mod ahead;
mod cycle;
mod hand;
mod lists;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ahead::Ahead;
pub(crate) use cycle::{Cycle, Done, Order};
use lists::Lists;

use super::ended::{End, Ended, Error, Op};
use super::event::{Event, Progress};
use super::parts::Engine;
use super::retry::Leftover;
use super::state::State;
use super::task::Shift;
use super::work::{ChunkResult, Work};
use crate::outcome::Signal;
use crate::plan::{Cursor, Phase, Plan, Step, Verify};

/// Why no more chunks are handed out.
enum Halt {
    /// A failed sync: go on from the last good one when nothing is in flight.
    Rewind,
    /// A signal: end when the writes in flight are done and saved.
    Stop(Signal),
    /// An error: the same.
    Fail(Error),
    /// The first checkpoint could not be saved: end, as nothing was written.
    NotStarted(String),
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// Not all of its threads are there: nothing is begun.
    Starts,
    /// It does.
    On,
    /// A thread panicked: it ends at once.
    Panicked,
    /// It has ended: threads go home.
    Over,
}

/// What the user heard of already.
#[derive(Default)]
struct Told {
    stopping: bool,
    // that the run waits for a checkpoint
    waits: bool,
}

/// What does not change while a step goes on.
#[derive(Debug, Clone, Copy)]
struct Terms {
    step: Step,
    // bytes of the target, its logical block, and where whole ones end
    size: u64,
    block: u64,
    aligned_end: u64,
    // most bytes of a chunk
    chunk: u64,
    // bytes of the step between two checkpoints at most
    interval: u64,
    part: Verify,
}

/// The ledger of one step.
pub(crate) struct Ledger<'a> {
    /// What the workers do with its chunks.
    pub shift: Arc<Shift<'a>>,
    /// What is to be told, in the order in which it happened.
    pub events: Vec<Event>,
    /// Bytes of the chunks handed out, ever.
    pub handed_out: u64,
    /// A rate limit lets no chunk end beyond this.
    pub paid: u64,
    /// Bytes of the chunks that came back, ever.
    pub moved: u64,
    /// When the target answered last.
    pub heard: Duration,
    /// Whether the run goes on.
    pub going: Going,
    plan: &'a Plan,
    terms: Terms,
    cursor: Cursor,
    // what is completed beyond `cursor.done()`
    ahead: Ahead,
    // where the next chunk begins
    next: u64,
    // chunks that were handed out and not taken in
    in_flight: usize,
    // what came of those that were not simply done
    results: Vec<(Work, ChunkResult)>,
    lists: Lists,
    leftover: Leftover,
    // the last state whose sync succeeded, and why it is not on disk
    durable_state: State,
    unsaved: Option<String>,
    // the run's first checkpoint is not saved: until then nothing may be written
    opens: bool,
    // what the cycle under way is at; the mark and the time of the last one
    cycle: Option<Cycle>,
    mark: u64,
    last_cycle: Duration,
    // failed syncs since `durable` advanced last
    sync_failures: u32,
    // what was done since the last cycle cannot be claimed: a sync failed and
    // nothing was written again since, or the target is not what it was
    tainted: bool,
    halt: Option<Halt>,
    told: Told,
}

impl<'a> Ledger<'a> {
    /// Of a step that begins at the state's position. `opens`: with it the run
    /// begins, and nothing is saved yet.
    pub(crate) fn new(
        engine: &Engine<'a>,
        shift: Arc<Shift<'a>>,
        (state, unsaved): (State, Option<String>),
        opens: bool,
    ) -> Self {
        let (size, block) = (engine.target.size(), engine.target.alignment());
        let (start, now) = (state.position, engine.control.now());
        let (part, interval) = (engine.plan.part(state.step), engine.settings.interval);
        let mut ledger = Self {
            shift,
            events: Vec::new(),
            handed_out: 0,
            paid: start,
            moved: 0,
            heard: now,
            going: Going::On,
            plan: engine.plan,
            terms: Terms {
                step: state.step,
                size,
                block,
                aligned_end: size / block * block,
                chunk: engine.settings.chunk,
                interval: match part {
                    // Of which a tenth is read.
                    Verify::Sample { .. } => interval.saturating_mul(10),
                    Verify::Full | Verify::None => interval,
                },
                part,
            },
            cursor: Cursor::at(start, size),
            ahead: Ahead::of(engine.settings.workers),
            next: start,
            in_flight: 0,
            results: Vec::new(),
            leftover: Leftover::of(&state.bad, state.step.pass + 1),
            lists: Lists::of(&state),
            durable_state: state,
            unsaved,
            opens,
            cycle: None,
            mark: start,
            last_cycle: now,
            sync_failures: 0,
            tainted: false,
            halt: None,
            told: Told::default(),
        };
        if !opens {
            ledger.begun();
        }
        ledger
    }

    fn begun(&mut self) {
        let progress = self.progress();
        self.events.push(Event::StepStarted(progress));
    }

    /// Whether the step has begun: all but the run's first one do so at once.
    pub(crate) fn has_begun(&self) -> bool {
        !self.opens
    }

    /// Whether the run's first checkpoint is still to be saved.
    fn is_opening(&self) -> bool {
        self.opens && !matches!(self.halt, Some(Halt::NotStarted(_) | Halt::Fail(_)))
    }

    /// What the cycle under way is at.
    pub(crate) fn cycle(&self) -> Option<Cycle> {
        self.cycle
    }

    /// Whether nothing is asked of the target.
    pub(crate) fn is_idle(&self) -> bool {
        self.cycle != Some(Cycle::Syncs) && self.in_flight == 0
    }

    /// What is durable: the last state whose sync succeeded, saved or not.
    pub(crate) fn durable(&self) -> &State {
        &self.durable_state
    }

    /// Where the run is.
    pub(crate) fn progress(&self) -> Progress {
        let steps = self.plan.steps();
        let step = self.terms.step;
        let number = steps.iter().position(|known| *known == step).unwrap_or(0) + 1;
        Progress {
            step,
            number,
            steps: steps.len(),
            done: self.cursor.done(),
            saved: self.cursor.saved(),
            size: self.terms.size,
        }
    }

    /// A signal asks the run to stop.
    pub(crate) fn stop(&mut self, signal: Signal) {
        if !std::mem::replace(&mut self.told.stopping, true) {
            self.events.push(Event::Stopping);
        }
        self.halt_for(Halt::Stop(signal));
    }

    /// Hands nothing out any more. An error outranks an interrupt, which outranks
    /// a rewind.
    fn halt_for(&mut self, halt: Halt) {
        let rank = |halt: &Halt| match halt {
            Halt::Rewind => 0,
            Halt::Stop(_) => 1,
            Halt::Fail(_) => 2,
            Halt::NotStarted(_) => 3,
        };
        if self.halt.as_ref().is_none_or(|now| rank(now) < rank(&halt)) {
            self.halt = Some(halt);
        }
    }

    fn fail(&mut self, op: Op, offset: u64, why: String) {
        self.halt_for(Halt::Fail(Error::new(op, offset, why)));
    }

    /// Whether the watcher has something to do.
    pub(crate) fn awaits_watcher(&self) -> bool {
        !self.results.is_empty() || self.end().is_some()
    }

    /// How the step ends, when it is done or what it was halted for is.
    pub(crate) fn end(&self) -> Option<End> {
        let op = op_of(self.terms.step);
        if self.going == Going::Panicked {
            // Its chunk will never complete. The scope passes the panic on.
            let error = Error::new(op, 0, "internal error in a thread");
            return Some(End::Failed(error));
        }
        if self.cycle.is_some() || self.is_opening() {
            return None;
        }
        if self.is_over() && !matches!(self.halt, Some(Halt::Fail(_))) {
            return Some(match self.halt {
                Some(Halt::Stop(signal)) => End::Interrupted(signal),
                _ => End::Complete,
            });
        }
        if self.in_flight > 0 || self.owes_cycle() {
            return None;
        }
        match self.halt.as_ref()? {
            Halt::Stop(signal) => Some(End::Interrupted(*signal)),
            Halt::Fail(error) => Some(End::Failed(error.clone())),
            Halt::NotStarted(why) => Some(End::NotStarted(why.clone())),
            Halt::Rewind => None,
        }
    }

    /// Whether all is done, durable and, where it matters, saved: the next pass
    /// destroys what the checkpoint on disk says of this one.
    fn is_over(&self) -> bool {
        let next = self.durable_state.step;
        next != self.terms.step && (self.unsaved.is_none() || next.phase != Phase::Write)
    }

    /// What a step leaves behind that ended so.
    pub(crate) fn ended(&self, end: End) -> Ended {
        let all = self.cursor.done() == self.cursor.durable() && self.ahead.is_empty();
        Ended {
            flushed: all && !self.tainted && self.going != Going::Panicked,
            state: self.durable_state.clone(),
            unsaved: self.unsaved.clone(),
            end,
        }
    }
}

fn op_of(step: Step) -> Op {
    match step.phase {
        Phase::Verify => Op::Read,
        Phase::Write | Phase::Complete => Op::Write,
    }
}
