//! The whole program beside others, on one drive in memory, in turns.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::lab::{self, Lab};
use crate::measure::Group;
use crate::stats::{Spread, figure, median, range, table};
use crate::tools::{ALL, Contender, Who, Work};
use crate::watch::Watch;
use crate::{Args, latency, print, say};

const GB: f64 = 1e9;
const MIB: f64 = 1_048_576.0;

/// One run of one contender.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// GB/s from its first write (or read) to its last, flushes included.
    speed: f64,
    /// GB/s from its start to its end.
    whole: f64,
    /// Seconds of CPU for a GB.
    cpu: f64,
    /// Most MiB in memory.
    peak: f64,
    /// GB/s of its read-back.
    read_back: Option<f64>,
}

/// Runs of all rounds: by contender, in the order of the table, then by round.
type Runs = BTreeMap<usize, BTreeMap<u32, Run>>;

/// Prints the tables, or why they cannot be.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(why) = lab::obstacle(args.size) {
        return print(&format!("The drives are skipped: {why}."));
    }
    say("filling a drive in memory");
    let mut lab = match Lab::of(args.size) {
        Ok(lab) => lab,
        Err(error) => {
            lab::go_on()?;
            return print(&format!("The drives are skipped: {error:#}."));
        }
    };
    let runs = rounds(args, &lab)?;
    print(&speeds(&runs, args))?;
    print(&goals(&runs))?;
    print(&latency::run(&mut lab, args)?)
}

fn is_wanted(contender: &Contender, args: &Args) -> bool {
    let named = |only: &String| contender.name.contains(only.as_str());
    contender.who == Who::Fio || args.only.as_ref().is_none_or(named)
}

/// Everybody once a round.
fn rounds(args: &Args, lab: &Lab) -> anyhow::Result<Runs> {
    let mut runs = Runs::new();
    let mut failed = Vec::new();
    for round in 0..args.rounds {
        say(&format!("round {} of {}", round + 1, args.rounds));
        for index in order(round) {
            let contender = &ALL[index];
            if !is_wanted(contender, args) || failed.contains(&index) {
                continue;
            }
            match once(contender, lab) {
                Ok(run) => {
                    runs.entry(index).or_default().insert(round, run);
                }
                Err(error) => {
                    lab::go_on()?;
                    say(&format!("{}: left out: {error:#}", contender.name));
                    failed.push(index);
                }
            }
            lab::settle();
        }
    }
    Ok(runs)
}

/// The order of a round: another each time, the same in every run of the
/// benchmark. The fast ones, whose ratio to fio matters, come within seconds of
/// each other: a shared machine is another one after a minute.
fn order(round: u32) -> Vec<usize> {
    let mut all: Vec<usize> = (0..ALL.len()).collect();
    all.sort_by_cached_key(|index| {
        let mut hash = DefaultHasher::new();
        (round, index).hash(&mut hash);
        (ALL[*index].slow, hash.finish())
    });
    all
}

fn once(contender: &Contender, lab: &Lab) -> anyhow::Result<Run> {
    let bytes = contender.bytes(lab);
    let other = contender.large_blocks.then(|| lab.with_large_blocks());
    let other = other.transpose()?;
    let drive = match &other {
        Some(other) => other.path(),
        None => lab.device()?,
    };
    let command = contender.command(lab, drive)?;
    let mut watch = Watch::over(drive)?;
    let mut group = Group::start_measured(&command)?;
    watch.until(|_| Ok(group.child().try_wait()?.is_some()))?;
    watch.look()?;
    let mut usage = group.usage()?;
    let reads = contender.work == Work::Read;
    ensure!(
        reads || watch.written() >= bytes,
        "wrote {} bytes only",
        watch.written()
    );
    let span = |from: Option<Instant>, to: Option<Instant>| {
        let (from, to) = (from.context("did nothing")?, to.context("did nothing")?);
        Ok::<_, anyhow::Error>(to.saturating_duration_since(from))
    };
    let speed = |time: Duration| bytes as f64 / GB / time.as_secs_f64();
    let both = contender.work == Work::RandomAndReadBack;
    let busy = match contender.work {
        Work::Read => span(watch.first_read, watch.last_read)?,
        Work::RandomAndReadBack => span(watch.first_write, watch.last_read.max(watch.last_flush))?,
        Work::Zero | Work::Random => span(watch.first_write, watch.last_flush)?,
    };
    let read_back = (both && contender.who != Who::Other)
        .then(|| span(watch.last_write, watch.last_read).map(speed))
        .transpose()?;
    if contender.who == Who::Fio {
        // It calibrates clocks first, which is no part of the work.
        usage.cpu = fio_cpu(&std::fs::read(lab.log())?).context("fio's report is not known")?;
    }
    Ok(Run {
        speed: speed(busy),
        whole: bytes as f64 / GB / usage.whole,
        cpu: usage.cpu / (bytes as f64 / GB),
        peak: usage.peak as f64 / MIB,
        read_back,
    })
}

/// Seconds of CPU of the job in fio's report.
fn fio_cpu(report: &[u8]) -> Option<f64> {
    let report: serde_json::Value = serde_json::from_slice(report).ok()?;
    let job = report.get("jobs")?.get(0)?;
    let number = |name: &str| job.get(name)?.as_f64();
    let percent = number("usr_cpu")? + number("sys_cpu")?;
    Some(percent / 100.0 * number("job_runtime")? / 1000.0)
}

/// Figures of one contender over the rounds.
fn over(runs: &Runs, index: usize, figure: impl Fn(&Run) -> Option<f64>) -> BTreeMap<u32, f64> {
    let rounds = runs.get(&index).into_iter().flatten();
    rounds
        .filter_map(|(round, run)| Some((*round, figure(run)?)))
        .collect()
}

/// The ratios of those rounds in which both ran.
fn ratios(of: &BTreeMap<u32, f64>, to: &BTreeMap<u32, f64>) -> Vec<f64> {
    of.iter()
        .filter_map(|(round, value)| Some(value / to.get(round)?))
        .collect()
}

/// What fio would have done in the same round.
fn limit(runs: &Runs, work: Work) -> BTreeMap<u32, f64> {
    let write = best(runs, Who::Fio, Work::Zero);
    let read = best(runs, Who::Fio, Work::Read);
    match work {
        Work::Zero | Work::Random => write,
        Work::Read => read,
        Work::RandomAndReadBack => write
            .iter()
            .filter_map(|(round, write)| {
                let read = read.get(round)?;
                Some((*round, 1.0 / (1.0 / write + 1.0 / read)))
            })
            .collect(),
    }
}

fn speeds(runs: &Runs, args: &Args) -> String {
    let head = [
        "",
        "GB/s",
        "spread",
        "of fio",
        "start to exit, GB/s",
        "CPU s/GB",
        "peak MiB",
        "of the drive",
    ];
    let mut rows = Vec::new();
    for (index, contender) in ALL.iter().enumerate() {
        if !runs.contains_key(&index) {
            continue;
        }
        let all = |figure: fn(&Run) -> f64| over(runs, index, move |run| Some(figure(run)));
        let speed = all(|run| run.speed);
        let ratio = median(ratios(&speed, &limit(runs, contender.work)));
        let share = match contender.share {
            1 => "all".into(),
            part => format!("1/{part}"),
        };
        rows.push(vec![
            contender.name.into(),
            median(speed.values().copied()),
            range(speed.values().copied()),
            ratio,
            median(all(|run| run.whole).into_values()),
            median(all(|run| run.cpu).into_values()),
            median(all(|run| run.peak).into_values()),
            share,
        ]);
        let read_back = over(runs, index, |run| run.read_back);
        if !read_back.is_empty() {
            rows.push(vec![
                "the read-back of it alone".into(),
                median(read_back.values().copied()),
                range(read_back.values().copied()),
                median(ratios(&read_back, &limit(runs, Work::Read))),
                "-".into(),
                "-".into(),
                "-".into(),
                "all".into(),
            ]);
        }
    }
    format!(
        "{}\n\
         Medians of {} rounds in which all took turns, on a loop device with direct I/O over {}\n\
         MiB of memory that had been written to. GB/s: bytes of the drive over the time from the\n\
         first write (of fio read: the first read) to the last write, flush or read, as the\n\
         kernel counted them, read every 0.5 ms; so nwipe's seconds of sleep do not count, and\n\
         nobody's start. Of fio: of its better engine in the same round, 1M at depth 4; write and\n\
         read-back against both one after the other. CPU: user and system of the process, start\n\
         included (fio: of its job, by its report); the loop device works in kernel threads that\n\
         nobody is charged for. No checkpoints: the engine without saves and flushes. nwipe has\n\
         a device with blocks of 4096 bytes, as it writes block by block.\n",
        table(&head, &rows),
        args.rounds,
        args.size >> 20,
    )
}

/// Figures of the contender of this name.
fn named(runs: &Runs, name: &str, figure: impl Fn(&Run) -> Option<f64>) -> BTreeMap<u32, f64> {
    let index = ALL.iter().position(|contender| contender.name == name);
    index.map_or_else(BTreeMap::new, |index| over(runs, index, figure))
}

/// The best of some contenders for a work in each round.
fn best(runs: &Runs, who: Who, work: Work) -> BTreeMap<u32, f64> {
    let mut best = BTreeMap::new();
    for (index, contender) in ALL.iter().enumerate() {
        if contender.who == who && contender.work == work {
            for (round, speed) in over(runs, index, |run| Some(run.speed)) {
                let so_far = best.entry(round).or_insert(speed);
                *so_far = f64::max(*so_far, speed);
            }
        }
    }
    best
}

const ZERO: &str = "wipeit zero";
const RANDOM: &str = "wipeit random";
const BOTH: &str = "wipeit random + read-back";

/// How the goals stand, where the tools for it ran.
fn goals(runs: &Runs) -> String {
    let speed = |name: &str| named(runs, name, |run| Some(run.speed));
    let cpu = |name: &str| {
        named(runs, name, |run| Some(run.cpu))
            .into_values()
            .collect()
    };
    let cost = |name: &str| {
        let without = speed(&format!("{name}, no checkpoints"));
        let kept = ratios(&speed(name), &without);
        kept.iter().map(|ratio| (1.0 - ratio) * 100.0).collect()
    };
    let peak = [ZERO, RANDOM, BOTH]
        .iter()
        .flat_map(|name| named(runs, name, |run| Some(run.peak)).into_values())
        .collect();
    let write = best(runs, Who::Fio, Work::Zero);
    let read_back = ratios(
        &named(runs, BOTH, |run| run.read_back),
        &best(runs, Who::Fio, Work::Read),
    );
    let random = |to: &BTreeMap<u32, f64>| ratios(&speed(RANDOM), to);
    let others = best(runs, Who::Other, Work::Random);
    let nwipe = best(runs, Who::Other, Work::RandomAndReadBack);
    let at_least: [(&str, f64, Vec<f64>); 6] = [
        (
            "zero, of fio's best write",
            0.95,
            ratios(&speed(ZERO), &write),
        ),
        ("random, of fio's best write", 0.90, random(&write)),
        ("read-back, of fio's best read", 0.85, read_back),
        ("random, times shred -n1", 10.0, random(&speed("shred -n1"))),
        ("random, times the fastest other", 2.5, random(&others)),
        (
            "random and read-back, times nwipe",
            2.5,
            ratios(&speed(BOTH), &nwipe),
        ),
    ];
    let at_most: [(&str, f64, Vec<f64>); 6] = [
        ("zero, CPU s/GB", 0.03, cpu(ZERO)),
        ("random, CPU s/GB", 0.10, cpu(RANDOM)),
        ("peak memory, MiB", 24.0, peak),
        ("cost of checkpoints, zero, %", 5.0, cost(ZERO)),
        ("cost of checkpoints, random, %", 5.0, cost(RANDOM)),
        (
            "cost of checkpoints, random and read-back, %",
            5.0,
            cost(BOTH),
        ),
    ];
    let lines = |goals: [(&str, f64, Vec<f64>); 6], least: bool| {
        goals.map(|(name, bound, figures)| verdict(name, bound, least, &figures))
    };
    let rows: Vec<_> = lines(at_least, true)
        .into_iter()
        .chain(lines(at_most, false))
        .flatten()
        .collect();
    table(&["goal", "bound", "median", "spread", ""], &rows)
}

/// A line about a goal: at `least` the bound, or at most.
pub fn verdict(name: &str, bound: f64, least: bool, figures: &[f64]) -> Option<Vec<String>> {
    let found = Spread::of(figures.iter().copied())?;
    let holds = if least {
        found.median >= bound
    } else {
        found.median <= bound
    };
    Some(vec![
        name.into(),
        format!("{} {bound}", if least { ">=" } else { "<=" }),
        figure(found.median),
        range(figures.iter().copied()),
        if holds { "holds" } else { "missed" }.into(),
    ])
}
