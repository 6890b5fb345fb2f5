//! The engine on a drive without any checkpoints: neither is one saved nor is
//! the drive flushed before its end. What it costs to have them is the
//! difference. The program has no option for this.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use wipeit::inside::{
    Content, Control, End, Engine, Event, Host, KEY_BYTES, Key, MAX_INTERVAL, Nowhere, Observer,
    Pass, Plan, Presence, Settings, Signal, State, Target, Tuning, Verify, best_generator, open,
    run_engine,
};

/// The first word of the command line in this mode.
pub const MODE: &str = "without-checkpoints";

/// The drive, but flushes are left out.
struct Unflushed<'a>(&'a dyn Target);

impl Target for Unflushed<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn alignment(&self) -> u64 {
        self.0.alignment()
    }
    fn physical_block(&self) -> u64 {
        self.0.physical_block()
    }
    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write(data, offset)
    }
    fn read(&self, data: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read(data, offset)
    }
    fn write_tail(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_tail(data, offset)
    }
    fn read_tail(&self, data: &mut [u8], offset: u64, length: usize) -> io::Result<()> {
        self.0.read_tail(data, offset, length)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn begin_read_back(&self) -> io::Result<()> {
        self.0.begin_read_back()
    }
    fn is_whole(&self) -> Result<(), String> {
        self.0.is_whole()
    }
    fn presence(&self, error: &io::Error) -> Presence {
        self.0.presence(error)
    }
}

struct Nobody(Instant);

impl Observer for Nobody {
    fn event(&self, _event: Event) {}
}

impl Control for Nobody {
    fn stop(&self) -> Option<Signal> {
        None
    }
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
    fn hangs(&self, _state: &State, _silence: Duration) {}
}

/// Wipes: words are the drive, `zero` or `random`, `none` or `full`, and a state
/// directory, in which nothing is saved.
pub fn serve(words: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let words: Vec<OsString> = words.collect();
    let [drive, content, verify, state_dir] = words.as_slice() else {
        bail!("four words are needed");
    };
    let content = match content.to_str() {
        Some("zero") => Content::Zero,
        _ => random()?,
    };
    let verify = match verify.to_str() {
        Some("full") => Verify::Full,
        _ => Verify::None,
    };
    let plan = Plan::new(vec![Pass { content, verify }]).context("no pass")?;
    let path = PathBuf::from(drive);
    let opened = open(&Host::real(), &path, state_dir.as_ref(), &[])
        .map_err(|outcome| anyhow!("{outcome:?}"))?;
    let suits = Tuning::of(opened.device());
    let nobody = Nobody(Instant::now());
    let engine = Engine {
        plan: &plan,
        settings: Settings::new(suits.chunk, suits.workers, MAX_INTERVAL, None),
        target: &Unflushed(&opened.writer),
        observer: &nobody,
        control: &nobody,
    };
    let ended = run_engine(&engine, State::start(), &mut Nowhere);
    // As every tool here does once.
    opened.writer.sync()?;
    match ended.end {
        End::Complete if ended.state.bad.is_empty() && ended.state.mismatches.is_empty() => Ok(()),
        other => bail!("{other:?}"),
    }
}

/// A random stream as the program would write it.
pub fn random() -> anyhow::Result<Content> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Content::Random {
        generator: best_generator(),
        key: Key::new(bytes),
    })
}
