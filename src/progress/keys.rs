//! The keys of a record, apart from it: `NAME.json` can be handed out, and
//! `NAME.keys.json` (mode 0600) is what tells which bytes were written. Only who
//! compares a drive with its record reads it.
//!
//! It names its record by SHA-256, so that keys never count for another one. It is
//! written first: a record that is there has its keys, and until both are durable
//! the checkpoint stays, which has them as well. So a crash leaves the checkpoint
//! (with neither, with the keys, or with both), or both; a resume writes again what
//! does not belong together.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::checkpoint::{Checkpoint, VERSION, json};
use super::file::open;
use crate::plan::{MAX_PASSES, Plan};
use crate::strategy::Key;
use crate::text::{bounded, reason, shown};

const KIND: &str = "wipeit-keys";
const END: &str = ".keys.json";

/// Bytes of the file without its keys, and of each, at most.
const HEAD: u64 = 512;
const EACH: u64 = 128;

#[derive(Serialize, Deserialize)]
struct Apart {
    kind: String,
    version: u64,
    /// The SHA-256 of the record's bytes, in hexadecimal.
    record_sha256: String,
    run_id: String,
    /// Those of random passes.
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_PASSES>")]
    keys: Vec<One>,
}

#[derive(Serialize, Deserialize)]
struct One {
    /// From 1.
    pass: usize,
    key: Key,
}

pub(crate) fn digest(record: &[u8]) -> String {
    hex::encode(Sha256::digest(record))
}

pub(super) fn path_of(record: &Path) -> PathBuf {
    record.with_extension("keys.json")
}

pub(super) fn record_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_suffix(END)?;
    Some(path.with_file_name(format!("{name}.json")))
}

/// Room that it needs, in bytes; none where no pass has a key.
pub(super) fn room(plan: &Plan) -> u64 {
    match plan.keys().count() as u64 {
        0 => 0,
        keys => HEAD + EACH * keys,
    }
}

/// Its bytes, for a record of these; `None` where no pass has a key.
pub(super) fn of(checkpoint: &Checkpoint, record: &[u8]) -> serde_json::Result<Option<Vec<u8>>> {
    let keys: Vec<One> = checkpoint
        .plan()
        .keys()
        .map(|(pass, key)| One { pass, key })
        .collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let all = Apart {
        kind: KIND.into(),
        version: VERSION,
        record_sha256: digest(record),
        run_id: checkpoint.run_id().into(),
        keys,
    };
    json::to_bytes(&all).map(Some)
}

/// The keys of a record of these bytes; why they cannot be had.
pub(super) fn read(record: &Path, bytes: &[u8]) -> Result<Vec<(usize, Key)>, String> {
    let path = path_of(record);
    let wrong = |why: &str| format!("its keys ({}) are not to be had: {why}", shown(&path));
    let mut file = open(&path).map_err(|error| wrong(&reason(&error)))?;
    let Ok(keys) = bounded::read::<Apart>(&mut file) else {
        return Err(wrong("that is no whole file of keys"));
    };
    if keys.kind != KIND || keys.version != VERSION {
        return Err(wrong("that is no file of keys of this version"));
    }
    if keys.record_sha256 != digest(bytes) {
        return Err(wrong("they are of a record with another SHA-256"));
    }
    Ok(keys
        .keys
        .into_iter()
        .map(|one| (one.pass, one.key))
        .collect())
}
