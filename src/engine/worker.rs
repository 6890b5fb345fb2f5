//! What one worker does.

use std::sync::PoisonError;

use super::desk::{Alarm, Desk};
use super::ended::Error;
use super::narrow::narrow;
use super::sync::RwLock;
use super::task::Task;
use super::work::{ChunkResult, Work};
use super::{lost, verify};
use crate::plan::{During, Extent};
use crate::text::size;

/// Takes chunks to the end of the run. `shared`: the chunk that all workers share.
pub(crate) fn work(desk: &Desk, shared: &RwLock<&mut [u8]>, buffer: &mut [u8]) {
    let _alarm = Alarm(desk);
    let mut done = None;
    while let Some((shift, work)) = desk.next(done.take()) {
        // It is changed between two steps only, when nobody has a chunk.
        let shared = shared.read().unwrap_or_else(PoisonError::into_inner);
        let task = Task {
            shift: &shift,
            chunk: &shared,
        };
        let result = match task.jump.over(work.extent) {
            Some(errno) if !work.again => ChunkResult::skipped(work.extent, task.during(), errno),
            _ => {
                let result = attempt(&task, work, buffer);
                task.learn(work, &result);
                result
            }
        };
        done = Some((work, result));
    }
}

fn attempt(task: &Task, work: Work, buffer: &mut [u8]) -> ChunkResult {
    let during = task.during();
    let result = match during {
        During::Read => verify::chunk(task, work, buffer),
        During::Write => write(task, work, buffer),
    };
    // What was tried is asked for only after an error.
    let failed = result.failed();
    if failed > 0
        && failed == task.verify.bytes_in(work.extent, task.target.size())
        && let Some(why) = lost::lost(task, work.extent, buffer)
    {
        return ChunkResult::dead(Error::new(during.into(), work.extent.start(), why));
    }
    result
}

fn write(task: &Task, work: Work, buffer: &mut [u8]) -> ChunkResult {
    let extent = work.extent;
    let length = size::memory(extent.length());
    let data = if let Some(shared) = task.shared_at(extent) {
        shared
    } else {
        let own = &mut buffer[..length];
        task.strategy.fill(extent.start(), own);
        &*own
    };
    let mut result = ChunkResult::of(work);
    let mut attempt = |piece: Extent| {
        let from = size::memory(piece.start() - extent.start());
        let bytes = &data[from..from + size::memory(piece.length())];
        if piece.length().is_multiple_of(task.target.alignment()) {
            task.target.write(bytes, piece.start())
        } else {
            task.target.write_tail(bytes, piece.start())
        }
    };
    narrow(task, extent, During::Write, &mut attempt, &mut result);
    result
}
