//! State directories that are full, tiny, removed or read-only while a wipe runs,
//! and two processes on one of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::campaign::{Rig, Violation, dice, kinds, one_of, small};
use super::judge::{Files, Found, Known, judge};
use super::lab::{DRIVE, Fs, Lab, Plugged, files_of};
use super::memory::{Before, Memory};
use crate::support::device::{Mount, fill, quietly};
use crate::support::run::{Done, Running};
use crate::support::{Dice, MIB, wait_until};

/// Said where the run waits for its end.
const RECORD: &str = "the record could not be saved";
/// Said where it waits before a later pass.
const WAITS: &str = "waiting until the checkpoint can be saved";

/// A wipe whose state directory comes to harm, drawn by the seed.
pub fn random(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    let mut dice = dice(seed);
    let (_, options, _) = one_of(&mut dice, &kinds()[..4]);
    let options = format!("{options} --threads 2 --buffer-size 64K");
    let job = small(one_of(&mut dice, &Fs::ALL), &options, vec![]);
    let lab = Lab::new(&job, rig);
    let plugged = lab.plug();
    let scene = Scene {
        lab: &lab,
        plugged: &plugged,
    };
    rig.hits += 1;
    let kinds = [
        Scene::full_at_the_resume,
        Scene::full_meanwhile,
        Scene::tiny,
        Scene::removed,
        Scene::read_only,
        Scene::shared,
    ];
    let kind = usize::try_from(seed % kinds.len() as u64).unwrap();
    let wrong = kinds[kind](&scene, &mut dice);
    wrong.map_err(|why| lab.violation(&format!("seed {seed}, kind {kind}: {job:?}\n{why}")))
}

struct Scene<'a> {
    lab: &'a Lab,
    plugged: &'a Plugged,
}

impl Scene<'_> {
    fn state(&self) -> PathBuf {
        self.lab.point().join("state")
    }

    /// Runs up to an event at most; whether it got there.
    fn at(&self, running: &mut Running, event: u64) -> bool {
        let machine = &self.lab.machine;
        machine.wait_for_event(event, || !running.is_running())
    }

    /// The judge's word on what stands in this state directory. No save is
    /// expected to have succeeded in time.
    fn look(&self, files: &Files, said_wiped: bool) -> Result<Found, String> {
        let known = Known {
            interval: u64::MAX / 2,
            before: None,
            reach: 0,
            bad: Vec::new(),
            said_wiped,
        };
        let power = self.lab.machine.lock();
        judge(&power.disks[DRIVE].memory, files, &known).map_err(|wrong| wrong.join("\n"))
    }

    /// A run that came to its end: it is wiped, and its code says whether the
    /// record is there.
    fn told_truly(&self, done: &Done) -> Result<(), String> {
        let files = self.lab.files();
        let told = format!("{done:?}\n{} records", files.reports.len());
        match done.status.code() {
            Some(0) if files.reports.len() == 1 && files.pending.is_empty() => {}
            Some(7) => {
                let named = done.stdout.contains("record none");
                if named != files.reports.is_empty() {
                    return Err(told);
                }
            }
            _ => return Err(told),
        }
        let all = Files {
            pending: Vec::new(),
            reports: files.reports,
        };
        if all.reports.is_empty() {
            return Ok(());
        }
        self.look(&all, true).map(drop)
    }

    fn resumed(&self) -> Result<(), String> {
        let done = self.lab.start(self.plugged, true).wait();
        self.told_truly(&done)?;
        if done.status.code() == Some(0) {
            Ok(())
        } else {
            Err(format!("is not finished by a resume: {done:?}"))
        }
    }

    /// Killed, and nothing is free at the resume: it is refused, and what was
    /// saved stands.
    fn full_at_the_resume(&self, dice: &mut Dice) -> Result<(), String> {
        let mut running = self.lab.start(self.plugged, false);
        let event = 20 + dice.below(60);
        if self.at(&mut running, event) {
            running.nudge(Signal::SIGKILL);
        }
        if running.wait().status.code() == Some(0) {
            return Ok(());
        }
        let before = self.lab.files();
        if before.pending.is_empty() {
            return Ok(());
        }
        let filler = self.fill();
        let done = self.lab.start(self.plugged, true).wait();
        let after = self.lab.files();
        if done.status.code() == Some(4) && after.pending != before.pending {
            return Err(format!("another checkpoint after a refusal: {done:?}"));
        }
        if !matches!(done.status.code(), Some(0 | 4 | 7)) {
            return Err(format!("{done:?}"));
        }
        self.look(&after, done.status.code() == Some(0))?;
        std::fs::remove_file(filler).unwrap();
        if after.pending.is_empty() {
            return Ok(());
        }
        self.resumed()
    }

    /// Full from some moment on: the record has its room.
    fn full_meanwhile(&self, dice: &mut Dice) -> Result<(), String> {
        let mut running = self.lab.start(self.plugged, false);
        let event = 10 + dice.below(40);
        if !self.at(&mut running, event) {
            return self.told_truly(&running.wait());
        }
        // It is to be full when the wipe ends, and filling takes time.
        running.nudge(Signal::SIGSTOP);
        let ours = !self.lab.files().pending.is_empty();
        let filler = self.fill();
        running.nudge(Signal::SIGCONT);
        let done = end_of(running, RECORD);
        std::fs::remove_file(filler).unwrap();
        // Not btrfs, where what is kept may be copied.
        let waited = done.stderr.contains(WAITS);
        let kept = ours && !waited && self.lab.job.fs != Fs::Btrfs;
        if kept && done.status.code() != Some(0) {
            return Err(format!("there was room for the record: {done:?}"));
        }
        if done.status.code() == Some(0) {
            return self.told_truly(&done);
        }
        self.look(&self.lab.files(), false).map(drop)
    }

    /// A state directory of 1 MiB in memory.
    fn tiny(&self, dice: &mut Dice) -> Result<(), String> {
        let point = self.lab.point().with_file_name("tiny");
        let mount = Mount::tmpfs("1M", point);
        let mut resume = false;
        for round in 0..6 {
            let wipe = self.lab.wipe().state(mount.point());
            let wipe = if resume {
                wipe.arg("--resume")
            } else {
                wipe.words(&self.lab.job.options)
            };
            self.lab.machine.arm(None);
            let mut running = wipe.arg(self.plugged.drive.path()).start();
            let event = if round == 5 {
                u64::MAX
            } else {
                1 + dice.below(120)
            };
            if self.at(&mut running, event) {
                running.nudge(one_of(dice, &[Signal::SIGKILL, Signal::SIGINT]));
            }
            let done = running.wait();
            let files = files_of(mount.point());
            self.look(&files, done.status.code() == Some(0))?;
            resume = !files.pending.is_empty();
            if !files.reports.is_empty() && !resume {
                return Ok(());
            }
        }
        Err("is not finished in a state directory of 1 MiB".into())
    }

    /// Removed while it runs.
    fn removed(&self, dice: &mut Dice) -> Result<(), String> {
        let mut running = self.lab.start(self.plugged, false);
        let event = 1 + dice.below(100);
        if self.at(&mut running, event) {
            let _ = std::fs::remove_dir_all(self.state());
        }
        self.harmed(&end_of(running, RECORD))
    }

    /// A run whose state directory came to harm at any moment, also before the
    /// first save.
    fn harmed(&self, done: &Done) -> Result<(), String> {
        match done.status.code() {
            // Stopped as it waited; what was removed is not asked for.
            None if self.lab.files().pending.is_empty() => Ok(()),
            None | Some(4) => self.look(&self.lab.files(), false).map(drop),
            Some(_) => self.told_truly(done),
        }
    }

    /// Read-only from some moment on, and writable again when the record cannot
    /// be saved.
    fn read_only(&self, dice: &mut Dice) -> Result<(), String> {
        let mut running = self.lab.start(self.plugged, false);
        let event = 1 + dice.below(100);
        let remount = |how: &str| {
            let (options, point) = (format!("remount,{how}"), self.lab.point());
            quietly(
                "mount",
                &["-o".as_ref(), options.as_ref(), point.as_os_str()],
            )
        };
        let again = dice.below(2) == 0;
        if self.at(&mut running, event) && remount("ro") {
            wait_for(&mut running, RECORD);
            if again {
                remount("rw");
            }
        }
        let done = end_of(running, if again { "\0" } else { RECORD });
        remount("rw");
        self.harmed(&done)
    }

    /// Another wipe in the same state directory, and one of the same drive.
    fn shared(&self, dice: &mut Dice) -> Result<(), String> {
        const OTHER: u64 = 2 * MIB;
        let other = self.lab.point().with_file_name("other");
        crate::support::content::fill_with_tags(&other, OTHER);
        let options = "--verify none --buffer-size 64K --rate-limit 4M";
        let (mut story, mut resume) = (String::new(), [false; 2]);
        for round in 0..5 {
            let second = self.lab.wipe();
            let second = if resume[1] {
                second.arg("--resume")
            } else {
                second.words(options)
            };
            let mut first = self.lab.start(self.plugged, resume[0]);
            let mut second = second.arg(&other).start();
            let event = 1 + dice.below(80);
            if round < 4 && self.at(&mut first, event) {
                // Were it not busy it would be wiped once more.
                let busy = self.lab.wipe().arg("--dry-run");
                let busy = busy.arg(self.plugged.drive.path()).run();
                let _ = writeln!(story, "a third process: {}", busy.status);
                let ended = !first.is_running();
                if !ended && busy.status.code() != Some(6) {
                    return Err(format!("{story}not busy: {busy:?}"));
                }
                first.nudge(one_of(dice, &[Signal::SIGKILL, Signal::SIGTERM]));
                second.nudge(one_of(dice, &[Signal::SIGKILL, Signal::SIGTERM]));
            }
            let (first, second) = (first.wait(), second.wait());
            let _ = writeln!(story, "{} and {}", first.status, second.status);
            let files = self.lab.files();
            let image = memory_of(&other, OTHER);
            let (own, others) = (of_size(&files, self.lab.job.size), of_size(&files, OTHER));
            self.look(&own, first.status.code() == Some(0))?;
            let known = Known {
                interval: MIB,
                before: None,
                reach: 0,
                bad: Vec::new(),
                said_wiped: second.status.code() == Some(0),
            };
            judge(&image, &others, &known)
                .map_err(|wrong| format!("{story}the image: {}", wrong.join("\n")))?;
            resume = [&own, &others].map(|files| !files.pending.is_empty());
            if !own.reports.is_empty() || !others.reports.is_empty() {
                break;
            }
        }
        // One is finished; the other goes on alone.
        for (target, resume) in [(self.plugged.drive.path(), resume[0]), (&other, resume[1])] {
            let done = resume.then(|| self.lab.wipe().arg("--resume").arg(target).run());
            if done
                .as_ref()
                .is_some_and(|done| done.status.code() != Some(0))
            {
                return Err(format!("{story}is not finished by a resume: {done:?}"));
            }
        }
        let own = of_size(&self.lab.files(), self.lab.job.size);
        self.look(&own, !own.reports.is_empty()).map(drop)
    }

    /// Fills the disk of the state directory; gives the file.
    fn fill(&self) -> PathBuf {
        fill(&self.lab.point())
    }
}

/// Waits for the end; a run that waits because of this is told to stop.
fn end_of(mut running: Running, why: &str) -> Done {
    wait_for(&mut running, why);
    if running.is_running() {
        running.nudge(Signal::SIGINT);
    }
    running.wait()
}

/// Waits until a run says this or has ended.
fn wait_for(running: &mut Running, text: &str) {
    wait_until(text, || {
        let said = running.stderr();
        !running.is_running() || [text, WAITS].iter().any(|text| said.contains(text))
    });
}

/// What is said of the target of this size; what says nothing is of all.
fn of_size(files: &Files, size: u64) -> Files {
    let keep = |list: &[(String, Vec<u8>)]| {
        let is_it = |bytes: &[u8]| {
            let value: Option<Value> = serde_json::from_slice(bytes).ok();
            value.is_none_or(|value| value["total_size"] == size)
        };
        let kept = list.iter().filter(|(_, bytes)| is_it(bytes));
        kept.cloned().collect()
    };
    Files {
        pending: keep(&files.pending),
        reports: keep(&files.reports),
    }
}

fn memory_of(image: &Path, size: u64) -> Memory {
    let mut memory = Memory::new(size, Before::Tags);
    let bytes = std::fs::read(image).unwrap();
    for (at, piece) in (0..).step_by(64 << 10).zip(bytes.chunks(64 << 10)) {
        if memory.read(at, piece.len()) != piece {
            memory.write(at, piece);
        }
    }
    memory
}

/// More wrong bytes than anybody can list: what is saved stays small, and can be
/// read.
pub fn crowd(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    const LARGEST: u64 = 8 << 20;
    let mut job = small(Fs::Xfs, "--verify full", vec![]);
    (job.size, job.interval) = (96 * MIB, 16 * MIB);
    let lab = Lab::new(&job, rig);
    let plugged = lab.plug();
    lab.machine.lock().disks[DRIVE].lies = Some(1024);
    rig.hits += 1;
    let mut running = lab.start(&plugged, false);
    let mut largest = 0;
    // Also what is saved on the way.
    wait_until("the end", || {
        let pending = std::fs::read_dir(lab.point().join("state/pending"));
        let sizes = pending.into_iter().flatten().flatten();
        let sizes = sizes.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
        let sizes = sizes.filter_map(|entry| Some(entry.metadata().ok()?.len()));
        largest = sizes.fold(largest, u64::max);
        !running.is_running()
    });
    let done = running.wait();
    let files = lab.files();
    let all = files.pending.iter().chain(&files.reports);
    largest = all.fold(largest, |most, (_, bytes)| most.max(bytes.len() as u64));
    let listed = lab.wipe().arg("--check").arg(plugged.drive.path());
    let said = listed.run();
    let fine = done.status.code() == Some(5)
        && largest <= LARGEST
        && files.reports.len() == 1
        && said.status.code() == Some(5);
    if fine {
        return Ok(());
    }
    let text = format!("seed {seed}: {largest} bytes\n{done:?}\n{said:?}");
    Err(lab.violation(&text))
}
