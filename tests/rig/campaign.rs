//! Wipes that lose their power at moments drawn by a seed, or at every moment in
//! turn, and are resumed to their end.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::coverage::Coverage;
use super::disk::{Cut, Keep, Told};
use super::judge::{Found, Known, Place, judge};
use super::lab::{DRIVE, Fs, Job, Lab, Plugged};
use super::{dock, far};
use crate::support::{Dice, KIB, MIB};

/// What a campaign is made with, and what it has come across.
#[derive(Default)]
pub struct Rig {
    /// The bug of the build with planted bugs; none: what is shipped.
    pub bug: Option<&'static str>,
    pub coverage: Coverage,
    /// Signals that changed nothing, and other harm.
    pub hits: u64,
    /// Runs that a signal ended.
    pub kills: u64,
    /// Where a violation leaves disks and logs.
    pub keep: Option<PathBuf>,
}

/// What broke a promise: the settings, and what the judge says.
pub type Violation = String;

/// One wipe, cut as `next` says until that has no more, then finished.
pub fn wipe(
    job: &Job,
    mut next: impl FnMut(u64) -> Option<Cut>,
    rig: &mut Rig,
) -> Result<(), Violation> {
    let lab = Lab::new(job, rig);
    let mut before: Option<Place> = job.begun.as_ref().map(|begun| begun.place);
    let mut history = format!("{job:?}\n");
    let mut plugged = lab.plug();
    for round in 0..100 {
        let cut = next(round);
        let _ = writeln!(history, "round {round}: {cut:?}");
        let ended = lab.run(&plugged, before.is_some(), cut);
        let said_wiped = ended.is_some();
        let (reach, events) = {
            let mut power = lab.machine.lock();
            power.note_steps();
            (power.disks[DRIVE].reach, power.events.clone())
        };
        if let Some(done) = &ended {
            let good = if job.bad.is_empty() { 0 } else { 3 };
            if done.status.code() != Some(good) {
                return Err(lab.violation(&format!("{history}ended with {done:?}")));
            }
            // What was said must hold from that moment on.
            lab.machine.cut_now(Keep::None, 0);
        }
        drop(plugged);
        plugged = lab.plug();
        let known = Known {
            interval: job.begun.as_ref().map_or(job.interval, |begun| begun.most),
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
            let found = verdict.as_ref().ok().copied();
            rig.coverage.note(&events, job.fs, found);
        }
        match verdict {
            Err(wrong) => return Err(lab.violation(&format!("{history}{}", wrong.join("\n")))),
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
    Err(lab.violation(&format!("{history}is never finished")))
}

/// A record is there and its checkpoint too: a resume ends it.
fn finish(lab: &Lab, plugged: &Plugged, history: &str) -> Result<(), Violation> {
    let done = lab.run(plugged, true, None);
    let code = done.as_ref().and_then(|done| done.status.code());
    if !matches!(code, Some(0 | 3)) || !lab.files().pending.is_empty() {
        return Err(lab.violation(&format!("{history}is not finished by a resume: {done:?}")));
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
        folders: true,
        begun: None,
    }
}

pub const KEEPS: [Keep; 4] = [Keep::None, Keep::Random, Keep::Prefix, Keep::All];

/// One of a list.
pub fn one_of<T: Clone>(dice: &mut Dice, list: &[T]) -> T {
    list[usize::try_from(dice.below(list.len() as u64)).unwrap()].clone()
}

/// The dice of a seed.
pub fn dice(seed: u64) -> Dice {
    let mut dice = Dice::new(seed);
    for _ in 0..8 {
        dice.below(2);
    }
    dice
}

/// A wipe with settings and cuts drawn by the seed. One in ten is of the
/// defaults on a large target, one in ten loses the power of its drive alone.
pub fn random(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    match seed % 10 {
        7 => far::random(seed, rig),
        3 => dock::random(seed, rig),
        _ => any(seed, rig, false),
    }
    .map_err(|why| format!("seed {seed}: {why}"))
}

/// The same, where a flush of the drive fails first and its cache is lost.
pub fn failing(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    any(seed, rig, true).map_err(|why| format!("seed {seed}: {why}"))
}

fn any(seed: u64, rig: &mut Rig, fails: bool) -> Result<(), Violation> {
    let mut dice = dice(seed);
    let fs = one_of(&mut dice, &Fs::ALL);
    let (_, options, bad) = one_of(&mut dice, &kinds());
    let threads = one_of(&mut dice, &[1, 2, 4, 64]);
    let chunk = one_of(&mut dice, &[4 * KIB, 64 * KIB, MIB]);
    let job = Job {
        size: 3 * MIB + dice.below(12) * MIB / 2,
        flush_time: Duration::from_micros(dice.below(3) * 500),
        folders: dice.below(4) > 0,
        ..small(
            fs,
            &format!("{options} --threads {threads} --buffer-size {chunk}"),
            bad,
        )
    };
    let cuts = 1 + dice.below(5);
    // The first may be a drive that says that its flush failed.
    let fails = dice.below(8) == 0 || fails;
    wipe(
        &job,
        |round| {
            (round < cuts).then(|| Cut {
                at: 1 + dice.below(250),
                keep: one_of(&mut dice, &KEEPS),
                only: (fails && round == 0).then_some((DRIVE, Told::Fails)),
                seed: dice.below(u64::MAX),
            })
        },
        rig,
    )
}

/// A wipe of each kind on each file system, cut at this event.
pub fn every_kind_at(event: u64, rig: &mut Rig) -> Result<(), Violation> {
    for fs in Fs::ALL {
        for (name, options, bad) in kinds() {
            at(&small(fs, options, bad), event, rig).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(())
}

/// A wipe of one pass on ext4, cut at this event.
pub fn one_pass_at(event: u64, rig: &mut Rig) -> Result<(), Violation> {
    let (_, options, bad) = kinds()[0].clone();
    at(&small(Fs::Ext4, options, bad), event, rig).map(drop)
}

/// A wipe that is cut at this event, and its resume at the same one: whether
/// there was such an event.
pub fn at(job: &Job, event: u64, rig: &mut Rig) -> Result<bool, Violation> {
    let before = rig.coverage.cuts();
    let keep = [Keep::None, Keep::Random, Keep::Prefix][usize::try_from(event % 3).unwrap()];
    wipe(
        job,
        |round| (round < 2).then_some(Cut::all(event, keep, event)),
        rig,
    )
    .map_err(|why| format!("event {event}: {why}"))?;
    Ok(rig.coverage.cuts() > before)
}
