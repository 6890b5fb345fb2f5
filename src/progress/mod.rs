//! The state directory: saving checkpoints durably, finding and completing
//! them, keeping records.

mod checkpoint;
mod file;
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
    Beginning, Checkpoint, ContentBefore, Invalid, LARGEST, LeftOut, Run, Sample, Unread, Wanted,
    json,
};
pub use place::{Files, Place};
pub use saver::{Clock, Saver, file_name, report_name};
pub use store::{LoadError, Pending, Record, Records, StateDir, open};
pub use timekeeper::{Tally, Timekeeper};
