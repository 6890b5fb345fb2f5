//! One run of the program: from the request to the outcome, step by step.

use std::cell::OnceCell;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use nix::unistd::Uid;

use crate::cli::{Progress, Request};
use crate::closing::Closing;
use crate::confirm::{self, Answer, Proof as ShownProof};
use crate::device::{Device, Host};
use crate::display::{self, Display, Face, Header, StatusHandle};
use crate::engine::{self, Control, Engine, Proof, Settings};
use crate::guard::{self, Cleared};
use crate::identity;
use crate::job::{self, Job};
use crate::outcome::{Outcome, Signal};
use crate::progress::{self, Clock, Saver, StateDir};
use crate::resume::{self, Unfinished};
use crate::signal::{self, Stop};
use crate::text::{clean, shell_word};
use crate::writer::{self, Lock, LockError, OpenError, Writer};

/// One run of the program.
pub struct Session {
    request: Request,
    host: Host,
    stop: Stop,
    // who answers USR1 now
    status: Arc<Mutex<Option<StatusHandle>>>,
    handlers: OnceCell<()>,
}

/// What the engine sees of the world.
struct World<'a> {
    stop: &'a Stop,
    begun: Instant,
}

impl Control for World<'_> {
    fn stop(&self) -> Option<Signal> {
        self.stop.requested()
    }
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// A step that goes on, or the outcome that ends the run here.
type Go<T> = Result<T, Outcome>;

/// The machine's clock.
struct Watch(Instant);

impl Clock for Watch {
    fn stamp(&self) -> String {
        ZonedDateTime::now()
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Session {
    /// A run that does what was asked.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self {
            request,
            host: Host::real(),
            stop: Stop::new(),
            status: Arc::default(),
            handlers: OnceCell::new(),
        }
    }

    /// The signal that asked this run to stop.
    #[must_use]
    pub fn stopped_by(&self) -> Option<Signal> {
        self.stop.requested()
    }

    /// Does it.
    pub fn run(&self) -> Outcome {
        let state = match self.state_dir() {
            Ok(state) => state,
            Err(outcome) => return outcome,
        };
        let targets = match &self.request.target {
            Some(target) => Ok(vec![target.clone()]),
            None => self.unfinished_targets(&state),
        };
        let targets = match targets {
            Ok(targets) => targets,
            Err(outcome) => return outcome,
        };
        let mut worst = Outcome::Nothing;
        for target in &targets {
            let outcome = self.wipe(target, &state).unwrap_or_else(|outcome| outcome);
            let last = targets.last() == Some(target);
            if !last && let Outcome::Refused(text) | Outcome::Busy(text) = &outcome {
                display::say(&format!("wipeit: {text}"));
            }
            let stopped = matches!(outcome, Outcome::Interrupted(_));
            worst = worse(worst, outcome);
            if stopped {
                break;
            }
        }
        worst
    }

    fn state_dir(&self) -> Go<StateDir> {
        let root = self.request.state_dir.clone().or_else(|| {
            let home = env::var_os("HOME").map(PathBuf::from);
            let state_home = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
            StateDir::default_root(Uid::effective().is_root(), state_home, home.as_deref())
        });
        let missing = || Outcome::Refused("HOME: is not set; add --state-dir DIR".into());
        let root = root.ok_or_else(missing)?;
        // A relative path would mean another folder to the next run.
        let absolute = std::path::absolute(&root).unwrap_or(root);
        Ok(StateDir::new(absolute))
    }

    /// Where the drives of unfinished wipes are; asks when there are several.
    fn unfinished_targets(&self, state: &StateDir) -> Go<Vec<PathBuf>> {
        let found = resume::attached(&self.host, state)?;
        if found.len() == 1 || self.request.yes {
            return Ok(found);
        }
        let names: Vec<String> = found
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let several = format!(
            "--resume: several drives have unfinished wipes: {}; name one, or add --yes to continue all",
            names.join(", ")
        );
        let mut lines = vec!["Drives with unfinished wipes:".to_string()];
        lines.extend(names.iter().map(|name| format!("  {}", clean(name))));
        lines.push("Type the one to continue, anything else to leave: ".into());
        match confirm::choose_one(&lines, &names) {
            Ok(Some(index)) => Ok(vec![found[index].clone()]),
            Ok(None) | Err(_) => Err(Outcome::Refused(several)),
        }
    }

    /// The steps from a path to its outcome. Until the first checkpoint is
    /// saved nothing is changed anywhere.
    fn wipe(&self, path: &Path, state_dir: &StateDir) -> Go<Outcome> {
        let subject = clean(&path.display().to_string());
        let refused = |text: String| Outcome::Refused(format!("{subject}: {text}"));

        // What is it, is it ours alone, and may it be wiped?
        let device = self
            .host
            .device(path, state_dir.root())
            .map_err(|problem| refused(format!("{problem}; not touched")))?;
        let lock = lock(&device, &subject)?;
        let cleared = guard::check(device).map_err(|refusals| {
            let lines: Vec<String> = refusals
                .iter()
                .map(|refusal| format!("{subject}: {refusal}; not touched"))
                .collect();
            Outcome::Refused(lines.join("\n"))
        })?;
        let device = cleared.device();
        state_dir.check_writable().map_err(|(path, error)| {
            refused(format!(
                "no checkpoint can be saved, as {} cannot be written: {error}; \
                 see --state-dir; not touched",
                path.display()
            ))
        })?;

        // What is to be done?
        let job = job::decide(&self.request, device, state_dir, &subject)?;
        let times = self.times(device, &subject);
        self.consent(device, &job, times, state_dir, &subject)?;
        if self.request.dry_run {
            display::message(&subject, "dry run: nothing was written");
            return Ok(Outcome::Nothing);
        }

        // From here on a signal stops the run in good order.
        self.install_handlers()?;
        let writer = open(&cleared, lock, &subject)?;
        self.host.unchanged(device).map_err(|what| {
            refused(format!(
                "is not what it was a moment ago: {what}; not touched"
            ))
        })?;
        if let Some(continued) = &job.continued {
            let proof = self.prove(device, &job, continued, &writer, &subject)?;
            self.show_continued(continued, device, proof, times);
        }
        Ok(self.write(device, job, &writer, state_dir))
    }

    /// How long a pass takes to write and to read back, from the speed of the
    /// drive now.
    fn times(&self, device: &Device, subject: &str) -> Option<confirm::PassTimes> {
        match writer::measure(device) {
            Ok(speed) => {
                let speed = speed?
                    .min(self.request.rate_limit.unwrap_or(u64::MAX))
                    .max(1);
                let time = Duration::from_secs(device.size / speed);
                Some((time, time))
            }
            Err(error) => {
                let text = format!("cannot be read ({error}); it may be dying");
                display::message(subject, &text);
                None
            }
        }
    }

    /// Shows the card and asks, where that is needed.
    fn consent(
        &self,
        device: &Device,
        job: &Job,
        times: Option<confirm::PassTimes>,
        state: &StateDir,
        subject: &str,
    ) -> Go<()> {
        // Consent is in the checkpoint, where the drive is proved to be the one
        // that it was given for.
        let possible = engine::proof_is_possible(&job.plan, &job.state, device.size);
        let consented = job
            .continued
            .as_ref()
            .is_some_and(|continued| continued.proven && possible);
        let ask = !(consented || self.request.yes || self.request.dry_run);
        let show = ask || self.request.dry_run || (self.face() == Face::Bar && !consented);
        if show && !self.request.quiet {
            let in_memory = self.host.state_in_memory(state.root());
            let now = ZonedDateTime::now();
            for line in confirm::card(device, &job.plan, times, &now, state.root(), in_memory) {
                display::say(&line);
            }
            display::say("");
        }
        if !ask {
            return Ok(());
        }
        let wanted = confirm::answer_wanted(device, &self.host.attached());
        match confirm::ask(&confirm::question(device, &wanted), &wanted) {
            Ok(Answer::Yes) => Ok(()),
            Ok(Answer::No) => Err(Outcome::Refused(format!(
                "{subject}: declined; nothing was written"
            ))),
            Ok(Answer::NoTerminal) => Err(Outcome::Refused(format!(
                "{subject}: there is no terminal to ask on; add --yes to wipe without asking; not touched"
            ))),
            Err(error) => Err(Outcome::Refused(format!(
                "{subject}: cannot ask on the terminal: {error}; add --yes to wipe without asking; not touched"
            ))),
        }
    }

    fn install_handlers(&self) -> Go<()> {
        if self.handlers.get().is_some() {
            return Ok(());
        }
        let status = Arc::clone(&self.status);
        let on_usr1 = move || {
            if let Some(display) = &*status.lock().unwrap_or_else(PoisonError::into_inner) {
                display.status();
            }
        };
        signal::install(&self.stop, on_usr1)
            .map_err(|error| Outcome::Refused(format!("signals: {error:#}; not touched")))?;
        let _ = self.handlers.set(());
        Ok(())
    }

    /// Proves by its content that this is the drive, and that nobody wrote to
    /// it since. Gives the number of samples that match.
    fn prove(
        &self,
        device: &Device,
        job: &Job,
        continued: &Unfinished,
        writer: &Writer,
        subject: &str,
    ) -> Go<u64> {
        let refused = |text: String| Outcome::Refused(format!("{subject}: {text}; not touched"));
        if let Some(twin) = resume::twin(&self.host, device) {
            return Err(refused(format!(
                "{} reports the same identifier, so neither is proved to be the drive; detach one",
                twin.display()
            )));
        }
        let proof = engine::prove(
            &continued.checkpoint.plan,
            &job.state,
            writer,
            &mut job::draw,
        )
        .map_err(|error| {
            refused(format!(
                "cannot be read to prove that it is the drive: {error}"
            ))
        })?;
        match proof {
            Proof::Differs(at) => Err(refused(format!(
                "was written to since the wipe stopped (byte {at} is not what was written); \
                 --restart wipes it from the start"
            ))),
            Proof::Matches {
                cryptographic: false,
                ..
            } if !continued.proven => Err(refused(
                "neither its identifiers nor a repeated pattern prove that it is the drive; \
                 --restart wipes it from the start"
                    .into(),
            )),
            Proof::Matches { samples, .. } => Ok(samples as u64),
            Proof::TooLittle => Ok(0),
        }
    }

    fn show_continued(
        &self,
        continued: &Unfinished,
        device: &Device,
        samples: u64,
        times: Option<confirm::PassTimes>,
    ) {
        if self.request.quiet {
            return;
        }
        let identifiers = device
            .identity
            .equal_identifiers(&continued.checkpoint.device_id);
        let proof = ShownProof {
            identifiers: identifiers.join(" and "),
            samples,
        };
        let now = ZonedDateTime::now();
        for line in confirm::resume_card(&continued.checkpoint, device, &proof, times, &now) {
            display::say(&line);
        }
    }

    fn face(&self) -> Face {
        let choice = match self.request.progress {
            Progress::Auto => display::Choice::Auto,
            Progress::Bar => display::Choice::Bar,
            Progress::Plain => display::Choice::Plain,
            Progress::None => display::Choice::None,
        };
        display::choose_here(choice, self.request.quiet)
    }

    /// Runs the engine and tells how it ended.
    fn write(&self, device: &Device, job: Job, writer: &Writer, state_dir: &StateDir) -> Outcome {
        let begun = Instant::now();
        let Request {
            threads,
            checkpoint_every,
            rate_limit,
            ..
        } = self.request;
        let settings = Settings::new(job.chunk, threads, checkpoint_every, rate_limit);
        let watch = Watch(begun);
        let serial = device.identity.serial.clone();
        let mut checkpoint = match &job.continued {
            Some(continued) => continued.checkpoint.clone(),
            None => match job::fresh_checkpoint(device, &job.plan, settings, &watch.stamp()) {
                Ok(checkpoint) => checkpoint,
                Err(outcome) => return outcome,
            },
        };
        checkpoint.device = identity::path_to_text(&device.path);
        checkpoint.plan = job.plan.clone();
        checkpoint.chunk_size = settings.chunk();
        checkpoint.tool_version = env!("CARGO_PKG_VERSION").into();
        checkpoint.page_cache |= !writer.is_direct();
        let name = job
            .continued
            .as_ref()
            .and_then(|continued| Some(continued.file.file_name()?.to_str()?.to_string()))
            .unwrap_or_else(|| {
                progress::file_name(&device.name, serial.as_deref(), &checkpoint.run_id)
            });
        let mut saver = Saver::new(
            state_dir.clone(),
            name,
            checkpoint,
            job.supersedes,
            Box::new(watch),
        );
        saver.begin_run();
        let display = Display::start(
            self.face(),
            Header {
                name: device.name.clone(),
                serial,
                size: device.size,
                what: job.plan.pass(job.state.step.pass).content.name().into(),
                plan: job.plan.clone(),
            },
        );
        self.answer_status(Some(display.handle()));
        let engine = Engine {
            plan: &job.plan,
            settings,
            target: writer,
            observer: &display,
            control: &World {
                stop: &self.stop,
                begun,
            },
        };
        let ended = engine.run(job.state, &mut saver);
        self.answer_status(None);
        let closing = Closing {
            host: &self.host,
            device,
            quiet: self.request.quiet,
            active: begun.elapsed(),
            resume_command: self.resume_command(),
        };
        closing.close(&ended, saver, display)
    }

    fn answer_status(&self, handle: Option<StatusHandle>) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    fn resume_command(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        match &self.request.state_dir {
            Some(dir) => {
                let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                format!(
                    "wipeit --resume --state-dir {}",
                    shell_word(absolute.as_os_str().as_bytes())
                )
            }
            None => "wipeit --resume".into(),
        }
    }
}

fn worse(a: Outcome, b: Outcome) -> Outcome {
    // Worst first, as for several devices.
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Differs => 0,
        Outcome::NotClear => 1,
        Outcome::Failed(_) | Outcome::Refused(_) | Outcome::Busy(_) | Outcome::Usage(_) => 2,
        Outcome::Interrupted(_) => 3,
        Outcome::Wiped => 4,
        Outcome::Nothing => 5,
    };
    if rank(&b) <= rank(&a) { b } else { a }
}

fn lock(device: &Device, subject: &str) -> Go<Lock> {
    writer::lock(device).map_err(|error| match error {
        LockError::Held => Outcome::Busy(format!(
            "{subject}: another program, probably another wipeit, holds a lock on it; \
             wait for it or end it; not touched"
        )),
        LockError::Io(error) => {
            Outcome::Refused(format!("{subject}: cannot be locked: {error}; not touched"))
        }
    })
}

fn open(cleared: &Cleared, lock: Lock, subject: &str) -> Go<Writer> {
    Writer::open(cleared, lock).map_err(|error| {
        let text = match error {
            OpenError::InUse => "is in use since a moment ago".into(),
            OpenError::Changed(what) => format!("is not what it was a moment ago: {what}"),
            OpenError::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                "permission denied; run as root".into()
            }
            OpenError::Io(error) => format!("cannot be opened for writing: {error}"),
        };
        Outcome::Refused(format!("{subject}: {text}; not touched"))
    })
}
