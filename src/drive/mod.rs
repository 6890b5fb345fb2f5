//! Facts about a drive, as data, and what follows from them.

mod device;
mod file_facts;
pub mod file_kind;
mod finding;
pub mod guard;
mod identity;
mod in_use;
mod medium;
mod nature;
mod no_capacity;
mod path_text;
mod signs;
mod transport;
mod tuning;
mod warning;

#[cfg(test)]
pub use device::example;
pub use device::{
    Attached, Cache, CacheState, Carried, DevId, Device, Fact, Holder, Mount, NoTarget, Node,
    Opener, Process, Signature, Unseen, Usage, sharing_id,
};
pub use file_facts::FileFacts;
pub use finding::{Finding, Findings};
pub use guard::Cleared;
#[cfg(not(wipeit_alone))]
pub use guard::check;
pub use identity::{Backing, Comparison, Identity, Kind, Slice, is_junk};
pub use in_use::{InUse, Under};
pub use medium::Medium;
pub use nature::Nature;
pub use no_capacity::NoCapacity;
pub use path_text::{path_from_text, path_to_text};
pub use signs::Signs;
pub use transport::Transport;
pub use tuning::Tuning;
pub use warning::{losses, warnings};
