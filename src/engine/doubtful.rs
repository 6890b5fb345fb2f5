//! What may differ in joined ranges without being news.

use std::collections::BTreeMap;

use super::state::{MIN_CHUNK, State};
use crate::plan::{BadMap, During, Extent, ExtentMap};

/// What may differ in joined ranges: as many bytes of each as are bad, or known
/// to differ.
#[derive(Default)]
pub(crate) struct Doubtful {
    // by start, disjoint: the end, and how many bytes may still differ
    ranges: BTreeMap<u64, (u64, u64)>,
    // what was seen to differ already
    seen: ExtentMap<()>,
}

impl Doubtful {
    /// All that is known of a state.
    pub(crate) fn of(state: &State) -> Self {
        let bad = state.bad.ranges().into_iter();
        let bad = bad.filter(|range| !range.is_exact());
        let bad = bad.map(|range| (range.extent, range.bytes));
        let different = state.mismatches.iter().filter(|range| !range.is_exact());
        let different = different.map(|range| (whole_blocks(range.extent), range.bytes));
        Self::among(bad.chain(different).collect())
    }

    /// What could not be written, which holds old data, less what could not be
    /// read there: a read-back finds the rest of it.
    pub(crate) fn unwritten(bad: &BadMap) -> Self {
        let all = bad.ranges();
        let joined = all.iter().filter(|range| !range.is_exact());
        let joined = joined.filter(|range| range.bad.during == During::Write);
        let mut this = Self::among(joined.map(|range| (range.extent, range.bytes)).collect());
        let unread = all.iter().filter(|range| range.is_exact());
        for range in unread.filter(|range| range.bad.during == During::Read) {
            this.unread(range.extent);
        }
        this
    }

    fn among(mut all: Vec<(Extent, u64)>) -> Self {
        all.sort_unstable();
        let mut this = Self::default();
        for (extent, bytes) in all {
            match this.ranges.last_entry() {
                Some(mut last) if last.get().0 > extent.start() => {
                    let (end, may) = *last.get();
                    last.insert((end.max(extent.end()), may.saturating_add(bytes)));
                }
                _ => {
                    this.ranges.insert(extent.start(), (extent.end(), bytes));
                }
            }
        }
        this
    }

    /// Takes what is bad in an extent out of what may still differ; bytes of
    /// the extent that are left over.
    fn take(&mut self, extent: Extent) -> u64 {
        let mut left = extent.length();
        let until = self.ranges.range_mut(..extent.end()).rev();
        for (&start, (end, may)) in until.take_while(|(_, (end, _))| *end > extent.start()) {
            let overlap = extent.end().min(*end) - extent.start().max(start);
            let taken = overlap.min(*may);
            *may -= taken;
            left -= taken;
        }
        left
    }

    /// A part that cannot be read is one of those that are bad.
    pub(crate) fn unread(&mut self, extent: Extent) {
        self.take(extent);
    }

    /// Whether what is seen to differ there, once, is what is bad or known to
    /// differ. What is not as a whole uses up nothing.
    pub(crate) fn explains(&mut self, differs: Extent) -> bool {
        let before = self.ranges.range(..differs.end()).rev();
        let may: u64 = before
            .take_while(|(_, (end, _))| *end > differs.start())
            .map(|(&start, &(end, may))| {
                may.min(differs.end().min(end) - differs.start().max(start))
            })
            .sum();
        may == differs.length() && self.take(differs) == 0
    }

    /// The same of what may be seen more than once.
    pub(crate) fn explains_again(&mut self, differs: Extent) -> bool {
        let new = self.seen.gaps(differs);
        self.seen.insert(differs, ());
        new.into_iter().all(|new| self.take(new) == 0)
    }
}

/// The blocks that a range has a part in.
pub(crate) fn whole_blocks(extent: Extent) -> Extent {
    let start = extent.start() / MIN_CHUNK * MIN_CHUNK;
    let end = extent.end().checked_next_multiple_of(MIN_CHUNK);
    Extent::between(start, end.unwrap_or(u64::MAX)).unwrap_or(extent)
}
