//! What goes to stdout: the lines and lists that scripts read. That they came
//! there is part of what was asked for.

use std::fs::File;
use std::io;
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;

use nix::errno::Errno;

use super::output::{PATIENCE, message};
use super::printer::Printer;
use crate::outcome::Outcome;
use crate::text::{clean, reason};

/// How long a file is waited for; it may lie on another machine.
const FILE_PATIENCE: Duration = Duration::from_secs(60);

static STDOUT: Printer = Printer::new(write);

/// One line, cleaned. A reader that has left (a closed pipe, a terminal that
/// hung up or stands still) does not want it, which is no error.
/// Fails where it could not be written: a full disk.
pub(crate) fn result(line: &str) -> io::Result<()> {
    let bytes = format!("{}\n", clean(line)).into_bytes();
    let patience = if io::stdout().is_terminal() {
        PATIENCE
    } else {
        FILE_PATIENCE
    };
    wanted(STDOUT.print(io::stdout(), bytes, patience))
}

/// A text of lines, as it is. It is waited for as long as its reader takes: a pager.
pub(crate) fn text(text: &str) -> io::Result<()> {
    wanted(write(text.as_bytes()))
}

/// What a run ends as whose result was written to stdout so: that it could not be
/// is said, and makes a success none.
pub(crate) fn delivered(written: &io::Result<()>, outcome: Outcome) -> Outcome {
    let Err(error) = written else {
        return outcome;
    };
    let why = reason(error);
    message("stdout", &format!("the result could not be written: {why}"));
    outcome.undelivered()
}

/// Leaves out the errors of a reader that has left.
fn wanted(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if has_left(&error) => Ok(()),
        other => other,
    }
}

fn has_left(error: &io::Error) -> bool {
    if matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    ) || io::stdout().is_terminal()
    {
        return true;
    }
    // A terminal that hung up no longer says that it is one.
    error.raw_os_error() == Some(Errno::EIO as i32)
        && copy()
            .and_then(|file| file.metadata())
            .is_ok_and(|meta| meta.file_type().is_char_device())
}

fn copy() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Writes all, past std's buffer, which would try what failed once more.
fn write(bytes: &[u8]) -> io::Result<()> {
    let mut file = copy()?;
    file.write_all(bytes)?;
    // Closing a copy of a descriptor makes a file system on another machine say
    // what it had put off.
    nix::unistd::close(file)?;
    Ok(())
}
