//! A run of the engine over a plan, step by step. Its threads live as long as it
//! does.

use std::io;
use std::sync::{Arc, PoisonError};

use super::buffers::Buffers;
use super::desk::Desk;
use super::ended::{End, Ended, Error, Op};
use super::ledger::Ledger;
use super::means::no_threads;
use super::parts::Engine;
use super::state::State;
use super::sync::{RwLock, Scope, scope, start};
use super::target::Journal;
use super::task::Shift;
use super::watcher::Watcher;
use super::{checkpointer, worker};
use crate::plan::Phase;
use crate::text::reason;

/// Sends all threads home however the run ends.
struct CloseOnDrop<'a, 'l>(&'a Desk<'l>);

impl Drop for CloseOnDrop<'_, '_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The chunk that all workers share.
type SharedChunk<'a> = RwLock<&'a mut [u8]>;

/// Runs a plan from a state to its end, or as far as it gets.
pub fn run<'e>(engine: &'e Engine<'e>, state: State, journal: &mut dyn Journal) -> Ended {
    let not_begun = |state, end| Ended {
        state,
        unsaved: None,
        flushed: true,
        end,
    };
    let mut buffers = match Buffers::new(engine.settings) {
        Ok(buffers) => buffers,
        Err(why) => return not_begun(state, End::NoMeans(why)),
    };
    if state.step.phase == Phase::Complete {
        // There is nothing left to do for a thread.
        let unsaved = journal.save(&state).err();
        let end = unsaved.clone().map_or(End::Complete, End::NotStarted);
        return Ended {
            unsaved,
            ..not_begun(state, end)
        };
    }
    let (shared, own) = buffers.split();
    let shared = RwLock::new(shared);
    let opens = !planted!("no-first-save");
    let first = match begin(engine, &shared, (state, None), opens) {
        Ok(ledger) => ledger,
        Err(ended) => return *ended,
    };
    let desk = Desk::new(engine.control, first);
    scope(|scope| {
        let _close = CloseOnDrop(&desk);
        // The first checkpoint is saved when all threads are there.
        if let Err(error) = start_threads(scope, engine, &desk, journal, &shared, own) {
            return desk.visit().ended(End::NoMeans(no_threads(&error)));
        }
        desk.open();
        loop {
            let end = Watcher::new(engine).watch(&desk);
            let now = desk.visit().ended(end);
            if !matches!(now.end, End::Complete) || now.state.step.phase == Phase::Complete {
                return now;
            }
            match begin(engine, &shared, (now.state, now.unsaved), false) {
                Ok(next) => desk.turn_page(next),
                Err(ended) => return *ended,
            }
        }
    })
}

fn start_threads<'scope, 'l, 'b: 'scope>(
    scope: &'scope Scope<'scope, '_>,
    engine: &Engine<'scope>,
    desk: &'scope Desk<'l>,
    journal: &'scope mut dyn Journal,
    shared: &'scope SharedChunk<'b>,
    own: impl Iterator<Item = &'b mut [u8]>,
) -> io::Result<()> {
    let (target, plan) = (engine.target, engine.plan);
    // It comes first, as it needs memory: where the address space is limited, glibc
    // gives late threads no arena, and maps a page for each of their allocations.
    start(scope, move || {
        checkpointer::serve((target, plan), desk, journal);
    })?;
    desk.wait_for_checkpointer();
    for buffer in own.take(engine.settings.workers) {
        start(scope, move || worker::work(desk, shared, buffer))?;
    }
    Ok(())
}

/// Begins the step of a state, with why that is not saved. `opens`: the run begins
/// with it.
fn begin<'e>(
    engine: &'e Engine<'e>,
    shared: &SharedChunk,
    (mut state, unsaved): (State, Option<String>),
    opens: bool,
) -> Result<Ledger<'e>, Box<Ended>> {
    if state.step.phase == Phase::Verify
        && let Err(error) = engine.target.begin_read_back()
    {
        let error = Error::new(Op::Read, state.position, reason(&error));
        return Err(Box::new(Ended {
            state,
            unsaved,
            flushed: true,
            end: End::Failed(error),
        }));
    }
    let alignment = engine.target.alignment();
    state.position = state.position.min(engine.target.size()) / alignment * alignment;
    let shift = Shift::new(engine, &state, |fill| {
        let mut shared = shared.write().unwrap_or_else(PoisonError::into_inner);
        fill(&mut shared);
    });
    Ok(Ledger::new(
        engine,
        Arc::new(shift),
        (state, unsaved),
        opens,
    ))
}
