//! One drive's way, from its path to its outcome: open, decide, ask, run, end.

use std::io;
use std::path::Path;
use std::time::Instant;

use super::context::Context;
use super::decide::{self, Decision};
use super::job::Job;
use super::open::{self, Opened};
use super::run::EngineRun;
use super::{already, ask, delivery, unfinished};
use crate::engine::{Event, Joined, Journal, Observer as _, State};
use crate::outcome::Outcome;
use crate::progress::{Clock as _, ReportWish, Saver, StateDir, Timekeeper};
use crate::refusal::Cause;
use crate::screen::{self, Display};
use crate::text::{reason, shown};

/// Wipes a target, or goes on with that. Until the first checkpoint is saved
/// nothing of the target is changed, and of the state directory its folders and room.
pub(crate) fn wipe(context: &Context, path: &Path) -> Result<Outcome, Cause> {
    let (request, host, state) = (&context.request, &context.host, &context.state);
    state
        .check_writable()
        .map_err(|(path, error)| Cause::NoCheckpoints(path, error))?;
    let opened = open::open(host, path, state.root(), &request.serials)?;
    let job = match ask_and_decide(context, &opened)? {
        Decision::Done(finished) => return already::tell(context, &opened, &finished),
        Decision::Work(job) => *job,
    };
    let device = opened.device();
    let continued = job.continued.as_ref().map(|one| &one.checkpoint);
    let wish = delivery::wish(request, continued, host, device)?;
    let asked = ask::ask(context, &opened, &job)?;
    if request.dry_run {
        screen::message(&shown(path), "dry run: nothing was written");
        return Ok(Outcome::Nothing);
    }
    if asked || job.continued.is_some() || opened.is_stale(Instant::now()) {
        // Answering, or proving or measuring a drive that is slow, took its
        // time.
        opened.look_again(host, state.root())?;
    }
    context.catch_signals()?;
    begin(context, &opened, job, wish)
}

/// What is to be done, after the user was asked about an unfinished wipe where
/// that is needed.
fn ask_and_decide(context: &Context, opened: &Opened) -> Result<Decision, Cause> {
    let mut known = unfinished::of_device(&context.state, opened)?;
    let mut mode = context.request.mode;
    if let Some(begun) = decide::in_question(&mut known, mode)? {
        mode = ask::about(context, begun, opened.device())?;
    }
    let mut notes = Vec::new();
    let decision = decide::decide(context, opened, &mut known, mode, &mut notes);
    for note in &notes {
        screen::notice(note);
    }
    decision
}

fn begin(context: &Context, opened: &Opened, job: Job, wish: ReportWish) -> Result<Outcome, Cause> {
    let in_slots = context.host.needs_slots(context.state.root());
    let dir = context.state.clone().kept_in_slots(in_slots);
    let times = Timekeeper::start().map_err(Cause::NoRunThread)?;
    let mut saver = saver(opened, &job, wish, dir, &times)?;
    saver.begin_run();
    let no_room = saver.keep_room().err();
    let plan = (&job.plan, job.state.step);
    let run = EngineRun::begin(context, opened, plan, job.chunk, times, false)
        .inspect_err(|_| saver.give_up())?;
    let before = saver.checkpoint().clone();
    let (file, mark) = (saver.pending_path(), saver.mark());
    let hung = |state: &State, silence| {
        let mut checkpoint = before.clone();
        checkpoint.advance(state);
        run.hung(checkpoint, mark.get(), &file, silence)
    };
    let mut journal = Journaled {
        saver: &mut saver,
        display: &run.display,
        no_room,
    };
    let ended = run.engine(job.state, &mut journal, &hung);
    let spoiled = run.spoiled(&ended, &mut saver);
    run.close(&ended, spoiled, saver)
}

fn saver(
    opened: &Opened,
    job: &Job,
    wish: ReportWish,
    dir: StateDir,
    times: &Timekeeper,
) -> Result<Saver, Cause> {
    let checkpoint = job.checkpoint(opened, &times.stamp())?.reporting(wish);
    let name = job.file_name(opened.device(), &checkpoint);
    let (replaces, clock) = (job.replaces.clone(), Box::new(times.clone()));
    let saver = Saver::new(dir, name, checkpoint, replaces, clock);
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
