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
    let again = format!("{command} {}", shown(ending.path));
    let mut lines = vec!["  The check is NOT finished; nothing was written.".to_string()];
    let differ = Found::of(ending.checkpoint).differ;
    if !differ.is_none() {
        let bytes = differ.in_bytes();
        lines.push(format!("  So far {bytes} read back different."));
    }
    lines.push(format!("  Do it again: {}", clean(&again)));
    lines
}

/// The run stopped or failed on the way.
pub(super) fn unfinished(ending: &Ending<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |text: String| lines.push(format!("  {text}"));
    match (ending.file, ending.saved) {
        (Some(file), Saved::All) => {
            say(format!("Flushed, and saved in {}.", shown(file)));
        }
        (Some(file), Saved::ToFlush) => {
            say(format!(
                "Saved up to the last good flush in {}.",
                shown(file)
            ));
            say("What was written after that does NOT count: a resume writes it again.".into());
        }
        (Some(file), Saved::Less) => {
            say(format!("The last save FAILED; {} is older", shown(file)));
            say("than this position: a resume does what came after it again.".into());
        }
        (None, _) => say("No checkpoint was saved: it cannot be resumed.".into()),
    }
    for text in state_of(ending.checkpoint) {
        say(text);
    }
    if ending.file.is_some() {
        let when = match ending.state {
            Durability::Memory => "before a reboot (the state is in memory only)",
            Durability::Unknown(_) => "also after a clean reboot",
            Durability::Kept | Durability::BySlots(_) | Durability::Server(_) => {
                "also after a reboot"
            }
        };
        say(format!(
            "Continue, {when}: {}",
            clean(&ending.resume_command)
        ));
        if ending.rate_limit.is_some() {
            say("The rate limit is not saved: a resume has none unless it is given again.".into());
        }
    }
    lines
}

/// What an unfinished target holds.
fn state_of(checkpoint: &Checkpoint) -> Vec<String> {
    let found = Found::of(checkpoint);
    let noun = found.noun;
    let mut lines = match (checkpoint.phase(), checkpoint.pass()) {
        (Phase::Write, 1) => vec![format!(
            "The {noun} is NOT wiped: the rest still holds its old data."
        )],
        (Phase::Write, pass) => vec![format!(
            "The wipe is NOT finished: pass {pass} of {} is not complete.",
            checkpoint.plan().passes().len()
        )],
        (Phase::Verify, _) => vec![
            "The wipe is NOT finished: the pass is written, but not yet read back in full.".into(),
        ],
        (Phase::Complete, _) if checkpoint.read_again() => {
            vec![
                "Every step has ended, but it may be changed since; a resume reads it back.".into(),
            ]
        }
        (Phase::Complete, _) => {
            vec![
                "Every step has ended, but no record is saved; a resume goes on from there.".into(),
            ]
        }
    };
    if !found.bad.is_none() {
        let text = found.bad.in_sectors();
        lines.push(format!("So far {text} could not be written or read."));
    }
    if !found.differ.is_none() {
        let bytes = found.differ.in_bytes();
        lines.push(format!("So far {bytes} read back different."));
    }
    lines
}
