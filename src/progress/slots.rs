//! A file that is replaced again and again where renaming is not durable: FAT
//! and exFAT.
//!
//! There the place and the size of a file stand in its entry in the folder. A
//! rename makes a new entry, which says that the file is empty until the file
//! itself, and not its folder, is written once more: after a loss of power the
//! new content may be gone and the old one, too. So nothing is renamed here.
//! A file `NAME` has a copy `.NAME.a` (or `.b`) beside it. Both are made once,
//! larger than what they hold, and from then on written in place, one after the
//! other, each durable before the other is touched: at every moment one of the
//! two is whole. A content that needs more room gets a new copy first, then a
//! new file, and only then is the old copy given up.
//!
//! Each begins with its sequence number and its SHA-256, as a member of the JSON
//! object that it holds, and ends with spaces: it is JSON for everybody else.
//! FAT also has no order between a file's chain of clusters and the entry that
//! leads to it. A new file's chain is made durable (with its folder) before its
//! entry says that it has one, and a file that is removed keeps its clusters
//! (as it is held open) until its entry is durably gone.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::file::{beside, sync_name};
use super::slot::{Held, Slot, decode, encode, is_json, remove_one, unlink};

/// The endings of the copy's name; two, as a larger one is made beside the old.
const ENDS: [&str; 2] = ["a", "b"];
/// How often files that are being written are read again until one is whole.
const LOOKS: usize = 4;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Its bytes; of a file that is no slot nobody knows whether it is whole.
    Bytes(Vec<u8>),
    /// No whole copy of it is left: what one of them holds.
    Torn(Vec<u8>),
}

/// The file beside which a copy lies, by the copy's name.
pub(super) fn file_of(copy: &Path) -> Option<PathBuf> {
    let name = copy.file_name()?.to_str()?.strip_prefix('.')?;
    let name = ENDS
        .iter()
        .find_map(|end| name.strip_suffix(end)?.strip_suffix('.'))?;
    (!name.is_empty()).then(|| copy.with_file_name(name))
}

fn copies(path: &Path) -> [PathBuf; 2] {
    ENDS.map(|end| beside(path, end))
}

pub(super) fn exists(path: &Path) -> bool {
    let there = |path: &Path| fs::symlink_metadata(path).is_ok();
    there(path) || copies(path).iter().any(|copy| there(copy))
}

/// Reads what was saved under a name, whoever saved it. `read` reads one file.
pub(super) fn read(path: &Path, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> io::Result<Stored> {
    let mut looks = 0;
    loop {
        looks += 1;
        let own = read(path).map(decode);
        // Who copied a file from elsewhere, or edited it, means that one.
        let (own, torn) = match own {
            Ok(Held::Plain(bytes)) if !any_copy(path) || is_json(&bytes) => {
                return Ok(Stored::Bytes(bytes));
            }
            Ok(Held::Plain(bytes) | Held::Torn(bytes)) => (None, Ok(bytes)),
            Ok(Held::Whole(sequence, json)) => (Some((sequence, json)), Ok(Vec::new())),
            Err(error) => (None, Err(error)),
        };
        let copies = copies(path)
            .into_iter()
            .filter_map(|copy| match read(&copy).map(decode) {
                Ok(Held::Whole(sequence, json)) => Some((sequence, json)),
                _ => None,
            });
        // The last of equals is what a reader of the file itself sees.
        let best = copies.chain(own).max_by_key(|(sequence, _)| *sequence);
        if let Some((_, json)) = best {
            return Ok(Stored::Bytes(json));
        }
        if looks == LOOKS {
            return torn.map(Stored::Torn);
        }
    }
}

fn any_copy(path: &Path) -> bool {
    copies(path)
        .iter()
        .any(|copy| fs::symlink_metadata(copy).is_ok())
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    let mut held = Vec::new();
    let mut removed = Err(ErrorKind::NotFound.into());
    for file in copies(path).iter().map(PathBuf::as_path).chain([path]) {
        match unlink(file) {
            Ok(open) => {
                held.push(open);
                removed = Ok(());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    removed.and_then(|()| sync_name(path))
}

pub(super) fn forget_copies(path: &Path) -> io::Result<()> {
    if !any_copy(path) {
        return Ok(());
    }
    let held: Vec<_> = copies(path).iter().map(|copy| unlink(copy)).collect();
    let synced = sync_name(path);
    drop(held);
    synced
}

#[derive(Debug)]
pub(super) struct Slots {
    own: Slot,
    copy: Slot,
    old: Option<PathBuf>,
    /// Whether nothing was there before, and nothing has been saved since.
    fresh: bool,
}

impl Slots {
    pub(super) fn of(path: &Path) -> Self {
        let fresh = !exists(path);
        let [a, b] = copies(path).map(Slot::find);
        let (copy, other) = if b.sequence > a.sequence {
            (b, a)
        } else {
            (a, b)
        };
        let old = fs::symlink_metadata(&other.path)
            .is_ok()
            .then_some(other.path);
        Self {
            own: Slot::find(path.to_path_buf()),
            copy,
            old,
            fresh,
        }
    }

    /// Saves in both. At every moment one of them holds this or what was saved
    /// before.
    /// Where that fails what was saved before is still there, unless it is this.
    pub(super) fn save(&mut self, json: &[u8]) -> io::Result<()> {
        let sequence = self.own.sequence.max(self.copy.sequence).unwrap_or(0) + 1;
        let image = encode(sequence, json)?;
        // First the one that is not needed.
        let saved = if self.copy.sequence > self.own.sequence {
            self.save_own(&image, sequence)
                .and_then(|()| self.save_copy(&image, sequence))
        } else {
            self.save_copy(&image, sequence)
                .and_then(|()| self.save_own(&image, sequence))
        };
        let saved = saved.and_then(|()| self.old.take().map_or(Ok(()), |old| remove_one(&old)));
        if saved.is_err() && self.fresh {
            let _ = remove(&self.own.path);
        }
        self.fresh &= saved.is_err();
        saved
    }

    fn save_own(&mut self, image: &[u8], sequence: u64) -> io::Result<()> {
        // A failed fsync marks pages clean: what cannot be overwritten is made
        // anew, not tried again.
        if self.own.has_room(image) && self.own.overwrite(image, sequence).is_ok() {
            return Ok(());
        }
        self.own.make(image, sequence)
    }

    fn save_copy(&mut self, image: &[u8], sequence: u64) -> io::Result<()> {
        if self.copy.has_room(image) && self.copy.overwrite(image, sequence).is_ok() {
            return Ok(());
        }
        // A larger one beside it, under the name that is free.
        let path = self.old.take().unwrap_or_else(|| {
            let [a, b] = copies(&self.own.path);
            if a == self.copy.path { b } else { a }
        });
        let mut larger = Slot {
            path,
            open: None,
            sequence: None,
        };
        larger.make(image, sequence)?;
        let before = std::mem::replace(&mut self.copy, larger);
        self.old = Some(before.path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::padded;
    use super::*;

    fn saved(path: &Path) -> Option<Vec<u8>> {
        match read(path, |path| fs::read(path)) {
            Ok(Stored::Bytes(bytes)) => Some(bytes),
            Ok(Stored::Torn(_)) | Err(_) => None,
        }
    }

    fn json(number: usize, length: usize) -> Vec<u8> {
        format!(
            "{{\n  \"n\": {number},\n  \"fill\": \"{}\"\n}}\n",
            "x".repeat(length)
        )
        .into()
    }

    #[test]
    fn a_slot_says_of_every_changed_byte_that_it_is_torn() {
        let json = json(1, 10);
        let image = encode(7, &json).unwrap();
        let whole = padded(&image, 512);
        assert!(is_json(&whole));
        assert_eq!(decode(whole.clone()), Held::Whole(7, json));
        for at in 0..image.len() {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            assert!(!matches!(decode(torn), Held::Whole(..)), "byte {at}");
            let short = whole[..at].to_vec();
            assert!(!matches!(decode(short), Held::Whole(..)), "{at} bytes");
        }
        assert!(encode(1, b"[]").is_err());
    }

    #[test]
    fn what_was_saved_is_read_whatever_becomes_of_one_of_the_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let mut slots = Slots::of(&path);
        let mut names = 0;
        for (number, length) in [10, 20, 5000, 5001, 30_000, 10].into_iter().enumerate() {
            let json = json(number, length);
            slots.save(&json).unwrap();
            assert_eq!(saved(&path).unwrap(), json);
            // It is the file itself that a person reads.
            let own = fs::read(&path).unwrap();
            assert!(is_json(&own), "{own:?}");
            assert_eq!(
                decode(own.clone()),
                Held::Whole(number as u64 + 1, json.clone())
            );
            names = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(names, 2, "a file and its copy");
            for torn in [&path, &slots.copy.path] {
                let before = fs::read(torn).unwrap();
                for damage in [Some(Vec::new()), Some(vec![0; 4096]), None] {
                    match damage {
                        Some(bytes) => fs::write(torn, bytes).unwrap(),
                        None => fs::remove_file(torn).unwrap(),
                    }
                    assert_eq!(saved(&path).unwrap(), json, "{}", torn.display());
                }
                fs::write(torn, &before).unwrap();
            }
            // Another process goes on.
            slots = Slots::of(&path);
        }
        assert_eq!(names, 2);
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(remove(&path).is_err());
    }

    #[test]
    fn whichever_of_the_two_is_lost_the_next_save_begins_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for lost in 0..2 {
            let mut slots = Slots::of(&path);
            slots.save(&json(1, 10)).unwrap();
            let file = [&slots.own.path, &slots.copy.path][lost].clone();
            fs::write(file, b"").unwrap();
            let mut slots = Slots::of(&path);
            slots.save(&json(2, 10)).unwrap();
            assert_eq!(saved(&path).unwrap(), json(2, 10));
            assert_eq!(slots.own.sequence, slots.copy.sequence);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
            remove(&path).unwrap();
        }
    }

    #[test]
    fn a_file_from_elsewhere_is_taken_over_and_one_with_an_old_copy_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, json(1, 10)).unwrap();
        let mut slots = Slots::of(&path);
        slots.save(&json(2, 10)).unwrap();
        assert_eq!(saved(&path).unwrap(), json(2, 10));
        fs::write(&path, json(3, 10)).unwrap();
        assert_eq!(saved(&path).unwrap(), json(3, 10));
        forget_copies(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, b"").unwrap();
        assert_eq!(saved(&path).unwrap(), b"");
    }

    #[test]
    fn a_first_save_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let mut slots = Slots::of(&path);
        fs::create_dir(&path).unwrap();
        assert!(slots.save(&json(1, 10)).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!any_copy(&path));
    }

    #[test]
    fn a_copy_is_known_by_its_name() {
        let path = Path::new("/s/pending/sda-1.json");
        for copy in copies(path) {
            assert_eq!(file_of(&copy).as_deref(), Some(path));
        }
        for name in ["sda.json", ".sda.json", ".sda.json.tmp", ".a", "..a"] {
            assert_eq!(file_of(Path::new(name)), None, "{name}");
        }
    }
}
