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
