//! Watches a drive from outside: when its first write came and its last. The
//! same for every tool, whatever it does before and after.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::lab;

/// How often the kernel's counters are read: fine enough for a run of a fifth
/// of a second, and a hundredth of one processor.
const EVERY: Duration = Duration::from_micros(500);
const SECTOR: u64 = 512;

/// What a drive did so far (`Documentation/block/stat.rst`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    reads: u64,
    writes: u64,
    sectors_written: u64,
    flushes: u64,
}

/// What a drive did since it is watched.
pub struct Watch {
    stat: File,
    before: Counters,
    seen: Counters,
    looked: Instant,
    /// No later than the first write.
    pub first_write: Option<Instant>,
    /// No later than the first read.
    pub first_read: Option<Instant>,
    /// After the last write.
    pub last_write: Option<Instant>,
    /// After the last write or flush.
    pub last_flush: Option<Instant>,
    /// After the last read.
    pub last_read: Option<Instant>,
}

impl Watch {
    /// Begins to watch.
    pub fn over(device: &Path) -> anyhow::Result<Self> {
        let name = device.file_name().context("no device")?;
        let stat = File::open(Path::new("/sys/block").join(name).join("stat"))?;
        let before = counters(&stat)?;
        let now = Instant::now();
        Ok(Self {
            stat,
            before,
            seen: before,
            looked: now,
            first_write: None,
            first_read: None,
            last_write: None,
            last_flush: None,
            last_read: None,
        })
    }

    /// Bytes written.
    pub fn written(&self) -> u64 {
        (self.seen.sectors_written - self.before.sectors_written) * SECTOR
    }

    /// Looks until something holds; fails when this program is to stop.
    pub fn until(
        &mut self,
        mut holds: impl FnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        loop {
            self.look()?;
            if holds(self)? {
                return Ok(());
            }
            lab::go_on()?;
            // A sample, not a synchronisation.
            thread::sleep(EVERY);
        }
    }

    /// Looks once.
    pub fn look(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let is = counters(&self.stat)?;
        if is.reads != self.seen.reads {
            self.first_read.get_or_insert(self.looked);
            self.last_read = Some(now);
        }
        // A flush counts as a write of nothing.
        if is.sectors_written != self.seen.sectors_written {
            self.first_write.get_or_insert(self.looked);
            self.last_write = Some(now);
        }
        if (is.writes, is.flushes) != (self.seen.writes, self.seen.flushes) {
            self.last_flush = Some(now);
        }
        self.seen = is;
        self.looked = now;
        Ok(())
    }
}

fn counters(stat: &File) -> anyhow::Result<Counters> {
    let mut text = [0; 512];
    let length = stat.read_at(&mut text, 0)?;
    let text = String::from_utf8_lossy(&text[..length]);
    let fields: Vec<u64> = text
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let field = |n: usize| fields.get(n).copied();
    Ok(Counters {
        reads: field(0).context("no counters")?,
        writes: field(4).context("no counters")?,
        sectors_written: field(6).context("no counters")?,
        // Since Linux 5.5.
        flushes: field(15).unwrap_or(0),
    })
}
