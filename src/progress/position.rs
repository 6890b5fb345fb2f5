//! The position of a wipe, between the engine's state and the checkpoint.

use std::sync::Arc;

use super::checkpoint::Checkpoint;
use crate::engine::State;
use crate::plan::{Phase, Plan};

/// Writes a state of the engine into a checkpoint.
pub fn take_in(checkpoint: &mut Checkpoint, state: &State) {
    checkpoint.bad = (*state.bad).clone();
    checkpoint.mismatches = (*state.mismatches).clone();
    checkpoint.wrap = state.wrap;
    // After what is bad: it says how much is written.
    checkpoint.set_position(state.step, state.position);
}

/// Where a wipe goes on. The plan is its own, except that the read-back may
/// have been switched on or off. One that is to be read again has a plan that
/// reads the last pass back.
pub fn state_of(checkpoint: &Checkpoint, plan: &Plan) -> State {
    let (mut step, mut position) =
        plan.entry(&checkpoint.plan, checkpoint.step(), checkpoint.position());
    if checkpoint.read_again && step.phase == Phase::Complete {
        (step.phase, position) = (Phase::Verify, 0);
    }
    State {
        step,
        position,
        bad: Arc::new(checkpoint.bad.clone()),
        mismatches: Arc::new(checkpoint.mismatches.clone()),
        wrap: checkpoint.wrap,
    }
}
