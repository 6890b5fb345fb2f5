//! What lies on what: block devices, the file systems that we see mounted, and
//! the pools that they are of.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::block::Block;
use super::devices::Devices;
use super::host::Host;
use super::mounts::{self, Entry, mount_of};
use super::pools::{self, Pool};
use super::sysfs::{FileId, find};
use crate::drive::DevId;

/// Block devices, mounts and pools, or why they could not be read.
#[derive(Debug)]
pub(super) struct Storage {
    pub host: Host,
    devices: Result<Devices, String>,
    mounts: Result<Vec<Entry>, String>,
    pools: Result<Vec<Pool>, String>,
}

impl Storage {
    pub(super) fn read(host: &Host) -> Self {
        let devices = Devices::read(host);
        let mut mounts = mounts::read(&host.proc.join("self"));
        if let (Ok(devices), Ok(mounts)) = (&devices, &mut mounts) {
            find_sources(devices, mounts);
        }
        let known = devices.as_ref().map_err(String::clone);
        Self {
            pools: known.and_then(|devices| pools::read(host, devices)),
            host: host.clone(),
            devices,
            mounts,
        }
    }

    /// The mounts alone, which asks no device anything.
    pub(super) fn of_mounts(host: &Host) -> Self {
        let not_asked = || "they were not looked at".to_string();
        Self {
            host: host.clone(),
            devices: Err(not_asked()),
            mounts: mounts::read(&host.proc.join("self")),
            pools: Err(not_asked()),
        }
    }

    pub(super) fn devices(&self) -> Result<&Devices, String> {
        self.devices.as_ref().map_err(String::clone)
    }

    /// The block device with this number; `None` when there is none.
    pub(super) fn block(&self, dev: DevId) -> Result<Option<&Block>, String> {
        Ok(self.devices()?.block(dev))
    }

    /// Everything that is mounted in our namespace, the oldest first.
    pub(super) fn mounts(&self) -> Result<&[Entry], String> {
        self.mounts.as_deref().map_err(String::clone)
    }

    /// Every btrfs and bcachefs in use.
    pub(super) fn pools(&self) -> Result<&[Pool], String> {
        self.pools.as_deref().map_err(String::clone)
    }

    /// All members of the btrfs or bcachefs in use that a device is a member of.
    pub(super) fn pool_of(&self, dev: DevId) -> Result<&[DevId], String> {
        let of = self
            .pools()?
            .iter()
            .find(|pool| pool.members.contains(&dev));
        Ok(of.map_or(&[], |pool| &pool.members))
    }

    /// The devices that mountinfo names as the source of a pooled file system;
    /// `None` of others and where they cannot be told.
    pub(super) fn members(&self, entry: &Entry) -> Option<Vec<DevId>> {
        members(self.devices.as_ref().ok()?, entry)
    }

    /// The mount that a path lies on, where that can be told.
    pub(super) fn mount_over(&self, path: &Path) -> Option<&Entry> {
        let dev = std::fs::metadata(path).ok()?.dev();
        let path = path.canonicalize().ok()?;
        mount_of(self.mounts().ok()?, &path, DevId::from_raw(dev))
    }
}

fn members(devices: &Devices, entry: &Entry) -> Option<Vec<DevId>> {
    if !entry.is_pooled() {
        return None;
    }
    // bcachefs joins them with colons.
    let source = entry.source.to_string_lossy();
    let all = source.split(':');
    all.map(|path| devices.named(Path::new(path))).collect()
}

/// Finds the devices that mounts name as their source: of a pooled file system
/// all of them or none, and that which a program serves one from (FUSE), whose
/// number is anonymous. Of others nothing outside of `/dev` is asked for, as that
/// may lie on a server that does not answer.
pub(super) fn find_sources(devices: &Devices, mounts: &mut [Entry]) {
    for entry in mounts {
        let served = || {
            let anonymous = entry.dev.major == 0 && devices.is_node(&entry.source);
            let node = anonymous.then_some(&entry.source)?;
            match find(node) {
                Ok(FileId::Block(dev)) => Some(vec![dev]),
                _ => Some(vec![devices.of_node(node)?.dev]),
            }
        };
        let sources = members(devices, entry).or_else(served);
        entry.sources = sources.unwrap_or_default();
    }
}
