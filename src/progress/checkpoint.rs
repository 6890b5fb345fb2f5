//! The checkpoint: what a resume needs, as it stands on disk.
//!
//! This module knows the data and its validation, not where it is kept.

pub mod json;
mod lists;

use std::io::{Read, Seek};
use std::time::Duration;
use std::{fmt, io};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::drive::{FileFacts, Findings, Identity};
use crate::plan::{self, BadMap, Differences, During, Extent, Phase, Plan, Step, Verify, Wrap};
use crate::text::{Failure, Word, bounded, size};

pub use self::lists::{LeftOut, MOST_CONTENTS, add_run, add_sample, shorten};

/// The `kind` of every checkpoint and record.
pub const KIND: &str = "wipeit-checkpoint";
/// The only `version` that this program writes and reads.
pub const VERSION: u64 = 1;

/// No file that is saved is larger, in bytes.
pub const LARGEST: u64 = 8 << 20;

/// Of these, what only a record has.
const RESERVE: u64 = 64 << 10;

/// How far a wipe got, durably.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Always [`KIND`].
    pub kind: String,
    /// Always [`VERSION`].
    pub version: u64,
    /// The path at the last run, for people.
    pub device: String,
    /// Bytes of the current pass that a successful flush covered. While it is
    /// written everything below this position is, or stands in `bad`; at its end
    /// what stands there does not count.
    pub written: u64,
    /// Bytes of the target.
    pub total_size: u64,
    /// `written` of `total_size`, rounded down to hundredths.
    pub progress_percent: f64,
    /// Bytes of one write.
    pub chunk_size: u64,
    /// When this was saved, RFC 3339.
    pub timestamp: String,
    /// Which drive it is.
    pub device_id: Identity,
    /// Percent of all passes and read-backs, rounded down to hundredths.
    pub plan_percent: f64,
    /// Random, in hexadecimal; the same over all runs of a wipe.
    pub run_id: String,
    /// The wipes of the same drive that this one supersedes, by their run ids:
    /// what their files say of it is no longer so, whatever any clock said.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lists::ids"
    )]
    pub supersedes: Vec<String>,
    /// When the wipe began, RFC 3339.
    pub started_at: String,
    /// Every start of the program for this wipe.
    #[serde(deserialize_with = "lists::runs")]
    pub runs: Vec<Run>,
    /// The version of the program that saved this.
    pub tool_version: String,
    /// What is written and read back.
    pub plan: Plan,
    /// The name of the scheme that asks for these passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The current pass, from 1.
    pub pass: usize,
    /// What is done with it.
    pub phase: Phase,
    /// Where the read-back of the current pass is, in bytes: everything below
    /// that it looks at was read. At the end of the wipe the bytes that were
    /// compared.
    pub verified: u64,
    /// What could not be written or read.
    pub bad: BadMap,
    /// What was read back different, in any run.
    pub mismatches: Differences,
    /// Set when addresses were found to lead to the same place of the drive.
    pub wrap: Option<Wrap>,
    /// Speed over position.
    #[serde(deserialize_with = "lists::samples")]
    pub samples: Vec<Sample>,
    /// Whether read-backs went through the page cache, because the file system
    /// refuses direct I/O.
    pub page_cache: bool,
    /// How often a checkpoint could not be saved, over all runs; a crash might
    /// then have cost more than the interval.
    pub failed_saves: u64,
    /// What else is to be said of the wipe, over all runs.
    #[serde(default, skip_serializing_if = "Findings::is_empty")]
    pub findings: Findings,
    /// The target's file, or the one below a loop device, when this was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileFacts>,
    /// Whether something could write to the target after the last byte: all of it
    /// is read back before it is called wiped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_again: bool,
    /// What stood on the target when the wipe began, as far as it was recognised:
    /// first itself, then its partitions. Version 0.1.0 did not keep it.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lists::contents_before"
    )]
    pub contents_before: Vec<ContentBefore>,
    /// What was asked of the report.
    #[serde(default)]
    pub report: Wanted,
}

/// What stood on a target, or on a partition of it.
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

/// One start of the program.
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
    /// Milliseconds in which the machine slept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asleep_ms: u64,
    /// Where the wall clock stood at the last checkpoint.
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
    #[must_use]
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
    /// What was done.
    pub phase: Phase,
    /// Where the stretch ends, in bytes.
    pub offset: u64,
    /// Bytes a second over the stretch.
    pub speed: u64,
}

impl Sample {
    /// The step that it is of.
    #[must_use]
    pub fn step(&self) -> Step {
        Step {
            pass: self.pass.saturating_sub(1),
            phase: self.phase,
        }
    }
}

/// What was asked of the report. A resume keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Where it goes besides the state directory: absolute, a folder with a
    /// slash at its end; see [`path_to_text`](crate::drive::path_to_text).
    pub path: Option<String>,
    /// Who wipes.
    pub operator: Option<String>,
    /// The owner's number of the drive.
    pub asset: Option<String>,
    /// Anything else.
    pub note: Option<String>,
}

impl Wanted {
    /// The same with what is given anew.
    #[must_use]
    pub fn or_new(self, new: &Self) -> Self {
        Self {
            path: new.path.clone().or(self.path),
            operator: new.operator.clone().or(self.operator),
            asset: new.asset.clone().or(self.asset),
            note: new.note.clone().or(self.note),
        }
    }
}

/// Why a file is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// It does not parse; the field where known, and why.
    Corrupt(String),
    /// It was written by a newer program.
    Newer(u64),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(why) => write!(f, "is not a whole checkpoint: {why}"),
            Self::Newer(version) => write!(
                f,
                "has version {version}, but this wipeit knows version {VERSION} only"
            ),
        }
    }
}

/// Why a file is not read.
#[derive(Debug)]
pub enum Unread {
    /// The kernel's.
    Unreadable(io::Error),
    /// It is not a checkpoint.
    Invalid(Invalid),
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreadable(error) => Self::Unreadable(error),
            Failure::Wrong(why) => Self::Invalid(Invalid::Corrupt(why)),
        }
    }
}

/// What a file of any version has.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    kind: Word,
    #[serde(default)]
    version: Word,
}

impl Checkpoint {
    /// The start of a wipe: nothing is written yet. `chunk_size` in bytes,
    /// `now` in RFC 3339.
    #[must_use]
    pub fn begin(
        device_id: Identity,
        plan: Plan,
        chunk_size: u64,
        run_id: String,
        now: &str,
    ) -> Self {
        let mut this = Self {
            kind: KIND.into(),
            version: VERSION,
            device: String::new(),
            written: 0,
            total_size: device_id.size,
            progress_percent: 0.0,
            chunk_size,
            timestamp: now.into(),
            device_id,
            plan_percent: 0.0,
            run_id,
            supersedes: Vec::new(),
            started_at: now.into(),
            runs: Vec::new(),
            tool_version: env!("CARGO_PKG_VERSION").into(),
            plan,
            scheme: None,
            pass: 1,
            phase: Phase::Write,
            verified: 0,
            bad: BadMap::default(),
            mismatches: Differences::default(),
            wrap: None,
            samples: Vec::new(),
            page_cache: false,
            failed_saves: 0,
            findings: Findings::default(),
            file: None,
            read_again: false,
            contents_before: Vec::new(),
            report: Wanted::default(),
        };
        this.set_position(this.step(), 0);
        this
    }

    /// The step that is under way.
    #[must_use]
    pub fn step(&self) -> Step {
        Step {
            pass: self.pass - 1,
            phase: self.phase,
        }
    }

    /// Bytes of the step that are done.
    #[must_use]
    pub fn position(&self) -> u64 {
        match self.phase {
            Phase::Write => self.written,
            Phase::Verify => self.verified,
            Phase::Complete => self.total_size,
        }
    }

    /// How far it got, to compare with another checkpoint of the same wipe.
    #[must_use]
    pub fn progress(&self) -> (usize, u8, u64) {
        let phase = match self.phase {
            Phase::Write => 0,
            Phase::Verify => 1,
            Phase::Complete => 2,
        };
        (self.pass, phase, self.position())
    }

    /// Where the step is, as `43.0% (7.74 of 18.0 TB)`, rounded down.
    #[must_use]
    pub fn progress_text(&self) -> String {
        let (done, total) = (self.position(), self.total_size);
        let share = size::percent_text(done, total);
        format!("{share} ({})", size::part_of(done, total, " of "))
    }

    /// Moves to a position; keeps the derived fields true.
    pub fn set_position(&mut self, step: Step, position: u64) {
        self.pass = step.pass + 1;
        self.phase = step.phase;
        (self.written, self.verified) = match step.phase {
            Phase::Write => (position, 0),
            Phase::Verify => (self.all_written(), position),
            Phase::Complete => (self.all_written(), self.compared()),
        };
        self.progress_percent = plan::percent_of(self.written, self.total_size);
        let (done, total) = self.plan.work(step, position, self.total_size);
        self.plan_percent = plan::percent(done, total);
    }

    /// Bytes that are written when a pass has come to its end: what could not be
    /// written is none of them.
    #[must_use]
    pub fn all_written(&self) -> u64 {
        let unwritten = self.bad.amount_during(During::Write).most;
        self.total_size.saturating_sub(unwritten)
    }

    /// Bytes that the read-back of the last pass compares when it is done: what
    /// could not be read is none of them; after a bad block in an earlier pass,
    /// or where ranges were joined, at least so many.
    #[must_use]
    pub fn compared(&self) -> u64 {
        let (how, size) = (self.plan.verify(), self.total_size);
        let places = Extent::new(0, size).map_or(Vec::new(), |all| how.pieces(all, size));
        let bad = self.bad.shape();
        let compared = |place: &Extent| {
            let missed: u64 = bad.overlaps(*place).map(Extent::length).sum();
            place.length() - missed
        };
        places.iter().map(compared).sum()
    }

    /// Reads a checkpoint from its bytes.
    ///
    /// # Errors
    /// When it does not parse, is of a newer version, or contradicts itself.
    #[cfg(test)]
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        match Self::read(&mut std::io::Cursor::new(bytes)) {
            Ok(this) => Ok(this),
            Err(Unread::Invalid(why)) => Err(why),
            Err(Unread::Unreadable(error)) => Err(Invalid::Corrupt(error.to_string())),
        }
    }

    /// Reads a checkpoint, in little memory however large the file is. Lists that
    /// are longer than any that is saved now are brought to that length.
    ///
    /// # Errors
    /// The kernel's, or as for [`parse`](Self::parse).
    pub fn read(from: &mut (impl Read + Seek)) -> Result<Self, Unread> {
        let corrupt = |why: String| Unread::Invalid(Invalid::Corrupt(why));
        let read = bounded::read::<Self>(from);
        let (kind, version) = match &read {
            Ok(this) => (this.kind.clone(), Some(this.version)),
            Err(Failure::Wrong(_)) => {
                // What it is says more than what is wrong with it.
                let Head { kind, version } = bounded::read(from)?;
                let number = match version {
                    Word::Number(number) => Some(number),
                    Word::Text(_) | Word::Other => None,
                };
                (kind.text().unwrap_or_default().into(), number)
            }
            Err(Failure::Unreadable(_)) => (KIND.into(), Some(VERSION)),
        };
        if kind != KIND {
            return Err(corrupt(format!("field kind is not \"{KIND}\"")));
        }
        match version {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Err(Unread::Invalid(Invalid::Newer(newer))),
            _ => return Err(corrupt("field version is not a known number".into())),
        }
        let this = read?;
        match this.contradiction() {
            Some(field) => Err(corrupt(format!("field {field} contradicts the others"))),
            None => Ok(this),
        }
    }

    /// The first field that cannot be true together with the others.
    fn contradiction(&self) -> Option<&'static str> {
        let pass_known = (1..=self.plan.passes().len()).contains(&self.pass);
        let total = self.total_size;
        if !pass_known {
            return Some("pass");
        }
        let step = self.step();
        let verify = self.plan.pass(step.pass).verify != Verify::None;
        let close = |a: f64, b: f64| (a - b).abs() < 0.005;
        let (done, all) = self.plan.work(step, self.position(), total);
        let rules = [
            ("total_size", total > 0 && total == self.device_id.size),
            ("written", self.written <= total),
            // The end of a pass is the start of what follows.
            (
                "written",
                self.phase != Phase::Write || self.written < total,
            ),
            (
                "written",
                self.phase == Phase::Write
                    // As versions before this one had it.
                    || self.written == total
                    || self.written == self.all_written(),
            ),
            ("verified", self.verified <= total),
            ("verified", self.phase != Phase::Write || self.verified == 0),
            ("phase", self.phase != Phase::Verify || verify),
            (
                "phase",
                self.phase != Phase::Complete || self.pass == self.plan.passes().len(),
            ),
            (
                "progress_percent",
                close(self.progress_percent, plan::percent_of(self.written, total)),
            ),
            (
                "plan_percent",
                close(self.plan_percent, plan::percent(done, all)),
            ),
            ("chunk_size", self.chunk_size > 0),
            ("device_id", self.device_id.logical_block > 0),
            ("run_id", is_id(&self.run_id)),
            (
                "supersedes",
                self.supersedes
                    .iter()
                    .all(|id| is_id(id) && *id != self.run_id),
            ),
            ("bad", self.bad.end() <= total),
            ("mismatches", self.mismatches.end() <= total),
        ];
        rules
            .iter()
            .find(|(_, holds)| !holds)
            .map(|(field, _)| *field)
    }

    /// The bytes that are saved.
    ///
    /// # Errors
    /// Never in practice: the data has no map with keys that are not text.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        if planted!("unbounded-lists") {
            return json::to_bytes(self);
        }
        // The record, which has a few fields more, must fit as well.
        self.to_json_of(LARGEST - RESERVE, json::to_bytes)
    }

    /// The bytes that `write` makes of it. Its lists have fewer ranges if it
    /// would be larger than `most` bytes otherwise, which takes numbers and texts
    /// of uncommon length.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn to_json_of(
        &self,
        most: u64,
        write: impl Fn(&Self) -> serde_json::Result<Vec<u8>>,
    ) -> serde_json::Result<Vec<u8>> {
        let mut bytes = write(self)?;
        if bytes.len() as u64 > most {
            let mut smaller = self.clone();
            while bytes.len() as u64 > most && smaller.halve() {
                bytes = write(&smaller)?;
            }
        }
        Ok(bytes)
    }

    /// Keeps half of its ranges; `false` where no fewer are possible.
    fn halve(&mut self) -> bool {
        let before = self.bad.len() + self.mismatches.len();
        self.bad.halve();
        self.mismatches.halve();
        // What counts as written hangs on what is bad.
        self.set_position(self.step(), self.position());
        self.bad.len() + self.mismatches.len() < before
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::{Kind, Transport};

    use crate::plan::{Content, Pass};
    use serde_json::{Value, json};

    fn checkpoint() -> Checkpoint {
        let pass = |verify| Pass {
            content: Content::Zero,
            verify,
        };
        let device_id = Identity {
            kind: Kind::Disk,
            transport: Transport::Sata,
            vendor: None,
            model: None,
            serial: Some("ZR5A1B2C".into()),
            wwn: None,
            firmware: None,
            size: 1000,
            logical_block: 512,
            slice: None,
            backing: None,
            nature: None,
        };
        let plan = Plan::new(vec![pass(Verify::None), pass(Verify::Full)]).unwrap();
        let now = "2026-01-14T02:10:07+01:00";
        let mut checkpoint = Checkpoint::begin(device_id, plan, 4096, "0123abcd".into(), now);
        checkpoint.device = "/dev/sdb".into();
        checkpoint.set_position(checkpoint.step(), 333);
        checkpoint
    }

    fn read(value: &Value) -> Result<Checkpoint, Invalid> {
        Checkpoint::parse(value.to_string().as_bytes())
    }

    #[test]
    fn what_is_saved_is_read_again_at_every_position() {
        let mut checkpoint = checkpoint();
        for (pass, phase, position) in [
            (0, Phase::Write, 0),
            (0, Phase::Write, 999),
            (1, Phase::Write, 0),
            (1, Phase::Verify, 500),
            (1, Phase::Complete, 0),
        ] {
            checkpoint.set_position(Step { pass, phase }, position);
            let read = Checkpoint::parse(&checkpoint.to_json().unwrap()).unwrap();
            assert_eq!(read, checkpoint);
            assert_eq!(read.step(), Step { pass, phase });
        }
    }

    #[test]
    fn the_percentages_follow_the_position_and_are_rounded_down() {
        let mut checkpoint = checkpoint();
        assert!((checkpoint.progress_percent - 33.3).abs() < 1e-9);
        assert!((checkpoint.plan_percent - 11.1).abs() < 1e-9);
        checkpoint.set_position(
            Step {
                pass: 1,
                phase: Phase::Verify,
            },
            500,
        );
        assert!((checkpoint.progress_percent - 100.0).abs() < 1e-9);
        assert!((checkpoint.plan_percent - 83.33).abs() < 1e-9);
    }

    #[test]
    fn a_torn_file_is_no_checkpoint_at_any_length() {
        let whole = checkpoint().to_json().unwrap();
        for length in 0..whole.len() - 2 {
            assert!(Checkpoint::parse(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut value = serde_json::to_value(checkpoint()).unwrap();
        value["version"] = json!(2);
        assert_eq!(read(&value), Err(Invalid::Newer(2)));
        value["version"] = json!(0);
        assert!(matches!(read(&value), Err(Invalid::Corrupt(_))));
    }

    #[test]
    fn every_contradiction_names_its_field() {
        let bad = |start| json!([{"start": start, "length": 512, "pass": 1, "state": "failed", "during": "write", "errno": 5}]);
        for (field, value) in [
            ("kind", json!("other")),
            ("pass", json!(0)),
            ("pass", json!(3)),
            ("total_size", json!(0)),
            ("total_size", json!(2000)),
            ("written", json!(1001)),
            ("written", json!(-1)),
            ("progress_percent", json!(50.0)),
            ("plan_percent", json!(50.0)),
            ("verified", json!(5)),
            ("phase", json!("later")),
            ("chunk_size", json!(0)),
            ("run_id", json!("../../etc")),
            ("supersedes", json!(["../../etc"])),
            ("supersedes", json!(["0123abcd"])),
            ("supersedes", json!([""])),
            ("bad", bad(600)),
            (
                "mismatches",
                json!([{"start": 900, "length": 101, "at": 912, "expected": "00", "found": "01"}]),
            ),
            ("plan", json!([])),
            ("plan[0].strategy", json!("gutmann")),
        ] {
            let mut all = serde_json::to_value(checkpoint()).unwrap();
            match field {
                "plan[0].strategy" => all["plan"][0]["strategy"] = value,
                _ => all[field] = value,
            }
            let Err(Invalid::Corrupt(why)) = read(&all) else {
                panic!("{field} is taken")
            };
            let name = field.split('[').next().unwrap();
            assert!(why.contains(name), "{field}: {why}");
        }
    }
}
