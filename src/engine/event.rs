//! What is told of a run: by the engine while it works, and by those around it of
//! what they wait for.

use std::time::Duration;

use crate::plan::{Bad, Difference, Extent, Step};

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step begins or continues; its [`Progress`] says where.
    StepStarted(Progress),
    /// Where the run is now; several a second.
    Progress(Progress),
    /// A range cannot be written or read.
    BadExtent(Extent, Bad),
    /// A range read back differs from what was written.
    Mismatch(Difference),
    /// Areas in which the search for bad blocks took too long are tried again:
    /// so many of them, of so many bytes together.
    Retrying {
        /// Their number.
        areas: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// Nothing came back from the drive for so long.
    NoAnswer(Duration),
    /// A checkpoint is being saved for so long: it is not the drive that hangs.
    StateSilent(Duration),
    /// The drive has been far below its own earlier speed for minutes.
    Slow {
        /// Bytes a second now.
        now: u64,
        /// Bytes a second at its best.
        best: u64,
    },
    /// The drive's flush failed; what came after the last good one is written
    /// again from this offset.
    SyncFailed {
        /// The kernel's errno.
        errno: i32,
        /// Where the run continues.
        from: u64,
    },
    /// The drive's flush failed while the run was stopping: what was written
    /// after this offset does not count, and a resume writes it again.
    LastSyncFailed {
        /// The kernel's errno.
        errno: i32,
        /// Where a resume continues.
        from: u64,
    },
    /// The run cannot go on without a checkpoint that cannot be saved: it tries
    /// again until it can.
    WaitsForCheckpoint,
    /// The checkpoint could not be saved; the wipe goes on, the last checkpoint
    /// stands and more than the interval may have to be done again.
    SaveFailed(String),
    /// The checkpoint can be saved again.
    SaveRecovered,
    /// No room can be kept for the record, and why not.
    NoRoom(String),
    /// The record or the report of a finished wipe could not be written; it is
    /// tried again for so long. What failed, and why.
    NotDelivered(String, Duration),
    /// Everything is written, but something uses the target since; what, as a
    /// clause, and for how long it is waited for at most.
    StillUsed(String, Duration),
    /// An interrupt was seen; the writes in flight are finished.
    Stopping,
    /// The drive, or the disk under the state directory, has not answered for a
    /// while although the run is to stop.
    StillWaiting,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The step now done.
    pub step: Step,
    /// Its number, from 1.
    pub number: usize,
    /// Steps in the plan.
    pub steps: usize,
    /// Bytes of this step that are done.
    pub done: u64,
    /// Bytes of this step that are in a checkpoint on disk.
    pub saved: u64,
    /// Bytes of the target.
    pub size: u64,
}

/// Takes events. It is called from several threads, and must not block.
pub trait Observer {
    /// Something happened.
    fn event(&self, event: Event);
}
