//! What workers share, what comes of a chunk, and the search for bad blocks.

use std::io;
use std::num::NonZeroU64;

use super::{Control, Error, Op, Presence, Target};
use crate::extent::{BadMap, During, Extent};
use crate::plan::Phase;
use crate::size;
use crate::strategy::WipeStrategy;

/// What all workers of a step share.
pub struct Task<'a> {
    pub phase: Phase,
    pub target: &'a dyn Target,
    pub control: &'a dyn Control,
    pub strategy: &'a dyn WipeStrategy,
    /// The output of a strategy that repeats itself.
    pub shared: Option<Shared<'a>>,
    /// What earlier steps could not write: not compared.
    pub skip: &'a BadMap,
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
    /// The bytes that belong at an extent, where the shared chunk has them: at
    /// the phase that it was filled for.
    pub fn shared_at(&self, extent: Extent) -> Option<&[u8]> {
        let shared = self.shared.as_ref()?;
        let in_phase = (extent.start() - shared.base).is_multiple_of(shared.period.get());
        in_phase.then(|| &shared.bytes[..size::memory(extent.length())])
    }
}

/// What came of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChunkResult {
    /// Ranges that cannot be written or read.
    pub bad: Vec<(Extent, During, i32)>,
    /// Ranges that differ.
    pub mismatches: Vec<Extent>,
    /// Set when the chunk was not done to its end.
    pub end: Option<Unfinished>,
}

impl ChunkResult {
    /// Records a block that cannot be done; neighbours become one range.
    fn add_bad(&mut self, block: Extent, during: During, errno: i32) {
        let before = self.bad.pop_if(|known| {
            known.0.end() == block.start() && (known.1, known.2) == (during, errno)
        });
        let start = before.map_or(block.start(), |(last, ..)| last.start());
        self.bad
            .extend(Extent::between(start, block.end()).map(|extent| (extent, during, errno)));
    }
}

/// Why a chunk was not done to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The run is to stop, and a search for bad blocks would take long.
    Stopped,
    /// The target has gone.
    Fatal(Error),
}

/// Tries a range, and on an error its halves, down to the physical and then the
/// logical block, so that exactly the blocks that cannot be done are recorded.
/// Stops at the first sign that the target as a whole has gone.
pub fn narrow(
    task: &Task,
    extent: Extent,
    during: During,
    attempt: &mut dyn FnMut(Extent) -> io::Result<()>,
    result: &mut ChunkResult,
) {
    let Err(error) = attempt(extent) else { return };
    if let Presence::Gone(why) = task.target.presence(&error) {
        let op = if during == During::Write {
            Op::Write
        } else {
            Op::Read
        };
        let error = Error {
            op,
            offset: extent.start(),
            why,
        };
        result.end = Some(Unfinished::Fatal(error));
        return;
    }
    let Some((left, right)) = halves(extent, task.target) else {
        let errno = error.raw_os_error().unwrap_or(0);
        result.add_bad(extent, during, errno);
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
