//! What the threads of a run meet at: all of it comes from here, so that a model
//! checker can stand in (`model.rs`).

use std::io;
use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::thread::{Scope, scope};

/// Starts a thread of a scope.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    thread: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().spawn_scoped(scope, thread);
    thread.map(drop)
}

/// Waits until it is woken, but so long at most.
pub(crate) fn wait_for<'a, T>(
    condition: &Condvar,
    (_, guard): (&'a Mutex<T>, MutexGuard<'a, T>),
    at_most: Duration,
) -> MutexGuard<'a, T> {
    let waited = condition.wait_timeout(guard, at_most);
    waited.unwrap_or_else(PoisonError::into_inner).0
}
