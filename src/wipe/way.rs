//! One drive's way, from its path to its outcome: open, decide, ask, run, end.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;

use super::aftercheck::After;
use super::context::Context;
use super::decide::{self, Decision};
use super::job::Job;
use super::open::{self, Opened};
use super::run::EngineRun;
use super::{already, ask, report_wish, unfinished};
use crate::engine::{Event, Joined, Journal, Observer as _, State};
use crate::outcome::Outcome;
use crate::progress::{Clock, ReportWish, Saver, StateDir, Tally, Timekeeper};
use crate::refusal::Cause;
use crate::screen::{self, Display};
use crate::text::{reason, shown};

/// Wipes a target, or goes on with that. Until the first checkpoint is saved
/// nothing is changed anywhere.
///
/// # Errors
/// It was not touched.
pub fn wipe(context: &Context, path: &Path) -> Result<Outcome, Cause> {
    let Context {
        request,
        host,
        state,
        ..
    } = context;
    state
        .check_writable()
        .map_err(|(path, error)| Cause::NoCheckpoints(path, error))?;
    let opened = open::open(host, path, state.root(), &request.serials)?;
    let job = match decide(context, &opened)? {
        Decision::Done(finished) => return already::tell(context, &opened, &finished),
        Decision::Work(job) => *job,
        // It was.
        Decision::Ask => return Err(Cause::Left),
    };
    let device = opened.device();
    let continued = job.continued.as_ref().map(|one| &one.checkpoint);
    let wish = report_wish::of(request, continued, host, device)?;
    let asked = ask::ask(context, &opened, &job)?;
    if request.dry_run {
        screen::message(&shown(path), "dry run: nothing was written");
        return Ok(Outcome::Nothing);
    }
    let in_slots = host.needs_slots(state.root());
    if asked || job.continued.is_some() || opened.is_stale(Instant::now()) {
        // Answering, or proving or measuring a drive that is slow, took its
        // time.
        opened.look_again(host, state.root())?;
    }
    context.catch_signals()?;
    let dir = state.clone().kept_in_slots(in_slots);
    run(context, &opened, job, wish, dir)
}

/// What is to be done, after the user was asked about an unfinished wipe where
/// that is needed.
fn decide(context: &Context, opened: &Opened) -> Result<Decision, Cause> {
    let mut known = unfinished::of_device(&context.state, opened)?;
    let mut mode = context.request.mode;
    loop {
        let mut notes = Vec::new();
        let decision = decide::decide(context, opened, &mut known, mode, &mut notes);
        for note in &notes {
            screen::notice(note);
        }
        match (decision?, known.of_it.first()) {
            (Decision::Ask, Some(begun)) => mode = ask::about(context, begun, opened.device())?,
            (decision, _) => return Ok(decision),
        }
    }
}

/// Runs the engine and tells how it ended.
fn run(
    context: &Context,
    opened: &Opened,
    job: Job,
    wish: ReportWish,
    dir: StateDir,
) -> Result<Outcome, Cause> {
    let times = Timekeeper::start().map_err(Cause::NoRunThread)?;
    let mut saver = saver(opened, &job, wish, dir, &times)?;
    saver.begin_run();
    let no_room = saver.keep_room().err();
    let plan = (&job.plan, job.state.step);
    let run = EngineRun::begin(context, opened, plan, job.chunk, times)
        .inspect_err(|_| saver.give_up())?;
    let before = saver.checkpoint().clone();
    let (file, mark) = (saver.pending_path(), saver.mark());
    let hung = |state: &State, silence| {
        let mut checkpoint = before.clone();
        checkpoint.advance(state);
        let closing = run.closing(false);
        closing.hung(checkpoint, mark.get(), &file, silence, &run.display)
    };
    let mut journal = Journaled {
        saver: &mut saver,
        display: &run.display,
        no_room,
    };
    let ended = run.engine(job.state, &mut journal, &hung);
    let after = After {
        host: &context.host,
        opened,
        state_dir: context.state.root(),
        observer: &run.display,
        stop: &|| context.stop.requested(),
    };
    let spoiled = after.look(&ended, &mut saver);
    context.answer_status(None);
    run.display.closing();
    run.closing(false)
        .close(&ended, spoiled, saver, &run.display)
}

/// Who saves the checkpoints of a run, which begins with this one.
fn saver(
    opened: &Opened,
    job: &Job,
    wish: ReportWish,
    dir: StateDir,
    times: &Timekeeper,
) -> Result<Saver, Cause> {
    let device = opened.device();
    let clock = RunClock(times.clone());
    let checkpoint = job.checkpoint(opened, &clock.stamp())?.reporting(wish);
    let name = job.file_name(device, &checkpoint);
    let saver = Saver::new(dir, name, checkpoint, job.replaces.clone(), Box::new(clock));
    let Some(watch) = opened.writer.watch().cloned() else {
        return Ok(saver);
    };
    if let Some(before) = saver.checkpoint().file() {
        watch.since(before, &job.state, &job.plan);
    }
    Ok(saver.with(Box::new(move |checkpoint| {
        let (file, found) = watch.found();
        checkpoint.file_is(file);
        for finding in found {
            checkpoint.note(finding);
        }
    })))
}

/// The machine's clock, and the time of the run.
struct RunClock(Timekeeper);

impl Clock for RunClock {
    fn stamp(&self) -> String {
        ZonedDateTime::now()
            .strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")
            .to_string()
    }
    fn elapsed(&self) -> Duration {
        self.0.work()
    }
    fn tally(&self) -> Tally {
        self.0.tally()
    }
}

/// Saves checkpoints, and says once that there is no room for the record: where
/// not even a checkpoint can be saved, that is said instead.
struct Journaled<'a> {
    saver: &'a mut Saver,
    display: &'a Display,
    no_room: Option<io::Error>,
}

impl Journal for Journaled<'_> {
    fn joined(&mut self, ranges: &Joined) {
        self.saver.joined(ranges);
    }

    fn save(&mut self, state: &State) -> Result<(), String> {
        self.saver.save(state)?;
        let lost = self.saver.lost_room();
        if let Some(error) = self.no_room.take().or(lost) {
            self.display.event(Event::NoRoom(reason(&error)));
        }
        Ok(())
    }
}
