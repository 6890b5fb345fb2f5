//! One run of the program: the targets that were named, or the drives of unfinished
//! wipes, one after the other. Why one was not touched is printed here alone.

use std::path::{Path, PathBuf};

use crate::cli::{Mode, Request};
use crate::engine::means;
use crate::outcome::{Outcome, Signal};
use crate::probe::Host;
use crate::refusal::Cause;
use crate::screen::{self, question};
use crate::text::{clean, shown};
use crate::wipe::{self, Context, locate};
use crate::{report, survey};

/// Threads besides those of the engine: for signals, what is shown, and times.
const RUN_THREADS: usize = 4;

/// Does what was asked, and says on stdout how each target ended; gives also the
/// signal that asked the run to stop.
pub(crate) fn run(request: Request) -> (Outcome, Option<Signal>) {
    let state = match wipe::state_dir(request.state_dir.as_deref()) {
        Ok(state) => state,
        Err(cause) => return (none_begun(&request.targets, &cause), None),
    };
    let context = Context::new(request, state);
    let outcome = match targets(&context) {
        Err(cause) => none_begun(&context.request.targets, &cause),
        Ok(targets) => match targets.as_slice() {
            [target] => one(&context, target),
            several if context.request.dry_run => dry_run(&context, several),
            several => one_by_one(&context, several),
        },
    };
    (outcome, context.stop.requested())
}

fn targets(context: &Context) -> Result<Vec<PathBuf>, Cause> {
    if !context.request.targets.is_empty() {
        return Ok(context.request.targets.clone());
    }
    let found = locate::drives_of_unfinished(&context.host, &context.state)
        .inspect_err(|_| show_all(context))?;
    if found.len() == 1 || context.request.yes {
        return Ok(found);
    }
    let names: Vec<String> = found.iter().map(|path| shown(path)).collect();
    let mut lines = vec!["Drives with unfinished wipes:".to_string()];
    lines.extend(names.iter().map(|name| format!("  {}", clean(name))));
    lines.push("Type the one to continue, anything else to leave: ".into());
    match question::choose_one(&lines, &names) {
        Ok(Some(index)) => Ok(vec![found[index].clone()]),
        Ok(None) | Err(_) => Err(Cause::Several(found)),
    }
}

fn show_all(context: &Context) {
    if context.request.quiet {
        return;
    }
    // That it cannot be listed is not what was asked for.
    if let Some(text) = survey::overview(context) {
        text.lines().for_each(screen::say);
    }
}

fn none_begun(targets: &[PathBuf], cause: &Cause) -> Outcome {
    if targets.is_empty() {
        say_refused(cause, None);
    }
    for target in targets {
        say_refused(cause, Some(target));
    }
    say_why(cause, None)
}

/// One target, from its path to its line on stdout.
fn one(context: &Context, target: &Path) -> Outcome {
    let way = match context.request.mode {
        Mode::Check => wipe::check,
        _ => wipe::wipe,
    };
    let begun = means::ensure(0, RUN_THREADS).map_err(Cause::NoMeans);
    let done = begun.and_then(|()| way(context, target));
    done.unwrap_or_else(|cause| {
        say_refused(&cause, Some(target));
        say_why(&cause, Some(target))
    })
}

/// The line on stdout of a target that was not touched. A wrong command line has
/// none.
fn say_refused(cause: &Cause, target: Option<&Path>) {
    let outcome = cause.outcome();
    if outcome == Outcome::Usage {
        return;
    }
    let device = target.and_then(|target| Host::real().glance(target).ok());
    let serial = device.and_then(|device| device.identity.serial);
    // It has a code of its own, and why not is said on stderr.
    let _ = screen::result(&report::refused_line(&outcome, target, serial.as_deref()));
}

fn say_why(cause: &Cause, target: Option<&Path>) -> Outcome {
    for line in cause.lines(target) {
        screen::notice(&line);
    }
    cause.outcome()
}

/// What would be done with each of several targets, or why it is refused.
fn dry_run(context: &Context, targets: &[PathBuf]) -> Outcome {
    let done = targets.iter().map(|target| one(context, target));
    let mut refused = done.filter(|outcome| *outcome != Outcome::Nothing).count();
    let has = |target: &&PathBuf, serial: &str| {
        let device = context.host.glance(target);
        device.is_ok_and(|device| device.identity.has_serial(serial))
    };
    for serial in &context.request.serials {
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
    say_why(&Cause::DryRun(targets.len()), None)
}

fn one_by_one(context: &Context, targets: &[PathBuf]) -> Outcome {
    let mut worst = Outcome::Nothing;
    for target in targets {
        let mut outcome = one(context, target);
        if matches!(outcome, Outcome::Refused | Outcome::Busy) {
            // Others were or will be written, which "refused" would deny.
            outcome = Outcome::Failed("not all drives were wiped".into());
        }
        let stopped = context.stop.requested().is_some();
        worst = worst.or_worse(outcome);
        if stopped {
            break;
        }
    }
    worst
}
