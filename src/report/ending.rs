//! How the run of one target ended.

use crate::drive::Medium;
use crate::outcome::Outcome;
use crate::probe::Durability;
use crate::progress::Checkpoint;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What of a run is on the state disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// All of it.
    All,
    /// What the last good flush of the drive covered: a later one failed, or was
    /// not tried any more.
    ToFlush,
    /// Less: the last save failed.
    Less,
}

/// How the run of one target ended, with all that the closing lines tell.
#[derive(Debug)]
pub struct Ending<'a> {
    /// How it ended.
    pub outcome: &'a Outcome,
    /// The target as typed.
    pub path: &'a Path,
    /// The kernel's name, or an image's file name.
    pub name: &'a str,
    /// What the bits are kept on.
    pub medium: Medium,
    /// Where the drive sits.
    pub slot: Option<&'a str>,
    /// Whether the kernel believes in a volatile write cache and so flushes it.
    pub write_back: Option<bool>,
    /// The position and the findings, as they are now.
    pub checkpoint: &'a Checkpoint,
    /// The pending file or the record on disk; `None`: nothing was ever saved.
    pub file: Option<&'a Path>,
    /// What of this run is in that file.
    pub saved: Saved,
    /// Where else the report was written.
    pub delivered: &'a [PathBuf],
    /// What is promised of the state directory.
    pub state: Durability,
    /// Time of this run so far.
    pub active: Duration,
    /// What continues this wipe.
    pub resume_command: String,
    /// Bytes a second at most, in this run alone.
    pub rate_limit: Option<u64>,
    /// Whether a finished wipe, of which `file` is the record, was only read
    /// back.
    pub check: bool,
}
