//! One step of a plan: the only owner of the position.

mod cycles;
mod ledger;
mod limits;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::credit::Credit;
use super::cycle::Request;
use super::doubtful::Doubtful;
use super::ended::{End, Ended, Error, Op};
use super::event::Event;
use super::gate::Gate;
use super::joined::Joined;
use super::message::Message;
use super::pace::Pace;
use super::parts::Engine;
use super::retry::Leftover;
use super::state::State;
use crate::outcome::Signal;
use crate::plan::{BadMap, Cursor, Differences, Phase, Step, Wrap};

/// How long the coordinator waits for a message before it looks around: the
/// delay with which a signal or a rate limit is seen on an idle drive.
const TICK: Duration = Duration::from_millis(10);
/// A drive that holds up an interrupt for this long is pointed out.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a cycle under way is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cycle {
    /// It saves the first checkpoint of the run: until then nothing may be
    /// written.
    Opens,
    /// It waits for the target's flush.
    Syncs,
    /// It saves a checkpoint.
    Saves,
}

/// Why no more chunks are dispensed.
enum Halt {
    /// A signal: end when the writes in flight are done and saved.
    Stop(Signal),
    /// An error: the same.
    Fail(Error),
    /// A failed sync: go on from the last good one when nothing is in flight.
    Rewind,
    /// The first checkpoint could not be saved: end, as nothing was written.
    NotStarted(String),
}

pub(super) struct Coordinator<'a> {
    engine: &'a Engine<'a>,
    step: Step,
    gate: &'a Gate,
    requests: Sender<Request>,
    cursor: Cursor,
    size: u64,
    // completed extents beyond `cursor.done()`: start -> end
    ahead: BTreeMap<u64, u64>,
    // chunks completed, ever; equal to the gate's `dispensed` when none is in flight
    completed: u64,
    // the last state whose sync succeeded
    saved_state: State,
    bad: Arc<BadMap>,
    mismatches: Arc<Differences>,
    // those of them that were joined since the last cycle began
    joined: Joined,
    wrap: Option<Wrap>,
    // what the read-back finds of what was joined before it began
    doubtful: Doubtful,
    leftover: Leftover,
    pace: Pace,
    // bytes of completed chunks, ever
    moved: u64,
    // why `saved_state` is not on disk
    unsaved: Option<String>,
    // what the cycle under way is at
    cycle: Option<Cycle>,
    // the mark of the cycle begun last
    mark: u64,
    last_cycle: Duration,
    last_progress: Duration,
    // failed syncs since `durable` advanced last
    sync_failures: u32,
    // what was done since the last cycle cannot be claimed: a sync failed and
    // nothing was written again since, or the target is not what it was
    tainted: bool,
    halt: Option<Halt>,
    credit: Credit,
    // since when a signal is known, and whether the user heard of the wait
    waiting_since: Option<(Duration, bool)>,
    panicked: bool,
    // whether the user heard that the run waits for a checkpoint
    waits: bool,
}

impl<'a> Coordinator<'a> {
    /// The owner of a step that begins at the state's position.
    pub(super) fn new(
        engine: &'a Engine<'a>,
        gate: &'a Gate,
        requests: Sender<Request>,
        state: State,
        unsaved: Option<String>,
    ) -> Self {
        let (start, size, now) = (state.position, engine.target.size(), engine.control.now());
        Self {
            engine,
            step: state.step,
            gate,
            requests,
            cursor: Cursor::at(start, size),
            size,
            ahead: BTreeMap::new(),
            completed: 0,
            leftover: Leftover {
                any: !state.bad.deferred(state.step.pass + 1).is_empty(),
                ..Leftover::default()
            },
            pace: Pace::new(now),
            moved: 0,
            bad: Arc::clone(&state.bad),
            mismatches: Arc::clone(&state.mismatches),
            joined: Joined::default(),
            wrap: state.wrap,
            doubtful: match state.step.phase {
                Phase::Verify => Doubtful::unwritten(&state.bad),
                Phase::Write | Phase::Complete => Doubtful::default(),
            },
            saved_state: state,
            unsaved,
            cycle: None,
            mark: start,
            last_cycle: now,
            last_progress: Duration::ZERO,
            sync_failures: 0,
            tainted: false,
            halt: None,
            credit: Credit::new(engine.settings, now),
            waiting_since: None,
            panicked: false,
            waits: false,
        }
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) -> Ended {
        if self.cycle != Some(Cycle::Opens) {
            self.tell(Event::StepStarted(self.progress()));
        }
        loop {
            if self.panicked {
                // Its chunk will never complete. The scope passes the panic on.
                let end = End::Failed(panic_error(self.step));
                return self.ended(end);
            }
            self.collect();
            self.notice_signal();
            if let Some(end) = self.settle() {
                return self.ended(end);
            }
            self.dispense();
            self.start_due_cycle();
            self.tell_progress();
            self.watch();
            match messages.recv_timeout(TICK) {
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.panicked = true,
            }
            // Everything that is there, before looking around again.
            while let Ok(message) = messages.try_recv() {
                self.hear(message);
            }
        }
    }

    /// Saves the first checkpoint of the run, before anything is written.
    pub(super) fn open(&mut self) {
        let state = self.saved_state.clone();
        self.request(Cycle::Opens, state, self.mark);
    }

    fn hear(&mut self, message: Message) {
        self.pace.heard(self.engine.control.now());
        match message {
            Message::Chunks => {}
            Message::Flushed => self.cycle = Some(Cycle::Saves),
            Message::Cycle(done) => self.cycle_ended(done),
            Message::Panicked => self.panicked = true,
        }
    }

    /// Stops dispensing. An error outranks an interrupt, which outranks a
    /// rewind.
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
        self.gate.with(super::gate::State::pause);
    }

    fn notice_signal(&mut self) {
        let Some(signal) = self.engine.control.stop() else {
            return;
        };
        let now = self.engine.control.now();
        match self.waiting_since {
            None => {
                self.waiting_since = Some((now, false));
                self.tell(Event::Stopping);
                self.halt_for(Halt::Stop(signal));
            }
            Some((since, false)) if now.saturating_sub(since) > PATIENCE => {
                self.waiting_since = Some((since, true));
                self.tell(Event::StillWaiting);
            }
            Some(_) => {}
        }
    }

    /// Ends the step when it is done, or does what a halt asks for as soon as
    /// nothing is in flight.
    fn settle(&mut self) -> Option<End> {
        if self.cycle.is_some() {
            return None;
        }
        if self.step_is_over() && !matches!(self.halt, Some(Halt::Fail(_))) {
            return Some(match self.halt {
                Some(Halt::Stop(signal)) => End::Interrupted(signal),
                _ => End::Complete,
            });
        }
        let halt = self.halt.as_ref()?;
        if self.in_flight() {
            return None;
        }
        if matches!(halt, Halt::Rewind) {
            self.rewind();
            return None;
        }
        // One last cycle for what was done since the one before.
        let more = self.cursor.done() > self.cursor.durable() || self.leftover.tried;
        let more = more && !planted!("stop-without-save");
        if more && !self.tainted {
            self.start_cycle();
            return None;
        }
        match self.halt.take()? {
            Halt::Stop(signal) => Some(End::Interrupted(signal)),
            Halt::Fail(error) => Some(End::Failed(error)),
            Halt::NotStarted(why) => Some(End::NotStarted(why)),
            Halt::Rewind => None,
        }
    }

    /// Whether all is done, durable and, where it matters, saved: the next pass
    /// destroys what the checkpoint on disk says of this one.
    fn step_is_over(&self) -> bool {
        let next = self.saved_state.step;
        next != self.step && (self.unsaved.is_none() || next.phase != Phase::Write)
    }

    fn ended(self, end: End) -> Ended {
        self.tell(Event::Progress(self.progress()));
        let all = self.cursor.done() == self.cursor.durable() && self.ahead.is_empty();
        Ended {
            flushed: all && !self.tainted && !self.panicked,
            state: self.saved_state,
            unsaved: self.unsaved,
            end,
        }
    }
}

fn op_of(step: Step) -> Op {
    if step.phase == Phase::Verify {
        Op::Read
    } else {
        Op::Write
    }
}

fn panic_error(step: Step) -> Error {
    Error::new(op_of(step), 0, "internal error in a thread")
}
