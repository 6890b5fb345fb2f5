//! The strategy of a pass.

use super::pattern::Repeat;
use super::random::{Aes256Stream, ChaCha20Stream};
use super::stream::WipeStrategy;
use super::zero::Zero;
use crate::plan::{Content, Generator};

/// The strategy that writes this content.
#[must_use]
pub fn of(content: &Content) -> Box<dyn WipeStrategy> {
    match content {
        Content::Zero => Box::new(Zero),
        Content::Pattern { pattern } => Box::new(Repeat::new(pattern)),
        Content::Random {
            generator: Generator::Aes256,
            key,
        } => Box::new(Aes256Stream::new(key)),
        Content::Random {
            generator: Generator::ChaCha20,
            key,
        } => Box::new(ChaCha20Stream::new(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{KEY_BYTES, Key};
    use proptest::prelude::*;

    fn contents() -> Vec<Content> {
        let key = Key::new([9; KEY_BYTES]);
        let pattern = |text: &str| Content::Pattern {
            pattern: text.parse().unwrap(),
        };
        vec![
            Content::Zero,
            pattern("55"),
            pattern("55aa"),
            pattern("924924"),
            pattern("0102030405"),
            pattern("000102030405060708090a0b0c0d0e0f"),
            Content::Random {
                generator: Generator::Aes256,
                key,
            },
            Content::Random {
                generator: Generator::ChaCha20,
                key,
            },
        ]
    }

    proptest! {
        #[test]
        fn the_bytes_do_not_depend_on_how_they_are_cut(
            start in prop_oneof![0_u64..5000, (1_u64 << 38) - 100..(1_u64 << 38) + 100],
            cuts in proptest::collection::vec(0_usize..3000, 0..6),
        ) {
            for content in contents() {
                let strategy = of(&content);
                let mut whole = vec![0xEE; 3000];
                strategy.fill(start, &mut whole);
                let mut ends = cuts.clone();
                ends.push(3000);
                ends.sort_unstable();
                let mut pieces = vec![0xEE; 3000];
                let mut at = 0;
                for end in ends {
                    strategy.fill(start + at as u64, &mut pieces[at..end]);
                    at = end;
                }
                prop_assert!(whole == pieces, "{content:?}");
            }
        }
    }

    #[test]
    fn a_period_is_one_after_which_the_bytes_repeat() {
        for content in contents() {
            let strategy = of(&content);
            let Some(period) = strategy.period() else {
                continue;
            };
            let (mut here, mut there) = (vec![0xEE; 100], vec![0xDD; 100]);
            strategy.fill(7, &mut here);
            strategy.fill(7 + period.get() * 1000, &mut there);
            assert_eq!(here, there);
        }
    }

    #[test]
    fn a_keystream_tells_where_its_bytes_belong() {
        let size = 1 << 36;
        for content in contents().into_iter().filter(Content::is_keystream) {
            let strategy = of(&content);
            for (at, from) in [(0, 8 << 20), (48, (3 << 30) + 48), (60 << 30, 16 << 30)] {
                let mut found = [0; 16];
                strategy.fill(from, &mut found);
                assert_eq!(strategy.origin(&found, at, size), Some(from));
                found[3] ^= 1;
                assert_eq!(strategy.origin(&found, at, size), None);
                assert_eq!(strategy.origin(&found[..8], at, size), None);
            }
            let mut beyond = [0; 16];
            strategy.fill(size, &mut beyond);
            assert_eq!(strategy.origin(&beyond, 0, size), None);
        }
        assert_eq!(of(&Content::Zero).origin(&[0; 16], 0, size), None);
    }

    #[test]
    fn the_last_bytes_that_64_bits_can_name_are_filled() {
        for content in contents() {
            let strategy = of(&content);
            let mut end = [0xEE; 100];
            strategy.fill(u64::MAX - 99, &mut end);
            let mut last = [0xEE; 50];
            strategy.fill(u64::MAX - 49, &mut last);
            assert_eq!(end[50..], last, "{content:?}");
        }
    }
}
