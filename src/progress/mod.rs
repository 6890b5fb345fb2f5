//! The state directory: checkpoints and records, saved durably and found again.
//!
//! - [`checkpoint`]: what a resume needs, and the page on its format
//! - [`store`]: what is in the state directory
//! - [`saver`]: saves the checkpoints of one run, and at its end the record
//! - [`timekeeper`]: what time a run took
//! - [`speeds`]: the plot of speed over position
//! - [`lineage`]: which wipes of a drive still say what is on it
//! - [`keys`]: the keys of a record, apart from it
//! - [`ranges`]: the ranges that a record has no room for
//! - [`room`]: room on the state disk that is kept for the end
//! - [`leftover`]: what a run that was killed early leaves behind
//! - [`place`]: where a report goes besides the state directory
//! - [`name`]: what files are called
//! - [`file`]: files that are replaced as a whole and survive a loss of power
//! - [`slots`]: files that do so where renaming is not durable
//! - [`slot`]: one of the two files of such a pair

mod checkpoint;
mod file;
mod keys;
mod leftover;
pub(crate) mod lineage;
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

pub use checkpoint::Checkpoint;
pub(crate) use checkpoint::{
    ContentBefore, Invalid, LARGEST, LeftOut, LoadError, RECORD_KIND, ReportWish, Run, Sample,
    VERSION, json,
};
pub(crate) use file::open;
pub(crate) use keys::digest;
pub(crate) use name::{file_name, report_name};
pub(crate) use place::{Files, NoPlace, Place};
pub use saver::Saver;
pub use store::StateDir;
pub(crate) use store::{Pending, RecordFile};
pub use timekeeper::Clock;
pub(crate) use timekeeper::Timekeeper;
