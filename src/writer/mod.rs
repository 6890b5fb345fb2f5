//! The device writer: one descriptor, aligned exact I/O, sync.
//!
//! Nothing else in the program writes to a target.
//!
//! - [`lock`]: another run kept off
//! - [`descriptor`]: the target opened, once
//! - [`target`]: read, written and synced, as the engine sees it
//! - [`presence`]: what an error says of it
//! - [`watch`]: what somebody else does to a file meanwhile
//! - [`holes`]: its holes
//! - [`file_system`]: its file system

mod descriptor;
mod file_system;
mod holes;
mod lock;
mod presence;
mod target;
mod watch;

pub(crate) use descriptor::{OpenError, Writer};
pub(crate) use lock::{Lock, LockError, lock};
