//! One step of a plan: the only owner of the position.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{io, thread};

use super::buffers::Buffers;
use super::credit::Credit;
use super::cycle::{self, Request};
use super::doubtful::Doubtful;
use super::ended::{End, Ended, Error, Op};
use super::event::{Event, Progress};
use super::gate::Gate;
use super::joined::Joined;
use super::means::no_threads;
use super::message::{Alarm, Done, Message};
use super::pace::{Pace, Slow};
use super::parts::{Engine, Start};
use super::pulse::Pulse;
use super::retry::{Leftover, Retry};
use super::state::{Settings, State};
use super::target::{Journal, Presence};
use super::task::{Jump, Shared, Task};
use super::work::{BadRange, ChunkResult, Unfinished, Work};
use super::worker;
use crate::outcome::Signal;
use crate::plan::{
    Bad, BadMap, BadState, Cursor, Differences, During, Extent, ExtentMap, Phase, Step, Verify,
    Wrap,
};
use crate::text::{MIB, reason};

/// How long the coordinator waits for a message before it looks around: the
/// delay with which a signal or a rate limit is seen on an idle drive.
const TICK: Duration = Duration::from_millis(10);
/// Chunks that are done are taken in at least so many times between two
/// checkpoints.
const BATCHES: u64 = 16;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// A checkpoint is saved at least this often while anything moves.
const CYCLE_EVERY: Duration = Duration::from_secs(10);
/// A drive that holds up an interrupt for this long is pointed out.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a checkpoint is tried again that the run waits for.
const SAVE_RETRY: Duration = Duration::from_secs(1);
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
    begins: Start,
    before: Ended,
    journal: &mut dyn Journal,
    buffers: &mut Buffers,
) -> Ended {
    let state = before.state;
    let (step, size, alignment) = (state.step, engine.target.size(), engine.target.alignment());
    if step.phase == Phase::Verify
        && let Err(error) = engine.target.begin_read_back()
    {
        let why = reason(&error);
        let end = End::Failed(Error::new(Op::Read, state.position, why));
        return Ended {
            state,
            unsaved: before.unsaved,
            flushed: true,
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
    let part = engine.plan.part(step);
    let Settings {
        chunk, interval, ..
    } = engine.settings;
    let batch = interval / BATCHES;
    let gate = Gate::new(start, first_end, chunk, (part, size), batch);
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
        verify: part,
        target: engine.target,
        control: engine.control,
        strategy: strategy.as_ref(),
        shared,
        skip: &skip,
        jump: Jump::default(),
        pulse: Pulse::default(),
    };
    let (replies, messages) = mpsc::channel();
    thread::scope(|scope| {
        let _close = CloseOnDrop(&gate);
        let (requests, inbox) = mpsc::channel();
        let (target, alarm) = ((engine.target, engine.plan), Alarm(replies.clone()));
        let cycles = thread::Builder::new().spawn_scoped(scope, move || {
            cycle::serve(target, journal, &inbox, &alarm.0);
        });
        let mut lack = cycles.err();
        let mut workers = 0;
        for buffer in own.take(engine.settings.workers) {
            let (task, gate, alarm) = (&task, &gate, Alarm(replies.clone()));
            let thread = thread::Builder::new()
                .spawn_scoped(scope, move || worker::work(task, gate, buffer, &alarm.0));
            match thread {
                Ok(_) => workers += 1,
                // Once a wipe is under way fewer have to do.
                Err(_) if begins == Start::OfStep && workers > 0 => {}
                Err(error) => lack = Some(error),
            }
        }
        drop(replies);
        if let Some(error) = lack {
            let why = no_threads(&error);
            return Ended {
                end: match begins {
                    Start::OfRun => End::NoMeans(why),
                    Start::OfStep => End::Failed(Error::new(Op::Allocate, state.position, why)),
                },
                state,
                unsaved: before.unsaved,
                flushed: true,
            };
        }
        let state = State {
            position: start,
            ..state
        };
        let mut owner = Coordinator::new(engine, &gate, requests, state, before.unsaved);
        if begins == Start::OfRun && !planted!("no-first-save") {
            owner.open();
        }
        owner.run(&messages)
    })
}

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
    fn new(
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

    fn run(mut self, messages: &Receiver<Message>) -> Ended {
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
    fn open(&mut self) {
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

    /// Takes in what came of all chunks that are done.
    fn collect(&mut self) {
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
    fn take_in(&mut self, work: Work, result: ChunkResult) {
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
    fn bound(&mut self) {
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

    fn add_bad(&mut self, ranges: Vec<BadRange>, state: BadState) {
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

    fn cycle_ended(&mut self, done: Done) {
        let opened = self.cycle.take() == Some(Cycle::Opens);
        if opened
            && let Done::Synced {
                unsaved: Some(why), ..
            } = &done
        {
            self.unsaved = Some(why.clone());
            self.halt = Some(Halt::NotStarted(why.clone()));
            return;
        }
        match done {
            Done::NotSynced(error) => self.sync_failed(&error),
            Done::Changed(why) => {
                // Nothing more may be claimed of it.
                self.tainted = true;
                let offset = self.cursor.durable();
                self.halt_for(Halt::Fail(Error::new(op_of(self.step), offset, why)));
            }
            Done::Synced {
                mark,
                state,
                unsaved,
            } => {
                if mark > self.cursor.durable() || self.leftover.in_cycle {
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
                if opened && self.halt.is_none() {
                    self.tell(Event::StepStarted(self.progress()));
                }
            }
        }
    }

    fn sync_failed(&mut self, error: &io::Error) {
        let offset = self.cursor.durable();
        self.sync_failures += 1;
        self.tainted = true;
        match self.engine.target.presence(error) {
            Presence::Gone(why) => {
                self.halt_for(Halt::Fail(Error::new(Op::Sync, offset, why)));
            }
            _ if self.sync_failures >= SYNC_ATTEMPTS => {
                let error = Error::new(Op::Sync, offset, reason(error));
                self.halt_for(Halt::Fail(error));
            }
            Presence::Present | Presence::Passing(_) => {
                let errno = error.raw_os_error().unwrap_or(0);
                let from = offset;
                if self.halt.is_none() {
                    self.tell(Event::SyncFailed { errno, from });
                } else {
                    self.tell(Event::LastSyncFailed { errno, from });
                }
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

    fn in_flight(&self) -> bool {
        self.gate
            .with(|gate| gate.dispensed != self.completed || gate.again.is_some())
    }

    /// Goes back to the last good sync. Only while nothing is in flight.
    fn rewind(&mut self) {
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

    fn aligned_end(&self) -> u64 {
        let alignment = self.engine.target.alignment();
        self.size / alignment * alignment
    }

    /// Moves the limit of what may be dispensed.
    fn dispense(&mut self) {
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
    fn next_retry(&mut self, now: Duration) -> Option<Work> {
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
    fn interval(&self) -> u64 {
        let interval = self.engine.settings.interval;
        match self.engine.plan.part(self.step) {
            // Of which a tenth is read.
            Verify::Sample { .. } => interval.saturating_mul(10),
            Verify::Full | Verify::None => interval,
        }
    }

    /// Whether the bound may be suspended. At the start of a later pass a resume
    /// proves the drive by what the pass before left beyond the bound.
    fn may_run_ahead(&self) -> bool {
        self.step.pass == 0 || self.step.phase != Phase::Write || self.cursor.saved() >= MIB
    }

    fn start_due_cycle(&mut self) {
        if self.cycle.is_some() || self.halt.is_some() {
            return;
        }
        let done = self.cursor.done();
        let since = self.engine.control.now().saturating_sub(self.last_cycle);
        let far = done - self.mark >= self.interval() / 2;
        let late = since >= CYCLE_EVERY && !planted!("no-time-trigger");
        let long = (done > self.mark || self.leftover.tried) && late;
        let idle = !self.in_flight();
        let over = done == self.size && !self.leftover.any;
        let last = idle && over && self.saved_state.step == self.step;
        if last && let Err(why) = self.engine.target.is_whole() {
            // Nothing more may be claimed of it, least of all its end.
            self.tainted = true;
            self.halt_for(Halt::Fail(Error::new(op_of(self.step), self.size, why)));
            return;
        }
        // Nothing goes on without a checkpoint that could not be saved.
        let stuck = idle && self.unsaved.is_some() && since >= SAVE_RETRY;
        if stuck && !self.waits {
            self.waits = true;
            self.tell(Event::WaitsForCheckpoint);
        }
        if far || long || last || stuck {
            self.start_cycle();
        }
    }

    fn start_cycle(&mut self) {
        self.bound();
        let mark = self.cursor.done();
        let state = self.state_at(mark);
        self.leftover.in_cycle = std::mem::take(&mut self.leftover.tried);
        let cycle = if self.step.phase == Phase::Write {
            Cycle::Syncs
        } else {
            Cycle::Saves
        };
        self.request(cycle, state, mark);
    }

    /// Begins a cycle.
    fn request(&mut self, cycle: Cycle, state: State, mark: u64) {
        self.mark = mark;
        self.cycle = Some(cycle);
        let sync = cycle == Cycle::Syncs;
        self.last_cycle = self.engine.control.now();
        let joined = std::mem::take(&mut self.joined);
        let request = Request {
            sync,
            state,
            mark,
            joined,
        };
        if self.requests.send(request).is_err() {
            self.panicked = true;
        }
    }

    /// What is saved when everything below `mark` is durable. At the end of a
    /// step that is the start of the next one: nothing of the next pass may be
    /// written while the checkpoint speaks of this one. While areas are left
    /// for the end of the step, its last block counts as not done.
    fn state_at(&self, mark: u64) -> State {
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
    fn watch(&mut self) {
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

    fn tell(&self, event: Event) {
        self.engine.observer.event(event);
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
