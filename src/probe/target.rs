//! All facts about a target, put together.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::asked::usage_of_block;
use super::block::Block;
use super::devices::Devices;
use super::foundation::Foundation;
use super::ground::{Ground, Grounds};
use super::host::Host;
use super::snapshot::Snapshot;
use super::storage::Storage;
use super::sysfs::{FileId, cannot_read};
use super::{identify, image, no_capacity, signature};
use crate::drive::{Cache, DevId, Device, Fact, NoTarget, Node, Usage};

impl Host {
    /// All facts about a target. Reads only.
    pub fn device(&self, path: &Path, state_dir: &Path) -> Result<Device, NoTarget> {
        self.look(path, Some(state_dir))
    }

    /// Which target it is, but nothing of what uses it: for that counts as
    /// unknown, which is never harmless. Reads only.
    pub(crate) fn glance(&self, path: &Path) -> Result<Device, NoTarget> {
        self.look(path, None)
    }

    /// `state_dir`: where state is kept, if what uses the target is looked at.
    fn look(&self, path: &Path, state_dir: Option<&Path>) -> Result<Device, NoTarget> {
        let metadata = std::fs::metadata(path).map_err(|error| NoTarget::of(path, &error))?;
        let kind = metadata.file_type();
        if kind.is_block_device() {
            self.block_target(path, DevId::from_raw(metadata.rdev()), state_dir)
        } else if kind.is_file() {
            let mut device = image::device(path, &metadata)?;
            if let Some(state_dir) = state_dir {
                let (dev, inode) = (metadata.dev(), metadata.ino());
                device.usage = self.usage_of_image(path, &device, dev, inode, state_dir);
            }
            Ok(device)
        } else {
            Err(NoTarget::NotATarget(if kind.is_dir() {
                "a directory"
            } else if kind.is_char_device() {
                "a character device"
            } else if kind.is_fifo() {
                "a pipe"
            } else {
                "a socket"
            }))
        }
    }

    /// The device with this number, behind a path.
    pub(super) fn block_target(
        &self,
        path: &Path,
        dev: DevId,
        state_dir: Option<&Path>,
    ) -> Result<Device, NoTarget> {
        let machine = state_dir.map(|state_dir| Snapshot::take(self, state_dir));
        let read;
        let devices = if let Some(machine) = &machine {
            machine.storage.devices()
        } else {
            read = Devices::read(self);
            read.as_ref().map_err(String::clone)
        };
        let devices = devices.map_err(NoTarget::Unreadable)?;
        let block = devices.block(dev).ok_or(NoTarget::Missing)?;
        if block.size().map_err(NoTarget::Unreadable)? == 0 {
            return Err(no_capacity::problem(block));
        }
        match File::open(path) {
            // What is busy or broken stands in the facts.
            Err(error) if !matches!(NoTarget::of(path, &error), NoTarget::Unreadable(_)) => {
                return Err(NoTarget::of(path, &error));
            }
            _ => {}
        }
        let mut device = block_facts(devices, path, block).map_err(NoTarget::Unreadable)?;
        if let Some(machine) = &machine {
            device.usage = usage_of_block(Some(path), block, machine);
        }
        Ok(device)
    }

    /// The caches that hold back what was written to a target that we hold open
    /// exclusively, now.
    pub(crate) fn caches(&self, device: &Device) -> Result<Vec<Cache>, String> {
        let storage = Storage::read(self);
        let (devices, grounds) = (storage.devices()?, Grounds::read(&storage));
        let file = Ground::of(&storage, &device.path);
        let foundation = match device.node {
            Node::Block { dev, .. } => match devices.block(dev) {
                Some(block) => Foundation::of_block(devices, &grounds, block)?,
                // One that has gone holds nothing back any more.
                None => return Ok(Vec::new()),
            },
            Node::Image { .. } => Foundation::of_file(devices, &grounds, file.as_ref())?,
        };
        Ok(foundation.caches())
    }

    /// The facts about a target that we hold open exclusively, read again
    /// without opening it again.
    /// Fails with what differs, for people.
    pub fn held(&self, device: &Device, state_dir: &Path) -> Result<Device, String> {
        let mut now = device.clone();
        match device.node {
            Node::Block { dev, diskseq, .. } => {
                let machine = Snapshot::take(self, state_dir);
                let devices = machine.storage.devices()?;
                let block = devices.block(dev).ok_or("it has gone")?;
                if identify::diskseq(devices.whole(block)?) != diskseq {
                    return Err("another disk has its name".into());
                }
                now.size = block.size()?;
                now.identity = devices.identity(block)?;
                now.usage = usage_of_block(None, block, &machine);
            }
            Node::Image { dev, inode } => {
                let path = &device.path;
                let metadata =
                    std::fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
                if (metadata.dev(), metadata.ino()) != (dev, inode) {
                    return Err("another file has its name".into());
                }
                now.size = metadata.len();
                now.usage = self.usage_of_image(path, &now, dev, inode, state_dir);
            }
        }
        if now.size != device.size || now.identity != device.identity {
            return Err("its size or identity differs".into());
        }
        Ok(now)
    }

    fn usage_of_image(
        &self,
        path: &Path,
        device: &Device,
        dev: u64,
        inode: u64,
        state_dir: &Path,
    ) -> Usage {
        let file = FileId::File(dev, inode);
        let machine = Snapshot::take_for(self, state_dir, Some(file));
        image::usage(path, device.size, file, &machine, state_dir)
    }

    /// What uses a target that we hold open, after it was written: mounts, swap,
    /// holders, loop devices and other processes. Whatever else `device` says of
    /// it counts for nothing. `descriptor`: a path to an image's file whatever
    /// its names are now.
    /// Fails where it is not there any more, with the reason.
    pub fn used_now(
        &self,
        device: &Device,
        descriptor: &Path,
        state_dir: &Path,
    ) -> Result<Device, String> {
        let mut now = device.clone();
        now.usage = match device.node {
            Node::Block { dev, diskseq, .. } => {
                if let Some(why) = self.has_gone(dev, diskseq) {
                    return Err(why);
                }
                let machine = Snapshot::take(self, state_dir);
                match machine.storage.block(dev) {
                    Ok(Some(block)) => usage_of_block(None, block, &machine),
                    Ok(None) => return Err("it has gone".into()),
                    Err(why) => Usage::unknown(&why),
                }
            }
            Node::Image { dev, inode } => {
                self.usage_of_image(descriptor, device, dev, inode, state_dir)
            }
        };
        now.usage.busy = Fact::Known(false);
        now.usage.read_only = Fact::Known(false);
        now.usage.carries_state = Fact::Known(false);
        now.usage.carries = Fact::Known(Vec::new());
        now.usage.host_managed = Fact::Known(false);
        now.usage.extended = Fact::Known(None);
        Ok(now)
    }
}

/// All facts about a block device but its use.
pub(super) fn block_facts(devices: &Devices, path: &Path, block: &Block) -> Result<Device, String> {
    let disk = devices.whole(block)?;
    let (logical_block, physical_block) = identify::block_sizes(disk)?;
    let identity = devices.identity(block)?;
    let size = block.size()?;
    let mut contents = vec![signature::of(block.name(), path, size)];
    for partition in devices.partitions(block)? {
        let node = devices.node(partition);
        contents.push(signature::of(partition.name(), &node, partition.size()?));
    }
    Ok(Device {
        path: path.to_path_buf(),
        name: block.name(),
        node: Node::Block {
            dev: block.dev,
            whole: disk.dev,
            whole_path: devices.node(disk),
            diskseq: identify::diskseq(disk),
        },
        size,
        logical_block,
        physical_block,
        named: false,
        medium: identify::medium(disk, &identity),
        slot: devices.slot(disk, identity.transport),
        identity,
        write_back: identify::write_back(disk),
        contents,
        usage: Usage::not_looked_at(),
    })
}
