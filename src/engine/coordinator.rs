//! One step of a plan: the only owner of the position.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::chunk::{ChunkResult, Shared, Task, Unfinished};
use super::cycle::{self, Request};
use super::gate::Gate;
use super::message::{Alarm, Done, Message};
use super::worker;
use super::{Buffers, End, Ended, Engine, Error, Journal, Op, Presence, Settings, State};
use crate::event::{Event, Progress};
use crate::extent::{BadMap, Extent, ExtentSet};
use crate::outcome::Signal;
use crate::plan::{Cursor, Phase, Step};

/// How long the coordinator waits for a message before it looks around: the
/// delay with which a signal or a rate limit is seen on an idle drive.
const TICK: Duration = Duration::from_millis(10);
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// A checkpoint is saved at least this often while anything moves.
const CYCLE_EVERY: Duration = Duration::from_secs(10);
/// A drive that holds up an interrupt for this long is pointed out.
const PATIENCE: Duration = Duration::from_secs(5);
/// A second failed sync without progress in between ends the run.
const SYNC_ATTEMPTS: u32 = 2;

/// Sends the workers home however the coordinator ends.
struct CloseOnDrop<'a>(&'a Gate);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs one step from where `before` left off to its end, or as far as it gets.
pub fn run_step(
    engine: &Engine,
    before: Ended,
    journal: &mut dyn Journal,
    buffers: &mut Buffers,
) -> Ended {
    let state = before.state;
    let (step, size, alignment) = (state.step, engine.target.size(), engine.target.alignment());
    if step.phase == Phase::Verify
        && let Err(error) = engine.target.begin_read_back()
    {
        let why = error.to_string();
        let end = End::Failed(Error {
            op: Op::Read,
            offset: state.position,
            why,
        });
        return Ended {
            state,
            unsaved: before.unsaved,
            end,
        };
    }
    let start = state.position.min(size) / alignment * alignment;
    let aligned_end = size / alignment * alignment;
    let first_end = if start < aligned_end {
        aligned_end
    } else {
        size
    };
    let gate = Gate::new(start, first_end, engine.settings.chunk);
    let strategy = engine.strategy(step);
    let (shared, own) = buffers.split();
    let shared = strategy.period().map(|period| {
        strategy.fill(start, shared);
        Shared {
            bytes: &*shared,
            base: start,
            period,
        }
    });
    let skip = Arc::clone(&state.bad);
    let task = Task {
        phase: step.phase,
        target: engine.target,
        control: engine.control,
        strategy: strategy.as_ref(),
        shared,
        skip: &skip,
    };
    let (replies, messages) = mpsc::channel();
    thread::scope(|scope| {
        let _close = CloseOnDrop(&gate);
        for buffer in own.take(engine.settings.workers) {
            let (task, gate, alarm) = (&task, &gate, Alarm(replies.clone()));
            scope.spawn(move || worker::work(task, gate, buffer, &alarm.0));
        }
        let (requests, inbox) = mpsc::channel();
        let (target, alarm) = (engine.target, Alarm(replies));
        scope.spawn(move || cycle::serve(target, journal, &inbox, &alarm.0));
        Coordinator {
            engine,
            step,
            gate: &gate,
            requests,
            cursor: Cursor::at(start, size),
            size,
            ahead: BTreeMap::new(),
            completed: 0,
            saved_state: State {
                position: start,
                ..state.clone()
            },
            bad: state.bad,
            mismatches: state.mismatches,
            unsaved: before.unsaved,
            cycle: None,
            mark: start,
            last_cycle: engine.control.now(),
            last_progress: Duration::ZERO,
            sync_failures: 0,
            tainted: false,
            halt: None,
            credit: Credit::new(engine.settings, engine.control.now()),
            waiting_since: None,
            panicked: false,
        }
        .run(&messages)
    })
}

/// Why no more chunks are dispensed.
enum Halt {
    /// A signal: end when the writes in flight are done and saved.
    Stop(Signal),
    /// An error: the same.
    Fail(Error),
    /// A failed sync: go on from the last good one when nothing is in flight.
    Rewind,
}

struct Coordinator<'a> {
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
    mismatches: Arc<ExtentSet>,
    // why `saved_state` is not on disk
    unsaved: Option<String>,
    // the mark of the cycle under way
    cycle: Option<u64>,
    // the mark of the cycle begun last
    mark: u64,
    last_cycle: Duration,
    last_progress: Duration,
    // failed syncs since `durable` advanced last
    sync_failures: u32,
    // a sync failed and nothing was written again since: another one that
    // succeeds would prove nothing
    tainted: bool,
    halt: Option<Halt>,
    credit: Credit,
    // since when a signal is known, and whether the user heard of the wait
    waiting_since: Option<(Duration, bool)>,
    panicked: bool,
}

impl Coordinator<'_> {
    fn run(mut self, messages: &Receiver<Message>) -> Ended {
        self.tell(Event::StepStarted(self.progress()));
        loop {
            if self.panicked {
                // Its chunk will never complete. The scope passes the panic on.
                let end = End::Failed(panic_error(self.step));
                return self.ended(end);
            }
            self.notice_signal();
            if let Some(end) = self.settle() {
                return self.ended(end);
            }
            self.dispense();
            self.start_due_cycle();
            self.tell_progress();
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

    fn hear(&mut self, message: Message) {
        match message {
            Message::Chunk {
                extent,
                generation,
                result,
            } => {
                self.completed += 1;
                if generation == self.gate.with(|gate| gate.generation) {
                    self.take_in(extent, result);
                }
            }
            Message::Cycle(done) => self.cycle_ended(done),
            Message::Panicked => self.panicked = true,
        }
    }

    /// Takes in what came of a chunk.
    fn take_in(&mut self, extent: Extent, result: ChunkResult) {
        if self.step.phase == Phase::Write && self.bad.map().overlaps(extent).next().is_some() {
            // What an earlier pass could not write was tried again just now.
            Arc::make_mut(&mut self.bad).remove(extent);
        }
        for (range, bad) in result.bad {
            Arc::make_mut(&mut self.bad).insert(range, bad);
            self.tell(Event::BadExtent(range, bad));
        }
        for range in result.mismatches {
            Arc::make_mut(&mut self.mismatches).insert(range);
            self.tell(Event::Mismatch(range));
        }
        match result.end {
            None => {
                self.ahead.insert(extent.start(), extent.end());
                while let Some(end) = self.ahead.remove(&self.cursor.done()) {
                    self.cursor.advance_done(end);
                }
            }
            Some(Unfinished::Stopped) => {}
            Some(Unfinished::Fatal(error)) => self.halt_for(Halt::Fail(error)),
        }
    }

    fn cycle_ended(&mut self, done: Done) {
        self.cycle = None;
        match done {
            Done::NotSynced(error) => self.sync_failed(&error),
            Done::Synced {
                mark,
                state,
                unsaved,
            } => {
                if mark > self.cursor.durable() {
                    self.sync_failures = 0;
                }
                self.cursor.advance_durable(mark);
                match (&self.unsaved, &unsaved) {
                    (None, Some(why)) => self.tell(Event::SaveFailed(why.clone())),
                    (Some(_), None) => self.tell(Event::SaveRecovered),
                    _ => {}
                }
                if unsaved.is_none() {
                    self.cursor.advance_saved(mark);
                }
                self.unsaved = unsaved;
                self.saved_state = state;
            }
        }
    }

    fn sync_failed(&mut self, error: &io::Error) {
        let offset = self.cursor.durable();
        self.sync_failures += 1;
        self.tainted = true;
        match self.engine.target.presence(error) {
            Presence::Gone(why) => self.halt_for(Halt::Fail(Error {
                op: Op::Sync,
                offset,
                why,
            })),
            Presence::Present if self.sync_failures >= SYNC_ATTEMPTS => {
                let why = error.to_string();
                self.halt_for(Halt::Fail(Error {
                    op: Op::Sync,
                    offset,
                    why,
                }));
            }
            Presence::Present => {
                let errno = error.raw_os_error().unwrap_or(0);
                self.tell(Event::SyncFailed {
                    errno,
                    from: offset,
                });
                self.halt_for(Halt::Rewind);
            }
        }
    }

    /// Stops dispensing. An error outranks an interrupt, which outranks a
    /// rewind.
    fn halt_for(&mut self, halt: Halt) {
        let rank = |halt: &Halt| match halt {
            Halt::Rewind => 0,
            Halt::Stop(_) => 1,
            Halt::Fail(_) => 2,
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
        let step_is_over = self.saved_state.step != self.step;
        if step_is_over && !matches!(self.halt, Some(Halt::Fail(_))) {
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
        if self.cursor.done() > self.cursor.durable() && !self.tainted {
            self.start_cycle();
            return None;
        }
        match self.halt.take()? {
            Halt::Stop(signal) => Some(End::Interrupted(signal)),
            Halt::Fail(error) => Some(End::Failed(error)),
            Halt::Rewind => None,
        }
    }

    fn in_flight(&self) -> bool {
        self.gate.with(|gate| gate.dispensed) != self.completed
    }

    /// Goes back to the last good sync. Only while nothing is in flight.
    fn rewind(&mut self) {
        self.halt = None;
        self.tainted = false;
        self.cursor.rewind();
        self.ahead.clear();
        let from = self.cursor.done();
        if let Some(unknown) = Extent::between(from, self.size) {
            Arc::make_mut(&mut self.bad).remove(unknown);
        }
        self.mark = from;
        let aligned_end = self.aligned_end();
        self.gate.with(|gate| {
            gate.generation += 1;
            gate.next = from;
            gate.end = aligned_end.max(from);
        });
    }

    fn aligned_end(&self) -> u64 {
        let alignment = self.engine.target.alignment();
        self.size / alignment * alignment
    }

    /// Moves the limit of what may be dispensed.
    fn dispense(&mut self) {
        if self.halt.is_some() {
            return;
        }
        let bound = if self.unsaved.is_some() {
            // The bound hangs on checkpoints that cannot be saved: it is
            // suspended, which was announced.
            u64::MAX
        } else {
            self.cursor.saved() + self.engine.settings.interval
        };
        let now = self.engine.control.now();
        // The tail is written alone, after everything else.
        let tail_next = self.cursor.done() >= self.aligned_end();
        let (credit, size) = (&mut self.credit, self.size);
        self.gate.with(|gate| {
            if tail_next {
                gate.end = size;
            }
            gate.limit = bound.min(
                gate.next
                    .saturating_add(credit.left(now, gate.dispensed_bytes)),
            );
        });
    }

    fn start_due_cycle(&mut self) {
        if self.cycle.is_some() || self.halt.is_some() {
            return;
        }
        let done = self.cursor.done();
        let since = self.engine.control.now().saturating_sub(self.last_cycle);
        let far = done - self.mark >= self.engine.settings.interval / 2;
        let long = done > self.mark && since >= CYCLE_EVERY;
        let last = done == self.size && !self.in_flight();
        if far || long || last {
            self.start_cycle();
        }
    }

    fn start_cycle(&mut self) {
        let mark = self.cursor.done();
        let state = self.state_at(mark);
        self.mark = mark;
        self.cycle = Some(mark);
        self.last_cycle = self.engine.control.now();
        let sync = self.step.phase == Phase::Write;
        if self.requests.send(Request { sync, state, mark }).is_err() {
            self.panicked = true;
        }
    }

    /// What is saved when everything below `mark` is durable. At the end of a
    /// step that is the start of the next one: nothing of the next pass may be
    /// written while the checkpoint speaks of this one.
    fn state_at(&self, mark: u64) -> State {
        let (step, position) = if mark == self.size {
            (self.engine.plan.after(self.step), 0)
        } else {
            (self.step, mark)
        };
        State {
            step,
            position,
            bad: Arc::clone(&self.bad),
            mismatches: Arc::clone(&self.mismatches),
        }
    }

    fn ended(self, end: End) -> Ended {
        self.tell(Event::Progress(self.progress()));
        Ended {
            state: self.saved_state,
            unsaved: self.unsaved,
            end,
        }
    }

    fn progress(&self) -> Progress {
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

    fn tell_progress(&mut self) {
        let now = self.engine.control.now();
        if now.saturating_sub(self.last_progress) >= PROGRESS_EVERY {
            self.last_progress = now;
            self.tell(Event::Progress(self.progress()));
        }
    }

    fn tell(&self, event: Event) {
        self.engine.observer.event(event);
    }
}

/// What a rate limit allows.
struct Credit {
    rate: Option<u64>,
    // at most a second's worth, so that a pause is not made up for by a burst
    most: u64,
    bytes: u64,
    spent: u64,
    at: Duration,
}

impl Credit {
    fn new(settings: Settings, now: Duration) -> Self {
        let most = settings.rate.unwrap_or(0).max(settings.chunk);
        Self {
            rate: settings.rate,
            most,
            bytes: 0,
            spent: 0,
            at: now,
        }
    }

    /// Bytes that may be dispensed now, when `dispensed` were so far.
    fn left(&mut self, now: Duration, dispensed: u64) -> u64 {
        let Some(rate) = self.rate else {
            return u64::MAX;
        };
        let earned = u128::from(rate) * now.saturating_sub(self.at).as_micros() / 1_000_000;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        if earned > 0 {
            self.at = now;
        }
        self.bytes = self.bytes.saturating_sub(dispensed - self.spent);
        self.spent = dispensed;
        self.bytes = self.bytes.saturating_add(earned).min(self.most);
        self.bytes
    }
}

fn panic_error(step: Step) -> Error {
    let op = if step.phase == Phase::Verify {
        Op::Read
    } else {
        Op::Write
    };
    Error {
        op,
        offset: 0,
        why: "internal error in a thread".into(),
    }
}
