//! The device writer: one descriptor, aligned exact I/O, sync.
//!
//! Nothing else in the program writes to a target. The path is opened once; a
//! node that vanishes or is replaced later changes nothing.

mod descriptor;
mod file_system;
mod holes;
mod lock;
mod presence;
mod target;
mod watch;

pub use descriptor::{OpenError, Writer};
pub use lock::{Lock, LockError, lock};
