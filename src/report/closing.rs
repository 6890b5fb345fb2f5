//! The closing lines on stderr: what it means, and what to do next.

use std::time::Duration;

use super::ending::{Ending, Saved};
use super::found::{Found, LISTED, Weak, is_file, limits_of, method_word, saves_text};
use super::time::Active;
use super::unfinished::{unfinished, unfinished_check};
use crate::drive::Kind;
use crate::outcome::Outcome;
use crate::plan::{During, Extent, Phase, Verify};
use crate::progress::Checkpoint;
use crate::text::{count, field, shown, size, span};

/// The lines on stderr that follow: what it means and what to do next.
pub(crate) fn details(ending: &Ending<'_>) -> Vec<String> {
    let mut lines = match ending.outcome {
        Outcome::Wiped => wiped(ending),
        Outcome::Checked => checked(ending),
        Outcome::NotClear => not_clear(ending),
        Outcome::Differs => differs(ending),
        Outcome::Interrupted(_) | Outcome::Failed(_) if ending.check => unfinished_check(ending),
        Outcome::Interrupted(_) | Outcome::Failed(_) => unfinished(ending),
        Outcome::Nothing
        | Outcome::Refused
        | Outcome::Busy
        | Outcome::Usage
        | Outcome::Undelivered(_) => return Vec::new(),
    };
    lines.extend(reservations(ending));
    lines
}

fn reservations(ending: &Ending<'_>) -> Vec<String> {
    let weak = Found::of(ending.checkpoint).weak(ending.device.write_back);
    let lines = weak.iter().map(|weak| match weak {
        Weak::Found(finding) => field("Note", &finding.to_string()),
        Weak::Unflushed => field(
            "Flush",
            "the kernel takes this drive's cache for write-through and sent it no flush",
        ),
        Weak::Saves(failed) => field("Saves", &saves_text(*failed)),
    });
    lines.flatten().collect()
}

fn wiped(ending: &Ending<'_>) -> Vec<String> {
    let (method, time) = (method(ending), time(ending));
    [
        method,
        time,
        pull(ending, ""),
        record(ending),
        limits(ending),
    ]
    .concat()
}

fn checked(ending: &Ending<'_>) -> Vec<String> {
    let when = ending.checkpoint.timestamp();
    let name = contents(ending.checkpoint);
    let through = page_cache(ending.checkpoint);
    let text =
        format!("every byte is what was written by the last pass ({name}), on {when}{through}");
    let time = field("Time", &span(ending.active));
    [field("Check", &text), time, record(ending), limits(ending)].concat()
}

fn method(ending: &Ending<'_>) -> Vec<String> {
    let checkpoint = ending.checkpoint;
    let part = checkpoint.device_id().nature().part();
    let word = match (
        method_word(ending.device.medium, checkpoint.device_id()),
        part,
    ) {
        ("Clear", Some(part)) => format!("Clear (overwrite) of {part} alone"),
        ("Clear", None) => "Clear (overwrite)".into(),
        (word, _) => word.into(),
    };
    let passes = count(checkpoint.plan().passes().len() as u64, "pass", "passes");
    let (contents, read_back) = (contents(checkpoint), read_back(checkpoint));
    let through = page_cache(checkpoint);
    field(
        "Method",
        &format!("{word}: {contents}, {passes}, {read_back}{through}"),
    )
}

/// What weakens a read-back that did not come from the drive for certain.
fn page_cache(checkpoint: &Checkpoint) -> &'static str {
    if Found::of(checkpoint).from_cache {
        ", but through the page cache: the file system refuses direct I/O"
    } else {
        ""
    }
}

fn read_back(checkpoint: &Checkpoint) -> String {
    let found = Found::of(checkpoint);
    match found.read_back {
        Verify::None => "not read back".into(),
        Verify::Full => "every byte read back".into(),
        Verify::Sample { .. } => format!("samples read back: {} of it", found.share()),
    }
}

/// `random`, `pattern 55aa`; of several different passes that of each.
fn contents(checkpoint: &Checkpoint) -> String {
    if let Some(scheme) = checkpoint.scheme() {
        // Its passes would fill the screen; they stand in the record.
        return format!("scheme {scheme}");
    }
    let passes = checkpoint.plan().passes().iter();
    let mut names: Vec<String> = passes.map(|pass| pass.content.words().brief).collect();
    names.dedup();
    names.join(", ")
}

/// Time over all runs. Where one was killed it is only a minimum, and no speed
/// can be told.
fn time(ending: &Ending<'_>) -> Vec<String> {
    let runs = ending.checkpoint.runs();
    let times = count(Active::of(runs).runs.max(1), "run", "runs");
    let mut all = Active::default();
    if let Some((now, earlier)) = runs.split_last() {
        all = Active::of(earlier);
        all.asleep += Duration::from_millis(now.asleep_ms);
    }
    all.work = all.work.saturating_add(ending.active);
    let speed = if all.is_exact() {
        speed(ending.checkpoint, all.work)
    } else {
        String::new()
    };
    let text = format!("{}{speed}; {times}{}", all.text(), all.notes());
    field("Time", &text)
}

pub(super) fn speed(checkpoint: &Checkpoint, time: Duration) -> String {
    // A speed over less than a second says nothing.
    if time < Duration::from_secs(1) {
        return String::new();
    }
    let (plan, size) = (checkpoint.plan(), checkpoint.total_size());
    let steps = plan.steps();
    let moved = steps
        .iter()
        .map(|step| u128::from(plan.step_bytes(*step, size)));
    let speed = moved.sum::<u128>() * 1000 / time.as_millis();
    let speed = size::decimal(u64::try_from(speed).unwrap_or(u64::MAX));
    let what = if steps.iter().any(|step| step.phase == Phase::Verify) {
        "written and read back"
    } else {
        "written"
    };
    format!(" at {speed}/s, {what}")
}

/// How to find the drive, because the next thing its owner does is pull it.
fn pull(ending: &Ending<'_>, warning: &str) -> Vec<String> {
    let id = ending.checkpoint.device_id();
    let nature = id.nature();
    if id.kind != Kind::Disk || (!nature.can_be_pulled() && warning.is_empty()) {
        return Vec::new();
    }
    if nature.is_volume() {
        return field(
            "Volume",
            &format!("{}{warning}, nor its drives", ending.device.name),
        );
    }
    let others = if nature.part().is_some() {
        "; it has other namespaces, which were not touched"
    } else {
        ""
    };
    let slot = ending
        .device
        .slot
        .as_ref()
        .map(|slot| format!("in slot {slot}"));
    let serial = id
        .serial
        .as_deref()
        .map(str::trim)
        .filter(|s| !s.is_empty());
    let which = match (slot, serial) {
        (Some(slot), Some(serial)) => format!("{slot}, serial {serial}"),
        (Some(slot), None) => slot,
        (None, Some(serial)) => format!("with serial {serial}"),
        (None, None) => ending.device.name.clone(),
    };
    field("Pull", &format!("the drive {which}{warning}{others}"))
}

fn record(ending: &Ending<'_>) -> Vec<String> {
    if let (true, Some(file)) = (ending.check, ending.file) {
        let text = format!("{} (of the wipe; a check leaves none)", shown(file));
        return field("Record", &text);
    }
    let text = match (ending.file, ending.saved) {
        (Some(file), Saved::All | Saved::ToFlush) => format!("{} (and .html)", shown(file)),
        (_, Saved::Less) | (None, _) => "NOT saved in the state directory".into(),
    };
    let mut lines = field("Report", &text);
    for file in ending.delivered {
        lines.extend(field("", &shown(file)));
    }
    lines
}

fn limits(ending: &Ending<'_>) -> Vec<String> {
    let [text, rest] = limits_of(ending.device.medium, ending.checkpoint.device_id());
    let mut lines = field("Limits", &text);
    if !rest.is_empty() {
        lines.extend(field("", &rest));
    }
    lines
}

fn not_clear(ending: &Ending<'_>) -> Vec<String> {
    let checkpoint = ending.checkpoint;
    let mut lines = bad(checkpoint);
    let differ = checkpoint.mismatches().amount().least;
    let rest = match checkpoint.plan().verify() {
        Verify::None => "; not read back".into(),
        Verify::Full => format!(" and read back, {differ} differ"),
        Verify::Sample { .. } => format!("; {}, {differ} differ", read_back(checkpoint)),
    };
    if checkpoint.bad().amount().least < checkpoint.total_size() {
        lines.extend(field("Rest", &format!("everything else is written{rest}")));
    }
    let next = if checkpoint.bad().is_empty() {
        "wipe the whole drive that the old data is still on"
    } else if is_file(ending.device.medium, checkpoint.device_id()) {
        "look at the disk and the file system under it; they refused these bytes"
    } else if checkpoint.device_id().nature().is_volume() {
        "find which drive below it fails; let that sanitize itself, or destroy it"
    } else {
        "let the drive sanitize itself (hdparm, nvme, sg_sanitize), or destroy"
    };
    let pull = pull(ending, "; do not reuse or sell");
    [lines, pull, field("Next", next), record(ending)].concat()
}

/// The bad ranges: those that may hold old data, and those that were written
/// but cannot be compared.
fn bad(checkpoint: &Checkpoint) -> Vec<String> {
    let mut lines = Vec::new();
    let found = Found::of(checkpoint);
    for (total, during, what) in [
        (found.unwritten, During::Write, "may hold old data"),
        (
            found.unread,
            During::Read,
            "written, but cannot be read back",
        ),
    ] {
        let ranges = checkpoint.bad().ranges();
        let ranges = ranges.iter().filter(|range| range.bad.during == during);
        let ranges: Vec<Extent> = ranges.map(|range| range.extent).collect();
        if !ranges.is_empty() {
            let block = size::grouped(u64::from(checkpoint.device_id().logical_block));
            let of = if total.amount.is_exact() {
                format!(" of {block} bytes")
            } else {
                String::new()
            };
            let text = format!("{}{of} {what}", total.in_sectors());
            lines.extend(listed("Bad", &text, &ranges));
        }
    }
    lines
}

/// A heading with the number of ranges, and the first ranges: first and last
/// byte.
fn listed(label: &str, what: &str, ranges: &[Extent]) -> Vec<String> {
    let number = count(ranges.len() as u64, "range", "ranges");
    let mut lines = field(label, &format!("{what}, in {number}:"));
    let mut words: Vec<String> = ranges
        .iter()
        .take(LISTED)
        .map(|range| format!("{}-{}", range.start(), range.end() - 1))
        .collect();
    if ranges.len() > LISTED {
        words.push(format!("and {} more", ranges.len() - LISTED));
    }
    lines.extend(field("", &words.join(", ")));
    lines
}

fn differs(ending: &Ending<'_>) -> Vec<String> {
    let checkpoint = ending.checkpoint;
    let differing = checkpoint.mismatches();
    let ranges: Vec<Extent> = differing.iter().map(|range| range.extent).collect();
    let differ = Found::of(checkpoint).differ;
    let bytes = differ.as_bytes(&|bytes| format!("{} bytes", size::grouped(bytes)));
    let what = format!("{bytes} are in sectors that are not what was written");
    let first = differing.iter().next();
    let first = first.map(|one| field("First", &one.value.text()));
    [
        listed("Differ", &what, &ranges),
        first.unwrap_or_default(),
        bad(checkpoint),
        field("Meaning", &meaning(checkpoint)),
        pull(ending, "; do not reuse or sell"),
        field("Next", "find the cause, then wipe it again with --restart"),
        record(ending),
    ]
    .concat()
}

fn meaning(checkpoint: &Checkpoint) -> String {
    let found = Found::of(checkpoint);
    match found.counterfeit {
        Some(capacity) => format!(
            "its addresses wrap: it has at most {} of memory and not {}; it is a counterfeit",
            size::decimal(capacity),
            size::decimal(checkpoint.total_size())
        ),
        None => format!(
            "something else wrote to the {0}, or the {0}, what it is attached by or this machine's \
             memory cannot be trusted",
            found.noun
        ),
    }
}
