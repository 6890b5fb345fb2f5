//! Ranges of bytes on a device, and the map of those that went wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A range of bytes: `start..start + length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "RawExtent")]
pub struct Extent {
    // start + length <= u64::MAX
    start: u64,
    // > 0
    length: u64,
}

#[derive(Deserialize)]
struct RawExtent {
    start: u64,
    length: u64,
}

impl TryFrom<RawExtent> for Extent {
    type Error = &'static str;
    fn try_from(raw: RawExtent) -> Result<Self, Self::Error> {
        Self::new(raw.start, raw.length).ok_or("extent is empty or exceeds 64 bits")
    }
}

impl Extent {
    /// `None` when empty or beyond 64 bits.
    #[must_use]
    pub fn new(start: u64, length: u64) -> Option<Self> {
        (length > 0 && start.checked_add(length).is_some()).then_some(Self { start, length })
    }

    /// The range between two offsets; `None` when there is nothing between.
    #[must_use]
    pub fn between(start: u64, end: u64) -> Option<Self> {
        Self::new(start, end.checked_sub(start)?)
    }

    /// First byte.
    #[must_use]
    pub fn start(self) -> u64 {
        self.start
    }

    /// Bytes.
    #[must_use]
    pub fn length(self) -> u64 {
        self.length
    }

    /// One past the last byte.
    #[must_use]
    pub fn end(self) -> u64 {
        self.start + self.length
    }

    /// The part of it that lies within another; `None` when there is none.
    #[must_use]
    pub fn clipped(self, within: Self) -> Option<Self> {
        Self::between(self.start.max(within.start), self.end().min(within.end()))
    }
}

/// A map from disjoint extents to a value; neighbours of equal value are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentMap<V> {
    // start -> (end, value); sorted, disjoint, coalesced
    ranges: BTreeMap<u64, (u64, V)>,
}

impl<V> Default for ExtentMap<V> {
    fn default() -> Self {
        Self {
            ranges: BTreeMap::new(),
        }
    }
}

impl<V: Copy + PartialEq> ExtentMap<V> {
    /// Sets the value of a range, replacing what was there.
    pub fn insert(&mut self, extent: Extent, value: V) {
        self.remove(extent);
        let (mut start, mut end) = (extent.start(), extent.end());
        if let Some((&before, &(before_end, before_value))) = self.ranges.range(..start).next_back()
            && before_end == start
            && before_value == value
        {
            start = before;
        }
        if let Some(&(after_end, after_value)) = self.ranges.get(&end)
            && after_value == value
        {
            self.ranges.remove(&end);
            end = after_end;
        }
        self.ranges.insert(start, (end, value));
    }

    /// Takes a range out; what sticks out on either side stays.
    pub fn remove(&mut self, extent: Extent) {
        let (start, end) = (extent.start(), extent.end());
        let touched: Vec<u64> = self
            .ranges
            .range(..end)
            .rev()
            .take_while(|(_, (range_end, _))| *range_end > start)
            .map(|(&range_start, _)| range_start)
            .collect();
        for range_start in touched {
            if let Some((range_end, value)) = self.ranges.remove(&range_start) {
                if range_start < start {
                    self.ranges.insert(range_start, (start, value));
                }
                if range_end > end {
                    self.ranges.insert(end, (range_end, value));
                }
            }
        }
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = (Extent, V)> + '_ {
        self.ranges
            .iter()
            .filter_map(|(&start, &(end, value))| Some((Extent::between(start, end)?, value)))
    }

    /// The range in which an offset lies.
    #[must_use]
    pub fn range_at(&self, offset: u64) -> Option<Extent> {
        let (&start, &(end, _)) = self.ranges.range(..=offset).next_back()?;
        Extent::between(start, end).filter(|range| offset < range.end())
    }

    /// The parts of `within` that are in the map, clipped to it, in order.
    pub fn overlaps(&self, within: Extent) -> impl Iterator<Item = Extent> + '_ {
        let first = self
            .ranges
            .range(..=within.start())
            .next_back()
            .map_or(within.start(), |(&start, _)| start);
        self.ranges
            .range(first..within.end())
            .filter_map(move |(&start, &(end, _))| Extent::between(start, end)?.clipped(within))
    }

    /// The parts of `within` that are not in the map, in order.
    #[must_use]
    pub fn gaps(&self, within: Extent) -> Vec<Extent> {
        let mut at = within.start();
        let mut gaps = Vec::new();
        for hole in self.overlaps(within) {
            gaps.extend(Extent::between(at, hole.start()));
            at = hole.end();
        }
        gaps.extend(Extent::between(at, within.end()));
        gaps
    }

    /// The same ranges without their values.
    #[must_use]
    pub fn shape(&self) -> ExtentMap<()> {
        let mut shape = ExtentMap::default();
        for (extent, _) in self.iter() {
            shape.insert(extent, ());
        }
        shape
    }

    /// Bytes in the map.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ranges
            .iter()
            .map(|(start, (end, _))| end - start)
            .sum()
    }

    /// Number of ranges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is in the map.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// One past the last byte in the map; 0 when it is empty.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.ranges.values().next_back().map_or(0, |(end, _)| *end)
    }
}

/// What went wrong with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum During {
    /// A write: the range may hold old data.
    Write,
    /// A read-back: the range was written, but cannot be compared.
    Read,
}

#[derive(Serialize, Deserialize)]
struct BadEntry {
    start: u64,
    length: u64,
    #[serde(flatten)]
    bad: Bad,
}

/// The extents that could not be written or read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<BadEntry>", into = "Vec<BadEntry>")]
pub struct BadMap(ExtentMap<Bad>);

impl BadMap {
    /// The underlying map.
    #[must_use]
    pub fn map(&self) -> &ExtentMap<Bad> {
        &self.0
    }

    /// Adds a range. What an earlier pass recorded stands: it counts over the
    /// whole history.
    pub fn add(&mut self, extent: Extent, bad: Bad) {
        for gap in self.0.gaps(extent) {
            self.0.insert(gap, bad);
        }
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
        let out: Vec<Extent> = self
            .0
            .iter()
            .filter(|(_, bad)| which(*bad))
            .filter_map(|(extent, _)| extent.clipped(within))
            .collect();
        for extent in out {
            self.0.remove(extent);
        }
    }

    /// What a pass left for its end, in order; neighbours are one.
    #[must_use]
    pub fn deferred(&self, pass: usize) -> Vec<Extent> {
        let mut areas = ExtentMap::default();
        for (extent, bad) in self.0.iter() {
            if bad.state == BadState::Deferred && bad.pass == pass {
                areas.insert(extent, ());
            }
        }
        areas.iter().map(|(extent, ())| extent).collect()
    }

    /// Whether nothing is bad.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that are bad.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

impl From<BadMap> for Vec<BadEntry> {
    fn from(map: BadMap) -> Self {
        map.0
            .iter()
            .map(|(extent, bad)| BadEntry {
                start: extent.start(),
                length: extent.length(),
                bad,
            })
            .collect()
    }
}

impl TryFrom<Vec<BadEntry>> for BadMap {
    type Error = &'static str;
    fn try_from(entries: Vec<BadEntry>) -> Result<Self, Self::Error> {
        let mut map = Self::default();
        let mut end = 0;
        for entry in entries {
            let extent = Extent::new(entry.start, entry.length)
                .filter(|extent| extent.start() >= end)
                .ok_or("extents are empty, overlap or are out of order")?;
            end = extent.end();
            map.add(extent, entry.bad);
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extent(start: u64, end: u64) -> Extent {
        Extent::between(start, end).unwrap()
    }

    #[test]
    fn an_extent_is_never_empty_nor_beyond_64_bits() {
        assert_eq!(Extent::new(5, 0), None);
        assert_eq!(Extent::new(u64::MAX, 1), None);
        assert_eq!(Extent::between(5, 4), None);
        assert_eq!(extent(2, 5).length(), 3);
    }

    #[test]
    fn neighbours_of_equal_value_become_one_and_others_stay_apart() {
        let mut map = ExtentMap::default();
        map.insert(extent(0, 10), 1);
        map.insert(extent(20, 30), 1);
        map.insert(extent(10, 20), 1);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(extent(0, 30), 1)]);
        map.insert(extent(30, 40), 2);
        assert_eq!(map.len(), 2);
    }

    proptest! {
        #[test]
        fn the_map_agrees_with_an_array_of_bytes(
            steps in proptest::collection::vec((0_u64..64, 1_u64..20, 0_u8..4), 1..40)
        ) {
            let mut map = ExtentMap::default();
            let mut bytes = [0_u8; 96];
            for (start, length, value) in steps {
                let range = extent(start, start + length);
                if value == 0 { map.remove(range) } else { map.insert(range, value) }
                bytes[memory(start)..memory(start + length)].fill(value);
            }
            let mut seen = [0_u8; 96];
            let mut last = None;
            for (range, value) in map.iter() {
                let apart = last.is_none_or(|(end, before)| {
                    end < range.start() || (end == range.start() && before != value)
                });
                prop_assert!(apart);
                last = Some((range.end(), value));
                seen[memory(range.start())..memory(range.end())].fill(value);
            }
            prop_assert_eq!(bytes, seen);
            let within = extent(10, 50);
            let covered: u64 = map.overlaps(within).map(Extent::length).sum();
            let free: u64 = map.gaps(within).iter().map(|gap| gap.length()).sum();
            prop_assert_eq!(covered + free, 40);
            prop_assert_eq!(covered, bytes[10..50].iter().filter(|&&b| b != 0).count() as u64);
        }
    }

    fn memory(n: u64) -> usize {
        usize::try_from(n).unwrap()
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
            .map()
            .iter()
            .map(|(e, bad)| (e.start(), e.end(), bad.pass))
            .collect();
        assert_eq!(left, [(10, 20, 1), (25, 30, 2)]);
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
