//! The line on stdout.

use super::ending::{Ending, Saved};
use super::found::Found;
use crate::outcome::Outcome;
use crate::plan::{Amount, Verify};
use crate::progress::Checkpoint;
use crate::text::{octal, size};
use std::path::Path;

/// The line on stdout, for people and scripts: `OUTCOME PATH SERIAL ...`.
pub(crate) fn line(ending: &Ending<'_>) -> String {
    let Ending {
        outcome,
        checkpoint,
        ..
    } = ending;
    let size = checkpoint.total_size();
    let found = Found::of(checkpoint);
    let (unusable, differs) = (found.bad.amount, found.differ.amount);
    let bad = format!("{}{}", at_least(unusable), found.bad.sectors());
    let good = size.saturating_sub(unusable.most);
    let record = match ending.saved {
        Saved::All | Saved::ToFlush => "",
        Saved::Less => ", record none",
    };
    let head = format!(
        "{} {} {}",
        outcome.word(),
        octal(&ending.device.path),
        field_of(checkpoint.device_id().serial.as_deref())
    );
    match outcome {
        Outcome::Wiped | Outcome::Checked | Outcome::Differs => {
            let differ = format!("{}{}", at_least(differs), differs.least);
            let read_back = match checkpoint.plan().verify() {
                // It was switched off when some of it was done.
                Verify::None if differs.most > 0 => format!("partial, {differ} differ"),
                Verify::None => "none".into(),
                how => format!("{}, {differ} differ", how.name()),
            };
            let bytes = if good == size {
                format!("{size} bytes")
            } else {
                format!("{good} of {size} bytes")
            };
            format!("{head} {bytes}, {bad} bad, read-back {read_back}{record}")
        }
        Outcome::NotClear => format!("{head} {good} of {size} bytes, {bad} bad{record}"),
        _ => {
            let done = checkpoint.position();
            format!("{head} {done} of {size} bytes, {}", position(checkpoint))
        }
    }
}

/// The line on stdout of a target that was not touched. `path` as typed, `None`
/// where none was; `serial` as far as it is known.
pub(crate) fn refused_line(outcome: &Outcome, path: Option<&Path>, serial: Option<&str>) -> String {
    let path = path.map_or("-".into(), octal);
    let word = outcome.word();
    format!("{word} {path} {} nothing written", field_of(serial))
}

/// What comes before a number that is not known exactly, because ranges were
/// joined.
fn at_least(amount: Amount) -> &'static str {
    if amount.is_exact() { "" } else { "at least " }
}

/// What was done and how far, as `write 43.0%`, rounded down.
pub(crate) fn position(checkpoint: &Checkpoint) -> String {
    let share = size::percent_text(checkpoint.position(), checkpoint.total_size());
    format!("{} {share}", checkpoint.phase().name())
}

fn field_of(serial: Option<&str>) -> String {
    match serial.map(str::trim) {
        None | Some("") => "-".into(),
        Some(serial) => octal(serial),
    }
}
