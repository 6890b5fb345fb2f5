//! Wipes on real drivers that lose their power at moments drawn by a seed, and
//! are resumed to their end: in the small virtual machine, which is restored for
//! every cut with the drives as the last one left them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::campaign::{Rig, Violation, kinds};
use super::coverage::Coverage;
use super::judge::{Files, Found, Known, judge, records};
use super::memory::{Before, Memory};
use super::{planted, slots};
use crate::support::content::{from_hex, tags};
use crate::support::run::PROGRAM;
use crate::support::vm::{Boot, Machine};
use crate::support::{Dice, KIB, MIB, sh};

/// Kinds of drives.
pub const KINDS: [&str; 6] = ["nvme", "sata", "scsi", "usb", "uas", "virtio"];

/// What the state directory stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fs {
    Ext4,
    Xfs,
    Btrfs,
    Vfat,
    Exfat,
}

impl Fs {
    pub const ALL: [Self; 5] = [Self::Ext4, Self::Xfs, Self::Btrfs, Self::Vfat, Self::Exfat];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Exfat => "exfat",
        }
    }

    fn size(self) -> u64 {
        match self {
            // The least that mkfs makes.
            Self::Xfs => 320 * MIB,
            Self::Btrfs => 128 * MIB,
            _ => 16 * MIB,
        }
    }

    /// Makes one for a drive with blocks of this size; the guest has to make what
    /// is made for a drive only.
    pub fn make(self, image: &Path, block: u64) -> &'static str {
        let block = block.to_string();
        let now = "lazy_itable_init=0,lazy_journal_init=0";
        match self {
            Self::Ext4 => sh!("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", now, image),
            Self::Xfs => {
                let sector = format!("size={block}");
                sh!("mkfs.xfs", "-q", "-f", "-K", "-s", sector, image)
            }
            Self::Btrfs => sh!("mkfs.btrfs", "-q", "-f", "-K", image),
            Self::Vfat => sh!("mkfs.vfat", "-S", block, image),
            // It aligns to a megabyte, unless it is told not to.
            Self::Exfat if block != "512" => {
                return "mkfs.exfat -b 64K -c 4K $(dev STATE) >/dev/null; sync;";
            }
            Self::Exfat => sh!("mkfs.exfat", "-b", "64K", "-c", "4K", image),
        };
        ""
    }
}

/// A wipe, and what it is done on.
#[derive(Clone, Debug)]
pub struct Job {
    /// One of [`KINDS`].
    pub kind: &'static str,
    pub size: u64,
    /// Bytes of a logical block of the drive, and of the disk of the state.
    pub blocks: (u64, u64),
    pub fs: Fs,
    pub options: String,
    /// Sectors of 512 bytes that take no write.
    pub bad: Vec<u64>,
    /// The bug of the build with planted bugs; none: what is shipped.
    pub bug: Option<&'static str>,
}

/// When the power is cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// In place of this request, counted from 1.
    pub at: u64,
    /// What survives of what was not flushed.
    pub keep: &'static str,
    pub seed: u64,
}

/// Bytes between checkpoints.
const INTERVAL: u64 = MIB;
/// Shell functions of the scripts.
const SCRIPT: &str = r#"
state=/s/w
# dump: every file of the state
dump() {
    for f in $state/pending/* $state/pending/.[!.]* $state/reports/*.json $state/reports/.[!.]*; do
        case $f in *.room|*.tmp) continue ;; esac
        [ -f "$f" ] && { echo "<<< file $f"; xxd -p "$f"; echo ">>>"; }
    done
}
is_there() { for f in $state/$1/*.json $state/$1/.*.json.[ab]; do [ -s "$f" ] && return; done; return 1; }
# goes_on OPTION...: starts the wipe, or resumes it, or says that it is over
goes_on() {
    if is_there pending; then set -- --resume; elif is_there reports; then echo over; return; fi
    wipeit --yes --checkpoint-every 1M --state-dir $state "$@" $(dev TARGET) >/tmp/said 2>&1 </dev/null
    echo "ended $?"; cat /tmp/said
}
"#;

/// One drive and the disk of its state.
pub struct Bench {
    machine: Machine,
    /// What the guest does first.
    make: &'static str,
    job: Job,
}

/// What one look and one run came to.
struct Round {
    files: Files,
    /// Of the drive, before the run.
    drive: Memory,
    boot: Boot,
}

impl Bench {
    pub fn new(job: &Job) -> Self {
        let machine = Machine::new();
        let machine = match job.bug {
            Some(_) => machine.program(planted::program()),
            None => machine,
        };
        let machine = machine
            .blank(&state(job, None), job.fs.size())
            .disk(&target(job, None), job.size);
        let per_block = job.blocks.0 / 512;
        let fault = |machine: Machine, sector: &u64| {
            let block = sector / per_block;
            machine.fault(&format!("target:{block}-{block}:w"))
        };
        Self {
            make: job.fs.make(&machine.image("state"), job.blocks.1),
            machine: job.bad.iter().fold(machine, fault),
            job: job.clone(),
        }
    }

    /// Looks at the state, and then wipes on; cut there or, when the wipe has
    /// ended, then. Without `wipe` it only looks.
    fn round(&mut self, wipe: bool, cut: Option<&Cut>) -> Round {
        self.machine.change(0, &state(&self.job, cut));
        self.machine.change(1, &target(&self.job, cut));
        let drive = memory(&self.machine.image("target"));
        let at = cut.map_or(0, |cut| cut.at);
        let (fs, options) = (self.job.fs.name(), &self.job.options);
        let run = if wipe {
            format!("lab cut-in {at} >/dev/null; goes_on {options}; lab cut >/dev/null")
        } else {
            String::new()
        };
        let make = std::mem::take(&mut self.make);
        let planted = self.job.bug.unwrap_or_default();
        let script = format!(
            "export WIPEIT_PLANTED={planted}\n{SCRIPT}\n{make} mkdir /s; mount -t {fs} $(dev STATE) /s || exit 9; dump; {run}"
        );
        let boot = self.machine.boot(&[], &script);
        Round {
            files: files(&boot),
            drive,
            boot,
        }
    }
}

fn state(job: &Job, cut: Option<&Cut>) -> String {
    let block = job.blocks.1;
    format!(
        "virtio,name=state,serial=STATE,log,lbs={block}{}",
        kept(cut)
    )
}

fn target(job: &Job, cut: Option<&Cut>) -> String {
    let Job { kind, blocks, .. } = job;
    let block = if blocks.0 == 512 {
        String::new()
    } else {
        format!(",lbs={}", blocks.0)
    };
    format!("{kind},name=target,serial=TARGET,log{block}{}", kept(cut))
}

fn kept(cut: Option<&Cut>) -> String {
    cut.map_or(String::new(), |cut| {
        format!(",keep={},seed={}", cut.keep, cut.seed)
    })
}

/// What is on an image; what is as it was at first takes no memory.
fn memory(image: &Path) -> Memory {
    let bytes = std::fs::read(image).unwrap();
    let mut memory = Memory::new(bytes.len() as u64, Before::Tags);
    let piece = 64 << 10;
    for (number, found) in bytes.chunks(piece).enumerate() {
        let offset = (number * piece) as u64;
        if *found != tags(offset, found.len()) {
            memory.write(offset, found);
        }
    }
    memory
}

/// What the state directory holds, in slots or not.
fn files(boot: &Boot) -> Files {
    let mut found: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for part in boot.said().split("<<< file ").skip(1) {
        let (path, rest) = part.split_once('\n').unwrap_or_default();
        let hex: String = rest
            .split(">>>")
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        found.push((path.into(), from_hex(&hex)));
    }
    Files {
        pending: slots::whole(&found, Path::new("/s/w/pending")),
        reports: records(slots::whole(&found, Path::new("/s/w/reports"))),
    }
}

/// One wipe, cut as `next` says until that has no more, then finished.
pub fn wipe(
    job: &Job,
    mut next: impl FnMut(u64) -> Option<Cut>,
    coverage: &mut Coverage,
) -> Result<(), Violation> {
    let mut bench = Bench::new(job);
    let mut known = Known {
        interval: INTERVAL,
        before: None,
        reach: 0,
        bad: job.bad.clone(),
        said_wiped: false,
    };
    let mut history = format!("{job:?}\n");
    let mut moment = None;
    // The one after the last cut ends the wipe, and one more looks at the end.
    for round in 0.. {
        let cut = if known.said_wiped { None } else { next(round) };
        let _ = writeln!(history, "round {round}: {cut:?}");
        let came = bench.round(!known.said_wiped, cut.as_ref());
        let keep = |why: &str, history: &str| Err(kept_at(&bench.machine, why, history));
        let verdict = judge(&came.drive, &came.files, &known);
        if let Some(moment) = moment.take() {
            coverage.add(moment, job.fs.name(), verdict.as_ref().ok().copied());
        }
        match verdict {
            Err(wrong) => {
                return keep(
                    &format!("{}\n{}", wrong.join("\n"), came.boot.said()),
                    &history,
                );
            }
            Ok(found) => {
                let _ = writeln!(history, "  {found:?}");
                known.before = match found {
                    Found::Untouched => None,
                    Found::Unfinished(place) => Some(place),
                    Found::Finished if known.said_wiped => return Ok(()),
                    Found::Finished if came.files.pending.is_empty() => return Ok(()),
                    // Cut between record and removal: this run ends it.
                    Found::Finished => known.before,
                };
            }
        }
        if !came.boot.is_cut() {
            return keep(
                &format!("the machine failed: {}", came.boot.said()),
                &history,
            );
        }
        let tally = bench.machine.tally();
        known.reach = tally.reach["target"];
        let good = if job.bad.is_empty() {
            "ended 0"
        } else {
            "ended 3"
        };
        let ended = came
            .boot
            .said()
            .lines()
            .find(|line| line.starts_with("ended "));
        match ended {
            Some(ended) if ended != good => return keep(came.boot.said(), &history),
            Some(_) => known.said_wiped = true,
            None => {
                let mut past = tally.past.into_iter().rev();
                let mut name = || {
                    past.next()
                        .map_or("start".into(), |(disk, asked)| format!("{disk} {asked}"))
                };
                let (next, before) = (name(), name());
                moment = Some((before, next));
            }
        }
    }
    Ok(())
}

/// Keeps the images and logs of a violation; what it was, and where they are.
fn kept_at(machine: &Machine, why: &str, history: &str) -> Violation {
    let name = format!("violation-{}", std::process::id());
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&parent).unwrap();
    let number = std::fs::read_dir(&parent).unwrap().count();
    let folder = parent.join(number.to_string());
    sh!("cp", "-r", "--sparse=always", machine.folder(), &folder);
    let program = sh!("sha256sum", PROGRAM);
    let story = format!(
        "{history}{why}\n{program}\nimages and logs: {}",
        folder.display()
    );
    std::fs::write(folder.join("story"), &story).unwrap();
    story
}

/// A wipe with drive, state, settings and cuts drawn by the seed.
pub fn random(seed: u64, rig: &mut Rig) -> Result<(), Violation> {
    let mut dice = Dice::new(seed);
    for _ in 0..8 {
        dice.below(2);
    }
    let mut pick = |below: usize| usize::try_from(dice.below(below as u64)).unwrap();
    let (kind, fs) = (KINDS[pick(KINDS.len())], Fs::ALL[pick(Fs::ALL.len())]);
    let (_, options, bad) = kinds()[pick(5)].clone();
    // Of a drive behind a bridge nothing but a random pass proves that it is the
    // one that was begun, and here nobody can be asked.
    let is_proven = !kind.starts_with('u') || !options.contains("--scheme");
    let options = if is_proven {
        options
    } else {
        "--passes 3 --verify all"
    };
    let threads = [1, 2, 4, 64][pick(4)];
    let chunk = [16 * KIB, 64 * KIB, MIB][pick(3)];
    // QEMU's SATA has no other; its size is saved with the machine.
    let (block, size) = match kind {
        "sata" => (512, 4 * MIB),
        _ => ([512, 4096][pick(2)], 2 * MIB + pick(12) as u64 * MIB / 2),
    };
    let job = Job {
        kind,
        size,
        blocks: (block, [512, 4096][pick(2)]),
        fs,
        options: format!("{options} --threads {threads} --buffer-size {chunk}"),
        bad: whole_blocks(&bad, block, size),
        bug: rig.bug,
    };
    run(&job, seed, &mut dice, &mut rig.coverage)
}

fn run(job: &Job, seed: u64, dice: &mut Dice, coverage: &mut Coverage) -> Result<(), Violation> {
    let cuts = 2 + dice.below(6);
    let keeps = ["none", "random", "prefix", "all"];
    let next = |round| {
        // Often soon: a resume has its first steps, too.
        let early = [12, 60, 200][usize::try_from(dice.below(3)).unwrap()];
        (round < cuts).then(|| Cut {
            at: 1 + dice.below(early),
            keep: keeps[usize::try_from(dice.below(4)).unwrap()],
            seed: dice.below(u64::MAX),
        })
    };
    wipe(job, next, coverage).map_err(|why| format!("seed {seed}: {why}"))
}

/// The blocks in which these sectors lie, sector by sector.
fn whole_blocks(sectors: &[u64], block: u64, size: u64) -> Vec<u64> {
    let per_block = block / 512;
    let first = sectors.iter().map(|sector| sector / per_block * per_block);
    let mut all: Vec<u64> = first.flat_map(|first| first..first + per_block).collect();
    all.retain(|sector| sector * 512 < size);
    all.dedup();
    all
}
