//! Threads and memory that a run needs, and what is said where the system gives
//! none.
//!
//! Both are to be had before the first checkpoint is saved: a wipe that cannot
//! begin leaves nothing behind.

use std::io;

use memmap2::MmapMut;
use nix::errno::Errno;

use crate::text::{MIB, reason, size};

/// Bytes that are free for what a run needs now and then: messages, the bytes of
/// a checkpoint, the stack of a thread that prints.
const SPARE: u64 = 32 * MIB;
/// Bytes of address space that a thread takes: the stack that std gives it, and
/// guards.
const THREAD: u64 = 2 * MIB + MIB / 4;

/// Whether so many bytes, so many threads, and something to spare could be had
/// now. Where memory ends later, in the middle of an allocation or of the start
/// of a thread, the program is ended at once; so it is asked for beforehand, and
/// given back.
///
/// # Errors
/// Why not, for people.
pub(crate) fn ensure(bytes: u64, threads: usize) -> Result<(), String> {
    let all = bytes
        .saturating_add(SPARE)
        .saturating_add(THREAD.saturating_mul(threads as u64));
    // Pages that nobody touches take address space only.
    MmapMut::map_anon(size::memory(all))
        .map(drop)
        .map_err(|error| no_memory(&error))
}

/// That there is no memory for a run.
#[must_use]
pub(crate) fn no_memory(error: &io::Error) -> String {
    format!(
        "no memory to be had ({}); see ulimit -v, --threads and --buffer-size",
        reason(error)
    )
}

/// That the system gives no more threads, and where its limits are.
#[must_use]
pub(crate) fn no_threads(error: &io::Error) -> String {
    let why = if error.raw_os_error() == Some(Errno::EAGAIN as i32) {
        "a limit is reached".into()
    } else {
        reason(error)
    };
    format!(
        "no threads to be had ({why}); see ulimit -u, ulimit -v and the pids limit of the cgroup"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_no_machine_has_is_missed_before_it_is_needed() {
        assert_eq!(ensure(1, 1), Ok(()));
        let why = ensure(u64::MAX, 1).unwrap_err();
        assert!(why.starts_with("no memory to be had ("), "{why}");
    }

    #[test]
    fn a_limit_of_threads_is_called_one() {
        let error = io::Error::from_raw_os_error(Errno::EAGAIN as i32);
        let text = no_threads(&error);
        assert!(text.starts_with("no threads to be had (a limit is reached); see ulimit -u"));
    }
}
