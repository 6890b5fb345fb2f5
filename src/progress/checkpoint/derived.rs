//! What follows from a checkpoint's fields. Nothing of it is kept; where it stands in
//! a file it is worked out as that is written.

use super::state::Checkpoint;
use crate::plan::{self, During, Extent, Phase};
use crate::text::size;

impl Checkpoint {
    /// How far it got, to compare with another checkpoint of the same wipe.
    pub fn progress(&self) -> (usize, u8, u64) {
        let phase = match self.step.phase {
            Phase::Write => 0,
            Phase::Verify => 1,
            Phase::Complete => 2,
        };
        (self.step.pass, phase, self.position)
    }

    /// Where the step is, as `43.0% (7.74 of 18.0 TB)`, rounded down.
    pub fn progress_text(&self) -> String {
        let (done, total) = (self.position, self.total_size());
        let share = size::percent_text(done, total);
        format!("{share} ({})", size::part_of(done, total, " of "))
    }

    /// What is written of the current pass, in percent of the target, rounded down
    /// to hundredths.
    pub fn progress_percent(&self) -> f64 {
        plan::percent_of(self.written(), self.total_size())
    }

    /// Percent of all passes and read-backs, rounded down to hundredths.
    pub fn plan_percent(&self) -> f64 {
        let total = self.total_size();
        let (done, all) = self.plan.work(self.step, self.position, total);
        plan::percent(done, all)
    }

    pub fn written(&self) -> u64 {
        match self.step.phase {
            Phase::Write => self.position,
            Phase::Verify | Phase::Complete => self.all_written(),
        }
    }

    /// Bytes up to which the current pass is read back; at the end of the wipe
    /// the bytes that were compared.
    pub fn verified(&self) -> u64 {
        match self.step.phase {
            Phase::Write => 0,
            Phase::Verify => self.position,
            Phase::Complete => self.compared(),
        }
    }

    /// Bytes that are written when a pass has come to its end: what could not be
    /// written is none of them.
    pub fn all_written(&self) -> u64 {
        let unwritten = self.bad.amount_during(During::Write).most;
        self.total_size().saturating_sub(unwritten)
    }

    /// Bytes that the read-back of the last pass compares when it is done: what
    /// could not be read is none of them; after a bad block in an earlier pass,
    /// or where ranges were joined, at least so many.
    pub fn compared(&self) -> u64 {
        let (how, size) = (self.plan.verify(), self.total_size());
        let places = Extent::new(0, size).map_or(Vec::new(), |all| how.pieces(all, size));
        let bad = self.bad.shape();
        let compared = |place: &Extent| {
            let missed: u64 = bad.overlaps(*place).map(Extent::length).sum();
            place.length() - missed
        };
        places.iter().map(compared).sum()
    }
}
