//! The one way to print: never a panic, never a wait for ever.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::text::{clean, columns, folded};

/// How long a terminal that does not take its lines is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The terminal did not take the last lines: from here on nothing waits for it.
pub(super) static HUNG: AtomicBool = AtomicBool::new(false);

/// One line to stderr, cleaned; a terminal gets it in as many as it takes. What
/// cannot be written is lost.
pub fn say(line: &str) {
    if !HUNG.load(Ordering::SeqCst) {
        let line = clean(line);
        let lines = match columns(io::stderr()) {
            Some(columns) => folded(&line, columns),
            None => vec![line],
        };
        let bytes = format!("{}\n", lines.join("\n"));
        let _ = patiently(io::stderr(), move || {
            write_raw(io::stderr(), bytes.as_bytes())
        });
    }
}

/// Writes, but does not wait for ever: a stopped terminal must hold up neither
/// a wipe nor the end of the program. That takes a thread; where the system
/// gives none, this one writes as soon as `to` can take anything.
fn patiently(
    to: impl AsFd,
    write: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    // A thread that cannot be had would take the words with it.
    let words = Arc::new(Mutex::new(Some(write)));
    let take =
        |words: &Mutex<Option<_>>| words.lock().unwrap_or_else(PoisonError::into_inner).take();
    let theirs = Arc::clone(&words);
    let thread = std::thread::Builder::new().spawn(move || {
        if let Some(write) = take(&theirs) {
            // Nobody listens any more after the timeout.
            let _ = sender.send(write());
        }
    });
    if thread.is_err() {
        let ready = takes_more(to)?;
        let write = take(&words).filter(|_| ready);
        return write.map_or_else(|| Err(hung()), |write| write());
    }
    receiver
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(hung()))
}

fn hung() -> io::Error {
    HUNG.store(true, Ordering::SeqCst);
    io::ErrorKind::TimedOut.into()
}

/// Whether something can be written within the patience for a terminal.
fn takes_more(to: impl AsFd) -> io::Result<bool> {
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    let mut ready = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
    loop {
        match poll(&mut ready, patience) {
            Err(Errno::EINTR) => {}
            found => return Ok(found? > 0),
        }
    }
}

/// `wipeit: SUBJECT: TEXT` to stderr.
pub fn message(subject: &str, text: &str) {
    say(&format!("wipeit: {subject}: {text}"));
}

/// Writes without std's lock on stderr, which a thread that hangs in a write
/// would keep.
pub(super) fn write_raw(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(&to, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
