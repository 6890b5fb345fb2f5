//! What the workers of a step share.

use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::parts::Engine;
use super::pulse::Pulse;
use super::state::State;
use super::target::{Control, Target};
use super::work::{ChunkResult, Work};
use crate::plan::{BadMap, During, Extent, Phase, Verify};
use crate::strategy::{self, WipeStrategy};
use crate::text::{MIB, size};

/// A step as it is handed to the workers.
pub(crate) struct Shift<'a> {
    pub target: &'a dyn Target,
    pub control: &'a dyn Control,
    phase: Phase,
    /// Which parts of the target are moved: of a read-back perhaps samples.
    pub verify: Verify,
    pub strategy: Box<dyn WipeStrategy>,
    // of a strategy that repeats itself: for which offset the shared chunk was
    // filled, and the bytes after which the output repeats
    repeats: Option<(u64, NonZeroU64)>,
    /// What earlier steps could not write: not compared.
    pub skip: Arc<BadMap>,
    pub jump: Jump,
    pub pulse: Pulse,
}

impl<'a> Shift<'a> {
    /// The step of a state, from its position on. `fill` changes the chunk that
    /// all workers share.
    pub(crate) fn new(
        engine: &Engine<'a>,
        state: &State,
        fill: impl FnOnce(&dyn Fn(&mut [u8])),
    ) -> Self {
        let strategy = strategy::of(&engine.plan.pass(state.step.pass).content);
        let repeats = strategy.period().map(|period| (state.position, period));
        if repeats.is_some() {
            fill(&|chunk| strategy.fill(state.position, chunk));
        }
        Self {
            target: engine.target,
            control: engine.control,
            phase: state.step.phase,
            verify: engine.plan.part(state.step),
            strategy,
            repeats,
            skip: Arc::clone(&state.bad),
            jump: Jump::default(),
            pulse: Pulse::default(),
        }
    }
}

/// What a worker has of a step.
pub(crate) struct Task<'t, 'a> {
    pub shift: &'t Shift<'a>,
    /// The output of a strategy that repeats itself, filled once for all workers.
    pub chunk: &'t [u8],
}

impl<'a> Deref for Task<'_, 'a> {
    type Target = Shift<'a>;

    fn deref(&self) -> &Shift<'a> {
        self.shift
    }
}

impl Task<'_, '_> {
    /// Lets later chunks know what came of one.
    pub(crate) fn learn(&self, work: Work, result: &ChunkResult) {
        if !work.again {
            self.jump.learn(work.extent, result);
        }
        let whole = work.extent.length() >= self.target.alignment();
        if self.during() == During::Write && whole && result.is_plain(work) {
            self.pulse.wrote(work.extent);
        }
    }

    /// What is done with each chunk.
    pub(crate) fn during(&self) -> During {
        match self.phase {
            Phase::Verify => During::Read,
            Phase::Write | Phase::Complete => During::Write,
        }
    }

    /// The bytes that belong at an extent, where the shared chunk has them: at
    /// the phase that it was filled for.
    pub(crate) fn shared_at(&self, extent: Extent) -> Option<&[u8]> {
        let (base, period) = self.repeats?;
        let in_phase = extent.start() % period == base % period;
        in_phase.then(|| &self.chunk[..size::memory(extent.length())])
    }
}

/// Where whole chunks are left for the end of the step, because the chunks
/// before them had to be: the more of them, the further ahead.
#[derive(Debug, Default)]
pub(crate) struct Jump(Mutex<Landing>);

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
    pub(crate) fn over(&self, chunk: Extent) -> Option<i32> {
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
