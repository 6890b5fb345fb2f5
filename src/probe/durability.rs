//! What the place of the state promises: whether what was saved there is still
//! there after a loss of power. Known by the type and the options of the file
//! system, and by what is below it; statfs cannot tell ext4 from ext2.

use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::below::{Layers, nearest_existing};
use super::block::Block;
use super::host::Host;
use super::identify;
use super::mounts::Entry;
use super::storage::Storage;
use super::sysfs::{FileId, attribute, is_numbered};

/// Deeper than any real stack of overlays and loop devices.
const DEEPEST: usize = 8;

/// What a file system keeps through a loss of power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A file that was written, fsynced and renamed, once its folder is fsynced.
    Kept,
    /// No such file, but what was written in place and fsynced: `vfat`, `exfat`.
    /// They have no file modes either.
    BySlots(String),
    Memory,
    /// What its server keeps; the type.
    Server(String),
    /// Nobody knows; why.
    Unknown(String),
}

/// How the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// What its file system promises.
    pub durability: Durability,
    /// Kernel names of the disks below to which the kernel sends no flush, as it
    /// takes their caches for write-through.
    pub unflushed: Vec<String>,
}

impl Keeping {
    /// On a disk that keeps its promises, for tests.
    #[cfg(test)]
    pub(crate) fn on_disk() -> Self {
        Self {
            durability: Durability::Kept,
            unflushed: Vec::new(),
        }
    }
}

impl Host {
    /// How a directory, or what will become its parent, is kept.
    pub(crate) fn keeping(&self, dir: &Path) -> Keeping {
        let storage = Storage::read(self);
        Keeping {
            durability: storage.promised(dir, 0),
            unflushed: storage.unflushed(dir),
        }
    }

    /// Whether files in a directory, or in what will become its parent, have to
    /// be written in place: that is so whatever lies below the file system.
    pub(crate) fn needs_slots(&self, dir: &Path) -> bool {
        let (storage, mut dir) = (Storage::of_mounts(self), dir.to_path_buf());
        for _ in 0..DEEPEST {
            let there = nearest_existing(&dir).ok();
            let Some(entry) = there.and_then(|there| storage.mount_over(&there)) else {
                return false;
            };
            match upper(entry) {
                Ok(upper) if entry.kind == "overlay" => dir = upper,
                _ => return matches!(of_mount(entry, None), Durability::BySlots(_)),
            }
        }
        false
    }
}

impl Storage {
    fn promised(&self, dir: &Path, depth: usize) -> Durability {
        if depth > DEEPEST {
            return Durability::Unknown("it lies on too many layers".into());
        }
        let there = match nearest_existing(dir) {
            Ok(there) => there,
            Err(why) => return Durability::Unknown(why),
        };
        if statfs(&there).is_ok_and(|fs| fs.filesystem_type() == TMPFS_MAGIC) {
            return Durability::Memory;
        }
        let Some(entry) = self.mount_over(&there) else {
            return Durability::Unknown("it is on no mount that can be seen".into());
        };
        if entry.kind == "overlay" {
            return match upper(entry) {
                // Of what lies out of sight a path means something else here.
                Ok(upper) if upper.metadata().is_ok() => self.promised(&upper, depth + 1),
                Ok(upper) => Durability::Unknown(format!(
                    "the layer that is written to, {}, cannot be seen",
                    upper.display()
                )),
                Err(why) => Durability::Unknown(why.into()),
            };
        }
        match of_mount(entry, self.has_journal(entry)) {
            kept @ (Durability::Kept | Durability::BySlots(_)) => {
                self.below_keeps(&there, depth).unwrap_or(kept)
            }
            other => other,
        }
    }

    /// What is promised less by what lies below a file system.
    fn below_keeps(&self, there: &Path, depth: usize) -> Option<Durability> {
        for block in self.blocks_under(there) {
            let name = block.name();
            if name.starts_with("zram") || is_numbered(&name, "ram") {
                return Some(Durability::Memory);
            }
            if let Ok(Some(file)) = self.devices().and_then(|devices| devices.file(block))
                && matches!(file.found, Some(FileId::File(..)))
            {
                match self.promised(&file.path, depth + 1) {
                    // Nothing about the file but its content changes.
                    Durability::Kept | Durability::BySlots(_) => {}
                    less => return Some(less),
                }
            }
        }
        None
    }

    /// The devices that a path lies on; none where they cannot be told.
    fn blocks_under(&self, path: &Path) -> Vec<&Block> {
        let drives = self.drives_below(path, Layers::Upper).unwrap_or_default();
        let block = |dev| self.block(dev).ok()?;
        drives.into_iter().filter_map(block).collect()
    }

    /// The disks under a directory that get no flush, or stop it on its way down.
    fn unflushed(&self, dir: &Path) -> Vec<String> {
        let Ok(there) = nearest_existing(dir) else {
            return Vec::new();
        };
        let mut names: Vec<String> = self
            .blocks_under(&there)
            .iter()
            .filter_map(|block| self.devices().ok()?.whole(block).ok())
            .filter(|disk| identify::write_back(disk) == Some(false))
            .map(Block::name)
            .collect();
        names.dedup();
        names
    }

    /// Whether a file system of the ext family writes to a journal; `None` where
    /// nothing tells. Its type does not: ext4 without one is ext4.
    fn has_journal(&self, entry: &Entry) -> Option<bool> {
        let name = self.block(entry.dev).ok()??.name();
        // The number of the journal's thread, or `<none>`; since Linux 5.1.
        if let Some(task) = attribute(&self.host.sys.join("fs/ext4").join(&name), "journal_task") {
            return Some(task != "<none>");
        }
        // All options as they are, not only those that were asked for; how data
        // is journaled only where there is a journal.
        let options =
            std::fs::read_to_string(self.host.proc.join("fs/ext4").join(&name).join("options"));
        options
            .ok()
            .map(|text| text.lines().any(|line| line.starts_with("data=")))
    }
}

/// Where an overlay writes to.
fn upper(entry: &Entry) -> Result<std::path::PathBuf, &'static str> {
    if entry.says("volatile") || entry.says("fsync=volatile") {
        return Err("the overlay is mounted volatile and leaves out every flush");
    }
    entry
        .option("upperdir")
        .ok_or("the overlay has no layer that is written to")
}

/// What a mounted file system, other than an overlay, promises by itself: the
/// one place that decides. `journal`: whether one of the ext family has one.
fn of_mount(entry: &Entry, journal: Option<bool>) -> Durability {
    let kind = entry.kind.as_str();
    // Where it is may be below what was asked for.
    let this = format!("{kind} at {}", entry.point.display());
    let unknown = |why: &str| Durability::Unknown(format!("{this} {why}"));
    let barriers = || match ["nobarrier", "barrier=0"].iter().find(|o| entry.says(o)) {
        Some(option) => unknown(&format!("is mounted with {option}")),
        None => Durability::Kept,
    };
    match kind {
        "ext3" | "ext4" if entry.says("noload") || entry.says("norecovery") => {
            unknown("is mounted without its journal")
        }
        "ext3" | "ext4" => match journal {
            Some(true) => barriers(),
            Some(false) => unknown("has no journal"),
            // ext3 is ext2 with a journal.
            None if kind == "ext3" => barriers(),
            None => unknown("may have no journal"),
        },
        "xfs" | "btrfs" => barriers(),
        "vfat" | "exfat" => Durability::BySlots(kind.into()),
        "tmpfs" | "ramfs" | "devtmpfs" | "rootfs" => Durability::Memory,
        "cifs" | "smb3" if entry.says("nostrictsync") => unknown("is mounted with nostrictsync"),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "virtiofs" => Durability::Server(kind.into()),
        _ => unknown("is not known to keep it"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mounts::parse;
    use super::*;

    /// Type, source and options; whether there is a journal; what is promised.
    const PROMISES: &[(&str, Option<bool>, &str)] = &[
        ("ext4 /dev/a rw", Some(true), "kept"),
        ("ext4 /dev/a rw,data=writeback", Some(true), "kept"),
        ("ext4 /dev/a rw", Some(false), "ext4 at /mnt has no journal"),
        ("ext4 /dev/a rw", None, "ext4 at /mnt may have no journal"),
        (
            "ext4 /dev/a rw,nobarrier",
            Some(true),
            "ext4 at /mnt is mounted with nobarrier",
        ),
        (
            "ext3 /dev/a rw,barrier=0",
            Some(true),
            "ext3 at /mnt is mounted with barrier=0",
        ),
        (
            "ext4 /dev/a rw,norecovery",
            Some(true),
            "ext4 at /mnt is mounted without its journal",
        ),
        ("ext3 /dev/a rw", Some(true), "kept"),
        ("ext3 /dev/a rw", None, "kept"),
        (
            "ext2 /dev/a rw",
            Some(false),
            "ext2 at /mnt is not known to keep it",
        ),
        ("xfs /dev/a rw,attr2,noquota", None, "kept"),
        (
            "xfs /dev/a rw,nobarrier",
            None,
            "xfs at /mnt is mounted with nobarrier",
        ),
        ("btrfs /dev/a rw,ssd,subvol=/nobarrier", None, "kept"),
        (
            "btrfs /dev/a rw,nobarrier,ssd",
            None,
            "btrfs at /mnt is mounted with nobarrier",
        ),
        ("vfat /dev/a rw,fmask=0022", None, "slots: vfat"),
        ("exfat /dev/a rw", None, "slots: exfat"),
        (
            "msdos /dev/a rw",
            None,
            "msdos at /mnt is not known to keep it",
        ),
        ("tmpfs a rw", None, "memory"),
        ("ramfs a rw", None, "memory"),
        ("rootfs rootfs rw", None, "memory"),
        ("devtmpfs a rw", None, "memory"),
        ("nfs a:/b rw", None, "server: nfs"),
        ("nfs4 a:/b rw", None, "server: nfs4"),
        ("cifs //a/b rw", None, "server: cifs"),
        (
            "cifs //a/b rw,nostrictsync",
            None,
            "cifs at /mnt is mounted with nostrictsync",
        ),
        ("9p a rw", None, "server: 9p"),
        ("virtiofs a rw", None, "server: virtiofs"),
        (
            "zfs a/b rw,xattr",
            None,
            "zfs at /mnt is not known to keep it",
        ),
        (
            "fuse.sshfs a: rw",
            None,
            "fuse.sshfs at /mnt is not known to keep it",
        ),
        (
            "fuseblk /dev/a rw",
            None,
            "fuseblk at /mnt is not known to keep it",
        ),
        (
            "ntfs3 /dev/a rw",
            None,
            "ntfs3 at /mnt is not known to keep it",
        ),
        (
            "f2fs /dev/a rw",
            None,
            "f2fs at /mnt is not known to keep it",
        ),
    ];

    #[test]
    fn every_file_system_promises_what_its_type_and_options_say() {
        for (mount, journal, wanted) in PROMISES {
            let line = format!("36 35 8:17 / /mnt rw,noatime - {mount}\n");
            let entries = parse(line.as_bytes(), Path::new("mountinfo")).unwrap();
            let promised = match of_mount(&entries[0], *journal) {
                Durability::Kept => "kept".into(),
                Durability::BySlots(kind) => format!("slots: {kind}"),
                Durability::Memory => "memory".into(),
                Durability::Server(kind) => format!("server: {kind}"),
                Durability::Unknown(why) => why,
            };
            assert_eq!(promised, *wanted, "{mount}");
        }
    }

    #[test]
    fn only_disks_of_memory_are_called_so() {
        let is_ram = |name| is_numbered(name, "ram");
        assert!(is_ram("ram0") && is_ram("ram15"));
        assert!(!is_ram("ram") && !is_ram("rampage") && !is_ram("sda"));
    }
}
