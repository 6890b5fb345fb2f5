//! The passes of a wipe, in order.

use serde::{Deserialize, Deserializer, Serialize, de};

use super::position::{Phase, Step};
use super::verify::{ReadBack, Verify};
use crate::strategy::{Content, Key};
use crate::text::bounded;

/// Most passes that a plan may have; the longest known scheme has 35.
pub(crate) const MAX_PASSES: usize = 99;

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
    pub(super) passes: Vec<Pass>,
    // they were written before and are only read back; never saved
    pub(super) only_read: bool,
}

impl Plan {
    /// `None` without a pass or with more than [`MAX_PASSES`].
    pub fn new(passes: Vec<Pass>) -> Option<Self> {
        (1..=MAX_PASSES).contains(&passes.len()).then_some(Self {
            passes,
            only_read: false,
        })
    }

    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The pass of a step; a step beyond the plan gives the last pass.
    pub fn pass(&self, index: usize) -> &Pass {
        &self.passes[index.min(self.passes.len() - 1)]
    }

    /// The keys of its random passes: the pass (from 1), and its key.
    pub fn keys(&self) -> impl Iterator<Item = (usize, Key)> {
        let passes = self.passes.iter().enumerate();
        passes.filter_map(|(index, pass)| Some((index + 1, pass.content.key()?)))
    }

    /// Whether a key of it is kept elsewhere: then nobody knows what it writes.
    pub fn lacks_keys(&self) -> bool {
        self.keys().any(|(_, key)| key.is_elsewhere())
    }

    /// The same with these keys; those that are not given are kept elsewhere.
    pub fn with_keys(mut self, given: &[(usize, Key)]) -> Self {
        for (index, pass) in self.passes.iter_mut().enumerate() {
            if let Some(key) = pass.content.key_mut() {
                let own = given.iter().find(|(pass, _)| *pass == index + 1);
                *key = own.map_or(Key::default(), |(_, key)| *key);
            }
        }
        self
    }

    /// How the last pass is read back.
    pub fn verify(&self) -> Verify {
        self.pass(usize::MAX).verify
    }

    /// A plan of the last pass alone, read back in full.
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
    pub fn with_read_back(mut self, how: ReadBack, from: usize, seed: u64) -> Self {
        let last = self.passes.len() - 1;
        for (index, pass) in self.passes.iter_mut().enumerate().skip(from.min(last)) {
            pass.verify = match (how, pass.verify) {
                (ReadBack::All, _) => Verify::Full,
                (ReadBack::Full, _) if index == last => Verify::Full,
                (ReadBack::Sample, drawn @ Verify::Sample { .. }) if index == last => drawn,
                (ReadBack::Sample, _) if index == last => Verify::Sample { seed },
                (ReadBack::Full | ReadBack::Sample | ReadBack::None, _) => Verify::None,
            };
        }
        self
    }

    /// Whether each of its passes is read back at least as thoroughly as that of
    /// another plan of the same passes.
    pub fn shows_no_less_than(&self, other: &Self) -> bool {
        let mut pairs = self.passes.iter().zip(&other.passes);
        pairs.all(|(own, other)| own.verify.strength() >= other.verify.strength())
    }

    /// Everything that is done, in order: each pass written and, where asked,
    /// read back.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (pass, what) in self.passes.iter().enumerate() {
            steps.extend((!self.only_read).then_some(step(pass, Phase::Write)));
            steps.extend((what.verify != Verify::None).then_some(step(pass, Phase::Verify)));
        }
        steps
    }

    /// The step after this one; phase `Complete` of the last pass at the end.
    pub fn after(&self, Step { pass, phase }: Step) -> Step {
        if phase == Phase::Write && self.pass(pass).verify != Verify::None {
            step(pass, Phase::Verify)
        } else if phase != Phase::Complete && pass + 1 < self.passes.len() {
            step(pass + 1, Phase::Write)
        } else {
            step(self.passes.len() - 1, Phase::Complete)
        }
    }

    /// Where this plan goes on when the step `at` of `begun` was done up to `position`
    /// bytes. The two differ in how passes are read back at most.
    pub fn entry(&self, begun: &Self, at: Step, position: u64) -> (Step, u64) {
        let (now, before) = (self.pass(at.pass).verify, begun.pass(at.pass).verify);
        let more = now.strength() > before.strength();
        match at.phase {
            Phase::Verify if now == Verify::None => (self.after(at), 0),
            Phase::Verify | Phase::Complete if more => (step(at.pass, Phase::Verify), 0),
            Phase::Write | Phase::Verify | Phase::Complete => (at, position),
        }
    }

    /// Which parts of the target a step moves.
    pub fn part(&self, step: Step) -> Verify {
        match step.phase {
            Phase::Write => Verify::Full,
            Phase::Verify => self.pass(step.pass).verify,
            Phase::Complete => Verify::None,
        }
    }

    /// Bytes that a step moves on a target of `size` bytes.
    pub fn step_bytes(&self, step: Step, size: u64) -> u64 {
        self.part(step).bytes(size)
    }

    /// Bytes of all steps that are moved when `done` bytes of `step` are done,
    /// and bytes of all steps together, for a target of `size` bytes.
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

fn step(pass: usize, phase: Phase) -> Step {
    Step { pass, phase }
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
