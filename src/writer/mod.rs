//! The device writer: one descriptor, aligned exact I/O, sync.
//!
//! Nothing else in the program writes to a target. The path is opened once; a
//! node that vanishes or is replaced later changes nothing.

mod descriptor;
mod presence;
mod watch;

pub use descriptor::{Lock, LockError, OpenError, Writer, lock};
