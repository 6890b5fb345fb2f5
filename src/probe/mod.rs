//! Facts about a block device or a disk image, read from the kernel.
//!
//! Nothing here decides whether a device may be wiped (that is `guard`), and
//! nothing here writes.
//!
//! - [`host`]: where the kernel's files are
//! - [`sysfs`]: reading them
//! - [`block`]: one block device, as sysfs shows it
//! - [`devices`]: all of them, and how they stand to each other
//! - [`identify`]: which drive one is
//! - [`nature`]: whether it is a drive at all
//! - [`vpd`]: what a SCSI drive says of itself
//! - [`no_capacity`]: why one has no bytes
//! - [`mounts`]: what is mounted where
//! - [`swaps`]: what is swap
//! - [`pools`]: btrfs, bcachefs and ZFS
//! - [`storage`]: devices, mounts and pools together: what lies on what
//! - [`below`]: the devices that a path lies on
//! - [`ground`]: what a file lies on, and what keeps its old data
//! - [`foundation`]: the same of a target
//! - [`processes`]: what other processes mount and hold open
//! - [`unseen`]: whether all of them can be seen
//! - [`snapshot`]: all that is of the machine, read once
//! - [`stack`]: a target, and what is built on it
//! - [`loops`]: loop devices over it
//! - [`usage`]: by what it is used, from the snapshot
//! - [`asked`]: the same with what only the device itself tells
//! - [`signature`]: what is on it
//! - [`member`]: the group, array or pool that it is a member of
//! - [`image`]: a file as a target
//! - [`target`]: all facts about a target
//! - [`beside`]: the other disks
//! - [`disks`]: every disk, for the list
//! - [`locked`]: whether another run holds one
//! - [`denied`]: why the kernel denies one
//! - [`gone`]: whether one that gave an error is still there
//! - [`durability`]: whether a folder survives a reboot
//! - [`computer`]: the machine's name

mod asked;
mod below;
mod beside;
mod block;
mod computer;
mod denied;
mod devices;
mod disks;
mod durability;
mod foundation;
mod gone;
mod ground;
mod host;
mod identify;
mod image;
mod locked;
mod loops;
mod member;
mod mounts;
mod nature;
mod no_capacity;
mod pools;
mod processes;
mod signature;
mod snapshot;
mod stack;
mod storage;
mod swaps;
mod sysfs;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod unseen;
mod usage;
mod vpd;

pub(crate) use computer::Computer;
pub(crate) use denied::Denial;
pub(crate) use disks::{Disk, Whereabouts};
pub(crate) use durability::{Durability, Keeping};
pub use host::Host;
pub(crate) use snapshot::Snapshot;
#[cfg(test)]
pub(crate) use tests::{Machine, id};
