//! The parts of the program alone, in turns: filling a chunk, comparing one that
//! was read back, and saving a checkpoint.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use memmap2::{Advice, MmapMut};
use wipeit::inside::{
    Bad, BadMap, BadState, Checkpoint, Clock, Content, During, Extent, Generator, Identity,
    Journal as _, KEY_BYTES, Key, Kind, Pass, Plan, Saver, State, StateDir, Transport, Verify,
    WipeStrategy, differing, strategy_of,
};

use crate::stats::{median, range, table};
use crate::{Args, lab, print, say};

/// Bytes of a chunk, as the engine has them unless asked otherwise.
const CHUNK: usize = 1 << 20;
/// Chunks of one sample: long enough for the clock, short enough to take turns.
const CHUNKS: u64 = 64;
/// Bad extents in the checkpoints that are saved.
const BAD: [u64; 4] = [0, 1_000, 10_000, 100_000];

/// Prints both tables.
pub fn run(args: &Args) -> anyhow::Result<()> {
    say("the parts alone");
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only));
    print(&chunks(args.rounds, wanted)?)?;
    if wanted("checkpoint") {
        print(&saves(args)?)?;
    }
    Ok(())
}

fn contents() -> anyhow::Result<Vec<(&'static str, Content)>> {
    let key = Key::new([9; KEY_BYTES]);
    let random = |generator| Content::Random { generator, key };
    let pattern = "924924".parse().map_err(|why: &str| anyhow!(why))?;
    Ok(vec![
        ("random, AES-256", random(Generator::Aes256)),
        ("random, ChaCha20", random(Generator::ChaCha20)),
        ("zero", Content::Zero),
        ("pattern of 3 bytes", Content::Pattern { pattern }),
    ])
}

/// Filling and comparing, GB/s of one core.
fn chunks(rounds: u32, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
    let mut map = MmapMut::map_anon(2 * CHUNK)?;
    // As the engine does.
    let _ = map.advise(Advice::HugePage);
    let (buffer, shared) = map.split_at_mut(CHUNK);
    let mut names = Vec::new();
    let mut speeds: Vec<Vec<f64>> = Vec::new();
    for round in 0..rounds {
        let mut turn = 0;
        let mut sample = |name: String, work: &mut dyn FnMut(u64) -> anyhow::Result<()>| {
            if !wanted(&name) {
                return Ok(());
            }
            if round == 0 {
                names.push(name);
                speeds.push(Vec::new());
                // Once before it counts: pages, caches, clocks of the CPU.
                work(0)?;
            }
            let begun = Instant::now();
            for chunk in 0..CHUNKS {
                work(chunk * CHUNK as u64)?;
            }
            let time = begun.elapsed().as_secs_f64();
            speeds[turn].push((CHUNKS * CHUNK as u64) as f64 / 1e9 / time);
            turn += 1;
            lab::go_on()
        };
        for (name, content) in contents()? {
            let strategy = strategy_of(&content);
            sample(format!("fill: {name}"), &mut |offset| {
                strategy.fill(offset, black_box(buffer));
                Ok(())
            })?;
        }
        for (name, content) in contents()? {
            let strategy = strategy_of(&content);
            // What repeats is compared with a buffer that all share.
            if strategy.period().is_some() {
                continue;
            }
            strategy.fill(0, buffer);
            sample(format!("compare: {name}"), &mut |_| {
                same(&*strategy, buffer)
            })?;
        }
        buffer.fill(0);
        shared.fill(0);
        sample("compare: with a shared buffer".into(), &mut |_| {
            ensure!(black_box(&*buffer) == black_box(&*shared), "differs");
            Ok(())
        })?;
    }
    let rows: Vec<_> = names
        .into_iter()
        .zip(&speeds)
        .map(|(name, speeds)| {
            vec![
                name,
                median(speeds.iter().copied()),
                range(speeds.iter().copied()),
            ]
        })
        .collect();
    Ok(format!(
        "{}\nChunks of 1 MiB on one core, medians of {rounds} rounds of {CHUNKS} chunks.\n",
        table(&["part", "GB/s", "spread"], &rows)
    ))
}

fn same(strategy: &dyn WipeStrategy, data: &[u8]) -> anyhow::Result<()> {
    let found = differing(strategy, 0, black_box(data));
    ensure!(black_box(found).is_empty(), "differs");
    Ok(())
}

struct Watch(Instant);

impl Clock for Watch {
    fn stamp(&self) -> String {
        "2026-01-14T02:10:07.000+01:00".into()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A state with so many bad blocks, none beside another.
fn with_bad(count: u64) -> State {
    let bad = Bad {
        pass: 1,
        state: BadState::Failed,
        during: During::Write,
        errno: 5,
    };
    let mut map = BadMap::default();
    for n in 0..count {
        if let Some(extent) = Extent::new(n * 1_000_000 / 512 * 512, 512) {
            map.add(extent, bad);
        }
    }
    State {
        position: 1 << 40,
        bad: Arc::new(map),
        ..State::start()
    }
}

fn saver(folder: &Path, bad: u64) -> anyhow::Result<Saver> {
    let identity = Identity {
        kind: Kind::Disk,
        transport: Transport::Sata,
        vendor: Some("VENDOR".into()),
        model: Some("MODEL 18000".into()),
        serial: Some("ZR5A1B2C".into()),
        wwn: Some("0x5000c500abcdef01".into()),
        firmware: Some("SN03".into()),
        size: 18_000_207_937_536,
        logical_block: 512,
        slice: None,
        backing: None,
        nature: None,
    };
    let (content, verify) = (crate::alone::random()?, Verify::Full);
    let plan = Plan::new(vec![Pass { content, verify }]).context("no pass")?;
    let now = Watch(Instant::now());
    let start = now.stamp();
    let checkpoint = Checkpoint::begin(identity, plan, CHUNK as u64, "0123abcd".into(), &start);
    let dir = StateDir::new(folder.to_path_buf());
    let name = format!("bench-{bad}.json");
    Ok(Saver::new(dir, name, checkpoint, [], Box::new(now)))
}

/// Saving durably, beside a plain write of as many bytes.
fn saves(args: &Args) -> anyhow::Result<String> {
    let folder = tempfile::tempdir_in(&args.state_dir)?;
    let plain = folder.path().join("plain");
    fs::create_dir(&plain)?;
    let states = BAD.map(with_bad);
    let mut runs = Vec::new();
    for bad in BAD {
        runs.push(Saves {
            saver: saver(folder.path(), bad)?,
            size: 0,
            saved: Vec::new(),
            plain: Vec::new(),
            json: Vec::new(),
        });
    }
    let ms = |begun: Instant| begun.elapsed().as_secs_f64() * 1000.0;
    // The first round makes folders and files.
    for round in 0..=args.rounds {
        for (run, state) in runs.iter_mut().zip(&states) {
            let begun = Instant::now();
            run.saver.save(state).map_err(|why| anyhow!(why))?;
            let save = ms(begun);
            let begun = Instant::now();
            let bytes = black_box(run.saver.checkpoint().to_json()?);
            let json = ms(begun);
            let begun = Instant::now();
            replace(&plain, &bytes)?;
            if round > 0 {
                run.plain.push(ms(begun));
                run.saved.push(save);
                run.json.push(json);
            }
            run.size = bytes.len();
            lab::go_on()?;
        }
    }
    let rows: Vec<_> = BAD
        .iter()
        .zip(&runs)
        .map(|(bad, run)| run.row(*bad))
        .collect();
    let head = [
        "bad extents",
        "KiB",
        "save, ms",
        "spread",
        "plain write, ms",
        "spread",
        "ratio",
        "of it JSON, ms",
    ];
    Ok(format!(
        "{}\nA durable save below {}, and for comparison a plain write of as many bytes to a new\n\
         file, fsync, rename and fsync of the folder; medians of {} rounds.\n",
        table(&head, &rows),
        args.state_dir.display(),
        args.rounds,
    ))
}

/// Saves of one checkpoint; times in milliseconds.
struct Saves {
    saver: Saver,
    size: usize,
    saved: Vec<f64>,
    /// A plain write of as many bytes.
    plain: Vec<f64>,
    /// Making the bytes.
    json: Vec<f64>,
}

impl Saves {
    fn row(&self, bad: u64) -> Vec<String> {
        let ratios = self.saved.iter().zip(&self.plain).map(|(a, b)| a / b);
        vec![
            bad.to_string(),
            format!("{:.1}", self.size as f64 / 1024.0),
            median(self.saved.iter().copied()),
            range(self.saved.iter().copied()),
            median(self.plain.iter().copied()),
            range(self.plain.iter().copied()),
            median(ratios),
            median(self.json.iter().copied()),
        ]
    }
}

/// What any program must do to replace a file durably.
fn replace(folder: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let (new, file) = (folder.join("new"), folder.join("file"));
    let mut out = File::create(&new)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&new, &file)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}
