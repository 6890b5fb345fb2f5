//! The machine, read once for one decision. What the kernel says of all its
//! disks, mounts and processes is the same whichever of them is looked at, and
//! to ask again for each disk takes time that grows with disks x processes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::host::Host;
use super::loops::Behind;
use super::mounts::Entry;
use super::pools::Pool;
use super::processes::{Elsewhere, Open};
use super::sysfs::{Block, Disk};
use crate::drive::DevId;

/// What was read, or why it could not be.
type Once<T> = OnceLock<Result<Arc<T>, String>>;

/// What is of the machine and not of one disk. Each fact is read when it is
/// first asked for, and not again.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Every block device.
    pub blocks: Once<Vec<Block>>,
    /// The whole disks that have a node, each with what it is.
    pub disks: Once<Vec<Disk>>,
    /// Loop devices, and what is behind them.
    pub loops: Once<Vec<Behind>>,
    /// Drives that file systems are spread over.
    pub pools: Once<Vec<Pool>>,
    /// What is mounted in our namespace.
    pub mounts: Once<Vec<Entry>>,
    /// What is mounted in others.
    pub elsewhere: Once<Vec<Elsewhere>>,
    /// Active swap: path, and whether it is a file.
    pub swaps: Once<Vec<(PathBuf, bool)>>,
    /// What processes hold open for writing.
    pub open: Once<Open>,
    /// The drives that the running system lies on.
    pub root: Once<BTreeSet<DevId>>,
    /// Those that the running program lies on, and its path.
    pub program: Once<(BTreeSet<DevId>, PathBuf)>,
}

impl Host {
    /// The same machine as it is now: what is read of it holds for all that is
    /// asked of this one. To be dropped when the decision is made.
    #[must_use]
    pub fn at_once(&self) -> Self {
        let seen = self.seen.clone().or_else(|| Some(Arc::default()));
        Self {
            seen,
            ..self.clone()
        }
    }

    /// A fact of the snapshot; read anew where there is none.
    pub(super) fn once<T>(
        &self,
        fact: impl Fn(&Snapshot) -> &Once<T>,
        read: impl FnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        let read = || read().map(Arc::new);
        match &self.seen {
            Some(seen) => fact(seen).get_or_init(read).clone(),
            None => read(),
        }
    }
}
