//! Whether and by what a target is used: what the kernel says about mounts,
//! swap, holders and loop devices, over all the layers above and below.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_EXCL;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::below::nearest_existing;
use super::mounts::unescape;
use super::sysfs::{Block, Found, attribute, cannot_read, find, number};
use super::{DevId, Fact, Holder, Host, Mount, Usage};
use crate::text::reason;

impl<T> From<Result<T, String>> for Fact<T> {
    fn from(result: Result<T, String>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(why) => Self::Unknown(why),
        }
    }
}

/// A target and everything that is built on it.
struct Stack {
    /// What would be overwritten, and the whole disk of a partition.
    base: Vec<Block>,
    /// That and everything above.
    all: Vec<Block>,
    /// Who holds what; who must let go first comes first.
    holders: Vec<Holder>,
}

impl Stack {
    fn of(host: &Host, target: &Block) -> Result<Self, String> {
        let mut stack = Self {
            base: Vec::new(),
            all: Vec::new(),
            holders: Vec::new(),
        };
        stack.put_under(host, target)?;
        for block in stack.base.clone() {
            stack.climb(&block)?;
        }
        Ok(stack)
    }

    fn put_under(&mut self, host: &Host, target: &Block) -> Result<(), String> {
        if self.base.iter().any(|block| block.dev == target.dev) {
            return Ok(());
        }
        self.base.push(target.clone());
        self.base.extend(target.partitions()?);
        if target.is_partition() {
            self.base.push(target.whole()?);
        }
        // A loop device may lie over another block device, and does not hold it.
        if let Some(Found::Block(dev)) = target.loop_file()?.and_then(|file| file.found)
            && let Some(below) = host.block(dev)?
        {
            self.put_under(host, &below)?;
        }
        Ok(())
    }

    fn climb(&mut self, block: &Block) -> Result<(), String> {
        if self.all.iter().any(|known| known.dev == block.dev) {
            return Ok(());
        }
        self.all.push(block.clone());
        for holder in block.holders()? {
            self.climb(&holder)?;
            for partition in holder.partitions()? {
                self.climb(&partition)?;
            }
            self.holders.push(Holder {
                name: block.name(),
                by: full_name(&holder),
            });
        }
        Ok(())
    }

    fn name_of(&self, dev: DevId) -> Option<String> {
        self.all
            .iter()
            .find(|block| block.dev == dev)
            .map(Block::name)
    }

    /// A device of a pool that has a member here.
    fn name_in_pool(&self, host: &Host, dev: DevId) -> Option<String> {
        let pool = host.pool_of(dev);
        self.all
            .iter()
            .find(|block| pool.contains(&block.dev))
            .map(Block::name)
    }
}

/// A fact about all that is built on a target; unknown where that is.
fn over<T>(
    stack: Result<&Stack, &String>,
    fact: impl FnOnce(&Stack) -> Result<T, String>,
) -> Fact<T> {
    stack.map_err(String::clone).and_then(fact).into()
}

/// `dm-0 (vg0-home)`, `md127`.
fn full_name(block: &Block) -> String {
    let name = block.name();
    match attribute(&block.dir, "dm/name") {
        Some(label) => format!("{name} ({label})"),
        None => name,
    }
}

impl Host {
    /// How a block device is used. `path`: the node to ask for exclusive access;
    /// none where we hold it ourselves.
    pub(super) fn usage_of_block(
        &self,
        path: Option<&Path>,
        block: &Block,
        state_dir: &Path,
    ) -> Usage {
        let stack = Stack::of(self, block);
        let stack = stack.as_ref();
        Usage {
            busy: is_busy(path, block).into(),
            read_only: is_read_only(block).into(),
            mounts: over(stack, |stack| self.mounts_on(stack)),
            swaps: over(stack, |stack| self.swaps_on(stack, block)),
            holders: over(stack, |stack| Ok(stack.holders.clone())),
            loops: over(stack, |stack| self.loops_over_block(stack, block)),
            carries_state: over(stack, |stack| self.carries(stack, state_dir)),
        }
    }

    /// How an image is used.
    pub(super) fn usage_of_image(
        &self,
        path: &Path,
        size: u64,
        file: Found,
        state_dir: &Path,
    ) -> Usage {
        let read_only = statvfs(path)
            .map(|fs| fs.flags().contains(FsFlags::ST_RDONLY))
            .map_err(|error| {
                format!(
                    "cannot ask the file system of {}: {}",
                    path.display(),
                    reason(&error.into())
                )
            });
        Usage {
            // O_EXCL means nothing on a file.
            busy: Fact::Known(false),
            read_only: read_only.into(),
            // A file is mounted through a loop device only, which `loops` finds.
            mounts: Fact::Known(Vec::new()),
            swaps: self.swap_files(file).into(),
            holders: Fact::Known(Vec::new()),
            loops: self.loops_over_image(path, size, file).into(),
            // A drive's state lies on a file through a loop device only, which
            // `loops` finds; the file may lie within the state, though.
            carries_state: lies_in(path, state_dir).into(),
        }
    }

    fn shown(&self, block: &Block) -> String {
        self.node(block).to_string_lossy().into_owned()
    }

    fn mounts_on(&self, stack: &Stack) -> Result<Vec<Mount>, String> {
        let mut mounts = Vec::new();
        for entry in self.mounts()? {
            let name = stack.name_of(entry.dev).or_else(|| {
                let dev = self.members(&entry)?;
                dev.iter().find_map(|dev| {
                    stack
                        .name_of(*dev)
                        .or_else(|| stack.name_in_pool(self, *dev))
                })
            });
            if let Some(name) = name {
                mounts.push(Mount {
                    name,
                    point: entry.point,
                });
            }
        }
        // The newest first: what is mounted below another is unmounted first.
        mounts.reverse();
        Ok(mounts)
    }

    /// What is active swap: path, and whether it is a file.
    fn swaps(&self) -> Result<Vec<(PathBuf, bool)>, String> {
        let path = self.proc.join("swaps");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            // A kernel without swap has no such file.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.proc.join("self/mountinfo").exists() =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        let lines = text.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let mut fields = line
                    .split(u8::is_ascii_whitespace)
                    .filter(|f| !f.is_empty());
                match (fields.next(), fields.next()) {
                    (Some(name), Some(kind)) => Ok((unescape(name), kind == b"file")),
                    _ => Err(format!("cannot understand {}", path.display())),
                }
            })
            .collect()
    }

    fn swaps_on(&self, stack: &Stack, target: &Block) -> Result<Vec<String>, String> {
        let mut swaps = match target.loop_file()?.and_then(|file| file.found) {
            Some(file) => self.swap_files(file)?,
            None => Vec::new(),
        };
        for (path, _) in self.swaps()?.into_iter().filter(|(_, is_file)| !is_file) {
            let dev = self.named(&path).ok_or_else(|| {
                format!("cannot tell which device the swap {} is", path.display())
            })?;
            if stack.name_of(dev).is_some() {
                swaps.push(path.to_string_lossy().into_owned());
            }
        }
        Ok(swaps)
    }

    /// Swap files that are this file. One that lies out of sight is left to the
    /// kernel, which lets nobody write to an active swap file.
    fn swap_files(&self, file: Found) -> Result<Vec<String>, String> {
        let swaps = self.swaps()?.into_iter();
        Ok(swaps
            .filter(|(path, is_file)| *is_file && find(path).is_ok_and(|found| found == file))
            .map(|(path, _)| path.to_string_lossy().into_owned())
            .collect())
    }

    /// Every loop device with a file behind it: its name for that file, and
    /// what is there now.
    fn loops(&self) -> Result<Vec<(Block, PathBuf, Option<Found>)>, String> {
        let mut loops = Vec::new();
        for block in self.blocks()? {
            if !block.is_partition()
                && let Some(file) = block.loop_file()?
            {
                loops.push((block, file.path, file.found));
            }
        }
        Ok(loops)
    }

    /// Loop devices over an image. One whose file cannot be found, as it was
    /// deleted or lies in another mount namespace, may be over another name of
    /// the image: sysfs shows no inode, so its size has to tell.
    fn loops_over_image(&self, path: &Path, size: u64, file: Found) -> Result<Vec<String>, String> {
        // On an overlay a file has another inode than in the layer below, where
        // the loop device may see it.
        let disguised = statfs(path).is_ok_and(|fs| fs.filesystem_type() == OVERLAYFS_SUPER_MAGIC);
        let (mut over, mut unknown) = (Vec::new(), None);
        for (block, path, found) in self.loops()? {
            if found == Some(file) {
                over.push(self.shown(&block));
            } else if (found.is_none() || disguised) && could_be_over(&block, size)? {
                unknown = Some(hidden(&path, &self.shown(&block)));
            }
        }
        certain_first(over, unknown)
    }

    /// Loop devices over this device, or over the same file: the kernel's
    /// exclusive access knows of neither.
    fn loops_over_block(&self, stack: &Stack, target: &Block) -> Result<Vec<String>, String> {
        let own = target.loop_file()?;
        let is_over = |found: Option<Found>| {
            let over = |block: &Block| found == Some(Found::Block(block.dev));
            stack.base.iter().any(over)
        };
        let (mut over, mut unknown) = (Vec::new(), None);
        for (block, path, found) in self.loops()? {
            if block.dir == target.whole_dir {
                continue;
            }
            let twin = match (&own, found) {
                (Some(own), Some(found)) if own.found.is_some() => own.found == Some(found),
                // One of the two cannot be found: the other may be another name
                // of the same file.
                (Some(own), _) if own.path == path => true,
                (Some(_), _) if block.size()? == target.whole()?.size()? => {
                    unknown = Some(hidden(&path, &self.shown(&block)));
                    false
                }
                _ => false,
            };
            if twin || is_over(found) {
                over.push(self.shown(&block));
            }
        }
        certain_first(over, unknown)
    }

    fn carries(&self, stack: &Stack, state_dir: &Path) -> Result<bool, String> {
        let mut drives = BTreeSet::new();
        nearest_existing(state_dir)
            .and_then(|there| self.drives_under(&there, &mut drives, 0))
            .map_err(|why| {
                let dir = state_dir.display();
                format!("cannot tell whether the state directory {dir} lies on it ({why})")
            })?;
        let carries = |block: &Block| drives.contains(&block.dev);
        Ok(stack.base.iter().any(carries))
    }
}

/// Whether a file lies in a directory, at any depth.
fn lies_in(file: &Path, dir: &Path) -> Result<bool, String> {
    let Ok(dir) = std::fs::metadata(dir) else {
        // It does not exist yet, so nothing lies in it.
        return Ok(false);
    };
    let file = file
        .canonicalize()
        .map_err(|error| cannot_read(file, &error))?;
    for above in file.ancestors().skip(1) {
        let meta = std::fs::metadata(above).map_err(|error| cannot_read(above, &error))?;
        if (meta.dev(), meta.ino()) == (dir.dev(), dir.ino()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is certain says more than what cannot be told.
fn certain_first(over: Vec<String>, unknown: Option<String>) -> Result<Vec<String>, String> {
    match unknown {
        Some(why) if over.is_empty() => Err(why),
        _ => Ok(over),
    }
}

fn hidden(file: &Path, by: &str) -> String {
    format!(
        "cannot tell whether {by} is over the same file: its own, {}, cannot be found, and its \
         size fits",
        file.display()
    )
}

/// Whether a loop device has the size that one over a file of `size` bytes has.
fn could_be_over(block: &Block, size: u64) -> Result<bool, String> {
    let attributes = block.dir.join("loop");
    let offset = number(&attributes, "offset")?;
    let limit = number(&attributes, "sizelimit")?;
    let rest = size.saturating_sub(offset);
    let shown = if limit == 0 { rest } else { rest.min(limit) };
    Ok(shown > 0 && block.size()? == shown / 512 * 512)
}

/// Whether the kernel refuses exclusive access to the node, or to the block
/// device below a loop device.
pub(super) fn is_busy(path: Option<&Path>, block: &Block) -> Result<bool, String> {
    let mut nodes: Vec<PathBuf> = path.map(Path::to_path_buf).into_iter().collect();
    if let Some(file) = block.loop_file()?
        && matches!(file.found, Some(Found::Block(_)))
    {
        nodes.push(file.path);
    }
    for node in nodes {
        match OpenOptions::new()
            .read(true)
            .custom_flags(O_EXCL)
            .open(&node)
        {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(true),
            Err(error) => {
                return Err(format!(
                    "cannot open {}: {}",
                    node.display(),
                    reason(&error)
                ));
            }
        }
    }
    Ok(false)
}

/// Older kernels show the disk's switch on the disk only.
fn is_read_only(block: &Block) -> Result<bool, String> {
    Ok(number(&block.dir, "ro")? != 0 || number(&block.whole_dir, "ro")? != 0)
}
