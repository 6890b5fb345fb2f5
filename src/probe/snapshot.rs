//! The machine, read once for one decision. What the kernel says of all its
//! disks, mounts and processes is the same whichever of them is looked at, and
//! to ask again for each disk takes time that grows with disks x processes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::below::{Layers, nearest_existing};
use super::devices::Devices;
use super::ground::Grounds;
use super::host::Host;
use super::mounts::Entry;
use super::pools::{self, ZfsPool};
use super::processes::{self, Elsewhere, Open, Sought};
use super::storage::Storage;
use super::swaps::{self, Swap};
use super::sysfs::FileId;
use crate::drive::{DevId, Unseen};

/// All that is of the machine and not of one drive, as it was when it was taken.
/// To be dropped when the decision is made.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Block devices, what we see mounted, and pools.
    pub(super) storage: Storage,
    /// What the files behind loop devices lie on.
    pub(super) grounds: Grounds,
    /// What is mounted in other namespaces.
    pub(super) elsewhere: Result<Vec<Elsewhere>, String>,
    /// What other processes hold open for writing.
    pub(super) open: Result<Open, String>,
    /// Why some of them may stay unseen.
    pub(super) unseen: Option<Unseen>,
    pub(super) swaps: Result<Vec<Swap>, String>,
    pub(super) zfs: Result<Vec<ZfsPool>, String>,
    /// The drives that the running system lies on.
    pub(super) root: Result<BTreeSet<DevId>, String>,
    /// Those that the running program lies on, and its path.
    pub(super) program: Result<(BTreeSet<DevId>, PathBuf), String>,
    /// Those that the state directory lies on.
    pub(super) state: Result<BTreeSet<DevId>, String>,
}

impl Snapshot {
    /// Reads all of it. `state_dir`: where state is kept or will be.
    pub(crate) fn take(host: &Host, state_dir: &Path) -> Self {
        Self::take_for(host, state_dir, None)
    }

    /// The same for a target that is a file, whose file system has just answered.
    pub(super) fn take_for(host: &Host, state_dir: &Path, image: Option<FileId>) -> Self {
        let storage = Storage::read(host);
        let running = processes::running(&host.proc);
        let running = running.as_ref().map_err(String::clone);
        let elsewhere = running
            .clone()
            .and_then(|running| processes::mounts(&storage, running));
        let files = files_of_loops(&storage).chain(image).collect();
        let open = silent_mounts(&storage, &elsewhere, image).and_then(|silent| {
            let sought = Sought {
                silent: &silent,
                files: &files,
            };
            Ok(processes::open(&storage, running?, &sought))
        });
        let denied = open.as_ref().is_ok_and(|open| open.denied);
        Self {
            grounds: Grounds::read(&storage),
            unseen: host.unseen(denied),
            swaps: swaps::read(&storage),
            zfs: pools::read_zfs(host),
            root: storage
                .drives_of_root()
                .map_err(|why| unclear("the running system", &why)),
            program: storage
                .drives_of_program()
                .map_err(|why| unclear("the running program", &why)),
            state: nearest_existing(state_dir)
                .and_then(|there| storage.drives_below(&there, Layers::Upper))
                .map_err(|why| {
                    unclear(
                        &format!("the state directory {}", state_dir.display()),
                        &why,
                    )
                }),
            elsewhere,
            open,
            storage,
        }
    }

    /// What is mounted in our namespace and in others.
    pub(super) fn mounted(&self) -> Result<(&[Entry], &[Elsewhere]), String> {
        let here = self.storage.mounts()?;
        let elsewhere = self.elsewhere.as_deref().map_err(String::clone)?;
        Ok((here, elsewhere))
    }
}

fn unclear(what: &str, why: &str) -> String {
    format!("cannot tell whether {what} lies on it ({why})")
}

fn files_of_loops(storage: &Storage) -> impl Iterator<Item = FileId> {
    let devices = storage.devices().into_iter();
    let blocks = devices.flat_map(Devices::iter);
    blocks.filter_map(|block| block.file.as_ref().ok()?.as_ref()?.found)
}

/// The mounts whose server may never answer: to ask for a file there could hang.
/// That of `image` does.
fn silent_mounts(
    storage: &Storage,
    elsewhere: &Result<Vec<Elsewhere>, String>,
    image: Option<FileId>,
) -> Result<BTreeSet<u64>, String> {
    let answers = match image {
        Some(FileId::File(dev, _)) => Some(DevId::from_raw(dev)),
        Some(FileId::Block(_)) | None => None,
    };
    let elsewhere = elsewhere.as_ref().map_err(String::clone)?.iter();
    let elsewhere = elsewhere.flat_map(|other| &other.mounts);
    let all = storage.mounts()?.iter().chain(elsewhere);
    let silent = all.filter(|entry| entry.is_remote() && Some(entry.dev) != answers);
    Ok(silent.map(|entry| entry.id).collect())
}
