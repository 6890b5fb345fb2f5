//! How far a run got, and how the engine works.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::{BadMap, Differences, Phase, Step, Wrap};
use crate::text::{KIB, MIB};

/// Bytes that a crash may cost at most: the longest interval between
/// checkpoints.
pub const MAX_INTERVAL: u64 = 100 * MIB;

/// The shortest interval between checkpoints.
pub(crate) const MIN_INTERVAL: u64 = MIB;

/// The largest chunk.
pub(crate) const MAX_CHUNK: u64 = 64 * MIB;

/// The smallest chunk, and the unit of all chunks: a page, and at least the
/// logical block of any drive.
pub(crate) const MIN_CHUNK: u64 = 4 * KIB;

/// Most workers.
pub(crate) const MAX_WORKERS: usize = 64;

/// How far a run got, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The step under way.
    pub step: Step,
    /// Bytes of it that are durable.
    pub position: u64,
    /// What cannot be written or read.
    pub bad: Arc<BadMap>,
    /// What was read back different.
    pub mismatches: Arc<Differences>,
    /// Set when addresses lead to the same place.
    pub wrap: Option<Wrap>,
}

impl State {
    /// The start of a plan.
    #[must_use]
    pub fn start() -> Self {
        Self {
            step: Step {
                pass: 0,
                phase: Phase::Write,
            },
            position: 0,
            bad: Arc::default(),
            mismatches: Arc::default(),
            wrap: None,
        }
    }
}

/// How the engine works; the fields agree with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    // MIN_CHUNK..=MAX_CHUNK, a multiple of MIN_CHUNK, and where that allows at
    // most interval / (2 * workers), so that the smallest interval still moves
    pub(super) chunk: u64,
    // 1..=MAX_WORKERS
    pub(super) workers: usize,
    // MIN_INTERVAL..=MAX_INTERVAL
    pub(super) interval: u64,
    // > 0
    pub(super) rate: Option<u64>,
    pub(super) stall: Option<Duration>,
}

impl Settings {
    /// Brings wishes into range: bytes of a chunk, number of workers, bytes
    /// between checkpoints, bytes a second.
    #[must_use]
    pub fn new(chunk: u64, workers: usize, interval: u64, rate: Option<u64>) -> Self {
        let workers = workers.clamp(1, MAX_WORKERS);
        let interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        let rate = rate.map(|rate| rate.max(1));
        // A slow rate in few large chunks would be a stutter.
        let smooth = rate.map_or(u64::MAX, |rate| rate / 8);
        let most = (interval / (2 * workers as u64)).min(smooth);
        let chunk = chunk.min(most).clamp(MIN_CHUNK, MAX_CHUNK) / MIN_CHUNK * MIN_CHUNK;
        Self {
            chunk,
            workers,
            interval,
            rate,
            stall: None,
        }
    }

    /// The same, but a target that does not answer for so long is called
    /// hanging.
    #[must_use]
    pub fn with_stall(self, stall: Option<Duration>) -> Self {
        Self { stall, ..self }
    }
}
