//! Block devices as sysfs shows them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::{major, minor};

use super::drive;
use super::host::Host;
use crate::drive::{DevId, Identity};
use crate::text::reason;

/// A block device: a whole one or a partition.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Its number.
    pub dev: DevId,
    /// Its own directory, symbolic links resolved.
    pub dir: PathBuf,
    /// That of the whole disk; `dir` when it is one.
    pub whole_dir: PathBuf,
}

/// A whole disk and what it is, or why that cannot be read.
pub(super) type Disk = (Block, Result<Identity, String>);

/// The file behind a loop device.
#[derive(Debug)]
pub(super) struct LoopFile {
    /// As the kernel names it, maybe with ` (deleted)`.
    pub path: PathBuf,
    /// What is there now; `None` when it was deleted or lies out of sight.
    pub found: Option<Found>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A file: `st_dev` and inode.
    File(u64, u64),
    /// A block device.
    Block(DevId),
}

/// `cannot read PATH: REASON`.
pub(super) fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {}", path.display(), reason(error))
}

/// The names in a directory, sorted.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Text without the white space and NULs around it; `None` when nothing is left.
pub(super) fn clean(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_string())
}

/// An attribute that not every device has.
pub(super) fn attribute(dir: &Path, name: &str) -> Option<String> {
    std::fs::read(dir.join(name))
        .ok()
        .and_then(|bytes| clean(&bytes))
}

/// An attribute that is a number and that every device has.
pub(super) fn number(dir: &Path, name: &str) -> Result<u64, String> {
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| cannot_read(&path, &error))?;
    text.trim()
        .parse()
        .map_err(|_| format!("{} is not a number", path.display()))
}

/// The file name, as text.
pub(super) fn base_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

impl DevId {
    /// From `st_rdev` or `st_dev`.
    #[must_use]
    pub fn from_raw(raw: u64) -> Self {
        Self {
            major: major(raw),
            minor: minor(raw),
        }
    }

    /// From `8:16`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

impl Block {
    /// The device whose sysfs directory, or a link to it, this is.
    pub(super) fn at(link: &Path) -> Result<Self, String> {
        let dir = link
            .canonicalize()
            .map_err(|error| cannot_read(link, &error))?;
        let number = dir.join("dev");
        let text =
            std::fs::read_to_string(&number).map_err(|error| cannot_read(&number, &error))?;
        let dev = DevId::parse(&text)
            .ok_or_else(|| format!("{} is not a device number", number.display()))?;
        let whole_dir = match dir.parent() {
            Some(parent) if dir.join("partition").exists() => parent.to_path_buf(),
            _ => dir.clone(),
        };
        Ok(Self {
            dev,
            dir,
            whole_dir,
        })
    }

    /// The kernel's name, such as `sdb1`.
    pub(super) fn name(&self) -> String {
        base_name(&self.dir)
    }

    pub(super) fn is_partition(&self) -> bool {
        self.dir != self.whole_dir
    }

    /// Whether it is a path of an `NVMe` drive that has several: the kernel makes
    /// no node for it.
    pub(super) fn is_hidden(&self) -> bool {
        attribute(&self.whole_dir, "hidden").as_deref() == Some("1")
    }

    /// The whole disk; itself when it is one.
    pub(super) fn whole(&self) -> Result<Self, String> {
        Self::at(&self.whole_dir)
    }

    /// Its partitions, in the order of their numbers; none of a partition.
    pub(super) fn partitions(&self) -> Result<Vec<Self>, String> {
        if self.is_partition() {
            return Ok(Vec::new());
        }
        let mut partitions = list(&self.dir)
            .map_err(|error| cannot_read(&self.dir, &error))?
            .into_iter()
            .filter(|dir| dir.join("partition").exists())
            .map(|dir| Ok((number(&dir, "partition")?, Self::at(&dir)?)))
            .collect::<Result<Vec<_>, String>>()?;
        partitions.sort_by_key(|(number, _)| *number);
        Ok(partitions.into_iter().map(|(_, block)| block).collect())
    }

    /// The devices that hold it.
    pub(super) fn holders(&self) -> Result<Vec<Self>, String> {
        let dir = self.dir.join("holders");
        let holders = list(&dir).map_err(|error| cannot_read(&dir, &error))?;
        holders.iter().map(|link| Self::at(link)).collect()
    }

    /// The devices that it is made of.
    pub(super) fn slaves(&self) -> Result<Vec<Self>, String> {
        let dir = self.whole_dir.join("slaves");
        match list(&dir) {
            Ok(slaves) => slaves.iter().map(|link| Self::at(link)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(cannot_read(&dir, &error)),
        }
    }

    /// Bytes. sysfs counts in 512 bytes whatever the block size.
    pub(super) fn size(&self) -> Result<u64, String> {
        let sectors = number(&self.dir, "size")?;
        sectors
            .checked_mul(512)
            .ok_or_else(|| format!("{} is too large", self.dir.join("size").display()))
    }

    /// The file behind it or behind its whole disk; `None` where that is no
    /// loop device, or one with nothing behind it.
    pub(super) fn loop_file(&self) -> Result<Option<LoopFile>, String> {
        let attribute = self.whole_dir.join("loop/backing_file");
        let bytes = match std::fs::read(&attribute) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // It was detached while we looked.
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => return Ok(None),
            Err(error) => return Err(cannot_read(&attribute, &error)),
        };
        // A file name may itself end in a line feed.
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if bytes.is_empty() {
            return Ok(None);
        }
        let path = PathBuf::from(OsStr::from_bytes(bytes));
        let found = find_in_time(&path);
        Ok(Some(LoopFile { path, found }))
    }
}

/// What a path leads to.
pub(super) fn find(path: &Path) -> io::Result<Found> {
    let metadata = std::fs::metadata(path)?;
    Ok(if metadata.file_type().is_block_device() {
        Found::Block(DevId::from_raw(metadata.rdev()))
    } else {
        Found::File(metadata.dev(), metadata.ino())
    })
}

/// How long a file may take to be found. What takes longer lies on a server
/// that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// [`find`] for a file of somebody else's, which must not hang this program;
/// `None` where it cannot be found in time, then and ever after.
fn find_in_time(path: &Path) -> Option<Found> {
    static SILENT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let silent = || SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    if silent().contains(path) {
        return None;
    }
    let (sender, receiver) = mpsc::channel();
    let theirs = path.to_path_buf();
    let finder = std::thread::Builder::new().name("finder".into());
    let looked = finder.spawn(move || {
        // Nobody listens any more after the timeout.
        let _ = sender.send(find(&theirs).ok());
    });
    if looked.is_err() {
        // Without a thread to lose it is looked for here: what a disk is used
        // for must be known.
        return find(path).ok();
    }
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        silent().insert(path.to_path_buf());
        None
    })
}

impl Host {
    /// The block device with this number; `None` when there is none.
    pub(super) fn block(&self, dev: DevId) -> Result<Option<Block>, String> {
        let all = self.sys.join("dev/block");
        let link = all.join(format!("{}:{}", dev.major, dev.minor));
        match link.symlink_metadata() {
            Ok(_) => Block::at(&link).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound && all.exists() => Ok(None),
            Err(error) => Err(cannot_read(&link, &error)),
        }
    }

    /// All block devices.
    pub(super) fn blocks(&self) -> Result<Arc<Vec<Block>>, String> {
        self.once(|seen| &seen.blocks, || self.read_blocks())
    }

    fn read_blocks(&self) -> Result<Vec<Block>, String> {
        let all = self.sys.join("class/block");
        let links = list(&all).map_err(|error| cannot_read(&all, &error))?;
        let block = |link: &PathBuf| match Block::at(link) {
            // One that goes away meanwhile is no longer there.
            Err(_) if !link.join("dev").exists() => None,
            block => Some(block),
        };
        links.iter().filter_map(block).collect()
    }

    /// All whole disks that have a node, each with what it is.
    pub(super) fn disks(&self) -> Result<Arc<Vec<Disk>>, String> {
        let read = || {
            let blocks = self.blocks()?;
            let disks = blocks
                .iter()
                .filter(|block| !block.is_partition() && !block.is_hidden());
            Ok(disks
                .map(|block| (block.clone(), drive::identity(block)))
                .collect())
        };
        self.once(|seen| &seen.disks, read)
    }

    /// Which drive a block device is. Read from it, unless all disks were asked
    /// already: one target is no reason to ask the others.
    pub(super) fn identity(&self, block: &Block) -> Result<Identity, String> {
        let disks = self.seen.as_ref().and_then(|seen| seen.disks.get());
        let all = disks.and_then(|disks| disks.as_ref().ok());
        let known = all.and_then(|all| all.iter().find(|(disk, _)| disk.dev == block.dev));
        known.map_or_else(|| drive::identity(block), |(_, identity)| identity.clone())
    }

    /// The node of a device. In a name `!` stands for the slash of
    /// `/dev/cciss/c0d0`.
    pub(super) fn node(&self, block: &Block) -> PathBuf {
        self.dev.join(block.name().replace('!', "/"))
    }

    /// The device whose node a path would be, by its name.
    pub(super) fn device_of_node(&self, path: &Path) -> Option<DevId> {
        let name = path.strip_prefix(&self.dev).ok()?.to_str()?;
        let link = self.sys.join("class/block").join(name.replace('/', "!"));
        Block::at(&link).ok().map(|block| block.dev)
    }

    /// The device behind a path of `/proc`'s files: by its node, or by its name
    /// where the node lies out of sight, as in a container.
    pub(super) fn named(&self, path: &Path) -> Option<DevId> {
        if !path.is_absolute() {
            return None;
        }
        if let Ok(Found::Block(dev)) = find(path) {
            return Some(dev);
        }
        let link = self.sys.join("class/block").join(path.file_name()?);
        Block::at(&link).ok().map(|block| block.dev)
    }
}
