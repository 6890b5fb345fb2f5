//! Whether a target of which a whole chunk failed still does anything: one that
//! died keeps its size and answers every request with an error.

use std::sync::atomic::Ordering;

use super::pulse::NOWHERE;
use super::task::Task;
use crate::plan::{During, Extent};
use crate::text::{MIB, reason, size};

/// Places that are read, and at last written, to find out, spread over the
/// target.
const PLACES: u64 = 8;

/// A target that took no write at all is given up after so many bytes.
const NEVER_WRITTEN: u64 = 64 * MIB;

/// Why the target is dead, after nothing of `chunk` could be done; `None` while
/// it does anything elsewhere. Writes only what this step writes there, and where
/// it did so already as long as that works: at most one block gets ahead of the
/// checkpoint. `buffer`: a chunk's memory.
pub(crate) fn lost(task: &Task, chunk: Extent, buffer: &mut [u8]) -> Option<String> {
    let block = task.target.alignment();
    let spread = task.target.size() / block / PLACES * block;
    let buffer = &mut buffer[..size::memory(block)];
    let places = || (0..PLACES).map(|place| place * spread);
    if spread == 0 || task.control.stop().is_some() {
        return None;
    }
    // A stop ends the search: what it would find out does not matter any more.
    if !places().any(|at| task.control.stop().is_some() || task.target.read(buffer, at).is_ok()) {
        return Some(format!(
            "nothing can be read from it any more, at {PLACES} places all over it"
        ));
    }
    if task.during() == During::Read {
        return None;
    }
    let pulse = &task.pulse;
    let at = pulse.written_at.load(Ordering::Relaxed);
    let mut failed = 0;
    if at == NOWHERE {
        failed = pulse.failed.fetch_add(chunk.length(), Ordering::Relaxed) + chunk.length();
        if failed < NEVER_WRITTEN {
            return None;
        }
    }
    let before = (at != NOWHERE).then_some(at);
    let mut first_error = None;
    // A bad area may be larger than all that was tried, or have grown over what
    // was written last.
    for place in before.into_iter().chain(places()) {
        if task.control.stop().is_some() {
            return None;
        }
        task.strategy.fill(place, buffer);
        match task.target.write(buffer, place) {
            Ok(()) => {
                pulse.written_at.store(place, Ordering::Relaxed);
                return None;
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let why = reason(&first_error?);
    Some(if before.is_some() {
        format!(
            "it takes no writes any more, not even at byte {at}, where it took one before: {why}"
        )
    } else {
        format!("it took no write at all in {}", size::decimal(failed))
    })
}
