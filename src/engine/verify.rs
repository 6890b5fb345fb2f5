//! Reads chunks back and compares them with what was written.

use super::narrow::narrow;
use super::task::Task;
use super::work::{ChunkResult, Work};
use crate::plan::{Difference, During, Extent, First, Verify};
use crate::strategy::WipeStrategy;
use crate::text::size;

/// Bytes that are generated and compared at a time: they stay in the CPU's
/// first cache.
const TILE: usize = 16 * 1024;

/// Mismatches are located down to this many bytes, the smallest logical block.
const GRAIN: usize = 512;

/// Reads one chunk back, or the parts of it that are sampled.
pub(crate) fn chunk(task: &Task, work: Work, buffer: &mut [u8]) -> ChunkResult {
    let mut result = ChunkResult::of(work);
    if task.verify == Verify::Full && !task.skip.touches(work.extent) {
        // Nearly always: no list is made of it.
        read_back(task, work.extent, work, buffer, &mut result);
        return result;
    }
    for part in task.verify.pieces(work.extent, task.target.size()) {
        // What could not be written is known to be bad, and is not read.
        for piece in task.skip.to_read(part, work.again) {
            if result.end.is_some() {
                return result;
            }
            read_back(task, piece, work, buffer, &mut result);
        }
    }
    result
}

fn read_back(task: &Task, piece: Extent, work: Work, buffer: &mut [u8], result: &mut ChunkResult) {
    let alignment = task.target.alignment();
    let mut differ = Vec::new();
    let mut attempt = |part: Extent| {
        let length = size::memory(part.length());
        if part.length().is_multiple_of(alignment) {
            task.target.read(&mut buffer[..length], part.start())?;
        } else {
            let block = &mut buffer[..size::memory(alignment)];
            task.target.read_tail(block, part.start(), length)?;
        }
        let data = &buffer[..length];
        let from = size::memory(part.start() - work.extent.start());
        match task.shared_at(work.extent) {
            Some(shared) => collect(
                part.start(),
                data,
                &shared[from..from + length],
                &mut differ,
            ),
            None => differ.extend(differing(task.strategy.as_ref(), part.start(), data)),
        }
        Ok(())
    };
    narrow(task, piece, During::Read, &mut attempt, result);
    for one in &mut differ {
        let First { at, ref found, .. } = one.first;
        let origin = task.strategy.origin(found, at, task.target.size());
        one.first.written_for = origin.filter(|origin| *origin != at);
    }
    if !planted!("no-compare") {
        result.differences.extend(differ);
    }
}

/// The ranges of `data`, read at `offset`, that are not what the strategy
/// writes there; located to 512 bytes.
#[must_use]
pub fn differing(strategy: &dyn WipeStrategy, offset: u64, data: &[u8]) -> Vec<Difference> {
    let mut differ = Vec::new();
    let mut expected = [0; TILE];
    let mut at = offset;
    for tile in data.chunks(TILE) {
        let expected = &mut expected[..tile.len()];
        strategy.fill(at, expected);
        collect(at, tile, expected, &mut differ);
        at += tile.len() as u64;
    }
    differ
}

/// Appends the ranges that differ, merging neighbours.
fn collect(offset: u64, data: &[u8], expected: &[u8], differ: &mut Vec<Difference>) {
    if data == expected {
        return;
    }
    let mut at = offset;
    for (found, wanted) in data.chunks(GRAIN).zip(expected.chunks(GRAIN)) {
        let end = at + found.len() as u64;
        if let Some(first) = First::of(at, wanted, found) {
            let before = differ.pop_if(|last| last.extent.end() == at);
            let (start, first) =
                before.map_or((at, first), |last| (last.extent.start(), last.first));
            let extent = Extent::between(start, end);
            differ.extend(extent.map(|extent| Difference { extent, first }));
        }
        at = end;
    }
}
