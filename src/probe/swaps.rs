//! What is active swap: `/proc/swaps`.

use std::io;
use std::path::PathBuf;

use super::mounts::{Entry, unescape};
use super::storage::Storage;
use super::sysfs::{FileId, cannot_read, find};
use crate::drive::DevId;

/// An active swap.
#[derive(Debug)]
pub(super) struct Swap {
    pub path: String,
    pub on: SwapOn,
}

/// What a swap is on.
#[derive(Debug)]
pub(super) enum SwapOn {
    /// A device; `None` where it cannot be told which.
    Device(Option<DevId>),
    /// A file; `None` where it lies out of sight. That is left to the kernel,
    /// which lets nobody write to an active swap file.
    File(Option<FileId>),
}

pub(super) fn read(storage: &Storage) -> Result<Vec<Swap>, String> {
    let path = storage.host.proc.join("swaps");
    let unclear = || format!("cannot understand {}", path.display());
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        // A kernel without swap has no such file.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && storage.host.proc.join("self/mountinfo").exists()
                && !shows_processes_only(storage) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(cannot_read(&path, &error)),
    };
    // The heading is there even without swap: what lacks it is another file.
    if !text.starts_with(b"Filename") {
        return Err(unclear());
    }
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    let swap = |line: &[u8]| {
        let fields = line.split(u8::is_ascii_whitespace);
        let mut fields = fields.filter(|field| !field.is_empty());
        let (name, kind) = fields.next().zip(fields.next()).ok_or_else(unclear)?;
        let path: PathBuf = unescape(name);
        let on = if kind == b"file" {
            SwapOn::File(find(&path).ok())
        } else {
            SwapOn::Device(storage.devices()?.named(&path))
        };
        Ok(Swap {
            path: path.to_string_lossy().into_owned(),
            on,
        })
    };
    lines.filter(|line| !line.is_empty()).map(swap).collect()
}

/// Whether `/proc` is mounted with `subset=pid`, and so has no other files.
fn shows_processes_only(storage: &Storage) -> bool {
    let is_it = |entry: &Entry| {
        entry.point == storage.host.proc && entry.kind == "proc" && entry.says("subset=pid")
    };
    let mounts = storage.mounts();
    mounts.is_ok_and(|mounts| mounts.iter().any(is_it))
}
