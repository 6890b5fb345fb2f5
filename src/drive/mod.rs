//! Facts about a drive, as data, and what follows from them.
//!
//! - [`device`]: a target, and all that is known of it
//! - [`identity`]: which drive it is, and whether two are the same
//! - [`transport`]: how it is attached, and all that follows from that
//! - [`medium`]: what the bits are kept on
//! - [`signs`]: the names by which drives, volumes and memory are told apart
//! - [`nature`]: which of these it is
//! - [`file_kind`]: what a file is that is no disk
//! - [`file_facts`]: what is looked at again of a file
//! - [`no_capacity`]: why a device has no bytes
//! - [`in_use`]: what forbids to wipe it
//! - [`guard`]: whether anything does
//! - [`warning`]: what speaks against it
//! - [`finding`]: what weakens a wipe
//! - [`tuning`]: how it is kept busy
//! - [`path_text`]: paths as text

mod device;
mod file_facts;
pub(crate) mod file_kind;
mod finding;
pub(crate) mod guard;
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
pub(crate) use device::example;
pub(crate) use device::{
    Attached, Cache, CacheState, Carried, DevId, Holder, Opener, Process, Signature, Unseen, Usage,
    sharing_id,
};
pub use device::{Device, Fact, Mount, NoTarget, Node};
pub(crate) use file_facts::FileFacts;
pub(crate) use finding::{Finding, Findings};
pub(crate) use guard::Cleared;
#[cfg(not(wipeit_alone))]
pub use guard::check;
pub(crate) use identity::{Backing, Slice, is_junk};
pub use identity::{Comparison, Identity, Kind};
pub use in_use::InUse;
pub(crate) use in_use::Under;
pub use medium::Medium;
pub(crate) use nature::Nature;
pub(crate) use no_capacity::NoCapacity;
pub(crate) use path_text::{path_from_text, path_to_text};
pub(crate) use signs::Signs;
pub use transport::Transport;
pub use tuning::Tuning;
pub(crate) use warning::{losses, warnings};
