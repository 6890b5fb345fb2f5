//! The state directory: saving checkpoints durably, finding and completing
//! them, keeping records.
//!
//! A save is a new temporary file in the same folder, written, flushed,
//! fsynced, renamed over the old one, and the folder fsynced: at every moment
//! one whole checkpoint is there. If any of that fails the temporary is thrown
//! away, never retried, as a failed fsync marks its pages clean.

pub mod place;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use serde_json::Value;

use crate::checkpoint::{Checkpoint, Invalid, Run, Sample};
use crate::engine::{Journal, State};
use crate::extent::Extent;
use crate::identity::Identity;
use crate::outcome::Outcome;
use crate::plan::{Phase, Step};
use crate::text::{reason, shown};

/// Speed samples of one step: enough for a plot, few enough to save often.
const SAMPLES_PER_STEP: u64 = 200;
/// Unfinished wipes, and records of finished ones.
const FOLDERS: [&str; 2] = ["pending", "reports"];
/// A checkpoint larger than this is not one.
const MAX_FILE: u64 = 256 << 20;

/// The state directory.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

/// Why a file is not used.
#[derive(Debug)]
pub enum LoadError {
    /// It cannot be read.
    Unreadable(io::Error),
    /// Its content is not a checkpoint of this program.
    Invalid {
        /// Why not.
        why: Invalid,
        /// Which drive it speaks of, as far as that can be understood.
        device_id: Option<Box<Identity>>,
    },
}

/// A file in `pending/`.
#[derive(Debug)]
pub struct Pending {
    /// Where.
    pub path: PathBuf,
    /// What it says.
    pub checkpoint: Result<Checkpoint, LoadError>,
}

/// A file in `reports/`.
#[derive(Debug)]
pub struct Record {
    /// Where.
    pub path: PathBuf,
    /// The wipe as it ended.
    pub checkpoint: Checkpoint,
    /// How it ended: wiped, not clear, or differs.
    pub outcome: Outcome,
}

/// What is in `reports/`.
#[derive(Debug, Default)]
pub struct Records {
    /// The records of finished wipes.
    pub usable: Vec<Record>,
    /// Files that cannot be used, and why.
    pub unusable: Vec<(PathBuf, LoadError)>,
}

impl StateDir {
    /// The directory at this path; nothing is created yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where the state is kept unless asked otherwise: `/var/lib/wipeit` for
    /// root, else under `XDG_STATE_HOME` or `~/.local/state`; `None` without a
    /// home.
    #[must_use]
    pub fn default_root(
        is_root: bool,
        state_home: Option<PathBuf>,
        home: Option<&Path>,
    ) -> Option<PathBuf> {
        if is_root {
            return Some("/var/lib/wipeit".into());
        }
        state_home
            .filter(|path| path.is_absolute())
            .or_else(|| Some(home?.join(".local/state")))
            .map(|path| path.join("wipeit"))
    }

    /// The path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether a checkpoint could be saved here, as far as can be told without
    /// writing.
    ///
    /// # Errors
    /// The path that stands in the way, and why.
    pub fn check_writable(&self) -> Result<(), (PathBuf, io::Error)> {
        for folder in FOLDERS.map(|name| self.folder(name)) {
            for path in folder.ancestors() {
                match fs::metadata(path) {
                    Ok(meta) if !meta.is_dir() => {
                        return Err((path.into(), ErrorKind::NotADirectory.into()));
                    }
                    Ok(_) => {
                        access(path, AccessFlags::W_OK | AccessFlags::X_OK)
                            .map_err(|error| (path.into(), error.into()))?;
                        break;
                    }
                    // Nothing there yet; a link that leads nowhere is something.
                    Err(error)
                        if error.kind() == ErrorKind::NotFound
                            && fs::symlink_metadata(path).is_err() => {}
                    Err(error) => return Err((path.into(), error)),
                }
            }
        }
        Ok(())
    }

    /// Every checkpoint of an unfinished wipe.
    ///
    /// # Errors
    /// When the folder is there but cannot be read.
    pub fn pending(&self) -> io::Result<Vec<Pending>> {
        let load = |path: PathBuf| Pending {
            checkpoint: load(&path),
            path,
        };
        Ok(self.files("pending")?.into_iter().map(load).collect())
    }

    /// Every record of a finished wipe that can be understood, and the files
    /// that cannot.
    ///
    /// # Errors
    /// When the folder is there but cannot be read.
    pub fn records(&self) -> io::Result<Records> {
        let mut found = Records::default();
        for path in self.files("reports")? {
            match load_record(&path) {
                Ok((checkpoint, outcome)) => found.usable.push(Record {
                    path,
                    checkpoint,
                    outcome,
                }),
                Err(error) => found.unusable.push((path, error)),
            }
        }
        Ok(found)
    }

    /// The JSON files in a folder, sorted; none where it is not there.
    fn files(&self, folder: &str) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.folder(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            if !hidden && path.extension().is_some_and(|end| end == "json") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    fn create(&self) -> io::Result<()> {
        for name in FOLDERS {
            create_durably(&self.folder(name))?;
        }
        Ok(())
    }
}

/// Creates a folder and what is missing above it, each durably.
fn create_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_durably(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => created?,
    }
    sync_folder(parent)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // An empty parent is the current folder.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe in the folder must not block, a device must not be read.
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(ErrorKind::InvalidData.into());
    }
    fs::read(path)
}

fn load(path: &Path) -> Result<Checkpoint, LoadError> {
    let bytes = read(path).map_err(LoadError::Unreadable)?;
    Checkpoint::parse(&bytes).map_err(|why| invalid(why, &bytes))
}

fn load_record(path: &Path) -> Result<(Checkpoint, Outcome), LoadError> {
    let bytes = read(path).map_err(LoadError::Unreadable)?;
    let checkpoint = Checkpoint::parse(&bytes).map_err(|why| invalid(why, &bytes))?;
    let outcome = serde_json::from_slice::<Value>(&bytes)
        .ok()
        .and_then(|value| Outcome::of_record(value.get("outcome")?.as_str()?));
    if let Some(outcome) = outcome {
        return Ok((checkpoint, outcome));
    }
    let why = Invalid::Corrupt("field outcome says nothing that is known".into());
    Err(invalid(why, &bytes))
}

fn invalid(why: Invalid, bytes: &[u8]) -> LoadError {
    LoadError::Invalid {
        why,
        device_id: serde_json::from_slice::<Value>(bytes)
            .ok()
            .and_then(|mut value| serde_json::from_value(value.get_mut("device_id")?.take()).ok())
            .map(Box::new),
    }
}

/// Replaces a file so that at every moment the old or the new one is whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_as(path, bytes, 0o600)
}

/// The same with these permissions for a new file.
fn replace_as(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".tmp");
    let temporary = folder.join(hidden);
    let written = write_new(&temporary, bytes, mode)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_folder(folder));
    if written.is_err() {
        // The old file stands. What is left of the new one would only fill the
        // disk further.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed?,
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.flush()?;
    file.sync_all()
}

/// A name for people: device, serial and run, of harmless characters.
#[must_use]
pub fn file_name(device: &str, serial: Option<&str>, run_id: &str) -> String {
    let parts = [Some(device), serial, run_id.get(..8)];
    let parts: Vec<String> = parts.into_iter().flatten().map(harmless).collect();
    format!("{}.json", parts.join("-"))
}

/// The name of a report among those of other drives, without its ending: the
/// serial, or else the device, when the wipe began (`start`, RFC 3339), and the
/// run, as drives without a serial are wiped at the same time.
#[must_use]
pub fn report_name(device: &str, serial: Option<&str>, start: &str, run_id: &str) -> String {
    let serial = serial.map(str::trim).filter(|serial| !serial.is_empty());
    let digits = |c: &char| c.is_ascii_digit() || *c == 'T';
    let time: String = start.chars().filter(digits).take(15).collect();
    let parts = [Some(serial.unwrap_or(device)), Some(&time), run_id.get(..8)];
    let parts: Vec<String> = parts.into_iter().flatten().map(harmless).collect();
    parts.join("-")
}

fn harmless(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let text = text.trim_matches('.');
    text.chars()
        .take(40)
        .map(|c| if harmless(c) { c } else { '_' })
        .collect()
}

/// What time it is, from outside: RFC 3339 for people, and one that never goes
/// backwards for speeds.
pub trait Clock: Send {
    /// RFC 3339 with the zone's offset.
    fn stamp(&self) -> String;
    /// Since some fixed moment.
    fn elapsed(&self) -> Duration;
}

/// Saves the checkpoints of one run.
pub struct Saver {
    dir: StateDir,
    // the name of the file, in `pending/` and later in `reports/`
    name: String,
    checkpoint: Checkpoint,
    // checkpoints of the same drive that this one replaces, once it is on disk
    supersedes: HashSet<PathBuf>,
    clock: Box<dyn Clock>,
    last: Option<(Step, u64, Duration)>,
}

impl Saver {
    /// Saves `checkpoint` under `name` in `pending/`; once that has happened the
    /// files that it supersedes are removed.
    #[must_use]
    pub fn new(
        dir: StateDir,
        name: String,
        checkpoint: Checkpoint,
        supersedes: impl IntoIterator<Item = PathBuf>,
        clock: Box<dyn Clock>,
    ) -> Self {
        let supersedes = supersedes.into_iter().collect();
        Self {
            dir,
            name,
            checkpoint,
            supersedes,
            clock,
            last: None,
        }
    }

    /// The checkpoint as it was saved last, or would have been.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Where it is saved while the wipe is unfinished.
    #[must_use]
    pub fn pending_path(&self) -> PathBuf {
        self.dir.folder("pending").join(&self.name)
    }

    /// Where its record is kept afterwards.
    #[must_use]
    pub fn report_path(&self) -> PathBuf {
        self.dir.folder("reports").join(&self.name)
    }

    /// Begins another run of the wipe.
    pub fn begin_run(&mut self) {
        let start = self.clock.stamp();
        self.checkpoint.runs.push(Run {
            start,
            end: None,
            ended_by: None,
        });
    }

    /// Writes down why the run ended, and saves.
    ///
    /// # Errors
    /// The last checkpoint stands; why this one could not be saved.
    pub fn end_run(&mut self, state: &State, ended_by: &str) -> Result<(), String> {
        if let Some(run) = self.checkpoint.runs.last_mut() {
            run.end = Some(self.clock.stamp());
            run.ended_by = Some(ended_by.to_string());
        }
        self.save(state)
    }

    /// Keeps `record` and its page. The checkpoint stays until it is removed: a
    /// crash in between leaves both, and a resume finishes this.
    ///
    /// # Errors
    /// The kernel's.
    pub fn keep(&self, record: &[u8], page: &[u8]) -> io::Result<()> {
        // The record last: without it nothing is taken for finished.
        replace(&self.report_path().with_extension("html"), page)?;
        replace(&self.report_path(), record)
    }

    /// Removes the checkpoint of a wipe whose record is kept.
    ///
    /// # Errors
    /// The kernel's.
    pub fn complete(&self) -> io::Result<()> {
        fs::remove_file(self.pending_path())?;
        sync_folder(&self.dir.folder("pending"))
    }

    fn write(&mut self) -> Result<(), String> {
        let path = self.pending_path();
        self.try_write(&path).map_err(|error| {
            self.checkpoint.failed_saves += 1;
            format!("{}: {}", shown(&path), reason(&error))
        })?;
        self.supersedes.remove(&path);
        for old in self.supersedes.drain() {
            // A file that stays is found again, and refused by its content.
            let _ = fs::remove_file(old);
        }
        Ok(())
    }

    fn try_write(&self, path: &Path) -> io::Result<()> {
        let json = self.checkpoint.to_json()?;
        self.dir.create()?;
        replace(path, &json)
    }

    /// Adds a point to the plot of speed over position. Time between runs never
    /// counts: every run begins with a save, which only sets the mark.
    fn sample(&mut self, state: &State) {
        let now = self.clock.elapsed();
        let total = self.checkpoint.total_size;
        let stretch = total / SAMPLES_PER_STEP;
        let Some((step, from, since)) = self.last else {
            self.last = Some((state.step, state.position, now));
            return;
        };
        // The end of a step is saved as the start of the next one.
        let ended = step != state.step && self.checkpoint.plan.after(step) == state.step;
        let to = if ended { total } else { state.position };
        let long_enough = if ended {
            // The flush at the end of a short rest would look like a dip.
            let samples = &self.checkpoint.samples;
            let first = !samples.iter().any(|sample| sample.step() == step);
            first || to.saturating_sub(from) >= stretch / 4
        } else {
            step == state.step && to.saturating_sub(from) > stretch
        };
        if long_enough && let Some(speed) = self.speed(step, (from, to), now.saturating_sub(since))
        {
            self.checkpoint.samples.push(Sample {
                pass: step.pass + 1,
                phase: step.phase,
                offset: to,
                speed,
            });
            self.last = Some((step, to, now));
        }
        if step != state.step {
            self.last = Some((state.step, state.position, now));
        }
    }

    /// Bytes a second that were moved between two positions of a step; `None`
    /// where none were.
    fn speed(&self, step: Step, (from, to): (u64, u64), time: Duration) -> Option<u64> {
        let range = Extent::between(from, to)?;
        if step.phase == Phase::Complete {
            return None;
        }
        // It skips what lies between samples.
        let part = self.checkpoint.plan.part(step);
        let bytes = part.bytes_in(range, self.checkpoint.total_size);
        let speed = (u128::from(bytes) * 1_000_000).checked_div(time.as_micros())?;
        Some(u64::try_from(speed).unwrap_or(u64::MAX))
    }
}

/// Writes a state of the engine into a checkpoint.
pub fn take_in(checkpoint: &mut Checkpoint, state: &State) {
    checkpoint.set_position(state.step, state.position);
    checkpoint.bad = (*state.bad).clone();
    checkpoint.mismatches = (*state.mismatches).clone();
    checkpoint.wrap = state.wrap;
}

impl Journal for Saver {
    fn save(&mut self, state: &State) -> Result<(), String> {
        self.sample(state);
        take_in(&mut self.checkpoint, state);
        self.checkpoint.timestamp = self.clock.stamp();
        self.write()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::device::example::disk;
    use crate::plan::{Content, Pass, Plan, Verify};

    #[test]
    fn names_are_harmless_whatever_the_device_is_called() {
        let run = "0123456789abcdef";
        assert_eq!(
            file_name("sdb", Some("ZR5A"), run),
            "sdb-ZR5A-01234567.json"
        );
        assert_eq!(file_name("../a b\n", None, run), "_a_b_-01234567.json");
        assert!(file_name(&"x".repeat(500), Some(&"y".repeat(500)), run).len() < 120);
    }

    #[test]
    fn reports_are_named_by_serial_and_time_and_never_alike() {
        let (start, run) = ("2026-01-14T02:10:07.123+01:00", "0123456789abcdef");
        assert_eq!(
            report_name("sdb", Some(" ZR5A "), start, run),
            "ZR5A-20260114T021007-01234567"
        );
        assert_eq!(
            report_name("../x", Some(" "), start, run),
            "_x-20260114T021007-01234567"
        );
    }

    #[test]
    fn the_state_lies_where_the_system_keeps_such_things() {
        let root = |is_root, state: Option<&str>, home: Option<&str>| {
            StateDir::default_root(is_root, state.map(PathBuf::from), home.map(Path::new))
        };
        assert_eq!(
            root(true, Some("/x"), Some("/root")),
            Some("/var/lib/wipeit".into())
        );
        assert_eq!(root(false, Some("/x"), None), Some("/x/wipeit".into()));
        assert_eq!(
            root(false, Some("x"), Some("/h")),
            Some("/h/.local/state/wipeit".into())
        );
        assert_eq!(root(false, None, None), None);
    }

    #[test]
    fn a_file_is_replaced_whole_and_what_failed_leaves_no_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let blocked = folder.path().join("b.json");
        fs::create_dir(&blocked).unwrap();
        assert!(replace(&blocked, b"x").is_err());
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_known_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            StateDir::new(folder.path().join("a/b"))
                .check_writable()
                .is_ok()
        );
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(
            StateDir::new(folder.path().join("file/b"))
                .check_writable()
                .is_err()
        );
    }

    /// A clock that is set from outside, in milliseconds.
    struct Watch(Arc<AtomicU64>);

    impl Clock for Watch {
        fn stamp(&self) -> String {
            "2026-01-14T02:10:00+01:00".into()
        }
        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    /// The samples after saves at these times and positions; `None` is the
    /// start of another run.
    fn samples(plan: Plan, size: u64, saves: &[Option<(u64, Step, u64)>]) -> Vec<Sample> {
        let folder = tempfile::tempdir().unwrap();
        let mut id = disk().identity;
        id.size = size;
        let mut checkpoint = Checkpoint::begin(id, plan, 4096, "0123456789".into(), "now");
        let time = Arc::new(AtomicU64::new(0));
        let begin = |checkpoint| {
            let dir = StateDir::new(folder.path().join("state"));
            let clock = Box::new(Watch(Arc::clone(&time)));
            Saver::new(dir, "a.json".into(), checkpoint, [], clock)
        };
        let mut now = begin(checkpoint);
        for save in saves {
            let Some((at, step, position)) = *save else {
                checkpoint = now.checkpoint().clone();
                now = begin(checkpoint);
                continue;
            };
            time.store(at, Ordering::Relaxed);
            let state = State {
                step,
                position,
                ..State::start()
            };
            now.save(&state).unwrap();
        }
        now.checkpoint().samples.clone()
    }

    fn plan(verify: Verify) -> Plan {
        let content = Content::Zero;
        Plan::new(vec![Pass { content, verify }]).unwrap()
    }

    const WRITE: Step = Step {
        pass: 0,
        phase: Phase::Write,
    };
    const VERIFY: Step = Step {
        pass: 0,
        phase: Phase::Verify,
    };
    const COMPLETE: Step = Step {
        pass: 0,
        phase: Phase::Complete,
    };

    #[test]
    fn samples_are_bytes_over_time_to_the_last_byte_of_each_step_and_skip_pauses() {
        let found = samples(
            plan(Verify::Full),
            100_000,
            &[
                Some((0, WRITE, 0)),
                Some((1_000, WRITE, 20_000)),
                // Too little for a point of its own.
                Some((1_100, WRITE, 20_400)),
                Some((3_000, WRITE, 40_000)),
                None,
                Some((900_000, WRITE, 40_000)),
                Some((901_000, WRITE, 90_000)),
                Some((902_000, VERIFY, 0)),
                Some((906_000, COMPLETE, 0)),
                Some((999_000, COMPLETE, 0)),
            ],
        );
        let found: Vec<_> = found.iter().map(|s| (s.phase, s.offset, s.speed)).collect();
        assert_eq!(
            found,
            [
                (Phase::Write, 20_000, 20_000),
                (Phase::Write, 40_000, 10_000),
                (Phase::Write, 90_000, 50_000),
                (Phase::Write, 100_000, 10_000),
                (Phase::Verify, 100_000, 25_000),
            ]
        );
    }

    #[test]
    fn a_read_back_of_samples_is_as_fast_as_the_bytes_that_it_reads() {
        let (seed, size) = (7, 1 << 30);
        let verify = Verify::Sample { seed };
        let found = samples(
            plan(verify),
            size,
            &[Some((0, VERIFY, 0)), Some((2_000, COMPLETE, 0))],
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].speed, verify.bytes(size) / 2);
    }

    #[test]
    fn a_step_has_at_most_two_hundred_samples_however_often_it_is_saved() {
        let saves: Vec<_> = (0..=9_999)
            .map(|i| Some((i * 10, WRITE, i * 100)))
            .chain([Some((100_000, COMPLETE, 0))])
            .collect();
        let found = samples(plan(Verify::None), 1_000_000, &saves);
        assert!((150..=200).contains(&found.len()), "{}", found.len());
        assert!(found.iter().all(|sample| sample.speed == 10_000));
    }
}
