//! By what a block device is used: what the machine says, and what only the
//! device itself tells.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_EXCL;

use super::block::Block;
use super::devices::Devices;
use super::snapshot::Snapshot;
use super::stack::Stack;
use super::{member, signature, usage};
use crate::drive::{Fact, Holder, Usage};
use crate::probe::sysfs::cannot_read;
use crate::text::reason;

/// By what a block device is used. `node`: its own, to ask for exclusive access
/// and for ZFS labels; none where we hold it ourselves, so that ZFS cannot.
pub(super) fn usage_of_block(node: Option<&Path>, block: &Block, machine: &Snapshot) -> Usage {
    let devices = match machine.storage.devices() {
        Ok(devices) => devices,
        Err(why) => return usage::of_block(block, Err(&why), machine),
    };
    let stack = Stack::of(devices, block);
    let mut usage = usage::of_block(block, stack.as_ref(), machine);
    usage.busy = is_busy(devices, node, block).into();
    usage.extended = extended(devices, block).into();
    if let (Some(_), Ok(stack), Fact::Known(holders)) = (node, &stack, &mut usage.holders) {
        match zfs_over(devices, stack, machine) {
            Ok(pools) => holders.extend(pools),
            Err(why) => usage.holders = Fact::Unknown(why),
        }
    }
    usage
}

/// Whether the kernel refuses exclusive access to the node, or to a block device
/// below a loop device, at any depth.
pub(super) fn is_busy(
    devices: &Devices,
    node: Option<&Path>,
    block: &Block,
) -> Result<bool, String> {
    let mut nodes: Vec<PathBuf> = node.map(Path::to_path_buf).into_iter().collect();
    let mut above = block;
    while let Some(below) = devices.below_loop(above)? {
        nodes.extend(devices.file(above)?.map(|file| file.path.clone()));
        above = below;
    }
    for node in nodes {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(O_EXCL)
            .open(&node);
        match opened {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(true),
            Err(error) => {
                let why = reason(&error);
                return Err(format!("cannot open {}: {why}", node.display()));
            }
        }
    }
    Ok(false)
}

/// Imported ZFS pools of which a device here carries the label.
fn zfs_over(devices: &Devices, stack: &Stack, machine: &Snapshot) -> Result<Vec<Holder>, String> {
    let pools = machine.zfs.as_ref().map_err(String::clone)?;
    let mut holders = Vec::new();
    if pools.is_empty() {
        return Ok(holders);
    }
    for block in &stack.base {
        let name = block.name();
        let label = member::zfs_label(&devices.node(block)).map_err(|error| {
            let why = reason(&error);
            format!("cannot tell whether {name} belongs to an imported ZFS pool: {why}")
        })?;
        let Some(label) = label else { continue };
        let is_its = |guid: Option<u64>| guid.is_none_or(|guid| guid == label.guid);
        let mut of = pools.iter();
        if of.any(|pool| pool.name == label.pool && is_its(pool.guid)) {
            holders.push(Holder {
                name: stack.name_of(block.dev).unwrap_or(name),
                by: format!("ZFS pool {}", label.pool),
            });
        }
    }
    Ok(holders)
}

/// The partitions inside a partition, where there are some or it is there to hold
/// some.
fn extended(devices: &Devices, target: &Block) -> Result<Option<Vec<String>>, String> {
    if !target.is_partition() {
        return Ok(None);
    }
    let disk = devices.whole(target)?;
    let own = target.number("partition")?;
    let (start, end) = target.range()?;
    let (mut inside, mut logical) = (Vec::new(), Vec::new());
    for other in devices.partitions(disk)? {
        if other.dev == target.dev {
            continue;
        }
        if (start..end).contains(&other.range()?.0) {
            inside.push(other.name());
        }
        if other.number("partition")? > 4 {
            logical.push(other.name());
        }
    }
    if !inside.is_empty() {
        return Ok(Some(inside));
    }
    // Of an extended partition the kernel shows the first two sectors only,
    // block/partitions/msdos.c; the MBR says what it is.
    let most = disk.number("queue/logical_block_size")?.max(1024);
    if own > 4 || target.size()? > most {
        return Ok(None);
    }
    let node = devices.node(disk);
    let is_extended =
        signature::is_extended(&node, own).map_err(|error| cannot_read(&node, &error))?;
    Ok(is_extended.then_some(logical))
}
