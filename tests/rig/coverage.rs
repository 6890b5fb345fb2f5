//! Which moments a campaign has hit: what counts is not how many cuts, but how
//! many kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::disk::{Asked, Event};
use super::judge::Found;
use super::lab::{DRIVE, Fs};

/// How many cuts came after which step of the protocol, in place of what, on
/// which file system, in which phase.
#[derive(Default)]
pub struct Coverage(BTreeMap<Moment, u64>);

// what was done, in place of what the power went, on what, in which phase
type Moment = (String, String, &'static str, &'static str);

impl Coverage {
    /// `events`: up to the one in place of which the power went.
    pub fn note(&mut self, events: &[Event], fs: Fs, found: Option<Found>) {
        let mut last = events.iter().rev();
        let next = match last
            .by_ref()
            .find(|event| matches!(event, Event::Asked(..)))
        {
            Some(Event::Asked(DRIVE, Asked::Write)) => "drive write",
            Some(Event::Asked(DRIVE, Asked::Flush)) => "drive flush",
            Some(Event::Asked(_, Asked::Write)) => "state write",
            Some(_) => "state flush",
            None => "nothing",
        };
        let done = last.find_map(|event| match event {
            Event::Done(step) => Some(*step),
            Event::Asked(DRIVE, Asked::Write) => Some("drive written"),
            Event::Asked(..) => None,
        });
        let done = done.unwrap_or("start");
        self.add((done.into(), next.into()), fs.name(), found);
    }

    /// `moment`: what was done, and in place of what the power went.
    pub fn add(&mut self, moment: (String, String), on: &'static str, found: Option<Found>) {
        let phase = match found {
            None => "?",
            Some(Found::Untouched) => "nothing saved",
            Some(Found::Unfinished((0, 0, _))) => "write",
            Some(Found::Unfinished((_, 0, _))) => "later write",
            Some(Found::Unfinished((_, 1, _))) => "verify",
            Some(Found::Unfinished(_)) => "complete",
            Some(Found::Finished) => "finished",
        };
        let (done, next) = moment;
        *self.0.entry((done, next, on, phase)).or_default() += 1;
    }

    /// A row for each step, request and phase, a column for each file system.
    pub fn table(&self) -> String {
        let places: BTreeSet<&str> = self.0.keys().map(|(_, _, on, _)| *on).collect();
        let mut rows: BTreeMap<_, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((done, next, on, phase), count) in &self.0 {
            let row = rows.entry((done, next, phase)).or_default();
            row.insert(on, *count);
        }
        let mut text = format!("{:<22} {:<12} {:<13}", "done", "cut at", "phase");
        for place in &places {
            let _ = write!(text, " {place:>17}");
        }
        for ((done, next, phase), row) in &rows {
            let _ = write!(text, "\n{done:<22} {next:<12} {phase:<13}");
            for place in &places {
                let _ = write!(text, " {:>17}", row.get(place).unwrap_or(&0));
            }
        }
        let _ = write!(text, "\n{} kinds of moments", self.0.len());
        text
    }

    pub fn cuts(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether there was a cut after this step.
    pub fn has(&self, step: &str) -> bool {
        self.0.keys().any(|(done, ..)| done == step)
    }
}
