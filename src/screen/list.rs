//! The list of unfinished wipes and of the disks of this machine, as text and
//! as JSON. Pure: what is listed comes from outside, and nothing is printed.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::drive::{
    Backing, Carried, Device, Identity, InUse, Kind, Nature, Signature, Under, guard, path_to_text,
};
use crate::plan::Phase;
use crate::probe::{Disk, Whereabouts};
use crate::progress::{Checkpoint, Run};
use crate::text::{about, broken, clean, cut, padded, shell_word, size, visible, width};

/// Everything that is listed.
#[derive(Debug)]
pub struct Listing {
    /// Unfinished wipes.
    pub unfinished: Vec<Unfinished>,
    /// The disks of this machine.
    pub disks: Vec<Row>,
    /// What could not be seen, in whole sentences.
    pub notes: Vec<String>,
}

/// A wipe that is not finished.
#[derive(Debug)]
pub struct Unfinished {
    /// The checkpoint's file.
    pub file: PathBuf,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Where its drive is.
    pub place: Whereabouts,
    /// Where its drive sits, if it is attached.
    pub slot: Option<String>,
    /// Whether it is running now.
    pub running: bool,
    /// The process that runs it, where that can be seen.
    pub pid: Option<u32>,
    /// `wipeit --resume` with the state directory where that is needed.
    pub resume: String,
}

/// One disk.
#[derive(Debug)]
pub struct Row {
    /// Its facts.
    pub disk: Disk,
    /// Whether it can be wiped, or why not.
    pub state: State,
}

/// The end of an earlier wipe of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The first word of its result, as `WIPED`.
    pub outcome: String,
    /// When.
    pub at: Timestamp,
}

/// Whether a disk can be wiped, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// One word for scripts.
    pub word: &'static str,
    /// A few words for people, as `at /home`.
    pub text: String,
    /// Everything against wiping it; empty where it can be wiped.
    pub reasons: Vec<String>,
    /// When it was last wiped, where a record says so.
    pub past: Option<Past>,
}

/// The state of a disk. `unfinished`: the kernel name, itself or a partition,
/// whose wipe is unfinished.
pub fn state(disk: &Disk, unfinished: Option<&str>, past: Option<&Past>, now: Timestamp) -> State {
    let state = |word, text: String| State {
        word,
        text,
        reasons: Vec::new(),
        past: past.cloned(),
    };
    if disk.size == 0 {
        return State {
            reasons: vec![
                disk.no_capacity
                    .as_ref()
                    .map_or("it has no bytes".into(), ToString::to_string),
            ],
            ..state("unknown", "no capacity".into())
        };
    }
    let device = match &disk.facts {
        Ok(device) => device,
        Err(why) => {
            return State {
                reasons: vec![why.clone()],
                ..state("unknown", format!("unknown: {why}"))
            };
        }
    };
    let content = contents(device);
    match guard::check(device.clone()) {
        Err(refusals) => {
            let (word, text) = refused(disk, &refusals, unfinished.is_some());
            State {
                reasons: refusals.iter().map(ToString::to_string).collect(),
                ..state(word, text)
            }
        }
        Ok(_) => match (unfinished, past) {
            (Some(name), _) if name == disk.name => state("unfinished", "unfinished".into()),
            (Some(name), _) => state("unfinished", format!("unfinished: {name}")),
            (None, Some(past)) => {
                let (word, text) = match past.outcome.as_str() {
                    "NOT-CLEAR" => ("not-clear", "NOT CLEAR"),
                    "DIFFERS" => ("differs", "differs"),
                    _ => ("wiped", "wiped"),
                };
                let since = content.map_or(String::new(), |what| format!(", now {what}"));
                state(word, format!("{text} {}{since}", ago(now, past.at)))
            }
            (None, None) => match content {
                Some(what) => state("free", format!("has data: {what}")),
                None => state("free", "ready".into()),
            },
        },
    }
}

/// Mount points that a running system cannot do without.
fn is_system(point: &Path) -> bool {
    ["/boot", "/efi", "/usr"]
        .iter()
        .any(|system| point.starts_with(system))
        || point == Path::new("/")
}

/// The short words for refusals.
fn refused(disk: &Disk, refusals: &[InUse], unfinished: bool) -> (&'static str, String) {
    let mut words: Vec<String> = disk.held.clone();
    let mut unread = Vec::new();
    let (mut system, mut read_only) = (false, false);
    for refusal in refusals {
        let word = match refusal {
            InUse::Mounted(mount) => {
                system |= is_system(&mount.point);
                format!("at {}", visible(mount.point.as_os_str().as_bytes()))
            }
            InUse::Swap(_) => "swap".into(),
            // These stand in `held` with better names.
            InUse::Held(_) if !disk.held.is_empty() => continue,
            InUse::Held(holder) => format!("held by {}", holder.by),
            InUse::Looped { by, under } => match under {
                Under::SameFile => format!("same file as {by}"),
                Under::File | Under::Device => format!("under {by}"),
            },
            // Whoever holds it exclusively also has it open.
            InUse::Open(_) if refusals.contains(&InUse::Busy) => continue,
            InUse::Open(opener) => format!("open by {}", clean(&opener.process.name)),
            InUse::Carries(Carried::System) => {
                system = true;
                "system disk".into()
            }
            InUse::Carries(Carried::Program(_)) => "carries wipeit".into(),
            InUse::CarriesState { .. } => "wipeit's state".into(),
            InUse::Extended(_) => "extended partition".into(),
            InUse::Cached(_) => "write-back cache".into(),
            InUse::Unseen { .. } => {
                unread.push(if disk.denied.is_some() {
                    "no permission".into()
                } else {
                    "its writers cannot be seen".into()
                });
                continue;
            }
            InUse::HostManaged => "host-managed zones".into(),
            InUse::ReadOnly { .. } => {
                read_only = true;
                "read-only".into()
            }
            InUse::Busy if unfinished => "in use, unfinished".into(),
            InUse::Busy => "in use".into(),
            InUse::Unreadable(why) => {
                unread.push(if disk.denied.is_some() {
                    "no permission".into()
                } else {
                    why.clone()
                });
                continue;
            }
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if system {
        ("system", "system disk".into())
    } else if words.is_empty() {
        unread.dedup();
        ("unknown", format!("unknown: {}", unread.join(", ")))
    } else if read_only && words.len() == 1 {
        ("read-only", words.remove(0))
    } else {
        ("in-use", words.join(", "))
    }
}

/// What is on a device, as `vfat, ext4 "backup"`; the partition table only where
/// nothing is known to be in it.
fn contents(device: &Device) -> Option<String> {
    let text = |content: &Signature| {
        let label = content
            .label
            .as_ref()
            .map_or(String::new(), |label| format!(" \"{label}\""));
        content.what.map(|what| format!("{what}{label}"))
    };
    let (itself, parts) = device.contents.split_first()?;
    let parts: Vec<String> = parts.iter().filter_map(text).collect();
    if parts.is_empty() {
        text(itself)
    } else {
        Some(parts.join(", "))
    }
}

/// How long ago, as `3 days ago`.
fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        // A clock that was set back knows nothing.
        ..0 => "in the future".into(),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// What kind of disk it is, in a word.
fn kind(disk: &Disk) -> &'static str {
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

const HEADER: [&str; 7] = ["DEVICE", "SIZE", "STATE", "KIND", "MODEL", "SERIAL", "SLOT"];
const SIZE: usize = 1;
const STATE: usize = 2;
const MODEL: usize = 4;
/// Columns that are kept for the state on a terminal.
const LONGEST_STATE: usize = 28;
/// Columns at the start of a line of a block, before its second and later
/// lines.
const INDENT: usize = 12;

impl Listing {
    /// As text: fitted to `width` columns of a terminal, or whole.
    pub fn text(&self, width: Option<usize>, now: Timestamp) -> String {
        let fit = |line: &str| width.map_or_else(|| line.to_string(), |width| cut(line, width));
        let mut lines = Vec::new();
        if !self.unfinished.is_empty() {
            lines.push("Unfinished:".to_string());
            for wipe in &self.unfinished {
                let [drive, progress] = wipe.lines(now);
                lines.extend([fit(&drive), fit(&progress)]);
                // It is copied: it stays whole.
                let command = wipe.command();
                let indent = " ".repeat(INDENT);
                let how = match wipe.place {
                    Whereabouts::Absent => "continue, once it is attached",
                    Whereabouts::Here(_) | Whereabouts::AnyOf(_) => "continue",
                };
                lines.extend(command.map(|it| format!("{indent}{how}: {it}")));
            }
            lines.push(String::new());
        }
        lines.push("Disks:".into());
        lines.extend(self.table(width));
        for note in &self.notes {
            lines.extend(broken(&clean(note), width.unwrap_or(usize::MAX), 0));
        }
        lines.push("Nothing was touched. Wipe one with: wipeit DEVICE".into());
        lines.join("\n") + "\n"
    }

    fn table(&self, columns: Option<usize>) -> Vec<String> {
        let mut rows: Vec<[String; 7]> = vec![HEADER.map(String::from)];
        rows.extend(self.disks.iter().map(Row::cells));
        let widest = |i: usize| rows.iter().map(|row| width(&row[i])).max();
        let mut widths: [usize; 7] = std::array::from_fn(|i| widest(i).unwrap_or(0));
        if let Some(columns) = columns {
            // What is longer pushes the rest of its own line only.
            widths[STATE] = widths[STATE].min(LONGEST_STATE);
            let all = 2 * HEADER.len() + widths.iter().sum::<usize>();
            let most = widths[MODEL].saturating_sub(HEADER[MODEL].len());
            widths[MODEL] -= all.saturating_sub(columns).min(most);
        }
        rows.iter()
            .map(|row| table_line(row, &widths, columns))
            .collect()
    }
}

/// A line of the table. Where it is too long its end is left out, but never a
/// part of the state.
fn table_line(row: &[String; 7], widths: &[usize; 7], columns: Option<usize>) -> String {
    // bytes up to the end of the state
    let (mut line, mut kept) = (String::new(), 0);
    for (i, cell) in row.iter().enumerate() {
        let columns = widths[i];
        line.push_str("  ");
        let cell = match i {
            SIZE => format!("{cell:>columns$}"),
            STATE => padded(cell, columns),
            _ => padded(&cut(cell, columns), columns),
        };
        line.push_str(&cell);
        if i == STATE {
            kept = line.trim_end().len();
        }
    }
    let line = line.trim_end();
    match columns {
        Some(columns) if width(&line[..kept]) + 2 >= columns => line[..kept].into(),
        Some(columns) => cut(line, columns),
        None => line.into(),
    }
}

impl Row {
    /// The cells of its line, cleaned.
    fn cells(&self) -> [String; 7] {
        let disk = &self.disk;
        let id = disk.identity.as_ref();
        let dash = || "-".to_string();
        let backing = id.and_then(|id| id.backing.as_ref());
        let named = |text: Option<&String>| {
            text.map(|text| text.trim().to_string())
                .filter(|text| !text.is_empty())
        };
        let model = named(id.and_then(|id| id.model.as_ref()))
            .or_else(|| backing.and_then(|file| Some(file.path.rsplit('/').next()?.to_string())));
        let made_here = id.is_some_and(|id| {
            matches!(
                id.nature(),
                Nature::SoftwareVolume { .. } | Nature::Memory { .. } | Nature::File
            )
        });
        let no_serial = if made_here { "-" } else { "(none)" };
        [
            visible(disk.path.as_os_str().as_bytes()),
            size::decimal(disk.size),
            self.state.text.clone(),
            kind(disk).into(),
            model.unwrap_or_else(dash),
            named(id.and_then(|id| id.serial.as_ref())).unwrap_or_else(|| no_serial.into()),
            disk.slot.clone().unwrap_or_else(dash),
        ]
        .map(|cell| clean(&cell))
    }
}

impl Unfinished {
    /// The command that continues it; none while it runs.
    fn command(&self) -> Option<String> {
        if self.running {
            return None;
        }
        Some(match &self.place {
            Whereabouts::Here(path) => {
                let path = shell_word(path.as_os_str().as_bytes());
                format!("{} {path}", self.resume)
            }
            Whereabouts::AnyOf(_) => format!("{} DEVICE", self.resume),
            Whereabouts::Absent => self.resume.clone(),
        })
    }

    fn lines(&self, now: Timestamp) -> [String; 2] {
        let checkpoint = &self.checkpoint;
        let id = checkpoint.device_id();
        let word = |text: &Option<String>| {
            text.as_deref()
                .map(|text| clean(text.trim()))
                .filter(|text| !text.is_empty())
        };
        let last = checkpoint.device().rsplit('/').next().unwrap_or_default();
        let name = word(&id.serial).unwrap_or_else(|| clean(last));
        let what = match (word(&id.model), id.kind) {
            (Some(model), Kind::Partition) => format!("partition of {model} "),
            (Some(model), _) => format!("{model} "),
            (None, Kind::Loop) => "loop device ".into(),
            (None, Kind::Image) => "image ".into(),
            (None, _) => String::new(),
        };
        let shown = |path: &PathBuf| visible(path.as_os_str().as_bytes());
        let place = match &self.place {
            Whereabouts::Here(path) => format!("now {}", shown(path)),
            Whereabouts::Absent => "not attached".into(),
            Whereabouts::AnyOf(several) => {
                let names: Vec<String> = several.iter().map(shown).collect();
                format!("one of {}", names.join(", "))
            }
        };
        let slot = self.slot.as_ref();
        let slot = slot.map_or(String::new(), |slot| format!(", slot {}", clean(slot)));
        let size = size::decimal(checkpoint.total_size());
        let indent = " ".repeat(INDENT);
        [
            format!("  {name:<8}  {what}{size}, {place}{slot}"),
            format!("{indent}{}", self.state_text(now)),
        ]
    }

    /// How far it is, and how it goes on or ended.
    fn state_text(&self, now: Timestamp) -> String {
        let checkpoint = &self.checkpoint;
        let progress = if checkpoint.phase() == Phase::Complete && checkpoint.read_again() {
            "written; all of it is to be read back".into()
        } else if checkpoint.phase() == Phase::Complete {
            "only the report is left".into()
        } else {
            let passes = checkpoint.plan().passes().len();
            let pass = match passes {
                1 => String::new(),
                _ => format!("pass {} of {passes}: ", checkpoint.pass()),
            };
            let phase = checkpoint.phase().name();
            format!("{pass}{phase} {}", checkpoint.progress_text())
        };
        format!("{progress}, {}", clean(&self.stopped(now)))
    }

    /// Bytes a second, by what the last checkpoint of a running wipe says.
    fn speed(&self) -> Option<u64> {
        let sample = self.checkpoint.samples().last();
        sample.filter(|_| self.running).map(|sample| sample.speed)
    }

    /// How long a running wipe still takes, by the same.
    fn left(&self) -> Option<Duration> {
        let work: Duration = self.checkpoint.runs().iter().filter_map(Run::work).sum();
        let done = self.checkpoint.plan_percent() / 100.0;
        let known = self.running && done > 0.0 && work > Duration::ZERO;
        known.then(|| {
            let left = work.as_secs_f64() * (1.0 - done) / done;
            Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)
        })
    }

    /// Which process runs it, how fast, and for how long still.
    fn under_way(&self) -> String {
        let mut text = String::from("running");
        // Writing to a string does not fail.
        if let Some(pid) = self.pid {
            let _ = write!(text, " as process {pid}");
        }
        if let Some(speed) = self.speed() {
            let _ = write!(text, " at {}/s", size::decimal(speed));
        }
        if let Some(left) = self.left() {
            let _ = write!(text, ", {} left", about(left));
        }
        text
    }

    /// How long ago and by what it stopped.
    fn stopped(&self, now: Timestamp) -> String {
        let when = |text: &str| {
            text.parse()
                .map_or("at an unknown time".into(), |at| ago(now, at))
        };
        let last = self.checkpoint.runs().last();
        let Some(Run {
            end: Some(end),
            ended_by: Some(by),
            ..
        }) = last
        else {
            let how = if self.running {
                self.under_way()
            } else {
                "killed or crashed".into()
            };
            return format!("{how}, saved {}", when(self.checkpoint.timestamp()));
        };
        let by = match by.as_str() {
            "SIGINT" => "Ctrl+C",
            "SIGHUP" => "a hang-up",
            other => other,
        };
        format!("stopped {} by {by}", when(end))
    }
}

#[derive(Serialize)]
struct Json<'a> {
    unfinished: Vec<UnfinishedJson<'a>>,
    disks: Vec<DiskJson<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct UnfinishedJson<'a> {
    file: String,
    last_device: &'a str,
    attached: bool,
    devices: Vec<String>,
    serial: Option<&'a str>,
    model: Option<&'a str>,
    slot: Option<&'a str>,
    size: u64,
    pass: usize,
    passes: usize,
    phase: Phase,
    done: u64,
    plan_percent: f64,
    started_at: &'a str,
    saved_at: &'a str,
    ended_at: Option<&'a str>,
    ended_by: Option<&'a str>,
    running: bool,
    pid: Option<u32>,
    speed: Option<u64>,
    seconds_left: Option<u64>,
    state_text: String,
    command: Option<String>,
}

#[derive(Serialize)]
struct DiskJson<'a> {
    device: String,
    kind: &'static str,
    size: u64,
    logical_block: Option<u32>,
    vendor: Option<&'a str>,
    model: Option<&'a str>,
    serial: Option<&'a str>,
    wwn: Option<&'a str>,
    slot: Option<&'a str>,
    backing_file: Option<&'a str>,
    contents: Vec<ContentJson<'a>>,
    wipeable: bool,
    state: &'static str,
    state_text: &'a str,
    reasons: &'a [String],
    last_outcome: Option<&'a str>,
    last_wiped_at: Option<String>,
}

#[derive(Serialize)]
struct ContentJson<'a> {
    name: &'a str,
    size: u64,
    format: Option<&'static str>,
    label: Option<&'a str>,
}

impl Listing {
    /// As JSON for scripts, in ASCII, ending in a line end.
    ///
    /// # Errors
    /// Never in practice: no number in it is not finite.
    pub fn json(&self, now: Timestamp) -> serde_json::Result<String> {
        let json = Json {
            unfinished: self.unfinished.iter().map(|it| it.json(now)).collect(),
            disks: self.disks.iter().map(Row::json).collect(),
            notes: &self.notes,
        };
        Ok(ascii(&serde_json::to_string_pretty(&json)?) + "\n")
    }
}

/// JSON with everything that is not ASCII escaped, so that no name commands the
/// terminal that it ends up on. Such characters stand in strings only.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

impl Unfinished {
    fn json(&self, now: Timestamp) -> UnfinishedJson<'_> {
        let checkpoint = &self.checkpoint;
        let last = checkpoint.runs().last();
        let devices = match &self.place {
            Whereabouts::Here(path) => vec![path_to_text(path)],
            Whereabouts::AnyOf(paths) => paths.iter().map(|path| path_to_text(path)).collect(),
            Whereabouts::Absent => Vec::new(),
        };
        UnfinishedJson {
            file: path_to_text(&self.file),
            last_device: checkpoint.device(),
            attached: matches!(self.place, Whereabouts::Here(_)),
            devices,
            serial: checkpoint.device_id().serial.as_deref(),
            model: checkpoint.device_id().model.as_deref(),
            slot: self.slot.as_deref(),
            size: checkpoint.total_size(),
            pass: checkpoint.pass(),
            passes: checkpoint.plan().passes().len(),
            phase: checkpoint.phase(),
            done: checkpoint.position(),
            plan_percent: checkpoint.plan_percent(),
            started_at: checkpoint.started_at(),
            saved_at: checkpoint.timestamp(),
            ended_at: last.and_then(|run| run.end.as_deref()),
            ended_by: last.and_then(|run| run.ended_by.as_deref()),
            running: self.running,
            pid: self.pid.filter(|_| self.running),
            speed: self.speed(),
            seconds_left: self.left().map(|left| left.as_secs()),
            state_text: self.state_text(now),
            command: self.command(),
        }
    }
}

impl Row {
    fn json(&self) -> DiskJson<'_> {
        let (disk, state) = (&self.disk, &self.state);
        let id = disk.identity.as_ref();
        let backing: Option<&Backing> = id.and_then(|id| id.backing.as_ref());
        let contents = disk.facts.as_ref().map_or(&[][..], |it| &it.contents);
        DiskJson {
            device: path_to_text(&disk.path),
            kind: kind(disk),
            size: disk.size,
            logical_block: id.map(|id| id.logical_block),
            vendor: id.and_then(|id| id.vendor.as_deref()),
            model: id.and_then(|id| id.model.as_deref()),
            serial: id.and_then(|id| id.serial.as_deref()),
            wwn: id.and_then(|id| id.wwn.as_deref()),
            slot: disk.slot.as_deref(),
            backing_file: backing.map(|file| file.path.as_str()),
            contents: contents
                .iter()
                .map(|content| ContentJson {
                    name: &content.name,
                    size: content.size,
                    format: content.what,
                    label: content.label.as_deref(),
                })
                .collect(),
            wipeable: state.reasons.is_empty(),
            state: state.word,
            state_text: &state.text,
            reasons: &state.reasons,
            last_outcome: state.past.as_ref().map(|past| past.outcome.as_str()),
            last_wiped_at: state.past.as_ref().map(|past| past.at.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
