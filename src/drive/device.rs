//! A target, and what is known of it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::finding::Finding;
use super::identity::{Identity, Kind};
use super::medium::Medium;
use super::no_capacity::NoCapacity;
use crate::text::reason;

/// A fact, or why it could not be read. What could not be read is never taken
/// for harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    Known(T),
    /// It could not be read; which file, and why.
    Unknown(String),
}

impl<T> Fact<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

impl<T> From<Result<T, String>> for Fact<T> {
    fn from(read: Result<T, String>) -> Self {
        read.map_or_else(Self::Unknown, Self::Known)
    }
}

/// A block device's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevId {
    pub major: u64,
    pub minor: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Block {
        dev: DevId,
        /// The number of the whole disk; its own when it is one.
        whole: DevId,
        /// The node of the whole disk, such as `/dev/sda`.
        whole_path: PathBuf,
        /// The kernel's count of disks seen, of the whole disk: another disk
        /// under the same name has another one.
        diskseq: Option<u64>,
    },
    Image {
        /// `st_dev`.
        dev: u64,
        inode: u64,
    },
}

/// A place where a device is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The kernel name of what is mounted, such as `sdb1`.
    pub name: String,
    pub point: PathBuf,
    /// A process that sees it, where that is in another mount namespace only.
    pub by: Option<Process>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// What it calls itself; anything.
    pub name: String,
}

/// A process that can write to a device, past the kernel's exclusive access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opener {
    /// The kernel name of what it holds open, such as `sdb1`, or the name of an
    /// image.
    pub name: String,
    pub process: Process,
}

/// A part of the running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// Its root, or a layer of it.
    System,
    Program(PathBuf),
}

/// Something that holds a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The kernel name of what is held, such as `sdb1`.
    pub name: String,
    /// Who holds it: `dm-0 (vg0-home)`, `md127`.
    pub by: String,
}

/// A cache between a target and the disk that keeps its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// The kernel's name, as `bcache0`.
    pub name: String,
    /// What it holds back.
    pub state: CacheState,
}

/// What a cache holds back from the disk below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheState {
    /// bcache in write-back mode: whatever it likes, as long as it likes.
    WriteBack,
    /// bcache in another mode that still has data to write down, or has lost
    /// its cache with some.
    Dirty,
    /// dm-writecache, which has no other mode.
    WriteCache,
}

/// Why processes that write to a target may stay unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// Those of other users may not be looked at.
    Denied,
    /// `/proc` hides them (`hidepid`).
    Hidden,
    /// `/proc` shows one PID namespace only, as in a container.
    Namespace,
}

/// What was found on a device or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The kernel name, such as `sdb1`; of an image its file name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `GPT`, `ext4`, `LVM2`; `None` when nothing known was found.
    pub what: Option<&'static str>,
    pub label: Option<String>,
    /// The volume group, array or pool that it is a member of, by name or UUID,
    /// where it tells. A file system on one device is no pool.
    pub group: Option<String>,
}

impl Signature {
    /// `ext4 "backup"`; `None` where nothing known was found.
    pub fn text(&self) -> Option<String> {
        let label = self.label.as_ref();
        let label = label.map_or(String::new(), |label| format!(" \"{label}\""));
        self.what.map(|what| format!("{what}{label}"))
    }
}

/// Whether and by what a device is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Whether the kernel refuses exclusive access to it.
    pub busy: Fact<bool>,
    pub read_only: Fact<bool>,
    /// Where the file system of a read-only image is mounted, if that can be told.
    pub lies_at: Option<PathBuf>,
    /// Where it, its partitions and what is above them are mounted.
    pub mounts: Fact<Vec<Mount>>,
    /// Kernel names or paths of what is active swap on it.
    pub swaps: Fact<Vec<String>>,
    pub holders: Fact<Vec<Holder>>,
    /// Loop devices (other than itself) over the same file.
    pub loops: Fact<Vec<String>>,
    /// Other processes that hold it, its partitions, its disk or the file behind
    /// it open for writing, as far as they may be looked at.
    pub openers: Fact<Vec<Opener>>,
    /// Why some of these may stay unseen.
    pub unseen: Option<Unseen>,
    /// Caches that keep what is written from the disk below.
    pub caches: Fact<Vec<Cache>>,
    /// Where old data stays, or may, although the target is overwritten.
    pub leftovers: Fact<Vec<Finding>>,
    /// Whether the state directory lies on it.
    pub carries_state: Fact<bool>,
    /// What of the running system lies on it.
    pub carries: Fact<Vec<Carried>>,
    /// Whether its zones must be written in order.
    pub host_managed: Fact<bool>,
    /// Of a partition that holds others: their kernel names. An extended
    /// partition may hold none yet.
    pub extended: Fact<Option<Vec<String>>>,
}

impl Usage {
    pub fn not_looked_at() -> Self {
        Self::unknown("nobody has looked yet")
    }

    /// Nothing is known, for this reason.
    pub fn unknown(why: &str) -> Self {
        Self::all(Err(why))
    }

    /// Known to be no use at all, or not known.
    fn all(known: Result<(), &str>) -> Self {
        fn of<T: Default>(known: Result<(), &str>) -> Fact<T> {
            let none = known.map(|()| T::default());
            none.map_err(String::from).into()
        }
        Self {
            busy: of(known),
            read_only: of(known),
            lies_at: None,
            mounts: of(known),
            swaps: of(known),
            holders: of(known),
            loops: of(known),
            openers: of(known),
            unseen: None,
            caches: of(known),
            leftovers: of(known),
            carries_state: of(known),
            carries: of(known),
            host_managed: of(known),
            extended: of(known),
        }
    }
}

/// A target: all facts about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// As typed.
    pub path: PathBuf,
    /// Kernel name, such as `sdb`; of an image its file name.
    pub name: String,
    pub node: Node,
    /// Bytes, > 0.
    pub size: u64,
    /// Bytes of a logical block; 512 for an image.
    pub logical_block: u32,
    /// Bytes of a physical block, >= `logical_block`.
    pub physical_block: u32,
    pub identity: Identity,
    /// Whether the user named it by its serial or volume id.
    pub named: bool,
    /// What the bits are kept on.
    pub medium: Medium,
    /// Where the drive sits: enclosure slot, PCI slot, ATA or USB port.
    pub slot: Option<String>,
    /// Whether the kernel believes in a volatile write cache and so sends
    /// flushes; `None` where it does not say.
    pub write_back: Option<bool>,
    /// What is on it: first itself, then its partitions.
    pub contents: Vec<Signature>,
    pub usage: Usage,
}

/// Why a path is not a target. Shown as `fact; remedy`, without the path.
#[derive(Debug, Error)]
pub enum NoTarget {
    /// Nothing is there.
    #[error("no such device or file; `wipeit --list` shows the disks")]
    Missing,
    /// It may not be looked at or opened: errno.
    #[error("permission denied")]
    Denied(Option<i32>),
    /// It is something else: a directory, a character device, a pipe, a socket.
    #[error("is {0}; give a block device or a disk-image file")]
    NotATarget(&'static str),
    /// It has no bytes.
    #[error("has no bytes; there is nothing to wipe")]
    Empty,
    /// It is there and tells no capacity, so that nothing of it can be wiped.
    #[error("{0}")]
    NoCapacity(NoCapacity),
    /// The kernel's files say something that cannot be understood.
    #[error("{0}; refusing")]
    Unreadable(String),
}

/// A drive of this machine, for finding the one a checkpoint speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its node, such as `/dev/sdb`.
    pub path: PathBuf,
    /// Kernel name.
    pub name: String,
    pub identity: Identity,
}

impl NoTarget {
    /// What an error of opening it says.
    pub fn of(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied(error.raw_os_error()),
            _ => match error.raw_os_error() {
                // A node whose driver has nothing behind it; a reader without a
                // card.
                Some(nix::libc::ENXIO | nix::libc::ENODEV) => Self::Missing,
                Some(nix::libc::ENOMEDIUM) => Self::NoCapacity(NoCapacity::NoMedium),
                _ => Self::Unreadable(format!("cannot open {}: {}", path.display(), reason(error))),
            },
        }
    }
}

/// The other attached disks that report the same WWN or serial, so that neither
/// can be told from the other by it. `path`: the drive's own node, or that of
/// its disk.
pub(crate) fn sharing_id<'a>(
    path: &Path,
    identity: &Identity,
    attached: &'a [Attached],
) -> impl Iterator<Item = &'a Attached> {
    attached
        .iter()
        .filter(move |other| other.identity.kind == Kind::Disk && other.path != path)
        .filter(|other| other.identity.shares_id_with(identity))
}

/// A disk with everything that a drive may tell and nothing against wiping it,
/// for tests.
#[cfg(test)]
pub(crate) mod example {
    use super::super::identity::{Identity, Kind};
    use super::super::transport::Transport;
    use super::{DevId, Device, Medium, Node, Signature, Usage};

    /// Bytes of the disk.
    pub(crate) const SIZE: u64 = 18_000_207_937_536;

    /// `/dev/sdb`.
    pub(crate) fn disk() -> Device {
        let dev = DevId {
            major: 8,
            minor: 16,
        };
        Device {
            path: "/dev/sdb".into(),
            name: "sdb".into(),
            node: Node::Block {
                dev,
                whole: dev,
                whole_path: "/dev/sdb".into(),
                diskseq: Some(3),
            },
            size: SIZE,
            logical_block: 4096,
            physical_block: 4096,
            identity: Identity {
                vendor: Some("SEAGATE".into()),
                model: Some("ST18000NM004J".into()),
                serial: Some("ZR5A1B2C".into()),
                wwn: Some("5000c500d1a2b3c4".into()),
                firmware: Some("E002".into()),
                ..Identity::bare(Kind::Disk, Transport::Sata, SIZE, 4096)
            },
            named: false,
            medium: Medium::Rotational,
            slot: Some("0:7".into()),
            write_back: Some(true),
            contents: vec![
                found("sdb", SIZE, "GPT", None),
                found("sdb1", SIZE - 4096, "ext4", Some("backup")),
            ],
            usage: Usage::all(Ok(())),
        }
    }

    fn found(name: &str, size: u64, what: &'static str, label: Option<&str>) -> Signature {
        Signature {
            name: name.into(),
            size,
            what: Some(what),
            label: label.map(str::to_string),
            group: None,
        }
    }

    /// A drive of which no more is known than its serial.
    pub(crate) fn of_1000_bytes() -> Identity {
        Identity {
            serial: Some("ZR5A1B2C".into()),
            ..Identity::bare(Kind::Disk, Transport::Sata, 1000, 512)
        }
    }
}
