//! Large targets at the defaults. A wipe over terabytes cannot be waited for
//! here, so it begins near its end: with a checkpoint as the program made it, but
//! for a position far out, of a drive that holds below that what the pass would
//! have written.

use std::path::Path;
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::campaign::{KEEPS, Rig, Violation, dice, one_of, small, wipe};
use super::disk::Cut;
use super::judge::Place;
use super::lab::{DEFAULT, DRIVE, Fs, Job, Lab, Plugged};
use super::memory::{Before, Memory};
use super::stream::Stream;
use crate::support::{MIB, wait_until};

const GIB: u64 = 1024 * MIB;

/// How far a wipe has got before it is looked at.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Of the first pass; a multiple of 256 KiB.
    pub place: Place,
    pub generator: &'static str,
    /// Bytes that may be written beyond what is saved, where that is less than
    /// the interval between checkpoints: by the time trigger.
    pub most: u64,
}

impl Begun {
    /// Makes the drive and the state directory such.
    pub fn make(&self, lab: &Lab, plugged: &Plugged) {
        let pending = lab.point().join("state/pending");
        let run = lab.wipe().words(&lab.job.options);
        let run = if lab.job.options.contains("--rate-limit") {
            run
        } else {
            run.arg("--rate-limit=1M")
        };
        let mut run = run.arg(plugged.drive.path()).start();
        let file = || {
            let files = std::fs::read_dir(&pending).ok()?.flatten();
            let mut names = files.map(|entry| entry.path());
            names.find(|path| path.extension().is_some_and(|end| end == "json"))
        };
        wait_until("the first checkpoint", || file().is_some());
        run.nudge(Signal::SIGTERM);
        run.wait();
        let file = file().unwrap();
        let stream = self.rewrite(&file, lab.job.size);
        let (_, phase, position) = self.place;
        let end = if phase == 0 { position } else { lab.job.size };
        lab.machine.lock().disks[DRIVE].memory =
            Memory::new(lab.job.size, Before::Written(Arc::new(stream), end));
    }

    /// Moves the position of a checkpoint; gives what its pass writes.
    fn rewrite(&self, file: &Path, size: u64) -> Stream {
        let mut value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let (_, phase, position) = self.place;
        value["plan"][0]["generator"] = json!(self.generator);
        value["phase"] = json!(["write", "verify"][usize::try_from(phase).unwrap()]);
        value["written"] = json!(if phase == 0 { position } else { size });
        value["verified"] = json!(if phase == 0 { 0 } else { position });
        // In hundredths.
        let percent = |done: u64, all: u64| {
            let hundredths = u32::try_from(done * 10_000 / all).unwrap();
            json!(f64::from(hundredths) / 100.0)
        };
        value["progress_percent"] = percent(if phase == 0 { position } else { size }, size);
        let steps = if value["plan"][0]["verify"] == "none" {
            1
        } else {
            2
        };
        value["plan_percent"] = percent(phase * size + position, steps * size);
        std::fs::write(file, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
        Stream::of(&value["plan"][0]).unwrap()
    }
}

/// Around 4 GiB, 256 GiB, where a 32-bit counter of 64-byte blocks ends, or 2 TiB,
/// where one of sectors does; now and then so slow that time makes it save.
pub fn random(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    let mut dice = dice(seed);
    let border = one_of(&mut dice, &[4 * GIB, 256 * GIB, 2048 * GIB]);
    let slow = dice.below(5) == 0;
    let reads = !slow && dice.below(3) == 0;
    let generator = one_of(&mut dice, &["aes256-ctr64le", "chacha20-ctr64"]);
    // Enough for three checkpoints.
    let (ahead, rest) = if slow { (8, 24) } else { (64, 192) };
    let options = if reads {
        "--verify full"
    } else {
        "--verify none"
    };
    let options = if slow {
        format!("{options} --rate-limit 1M")
    } else {
        options.into()
    };
    let job = Job {
        size: border + rest * MIB,
        interval: DEFAULT,
        begun: Some(Begun {
            place: (0, u64::from(reads), border - ahead * MIB),
            generator,
            most: if slow { 16 * MIB } else { DEFAULT },
        }),
        ..small(one_of(&mut dice, &Fs::ALL), &options, vec![])
    };
    let cuts = 1 + dice.below(3);
    wipe(
        &job,
        |round| {
            // Slow ones write less at a time.
            let at = 1 + dice.below(if slow { 600 } else { 350 });
            let keep = one_of(&mut dice, &KEEPS);
            let cut = Cut::all(at, keep, dice.below(u64::MAX));
            (round < cuts && !(slow && round > 0)).then_some(cut)
        },
        rig,
    )
}
