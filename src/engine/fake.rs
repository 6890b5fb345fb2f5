//! A drive in memory that imitates direct I/O, has a volatile cache, and fails
//! on schedule.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::event::{Event, Observer};
use super::state::State;
use super::target::{Control, Journal, Presence, Target};
use crate::outcome::Signal;

/// What a fake drive does wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Blocks (by number) that cannot be written.
    pub unwritable: BTreeSet<u64>,
    /// Blocks that cannot be read.
    pub unreadable: BTreeSet<u64>,
    /// Syncs (counted from 0) that fail; what was not synced is dropped.
    pub failing_syncs: BTreeSet<u64>,
    /// Writes (counted from 0) after which the drive has gone.
    pub gone_after: Option<u64>,
    /// Writes (counted from 0) after which every request is answered with an
    /// error, except flushes: nothing that the drive says tells that it died.
    pub dead_after: Option<u64>,
    /// The same for writes alone.
    pub write_dead_after: Option<u64>,
    /// Bytes whose lowest bit is flipped when they are written.
    pub flipped: BTreeSet<u64>,
    /// Blocks for which a write is acknowledged and dropped.
    pub dropped: BTreeSet<u64>,
    /// Writes (counted from 0) from which on unwritable blocks can be written.
    pub healed_after: Option<u64>,
    /// The drive has only this much memory, in bytes, and starts again at 0.
    pub wraps_at: Option<u64>,
    /// Looks (counted from 0) from which on it is not what it was.
    pub changed_at: Option<u64>,
    /// Every error takes this many ticks of this clock.
    pub slow_errors: Option<(Arc<AtomicU64>, u64)>,
}

struct Inside {
    platter: Vec<u8>,
    // what a power cut would leave
    synced: Vec<u8>,
    writes: u64,
    syncs: u64,
    looks: u64,
}

pub(crate) struct FakeDrive {
    block: u64,
    physical: u64,
    faults: Faults,
    inside: Mutex<Inside>,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl FakeDrive {
    pub(crate) fn new(size: u64, block: u64, faults: Faults) -> Self {
        let old = vec![0xA5; usize::try_from(size).unwrap()];
        let inside = Inside {
            platter: old.clone(),
            synced: old,
            writes: 0,
            syncs: 0,
            looks: 0,
        };
        Self {
            block,
            physical: block.max(4096),
            faults,
            inside: Mutex::new(inside),
        }
    }

    /// What the drive holds.
    pub(crate) fn platter(&self) -> Vec<u8> {
        self.inside.lock().unwrap().platter.clone()
    }

    /// What every address of the drive leads to.
    pub(crate) fn contents(&self) -> Vec<u8> {
        let platter = self.platter();
        (0..platter.len() as u64)
            .map(|address| platter[self.place(address)])
            .collect()
    }

    /// What the drive holds after a power cut.
    pub(crate) fn after_power_cut(&self) -> Vec<u8> {
        self.inside.lock().unwrap().synced.clone()
    }

    /// The same drive after a power cut, with other faults.
    pub(crate) fn restarted(&self, platter: Vec<u8>, faults: Faults) -> Self {
        let inside = Inside {
            platter: platter.clone(),
            synced: platter,
            writes: 0,
            syncs: 0,
            looks: 0,
        };
        Self {
            block: self.block,
            physical: self.physical,
            faults,
            inside: Mutex::new(inside),
        }
    }

    fn blocks(&self, offset: u64, length: usize) -> std::ops::Range<u64> {
        offset / self.block..(offset + length as u64).div_ceil(self.block)
    }

    fn gone(&self, inside: &Inside) -> bool {
        self.faults
            .gone_after
            .is_some_and(|after| inside.writes > after)
    }

    fn put(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut inside = self.inside.lock().unwrap();
        inside.writes += 1;
        if self.gone(&inside) {
            return Err(io::Error::from_raw_os_error(28));
        }
        let ended = |after: Option<u64>| after.is_some_and(|after| inside.writes > after);
        if ended(self.faults.dead_after) || ended(self.faults.write_dead_after) {
            return Err(eio());
        }
        let healed = self
            .faults
            .healed_after
            .is_some_and(|after| inside.writes > after);
        let bad = self
            .blocks(offset, data.len())
            .find(|block| !healed && self.faults.unwritable.contains(block));
        // Blocks before the bad one land, as on a real drive.
        let good = bad.map_or(data.len(), |block| {
            usize::try_from((block * self.block).saturating_sub(offset)).unwrap()
        });
        let memory = usize::try_from(self.block).unwrap();
        for (number, piece) in data[..good].chunks(memory).enumerate() {
            let address = offset + number as u64 * self.block;
            if !self.faults.dropped.contains(&(address / self.block)) {
                let at = self.place(address);
                inside.platter[at..at + piece.len()].copy_from_slice(piece);
            }
        }
        for &flip in self.faults.flipped.range(offset..offset + good as u64) {
            inside.platter[usize::try_from(flip).unwrap()] ^= 1;
        }
        if bad.is_some() {
            Err(self.slowly(eio()))
        } else {
            Ok(())
        }
    }

    /// Where an address leads.
    fn place(&self, address: u64) -> usize {
        let memory = self.faults.wraps_at.unwrap_or(u64::MAX);
        usize::try_from(address % memory).unwrap()
    }

    fn slowly(&self, error: io::Error) -> io::Error {
        if let Some((clock, ticks)) = &self.faults.slow_errors {
            clock.fetch_add(*ticks, Ordering::Relaxed);
        }
        error
    }

    fn get(&self, data: &mut [u8], offset: u64) -> io::Result<()> {
        let inside = self.inside.lock().unwrap();
        let dead = self
            .faults
            .dead_after
            .is_some_and(|after| inside.writes > after);
        if self.gone(&inside) || dead {
            return Err(eio());
        }
        if self
            .blocks(offset, data.len())
            .any(|block| self.faults.unreadable.contains(&block))
        {
            return Err(self.slowly(eio()));
        }
        let memory = usize::try_from(self.block).unwrap();
        for (number, piece) in data.chunks_mut(memory).enumerate() {
            let at = self.place(offset + number as u64 * self.block);
            piece.copy_from_slice(&inside.platter[at..at + piece.len()]);
        }
        Ok(())
    }

    fn check_alignment(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let aligned = |n: u64| n.is_multiple_of(self.block);
        let memory = data.as_ptr().addr() as u64;
        if aligned(offset) && aligned(data.len() as u64) && memory.is_multiple_of(512) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(22))
        }
    }
}

impl Target for FakeDrive {
    fn size(&self) -> u64 {
        self.inside.lock().unwrap().platter.len() as u64
    }
    fn alignment(&self) -> u64 {
        self.block
    }
    fn physical_block(&self) -> u64 {
        self.physical
    }
    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.check_alignment(data, offset)?;
        self.put(data, offset)
    }
    fn read(&self, data: &mut [u8], offset: u64) -> io::Result<()> {
        self.check_alignment(data, offset)?;
        self.get(data, offset)
    }
    fn write_tail(&self, data: &[u8], offset: u64) -> io::Result<()> {
        assert!(offset + data.len() as u64 == self.size() && (data.len() as u64) < self.block);
        self.put(data, offset)
    }
    fn read_tail(&self, data: &mut [u8], offset: u64, length: usize) -> io::Result<()> {
        assert_eq!(offset + length as u64, self.size());
        self.get(&mut data[..length], offset)
    }
    fn sync(&self) -> io::Result<()> {
        let mut inside = self.inside.lock().unwrap();
        let number = inside.syncs;
        inside.syncs += 1;
        if self.gone(&inside) {
            return Err(eio());
        }
        if self.faults.failing_syncs.contains(&number) {
            // The worst that a failed flush may mean: all of it is lost.
            inside.platter = inside.synced.clone();
            return Err(eio());
        }
        inside.synced = inside.platter.clone();
        Ok(())
    }
    fn begin_read_back(&self) -> io::Result<()> {
        Ok(())
    }
    fn is_whole(&self) -> Result<(), String> {
        let mut inside = self.inside.lock().unwrap();
        let look = inside.looks;
        inside.looks += 1;
        match self.faults.changed_at {
            Some(at) if look >= at => Err("it shrank".into()),
            _ => Ok(()),
        }
    }
    fn presence(&self, _error: &io::Error) -> Presence {
        if self.gone(&self.inside.lock().unwrap()) {
            Presence::Gone("the drive has gone".into())
        } else {
            Presence::Present
        }
    }
}

/// Keeps every state that was saved, checks each against the drive, and fails
/// on schedule.
pub(crate) struct FakeJournal<'a> {
    pub saved: Vec<State>,
    pub failing: BTreeSet<u64>,
    pub check: &'a (dyn Fn(&State) + Sync),
    pub calls: u64,
}

impl<'a> FakeJournal<'a> {
    pub(crate) fn new(check: &'a (dyn Fn(&State) + Sync)) -> Self {
        Self {
            saved: Vec::new(),
            failing: BTreeSet::new(),
            check,
            calls: 0,
        }
    }
}

impl Journal for FakeJournal<'_> {
    fn save(&mut self, state: &State) -> Result<(), String> {
        let number = self.calls;
        self.calls += 1;
        if let Some(last) = self.saved.last() {
            // What is on disk holds at any time, not only when it was saved.
            (self.check)(last);
        }
        if self.failing.contains(&number) {
            return Err("no space left on device".into());
        }
        (self.check)(state);
        self.saved.push(state.clone());
        Ok(())
    }
}

/// A clock that ticks 50 milliseconds a look, and a signal at a set look. A run
/// that is looked at for ten minutes, however slow the machine, hangs, and fails
/// its test.
pub(crate) struct FakeControl {
    /// By how much a look moves the clock.
    pub tick: Duration,
    pub looks: Arc<AtomicU64>,
    pub stop_at: Option<u64>,
    pub end: Instant,
}

impl Default for FakeControl {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(50),
            looks: Arc::default(),
            stop_at: None,
            end: Instant::now() + Duration::from_secs(600),
        }
    }
}

impl Control for FakeControl {
    fn stop(&self) -> Option<Signal> {
        let seen = self.looks.load(Ordering::Relaxed);
        self.stop_at.filter(|at| seen >= *at).map(|_| Signal::Int)
    }
    fn now(&self) -> Duration {
        assert!(Instant::now() < self.end, "the engine hangs");
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        self.tick * u32::try_from(looks).unwrap()
    }
    fn hangs(&self, _state: &State, _silence: Duration) {}
}

/// Keeps what it hears.
#[derive(Default)]
pub(crate) struct Recorder(pub Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}
