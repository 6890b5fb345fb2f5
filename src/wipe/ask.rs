//! Whether the user wants this: the card, and the question where one is needed.

use std::time::Duration;

use jiff::ZonedDateTime;

use super::decide::Job;
use super::open::Opened;
use super::resume::Unfinished;
use crate::cli::Request;
use crate::drive::{self, Attached, Device, Identity};
use crate::engine::Proof;
use crate::outcome::Outcome;
use crate::probe::{Durability, Host};
use crate::progress::StateDir;
use crate::screen::{self, Answer, Face, PassTimes, Proof as Shown, Wanted, card, question};
use crate::text::{clean, field, no_room, reason, shown};

/// What the question is about.
pub struct Consent<'a> {
    /// What was asked for.
    pub request: &'a Request,
    /// This machine.
    pub host: &'a Host,
    /// How progress will be shown.
    pub face: Face,
    /// Where the state is kept.
    pub state: &'a StateDir,
}

impl Consent<'_> {
    /// Shows what will be done and asks where that is needed; tells whether it
    /// asked.
    ///
    /// # Errors
    /// Refused or declined.
    pub fn obtain(&self, opened: &Opened, job: &Job, subject: &str) -> Result<bool, Outcome> {
        let device = opened.device();
        let named = self.named(opened, subject)?;
        let times = self.times(opened, subject);
        let ask = match &job.continued {
            None => !(self.request.yes || named),
            Some(continued) => {
                let moved = moved(continued, device);
                let identity = &device.identity;
                !named && self.must_ask(continued, identity, moved.as_deref(), subject)?
            }
        } && !self.request.dry_run;
        let looked_at = ask || self.request.dry_run || self.face == Face::Bar;
        let shows = !self.request.quiet && (looked_at || job.continued.is_some());
        if shows {
            self.show(device, job, times);
        }
        // The card of a fresh wipe has them.
        if !shows || job.continued.is_some() {
            for warning in drive::warnings(device) {
                screen::message(subject, &format!("warning: {warning}"));
            }
        }
        if !shows && !self.request.quiet {
            for forgotten in &job.forgets {
                screen::message(subject, &format!("forgets {forgotten}"));
            }
        }
        // The same of how the state is kept.
        if !shows || job.continued.is_some() {
            self.warn_of_state();
        }
        if ask {
            self.ask(device, subject)?;
        }
        Ok(ask)
    }

    /// Says what is not promised of the state.
    fn warn_of_state(&self) {
        let root = self.state.root();
        let keeping = self.host.keeping(root);
        let less = !matches!(keeping.durability, Durability::Kept | Durability::Server(_));
        let kept = less.then(|| card::kept_text(&keeping.durability));
        for text in kept.into_iter().chain(card::unflushed_text(&keeping)) {
            screen::message(&shown(root), &format!("warning: {text}"));
        }
    }

    /// Whether the user named this drive by its serial, which is the answer to
    /// the question. Each serial must be that of the one target, and of several
    /// targets each must have one of them.
    ///
    /// # Errors
    /// A refusal where it is the serial of another drive.
    pub fn named(&self, opened: &Opened, subject: &str) -> Result<bool, Outcome> {
        let device = opened.device();
        let refused =
            |why: String| Outcome::Refused(format!("{subject}: {}; not touched", clean(&why)));
        let serials = &self.request.serials;
        if serials.is_empty() {
            return Ok(false);
        }
        let wrong: Vec<&str> = serials
            .iter()
            .filter(|serial| !device.identity.has_serial(serial))
            .map(|serial| serial.trim())
            .collect();
        let enough = self.request.targets.len() > 1 && wrong.len() < serials.len();
        if !wrong.is_empty() && !enough {
            let own = device.identity.serial.as_deref().map(str::trim);
            let id = device.identity.nature().id_word();
            let own = own.map_or(format!("has no {id}"), |own| format!("has the {id} {own}"));
            return Err(refused(format!(
                "{own}, but --serial says {}; look at --dry-run",
                wrong.join(", ")
            )));
        }
        let own = device.identity.serial.as_deref();
        let shares = |rival: &&Attached| own.is_some_and(|own| rival.identity.has_serial(own));
        let kin = opened.kin();
        match kin.rivals.iter().chain(&kin.alike).find(shares) {
            Some(rival) => Err(refused(format!(
                "{} has the same serial, which so names neither; detach one",
                shown(&rival.path)
            ))),
            None => Ok(true),
        }
    }

    /// Consent to a continued wipe is in its checkpoint, where the drive is
    /// proved to be the one that it was given for.
    fn must_ask(
        &self,
        continued: &Unfinished,
        identity: &Identity,
        moved: Option<&str>,
        subject: &str,
    ) -> Result<bool, Outcome> {
        let matches = matches!(continued.proof, Proof::Matches { .. });
        if continued.same_identity && matches {
            // Behind another controller a drive may show other bytes.
            return Ok(moved.is_some() && !self.request.yes);
        }
        let cryptographic = continued.proof.is_cryptographic();
        // An image is known by what it holds, and where that tells nothing by
        // where it is, if that is what was named.
        let file = |identity: &Identity| {
            let file = identity.backing.as_ref().filter(|file| file.inode != 0)?;
            Some(file.path.clone())
        };
        let (now, then) = (file(identity), file(continued.checkpoint.device_id()));
        let named = !self.request.targets.is_empty();
        if now.is_some() && (cryptographic || (matches && named && now == then && self.request.yes))
        {
            return Ok(false);
        }
        // Nothing but the user's word says which of two that look the same.
        if continued.has_double && matches && named {
            return Ok(!self.request.yes);
        }
        // As for a fresh wipe: the drive was named, or is known by its
        // identifiers, and next to nothing was written.
        let as_fresh = !matches && (continued.same_identity || !self.request.targets.is_empty());
        if !self.request.yes {
            return Ok(true);
        }
        if cryptographic || as_fresh || self.request.dry_run {
            return Ok(false);
        }
        // A constant pass that matches is no proof of which drive it is, and
        // without a TARGET nobody said that it is this one.
        let way = if matches {
            "leave out --yes to be asked"
        } else {
            "name it as TARGET"
        };
        Err(Outcome::Refused(format!(
            "{subject}: neither identifiers nor content prove that it is the drive of {}; \
             {way}, or --restart; not touched",
            shown(&continued.file)
        )))
    }

    fn show(&self, device: &Device, job: &Job, times: Option<PassTimes>) {
        let now = ZonedDateTime::now();
        let mut lines = if let Some(continued) = &job.continued {
            let recorded = continued.checkpoint.device_id();
            let samples = match continued.proof {
                Proof::Matches { samples, .. } => samples,
                Proof::Differs(_) | Proof::TooLittle => 0,
            };
            let identifiers = device.identity.equal_identifiers(recorded).join(" and ");
            let proof = Shown {
                identifiers,
                samples,
            };
            let checkpoint = continued.checkpoint.clone();
            let checkpoint = checkpoint.entering(&job.plan, &job.state);
            let mut lines = card::resume_card(&checkpoint, device, &proof, times, &now);
            lines.extend(
                moved(continued, device)
                    .iter()
                    .flat_map(|text| field("Changed", text)),
            );
            lines
        } else {
            let root = self.state.root();
            let keeping = self.host.keeping(root);
            let mut lines = card::card(device, &job.plan, times, &now, root, &keeping);
            let forgotten = job.forgets.iter();
            lines.extend(forgotten.flat_map(|text| field("Forgets", text)));
            lines
        };
        let continued = job.continued.as_ref();
        let continued =
            continued.and_then(|one| Some((one.file.file_name()?.to_str()?, &one.checkpoint)));
        let lacking = self.state.no_room(&job.plan, continued);
        lines.extend(
            lacking
                .iter()
                .flat_map(|why| field("Record", &no_room(why))),
        );
        for line in lines {
            screen::say(&line);
        }
        screen::say("");
    }

    fn ask(&self, device: &Device, subject: &str) -> Result<(), Outcome> {
        let wanted = Wanted::of(device, &self.host.attached());
        // What will be lost by name, right above the answer.
        let mut lines: Vec<String> = drive::losses(device)
            .iter()
            .map(|warning| format!("Warning: {warning}."))
            .collect();
        lines.extend(question::question(device, &wanted));
        let why_not = match question::ask(&lines, &wanted) {
            Ok(Answer::Yes) => return Ok(()),
            Ok(Answer::No) => {
                return Err(Outcome::Refused(format!(
                    "{subject}: declined; nothing was written"
                )));
            }
            Ok(Answer::NoTerminal) => "there is no terminal to ask on".to_string(),
            Err(error) => format!("cannot ask on the terminal: {}", reason(&error)),
        };
        Err(Outcome::Refused(format!(
            "{subject}: {why_not}; add --serial with its serial, or --yes, to wipe without asking; \
             not touched"
        )))
    }

    /// How long a pass takes to write and to read back, from the speed of the
    /// drive now.
    fn times(&self, opened: &Opened, subject: &str) -> Option<PassTimes> {
        match opened.writer.read_speed() {
            Ok(speed) => {
                let speed = speed?
                    .min(self.request.rate_limit.unwrap_or(u64::MAX))
                    .max(1);
                let time = Duration::from_secs(opened.device().size / speed);
                Some((time, time))
            }
            Err(error) => {
                let text = format!("cannot be read ({}); it may be dying", reason(&error));
                screen::message(subject, &text);
                None
            }
        }
    }
}

/// What changed about how the drive is attached since the wipe began.
fn moved(continued: &Unfinished, device: &Device) -> Option<String> {
    let (then, now) = (
        continued.checkpoint.device_id().transport,
        device.identity.transport,
    );
    (then != now).then(|| {
        format!(
            "it was attached by {} and is now by {}",
            then.name(),
            now.name()
        )
    })
}
