//! Times that a user waits, and what a drive costs only because it is large.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};

use crate::drives::verdict;
use crate::lab::{self, Lab, Loop};
use crate::measure::Group;
use crate::stats::{median, range, table};
use crate::tools::wipeit;
use crate::watch::Watch;
use crate::{Args, say};

/// Bytes of the drive that is large; ext4 ends at 16 TiB.
const LARGE: u64 = 15 << 40;
/// Bytes of the small one beside it on a disk.
const SMALL: u64 = 64 << 30;
/// How long both run on a disk.
const LONG: Duration = Duration::from_secs(10);

/// A wipe of random data that was stopped by Ctrl+C.
struct Stopped {
    /// Milliseconds from the start of the process to the first write.
    first: f64,
    /// GB/s from then to the signal.
    speed: f64,
    /// Most MiB in memory until then.
    peak: f64,
    /// Milliseconds from the signal to the end of the process.
    exit: f64,
}

/// How often a wipe that ended before it was stopped is begun again.
const TRIES: u32 = 5;

/// Starts a wipe, and stops it once it has written so much, or for so long. On a
/// busy machine it may be over before; then once more.
fn stopped(drive: &Path, lab: &Lab, bytes: u64) -> anyhow::Result<Stopped> {
    for _ in 0..TRIES {
        if let Some(stopped) = try_to_stop(drive, &lab.state(), bytes)? {
            return Ok(stopped);
        }
        lab::settle();
    }
    bail!("the wipe always ended before it was stopped; see --size")
}

fn try_to_stop(drive: &Path, state: &Path, bytes: u64) -> anyhow::Result<Option<Stopped>> {
    let mut watch = Watch::over(drive)?;
    let command = wipeit(drive, state, "random", "none");
    let begun = Instant::now();
    let mut group = Group::start(&command, Stdio::null())?;
    let mut ended = false;
    watch.until(|watch| {
        let first = watch.first_write;
        let enough = first.is_some_and(|first| first.elapsed() >= LONG);
        ended = group.child().try_wait()?.is_some();
        Ok(ended || enough || watch.written() >= bytes)
    })?;
    let peak = peak(group.pid());
    let signal = Instant::now();
    let speed = watch.written();
    if !ended {
        kill(group.pid(), Signal::SIGINT)?;
    }
    // Not looked for now and then: its end is what is timed.
    let status = group.child().wait()?;
    let exit = signal.elapsed();
    if status.success() {
        return Ok(None);
    }
    ensure!(
        status.signal() == Some(Signal::SIGINT as i32),
        "it ended with {status}"
    );
    let first = watch.first_write.context("it wrote nothing")?;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let writing = signal.saturating_duration_since(first).as_secs_f64();
    Ok(Some(Stopped {
        first: ms(first.saturating_duration_since(begun)),
        speed: speed as f64 / 1e9 / writing,
        peak: peak.context("its memory is not known")?,
        exit: ms(exit),
    }))
}

/// Most MiB that a process had in memory so far.
fn peak(pid: nix::unistd::Pid) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}

/// Both tables.
pub fn run(lab: &mut Lab, args: &Args) -> anyhow::Result<String> {
    if args
        .only
        .as_ref()
        .is_some_and(|only| !only.contains("wipeit"))
    {
        return Ok(String::new());
    }
    say("start, Ctrl+C and a large drive");
    let size = lab.size();
    let (mut small, mut large, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        waits.push(stopped(lab.device()?, lab, size / 3)?);
        small.push(stopped(lab.device()?, lab, size / 2)?);
        lab::settle();
        lab.resize(LARGE)?;
        large.push(stopped(lab.device()?, lab, size / 2)?);
        lab::settle();
        lab.resize(size)?;
    }
    let of = |runs: &[Stopped], figure: fn(&Stopped) -> f64| runs.iter().map(figure).collect();
    let firsts: Vec<f64> = of(&waits, |run| run.first);
    let exits: Vec<f64> = of(&waits, |run| run.exit);
    let rows: Vec<_> = [
        verdict("start to first write, ms", 50.0, false, &firsts),
        verdict("Ctrl+C to exit, ms", 100.0, false, &exits),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut text = table(&["goal", "bound", "median", "spread", ""], &rows);
    let mut drives = vec![
        row("small, in memory", &small),
        row("15 TiB, the same memory, then a hole", &large),
    ];
    if let Some(folder) = &args.disk {
        let (small, large) = on_disk(folder, lab, args)?;
        drives.push(row("64 GiB, sparse, on a disk", &small));
        drives.push(row("15 TiB, sparse, on a disk", &large));
    }
    let head = [
        "drive",
        "GB/s",
        "spread",
        "peak MiB",
        "start to first write, ms",
        "Ctrl+C to exit, ms",
    ];
    text.push('\n');
    text.push_str(&table(&head, &drives));
    let _ = write!(
        text,
        "\nRandom data, each stopped by Ctrl+C after {} MiB{}.\n",
        size >> 21,
        if args.disk.is_some() {
            ", on the disk after 10 s"
        } else {
            ""
        }
    );
    Ok(text)
}

fn row(name: &str, runs: &[Stopped]) -> Vec<String> {
    let of = |figure: fn(&Stopped) -> f64| runs.iter().map(figure);
    vec![
        name.into(),
        median(of(|run| run.speed)),
        range(of(|run| run.speed)),
        median(of(|run| run.peak)),
        median(of(|run| run.first)),
        median(of(|run| run.exit)),
    ]
}

/// A sparse file; removed when dropped.
struct Sparse(PathBuf);

impl Drop for Sparse {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The same on sparse files of a file system on a disk.
fn on_disk(folder: &Path, lab: &Lab, args: &Args) -> anyhow::Result<(Vec<Stopped>, Vec<Stopped>)> {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        for (size, runs) in [(SMALL, &mut small), (LARGE, &mut large)] {
            let name = format!("bench-{}.img", std::process::id());
            let sparse = Sparse(folder.join(name));
            fs::File::create_new(&sparse.0)?.set_len(size)?;
            let device = Loop::over(&sparse.0, &[])?;
            runs.push(stopped(device.path(), lab, SMALL / 2)?);
            lab::settle();
        }
    }
    Ok((small, large))
}
