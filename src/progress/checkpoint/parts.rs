//! What a checkpoint is made of besides its position.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Phase, Step};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentBefore {
    /// Kernel name, or file name of an image.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The format, as `GPT` or `ext4`.
    pub format: String,
    /// Its label, which is somebody's data: it stands in the record alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339; absent when the program was killed.
    pub end: Option<String>,
    /// `SIGINT`, `finished`, or the error; absent when the program was killed.
    pub ended_by: Option<String>,
    /// Milliseconds that it worked until the last checkpoint, without the time in
    /// which the program was stopped or the machine slept; absent in files of
    /// wipeit 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asleep_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockMark>,
    /// Set in an entry that stands for several runs: there were too many to keep
    /// each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

/// Where the wall clock stands within one boot of a machine: it moves only when
/// somebody sets the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockMark {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    /// When the machine was booted by the clock as it stands, in milliseconds
    /// since 1970.
    pub offset_ms: i64,
}

/// A run that its stamps say took longer than this did not: the clock was set.
const ABSURD: Duration = Duration::from_secs(366 * 24 * 3600);

impl Run {
    /// How long it worked, as far as that is known. wipeit 0.1.0 kept the wall
    /// clock's stamps alone.
    pub fn work(&self) -> Option<Duration> {
        let known = self.work_ms.map(Duration::from_millis);
        known.or_else(|| {
            let start: Timestamp = self.start.parse().ok()?;
            let end: Timestamp = self.end.as_deref()?.parse().ok()?;
            let took = Duration::try_from(end.duration_since(start)).ok()?;
            (took <= ABSURD).then_some(took)
        })
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The speed over one stretch of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The pass, from 1.
    pub pass: usize,
    pub phase: Phase,
    /// Where the stretch ends, in bytes.
    pub offset: u64,
    /// Bytes a second over the stretch.
    pub speed: u64,
}

impl Sample {
    pub fn step(&self) -> Step {
        Step {
            pass: self.pass.saturating_sub(1),
            phase: self.phase,
        }
    }
}

/// What was asked of the report. A resume keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportWish {
    /// Where it goes besides the state directory: absolute, a folder with a
    /// slash at its end; see [`path_to_text`](crate::drive::path_to_text).
    pub path: Option<String>,
    pub operator: Option<String>,
    /// The owner's number of the drive.
    pub asset: Option<String>,
    pub note: Option<String>,
}

impl ReportWish {
    pub fn or_new(self, new: &Self) -> Self {
        Self {
            path: new.path.clone().or(self.path),
            operator: new.operator.clone().or(self.operator),
            asset: new.asset.clone().or(self.asset),
            note: new.note.clone().or(self.note),
        }
    }
}

/// Runs that are not kept one by one any more. Their work and the time that the
/// machine slept are summed up in the entry that stands for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub runs: u64,
    /// How many of them were killed, and so left no end.
    pub killed: u64,
    /// How many of them have an end of which the clock alone tells, and cannot be
    /// believed.
    pub unknown: u64,
}

impl LeftOut {
    pub fn of(run: &Run) -> Self {
        run.left_out.unwrap_or(Self {
            runs: 1,
            killed: u64::from(run.end.is_none()),
            unknown: u64::from(run.end.is_some() && run.work().is_none()),
        })
    }
}
