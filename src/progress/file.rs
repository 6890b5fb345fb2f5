//! Files and folders that survive a loss of power where the file system keeps
//! its promises.
//!
//! A save is a new temporary file in the same folder, written, flushed,
//! fsynced, renamed over the old one, and the folder fsynced: at every moment
//! one whole file is there. If any of that fails the temporary is thrown away,
//! never retried, as a failed fsync marks its pages clean.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::{fs, io};

use crate::text::bounded;

/// Opens a file of ours, which may be read several times over.
///
/// # Errors
/// The kernel's; `InvalidData` where it is no file, or too large.
pub fn open(path: &Path) -> io::Result<File> {
    // A pipe in the folder must not block, a device must not be read.
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > bounded::MOST {
        return Err(ErrorKind::InvalidData.into());
    }
    File::open(path)
}

/// Creates a folder and what is missing above it, each durably.
pub(super) fn create_durably(path: &Path) -> io::Result<()> {
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

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if planted!("no-folder-sync") {
        return Ok(());
    }
    // An empty parent is the current folder.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// Makes a file durable that somebody else wrote, and its name.
pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Replaces a file so that at every moment the old or the new one is whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_as(path, bytes, 0o600)
}

/// The same with these permissions for a new file.
pub(super) fn replace_as(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
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
    if planted!("no-file-sync") {
        return Ok(());
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
