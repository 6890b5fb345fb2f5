//! Room on the state disk that is kept for the end of a wipe: a disk that is
//! full then must not cost the record of two days.
//!
//! A hidden file beside the one that will be written, with blocks of its own
//! from before the first byte. At the end it is written to and takes its place.
//! It belongs to the checkpoint of the same name: an interrupt keeps both, a
//! resume uses both.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::statvfs::statvfs;

use super::checkpoint::Checkpoint;
use super::file::{beside, sync_name};
use super::store::StateDir;
use super::{keys, slot};
use crate::plan::Plan;
use crate::text::reason;

/// Bytes of room that the end of a wipe needs: for the record, its page, its keys and
/// the last checkpoint.
type Need = [u64; 4];

/// Bytes of the page without plots, and more than it ever had.
const PAGE: u64 = 32 << 10;
/// Bytes of the plot of a pass: two lines of 400 points.
const PLOT: u64 = 16 << 10;
/// Bytes of the samples of a step in a record: 200 of five lines.
const SAMPLES: u64 = 24 << 10;
/// Most of them; no plan with so many passes is worth more.
const MOST_SAMPLES: u64 = 1 << 20;
/// Bytes by which a record may grow beyond its checkpoint: what is known of the
/// drive and this machine, limits, findings.
const RECORD: u64 = 8 << 10;
/// Bytes of a checkpoint that was never saved, about.
const FRESH: u64 = 2 << 10;
/// Bytes by which a checkpoint grows from one save to the next, as a rule.
const SLACK: u64 = 2 << 10;
/// Bytes by which a checkpoint may grow before more room is kept.
const SPARE: u64 = 32 << 10;

/// What a wipe will need whose checkpoint has `json` bytes now.
fn need(json: u64, plan: &Plan) -> Need {
    let (steps, passes) = (plan.steps().len() as u64, plan.passes().len() as u64);
    let samples = (SAMPLES * steps).min(MOST_SAMPLES);
    let checkpoint = json + samples + SPARE;
    let page = PAGE + (PLOT * passes).min(MOST_SAMPLES) + SPARE + json.min(MOST_SAMPLES);
    [checkpoint + RECORD, page, keys::room(plan), checkpoint]
}

fn least_need(json: u64, plan: &Plan) -> Need {
    let page = (16 << 10) + 200 * plan.passes().len() as u64 + json.min(PAGE);
    [json + RECORD, page, keys::room(plan), json + 2 * SLACK]
}

pub(super) struct Room {
    root: PathBuf,
    // as in `Need`
    files: [PathBuf; 4],
    // what is kept
    need: Cell<Option<Need>>,
    // whether a loss of power could damage the file system with it
    in_slots: bool,
}

impl Room {
    /// Of the wipe whose checkpoint has this name. Nothing is kept by this.
    pub(super) fn of(dir: &StateDir, name: &str) -> Self {
        let record = dir.folder("reports").join(name);
        let (page, keys) = (record.with_extension("html"), keys::path_of(&record));
        Self {
            root: dir.root().into(),
            files: [record, page, keys, dir.folder("pending").join(name)],
            need: Cell::new(None),
            in_slots: dir.in_slots,
        }
    }

    /// Keeps what a wipe will need whose checkpoint has `json` bytes now, or at
    /// least what it would need now. Where that is not to be had, what was kept
    /// before stays.
    pub(super) fn keep(&self, json: u64, plan: &Plan) -> io::Result<()> {
        self.keep_all(need(json, plan), json)
            .or_else(|_| self.keep_all(least_need(json, plan), json))
    }

    fn keep_all(&self, need: Need, json: u64) -> io::Result<()> {
        let before = self.files.iter().any(|file| place(file).exists());
        let mut files = self.files.iter().zip(need);
        let kept = files
            .try_for_each(|(file, bytes)| self.keep_one(file, bytes))
            // The saves on the way need some as well.
            .and_then(|()| is_free(&self.root, 2 * json));
        if kept.is_ok() {
            self.need.set(Some(need));
        } else if !before {
            self.give_back();
        }
        kept
    }

    fn keep_one(&self, file: &Path, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        if !self.in_slots {
            return keep(file, bytes);
        }
        // As every file there: see `slots`.
        let path = place(file);
        let before = open(&path, false).and_then(|room| kept(&room)).ok();
        let Some(before) = before.filter(|before| *before < bytes) else {
            return keep_in_slots(file, bytes);
        };
        is_free(&self.root, bytes - before)?;
        slot::remove_one(&path)?;
        let grown = keep_in_slots(file, bytes);
        // What there was is had again, unless somebody was faster.
        if grown.is_err() && keep_in_slots(file, before).is_err() {
            self.need.set(None);
        }
        grown
    }

    pub(super) fn free(&self, file: &Path) -> bool {
        let path = place(file);
        if self.in_slots {
            return path.exists() && slot::remove_one(&path).is_ok();
        }
        fs::remove_file(path).is_ok()
    }

    /// Whether what is kept still does for a checkpoint of so many bytes.
    pub(super) fn is_enough_for(&self, json: u64) -> bool {
        let need = self.need.get();
        need.is_some_and(|[.., checkpoint]| json + SLACK <= checkpoint)
    }

    pub(super) fn is_kept(&self) -> bool {
        self.need.get().is_some()
    }

    /// Gives all of it back; tells whether there was any.
    pub(super) fn give_back(&self) -> bool {
        self.need.set(None);
        let given = self.files.iter().map(|file| self.free(file));
        given.fold(false, |any, given| any | given)
    }
}

impl StateDir {
    /// Why no room could be kept here for the end of a wipe with this plan, of
    /// which a checkpoint may be there already, with its name; `None` where it
    /// could. Changes nothing.
    pub fn no_room(&self, plan: &Plan, continued: Option<(&str, &Checkpoint)>) -> Option<String> {
        let (name, checkpoint) = continued.unzip();
        let json = checkpoint.and_then(|checkpoint| checkpoint.to_json().ok());
        let need = least_need(json.map_or(FRESH, |json| json.len() as u64), plan);
        let room = name.map(|name| Room::of(self, name));
        could_keep(&self.folder("reports"), need.iter().sum(), room.as_ref())
            .err()
            .map(|error| reason(&error))
    }
}

/// The room for a file: beside it, and no file of the state to anybody.
fn place(file: &Path) -> PathBuf {
    beside(file, "room")
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(create)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
}

fn kept(file: &File) -> io::Result<u64> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(meta.len().min(meta.blocks().saturating_mul(512)))
}

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, length) {
            Err(Errno::EINTR) => continue,
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => write_zeros(file, bytes)?,
            allocated => allocated?,
        }
        break;
    }
    if kept(file)? < bytes {
        // It compresses, or promises blocks without setting them aside.
        return Err(Errno::EOPNOTSUPP.into());
    }
    Ok(())
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 64 << 10];
    let mut at = file.metadata()?.len();
    while at < bytes {
        let part = usize::try_from(bytes - at).unwrap_or(usize::MAX);
        let part = part.min(zeros.len());
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    // Blocks may be found only when it is written out.
    file.sync_data()
}

/// Keeps so many bytes of room for a file, at least. What was kept before
/// stays.
/// `Unsupported` where the file system sets nothing aside. After a failure there is as
/// much as before.
fn keep(file: &Path, bytes: u64) -> io::Result<()> {
    let path = place(file);
    let room = open(&path, true)?;
    let before = kept(&room)?;
    if before >= bytes {
        return Ok(());
    }
    let allocated = allocate(&room, bytes);
    if allocated.is_err() {
        if before == 0 {
            let _ = fs::remove_file(&path);
        } else {
            let _ = room.set_len(before);
        }
    }
    allocated
}

/// The same where a loss of power could damage the file system with it.
fn keep_in_slots(file: &Path, bytes: u64) -> io::Result<()> {
    let path = place(file);
    keep(file, bytes)?;
    sync_name(&path)?;
    open(&path, false)?.sync_all()
}

/// Writes a file durably into the room that was kept for it.
/// Where there is too little room, what is left of it stays.
pub(super) fn fill(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = place(file);
    let mut room = open(&path, false)?;
    if kept(&room)? < bytes.len() as u64 {
        return Err(Errno::ENOSPC.into());
    }
    room.write_all(bytes)?;
    room.set_len(bytes.len() as u64)?;
    room.sync_all()?;
    drop(room);
    fs::rename(&path, file)?;
    sync_name(file)
}

/// Whether so many bytes of room could be had in a folder, that may not be
/// there yet, besides those of a room that is there. Changes nothing.
fn could_keep(folder: &Path, bytes: u64, room: Option<&Room>) -> io::Result<()> {
    let there = folder.ancestors().find(|path| path.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    let have = |file: &Path| open(&place(file), false).and_then(|file| kept(&file));
    let had: u64 = room.map_or(0, |room| {
        let rooms = room.files.iter().map(|file| have(file).unwrap_or(0));
        rooms.sum()
    });
    let bytes = bytes.saturating_sub(had);
    if bytes == 0 {
        return Ok(());
    }
    is_free(there, bytes)?;
    // A file without a name is gone as soon as it is closed. Quotas, limits and
    // what the file system can do are seen this way only.
    match OpenOptions::new()
        .write(true)
        .mode(0o600)
        .custom_flags(OFlag::O_TMPFILE.bits())
        .open(there)
    {
        Ok(file) => allocate(&file, bytes),
        Err(_) => Ok(()),
    }
}

fn is_free(folder: &Path, bytes: u64) -> io::Result<()> {
    let space = statvfs(folder)?;
    let free = space
        .blocks_available()
        .saturating_mul(space.fragment_size());
    if free < bytes {
        return Err(Errno::ENOSPC.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Pass, Verify};
    use crate::strategy::Content;

    #[test]
    fn room_is_kept_once_grows_and_becomes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        keep(&file, 100_000).unwrap();
        let room = place(&file);
        let inode = fs::metadata(&room).unwrap().ino();
        for bytes in [5_000, 100_000, 200_000] {
            keep(&file, bytes).unwrap();
            let meta = fs::metadata(&room).unwrap();
            assert_eq!(meta.ino(), inode);
            assert!(meta.blocks() * 512 >= 100_000.max(bytes));
        }
        assert!(!file.exists());
        fs::write(&file, "old").unwrap();
        fill(&file, &vec![b'x'; 150_000]).unwrap();
        assert_eq!(fs::read(&file).unwrap(), vec![b'x'; 150_000]);
        assert_eq!(fs::metadata(&file).unwrap().ino(), inode);
        assert!(!room.exists());
        // There is none any more.
        assert!(fill(&file, b"y").is_err());
        assert_eq!(fs::metadata(&file).unwrap().len(), 150_000);
    }

    #[test]
    fn what_is_too_small_or_no_file_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        keep(&file, 4096).unwrap();
        assert!(fill(&file, &[b'x'; 5_000]).is_err());
        // Larger than any disk: what was kept stays.
        assert!(keep(&file, 1 << 60).is_err());
        fill(&file, &[b'x'; 4_000]).unwrap();
        let other = folder.path().join("b.json");
        assert!(keep(&other, 1 << 60).is_err());
        assert!(!place(&other).exists());
        std::os::unix::fs::symlink(&file, place(&other)).unwrap();
        assert!(keep(&other, 10).is_err());
        assert!(fill(&other, b"y").is_err());
        assert_eq!(fs::read(&file).unwrap().len(), 4_000);
    }

    fn plan() -> Plan {
        let (content, verify) = (Content::Zero, Verify::None);
        Plan::new(vec![Pass { content, verify }]).unwrap()
    }

    /// Of a wipe in this folder, as on FAT.
    fn in_slots(root: &Path) -> Room {
        let dir = StateDir::new(root.into()).kept_in_slots(true);
        dir.create().unwrap();
        Room::of(&dir, "a.json")
    }

    fn lengths(room: &Room) -> Vec<u64> {
        // Zeros have no keys.
        let [record, page, _, checkpoint] = &room.files;
        let files = [record, page, checkpoint];
        let length = |file: &PathBuf| fs::metadata(place(file)).map_or(0, |meta| meta.len());
        files.map(length).to_vec()
    }

    #[test]
    fn room_that_was_given_back_is_none_and_can_be_kept_again() {
        let folder = tempfile::tempdir().unwrap();
        let room = in_slots(folder.path());
        let plan = plan();
        assert!(!room.is_kept());
        room.keep(1000, &plan).unwrap();
        assert!(room.is_kept() && room.is_enough_for(1000));
        assert!(room.give_back());
        assert!(!room.is_kept() && !room.is_enough_for(1000));
        assert_eq!(lengths(&room), [0; 3]);
        room.keep(1000, &plan).unwrap();
        assert!(room.is_enough_for(1000));
    }

    #[test]
    fn room_in_slots_that_cannot_grow_stays_as_large_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let room = in_slots(folder.path());
        let plan = plan();
        room.keep(1000, &plan).unwrap();
        let before = lengths(&room);
        assert!(before.iter().all(|length| *length > 1000), "{before:?}");
        // More than is free, and than any file may have.
        for bytes in [1 << 60, 1 << 50] {
            assert!(room.keep(bytes, &plan).is_err());
            assert_eq!(lengths(&room), before);
        }
        assert!(room.is_kept());
        room.keep(100_000, &plan).unwrap();
        assert!(lengths(&room)[0] > 100_000);
    }
}
