//! How a run of the engine ended, and why.

use std::fmt;

use super::state::State;
use crate::outcome::Signal;
use crate::plan::During;

/// How a run of the engine ended.
#[derive(Debug)]
pub struct Ended {
    /// The last state: what the drive holds durably.
    pub state: State,
    /// Whether `state` is on disk; otherwise why not.
    pub unsaved: Option<String>,
    /// Whether all that was written is part of `state`: otherwise the last flush
    /// failed, or was not tried any more.
    pub flushed: bool,
    /// Why it ended.
    pub end: End,
}

/// Why a run of the engine ended.
#[derive(Debug)]
pub enum End {
    /// The plan is done.
    Complete,
    /// A signal asked for it.
    Interrupted(Signal),
    /// An error that the run cannot get around.
    Failed(Error),
    /// The first checkpoint could not be saved: nothing was written.
    NotStarted(String),
    /// The threads or the memory could not be had, why and what to do: nothing
    /// was saved or written.
    NoMeans(String),
}

/// An error that ends a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was being done.
    pub op: Op,
    /// Where, in bytes.
    pub offset: u64,
    /// What went wrong, for people.
    pub why: String,
}

/// What the engine was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Writing.
    Write,
    /// Reading back.
    Read,
    /// Flushing the drive.
    Sync,
}

impl From<During> for Op {
    fn from(during: During) -> Self {
        match during {
            During::Write => Self::Write,
            During::Read => Self::Read,
        }
    }
}

impl Error {
    /// Doing this at that offset failed.
    pub fn new(op: Op, offset: u64, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { op, offset, why }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, offset, why } = self;
        match op {
            Op::Write => write!(f, "writing at byte {offset}: {why}"),
            Op::Read => write!(f, "reading at byte {offset}: {why}"),
            Op::Sync => write!(f, "flushing what was written after byte {offset}: {why}"),
        }
    }
}

impl std::error::Error for Error {}
