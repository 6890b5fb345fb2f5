//! Where a step wrote something, and how much failed before it did.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::Extent;

/// What is known of a step's target.
#[derive(Debug)]
pub(crate) struct Pulse {
    // where something was written in this step; NOWHERE before that
    pub(super) written_at: AtomicU64,
    // bytes of chunks that failed as a whole before anything was written
    pub(super) failed: AtomicU64,
}

pub(crate) const NOWHERE: u64 = u64::MAX;

impl Default for Pulse {
    fn default() -> Self {
        Self {
            written_at: NOWHERE.into(),
            failed: 0.into(),
        }
    }
}

impl Pulse {
    /// A chunk was written as a whole.
    pub(crate) fn wrote(&self, chunk: Extent) {
        self.written_at.store(chunk.start(), Ordering::Relaxed);
    }
}
