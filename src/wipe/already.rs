//! A drive that is found wiped already, and the record that says so.

use super::context::Context;
use super::history::Finished;
use super::open::Opened;
use super::{ask, delivery};
use crate::outcome::Outcome;
use crate::refusal::Cause;
use crate::report::{self, Ending};
use crate::screen;
use crate::text::{all_shown, clean, shown};

/// Tells of a wipe that is already done; nothing is written to the drive.
pub(super) fn tell(
    context: &Context,
    opened: &Opened,
    finished: &Finished,
) -> Result<Outcome, Cause> {
    let (device, record) = (opened.device(), &finished.record);
    // Who names another drive is not told that it is wiped.
    ask::is_named(&context.request, opened)?;
    let subject = shown(&device.path);
    let seen = if finished.read_whole {
        "every byte of it still matches"
    } else {
        "its samples still match"
    };
    let when = clean(record.checkpoint.timestamp());
    let badly = Cause::WipedBadly(when.clone(), record.outcome.word(), seen);
    let text = match &record.outcome {
        Outcome::Wiped => format!("was wiped on {when}, and {seen}; nothing was written"),
        _ => badly.text(),
    };
    if context.request.dry_run {
        if record.outcome != Outcome::Wiped {
            return Err(badly);
        }
        screen::message(&subject, &text);
        return Ok(Outcome::Nothing);
    }
    let again = delivery::again(&context.request, record, device);
    let mut outcome = record.outcome.clone();
    if let (Err(why), Some(path)) = (&again, &context.request.report) {
        let kept = shown(&record.path);
        let text = format!("the report could not be written: {why}; it is kept as {kept}");
        screen::message(&shown(path), &text);
        outcome = outcome.undelivered();
    }
    let delivered = again.unwrap_or_default();
    let ending = Ending {
        file: Some(&record.path),
        delivered: &delivered,
        ..Ending::new(&record.outcome, device, &record.checkpoint)
    };
    let outcome = screen::delivered(&screen::result(&report::line(&ending)), outcome);
    if !context.request.quiet {
        screen::message(&subject, &text);
    }
    name_all(context, opened, finished);
    Ok(outcome)
}

/// Names every record that the drive's content matches, where there are
/// several.
pub(super) fn name_all(context: &Context, opened: &Opened, finished: &Finished) {
    if finished.beside.is_empty() || context.request.quiet {
        return;
    }
    let text = format!(
        "its content matches several records, none of which supersedes another; {} counts, \
         as none ended worse; the others: {}",
        shown(&finished.record.path),
        all_shown(&finished.beside)
    );
    screen::message(&shown(&opened.device().path), &text);
}
