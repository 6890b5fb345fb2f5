//! Facts about a block device or a disk image, read from the kernel.
//!
//! Nothing here decides whether a device may be wiped (that is `guard`), and
//! nothing here writes.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::foundation::Foundation;
use super::sysfs::{Block, Found, base_name, cannot_read};
use super::{content, drive, empty, member, snapshot};
use crate::drive::{
    Attached, Backing, Cache, Content, DevId, Device, Fact, Identity, Kind, Medium, Nature, Node,
    Problem, Transport, Usage, path_to_text,
};

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
    pub(super) seen: Option<std::sync::Arc<snapshot::Snapshot>>,
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
    pub(super) fn block_target(
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
    pub(super) fn block_facts(
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
