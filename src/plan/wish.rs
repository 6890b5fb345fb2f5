//! What the user asks for, and the plan that comes of it.

use super::passes::{MAX_PASSES, Pass, Plan};
use super::scheme::Scheme;
use super::verify::{ReadBack, Verify};
use crate::strategy::{Choice, Content, Draw, Pattern};

/// What the user asks for; `None` where nothing was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wish {
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

impl Wish {
    /// The plan of a fresh wipe; `seed` draws samples.
    pub(crate) fn plan<E>(&self, draw: &mut dyn Draw<E>, seed: u64) -> Result<Plan, E> {
        let how = self.verify.unwrap_or(ReadBack::Full);
        let only_read = false;
        if let Some(scheme) = self.scheme {
            let passes = scheme.passes(draw)?;
            return Ok(Plan { passes, only_read }.with_read_back(how, 0, seed));
        }
        // A pattern comes with its choice: the command line sees to that.
        let choice = self.strategy.unwrap_or(Choice::Random);
        let mut passes = Vec::new();
        for _ in 0..self.passes.unwrap_or(1).clamp(1, MAX_PASSES) {
            let content = choice.content(self.pattern.as_ref(), draw)?;
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
    /// Fails with the option that contradicts it.
    pub(crate) fn reconcile(
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
                return contradiction("--strategy", other);
            }
        }
        if let Some(pattern) = &self.pattern {
            match first {
                Content::Pattern { pattern: known } if known == pattern => {}
                Content::Pattern { pattern } => {
                    return contradiction("--pattern", String::from(pattern.clone()));
                }
                other => return contradiction("--pattern", other.name()),
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
pub(crate) struct Contradiction {
    pub option: &'static str,
    pub begun: String,
}
