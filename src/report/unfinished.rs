//! The closing lines of a run that stopped or failed on the way.

use super::ending::{Ending, Saved};
use super::found::Found;
use crate::plan::Phase;
use crate::probe::Durability;
use crate::progress::Checkpoint;
use crate::text::{clean, shown};

pub(super) fn unfinished_check(ending: &Ending<'_>) -> Vec<String> {
    // With the same options; a check that stopped left nothing to continue.
    let command = ending.resume_command.replacen("--resume", "--check", 1);
    let again = format!("{command} {}", shown(&ending.device.path));
    let mut lines = vec!["  The check is NOT finished; nothing was written.".to_string()];
    let so_far = so_far(&Found::of(ending.checkpoint));
    lines.extend(so_far.map(|text| format!("  {text}")));
    lines.push(format!("  Do it again: {}", clean(&again)));
    lines
}

pub(super) fn unfinished(ending: &Ending<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |text: String| lines.push(format!("  {text}"));
    let file = ending.file.map(shown);
    match (&file, ending.saved) {
        (Some(file), Saved::All) => say(format!("Flushed, and saved in {file}.")),
        (Some(file), Saved::ToFlush) => {
            say(format!("Saved up to the last good flush in {file}."));
            say("What was written after that does NOT count: a resume writes it again.".into());
        }
        (Some(file), Saved::Less) => {
            say(format!("The last save FAILED; {file} is older"));
            say("than this position: a resume does what came after it again.".into());
        }
        (None, _) => say("No checkpoint was saved: it cannot be resumed.".into()),
    }
    let found = Found::of(ending.checkpoint);
    say(state_of(ending.checkpoint, found.noun));
    if !found.bad.is_none() {
        let text = found.bad.in_sectors();
        say(format!("So far {text} could not be written or read."));
    }
    so_far(&found).into_iter().for_each(&mut say);
    if file.is_some() {
        let when = match ending.state {
            Durability::Memory => "before a reboot (the state is in memory only)",
            Durability::Unknown(_) => "also after a clean reboot",
            Durability::Kept | Durability::BySlots(_) | Durability::Server(_) => {
                "also after a reboot"
            }
        };
        let command = clean(&ending.resume_command);
        say(format!("Continue, {when}: {command}"));
        if ending.rate_limit.is_some() {
            say("The rate limit is not saved: a resume has none unless it is given again.".into());
        }
    }
    lines
}

fn so_far(found: &Found<'_>) -> Option<String> {
    let bytes = (!found.differ.is_none()).then(|| found.differ.in_bytes())?;
    Some(format!("So far {bytes} read back different."))
}

/// What an unfinished target holds.
fn state_of(checkpoint: &Checkpoint, noun: &str) -> String {
    match (checkpoint.phase(), checkpoint.pass()) {
        (Phase::Write, 1) => format!("The {noun} is NOT wiped: the rest still holds its old data."),
        (Phase::Write, pass) => {
            let passes = checkpoint.plan().passes().len();
            format!("The wipe is NOT finished: pass {pass} of {passes} is not complete.")
        }
        (Phase::Verify, _) => {
            "The wipe is NOT finished: the pass is written, but not yet read back in full.".into()
        }
        (Phase::Complete, _) if checkpoint.read_again() => {
            "Every step has ended, but it may be changed since; a resume reads it back.".into()
        }
        (Phase::Complete, _) => {
            "Every step has ended, but no record is saved; a resume goes on from there.".into()
        }
    }
}
