//! What the engine consumes: a target to write to and read from, a journal that
//! saves its state, and what reaches it from outside.

use std::io;
use std::time::Duration;

use super::joined::Joined;
use super::state::State;
use crate::outcome::Signal;
use crate::plan::Plan;

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
    /// Nothing came back from the target for the stall timeout; `state` is
    /// durable. The engine cannot end while its calls hang in the kernel,
    /// but this may end the program; when it returns the engine waits on.
    fn hangs(&self, state: &State, silence: Duration);
}
