//! A disk-image file as a target.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::foundation::Foundation;
use super::ground::Ground;
use super::snapshot::Snapshot;
use super::swaps::SwapOn;
use super::sysfs::{FileId, base_name, cannot_read, canonical};
use super::usage::resting_on;
use super::{loops, signature};
use crate::drive::{
    Backing, Device, Fact, Identity, Kind, Medium, Nature, NoTarget, Node, Opener, Transport,
    Usage, path_to_text,
};
use crate::text::reason;

/// A file as a target; what uses it is not looked at.
pub(super) fn device(path: &Path, metadata: &Metadata) -> Result<Device, NoTarget> {
    let size = metadata.len();
    if size == 0 {
        return Err(NoTarget::Empty);
    }
    File::open(path).map_err(|error| NoTarget::of(path, &error))?;
    let real = canonical(path).map_err(NoTarget::Unreadable)?;
    let name = base_name(&real);
    Ok(Device {
        path: path.to_path_buf(),
        node: Node::Image {
            dev: metadata.dev(),
            inode: metadata.ino(),
        },
        size,
        logical_block: 512,
        physical_block: 4096,
        identity: Identity {
            backing: Some(Backing {
                path: path_to_text(&real),
                inode: metadata.ino(),
                offset: 0,
                size_limit: 0,
            }),
            nature: Some(Nature::File),
            ..Identity::bare(Kind::Image, Transport::File, size, 512)
        },
        named: false,
        medium: Medium::File,
        slot: None,
        write_back: None,
        contents: vec![signature::of(name.clone(), path, size)],
        usage: Usage::not_looked_at(),
        name,
    })
}

/// By what an image is used. `path`: leads to it now.
pub(super) fn usage(
    path: &Path,
    size: u64,
    file: FileId,
    machine: &Snapshot,
    state_dir: &Path,
) -> Usage {
    let read_only = statvfs(path)
        .map(|fs| fs.flags().contains(FsFlags::ST_RDONLY))
        .map_err(|error| {
            let why = reason(&error.into());
            format!("cannot ask the file system of {}: {why}", path.display())
        });
    // Wanted to say how a read-only one is made writable.
    let lies_at = match read_only {
        Ok(true) => machine.storage.mount_over(path),
        _ => None,
    };
    // On an overlay a file has another inode than in the layer below.
    let disguised = statfs(path).is_ok_and(|fs| fs.filesystem_type() == OVERLAYFS_SUPER_MAGIC);
    let devices = machine.storage.devices();
    let ground = Ground::of(&machine.storage, path);
    let foundation = devices
        .clone()
        .and_then(|devices| Foundation::of_file(devices, &machine.grounds, ground.as_ref()));
    Usage {
        // O_EXCL means nothing on a file.
        busy: Fact::Known(false),
        read_only: read_only.into(),
        lies_at: lies_at.map(|mount| mount.point.clone()),
        // A file is mounted through a loop device only, which `loops` finds.
        mounts: Fact::Known(Vec::new()),
        swaps: swaps(file, machine).into(),
        holders: Fact::Known(Vec::new()),
        loops: devices
            .and_then(|devices| loops::over_image(devices, file, size, disguised))
            .into(),
        openers: openers(path, file, machine).into(),
        // A drive's state lies on a file through a loop device only, which
        // `loops` finds; the file may lie within the state, though.
        carries_state: lies_in(path, state_dir).into(),
        carries: Fact::Known(Vec::new()),
        host_managed: Fact::Known(false),
        extended: Fact::Known(None),
        ..resting_on(&foundation, machine)
    }
}

/// Swap files that are this file.
fn swaps(file: FileId, machine: &Snapshot) -> Result<Vec<String>, String> {
    let swaps = machine.swaps.as_ref().map_err(String::clone)?.iter();
    let own = swaps.filter(|swap| matches!(swap.on, SwapOn::File(Some(on)) if on == file));
    Ok(own.map(|swap| swap.path.clone()).collect())
}

/// Processes that hold the file open for writing, each once.
fn openers(path: &Path, file: FileId, machine: &Snapshot) -> Result<Vec<Opener>, String> {
    let open = machine.open.as_ref().map_err(String::clone)?;
    let own = open.written.iter().filter(|written| written.found == file);
    let mut openers: Vec<Opener> = own
        .map(|written| Opener {
            name: base_name(path),
            process: written.process.clone(),
        })
        .collect();
    openers.dedup();
    Ok(openers)
}

/// Whether a file lies in a directory, at any depth.
fn lies_in(file: &Path, dir: &Path) -> Result<bool, String> {
    let Ok(dir) = std::fs::metadata(dir) else {
        // It does not exist yet, so nothing lies in it.
        return Ok(false);
    };
    for above in canonical(file)?.ancestors().skip(1) {
        let meta = std::fs::metadata(above).map_err(|error| cannot_read(above, &error))?;
        if (meta.dev(), meta.ino()) == (dir.dev(), dir.ino()) {
            return Ok(true);
        }
    }
    Ok(false)
}
