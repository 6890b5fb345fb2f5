//! Ranges of one kind, so few that they can be kept: where there are too many,
//! those with the smallest gaps between them are joined. A joined range holds
//! bytes that are of its kind and bytes that are not; how many are is counted.

use std::collections::{BTreeMap, HashSet};

use super::extent::{Extent, ExtentMap};
use crate::text::MIB;

/// Ranges up to here are not joined with others: a proof reads the first MiB of
/// a target as a whole, and wants to know how much of it is bad.
const APART: u64 = MIB;

/// One range, or several that were joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<V> {
    /// From the first byte of the first of them to the last byte of the last.
    pub extent: Extent,
    /// Bytes of it that are of its kind, at least: all unless it is joined. None
    /// in what is left where a part of a joined one was taken out.
    pub bytes: u64,
    /// Of these, how many may be counted in a range of another kind too.
    pub shared: u64,
    pub value: V,
}

impl<V> Range<V> {
    /// Whether every byte of it is of its kind.
    pub fn is_exact(&self) -> bool {
        self.bytes == self.extent.length()
    }
}

/// Disjoint ranges. Exact ones that touch are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranges<V> {
    // by start
    ranges: BTreeMap<u64, Range<V>>,
}

impl<V> Default for Ranges<V> {
    fn default() -> Self {
        Self {
            ranges: BTreeMap::new(),
        }
    }
}

/// Between which two neighbours there is how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gap {
    /// Bytes between them.
    pub length: u64,
    /// The kind of both, as its owner counts.
    pub kind: usize,
    /// Where the second begins.
    pub start: u64,
}

impl<V: Clone> Ranges<V> {
    /// The ranges in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<V>> + '_ {
        self.ranges.values()
    }

    /// Those that have a part in `within`, in order.
    pub(super) fn touching(&self, within: Extent) -> impl Iterator<Item = &Range<V>> + '_ {
        let before = self.ranges.range(..=within.start()).next_back();
        let first = before.map_or(within.start(), |(&start, _)| start);
        self.ranges
            .range(first..within.end())
            .map(|(_, range)| range)
            .filter(move |range| range.extent.clipped(within).is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// One past the last byte of the last one; 0 without any.
    pub(super) fn end(&self) -> u64 {
        let last = self.ranges.values().next_back();
        last.map_or(0, |range| range.extent.end())
    }

    /// Adds a range that is of the kind as a whole. `earlier` chooses of two
    /// values the one that stands where ranges become one. What is known of a
    /// part of it is not counted again.
    pub(super) fn insert(
        &mut self,
        extent: Extent,
        shared: u64,
        value: V,
        earlier: impl Fn(V, V) -> V,
    ) {
        let (mut start, mut end) = (extent.start(), extent.end());
        let mut new = Range {
            extent,
            bytes: extent.length(),
            shared,
            value,
        };
        // It may also touch what begins where it ends, or ends where it begins.
        let from = self.ranges.range(..start).next_back();
        let from = from.map_or(start, |(&before, _)| before);
        let one: Vec<u64> = self
            .ranges
            .range(from..=end)
            .filter(|(_, known)| {
                let overlap = known.extent.clipped(extent).is_some();
                let touch = known.extent.end() == start || known.extent.start() == end;
                overlap || touch && known.is_exact()
            })
            .map(|(&start, _)| start)
            .collect();
        for known in one {
            let Some(known) = self.ranges.remove(&known) else {
                continue;
            };
            let again = known.extent.clipped(extent).map_or(0, Extent::length);
            start = start.min(known.extent.start());
            end = end.max(known.extent.end());
            new.bytes = new.bytes - again + known.bytes;
            new.shared += known.shared;
            new.value = earlier(known.value, new.value);
        }
        new.shared = new.shared.min(new.bytes);
        if let Some(extent) = Extent::between(start, end) {
            self.ranges.insert(start, Range { extent, ..new });
        }
    }

    /// Adds a range as it was saved; `false` when it overlaps another one or
    /// counts more than it can hold.
    #[must_use]
    pub(super) fn restore(&mut self, range: Range<V>) -> bool {
        let valid = range.bytes <= range.extent.length()
            && range.shared <= range.bytes
            && self.touching(range.extent).next().is_none();
        if valid {
            self.ranges.insert(range.extent.start(), range);
        }
        valid
    }

    /// Takes a range out; what sticks out on either side stays. Of a joined
    /// one nobody knows where its bytes are: what stays has at least those that
    /// do not fit elsewhere.
    pub(super) fn remove(&mut self, within: Extent) {
        let touched: Vec<u64> = self
            .touching(within)
            .map(|range| range.extent.start())
            .collect();
        for start in touched {
            let Some(range) = self.ranges.remove(&start) else {
                continue;
            };
            let (start, end) = (range.extent.start(), range.extent.end());
            let sides = [
                Extent::between(start, within.start()),
                Extent::between(within.end(), end),
            ];
            for extent in sides.into_iter().flatten() {
                let elsewhere = range.extent.length() - extent.length();
                let bytes = range.bytes.saturating_sub(elsewhere);
                let shared = range.shared.min(bytes);
                let value = range.value.clone();
                let rest = Range {
                    extent,
                    bytes,
                    shared,
                    value,
                };
                self.ranges.insert(extent.start(), rest);
            }
        }
    }

    /// The gaps between neighbours that `may` be joined over.
    pub(super) fn gaps(&self, kind: usize, may: &dyn Fn(Extent) -> bool) -> Vec<Gap> {
        let pairs = self.ranges.values().zip(self.ranges.values().skip(1));
        pairs
            .filter_map(|(one, next)| {
                let (end, start) = (one.extent.end(), next.extent.start());
                let allowed = Extent::between(end, start).is_none_or(may);
                allowed.then_some(Gap {
                    length: start - end,
                    kind,
                    start,
                })
            })
            .collect()
    }

    /// Joins every range that begins at one of `starts` with the one before it.
    /// Gives the ranges as they were, those that had been joined before left
    /// out.
    pub(super) fn join(
        &mut self,
        starts: &HashSet<u64>,
        earlier: impl Fn(V, V) -> V,
    ) -> Vec<(Extent, V)> {
        let mut lost = Vec::new();
        let mut joined: Vec<Range<V>> = Vec::with_capacity(self.ranges.len());
        for (start, range) in std::mem::take(&mut self.ranges) {
            let before = if starts.contains(&start) {
                joined.pop()
            } else {
                None
            };
            let Some(before) = before else {
                joined.push(range);
                continue;
            };
            for one in [&before, &range] {
                if one.is_exact() {
                    lost.push((one.extent, one.value.clone()));
                }
            }
            let extent = Extent::between(before.extent.start(), range.extent.end());
            joined.push(Range {
                extent: extent.unwrap_or(range.extent),
                bytes: before.bytes + range.bytes,
                shared: before.shared + range.shared,
                value: earlier(before.value, range.value),
            });
        }
        let by_start = |range: Range<V>| (range.extent.start(), range);
        self.ranges = joined.into_iter().map(by_start).collect();
        lost
    }
}

/// Where ranges may be joined: over a gap in which nothing more is found. A gap
/// that ends at the proof's MiB or reaches over it is left as long as others do.
pub(super) fn may_join(gap: Extent, closed: &dyn Fn(Extent) -> bool) -> bool {
    let apart = gap.start() <= APART && gap.end() >= APART;
    !apart && closed(gap)
}

/// The shortest of these gaps, so many of them, by kind.
pub(super) fn shortest(mut gaps: Vec<Gap>, number: usize) -> BTreeMap<usize, HashSet<u64>> {
    if number < gaps.len() {
        gaps.select_nth_unstable(number);
        gaps.truncate(number);
    }
    let mut by_kind: BTreeMap<usize, HashSet<u64>> = BTreeMap::new();
    for gap in gaps {
        by_kind.entry(gap.kind).or_default().insert(gap.start);
    }
    by_kind
}

/// How many bytes of these ranges are bad or different, and what they cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// At least so many bytes.
    pub least: u64,
    /// The ranges cover so many.
    pub most: u64,
}

impl Amount {
    /// Whether the number is known exactly: no range is joined.
    pub fn is_exact(self) -> bool {
        self.least == self.most
    }
}

/// The amount of these ranges, which may overlap.
pub(super) fn amount<'a, V: 'a>(ranges: impl Iterator<Item = &'a Range<V>>) -> Amount {
    let mut covered = ExtentMap::default();
    let mut least = 0_u64;
    for range in ranges {
        covered.insert(range.extent, ());
        least = least.saturating_add(range.bytes - range.shared);
    }
    Amount {
        least,
        most: covered.bytes(),
    }
}
