//! The state directory: saving checkpoints durably, finding and completing
//! them, keeping records.

mod checkpoint;
mod file;
mod keys;
mod leftover;
pub mod lineage;
mod place;
mod ranges;
mod room;
mod saver;
mod slots;
mod store;
mod timekeeper;

pub use checkpoint::{
    Beginning, Checkpoint, ContentBefore, Invalid, LARGEST, LeftOut, RECORD_KIND, Run, Sample,
    Unread, VERSION, Wanted, json,
};
pub use file::open;
pub use keys::digest;
pub use place::{Files, Place};
pub use saver::{Clock, Saver, file_name, report_name};
pub use store::{LoadError, Pending, Record, Records, StateDir};
pub use timekeeper::{Tally, Timekeeper};
