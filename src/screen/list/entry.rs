//! What is listed.

use std::path::PathBuf;

use super::readiness::Readiness;
use crate::drive::{Identity, Nature};
use crate::probe::{Disk, Whereabouts};
use crate::progress::Checkpoint;

/// Everything that is listed.
#[derive(Debug)]
pub(crate) struct Listing {
    pub unfinished: Vec<PendingWipe>,
    pub disks: Vec<Row>,
    /// What could not be seen, in whole sentences.
    pub notes: Vec<String>,
}

/// A wipe that is not finished.
#[derive(Debug)]
pub(crate) struct PendingWipe {
    pub file: PathBuf,
    pub checkpoint: Checkpoint,
    pub place: Whereabouts,
    /// Where its drive sits, if it is attached.
    pub slot: Option<String>,
    pub running: bool,
    /// The process that runs it, where that can be seen.
    pub pid: Option<u32>,
    /// `wipeit --resume` with the state directory where that is needed.
    pub resume: String,
}

/// One disk.
#[derive(Debug)]
pub(crate) struct Row {
    pub disk: Disk,
    /// Whether it can be wiped, or why not.
    pub state: Readiness,
}

impl Row {
    /// What kind of disk it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        let disk = &self.disk;
        let id = disk.identity.as_ref();
        let traits = id.map(|id| id.transport.traits());
        let short = traits.and_then(|traits| traits.short);
        let by_transport = traits.is_none_or(|traits| traits.short_says_all());
        match id.map(Identity::nature) {
            Some(Nature::SoftwareVolume { by }) if !by_transport && by == "bcache" => "bcache",
            Some(nature) if !by_transport && nature.is_volume() => "volume",
            Some(Nature::Virtual) if !by_transport => "virtual",
            _ => short.unwrap_or(disk.medium.words().short),
        }
    }
}
