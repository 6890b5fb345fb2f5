//! Facts about a block device or a disk image, read from the kernel.
//!
//! Nothing here decides whether a device may be wiped (that is `guard`), and
//! nothing here writes.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::identity::{Backing, Identity, Kind, Transport, path_to_text};
use crate::nature::Nature;

mod alive;
mod below;
mod beside;
mod content;
mod denied;
mod drive;
mod durability;
mod empty;
mod file_kind;
mod foundation;
mod locked;
mod loops;
mod machine;
mod made;
mod member;
mod mounts;
mod pools;
mod processes;
mod snapshot;
mod stack;
mod survey;
mod sysfs;
mod unseen;
mod usage;
mod vpd;

#[cfg(test)]
pub(crate) mod tests;

pub use self::denied::Denial;
pub use self::durability::{Durability, Keeping};
pub use self::empty::NoCapacity;
pub use self::file_kind::{is_no_disk, is_virtual_disk};
pub use self::machine::Computer;
pub use self::survey::{Disk, Place};

use self::foundation::Foundation;
use self::sysfs::{Block, Found, base_name, cannot_read};
use crate::text::reason;

/// Where the kernel's files are; other roots in tests.
#[derive(Debug, Clone)]
pub struct Host {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    // what was read of it, where one decision hangs on it
    seen: Option<std::sync::Arc<snapshot::Snapshot>>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// A hard disk.
    Rotational,
    /// SSD, USB stick, card.
    Flash,
    /// A file of a file system, or a loop device over one.
    File,
    /// The kernel does not say.
    #[default]
    Unknown,
}

/// A place where a device is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The kernel name of what is mounted, such as `sdb1`.
    pub name: String,
    /// Where.
    pub point: PathBuf,
    /// A process that sees it, where that is in another mount namespace only.
    pub by: Option<Process>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
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
    /// Who.
    pub process: Process,
}

/// A part of the running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// Its root, or a layer of it.
    System,
    /// The file of the program that runs.
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
pub struct Content {
    /// The kernel name, such as `sdb1`; of an image its file name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `GPT`, `ext4`, `LVM2`; `None` when nothing known was found.
    pub what: Option<&'static str>,
    /// The file system's label.
    pub label: Option<String>,
    /// The volume group, array or pool that it is a member of, by name or UUID,
    /// where it tells. A file system on one device is no pool.
    pub group: Option<String>,
}

/// Whether and by what a device is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Whether the kernel refuses exclusive access to it.
    pub busy: Fact<bool>,
    /// Whether it is read-only.
    pub read_only: Fact<bool>,
    /// Where the file system of a read-only image is mounted, if that can be told.
    pub lies_at: Option<PathBuf>,
    /// Where it, its partitions and what is above them are mounted.
    pub mounts: Fact<Vec<Mount>>,
    /// Kernel names or paths of what is active swap on it.
    pub swaps: Fact<Vec<String>>,
    /// What holds it or its partitions.
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
    /// Nothing is known.
    fn not_looked_at() -> Self {
        fn unknown<T>() -> Fact<T> {
            Fact::Unknown("nobody has looked yet".into())
        }
        Self {
            busy: unknown(),
            read_only: unknown(),
            lies_at: None,
            mounts: unknown(),
            swaps: unknown(),
            holders: unknown(),
            loops: unknown(),
            openers: unknown(),
            unseen: None,
            caches: unknown(),
            leftovers: unknown(),
            carries_state: unknown(),
            carries: unknown(),
            host_managed: unknown(),
            extended: unknown(),
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
    Denied(Option<i32>),
    /// It is something else: a directory, a character device, a pipe, a socket.
    NotATarget(&'static str),
    /// It has no bytes.
    Empty,
    /// It is there and tells no capacity, so that nothing of it can be wiped.
    NoCapacity(NoCapacity),
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

impl fmt::Display for Problem {
    /// Fact and remedy, without the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such device or file; `wipeit --list` shows the disks"),
            Self::Denied(_) => f.write_str("permission denied"),
            Self::NotATarget(what) => {
                write!(f, "is {what}; give a block device or a disk-image file")
            }
            Self::Empty => f.write_str("has no bytes; there is nothing to wipe"),
            Self::NoCapacity(why) => why.fmt(f),
            Self::Unreadable(why) => write!(f, "{why}; refusing"),
        }
    }
}

impl std::error::Error for Problem {}

impl Problem {
    fn of(path: &Path, error: &io::Error) -> Self {
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

impl Host {
    /// This machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            sys: "/sys".into(),
            proc: "/proc".into(),
            dev: "/dev".into(),
            seen: None,
        }
    }

    /// All facts about a target. Reads only.
    ///
    /// # Errors
    /// When the path is not a block device or a regular file with bytes in it,
    /// or may not be read.
    pub fn device(&self, path: &Path, state_dir: &Path) -> Result<Device, Problem> {
        self.at_once().look(path, Some(state_dir))
    }

    /// Which target it is, but nothing of what uses it: for that counts as
    /// unknown, which is never harmless. Reads only.
    ///
    /// # Errors
    /// As for [`device`](Self::device).
    pub fn glance(&self, path: &Path) -> Result<Device, Problem> {
        self.look(path, None)
    }

    /// `state_dir`: where state is kept, if what uses the target is looked at.
    fn look(&self, path: &Path, state_dir: Option<&Path>) -> Result<Device, Problem> {
        let metadata = std::fs::metadata(path).map_err(|error| Problem::of(path, &error))?;
        let kind = metadata.file_type();
        if kind.is_block_device() {
            self.block_target(path, DevId::from_raw(metadata.rdev()), state_dir)
        } else if kind.is_file() {
            self.image(path, &metadata, state_dir)
        } else if kind.is_dir() {
            Err(Problem::NotATarget("a directory"))
        } else if kind.is_char_device() {
            Err(Problem::NotATarget("a character device"))
        } else if kind.is_fifo() {
            Err(Problem::NotATarget("a pipe"))
        } else {
            Err(Problem::NotATarget("a socket"))
        }
    }

    /// The caches that hold back what was written to a target that we hold open
    /// exclusively, now.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn caches(&self, device: &Device) -> Result<Vec<Cache>, String> {
        let foundation = match device.node {
            Node::Block { dev, .. } => {
                // One that has gone holds nothing back any more.
                let Some(block) = self.block(dev)? else {
                    return Ok(Vec::new());
                };
                Foundation::of_block(self, &block)?
            }
            Node::Image { .. } => Foundation::of_file(self, &device.path)?,
        };
        Ok(foundation.caches())
    }

    /// The facts about a target that we hold open exclusively, read again
    /// without opening it again.
    ///
    /// # Errors
    /// What differs from `device`, for people.
    pub fn held(&self, device: &Device, state_dir: &Path) -> Result<Device, String> {
        let mut now = device.clone();
        match device.node {
            Node::Block { dev, diskseq, .. } => {
                let block = self.block(dev)?.ok_or("it has gone")?;
                if drive::diskseq(&block) != diskseq {
                    return Err("another disk has its name".into());
                }
                now.size = block.size()?;
                now.identity = self.identity(&block)?;
                now.usage = self.at_once().usage_of_block(None, &block, state_dir);
            }
            Node::Image { dev, inode } => {
                let path = &device.path;
                let metadata =
                    std::fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
                if (metadata.dev(), metadata.ino()) != (dev, inode) {
                    return Err("another file has its name".into());
                }
                now.size = metadata.len();
                let file = Found::File(dev, inode);
                now.usage = self
                    .at_once()
                    .usage_of_image(path, now.size, file, state_dir);
            }
        }
        if now.size != device.size || now.identity != device.identity {
            return Err("its size or identity differs".into());
        }
        Ok(now)
    }

    /// What uses a target that we hold open, after it was written: mounts, swap,
    /// holders, loop devices and other processes. Whatever else `device` says of
    /// it counts for nothing. `descriptor`: a path to an image's file whatever
    /// its names are now.
    ///
    /// # Errors
    /// It is not there any more; why, for people.
    pub fn used_now(
        &self,
        device: &Device,
        descriptor: &Path,
        state_dir: &Path,
    ) -> Result<Device, String> {
        let mut now = device.clone();
        match device.node {
            Node::Block { dev, diskseq, .. } => {
                if let Some(why) = self.has_gone(dev, diskseq) {
                    return Err(why);
                }
                let block = self.block(dev)?.ok_or("it has gone")?;
                now.usage = self.at_once().usage_of_block(None, &block, state_dir);
            }
            Node::Image { dev, inode } => {
                let file = Found::File(dev, inode);
                now.usage = self
                    .at_once()
                    .usage_of_image(descriptor, now.size, file, state_dir);
            }
        }
        now.usage.busy = Fact::Known(false);
        now.usage.read_only = Fact::Known(false);
        now.usage.carries_state = Fact::Known(false);
        now.usage.carries = Fact::Known(Vec::new());
        now.usage.host_managed = Fact::Known(false);
        now.usage.extended = Fact::Known(None);
        Ok(now)
    }

    fn image(
        &self,
        path: &Path,
        metadata: &Metadata,
        state_dir: Option<&Path>,
    ) -> Result<Device, Problem> {
        if metadata.len() == 0 {
            return Err(Problem::Empty);
        }
        File::open(path).map_err(|error| Problem::of(path, &error))?;
        let canonical = path
            .canonicalize()
            .map_err(|error| Problem::Unreadable(cannot_read(path, &error)))?;
        let name = base_name(&canonical);
        let contents = vec![contents(name.clone(), path, metadata.len())];
        Ok(Device {
            path: path.to_path_buf(),
            node: Node::Image {
                dev: metadata.dev(),
                inode: metadata.ino(),
            },
            size: metadata.len(),
            logical_block: 512,
            physical_block: 4096,
            identity: Identity {
                kind: Kind::Image,
                transport: Transport::File,
                vendor: None,
                model: None,
                serial: None,
                wwn: None,
                firmware: None,
                size: metadata.len(),
                logical_block: 512,
                slice: None,
                backing: Some(Backing {
                    path: path_to_text(&canonical),
                    inode: metadata.ino(),
                    offset: 0,
                    size_limit: 0,
                }),
                nature: Some(Nature::File),
            },
            named: false,
            medium: Medium::File,
            slot: None,
            write_back: None,
            contents,
            usage: state_dir.map_or_else(Usage::not_looked_at, |state_dir| {
                let file = Found::File(metadata.dev(), metadata.ino());
                self.usage_of_image(path, metadata.len(), file, state_dir)
            }),
            name,
        })
    }

    /// The device with this number, behind a path.
    fn block_target(
        &self,
        path: &Path,
        dev: DevId,
        state_dir: Option<&Path>,
    ) -> Result<Device, Problem> {
        let block = self
            .block(dev)
            .map_err(Problem::Unreadable)?
            .ok_or(Problem::Missing)?;
        let size = block.size().map_err(Problem::Unreadable)?;
        if size == 0 {
            return Err(empty::problem(&block));
        }
        match File::open(path) {
            // What is busy or broken stands in the facts.
            Err(error) if !matches!(Problem::of(path, &error), Problem::Unreadable(_)) => {
                return Err(Problem::of(path, &error));
            }
            _ => {}
        }
        self.block_facts(path, Some(path), &block, size, state_dir)
            .map_err(Problem::Unreadable)
    }

    /// `probe`: the node to ask for exclusive access, if that is to be asked.
    fn block_facts(
        &self,
        path: &Path,
        probe: Option<&Path>,
        block: &Block,
        size: u64,
        state_dir: Option<&Path>,
    ) -> Result<Device, String> {
        let (logical_block, physical_block) = drive::block_sizes(block)?;
        let identity = self.identity(block)?;
        let whole = block.whole()?;
        let mut contents = vec![content(block, path)?];
        for partition in block.partitions()? {
            contents.push(content(&partition, &self.node(&partition))?);
        }
        Ok(Device {
            path: path.to_path_buf(),
            name: block.name(),
            node: Node::Block {
                dev: block.dev,
                whole: whole.dev,
                whole_path: self.node(&whole),
                diskseq: drive::diskseq(block),
            },
            size,
            logical_block,
            physical_block,
            named: false,
            medium: drive::medium(block, &identity),
            slot: self.slot(block, identity.transport),
            identity,
            write_back: drive::write_back(block),
            contents,
            usage: state_dir.map_or_else(Usage::not_looked_at, |state_dir| {
                self.usage_of_block(probe, block, state_dir)
            }),
        })
    }

    /// Every disk, partition and loop device that has a size, in the order of
    /// their kernel names; not those that are memory.
    #[must_use]
    pub fn attached(&self) -> Vec<Attached> {
        let blocks = self.blocks().unwrap_or_default();
        blocks
            .iter()
            .filter(|block| {
                let name = base_name(&block.whole_dir);
                !name.starts_with("ram") && !name.starts_with("zram")
            })
            .filter(|block| !block.is_hidden())
            .filter(|block| block.size().is_ok_and(|size| size > 0))
            .filter_map(|block| {
                Some(Attached {
                    path: self.node(block),
                    name: block.name(),
                    identity: self.identity(block).ok()?,
                })
            })
            .collect()
    }
}

/// The other attached disks that report the same WWN or serial, so that neither
/// can be told from the other by it. `path`: the drive's own node, or that of
/// its disk.
pub fn sharing_id<'a>(
    path: &Path,
    identity: &Identity,
    attached: &'a [Attached],
) -> impl Iterator<Item = &'a Attached> {
    attached
        .iter()
        .filter(move |other| other.identity.kind == Kind::Disk && other.path != path)
        .filter(|other| other.identity.shares_id_with(identity))
}

fn content(block: &Block, node: &Path) -> Result<Content, String> {
    Ok(contents(block.name(), node, block.size()?))
}

fn contents(name: String, path: &Path, size: u64) -> Content {
    let (what, label) = content::look(path, size).unzip();
    let label = label.flatten();
    Content {
        name,
        size,
        group: what.and_then(|what| member::group(path, what, label.as_deref())),
        what,
        label,
    }
}

/// A disk with everything that a drive may tell and nothing against wiping it,
/// for tests.
#[cfg(test)]
pub mod example {
    use super::{Content as Found, DevId, Device, Fact, Medium, Node, Usage};
    use crate::identity::{Identity, Kind, Transport};

    /// Bytes of the disk.
    pub const SIZE: u64 = 18_000_207_937_536;

    /// `/dev/sdb`.
    #[must_use]
    pub fn disk() -> Device {
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
                kind: Kind::Disk,
                transport: Transport::Sata,
                vendor: Some("SEAGATE".into()),
                model: Some("ST18000NM004J".into()),
                serial: Some("ZR5A1B2C".into()),
                wwn: Some("5000c500d1a2b3c4".into()),
                firmware: Some("E002".into()),
                size: SIZE,
                logical_block: 4096,
                slice: None,
                backing: None,
                nature: None,
            },
            named: false,
            medium: Medium::Rotational,
            slot: Some("0:7".into()),
            write_back: Some(true),
            contents: vec![
                Found {
                    name: "sdb".into(),
                    size: SIZE,
                    what: Some("GPT"),
                    label: None,
                    group: None,
                },
                Found {
                    name: "sdb1".into(),
                    size: SIZE - 4096,
                    what: Some("ext4"),
                    label: Some("backup".into()),
                    group: None,
                },
            ],
            usage: Usage {
                busy: Fact::Known(false),
                read_only: Fact::Known(false),
                lies_at: None,
                mounts: Fact::Known(Vec::new()),
                swaps: Fact::Known(Vec::new()),
                holders: Fact::Known(Vec::new()),
                loops: Fact::Known(Vec::new()),
                openers: Fact::Known(Vec::new()),
                unseen: None,
                caches: Fact::Known(Vec::new()),
                leftovers: Fact::Known(Vec::new()),
                carries_state: Fact::Known(false),
                carries: Fact::Known(Vec::new()),
                host_managed: Fact::Known(false),
                extended: Fact::Known(None),
            },
        }
    }
}
