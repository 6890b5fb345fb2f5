//! A drive that alone loses its power while the host lives, as in a dock that is
//! unplugged for a moment: its cache is gone, and its next flush says OK. A
//! read-back finds that, or the resume's proof does; without a read-back nobody
//! can see it, and the reference says so.

use std::fmt::Write as _;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::campaign::{KEEPS, Rig, Violation, dice, kinds, one_of, small};
use super::disk::{Cut, Told};
use super::judge::{Place, mismatches, place, wrong_sectors};
use super::lab::{DRIVE, Fs, Lab};
use crate::support::run::Done;
use crate::support::{KIB, MIB};

/// The drive loses its power once; then the run goes on to its end, or is killed
/// and resumed.
pub fn random(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    let mut dice = dice(seed);
    let (_, options, _) = one_of(&mut dice, &kinds()[..4]);
    let threads = one_of(&mut dice, &[1, 2, 4]);
    let chunk = one_of(&mut dice, &[4 * KIB, 64 * KIB, MIB]);
    let options = format!("{options} --threads {threads} --buffer-size {chunk}");
    let mut job = small(one_of(&mut dice, &Fs::ALL), &options, vec![]);
    job.size += dice.below(12) * MIB / 2;
    job.flush_time = Duration::from_micros(dice.below(3) * 500);
    let cut = Cut {
        at: 1 + dice.below(200),
        keep: one_of(&mut dice, &KEEPS),
        only: Some((DRIVE, Told::Nothing)),
        seed: dice.below(u64::MAX),
    };
    let kill = (dice.below(3) > 0).then(|| cut.at + dice.below(60));
    let lab = Lab::new(&job, rig);
    let plugged = lab.plug();
    let mut story = format!("{job:?}\n{cut:?}, killed at {kill:?}\n");
    lab.machine.arm(Some(cut));
    let mut running = lab.start_armed(&plugged, false);
    if let Some(event) = kill
        && lab.machine.wait_for_event(event, || !running.is_running())
    {
        running.nudge(Signal::SIGKILL);
    }
    let mut done = running.wait();
    rig.hits += 1;
    if done.status.code().is_none() {
        let Some((before, wrong)) = standing(&lab) else {
            return Ok(());
        };
        let _ = writeln!(story, "killed at {before:?}, {} sectors wrong", wrong.len());
        let untouched = lab.machine.lock().disks[DRIVE].memory.clone();
        done = lab.start(&plugged, true).wait();
        if done.status.code() == Some(4) {
            let same = lab.machine.lock().disks[DRIVE].memory.is_same(&untouched);
            let fair = !wrong.is_empty() && same && done.stdout.starts_with("REFUSED ");
            return if fair {
                Ok(())
            } else {
                Err(lab.violation(&format!("{story}refused unfairly: {done:?}")))
            };
        }
        // What the proof reads in any case.
        let near = before.2.saturating_sub(MIB);
        if before.1 == 0 && before.0 == 0 && before.2 > MIB && wrong.iter().any(|at| *at >= near) {
            return Err(lab.violation(&format!("{story}is not noticed: {done:?}")));
        }
    }
    ended(&lab, &done).map_err(|why| lab.violation(&format!("{story}{why}: {done:?}")))
}

/// What the checkpoint says, and the sectors below that which are not what was
/// written.
fn standing(lab: &Lab) -> Option<(Place, Vec<u64>)> {
    let files = lab.files();
    let (_, bytes) = files.pending.first()?;
    let value = serde_json::from_slice(bytes).ok()?;
    let place = place(&value)?;
    let power = lab.machine.lock();
    let wrong = wrong_sectors(&power.disks[DRIVE].memory, &value, place);
    Some((place, wrong))
}

/// How it ended says what is on the drive.
fn ended(lab: &Lab, done: &Done) -> Result<(), String> {
    let files = lab.files();
    let (_, bytes) = files.reports.first().ok_or("there is no record")?;
    let value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let place = place(&value).ok_or("a record that is not understood")?;
    let power = lab.machine.lock();
    let wrong = wrong_sectors(&power.disks[DRIVE].memory, &value, place);
    let listed = mismatches(&value);
    let in_list = |at: &u64| listed.iter().any(|&(from, to)| (from..to).contains(at));
    let read_back = !lab.job.options.contains("--verify none");
    match done.status.code() {
        // Nobody could see it.
        Some(0) if wrong.is_empty() || !read_back => Ok(()),
        Some(0) => Err(format!("WIPED, and {} sectors are wrong", wrong.len())),
        Some(5) if listed.is_empty() => Err("DIFFERS, and no range is said".into()),
        // Those of an earlier pass may have been written over since.
        Some(5) if !wrong.iter().all(in_list) => Err("sectors are wrong and not listed".into()),
        Some(5) if read_back => Ok(()),
        code => Err(format!("ended with {code:?}")),
    }
}
