//! The end of a step: areas in which the search for bad blocks took too long
//! are tried again, one chunk at a time.

use std::collections::VecDeque;
use std::time::Duration;

use super::work::Work;
use crate::plan::{BadMap, Extent};

/// How long one area is searched at most. What is left of it then is given up
/// as a whole: a drive that takes half a minute for every block would keep a
/// run going for months.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is left for the end of a step.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    /// Whether anything is.
    pub any: bool,
    /// The areas that are tried again now.
    pub retry: Option<Retry>,
    /// Whether some were since the last cycle began.
    pub tried: bool,
    /// Whether the cycle under way covers some that were.
    pub in_cycle: bool,
}

impl Leftover {
    /// What earlier runs, or what came before a failed sync, left.
    pub(crate) fn of(bad: &BadMap, pass: usize) -> Self {
        Self {
            any: !bad.deferred(pass).is_empty(),
            ..Self::default()
        }
    }
}

/// The areas that are still to be tried again.
#[derive(Debug)]
pub(crate) struct Retry {
    areas: VecDeque<Extent>,
    // when the area at the front is given up, once it has been begun
    until: Option<Duration>,
    // most bytes of a chunk
    chunk: u64,
    // where whole blocks end: the tail of an image is a chunk of its own
    aligned_end: u64,
}

impl Retry {
    /// To try these areas, which are whole blocks, again.
    pub(crate) fn new(areas: Vec<Extent>, chunk: u64, aligned_end: u64) -> Self {
        Self {
            areas: areas.into(),
            until: None,
            chunk,
            aligned_end,
        }
    }

    /// The next chunk; `None` when all areas were tried.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Work> {
        let area = self.areas.pop_front()?;
        let until = *self.until.get_or_insert_with(|| now + PATIENCE);
        let mut end = area.end().min(area.start() + self.chunk);
        if area.start() < self.aligned_end {
            end = end.min(self.aligned_end);
        }
        match Extent::between(end, area.end()) {
            Some(rest) => self.areas.push_front(rest),
            None => self.until = None,
        }
        Some(Work {
            extent: Extent::between(area.start(), end)?,
            again: true,
            until: Some(until),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_cut_into_chunks_and_each_has_its_own_patience() {
        let extent = |start, end| Extent::between(start, end).unwrap();
        let areas = vec![extent(0, 10), extent(90, 103)];
        let mut retry = Retry::new(areas, 8, 100);
        let mut seen = Vec::new();
        for second in 0.. {
            let Some(work) = retry.next(Duration::from_secs(second)) else {
                break;
            };
            let until = work.until.unwrap().checked_sub(PATIENCE).unwrap().as_secs();
            seen.push((work.extent.start(), work.extent.end(), until));
        }
        assert_eq!(
            seen,
            [
                (0, 8, 0),
                (8, 10, 0),
                (90, 98, 2),
                (98, 100, 2),
                (100, 103, 2)
            ]
        );
    }
}
