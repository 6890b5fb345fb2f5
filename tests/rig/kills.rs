//! Wipes that get signals at moments drawn by the seed, and are resumed to their
//! end.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::campaign::{Rig, Violation, dice, kinds, one_of, small};
use super::disk::{Event, Power};
use super::judge::{Found, Known, Place, judge};
use super::lab::{DRIVE, Fs, Job, Lab};
use crate::support::run::Done;
use crate::support::{Dice, MIB};

/// They end the run, and what is saved is exact.
const STOPS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// They end it at once.
const DIES: [Signal; 15] = [
    Signal::SIGKILL,
    Signal::SIGQUIT,
    Signal::SIGABRT,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGUSR2,
    Signal::SIGXCPU,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGSTKFLT,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGILL,
    Signal::SIGFPE,
];
/// They change nothing; those that stop the process are followed by CONT.
const NOTHING: [Signal; 11] = [
    Signal::SIGUSR1,
    Signal::SIGPIPE,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
    Signal::SIGURG,
    Signal::SIGCONT,
    Signal::SIGXFSZ,
    Signal::SIGSTOP,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// A wipe whose runs get signals, and what is known of it.
struct Wiped {
    lab: Lab,
    before: Option<Place>,
    story: String,
}

impl Wiped {
    fn of(job: &Job, seed: u64, rig: &Rig) -> Self {
        Self {
            lab: Lab::new(job, rig),
            before: None,
            story: format!("seed {seed}: {job:?}\n"),
        }
    }

    /// Looks at what a run left; whether the wipe has come to its end. `signal`:
    /// the one that was sent last.
    fn look(&mut self, done: &Done, signal: Option<Signal>) -> Result<bool, Violation> {
        let lab = &self.lab;
        let _ = writeln!(self.story, "{signal:?}: {}", done.status);
        let wanted = if lab.job.bad.is_empty() { 0 } else { 3 };
        let finished = done.status.code() == Some(wanted);
        let died = done.status.signal();
        if !finished && (died.is_none() || died != signal.map(|signal| signal as i32)) {
            return Err(lab.violation(&format!("{}{done:?}", self.story)));
        }
        let known = Known {
            interval: lab.job.interval,
            before: self.before,
            reach: lab.machine.lock().disks[DRIVE].reach,
            bad: lab.job.bad.clone(),
            said_wiped: finished,
        };
        let files = lab.files();
        let found = judge(&lab.machine.lock().disks[DRIVE].memory, &files, &known);
        match found {
            Err(wrong) => Err(lab.violation(&format!("{}{}", self.story, wrong.join("\n")))),
            Ok(Found::Untouched) => {
                self.before = None;
                Ok(false)
            }
            Ok(Found::Unfinished(place)) => {
                // What a signal that can be caught leaves is exact, unless it broke
                // off the search for a bad sector.
                let exact = signal.is_some_and(|signal| STOPS.contains(&signal));
                let exact = exact && lab.job.bad.is_empty() && (place.0, place.1) == (0, 0);
                if exact && known.reach > place.2 {
                    let text = format!("written up to {}, saved {place:?}", known.reach);
                    return Err(lab.violation(&format!("{}{text}", self.story)));
                }
                self.before = Some(place);
                Ok(false)
            }
            Ok(Found::Finished) => Ok(finished || files.pending.is_empty()),
        }
    }

    fn is_begun(&self) -> bool {
        self.before.is_some() || !self.lab.files().pending.is_empty()
    }
}

/// Waits a time that no timer hits.
fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn job(dice: &mut Dice, fs: Fs) -> Job {
    let (_, options, bad) = one_of(dice, &kinds());
    let threads = one_of(dice, &[1, 2, 4]);
    let options = format!("{options} --threads {threads} --buffer-size 64K");
    small(fs, &options, bad)
}

/// One wipe: in each run some signals that change nothing, then one that ends it.
pub fn random(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    let mut dice = dice(seed);
    let fs = one_of(&mut dice, &Fs::ALL);
    let mut wiped = Wiped::of(&job(&mut dice, fs), seed, rig);
    let plugged = wiped.lab.plug();
    for round in 0..6 {
        let mut running = wiped.lab.start(&plugged, wiped.is_begun());
        let mut event = 0;
        for _ in 0..dice.below(3) {
            event += 1 + dice.below(60);
            let machine = &wiped.lab.machine;
            if machine.wait_for_event(event, || !running.is_running()) {
                let signal = one_of(&mut dice, &NOTHING);
                running.nudge(signal);
                spin(Duration::from_micros(dice.below(2000)));
                running.nudge(Signal::SIGCONT);
                rig.hits += 1;
                let _ = writeln!(wiped.story, "{signal} at event {event}");
            }
        }
        // The last round is left alone.
        let signal = (round < 5).then(|| match dice.below(2) {
            0 => one_of(&mut dice, &STOPS),
            _ => one_of(&mut dice, &DIES),
        });
        if let Some(signal) = signal {
            // Now and then before the first event.
            let first = round > 0 && dice.below(8) == 0;
            event = if first {
                0
            } else {
                event + 1 + dice.below(150)
            };
            let machine = &wiped.lab.machine;
            if machine.wait_for_event(event, || !running.is_running()) {
                spin(Duration::from_micros(dice.below(1000)));
                running.nudge(signal);
            }
        }
        let done = running.wait();
        rig.kills += u64::from(done.status.signal().is_some());
        if wiped.look(&done, signal)? {
            return Ok(());
        }
    }
    Err(wiped
        .lab
        .violation(&format!("{}is not finished", wiped.story)))
}

/// One wipe that is killed again and again within moments after a flush of its
/// drive: while a checkpoint is saved.
pub fn after_a_flush(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    let mut dice = dice(seed);
    let mut job = job(&mut dice, Fs::Ext4);
    job.size = 8 * MIB;
    job.bad.clear();
    let mut wiped = Wiped::of(&job, seed, rig);
    let plugged = wiped.lab.plug();
    for round in 0..30 {
        let mut running = wiped.lab.start(&plugged, wiped.is_begun());
        let flushes = usize::try_from(1 + dice.below(3)).unwrap();
        let come = |power: &Power| {
            let is_flush = |event: &&Event| matches!(event, Event::Done("drive flushed"));
            power.events.iter().filter(is_flush).count() >= flushes
        };
        let machine = &wiped.lab.machine;
        if round < 29 && machine.wait_for(come, || !running.is_running()) {
            spin(Duration::from_micros(dice.below(400)));
            running.nudge(Signal::SIGKILL);
        }
        let done = running.wait();
        rig.kills += u64::from(done.status.signal().is_some());
        if wiped.look(&done, Some(Signal::SIGKILL))? {
            return Ok(());
        }
    }
    Err(wiped
        .lab
        .violation(&format!("{}is not finished", wiped.story)))
}
