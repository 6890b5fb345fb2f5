//! How the run of one target ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::drive::Device;
use crate::outcome::Outcome;
use crate::probe::Durability;
use crate::progress::Checkpoint;

/// What of a run is on the state disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    All,
    /// What the last good flush of the drive covered: a later one failed, or was
    /// not tried any more.
    ToFlush,
    Less,
}

/// How the run of one target ended, with all that the closing lines tell.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    pub outcome: &'a Outcome,
    pub device: &'a Device,
    /// The position and the findings, as they are now.
    pub checkpoint: &'a Checkpoint,
    /// The pending file or the record on disk; `None`: nothing was ever saved.
    pub file: Option<&'a Path>,
    /// What of this run is in that file.
    pub saved: Saved,
    /// Where else the report was written.
    pub delivered: &'a [PathBuf],
    pub state: &'a Durability,
    /// Time of this run so far.
    pub active: Duration,
    pub resume_command: String,
    /// Bytes a second at most, in this run alone.
    pub rate_limit: Option<u64>,
    /// Whether a finished wipe, of which `file` is the record, was only read back.
    pub check: bool,
}

impl<'a> Ending<'a> {
    /// Of a wipe that is done, with nothing more to say of it.
    pub(crate) fn new(
        outcome: &'a Outcome,
        device: &'a Device,
        checkpoint: &'a Checkpoint,
    ) -> Self {
        Self {
            outcome,
            device,
            checkpoint,
            file: None,
            saved: Saved::All,
            delivered: &[],
            state: &Durability::Kept,
            active: Duration::ZERO,
            resume_command: String::new(),
            rate_limit: None,
            check: false,
        }
    }
}
