//! The one way to print to stderr: never a panic, never a wait for ever.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;

use super::printer::Printer;
use crate::text::{clean, columns, folded};

/// How long a terminal that does not take its lines is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

pub(super) static STDERR: Printer = Printer::new(|bytes| write_raw(io::stderr(), bytes));

/// One line to stderr, cleaned; a terminal gets it in as many as it takes. What
/// cannot be written is lost.
pub(crate) fn say(line: &str) {
    if STDERR.has_hung() {
        return;
    }
    let line = clean(line);
    let lines = match columns(io::stderr()) {
        Some(columns) => folded(&line, columns),
        None => vec![line],
    };
    let bytes = format!("{}\n", lines.join("\n")).into_bytes();
    let _ = STDERR.print(io::stderr(), bytes, PATIENCE);
}

/// Each line of a text to stderr, as the program's: `wipeit: LINE`.
pub(crate) fn notice(text: &str) {
    for line in text.lines() {
        say(&format!("wipeit: {line}"));
    }
}

/// `wipeit: SUBJECT: TEXT` to stderr.
pub(crate) fn message(subject: &str, text: &str) {
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
