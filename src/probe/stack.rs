//! A target and everything that is built on it.

use std::collections::BTreeSet;

use super::block::{Block, LoopFile};
use super::devices::Devices;
use super::sysfs::FileId;
use crate::drive::{DevId, Holder};

/// A target, what else are the same bytes, and everything that is built on
/// these.
#[derive(Default)]
pub(super) struct Stack<'a> {
    /// What would be overwritten, and the whole disk of a partition.
    pub base: Vec<&'a Block>,
    /// That and everything above.
    pub all: Vec<&'a Block>,
    /// Who holds what; who must let go first comes first.
    pub holders: Vec<Holder>,
    /// Loop devices that the target is or lies over, at any depth, each with the
    /// file that its bytes are kept in.
    pub below: Vec<(&'a Block, &'a LoopFile)>,
    /// Those of the base that are the same drive by another path.
    paths: Vec<DevId>,
}

impl<'a> Stack<'a> {
    pub(super) fn of(devices: &'a Devices, target: &'a Block) -> Result<Self, String> {
        let mut stack = Self::default();
        stack.put_under(devices, target)?;
        stack.put_past(devices, target)?;
        stack.put_files(devices, target, &mut BTreeSet::new())?;
        for block in stack.base.clone() {
            stack.climb(devices, block)?;
        }
        Ok(stack)
    }

    fn put_under(&mut self, devices: &'a Devices, target: &'a Block) -> Result<(), String> {
        if self.base.iter().any(|block| block.dev == target.dev) {
            return Ok(());
        }
        self.base.push(target);
        self.base.extend(devices.partitions(target)?);
        if target.is_partition() {
            let whole = devices.whole(target)?;
            // Partitions may share bytes, as on a stick with a live system.
            for other in devices.partitions(whole)? {
                if other.dev != target.dev && target.overlaps(other)? {
                    self.base.push(other);
                }
            }
            self.base.push(whole);
        }
        // What lies past the paths of a multipath map comes later.
        if !devices.whole(target)?.is_multipath() {
            self.put_paths(devices, target, &[])?;
        }
        self.put_below_loop(devices, target)
    }

    /// A loop device may lie over another block device, and does not hold it.
    fn put_below_loop(&mut self, devices: &'a Devices, target: &'a Block) -> Result<(), String> {
        match devices.below_loop(target)? {
            Some(below) => self.put_under(devices, below),
            None => Ok(()),
        }
    }

    /// What the target is made of is held by it, but may be used past it: by
    /// another path, or below a loop device. What else lies on the same drives
    /// through holders does not count: other volumes of a group.
    fn put_past(&mut self, devices: &'a Devices, target: &'a Block) -> Result<(), String> {
        let mut below: Vec<&Block> = Vec::new();
        let mut rest = devices.slaves(target)?;
        while let Some(block) = rest.pop() {
            if !below.iter().any(|known| known.dev == block.dev) {
                rest.extend(devices.slaves(block)?);
                below.push(block);
            }
        }
        for block in &below {
            self.put_paths(devices, block, &below)?;
            self.put_below_loop(devices, block)?;
        }
        Ok(())
    }

    /// Finds the files below a device. The devices between are not those of the
    /// base: who uses a neighbour on the same disk does not use the target.
    fn put_files(
        &mut self,
        devices: &'a Devices,
        target: &'a Block,
        seen: &mut BTreeSet<DevId>,
    ) -> Result<(), String> {
        let whole = devices.whole(target)?;
        if !seen.insert(whole.dev) {
            return Ok(());
        }
        for slave in devices.slaves(whole)? {
            self.put_files(devices, slave, seen)?;
        }
        if let Some(file) = devices.file(whole)? {
            self.below.push((whole, file));
        }
        match devices.below_loop(whole)? {
            Some(below) => self.put_files(devices, below, seen),
            None => Ok(()),
        }
    }

    /// Whether something is, by its name, a file that keeps the target's bytes.
    pub(super) fn is_kept_in(&self, found: FileId) -> bool {
        let mut files = self.below.iter();
        files.any(|(_, file)| file.found == Some(found))
    }

    /// A drive that is attached through two cables or ports is two disks to the
    /// kernel: who uses one of them, uses the other. By its name alone: what is
    /// in use changes while it is read, so that different bytes prove nothing,
    /// and a drive that is taken for another one is only refused. `held`: disks
    /// that the target is made of, whose use is its own.
    fn put_paths(
        &mut self,
        devices: &'a Devices,
        target: &'a Block,
        held: &[&Block],
    ) -> Result<(), String> {
        let drive = devices.identity(devices.whole(target)?)?;
        if !drive.can_have_paths() {
            return Ok(());
        }
        for (other, identity) in devices.disks() {
            // A map over paths holds them, and is found by that.
            let same = !other.is_multipath()
                && identity.as_ref().is_ok_and(|id| drive.is_other_path_to(id));
            let is_held = || held.iter().any(|block| block.whole_dir == other.dir);
            if other.dir == target.whole_dir || !same || is_held() {
                continue;
            }
            for partition in devices.partitions(other)? {
                if !target.is_partition() || target.overlaps(partition)? {
                    self.paths.push(partition.dev);
                    self.base.push(partition);
                }
            }
            self.paths.push(other.dev);
            self.base.push(other);
        }
        Ok(())
    }

    fn climb(&mut self, devices: &'a Devices, block: &'a Block) -> Result<(), String> {
        if self.all.iter().any(|known| known.dev == block.dev) {
            return Ok(());
        }
        self.all.push(block);
        for holder in devices.holders(block)? {
            self.climb(devices, holder)?;
            for partition in devices.partitions(holder)? {
                self.climb(devices, partition)?;
            }
            let kind = if holder.is_multipath() {
                "multipath "
            } else {
                ""
            };
            self.holders.push(Holder {
                name: self.name(block),
                by: format!("{kind}{}", holder.labelled()),
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

    /// The name of one of these devices that is among some.
    pub(super) fn name_among(&self, devs: &[DevId]) -> Option<String> {
        let block = self.all.iter().find(|block| devs.contains(&block.dev))?;
        Some(self.name(block))
    }

    /// Whether one of these devices is among the drives.
    pub(super) fn is_under(&self, drives: &BTreeSet<DevId>) -> bool {
        self.base.iter().any(|block| drives.contains(&block.dev))
    }
}
