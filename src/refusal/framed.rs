//! A refusal as it is said: `SUBJECT: fact; remedy`, and what became of the target.

use std::path::{Path, PathBuf};

use super::Cause;
use crate::outcome::Outcome;
use crate::text::shown;

/// A target, or a run, that was refused or left.
#[derive(Debug)]
pub struct Refusal {
    target: Option<PathBuf>,
    cause: Cause,
}

/// What has become of a target that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touched {
    /// It was not opened for writing, or nothing was done with that.
    Not,
    /// As far as that matters to who asked: nothing was written.
    NotWritten,
    /// Nothing was read back.
    NotRead,
    /// It is of no target.
    Unsaid,
}

impl Refusal {
    /// Of one target, or of none.
    pub fn new(target: Option<&Path>, cause: Cause) -> Self {
        let target = target.map(Path::to_path_buf);
        Self { target, cause }
    }

    /// How the run ends by it.
    pub fn outcome(&self) -> Outcome {
        match self.cause {
            Cause::Locked => Outcome::Busy,
            Cause::Usage(_) | Cause::Contradicts(..) => Outcome::Usage,
            _ => Outcome::Refused,
        }
    }

    /// What is said of it, as `SUBJECT: fact; remedy`, a line each.
    pub fn lines(&self) -> Vec<String> {
        let cause = &self.cause;
        let subject = cause.subject(self.target.as_deref());
        match cause {
            Cause::NoneHere(all) => all.clone(),
            Cause::InUse(all) => {
                let touched = cause.touched().words();
                let line = |one| format!("{subject}{one}{touched}");
                all.iter().map(line).collect()
            }
            _ => vec![format!("{subject}{}", cause.text())],
        }
    }
}

impl Touched {
    fn words(self) -> &'static str {
        match self {
            Self::Not => "; not touched",
            Self::NotWritten => "; nothing was written",
            Self::NotRead => "; nothing was read back",
            Self::Unsaid => "",
        }
    }
}

impl Cause {
    /// The fact, the remedy, and what became of the target.
    pub fn text(&self) -> String {
        let remedy = self.remedy().map(|remedy| format!("; {remedy}"));
        let touched = self.touched().words();
        format!("{self}{}{touched}", remedy.unwrap_or_default())
    }

    /// What it is about, as `SUBJECT: `.
    fn subject(&self, target: Option<&Path>) -> String {
        let own = match self {
            Self::StateUnread(root, _) => shown(root),
            Self::NoHome(_) => "HOME".into(),
            Self::NoRandom(_) => "random".into(),
            Self::Contradicts(option, _) => (*option).into(),
            Self::Several(_) | Self::NothingToResume(_) | Self::NothingToResumeUnderSudo(..) => {
                "--resume".into()
            }
            Self::DryRun(_) => "--dry-run".into(),
            // They name their own.
            Self::Usage(_) | Self::NotSaved(_) => return String::new(),
            _ => match target {
                Some(target) => shown(target),
                None => return String::new(),
            },
        };
        format!("{own}: ")
    }

    fn touched(&self) -> Touched {
        match self {
            Self::NoRunThread(_)
            | Self::NoMeans(_)
            | Self::NoSignals(_)
            | Self::NotSaved(_)
            | Self::Declined
            | Self::Left
            | Self::NotFinished(_)
            | Self::WipedBadly(..)
            | Self::DryRun(_) => Touched::NotWritten,
            Self::NoRecord(_) | Self::NoSureRecord(..) => Touched::NotRead,
            Self::NoHome(_)
            | Self::StateUnread(..)
            | Self::Contradicts(..)
            | Self::Usage(_)
            | Self::Several(_)
            | Self::NothingToResume(_)
            | Self::NothingToResumeUnderSudo(..)
            | Self::NoneHere(_) => Touched::Unsaid,
            _ => Touched::Not,
        }
    }

    /// What to do about it.
    fn remedy(&self) -> Option<String> {
        let fixed = match self {
            Self::Meant(path) => return Some(format!("did you mean {}?", shown(path))),
            Self::Locked => "wait for it or end it",
            Self::NoLock(_) | Self::NotOpened(_) => "see dmesg",
            Self::UsedSince => "find by what with `lsblk` and `fuser -v`",
            Self::Changed(_) => "look again with --dry-run",
            Self::Running => "end it first",
            Self::NoCheckpoints(..) | Self::StateUnread(..) => "see --state-dir",
            Self::NoHome(_) => "add --state-dir DIR",
            Self::Unfinishable(_) | Self::WrittenSince(_) => "--restart wipes it from the start",
            Self::MayBeBegun(_) | Self::Begun(_) => {
                "say --resume to continue it or --restart to start over"
            }
            Self::MayBeLost(file, _) => {
                return Some(format!(
                    "rm {} if it was another, or --restart to wipe this one from the start",
                    shown(file)
                ));
            }
            Self::NotFinished(_) => "--resume finishes it",
            Self::NothingBegun(..) => "start one without --resume",
            Self::MayBeMoved { .. } => "move it back there to continue, or --restart",
            Self::AnyOf(_) => "move the others away",
            Self::NoneFits(_) => "move the others away, or --restart",
            Self::Copied(other) | Self::MayBeCopied(other, _) => {
                return Some(format!(
                    "continue that one with `--resume {}`, or remove it to continue this one, or \
                     wipe this one from the start with --restart",
                    shown(other)
                ));
            }
            Self::Lookalike(_) => "detach it",
            Self::Rival(_) => "detach one, or --restart",
            Self::HeldBy(_) => "detach the copy",
            Self::WipedOtherwise(..) | Self::Contradicts(..) => "leave it out, or --restart",
            Self::WipedLikeIt(..) => "--restart wipes it",
            Self::WipedAndUsed(..)
            | Self::WipedMaybe(_)
            | Self::WipedBadly(..)
            | Self::Resized { .. }
            | Self::RecordUnusable(_) => "--restart wipes it again",
            Self::NoRecord(_) | Self::NoSureRecord(..) => "see --list and --state-dir",
            Self::OtherSerial(..) => "look at --dry-run",
            Self::SharedSerial(_) => "detach one",
            Self::NotProved(_, way) => return Some(format!("{way}, or --restart")),
            Self::NoTerminal | Self::CannotAsk(_) => {
                "add --serial with its serial, or --yes, to wipe without asking"
            }
            Self::Several(_) => "name one, or add --yes to continue all",
            Self::NothingToResume(_) | Self::NothingToResumeUnderSudo(..) => {
                "start one with `wipeit TARGET`"
            }
            _ => return None,
        };
        Some(fixed.into())
    }
}
