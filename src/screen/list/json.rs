//! The list for scripts.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::entry::{Listing, PendingWipe, Row};
use crate::drive::{Backing, path_to_text};
use crate::plan::Phase;
use crate::probe::Whereabouts;

#[derive(Serialize)]
struct ListJson<'a> {
    unfinished: Vec<PendingJson<'a>>,
    disks: Vec<DiskJson<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct PendingJson<'a> {
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
    pub(crate) fn json(&self, now: Timestamp) -> serde_json::Result<String> {
        let json = ListJson {
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

impl PendingWipe {
    fn json(&self, now: Timestamp) -> PendingJson<'_> {
        let checkpoint = &self.checkpoint;
        let last = checkpoint.runs().last();
        let devices = match &self.place {
            Whereabouts::Here(path) => vec![path_to_text(path)],
            Whereabouts::AnyOf(paths) => paths.iter().map(|path| path_to_text(path)).collect(),
            Whereabouts::Absent => Vec::new(),
        };
        PendingJson {
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
            kind: self.kind(),
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
