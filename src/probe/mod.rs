//! Facts about a block device or a disk image, read from the kernel.
//!
//! Nothing here decides whether a device may be wiped (that is `guard`), and
//! nothing here writes.

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

pub use computer::Computer;
pub use denied::Denial;
pub use disks::{Disk, Whereabouts};
pub use durability::{Durability, Keeping};
pub use host::Host;
pub use snapshot::Snapshot;
#[cfg(test)]
pub(crate) use tests::{Machine, id};
