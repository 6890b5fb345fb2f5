//! What is in the state directory: finding it, and reading it.

use std::io::{Cursor, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use super::checkpoint::{Checkpoint, Invalid, LARGEST, LoadError};
use super::file::{can_write, create_durably, open};
use super::keys;
use super::slots::{self, Stored};
use crate::drive::Identity;
use crate::outcome::Outcome;
use crate::text::{Word, bounded};

const FOLDERS: [&str; 2] = ["pending", "reports"];
/// No slot is larger, in bytes: half more than the largest file.
const SLOT: u64 = LARGEST * 3 / 2;

#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
    /// Whether it lies where renaming is not durable: found out when a wipe begins.
    pub(super) in_slots: bool,
}

#[derive(Debug)]
pub struct Pending {
    pub path: PathBuf,
    pub checkpoint: Result<Checkpoint, LoadError>,
}

#[derive(Debug)]
pub struct RecordFile {
    pub path: PathBuf,
    pub checkpoint: Checkpoint,
    pub outcome: Outcome,
    // why its keys cannot be had, without which nothing can be compared with it
    keyless: Option<String>,
}

impl RecordFile {
    /// Whether its keys are there, or it needs none: without them nothing can be
    /// compared with it.
    pub fn is_comparable(&self) -> bool {
        self.keyless.is_none()
    }
}

#[derive(Debug, Default)]
pub struct RecordFiles {
    pub usable: Vec<RecordFile>,
    pub unusable: Vec<(PathBuf, LoadError)>,
}

impl RecordFiles {
    /// The same where those that cannot be compared with a drive are of no use.
    pub fn comparable(self) -> Self {
        let (usable, mut unusable) = (self.usable.into_iter(), self.unusable);
        let usable = usable.filter_map(|mut record| {
            let Some(why) = record.keyless.take() else {
                return Some(record);
            };
            let why = Invalid::Keyless(why);
            let device_id = Some(Box::new(record.checkpoint.device_id().clone()));
            unusable.push((record.path, LoadError::Invalid { why, device_id }));
            None
        });
        Self {
            usable: usable.collect(),
            unusable,
        }
    }
}

impl StateDir {
    /// The directory at this path; nothing is created yet.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            in_slots: false,
        }
    }

    /// The same, with files that are written in place if `in_slots`: where the
    /// file system does not make renaming durable.
    pub fn kept_in_slots(self, in_slots: bool) -> Self {
        Self { in_slots, ..self }
    }

    /// Where the state is kept unless asked otherwise: `/var/lib/wipeit` for
    /// root, else under `XDG_STATE_HOME` or `~/.local/state`; `None` without a
    /// home, which must be absolute: from another folder it would be another one.
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
            .or_else(|| Some(home.filter(|home| home.is_absolute())?.join(".local/state")))
            .map(|path| path.join("wipeit"))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether a checkpoint could be saved here, as far as can be told without
    /// writing.
    /// Otherwise the path that stands in the way, and why.
    pub fn check_writable(&self) -> Result<(), (PathBuf, io::Error)> {
        for folder in FOLDERS.map(|name| self.folder(name)) {
            for path in folder.ancestors() {
                match can_write(path) {
                    // Nothing there yet; a link that leads nowhere is something.
                    Err(error)
                        if error.kind() == ErrorKind::NotFound
                            && fs::symlink_metadata(path).is_err() => {}
                    Err(error) => return Err((path.into(), error)),
                    Ok(()) => break,
                }
            }
        }
        Ok(())
    }

    pub fn pending(&self) -> io::Result<Vec<Pending>> {
        let load = |path: PathBuf| Pending {
            checkpoint: load(&path),
            path,
        };
        Ok(self.files("pending")?.into_iter().map(load).collect())
    }

    /// Every record of a finished wipe that can be understood, and the files
    /// that cannot.
    pub fn records(&self) -> io::Result<RecordFiles> {
        let mut found = RecordFiles::default();
        for path in self.files("reports")? {
            match load_record(&path) {
                Ok(record) => found.usable.push(record),
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
            // A copy is one of a file that may not be there.
            let path = match slots::file_of(&path) {
                Some(file) if is_orphan(&file) => file,
                _ if hidden => continue,
                _ => path,
            };
            if path.extension().is_some_and(|end| end == "json") && keys::record_of(&path).is_none()
            {
                found.push(path);
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub(super) fn create(&self) -> io::Result<()> {
        for name in FOLDERS {
            create_durably(&self.folder(name))?;
        }
        Ok(())
    }
}

/// Whether of a file that is not there a whole copy is. Without one nothing was
/// ever saved.
pub(super) fn is_orphan(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err() && matches!(slots::read(path, read), Ok(Stored::Bytes(_)))
}

trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

fn saved(path: &Path) -> Result<Box<dyn Source>, LoadError> {
    // One that is too large to be a slot is of 0.1.0, or of nobody.
    if fs::metadata(path).is_ok_and(|meta| meta.len() > SLOT) {
        let file = open(path).map_err(LoadError::Unreadable)?;
        return Ok(Box::new(file));
    }
    let bytes = match slots::read(path, read).map_err(LoadError::Unreadable)? {
        Stored::Torn(bytes) if !is_blank(&bytes) => {
            let why = "its SHA-256 is not that of its content, and no whole copy is there";
            let why = Invalid::Corrupt(why.into());
            return Err(unread(why.into(), &mut Cursor::new(bytes)));
        }
        Stored::Bytes(bytes) | Stored::Torn(bytes) => bytes,
    };
    if is_blank(&bytes) {
        return Err(LoadError::Empty);
    }
    Ok(Box::new(Cursor::new(bytes)))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(SLOT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn load(path: &Path) -> Result<Checkpoint, LoadError> {
    let mut source = saved(path)?;
    Checkpoint::read(&mut source).map_err(|why| unread(why, &mut source))
}

fn load_record(path: &Path) -> Result<RecordFile, LoadError> {
    #[derive(Deserialize)]
    struct OutcomeField {
        #[serde(default)]
        outcome: Word,
    }
    let mut source = saved(path)?;
    let checkpoint =
        Checkpoint::read_record(&mut source).map_err(|why| unread(why, &mut source))?;
    let ended = bounded::read::<OutcomeField>(&mut source);
    let outcome = ended
        .ok()
        .and_then(|ended| Outcome::of_record(ended.outcome.text()?));
    let Some(outcome) = outcome else {
        let why = Invalid::Corrupt("field outcome says nothing that is known".into());
        return Err(unread(why.into(), &mut source));
    };
    let mut record = RecordFile {
        path: path.into(),
        checkpoint,
        outcome,
        keyless: None,
    };
    if record.checkpoint.plan().lacks_keys() {
        let mut bytes = Vec::new();
        let read = source
            .rewind()
            .and_then(|()| source.read_to_end(&mut bytes));
        read.map_err(LoadError::Unreadable)?;
        match keys::read(path, &bytes) {
            Ok(keys) => record.checkpoint = record.checkpoint.with_keys(&keys),
            Err(why) => record.keyless = Some(why),
        }
        if record.checkpoint.plan().lacks_keys() && record.keyless.is_none() {
            record.keyless = Some("one of its keys is missing".into());
        }
    }
    Ok(record)
}

/// The same with the drive of which the file speaks.
fn unread(error: LoadError, source: &mut (impl Read + Seek)) -> LoadError {
    #[derive(Deserialize)]
    struct Speaks {
        device_id: Box<Identity>,
    }
    let LoadError::Invalid { why, .. } = error else {
        return error;
    };
    let speaks = bounded::read::<Speaks>(source).ok();
    let device_id = speaks.map(|speaks| speaks.device_id);
    LoadError::Invalid { why, device_id }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for home in [None, Some(""), Some("."), Some("h"), Some("./h")] {
            assert_eq!(root(false, None, home), None, "{home:?}");
            assert_eq!(root(false, Some("x"), home), None, "{home:?}");
        }
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
}
