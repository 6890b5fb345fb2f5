//! File systems over several devices, of which no device is held in the sense
//! of sysfs: btrfs and bcachefs by their own directories there, ZFS by the
//! names of its imported pools and the labels on the devices.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::host::Host;
use super::member;
use super::mounts::Entry;
use super::stack::Stack;
use super::sysfs::{Block, attribute, base_name, cannot_read, list};
use crate::drive::{DevId, Holder};
use crate::text::reason;

/// File systems over several devices whose own number is anonymous: mountinfo
/// names one member.
const POOLED: [&str; 2] = ["btrfs", "bcachefs"];

/// A btrfs or bcachefs that the kernel has open.
#[derive(Debug)]
pub(super) struct Pool {
    /// `btrfs UUID`.
    name: String,
    members: Vec<DevId>,
}

/// Like `list`, but nothing where there is no such directory.
fn list_if_there(dir: &Path) -> Result<Vec<PathBuf>, String> {
    match list(dir) {
        Ok(paths) => Ok(paths),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(cannot_read(dir, &error)),
    }
}

/// The device behind a link; `None` when it went away, as a lost member does.
fn device_at(link: &Path) -> Result<Option<DevId>, String> {
    match link.metadata() {
        Ok(_) => Block::at(link).map(|block| Some(block.dev)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(link, &error)),
    }
}

impl Host {
    fn pools(&self) -> Result<Arc<Vec<Pool>>, String> {
        self.once(|seen| &seen.pools, || self.read_pools())
    }

    fn read_pools(&self) -> Result<Vec<Pool>, String> {
        let mut pools = Vec::new();
        // fs/btrfs/sysfs.c: UUID/devices/NAME, beside `features` and others.
        for dir in list_if_there(&self.sys.join("fs/btrfs"))? {
            let links = list_if_there(&dir.join("devices"))?;
            pools.push(pool("btrfs", &dir, &links)?);
        }
        // fs/bcachefs/sysfs.c: UUID/dev-N/block.
        for dir in list_if_there(&self.sys.join("fs/bcachefs"))? {
            let links: Vec<PathBuf> = list_if_there(&dir)?
                .into_iter()
                .filter(|path| base_name(path).starts_with("dev-"))
                .map(|path| path.join("block"))
                .collect();
            pools.push(pool("bcachefs", &dir, &links)?);
        }
        Ok(pools)
    }

    /// All members of the btrfs or bcachefs in use that a device is a member of.
    pub(super) fn pool_of(&self, dev: DevId) -> Result<Vec<DevId>, String> {
        let pools = self.pools()?;
        let of = pools.iter().find(|pool| pool.members.contains(&dev));
        Ok(of.map_or_else(Vec::new, |pool| pool.members.clone()))
    }

    /// The devices that mountinfo names as the source of a pooled file system;
    /// `None` of others and where they cannot be told.
    pub(super) fn members(&self, entry: &Entry) -> Option<Vec<DevId>> {
        if !is_pooled(entry) {
            return None;
        }
        // bcachefs joins them with colons.
        let source = entry.source.to_string_lossy();
        source
            .split(':')
            .map(|path| self.named(Path::new(path)))
            .collect()
    }

    /// The pools that have devices here: they hold them, though not as far as
    /// sysfs shows holders.
    pub(super) fn pools_over(&self, stack: &Stack) -> Result<Vec<Holder>, String> {
        let mut holders = Vec::new();
        for pool in self.pools()?.iter() {
            holders.extend(pool.members.iter().filter_map(|dev| {
                Some(Holder {
                    name: stack.name_of(*dev)?,
                    by: pool.name.clone(),
                })
            }));
        }
        Ok(holders)
    }

    /// Imported ZFS pools of which a device here carries the label. The module
    /// shows the names of its pools, and not their devices.
    pub(super) fn zfs_over(&self, stack: &Stack) -> Result<Vec<Holder>, String> {
        let pools: Vec<PathBuf> = list_if_there(&self.proc.join("spl/kstat/zfs"))?
            .into_iter()
            .filter(|path| path.is_dir())
            .collect();
        if pools.is_empty() {
            return Ok(Vec::new());
        }
        let mut holders = Vec::new();
        for block in &stack.base {
            let name = block.name();
            let label = member::zfs_label(&self.node(block)).map_err(|error| {
                let why = reason(&error);
                format!("cannot tell whether {name} belongs to an imported ZFS pool: {why}")
            })?;
            let Some(label) = label else { continue };
            // Newer modules tell the pool's number as well, by which a drive of
            // another pool of the same name is told apart.
            let is_of = |pool: &&PathBuf| {
                let number = attribute(pool, "guid").and_then(|text| text.parse::<u64>().ok());
                base_name(pool) == label.pool && number.is_none_or(|number| number == label.guid)
            };
            if pools.iter().any(|pool| is_of(&pool)) {
                holders.push(Holder {
                    name: stack.name_of(block.dev).unwrap_or(name),
                    by: format!("ZFS pool {}", label.pool),
                });
            }
        }
        Ok(holders)
    }
}

/// Whether the source of a mount is one of several devices, maybe.
pub(super) fn is_pooled(entry: &Entry) -> bool {
    POOLED.contains(&entry.kind.as_str())
}

fn pool(kind: &str, dir: &Path, links: &[PathBuf]) -> Result<Pool, String> {
    let members = links.iter().filter_map(|link| device_at(link).transpose());
    Ok(Pool {
        name: format!("{kind} {}", base_name(dir)),
        members: members.collect::<Result<_, _>>()?,
    })
}
