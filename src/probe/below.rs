//! Which devices a path lies on, layer under layer.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::block::Block;
use super::mounts::{Entry, mount_of};
use super::storage::Storage;
use super::sysfs::{FileId, cannot_read};
use crate::drive::DevId;
use crate::text::reason;

/// Deeper than any real stack of loops and overlays.
const DEEPEST: usize = 32;

/// Which layers of an overlay count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layers {
    /// The one that is written to.
    Upper,
    /// All that can be seen. The file system of one out of sight is mounted in
    /// another namespace, and the kernel gives nobody exclusive access to its
    /// devices: what runs from such a layer, as in a container, is safe.
    Visible,
}

fn unclear(path: &Path, why: &str) -> String {
    format!("cannot tell which drive {} lies on: {why}", path.display())
}

impl Storage {
    /// The devices, layer under layer, that a path lies on.
    pub(super) fn drives_below(
        &self,
        path: &Path,
        layers: Layers,
    ) -> Result<BTreeSet<DevId>, String> {
        let mut drives = BTreeSet::new();
        self.drives_under(path, layers, &mut drives, 0)?;
        Ok(drives)
    }

    fn drives_under(
        &self,
        path: &Path,
        layers: Layers,
        drives: &mut BTreeSet<DevId>,
        depth: usize,
    ) -> Result<(), String> {
        let (path, dev) = std::fs::metadata(path)
            .and_then(|metadata| Ok((path.canonicalize()?, metadata.dev())))
            .map_err(|error| unclear(path, &reason(&error)))?;
        self.drives_at(&path, DevId::from_raw(dev), layers, drives, depth)
    }

    /// The same for a path without symbolic links on the file system with this
    /// number.
    fn drives_at(
        &self,
        path: &Path,
        dev: DevId,
        layers: Layers,
        drives: &mut BTreeSet<DevId>,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(unclear(path, "too many layers"));
        }
        if let Some(block) = self.block(dev)? {
            return self.descend(block, layers, drives, depth);
        }
        match mount_of(self.mounts()?, path, dev) {
            Some(entry) => self.drives_of(entry, path, layers, drives, depth),
            None => Err(unclear(path, "it is on no mount that can be seen")),
        }
    }

    /// The devices that a mounted file system, in which `path` lies, is on.
    fn drives_of(
        &self,
        entry: &Entry,
        path: &Path,
        layers: Layers,
        drives: &mut BTreeSet<DevId>,
        depth: usize,
    ) -> Result<(), String> {
        if let Some(block) = self.block(entry.dev)? {
            return self.descend(block, layers, drives, depth + 1);
        }
        if entry.kind == "overlay" {
            let dirs = match layers {
                Layers::Upper => entry.option("upperdir").into_iter().collect(),
                Layers::Visible => entry.layers(true),
            };
            for dir in dirs {
                if layers == Layers::Upper || dir.metadata().is_ok() {
                    self.drives_under(&dir, layers, drives, depth + 1)?;
                }
            }
            return Ok(());
        }
        let sources = if entry.is_pooled() {
            self.members(entry)
                .ok_or_else(|| unclear(path, "the devices of its file system cannot be seen"))?
        } else {
            // In memory, on the network, or ZFS, whose drives are found by
            // their pool.
            self.devices()?.named(&entry.source).into_iter().collect()
        };
        for source in sources {
            for member in self.pool_of(source)?.iter().chain([&source]) {
                if let Some(block) = self.block(*member)? {
                    self.descend(block, layers, drives, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// The devices that the running system's root lies on.
    pub(super) fn drives_of_root(&self) -> Result<BTreeSet<DevId>, String> {
        let (root, mut drives) = (Path::new("/"), BTreeSet::new());
        let mounts = self.mounts()?;
        let mut at_root = mounts.iter().filter(|entry| entry.point == root).peekable();
        if at_root.peek().is_none() {
            // In a chroot that is no mount point.
            let root = self.host.proc.join("self/root");
            return self.drives_below(&root, Layers::Visible);
        }
        // What was mounted there first may be a layer of what is seen.
        for entry in at_root {
            self.drives_of(entry, root, Layers::Visible, &mut drives, 0)?;
        }
        Ok(drives)
    }

    /// The program that runs, and the devices that its file lies on. It may be
    /// deleted or out of sight by now, and then has a number all the same.
    pub(super) fn drives_of_program(&self) -> Result<(BTreeSet<DevId>, PathBuf), String> {
        let (exe, mut drives) = (self.host.proc.join("self/exe"), BTreeSet::new());
        let (dev, path) = std::fs::metadata(&exe)
            .and_then(|metadata| Ok((metadata.dev(), std::fs::read_link(&exe)?)))
            .map_err(|error| cannot_read(&exe, &error))?;
        let dev = DevId::from_raw(dev);
        self.drives_at(&path, dev, Layers::Visible, &mut drives, 0)?;
        Ok((drives, path))
    }

    fn descend(
        &self,
        block: &Block,
        layers: Layers,
        drives: &mut BTreeSet<DevId>,
        depth: usize,
    ) -> Result<(), String> {
        if !drives.insert(block.dev) {
            return Ok(());
        }
        let devices = self.devices()?;
        for slave in devices.slaves(block)? {
            self.descend(slave, layers, drives, depth + 1)?;
        }
        let Some(file) = devices.file(block)? else {
            return Ok(());
        };
        match file.found {
            Some(FileId::Block(dev)) => match devices.block(dev) {
                Some(below) => self.descend(below, layers, drives, depth + 1),
                None => Ok(()),
            },
            _ => self.drives_under(&file.path, layers, drives, depth + 1),
        }
    }
}

/// The path itself or the nearest directory above that is there.
pub(super) fn nearest_existing(path: &Path) -> Result<PathBuf, String> {
    for path in path.ancestors() {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match std::fs::metadata(path) {
            Ok(_) => return Ok(path.to_path_buf()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(cannot_read(path, &error)),
        }
    }
    Ok(PathBuf::from("."))
}
