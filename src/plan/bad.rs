//! What could not be written or read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::extent::{Extent, ExtentMap};
use super::passes::MAX_PASSES;
use super::ranges::{Amount, Gap, Range, Ranges, amount, may_join, shortest};

const MOST_OF_A_KIND: usize = 10_000;
/// Ranges that are kept of all kinds together.
const MOST: usize = 12_000;
/// Kinds that are told apart. The error of one more is taken for that of
/// another kind that is the same otherwise.
const KINDS: usize = 100;
/// Kinds that are read: those, and one of every pass, state and operation.
pub(super) const MOST_KINDS: usize = KINDS + 6 * MAX_PASSES;

/// What went wrong with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bad {
    /// The pass, from 1.
    pub pass: usize,
    /// Whether it is given up or still to be retried.
    pub state: BadState,
    /// What the program was doing.
    pub during: During,
    /// The kernel's errno.
    pub errno: i32,
}

/// Whether a bad range is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BadState {
    /// Tried down to the logical block; cannot be written or read.
    Failed,
    /// Left for the end of the step: the search took too long.
    Deferred,
    /// Given up as a whole at the end of the step: the search took too long
    /// again. Some of its blocks may be good, but were not tried one by one.
    Abandoned,
}

/// The operation that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum During {
    /// A write: the range may hold old data.
    Write,
    /// A read-back: the range was written, but cannot be compared.
    Read,
}

impl BadState {
    pub fn words(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Deferred => "not tried again",
            Self::Abandoned => "given up as a whole",
        }
    }
}

impl During {
    pub fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// A range that is bad, or several that were joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRange {
    pub extent: Extent,
    pub bad: Bad,
    /// Bytes of it for which that is so: all unless it is joined.
    pub bytes: u64,
}

impl BadRange {
    /// Whether every byte of it is bad.
    pub fn is_exact(&self) -> bool {
        self.bytes == self.extent.length()
    }
}

/// The ranges that could not be written or read: some thousands at most; see
/// [`bound`](Self::bound).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadMap {
    // no kind is empty
    pub(super) kinds: BTreeMap<Bad, Ranges<()>>,
}

impl BadMap {
    /// Every range in order. One of another kind may lie between the bad bytes
    /// of a joined one.
    pub fn ranges(&self) -> Vec<BadRange> {
        let of_kind = |(&bad, ranges): (&Bad, _)| {
            let ranges: &Ranges<()> = ranges;
            let all = ranges.iter().map(|range| BadRange {
                extent: range.extent,
                bad,
                bytes: range.bytes,
            });
            all.collect::<Vec<_>>()
        };
        let mut all: Vec<BadRange> = self.kinds.iter().flat_map(of_kind).collect();
        all.sort_by_key(|range| (range.extent.start(), range.bad));
        all
    }

    /// Adds a range. What an earlier pass recorded stands: it counts over the
    /// whole history.
    pub fn add(&mut self, extent: Extent, bad: Bad) {
        let bad = self.kind_of(bad);
        let mut known = self.exact(extent);
        if let Some(own) = self.kinds.get(&bad) {
            for range in own.touching(extent) {
                known.insert(range.extent, ());
            }
        }
        for new in known.gaps(extent) {
            // Whether it is one of those that are joined there nobody knows.
            let mut others = ExtentMap::default();
            for range in self.kinds.values().flat_map(|kind| kind.touching(new)) {
                others.insert(range.extent, ());
            }
            let shared = others.overlaps(new).map(Extent::length).sum();
            let own = self.kinds.entry(bad).or_default();
            own.insert(new, shared, (), |(), ()| ());
        }
    }

    /// The kind that a range is recorded as.
    fn kind_of(&self, bad: Bad) -> Bad {
        if self.kinds.len() < KINDS || self.kinds.contains_key(&bad) {
            return bad;
        }
        let like = |known: &&Bad| {
            Bad {
                errno: 0,
                ..**known
            } == Bad { errno: 0, ..bad }
        };
        self.kinds.keys().find(like).copied().unwrap_or(bad)
    }

    /// The parts of `within` of which every byte is bad.
    pub fn exact(&self, within: Extent) -> ExtentMap<()> {
        self.parts(within, &|_, range| range.is_exact())
    }

    fn parts(&self, within: Extent, which: &dyn Fn(Bad, &Range<()>) -> bool) -> ExtentMap<()> {
        let mut parts = ExtentMap::default();
        for (&bad, ranges) in &self.kinds {
            for range in ranges.touching(within).filter(|range| which(bad, range)) {
                if let Some(part) = range.extent.clipped(within) {
                    parts.insert(part, ());
                }
            }
        }
        parts
    }

    /// The parts of `within` that a read-back looks at: not those that are bad
    /// as a whole. `again`: those that could not be read are read again.
    pub fn to_read(&self, within: Extent, again: bool) -> Vec<Extent> {
        let left_out = |bad: Bad, range: &Range<()>| {
            range.is_exact() && !(again && bad.during == During::Read)
        };
        self.parts(within, &left_out).gaps(within)
    }

    /// The parts of `within` that lie in any range, also in joined ones.
    pub fn touching(&self, within: Extent) -> ExtentMap<()> {
        self.parts(within, &|_, _| true)
    }

    /// Whether anything in a range is bad, or in a joined range.
    pub fn touches(&self, within: Extent) -> bool {
        let mut kinds = self.kinds.values();
        kinds.any(|ranges| ranges.touching(within).next().is_some())
    }

    /// Every range without what is known of it; joined ones as a whole.
    pub fn shape(&self) -> ExtentMap<()> {
        let mut shape = ExtentMap::default();
        for range in self.kinds.values().flat_map(Ranges::iter) {
            shape.insert(range.extent, ());
        }
        shape
    }

    /// Those that could not be written.
    pub fn unwritten(&self) -> Self {
        let mut unwritten = self.clone();
        unwritten.kinds.retain(|bad, _| bad.during == During::Write);
        unwritten
    }

    /// Takes out what a pass recorded within a range that it does again.
    pub fn retry(&mut self, within: Extent, pass: usize) {
        self.take_out(within, |bad| bad.pass == pass);
    }

    /// Takes out what was left for the end of a step within a range that is
    /// tried again.
    pub fn settle(&mut self, within: Extent) {
        self.take_out(within, |bad| bad.state == BadState::Deferred);
    }

    fn take_out(&mut self, within: Extent, which: impl Fn(Bad) -> bool) {
        for (_, ranges) in self.kinds.iter_mut().filter(|(bad, _)| which(**bad)) {
            ranges.remove(within);
        }
        self.kinds.retain(|_, ranges| !ranges.is_empty());
    }

    /// What a pass left for its end, in order; neighbours are one. Between the
    /// bad bytes of a joined range are good ones, which are done again too.
    pub fn deferred(&self, pass: usize) -> Vec<Extent> {
        let mut areas = ExtentMap::default();
        for (bad, ranges) in &self.kinds {
            if bad.state == BadState::Deferred && bad.pass == pass {
                for range in ranges.iter() {
                    areas.insert(range.extent, ());
                }
            }
        }
        areas.iter().map(|(extent, ())| extent).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub fn len(&self) -> usize {
        self.kinds.values().map(Ranges::len).sum()
    }

    /// One past the last byte of the last range; 0 without any.
    pub fn end(&self) -> u64 {
        self.kinds.values().map(Ranges::end).max().unwrap_or(0)
    }

    /// Bytes that are bad.
    pub fn amount(&self) -> Amount {
        amount(self.kinds.values().flat_map(Ranges::iter))
    }

    /// Bytes that are bad because that could not be done.
    pub fn amount_during(&self, during: During) -> Amount {
        let kinds = self.kinds.iter().filter(|(bad, _)| bad.during == during);
        amount(kinds.flat_map(|(_, ranges)| ranges.iter()))
    }

    /// Whether there are more ranges than are saved.
    pub fn is_full(&self) -> bool {
        let crowded = |kind: &Ranges<()>| kind.len() > MOST_OF_A_KIND;
        self.len() > MOST || self.kinds.values().any(crowded)
    }

    /// Whether there are so many ranges that they should be [bound](Self::bound)
    /// before the next save.
    pub fn is_crowded(&self) -> bool {
        self.len() > 2 * MOST
    }

    /// Joins the ranges with the smallest gaps between them, each with one of
    /// its own kind, until they are few enough to be saved. It joins over gaps
    /// that are `closed`, in which the step under way finds nothing more, as
    /// long as there are any: then the bytes are counted exactly. Gives those
    /// that are no longer kept one by one.
    pub fn bound(&mut self, closed: &dyn Fn(Extent) -> bool) -> Vec<(Extent, Bad)> {
        self.bound_to(MOST, closed)
    }

    /// Joins half of the ranges with others.
    pub fn halve(&mut self) {
        self.bound_to(self.len() / 2, &|_| true);
    }

    fn bound_to(&mut self, most: usize, closed: &dyn Fn(Extent) -> bool) -> Vec<(Extent, Bad)> {
        let anywhere: [&dyn Fn(Extent) -> bool; 2] = [&|gap| may_join(gap, closed), &|_| true];
        let mut lost = Vec::new();
        for may in anywhere {
            let kinds: Vec<Bad> = self.kinds.keys().copied().collect();
            for (index, bad) in kinds.iter().enumerate() {
                let ranges = &self.kinds[bad];
                let many = ranges.len().saturating_sub(MOST_OF_A_KIND);
                if many > 0 {
                    let gaps = ranges.gaps(index, may);
                    lost.extend(self.join(&kinds, gaps, many));
                }
            }
            let many = self.len().saturating_sub(most);
            if many > 0 {
                let all = self.kinds.values().enumerate();
                let gaps = all.flat_map(|(index, ranges)| ranges.gaps(index, may));
                let gaps = gaps.collect();
                lost.extend(self.join(&kinds, gaps, many));
            }
        }
        lost
    }

    fn join(&mut self, kinds: &[Bad], gaps: Vec<Gap>, number: usize) -> Vec<(Extent, Bad)> {
        let mut lost = Vec::new();
        for (index, starts) in shortest(gaps, number) {
            let bad = kinds[index];
            if let Some(ranges) = self.kinds.get_mut(&bad) {
                let of_kind = ranges.join(&starts, |(), ()| ());
                lost.extend(of_kind.into_iter().map(|(extent, ())| (extent, bad)));
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(start: u64, end: u64) -> Extent {
        Extent::between(start, end).unwrap()
    }

    #[test]
    fn what_an_earlier_pass_could_not_write_is_not_forgotten() {
        let bad = |pass| Bad {
            pass,
            state: BadState::Failed,
            during: During::Write,
            errno: 5,
        };
        let mut map = BadMap::default();
        map.add(extent(10, 20), bad(1));
        map.add(extent(0, 30), bad(2));
        map.retry(extent(0, 25), 2);
        let left: Vec<_> = map
            .ranges()
            .iter()
            .map(|one| (one.extent.start(), one.extent.end(), one.bad.pass))
            .collect();
        assert_eq!(left, [(10, 20, 1), (25, 30, 2)]);
    }

    /// Adds every second of so many blocks of 10 bytes, of one kind.
    fn every_second(map: &mut BadMap, blocks: std::ops::Range<u64>, bad: Bad) -> u64 {
        let blocks = blocks.step_by(2);
        blocks
            .map(|block| map.add(extent(block * 10, block * 10 + 10), bad))
            .count() as u64
            * 10
    }

    #[test]
    fn what_is_done_again_is_taken_out_of_joined_ranges_too() {
        let bad = |pass, state| Bad {
            pass,
            state,
            during: During::Write,
            errno: 5,
        };
        let (failed, deferred) = (bad(1, BadState::Failed), bad(1, BadState::Deferred));
        let second = bad(2, BadState::Failed);
        let mut map = BadMap::default();
        let first = every_second(&mut map, 0..1000, failed);
        every_second(&mut map, 2000..3000, second);
        every_second(&mut map, 4000..5000, deferred);
        map.bound_to(30, &|_| true);
        assert!(map.ranges().iter().any(|range| !range.is_exact()));
        // What was deferred is settled, and a pass is written again.
        map.settle(extent(40_000, 50_000));
        assert!(map.deferred(1).is_empty());
        map.retry(extent(0, 50_000), 2);
        let amount = map.amount();
        assert_eq!(amount.least, first, "the first pass stands as it was");
        assert!(map.ranges().iter().all(|range| range.bad == failed));
        // Of a joined range nobody knows where its bytes are.
        map.retry(extent(0, 5000), 1);
        let left = map.amount();
        assert!(
            left.least <= first / 2 && left.most >= first / 2,
            "{left:?}"
        );
        assert!(map.touches(extent(9980, 9990)) && !map.touches(extent(0, 5000)));
        map.retry(extent(5000, 10_000), 1);
        assert!(map.is_empty());
    }

    #[test]
    fn extents_on_disk_that_overlap_are_refused() {
        let entry = |start, length| {
            format!(
                r#"{{"start":{start},"length":{length},"pass":1,"state":"failed","during":"write","errno":5}}"#
            )
        };
        let read = |list: &str| serde_json::from_str::<BadMap>(&format!("[{list}]"));
        assert!(read(&format!("{},{}", entry(0, 10), entry(10, 10))).is_ok());
        assert!(read(&format!("{},{}", entry(0, 10), entry(5, 10))).is_err());
        assert!(read(&entry(0, 0)).is_err());
    }
}
