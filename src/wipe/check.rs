//! A finished wipe is read back against its record. Writes nothing, to the drive
//! or to the state directory.

use std::sync::Arc;

use crate::engine::{Journal, State};
use crate::plan::{Phase, Plan, Step};
use crate::progress::Checkpoint;

/// What is read back, and where that begins.
#[derive(Debug)]
pub struct Check {
    /// The last pass, read back in full.
    pub plan: Plan,
    /// Its start. What could not be written is left out.
    pub state: State,
}

impl Check {
    /// The check of a finished wipe.
    #[must_use]
    pub fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            plan: checkpoint.plan().last_read_back(),
            state: State {
                step: Step {
                    pass: 0,
                    phase: Phase::Verify,
                },
                // What could not be read then may be read now.
                bad: Arc::new(checkpoint.bad().unwritten()),
                ..State::start()
            },
        }
    }
}

/// Keeps nothing: a check that is stopped begins anew.
pub struct Nowhere;

impl Journal for Nowhere {
    fn save(&mut self, _state: &State) -> Result<(), String> {
        Ok(())
    }
}
