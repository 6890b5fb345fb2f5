//! What is to be written and compared, and how far it got.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::bounded;
use crate::extent::Extent;
use crate::sample;
use crate::scheme::{Draw, Scheme};
use crate::size;
use crate::text::{from_hex, to_hex};

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
        let bytes = from_hex(&text).ok_or("key is not hexadecimal")?;
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

impl Pattern {
    /// These bytes; `None` without any or with more than [`MAX_PATTERN`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=MAX_PATTERN)
            .contains(&bytes.len())
            .then(|| Self(bytes.to_vec()))
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
        let bytes = from_hex(digits)
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

/// How a pass is read back and compared afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verify", rename_all = "lowercase")]
pub enum Verify {
    /// Not at all.
    None,
    /// The places that [`sample`](crate::sample) draws with this seed.
    Sample {
        /// Drawn from the kernel.
        seed: u64,
    },
    /// Every byte.
    Full,
}

impl Verify {
    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sample { .. } => "sample",
            Self::Full => "full",
        }
    }

    /// Bytes that it reads of a target of `size` bytes.
    #[must_use]
    pub fn bytes(self, size: u64) -> u64 {
        Extent::new(0, size).map_or(0, |all| self.bytes_in(all, size))
    }

    /// The parts of a range that it reads, in order, on a target of `size`
    /// bytes.
    #[must_use]
    pub fn pieces(self, range: Extent, size: u64) -> Vec<Extent> {
        match self {
            Self::None => Vec::new(),
            Self::Sample { seed } => sample::pieces(seed, size, range),
            Self::Full => vec![range],
        }
    }

    /// Bytes that it reads of a range of a target of `size` bytes.
    #[must_use]
    pub fn bytes_in(self, range: Extent, size: u64) -> u64 {
        let pieces = self.pieces(range, size);
        pieces.iter().map(|piece| piece.length()).sum()
    }

    /// How much it shows: the more the higher.
    fn strength(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Sample { .. } => 1,
            Self::Full => 2,
        }
    }
}

/// What `--verify` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    /// Nothing is read back.
    None,
    /// Samples of the last pass.
    Sample,
    /// The last pass.
    Full,
    /// Every pass.
    All,
}

/// One pass over the whole target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// What is written.
    #[serde(flatten)]
    pub content: Content,
    /// How it is read back.
    #[serde(flatten)]
    pub verify: Verify,
}

/// The passes of a wipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Vec<Pass>")]
pub struct Plan {
    // 1..=MAX_PASSES
    passes: Vec<Pass>,
    // they were written before and are only read back; never saved
    only_read: bool,
}

impl Plan {
    /// `None` without a pass or with more than [`MAX_PASSES`].
    #[must_use]
    pub fn new(passes: Vec<Pass>) -> Option<Self> {
        (1..=MAX_PASSES).contains(&passes.len()).then_some(Self {
            passes,
            only_read: false,
        })
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

    /// How the last pass is read back.
    #[must_use]
    pub fn verify(&self) -> Verify {
        self.pass(usize::MAX).verify
    }

    /// A plan of the last pass alone, read back in full.
    #[must_use]
    pub fn last_read_back(&self) -> Self {
        let last = Pass {
            content: self.pass(usize::MAX).content.clone(),
            verify: Verify::Full,
        };
        Self {
            passes: vec![last],
            only_read: true,
        }
    }

    /// The same passes, read back otherwise from pass `from` (counted from 0)
    /// on: what was done with earlier ones cannot be changed any more. `seed`
    /// draws samples, unless some are drawn already.
    #[must_use]
    pub fn with_read_back(mut self, how: ReadBack, from: usize, seed: u64) -> Self {
        let last = self.passes.len() - 1;
        for (index, pass) in self.passes.iter_mut().enumerate().skip(from.min(last)) {
            pass.verify = match (how, pass.verify) {
                (ReadBack::All, _) => Verify::Full,
                (ReadBack::Full, _) if index == last => Verify::Full,
                (ReadBack::Sample, drawn @ Verify::Sample { .. }) if index == last => drawn,
                (ReadBack::Sample, _) if index == last => Verify::Sample { seed },
                _ => Verify::None,
            };
        }
        self
    }

    /// Whether each of its passes is read back at least as thoroughly as that of
    /// another plan of the same passes.
    #[must_use]
    pub fn shows_no_less_than(&self, other: &Self) -> bool {
        let mut pairs = self.passes.iter().zip(&other.passes);
        pairs.all(|(own, other)| own.verify.strength() >= other.verify.strength())
    }

    /// Everything that is done, in order: each pass written and, where asked,
    /// read back.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (pass, what) in self.passes.iter().enumerate() {
            if !self.only_read {
                steps.push(Step {
                    pass,
                    phase: Phase::Write,
                });
            }
            if what.verify != Verify::None {
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
        if phase == Phase::Write && self.pass(pass).verify != Verify::None {
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

    /// Where this plan goes on when `step` of `begun` was done up to `position`
    /// bytes. The two differ in how passes are read back at most.
    #[must_use]
    pub fn entry(&self, begun: &Self, step: Step, position: u64) -> (Step, u64) {
        let (now, before) = (self.pass(step.pass).verify, begun.pass(step.pass).verify);
        let more = now.strength() > before.strength();
        let from_the_start = Step {
            pass: step.pass,
            phase: Phase::Verify,
        };
        match step.phase {
            Phase::Verify if now == Verify::None => (self.after(step), 0),
            Phase::Verify | Phase::Complete if more => (from_the_start, 0),
            _ => (step, position),
        }
    }

    /// Which parts of the target a step moves.
    #[must_use]
    pub fn part(&self, step: Step) -> Verify {
        match step.phase {
            Phase::Write => Verify::Full,
            Phase::Verify => self.pass(step.pass).verify,
            Phase::Complete => Verify::None,
        }
    }

    /// Bytes that a step moves on a target of `size` bytes.
    #[must_use]
    pub fn step_bytes(&self, step: Step, size: u64) -> u64 {
        self.part(step).bytes(size)
    }

    /// Bytes of all steps that are moved when `done` bytes of `step` are done,
    /// and bytes of all steps together, for a target of `size` bytes.
    #[must_use]
    pub fn work(&self, step: Step, done: u64, size: u64) -> (u128, u128) {
        let (mut total, mut moved) = (0_u128, None);
        for known in self.steps() {
            let bytes = u128::from(self.step_bytes(known, size));
            if known == step {
                let share = bytes * u128::from(done.min(size));
                moved = Some(total + share.checked_div(u128::from(size)).unwrap_or(bytes));
            }
            total += bytes;
        }
        (moved.unwrap_or(total), total)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let passes = bounded::list::<_, _, MAX_PASSES>(from)?;
        Self::new(passes).ok_or_else(|| de::Error::custom("plan has no pass"))
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
    /// `--scheme`.
    pub scheme: Option<&'static Scheme>,
    /// `--verify`.
    pub verify: Option<ReadBack>,
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
    /// The plan of a fresh wipe; `seed` draws samples.
    ///
    /// # Errors
    /// Those of `draw`.
    pub fn plan<E>(&self, draw: &mut dyn Draw<E>, seed: u64) -> Result<Plan, E> {
        let how = self.verify.unwrap_or(ReadBack::Full);
        let only_read = false;
        if let Some(scheme) = self.scheme {
            let passes = scheme.passes(draw)?;
            return Ok(Plan { passes, only_read }.with_read_back(how, 0, seed));
        }
        let mut passes = Vec::new();
        for _ in 0..self.passes.unwrap_or(1).clamp(1, MAX_PASSES) {
            let content = match (self.strategy, &self.pattern) {
                (Some(Choice::Zero), _) => Content::Zero,
                (None | Some(Choice::Pattern), Some(pattern)) => Content::Pattern {
                    pattern: pattern.clone(),
                },
                _ => draw.random()?,
            };
            passes.push(Pass {
                content,
                verify: Verify::None,
            });
        }
        Ok(Plan { passes, only_read }.with_read_back(how, 0, seed))
    }

    /// The plan with which a wipe that is in pass `current` (counted from 0) is
    /// continued: its own, except that the read-back may be changed; `seed`
    /// draws samples.
    ///
    /// # Errors
    /// The option that contradicts it, and what the wipe was begun with.
    pub fn reconcile(
        &self,
        begun: &Plan,
        current: usize,
        seed: u64,
    ) -> Result<Plan, Contradiction> {
        let first = &begun.pass(0).content;
        let contradiction = |option, begun| Err(Contradiction { option, begun });
        if let Some(choice) = self.strategy {
            // The passes of a scheme are not all alike.
            let names = begun.passes().iter().map(|pass| pass.content.name());
            let mut others = names.filter(|name| *name != choice.name());
            if let Some(other) = others.next() {
                return contradiction("--strategy", other.to_string());
            }
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
            Some(how) => begun.clone().with_read_back(how, current, seed),
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

    fn plan(passes: usize, how: ReadBack) -> Plan {
        let pass = Pass {
            content: Content::Zero,
            verify: Verify::None,
        };
        let plan = Plan::new(vec![pass; passes]).unwrap();
        plan.with_read_back(how, 0, 7)
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
    fn a_strategy_contradicts_a_scheme_that_only_begins_with_it() {
        let pass = |content| Pass {
            content,
            verify: Verify::None,
        };
        let ones = Content::Pattern {
            pattern: "ff".parse().unwrap(),
        };
        let begun = Plan::new(vec![pass(Content::Zero), pass(ones)]).unwrap();
        let wish = Wish {
            strategy: Some(Choice::Zero),
            ..Wish::default()
        };
        let why = wish.reconcile(&begun, 0, 7).unwrap_err();
        assert_eq!((why.option, &*why.begun), ("--strategy", "pattern"));
        assert!(wish.reconcile(&plan(3, ReadBack::Full), 0, 7).is_ok());
    }

    #[test]
    fn the_steps_follow_each_other_to_complete() {
        let plan = plan(2, ReadBack::Full);
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
    fn a_plan_is_entered_where_the_one_before_stopped() {
        let (with, without) = (plan(1, ReadBack::Full), plan(1, ReadBack::None));
        let at = |phase| Step { pass: 0, phase };
        assert_eq!(
            with.entry(&with, at(Phase::Verify), 7),
            (at(Phase::Verify), 7)
        );
        assert_eq!(
            without.entry(&with, at(Phase::Verify), 7),
            (at(Phase::Complete), 0)
        );
        assert_eq!(
            with.entry(&without, at(Phase::Write), 7),
            (at(Phase::Write), 7)
        );
        assert_eq!(
            with.entry(&without, at(Phase::Complete), 7),
            (at(Phase::Verify), 0)
        );
        assert_eq!(
            with.entry(&with, at(Phase::Complete), 7).0,
            at(Phase::Complete)
        );
        // What was only sampled is not read back in full.
        let sampled = plan(1, ReadBack::Sample);
        let from_the_start = (at(Phase::Verify), 0);
        assert_eq!(with.entry(&sampled, at(Phase::Verify), 7), from_the_start);
        assert_eq!(with.entry(&sampled, at(Phase::Complete), 7), from_the_start);
        assert_eq!(
            sampled.entry(&with, at(Phase::Verify), 7),
            (at(Phase::Verify), 7)
        );
    }

    #[test]
    fn a_read_back_is_changed_only_for_passes_that_are_not_over() {
        let names = |plan: &Plan| -> Vec<&str> {
            plan.passes()
                .iter()
                .map(|pass| pass.verify.name())
                .collect()
        };
        let all = plan(3, ReadBack::All);
        assert_eq!(names(&all), ["full", "full", "full"]);
        let less = all.clone().with_read_back(ReadBack::None, 1, 7);
        assert_eq!(names(&less), ["full", "none", "none"]);
        let more = plan(3, ReadBack::None).with_read_back(ReadBack::All, 1, 7);
        assert_eq!(names(&more), ["none", "full", "full"]);
        let sampled = plan(3, ReadBack::Sample);
        assert_eq!(names(&sampled), ["none", "none", "sample"]);
        let again = sampled.clone().with_read_back(ReadBack::Sample, 0, 8);
        assert_eq!(again, sampled, "the samples that are drawn stay");
    }

    #[test]
    fn a_sample_is_a_tenth_of_the_work_of_a_read_back() {
        let size = 1 << 40;
        let plan = plan(1, ReadBack::Sample);
        let step = plan.steps()[1];
        let tenth = plan.verify().bytes(size);
        assert!((size / 10..size / 9).contains(&tenth));
        let (none, total) = plan.work(step, 0, size);
        assert_eq!((none, total), (u128::from(size), u128::from(size + tenth)));
        assert_eq!(plan.work(step, size, size).0, total);
        assert_eq!(
            plan.work(step, size / 2, size).0,
            none + u128::from(tenth / 2)
        );
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

    /// Draws the same each time.
    struct Same;

    impl Draw<()> for Same {
        fn random(&mut self) -> Result<Content, ()> {
            Ok(Content::Random {
                generator: Generator::Aes256,
                key: Key::new([1; KEY_BYTES]),
            })
        }
        fn byte(&mut self) -> Result<u8, ()> {
            Ok(1)
        }
    }

    #[test]
    fn a_wish_for_nothing_is_one_random_pass_read_back() {
        let plan = Wish::default().plan(&mut Same, 7).unwrap();
        assert_eq!(plan.passes().len(), 1);
        assert_eq!(plan.pass(0).content.name(), "random");
        assert_eq!(plan.verify(), Verify::Full);
    }

    #[test]
    fn options_that_contradict_a_wipe_are_named_and_verify_may_be_changed() {
        let begun = Wish::default().plan(&mut Same, 7).unwrap();
        let wish = Wish {
            strategy: Some(Choice::Zero),
            ..Wish::default()
        };
        assert_eq!(
            wish.reconcile(&begun, 0, 7).unwrap_err().option,
            "--strategy"
        );
        let wish = Wish {
            passes: Some(3),
            ..Wish::default()
        };
        assert_eq!(wish.reconcile(&begun, 0, 7).unwrap_err().option, "--passes");
        let wish = Wish {
            pattern: "55".parse().ok(),
            ..Wish::default()
        };
        assert_eq!(wish.reconcile(&begun, 0, 7).unwrap_err().begun, "random");
        let wish = Wish {
            verify: Some(ReadBack::None),
            strategy: Some(Choice::Random),
            ..Wish::default()
        };
        let plan = wish.reconcile(&begun, 0, 7).unwrap();
        assert_eq!(plan.verify(), Verify::None);
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
