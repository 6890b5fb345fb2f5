//! A terminal with someone typing.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};

use super::wait_until;

/// A terminal of 80 columns.
pub struct Terminal {
    master: File,
    slave: OwnedFd,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub fn new() -> Self {
        Self::of(80)
    }

    /// One of so many columns.
    pub fn of(columns: u16) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let master = File::from(pty.master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, sink) = (master.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO once nobody holds the other side any more.
            while let Ok(got @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..got]);
            }
        });
        let slave = pty.slave;
        Self {
            master,
            slave,
            seen,
        }
    }

    /// The side for the program.
    pub fn slave(&self) -> &OwnedFd {
        &self.slave
    }

    /// Types; `\x03` is Ctrl+C.
    pub fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Everything that was shown.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).to_string()
    }

    /// The same, however its lines are broken.
    pub fn unbroken(&self) -> String {
        let shown = self.shown();
        let words: Vec<&str> = shown.split_whitespace().collect();
        words.join(" ")
    }

    /// Waits until a text is shown, in one line or more.
    pub fn shows(&self, text: &str) {
        wait_until(&format!("{text:?} on the terminal"), || {
            self.shown().contains(text) || self.unbroken().contains(text)
        });
    }
}
