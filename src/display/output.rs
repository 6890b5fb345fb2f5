//! The one way to print: never a panic, never a wait for ever.

use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;

use crate::text::clean;

/// How long a terminal that does not take its lines is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The terminal did not take the last lines: from here on nothing waits for it.
pub(super) static HUNG: AtomicBool = AtomicBool::new(false);

/// One line to stderr, cleaned. What cannot be written is lost.
pub fn say(line: &str) {
    if !HUNG.load(Ordering::SeqCst) {
        let bytes = format!("{}\n", clean(line));
        let _ = patiently(move || write_raw(io::stderr(), bytes.as_bytes()));
    }
}

/// Writes, but does not wait for ever: a stopped terminal must hold up neither
/// a wipe nor the end of the program.
fn patiently(write: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        // Nobody listens any more after the timeout.
        let _ = sender.send(write());
    })?;
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        HUNG.store(true, Ordering::SeqCst);
        Err(io::ErrorKind::TimedOut.into())
    })
}

/// `wipeit: SUBJECT: TEXT` to stderr.
pub fn message(subject: &str, text: &str) {
    say(&format!("wipeit: {subject}: {text}"));
}

/// One line to stdout, for people and scripts, flushed.
///
/// # Errors
/// When stdout does not take it: a closed pipe, a full disk.
pub fn result(line: &str) -> io::Result<()> {
    let bytes = format!("{}\n", clean(line));
    // stdout may be a file when the terminal hangs: it is always tried.
    patiently(move || {
        let mut out = io::stdout().lock();
        out.write_all(bytes.as_bytes())?;
        out.flush()
    })
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
