//! A run of the engine over a plan, step by step.

use super::buffers::Buffers;
use super::ended::{End, Ended};
use super::parts::{Engine, Start};
use super::state::State;
use super::step::run_step;
use super::target::Journal;
use crate::plan::{Phase, Step};
use crate::strategy;

impl Engine<'_> {
    /// Runs the plan from a state to its end, or as far as it gets.
    pub fn run(&self, state: State, journal: &mut dyn Journal) -> Ended {
        let mut buffers = match Buffers::new(self.settings) {
            Ok(buffers) => buffers,
            Err(why) => {
                return Ended {
                    state,
                    unsaved: None,
                    flushed: true,
                    end: End::NoMeans(why),
                };
            }
        };
        let mut now = Ended {
            state,
            unsaved: None,
            flushed: true,
            end: End::Complete,
        };
        if now.state.step.phase == Phase::Complete {
            // There is nothing left to do for a thread.
            if let Err(why) = journal.save(&now.state) {
                now.unsaved = Some(why.clone());
                now.end = End::NotStarted(why);
            }
            return now;
        }
        // The first checkpoint is saved when the first step has its threads.
        let mut start = Start::OfRun;
        while now.state.step.phase != Phase::Complete {
            now = run_step(self, start, now, journal, &mut buffers);
            if !matches!(now.end, End::Complete) {
                break;
            }
            start = Start::OfStep;
        }
        now
    }

    pub(super) fn strategy(&self, step: Step) -> Box<dyn strategy::WipeStrategy> {
        strategy::of(&self.plan.pass(step.pass).content)
    }
}
