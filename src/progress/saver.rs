//! Saves the checkpoints of one run durably, and at its end the record.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::Flock;

use super::checkpoint::{Checkpoint, millis};
use super::file::{replace, sync_file, sync_name};
use super::room::{self, Room};
use super::slots::{self, Slots};
use super::speeds::Speeds;
use super::store::{self, StateDir};
use super::timekeeper::{self, Clock};
use super::{keys, leftover, ranges, slot};
use crate::engine::{Joined, Journal, State};
use crate::plan::{Phase, Step};
use crate::text::{reason, shown};

/// Where the checkpoint on disk stands: the step and the bytes of it; none
/// before the first was saved. Who holds it may look while a save hangs.
#[derive(Debug, Clone, Default)]
pub struct SavedMark(Arc<Mutex<Option<(Step, u64)>>>);

impl SavedMark {
    pub fn get(&self) -> Option<(Step, u64)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, checkpoint: &Checkpoint) {
        let now = (checkpoint.step(), checkpoint.position());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

/// Writes into a checkpoint what is not of the engine's state.
pub(super) type Beside = Box<dyn Fn(&mut Checkpoint) + Send>;

pub struct Saver {
    dir: StateDir,
    // the name of the file, in `pending/` and later in `reports/`
    name: String,
    checkpoint: Checkpoint,
    // checkpoints of the same drive that this one replaces, once it is on disk
    replaces: HashSet<PathBuf>,
    clock: Box<dyn Clock>,
    speeds: Speeds,
    // what else belongs into every checkpoint
    beside: Option<Beside>,
    // by how many milliseconds, and how often, the clock was set as far as that
    // is noted
    set: (i64, u64),
    // whether this process made the file in `pending/`
    made: bool,
    mark: SavedMark,
    // for the end; nothing is kept before it is asked for
    room: Room,
    // whether there was room, and why there is none any more
    had_room: bool,
    lost_room: Option<io::Error>,
    // where renaming is not durable
    slots: Option<Slots>,
    // to the first save
    beginning: Option<Flock<File>>,
}

impl Saver {
    /// Of a checkpoint that is to be saved under `name` in `pending/`; with its first
    /// save the files that it replaces are removed.
    pub fn new(
        dir: StateDir,
        name: String,
        checkpoint: Checkpoint,
        replaces: impl IntoIterator<Item = PathBuf>,
        clock: Box<dyn Clock>,
    ) -> Self {
        let replaces = replaces.into_iter().collect();
        let room = Room::of(&dir, &name);
        Self {
            dir,
            name,
            checkpoint,
            replaces,
            clock,
            speeds: Speeds::default(),
            beside: None,
            set: (0, 0),
            made: false,
            mark: SavedMark::default(),
            room,
            had_room: false,
            lost_room: None,
            slots: None,
            beginning: None,
        }
    }

    /// The checkpoint as it was saved last, or would have been.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Has `beside` write into every checkpoint before it is saved.
    pub fn with(self, beside: Beside) -> Self {
        let beside = Some(beside);
        Self { beside, ..self }
    }

    pub fn change(&mut self, change: impl FnOnce(&mut Checkpoint)) {
        change(&mut self.checkpoint);
    }

    pub fn pending_path(&self) -> PathBuf {
        self.dir.folder("pending").join(&self.name)
    }

    pub fn record_path(&self) -> PathBuf {
        self.dir.folder("reports").join(&self.name)
    }

    /// Where the checkpoint on disk stands, as far as this run saved one.
    pub fn mark(&self) -> SavedMark {
        self.mark.clone()
    }

    /// The checkpoint that is on disk now; `None` where none can be read.
    pub fn on_disk(&self) -> Option<Checkpoint> {
        store::load(&self.pending_path()).ok()
    }

    /// Keeps room on the disk for the end: the record, its page and the last
    /// checkpoint. To be called before the first save.
    /// All else works without it.
    pub fn keep_room(&mut self) -> io::Result<()> {
        if planted!("no-room") {
            return Ok(());
        }
        let json = self.checkpoint.to_json()?.len() as u64;
        // Where there is no folder, the first save will say so.
        if self.dir.create().is_ok() {
            if self.mark.get().is_none() {
                self.beginning = leftover::begin(&self.dir);
            }
            self.room.keep(json, self.checkpoint.plan())?;
        }
        self.had_room |= self.room.is_kept();
        Ok(())
    }

    pub fn lost_room(&mut self) -> Option<io::Error> {
        self.lost_room.take()
    }

    /// Gives the room back where the wipe has no checkpoint.
    pub fn give_up(&self) {
        if !slots::exists(&self.pending_path()) {
            self.room.give_back();
        }
    }

    pub fn begin_run(&mut self) {
        let start = self.clock.stamp();
        let before = self.checkpoint.runs().last();
        // Within one boot it shows when the clock was set between two runs.
        if let (Some(before), Some(now)) = (
            before.and_then(|run| run.clock.as_ref()),
            self.clock.tally().mark,
        ) && before.boot == now.boot
        {
            let by = now.offset_ms.saturating_sub(before.offset_ms);
            if by.saturating_abs() >= timekeeper::SET {
                self.checkpoint.clock_was_set(by, 1);
            }
        }
        self.checkpoint.begin_run(start);
    }

    fn take_time(&mut self) {
        let tally = self.clock.tally();
        let (set, times) = (tally.set, tally.times_set);
        if times > self.set.1 {
            let by = set.saturating_sub(self.set.0);
            self.checkpoint.clock_was_set(by, times - self.set.1);
            self.set = (set, times);
        }
        let (work, asleep) = (millis(tally.work), millis(tally.asleep));
        self.checkpoint.take_time(work, asleep, tally.mark);
    }

    /// Writes down why the run ended, and saves.
    /// Where that fails the last checkpoint stands.
    pub fn end_run(&mut self, state: &State, ended_by: &str) -> Result<(), String> {
        self.checkpoint.end_run(self.clock.stamp(), ended_by);
        let saved = self.save(state);
        if saved.is_err() && state.step.phase == Phase::Complete {
            // With it a resume does nothing again, so it has room of its own.
            let json = self.checkpoint.to_json().map_err(|e| e.to_string())?;
            if self.dir.in_slots {
                self.room.free(&self.pending_path());
                return self.save(state);
            }
            if room::fill(&self.pending_path(), &json).is_ok() {
                self.mark.set(&self.checkpoint);
                return Ok(());
            }
        }
        saved
    }

    /// Keeps the page of a record. The checkpoint stays until it is removed: a
    /// crash in between leaves both, and a resume finishes this.
    pub fn keep_page(&self, page: &[u8]) -> io::Result<()> {
        self.keep(&self.record_path().with_extension("html"), page)
    }

    /// Keeps the record; after its page and its keys, as without it nothing is taken
    /// for finished.
    pub fn keep_record(&self, record: &[u8]) -> io::Result<()> {
        self.keep_keys(record)?;
        // Best effort.
        let _ = ranges::complete(&ranges::path_of(&self.record_path()), &self.checkpoint);
        self.keep(&self.record_path(), record)
    }

    /// Makes a record durable that an earlier run of this wipe kept; `apart`: and
    /// its keys, which are not in it.
    pub fn confirm_record(&self, record: &[u8], apart: bool) -> io::Result<()> {
        if apart {
            self.keep_keys(record)?;
        }
        sync_file(&self.record_path())
    }

    fn keep_keys(&self, record: &[u8]) -> io::Result<()> {
        match keys::of(&self.checkpoint, record)? {
            Some(keys) => self.keep(&keys::path_of(&self.record_path()), &keys),
            None => Ok(()),
        }
    }

    /// Writes a file of the end of a wipe, for which room is kept.
    fn keep(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if planted!("record-not-durable") {
            return std::fs::write(path, bytes);
        }
        if self.dir.in_slots {
            self.room.free(path);
            return slot::write_once(path, bytes, 0o600);
        }
        room::fill(path, bytes).or_else(|_| replace(path, bytes))
    }

    pub fn remove_checkpoint(&self) -> io::Result<()> {
        self.room.give_back();
        match slots::remove(&self.pending_path()) {
            // An earlier attempt was not durable.
            Err(error) if error.kind() == ErrorKind::NotFound => sync_name(&self.pending_path()),
            removed => removed,
        }
    }

    /// Removes the checkpoint that this process made. Legal only before the first
    /// write to the target was submitted: it says of nothing that it was done. A
    /// checkpoint that was there before this process stays.
    pub fn withdraw(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.made) && !planted!("removed-later") {
            return Ok(());
        }
        self.remove_checkpoint()
    }

    fn write(&mut self) -> Result<(), String> {
        let path = self.pending_path();
        let fresh = !slots::exists(&path);
        // Also where it then fails: what is there is of no use to anybody.
        self.made |= fresh;
        let mut written = self.try_write(&path);
        if written.is_err() && fresh && self.room.give_back() {
            // Without a first checkpoint there is nothing to keep room for.
            written = self.try_write(&path);
        }
        let length = written.map_err(|error| {
            self.checkpoint.missed_save();
            format!("{}: {}", shown(&path), reason(&error))
        })?;
        self.mark.set(&self.checkpoint);
        self.beginning = None;
        self.replaces.remove(&path);
        for old in self.replaces.drain() {
            // A file that stays is found again, and refused by its content.
            let _ = slots::remove(&old);
            if let Some(name) = old.file_name().and_then(|name| name.to_str()) {
                Room::of(&self.dir, name).give_back();
            }
        }
        if !self.room.is_enough_for(length) && self.checkpoint.phase() != Phase::Complete {
            // That there is none was said at the start, or is to be told once; that
            // there is no more than there was, every save says that fails.
            let kept = self.keep_room();
            if !self.room.is_kept() && std::mem::take(&mut self.had_room) {
                self.lost_room = kept.err();
            }
        }
        Ok(())
    }

    /// Saves; gives the number of bytes.
    fn try_write(&mut self, path: &Path) -> io::Result<u64> {
        let json = self.checkpoint.to_json()?;
        self.dir.create()?;
        if self.dir.in_slots && !planted!("renamed-on-fat") {
            let slots = self.slots.get_or_insert_with(|| Slots::of(path));
            slots.save(&json)?;
        } else if planted!("in-place") {
            std::fs::write(path, &json)?;
            sync_file(path)?;
        } else {
            replace(path, &json)?;
            slots::forget_copies(path)?;
        }
        Ok(json.len() as u64)
    }
}

impl Journal for Saver {
    fn joined(&mut self, joined: &Joined) {
        // Best effort: the checkpoint counts them.
        let _ = ranges::add(&ranges::path_of(&self.record_path()), joined);
    }

    fn save(&mut self, state: &State) -> Result<(), String> {
        let now = self.clock.elapsed();
        self.speeds.sample(&mut self.checkpoint, state, now);
        if state.step.phase == Phase::Complete && self.checkpoint.phase() != Phase::Complete {
            // Nobody has looked yet at what used it meanwhile; who does takes this
            // back before the run ends.
            self.checkpoint.set_read_again(true);
        }
        self.checkpoint.advance(state);
        if let Some(beside) = &self.beside {
            beside(&mut self.checkpoint);
        }
        self.checkpoint.stamp(self.clock.stamp());
        self.take_time();
        self.write()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::super::checkpoint::Sample;
    use super::*;
    use crate::drive::example::disk;
    use crate::plan::{Pass, Plan, Verify};
    use crate::strategy::Content;

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
        now.checkpoint().samples().to_vec()
    }

    #[test]
    fn only_a_checkpoint_of_this_process_is_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let id = disk().identity;
        let checkpoint =
            Checkpoint::begin(id, plan(Verify::None), 4096, "0123456789".into(), "now");
        let saver = || {
            let dir = StateDir::new(folder.path().join("state"));
            let clock = Box::new(Watch(Arc::default()));
            Saver::new(dir, "a.json".into(), checkpoint.clone(), [], clock)
        };
        let mut first = saver();
        first.withdraw().unwrap();
        first.save(&State::start()).unwrap();
        let path = first.pending_path();
        let mut second = saver();
        second.save(&State::start()).unwrap();
        second.withdraw().unwrap();
        assert!(path.exists());
        first.save(&State::start()).unwrap();
        first.withdraw().unwrap();
        assert!(!path.exists());
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
        let saves: Vec<_> = (0..=1_999)
            .map(|i| Some((i * 50, WRITE, i * 500)))
            .chain([Some((100_000, COMPLETE, 0))])
            .collect();
        let found = samples(plan(Verify::None), 1_000_000, &saves);
        assert!((150..=200).contains(&found.len()), "{}", found.len());
        assert!(found.iter().all(|sample| sample.speed == 10_000));
    }
}
