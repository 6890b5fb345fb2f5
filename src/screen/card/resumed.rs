//! The card of a wipe that is continued.

use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};

use super::device::slot;
use super::plan::{PassTimes, day, time_of};
use crate::drive::Device;
use crate::plan::{Phase, Verify};
use crate::progress::Checkpoint;
use crate::text::{clock, count, field, said, size};

/// Why a drive is taken for the one that a checkpoint speaks of.
#[derive(Debug, Clone)]
pub(crate) struct SameDrive {
    /// What is equal, as `WWN and serial`; empty: nothing strong.
    pub identifiers: String,
    /// Samples below the checkpoint that hold what was written.
    pub samples: u64,
}

/// What is about to be continued, and why this is the same drive.
pub(crate) fn resumed(
    checkpoint: &Checkpoint,
    device: &Device,
    proof: &SameDrive,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
) -> Vec<String> {
    let id = &device.identity;
    let mut parts: Vec<&str> = vec![said(id.serial.as_ref()).unwrap_or(&device.name)];
    parts.extend(id.model.as_deref().map(str::trim));
    let size = size::decimal(device.size);
    parts.push(&size);
    let mut lines = field("Drive", &format!("{}{}", parts.join(", "), slot(device)));
    let path = device.path.to_string_lossy();
    if checkpoint.device() == path {
        lines.extend(field("", &path));
    } else {
        let was = checkpoint.device();
        lines.extend(field("", &format!("was {was}, now {path}")));
    }
    let samples = match proof.samples {
        0 => "nothing is written yet that could be compared".into(),
        n => format!(
            "{} of what was written {} still there",
            count(n, "sample", "samples"),
            if n == 1 { "is" } else { "are" }
        ),
    };
    let what = match proof.identifiers.as_str() {
        "" => format!("that it is the same: no identifier; {samples}"),
        which => format!("that it is the same: {which} equal; {samples}"),
    };
    lines.extend(field("Proof", &what));
    lines.extend(rest_of_plan(checkpoint, times, now));
    lines
}

fn rest_of_plan(
    checkpoint: &Checkpoint,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
) -> Vec<String> {
    let plan = checkpoint.plan();
    let passes = plan.passes().len() as u64;
    let read_back = match plan.verify() {
        Verify::Full => "full read-back",
        Verify::Sample { .. } => "read-back of samples",
        Verify::None => "no read-back",
    };
    let begun = checkpoint
        .started_at()
        .parse::<Timestamp>()
        .map_or(String::new(), |at| {
            format!(
                "; begun {}",
                day(&at.to_zoned_datetime(now.time_zone().clone()), now)
            )
        });
    let name = plan.pass(checkpoint.step().pass).content.name();
    let passes = count(passes, "pass", "passes");
    let mut lines = field("Plan", &format!("{name}, {passes}, {read_back}{begun}"));
    let position = checkpoint.progress_text();
    let end = times
        .and_then(|times| now.checked_add(remaining(checkpoint, times)).ok())
        .map_or(String::new(), |end| {
            format!("; done about {}", clock(now, &end))
        });
    let text = if checkpoint.phase() == Phase::Complete {
        // A resume may have switched the rest of it off.
        let read_back = match plan.verify() {
            Verify::None => "",
            Verify::Full | Verify::Sample { .. } => " and read back as asked",
        };
        if checkpoint.bad().is_empty() && checkpoint.mismatches().is_empty() {
            format!("everything is written{read_back}; only the report is left")
        } else {
            "every step has come to its end; only the report is left".into()
        }
    } else {
        let phase = checkpoint.phase().name();
        format!("{phase} continues at {position}{end}")
    };
    lines.extend(field("", &text));
    lines
}

fn remaining(checkpoint: &Checkpoint, times: PassTimes) -> Duration {
    let left = checkpoint.total_size() - checkpoint.position().min(checkpoint.total_size());
    let points = u32::from(size::basis_points(left, checkpoint.total_size()));
    let (plan, size) = (checkpoint.plan(), checkpoint.total_size());
    let current = time_of(plan, checkpoint.step(), times, size) / 10_000;
    let current = current.checked_mul(points).unwrap_or(Duration::MAX);
    checkpoint
        .plan()
        .steps()
        .iter()
        .skip_while(|step| **step != checkpoint.step())
        .skip(1)
        .fold(current, |sum, step| {
            sum.saturating_add(time_of(plan, *step, times, size))
        })
}
