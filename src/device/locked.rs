//! Whether another run holds a drive now.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{Host, Node};

/// An open of a dying drive can hang in the kernel.
const PATIENCE: Duration = Duration::from_secs(2);

impl Host {
    /// Whether a run holds the lock of a drive or an image; `None` where that
    /// cannot be seen. A shared lock of our own asks for it, for a moment: a run
    /// that begins then waits for longer.
    #[must_use]
    pub fn is_locked(&self, path: &Path) -> Option<bool> {
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

    fn ask_lock(&self, path: &Path) -> Option<bool> {
        let locked: PathBuf = match self.glance(path).ok()?.node {
            Node::Block { whole_path, .. } => whole_path,
            Node::Image { .. } => path.into(),
        };
        match Flock::lock(File::open(locked).ok()?, FlockArg::LockSharedNonblock) {
            Ok(_) => Some(false),
            Err((_, Errno::EWOULDBLOCK)) => Some(true),
            Err(_) => None,
        }
    }
}
