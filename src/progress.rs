//! The state directory: saving checkpoints durably, finding and completing
//! them, keeping records.

mod file;
mod leftover;
pub mod place;
mod ranges;
mod room;
mod saver;
mod slots;
mod store;

pub use self::saver::{Clock, Saver, file_name, report_name, take_in};
pub use self::store::{LoadError, Pending, Record, Records, StateDir, open};
