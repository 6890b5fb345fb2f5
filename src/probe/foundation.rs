//! What a target's bytes really rest on: every device and file below it, the
//! caches between that hold data back, and where old data stays although the
//! target is overwritten.
//!
//! From sysfs and mountinfo alone. What they do not tell (the mode of a dm-cache,
//! shared extents of a file) is not found here.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::host::Host;
use super::mounts::{Entry, mount_of};
use super::sysfs::{Block, Found, attribute};
use crate::drive::{Cache, CacheState, DevId, Finding};

/// Deeper than any real stack.
const DEEPEST: usize = 32;

/// File systems that write elsewhere as a rule, by their type in mountinfo.
const ELSEWHERE: [&str; 11] = [
    "apfs", "bcachefs", "btrfs", "f2fs", "jffs2", "logfs", "nilfs2", "ubifs", "yaffs", "yaffs2",
    "zfs",
];

/// Union file systems that do not tell their layers.
const UNIONS: [&str; 4] = ["aufs", "fuse.fuse-overlayfs", "fuse.unionfs", "unionfs"];

/// Everything below a target, itself included.
#[derive(Debug, Default)]
pub(super) struct Foundation {
    // whole disks and volumes
    blocks: Vec<Block>,
    files: Vec<PathBuf>,
}

impl Foundation {
    /// Below a block device.
    pub(super) fn of_block(host: &Host, block: &Block) -> Result<Self, String> {
        let mut this = Self::default();
        this.put(host, block, 0)?;
        Ok(this)
    }

    /// Below a file.
    pub(super) fn of_file(host: &Host, path: &Path) -> Result<Self, String> {
        let mut this = Self::default();
        this.put_file(host, path, 0)?;
        Ok(this)
    }

    fn put(&mut self, host: &Host, block: &Block, depth: usize) -> Result<(), String> {
        let whole = block.whole()?;
        if depth > DEEPEST || self.blocks.iter().any(|known| known.dev == whole.dev) {
            return Ok(());
        }
        let (slaves, file) = (whole.slaves()?, whole.loop_file()?);
        self.blocks.push(whole);
        for slave in slaves {
            self.put(host, &slave, depth + 1)?;
        }
        match file.as_ref().map(|file| (file.found, &file.path)) {
            Some((Some(Found::Block(dev)), _)) => match host.block(dev)? {
                Some(below) => self.put(host, &below, depth + 1),
                None => Ok(()),
            },
            Some((Some(Found::File(..)), path)) => self.put_file(host, path, depth + 1),
            // Nothing is known of a file that was deleted or lies out of sight.
            Some((None, _)) | None => Ok(()),
        }
    }

    fn put_file(&mut self, host: &Host, path: &Path, depth: usize) -> Result<(), String> {
        let Ok(path) = path.canonicalize() else {
            return Ok(());
        };
        if depth > DEEPEST || self.files.contains(&path) {
            return Ok(());
        }
        self.files.push(path.clone());
        self.put_file_system(host, &path, depth)
    }

    /// What the file system is on that a path lies on.
    fn put_file_system(&mut self, host: &Host, path: &Path, depth: usize) -> Result<(), String> {
        let Some(entry) = host.mount_over(path) else {
            return Ok(());
        };
        if entry.kind == "overlay" {
            let upper = entry.option("upperdir").filter(|upper| upper.exists());
            return match upper {
                Some(upper) if depth < DEEPEST => self.put_file_system(host, &upper, depth + 1),
                _ => Ok(()),
            };
        }
        let sources = match host.members(&entry) {
            Some(members) => members,
            None if host.block(entry.dev)?.is_some() => vec![entry.dev],
            None => host.named(&entry.source).into_iter().collect(),
        };
        for dev in sources {
            if let Some(block) = host.block(dev)? {
                self.put(host, &block, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Caches that keep what is written from the disk below them.
    pub(super) fn caches(&self) -> Vec<Cache> {
        let states = self.blocks.iter().map(|block| (block, cache_state(block)));
        states
            .filter_map(|(block, state)| {
                Some(Cache {
                    name: block.name(),
                    state: state?,
                })
            })
            .collect()
    }

    /// Where old data stays, or may.
    pub(super) fn leftovers(&self, host: &Host) -> Result<Vec<Finding>, String> {
        let mut found = Vec::new();
        for block in &self.blocks {
            found.extend(left_below(block)?);
        }
        for file in &self.files {
            host.left_behind(file, &mut found, 0)?;
        }
        let mut seen: Vec<Finding> = Vec::new();
        found.retain(|finding| {
            let new = !seen.contains(finding);
            seen.extend(new.then(|| finding.clone()));
            new
        });
        Ok(found)
    }
}

/// Of a bcache (`Documentation/admin-guide/bcache.rst`) or of LVM's writecache,
/// whose origin has its suffix in the name (lvmcache(7)); `None` of all others
/// and of those through which everything is written.
fn cache_state(block: &Block) -> Option<CacheState> {
    let bcache = block.dir.join("bcache");
    if let Some(modes) = attribute(&bcache, "cache_mode") {
        let state = attribute(&bcache, "state").unwrap_or_default();
        return match state.as_str() {
            // Also without a cache: one may be attached at any time.
            _ if modes.contains("[writeback]") => Some(CacheState::WriteBack),
            "clean" | "no cache" => None,
            _ => Some(CacheState::Dirty),
        };
    }
    let of_writecache = |slave: &Block| {
        attribute(&slave.dir, "dm/name").is_some_and(|name| name.ends_with("_wcorig"))
    };
    let slaves = block.slaves().unwrap_or_default();
    slaves
        .iter()
        .any(of_writecache)
        .then_some(CacheState::WriteCache)
}

/// What a volume keeps of the old data, as far as sysfs tells: snapshots of LVM
/// by the suffixes of its UUIDs (`lib/activate/dev_manager.c`), volumes of pools,
/// and the backing device of zram.
fn left_below(block: &Block) -> Result<Vec<Finding>, String> {
    let mut found = Vec::new();
    let elsewhere = |what: &str| Finding::WritesElsewhere {
        file_system: what.into(),
    };
    let name = block.name();
    if name.starts_with("zd") {
        found.push(elsewhere("zfs"));
    }
    // One without a backing disk is kept as a log on the cache.
    if block.dir.join("bcache").exists()
        && name.starts_with("bcache")
        && attribute(&block.dir, "bcache/cache_mode").is_none()
    {
        found.push(elsewhere("bcache"));
    }
    if let Some(disk) = attribute(&block.dir, "backing_dev").filter(|disk| disk != "none") {
        found.push(elsewhere(&format!("zram with its backing device {disk}")));
    }
    let slaves = block.slaves()?;
    let ends = |block: &Block, suffix: &str| {
        attribute(&block.dir, "dm/uuid").is_some_and(|uuid| uuid.ends_with(suffix))
    };
    let is_snapshot = slaves.iter().any(|slave| ends(slave, "-cow"));
    for slave in &slaves {
        if ends(slave, "-tpool") {
            found.push(elsewhere("an LVM thin pool"));
        }
        if ends(slave, "-vpool") {
            found.push(elsewhere("VDO"));
        }
        let named = |suffix: &str| {
            attribute(&slave.dir, "dm/name").is_some_and(|name| name.ends_with(suffix))
        };
        if named("_corig") {
            found.push(Finding::MayHoldBack {
                cache: shown(block),
            });
        }
        if !ends(slave, "-real") {
            continue;
        }
        for other in slave.holders()? {
            if other.dev == block.dev {
                continue;
            }
            let snapshot = other.slaves()?.iter().any(|below| ends(below, "-cow"));
            let what = match (is_snapshot, snapshot) {
                (false, true) => "its snapshot",
                (true, false) => "its origin",
                _ => continue,
            };
            found.push(Finding::OldDataAt {
                place: format!("{what} {}", shown(&other)),
            });
        }
    }
    Ok(found)
}

/// `dm-3 (vg-snap)`.
fn shown(block: &Block) -> String {
    match attribute(&block.dir, "dm/name") {
        Some(label) => format!("{} ({label})", block.name()),
        None => block.name(),
    }
}

impl Host {
    /// What the file system of a file leaves of its old data.
    fn left_behind(
        &self,
        path: &Path,
        found: &mut Vec<Finding>,
        depth: usize,
    ) -> Result<(), String> {
        let Some(there) = path
            .ancestors()
            .find(|path| path.symlink_metadata().is_ok())
        else {
            return Ok(());
        };
        let dev = match there.metadata() {
            Ok(metadata) => DevId::from_raw(metadata.dev()),
            Err(_) => return Ok(()),
        };
        let mounts = self.mounts()?;
        let Some(entry) = mount_of(&mounts, path, dev) else {
            return Ok(());
        };
        let kind = entry.kind.as_str();
        if ELSEWHERE.contains(&kind) {
            found.push(Finding::WritesElsewhere {
                file_system: kind.into(),
            });
        } else if UNIONS.contains(&kind) {
            found.push(Finding::LayerUnseen {
                layer: format!("the layers of {}", entry.point.display()),
            });
        } else if kind == "overlay" && depth < DEEPEST {
            self.left_in_layers(entry, path, found, depth)?;
        }
        Ok(())
    }

    /// An overlay copies a file up before it is written: what a lower layer has
    /// of it stays.
    fn left_in_layers(
        &self,
        entry: &Entry,
        path: &Path,
        found: &mut Vec<Finding>,
        depth: usize,
    ) -> Result<(), String> {
        let Some(inside) = entry.path_inside(path) else {
            return Ok(());
        };
        let upper = entry.option("upperdir").filter(|dir| dir.is_absolute());
        let copied = upper.as_ref().is_some_and(|dir| is_old(&dir.join(&inside)));
        let (mut seen, mut unseen) = (false, false);
        for layer in entry.lower_layers() {
            // A relative one is relative to where the mounter stood.
            if !layer.is_absolute() || !layer.is_dir() {
                unseen = true;
                found.push(Finding::LayerUnseen {
                    layer: format!("{} (a lower layer)", layer.display()),
                });
                continue;
            }
            let old = layer.join(&inside);
            if is_old(&old) {
                seen = true;
                let place = match self.disk_under(&old) {
                    Some(disk) => format!("{disk}, in {}", old.display()),
                    None => old.display().to_string(),
                };
                found.push(Finding::OldDataAt { place });
            }
        }
        // It must come from somewhere: another mount hides the layer that has it.
        if depth == 0 && !seen && !unseen && !copied {
            found.push(Finding::LayerUnseen {
                layer: format!("a layer of {}", entry.point.display()),
            });
        }
        match upper {
            Some(upper) => self.left_behind(&upper.join(&inside), found, depth + 1),
            None => Ok(()),
        }
    }

    /// The node of the device that a file's file system is on, or what it is.
    fn disk_under(&self, path: &Path) -> Option<String> {
        let dev = DevId::from_raw(path.metadata().ok()?.dev());
        if let Ok(Some(block)) = self.block(dev) {
            return Some(self.shown(&block));
        }
        let entry = self.mount_over(path)?;
        let is_node = entry.source.is_absolute();
        let source = entry.source.display();
        Some(if is_node {
            source.to_string()
        } else {
            format!("a {}", entry.kind)
        })
    }
}

/// Whether there is a file with bytes.
fn is_old(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

impl Entry {
    /// Where a path below the mount point lies within the file system, without
    /// the slash at its begin.
    fn path_inside(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.point).ok()?;
        let root = self.root.strip_prefix("/").unwrap_or(&self.root);
        // Joining nothing would add a slash.
        Some(match below.as_os_str().as_bytes() {
            [] => root.to_path_buf(),
            _ => root.join(below),
        })
    }
}
