//! Facts about a drive, as data, and what follows from them.

mod device;
mod file_facts;
pub mod file_kind;
mod finding;
pub mod guard;
pub mod identity;
mod nature;
mod no_capacity;
mod tuning;
mod warning;

#[cfg(test)]
pub use device::example;
pub use device::{
    Attached, Cache, CacheState, Carried, Content, DevId, Device, Fact, Holder, Medium, Mount,
    Node, Opener, Problem, Process, Unseen, Usage, sharing_id,
};
pub use file_facts::FileFacts;
pub use finding::{Finding, Findings};
#[cfg(not(wipeit_alone))]
pub use guard::check;
pub use guard::{Cleared, Refusal, Under};
pub use identity::{
    Backing, Comparison, Identity, Kind, Slice, Transport, is_junk, path_from_text, path_to_text,
};
pub use nature::{Nature, Signs};
pub use no_capacity::NoCapacity;
pub use tuning::Tuning;
pub use warning::{losses, warnings};
