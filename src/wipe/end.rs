//! The end of a run: the checkpoint is completed or kept, and the user told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::delivery::{self, Delivered, Delivery};
use super::run::EngineRun;
use crate::drive::path_from_text;
use crate::engine::{End, Ended, Event, Observer as _};
use crate::outcome::Outcome;
use crate::plan::{Phase, Step};
use crate::progress::{Checkpoint, Saver};
use crate::refusal::Cause;
use crate::report::{self, Ending, Record, Saved};
use crate::screen::{self, card};
use crate::text::{field, reason, shown, span};

impl EngineRun<'_> {
    /// Completes or keeps the checkpoint, and tells how the run ended. `spoiled`:
    /// why a wipe that was written in full is not to be called done.
    pub(super) fn close(
        &self,
        ended: &Ended,
        spoiled: Option<String>,
        mut saver: Saver,
    ) -> Result<Outcome, Cause> {
        self.context.answer_status(None);
        self.display.closing();
        let active = self.times.work();
        let outcome = outcome_of(ended, saver.checkpoint()).inspect_err(|_| {
            // The reason follows; the log needs no last line.
            self.display.abandon();
            // What could not be saved whole must not look like a wipe.
            let _ = saver.withdraw();
            saver.give_up();
        })?;
        let outcome = spoiled.map_or(outcome, Outcome::Failed);
        let ended_by = match (&outcome, self.context.stop.requested()) {
            (Outcome::Interrupted(signal), _) => signal.name().to_string(),
            (Outcome::Failed(why), Some(signal)) => format!("{}; error: {why}", signal.name()),
            (Outcome::Failed(why), None) => format!("error: {why}"),
            _ => "finished".into(),
        };
        let last_save = saver.end_run(&ended.state, &ended_by);
        let failed = matches!(outcome, Outcome::Failed(_));
        if ended.state.step.phase == Phase::Complete && !failed {
            return Ok(self.finish(&outcome, &saver, active));
        }
        self.display.clear();
        self.say_failed(&outcome, saver.on_disk().is_some());
        let file = saver.pending_path();
        let ending = Ending {
            saved: match last_save {
                Err(_) => Saved::Less,
                Ok(()) if !ended.flushed => Saved::ToFlush,
                Ok(()) => Saved::All,
            },
            active,
            ..self.ending(&outcome, saver.checkpoint(), &file)
        };
        Ok(self.tell(&ending, outcome.clone()))
    }

    /// Delivers what a wipe that is done leaves behind, and tells of both.
    fn finish(&self, outcome: &Outcome, saver: &Saver, active: Duration) -> Outcome {
        let (context, device) = (self.context, self.opened.device());
        let record = Record::new(saver.checkpoint(), outcome, device, context.host.computer());
        let wait = delivery::patience(&context.stop);
        let tell = |what| {
            let event = Event::NotDelivered(what, delivery::PATIENCE);
            self.display.event(event);
        };
        let delivered = match Delivery::new(&record, saver, device) {
            Ok(delivery) => delivery.run(&wait, &tell),
            Err(error) => Delivered::nothing(&reason(&error)),
        };
        self.display.clear();
        for (what, why) in self.undelivered(&delivered, saver) {
            screen::message(&shown(&what), &why);
        }
        let told = if delivered.is_whole() {
            outcome.clone()
        } else {
            outcome.clone().undelivered()
        };
        let (file, kept) = match delivered.record {
            Ok(()) => (saver.record_path(), Saved::All),
            Err(_) => (saver.pending_path(), Saved::Less),
        };
        let ending = Ending {
            saved: kept,
            delivered: &delivered.report.unwrap_or_default(),
            active,
            ..self.ending(outcome, saver.checkpoint(), &file)
        };
        self.tell(&ending, told)
    }

    /// What could not be delivered: of what, and why with what follows from it.
    fn undelivered(&self, delivered: &Delivered, saver: &Saver) -> Vec<(PathBuf, String)> {
        let record = saver.record_path();
        let page = record.with_extension("html");
        let mut all = Vec::new();
        let mut add = |path: &Path, text: String| {
            all.push((path.into(), format!("{text}; {}", self.resume_would(saver))));
        };
        if let Err(why) = &delivered.record {
            add(&record, format!("the record could not be saved: {why}"));
        } else if let Err(why) = &delivered.page {
            let text = format!("the page could not be saved: {why}; its record is");
            add(&page, text);
        } else if let Err(why) = &delivered.ended {
            let text = format!("the checkpoint could not be removed: {why}; the record is saved");
            add(&saver.pending_path(), text);
        }
        if let Err(why) = &delivered.report {
            let kept = match delivered.page {
                Ok(()) => format!("; it is kept as {}", shown(&page)),
                Err(_) => String::new(),
            };
            let path = saver.checkpoint().report().path.as_deref();
            let path = path.and_then(path_from_text).unwrap_or_default();
            all.push((
                path,
                format!("the report could not be written: {why}{kept}"),
            ));
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
    pub(super) fn hung(
        &self,
        mut checkpoint: Checkpoint,
        saved: Option<(Step, u64)>,
        file: &Path,
        silence: Duration,
    ) -> Outcome {
        let outcome = Outcome::Failed(format!(
            "nothing has come back from it for {} (--stall-timeout); this process can end only \
             when the kernel gives up what it waits for",
            span(silence)
        ));
        if let Some((step, position)) = saved {
            checkpoint.set_position(step, position);
        }
        self.display.clear();
        self.say_failed(&outcome, true);
        let ending = Ending {
            saved: Saved::ToFlush,
            ..self.ending(&outcome, &checkpoint, file)
        };
        self.tell(&ending, outcome.clone())
    }

    /// Tells how a check of a finished wipe ended; keeps nothing. `found`: the
    /// wipe, with what the check reads and how.
    pub(super) fn check(
        &self,
        ended: &Ended,
        mut found: Checkpoint,
        file: &Path,
    ) -> Result<Outcome, Cause> {
        self.context.answer_status(None);
        let outcome = match outcome_of(ended, &found).inspect_err(|_| self.display.abandon())? {
            Outcome::Wiped => Outcome::Checked,
            other => other,
        };
        self.display.clear();
        self.say_failed(&outcome, true);
        found.advance(&ended.state);
        Ok(self.tell(&self.ending(&outcome, &found, file), outcome.clone()))
    }

    /// `kept`: whether there is a checkpoint to go on from.
    fn say_failed(&self, outcome: &Outcome, kept: bool) {
        let Outcome::Failed(why) = outcome else {
            return;
        };
        let then = if self.check {
            "nothing was written".into()
        } else if !kept {
            "there is no checkpoint of it: it cannot be resumed".into()
        } else {
            let command = self.context.resume_command();
            format!("the checkpoint is kept, go on with `{command}`")
        };
        screen::message(
            &shown(&self.opened.device().path),
            &format!("{why}; {then}"),
        );
    }

    fn ending<'a>(
        &'a self,
        outcome: &'a Outcome,
        checkpoint: &'a Checkpoint,
        file: &'a Path,
    ) -> Ending<'a> {
        Ending {
            file: file.exists().then_some(file),
            state: &self.context.keeping().durability,
            active: self.times.work(),
            resume_command: self.context.resume_command(),
            rate_limit: self.context.request.rate_limit,
            check: self.check,
            ..Ending::new(outcome, self.opened.device(), checkpoint)
        }
    }

    /// The line on stdout, and those that explain it, where the program ends as
    /// `told`.
    fn tell(&self, ending: &Ending<'_>, told: Outcome) -> Outcome {
        let told = screen::delivered(&screen::result(&report::line(ending)), told);
        // After the line, as it says with which code the program ends.
        self.display.finish(&told);
        if self.context.request.quiet {
            return told;
        }
        let flush = card::unflushed_text(self.context.keeping());
        let flush = flush.iter().filter(|_| !self.check);
        let flush = flush.flat_map(|text| field("Flush", text));
        for line in report::details(ending).into_iter().chain(flush) {
            screen::say(&line);
        }
        told
    }
}

/// How a run ended whose position and findings are in `checkpoint`, or why nothing
/// was begun.
fn outcome_of(ended: &Ended, checkpoint: &Checkpoint) -> Result<Outcome, Cause> {
    let state = &ended.state;
    Ok(match &ended.end {
        End::NotStarted(why) => return Err(Cause::NotSaved(why.clone())),
        End::NoMeans(why) => return Err(Cause::NoMeans(why.clone())),
        End::Failed(error) => Outcome::Failed(error.to_string()),
        End::Interrupted(signal) if state.step.phase != Phase::Complete => {
            Outcome::Interrupted(*signal)
        }
        End::Interrupted(_) | End::Complete if !state.mismatches.is_empty() => Outcome::Differs,
        // However right it reads: its old data is still somewhere.
        End::Interrupted(_) | End::Complete
            if !state.bad.is_empty() || checkpoint.findings().keep_old_data() =>
        {
            Outcome::NotClear
        }
        End::Interrupted(_) | End::Complete => Outcome::Wiped,
    })
}
