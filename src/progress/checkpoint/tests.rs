//! What tests of this and other rooms do to checkpoints.

use super::wire::{Invalid, LoadError};
use super::{Checkpoint, ReportWish, Run, Sample};
use crate::drive::{Findings, Identity};
use crate::plan::{BadMap, Differences, Plan, Wrap};

/// Writers of fields.
macro_rules! writers {
    ($($edit:ident, $name:ident: $kept:ty;)*) => {
        impl Checkpoint {
            $(pub fn $edit(&mut self) -> &mut $kept {
                &mut self.$name
            })*
        }
    };
}

writers! {
    device_mut, device: String;
    timestamp_mut, timestamp: String;
    device_id_mut, device_id: Identity;
    supersedes_mut, supersedes: Vec<String>;
    runs_mut, runs: Vec<Run>;
    tool_version_mut, tool_version: String;
    plan_mut, plan: Plan;
    bad_mut, bad: BadMap;
    mismatches_mut, mismatches: Differences;
    wrap_mut, wrap: Option<Wrap>;
    samples_mut, samples: Vec<Sample>;
    page_cache_mut, page_cache: bool;
    findings_mut, findings: Findings;
    report_mut, report: ReportWish;
}

impl Checkpoint {
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::read(&mut std::io::Cursor::new(bytes)).map_err(|error| match error {
            LoadError::Invalid { why, .. } => why,
            other => Invalid::Corrupt(other.to_string()),
        })
    }
}
