//! Ranges that are no longer kept one by one.

use crate::plan::{Bad, Difference, Extent};

/// So many at most wait for the next save; of more, as when no checkpoint can
/// be saved, only the number is known.
const MOST: usize = 50_000;

/// The ranges, as they were found, that were joined with others since the last
/// save. Whoever saves the state may write them down elsewhere.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Joined {
    /// What could not be written or read.
    pub bad: Vec<(Extent, Bad)>,
    /// What differs.
    pub different: Vec<Difference>,
    /// Ranges that are left out here.
    pub more: u64,
}

impl Joined {
    /// Adds ranges that could not be written or read.
    pub fn add_bad(&mut self, list: Vec<(Extent, Bad)>) {
        let room = self.room(list.len());
        self.bad.extend(list.into_iter().take(room));
    }

    /// Adds ranges that differ.
    pub fn add_different(&mut self, list: Vec<Difference>) {
        let room = self.room(list.len());
        self.different.extend(list.into_iter().take(room));
    }

    fn room(&mut self, wanted: usize) -> usize {
        let room = MOST.saturating_sub(self.bad.len() + self.different.len());
        self.more += wanted.saturating_sub(room) as u64;
        room
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bad.is_empty() && self.different.is_empty() && self.more == 0
    }
}
