//! What a read-back found that is not what was written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::extent::{Extent, ExtentMap};
use crate::size::MIB;
use crate::text::{from_hex, to_hex};

/// Bytes that are shown of each range: a block of the cipher that makes random
/// data, so that they tell where they come from.
pub const SHOWN: usize = 16;

/// The first bytes of a range that differs, as they should be and as they are:
/// at most [`SHOWN`], fewer at the end of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// Where they stand: the first byte that differs, rounded down to a
    /// multiple of [`SHOWN`].
    pub at: u64,
    /// As they were written.
    #[serde(with = "hex")]
    pub expected: Vec<u8>,
    /// As they were read.
    #[serde(with = "hex")]
    pub found: Vec<u8>,
    /// The offset for which they were written, where that could be told: the
    /// drive put them, or looked for them, in the wrong place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_for: Option<u64>,
}

impl First {
    /// The first bytes that differ in `found`, which was read at `offset`, a
    /// multiple of [`SHOWN`]; `None` where nothing does.
    #[must_use]
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
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "at byte {}: {} was written, {} is read",
            self.at,
            to_hex(&self.expected),
            to_hex(&self.found)
        )
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::to_hex(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        super::from_hex(&text).ok_or_else(|| D::Error::custom("is not hexadecimal"))
    }
}

/// A range that differs, and its first bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The range, in multiples of the smallest block.
    #[serde(flatten)]
    pub extent: Extent,
    /// Its first bytes that differ.
    #[serde(flatten)]
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
    #[must_use]
    pub fn and(known: Option<Self>, distance: u64, bytes: u64) -> Self {
        let (every, before) = known.map_or((0, 0), |known| (known.every, known.bytes));
        Self {
            every: gcd(every, distance),
            bytes: before.saturating_add(bytes),
        }
    }

    /// How much memory the drive has at most, in bytes, where enough is known
    /// to say so.
    #[must_use]
    pub fn capacity(self) -> Option<u64> {
        (self.bytes >= Self::LEAST && self.every >= Self::LEAST).then_some(self.every)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Every range that differs; neighbours are one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Difference>", into = "Vec<Difference>")]
pub struct Differences {
    ranges: ExtentMap<()>,
    // by the start of the range that they are the first of
    firsts: BTreeMap<u64, First>,
}

impl Differences {
    /// The ranges.
    #[must_use]
    pub fn map(&self) -> &ExtentMap<()> {
        &self.ranges
    }

    /// The ranges in order, each with its first bytes.
    pub fn iter(&self) -> impl Iterator<Item = Difference> + '_ {
        self.ranges.iter().filter_map(|(extent, ())| {
            let first = self.firsts.get(&extent.start())?.clone();
            Some(Difference { extent, first })
        })
    }

    /// Adds a range; the first bytes of one that is known already stay.
    pub fn insert(&mut self, difference: Difference) {
        let Difference { extent, first } = difference;
        self.ranges.insert(extent, ());
        let Some(merged) = self.ranges.range_at(extent.start()) else {
            return;
        };
        // Those of all ranges that are now one: the first of them stand.
        let known: Vec<u64> = self
            .firsts
            .range(merged.start()..merged.end())
            .map(|(&start, _)| start)
            .collect();
        let known: Vec<First> = known
            .iter()
            .filter_map(|start| self.firsts.remove(start))
            .collect();
        let earliest = known
            .into_iter()
            .fold(first, |a, b| if b.at <= a.at { b } else { a });
        self.firsts.insert(merged.start(), earliest);
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes in all ranges.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ranges.bytes()
    }
}

impl From<Differences> for Vec<Difference> {
    fn from(differences: Differences) -> Self {
        differences.iter().collect()
    }
}

impl TryFrom<Vec<Difference>> for Differences {
    type Error = &'static str;
    fn try_from(list: Vec<Difference>) -> Result<Self, Self::Error> {
        let mut all = Self::default();
        let mut end = 0;
        for one in list {
            if one.extent.start() < end {
                return Err("extents overlap or are out of order");
            }
            if one.first.at < one.extent.start() || one.first.at >= one.extent.end() {
                return Err("the first bytes lie outside their extent");
            }
            end = one.extent.end();
            all.insert(one);
        }
        Ok(all)
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
            .map(|one| (one.extent.start(), one.extent.end(), one.first.found[0]))
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
        assert_eq!(all.bytes(), 4096);
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
