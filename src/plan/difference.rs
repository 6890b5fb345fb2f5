//! What a read-back found that is not what was written.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::extent::Extent;
use super::ranges::{Amount, Range, Ranges, amount, may_join, shortest};
use crate::text::{MIB, bounded};

/// Bytes that are shown of each range: a block of the cipher that makes random
/// data, so that they tell where they come from.
pub(super) const SHOWN: usize = 16;

/// The first bytes of a range that differs, as they should be and as they are:
/// at most [`SHOWN`], fewer at the end of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct First {
    /// Where they stand: the first byte that differs, rounded down to a
    /// multiple of [`SHOWN`].
    pub at: u64,
    pub expected: Vec<u8>,
    pub found: Vec<u8>,
    /// The offset for which they were written, where that could be told: the
    /// drive put them, or looked for them, in the wrong place.
    pub written_for: Option<u64>,
}

impl First {
    /// The first bytes that differ in `found`, which was read at `offset`, a
    /// multiple of [`SHOWN`]; `None` where nothing does.
    pub fn of(offset: u64, expected: &[u8], found: &[u8]) -> Option<Self> {
        let mut at = offset;
        for (expected, found) in expected.chunks(SHOWN).zip(found.chunks(SHOWN)) {
            if expected != found {
                return Some(Self {
                    at,
                    expected: expected.to_vec(),
                    found: found.to_vec(),
                    written_for: None,
                });
            }
            at += found.len() as u64;
        }
        None
    }

    /// For people: where, what was written and what is there.
    pub fn text(&self) -> String {
        format!(
            "at byte {}: {} was written, {} is read",
            self.at,
            hex::encode(&self.expected),
            hex::encode(&self.found)
        )
    }
}

/// A range that differs, and its first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The range, in multiples of the smallest block.
    pub extent: Extent,
    /// Its first bytes that differ.
    pub first: First,
}

/// Addresses that lead to the same place of a drive, as on a counterfeit stick
/// that has less memory than it says: later writes went over earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrap {
    /// The greatest common divisor of all distances between an address and the
    /// one whose data it holds, in bytes; the drive has at most this much
    /// memory.
    every: u64,
    /// Bytes in blocks that hold what was written for a later address.
    bytes: u64,
}

impl Wrap {
    /// Fewer bytes than this may be a few writes gone astray.
    const LEAST: u64 = MIB;

    /// What is known with one range more that holds, `distance` bytes too
    /// early, what belongs elsewhere.
    pub fn and(known: Option<Self>, distance: u64, bytes: u64) -> Self {
        let (every, before) = known.map_or((0, 0), |known| (known.every, known.bytes));
        Self {
            every: gcd(every, distance),
            bytes: before.saturating_add(bytes),
        }
    }

    /// How much memory the drive has at most, in bytes, where enough is known
    /// to say so.
    pub fn capacity(self) -> Option<u64> {
        (self.bytes >= Self::LEAST && self.every >= Self::LEAST).then_some(self.every)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Ranges that are kept.
const MOST: usize = 10_000;

/// The ranges that differ; neighbours are one. Some thousands at most; see
/// [`bound`](Self::bound).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    ranges: Ranges<First>,
}

impl Differences {
    /// The ranges in order, each with its first bytes.
    pub fn iter(&self) -> impl Iterator<Item = &Range<First>> + '_ {
        self.ranges.iter()
    }

    /// Those that have a part in `within`, in order.
    pub fn touching(&self, within: Extent) -> impl Iterator<Item = &Range<First>> + '_ {
        self.ranges.touching(within)
    }

    /// Adds a range; the first bytes of one that is known already stay.
    pub fn insert(&mut self, difference: Difference) {
        let Difference { extent, first } = difference;
        self.ranges.insert(extent, 0, first, earlier);
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// One past the last byte of the last range; 0 without any.
    pub fn end(&self) -> u64 {
        self.ranges.end()
    }

    /// Bytes that differ.
    pub fn amount(&self) -> Amount {
        amount(self.ranges.iter())
    }

    /// Whether there are more ranges than are saved.
    pub fn is_full(&self) -> bool {
        self.len() > MOST
    }

    /// Whether there are so many ranges that they should be [bound](Self::bound)
    /// before the next save.
    pub fn is_crowded(&self) -> bool {
        self.len() > 2 * MOST
    }

    /// Joins the ranges with the smallest gaps between them until they are few
    /// enough to be saved; over gaps that are `closed`, in which the step under
    /// way finds nothing more, as long as there are any. Gives those that are no
    /// longer kept one by one.
    pub fn bound(&mut self, closed: &dyn Fn(Extent) -> bool) -> Vec<Difference> {
        self.bound_to(MOST, closed)
    }

    /// Joins half of the ranges with others.
    pub fn halve(&mut self) {
        self.bound_to(self.len() / 2, &|_| true);
    }

    fn bound_to(&mut self, most: usize, closed: &dyn Fn(Extent) -> bool) -> Vec<Difference> {
        let mut lost = Vec::new();
        let anywhere: [&dyn Fn(Extent) -> bool; 2] = [&|gap| may_join(gap, closed), &|_| true];
        for may in anywhere {
            let many = self.len().saturating_sub(most);
            if many > 0 {
                for (_, starts) in shortest(self.ranges.gaps(0, may), many) {
                    lost.extend(self.ranges.join(&starts, earlier));
                }
            }
        }
        let difference = |(extent, first)| Difference { extent, first };
        lost.into_iter().map(difference).collect()
    }
}

/// Of two, the one that stands where ranges become one.
fn earlier(one: First, other: First) -> First {
    if other.at < one.at { other } else { one }
}

/// As it is saved.
#[derive(Serialize, Deserialize)]
struct DifferenceEntry {
    start: u64,
    length: u64,
    /// Bytes of a joined range that are in blocks that differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_least: Option<u64>,
    at: u64,
    #[serde(with = "hex")]
    expected: Vec<u8>,
    #[serde(with = "hex")]
    found: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written_for: Option<u64>,
}

impl Serialize for Differences {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(|range| DifferenceEntry {
            start: range.extent.start(),
            length: range.extent.length(),
            at_least: (!range.is_exact()).then_some(range.bytes),
            at: range.value.at,
            expected: range.value.expected.clone(),
            found: range.value.found.clone(),
            written_for: range.value.written_for,
        }))
    }
}

impl<'de> Deserialize<'de> for Differences {
    /// Joins while it reads, so that a long list takes no more memory than a short one.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut all = Self::default();
        bounded::each(from, |entry| all.restore(entry))?;
        all.bound(&|_| true);
        Ok(all)
    }
}

impl Differences {
    fn restore(&mut self, entry: DifferenceEntry) -> Result<(), String> {
        let extent = Extent::new(entry.start, entry.length)
            .filter(|extent| extent.start() >= self.end())
            .ok_or("extents are empty, overlap or are out of order")?;
        if entry.at < extent.start() || entry.at >= extent.end() {
            return Err("the first bytes lie outside their extent".into());
        }
        if entry.expected.len() > SHOWN || entry.found.len() > SHOWN {
            return Err("more first bytes than are ever shown".into());
        }
        let value = First {
            at: entry.at,
            expected: entry.expected,
            found: entry.found,
            written_for: entry.written_for,
        };
        if let Some(bytes) = entry.at_least {
            let range = Range {
                extent,
                bytes,
                shared: 0,
                value,
            };
            if !self.ranges.restore(range) {
                return Err("more bytes differ than there are".into());
            }
        } else {
            self.ranges.insert(extent, 0, value, earlier);
        }
        if self.is_crowded() {
            self.bound(&|_| true);
        }
        Ok(())
    }
}

/// What tests find different.
#[cfg(test)]
pub(crate) mod example {
    use super::{Difference, Extent, First};

    /// A range that differs from its start on.
    pub(crate) fn difference(start: u64, end: u64) -> Difference {
        Difference {
            extent: Extent::between(start, end).unwrap(),
            first: First {
                at: start,
                expected: vec![1],
                found: vec![u8::try_from(start / 512 % 256).unwrap()],
                written_for: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::example::difference;
    use super::*;

    fn firsts(all: &Differences) -> Vec<(u64, u64, u8)> {
        all.iter()
            .map(|one| (one.extent.start(), one.extent.end(), one.value.found[0]))
            .collect()
    }

    #[test]
    fn the_first_bytes_that_differ_are_shown() {
        let (expected, mut found) = (vec![7; 100], vec![7; 100]);
        assert_eq!(First::of(512, &expected, &found), None);
        found[37] = 8;
        found[99] = 8;
        let first = First::of(512, &expected, &found).unwrap();
        assert_eq!((first.at, first.found.len()), (512 + 32, SHOWN));
        assert_eq!(first.found[5], 8);
        found[37] = 7;
        let first = First::of(512, &expected, &found).unwrap();
        assert_eq!((first.at, first.found), (512 + 96, vec![7, 7, 7, 8]));
    }

    #[test]
    fn neighbours_are_one_range_with_the_first_bytes_of_the_first() {
        let mut all = Differences::default();
        all.insert(difference(1024, 1536));
        all.insert(difference(4096, 4608));
        assert_eq!(firsts(&all), [(1024, 1536, 2), (4096, 4608, 8)]);
        // Out of order, as workers give them.
        all.insert(difference(512, 1024));
        assert_eq!(firsts(&all), [(512, 1536, 1), (4096, 4608, 8)]);
        all.insert(difference(1536, 4096));
        assert_eq!(firsts(&all), [(512, 4608, 1)]);
        assert_eq!(all.amount().least, 4096);
    }

    #[test]
    fn distances_between_copies_tell_how_much_memory_there_is() {
        let wrap = Wrap::and(None, 24 * MIB, 1000);
        assert_eq!(wrap.capacity(), None, "too little to say");
        let wrap = Wrap::and(Some(wrap), 24 * MIB, MIB);
        assert_eq!(wrap.capacity(), Some(24 * MIB));
        let wrap = Wrap::and(Some(wrap), 16 * MIB, MIB);
        assert_eq!(wrap.capacity(), Some(8 * MIB));
    }

    #[test]
    fn what_is_saved_is_read_again() {
        let mut all = Differences::default();
        all.insert(difference(1024, 1536));
        all.insert(difference(4096, 5120));
        let json = serde_json::to_string(&all).unwrap();
        assert!(json.contains(r#""start":1024,"length":512,"at":1024,"expected":"01""#));
        assert_eq!(serde_json::from_str::<Differences>(&json).unwrap(), all);
        let outside = json.replace("\"at\":1024", "\"at\":1536");
        assert!(serde_json::from_str::<Differences>(&outside).is_err());
        let overlapping = json.replace("4096,", "1025,");
        assert!(serde_json::from_str::<Differences>(&overlapping).is_err());
    }
}
