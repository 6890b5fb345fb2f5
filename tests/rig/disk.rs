//! Disks with a volatile write cache, for loop devices to stand on (`served`). A write goes to memory at once, and what it replaced is
//! remembered until a flush that began after it has ended. A cut puts the old
//! bytes back, for all disks in one instant or for one of them alone.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::steps::{Step, Steps};
use crate::support::Dice;

/// What survives a cut of what was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    None,
    /// Any subset, single writes torn at a sector.
    Random,
    /// The oldest writes.
    Prefix,
    /// All of it: only what never left the host is lost.
    All,
}

/// What a disk was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    Write,
    Flush,
}

/// What a disk that alone loses its power says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing: it is back at once, and its next flush says OK.
    Nothing,
    /// Its next flush fails.
    Fails,
}

/// When the power is cut: at this event of all disks, counted from 1, in place
/// of it.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub at: u64,
    pub keep: Keep,
    /// The disk that alone loses power, at this event or its next write or
    /// flush; `None`: all of them.
    pub only: Option<(usize, Told)>,
    pub seed: u64,
}

impl Cut {
    /// Of all disks.
    pub fn all(at: u64, keep: Keep, seed: u64) -> Self {
        Self {
            at,
            keep,
            only: None,
            seed,
        }
    }
}

/// What happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The disk, and what it was asked for.
    Asked(usize, Asked),
    /// The program has done this.
    Done(Step),
}

struct Undo {
    offset: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

pub struct Disk {
    pub name: &'static str,
    pub memory: Memory,
    // oldest first: what a cut takes back
    unflushed: Vec<Undo>,
    // of the first in `unflushed`, counted over the life of the disk
    first: u64,
    /// Where the writes of this run ended that reached furthest.
    pub reach: u64,
    /// Sectors of 512 bytes that take no write.
    pub bad: Vec<u64>,
    /// Reads get one wrong byte in each piece of so many bytes.
    pub lies: Option<u64>,
    // the next flush fails
    fails: bool,
}

/// All disks of one machine, under one lock, so that a cut is one instant.
pub struct Power {
    pub disks: Vec<Disk>,
    /// What happened since the last start.
    pub events: Vec<Event>,
    /// What disks were asked for since then.
    pub count: u64,
    /// Where the state's disk is mounted: what is done there.
    pub steps: Option<Steps>,
    cut: Option<Cut>,
    /// The cut has happened: nothing changes any disk.
    pub is_off: bool,
    /// How long a flush takes at least, so that others overlap with it.
    pub flush_time: Duration,
}

#[derive(Clone)]
pub struct Machine {
    power: Arc<(Mutex<Power>, Condvar)>,
}

impl Machine {
    pub fn new(disks: Vec<(&'static str, Memory)>) -> Self {
        let disks = disks
            .into_iter()
            .map(|(name, memory)| Disk {
                name,
                memory,
                unflushed: Vec::new(),
                first: 0,
                reach: 0,
                bad: Vec::new(),
                lies: None,
                fails: false,
            })
            .collect();
        let power = Power {
            disks,
            events: Vec::new(),
            count: 0,
            steps: None,
            cut: None,
            is_off: false,
            flush_time: Duration::ZERO,
        };
        Self {
            power: Arc::new((Mutex::new(power), Condvar::new())),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Power> {
        self.power.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on events are counted, to this cut if there is one.
    pub fn arm(&self, cut: Option<Cut>) {
        let mut power = self.lock();
        power.note_steps();
        power.events.clear();
        power.count = 0;
        power.cut = cut;
        for disk in &mut power.disks {
            disk.reach = 0;
            disk.fails = false;
        }
    }

    /// Cuts the power now, unless that has happened.
    pub fn cut_now(&self, keep: Keep, seed: u64) {
        let mut power = self.lock();
        if !power.is_off {
            power.lose(Cut {
                at: 0,
                keep,
                only: None,
                seed,
            });
            self.power.1.notify_all();
        }
    }

    /// Waits for the cut; whether it came before `done` said that there is
    /// nothing to wait for.
    pub fn wait_for_cut(&self, mut done: impl FnMut() -> bool, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut power = self.lock();
        loop {
            if power.is_off {
                return true;
            }
            if done() || Instant::now() > end {
                return power.is_off;
            }
            (power, _) = self
                .power
                .1
                .wait_timeout(power, Duration::from_millis(2))
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until so many events were counted; whether that was before `done`
    /// said that there is nothing to wait for.
    pub fn wait_for_event(&self, event: u64, done: impl FnMut() -> bool) -> bool {
        self.wait_for(|power| power.count >= event, done)
    }

    /// Waits until something holds, a few minutes at most; whether that was
    /// before `done` said that there is nothing to wait for.
    pub fn wait_for(
        &self,
        mut holds: impl FnMut(&Power) -> bool,
        mut done: impl FnMut() -> bool,
    ) -> bool {
        let end = Instant::now() + Duration::from_secs(200);
        let mut power = self.lock();
        while Instant::now() < end {
            if holds(&power) {
                return true;
            }
            if done() {
                return false;
            }
            (power, _) = self
                .power
                .1
                .wait_timeout(power, Duration::from_millis(1))
                .unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    /// The power comes back; what is in memory is what is on the disks.
    pub fn start(&self) {
        let mut power = self.lock();
        power.is_off = false;
        power.cut = None;
        for disk in &mut power.disks {
            disk.settle(u64::MAX);
        }
    }
}

impl Power {
    /// Whether the next event is the one at which the power goes. Counts it.
    fn goes(&mut self, disk: usize, asked: Asked) -> bool {
        if self.is_off {
            return true;
        }
        self.note_steps();
        self.events.push(Event::Asked(disk, asked));
        self.count += 1;
        let Some(cut) = self.cut else {
            return false;
        };
        let its = cut.only.is_none_or(|(only, _)| only == disk);
        if self.count < cut.at || !its {
            return false;
        }
        self.lose(cut);
        // Of one disk alone: the host goes on, and with it the other disks.
        cut.only.is_none()
    }

    /// Notes what was done in the state directory since.
    pub fn note_steps(&mut self) {
        let steps = self.steps.as_mut().map(Steps::since).unwrap_or_default();
        self.events.extend(steps.into_iter().map(Event::Done));
    }

    fn lose(&mut self, cut: Cut) {
        self.cut = None;
        let mut dice = Dice::new(cut.seed);
        for (number, disk) in self.disks.iter_mut().enumerate() {
            if cut.only.is_none_or(|(only, _)| only == number) {
                disk.lose(cut.keep, &mut dice);
                disk.fails = cut.only.is_some_and(|(_, told)| told == Told::Fails);
            }
        }
        self.is_off = cut.only.is_none();
    }
}

impl Disk {
    fn write(&mut self, offset: u64, data: &[u8]) {
        let old = self.memory.read(offset, data.len());
        self.memory.write(offset, data);
        self.reach = self.reach.max(offset + data.len() as u64);
        self.unflushed.push(Undo {
            offset,
            old,
            new: data.to_vec(),
        });
    }

    /// The number that the next write will have.
    fn mark(&self) -> u64 {
        self.first + self.unflushed.len() as u64
    }

    /// All writes before the mark are on the medium for good.
    fn settle(&mut self, mark: u64) {
        let count = mark.saturating_sub(self.first);
        let count = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(self.unflushed.len());
        self.unflushed.drain(..count);
        self.first += count as u64;
    }

    fn lose(&mut self, keep: Keep, dice: &mut Dice) {
        let mark = self.mark();
        let lost = std::mem::take(&mut self.unflushed);
        self.first = mark;
        for undo in lost.iter().rev() {
            self.memory.write(undo.offset, &undo.old);
        }
        let prefix = dice.below(lost.len() as u64 + 1);
        for (number, undo) in lost.iter().enumerate() {
            let sectors = undo.new.len() as u64 / 512;
            let kept = match keep {
                Keep::All => sectors,
                Keep::Prefix if (number as u64) < prefix => sectors,
                Keep::None | Keep::Prefix => 0,
                Keep::Random => match dice.below(8) {
                    0..4 => 0,
                    4..7 => sectors,
                    _ => dice.below(sectors + 1),
                },
            };
            let kept = usize::try_from(kept * 512).unwrap();
            self.memory.write(undo.offset, &undo.new[..kept]);
        }
    }

    fn is_bad(&self, offset: u64, length: usize) -> bool {
        let (first, end) = (offset / 512, (offset + length as u64).div_ceil(512));
        self.bad.iter().any(|sector| (first..end).contains(sector))
    }
}

/// What the host asks of the disks.
impl Machine {
    /// Whether the disk took it. After a cut it says so whatever happens: whoever
    /// asks is about to be killed, and an error would only be told.
    pub fn write_to(&self, number: usize, offset: u64, data: &[u8]) -> Option<bool> {
        let mut power = self.lock();
        let off = power.goes(number, Asked::Write);
        self.power.1.notify_all();
        if off {
            return Some(true);
        }
        let disk = power.disks.get_mut(number)?;
        if disk.is_bad(offset, data.len()) {
            return Some(false);
        }
        disk.write(offset, data);
        Some(true)
    }

    /// Whether the flush succeeded.
    pub fn flush_of(&self, number: usize) -> bool {
        let (mark, time) = {
            let mut power = self.lock();
            let off = power.goes(number, Asked::Flush);
            self.power.1.notify_all();
            if off {
                return true;
            }
            if std::mem::take(&mut power.disks[number].fails) {
                return false;
            }
            (power.disks[number].mark(), power.flush_time)
        };
        // Others are served meanwhile, and the power may go: then nothing of
        // this flush has happened.
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        let mut power = self.lock();
        if !power.is_off {
            power.disks[number].settle(mark);
            if number == 0 {
                power.events.push(Event::Done("drive flushed"));
            }
            self.power.1.notify_all();
        }
        true
    }

    pub fn read_from(&self, number: usize, offset: u64, size: u64) -> Option<Vec<u8>> {
        let power = self.lock();
        let disk = power.disks.get(number)?;
        let length = size.min(disk.memory.size.saturating_sub(offset));
        let mut bytes = disk.memory.read(offset, usize::try_from(length).ok()?);
        if let Some(piece) = disk.lies {
            for byte in bytes.iter_mut().step_by(usize::try_from(piece).ok()?) {
                *byte ^= 1;
            }
        }
        Some(bytes)
    }
}
