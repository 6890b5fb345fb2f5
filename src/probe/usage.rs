//! Whether and by what a target is used: what the kernel says about mounts,
//! swap, holders and loop devices, over all the layers above and below.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc::O_EXCL;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::below::{Layers, nearest_existing};
use super::content;
use super::foundation::Foundation;
use super::host::Host;
use super::mounts::{Entry, unescape};
use super::processes::{Elsewhere, remote};
use super::stack::{Stack, range};
use super::sysfs::{Block, Found, LoopFile, base_name, cannot_read, find, number};
use crate::drive::{Cache, Carried, DevId, Fact, Finding, Holder, Mount, Opener, Usage};
use crate::text::reason;

impl<T> From<Result<T, String>> for Fact<T> {
    fn from(result: Result<T, String>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(why) => Self::Unknown(why),
        }
    }
}

/// A fact about all that is built on a target; unknown where that is.
fn over<T>(
    stack: Result<&Stack, &String>,
    fact: impl FnOnce(&Stack) -> Result<T, String>,
) -> Fact<T> {
    stack.map_err(String::clone).and_then(fact).into()
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
        let foundation = Foundation::of_block(self, block);
        let stack = Stack::of(self, block);
        let stack = stack.as_ref();
        let mounted = self.mounts().and_then(|here| {
            let elsewhere = self.mounts_elsewhere()?;
            Ok(Mounted { here, elsewhere })
        });
        let mounts = over(stack, |stack| self.mounts_on(stack, mounted.as_ref()));
        Usage {
            busy: self.is_busy(path, block).into(),
            read_only: is_read_only(block).into(),
            lies_at: None,
            swaps: over(stack, |stack| self.swaps_on(stack)),
            holders: over(stack, |stack| {
                self.holders_of(stack, &mounts, path.is_some())
            }),
            mounts,
            loops: over(stack, |stack| self.loops_over_block(stack)),
            openers: over(stack, |stack| self.openers_of_block(stack, &mounted)),
            unseen: self.unseen(),
            caches: caches(&foundation),
            leftovers: self.leftovers(&foundation),
            carries_state: over(stack, |stack| self.carries_state(stack, state_dir)),
            carries: over(stack, |stack| self.carries(stack)),
            host_managed: is_host_managed(block).into(),
            extended: self.extended(block).into(),
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
        // Wanted to say how a read-only one is made writable.
        let mount = read_only
            .as_ref()
            .is_ok_and(|it| *it)
            .then(|| self.mount_over(path));
        let lies_at = mount.flatten().map(|mount| mount.point);
        let foundation = Foundation::of_file(self, path);
        Usage {
            // O_EXCL means nothing on a file.
            busy: Fact::Known(false),
            read_only: read_only.into(),
            lies_at,
            // A file is mounted through a loop device only, which `loops` finds.
            mounts: Fact::Known(Vec::new()),
            swaps: self.swap_files(file).into(),
            holders: Fact::Known(Vec::new()),
            loops: self.loops_over_image(path, size, file).into(),
            openers: self.openers_of_image(path, file).into(),
            unseen: self.unseen(),
            caches: caches(&foundation),
            leftovers: self.leftovers(&foundation),
            // A drive's state lies on a file through a loop device only, which
            // `loops` finds; the file may lie within the state, though.
            carries_state: lies_in(path, state_dir).into(),
            carries: Fact::Known(Vec::new()),
            host_managed: Fact::Known(false),
            extended: Fact::Known(None),
        }
    }

    fn leftovers(&self, foundation: &Result<Foundation, String>) -> Fact<Vec<Finding>> {
        let found = foundation.as_ref().map_err(String::clone);
        found.and_then(|all| all.leftovers(self)).into()
    }

    pub(super) fn shown(&self, block: &Block) -> String {
        self.node(block).to_string_lossy().into_owned()
    }

    /// Mounts in our namespace, then those that only others see: a mount in a
    /// hundred containers is said once.
    fn mounts_on(
        &self,
        stack: &Stack,
        mounted: Result<&Mounted, &String>,
    ) -> Result<Vec<Mount>, String> {
        let mounted = mounted.map_err(String::clone)?;
        let mut mounts = Vec::new();
        // The newest first: what is mounted below another is unmounted first.
        for entry in mounted.here.iter().rev() {
            if let Some(name) = self.mounted_name(stack, entry)? {
                mounts.push(Mount {
                    name,
                    point: entry.point.clone(),
                    by: None,
                });
            }
        }
        for Elsewhere {
            process,
            mounts: theirs,
        } in mounted.elsewhere.iter()
        {
            for entry in theirs.iter().rev() {
                let Some(name) = self.mounted_name(stack, entry)? else {
                    continue;
                };
                let said = |mount: &Mount| {
                    mount.name == name && (mount.by.is_none() || mount.point == entry.point)
                };
                if !mounts.iter().any(said) {
                    mounts.push(Mount {
                        name,
                        point: entry.point.clone(),
                        by: Some(process.clone()),
                    });
                }
            }
        }
        Ok(mounts)
    }

    /// Which of these devices a mount is of.
    fn mounted_name(&self, stack: &Stack, entry: &Entry) -> Result<Option<String>, String> {
        if let Some(name) = stack.name_of(entry.dev) {
            return Ok(Some(name));
        }
        let sources = self
            .members(entry)
            .unwrap_or_else(|| self.served_from(entry).into_iter().collect());
        for dev in sources {
            if let Some(name) = stack.name_of(dev) {
                return Ok(Some(name));
            }
            if let Some(name) = stack.name_in_pool(self, dev)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// What holds these devices. `labels`: whether to look for ZFS labels too;
    /// not where we hold the device, so that ZFS cannot.
    fn holders_of(
        &self,
        stack: &Stack,
        mounts: &Fact<Vec<Mount>>,
        labels: bool,
    ) -> Result<Vec<Holder>, String> {
        let mut holders = stack.holders.clone();
        // A pool whose mount is known needs no other reason.
        let is_mounted = |name: &str| match mounts {
            Fact::Known(mounts) => mounts.iter().any(|mount| mount.name == name),
            Fact::Unknown(_) => false,
        };
        let pools = self.pools_over(stack)?;
        holders.extend(pools.into_iter().filter(|pool| !is_mounted(&pool.name)));
        if labels {
            holders.extend(self.zfs_over(stack)?);
        }
        Ok(holders)
    }

    /// Processes that hold these devices, or the file behind one, open for
    /// writing.
    fn openers_of_block(
        &self,
        stack: &Stack,
        mounted: &Result<Mounted, String>,
    ) -> Result<Vec<Opener>, String> {
        let remote = mounted.as_ref().map_err(String::clone)?.remote(None);
        self.openers(&remote, |says, found| {
            if stack.is_kept_in(found) {
                return Some(base_name(says));
            }
            // A node that lies out of sight, too.
            let dev = match found {
                Found::Block(dev) => Some(dev),
                Found::File(..) => self.device_of_node(says),
            };
            let base = stack.base.iter().find(|block| Some(block.dev) == dev)?;
            stack.name_of(base.dev)
        })
    }

    fn openers_of_image(&self, path: &Path, file: Found) -> Result<Vec<Opener>, String> {
        let mounted = Mounted {
            here: self.mounts()?,
            elsewhere: self.mounts_elsewhere()?,
        };
        // Its own file system answered a moment ago.
        let own = match file {
            Found::File(dev, _) => Some(DevId::from_raw(dev)),
            Found::Block(_) => None,
        };
        let name = base_name(path);
        self.openers(&mounted.remote(own), |_, found| {
            (found == file).then(|| name.clone())
        })
    }

    /// What is active swap: path, and whether it is a file.
    fn swaps(&self) -> Result<Arc<Vec<(PathBuf, bool)>>, String> {
        self.once(|seen| &seen.swaps, || self.read_swaps())
    }

    fn read_swaps(&self) -> Result<Vec<(PathBuf, bool)>, String> {
        let path = self.proc.join("swaps");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            // A kernel without swap has no such file.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.proc.join("self/mountinfo").exists()
                    && !self.shows_processes_only() =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        // The heading is there even without swap: what lacks it is another file.
        if !text.starts_with(b"Filename") {
            return Err(format!("cannot understand {}", path.display()));
        }
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

    fn swaps_on(&self, stack: &Stack) -> Result<Vec<String>, String> {
        let mut swaps = Vec::new();
        for file in stack.below.iter().filter_map(|below| below.file.found) {
            swaps.extend(self.swap_files(file)?);
        }
        for (path, _) in self.swaps()?.iter().filter(|(_, is_file)| !is_file) {
            let dev = self.named(path).ok_or_else(|| {
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
        let swaps = self.swaps()?;
        Ok(swaps
            .iter()
            .filter(|(path, is_file)| *is_file && find(path).is_ok_and(|found| found == file))
            .map(|(path, _)| path.to_string_lossy().into_owned())
            .collect())
    }

    fn carries_state(&self, stack: &Stack, state_dir: &Path) -> Result<bool, String> {
        let mut drives = BTreeSet::new();
        nearest_existing(state_dir)
            .and_then(|there| self.drives_under(&there, Layers::Upper, &mut drives, 0))
            .map_err(|why| {
                let dir = state_dir.display();
                format!("cannot tell whether the state directory {dir} lies on it ({why})")
            })?;
        Ok(stack.is_under(&drives))
    }

    /// What of the running system lies here.
    fn carries(&self, stack: &Stack) -> Result<Vec<Carried>, String> {
        let mut carried = Vec::new();
        let root = || {
            let mut drives = BTreeSet::new();
            self.drives_of_root(&mut drives).map_err(|why| {
                format!("cannot tell whether the running system lies on it ({why})")
            })?;
            Ok(drives)
        };
        if stack.is_under(&*self.once(|seen| &seen.root, root)?) {
            carried.push(Carried::System);
        }
        let program = || {
            let mut drives = BTreeSet::new();
            let program = self.drives_of_program(&mut drives).map_err(|why| {
                format!("cannot tell whether the running program lies on it ({why})")
            })?;
            Ok((drives, program))
        };
        let program = self.once(|seen| &seen.program, program)?;
        if stack.is_under(&program.0) {
            carried.push(Carried::Program(program.1.clone()));
        }
        Ok(carried)
    }

    /// The partitions inside a partition, where there are some or it is there
    /// to hold some.
    fn extended(&self, target: &Block) -> Result<Option<Vec<String>>, String> {
        if !target.is_partition() {
            return Ok(None);
        }
        let whole = target.whole()?;
        let own = number(&target.dir, "partition")?;
        let (start, end) = range(target)?;
        let (mut inside, mut logical) = (Vec::new(), Vec::new());
        for other in whole.partitions()? {
            if other.dev == target.dev {
                continue;
            }
            if (start..end).contains(&range(&other)?.0) {
                inside.push(other.name());
            }
            if number(&other.dir, "partition")? > 4 {
                logical.push(other.name());
            }
        }
        if !inside.is_empty() {
            return Ok(Some(inside));
        }
        // Of an extended partition the kernel shows the first two sectors only,
        // block/partitions/msdos.c; the MBR says what it is.
        let most = number(&whole.dir, "queue/logical_block_size")?.max(1024);
        if own > 4 || target.size()? > most {
            return Ok(None);
        }
        let node = self.node(&whole);
        let is_extended =
            content::is_extended(&node, own).map_err(|error| cannot_read(&node, &error))?;
        Ok(is_extended.then_some(logical))
    }
}

fn caches(foundation: &Result<Foundation, String>) -> Fact<Vec<Cache>> {
    let found = foundation.as_ref().map_err(String::clone);
    found.map(Foundation::caches).into()
}

/// What is mounted, in our namespace and in others.
struct Mounted {
    here: Arc<Vec<Entry>>,
    elsewhere: Arc<Vec<Elsewhere>>,
}

impl Mounted {
    /// Mounts whose server may never answer. That of `answered` does.
    fn remote(&self, answered: Option<DevId>) -> BTreeSet<u64> {
        let elsewhere = self.elsewhere.iter().flat_map(|other| &other.mounts);
        let asked = self.here.iter().chain(elsewhere);
        remote(asked.filter(|entry| Some(entry.dev) != answered))
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

impl Host {
    /// Whether the kernel refuses exclusive access to the node, or to a block
    /// device below a loop device, at any depth.
    pub(super) fn is_busy(&self, path: Option<&Path>, block: &Block) -> Result<bool, String> {
        let mut nodes: Vec<PathBuf> = path.map(Path::to_path_buf).into_iter().collect();
        let mut below = block.loop_file()?;
        while let Some(LoopFile {
            path,
            found: Some(Found::Block(dev)),
        }) = below
        {
            nodes.push(path);
            below = match self.block(dev)? {
                Some(block) => block.loop_file()?,
                None => None,
            };
        }
        any_is_busy(nodes)
    }
}

fn any_is_busy(nodes: Vec<PathBuf>) -> Result<bool, String> {
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

/// A drive whose zones must be written in order takes no writes elsewhere.
/// Kernels that know no zones have no such attribute.
fn is_host_managed(block: &Block) -> Result<bool, String> {
    let path = block.whole_dir.join("queue/zoned");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim() == "host-managed"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_read(&path, &error)),
    }
}
