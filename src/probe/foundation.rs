//! What a target's bytes really rest on: every device and file below it, the
//! caches between that hold data back, and where old data stays although the
//! target is overwritten.
//!
//! From sysfs and mountinfo alone. What they do not tell (the mode of a dm-cache,
//! shared extents of a file) is not found here.

use super::block::Block;
use super::devices::Devices;
use super::ground::{Ground, Grounds};
use super::sysfs::FileId;
use crate::drive::{Cache, CacheState, Finding};

/// Deeper than any real stack.
const DEEPEST: usize = 32;

/// Everything below a target, itself included.
pub(super) struct Foundation<'a> {
    devices: &'a Devices,
    grounds: &'a Grounds,
    // whole disks and volumes
    blocks: Vec<&'a Block>,
    files: Vec<&'a Ground>,
}

impl<'a> Foundation<'a> {
    pub(super) fn of_block(
        devices: &'a Devices,
        grounds: &'a Grounds,
        block: &Block,
    ) -> Result<Self, String> {
        let mut this = Self::new(devices, grounds);
        this.put(block, 0)?;
        Ok(this)
    }

    /// Below a file, of which nothing may be known.
    pub(super) fn of_file(
        devices: &'a Devices,
        grounds: &'a Grounds,
        file: Option<&'a Ground>,
    ) -> Result<Self, String> {
        let mut this = Self::new(devices, grounds);
        file.map_or(Ok(()), |file| this.put_file(file, 0))?;
        Ok(this)
    }

    fn new(devices: &'a Devices, grounds: &'a Grounds) -> Self {
        Self {
            devices,
            grounds,
            blocks: Vec::new(),
            files: Vec::new(),
        }
    }

    fn put(&mut self, block: &Block, depth: usize) -> Result<(), String> {
        let whole = self.devices.whole(block)?;
        if depth > DEEPEST || self.blocks.iter().any(|known| known.dev == whole.dev) {
            return Ok(());
        }
        let (slaves, file) = (self.devices.slaves(whole)?, self.devices.file(whole)?);
        self.blocks.push(whole);
        for slave in slaves {
            self.put(slave, depth + 1)?;
        }
        match file.map(|file| (file.found, &file.path)) {
            Some((Some(FileId::Block(dev)), _)) => match self.devices.block(dev) {
                Some(below) => self.put(below, depth + 1),
                None => Ok(()),
            },
            Some((Some(FileId::File(..)), path)) => match self.grounds.of(path) {
                Some(file) => self.put_file(file, depth + 1),
                None => Ok(()),
            },
            // Nothing is known of a file that was deleted or lies out of sight.
            Some((None, _)) | None => Ok(()),
        }
    }

    fn put_file(&mut self, file: &'a Ground, depth: usize) -> Result<(), String> {
        if depth > DEEPEST || self.files.iter().any(|known| known.path == file.path) {
            return Ok(());
        }
        self.files.push(file);
        for dev in file.devices.as_ref().map_err(String::clone)? {
            if let Some(block) = self.devices.block(*dev) {
                self.put(block, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Caches that keep what is written from the disk below them.
    pub(super) fn caches(&self) -> Vec<Cache> {
        let cache = |block: &&Block| {
            Some(Cache {
                name: block.name(),
                state: self.cache_state(block)?,
            })
        };
        self.blocks.iter().filter_map(cache).collect()
    }

    /// Where old data stays, or may.
    pub(super) fn leftovers(&self) -> Result<Vec<Finding>, String> {
        let mut found = Vec::new();
        for block in &self.blocks {
            found.extend(self.left_below(block)?);
        }
        for file in &self.files {
            found.extend(file.leftovers.clone()?);
        }
        let mut seen: Vec<Finding> = Vec::new();
        found.retain(|finding| {
            let new = !seen.contains(finding);
            seen.extend(new.then(|| finding.clone()));
            new
        });
        Ok(found)
    }

    /// Of a bcache (`Documentation/admin-guide/bcache.rst`) or of LVM's
    /// writecache, whose origin has its suffix in the name (lvmcache(7)); `None`
    /// of all others and of those through which everything is written.
    fn cache_state(&self, block: &Block) -> Option<CacheState> {
        if let Some(modes) = block.text("bcache/cache_mode") {
            let state = block.text("bcache/state").unwrap_or_default();
            return match state.as_str() {
                // Also without a cache: one may be attached at any time.
                _ if modes.contains("[writeback]") => Some(CacheState::WriteBack),
                "clean" | "no cache" => None,
                _ => Some(CacheState::Dirty),
            };
        }
        let slaves = self.devices.slaves(block).unwrap_or_default();
        slaves
            .iter()
            .any(|slave| ends(slave, "dm/name", "_wcorig"))
            .then_some(CacheState::WriteCache)
    }

    /// What a volume keeps of the old data, as far as sysfs tells: snapshots of
    /// LVM by the suffixes of its UUIDs (`lib/activate/dev_manager.c`), volumes
    /// of pools, and the backing device of zram.
    fn left_below(&self, block: &Block) -> Result<Vec<Finding>, String> {
        let mut found = Vec::new();
        let elsewhere = |what: &str| Finding::WritesElsewhere {
            file_system: what.into(),
        };
        let name = block.name();
        if name.starts_with("zd") {
            found.push(elsewhere("zfs"));
        }
        // One without a backing disk is kept as a log on the cache.
        if name.starts_with("bcache")
            && block.has_bcache
            && block.text("bcache/cache_mode").is_none()
        {
            found.push(elsewhere("bcache"));
        }
        if let Some(disk) = block.text("backing_dev").filter(|disk| disk != "none") {
            found.push(elsewhere(&format!("zram with its backing device {disk}")));
        }
        let slaves = self.devices.slaves(block)?;
        let is = |block: &Block, suffix: &str| ends(block, "dm/uuid", suffix);
        let is_snapshot = slaves.iter().any(|slave| is(slave, "-cow"));
        for slave in &slaves {
            if is(slave, "-tpool") {
                found.push(elsewhere("an LVM thin pool"));
            }
            if is(slave, "-vpool") {
                found.push(elsewhere("VDO"));
            }
            if ends(slave, "dm/name", "_corig") {
                found.push(Finding::MayHoldBack {
                    cache: block.labelled(),
                });
            }
            if !is(slave, "-real") {
                continue;
            }
            for other in self.devices.holders(slave)? {
                if other.dev == block.dev {
                    continue;
                }
                let slaves = self.devices.slaves(other)?;
                let snapshot = slaves.iter().any(|below| is(below, "-cow"));
                let what = match (is_snapshot, snapshot) {
                    (false, true) => "its snapshot",
                    (true, false) => "its origin",
                    _ => continue,
                };
                found.push(Finding::OldDataAt {
                    place: format!("{what} {}", other.labelled()),
                });
            }
        }
        Ok(found)
    }
}

/// Whether what a device says of itself ends so.
fn ends(block: &Block, attribute: &str, suffix: &str) -> bool {
    block
        .text(attribute)
        .is_some_and(|text| text.ends_with(suffix))
}
