//! The card of a wipe that begins.

use std::path::Path;

use jiff::ZonedDateTime;

use super::device::{content_lines, device_text, identity_lines};
use super::kept::{kept_text, unflushed_text};
use super::plan::{PassTimes, plan_lines};
use crate::drive::{self, Device, Kind, Medium, Nature};
use crate::plan::Plan;
use crate::probe::Keeping;
use crate::text::field;

/// What is about to be destroyed and how long it takes.
pub(crate) fn fresh(
    device: &Device,
    plan: &Plan,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
    state_dir: &Path,
    keeping: &Keeping,
) -> Vec<String> {
    let mut lines = field("Device", &device_text(device));
    lines.extend(identity_lines(device));
    lines.extend(content_lines(device));
    for warning in drive::warnings(device) {
        lines.extend(field("Warning", &warning.to_string()));
    }
    lines.extend(plan_lines(plan, times, now, device.size));
    let kept = kept_text(&keeping.durability);
    let state = format!("{} ({kept})", state_dir.to_string_lossy());
    lines.extend(field("State", &state));
    lines.extend(
        unflushed_text(keeping)
            .iter()
            .flat_map(|text| field("Flush", text)),
    );
    lines.extend(reach_lines(device));
    lines
}

/// What overwriting does not reach.
fn reach_lines(device: &Device) -> Vec<String> {
    let (kind, nature) = (device.identity.kind, device.identity.nature());
    let mut lines = Vec::new();
    if let (Kind::Disk, Some(areas)) = (kind, device.identity.hidden_areas()) {
        lines.extend(field("Hidden", &format!("{areas}: not checked")));
    }
    if let Some(part) = nature.part() {
        let text = format!("this is {part} of the drive: the others are not touched");
        lines.extend(field("Part", &text));
    }
    if nature.is_volume() {
        let text = "the drives below hold more than it shows: overwritten, not Clear";
        lines.extend(field("Volume", text));
    }
    if let Nature::Memory { .. } = nature {
        let text = "freed pages may keep old data until power-off: overwritten, not Clear";
        lines.extend(field("Memory", text));
    }
    match device.medium {
        Medium::Flash if kind == Kind::Partition || !nature.can_be_clear() => lines.extend(field(
            "Flash",
            "spare blocks are not reached. For Purge use the drive's own sanitize.",
        )),
        Medium::Flash if nature.part().is_some() => lines.extend(field(
            "Flash",
            "overwriting is Clear of this namespace alone; spare blocks are not reached. For \
             Purge use the drive's own sanitize.",
        )),
        Medium::Flash => lines.extend(field(
            "Flash",
            "overwriting is Clear; spare blocks are not reached. For Purge use the drive's own \
             sanitize.",
        )),
        Medium::File => lines.extend(field(
            "Limits",
            "it lies in a file, of which the file system may keep old copies elsewhere: \
             overwritten, not Clear",
        )),
        Medium::Rotational | Medium::Unknown => {}
    }
    lines
}
