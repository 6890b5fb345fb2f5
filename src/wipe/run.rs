//! One run of the program: from the request to the outcome, step by step.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{env, io};

use jiff::ZonedDateTime;
use nix::unistd::Uid;

use super::aftercheck::After;
use super::ask::Consent;
use super::check::{Check, Nowhere};
use super::decide::{self, Decision, Job};
use super::end::Closing;
use super::history::{self, Finished};
use super::open::{self, Opened};
use super::{delivery, resume};
use crate::cli::{Mode, Request};
use crate::drive::{Device, Tuning};
use crate::engine::{
    Control, Engine, Event, Joined, Journal, Observer as _, Settings, State, means, no_threads,
};
use crate::outcome::{Outcome, Signal};
use crate::plan::{Plan, Step};
use crate::probe::{Durability, Host};
use crate::progress::{Clock, Saver, StateDir, Tally, Timekeeper, Wanted};
use crate::report::{self, Ending, Saved};
use crate::screen::{self, Display, Face, Header, StatusHandle, question};
use crate::signal::{self, Stop};
use crate::text::{clean, columns, reason, shell_word, shown, size};

/// One run of the program.
pub struct Session {
    request: Request,
    host: Host,
    stop: Stop,
    // who answers USR1 now
    status: Arc<Mutex<Option<StatusHandle>>>,
    handlers: OnceLock<()>,
    // shows what there is, where there is nothing to continue
    overview: Overview,
}

/// The unfinished wipes and disks of this machine, as text; the last argument is
/// how many columns fit.
pub type Overview = fn(&Host, &StateDir, &str, Option<usize>) -> Result<String, String>;

/// Threads besides those of the engine.
const RUN_THREADS: usize = 4;

/// What the engine sees of the world.
struct World<'a> {
    stop: &'a Stop,
    times: &'a Timekeeper,
    // ends the program
    hung: &'a (dyn Fn(&State, Duration) + Sync),
}

impl Control for World<'_> {
    fn stop(&self) -> Option<Signal> {
        self.stop.requested()
    }
    fn now(&self) -> Duration {
        self.times.work()
    }
    fn pauses(&self) -> u64 {
        self.times.pauses()
    }
    fn hangs(&self, state: &State, silence: Duration) {
        (self.hung)(state, silence);
    }
}

/// A step that goes on, or the outcome that ends the run here.
type Go<T> = Result<T, Outcome>;

/// The machine's clock.
struct Watch(Timekeeper);

impl Clock for Watch {
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

impl Session {
    /// A run that does what was asked.
    #[must_use]
    pub fn new(request: Request, overview: Overview) -> Self {
        Self {
            request,
            host: Host::real(),
            stop: Stop::new(),
            status: Arc::default(),
            handlers: OnceLock::new(),
            overview,
        }
    }

    /// The signal that asked this run to stop.
    #[must_use]
    pub fn stopped_by(&self) -> Option<Signal> {
        self.stop.requested()
    }

    /// Does it, and says on stdout how each target ended.
    pub fn run(&self) -> Outcome {
        let named = || self.request.targets.iter().map(PathBuf::as_path);
        self.prepared().unwrap_or_else(|outcome| {
            // Nothing was begun: the same for all.
            if self.request.targets.is_empty() {
                self.refused(None, &outcome);
            }
            named().for_each(|target| self.refused(Some(target), &outcome));
            outcome
        })
    }

    /// The same, or why nothing was begun.
    fn prepared(&self) -> Go<Outcome> {
        let state = state_dir(self.request.state_dir.as_deref())?;
        delivery::understood(&self.request)?;
        let targets = match self.request.targets.as_slice() {
            [] => self.unfinished_targets(&state)?,
            named => named.to_vec(),
        };
        Ok(match targets.as_slice() {
            [target] => self.one(target, &state),
            _ if self.request.dry_run => self.dry_run(&targets, &state),
            _ => self.one_by_one(&targets, &state),
        })
    }

    /// One target, from its path to its line on stdout.
    fn one(&self, target: &Path, state: &StateDir) -> Outcome {
        let outcome = self.wipe(target, state).unwrap_or_else(|outcome| outcome);
        self.refused(Some(target), &outcome);
        outcome
    }

    /// The line on stdout of a target that was not touched; why not goes to
    /// stderr. A wrong command line has none.
    fn refused(&self, target: Option<&Path>, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Refused(_) | Outcome::Busy(_)) {
            return;
        }
        let device = target.and_then(|target| self.host.glance(target).ok());
        let serial = device.and_then(|device| device.identity.serial);
        let line = report::refused_line(outcome, target, serial.as_deref());
        // It has a code of its own, and why not is said on stderr.
        let _ = screen::result(&line);
    }

    /// What would be done with each of several targets, or why it is refused.
    fn dry_run(&self, targets: &[PathBuf], state: &StateDir) -> Outcome {
        let mut refused = 0;
        for target in targets {
            let outcome = self.one(target, state);
            if outcome != Outcome::Nothing {
                refused += 1;
                say_why(&outcome);
            }
        }
        let has = |target: &&PathBuf, serial: &str| {
            let device = self.host.device(target, state.root());
            device.is_ok_and(|device| device.identity.has_serial(serial))
        };
        for serial in &self.request.serials {
            let subject = format!("--serial {}", clean(serial));
            match targets.iter().filter(|target| has(target, serial)).count() {
                1 => continue,
                0 => screen::message(&subject, "is of none of the targets; look at --list"),
                _ => screen::message(&subject, "is of several of the targets; detach one"),
            }
            refused += 1;
        }
        if refused == 0 {
            return Outcome::Nothing;
        }
        Outcome::Refused(format!(
            "--dry-run: not all of these {} targets would be wiped; nothing was written",
            targets.len()
        ))
    }

    /// Continues several wipes, one after the other.
    fn one_by_one(&self, targets: &[PathBuf], state: &StateDir) -> Outcome {
        let mut worst = Outcome::Nothing;
        for target in targets {
            let mut outcome = self.one(target, state);
            if matches!(outcome, Outcome::Refused(_) | Outcome::Busy(_)) {
                say_why(&outcome);
                // Others were or will be written, which "refused" would deny.
                outcome = Outcome::Failed("not all drives were wiped".into());
            }
            let stopped = self.stop.requested().is_some();
            worst = worst.or_worse(outcome);
            if stopped {
                break;
            }
        }
        worst
    }

    /// Where the drives of unfinished wipes are; asks when there are several.
    fn unfinished_targets(&self, state: &StateDir) -> Go<Vec<PathBuf>> {
        let found = resume::attached(&self.host, state).inspect_err(|_| self.show_all(state))?;
        if found.len() == 1 || self.request.yes {
            return Ok(found);
        }
        let names: Vec<String> = found.iter().map(|path| shown(path)).collect();
        let several = format!(
            "--resume: several drives have unfinished wipes: {}; name one, or add --yes to continue all",
            names.join(", ")
        );
        let mut lines = vec!["Drives with unfinished wipes:".to_string()];
        lines.extend(names.iter().map(|name| format!("  {}", clean(name))));
        lines.push("Type the one to continue, anything else to leave: ".into());
        match question::choose_one(&lines, &names) {
            Ok(Some(index)) => Ok(vec![found[index].clone()]),
            Ok(None) | Err(_) => Err(Outcome::Refused(several)),
        }
    }

    /// What is there, where there is nothing to continue.
    fn show_all(&self, state: &StateDir) {
        if self.request.quiet {
            return;
        }
        let (resume, width) = (self.resume_command(), columns(io::stderr()));
        // That it cannot be listed is not what was asked for.
        if let Ok(text) = (self.overview)(&self.host, state, &resume, width) {
            text.lines().for_each(screen::say);
        }
    }

    /// The steps from a path to its outcome. Until the first checkpoint is
    /// saved nothing is changed anywhere.
    fn wipe(&self, path: &Path, state_dir: &StateDir) -> Go<Outcome> {
        let subject = shown(path);
        // For signals, what is shown, and times.
        means::ensure(0, RUN_THREADS)
            .map_err(|why| Outcome::Refused(format!("{subject}: {why}; nothing was written")))?;
        if self.request.mode == Mode::Check {
            return self.check(path, state_dir, &subject);
        }
        state_dir.check_writable().map_err(|(path, error)| {
            Outcome::Refused(format!(
                "{subject}: no checkpoint can be saved, as {} cannot be written: {}; \
                 see --state-dir; not touched",
                shown(&path),
                reason(&error)
            ))
        })?;
        let (root, serials) = (state_dir.root(), self.request.serials.as_slice());
        let opened = open::open(&self.host, path, root, serials, &subject)?;
        let job = match decide::decide(&self.request, &self.host, &opened, state_dir, &subject)? {
            Decision::Work(job) => *job,
            Decision::Done(finished) => {
                // Who names another drive is not told that it is wiped.
                self.consent(state_dir).named(&opened, &subject)?;
                return self.wiped_already(&opened, &finished, &subject);
            }
        };
        let continued = job.continued.as_ref().map(|one| &one.checkpoint);
        let device = opened.device();
        let wanted = delivery::wanted(&self.request, continued, &self.host, device, &subject)?;
        let asked = self.consent(state_dir).obtain(&opened, &job, &subject)?;
        if self.request.dry_run {
            screen::message(&subject, "dry run: nothing was written");
            return Ok(Outcome::Nothing);
        }
        if asked || job.continued.is_some() || opened.is_stale(Instant::now()) {
            // Answering, or proving or measuring a drive that is slow, took its
            // time.
            opened.look_again(&self.host, state_dir.root(), &subject)?;
        }
        // From here on a signal stops the run in good order.
        self.install_handlers(&subject)?;
        self.write(&opened, job, wanted, state_dir)
    }

    fn install_handlers(&self, subject: &str) -> Go<()> {
        if self.handlers.get().is_some() {
            return Ok(());
        }
        let status = Arc::clone(&self.status);
        let on_usr1 = move || {
            if let Some(display) = &*status.lock().unwrap_or_else(PoisonError::into_inner) {
                display.status();
            }
        };
        signal::install(&self.stop, on_usr1).map_err(|error| {
            Outcome::Refused(format!("{subject}: {error:#}; nothing was written"))
        })?;
        let _ = self.handlers.set(());
        Ok(())
    }

    fn display(&self, device: &Device, header: Header, times: &Timekeeper) -> Go<Display> {
        let times = times.clone();
        Display::start(self.face(), header, move || (times.work(), times.pauses()))
            .map_err(|error| no_thread(device, &error))
    }

    fn face(&self) -> Face {
        Face::here(self.request.progress, self.request.quiet)
    }

    /// Runs the engine and tells how it ended.
    fn write(
        &self,
        opened: &Opened,
        job: Job,
        wanted: Wanted,
        state_dir: &StateDir,
    ) -> Go<Outcome> {
        let (device, writer) = (opened.device(), &opened.writer);
        let times = timekeeper(device)?;
        let watch = Watch(times.clone());
        let checkpoint = job.checkpoint(opened, &watch.stamp())?.reporting(wanted);
        let name = job.file_name(device, &checkpoint);
        let in_slots = self.host.needs_slots(state_dir.root());
        let dir = state_dir.clone().kept_in_slots(in_slots);
        let watch = Box::new(watch);
        let mut saver = Saver::new(dir, name, checkpoint, job.supersedes, watch);
        if let Some(watch) = writer.watch().map(Arc::clone) {
            if let Some(before) = saver.checkpoint().file() {
                watch.since(before, &job.state, &job.plan);
            }
            saver = saver.with(Box::new(move |checkpoint| {
                let (file, found) = watch.found();
                checkpoint.file_is(file);
                for finding in found {
                    checkpoint.note(finding);
                }
            }));
        }
        saver.begin_run();
        let no_room = saver.keep_room().err();
        let display = self
            .display(device, header(device, &job.plan, job.state.step), &times)
            .inspect_err(|_| saver.give_up())?;
        self.answer_status(Some(display.handle()));
        let closing = || self.closing(device, &times, false);
        let before = saver.checkpoint().clone();
        let (file, mark) = (saver.pending_path(), saver.mark());
        let hung = |state: &State, silence| {
            let mut checkpoint = before.clone();
            checkpoint.advance(state);
            let outcome = closing().hung(checkpoint, mark.get(), &file, silence, &display);
            signal::leave_hanging(self.stop.requested(), outcome.code());
        };
        let engine = Engine {
            plan: &job.plan,
            settings: self.settings(device, job.chunk),
            target: writer,
            observer: &display,
            control: &self.world(&times, &hung),
        };
        let mut journal = Journaled {
            saver: &mut saver,
            display: &display,
            no_room,
        };
        let ended = engine.run(job.state, &mut journal);
        let after = After {
            host: &self.host,
            opened,
            state_dir: state_dir.root(),
            observer: &display,
            stop: &|| self.stop.requested(),
        };
        let spoiled = after.look(&ended, &mut saver);
        self.answer_status(None);
        display.closing();
        Ok(closing().close(&ended, spoiled, saver, &display))
    }

    /// Reads a finished wipe back against its record.
    fn check(&self, path: &Path, state_dir: &StateDir, subject: &str) -> Go<Outcome> {
        let (root, serials) = (state_dir.root(), self.request.serials.as_slice());
        let opened = open::open_to_read(&self.host, path, root, serials, subject)?;
        if let Some(begun) = resume::of_device(state_dir, &opened, subject)?
            .of_it
            .first()
        {
            return Err(Outcome::Refused(format!(
                "{subject}: has an unfinished wipe ({}), so that there is no finished one to \
                 check; --resume finishes it; nothing was written",
                shown(&begun.file)
            )));
        }
        let finished = history::to_check(state_dir, &opened, subject)?;
        self.consent(state_dir).named(&opened, subject)?;
        let record = &finished.record;
        self.name_all(&finished, subject);
        let Check { plan, state } = Check::of(&record.checkpoint);
        self.install_handlers(subject)?;
        let device = opened.device();
        let times = timekeeper(device)?;
        let closing = || self.closing(device, &times, true);
        let page_cache = !opened.writer.is_direct();
        let found = record.checkpoint.clone().checked_by(&plan, page_cache);
        let display = self.display(device, header(device, &plan, state.step), &times)?;
        self.answer_status(Some(display.handle()));
        let hung = |state: &State, silence| {
            let mut found = found.clone();
            found.advance(state);
            let outcome = closing().hung(found, None, &record.path, silence, &display);
            signal::leave_hanging(self.stop.requested(), outcome.code());
        };
        let suits = Tuning::of(device).chunk;
        let chunk = self.request.buffer_size.unwrap_or(suits);
        let engine = Engine {
            plan: &plan,
            settings: self.settings(device, chunk),
            target: &opened.writer,
            observer: &display,
            control: &self.world(&times, &hung),
        };
        let ended = engine.run(state, &mut Nowhere);
        self.answer_status(None);
        Ok(closing().check(&ended, found.clone(), &record.path, &display))
    }

    /// Names every record that the drive's content matches, where there are
    /// several.
    fn name_all(&self, finished: &Finished, subject: &str) {
        if finished.beside.is_empty() || self.request.quiet {
            return;
        }
        let others: Vec<String> = finished.beside.iter().map(|path| shown(path)).collect();
        let text = format!(
            "its content matches several records, none of which supersedes another; {} counts, \
             as none ended worse; the others: {}",
            shown(&finished.record.path),
            others.join(", ")
        );
        screen::message(subject, &text);
    }

    /// The end of a run whose time is kept there.
    fn closing<'a>(&'a self, device: &'a Device, times: &Timekeeper, check: bool) -> Closing<'a> {
        Closing {
            host: &self.host,
            device,
            quiet: self.request.quiet,
            stopped_by: self.stop.requested(),
            active: times.work(),
            stop: &self.stop,
            resume_command: self.resume_command(),
            rate_limit: self.request.rate_limit,
            check,
        }
    }

    /// What the engine sees of the world in a run whose time is kept there.
    fn world<'a>(
        &'a self,
        times: &'a Timekeeper,
        hung: &'a (dyn Fn(&State, Duration) + Sync),
    ) -> World<'a> {
        World {
            stop: &self.stop,
            times,
            hung,
        }
    }

    /// What continues the wipe of this run as it was.
    fn resume_command(&self) -> String {
        let command = resume_command(self.request.state_dir.as_deref());
        match self.request.rate_limit {
            // The checkpoint does not keep it: it is the machine that is spared.
            Some(rate) => format!("{command} --rate-limit {}", size::typed(rate)),
            None => command,
        }
    }

    /// How the engine works on this device: as the request says, or as suits it.
    fn settings(&self, device: &Device, chunk: u64) -> Settings {
        let Request {
            threads,
            checkpoint_every,
            rate_limit,
            ..
        } = self.request;
        let workers = threads.unwrap_or(Tuning::of(device).workers);
        Settings::new(chunk, workers, checkpoint_every, rate_limit)
            .with_stall(self.request.stall_timeout)
    }

    fn consent<'a>(&'a self, state: &'a StateDir) -> Consent<'a> {
        Consent {
            request: &self.request,
            host: &self.host,
            face: self.face(),
            state,
        }
    }

    fn answer_status(&self, handle: Option<StatusHandle>) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    /// Tells of a wipe that is already done; nothing is written to the drive.
    fn wiped_already(&self, opened: &Opened, finished: &Finished, subject: &str) -> Go<Outcome> {
        let (device, record) = (opened.device(), &finished.record);
        let seen = if finished.read_whole {
            "every byte of it still matches"
        } else {
            "its samples still match"
        };
        let when = clean(record.checkpoint.timestamp());
        let text = match &record.outcome {
            Outcome::Wiped => {
                format!("was wiped on {when}, and {seen}; nothing was written")
            }
            other => format!(
                "its wipe of {when} ended as {}, and {seen}; --restart wipes it \
                 again; nothing was written",
                other.word()
            ),
        };
        if self.request.dry_run {
            if record.outcome != Outcome::Wiped {
                return Err(Outcome::Refused(format!("{subject}: {text}")));
            }
            screen::message(subject, &text);
            return Ok(Outcome::Nothing);
        }
        let again = delivery::again(&self.request, record, device);
        let mut outcome = record.outcome.clone();
        if let (Err(why), Some(path)) = (&again, &self.request.report) {
            let kept = shown(&record.path);
            let text = format!("the report could not be written: {why}; it is kept as {kept}");
            screen::message(&shown(path), &text);
            outcome = outcome.undelivered();
        }
        let delivered = again.unwrap_or_default();
        let ending = Ending {
            outcome: &record.outcome,
            path: &device.path,
            name: &device.name,
            medium: device.medium,
            slot: device.slot.as_deref(),
            write_back: device.write_back,
            checkpoint: &record.checkpoint,
            file: Some(&record.path),
            saved: Saved::All,
            delivered: &delivered,
            state: Durability::Kept,
            active: Duration::ZERO,
            resume_command: String::new(),
            rate_limit: None,
            check: false,
        };
        let outcome = delivery::told(&screen::result(&report::line(&ending)), outcome);
        if !self.request.quiet {
            screen::message(subject, &text);
        }
        self.name_all(finished, subject);
        Ok(outcome)
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

/// Begins to keep the time of a run.
fn timekeeper(device: &Device) -> Go<Timekeeper> {
    Timekeeper::start().map_err(|error| no_thread(device, &error))
}

/// A thread that a run needs could not be had.
fn no_thread(device: &Device, error: &io::Error) -> Outcome {
    let (path, why) = (shown(&device.path), no_threads(error));
    Outcome::Refused(format!("{path}: {why}; nothing was written"))
}

/// What a run is about.
fn header(device: &Device, plan: &Plan, step: Step) -> Header {
    Header {
        name: device.name.clone(),
        serial: device.identity.serial.clone(),
        size: device.size,
        sector: u64::from(device.identity.logical_block),
        what: plan.pass(step.pass).content.name().into(),
        plan: plan.clone(),
    }
}

/// Says why a target was not touched.
pub fn say_why(outcome: &Outcome) {
    if let Outcome::Usage(text) | Outcome::Refused(text) | Outcome::Busy(text) = outcome {
        for line in text.lines() {
            screen::say(&format!("wipeit: {line}"));
        }
    }
}

/// The state directory: the one that was asked for, or the usual one.
///
/// # Errors
/// A refusal where there is none.
pub fn state_dir(asked: Option<&Path>) -> Result<StateDir, Outcome> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let root = asked.map(Path::to_path_buf).or_else(|| {
        let state_home = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        StateDir::default_root(Uid::effective().is_root(), state_home, home.as_deref())
    });
    let missing = || {
        let why = match &home {
            None => "is not set",
            Some(home) if home.as_os_str().is_empty() => "is empty",
            Some(_) => "is not an absolute path",
        };
        Outcome::Refused(format!("HOME: {why}; add --state-dir DIR"))
    };
    let root = root.ok_or_else(missing)?;
    // A relative path would mean another folder to the next run.
    let absolute = std::path::absolute(&root).unwrap_or(root);
    Ok(StateDir::new(absolute))
}

/// What continues a wipe whose state is kept in this directory.
#[must_use]
pub fn resume_command(state_dir: Option<&Path>) -> String {
    use std::os::unix::ffi::OsStrExt;
    match state_dir {
        Some(dir) => {
            let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
            format!(
                "wipeit --resume --state-dir {}",
                shell_word(absolute.as_os_str().as_bytes())
            )
        }
        None => "wipeit --resume".into(),
    }
}
