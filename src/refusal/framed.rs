//! A refusal as it is said: `SUBJECT: fact; remedy`, and what became of the target.

use std::path::Path;

use super::Cause;
use crate::outcome::Outcome;
use crate::text::shown;

impl Cause {
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Locked => Outcome::Busy,
            Self::Usage(_) | Self::Contradicts(..) => Outcome::Usage,
            _ => Outcome::Refused,
        }
    }

    /// What is said of it where this target, or none, is refused: as
    /// `SUBJECT: fact; remedy`, a line each.
    pub fn lines(&self, target: Option<&Path>) -> Vec<String> {
        let subject = self.subject(target);
        match self {
            Self::NoneHere(all) => all.clone(),
            Self::InUse(all) => {
                let touched = self.touched();
                let line = |one| format!("{subject}{one}{touched}");
                all.iter().map(line).collect()
            }
            _ => vec![format!("{subject}{}", self.text())],
        }
    }

    /// The fact, the remedy, and what became of the target.
    pub fn text(&self) -> String {
        let remedy = self.remedy().map(|remedy| format!("; {remedy}"));
        let touched = self.touched();
        format!("{self}{}{touched}", remedy.unwrap_or_default())
    }

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

    fn touched(&self) -> &'static str {
        match self {
            Self::NoRunThread(_)
            | Self::NoMeans(_)
            | Self::NotSaved(_)
            | Self::Declined
            | Self::Left
            | Self::NotFinished(_)
            | Self::WipedBadly(..)
            | Self::DryRun(_) => "; nothing was written",
            Self::NoRecord(_) | Self::NoSureRecord(..) => "; nothing was read back",
            Self::NoHome(_)
            | Self::StateUnread(..)
            | Self::Contradicts(..)
            | Self::Usage(_)
            | Self::Several(_)
            | Self::NothingToResume(_)
            | Self::NothingToResumeUnderSudo(..)
            | Self::NoneHere(_) => "",
            _ => "; not touched",
        }
    }

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
