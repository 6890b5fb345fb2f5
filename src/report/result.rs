//! What was done, in the words of the closing lines and of the record.
//!
//! Pure: it is told how the run ended and prints nothing. "Clear" is the word
//! of NIST SP 800-88 for overwriting all user-addressable bytes; more is never
//! claimed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::time::Active;
use crate::drive::{Identity, Kind, Medium, Nature};
use crate::outcome::Outcome;
use crate::plan::{Amount, Content, During, Extent, Phase, Verify, Wrap};
use crate::probe::Durability;
use crate::progress::Checkpoint;
use crate::text::{clean, count, field, octal, shown, size, span};

/// Ranges that are listed one by one; the rest stands in the record.
pub(super) const LISTED: usize = 10;

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

/// The line on stdout, for people and scripts: `OUTCOME PATH SERIAL ...`.
#[must_use]
pub fn line(ending: &Ending<'_>) -> String {
    use std::os::unix::ffi::OsStrExt;
    let Ending {
        outcome,
        checkpoint,
        ..
    } = ending;
    let size = checkpoint.total_size();
    let unusable = checkpoint.bad().amount();
    let bad = sectors(checkpoint, unusable.least);
    let bad = format!("{}{bad}", at_least(unusable));
    let differs = checkpoint.mismatches().amount();
    let good = size.saturating_sub(unusable.most);
    let record = match ending.saved {
        Saved::All | Saved::ToFlush => "",
        Saved::Less => ", record none",
    };
    let head = format!(
        "{} {} {}",
        outcome.word(),
        octal(ending.path.as_os_str().as_bytes()),
        serial_field(checkpoint)
    );
    match outcome {
        Outcome::Wiped | Outcome::Checked | Outcome::Differs => {
            let differ = format!("{}{}", at_least(differs), differs.least);
            let read_back = match checkpoint.plan().verify() {
                // It was switched off when some of it was done.
                Verify::None if differs.most > 0 => format!("partial, {differ} differ"),
                Verify::None => "none".into(),
                how => format!("{}, {differ} differ", how.name()),
            };
            let bytes = if good == size {
                format!("{size} bytes")
            } else {
                format!("{good} of {size} bytes")
            };
            format!("{head} {bytes}, {bad} bad, read-back {read_back}{record}")
        }
        Outcome::NotClear => format!("{head} {good} of {size} bytes, {bad} bad{record}"),
        _ => {
            let done = checkpoint.position();
            format!("{head} {done} of {size} bytes, {}", position(checkpoint))
        }
    }
}

/// The line on stdout of a target that was not touched. `path` as typed, `None`
/// where none was; `serial` as far as it is known.
#[must_use]
pub fn refused_line(outcome: &Outcome, path: Option<&Path>, serial: Option<&str>) -> String {
    use std::os::unix::ffi::OsStrExt;
    let path = path.map_or("-".into(), |path| octal(path.as_os_str().as_bytes()));
    let word = outcome.word();
    format!("{word} {path} {} nothing written", field_of(serial))
}

/// The lines on stderr that follow: what it means and what to do next.
#[must_use]
pub fn details(ending: &Ending<'_>) -> Vec<String> {
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

/// What weakens the guarantees of this wipe.
fn reservations(ending: &Ending<'_>) -> Vec<String> {
    let mut lines: Vec<String> = ending
        .checkpoint
        .findings()
        .iter()
        .flat_map(|finding| field("Note", &finding.to_string()))
        .collect();
    if ending.write_back == Some(false) {
        lines.extend(field(
            "Flush",
            "the kernel takes this drive's cache for write-through and sent it no flush",
        ));
    }
    let failed = ending.checkpoint.failed_saves();
    if failed > 0 {
        let times = count(failed, "checkpoint", "checkpoints");
        lines.extend(field(
            "Saves",
            &format!(
                "{times} could not be saved; until the next good one a crash could have cost more \
                 than the interval"
            ),
        ));
    }
    lines
}

/// What comes before a number that is not known exactly, because ranges were
/// joined.
fn at_least(amount: Amount) -> &'static str {
    if amount.is_exact() { "" } else { "at least " }
}

/// An amount for people.
pub(super) fn amount_text(amount: Amount) -> String {
    if amount.is_exact() {
        return count(amount.least, "byte", "bytes");
    }
    let (bytes, ranges) = (count(amount.least, "byte", "bytes"), amount.most);
    format!(
        "at least {bytes} in at most {} of ranges",
        size::grouped(ranges)
    )
}

/// What was done and how far, as `write 43.0%`, rounded down.
#[must_use]
pub fn position(checkpoint: &Checkpoint) -> String {
    let share = size::percent_text(checkpoint.position(), checkpoint.total_size());
    format!("{} {share}", checkpoint.phase().name())
}

fn serial_field(checkpoint: &Checkpoint) -> String {
    field_of(checkpoint.device_id().serial.as_deref())
}

fn field_of(serial: Option<&str>) -> String {
    match serial.map(str::trim) {
        None | Some("") => "-".into(),
        Some(serial) => octal(serial.as_bytes()),
    }
}

/// Sectors, which are its logical blocks, that so many bytes take.
pub(super) fn sectors(checkpoint: &Checkpoint, bytes: u64) -> u64 {
    bytes.div_ceil(u64::from(checkpoint.device_id().logical_block.max(1)))
}

/// What the target is called in a sentence.
pub(super) fn noun(checkpoint: &Checkpoint) -> &'static str {
    match checkpoint.device_id().kind {
        Kind::Disk => checkpoint.device_id().nature().noun(),
        Kind::Partition => "partition",
        Kind::Loop => "loop device",
        Kind::Image => "image",
    }
}

fn wiped(ending: &Ending<'_>) -> Vec<String> {
    let mut lines = method(ending);
    lines.extend(time(ending));
    lines.extend(pull(ending, ""));
    lines.extend(record(ending));
    lines.extend(limits(ending));
    lines
}

/// A wipe that was read back again.
fn checked(ending: &Ending<'_>) -> Vec<String> {
    let when = ending.checkpoint.timestamp();
    let name = contents(ending.checkpoint);
    let through = page_cache(ending.checkpoint);
    let mut lines = field(
        "Check",
        &format!("every byte is what was written by the last pass ({name}), on {when}{through}"),
    );
    lines.extend(field("Time", &span(ending.active)));
    lines.extend(record(ending));
    lines.extend(limits(ending));
    lines
}

fn unfinished_check(ending: &Ending<'_>) -> Vec<String> {
    // With the same options; a check that stopped left nothing to continue.
    let command = ending.resume_command.replacen("--resume", "--check", 1);
    let again = format!("{command} {}", shown(ending.path));
    let mut lines = vec!["  The check is NOT finished; nothing was written.".to_string()];
    if !ending.checkpoint.mismatches().is_empty() {
        let bytes = amount_text(ending.checkpoint.mismatches().amount());
        lines.push(format!("  So far {bytes} read back different."));
    }
    lines.push(format!("  Do it again: {}", clean(&again)));
    lines
}

fn method(ending: &Ending<'_>) -> Vec<String> {
    let checkpoint = ending.checkpoint;
    let part = checkpoint.device_id().nature().part();
    let word = match (method_word(ending.medium, checkpoint.device_id()), part) {
        ("Clear", Some(part)) => format!("Clear (overwrite) of {part} alone"),
        ("Clear", None) => "Clear (overwrite)".into(),
        (word, _) => word.into(),
    };
    let read_back = read_back(checkpoint);
    let through = page_cache(checkpoint);
    field(
        "Method",
        &format!(
            "{word}: {}, {}, {read_back}{through}",
            contents(checkpoint),
            passes(checkpoint)
        ),
    )
}

/// What weakens a read-back that did not come from the drive for certain.
fn page_cache(checkpoint: &Checkpoint) -> &'static str {
    if checkpoint.page_cache() && checkpoint.plan().verify() != Verify::None {
        ", but through the page cache: the file system refuses direct I/O"
    } else {
        ""
    }
}

/// What was read back of the last pass.
fn read_back(checkpoint: &Checkpoint) -> String {
    let size = checkpoint.total_size();
    match checkpoint.plan().verify() {
        Verify::None => "not read back".into(),
        Verify::Full => "every byte read back".into(),
        how @ Verify::Sample { .. } => format!(
            "samples read back: {} of it",
            size::percent_text(how.bytes(size), size)
        ),
    }
}

/// What overwriting a target is called, as far as it is done: only a whole drive
/// or namespace can become Clear.
pub(super) fn method_word(medium: Medium, id: &Identity) -> &'static str {
    let whole = id.kind == Kind::Disk && !is_file(medium, id);
    if whole && id.nature().can_be_clear() {
        "Clear"
    } else {
        "Overwritten"
    }
}

/// An overwritten file is never Clear: its file system may have written
/// elsewhere.
pub(super) fn is_file(medium: Medium, id: &Identity) -> bool {
    medium == Medium::File || id.backing.is_some() || matches!(id.kind, Kind::Image | Kind::Loop)
}

fn passes(checkpoint: &Checkpoint) -> String {
    count(checkpoint.plan().passes().len() as u64, "pass", "passes")
}

/// `random`, `pattern 55aa`; of several different passes that of each.
fn contents(checkpoint: &Checkpoint) -> String {
    let mut names: Vec<String> = checkpoint
        .plan()
        .passes()
        .iter()
        .map(|pass| match &pass.content {
            Content::Pattern { pattern } => {
                let digits = String::from(pattern.clone());
                let more = if digits.len() > 16 { ".." } else { "" };
                format!("pattern {digits:.16}{more}")
            }
            other => other.name().to_string(),
        })
        .collect();
    names.dedup();
    let names = names.join(", ");
    match checkpoint.scheme() {
        // Its passes would fill the screen; they stand in the record.
        Some(scheme) => format!("scheme {scheme}"),
        None => names,
    }
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

fn speed(checkpoint: &Checkpoint, time: Duration) -> String {
    let plan = checkpoint.plan();
    let moved = |step| u128::from(plan.step_bytes(step, checkpoint.total_size()));
    let bytes: u128 = plan.steps().into_iter().map(moved).sum();
    match (bytes * 1000).checked_div(time.as_millis()) {
        // A speed over less than a second says nothing.
        Some(speed) if time >= Duration::from_secs(1) => {
            let speed = u64::try_from(speed).unwrap_or(u64::MAX);
            let reads = plan.steps().iter().any(|step| step.phase == Phase::Verify);
            let what = if reads {
                "written and read back"
            } else {
                "written"
            };
            format!(" at {}/s, {what}", size::decimal(speed))
        }
        _ => String::new(),
    }
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
            &format!("{}{warning}, nor its drives", ending.name),
        );
    }
    let others = if nature.part().is_some() {
        "; it has other namespaces, which were not touched"
    } else {
        ""
    };
    let slot = ending.slot.map(|slot| format!("in slot {slot}"));
    let serial = id
        .serial
        .as_deref()
        .map(str::trim)
        .filter(|s| !s.is_empty());
    let which = match (slot, serial) {
        (Some(slot), Some(serial)) => format!("{slot}, serial {serial}"),
        (Some(slot), None) => slot,
        (None, Some(serial)) => format!("with serial {serial}"),
        (None, None) => ending.name.into(),
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

/// What overwriting does not reach on this medium; the second text is empty
/// where there is nothing more to say.
pub(super) fn limits_of(medium: Medium, id: &Identity) -> [String; 2] {
    let nature = id.nature();
    let text = match medium {
        _ if is_file(medium, id) => {
            "the file system may have kept old data elsewhere (copies, snapshots, its journal)"
        }
        _ if nature.is_volume() => {
            "the drives below it hold more: metadata, copies, spare areas; wipe those themselves"
        }
        _ if matches!(nature, Nature::Memory { .. }) => {
            "it is memory of this machine: freed pages may keep old data until power-off"
        }
        Medium::Flash => &format!(
            "no overwrite reaches spare blocks{}: not checked; for Purge use the drive's own \
             sanitize",
            id.transport.traits().flash_beyond
        ),
        Medium::Rotational => "no overwrite reaches retired sectors; hidden areas: not checked",
        Medium::Unknown | Medium::File => {
            "no overwrite reaches retired sectors or spare blocks; hidden areas: not checked"
        }
    };
    let rest = match (id.kind, nature.part()) {
        (Kind::Partition, _) => "only this partition; the rest of its disk was not touched".into(),
        (_, Some(part)) => format!("only {part}; the rest of the drive was not touched"),
        _ => String::new(),
    };
    [text.into(), rest]
}

fn limits(ending: &Ending<'_>) -> Vec<String> {
    let [text, rest] = limits_of(ending.medium, ending.checkpoint.device_id());
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
        Verify::None => "everything else is written; not read back".into(),
        Verify::Full => format!("everything else is written and read back, {differ} differ"),
        Verify::Sample { .. } => format!(
            "everything else is written; {}, {differ} differ",
            read_back(checkpoint)
        ),
    };
    if checkpoint.bad().amount().least < checkpoint.total_size() {
        lines.extend(field("Rest", &rest));
    }
    lines.extend(pull(ending, "; do not reuse or sell"));
    let next = if checkpoint.bad().is_empty() {
        "wipe the whole drive that the old data is still on"
    } else if is_file(ending.medium, checkpoint.device_id()) {
        "look at the disk and the file system under it; they refused these bytes"
    } else if checkpoint.device_id().nature().is_volume() {
        "find which drive below it fails; let that sanitize itself, or destroy it"
    } else {
        "let the drive sanitize itself (hdparm, nvme, sg_sanitize), or destroy"
    };
    lines.extend(field("Next", next));
    lines.extend(record(ending));
    lines
}

/// The bad ranges: those that may hold old data, and those that were written
/// but cannot be compared.
fn bad(checkpoint: &Checkpoint) -> Vec<String> {
    let mut lines = Vec::new();
    for (during, what) in [
        (During::Write, "may hold old data"),
        (During::Read, "written, but cannot be read back"),
    ] {
        let ranges: Vec<Extent> = checkpoint
            .bad()
            .ranges()
            .into_iter()
            .filter(|range| range.bad.during == during)
            .map(|range| range.extent)
            .collect();
        if !ranges.is_empty() {
            let amount = checkpoint.bad().amount_during(during);
            let number = count(sectors(checkpoint, amount.least), "sector", "sectors");
            let block = size::grouped(u64::from(checkpoint.device_id().logical_block));
            let text = if amount.is_exact() {
                format!("{number} of {block} bytes {what}")
            } else {
                format!("{} {what}", amount_text(amount))
            };
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
    let ranges: Vec<Extent> = checkpoint
        .mismatches()
        .iter()
        .map(|range| range.extent)
        .collect();
    let amount = checkpoint.mismatches().amount();
    let bytes = if amount.is_exact() {
        format!("{} bytes", size::grouped(amount.least))
    } else {
        amount_text(amount)
    };
    let what = format!("{bytes} are in sectors that are not what was written");
    let mut lines = listed("Differ", &what, &ranges);
    let first = checkpoint.mismatches().iter().next();
    lines.extend(
        first
            .iter()
            .flat_map(|one| field("First", &one.value.text())),
    );
    lines.extend(bad(checkpoint));
    lines.extend(field("Meaning", &meaning(checkpoint)));
    lines.extend(pull(ending, "; do not reuse or sell"));
    lines.extend(field(
        "Next",
        "find the cause, then wipe it again with --restart",
    ));
    lines.extend(record(ending));
    lines
}

/// What it means that bytes differ.
fn meaning(checkpoint: &Checkpoint) -> String {
    match checkpoint.wrap().and_then(Wrap::capacity) {
        Some(capacity) => format!(
            "its addresses wrap: it has at most {} of memory and not {}; it is a counterfeit",
            size::decimal(capacity),
            size::decimal(checkpoint.total_size())
        ),
        None => format!(
            "something else wrote to the {0}, or the {0}, what it is attached by or this machine's \
             memory cannot be trusted",
            noun(checkpoint)
        ),
    }
}

/// The run stopped or failed on the way.
fn unfinished(ending: &Ending<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |text: String| lines.push(format!("  {text}"));
    match (ending.file, ending.saved) {
        (Some(file), Saved::All) => {
            say(format!("Flushed, and saved in {}.", shown(file)));
        }
        (Some(file), Saved::ToFlush) => {
            say(format!(
                "Saved up to the last good flush in {}.",
                shown(file)
            ));
            say("What was written after that does NOT count: a resume writes it again.".into());
        }
        (Some(file), Saved::Less) => {
            say(format!("The last save FAILED; {} is older", shown(file)));
            say("than this position: a resume does what came after it again.".into());
        }
        (None, _) => say("No checkpoint was saved: it cannot be resumed.".into()),
    }
    for text in state_of(ending.checkpoint) {
        say(text);
    }
    if ending.file.is_some() {
        let when = match ending.state {
            Durability::Memory => "before a reboot (the state is in memory only)",
            Durability::Unknown(_) => "also after a clean reboot",
            Durability::Kept | Durability::BySlots(_) | Durability::Server(_) => {
                "also after a reboot"
            }
        };
        say(format!(
            "Continue, {when}: {}",
            clean(&ending.resume_command)
        ));
        if ending.rate_limit.is_some() {
            say("The rate limit is not saved: a resume has none unless it is given again.".into());
        }
    }
    lines
}

/// What an unfinished target holds.
fn state_of(checkpoint: &Checkpoint) -> Vec<String> {
    let noun = noun(checkpoint);
    let mut lines = match (checkpoint.phase(), checkpoint.pass()) {
        (Phase::Write, 1) => vec![format!(
            "The {noun} is NOT wiped: the rest still holds its old data."
        )],
        (Phase::Write, pass) => vec![format!(
            "The wipe is NOT finished: pass {pass} of {} is not complete.",
            checkpoint.plan().passes().len()
        )],
        (Phase::Verify, _) => vec![
            "The wipe is NOT finished: the pass is written, but not yet read back in full.".into(),
        ],
        (Phase::Complete, _) if checkpoint.read_again() => {
            vec![
                "Every step has ended, but it may be changed since; a resume reads it back.".into(),
            ]
        }
        (Phase::Complete, _) => {
            vec![
                "Every step has ended, but no record is saved; a resume goes on from there.".into(),
            ]
        }
    };
    if !checkpoint.bad().is_empty() {
        let amount = checkpoint.bad().amount();
        let number = count(sectors(checkpoint, amount.least), "sector", "sectors");
        let text = if amount.is_exact() {
            number
        } else {
            amount_text(amount)
        };
        lines.push(format!("So far {text} could not be written or read."));
    }
    if !checkpoint.mismatches().is_empty() {
        let bytes = amount_text(checkpoint.mismatches().amount());
        lines.push(format!("So far {bytes} read back different."));
    }
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::record::Record;
    use super::*;
    use crate::drive::Transport;
    use crate::drive::example::disk;
    use crate::outcome::Signal;
    use crate::plan::example::difference;
    use crate::plan::{Bad, BadState};
    use crate::plan::{Pass, Plan, ReadBack, Step};
    use crate::probe::Computer;
    use crate::progress::Run;
    use crate::text::{COLUMNS, folded};

    /// Whether every line fits a terminal.
    fn fits(lines: &[String]) -> bool {
        let mut shown = lines.iter().flat_map(|line| folded(line, COLUMNS));
        shown.all(|line| line.len() <= COLUMNS)
    }

    const SIZE: u64 = 18_000_207_937_536;

    fn checkpoint() -> Checkpoint {
        let pass = Pass {
            content: Content::Random {
                generator: crate::plan::Generator::Aes256,
                key: crate::plan::Key::new([7; 32]),
            },
            verify: Verify::Full,
        };
        let plan = Plan::new(vec![pass]).unwrap();
        let begun = "2026-01-14T02:10:00+01:00";
        let identity = disk().identity;
        let mut checkpoint = Checkpoint::begin(identity, plan, 1 << 20, "7f3a".into(), begun);
        *checkpoint.device_mut() = "/dev/sdb".into();
        *checkpoint.runs_mut() = vec![
            Run {
                start: "2026-01-14T02:00:00+01:00".into(),
                end: Some("2026-01-14T12:00:00+01:00".into()),
                ended_by: Some("SIGINT".into()),
                ..Run::default()
            },
            Run {
                start: "2026-01-14T13:00:00+01:00".into(),
                ..Run::default()
            },
        ];
        let complete = Step {
            pass: 0,
            phase: Phase::Complete,
        };
        checkpoint.set_position(complete, SIZE);
        checkpoint
    }

    fn ending<'a>(outcome: &'a Outcome, checkpoint: &'a Checkpoint) -> Ending<'a> {
        Ending {
            outcome,
            path: Path::new("/dev/sdb"),
            name: "sdb",
            medium: Medium::Rotational,
            slot: Some("0:7"),
            write_back: Some(true),
            checkpoint,
            file: Some(Path::new("/var/lib/wipeit/reports/sdb-ZR5A1B2C-7f3a.json")),
            saved: Saved::All,
            delivered: &[],
            state: Durability::Kept,
            active: Duration::from_secs(36 * 3600 + 31 * 60),
            resume_command: "wipeit --resume".into(),
            rate_limit: None,
            check: false,
        }
    }

    pub fn bad(checkpoint: &mut Checkpoint, start: u64, length: u64, during: During) {
        let what = Bad {
            pass: 1,
            state: BadState::Failed,
            during,
            errno: 5,
        };
        checkpoint
            .bad_mut()
            .add(Extent::new(start, length).unwrap(), what);
    }

    #[test]
    fn a_wiped_drive_is_told_as_such() {
        let checkpoint = checkpoint();
        let ending = ending(&Outcome::Wiped, &checkpoint);
        assert_eq!(
            line(&ending),
            "WIPED /dev/sdb ZR5A1B2C 18000207937536 bytes, 0 bad, read-back full, 0 differ"
        );
        assert_eq!(
            details(&ending),
            [
                "  Method   Clear (overwrite): random, 1 pass, every byte read back",
                "  Time     46 h 31 min at 214 MB/s, written and read back; 2 runs",
                "  Pull     the drive in slot 0:7, serial ZR5A1B2C",
                "  Report   /var/lib/wipeit/reports/sdb-ZR5A1B2C-7f3a.json (and .html)",
                "  Limits   no overwrite reaches retired sectors; hidden areas: not checked",
            ]
        );
    }

    #[test]
    fn a_wipe_that_was_not_read_back_says_none() {
        let mut checkpoint = checkpoint();
        *checkpoint.plan_mut() = checkpoint
            .plan()
            .clone()
            .with_read_back(ReadBack::None, 0, 7);
        let ending = ending(&Outcome::Wiped, &checkpoint);
        assert!(line(&ending).ends_with("bytes, 0 bad, read-back none"));
        assert!(details(&ending)[0].ends_with("not read back"));
    }

    #[test]
    fn an_image_is_never_called_clear() {
        let mut checkpoint = checkpoint();
        checkpoint.device_id_mut().kind = Kind::Image;
        checkpoint.device_id_mut().serial = None;
        *checkpoint.page_cache_mut() = true;
        let mut ending = ending(&Outcome::Wiped, &checkpoint);
        ending.medium = Medium::File;
        ending.path = Path::new("/tmp/my disk.img");
        let all = details(&ending).join("\n");
        assert!(!all.contains("Clear") && !all.contains("Pull"), "{all}");
        assert!(all.contains("Overwritten: random") && all.contains("page cache"));
        assert!(line(&ending).starts_with("WIPED /tmp/my\\040disk.img - 18000207937536 bytes"));
    }

    #[test]
    fn a_check_through_the_page_cache_says_so() {
        let mut checkpoint = checkpoint();
        let said = |checkpoint: &Checkpoint| {
            let mut ending = ending(&Outcome::Checked, checkpoint);
            ending.check = true;
            details(&ending).join(" ")
        };
        assert!(!said(&checkpoint).contains("cache"));
        *checkpoint.page_cache_mut() = true;
        assert!(said(&checkpoint).contains("page cache"));
    }

    #[test]
    fn flash_says_what_is_not_reached() {
        let checkpoint = checkpoint();
        let mut ending = ending(&Outcome::Wiped, &checkpoint);
        ending.medium = Medium::Flash;
        assert!(details(&ending).join("\n").contains("spare blocks"));
    }

    #[test]
    fn a_stopped_run_says_what_is_left_and_how_to_go_on() {
        let mut checkpoint = checkpoint();
        let step = Step {
            pass: 0,
            phase: Phase::Write,
        };
        checkpoint.set_position(step, 7_740_089_413_632);
        let outcome = Outcome::Interrupted(Signal::Int);
        let mut ending = ending(&outcome, &checkpoint);
        ending.file = Some(Path::new("/var/lib/wipeit/pending/sdb.json"));
        assert_eq!(
            line(&ending),
            "STOPPED /dev/sdb ZR5A1B2C 7740089413632 of 18000207937536 bytes, write 43.0%"
        );
        assert_eq!(
            details(&ending),
            [
                "  Flushed, and saved in /var/lib/wipeit/pending/sdb.json.",
                "  The drive is NOT wiped: the rest still holds its old data.",
                "  Continue, also after a reboot: wipeit --resume",
            ]
        );
        ending.saved = Saved::Less;
        let all = details(&ending).join("\n");
        assert!(
            !all.contains("Flushed, and saved") && all.contains("FAILED"),
            "{all}"
        );
        ending.state = Durability::Memory;
        assert!(!details(&ending).join("\n").contains("also after a reboot"));
        ending.file = None;
        let all = details(&ending).join("\n");
        assert!(
            all.contains("cannot be resumed") && !all.contains("Continue"),
            "{all}"
        );
    }

    #[test]
    fn a_stop_in_the_read_back_claims_no_old_data_and_forgets_no_finding() {
        let mut checkpoint = checkpoint();
        let step = Step {
            pass: 0,
            phase: Phase::Verify,
        };
        checkpoint.set_position(step, SIZE - 1);
        checkpoint.mismatches_mut().insert(difference(512, 1024));
        let outcome = Outcome::Failed("read at byte 5: I/O error".into());
        let ending = ending(&outcome, &checkpoint);
        assert_eq!(
            line(&ending),
            "FAILED /dev/sdb ZR5A1B2C 18000207937535 of 18000207937536 bytes, read-back 99.9%"
        );
        let all = details(&ending).join("\n");
        assert!(!all.contains("old data") && all.contains("512 bytes read back different"));
    }

    #[test]
    fn bad_sectors_are_counted_listed_and_taken_off() {
        let mut checkpoint = checkpoint();
        bad(&mut checkpoint, 9_000_103_968_768, 2_097_152, During::Write);
        bad(&mut checkpoint, 9_000_504_524_800, 2_097_152, During::Write);
        let ending = ending(&Outcome::NotClear, &checkpoint);
        assert_eq!(
            line(&ending),
            "NOT-CLEAR /dev/sdb ZR5A1B2C 18000203743232 of 18000207937536 bytes, 1024 bad"
        );
        assert_eq!(
            details(&ending)[..5],
            [
                "  Bad      1,024 sectors of 4,096 bytes may hold old data, in 2 ranges:",
                "           9000103968768-9000106065919, 9000504524800-9000506621951",
                "  Rest     everything else is written and read back, 0 differ",
                "  Pull     the drive in slot 0:7, serial ZR5A1B2C; do not reuse or sell",
                "  Next     let the drive sanitize itself (hdparm, nvme, sg_sanitize), or destroy",
            ]
        );
    }

    #[test]
    fn sectors_that_were_written_but_not_read_are_not_said_to_hold_old_data() {
        let mut checkpoint = checkpoint();
        for i in 0..40 {
            bad(&mut checkpoint, i * 8192, 100, During::Read);
        }
        let lines = details(&ending(&Outcome::NotClear, &checkpoint));
        let all = lines.join("\n");
        assert!(
            !all.contains("old data") && all.contains("cannot be read back"),
            "{all}"
        );
        assert!(all.contains("and 30 more"), "{all}");
        assert!(fits(&lines), "{all}");
    }

    #[test]
    fn bytes_that_differ_are_counted_and_shown() {
        let mut checkpoint = checkpoint();
        checkpoint.mismatches_mut().insert(difference(4096, 5120));
        let ending = ending(&Outcome::Differs, &checkpoint);
        assert!(line(&ending).ends_with("bytes, 0 bad, read-back full, 1024 differ"));
        let all = details(&ending).join("\n");
        assert!(
            all.contains("1,024 bytes are in sectors that are not what was written, in 1 range:"),
            "{all}"
        );
        assert!(all.contains("4096-5119"), "{all}");
    }

    #[test]
    fn a_drive_whose_addresses_wrap_is_called_a_counterfeit() {
        let mut checkpoint = checkpoint();
        checkpoint.mismatches_mut().insert(difference(4096, 5120));
        let told = |wrap| {
            let mut checkpoint = checkpoint.clone();
            *checkpoint.wrap_mut() = wrap;
            let lines = details(&ending(&Outcome::Differs, &checkpoint));
            assert!(fits(&lines), "{lines:?}");
            let words: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).collect();
            words.join(" ")
        };
        let wrap = Wrap::and(None, 8 << 20, 8 << 20);
        let meaning = "Meaning its addresses wrap: it has at most 8.38 MB of memory and not 18.0 \
                       TB; it is a counterfeit";
        assert!(told(Some(wrap)).contains(meaning), "{}", told(Some(wrap)));
        // A few writes that went astray are no reason to say so.
        let astray = Wrap::and(None, 8 << 20, 4096);
        assert!(told(Some(astray)).contains("cannot be trusted"));
        assert!(told(None).contains("cannot be trusted"));
    }

    #[test]
    fn a_killed_run_makes_the_time_a_minimum_without_a_speed() {
        let mut checkpoint = checkpoint();
        checkpoint.runs_mut()[0].end = None;
        let text = &details(&ending(&Outcome::Wiped, &checkpoint))[1];
        assert!(
            text.starts_with("  Time     at least 36 h 31 min; 2 runs"),
            "{text}"
        );
        assert!(!text.contains("/s"), "{text}");
    }

    #[test]
    fn a_report_that_was_not_saved_is_not_said_to_be() {
        let checkpoint = checkpoint();
        let mut ending = ending(&Outcome::Wiped, &checkpoint);
        ending.saved = Saved::Less;
        assert!(details(&ending).join("\n").contains("Report   NOT saved"));
    }

    #[test]
    fn names_from_outside_reach_no_terminal_raw() {
        let mut checkpoint = checkpoint();
        checkpoint.device_id_mut().serial = Some("A\x1b[2J B".into());
        let mut ending = ending(&Outcome::Wiped, &checkpoint);
        ending.slot = Some("\x1b]0;x\x07");
        ending.file = Some(Path::new("/x/\x1by.json"));
        ending.path = Path::new("/dev/\x1bz");
        let all = details(&ending).join("") + &line(&ending);
        assert!(!all.contains('\x1b') && !all.contains('\x07'), "{all}");
    }

    #[test]
    fn a_report_that_was_delivered_is_named() {
        let checkpoint = checkpoint();
        let mut ending = ending(&Outcome::Wiped, &checkpoint);
        let files = ["/srv/a.json".into(), "/srv/a.html".into()];
        ending.delivered = &files;
        let lines = details(&ending);
        assert_eq!(
            lines[4..6],
            ["           /srv/a.json", "           /srv/a.html"]
        );
    }

    #[test]
    fn the_speed_of_a_sampled_wipe_counts_what_was_moved() {
        let mut checkpoint = checkpoint();
        *checkpoint.plan_mut() = checkpoint
            .plan()
            .clone()
            .with_read_back(ReadBack::Sample, 0, 7);
        let hour = Duration::from_secs(3600);
        let moved = SIZE + checkpoint.plan().verify().bytes(SIZE);
        let text = format!(
            " at {}/s, written and read back",
            size::decimal(moved / 3600)
        );
        assert_eq!(speed(&checkpoint, hour), text);
    }

    #[test]
    fn a_record_says_what_its_checkpoint_does_without_its_keys() {
        let checkpoint = checkpoint();
        let record = Record::new(&checkpoint, &Outcome::Wiped, &disk(), Computer::default());
        let bytes = record.to_json().unwrap();
        let again = Checkpoint::read_record(&mut std::io::Cursor::new(&bytes)).unwrap();
        assert_eq!(again, checkpoint.clone().without_keys());
        // No checkpoint to any version.
        assert!(Checkpoint::parse(&bytes).is_err());
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (&value["kind"], &value["version"]),
            (&"wipeit-record".into(), &1.into())
        );
        assert!(value["plan"][0].get("key").is_none(), "{value}");
        assert_eq!(value["outcome"], "WIPED");
        assert_eq!(value["method"], "Clear: overwrite");
        assert_eq!(value["hidden_areas"], "not checked");
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with("{\n  \"kind\""), "{text}");
        let read = Record::read(&mut std::io::Cursor::new(&bytes)).unwrap();
        assert_eq!(read, record);
        // As versions before this one left it.
        let mut old = serde_json::to_value(&checkpoint).unwrap();
        old["outcome"] = "WIPED".into();
        let old = old.to_string();
        assert!(Record::read(&mut std::io::Cursor::new(old)).is_ok());
    }

    #[test]
    fn a_record_never_claims_what_was_not_achieved() {
        let mut checkpoint = checkpoint();
        let mut drive = disk();
        let method = |checkpoint: &Checkpoint, outcome, device: &_| {
            Record::new(checkpoint, &outcome, device, Computer::default()).method
        };
        for outcome in [Outcome::NotClear, Outcome::Differs] {
            assert_eq!(method(&checkpoint, outcome, &drive), "Clear NOT achieved");
        }
        for (kind, transport) in [
            (Kind::Partition, Transport::Sata),
            (Kind::Disk, Transport::Dm),
            (Kind::Disk, Transport::Md),
            (Kind::Disk, Transport::Other),
            (Kind::Disk, Transport::Virtio),
        ] {
            checkpoint.device_id_mut().kind = kind;
            checkpoint.device_id_mut().transport = transport;
            let method = method(&checkpoint, Outcome::Wiped, &drive);
            assert_eq!(method, "Overwritten", "{kind:?} {transport:?}");
        }
        checkpoint.device_id_mut().kind = Kind::Image;
        drive.medium = Medium::File;
        assert_eq!(method(&checkpoint, Outcome::Wiped, &drive), "Overwritten");
        let failed = method(&checkpoint, Outcome::NotClear, &drive);
        assert_eq!(failed, "Overwritten NOT achieved");
    }

    #[test]
    fn bytes_that_were_compared_are_those_that_could_be_read() {
        let mut checkpoint = checkpoint();
        bad(&mut checkpoint, 4096, 8192, During::Read);
        checkpoint
            .mismatches_mut()
            .insert(difference(40_960, 45_056));
        let of = |checkpoint: &Checkpoint| {
            let device = disk();
            let record = Record::new(checkpoint, &Outcome::Differs, &device, Computer::default());
            (record.verification, record.bad_bytes)
        };
        let (found, bad_bytes) = of(&checkpoint);
        assert_eq!((found.method.as_str(), found.bytes), ("full", SIZE - 8192));
        assert_eq!((found.bytes_different, bad_bytes), (4096, 8192));
        *checkpoint.plan_mut() = checkpoint
            .plan()
            .clone()
            .with_read_back(ReadBack::Sample, 0, 7);
        let (found, _) = of(&checkpoint);
        let all = checkpoint.plan().verify().bytes(SIZE);
        assert_eq!(found.method, "sample");
        assert!(found.bytes <= all && found.bytes >= all - 8192);
        *checkpoint.plan_mut() = checkpoint
            .plan()
            .clone()
            .with_read_back(ReadBack::None, 0, 7);
        assert_eq!(of(&checkpoint).0.bytes, 0);
    }
}
