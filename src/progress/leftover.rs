//! What a run that was killed before its first checkpoint leaves behind: room for
//! files that nobody will write, and parts of a first save. Nothing leads to it,
//! as its name has the id of a run that never was.
//!
//! A run that begins holds a shared lock on `pending/` from before its first file
//! to its first checkpoint, and from then on the checkpoint shows that its files
//! are somebody's. Who gets the lock alone knows that no other run is between the
//! two.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::store::{StateDir, is_orphan};
use super::{keys, slot, slots};

/// Endings of hidden files of ours, which begin with the name of another.
const ENDINGS: [&str; 2] = [".room", ".tmp"];

/// Takes away what belongs to no wipe, unless another run begins just now. `None`
/// where the file system has no locks; then nothing is taken away, by nobody.
pub(super) fn begin(dir: &StateDir) -> Option<Flock<File>> {
    let folder = File::open(dir.folder("pending")).ok()?;
    match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
        Ok(alone) => {
            sweep(dir);
            alone.relock(FlockArg::LockShared).ok()?;
            Some(alone)
        }
        // For as long as another one sweeps.
        Err((folder, _)) => Flock::lock(folder, FlockArg::LockShared).ok(),
    }
}

/// Best effort: what stays is in nobody's way.
fn sweep(dir: &StateDir) {
    for folder in ["pending", "reports"].map(|name| dir.folder(name)) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && checkpoint_of(dir, &path).is_some_and(|file| is_nobodys(&path, &file)) {
                let _ = slot::remove_one(&path);
            }
        }
    }
}

/// The checkpoint of the wipe to which a hidden file of ours belongs.
fn checkpoint_of(dir: &StateDir, path: &Path) -> Option<PathBuf> {
    let file = slots::file_of(path).or_else(|| {
        let name = path.file_name()?.to_str()?.strip_prefix('.')?;
        let name = ENDINGS.iter().find_map(|end| name.strip_suffix(end))?;
        Some(path.with_file_name(name))
    })?;
    let ours = file
        .extension()
        .is_some_and(|end| end == "json" || end == "html");
    let name = keys::record_of(&file).unwrap_or_else(|| file.with_extension("json"));
    ours.then(|| {
        dir.folder("pending")
            .join(name.file_name().unwrap_or_default())
    })
}

/// Whether the checkpoint is neither there nor in its copy. What cannot be read
/// may be one.
fn is_nobodys(path: &Path, checkpoint: &Path) -> bool {
    let readable = slots::file_of(path).is_none() || fs::read(path).is_ok();
    readable && fs::symlink_metadata(checkpoint).is_err() && !is_orphan(checkpoint)
}
