//! How bad ranges stand in a checkpoint.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bad::{Bad, BadMap, BadState, During, MOST_KINDS};
use super::extent::Extent;
use super::passes::MAX_PASSES;
use super::ranges::Range;

/// As it is saved.
#[derive(Serialize, Deserialize)]
struct BadEntry {
    start: u64,
    length: u64,
    pass: usize,
    state: BadState,
    during: During,
    errno: i32,
    /// Bytes of a joined range that are bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_least: Option<u64>,
    /// How many of them another range may count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shared: Option<u64>,
}

impl Serialize for BadMap {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all: Vec<(&Bad, &Range<()>)> = Vec::with_capacity(self.len());
        for (bad, ranges) in &self.kinds {
            all.extend(ranges.iter().map(|range| (bad, range)));
        }
        all.sort_by_key(|(bad, range)| (range.extent.start(), **bad));
        to.collect_seq(all.into_iter().map(|(bad, range)| BadEntry {
            start: range.extent.start(),
            length: range.extent.length(),
            pass: bad.pass,
            state: bad.state,
            during: bad.during,
            errno: bad.errno,
            at_least: (!range.is_exact()).then_some(range.bytes),
            shared: Some(range.shared).filter(|shared| *shared > 0),
        }))
    }
}

impl<'de> Deserialize<'de> for BadMap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(BadReader)
    }
}

/// Joins while it reads, so that a long list takes no more memory than a short
/// one.
struct BadReader;

impl<'de> Visitor<'de> for BadReader {
    type Value = BadMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of bad ranges")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<BadMap, A::Error> {
        let mut map = BadMap::default();
        let (mut start, mut end) = (0, 0);
        while let Some(entry) = list.next_element::<BadEntry>()? {
            let whole = entry.at_least.is_none() && entry.shared.is_none();
            let extent = Extent::new(entry.start, entry.length)
                .filter(|extent| extent.start() >= if whole { end } else { start })
                .ok_or_else(|| de::Error::custom(WRONG))?;
            start = extent.start();
            if whole {
                end = extent.end();
            }
            let bad = Bad {
                pass: entry.pass,
                state: entry.state,
                during: entry.during,
                errno: entry.errno,
            };
            let known = map.kinds.len() < MOST_KINDS || map.kinds.contains_key(&bad);
            if !known || bad.pass > MAX_PASSES {
                return Err(de::Error::custom("no wipe has so many passes or errors"));
            }
            let own = map.kinds.entry(bad).or_default();
            if whole && own.touching(extent).next().is_none() {
                own.insert(extent, 0, (), |(), ()| ());
            } else if !own.restore(Range {
                extent,
                bytes: entry.at_least.unwrap_or(entry.length),
                shared: entry.shared.unwrap_or(0),
                value: (),
            }) {
                return Err(de::Error::custom(WRONG));
            }
            if map.is_crowded() {
                map.bound(&|_| true);
            }
        }
        map.bound(&|_| true);
        Ok(map)
    }
}

const WRONG: &str = "extents are empty, overlap, are out of order or count too much";
