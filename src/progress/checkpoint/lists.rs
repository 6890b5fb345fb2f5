//! The lists of a checkpoint that grow with its runs and steps, so short that
//! they can be saved.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserializer;

use super::parts::{LeftOut, Run, Sample};
use crate::plan::{Phase, Step};
use crate::text::{bounded, clean};

/// Runs that are kept from the beginning on.
const FIRST: usize = 100;
/// Runs that are kept up to the last one.
const LAST: usize = 900;
/// Samples that are kept of all steps together.
const SAMPLES: usize = 10_000;
/// Run ids that are kept of the wipes that one supersedes.
const IDS: usize = 10_000;
/// Partitions, and the target itself, of which it is kept what they held.
pub(super) const MOST_CONTENTS: usize = 300;
const LONGEST_ID: usize = 64;
/// Bytes of a text that a run keeps.
const TEXT: usize = 400;

pub(super) fn first_step() -> Step {
    Step {
        pass: 0,
        phase: Phase::Write,
    }
}

/// Adds a run. Of very many, those after the first ones are counted in one
/// entry.
pub(super) fn add_run(runs: &mut Vec<Run>, mut run: Run) {
    shorten(&mut run);
    runs.push(run);
    if runs.len() > FIRST + 1 + LAST {
        let (next, known) = (runs.remove(FIRST + 1), &mut runs[FIRST]);
        let (all, more) = (LeftOut::of(known), LeftOut::of(&next));
        let work = |run: &Run| run.work().map_or(0, millis);
        *known = Run {
            work_ms: Some(work(known).saturating_add(work(&next))),
            asleep_ms: known.asleep_ms.saturating_add(next.asleep_ms),
            start: std::mem::take(&mut known.start),
            end: next.end.or(known.end.take()),
            left_out: Some(LeftOut {
                runs: all.runs.saturating_add(more.runs),
                killed: all.killed.saturating_add(more.killed),
                unknown: all.unknown.saturating_add(more.unknown),
            }),
            ..Run::default()
        };
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn shorten(run: &mut Run) {
    let texts = [
        Some(&mut run.start),
        run.end.as_mut(),
        run.ended_by.as_mut(),
    ];
    for text in texts.into_iter().flatten() {
        // What has no place in a text takes six bytes when it is saved.
        if text.contains(|letter: char| letter.is_control()) {
            *text = clean(text);
        }
        if text.len() > TEXT {
            let end = (0..=TEXT - 2).rev().find(|&end| text.is_char_boundary(end));
            text.truncate(end.unwrap_or(0));
            text.push_str("..");
        }
    }
}

/// Reads runs, of which there may be more than are kept.
pub(super) fn runs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Run>, D::Error> {
    let mut runs = Vec::new();
    bounded::each(from, |run| {
        add_run(&mut runs, run);
        Ok(())
    })?;
    Ok(runs)
}

/// Adds a sample. Where there are too many, two that follow each other become
/// one.
pub(super) fn add_sample(samples: &mut Vec<Sample>, sample: Sample) {
    samples.push(sample);
    if samples.len() > SAMPLES {
        let all = std::mem::take(samples);
        let mut all = all.into_iter().peekable();
        while let Some(sample) = all.next() {
            let next = all.next_if(|next| (next.pass, next.phase) == (sample.pass, sample.phase));
            samples.push(next.map_or(sample, |next| both(sample, next)));
        }
        // Each of a step of its own: no plan has so many.
        samples.truncate(SAMPLES);
    }
}

fn both(one: Sample, next: Sample) -> Sample {
    let (a, b) = (u128::from(one.speed), u128::from(next.speed));
    let speed = (a * b).checked_div(a + b).unwrap_or(0) * 2;
    Sample {
        speed: u64::try_from(speed).unwrap_or(u64::MAX),
        ..next
    }
}

/// Reads samples, of which there may be more than are kept.
pub(super) fn samples<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Sample>, D::Error> {
    let mut samples = Vec::new();
    bounded::each(from, |sample: Sample| {
        if sample.phase == Phase::Complete {
            return Err("nothing is moved when all is done".into());
        }
        add_sample(&mut samples, sample);
        Ok(())
    })?;
    Ok(samples)
}

/// Reads run ids, of which the newest are kept.
pub(super) fn ids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let mut ids = VecDeque::new();
    bounded::each(from, |id: String| {
        if id.len() > LONGEST_ID {
            return Err("no run id is so long".into());
        }
        if ids.len() == IDS {
            ids.pop_front();
        }
        ids.push_back(id);
        Ok(())
    })?;
    Ok(ids.into())
}
