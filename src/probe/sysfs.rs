//! Reading the kernel's files.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

use crate::drive::DevId;
use crate::text::reason;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileId {
    /// A file: `st_dev` and inode.
    File(u64, u64),
    Block(DevId),
}

/// `cannot read PATH: REASON`.
pub(super) fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {}", path.display(), reason(error))
}

/// The paths in a directory, sorted.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The same, or why it cannot be read.
pub(super) fn listed(dir: &Path) -> Result<Vec<PathBuf>, String> {
    list(dir).map_err(|error| cannot_read(dir, &error))
}

/// A path without symbolic links, or why there is none.
pub(super) fn canonical(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize()
        .map_err(|error| cannot_read(path, &error))
}

/// The paths in a directory, but nothing where there is no such directory.
pub(super) fn list_if_there(dir: &Path) -> Result<Vec<PathBuf>, String> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match list(dir) {
        Ok(paths) => Ok(paths),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(cannot_read(dir, &error)),
    }
}

/// Text without the white space and NULs around it; `None` when nothing is left.
pub(super) fn stripped(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_string())
}

/// What a file says, where it is there and can be read.
pub(super) fn attribute(dir: &Path, name: &str) -> Option<String> {
    stripped(&std::fs::read(dir.join(name)).ok()?)
}

pub(super) fn base_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Whether a name is this and a number after it, as `sd1` is not of `sda`.
pub(super) fn is_numbered(name: &str, before: &str) -> bool {
    let number = name.strip_prefix(before);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

pub(super) fn find(path: &Path) -> io::Result<FileId> {
    let metadata = std::fs::metadata(path)?;
    Ok(if metadata.file_type().is_block_device() {
        FileId::Block(DevId::from_raw(metadata.rdev()))
    } else {
        FileId::File(metadata.dev(), metadata.ino())
    })
}

impl DevId {
    /// From `st_rdev` or `st_dev`.
    pub fn from_raw(raw: u64) -> Self {
        Self {
            major: major(raw),
            minor: minor(raw),
        }
    }

    /// From `8:16`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}
