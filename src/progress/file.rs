//! Files and folders that survive a loss of power where the file system keeps
//! its promises.
//!
//! A save is a new temporary file in the same folder, written, flushed,
//! fsynced, renamed over the old one, and the folder fsynced: at every moment
//! one whole file is there. If any of that fails the temporary is thrown away,
//! never retried, as a failed fsync marks its pages clean.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::unistd::{AccessFlags, access};

use crate::text::bounded;

/// Opens a file of ours, which may be read several times over.
/// `InvalidData` where it is no file, or too large.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // A pipe in the folder must not block, a device must not be read.
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > bounded::MOST {
        return Err(ErrorKind::InvalidData.into());
    }
    File::open(path)
}

/// Whether files could be written to a folder, as far as can be told without
/// writing.
pub(super) fn can_write(folder: &Path) -> io::Result<()> {
    if !fs::metadata(folder)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    Ok(access(folder, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

/// Creates a folder and what is missing above it, each durably.
pub(super) fn create_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_durably(path.parent().unwrap_or(Path::new("/")))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => created?,
    }
    sync_name(path)
}

/// Makes what a folder says of a file durable.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    if planted!("no-folder-sync") {
        return Ok(());
    }
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes a file durable that somebody else wrote, and its name.
pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_name(path)
}

/// The hidden file `.NAME.END` beside a file.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(end);
    path.with_file_name(name)
}

pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_as(path, bytes, 0o600)
}

/// The same with these permissions for a new file.
pub(super) fn replace_as(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path, "tmp");
    let written = write_new(&temporary, bytes, mode)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_name(path));
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
