//! A finished wipe is read back against its record. Writes nothing, to the drive
//! or to the state directory.

use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::run::EngineRun;
use super::{already, ask, history, open, unfinished};
use crate::drive::Tuning;
use crate::engine::{Journal, State};
use crate::outcome::Outcome;
use crate::plan::{Phase, Step};
use crate::progress::{Checkpoint, Timekeeper};
use crate::refusal::Cause;
use crate::screen;

pub(crate) fn check(context: &Context, path: &Path) -> Result<Outcome, Cause> {
    let (request, host, state) = (&context.request, &context.host, &context.state);
    let opened = open::open_to_read(host, path, state.root(), &request.serials)?;
    if let Some(begun) = unfinished::of_device(state, &opened)?.of_it.first() {
        return Err(Cause::NotFinished(begun.file.clone()));
    }
    let mut notes = Vec::new();
    let finished = history::to_check(state, &opened, &mut notes);
    for note in &notes {
        screen::notice(note);
    }
    let finished = finished?;
    ask::is_named(request, &opened)?;
    already::name_all(context, &opened, &finished);
    let record = &finished.record;
    // The last pass alone, in full.
    let plan = record.checkpoint.plan().last_read_back();
    let start = start_of(&record.checkpoint);
    context.catch_signals()?;
    let times = Timekeeper::start().map_err(Cause::NoRunThread)?;
    let page_cache = !opened.writer.is_direct();
    let found = record.checkpoint.clone().checked_by(&plan, page_cache);
    let suits = Tuning::of(opened.device()).chunk;
    let chunk = request.buffer_size.unwrap_or(suits);
    let run = EngineRun::begin(context, &opened, (&plan, start.step), chunk, times, true)?;
    let hung = |state: &State, silence| {
        let mut found = found.clone();
        found.advance(state);
        run.hung(found, None, &record.path, silence)
    };
    let ended = run.engine(start, &mut Nowhere, &hung);
    run.check(&ended, found.clone(), &record.path)
}

/// Where a check begins. What could not be written is left out.
fn start_of(checkpoint: &Checkpoint) -> State {
    State {
        step: Step {
            pass: 0,
            phase: Phase::Verify,
        },
        // What could not be read then may be read now.
        bad: Arc::new(checkpoint.bad().unwritten()),
        ..State::start()
    }
}

/// Keeps nothing: a check that is stopped begins anew.
pub struct Nowhere;

impl Journal for Nowhere {
    fn save(&mut self, _state: &State) -> Result<(), String> {
        Ok(())
    }
}
