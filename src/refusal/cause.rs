//! Why a target is not touched, and the facts of it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::drive::{InUse, NoTarget};
use crate::engine::no_threads;
use crate::probe::Denial;
use crate::progress::{Invalid, LoadError, NoPlace};
use crate::text::{all_shown, clean, reason, shown};

/// Why. Shown as the fact alone.
#[derive(Debug, Error)]
pub enum Cause {
    /// The guard is against it; never none.
    #[error("{}", lines(.0))]
    InUse(Vec<InUse>),
    #[error("{0}")]
    Problem(NoTarget),
    /// Nothing has this name; this has one like it.
    #[error("no such file")]
    Meant(PathBuf),
    #[error("{0}")]
    Denied(Denial),
    #[error("another program, probably another wipeit, holds a lock on it")]
    Locked,
    #[error("cannot be locked: {0}")]
    LockDenied(Denial),
    #[error("cannot be locked: {}", reason(.0))]
    NoLock(io::Error),
    /// A thread that is needed before the wipe cannot be had.
    #[error("{}", no_threads(.0))]
    NoThread(io::Error),
    /// One that is needed by the run.
    #[error("{}", no_threads(.0))]
    NoRunThread(io::Error),
    /// Memory, threads or signals for the run cannot be had; why, for people.
    #[error("{0}")]
    NoMeans(String),
    #[error("is in use since a moment ago")]
    UsedSince,
    #[error("is not what it was a moment ago ({0})")]
    Changed(String),
    #[error("is a program that is running")]
    Running,
    #[error("cannot be opened: {}", reason(.0))]
    NotOpened(io::Error),
    #[error("no checkpoint can be saved, as {} cannot be written: {}", shown(.0), reason(.1))]
    NoCheckpoints(PathBuf, io::Error),
    /// The first checkpoint cannot be saved; why, with its file.
    #[error("{0}; no checkpoint can be saved there, see --state-dir")]
    NotSaved(String),
    /// There is no usual place for the state; what is wrong with `HOME`.
    #[error("{0}")]
    NoHome(&'static str),
    #[error("cannot read the state directory: {}", reason(.1))]
    StateUnread(PathBuf, io::Error),
    /// What it holds cannot be read, so that nothing is proved.
    #[error("cannot be read to prove that it is the drive: {}", reason(.0))]
    Unproved(io::Error),
    #[error("the kernel gives no random bytes: {0}")]
    NoRandom(getrandom::Error),
    #[error("has an unfinished wipe that cannot be continued ({})", .0.text())]
    Unfinishable(Unusable),
    #[error("may be the drive of an unfinished wipe ({}), and nothing proves that it is or is not", all_shown(.0))]
    MayBeBegun(Vec<PathBuf>),
    /// A checkpoint that says nothing may be of it; and so many more.
    #[error(
        "may have an unfinished wipe: {}{} holds nothing, as a loss of power leaves a file, so \
         not even which drive it was of",
        shown(.0), and_more(*.1)
    )]
    MayBeLost(PathBuf, usize),
    #[error("has an unfinished wipe ({})", shown(.0))]
    Begun(PathBuf),
    #[error("has an unfinished wipe ({}), so that there is no finished one to check", shown(.0))]
    NotFinished(PathBuf),
    /// There is nothing to continue in this state directory; why others are left out,
    /// as `FILE: fact`, and how many more are not named.
    #[error("has no unfinished wipe in {} that can be continued{}", shown(.0), left_out(.1, *.2))]
    NothingBegun(PathBuf, Vec<String>, usize),
    #[error(
        "may be {}, whose wipe is unfinished ({}), but {why}",
        shown(was),
        shown(file)
    )]
    MayBeMoved {
        was: PathBuf,
        file: PathBuf,
        why: &'static str,
    },
    #[error("may be the drive of any of {}, and nothing proves which", all_shown(.0))]
    AnyOf(Vec<PathBuf>),
    #[error(
        "has several unfinished wipes ({}), and its content does not tell which one is to be \
         continued",
        all_shown(.0)
    )]
    NoneFits(Vec<PathBuf>),
    #[error("{} holds the same, and is where its unfinished wipe began", shown(.0))]
    Copied(PathBuf),
    #[error(
        "may be a copy of {}, where its unfinished wipe began and which cannot be read: {}",
        shown(.0),
        .1
    )]
    MayBeCopied(PathBuf, String),
    #[error("{} has the same name and shows the same, but not what was written", shown(.0))]
    Lookalike(PathBuf),
    #[error(
        "{} reports the same identifier, and what was written up to now does not tell which of \
         them is the drive",
        shown(.0)
    )]
    Rival(PathBuf),
    #[error(
        "{} holds what was written as well, and no identifier tells which of them is the drive",
        all_shown(.0)
    )]
    HeldBy(Vec<PathBuf>),
    /// It was written to since its wipe stopped, at this byte.
    #[error(
        "was written to since the wipe stopped, or does not keep what is written to it (byte {0} \
         is not what was written)"
    )]
    WrittenSince(u64),
    /// It was wiped then, and not as this option asks; how.
    #[error("was wiped on {0}, but not as {1} asks ({2})")]
    WipedOtherwise(String, &'static str, String),
    /// It reports the same as a drive that was wiped then, and differs here.
    #[error(
        "reports the same as the drive that was wiped on {0}, and does not hold what was written \
         then (at byte {1})"
    )]
    WipedLikeIt(String, u64),
    #[error("was wiped on {0}, and written to since (at byte {1})")]
    WipedAndUsed(String, u64),
    #[error("was wiped on {0}, but too little of it can be read to tell whether it still is")]
    WipedMaybe(String),
    #[error("its wipe of {0} ended as {1}, and {2}")]
    WipedBadly(String, &'static str, &'static str),
    #[error("had {then} bytes when it was wiped on {when}, and has {now} now")]
    Resized { then: u64, now: u64, when: String },
    #[error("has the record of a finished wipe that cannot be used ({})", .0.text())]
    RecordUnusable(Unusable),
    #[error("no record in {} is of it: it has no finished wipe", shown(.0))]
    NoRecord(PathBuf),
    #[error(
        "no record in {} is of it: neither an identifier nor its content ties it to {}",
        shown(.0), shown(.1)
    )]
    NoSureRecord(PathBuf, PathBuf),
    /// An option contradicts the wipe that is continued; how that was begun.
    #[error("contradicts the wipe that is continued ({1})")]
    Contradicts(&'static str, String),
    /// The command line cannot be meant, as `SUBJECT: fact; remedy`.
    #[error("{0}")]
    Usage(String),
    #[error("the report has no place: {0} with --report")]
    NoReportPlace(NoPlace),
    /// It is not the drive that `--serial` names; what it has, and what was said.
    #[error("{}, but --serial says {}", clean(.0), clean(.1))]
    OtherSerial(String, String),
    #[error("{} has the same serial, which so names neither", shown(.0))]
    SharedSerial(PathBuf),
    /// Nothing proves that it is the drive of this checkpoint; the way out.
    #[error("neither identifiers nor content prove that it is the drive of {}", shown(.0))]
    NotProved(PathBuf, &'static str),
    #[error("declined")]
    Declined,
    #[error("left as it was")]
    Left,
    #[error("there is no terminal to ask on")]
    NoTerminal,
    #[error("cannot ask on the terminal: {}", reason(.0))]
    CannotAsk(io::Error),
    #[error("several drives have unfinished wipes: {}", all_shown(.0))]
    Several(Vec<PathBuf>),
    #[error("there is no unfinished wipe in {}", shown(.0))]
    NothingToResume(PathBuf),
    /// Nor, under sudo, in the directory of who called it; or there are some.
    #[error(
        "there is no unfinished wipe in {} or {}{}",
        shown(.0), shown(.1), if *.2 { " (there are some: add --state-dir)" } else { "" }
    )]
    NothingToResumeUnderSudo(PathBuf, PathBuf, bool),
    /// None of the unfinished wipes can go on, as `SUBJECT: fact; remedy`.
    #[error("{}", .0.join("\n"))]
    NoneHere(Vec<String>),
    #[error("not all of these {0} targets would be wiped")]
    DryRun(usize),
}

/// Of what a refusal speaks, and what is said of a file that is of no use: the
/// checkpoint or record of a wipe.
#[derive(Debug)]
pub struct Unusable {
    pub path: PathBuf,
    pub error: LoadError,
}

impl Unusable {
    /// Why it is not used, as `FILE: fact; remedy`.
    pub fn text(&self) -> String {
        let Self { path, error } = self;
        let remedy = match error {
            LoadError::Unreadable(_) => "",
            LoadError::Empty => "rm it unless you can put it back from a backup; ",
            LoadError::Invalid { why, .. } => match why {
                Invalid::Corrupt(_) => "put it back from a backup, if there is one; ",
                Invalid::Newer(_) => "use a newer wipeit; ",
                Invalid::Keyless(_) => "put them back from a backup, if there is one; ",
            },
        };
        format!("{}: {error}; {remedy}it is left as it is", shown(path))
    }
}

fn lines(all: &[InUse]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join("\n")
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

fn left_out(why: &[String], more: usize) -> String {
    let why = why.join("; ");
    match (why.as_str(), more) {
        ("", _) => String::new(),
        (why, 0) => format!(" ({why})"),
        (why, more) => format!(" ({why}; and {more} more of other drives: see --list)"),
    }
}
