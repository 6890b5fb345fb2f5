//! What is attached beside a target: other disks, not what it is made of or
//! what is made of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::devices::Devices;
use super::host::Host;
use super::snapshot::Snapshot;
use super::vpd;
use crate::drive::{Attached, DevId, Device, Node};

impl Host {
    /// Every disk, partition and loop device that has a size, in the order of
    /// their kernel names; not those that are memory.
    pub fn attached(&self) -> Vec<Attached> {
        let devices = Devices::read(self);
        devices.map_or_else(|_| Vec::new(), |devices| devices.attached())
    }

    /// Every attached disk, partition and loop device that is not on the
    /// target's disk, nor part of what it is made of, nor made of it. Reads
    /// sysfs only; what cannot be read there is left out.
    pub(crate) fn beside(&self, device: &Device) -> Vec<Attached> {
        let (Node::Block { whole, .. }, Ok(devices)) = (&device.node, Devices::read(self)) else {
            return Vec::new();
        };
        let own = devices.made_of(*whole);
        let mut attached = devices.attached();
        attached.retain(|other| {
            let block = devices.of_node(&other.path);
            let disk = block.and_then(|block| devices.whole(block).ok());
            disk.is_some_and(|other| {
                !own.contains(&other.dev) && !devices.made_of(other.dev).contains(whole)
            })
        });
        attached
    }

    /// The nodes of the paths that a multipath map is made of.
    pub(crate) fn paths_below(&self, device: &Device) -> Vec<PathBuf> {
        let (Node::Block { whole, .. }, Ok(devices)) = (&device.node, Devices::read(self)) else {
            return Vec::new();
        };
        let map = devices.block(*whole).filter(|map| map.is_multipath());
        let paths = map.and_then(|map| devices.slaves(map).ok());
        let paths = paths.unwrap_or_default();
        paths.iter().map(|path| devices.node(path)).collect()
    }

    /// Of several nodes those that no other of them is made of.
    pub(crate) fn topmost(&self, nodes: Vec<PathBuf>) -> Vec<PathBuf> {
        if nodes.len() < 2 {
            return nodes;
        }
        let Ok(devices) = Devices::read(self) else {
            return nodes;
        };
        let dev = |node: &PathBuf| devices.of_node(node).map(|block| block.dev);
        let devs: Vec<DevId> = nodes.iter().filter_map(dev).collect();
        let is_below = |node: &PathBuf| {
            let own = dev(node);
            devs.iter()
                .filter(|other| Some(**other) != own)
                .any(|other| own.is_some_and(|own| devices.made_of(*other).contains(&own)))
        };
        let (below, top): (Vec<_>, Vec<_>) = nodes.into_iter().partition(is_below);
        if top.is_empty() { below } else { top }
    }

    /// Whether two disks say themselves that they are two ports of one drive.
    pub(crate) fn are_two_ports(&self, one: &Path, other: &Path) -> bool {
        Devices::read(self).is_ok_and(|devices| devices.are_two_ports(one, other))
    }
}

impl Snapshot {
    /// Every disk, partition and loop device that has a size, in the order of
    /// their kernel names; not those that are memory.
    pub(crate) fn attached(&self) -> Vec<Attached> {
        let devices = self.storage.devices();
        devices.map_or_else(|_| Vec::new(), Devices::attached)
    }

    /// Whether two disks say themselves that they are two ports of one drive.
    pub(crate) fn are_two_ports(&self, one: &Path, other: &Path) -> bool {
        let devices = self.storage.devices();
        devices.is_ok_and(|devices| devices.are_two_ports(one, other))
    }
}

impl Devices {
    fn are_two_ports(&self, one: &Path, other: &Path) -> bool {
        let disk = |node: &Path| self.whole(self.of_node(node)?).ok();
        let disks = disk(one).zip(disk(other));
        disks.is_some_and(|(one, other)| vpd::are_two_ports(one, other))
    }

    /// A whole disk and the whole disks that it is made of, at any depth.
    fn made_of(&self, whole: DevId) -> BTreeSet<DevId> {
        let mut found = BTreeSet::new();
        let mut rest = vec![whole];
        while let Some(dev) = rest.pop() {
            let Some(block) = self.block(dev).filter(|_| found.insert(dev)) else {
                found.insert(dev);
                continue;
            };
            let slaves = self.slaves(block).unwrap_or_default().into_iter();
            let below = slaves.chain(self.below_loop(block).ok().flatten());
            rest.extend(below.filter_map(|below| Some(self.whole(below).ok()?.dev)));
        }
        found
    }
}
