//! What a pass writes: as it is typed, as it is saved, as people read it, and which
//! bytes that is. All that is said anywhere of a strategy is said here.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use super::random::{Generator, Key, best_generator};
use super::stream::WipeStrategy;
use super::zero::Zero;

/// A strategy as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// A keystream.
    Random,
    /// Zero bytes.
    Zero,
    /// A repeated pattern.
    Pattern,
}

/// What one pass writes, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "lowercase")]
pub enum Content {
    /// Zero bytes.
    Zero,
    Pattern {
        /// The repeated bytes.
        pattern: Pattern,
    },
    Random {
        generator: Generator,
        /// Drawn from the kernel for this pass.
        #[serde(default, skip_serializing_if = "Key::is_elsewhere")]
        key: Key,
    },
}

/// Words for a content.
#[derive(Debug)]
pub struct ContentWords {
    /// In a list: `pattern 55aa`.
    pub brief: String,
    /// What is written: `the pattern 55aa`.
    pub object: String,
    /// In the table of a page, which has more room.
    pub cell: String,
    /// What makes the bytes, where they do not say so themselves.
    pub generator: Option<&'static str>,
}

/// Draws from the kernel; in tests from elsewhere.
pub trait Draw<E> {
    fn key(&mut self) -> Result<Key, E>;
    fn byte(&mut self) -> Result<u8, E>;
}

impl Choice {
    /// The name as typed, which is also the one that is saved.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or(String::new(), |value| value.get_name().to_string())
    }

    /// All names, as `random, zero or pattern`.
    pub fn all() -> String {
        let names: Vec<String> = Self::value_variants().iter().map(|it| it.name()).collect();
        names.split_last().map_or(String::new(), |(last, others)| {
            format!("{} or {last}", others.join(", "))
        })
    }

    /// Whether it repeats what `--pattern` says.
    pub fn takes_pattern(self) -> bool {
        match self {
            Self::Pattern => true,
            Self::Random | Self::Zero => false,
        }
    }

    /// What a pass writes by it. `pattern`: what was typed; one without is random, and
    /// the command line takes no such wish.
    pub fn content<E>(
        self,
        pattern: Option<&Pattern>,
        draw: &mut dyn Draw<E>,
    ) -> Result<Content, E> {
        match (self, pattern.cloned()) {
            (Self::Zero, _) => Ok(Content::Zero),
            (Self::Pattern, Some(pattern)) => Ok(Content::Pattern { pattern }),
            (Self::Random | Self::Pattern, _) => Ok(Content::Random {
                generator: best_generator(),
                key: draw.key()?,
            }),
        }
    }
}

impl Content {
    pub fn strategy(&self) -> Choice {
        match self {
            Self::Zero => Choice::Zero,
            Self::Pattern { .. } => Choice::Pattern,
            Self::Random { .. } => Choice::Random,
        }
    }

    pub fn name(&self) -> String {
        self.strategy().name()
    }

    pub fn words(&self) -> ContentWords {
        /// Bytes of a pattern that are shown.
        const FEW: usize = 8;
        const MANY: usize = 16;
        let (brief, object, cell, generator) = match self {
            Self::Zero => (self.name(), "zeros".into(), "zeros".into(), None),
            Self::Random { generator, .. } => (
                self.name(),
                "random data".into(),
                "random".into(),
                Some(generator.name()),
            ),
            Self::Pattern { pattern } => {
                let all = match pattern.bytes().len() {
                    ..=MANY => String::new(),
                    bytes => format!(" ({bytes} bytes)"),
                };
                let few = pattern.digits(FEW);
                (
                    format!("pattern {few}"),
                    format!("the pattern {few}"),
                    format!("pattern {}{all}", pattern.digits(MANY)),
                    None,
                )
            }
        };
        ContentWords {
            brief,
            object,
            cell,
            generator,
        }
    }

    /// Its key, where it has one: then matching it proves who wrote it, and not only
    /// that nobody wrote since.
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Random { key, .. } => Some(*key),
            Self::Zero | Self::Pattern { .. } => None,
        }
    }

    pub fn key_mut(&mut self) -> Option<&mut Key> {
        match self {
            Self::Random { key, .. } => Some(key),
            Self::Zero | Self::Pattern { .. } => None,
        }
    }

    pub fn is_keystream(&self) -> bool {
        self.key().is_some()
    }
}

/// The strategy that writes this content.
pub fn of(content: &Content) -> Box<dyn WipeStrategy> {
    match content {
        Content::Zero => Box::new(Zero),
        Content::Pattern { pattern } => Box::new(pattern.clone()),
        Content::Random { generator, key } => generator.stream(key),
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::KEY_BYTES;
    use super::*;
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

    #[test]
    fn what_is_typed_is_what_is_saved() {
        for choice in Choice::value_variants() {
            let content = contents().into_iter().find(|it| it.strategy() == *choice);
            let saved = serde_json::to_value(content.unwrap()).unwrap();
            assert_eq!(saved["strategy"], choice.name().as_str());
        }
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
