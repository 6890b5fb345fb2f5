//! The state directory: saving checkpoints durably, finding and completing
//! them, keeping records.

mod checkpoint;
mod file;
mod keys;
mod leftover;
pub mod lineage;
mod name;
mod place;
mod ranges;
mod room;
mod saver;
mod slot;
mod slots;
mod speeds;
mod store;
mod timekeeper;

pub use checkpoint::{
    Beginning, Checkpoint, ContentBefore, Invalid, LARGEST, LeftOut, RECORD_KIND, Run, Sample,
    Unread, VERSION, Wanted, json,
};
pub use file::open;
pub use keys::digest;
pub use name::{file_name, report_name};
pub use place::{Files, Place};
pub use saver::Saver;
pub use store::{LoadError, Pending, Record, Records, StateDir};
pub use timekeeper::{Clock, Tally, Timekeeper};
