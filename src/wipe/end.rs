//! The end of a run: the checkpoint is completed or kept, and the user told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::context::Context;
use super::delivery::{self, Delivered, Delivery};
use crate::drive::{Device, path_from_text};
use crate::engine::{End, Ended, Event, Observer as _, State};
use crate::outcome::Outcome;
use crate::plan::{Phase, Step};
use crate::progress::{Checkpoint, Saver};
use crate::refusal::Cause;
use crate::report::{self, Ending, Record, Saved};
use crate::screen::{self, Display, card};
use crate::text::{field, reason, shown, span};

/// What the last words need besides the run itself.
pub struct Closing<'a> {
    /// The run of the program.
    pub context: &'a Context,
    /// What was wiped.
    pub device: &'a Device,
    /// Time of this run.
    pub active: Duration,
    /// Whether a finished wipe is only read back.
    pub check: bool,
}

impl Closing<'_> {
    /// Completes or keeps the checkpoint, and tells how the run ended. `spoiled`:
    /// why a wipe that was written in full is not to be called done.
    pub fn close(
        self,
        ended: &Ended,
        spoiled: Option<String>,
        mut saver: Saver,
        display: &Display,
    ) -> Result<Outcome, Cause> {
        let failed = matches!(ended.end, End::Failed(_)) || spoiled.is_some();
        let complete = ended.state.step.phase == Phase::Complete && !failed;
        if let Some(cause) = never_began(ended) {
            // The reason follows; the log needs no last line.
            display.abandon();
            // What could not be saved whole must not look like a wipe.
            let _ = saver.withdraw();
            saver.give_up();
            return Err(cause);
        }
        let outcome = match (spoiled, outcome_of(ended)) {
            (Some(why), _) => Outcome::Failed(why),
            (None, Outcome::Wiped) if saver.checkpoint().findings().keep_old_data() => {
                Outcome::NotClear
            }
            (None, other) => other,
        };
        let ended_by = match (&outcome, self.context.stop.requested()) {
            (Outcome::Interrupted(signal), _) => signal.name().to_string(),
            (Outcome::Failed(why), Some(signal)) => format!("{signal}; error: {why}"),
            (Outcome::Failed(why), None) => format!("error: {why}"),
            _ => "finished".into(),
        };
        let last_save = saver.end_run(&ended.state, &ended_by);
        if !complete {
            display.clear();
            let file = saver.pending_path();
            self.say_failed(&outcome, saver.on_disk().is_some());
            let shown = Shown {
                saved: match last_save {
                    Err(_) => Saved::Less,
                    Ok(()) if !ended.flushed => Saved::ToFlush,
                    Ok(()) => Saved::All,
                },
                ..Shown::of(saver.checkpoint(), &file)
            };
            return Ok(self.tell(&outcome, &shown, display));
        }
        let delivered = self.deliver(&outcome, &saver, display);
        display.clear();
        for (what, why) in self.undelivered(&delivered, &saver) {
            screen::message(&shown(&what), &why);
        }
        let kept = delivered.record.is_ok();
        let file = if kept {
            saver.record_path()
        } else {
            saver.pending_path()
        };
        let whole = delivered.is_whole();
        let shown = Shown {
            saved: if kept { Saved::All } else { Saved::Less },
            delivered: &delivered.report.unwrap_or_default(),
            ..Shown::of(saver.checkpoint(), &file)
        };
        let told = if whole {
            outcome.clone()
        } else {
            outcome.clone().undelivered()
        };
        Ok(self.tell_as(&outcome, told, &shown, display))
    }

    /// Writes the record and the report, as long as it takes and makes sense.
    fn deliver(&self, outcome: &Outcome, saver: &Saver, display: &Display) -> Delivered {
        let host = self.context.host.computer();
        let record = Record::new(saver.checkpoint(), outcome, self.device, host);
        let wait = delivery::patience(&self.context.stop);
        let tell = |what| display.event(Event::NotDelivered(what, delivery::PATIENCE));
        match Delivery::new(&record, saver, self.device) {
            Ok(delivery) => delivery.run(&wait, &tell),
            Err(error) => Delivered::nothing(&reason(&error)),
        }
    }

    /// What could not be delivered: of what, and why with what follows from it.
    fn undelivered(&self, delivered: &Delivered, saver: &Saver) -> Vec<(PathBuf, String)> {
        let (record, page) = (
            saver.record_path(),
            saver.record_path().with_extension("html"),
        );
        let again = || self.resume_would(saver);
        let mut all = Vec::new();
        if let Err(why) = &delivered.record {
            let text = format!("the record could not be saved: {why}; {}", again());
            all.push((record, text));
        } else if let Err(why) = &delivered.page {
            let text = format!(
                "the page could not be saved: {why}; its record is; {}",
                again()
            );
            all.push((page.clone(), text));
        } else if let Err(why) = &delivered.ended {
            let text = format!(
                "the checkpoint could not be removed: {why}; the record is saved; {}",
                again()
            );
            all.push((saver.pending_path(), text));
        }
        if let Err(why) = &delivered.report {
            let kept = if delivered.page.is_ok() {
                format!("; it is kept as {}", shown(&page))
            } else {
                String::new()
            };
            let wanted = saver.checkpoint().report().path.as_deref();
            let wanted = wanted.and_then(path_from_text).unwrap_or_default();
            let text = format!("the report could not be written: {why}{kept}");
            all.push((wanted, text));
        }
        all
    }

    /// What a resume would do with the checkpoint that is on disk.
    fn resume_would(&self, saver: &Saver) -> String {
        let command = self.context.resume_command();
        match saver.on_disk() {
            None => format!(
                "no checkpoint can be read as {}: nothing can be resumed",
                shown(&saver.pending_path())
            ),
            Some(checkpoint) if checkpoint.phase() == Phase::Complete => format!(
                "the wipe is done, and its checkpoint is saved: `{command}` only writes what is \
                 missing"
            ),
            Some(checkpoint) => format!(
                "the checkpoint on disk is older ({}): `{command}` does what came after it again",
                report::position(&checkpoint)
            ),
        }
    }

    /// Tells that the drive hangs. The last checkpoint stands as it is: who
    /// saves it may hang as well, so it is not looked at. `saved`: where it
    /// stands; `None` where there is none.
    pub fn hung(
        self,
        mut checkpoint: Checkpoint,
        saved: Option<(Step, u64)>,
        file: &Path,
        silence: Duration,
        display: &Display,
    ) -> Outcome {
        let outcome = Outcome::Failed(format!(
            "nothing has come back from it for {} (--stall-timeout); this process can end only \
             when the kernel gives up what it waits for",
            span(silence)
        ));
        if let Some((step, position)) = saved {
            checkpoint.set_position(step, position);
        }
        display.clear();
        self.say_failed(&outcome, true);
        let shown = Shown {
            saved: Saved::ToFlush,
            ..Shown::of(&checkpoint, file)
        };
        self.tell(&outcome, &shown, display)
    }

    /// Tells how a check of a finished wipe ended; keeps nothing. `found`: the
    /// wipe, with what the check reads and how.
    pub fn check(
        self,
        ended: &Ended,
        mut found: Checkpoint,
        file: &Path,
        display: &Display,
    ) -> Result<Outcome, Cause> {
        if let Some(cause) = never_began(ended) {
            display.abandon();
            return Err(cause);
        }
        let outcome = match outcome_of(ended) {
            // However right it reads: its old data is still somewhere.
            Outcome::Wiped if found.findings().keep_old_data() => Outcome::NotClear,
            Outcome::Wiped => Outcome::Checked,
            other => other,
        };
        display.clear();
        self.say_failed(&outcome, true);
        found.advance(&ended.state);
        Ok(self.tell(&outcome, &Shown::of(&found, file), display))
    }

    /// `kept`: whether there is a checkpoint to go on from.
    fn say_failed(&self, outcome: &Outcome, kept: bool) {
        if let Outcome::Failed(why) = outcome {
            let path = shown(&self.device.path);
            let text = if self.check {
                format!("{why}; nothing was written")
            } else if !kept {
                format!("{why}; there is no checkpoint of it: it cannot be resumed")
            } else {
                format!(
                    "{why}; the checkpoint is kept, go on with `{}`",
                    self.context.resume_command()
                )
            };
            screen::message(&path, &text);
        }
    }

    /// The line on stdout, and those that explain it.
    fn tell(self, outcome: &Outcome, shown: &Shown<'_>, display: &Display) -> Outcome {
        self.tell_as(outcome, outcome.clone(), shown, display)
    }

    /// The same, where the program ends as `told`.
    fn tell_as(
        self,
        outcome: &Outcome,
        told: Outcome,
        shown: &Shown<'_>,
        display: &Display,
    ) -> Outcome {
        let file = shown.file;
        let keeping = self.context.keeping();
        let unflushed = card::unflushed_text(keeping);
        let ending = Ending {
            outcome,
            path: &self.device.path,
            name: &self.device.name,
            medium: self.device.medium,
            slot: self.device.slot.as_deref(),
            write_back: self.device.write_back,
            checkpoint: shown.checkpoint,
            file: file.exists().then_some(file),
            saved: shown.saved,
            delivered: shown.delivered,
            state: keeping.durability.clone(),
            active: self.active,
            resume_command: self.context.resume_command(),
            rate_limit: self.context.request.rate_limit,
            check: self.check,
        };
        let told = screen::delivered(&screen::result(&report::line(&ending)), told);
        // After the line, as it says with which code the program ends.
        display.finish(&told);
        if !self.context.request.quiet {
            let flush = unflushed.iter().filter(|_| !self.check);
            let flush = flush.flat_map(|text| field("Flush", text));
            for line in report::details(&ending).into_iter().chain(flush) {
                screen::say(&line);
            }
        }
        told
    }
}

/// What the last words are about.
struct Shown<'a> {
    checkpoint: &'a Checkpoint,
    file: &'a Path,
    saved: Saved,
    delivered: &'a [PathBuf],
}

impl<'a> Shown<'a> {
    fn of(checkpoint: &'a Checkpoint, file: &'a Path) -> Self {
        Self {
            checkpoint,
            file,
            saved: Saved::All,
            delivered: &[],
        }
    }
}

/// Why nothing was written; `None` where something may have been.
fn never_began(ended: &Ended) -> Option<Cause> {
    match &ended.end {
        End::NotStarted(why) => Some(Cause::NotSaved(why.clone())),
        End::NoMeans(why) => Some(Cause::NoMeans(why.clone())),
        _ => None,
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
