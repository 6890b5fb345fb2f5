//! A target and everything that is built on it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::drive;
use super::host::Host;
use super::sysfs::{Block, Found, LoopFile, attribute, number};
use crate::drive::{DevId, Holder};

/// A target, what else are the same bytes, and everything that is built on
/// these.
pub(super) struct Stack {
    /// What would be overwritten, and the whole disk of a partition.
    pub base: Vec<Block>,
    /// That and everything above.
    pub all: Vec<Block>,
    /// Who holds what; who must let go first comes first.
    pub holders: Vec<Holder>,
    /// What the target's bytes are kept in, where that is files.
    pub below: Vec<Below>,
    /// Those of the base that are the same drive by another path.
    paths: Vec<DevId>,
}

/// A loop device that the target is or lies over, at any depth, and its file.
pub(super) struct Below {
    /// Its directory in sysfs.
    pub dir: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What is behind it.
    pub file: LoopFile,
}

impl Stack {
    pub(super) fn of(host: &Host, target: &Block) -> Result<Self, String> {
        let mut stack = Self {
            base: Vec::new(),
            all: Vec::new(),
            holders: Vec::new(),
            below: Vec::new(),
            paths: Vec::new(),
        };
        stack.put_under(host, target)?;
        stack.put_past(host, target)?;
        stack.put_files(host, target, &mut BTreeSet::new())?;
        for block in stack.base.clone() {
            stack.climb(&block)?;
        }
        Ok(stack)
    }

    fn put_under(&mut self, host: &Host, target: &Block) -> Result<(), String> {
        if self.base.iter().any(|block| block.dev == target.dev) {
            return Ok(());
        }
        self.base.push(target.clone());
        self.base.extend(target.partitions()?);
        if target.is_partition() {
            let whole = target.whole()?;
            // Partitions may share bytes, as on a stick with a live system.
            for other in whole.partitions()? {
                if other.dev != target.dev && overlap(target, &other)? {
                    self.base.push(other);
                }
            }
            self.base.push(whole);
        }
        // What lies past the paths of a multipath map comes later.
        if !drive::is_multipath(target) {
            self.put_paths(host, target, &[])?;
        }
        self.put_below_loop(host, target)
    }

    /// A loop device may lie over another block device, and does not hold it.
    fn put_below_loop(&mut self, host: &Host, target: &Block) -> Result<(), String> {
        if let Some(Found::Block(dev)) = target.loop_file()?.and_then(|file| file.found)
            && let Some(below) = host.block(dev)?
        {
            self.put_under(host, &below)?;
        }
        Ok(())
    }

    /// What the target is made of is held by it, but may be used past it: by
    /// another path, or below a loop device. What else lies on the same drives
    /// through holders does not count: other volumes of a group.
    fn put_past(&mut self, host: &Host, target: &Block) -> Result<(), String> {
        let mut below: Vec<Block> = Vec::new();
        let mut rest = target.slaves()?;
        while let Some(block) = rest.pop() {
            if !below.iter().any(|known| known.dev == block.dev) {
                rest.extend(block.slaves()?);
                below.push(block);
            }
        }
        for block in &below {
            self.put_paths(host, block, &below)?;
            self.put_below_loop(host, block)?;
        }
        Ok(())
    }

    /// Finds the files below a device. The devices between are not those of the
    /// base: who uses a neighbour on the same disk does not use the target.
    fn put_files(
        &mut self,
        host: &Host,
        target: &Block,
        seen: &mut BTreeSet<DevId>,
    ) -> Result<(), String> {
        let whole = target.whole()?;
        if !seen.insert(whole.dev) {
            return Ok(());
        }
        for slave in whole.slaves()? {
            self.put_files(host, &slave, seen)?;
        }
        let Some(file) = whole.loop_file()? else {
            return Ok(());
        };
        let found = file.found;
        self.below.push(Below {
            size: whole.size()?,
            dir: whole.dir,
            file,
        });
        match found {
            Some(Found::Block(dev)) => match host.block(dev)? {
                Some(block) => self.put_files(host, &block, seen),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Whether something is, by its name, a file that keeps the target's bytes.
    pub(super) fn is_kept_in(&self, found: Found) -> bool {
        self.below
            .iter()
            .any(|below| below.file.found == Some(found))
    }

    /// A drive that is attached through two cables or ports is two disks to the
    /// kernel: who uses one of them, uses the other. By its name alone: what is
    /// in use changes while it is read, so that different bytes prove nothing,
    /// and a drive that is taken for another one is only refused. `held`: disks
    /// that the target is made of, whose use is its own.
    fn put_paths(&mut self, host: &Host, target: &Block, held: &[Block]) -> Result<(), String> {
        let drive = host.identity(&target.whole()?)?;
        if !drive.can_have_paths() {
            return Ok(());
        }
        for (other, identity) in host.disks()?.iter() {
            // A map over paths holds them, and is found by that.
            let same = || {
                !drive::is_multipath(other)
                    && identity.as_ref().is_ok_and(|id| drive.is_other_path_to(id))
            };
            let is_held = || held.iter().any(|block| block.whole_dir == other.dir);
            if other.dir == target.whole_dir || is_held() || !same() {
                continue;
            }
            for partition in other.partitions()? {
                if !target.is_partition() || overlap(target, &partition)? {
                    self.paths.push(partition.dev);
                    self.base.push(partition);
                }
            }
            self.paths.push(other.dev);
            self.base.push(other.clone());
        }
        Ok(())
    }

    fn climb(&mut self, block: &Block) -> Result<(), String> {
        if self.all.iter().any(|known| known.dev == block.dev) {
            return Ok(());
        }
        self.all.push(block.clone());
        for holder in block.holders()? {
            self.climb(&holder)?;
            for partition in holder.partitions()? {
                self.climb(&partition)?;
            }
            self.holders.push(Holder {
                name: self.name(block),
                by: full_name(&holder),
            });
        }
        Ok(())
    }

    /// The name of a device that is one of these, for people.
    pub(super) fn name_of(&self, dev: DevId) -> Option<String> {
        let block = self.all.iter().find(|block| block.dev == dev)?;
        Some(self.name(block))
    }

    fn name(&self, block: &Block) -> String {
        let name = block.name();
        if self.paths.contains(&block.dev) {
            format!("{name} (another path to the same drive, by its WWN)")
        } else {
            name
        }
    }

    /// Whether one of these devices is among the drives.
    pub(super) fn is_under(&self, drives: &BTreeSet<DevId>) -> bool {
        self.base.iter().any(|block| drives.contains(&block.dev))
    }

    /// A device of these that belongs to the pool of `dev`.
    pub(super) fn name_in_pool(&self, host: &Host, dev: DevId) -> Result<Option<String>, String> {
        let pool = host.pool_of(dev)?;
        let member = self.all.iter().find(|block| pool.contains(&block.dev));
        Ok(member.map(|block| self.name(block)))
    }
}

/// `dm-0 (vg0-home)`, `md127`, `multipath dm-1 (mpatha)`.
fn full_name(block: &Block) -> String {
    let name = block.name();
    // multipath-tools, libmultipath/devmapper.c: UUID_PREFIX.
    let kind = attribute(&block.dir, "dm/uuid")
        .filter(|uuid| uuid.starts_with("mpath-"))
        .map_or("", |_| "multipath ");
    match attribute(&block.dir, "dm/name") {
        Some(label) => format!("{kind}{name} ({label})"),
        None => format!("{kind}{name}"),
    }
}

/// First sector and the one behind the last, in units of 512 bytes.
pub(super) fn range(partition: &Block) -> Result<(u64, u64), String> {
    let start = number(&partition.dir, "start")?;
    let size = number(&partition.dir, "size")?;
    Ok((start, start.saturating_add(size)))
}

/// Whether two partitions share bytes of their disk.
fn overlap(a: &Block, b: &Block) -> Result<bool, String> {
    let (a, b) = (range(a)?, range(b)?);
    Ok(a.0 < b.1 && b.0 < a.1)
}
