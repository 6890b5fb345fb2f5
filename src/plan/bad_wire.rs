//! How bad ranges stand in a checkpoint.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bad::{Bad, BadMap, BadState, During, MOST_KINDS};
use super::extent::Extent;
use super::passes::MAX_PASSES;
use super::ranges::Range;
use crate::text::bounded;

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
    /// Joins while it reads, so that a long list takes no more memory than a short one.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut map = Self::default();
        let (mut start, mut end) = (0, 0);
        bounded::each(from, |entry: BadEntry| {
            let whole = entry.at_least.is_none() && entry.shared.is_none();
            let extent = Extent::new(entry.start, entry.length)
                .filter(|extent| extent.start() >= if whole { end } else { start })
                .ok_or(WRONG)?;
            start = extent.start();
            if whole {
                end = extent.end();
            }
            map.restore(&entry, extent)
        })?;
        map.bound(&|_| true);
        Ok(map)
    }
}

impl BadMap {
    fn restore(&mut self, entry: &BadEntry, extent: Extent) -> Result<(), String> {
        let bad = Bad {
            pass: entry.pass,
            state: entry.state,
            during: entry.during,
            errno: entry.errno,
        };
        let known = self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&bad);
        if !known || bad.pass > MAX_PASSES {
            return Err("no wipe has so many passes or errors".into());
        }
        let own = self.kinds.entry(bad).or_default();
        let range = Range {
            extent,
            bytes: entry.at_least.unwrap_or(entry.length),
            shared: entry.shared.unwrap_or(0),
            value: (),
        };
        let whole = entry.at_least.is_none() && entry.shared.is_none();
        if whole && own.touching(extent).next().is_none() {
            own.insert(extent, 0, (), |(), ()| ());
        } else if !own.restore(range) {
            return Err(WRONG.into());
        }
        if self.is_crowded() {
            self.bound(&|_| true);
        }
        Ok(())
    }
}

const WRONG: &str = "extents are empty, overlap, are out of order or count too much";
