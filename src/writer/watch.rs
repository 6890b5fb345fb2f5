//! What is looked at again of a file while it is wiped, an image or the file
//! below a loop device: a change that was not made here.
//!
//! Bytes that another program cuts off or punches out of the file go back to its
//! file system with the old data in them, and where the file grows again nothing
//! of its content tells: what is written from then on lies in other blocks. The
//! count of its blocks tells, as nothing that is done here makes it smaller; and
//! a hole where data was, as nothing that is done here makes one.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::fstatfs;

use super::file_system::{Does, does, magic};
use super::holes::{MOST_HOLES, first_holes, holes};
use crate::drive::{FileFacts, Finding};
use crate::engine::State;
use crate::plan::{BadMap, Extent, ExtentMap, Phase, Plan};
use crate::strategy::{self, Content};
use crate::text::{reason, size};

/// By so many blocks of its file system a file gets smaller with nothing cut off:
/// XFS frees parts of the tree of its extents when holes are filled.
const TREE_BLOCKS: u64 = 16;

/// A file is longer than the device over it by less than this, in bytes.
const BLOCK: u64 = 512;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Image,
    /// The file below a loop device; where in it the target begins.
    Below {
        /// In bytes.
        base: u64,
    },
}

/// A file that is watched.
#[derive(Debug)]
pub struct Watch {
    file: File,
    role: Role,
    // where the target lies in the file
    range: Extent,
    inode: u64,
    // bytes of the file before the first byte
    size: u64,
    // whether the count of blocks is exact, and data becomes a hole only where
    // somebody makes one
    exact: bool,
    // bytes that the count of blocks may fall by for no reason of ours
    slack: u64,
    // where the file had data before the first byte, as far as that is exact
    data: Option<ExtentMap<()>>,
    // whether it had no hole at all: then nothing that is written fills one, and
    // the count of blocks alone tells whether something was taken out
    dense: bool,
    seen: Mutex<Seen>,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    // of 512 bytes, when they were counted last
    blocks: u64,
    // bytes with data, at the last checkpoint
    data: Option<u64>,
    // what is durable of this pass, in bytes of the target
    below: u64,
    // whether an earlier pass has written all of it
    all: bool,
    // what could not be written
    bad: Arc<BadMap>,
    // what is known to have been taken out, in bytes of the file
    lost: ExtentMap<()>,
    // what is to be said of it
    findings: Vec<Finding>,
}

impl Watch {
    /// Begins to watch the file in which the target has `length` bytes.
    pub(super) fn begin(file: File, role: Role, length: u64) -> io::Result<Self> {
        let meta = file.metadata()?;
        let base = match role {
            Role::Image => 0,
            Role::Below { base } => base,
        };
        let range = Extent::new(base, length).ok_or(io::ErrorKind::InvalidInput)?;
        let exact =
            fstatfs(&file).is_ok_and(|fs| does(magic(fs.filesystem_type())) == Does::CountsExactly);
        let slack = TREE_BLOCKS.saturating_mul(meta.blksize());
        if exact {
            // What was preallocated and only read looks like data while it is in
            // memory.
            let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
        let holes = holes(&file, range);
        let data = holes.filter(|_| exact).map(|holes| {
            let mut data = ExtentMap::default();
            data.insert(range, ());
            for hole in holes {
                data.remove(hole);
            }
            data
        });
        let whole = range.start() == 0 && meta.len().saturating_sub(length) < BLOCK;
        let known = data.as_ref().map(ExtentMap::bytes);
        let seen = Seen {
            blocks: meta.blocks(),
            data: known,
            ..Seen::default()
        };
        Ok(Self {
            file,
            role,
            range,
            inode: meta.ino(),
            size: meta.len(),
            exact,
            slack,
            data,
            dense: whole && known == Some(range.length()),
            seen: Mutex::new(seen),
        })
    }

    /// Whether it costs nothing to look before every write. A server would be
    /// asked each time.
    pub(super) fn is_near(&self) -> bool {
        self.exact || self.role == Role::Image
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // What was seen is whole between any two statements that change it.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the size and the count of blocks.
    /// Fails where the target is not there as a whole any more, with the reason.
    pub(super) fn glance(&self) -> Result<(), String> {
        let mut seen = self.seen();
        // Within the lock: an older count would look like fewer blocks.
        let meta = self.file.metadata().map_err(|error| {
            let why = reason(&error);
            format!("its file cannot be asked for its size any more: {why}")
        })?;
        let fallen = seen.blocks.saturating_sub(meta.blocks());
        seen.blocks = meta.blocks();
        if fallen > 0 && self.exact {
            let known = seen.lost.bytes();
            if !self.search(&mut seen, true, true) {
                let found = seen.lost.bytes() - known;
                self.note_unplaced(&mut seen, fallen.saturating_mul(512), found);
            }
        }
        if meta.len() == self.size {
            return Ok(());
        }
        self.note_size(&mut seen, meta.len());
        match self.role {
            Role::Image if meta.len() == 0 => Err("it has gone (its size is now 0)".into()),
            Role::Image => Err(format!(
                "its size was {} bytes and is now {}",
                self.size,
                meta.len()
            )),
            Role::Below { .. } if meta.len() < self.range.end().min(self.size) => Err(format!(
                "the file below it had {} bytes and has now {}",
                self.size,
                meta.len()
            )),
            Role::Below { .. } => Ok(()),
        }
    }

    fn note_size(&self, seen: &mut Seen, now: u64) {
        let from = now.max(self.range.start() + seen.below);
        let finding = Finding::FileResized {
            was: self.size,
            now,
            // Where data was, the count of blocks tells.
            old: !self.exact && !seen.all && from < self.range.end().min(self.size),
        };
        if !seen.findings.contains(&finding) {
            seen.findings.push(finding);
        }
    }

    /// Looks at everything, when all that `state` claims is durable.
    pub(super) fn look(&self, state: &State, plan: &Plan) -> Result<(), String> {
        self.glance()?;
        let mut seen = self.seen();
        seen.take_in(state, self.range.length());
        // To ask for the holes of a large file takes time; once it is done at the end.
        if self.dense && seen.lost.bytes() == 0 && state.step.phase != Phase::Complete {
            return Ok(());
        }
        let zeros = plan.passes().iter().any(|pass| may_be_zero(&pass.content));
        // What is filled here hides from the count what is taken out elsewhere.
        self.search(&mut seen, self.exact, self.exact || !zeros);
        if self.exact {
            seen.data = self.data_bytes();
        }
        Ok(())
    }

    /// Compares the file with what it was when a wipe that is continued was
    /// saved last. `state`: what that claims.
    pub fn since(&self, before: &FileFacts, state: &State, plan: &Plan) {
        let mut seen = self.seen();
        seen.take_in(state, self.range.length());
        let zeros = plan.passes().iter().any(|pass| may_be_zero(&pass.content));
        self.search(&mut seen, false, self.exact || !zeros);
        // A copy may have its own holes.
        if !self.exact || before.inode != self.inode || seen.blocks >= before.blocks {
            return;
        }
        let (Some(then), Some(now)) = (before.data, self.data_bytes()) else {
            let fallen = (before.blocks - seen.blocks).saturating_mul(512);
            let found = seen.lost.bytes();
            self.note_unplaced(&mut seen, fallen, found);
            return;
        };
        // What is missing beyond what was written; where, nobody knows any more.
        let gone = then.saturating_sub(now).saturating_sub(seen.lost.bytes());
        if gone > 0 {
            let (here, was) = (seen.below, !seen.all);
            seen.lose(here, gone, was);
        }
    }

    fn data_bytes(&self) -> Option<u64> {
        let holes: u64 = holes(&self.file, self.range)?
            .iter()
            .map(|hole| hole.length())
            .sum();
        Some(self.range.length() - holes)
    }

    /// Finds the holes that nobody here has made. `ahead`: whether to look at what
    /// is not written yet, too; `tells`: whether a hole in what was written says
    /// anything. Whether all were found that were to be.
    fn search(&self, seen: &mut Seen, ahead: bool, tells: bool) -> bool {
        let written = if seen.all {
            Some(self.range)
        } else {
            Extent::new(self.range.start(), seen.below)
        };
        let mut all = true;
        if let Some(written) = written.filter(|_| tells) {
            let (holes, whole) = first_holes(&self.file, written);
            all &= whole;
            let parts: Vec<Extent> = holes
                .into_iter()
                .flat_map(|hole| self.good(seen, hole))
                .collect();
            self.note_lost(seen, &parts, false);
        }
        let end = written.map_or(self.range.start(), Extent::end);
        let Some(rest) = Extent::between(end, self.range.end()).filter(|_| ahead) else {
            return all;
        };
        let Some(data) = &self.data else { return false };
        let mut old = Vec::new();
        for part in data.overlaps(rest) {
            let (holes, whole) = first_holes(&self.file, part);
            old.extend(holes);
            all &= whole;
            // A checkpoint is not to wait for a file in shreds.
            if old.len() > MOST_HOLES {
                all = false;
                break;
            }
        }
        self.note_lost(seen, &old, true);
        all
    }

    /// Notes that the file has fewer bytes where too many holes, or none that can
    /// be asked for, hide which. `found`: how many of them were found all the same.
    fn note_unplaced(&self, seen: &mut Seen, fallen: u64, found: u64) {
        let gone = fallen.saturating_sub(found);
        if gone <= self.slack {
            return;
        }
        // Nobody knows where: what was not written may have been in them.
        let (here, was) = (seen.below, !seen.all);
        if let Some(Finding::FileLost { at, bytes, old }) = seen.findings.last_mut()
            && (*at, *old) == (here, was)
        {
            *bytes = bytes.saturating_add(gone);
            return;
        }
        seen.lose(here, gone, was);
    }

    /// The parts of a range of the file that were written: what could not be
    /// may be a hole.
    fn good(&self, seen: &Seen, part: Extent) -> Vec<Extent> {
        let base = self.range.start();
        let there = Extent::between(part.start() - base, part.end() - base);
        let good = there.map(|there| seen.bad.touching(there).gaps(there));
        let back = |good: Extent| Extent::new(good.start() + base, good.length());
        good.into_iter().flatten().filter_map(back).collect()
    }

    fn note_lost(&self, seen: &mut Seen, parts: &[Extent], old: bool) {
        let new: Vec<Extent> = parts
            .iter()
            .flat_map(|part| seen.lost.gaps(*part))
            .collect();
        let Some(first) = new.first() else { return };
        let bytes = new.iter().map(|part| part.length()).sum();
        seen.lose(first.start() - self.range.start(), bytes, old);
        for part in new {
            seen.lost.insert(part, ());
        }
    }

    /// What the file is now, and what was found.
    pub fn found(&self) -> (FileFacts, Vec<Finding>) {
        let seen = self.seen();
        let facts = FileFacts {
            inode: self.inode,
            size: self.size,
            blocks: seen.blocks,
            data: seen.data,
        };
        (facts, seen.findings.clone())
    }
}

impl Seen {
    fn lose(&mut self, at: u64, bytes: u64, old: bool) {
        let finding = Finding::FileLost { at, bytes, old };
        self.findings.push(finding);
    }

    fn take_in(&mut self, state: &State, length: u64) {
        let writing = state.step.phase == Phase::Write;
        self.all = state.step.pass > 0 || !writing;
        self.below = if writing { state.position } else { length };
        self.bad = Arc::clone(&state.bad);
    }
}

/// Whether a pass may write zeros, of which some file systems make a hole.
fn may_be_zero(content: &Content) -> bool {
    let strategy = strategy::of(content);
    strategy.period().is_some_and(|period| {
        let mut bytes = vec![0xFF; size::memory(period.get())];
        strategy.fill(0, &mut bytes);
        bytes.iter().all(|byte| *byte == 0)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use nix::fcntl::{FallocateFlags, fallocate};

    use super::*;
    use crate::plan::{Pass, Step, Verify};
    use crate::strategy::{Generator, Key};

    const KIB: u64 = 1024;
    const SIZE: u64 = 1024 * KIB;

    fn plan(passes: usize) -> Plan {
        let content = Content::Random {
            generator: Generator::Aes256,
            key: Key::new([7; 32]),
        };
        let pass = Pass {
            content,
            verify: Verify::None,
        };
        Plan::new(vec![pass; passes]).unwrap()
    }

    fn at(pass: usize, position: u64) -> State {
        let phase = Phase::Write;
        State {
            step: Step { pass, phase },
            position,
            ..State::start()
        }
    }

    fn punch(file: &File, from: u64, length: u64) {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let [from, length] = [from, length].map(|bytes| i64::try_from(bytes).unwrap());
        fallocate(file, flags, from, length).unwrap();
    }

    /// A file with data below `data`; `None` where the file system of this test
    /// does not count exactly.
    fn watched(data: u64, role: Role, length: u64) -> Option<(File, Watch)> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE).unwrap();
        file.write_all_at(&vec![1; usize::try_from(data).unwrap()], 0)
            .unwrap();
        file.sync_all().unwrap();
        let watch = Watch::begin(file.try_clone().unwrap(), role, length).unwrap();
        watch.exact.then_some((file, watch))
    }

    fn found(watch: &Watch) -> Vec<Finding> {
        watch.seen().findings.clone()
    }

    fn lost(at: u64, bytes: u64, old: bool) -> Finding {
        Finding::FileLost { at, bytes, old }
    }

    #[test]
    fn what_was_taken_out_counts_once_and_as_old_only_where_nothing_was_written() {
        let Some((file, watch)) = watched(512 * KIB, Role::Image, SIZE) else {
            return;
        };
        watch.look(&at(0, 0), &plan(1)).unwrap();
        file.write_all_at(&vec![2; 131_072], 0).unwrap();
        file.sync_all().unwrap();
        let state = at(0, 128 * KIB);
        watch.look(&state, &plan(1)).unwrap();
        assert_eq!(found(&watch), []);
        // Of what was written, of what was not, and of what was a hole.
        punch(&file, 64 * KIB, 128 * KIB);
        punch(&file, 600 * KIB, 64 * KIB);
        watch.glance().unwrap();
        watch.look(&state, &plan(1)).unwrap();
        let both = [
            lost(64 * KIB, 64 * KIB, false),
            lost(128 * KIB, 64 * KIB, true),
        ];
        assert_eq!(found(&watch), both);
        // It is written there again, and cut off: that was known, and no block
        // more has gone.
        file.write_all_at(&vec![2; 131_072], 64 * KIB).unwrap();
        file.sync_all().unwrap();
        watch.look(&at(0, 192 * KIB), &plan(1)).unwrap();
        assert_eq!(found(&watch), both);
    }

    #[test]
    fn nothing_old_is_left_in_a_later_pass() {
        let Some((file, watch)) = watched(SIZE, Role::Image, SIZE) else {
            return;
        };
        watch.look(&at(1, 128 * KIB), &plan(2)).unwrap();
        punch(&file, 512 * KIB, 4 * KIB);
        watch.look(&at(1, 128 * KIB), &plan(2)).unwrap();
        assert_eq!(found(&watch), [lost(512 * KIB, 4 * KIB, false)]);
    }

    #[test]
    fn of_a_file_below_only_what_the_device_shows_counts() {
        let role = Role::Below { base: 256 * KIB };
        let Some((file, watch)) = watched(SIZE, role, 512 * KIB) else {
            return;
        };
        punch(&file, 0, 256 * KIB);
        punch(&file, 768 * KIB, 64 * KIB);
        watch.look(&at(0, 4 * KIB), &plan(1)).unwrap();
        assert_eq!(found(&watch), []);
        punch(&file, 264 * KIB, 4 * KIB);
        watch.look(&at(0, 4 * KIB), &plan(1)).unwrap();
        assert_eq!(found(&watch), [lost(8 * KIB, 4 * KIB, true)]);
        // Behind its end it may grow and shrink.
        file.set_len(800 * KIB).unwrap();
        watch.glance().unwrap();
        file.set_len(700 * KIB).unwrap();
        assert!(watch.glance().is_err());
    }

    #[test]
    fn a_resume_misses_what_went_away_meanwhile() {
        let Some((file, watch)) = watched(SIZE, Role::Image, SIZE) else {
            return;
        };
        let (before, _) = watch.found();
        punch(&file, 512 * KIB, 8 * KIB);
        let later = Watch::begin(file, Role::Image, SIZE).unwrap();
        // Not of another file.
        let mut copied = before;
        copied.inode += 1;
        later.since(&copied, &at(0, 64 * KIB), &plan(1));
        assert_eq!(found(&later), []);
        later.since(&before, &at(0, 64 * KIB), &plan(1));
        assert_eq!(found(&later), [lost(64 * KIB, 8 * KIB, true)]);
    }

    #[test]
    fn what_could_not_be_written_may_be_a_hole() {
        let Some((_file, watch)) = watched(0, Role::Image, SIZE) else {
            return;
        };
        let mut state = at(0, SIZE / 2);
        let bad = crate::plan::Bad {
            pass: 1,
            state: crate::plan::BadState::Failed,
            during: crate::plan::During::Write,
            errno: 5,
        };
        let all = Extent::new(0, SIZE / 2).unwrap();
        Arc::make_mut(&mut state.bad).add(all, bad);
        watch.look(&state, &plan(1)).unwrap();
        assert_eq!(found(&watch), []);
    }

    #[test]
    fn what_is_taken_out_ahead_is_found_where_as_much_was_filled() {
        let Some((file, watch)) = watched(0, Role::Image, SIZE) else {
            return;
        };
        file.write_all_at(&vec![1; 524_288], 512 * KIB).unwrap();
        file.sync_all().unwrap();
        let watch = Watch::begin(watch.file, Role::Image, SIZE).unwrap();
        watch.look(&at(0, 0), &plan(1)).unwrap();
        let before = file.metadata().unwrap().blocks();
        file.write_all_at(&vec![2; 262_144], 0).unwrap();
        file.sync_all().unwrap();
        punch(&file, 900 * KIB, 64 * KIB);
        // The end of its data, too.
        punch(&file, 1000 * KIB, 24 * KIB);
        assert!(file.metadata().unwrap().blocks() > before);
        watch.look(&at(0, 256 * KIB), &plan(1)).unwrap();
        let all: Vec<_> = found(&watch);
        assert_eq!(all, [lost(900 * KIB, 88 * KIB, true)]);
    }

    #[test]
    fn what_is_taken_out_of_a_file_of_too_many_holes_is_counted() {
        let big = 128 * KIB * KIB;
        let Some((file, watch)) = watched(0, Role::Image, SIZE) else {
            return;
        };
        file.set_len(big).unwrap();
        let most = MOST_HOLES as u64 + 8;
        for index in 0..most {
            file.write_all_at(&[1; 4096], index * 8 * KIB).unwrap();
        }
        file.write_all_at(&vec![1; 8 << 20], 64 * KIB * KIB)
            .unwrap();
        file.sync_all().unwrap();
        let watch = Watch::begin(watch.file, Role::Image, big).unwrap();
        assert_eq!(watch.data, None);
        watch.look(&at(0, 0), &plan(1)).unwrap();
        assert_eq!(found(&watch), []);
        let (before, _) = watch.found();
        punch(&file, 64 * KIB * KIB, 4 * KIB * KIB);
        watch.glance().unwrap();
        punch(&file, 68 * KIB * KIB, 4 * KIB * KIB);
        watch.look(&at(0, 0), &plan(1)).unwrap();
        let all = found(&watch);
        let [Finding::FileLost { bytes, old, .. }] = all[..] else {
            panic!("{all:?}")
        };
        // With what the file system knew of them.
        let about = 8 * KIB * KIB..8 * KIB * KIB + 64 * KIB;
        assert!(old && about.contains(&bytes), "{all:?}");
        // A resume misses them as well.
        let later = Watch::begin(file, Role::Image, big).unwrap();
        later.since(&before, &at(0, 0), &plan(1));
        assert_eq!(found(&later), all);
    }
}
