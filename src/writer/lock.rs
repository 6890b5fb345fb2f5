//! The lock that keeps another run off a drive.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::drive::{Device, Node, path_from_text};

/// How long somebody else may hold a lock: udev does now and then, for moments.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Holds a drive or image against every other run, until dropped.
#[derive(Debug)]
pub struct Lock {
    // the node or the image, and the file below a loop device
    pub(super) files: Vec<File>,
}

/// Why a drive could not be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another program holds it.
    Held,
    Io(io::Error),
    /// Another program holds it, and there is no thread to wait with.
    NoThread(io::Error),
}

/// Locks the whole disk, or the image; of a loop device its backing file too,
/// as a run on the file would not see one on the device; `others`: nodes that
/// lead to the same drive.
pub(crate) fn lock(device: &Device, others: &[PathBuf]) -> Result<Lock, LockError> {
    // Each with the inode that it must be; a node's own does not matter.
    let mut paths: Vec<(PathBuf, Option<u64>)> = Vec::new();
    match &device.node {
        Node::Block { whole_path, .. } => {
            // In the order of their numbers, so that of two runs that come by
            // different paths one gets all and the other none.
            let mut nodes = [std::slice::from_ref(whole_path), others].concat();
            nodes.sort_by_key(|node| std::fs::metadata(node).map_or(0, |meta| meta.rdev()));
            paths.extend(nodes.into_iter().map(|node| (node, None)));
            let backing = device
                .identity
                .backing
                .as_ref()
                .filter(|backing| backing.inode != 0);
            let file =
                backing.and_then(|backing| Some((path_from_text(&backing.path)?, backing.inode)));
            // A backing file that is deleted has no name to lock it by; the
            // guard refuses what may be another name of it.
            paths.extend(file.map(|(path, inode)| (path, Some(inode))));
        }
        Node::Image { inode, .. } => paths.push((device.path.clone(), Some(*inode))),
    }
    let deadline = Instant::now() + LOCK_PATIENCE;
    let files = paths
        .into_iter()
        .map(|(path, inode)| {
            let file = OpenOptions::new()
                .read(true)
                .open(path)
                .map_err(LockError::Io)?;
            let found = file.metadata().map_err(LockError::Io)?.ino();
            if inode.is_some_and(|inode| inode != found) {
                return Err(LockError::Io(ErrorKind::NotFound.into()));
            }
            wait_for_lock(file, deadline)
        })
        .collect::<Result<_, _>>()?;
    Ok(Lock { files })
}

fn wait_for_lock(file: File, deadline: Instant) -> Result<File, LockError> {
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    // flock has no timeout. When the time is over the thread is left behind; it
    // drops the lock should it still come.
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .spawn(move || {
            let result = file.lock().map(|()| file);
            let _ = sender.send(result);
        })
        .map_err(LockError::NoThread)?;
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(result) => result.map_err(LockError::Io),
        Err(_) => Err(LockError::Held),
    }
}
