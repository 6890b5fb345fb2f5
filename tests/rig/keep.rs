//! What a violation leaves behind: the disks, the logs, and how it came about.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::Machine;

/// Puts all of it into a new folder in `folder`; gives that.
pub fn all(folder: &Path, machine: &Machine, scratch: &Path, story: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let kept = folder.join(format!("{}-{number}", std::process::id()));
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join("story"), story).unwrap();
    let power = machine.lock();
    for disk in &power.disks {
        // Sparse: what was never written is a hole.
        let image = File::create(kept.join(format!("{}.img", disk.name))).unwrap();
        image.set_len(disk.memory.size).unwrap();
        for (offset, piece) in disk.memory.pieces() {
            let length = (disk.memory.size - offset).min(piece.len() as u64);
            let piece = &piece[..usize::try_from(length).unwrap()];
            image.write_all_at(piece, offset).unwrap();
        }
    }
    fs::write(kept.join("events"), format!("{:#?}", power.events)).unwrap();
    drop(power);
    // The logs, and the state directory as programs see it.
    for folder in ["", "mnt/state/pending", "mnt/state/reports"] {
        for entry in fs::read_dir(scratch.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = entry.path();
            if path.is_file() {
                let _ = fs::copy(&path, kept.join(entry.file_name()));
            }
        }
    }
    kept
}
