//! Facts about a block device or a disk image, read from the kernel.
//!
//! Nothing here decides whether a device may be wiped (that is `guard`), and
//! nothing here writes.

use std::path::{Path, PathBuf};

use crate::identity::Identity;

/// Where the kernel's files are; other roots in tests.
#[derive(Debug, Clone)]
pub struct Host {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// `/run`.
    pub run: PathBuf,
}

/// A fact, or why it could not be read. What could not be read is never taken
/// for harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// It was read.
    Known(T),
    /// It could not be read; which file, and why.
    Unknown(String),
}

/// A block device's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevId {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
}

/// What is behind the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A block device.
    Block {
        /// Its number.
        dev: DevId,
        /// The number of the whole disk; its own when it is one.
        whole: DevId,
        /// The node of the whole disk, such as `/dev/sda`.
        whole_path: PathBuf,
        /// The kernel's count of disks seen, of the whole disk: another disk
        /// under the same name has another one.
        diskseq: Option<u64>,
    },
    /// A regular file.
    Image {
        /// `st_dev`.
        dev: u64,
        /// Inode.
        inode: u64,
    },
}

/// What the bits are kept on; it decides what overwriting reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A hard disk.
    Rotational,
    /// SSD, USB stick, card.
    Flash,
    /// A file of a file system, or a loop device over one.
    File,
    /// The kernel does not say.
    Unknown,
}

/// A place where a device is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The kernel name of what is mounted, such as `sdb1`.
    pub name: String,
    /// Where.
    pub point: PathBuf,
}

/// Something that holds a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The kernel name of what is held, such as `sdb1`.
    pub name: String,
    /// Who holds it: `dm-0 (vg0-home)`, `md127`.
    pub by: String,
}

/// What was found on a device or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The kernel name, such as `sdb1`; of an image its file name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `GPT`, `ext4`, `LVM2`; `None` when nothing known was found.
    pub what: Option<&'static str>,
    /// The file system's label.
    pub label: Option<String>,
}

/// Whether and by what a device is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Whether the kernel refuses exclusive access to it.
    pub busy: Fact<bool>,
    /// Whether it is read-only.
    pub read_only: Fact<bool>,
    /// Where it, its partitions and what is above them are mounted.
    pub mounts: Fact<Vec<Mount>>,
    /// Kernel names or paths of what is active swap on it.
    pub swaps: Fact<Vec<String>>,
    /// What holds it or its partitions.
    pub holders: Fact<Vec<Holder>>,
    /// Loop devices (other than itself) over the same file.
    pub loops: Fact<Vec<String>>,
    /// Whether the state directory lies on it.
    pub carries_state: Fact<bool>,
}

/// A target: all facts about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// As typed.
    pub path: PathBuf,
    /// Kernel name, such as `sdb`; of an image its file name.
    pub name: String,
    /// What is behind the path.
    pub node: Node,
    /// Bytes, > 0.
    pub size: u64,
    /// Bytes of a logical block; 512 for an image.
    pub logical_block: u32,
    /// Bytes of a physical block, >= `logical_block`.
    pub physical_block: u32,
    /// Which drive it is.
    pub identity: Identity,
    /// What the bits are kept on.
    pub medium: Medium,
    /// Where the drive sits: enclosure slot, PCI slot, ATA or USB port.
    pub slot: Option<String>,
    /// Whether the kernel believes in a volatile write cache and so sends
    /// flushes; `None` where it does not say.
    pub write_back: Option<bool>,
    /// What is on it: first itself, then its partitions.
    pub contents: Vec<Content>,
    /// Whether and by what it is used.
    pub usage: Usage,
}

/// Why a path is not a target.
#[derive(Debug)]
pub enum Problem {
    /// Nothing is there.
    Missing,
    /// It may not be looked at or opened.
    Denied,
    /// It is something else: a directory, a character device, a pipe, a socket.
    NotATarget(&'static str),
    /// It has no bytes.
    Empty,
    /// The kernel's files say something that cannot be understood.
    Unreadable(String),
}

/// A drive of this machine, for finding the one a checkpoint speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its node, such as `/dev/sdb`.
    pub path: PathBuf,
    /// Kernel name.
    pub name: String,
    /// Which drive it is.
    pub identity: Identity,
}

impl Host {
    /// This machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            sys: "/sys".into(),
            proc: "/proc".into(),
            dev: "/dev".into(),
            run: "/run".into(),
        }
    }

    /// All facts about a target.
    ///
    /// # Errors
    /// When the path is not a block device or a regular file with bytes in it.
    pub fn device(&self, _path: &Path, _state_dir: &Path) -> Result<Device, Problem> {
        Err(Problem::Missing)
    }

    /// Every disk, partition and loop device that has a size.
    #[must_use]
    pub fn attached(&self) -> Vec<Attached> {
        Vec::new()
    }
}
