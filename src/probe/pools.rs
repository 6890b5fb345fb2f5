//! File systems over several devices, of which no device is held in the sense
//! of sysfs: btrfs and bcachefs by their own directories there, ZFS by the names
//! of its imported pools.

use std::io;
use std::path::{Path, PathBuf};

use super::devices::Devices;
use super::host::Host;
use super::sysfs::{attribute, base_name, cannot_read, list_if_there};
use crate::drive::DevId;

/// A btrfs or bcachefs that the kernel has open.
#[derive(Debug)]
pub(super) struct Pool {
    /// `btrfs UUID`.
    pub name: String,
    pub members: Vec<DevId>,
}

/// An imported ZFS pool. The module shows no devices of it.
#[derive(Debug)]
pub(super) struct ZfsPool {
    pub name: String,
    /// Its number, which newer modules tell: a drive of another pool of the same
    /// name is told apart by it.
    pub guid: Option<u64>,
}

/// All btrfs and bcachefs that the kernel has open.
pub(super) fn read(host: &Host, devices: &Devices) -> Result<Vec<Pool>, String> {
    let mut pools = Vec::new();
    // fs/btrfs/sysfs.c: UUID/devices/NAME, beside `features` and others.
    for dir in list_if_there(&host.sys.join("fs/btrfs"))? {
        let links = list_if_there(&dir.join("devices"))?;
        pools.push(pool("btrfs", &dir, &links, devices)?);
    }
    // fs/bcachefs/sysfs.c: UUID/dev-N/block.
    for dir in list_if_there(&host.sys.join("fs/bcachefs"))? {
        let links: Vec<PathBuf> = list_if_there(&dir)?
            .into_iter()
            .filter(|path| base_name(path).starts_with("dev-"))
            .map(|path| path.join("block"))
            .collect();
        pools.push(pool("bcachefs", &dir, &links, devices)?);
    }
    Ok(pools)
}

fn pool(kind: &str, dir: &Path, links: &[PathBuf], devices: &Devices) -> Result<Pool, String> {
    let member = |link: &PathBuf| match link.canonicalize() {
        Ok(dir) => Some(devices.at(&dir).map(|block| block.dev)),
        // It went away, as a lost member does.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(cannot_read(link, &error))),
    };
    Ok(Pool {
        name: format!("{kind} {}", base_name(dir)),
        members: links.iter().filter_map(member).collect::<Result<_, _>>()?,
    })
}

pub(super) fn read_zfs(host: &Host) -> Result<Vec<ZfsPool>, String> {
    let pools = list_if_there(&host.proc.join("spl/kstat/zfs"))?;
    let pools = pools.iter().filter(|path| path.is_dir());
    let pool = |path: &PathBuf| ZfsPool {
        name: base_name(path),
        guid: attribute(path, "guid").and_then(|text| text.parse().ok()),
    };
    Ok(pools.map(pool).collect())
}
