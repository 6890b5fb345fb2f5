//! The record of a finished wipe: what a script, `--ensure` and the page read.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use super::found::{is_file, limits_of, method_word};
use super::time::Active;
use crate::drive::{Device, Medium};
use crate::outcome::Outcome;
use crate::plan::Amount;
use crate::probe::Computer;
use crate::progress::{Checkpoint, LARGEST, LoadError, RECORD_KIND, VERSION, json};
use crate::text::bounded;

/// A finished wipe. Its fields are those of its checkpoint, and those of its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Record {
    /// The checkpoint at its end, without keys unless it was read from a file of
    /// wipeit 0.1.0.
    #[serde(flatten, serialize_with = "Checkpoint::serialize_fields")]
    pub checkpoint: Checkpoint,
    #[serde(flatten)]
    pub end: RecordEnd,
}

/// What a record says besides. A file is read once for its checkpoint and once for
/// this: taken together, all of it would be kept in memory first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RecordEnd {
    /// `WIPED`, `NOT-CLEAR` or `DIFFERS`.
    pub outcome: String,
    /// In the words of NIST SP 800-88: `Clear: overwrite`, or that it was not
    /// achieved.
    pub method: String,
    pub medium: Medium,
    pub slot: Option<String>,
    /// Whether the kernel believes in a volatile write cache and so flushes it.
    pub write_back: Option<bool>,
    pub host: Computer,
    pub verification: Verification,
    /// Seconds that all runs worked together, without the time stopped or asleep;
    /// a killed run counts until its last checkpoint.
    pub active_seconds: u64,
    /// Bytes that could not be written or read back; at least so many where
    /// ranges were joined.
    pub bad_bytes: u64,
    /// Bytes of the ranges in which they are, where some were joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_bytes_at_most: Option<u64>,
    /// Areas that a drive of its kind may hide, as HPA, DCO and AMAX: `not
    /// checked`, or `none` where it has none of them.
    pub hidden_areas: String,
    #[serde(deserialize_with = "bounded::list::<_, _, 64>")]
    pub limits: Vec<String>,
    // What follows nothing fills yet; a reader of this version passes it on. The
    // owner's job and customer will stand beside the asset, in `report`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase: Option<serde_json::Value>,
    /// What the drive said of its health, before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub system_serial: Option<String>,
    pub board_serial: Option<String>,
    pub asset_tag: Option<String>,
}

#[derive(Serialize)]
struct Wire<'a> {
    kind: &'static str,
    version: u64,
    #[serde(flatten)]
    record: &'a Record,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verification {
    /// `full`, `sample` or `none`.
    pub method: String,
    /// Bytes that were read back and compared; after a bad block in an earlier
    /// pass, or where ranges were joined, at least so many.
    pub bytes: u64,
    /// Bytes in blocks that are not what was written, of all passes; at least
    /// so many where ranges were joined.
    pub bytes_different: u64,
    /// Bytes of the ranges in which they are, where some were joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_different_at_most: Option<u64>,
}

impl Record {
    pub(crate) fn new(
        checkpoint: &Checkpoint,
        outcome: &Outcome,
        device: &Device,
        host: Computer,
    ) -> Self {
        let (medium, id) = (device.medium, checkpoint.device_id());
        let word = method_word(medium, id);
        let method = match (outcome, word) {
            (Outcome::Wiped, "Clear") => match id.nature().part() {
                Some(part) => format!("Clear of {part} alone: overwrite"),
                None => "Clear: overwrite".into(),
            },
            (Outcome::Wiped, word) => word.into(),
            (_, word) => format!("{word} NOT achieved"),
        };
        let end = RecordEnd {
            outcome: outcome.word().into(),
            method,
            medium,
            slot: device.slot.clone(),
            write_back: device.write_back,
            host,
            verification: Verification::of(checkpoint),
            active_seconds: Active::of(checkpoint.runs()).work.as_secs(),
            bad_bytes: checkpoint.bad().amount().least,
            bad_bytes_at_most: at_most(checkpoint.bad().amount()),
            hidden_areas: if id.hidden_areas().is_some() {
                "not checked"
            } else {
                "none"
            }
            .into(),
            limits: limits_of(medium, id)
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect(),
            ..RecordEnd::default()
        };
        let checkpoint = checkpoint.clone().without_keys();
        Self { checkpoint, end }
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        self.checkpoint.to_json_of(LARGEST, |checkpoint| {
            let record = &Self {
                checkpoint: checkpoint.clone(),
                ..self.clone()
            };
            json::to_bytes(&Wire {
                kind: RECORD_KIND,
                version: VERSION,
                record,
            })
        })
    }

    pub(crate) fn without_keys(self) -> Self {
        Self {
            checkpoint: self.checkpoint.without_keys(),
            ..self
        }
    }

    /// Reads a record, in little memory however large the file is.
    pub(crate) fn read(from: &mut (impl Read + Seek)) -> Result<Self, LoadError> {
        let checkpoint = Checkpoint::read_record(from)?;
        let end = bounded::read(from)?;
        Ok(Self { checkpoint, end })
    }

    /// Whether its target is a file of a file system, or a loop device over one.
    pub(crate) fn is_file(&self) -> bool {
        is_file(self.end.medium, self.checkpoint.device_id())
    }
}

impl Verification {
    fn of(checkpoint: &Checkpoint) -> Self {
        let different = checkpoint.mismatches().amount();
        Self {
            method: checkpoint.plan().verify().name().into(),
            bytes: checkpoint.compared(),
            bytes_different: different.least,
            bytes_different_at_most: at_most(different),
        }
    }
}

fn at_most(amount: Amount) -> Option<u64> {
    (!amount.is_exact()).then_some(amount.most)
}
