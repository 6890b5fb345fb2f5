//! The end of a run: the checkpoint is completed or kept, and the user told.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::card;
use crate::checkpoint::Checkpoint;
use crate::delivery;
use crate::device::{Device, Host};
use crate::display::{self, Display};
use crate::engine::{End, Ended, State};
use crate::guard::Refusal;
use crate::outcome::{Outcome, Signal};
use crate::plan::Phase;
use crate::progress::{self, Saver};
use crate::report::record::Record;
use crate::report::{self, Ending};
use crate::text::{field, reason, shown, span};

/// What the last words need besides the run itself.
pub struct Closing<'a> {
    /// This machine.
    pub host: &'a Host,
    /// What was wiped.
    pub device: &'a Device,
    /// Whether only warnings, errors and the result are shown.
    pub quiet: bool,
    /// The signal that asked the run to stop.
    pub stopped_by: Option<Signal>,
    /// Time of this run.
    pub active: Duration,
    /// What continues this wipe.
    pub resume_command: String,
    /// Whether a finished wipe is only read back.
    pub check: bool,
}

impl Closing<'_> {
    /// Completes or keeps the checkpoint, and tells how the run ended.
    pub fn close(self, ended: &Ended, mut saver: Saver, display: &Display) -> Outcome {
        let failed = matches!(ended.end, End::Failed(_));
        let complete = ended.state.step.phase == Phase::Complete && !failed;
        if let Some(outcome) = self.never_began(ended) {
            // The reason follows; the log needs no last line.
            display.abandon();
            return outcome;
        }
        let held_back = complete.then(|| self.held_back()).flatten();
        let complete = complete && held_back.is_none();
        let outcome = match (held_back, outcome_of(ended)) {
            (Some(why), _) => Outcome::Failed(why),
            (None, Outcome::Wiped) if saver.checkpoint().findings.keep_old_data() => {
                Outcome::NotClear
            }
            (None, other) => other,
        };
        let ended_by = match (&outcome, self.stopped_by) {
            (Outcome::Interrupted(signal), _) => signal.name().to_string(),
            (Outcome::Failed(why), Some(signal)) => format!("{signal}; error: {why}"),
            (Outcome::Failed(why), None) => format!("error: {why}"),
            _ => "finished".into(),
        };
        let last_save = saver.end_run(&ended.state, &ended_by);
        let kept = complete.then(|| -> io::Result<Vec<PathBuf>> {
            let host = self.host.computer();
            let record = Record::new(saver.checkpoint(), &outcome, self.device, host);
            let delivered = delivery::keep(&record, &saver, self.device)?;
            saver.complete().map(|()| delivered)
        });
        display.finish(&outcome);
        self.say_failed(&outcome);
        let file = match &kept {
            Some(Ok(_)) => saver.report_path(),
            Some(Err(error)) => {
                let path = saver.report_path();
                let text = format!(
                    "the record could not be saved: {}; the wipe itself is done, and a resume \
                     completes the record",
                    reason(error)
                );
                display::message(&shown(&path), &text);
                saver.pending_path()
            }
            None => saver.pending_path(),
        };
        let on_disk = kept.as_ref().map_or(last_save.is_ok(), Result::is_ok);
        let delivered = kept.and_then(Result::ok).unwrap_or_default();
        self.tell(&outcome, saver.checkpoint(), (&file, &delivered), on_disk);
        outcome
    }

    /// Tells that the drive hangs. The last checkpoint stands as it is: who
    /// saves it may hang as well.
    pub fn hung(
        self,
        checkpoint: &Checkpoint,
        file: &Path,
        silence: Duration,
        display: &Display,
    ) -> Outcome {
        let outcome = Outcome::Failed(format!(
            "nothing has come back from it for {} (--stall-timeout); this process can end only \
             when the kernel gives up what it waits for",
            span(silence)
        ));
        display.finish(&outcome);
        self.say_failed(&outcome);
        self.tell(&outcome, checkpoint, (file, &[]), true);
        outcome
    }

    /// Tells how a check of a finished wipe ended; keeps nothing. `found`: the
    /// wipe, with what the check reads and how.
    pub fn check(
        self,
        ended: &Ended,
        mut found: Checkpoint,
        file: &Path,
        display: &Display,
    ) -> Outcome {
        if let Some(outcome) = self.never_began(ended) {
            display.abandon();
            return outcome;
        }
        let outcome = match outcome_of(ended) {
            Outcome::Wiped => Outcome::Checked,
            other => other,
        };
        display.finish(&outcome);
        self.say_failed(&outcome);
        progress::take_in(&mut found, &ended.state);
        self.tell(&outcome, &found, (file, &[]), true);
        outcome
    }

    /// Why nothing was written; `None` where something may have been.
    fn never_began(&self, ended: &Ended) -> Option<Outcome> {
        match &ended.end {
            End::NotStarted(why) => Some(Outcome::Refused(format!(
                "{why}; no checkpoint can be saved there, see --state-dir; nothing was written"
            ))),
            End::NoMeans(why) => {
                let path = shown(&self.device.path);
                let text = format!("{path}: {why}; nothing was written");
                Some(Outcome::Refused(text))
            }
            _ => None,
        }
    }

    /// Why what was written may not be where the old data was: it was begun only
    /// where no cache held anything back, but the mode of one can be changed.
    fn held_back(&self) -> Option<String> {
        match self.host.caches(self.device) {
            Ok(caches) => {
                let first = caches.into_iter().next()?;
                Some(Refusal::Cached(first).to_string())
            }
            Err(why) => Some(format!("cannot tell whether a cache holds it back: {why}")),
        }
    }

    fn say_failed(&self, outcome: &Outcome) {
        if let Outcome::Failed(why) = outcome {
            let path = shown(&self.device.path);
            let text = if self.check {
                format!("{why}; nothing was written")
            } else {
                format!(
                    "{why}; the checkpoint is kept, go on with `{}`",
                    self.resume_command
                )
            };
            display::message(&path, &text);
        }
    }

    /// The line on stdout, and those that explain it.
    fn tell(
        self,
        outcome: &Outcome,
        checkpoint: &Checkpoint,
        (file, delivered): (&Path, &[PathBuf]),
        saved: bool,
    ) {
        let keeping = self.host.keeping(file);
        let unflushed = card::unflushed_text(&keeping);
        let ending = Ending {
            outcome,
            path: &self.device.path,
            name: &self.device.name,
            medium: self.device.medium,
            slot: self.device.slot.as_deref(),
            write_back: self.device.write_back,
            checkpoint,
            file: file.exists().then_some(file),
            saved,
            delivered,
            state: keeping.durability,
            active: self.active,
            resume_command: self.resume_command,
            check: self.check,
        };
        // Who closed stdout does not want the line; the exit code still tells.
        let _ = display::result(&report::line(&ending));
        if !self.quiet {
            let flush = unflushed.iter().filter(|_| !self.check);
            let flush = flush.flat_map(|text| field("Flush", text));
            for line in report::details(&ending).into_iter().chain(flush) {
                display::say(&line);
            }
        }
    }
}

fn outcome_of(ended: &Ended) -> Outcome {
    let complete = ended.state.step.phase == Phase::Complete;
    match &ended.end {
        End::NotStarted(why) | End::NoMeans(why) => Outcome::Failed(why.clone()),
        End::Failed(error) => Outcome::Failed(error.to_string()),
        End::Interrupted(signal) if !complete => Outcome::Interrupted(*signal),
        End::Interrupted(_) | End::Complete => finished(&ended.state),
    }
}

fn finished(state: &State) -> Outcome {
    if !state.mismatches.is_empty() {
        Outcome::Differs
    } else if !state.bad.is_empty() {
        Outcome::NotClear
    } else {
        Outcome::Wiped
    }
}
