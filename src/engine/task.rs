//! What the workers of a step share.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pulse::Pulse;
use super::target::{Control, Target};
use super::work::{ChunkResult, Work};
use crate::plan::{BadMap, During, Extent, Phase, Verify};
use crate::strategy::WipeStrategy;
use crate::text::{MIB, size};

/// What all workers of a step share.
pub struct Task<'a> {
    pub phase: Phase,
    /// Which parts a read-back reads.
    pub verify: Verify,
    pub target: &'a dyn Target,
    pub control: &'a dyn Control,
    pub strategy: &'a dyn WipeStrategy,
    /// The output of a strategy that repeats itself.
    pub shared: Option<Shared<'a>>,
    /// What earlier steps could not write: not compared.
    pub skip: &'a BadMap,
    pub jump: Jump,
    pub pulse: Pulse,
}

/// One chunk of a strategy that repeats itself, filled once for all workers.
pub struct Shared<'a> {
    pub bytes: &'a [u8],
    /// The offset that it was filled for.
    pub base: u64,
    /// The bytes after which the output repeats.
    pub period: NonZeroU64,
}

impl Task<'_> {
    /// Lets later chunks know what came of one.
    pub fn learn(&self, work: Work, result: &ChunkResult) {
        if !work.again {
            self.jump.learn(work.extent, result);
        }
        let whole = work.extent.length() >= self.target.alignment();
        if self.during() == During::Write && whole && result.is_plain(work) {
            self.pulse.wrote(work.extent);
        }
    }

    /// What is done with each chunk.
    pub fn during(&self) -> During {
        match self.phase {
            Phase::Verify => During::Read,
            Phase::Write | Phase::Complete => During::Write,
        }
    }

    /// The bytes that belong at an extent, where the shared chunk has them: at
    /// the phase that it was filled for.
    pub fn shared_at(&self, extent: Extent) -> Option<&[u8]> {
        let shared = self.shared.as_ref()?;
        let in_phase = extent.start() % shared.period == shared.base % shared.period;
        in_phase.then(|| &shared.bytes[..size::memory(extent.length())])
    }
}

/// Where whole chunks are left for the end of the step, because the chunks
/// before them had to be: the more of them, the further ahead.
#[derive(Debug, Default)]
pub struct Jump(Mutex<Landing>);

#[derive(Debug, Default)]
struct Landing {
    // chunks that begin before this are not tried
    at: u64,
    // bytes of the last jump
    length: u64,
    // the error that led to it
    errno: i32,
}

impl Jump {
    /// The last jump is at most this long, in bytes.
    const LONGEST: u64 = 1 << 30;

    fn landing(&self) -> MutexGuard<'_, Landing> {
        // A landing is whole between any two statements that change it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error for which a chunk is not tried now.
    pub fn over(&self, chunk: Extent) -> Option<i32> {
        let landing = self.landing();
        (chunk.start() < landing.at).then_some(landing.errno)
    }

    /// Learns from what came of a chunk that was tried.
    fn learn(&self, chunk: Extent, result: &ChunkResult) {
        let mut landing = self.landing();
        if let Some((.., errno)) = result.deferred.last() {
            landing.length = (landing.length * 2).clamp(MIB, Self::LONGEST);
            landing.at = landing.at.max(chunk.end().saturating_add(landing.length));
            landing.errno = *errno;
        } else if chunk.start() >= landing.at {
            landing.length = 0;
        }
    }
}
