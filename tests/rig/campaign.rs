//! Wipes that lose their power at moments drawn by a seed, or at every moment in
//! turn, and are resumed to their end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::disk::{Asked, Cut, Keep};
use super::judge::{Found, Known, Place, judge};
use super::lab::{DRIVE, Fs, Job, Lab, Plugged};
use crate::support::{Dice, KIB, MIB};

/// How many cuts hit between which two events, on which file system, in which
/// phase.
#[derive(Default)]
pub struct Coverage(BTreeMap<(String, String, &'static str, &'static str), u64>);

impl Coverage {
    /// `events`: up to the one in place of which the power went.
    fn note(&mut self, events: &[(usize, Asked)], fs: Fs, found: Option<Found>) {
        let mut last = events.iter().rev();
        let name = |event: Option<&(usize, Asked)>| match event {
            None => "start".to_string(),
            Some((disk, asked)) => {
                let disk = if *disk == DRIVE { "drive" } else { "state" };
                format!("{disk} {}", format!("{asked:?}").to_lowercase())
            }
        };
        let (next, before) = (name(last.next()), name(last.next()));
        self.add((before, next), fs.name(), found);
    }

    /// `moment`: what was done, and in place of what the power went.
    pub fn add(&mut self, moment: (String, String), on: &'static str, found: Option<Found>) {
        let (before, next) = moment;
        let phase = match found {
            None => "?",
            Some(Found::Untouched) => "nothing saved",
            Some(Found::Unfinished((_, 0, _))) => "write",
            Some(Found::Unfinished((_, 1, _))) => "verify",
            Some(Found::Unfinished(_)) => "complete",
            Some(Found::Finished) => "finished",
        };
        *self.0.entry((before, next, on, phase)).or_default() += 1;
    }

    /// A row for each pair of events, file system and phase.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "done         | cut in place of | on                | phase         | cuts\n",
        );
        for ((before, next, fs, phase), count) in &self.0 {
            let _ = writeln!(
                text,
                "{before:<12} | {next:<15} | {fs:<17} | {phase:<13} | {count}"
            );
        }
        text
    }

    pub fn cuts(&self) -> u64 {
        self.0.values().sum()
    }
}

/// What broke a promise: the settings, and what the judge says.
pub type Violation = String;

/// One wipe, cut as `next` says until that has no more, then finished.
pub fn wipe(
    job: &Job,
    mut next: impl FnMut(u64) -> Option<Cut>,
    coverage: &mut Coverage,
) -> Result<(), Violation> {
    let lab = Lab::new(job);
    let mut before: Option<Place> = None;
    let mut history = format!("{job:?}\n");
    let mut plugged = lab.plug();
    for round in 0.. {
        let cut = next(round);
        let _ = writeln!(history, "round {round}: {cut:?}");
        let ended = lab.run(&plugged, before.is_some(), cut);
        let said_wiped = ended.is_some();
        let (reach, events) = {
            let power = lab.machine.lock();
            (power.disks[DRIVE].reach, power.events.clone())
        };
        if let Some(done) = &ended {
            let good = if job.bad.is_empty() { 0 } else { 3 };
            if done.status.code() != Some(good) {
                return Err(format!("{history}ended with {done:?}"));
            }
            // What was said must hold from that moment on.
            lab.machine.cut_now(Keep::None, 0);
        }
        drop(plugged);
        plugged = lab.plug();
        let known = Known {
            interval: job.interval,
            before,
            reach,
            bad: job.bad.clone(),
            said_wiped,
        };
        let verdict = {
            let files = lab.files();
            let power = lab.machine.lock();
            judge(&power.disks[DRIVE].memory, &files, &known)
        };
        if cut.is_some() && ended.is_none() {
            coverage.note(&events, job.fs, verdict.as_ref().ok().copied());
        }
        match verdict {
            Err(wrong) => return Err(format!("{history}{}", wrong.join("\n"))),
            Ok(found) => {
                let _ = writeln!(history, "  {found:?}");
                match found {
                    Found::Untouched => before = None,
                    Found::Unfinished(place) => before = Some(place),
                    Found::Finished if ended.is_some() => return Ok(()),
                    // Cut between record and removal, or before it was told.
                    Found::Finished => {
                        return if lab.files().pending.is_empty() {
                            Ok(())
                        } else {
                            finish(&lab, &plugged, &history)
                        };
                    }
                }
            }
        }
    }
    Ok(())
}

/// A record is there and its checkpoint too: a resume ends it.
fn finish(lab: &Lab, plugged: &Plugged, history: &str) -> Result<(), Violation> {
    let done = lab.run(plugged, true, None);
    let code = done.as_ref().and_then(|done| done.status.code());
    if !matches!(code, Some(0 | 3)) || !lab.files().pending.is_empty() {
        return Err(format!("{history}is not finished by a resume: {done:?}"));
    }
    Ok(())
}

/// The kinds of short wipes.
pub fn kinds() -> [(&'static str, &'static str, Vec<u64>); 5] {
    [
        ("one pass", "--verify none", vec![]),
        ("read-back", "--verify full", vec![]),
        ("several passes", "--passes 2 --verify none", vec![]),
        ("read back twice", "--scheme dod-short --verify all", vec![]),
        ("bad sectors", "--verify full", vec![0, 2500, 2501, 6143]),
    ]
}

/// A job of a few megabytes.
pub fn small(fs: Fs, options: &str, bad: Vec<u64>) -> Job {
    Job {
        fs,
        size: 3 * MIB,
        interval: MIB,
        options: options.into(),
        bad,
        flush_time: Duration::ZERO,
    }
}

/// A wipe with settings and cuts drawn by the seed.
pub fn random(seed: u64, coverage: &mut Coverage) -> Result<(), Violation> {
    let mut dice = Dice::new(seed);
    for _ in 0..8 {
        dice.below(2);
    }
    let fs = Fs::ALL[usize::try_from(dice.below(4)).unwrap()];
    let kinds = kinds();
    let (_, options, bad) = kinds[usize::try_from(dice.below(5)).unwrap()].clone();
    let threads = [1, 2, 4, 64][usize::try_from(dice.below(4)).unwrap()];
    let chunk = [4 * KIB, 64 * KIB, MIB][usize::try_from(dice.below(3)).unwrap()];
    let job = Job {
        fs,
        size: 3 * MIB + dice.below(12) * MIB / 2,
        interval: MIB,
        options: format!("{options} --threads {threads} --buffer-size {chunk}"),
        bad,
        flush_time: Duration::from_micros(dice.below(3) * 500),
    };
    let cuts = 1 + dice.below(5);
    let keeps = [Keep::None, Keep::Random, Keep::Prefix, Keep::All];
    wipe(
        &job,
        |round| {
            (round < cuts).then(|| Cut {
                at: 1 + dice.below(250),
                keep: keeps[usize::try_from(dice.below(4)).unwrap()],
                only: None,
                seed: dice.below(u64::MAX),
            })
        },
        coverage,
    )
    .map_err(|why| format!("seed {seed}: {why}"))
}

/// A wipe that is cut at this event, and once more as far into its resume;
/// whether there was such an event.
pub fn at(job: &Job, event: u64, coverage: &mut Coverage) -> Result<bool, Violation> {
    let before = coverage.cuts();
    let keep = [Keep::None, Keep::Random, Keep::Prefix][usize::try_from(event % 3).unwrap()];
    wipe(
        job,
        |round| {
            (round == 0).then_some(Cut {
                at: event,
                keep,
                only: None,
                seed: event,
            })
        },
        coverage,
    )
    .map_err(|why| format!("event {event}: {why}"))?;
    Ok(coverage.cuts() > before)
}
