//! Where in a plan a wipe is.

use serde::{Deserialize, Serialize};

/// What is done with a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Write,
    /// It is read back and compared.
    Verify,
    Complete,
}

impl Phase {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Verify => "read-back",
            Self::Complete => "complete",
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Counted from 0.
    pub pass: usize,
    pub phase: Phase,
}

/// How far one step got, in bytes from the start of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    // saved <= durable <= done <= size
    size: u64,
    done: u64,
    durable: u64,
    saved: u64,
}

impl Cursor {
    /// A cursor that continues at `saved`; capped at `size`.
    pub(crate) fn at(saved: u64, size: u64) -> Self {
        let saved = saved.min(size);
        Self {
            size,
            done: saved,
            durable: saved,
            saved,
        }
    }

    /// Everything below is written, or known to be bad.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Everything below was covered by a successful sync.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Everything below is in a checkpoint that is itself on disk.
    pub(crate) fn saved(&self) -> u64 {
        self.saved
    }

    /// More was done; never backwards, never beyond the end.
    pub(crate) fn advance_done(&mut self, done: u64) {
        self.done = self.done.max(done.min(self.size));
    }

    /// A sync that began when `done` was at `synced` has succeeded.
    pub(crate) fn advance_durable(&mut self, synced: u64) {
        self.durable = self.durable.max(synced.min(self.done));
    }

    /// A checkpoint that says `saved` is on disk.
    pub(crate) fn advance_saved(&mut self, saved: u64) {
        self.saved = self.saved.max(saved.min(self.durable));
    }

    /// A sync failed: what came after the last good one is unknown.
    pub(crate) fn rewind(&mut self) {
        self.done = self.durable;
    }
}

/// Percent of a plan, rounded down to hundredths.
pub(crate) fn percent(done: u128, total: u128) -> f64 {
    if total == 0 {
        return 100.0;
    }
    // Scaled to 64 bits; exact where it matters, at 0 and at the end.
    let points = done.min(total) * 10_000 / total;
    f64::from(u16::try_from(points).unwrap_or(10_000)) / 100.0
}

/// Percent of a size, rounded down to hundredths: never 100 before the end.
pub(crate) fn percent_of(part: u64, whole: u64) -> f64 {
    percent(part.into(), whole.into())
}
