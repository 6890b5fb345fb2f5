//! Which parts of a target a read-back by samples looks at.
//!
//! After NIST SP 800-88 Rev. 1, section 4.7.2 (as cited by others): the target
//! is cut into at least 1,000 equal subsections; in each at least two
//! pseudorandom samples that do not overlap are read, each 5 % of it; and the
//! first and the last address.
//!
//! All is a pure function of seed and size: a resume goes on with the same
//! samples.

use super::extent::{Extent, ExtentMap};
use crate::text::KIB;

/// Equal subsections of a target.
const SUBSECTIONS: u64 = 1000;
/// A sample is this part of its subsection: 5 %.
const PART: u64 = 20;
/// Samples begin and end at multiples of this many bytes: whole blocks of any
/// drive.
const GRAIN: u64 = 4 * KIB;

/// The sampled parts of `within`, in order, for a target of `size` bytes.
pub(crate) fn pieces(seed: u64, size: u64, within: Extent) -> Vec<Extent> {
    let mut set = ExtentMap::default();
    let end = within.end().min(size);
    // A sample may reach over the end of its subsection by less than a grain.
    let first = subsection_of(size, within.start().saturating_sub(GRAIN));
    let last = subsection_of(size, end.saturating_add(GRAIN));
    let places = (first..=last)
        .flat_map(|index| samples(seed, size, index))
        .chain(ends(size));
    for piece in places.filter_map(|place| place.clipped(within)) {
        set.insert(piece, ());
    }
    set.iter().map(|(extent, ())| extent).collect()
}

/// The first and the last block.
fn ends(size: u64) -> impl Iterator<Item = Extent> {
    let last = size.saturating_sub(1) / GRAIN * GRAIN;
    [
        Extent::between(0, size.min(GRAIN)),
        Extent::between(last, size),
    ]
    .into_iter()
    .flatten()
}

fn subsection_of(size: u64, offset: u64) -> u64 {
    let index = u128::from(offset) * u128::from(SUBSECTIONS);
    let index = index.checked_div(u128::from(size)).unwrap_or(0);
    u64::try_from(index)
        .unwrap_or(u64::MAX)
        .min(SUBSECTIONS - 1)
}

fn start_of(size: u64, index: u64) -> u64 {
    let start = u128::from(size) * u128::from(index) / u128::from(SUBSECTIONS);
    u64::try_from(start).unwrap_or(u64::MAX)
}

/// Two samples of one subsection, one in each half of it.
fn samples(seed: u64, size: u64, index: u64) -> impl Iterator<Item = Extent> {
    let (start, end) = (start_of(size, index), start_of(size, index + 1));
    let middle = start + (end - start) / 2;
    let length = (end - start).div_ceil(PART);
    [(start, middle), (middle, end)]
        .into_iter()
        .enumerate()
        .filter_map(move |(half, (from, to))| {
            let room = (to - from).saturating_sub(length);
            let number = index * 2 + half as u64;
            let shift = mixed(seed, number).checked_rem(room + 1).unwrap_or(0);
            let sample = from + shift;
            // Rounded outward: never less than the share that is promised.
            let end = (sample + length).min(size).next_multiple_of(GRAIN);
            Extent::between(sample / GRAIN * GRAIN, end.min(size))
        })
}

/// A number that looks random: the finalizer of `SplitMix64` (Steele, Lea and
/// Flood, 2014).
fn mixed(seed: u64, number: u64) -> u64 {
    let z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::MIB;
    use proptest::prelude::*;

    fn extent(start: u64, end: u64) -> Extent {
        Extent::between(start, end).unwrap()
    }

    #[test]
    fn every_subsection_has_two_samples_that_are_a_tenth_of_it_together() {
        for size in [1 << 30, 18_000_207_937_536, (1 << 40) + 512] {
            for index in [0, 1, 499, 998, 999] {
                let (start, end) = (start_of(size, index), start_of(size, index + 1));
                let both: Vec<Extent> = samples(7, size, index).collect();
                assert_eq!(both.len(), 2);
                assert!(both[0].start() + GRAIN > start && both[1].end() < end + GRAIN);
                // Apart, but for the rounding to blocks.
                assert!(both[0].end() < both[1].start() + 2 * GRAIN);
                for one in both {
                    assert!(one.length() >= (end - start) / 20);
                }
            }
            let all: u64 = pieces(7, size, extent(0, size))
                .iter()
                .map(|p| p.length())
                .sum();
            assert!(
                all >= size / 10 && all < size / 10 + 3000 * GRAIN,
                "{size}: {all}"
            );
        }
    }

    #[test]
    fn the_first_and_the_last_byte_are_always_read() {
        for size in [1, 511, 4096, 4097, 3 * MIB + 700, 1 << 40] {
            for seed in 0..20 {
                let first = pieces(seed, size, extent(0, 1));
                let last = pieces(seed, size, extent(size - 1, size));
                assert_eq!((first.len(), last.len()), (1, 1), "{size}");
            }
        }
    }

    #[test]
    fn another_seed_draws_other_places() {
        let within = extent(0, 1 << 34);
        assert_ne!(pieces(1, 1 << 40, within), pieces(2, 1 << 40, within));
    }

    proptest! {
        #[test]
        fn the_samples_do_not_depend_on_how_the_target_is_cut(
            size in 1_u64..40 * MIB, seed: u64, chunk in 1_u64..9,
        ) {
            let mut by_chunk = ExtentMap::default();
            let mut at = 0;
            while at < size {
                let end = size.min(at + chunk * 64 * KIB);
                for piece in pieces(seed, size, extent(at, end)) {
                    prop_assert!(piece.start() >= at && piece.end() <= end);
                    by_chunk.insert(piece, ());
                }
                at = end;
            }
            let mut whole = ExtentMap::default();
            for piece in pieces(seed, size, extent(0, size)) { whole.insert(piece, ()); }
            prop_assert_eq!(by_chunk, whole);
        }
    }
}
