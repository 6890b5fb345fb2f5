//! Facts about a block device or a disk image, read from the kernel.
//!
//! Nothing here decides whether a device may be wiped (that is `guard`), and
//! nothing here writes.

mod alive;
mod below;
mod beside;
mod content;
mod denied;
mod drive;
mod durability;
mod empty;
mod facts;
mod file_kind;
mod foundation;
mod host;
mod locked;
mod loops;
mod machine;
mod made;
mod member;
mod mounts;
mod no_capacity;
mod pools;
mod processes;
mod snapshot;
mod stack;
mod survey;
mod sysfs;
#[cfg(test)]
pub(crate) mod tests;
mod unseen;
mod usage;
mod vpd;

pub use self::denied::Denial;
pub use self::durability::{Durability, Keeping};
#[cfg(test)]
pub use self::facts::example;
pub use self::facts::{
    Attached, Cache, CacheState, Carried, Content, DevId, Device, Fact, Holder, Medium, Mount,
    Node, Opener, Problem, Process, Unseen, Usage, sharing_id,
};
pub use self::file_kind::{is_no_disk, is_virtual_disk};
pub use self::host::Host;
pub use self::machine::Computer;
pub use self::no_capacity::NoCapacity;
pub use self::survey::{Disk, Place};
