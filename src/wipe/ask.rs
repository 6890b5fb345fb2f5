//! Whether the user wants this: the card, and the question where one is needed.

use std::time::Duration;

use jiff::ZonedDateTime;

use super::context::Context;
use super::job::Job;
use super::open::Opened;
use super::unfinished::Unfinished;
use crate::cli::{Mode, Request};
use crate::drive::{self, Attached, Device, Identity};
use crate::engine::Proof;
use crate::probe::Durability;
use crate::refusal::Cause;
use crate::screen::{self, Answer, Expected, Face, PassTimes, SameDrive, card, question};
use crate::text::{field, no_room, reason, shown};

pub(super) fn about(context: &Context, begun: &Unfinished, device: &Device) -> Result<Mode, Cause> {
    use question::Continuation::{Continue, Leave, NoTerminal, StartOver};
    let silent = context.request.yes || context.request.dry_run;
    let answer = if silent {
        NoTerminal
    } else {
        question::choose_continue(device, &begun.checkpoint).unwrap_or(NoTerminal)
    };
    match answer {
        Continue => Ok(Mode::Resume),
        StartOver => Ok(Mode::Restart),
        Leave => Err(Cause::Left),
        NoTerminal => Err(Cause::Begun(begun.file.clone())),
    }
}

/// Shows what will be done and asks where that is needed; tells whether it
/// asked.
pub(super) fn ask(context: &Context, opened: &Opened, job: &Job) -> Result<bool, Cause> {
    let (device, request) = (opened.device(), &context.request);
    let subject = &shown(&device.path);
    let named = is_named(request, opened)?;
    let times = times(context, opened, subject);
    let ask = match &job.continued {
        None => !(request.yes || named),
        Some(continued) => !named && must_ask(request, continued, device)?,
    } && !request.dry_run;
    let looked_at = ask || request.dry_run || context.face() == Face::Bar;
    let shows = !request.quiet && (looked_at || job.continued.is_some());
    if shows {
        show(context, device, job, times);
    }
    // The card of a fresh wipe has both.
    let is_on_card = shows && job.continued.is_none();
    if !is_on_card {
        for warning in drive::warnings(device) {
            screen::message(subject, &format!("warning: {warning}"));
        }
    }
    if !shows && !request.quiet {
        for forgotten in &job.forgets {
            screen::message(subject, &format!("forgets {forgotten}"));
        }
    }
    if !is_on_card {
        warn_of_state(context);
    }
    if ask {
        put(context, device)?;
    }
    Ok(ask)
}

fn warn_of_state(context: &Context) {
    let root = context.state.root();
    let keeping = context.keeping();
    let less = !matches!(keeping.durability, Durability::Kept | Durability::Server(_));
    let kept = less.then(|| card::kept_text(&keeping.durability));
    for text in kept.into_iter().chain(card::unflushed_text(keeping)) {
        screen::message(&shown(root), &format!("warning: {text}"));
    }
}

/// Consent to a continued wipe is in its checkpoint, where the drive is
/// proved to be the one that it was given for.
fn must_ask(request: &Request, continued: &Unfinished, device: &Device) -> Result<bool, Cause> {
    let (yes, named) = (request.yes, !request.targets.is_empty());
    let matches = matches!(continued.proof, Proof::Matches { .. });
    let cryptographic = continued.proof.is_cryptographic();
    if continued.same_identity && matches {
        // Behind another controller a drive may show other bytes.
        return Ok(!yes && moved(continued, device).is_some());
    }
    let file = |identity: &Identity| {
        let file = identity.backing.as_ref().filter(|file| file.inode != 0)?;
        Some(file.path.clone())
    };
    let now = file(&device.identity);
    if !yes {
        // An image is known by what it holds.
        return Ok(!(cryptographic && now.is_some()));
    }
    // Where that tells nothing, by where it is, if that is what was named. And nothing
    // but the user's word says which of two that look the same.
    let in_place = now.is_some() && now == file(continued.checkpoint.device_id());
    let by_word = matches && named && (in_place || continued.has_double);
    // As for a fresh wipe: the drive was named, or is known by its identifiers, and
    // next to nothing was written.
    let as_fresh = !matches && (named || continued.same_identity);
    if cryptographic || by_word || as_fresh || request.dry_run {
        return Ok(false);
    }
    // A constant pass that matches is no proof of which drive it is, and
    // without a TARGET nobody said that it is this one.
    let way = if matches {
        "leave out --yes to be asked"
    } else {
        "name it as TARGET"
    };
    Err(Cause::NotProved(continued.file.clone(), way))
}

fn show(context: &Context, device: &Device, job: &Job, times: Option<PassTimes>) {
    let now = ZonedDateTime::now();
    let mut lines = if let Some(continued) = &job.continued {
        let recorded = continued.checkpoint.device_id();
        let proof = SameDrive {
            identifiers: device.identity.equal_identifiers(recorded).join(" and "),
            samples: match continued.proof {
                Proof::Matches { samples, .. } => samples,
                Proof::Differs(_) | Proof::TooLittle => 0,
            },
        };
        let checkpoint = continued.checkpoint.clone();
        let checkpoint = checkpoint.entering(&job.plan, &job.state);
        let mut lines = card::resumed(&checkpoint, device, &proof, times, &now);
        let moved = moved(continued, device);
        lines.extend(moved.iter().flat_map(|text| field("Changed", text)));
        lines
    } else {
        let (root, keeping) = (context.state.root(), context.keeping());
        let mut lines = card::fresh(device, &job.plan, times, &now, root, keeping);
        let forgotten = job.forgets.iter();
        lines.extend(forgotten.flat_map(|text| field("Forgets", text)));
        lines
    };
    let continued = job.continued.as_ref();
    let continued =
        continued.and_then(|one| Some((one.file.file_name()?.to_str()?, &one.checkpoint)));
    let lacking = context.state.no_room(&job.plan, continued);
    let lacking = lacking
        .iter()
        .flat_map(|why| field("Record", &no_room(why)));
    lines.extend(lacking);
    lines.push(String::new());
    for line in lines {
        screen::say(&line);
    }
}

fn put(context: &Context, device: &Device) -> Result<(), Cause> {
    let wanted = Expected::of(device, &context.host.attached());
    // What will be lost by name, right above the answer.
    let mut lines: Vec<String> = drive::losses(device)
        .iter()
        .map(|warning| format!("Warning: {warning}."))
        .collect();
    lines.extend(question::question(device, &wanted));
    match question::ask(&lines, &wanted) {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Cause::Declined),
        Ok(Answer::NoTerminal) => Err(Cause::NoTerminal),
        Err(error) => Err(Cause::CannotAsk(error)),
    }
}

/// How long a pass takes to write and to read back, from the speed of the
/// drive now.
fn times(context: &Context, opened: &Opened, subject: &str) -> Option<PassTimes> {
    match opened.writer.read_speed() {
        Ok(speed) => {
            let speed = speed?
                .min(context.request.rate_limit.unwrap_or(u64::MAX))
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

fn moved(continued: &Unfinished, device: &Device) -> Option<String> {
    let then = continued.checkpoint.device_id().transport;
    let now = device.identity.transport;
    let (before, after) = (then.name(), now.name());
    (then != now).then(|| format!("it was attached by {before} and is now by {after}"))
}

/// Whether the user named this drive by its serial, which is the answer to
/// the question. Each serial must be that of the one target, and of several
/// targets each must have one of them.
pub(super) fn is_named(request: &Request, opened: &Opened) -> Result<bool, Cause> {
    let device = opened.device();
    let serials = &request.serials;
    if serials.is_empty() {
        return Ok(false);
    }
    let wrong = serials.iter().map(|serial| serial.trim());
    let wrong: Vec<&str> = wrong
        .filter(|serial| !device.identity.has_serial(serial))
        .collect();
    let enough = request.targets.len() > 1 && wrong.len() < serials.len();
    let own = device.identity.serial.as_deref();
    if !wrong.is_empty() && !enough {
        let id = device.identity.nature().id_word();
        let own = own.map_or(format!("has no {id}"), |own| {
            format!("has the {id} {}", own.trim())
        });
        return Err(Cause::OtherSerial(own, wrong.join(", ")));
    }
    let shares = |rival: &&Attached| own.is_some_and(|own| rival.identity.has_serial(own));
    let kin = opened.kin();
    match kin.rivals.iter().chain(&kin.alike).find(shares) {
        Some(rival) => Err(Cause::SharedSerial(rival.path.clone())),
        None => Ok(true),
    }
}
