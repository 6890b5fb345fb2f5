//! A chunk that is to be done, and what came of it.

use std::time::Duration;

use super::ended::Error;
use crate::outcome::Signal;
use crate::plan::{Difference, During, Extent};

/// A chunk that a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    /// Where.
    pub extent: Extent,
    /// Whether it is tried again, at the end of the step.
    pub again: bool,
    /// When the search for bad blocks in it is given up; without it, some time
    /// after it was begun.
    pub until: Option<Duration>,
}

/// A range that cannot be written or read, what was tried, and the errno.
pub(crate) type FailedRange = (Extent, During, i32);

/// What came of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkResult {
    /// Ranges that cannot be written or read.
    pub bad: Vec<FailedRange>,
    /// Ranges that were not searched to their end.
    pub deferred: Vec<FailedRange>,
    /// Ranges that differ.
    pub differences: Vec<Difference>,
    /// Set when the chunk was not done to its end.
    pub end: Option<CutShort>,
    // when the search is given up, once it has begun
    pub(super) until: Option<Duration>,
    // the last error
    pub(super) errno: i32,
}

impl ChunkResult {
    /// Nothing yet of a chunk.
    pub(crate) fn of(work: Work) -> Self {
        Self {
            until: work.until,
            ..Self::default()
        }
    }

    /// A chunk that was not tried.
    pub(crate) fn skipped(chunk: Extent, during: During, errno: i32) -> Self {
        Self {
            deferred: vec![(chunk, during, errno)],
            ..Self::default()
        }
    }

    /// A chunk of a target that is dead. Its blocks are not known to be bad.
    pub(crate) fn dead(error: Error) -> Self {
        Self {
            end: Some(CutShort::Dead(error)),
            ..Self::default()
        }
    }

    /// Whether the chunk is simply done.
    pub(crate) fn is_plain(&self, work: Work) -> bool {
        !work.again && *self == Self::of(work)
    }

    /// Bytes that failed of a chunk that was tried to its end.
    pub(crate) fn failed(&self) -> u64 {
        let failed = self.bad.iter().chain(&self.deferred);
        let failed = failed.filter(|_| self.end.is_none());
        failed.map(|(range, ..)| range.length()).sum()
    }
}

/// Why a chunk was not done to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CutShort {
    /// The run is to stop, and a search for bad blocks would take long.
    Stopped(Signal),
    /// The target has gone.
    Fatal(Error),
    /// The target is there and answers nothing but errors.
    Dead(Error),
}
