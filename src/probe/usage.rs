//! By what a block device is used: what the kernel says about mounts, swap,
//! holders and loop devices, over all the layers above and below. Pure: it looks
//! at a snapshot only.

use super::block::Block;
use super::foundation::Foundation;
use super::loops;
use super::mounts::Entry;
use super::snapshot::Snapshot;
use super::stack::Stack;
use super::swaps::SwapOn;
use super::sysfs::FileId;
use crate::drive::{Carried, Fact, Holder, Mount, Opener, Usage};

/// By what a block device is used, as far as the machine says: what only the
/// device itself tells remains unknown. `stack`: what is built on it.
pub(super) fn of_block(block: &Block, stack: Result<&Stack, &String>, machine: &Snapshot) -> Usage {
    fn over<'a, T>(
        stack: Result<&'a Stack<'a>, &String>,
        fact: impl FnOnce(&'a Stack<'a>) -> Result<T, String>,
    ) -> Fact<T> {
        stack.map_err(String::clone).and_then(fact).into()
    }
    let devices = machine.storage.devices();
    let disk = devices.clone().and_then(|devices| devices.whole(block));
    let foundation = devices
        .clone()
        .and_then(|devices| Foundation::of_block(devices, &machine.grounds, block));
    let mounts = over(stack, |stack| mounts(stack, machine));
    Usage {
        read_only: disk
            .clone()
            .and_then(|disk| is_read_only(block, disk))
            .into(),
        swaps: over(stack, |stack| swaps(stack, machine)),
        holders: over(stack, |stack| holders(stack, &mounts, machine)),
        mounts,
        loops: over(stack, |stack| loops::over_block(devices?, stack)),
        openers: over(stack, |stack| openers(stack, machine)),
        carries_state: over(stack, |stack| {
            Ok(stack.is_under(machine.state.as_ref().map_err(String::clone)?))
        }),
        carries: over(stack, |stack| carries(stack, machine)),
        host_managed: disk.and_then(is_host_managed).into(),
        ..resting_on(&foundation, machine)
    }
}

/// What is known of the use of a target by what it rests on.
pub(super) fn resting_on(foundation: &Result<Foundation, String>, machine: &Snapshot) -> Usage {
    let foundation = foundation.as_ref().map_err(String::clone);
    Usage {
        unseen: machine.unseen,
        caches: foundation.clone().map(Foundation::caches).into(),
        leftovers: foundation.and_then(Foundation::leftovers).into(),
        ..Usage::not_looked_at()
    }
}

/// Mounts in our namespace, then those that only others see: a mount in a
/// hundred containers is said once.
fn mounts(stack: &Stack, machine: &Snapshot) -> Result<Vec<Mount>, String> {
    let (here, elsewhere) = machine.mounted()?;
    let mut mounts: Vec<Mount> = Vec::new();
    let here = here.iter().rev().map(|entry| (entry, None));
    let theirs = elsewhere.iter().flat_map(|other| {
        let entries = other.mounts.iter().rev();
        entries.map(|entry| (entry, Some(&other.process)))
    });
    // The newest first: what is mounted below another is unmounted first.
    for (entry, by) in here.chain(theirs) {
        let Some(name) = mounted_name(stack, entry, machine)? else {
            continue;
        };
        let said = |mount: &Mount| {
            mount.name == name && (mount.by.is_none() || mount.point == entry.point)
        };
        if by.is_none() || !mounts.iter().any(said) {
            mounts.push(Mount {
                name,
                point: entry.point.clone(),
                by: by.cloned(),
            });
        }
    }
    Ok(mounts)
}

fn mounted_name(
    stack: &Stack,
    entry: &Entry,
    machine: &Snapshot,
) -> Result<Option<String>, String> {
    if let Some(name) = stack.name_of(entry.dev) {
        return Ok(Some(name));
    }
    for dev in &entry.sources {
        let pool = machine.storage.pool_of(*dev)?;
        let name = stack.name_of(*dev).or_else(|| stack.name_among(pool));
        if name.is_some() {
            return Ok(name);
        }
    }
    Ok(None)
}

/// What holds these devices: a btrfs or bcachefs does, though not as far as
/// sysfs shows holders.
fn holders(
    stack: &Stack,
    mounts: &Fact<Vec<Mount>>,
    machine: &Snapshot,
) -> Result<Vec<Holder>, String> {
    // A pool whose mount is known needs no other reason.
    let is_mounted = |name: &str| {
        let mut mounts = mounts.known().into_iter().flatten();
        mounts.any(|mount| mount.name == name)
    };
    let mut holders = stack.holders.clone();
    for pool in machine.storage.pools()? {
        let names = pool.members.iter().filter_map(|dev| stack.name_of(*dev));
        let names = names.filter(|name| !is_mounted(name));
        holders.extend(names.map(|name| Holder {
            name,
            by: pool.name.clone(),
        }));
    }
    Ok(holders)
}

/// Processes that hold these devices, or the file behind one, open for writing;
/// each once.
fn openers(stack: &Stack, machine: &Snapshot) -> Result<Vec<Opener>, String> {
    let open = machine.open.as_ref().map_err(String::clone)?;
    let mut openers: Vec<Opener> = Vec::new();
    for file in &open.written {
        let of_base = |found: FileId| {
            let mut base = stack.base.iter();
            let block = base.find(|block| found == FileId::Block(block.dev))?;
            stack.name_of(block.dev)
        };
        let name = if stack.is_kept_in(file.found) {
            Some(file.name.clone())
        } else {
            of_base(file.found)
        };
        let known = openers.last().map(|opener| opener.process.pid);
        if let Some(name) = name.filter(|_| known != Some(file.process.pid)) {
            openers.push(Opener {
                name,
                process: file.process.clone(),
            });
        }
    }
    Ok(openers)
}

fn swaps(stack: &Stack, machine: &Snapshot) -> Result<Vec<String>, String> {
    let (mut files, mut devices) = (Vec::new(), Vec::new());
    for swap in machine.swaps.as_ref().map_err(String::clone)? {
        match swap.on {
            SwapOn::File(Some(found)) if stack.is_kept_in(found) => files.push(swap.path.clone()),
            SwapOn::Device(None) => {
                return Err(format!(
                    "cannot tell which device the swap {} is",
                    swap.path
                ));
            }
            SwapOn::Device(Some(dev)) if stack.name_of(dev).is_some() => {
                devices.push(swap.path.clone());
            }
            SwapOn::File(_) | SwapOn::Device(Some(_)) => {}
        }
    }
    files.append(&mut devices);
    Ok(files)
}

/// What of the running system lies here.
fn carries(stack: &Stack, machine: &Snapshot) -> Result<Vec<Carried>, String> {
    let mut carried = Vec::new();
    if stack.is_under(machine.root.as_ref().map_err(String::clone)?) {
        carried.push(Carried::System);
    }
    let (drives, program) = machine.program.as_ref().map_err(String::clone)?;
    if stack.is_under(drives) {
        carried.push(Carried::Program(program.clone()));
    }
    Ok(carried)
}

/// Older kernels show the disk's switch on the disk only.
fn is_read_only(block: &Block, disk: &Block) -> Result<bool, String> {
    Ok(block.number("ro")? != 0 || disk.number("ro")? != 0)
}

/// A drive whose zones must be written in order takes no writes elsewhere.
/// Kernels that know no zones have no such attribute.
fn is_host_managed(disk: &Block) -> Result<bool, String> {
    let zoned = disk.text_if_there("queue/zoned")?;
    Ok(zoned.as_deref() == Some("host-managed"))
}
