//! The samples of speed over position that a page plots.

use std::time::Duration;

use super::checkpoint::{Checkpoint, Sample};
use crate::engine::State;
use crate::plan::{Extent, Phase, Step};

/// Samples of one step: enough for a plot, few enough to save often.
const PER_STEP: u64 = 200;

#[derive(Default)]
pub(super) struct Speeds {
    last: Option<(Step, u64, Duration)>,
}

impl Speeds {
    /// Adds a point to the plot. Time between runs never counts: every run begins
    /// with a save, which only sets the mark.
    pub(super) fn sample(&mut self, checkpoint: &mut Checkpoint, state: &State, now: Duration) {
        let total = checkpoint.total_size();
        let stretch = total / PER_STEP;
        let Some((step, from, since)) = self.last else {
            self.last = Some((state.step, state.position, now));
            return;
        };
        // The end of a step is saved as the start of the next one.
        let ended = step != state.step && checkpoint.plan().after(step) == state.step;
        let to = if ended { total } else { state.position };
        let long_enough = if ended {
            // The flush at the end of a short rest would look like a dip.
            let mut samples = checkpoint.samples().iter();
            let first = !samples.any(|sample| sample.step() == step);
            first || to.saturating_sub(from) >= stretch / 4
        } else {
            step == state.step && to.saturating_sub(from) > stretch
        };
        let took = now.saturating_sub(since);
        if long_enough && let Some(speed) = speed(checkpoint, step, (from, to), took) {
            checkpoint.add_sample(Sample {
                pass: step.pass + 1,
                phase: step.phase,
                offset: to,
                speed,
            });
            self.last = Some((step, to, now));
        }
        if step != state.step {
            self.last = Some((state.step, state.position, now));
        }
    }
}

/// Bytes a second that were moved between two positions of a step; `None` where
/// none were.
fn speed(
    checkpoint: &Checkpoint,
    step: Step,
    (from, to): (u64, u64),
    time: Duration,
) -> Option<u64> {
    let range = Extent::between(from, to)?;
    if step.phase == Phase::Complete {
        return None;
    }
    // It skips what lies between samples.
    let part = checkpoint.plan().part(step);
    let bytes = part.bytes_in(range, checkpoint.total_size());
    let speed = (u128::from(bytes) * 1_000_000).checked_div(time.as_micros())?;
    Some(u64::try_from(speed).unwrap_or(u64::MAX))
}
