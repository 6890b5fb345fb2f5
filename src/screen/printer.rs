//! One thread a stream: who prints waits for its line, but never for ever.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// Bytes, and whom to tell what came of them.
type Line = (Vec<u8>, Sender<io::Result<()>>);

/// A stopped terminal must hold up neither a wipe nor the end of the program.
pub(super) struct Printer {
    write: fn(&[u8]) -> io::Result<()>,
    // none: no line yet, or there is no thread to be had
    thread: Mutex<Option<Sender<Line>>>,
    // it did not take a line in time: nothing waits for it until it did
    hung: AtomicBool,
}

impl Printer {
    pub(super) const fn new(write: fn(&[u8]) -> io::Result<()>) -> Self {
        Self {
            write,
            thread: Mutex::new(None),
            hung: AtomicBool::new(false),
        }
    }

    /// From here on what is printed is lost.
    pub(super) fn give_up(&self) -> io::Error {
        self.hung.store(true, Ordering::SeqCst);
        io::ErrorKind::TimedOut.into()
    }

    pub(super) fn has_hung(&self) -> bool {
        self.hung.load(Ordering::SeqCst)
    }

    /// Writes to the stream. Where there is no thread to be had, this one writes as
    /// soon as the stream can take anything.
    pub(super) fn print(
        &'static self,
        to: impl AsFd,
        bytes: Vec<u8>,
        patience: Duration,
    ) -> io::Result<()> {
        if self.has_hung() {
            return Err(self.give_up());
        }
        let (tell, told) = mpsc::channel();
        match self.thread() {
            // It never ends.
            Ok(thread) => drop(thread.send((bytes, tell))),
            Err(_) if takes_more(to, patience)? => return (self.write)(&bytes),
            Err(_) => return Err(self.give_up()),
        }
        told.recv_timeout(patience)
            .unwrap_or_else(|_| Err(self.give_up()))
    }

    fn thread(&'static self) -> io::Result<Sender<Line>> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*thread {
            return Ok(thread.clone());
        }
        if is_scarce() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let (lines, inbox) = mpsc::channel::<Line>();
        std::thread::Builder::new()
            .name("printer".into())
            .spawn(move || {
                for (bytes, told) in inbox {
                    let written = (self.write)(&bytes);
                    self.hung.store(false, Ordering::SeqCst);
                    // Nobody listens any more after the timeout.
                    let _ = told.send(written);
                }
            })?;
        Ok(thread.insert(lines).clone())
    }
}

/// Whether the address space is limited (`ulimit -v`). An allocator takes a part of
/// it for each thread (glibc: 64 MiB), which would lack where the wipe needs it.
fn is_scarce() -> bool {
    getrlimit(Resource::RLIMIT_AS).is_ok_and(|(soft, _)| soft != RLIM_INFINITY)
}

/// Whether something can be written in this time.
fn takes_more(to: impl AsFd, patience: Duration) -> io::Result<bool> {
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let mut ready = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
    loop {
        match poll(&mut ready, patience) {
            Err(Errno::EINTR) => {}
            found => return Ok(found? > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    const EVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_stream_that_hung_is_not_waited_for_again_but_another_is() {
        static STUCK: Printer = Printer::new(|_| {
            loop {
                thread::park();
            }
        });
        static OTHER: Printer = Printer::new(|_| Ok(()));
        let moment = Duration::from_millis(1);
        let hung = STUCK.print(io::stderr(), vec![], moment).unwrap_err();
        assert_eq!(hung.kind(), io::ErrorKind::TimedOut);
        let again = STUCK.print(io::stderr(), vec![], EVER).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::TimedOut);
        OTHER.print(io::stderr(), vec![], EVER).unwrap();
    }

    #[test]
    fn all_lines_of_a_stream_are_written_by_one_thread_in_their_order() {
        static WRITTEN: Mutex<Vec<(u8, ThreadId)>> = Mutex::new(Vec::new());
        static PRINTER: Printer = Printer::new(|bytes| {
            let its = (bytes[0], thread::current().id());
            WRITTEN.lock().unwrap().push(its);
            Ok(())
        });
        for byte in 0..9 {
            PRINTER.print(io::stderr(), vec![byte], EVER).unwrap();
        }
        let written = WRITTEN.lock().unwrap();
        let thread = written[0].1;
        assert_ne!(thread, thread::current().id());
        let expected: Vec<_> = (0..9).map(|byte| (byte, thread)).collect();
        assert_eq!(*written, expected);
    }
}
