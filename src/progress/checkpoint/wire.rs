//! A checkpoint as it stands in a file; the [page on the format](super) says what
//! its fields mean.

use std::io::{Read, Seek};
use std::{fmt, io};

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::json;
use super::state::Checkpoint;
use crate::plan::{self, Phase, Step, Verify};
use crate::text::{Failure, Word, bounded};

/// The `kind` of every checkpoint, and of the records of wipeit 0.1.0.
const KIND: &str = "wipeit-checkpoint";
/// The `kind` of records: what can be handed out of a finished wipe.
pub const RECORD_KIND: &str = "wipeit-record";
/// The only `version` of either that this program writes and reads.
pub const VERSION: u64 = 1;

/// No file that is saved is larger, in bytes.
pub const LARGEST: u64 = 8 << 20;

/// Of these, what only a record has.
pub(super) const RESERVE: u64 = 64 << 10;

/// Why a file is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// It does not parse; the field where known, and why.
    Corrupt(String),
    /// It was written by a newer program.
    Newer(u64),
    /// Its keys are kept apart, and cannot be had: why.
    Keyless(String),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(why) => write!(f, "is not a whole checkpoint: {why}"),
            Self::Newer(version) => write!(
                f,
                "has version {version}, but this wipeit knows version {VERSION} only"
            ),
            Self::Keyless(why) => write!(f, "cannot be compared with a drive: {why}"),
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

/// What says in a file where the wipe is, several times over: a file in which
/// that does not agree is not believed.
#[derive(Deserialize)]
struct Redundant {
    written: u64,
    total_size: u64,
    progress_percent: f64,
    plan_percent: f64,
    pass: usize,
    phase: Phase,
    verified: u64,
}

impl Checkpoint {
    /// Reads a checkpoint from its bytes.
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
    /// The kernel's, or that it does not parse, is of a newer version, or
    /// contradicts itself.
    pub fn read(from: &mut (impl Read + Seek)) -> Result<Self, Unread> {
        let this = Self::read_as(from, KIND)?;
        if this.plan.lacks_keys() {
            let why = "field plan has a random pass without its key".into();
            return Err(Unread::Invalid(Invalid::Corrupt(why)));
        }
        Ok(this)
    }

    /// Reads what a record says as a checkpoint does. Its keys are kept apart,
    /// unless it is of wipeit 0.1.0, whose records are checkpoints with more fields.
    pub fn read_record(from: &mut (impl Read + Seek)) -> Result<Self, Unread> {
        let Head { kind, .. } = bounded::read(from)?;
        match kind.text() {
            Some(KIND) => Self::read(from),
            _ => Self::read_as(from, RECORD_KIND),
        }
    }

    fn read_as(from: &mut (impl Read + Seek), wanted: &str) -> Result<Self, Unread> {
        let corrupt = |why: String| Unread::Invalid(Invalid::Corrupt(why));
        // What it is says more than what is wrong with it.
        let Head { kind, version } = bounded::read(from)?;
        if kind.text() != Some(wanted) {
            return Err(corrupt(format!("field kind is not \"{wanted}\"")));
        }
        match version {
            Word::Number(VERSION) => {}
            Word::Number(newer) if newer > VERSION => {
                return Err(Unread::Invalid(Invalid::Newer(newer)));
            }
            _ => return Err(corrupt("field version is not a known number".into())),
        }
        let mut this: Self = bounded::read(from)?;
        let redundant: Redundant = bounded::read(from)?;
        match this.place_at(&redundant) {
            Some(field) => Err(corrupt(format!("field {field} contradicts the others"))),
            None => Ok(this),
        }
    }

    /// Moves to where a file says that it is; gives the first field that cannot be
    /// true together with the others.
    fn place_at(&mut self, at: &Redundant) -> Option<&'static str> {
        if !(1..=self.plan.passes().len()).contains(&at.pass) {
            return Some("pass");
        }
        let (pass, phase, total) = (at.pass - 1, at.phase, at.total_size);
        let position = match phase {
            Phase::Write => at.written,
            Phase::Verify | Phase::Complete => at.verified,
        };
        self.set_position(Step { pass, phase }, position);
        let verify = self.plan.pass(pass).verify != Verify::None;
        let close = |a: f64, b: f64| (a - b).abs() < 0.005;
        let is_new = |id: &String| is_id(id) && *id != self.run_id;
        let rules = [
            ("total_size", total > 0 && total == self.device_id.size),
            ("written", at.written <= total),
            // The end of a pass is the start of what follows.
            ("written", phase != Phase::Write || at.written < total),
            (
                "written",
                phase == Phase::Write
                    // As 0.1.0 had it.
                    || at.written == total
                    || at.written == self.all_written(),
            ),
            ("verified", at.verified <= total),
            ("verified", phase != Phase::Write || at.verified == 0),
            ("phase", phase != Phase::Verify || verify),
            (
                "phase",
                phase != Phase::Complete || at.pass == self.plan.passes().len(),
            ),
            (
                "progress_percent",
                close(at.progress_percent, plan::percent_of(at.written, total)),
            ),
            ("plan_percent", close(at.plan_percent, self.plan_percent())),
            ("chunk_size", self.chunk_size > 0),
            ("device_id", self.device_id.logical_block > 0),
            ("run_id", is_id(&self.run_id)),
            ("supersedes", self.supersedes.iter().all(is_new)),
            ("bad", self.bad.end() <= total),
            ("mismatches", self.mismatches.end() <= total),
        ];
        rules
            .iter()
            .find(|(_, holds)| !holds)
            .map(|(field, _)| *field)
    }

    /// The bytes that are saved.
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

    /// Its fields, as part of something else.
    pub fn serialize_fields<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        self.fields(&mut map)?;
        map.end()
    }

    /// Its fields, without what says that it is a checkpoint. What follows from
    /// others is worked out here and nowhere else.
    fn fields<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        let (written, total) = (self.written(), self.total_size());
        to.serialize_entry("device", &self.device)?;
        to.serialize_entry("written", &written)?;
        to.serialize_entry("total_size", &total)?;
        to.serialize_entry("progress_percent", &self.progress_percent())?;
        to.serialize_entry("chunk_size", &self.chunk_size)?;
        to.serialize_entry("timestamp", &self.timestamp)?;
        to.serialize_entry("device_id", &self.device_id)?;
        to.serialize_entry("plan_percent", &self.plan_percent())?;
        to.serialize_entry("run_id", &self.run_id)?;
        given(
            to,
            "supersedes",
            &self.supersedes,
            self.supersedes.is_empty(),
        )?;
        to.serialize_entry("started_at", &self.started_at)?;
        to.serialize_entry("runs", &self.runs)?;
        to.serialize_entry("tool_version", &self.tool_version)?;
        to.serialize_entry("plan", &self.plan)?;
        given(to, "scheme", &self.scheme, self.scheme.is_none())?;
        to.serialize_entry("pass", &self.pass())?;
        to.serialize_entry("phase", &self.phase())?;
        to.serialize_entry("verified", &self.verified())?;
        to.serialize_entry("bad", &self.bad)?;
        to.serialize_entry("mismatches", &self.mismatches)?;
        to.serialize_entry("wrap", &self.wrap)?;
        to.serialize_entry("samples", &self.samples)?;
        to.serialize_entry("page_cache", &self.page_cache)?;
        to.serialize_entry("failed_saves", &self.failed_saves)?;
        given(to, "findings", &self.findings, self.findings.is_empty())?;
        given(to, "file", &self.file, self.file.is_none())?;
        given(to, "read_again", &self.read_again, !self.read_again)?;
        let before = &self.contents_before;
        given(to, "contents_before", before, before.is_empty())?;
        to.serialize_entry("report", &self.report)
    }
}

/// A field that stands there only where it says something.
fn given<M: SerializeMap>(
    to: &mut M,
    name: &str,
    value: &impl Serialize,
    says_nothing: bool,
) -> Result<(), M::Error> {
    if says_nothing {
        return Ok(());
    }
    to.serialize_entry(name, value)
}

impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("kind", KIND)?;
        map.serialize_entry("version", &VERSION)?;
        self.fields(&mut map)?;
        map.end()
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::example::of_1000_bytes;
    use crate::plan::{Pass, Plan};
    use crate::strategy::Content;
    use serde_json::{Value, json};

    fn checkpoint() -> Checkpoint {
        let pass = |verify| Pass {
            content: Content::Zero,
            verify,
        };
        let plan = Plan::new(vec![pass(Verify::None), pass(Verify::Full)]).unwrap();
        let now = "2026-01-14T02:10:07+01:00";
        let mut checkpoint = Checkpoint::begin(of_1000_bytes(), plan, 4096, "0123abcd".into(), now);
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
        assert!((checkpoint.progress_percent() - 33.3).abs() < 1e-9);
        assert!((checkpoint.plan_percent() - 11.1).abs() < 1e-9);
        checkpoint.set_position(
            Step {
                pass: 1,
                phase: Phase::Verify,
            },
            500,
        );
        assert!((checkpoint.progress_percent() - 100.0).abs() < 1e-9);
        assert!((checkpoint.plan_percent() - 83.33).abs() < 1e-9);
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
