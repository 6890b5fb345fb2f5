//! The state directory as a user sees it, and a watcher of its checkpoint.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A state directory.
#[derive(Clone)]
pub struct State {
    dir: PathBuf,
}

impl State {
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Checkpoints of unfinished wipes.
    pub fn pending(&self) -> Vec<PathBuf> {
        files(&self.dir.join("pending"))
    }

    /// Records of finished wipes.
    pub fn reports(&self) -> Vec<PathBuf> {
        files(&self.dir.join("reports"))
    }

    /// The one checkpoint, if it is there.
    pub fn try_checkpoint(&self) -> Option<Value> {
        serde_json::from_slice(&self.first_checkpoint()?).ok()
    }

    /// The bytes of the first checkpoint, if there is one.
    pub fn first_checkpoint(&self) -> Option<Vec<u8>> {
        std::fs::read(self.pending().into_iter().next()?).ok()
    }

    /// The one checkpoint.
    pub fn checkpoint(&self) -> Value {
        one(&self.pending(), "checkpoint")
    }

    /// The one record.
    pub fn report(&self) -> Value {
        one(&self.reports(), "record")
    }

    /// Replaces fields of the one checkpoint.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut value = self.checkpoint();
        change(&mut value);
        let text = serde_json::to_vec_pretty(&value).unwrap();
        std::fs::write(&self.pending()[0], text).unwrap();
    }
}

/// What a checkpoint or record says, with its keys also where they are kept apart.
pub fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap();
    let value = serde_json::from_slice(&bytes).unwrap();
    match std::fs::read(keys_of(path)) {
        Ok(keys) => with_keys(value, &bytes, &serde_json::from_slice(&keys).unwrap()),
        Err(_) => value,
    }
}

/// The file of a record's keys.
pub fn keys_of(record: &Path) -> PathBuf {
    record.with_extension("keys.json")
}

/// A record of these bytes with its keys, if they are of it.
pub fn with_keys(mut record: Value, bytes: &[u8], keys: &Value) -> Value {
    if keys["record_sha256"] == sha256(bytes) && keys["run_id"] == record["run_id"] {
        for one in keys["keys"].as_array().unwrap() {
            let pass = usize::try_from(number(one, "pass")).unwrap();
            record["plan"][pass - 1]["key"] = one["key"].clone();
        }
    }
    record
}

fn sha256(bytes: &[u8]) -> String {
    let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
    Sha256::digest(bytes).iter().fold(String::new(), hex)
}

/// Replaces what `read` gave: the keys go where they were.
pub fn write(path: &Path, value: &Value) {
    let keys = keys_of(path);
    let mut value = value.clone();
    if keys.exists() {
        for pass in value["plan"].as_array_mut().unwrap() {
            pass.as_object_mut().unwrap().remove("key");
        }
    }
    let bytes = serde_json::to_vec_pretty(&value).unwrap();
    std::fs::write(path, &bytes).unwrap();
    if keys.exists() {
        let text = std::fs::read(&keys).unwrap();
        let mut all: Value = serde_json::from_slice(&text).unwrap();
        all["record_sha256"] = sha256(&bytes).into();
        std::fs::write(&keys, all.to_string()).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut list: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.ends_with(".json") && !name.ends_with(".keys.json") && !name.starts_with('.')
        })
        .collect();
    list.sort();
    list
}

fn one(files: &[PathBuf], what: &str) -> Value {
    assert_eq!(files.len(), 1, "one {what}: {files:?}");
    read(&files[0])
}

/// Numbers of a checkpoint.
pub fn number(value: &Value, field: &str) -> u64 {
    value[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {field} in {value}"))
}

/// What there was before something that may not change it: files, folders and
/// block devices, in full.
#[derive(PartialEq, Debug)]
pub struct Snapshot(BTreeMap<PathBuf, String>);

impl Snapshot {
    pub fn of(paths: &[&Path]) -> Self {
        let mut all = BTreeMap::new();
        for path in paths {
            note(path, &mut all);
        }
        Self(all)
    }
}

fn note(path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        all.insert(path.into(), "missing".into());
        return;
    };
    if meta.is_dir() {
        all.insert(path.into(), format!("folder {:o}", meta.mode()));
        for entry in std::fs::read_dir(path).unwrap() {
            note(&entry.unwrap().path(), all);
        }
        return;
    }
    let size = super::device::size_of(path);
    let mut hasher = DefaultHasher::new();
    let mut at = 0;
    while at < size {
        let bytes = super::device::read_range(path, at, 1 << 24);
        assert!(
            !bytes.is_empty(),
            "{} ends at {at} of {size}",
            path.display()
        );
        at += bytes.len() as u64;
        bytes.hash(&mut hasher);
    }
    let text = format!(
        "{size} bytes, mode {:o}, {:x}",
        meta.mode(),
        hasher.finish()
    );
    all.insert(path.into(), text);
}

/// Does something that may change none of these.
pub fn unchanged<T>(paths: &[&Path], action: impl FnOnce() -> T) -> T {
    let before = Snapshot::of(paths);
    let result = action();
    assert_eq!(before, Snapshot::of(paths));
    result
}

/// Reads the checkpoint about every millisecond: once seen, it must be there,
/// whole, until its record is.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64, String>>>,
}

impl Watcher {
    pub fn of(state: &State) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, state) = (Arc::clone(&stop), state.clone());
        let thread = Some(std::thread::spawn(move || watch(&state, &flag)));
        Self { stop, thread }
    }

    /// Ends the watch; how often it looked at a checkpoint. Fails the test when
    /// one was missing or torn.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().unwrap().join().unwrap() {
            Ok(looks) => looks,
            Err(what) => panic!("{what}"),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(state: &State, stop: &AtomicBool) -> Result<u64, String> {
    let mut file: Option<PathBuf> = None;
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
        let Some(path) = file.clone() else {
            file = state.pending().into_iter().next();
            continue;
        };
        match std::fs::read(&path) {
            Ok(bytes) => {
                looks += 1;
                let value: Value = serde_json::from_slice(&bytes)
                    .map_err(|e| format!("torn after {looks} looks: {e}; {} bytes", bytes.len()))?;
                if value["kind"] != "wipeit-checkpoint" {
                    return Err(format!("not a checkpoint: {value}"));
                }
            }
            // The record is written before the checkpoint goes.
            Err(_) if !state.reports().is_empty() => {
                file = None;
                if !state.pending().is_empty() {
                    return Err(format!("{} got another name", path.display()));
                }
            }
            Err(e) => return Err(format!("{} after {looks} looks: {e}", path.display())),
        }
    }
    Ok(looks)
}
