//! Ranges of bytes on a device, and maps of such.

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
    pub fn new(start: u64, length: u64) -> Option<Self> {
        (length > 0 && start.checked_add(length).is_some()).then_some(Self { start, length })
    }

    /// The range between two offsets; `None` when there is nothing between.
    pub fn between(start: u64, end: u64) -> Option<Self> {
        Self::new(start, end.checked_sub(start)?)
    }

    pub fn start(self) -> u64 {
        self.start
    }

    /// Bytes.
    pub fn length(self) -> u64 {
        self.length
    }

    /// One past the last byte.
    pub fn end(self) -> u64 {
        self.start + self.length
    }

    /// The part of it that lies within another; `None` when there is none.
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

    /// Bytes in the map.
    pub fn bytes(&self) -> u64 {
        self.ranges
            .iter()
            .map(|(start, (end, _))| end - start)
            .sum()
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
        assert_eq!(map.iter().count(), 2);
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
}
