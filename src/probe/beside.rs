//! What is attached beside a target: other disks, not what it is made of or
//! what is made of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::host::Host;
use super::sysfs::{Block, Found};
use crate::drive::{Attached, DevId, Device, Node};

impl Host {
    /// Every attached disk, partition and loop device that is not on the
    /// target's disk, nor part of what it is made of, nor made of it. Reads
    /// sysfs only; what cannot be read there is left out.
    #[must_use]
    pub fn beside(&self, device: &Device) -> Vec<Attached> {
        let Node::Block { whole, .. } = device.node else {
            return Vec::new();
        };
        let own = self.made_of(whole);
        let mut attached = self.attached();
        attached.retain(|other| {
            let block = self.device_of_node(&other.path);
            let Some(Ok(Some(block))) = block.map(|dev| self.block(dev)) else {
                return false;
            };
            block.whole().is_ok_and(|other| {
                !own.contains(&other.dev) && !self.made_of(other.dev).contains(&whole)
            })
        });
        attached
    }

    /// The nodes of the paths that a multipath map is made of.
    #[must_use]
    pub fn paths_below(&self, device: &Device) -> Vec<PathBuf> {
        let Node::Block { whole, .. } = device.node else {
            return Vec::new();
        };
        let map = self.block(whole).ok().flatten();
        let map = map.filter(super::drive::is_multipath);
        let paths = map.and_then(|map| map.slaves().ok()).unwrap_or_default();
        paths.iter().map(|path| self.node(path)).collect()
    }

    /// Of several nodes those that no other of them is made of.
    #[must_use]
    pub fn topmost(&self, nodes: Vec<PathBuf>) -> Vec<PathBuf> {
        let dev = |node: &PathBuf| self.device_of_node(node);
        let devs: Vec<DevId> = nodes.iter().filter_map(dev).collect();
        let is_below = |node: &PathBuf| {
            let own = dev(node);
            devs.iter()
                .filter(|other| Some(**other) != own)
                .any(|other| own.is_some_and(|own| self.made_of(*other).contains(&own)))
        };
        let (below, top): (Vec<_>, Vec<_>) = nodes.into_iter().partition(is_below);
        if top.is_empty() { below } else { top }
    }

    /// A whole disk and the whole disks that it is made of, at any depth.
    fn made_of(&self, whole: DevId) -> BTreeSet<DevId> {
        let mut found = BTreeSet::new();
        let mut rest = vec![whole];
        while let Some(dev) = rest.pop() {
            if !found.insert(dev) {
                continue;
            }
            let Ok(Some(block)) = self.block(dev) else {
                continue;
            };
            let below = |block: &Block| block.whole().ok().map(|whole| whole.dev);
            rest.extend(block.slaves().unwrap_or_default().iter().filter_map(below));
            if let Ok(Some(file)) = block.loop_file()
                && let Some(Found::Block(dev)) = file.found
                && let Ok(Some(block)) = self.block(dev)
            {
                rest.extend(below(&block));
            }
        }
        found
    }
}
