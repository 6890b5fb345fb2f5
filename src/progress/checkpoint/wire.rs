//! A checkpoint as it stands in a file; the [page on the format](super) says what
//! its fields mean.

use std::io::{self, Read, Seek};

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use super::json;
use super::state::Checkpoint;
use crate::drive::Identity;
use crate::plan::{self, Phase, Step, Verify};
use crate::text::{Failure, Word, bounded, reason};

/// The `kind` of every checkpoint, and of the records of wipeit 0.1.0.
const KIND: &str = "wipeit-checkpoint";
/// The `kind` of records: what can be handed out of a finished wipe.
pub(crate) const RECORD_KIND: &str = "wipeit-record";
/// The only `version` of either that this program writes and reads.
pub(crate) const VERSION: u64 = 1;

/// No file that is saved is larger, in bytes.
pub(crate) const LARGEST: u64 = 8 << 20;

/// Of these, what only a record has.
pub(super) const RESERVE: u64 = 64 << 10;

/// Why a file is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// The field where known, and why.
    #[error("is not a whole checkpoint: {0}")]
    Corrupt(String),
    #[error("has version {0}, but this wipeit knows version {known} only", known = VERSION)]
    Newer(u64),
    #[error("cannot be compared with a drive: {0}")]
    Keyless(String),
}

/// Why a file is not used.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("cannot be read: {}", reason(.0))]
    Unreadable(io::Error),
    /// It has no bytes, or none but zeros: a loss of power where a file system
    /// does not keep what was saved.
    #[error("holds nothing, as a loss of power leaves a file, and names no drive")]
    Empty,
    #[error("{why}")]
    Invalid {
        why: Invalid,
        /// Which drive it speaks of, as far as that can be understood.
        device_id: Option<Box<Identity>>,
    },
}

impl From<Invalid> for LoadError {
    fn from(why: Invalid) -> Self {
        let device_id = None;
        Self::Invalid { why, device_id }
    }
}

impl From<Failure> for LoadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreadable(error) => Self::Unreadable(error),
            Failure::Wrong(why) => Invalid::Corrupt(why).into(),
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

/// Writes fields by these names, those in brackets only where they say something.
macro_rules! fields {
    ($from:ident, $to:ident: $($([$given:ident])? $($name:ident)?),*) => {
        $($(if !says_nothing(&$from.$given) {
            $to.serialize_entry(stringify!($given), &$from.$given)?;
        })?
        $($to.serialize_entry(stringify!($name), &$from.$name())?;)?)*
    };
}

fn says_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Checkpoint {
    /// Reads a checkpoint, in little memory however large the file is. Lists that
    /// are longer than any that is saved now are brought to that length.
    pub fn read(from: &mut (impl Read + Seek)) -> Result<Self, LoadError> {
        let this = Self::read_as(from, KIND)?;
        if this.plan.lacks_keys() {
            let why = "field plan has a random pass without its key".into();
            return Err(Invalid::Corrupt(why).into());
        }
        Ok(this)
    }

    /// Reads what a record says as a checkpoint does. Its keys are kept apart,
    /// unless it is of wipeit 0.1.0, whose records are checkpoints with more fields.
    pub fn read_record(from: &mut (impl Read + Seek)) -> Result<Self, LoadError> {
        let Head { kind, .. } = bounded::read(from)?;
        match kind.text() {
            Some(KIND) => Self::read(from),
            _ => Self::read_as(from, RECORD_KIND),
        }
    }

    fn read_as(from: &mut (impl Read + Seek), wanted: &str) -> Result<Self, LoadError> {
        let corrupt = |why: String| LoadError::from(Invalid::Corrupt(why));
        // What it is says more than what is wrong with it.
        let Head { kind, version } = bounded::read(from)?;
        if kind.text() != Some(wanted) {
            return Err(corrupt(format!("field kind is not \"{wanted}\"")));
        }
        match version {
            Word::Number(VERSION) => {}
            Word::Number(newer) if newer > VERSION => return Err(Invalid::Newer(newer).into()),
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

    pub fn serialize_fields<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        self.fields(&mut map)?;
        map.end()
    }

    /// Its fields, without what says that it is a checkpoint. What follows from
    /// others is worked out here and nowhere else.
    fn fields<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        fields! {
            self, to:
            device, written, total_size, progress_percent, chunk_size, timestamp, device_id,
            plan_percent, run_id, [supersedes], started_at, runs, tool_version, plan, [scheme],
            pass, phase, verified, bad, mismatches, wrap, samples, page_cache, failed_saves,
            [findings], [file], [read_again], [contents_before], report
        }
        Ok(())
    }
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
