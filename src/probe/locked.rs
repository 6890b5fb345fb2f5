//! Whether another run holds a drive now.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{major, minor};

use super::host::Host;
use crate::drive::Node;

/// An open of a dying drive can hang in the kernel.
const PATIENCE: Duration = Duration::from_secs(2);

impl Host {
    /// Whether a run holds the lock of a drive or an image; `None` where that
    /// cannot be seen. A shared lock of our own asks for it, for a moment: a run
    /// that begins then waits for longer.
    pub(crate) fn is_locked(&self, path: &Path) -> Option<bool> {
        let (sender, receiver) = mpsc::channel();
        let (host, path) = (self.clone(), path.to_path_buf());
        thread::Builder::new()
            .spawn(move || {
                // Nobody listens any more after the timeout.
                let _ = sender.send(host.ask_lock(&path));
            })
            .ok()?;
        receiver.recv_timeout(PATIENCE).ok().flatten()
    }

    /// The process that holds the lock of a wipe on a device or image: what
    /// `/proc/locks` says; `None` where there is none, or it is of another PID
    /// namespace.
    pub(crate) fn lock_holder(&self, path: &Path) -> Option<u32> {
        let meta = std::fs::metadata(self.locked(path)?).ok()?;
        let dev = meta.dev();
        let node = format!("{:02x}:{:02x}:{}", major(dev), minor(dev), meta.ino());
        let locks = std::fs::read_to_string(self.proc.join("locks")).ok()?;
        // 3: FLOCK  ADVISORY  WRITE 712 00:05:271 0 EOF
        locks.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, "FLOCK", _, "WRITE", pid, of, ..] = words.as_slice() else {
                return None;
            };
            pid.parse().ok().filter(|pid| *of == node && *pid > 0)
        })
    }

    fn locked(&self, path: &Path) -> Option<PathBuf> {
        Some(match self.glance(path).ok()?.node {
            Node::Block { whole_path, .. } => whole_path,
            Node::Image { .. } => path.into(),
        })
    }

    fn ask_lock(&self, path: &Path) -> Option<bool> {
        match Flock::lock(
            File::open(self.locked(path)?).ok()?,
            FlockArg::LockSharedNonblock,
        ) {
            Ok(_) => Some(false),
            Err((_, Errno::EWOULDBLOCK)) => Some(true),
            Err(_) => None,
        }
    }
}
