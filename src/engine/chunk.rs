//! What workers share, what comes of a chunk, and the search for bad blocks.

use std::io;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ended::Error;
use super::gate::Work;
use super::pulse::Pulse;
use super::target::{Control, Presence, Target};
use crate::plan::{BadMap, Difference, During, Extent, Phase, Verify};
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

/// How long the blocks of a chunk that gives errors are searched before the
/// rest of it is left for the end of the step: a drive may take half a minute
/// for each of them.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// A range that cannot be written or read, what was tried, and the errno.
pub type BadRange = (Extent, During, i32);

/// What came of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChunkResult {
    /// Ranges that cannot be written or read.
    pub bad: Vec<BadRange>,
    /// Ranges that were not searched to their end.
    pub deferred: Vec<BadRange>,
    /// Ranges that differ.
    pub differences: Vec<Difference>,
    /// Set when the chunk was not done to its end.
    pub end: Option<Unfinished>,
    // when the search is given up, once it has begun
    until: Option<Duration>,
    // the last error
    errno: i32,
}

impl ChunkResult {
    /// Nothing yet of a chunk.
    pub fn of(work: Work) -> Self {
        Self {
            until: work.until,
            ..Self::default()
        }
    }

    /// A chunk that was not tried.
    pub fn skipped(chunk: Extent, during: During, errno: i32) -> Self {
        Self {
            deferred: vec![(chunk, during, errno)],
            ..Self::default()
        }
    }

    /// A chunk of a target that is dead. Its blocks are not known to be bad.
    pub fn dead(error: Error) -> Self {
        Self {
            end: Some(Unfinished::Dead(error)),
            ..Self::default()
        }
    }

    /// Whether the chunk is simply done.
    pub fn is_plain(&self, work: Work) -> bool {
        !work.again && *self == Self::of(work)
    }

    /// Bytes that failed of a chunk that was tried to its end.
    pub fn failed(&self) -> u64 {
        let failed = self.bad.iter().chain(&self.deferred);
        let failed = failed.filter(|_| self.end.is_none());
        failed.map(|(range, ..)| range.length()).sum()
    }

    /// Lets later chunks know.
    pub fn teach(self, task: &Task, work: Work) -> Self {
        if !work.again {
            task.jump.learn(work.extent, &self);
        }
        let whole = work.extent.length() >= task.target.alignment();
        if task.during() == During::Write && whole && self.is_plain(work) {
            task.pulse.wrote(work.extent);
        }
        self
    }
}

/// Appends a range; neighbours of the same kind become one.
fn add(list: &mut Vec<BadRange>, range: Extent, during: During, errno: i32) {
    let before = list
        .pop_if(|known| known.0.end() == range.start() && (known.1, known.2) == (during, errno));
    let start = before.map_or(range.start(), |(last, ..)| last.start());
    list.extend(Extent::between(start, range.end()).map(|extent| (extent, during, errno)));
}

/// Why a chunk was not done to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The run is to stop, and a search for bad blocks would take long.
    Stopped,
    /// The target has gone.
    Fatal(Error),
    /// The target is there and answers nothing but errors.
    Dead(Error),
}

/// Tries a range, and on an error its halves, down to the physical and then the
/// logical block, so that exactly the blocks that cannot be done are recorded.
/// What the patience for one chunk does not reach to is deferred. Stops at the
/// first sign that the target as a whole has gone.
pub fn narrow(
    task: &Task,
    extent: Extent,
    during: During,
    attempt: &mut dyn FnMut(Extent) -> io::Result<()>,
    result: &mut ChunkResult,
) {
    let now = || task.control.now();
    if result.until.is_some_and(|until| now() >= until) {
        add(&mut result.deferred, extent, during, result.errno);
        return;
    }
    let Err(error) = attempt(extent) else { return };
    if let Presence::Gone(why) | Presence::Passing(why) = task.target.presence(&error) {
        let error = Error::new(during.into(), extent.start(), why);
        result.end = Some(Unfinished::Fatal(error));
        return;
    }
    result.errno = error.raw_os_error().unwrap_or(0);
    result.until.get_or_insert_with(|| now() + PATIENCE);
    let Some((left, right)) = halves(extent, task.target) else {
        add(&mut result.bad, extent, during, result.errno);
        return;
    };
    if task.control.stop().is_some() {
        result.end = Some(Unfinished::Stopped);
        return;
    }
    for half in [left, right] {
        if result.end.is_none() {
            narrow(task, half, during, attempt, result);
        }
    }
}

/// Two parts of a range that meet at a block boundary; `None` for one block.
fn halves(extent: Extent, target: &dyn Target) -> Option<(Extent, Extent)> {
    let (start, end) = (extent.start(), extent.end());
    let middle = start + extent.length() / 2;
    [target.physical_block(), target.alignment()]
        .into_iter()
        .map(|block| middle.next_multiple_of(block))
        .find(|&cut| start < cut && cut < end)
        .and_then(|cut| Some((Extent::between(start, cut)?, Extent::between(cut, end)?)))
}
