//! The search for bad blocks.

use std::io;
use std::time::Duration;

use super::ended::Error;
use super::target::{Presence, Target};
use super::task::Task;
use super::work::{ChunkResult, CutShort, FailedRange};
use crate::plan::{During, Extent};

/// How long the blocks of a chunk that gives errors are searched before the
/// rest of it is left for the end of the step: a drive may take half a minute
/// for each of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Appends a range; neighbours of the same kind become one.
fn add(list: &mut Vec<FailedRange>, range: Extent, during: During, errno: i32) {
    let before = list
        .pop_if(|known| known.0.end() == range.start() && (known.1, known.2) == (during, errno));
    let start = before.map_or(range.start(), |(last, ..)| last.start());
    list.extend(Extent::between(start, range.end()).map(|extent| (extent, during, errno)));
}

/// Tries a range, and on an error its halves, down to the physical and then the
/// logical block, so that exactly the blocks that cannot be done are recorded.
/// What the patience for one chunk does not reach to is deferred. Stops at the
/// first sign that the target as a whole has gone.
pub(crate) fn narrow(
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
        result.end = Some(CutShort::Fatal(error));
        return;
    }
    result.errno = error.raw_os_error().unwrap_or(0);
    result.until.get_or_insert_with(|| now() + PATIENCE);
    let Some((left, right)) = halves(extent, task.target) else {
        add(&mut result.bad, extent, during, result.errno);
        return;
    };
    if let Some(signal) = task.control.stop() {
        result.end = Some(CutShort::Stopped(signal));
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
