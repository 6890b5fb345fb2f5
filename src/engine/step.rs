//! One step of a plan: its threads, and the coordinator that owns its position.

use std::sync::{Arc, mpsc};
use std::{io, thread};

use super::buffers::Buffers;
use super::coordinator::Coordinator;
use super::ended::{End, Ended, Error, Op};
use super::gate::Gate;
use super::means::no_threads;
use super::message::Alarm;
use super::parts::{Engine, Start};
use super::pulse::Pulse;
use super::state::{Settings, State};
use super::target::Journal;
use super::task::{Jump, Shared, Task};
use super::{cycle, worker};
use crate::plan::Phase;
use crate::text::reason;

/// Chunks that are done are taken in at least so many times between two
/// checkpoints.
const BATCHES: u64 = 16;

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
    let Ended { state, unsaved, .. } = before;
    let (step, size, alignment) = (state.step, engine.target.size(), engine.target.alignment());
    let not_begun = |state: State, unsaved, end| Ended {
        state,
        unsaved,
        flushed: true,
        end,
    };
    if step.phase == Phase::Verify
        && let Err(error) = engine.target.begin_read_back()
    {
        let end = End::Failed(Error::new(Op::Read, state.position, reason(&error)));
        return not_begun(state, unsaved, end);
    }
    let start = state.position.min(size) / alignment * alignment;
    let gate = gate(engine, &state, start);
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
        verify: engine.plan.part(step),
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
            let end = no_means(begins, state.position, &error);
            return not_begun(state, unsaved, end);
        }
        let state = State {
            position: start,
            ..state
        };
        let mut owner = Coordinator::new(engine, &gate, requests, state, unsaved);
        if begins == Start::OfRun && !planted!("no-first-save") {
            owner.open();
        }
        owner.run(&messages)
    })
}

/// Where workers take chunks from, of which none is handed out yet.
fn gate(engine: &Engine, state: &State, start: u64) -> Gate {
    let (size, alignment) = (engine.target.size(), engine.target.alignment());
    // The tail of an image is written alone, after everything else.
    let aligned_end = size / alignment * alignment;
    let end = if start < aligned_end {
        aligned_end
    } else {
        size
    };
    let Settings {
        chunk, interval, ..
    } = engine.settings;
    let part = (engine.plan.part(state.step), size);
    Gate::new(start, end, chunk, part, interval / BATCHES)
}

/// Threads could not be had.
fn no_means(begins: Start, position: u64, error: &io::Error) -> End {
    let why = no_threads(error);
    match begins {
        Start::OfRun => End::NoMeans(why),
        Start::OfStep => End::Failed(Error::new(Op::Allocate, position, why)),
    }
}
