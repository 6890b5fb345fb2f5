//! What is compared: wipeit and the tools that people use otherwise, each as
//! its own manual would have it for speed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::alone;
use crate::lab::{Lab, tool};

/// What is done to the drive; the sections of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Zero,
    Random,
    Read,
    RandomAndReadBack,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// What the device takes.
    Fio,
    Wipeit,
    /// wipeit's engine without checkpoints.
    Unsaved,
    Other,
}

/// One line of the table.
pub struct Contender {
    pub name: &'static str,
    pub work: Work,
    pub who: Who,
    /// Which part of the drive it gets, as the slow ones would take minutes.
    pub share: u64,
    /// Whether it takes seconds where others take a fraction of one.
    pub slow: bool,
    /// Whether it gets a device with blocks of 4096 bytes over the same memory.
    pub large_blocks: bool,
    words: fn(&Job) -> Vec<OsString>,
}

/// For whom a command line is made.
struct Job<'a> {
    drive: &'a Path,
    /// Bytes.
    size: u64,
    state: PathBuf,
    log: PathBuf,
}

impl Contender {
    /// Bytes that it writes or reads.
    pub fn bytes(&self, lab: &Lab) -> u64 {
        lab.size() / self.share
    }

    /// Its command line on a drive.
    pub fn command(&self, lab: &Lab, drive: &Path) -> anyhow::Result<Vec<OsString>> {
        let words = (self.words)(&Job {
            drive,
            size: self.bytes(lab),
            state: lab.state(),
            log: lab.log(),
        });
        let (program, rest) = words.split_first().context("no command")?;
        let program = if Path::new(program).is_absolute() {
            program.clone()
        } else {
            let name = program.to_string_lossy();
            tool(&name)
                .with_context(|| format!("{name} is not installed"))?
                .into()
        };
        Ok(std::iter::once(program)
            .chain(rest.iter().cloned())
            .collect())
    }
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    words.into_iter().map(OsString::from).collect()
}

/// The program, asked for nothing.
pub fn wipeit(drive: &Path, state: &Path, strategy: &str, verify: &str) -> Vec<OsString> {
    let mut all = words([
        env!("CARGO_BIN_EXE_wipeit"),
        "--yes",
        "--quiet",
        "--progress=none",
        "--checkpoint-every=100M",
        "--strategy",
        strategy,
        "--verify",
        verify,
        "--state-dir",
    ]);
    all.extend([state.into(), drive.into()]);
    all
}

fn unsaved(job: &Job, content: &str, verify: &str) -> Vec<OsString> {
    let this = std::env::current_exe().unwrap_or_default();
    let mut all = vec![this.into(), alone::MODE.into(), job.drive.into()];
    all.extend(words([content, verify]));
    all.push(job.state.clone().into());
    all
}

fn fio(job: &Job, how: &str, engine: &str) -> Vec<OsString> {
    let (how, engine) = (format!("--rw={how}"), format!("--ioengine={engine}"));
    let mut all = words([
        "fio",
        "--name=fio",
        &how,
        &engine,
        "--bs=1M",
        "--iodepth=4",
        "--direct=1",
        "--size=100%",
        "--end_fsync=1",
        "--output-format=json",
    ]);
    for (option, path) in [("--output=", &*job.log), ("--filename=", job.drive)] {
        let mut word = OsString::from(option);
        word.push(path);
        all.push(word);
    }
    all
}

fn nwipe(job: &Job, method: &[&str], verify: &str) -> Vec<OsString> {
    let mut all = words(["nwipe", "--autonuke", "--nogui", "--nowait", "--noblank"]);
    all.extend(words(method.iter().copied()));
    all.push(format!("--verify={verify}").into());
    let mut log = OsString::from("--logfile=");
    log.push(&job.log);
    all.extend([log, job.drive.into()]);
    all
}

fn on(job: &Job, before: &[&str]) -> Vec<OsString> {
    let mut all = words(before.iter().copied());
    all.push(job.drive.into());
    all
}

fn dd(job: &Job, from: &str) -> Vec<OsString> {
    let count = format!("count={}", job.size >> 22);
    let mut to = OsString::from("of=");
    to.push(job.drive);
    let mut all = words(["dd", from, "bs=4M", "iflag=fullblock", "oflag=direct"]);
    all.extend(words(["conv=fsync", "status=none", &count]));
    all.push(to);
    all
}

/// All of them, those of one work together.
pub const ALL: &[Contender] = &[
    line("fio write, io_uring", Work::Zero, Who::Fio, |job| {
        fio(job, "write", "io_uring")
    }),
    line("fio write, libaio", Work::Zero, Who::Fio, |job| {
        fio(job, "write", "libaio")
    }),
    line("wipeit zero", Work::Zero, Who::Wipeit, |job| {
        wipeit(job.drive, &job.state, "zero", "none")
    }),
    line(
        "wipeit zero, no checkpoints",
        Work::Zero,
        Who::Unsaved,
        |job| unsaved(job, "zero", "none"),
    ),
    line("scrub -p fillzero -S", Work::Zero, Who::Other, |job| {
        on(job, &["scrub", "-f", "-S", "-p", "fillzero"])
    }),
    line("dd zero, direct, 4M", Work::Zero, Who::Other, |job| {
        dd(job, "if=/dev/zero")
    }),
    line("shred -n0 -z", Work::Zero, Who::Other, |job| {
        on(job, &["shred", "-n0", "-z"])
    })
    .part(1),
    line("nwipe zero", Work::Zero, Who::Other, |job| {
        nwipe(job, &["--method=zero"], "off")
    })
    .large_blocks(),
    line("wipeit random", Work::Random, Who::Wipeit, |job| {
        wipeit(job.drive, &job.state, "random", "none")
    }),
    line(
        "wipeit random, no checkpoints",
        Work::Random,
        Who::Unsaved,
        |job| unsaved(job, "random", "none"),
    ),
    line("shred -n1", Work::Random, Who::Other, |job| {
        let size = job.size.to_string();
        on(job, &["shred", "-n1", "-s", &size])
    })
    .part(2),
    line("scrub -p random -S", Work::Random, Who::Other, |job| {
        let size = format!("{}m", job.size >> 20);
        on(job, &["scrub", "-f", "-S", "-p", "random", "-s", &size])
    })
    .part(4),
    line("dd urandom, direct, 4M", Work::Random, Who::Other, |job| {
        dd(job, "if=/dev/urandom")
    })
    .part(4),
    // The fastest of its generators.
    line("nwipe random, twister", Work::Random, Who::Other, |job| {
        nwipe(job, &["--method=random", "--prng=twister"], "off")
    })
    .large_blocks(),
    line("fio read, io_uring", Work::Read, Who::Fio, |job| {
        fio(job, "read", "io_uring")
    }),
    line("fio read, libaio", Work::Read, Who::Fio, |job| {
        fio(job, "read", "libaio")
    }),
    line(
        "wipeit random + read-back",
        Work::RandomAndReadBack,
        Who::Wipeit,
        |job| wipeit(job.drive, &job.state, "random", "full"),
    ),
    line(
        "wipeit random + read-back, no checkpoints",
        Work::RandomAndReadBack,
        Who::Unsaved,
        |job| unsaved(job, "random", "full"),
    ),
    line(
        "nwipe random + read-back",
        Work::RandomAndReadBack,
        Who::Other,
        |job| nwipe(job, &["--method=random", "--prng=twister"], "last"),
    )
    .large_blocks(),
];

const fn line(
    name: &'static str,
    work: Work,
    who: Who,
    words: fn(&Job) -> Vec<OsString>,
) -> Contender {
    Contender {
        name,
        work,
        who,
        share: 1,
        slow: false,
        large_blocks: false,
        words,
    }
}

impl Contender {
    /// A slow one, on a part of the drive.
    const fn part(self, share: u64) -> Self {
        Self {
            share,
            slow: true,
            ..self
        }
    }

    /// For nwipe before 0.35, which writes one block at a time: 0.05 GB/s in
    /// blocks of 512 bytes.
    const fn large_blocks(self) -> Self {
        Self {
            large_blocks: true,
            slow: true,
            ..self
        }
    }
}
