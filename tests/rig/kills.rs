//! Wipes that get a signal at a moment drawn by the seed, and are resumed to
//! their end.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;

use super::campaign::{Violation, kinds, small};
use super::judge::{Found, Known, Place, judge};
use super::lab::{DRIVE, Fs, Lab};
use crate::support::Dice;

const SIGNALS: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGKILL,
];

/// One wipe; how many signals hit it.
pub fn random(seed: u64) -> Result<u64, Violation> {
    let mut dice = Dice::new(seed);
    let mut draw = |end: usize| usize::try_from(dice.below(end as u64)).unwrap();
    let (_, options, bad) = kinds()[draw(5)].clone();
    let threads = [1, 2, 4][draw(3)];
    let options = format!("{options} --threads {threads} --buffer-size 64K");
    let job = small(Fs::Ext4, &options, bad);
    let lab = Lab::new(&job);
    let plugged = lab.plug();
    let (mut before, mut hits): (Option<Place>, u64) = (None, 0);
    let mut story = format!("seed {seed}: {job:?}\n");
    for round in 0..6 {
        let signal = SIGNALS[draw(4)];
        // The last round is left alone.
        let event = if round == 5 {
            usize::MAX
        } else {
            1 + draw(200)
        };
        let done = lab.killed(&plugged, before.is_some(), event as u64, signal);
        let _ = writeln!(story, "{signal} at event {event}: {}", done.status);
        let wanted = if job.bad.is_empty() { 0 } else { 3 };
        let finished = done.status.code() == Some(wanted);
        if !finished && done.status.signal() != Some(signal as i32) {
            return Err(format!("{story}{done:?}"));
        }
        hits += u64::from(!finished);
        let power = lab.machine.lock();
        let known = Known {
            interval: job.interval,
            before,
            reach: power.disks[DRIVE].reach,
            bad: job.bad.clone(),
            said_wiped: finished,
        };
        match judge(&power.disks[DRIVE].memory, &lab.files(), &known) {
            Err(wrong) => return Err(format!("{story}{}", wrong.join("\n"))),
            Ok(Found::Untouched) => before = None,
            Ok(Found::Unfinished(place)) => {
                // What a signal that can be caught leaves is exact, unless it broke
                // off the search for a bad sector.
                let exact = signal != Signal::SIGKILL && job.bad.is_empty();
                if exact && (place.0, place.1) == (0, 0) && known.reach > place.2 {
                    let reach = known.reach;
                    return Err(format!("{story}written up to {reach}, saved {place:?}"));
                }
                before = Some(place);
            }
            Ok(Found::Finished) if finished => return Ok(hits),
            Ok(Found::Finished) if lab.files().pending.is_empty() => return Ok(hits),
            Ok(Found::Finished) => {}
        }
    }
    Err(format!("{story}is not finished"))
}
