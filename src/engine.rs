//! Runs a plan over a target.
//!
//! Several workers write or read chunks; one coordinator owns the position; a
//! thread of its own syncs the target and saves checkpoints while the workers
//! go on. The engine knows no command line, no terminal, no path and no clock:
//! it defines what it consumes as [`Target`], [`Journal`] and [`Control`].

mod chunk;
mod coordinator;
mod credit;
mod cycle;
mod doubtful;
#[cfg(test)]
mod fake;
mod gate;
mod joined;
mod message;
mod pace;
mod proof;
mod pulse;
mod retry;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
mod verify;
mod worker;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use memmap2::{Advice, MmapMut};

use crate::checkpoint::Checkpoint;
use crate::difference::{Differences, Wrap};
use crate::event::Observer;
use crate::extent::{BadMap, During};
use crate::means;
use crate::outcome::Signal;
use crate::plan::{Phase, Plan, Step};
use crate::size::{self, KIB, MIB};
use crate::strategy;

pub use joined::Joined;
pub use proof::{Proof, prove, prove_all};
#[cfg(not(wipeit_alone))]
pub use verify::differing;

/// Bytes that a crash may cost at most: the longest interval between
/// checkpoints.
pub const MAX_INTERVAL: u64 = 100 * MIB;
/// The shortest interval between checkpoints.
pub const MIN_INTERVAL: u64 = MIB;
/// The largest chunk.
pub const MAX_CHUNK: u64 = 64 * MIB;
/// The smallest chunk, and the unit of all chunks: a page, and at least the
/// logical block of any drive.
pub const MIN_CHUNK: u64 = 4 * KIB;
/// Most workers.
pub const MAX_WORKERS: usize = 64;

/// A huge page of most machines; where it is not one, nothing is lost.
const HUGE_PAGE: usize = 2 << 20;

/// What the engine writes to and reads from.
///
/// Offsets and lengths are multiples of [`alignment`](Self::alignment), and
/// memory is page-aligned, except in the two `tail` calls. Reads and writes are
/// exact: a short one is an error.
pub trait Target: Sync {
    /// Bytes.
    fn size(&self) -> u64;
    /// The unit of offsets and lengths in bytes; a power of two, at most
    /// [`MIN_CHUNK`].
    fn alignment(&self) -> u64;
    /// The drive's physical block in bytes, a multiple of the alignment: an
    /// error is searched down to it before single logical blocks are tried.
    fn physical_block(&self) -> u64;
    /// Writes all of `data`.
    ///
    /// # Errors
    /// The kernel's; what is on the drive in the range is then unknown.
    fn write(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Fills `data`.
    ///
    /// # Errors
    /// The kernel's, or `UnexpectedEof`.
    fn read(&self, data: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes the last bytes, less than the alignment, while nothing else is in
    /// flight.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn write_tail(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Reads the last bytes, less than the alignment; `data` is as long as the
    /// alignment, and only its start is filled.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn read_tail(&self, data: &mut [u8], offset: u64, length: usize) -> io::Result<()>;
    /// Makes everything that was written before the call durable, as far as
    /// the kernel can.
    ///
    /// # Errors
    /// The kernel's; what was written since the last good sync is then unknown.
    fn sync(&self) -> io::Result<()>;
    /// Called before a read-back, so that it is served by the drive.
    ///
    /// # Errors
    /// The kernel's.
    fn begin_read_back(&self) -> io::Result<()>;
    /// Whether the target is still as large as it was when it was opened: one
    /// that grew or shrank is not wiped.
    ///
    /// # Errors
    /// What changed, for people.
    fn is_whole(&self) -> Result<(), String>;
    /// Looks at everything that may be changed by others, when all that `state`
    /// claims is durable.
    ///
    /// # Errors
    /// What changed so that nothing more may be claimed, for people.
    fn look(&self, state: &State, plan: &Plan) -> Result<(), String> {
        let _ = (state, plan);
        self.is_whole()
    }
    /// What an error means for the target as a whole.
    fn presence(&self, error: &io::Error) -> Presence;
}

/// Whether a target that gave an error is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is: only the range of the error is bad.
    Present,
    /// It is, but the system could not do what was asked, and not for lack of
    /// trying: the range is not bad; why, for people.
    Passing(String),
    /// It has gone, or cannot take any more data; why, for people.
    Gone(String),
}

/// Where checkpoints go.
pub trait Journal: Send {
    /// Saves a state; on return it is durable.
    ///
    /// # Errors
    /// Why it is not, for people; the state saved before stands.
    fn save(&mut self, state: &State) -> Result<(), String>;

    /// Hears, before the next save, of ranges that are not kept one by one any
    /// more, and may write them down elsewhere.
    fn joined(&mut self, _ranges: &Joined) {}
}

/// What reaches the engine from outside while it runs.
pub trait Control: Sync {
    /// The signal that asks the run to stop.
    fn stop(&self) -> Option<Signal>;
    /// Time since some fixed moment, without the time in which the program was
    /// stopped; it never goes backwards.
    fn now(&self) -> Duration;
    /// How often the program was stopped, or the machine slept, until
    /// [`now`](Self::now) was asked last: then nothing could come back.
    fn pauses(&self) -> u64 {
        0
    }
    /// Nothing came back from the target for the stall timeout; `state` was
    /// saved last. The engine cannot end while its calls hang in the kernel,
    /// but this may end the program; when it returns the engine waits on.
    fn hangs(&self, state: &State, silence: Duration);
}

/// How far a run got, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The step under way.
    pub step: Step,
    /// Bytes of it that are durable.
    pub position: u64,
    /// What cannot be written or read.
    pub bad: Arc<BadMap>,
    /// What was read back different.
    pub mismatches: Arc<Differences>,
    /// Set when addresses lead to the same place.
    pub wrap: Option<Wrap>,
}

impl State {
    /// Where a wipe goes on. The plan is its own, except that the read-back may
    /// have been switched on or off. One that is to be read again has a plan that
    /// reads the last pass back.
    #[must_use]
    pub fn of(checkpoint: &Checkpoint, plan: &Plan) -> Self {
        let (mut step, mut position) =
            plan.entry(&checkpoint.plan, checkpoint.step(), checkpoint.position());
        if checkpoint.read_again && step.phase == Phase::Complete {
            (step.phase, position) = (Phase::Verify, 0);
        }
        Self {
            step,
            position,
            bad: Arc::new(checkpoint.bad.clone()),
            mismatches: Arc::new(checkpoint.mismatches.clone()),
            wrap: checkpoint.wrap,
        }
    }

    /// The start of a plan.
    #[must_use]
    pub fn start() -> Self {
        Self {
            step: Step {
                pass: 0,
                phase: Phase::Write,
            },
            position: 0,
            bad: Arc::default(),
            mismatches: Arc::default(),
            wrap: None,
        }
    }
}

/// How the engine works; the fields agree with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    // MIN_CHUNK..=MAX_CHUNK, a multiple of MIN_CHUNK, and where that allows at
    // most interval / (2 * workers), so that the smallest interval still moves
    chunk: u64,
    // 1..=MAX_WORKERS
    workers: usize,
    // MIN_INTERVAL..=MAX_INTERVAL
    interval: u64,
    // > 0
    rate: Option<u64>,
    stall: Option<Duration>,
}

impl Settings {
    /// Brings wishes into range: bytes of a chunk, number of workers, bytes
    /// between checkpoints, bytes a second.
    #[must_use]
    pub fn new(chunk: u64, workers: usize, interval: u64, rate: Option<u64>) -> Self {
        let workers = workers.clamp(1, MAX_WORKERS);
        let interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        let rate = rate.map(|rate| rate.max(1));
        // A slow rate in few large chunks would be a stutter.
        let smooth = rate.map_or(u64::MAX, |rate| rate / 8);
        let most = (interval / (2 * workers as u64)).min(smooth);
        let chunk = chunk.min(most).clamp(MIN_CHUNK, MAX_CHUNK) / MIN_CHUNK * MIN_CHUNK;
        Self {
            chunk,
            workers,
            interval,
            rate,
            stall: None,
        }
    }

    /// The same, but a target that does not answer for so long is called
    /// hanging.
    #[must_use]
    pub fn with_stall(self, stall: Option<Duration>) -> Self {
        Self { stall, ..self }
    }
}

/// How a run of the engine ended.
#[derive(Debug)]
pub struct Ended {
    /// The last state: what the drive holds durably.
    pub state: State,
    /// Whether `state` is on disk; otherwise why not.
    pub unsaved: Option<String>,
    /// Whether all that was written is part of `state`: otherwise the last flush
    /// failed, or was not tried any more.
    pub flushed: bool,
    /// Why it ended.
    pub end: End,
}

/// Why a run of the engine ended.
#[derive(Debug)]
pub enum End {
    /// The plan is done.
    Complete,
    /// A signal asked for it.
    Interrupted(Signal),
    /// An error that the run cannot get around.
    Failed(Error),
    /// The first checkpoint could not be saved: nothing was written.
    NotStarted(String),
    /// The threads or the memory could not be had, why and what to do: nothing
    /// was saved or written.
    NoMeans(String),
}

/// An error that ends a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was being done.
    pub op: Op,
    /// Where, in bytes.
    pub offset: u64,
    /// What went wrong, for people.
    pub why: String,
}

/// What the engine was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Writing.
    Write,
    /// Reading back.
    Read,
    /// Flushing the drive.
    Sync,
    /// Getting memory.
    Allocate,
}

impl From<During> for Op {
    fn from(during: During) -> Self {
        match during {
            During::Write => Self::Write,
            During::Read => Self::Read,
        }
    }
}

impl Error {
    /// Doing this at that offset failed.
    pub fn new(op: Op, offset: u64, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { op, offset, why }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, offset, why } = self;
        match op {
            Op::Write => write!(f, "writing at byte {offset}: {why}"),
            Op::Read => write!(f, "reading at byte {offset}: {why}"),
            Op::Sync => write!(f, "flushing what was written after byte {offset}: {why}"),
            Op::Allocate => write!(f, "getting memory: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// Everything that a run of the engine uses.
pub struct Engine<'a> {
    /// What is done.
    pub plan: &'a Plan,
    /// How.
    pub settings: Settings,
    /// What it is done to.
    pub target: &'a dyn Target,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// What reaches in from outside.
    pub control: &'a dyn Control,
}

impl Engine<'_> {
    /// Runs the plan from a state to its end, or as far as it gets.
    pub fn run(&self, state: State, journal: &mut dyn Journal) -> Ended {
        let mut buffers = match Buffers::new(self.settings) {
            Ok(buffers) => buffers,
            Err(why) => {
                return Ended {
                    state,
                    unsaved: None,
                    flushed: true,
                    end: End::NoMeans(why),
                };
            }
        };
        let mut now = Ended {
            state,
            unsaved: None,
            flushed: true,
            end: End::Complete,
        };
        if now.state.step.phase == Phase::Complete {
            // There is nothing left to do for a thread.
            if let Err(why) = journal.save(&now.state) {
                now.unsaved = Some(why.clone());
                now.end = End::NotStarted(why);
            }
            return now;
        }
        // The first checkpoint is saved when the first step has its threads.
        let mut start = Start::OfRun;
        while now.state.step.phase != Phase::Complete {
            now = coordinator::run_step(self, start, now, journal, &mut buffers);
            if !matches!(now.end, End::Complete) {
                break;
            }
            start = Start::OfStep;
        }
        now
    }

    fn strategy(&self, step: Step) -> Box<dyn strategy::WipeStrategy> {
        strategy::of(&self.plan.pass(step.pass).content)
    }
}

/// What a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// The run: nothing is saved yet.
    OfRun,
    /// A later step of it.
    OfStep,
}

/// The memory that is written from and read into: page-aligned, one map for all
/// workers, as separate small ones get huge pages only by chance.
struct Buffers {
    map: MmapMut,
    // where the first huge page begins
    start: usize,
    // bytes of all chunks; start + length <= that of the map
    length: usize,
    // divides the length
    chunk: usize,
}

impl Buffers {
    /// One chunk for each worker, and one that all share.
    ///
    /// # Errors
    /// That they or their workers' stacks cannot be had, for people.
    fn new(settings: Settings) -> Result<Self, String> {
        let chunk = size::memory(settings.chunk);
        let length = chunk * (settings.workers + 1);
        // The kernel gives huge pages only where whole ones fit.
        let whole = length.next_multiple_of(HUGE_PAGE);
        let all = whole + HUGE_PAGE;
        means::ensure(all as u64, settings.workers + 1)?;
        let map = MmapMut::map_anon(all).map_err(|error| means::no_memory(&error))?;
        let start = map.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
        // Only speed hangs on it.
        let _ = map.advise_range(Advice::HugePage, start, whole);
        Ok(Self {
            map,
            start,
            length,
            chunk,
        })
    }

    /// The shared chunk, and each worker's own.
    fn split(&mut self) -> (&mut [u8], impl Iterator<Item = &mut [u8]>) {
        let all = &mut self.map[self.start..self.start + self.length];
        let (shared, own) = all.split_at_mut(self.chunk);
        (shared, own.chunks_mut(self.chunk))
    }
}
