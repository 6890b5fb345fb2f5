//! What is to be written and compared, and how far it got.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::size;

/// Most passes that a plan may have; the longest known scheme has 35.
pub const MAX_PASSES: usize = 99;

/// Bytes of a key of either generator.
pub const KEY_BYTES: usize = 32;

/// Longest repeated pattern in bytes.
pub const MAX_PATTERN: usize = 4096;

/// A key of a random pass. Its `Debug` form hides it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = parse_hex(&text).ok_or("key is not hexadecimal")?;
        let bytes = bytes.try_into().map_err(|_| "key is not 32 bytes")?;
        Ok(Self(bytes))
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        to_hex(&key.0)
    }
}

/// A repeated sequence of 1 to [`MAX_PATTERN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// The bytes, never none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for Pattern {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::str::FromStr for Pattern {
    type Err = &'static str;
    /// Parses pairs of hexadecimal digits, with or without a leading `0x`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        if digits.is_empty() {
            return Err("is empty; give pairs of hexadecimal digits, such as 55aa");
        }
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("is not hexadecimal; give pairs of the digits 0-9 and a-f, such as 55aa");
        }
        let bytes = parse_hex(digits)
            .ok_or("has an odd number of digits; give pairs of digits, such as 55aa")?;
        if bytes.len() > MAX_PATTERN {
            return Err("is longer than 4096 bytes; give a shorter one");
        }
        Ok(Self(bytes))
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        to_hex(&pattern.0)
    }
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    whole.then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The generator of a random stream; named in the checkpoint, so that another
/// machine continues with the same stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generator {
    /// AES-256 in counter mode over a zero nonce: block `n` of 16 bytes is the
    /// encryption of `n` as 64 bits little-endian followed by 8 zero bytes.
    #[serde(rename = "aes256-ctr64le")]
    Aes256,
    /// The original `ChaCha20` with a 64-bit block counter and a zero nonce.
    #[serde(rename = "chacha20-ctr64")]
    ChaCha20,
}

/// What one pass writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "lowercase")]
pub enum Content {
    /// Zero bytes.
    Zero,
    /// A repeated pattern; its phase is the offset on the device.
    Pattern {
        /// The repeated bytes.
        pattern: Pattern,
    },
    /// A keystream.
    Random {
        /// What makes the stream.
        generator: Generator,
        /// Drawn from the kernel for this pass.
        key: Key,
    },
}

impl Content {
    /// The strategy's name as typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Pattern { .. } => "pattern",
            Self::Random { .. } => "random",
        }
    }

    /// Whether matching it proves who wrote it, and not only that nobody wrote
    /// since.
    #[must_use]
    pub fn is_keystream(&self) -> bool {
        matches!(self, Self::Random { .. })
    }
}

/// One pass over the whole target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// What is written.
    #[serde(flatten)]
    pub content: Content,
    /// Whether the pass is read back and compared in full afterwards.
    pub verify: bool,
}

/// The passes of a wipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Pass>", into = "Vec<Pass>")]
pub struct Plan {
    // 1..=MAX_PASSES
    passes: Vec<Pass>,
}

impl Plan {
    /// `None` without a pass or with more than [`MAX_PASSES`].
    #[must_use]
    pub fn new(passes: Vec<Pass>) -> Option<Self> {
        (1..=MAX_PASSES)
            .contains(&passes.len())
            .then_some(Self { passes })
    }

    /// The passes in order.
    #[must_use]
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The pass of a step; a step beyond the plan gives the last pass.
    #[must_use]
    pub fn pass(&self, index: usize) -> &Pass {
        &self.passes[index.min(self.passes.len() - 1)]
    }

    /// Whether the last pass is read back.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.pass(usize::MAX).verify
    }

    /// The same passes, with the last one read back or not.
    #[must_use]
    pub fn with_verify(mut self, verify: bool) -> Self {
        if let Some(last) = self.passes.last_mut() {
            last.verify = verify;
        }
        self
    }

    /// Everything that is done, in order: each pass written and, where asked,
    /// read back.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (pass, what) in self.passes.iter().enumerate() {
            steps.push(Step {
                pass,
                phase: Phase::Write,
            });
            if what.verify {
                steps.push(Step {
                    pass,
                    phase: Phase::Verify,
                });
            }
        }
        steps
    }

    /// The step after this one; phase `Complete` of the last pass at the end.
    #[must_use]
    pub fn after(&self, step: Step) -> Step {
        let Step { pass, phase } = step;
        if phase == Phase::Write && self.pass(pass).verify {
            Step {
                pass,
                phase: Phase::Verify,
            }
        } else if phase != Phase::Complete && pass + 1 < self.passes.len() {
            Step {
                pass: pass + 1,
                phase: Phase::Write,
            }
        } else {
            Step {
                pass: self.passes.len() - 1,
                phase: Phase::Complete,
            }
        }
    }

    /// Bytes of all steps that are finished when `done` bytes of `step` are, and
    /// bytes of all steps together, for a target of `size` bytes.
    #[must_use]
    pub fn work(&self, step: Step, done: u64, size: u64) -> (u128, u128) {
        let steps = self.steps();
        let total = steps.len() as u128 * u128::from(size);
        let before = steps.iter().take_while(|known| **known != step).count();
        if before == steps.len() {
            return (total, total);
        }
        (before as u128 * u128::from(size) + u128::from(done), total)
    }
}

impl TryFrom<Vec<Pass>> for Plan {
    type Error = &'static str;
    fn try_from(passes: Vec<Pass>) -> Result<Self, Self::Error> {
        Self::new(passes).ok_or("plan has no pass or more than 99")
    }
}

impl From<Plan> for Vec<Pass> {
    fn from(plan: Plan) -> Self {
        plan.passes
    }
}

/// What is done with a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is written.
    Write,
    /// It is read back and compared.
    Verify,
    /// Everything is done.
    Complete,
}

impl Phase {
    /// As people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Verify => "read-back",
            Self::Complete => "complete",
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Counted from 0.
    pub pass: usize,
    /// What is done with it.
    pub phase: Phase,
}

/// How far one step got, in bytes from the start of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    // saved <= durable <= done <= size
    size: u64,
    done: u64,
    durable: u64,
    saved: u64,
}

impl Cursor {
    /// A cursor that continues at `saved`; capped at `size`.
    #[must_use]
    pub fn at(saved: u64, size: u64) -> Self {
        let saved = saved.min(size);
        Self {
            size,
            done: saved,
            durable: saved,
            saved,
        }
    }

    /// Everything below is written, or known to be bad.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Everything below was covered by a successful sync.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Everything below is in a checkpoint that is itself on disk.
    #[must_use]
    pub fn saved(&self) -> u64 {
        self.saved
    }

    /// Whether everything is done and saved.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.saved == self.size
    }

    /// More was done; never backwards, never beyond the end.
    pub fn advance_done(&mut self, done: u64) {
        self.done = self.done.max(done.min(self.size));
    }

    /// A sync that began when `done` was at `synced` has succeeded.
    pub fn advance_durable(&mut self, synced: u64) {
        self.durable = self.durable.max(synced.min(self.done));
    }

    /// A checkpoint that says `saved` is on disk.
    pub fn advance_saved(&mut self, saved: u64) {
        self.saved = self.saved.max(saved.min(self.durable));
    }

    /// A sync failed: what came after the last good one is unknown.
    pub fn rewind(&mut self) {
        self.done = self.durable;
    }
}

/// What the user asks for; `None` where nothing was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// `--strategy`, or what another option implies.
    pub strategy: Option<Choice>,
    /// `--pattern`.
    pub pattern: Option<Pattern>,
    /// `--passes`.
    pub passes: Option<usize>,
    /// `--verify`: whether the last pass is read back.
    pub verify: Option<bool>,
}

/// A strategy as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A keystream.
    Random,
    /// Zero bytes.
    Zero,
    /// A repeated pattern.
    Pattern,
}

impl Choice {
    /// The name as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Zero => "zero",
            Self::Pattern => "pattern",
        }
    }
}

impl Wish {
    /// The plan of a fresh wipe. `random` makes the content of a random pass,
    /// with a new key each time.
    ///
    /// # Errors
    /// Those of `random`.
    pub fn plan<E>(&self, mut random: impl FnMut() -> Result<Content, E>) -> Result<Plan, E> {
        let mut passes = Vec::new();
        for _ in 0..self.passes.unwrap_or(1).clamp(1, MAX_PASSES) {
            let content = match (self.strategy, &self.pattern) {
                (Some(Choice::Zero), _) => Content::Zero,
                (None | Some(Choice::Pattern), Some(pattern)) => Content::Pattern {
                    pattern: pattern.clone(),
                },
                _ => random()?,
            };
            passes.push(Pass {
                content,
                verify: false,
            });
        }
        Ok(Plan { passes }.with_verify(self.verify.unwrap_or(true)))
    }

    /// The plan with which a wipe is continued: its own, except that the
    /// read-back may be changed.
    ///
    /// # Errors
    /// The option that contradicts it, and what the wipe was begun with.
    pub fn reconcile(&self, begun: &Plan) -> Result<Plan, Contradiction> {
        let first = &begun.pass(0).content;
        let contradiction = |option, begun| Err(Contradiction { option, begun });
        if let Some(choice) = self.strategy
            && choice.name() != first.name()
        {
            return contradiction("--strategy", first.name().to_string());
        }
        if let Some(pattern) = &self.pattern {
            match first {
                Content::Pattern { pattern: known } if known == pattern => {}
                Content::Pattern { pattern } => {
                    return contradiction("--pattern", String::from(pattern.clone()));
                }
                other => return contradiction("--pattern", other.name().to_string()),
            }
        }
        if let Some(passes) = self.passes
            && passes != begun.passes().len()
        {
            return contradiction("--passes", begun.passes().len().to_string());
        }
        Ok(match self.verify {
            Some(verify) => begun.clone().with_verify(verify),
            None => begun.clone(),
        })
    }
}

/// An option that does not agree with the wipe that it is to continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The option.
    pub option: &'static str,
    /// What the wipe was begun with.
    pub begun: String,
}

/// Percent of a plan, rounded down to hundredths.
#[must_use]
pub fn percent(done: u128, total: u128) -> f64 {
    if total == 0 {
        return 100.0;
    }
    // Scaled to 64 bits; exact where it matters, at 0 and at the end.
    let points = done.min(total) * 10_000 / total;
    f64::from(u16::try_from(points).unwrap_or(10_000)) / 100.0
}

/// Percent of a size, rounded down to hundredths: never 100 before the end.
#[must_use]
pub fn percent_of(part: u64, whole: u64) -> f64 {
    f64::from(size::basis_points(part, whole)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(passes: usize, verify: bool) -> Plan {
        let pass = Pass {
            content: Content::Zero,
            verify: false,
        };
        Plan::new(vec![pass; passes]).unwrap().with_verify(verify)
    }

    #[test]
    fn patterns_are_pairs_of_hexadecimal_digits() {
        assert_eq!("55aa".parse::<Pattern>().unwrap().bytes(), [0x55, 0xaa]);
        assert_eq!(
            "0x924924".parse::<Pattern>().unwrap().bytes(),
            [0x92, 0x49, 0x24]
        );
        for bad in ["", "0x", "5", "55a", "5g", "55 aa", "+5", "é"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        assert!("00".repeat(MAX_PATTERN + 1).parse::<Pattern>().is_err());
    }

    #[test]
    fn the_steps_follow_each_other_to_complete() {
        let plan = plan(2, true);
        let steps = plan.steps();
        assert_eq!(steps.len(), 3);
        for pair in steps.windows(2) {
            assert_eq!(plan.after(pair[0]), pair[1]);
        }
        let end = plan.after(steps[2]);
        assert_eq!(
            end,
            Step {
                pass: 1,
                phase: Phase::Complete
            }
        );
        assert_eq!(plan.after(end), end);
        assert_eq!(plan.work(steps[1], 5, 10), (15, 30));
        assert_eq!(plan.work(end, 0, 10), (30, 30));
    }

    #[test]
    fn a_key_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Key::new([7; KEY_BYTES])), "Key(..)");
    }

    #[test]
    fn percent_is_never_100_before_the_end() {
        assert!(percent_of(u64::MAX - 1, u64::MAX) < 100.0);
        assert!((percent(1, 3) - 33.33).abs() < f64::EPSILON);
    }

    // The signature of what draws a key.
    #[allow(clippy::unnecessary_wraps)]
    fn random() -> Result<Content, &'static str> {
        Ok(Content::Random {
            generator: Generator::Aes256,
            key: Key::new([1; KEY_BYTES]),
        })
    }

    #[test]
    fn a_wish_for_nothing_is_one_random_pass_read_back() {
        let plan = Wish::default().plan(random).unwrap();
        assert_eq!(plan.passes().len(), 1);
        assert_eq!(plan.pass(0).content.name(), "random");
        assert!(plan.verifies());
    }

    #[test]
    fn options_that_contradict_a_wipe_are_named_and_verify_may_be_changed() {
        let begun = Wish::default().plan(random).unwrap();
        let wish = Wish {
            strategy: Some(Choice::Zero),
            ..Wish::default()
        };
        assert_eq!(wish.reconcile(&begun).unwrap_err().option, "--strategy");
        let wish = Wish {
            passes: Some(3),
            ..Wish::default()
        };
        assert_eq!(wish.reconcile(&begun).unwrap_err().option, "--passes");
        let wish = Wish {
            pattern: "55".parse().ok(),
            ..Wish::default()
        };
        assert_eq!(wish.reconcile(&begun).unwrap_err().begun, "random");
        let wish = Wish {
            verify: Some(false),
            strategy: Some(Choice::Random),
            ..Wish::default()
        };
        assert!(!wish.reconcile(&begun).unwrap().verifies());
    }

    proptest! {
        #[test]
        fn the_cursor_keeps_its_order(steps in proptest::collection::vec((0_u8..4, 0_u64..200), 1..60)) {
            let mut cursor = Cursor::at(0, 100);
            for (what, to) in steps {
                match what {
                    0 => cursor.advance_done(to),
                    1 => cursor.advance_durable(to),
                    2 => cursor.advance_saved(to),
                    _ => cursor.rewind(),
                }
                prop_assert!(cursor.saved() <= cursor.durable());
                prop_assert!(cursor.durable() <= cursor.done());
                prop_assert!(cursor.done() <= 100);
            }
        }
    }
}
