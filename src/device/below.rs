//! Which devices a path lies on, layer under layer.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::mounts::{Entry, mount_of};
use super::sysfs::{Block, Found, cannot_read, list, reason};
use super::{DevId, Host};

/// File systems over several devices: their own number is anonymous, mountinfo
/// names one member.
const POOLED: [&str; 2] = ["btrfs", "bcachefs"];

/// Deeper than any real stack of loops and overlays.
const DEEPEST: usize = 32;

impl Host {
    /// The devices, layer under layer, that a path lies on.
    pub(super) fn drives_under(
        &self,
        path: &Path,
        drives: &mut BTreeSet<DevId>,
        depth: usize,
    ) -> Result<(), String> {
        let unclear =
            |why: &str| format!("cannot tell which drive {} lies on: {why}", path.display());
        if depth > DEEPEST {
            return Err(unclear("too many layers"));
        }
        let (path, dev) = std::fs::metadata(path)
            .and_then(|metadata| Ok((path.canonicalize()?, metadata.dev())))
            .map_err(|error| unclear(&reason(&error)))?;
        let dev = DevId::from_raw(dev);
        if let Some(block) = self.block(dev)? {
            return self.descend(&block, drives, depth);
        }
        let mounts = self.mounts()?;
        let Some(entry) = mount_of(&mounts, &path, dev) else {
            return Err(unclear("it is on no mount that can be seen"));
        };
        if entry.kind == "overlay" {
            return match entry.option("upperdir") {
                Some(upper) => self.drives_under(&upper, drives, depth + 1),
                None => Ok(()),
            };
        }
        let sources = if POOLED.contains(&entry.kind.as_str()) {
            self.members(entry)
                .ok_or_else(|| unclear("the devices of its file system cannot be seen"))?
        } else {
            // In memory, on the network, or ZFS, whose drives the kernel knows
            // as busy.
            self.named(&entry.source).into_iter().collect()
        };
        for source in sources {
            let mut members = self.pool_of(source);
            members.push(source);
            for member in members {
                if let Some(block) = self.block(member)? {
                    self.descend(&block, drives, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn descend(
        &self,
        block: &Block,
        drives: &mut BTreeSet<DevId>,
        depth: usize,
    ) -> Result<(), String> {
        if !drives.insert(block.dev) {
            return Ok(());
        }
        for slave in block.slaves()? {
            self.descend(&slave, drives, depth + 1)?;
        }
        match block.loop_file()? {
            Some(file) => match file.found {
                Some(Found::Block(dev)) => match self.block(dev)? {
                    Some(below) => self.descend(&below, drives, depth + 1),
                    None => Ok(()),
                },
                _ => self.drives_under(&file.path, drives, depth + 1),
            },
            None => Ok(()),
        }
    }

    /// The mount that a path lies on, where that can be told.
    pub(super) fn mount_over(&self, path: &Path) -> Option<Entry> {
        let dev = std::fs::metadata(path).ok()?.dev();
        let path = path.canonicalize().ok()?;
        mount_of(&self.mounts().ok()?, &path, DevId::from_raw(dev)).cloned()
    }

    /// The devices that mountinfo names as the source of a pooled file system.
    pub(super) fn members(&self, entry: &Entry) -> Option<Vec<DevId>> {
        if !POOLED.contains(&entry.kind.as_str()) {
            return None;
        }
        // bcachefs joins them with colons.
        let source = entry.source.to_string_lossy();
        source
            .split(':')
            .map(|path| self.named(Path::new(path)))
            .collect()
    }

    /// All members of the mounted btrfs that a device is a member of.
    pub(super) fn pool_of(&self, dev: DevId) -> Vec<DevId> {
        let devices = |pool: &PathBuf| {
            let links = list(&pool.join("devices")).unwrap_or_default();
            let blocks = links.iter().filter_map(|link| Block::at(link).ok());
            blocks.map(|block| block.dev).collect::<Vec<_>>()
        };
        list(&self.sys.join("fs/btrfs"))
            .unwrap_or_default()
            .iter()
            .map(devices)
            .find(|members| members.contains(&dev))
            .unwrap_or_default()
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
