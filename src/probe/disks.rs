//! A look at every disk of the machine, for the list. Reads only, takes no
//! exclusive access from a run that has or wants it, and does not wait for a
//! disk that does not answer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::asked::{is_busy, usage_of_block};
use super::block::Block;
use super::denied::Denial;
use super::devices::Devices;
use super::snapshot::Snapshot;
use super::sysfs::is_numbered;
use super::target::block_facts;
use super::{identify, no_capacity};
use crate::drive::{Device, Fact, Identity, Medium, NoCapacity, Transport};

/// How often exclusive access is asked for: another list may ask at the same
/// moment.
const TRIES: usize = 4;

/// A whole disk as the list sees it.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// Its node, such as `/dev/sdb`.
    pub path: PathBuf,
    /// Kernel name.
    pub name: String,
    /// Bytes; 0 where it has none or does not say.
    pub size: u64,
    /// Why it has none, where that is not its nature.
    pub no_capacity: Option<NoCapacity>,
    /// Which drive it is; `None` where that cannot be read.
    pub identity: Option<Identity>,
    /// What the bits are kept on.
    pub medium: Medium,
    /// Where it sits.
    pub slot: Option<String>,
    /// All facts, or why they are not known.
    pub facts: Result<Device, String>,
    /// Whether this user may not read it: its content and some of its use
    /// remain unseen.
    pub denied: Option<Denial>,
    /// What holds it, in words: `LVM: vg0`, `RAID: md127`.
    pub held: Vec<String>,
}

/// Where the drive of an unfinished wipe is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    Here(PathBuf),
    Absent,
    /// It is one of these, which cannot be told apart by name.
    AnyOf(Vec<PathBuf>),
}

/// What is known of a disk that was asked.
struct Asked {
    facts: Result<Device, String>,
    denied: Option<Denial>,
    held: Vec<String>,
}

impl Snapshot {
    /// Every whole disk, in the order of the kernel's names: not those that are
    /// memory, nor empty loop devices and slots, nor optical and floppy drives,
    /// whose medium an open would move. A disk that has not answered after
    /// `patience` is listed without its facts.
    pub(crate) fn survey(self: &Arc<Self>, patience: Duration) -> Result<Vec<Disk>, String> {
        let mut disks = Vec::new();
        let (send, answers) = mpsc::channel();
        let devices = self.storage.devices()?;
        for block in devices.iter().filter(|block| is_listed(block)) {
            let mut disk = outline(devices, block);
            let (machine, dev, index) = (self.clone(), block.dev, disks.len());
            let (path, send) = (disk.path.clone(), send.clone());
            // A read of a dying drive can hang in the kernel, where nothing
            // ends it.
            let started = thread::Builder::new().spawn(move || {
                if let Ok(Some(block)) = machine.storage.block(dev) {
                    let _ = send.send((index, machine.ask(&path, block)));
                }
            });
            if let Err(error) = started {
                disk.facts = Err(error.to_string());
            }
            disks.push(disk);
        }
        drop(send);
        let end = Instant::now() + patience;
        while let Ok((index, answer)) =
            answers.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            let disk: &mut Disk = &mut disks[index];
            (disk.facts, disk.denied, disk.held) = (answer.facts, answer.denied, answer.held);
        }
        Ok(disks)
    }

    fn ask(&self, path: &Path, block: &Block) -> Asked {
        let opened = File::open(path);
        let denied = opened.as_ref().err();
        let denied = denied
            .filter(|error| error.kind() == io::ErrorKind::PermissionDenied)
            .map(|error| self.storage.denial(path, error.raw_os_error()));
        let facts = self.storage.devices().and_then(|devices| {
            let mut device = block_facts(devices, path, block)?;
            device.usage = usage_of_block(None, block, self);
            device.usage.busy = is_busy_now(devices, opened, path, block).into();
            Ok(device)
        });
        let holders = facts.as_ref().map(|device| &device.usage.holders);
        let held = match (holders, self.storage.devices()) {
            (Ok(Fact::Known(holders)), Ok(devices)) => {
                let words = holders.iter().map(|it| holder_word(devices, &it.by));
                let mut words: Vec<String> = words.collect();
                words.dedup();
                words
            }
            _ => Vec::new(),
        };
        Asked {
            facts,
            denied,
            held,
        }
    }
}

/// What sysfs says without asking the disk.
fn outline(devices: &Devices, block: &Block) -> Disk {
    let identity = devices.identity(block).ok();
    let known = identity.as_ref();
    Disk {
        path: devices.node(block),
        name: block.name(),
        size: block.size().unwrap_or(0),
        no_capacity: no_capacity::why(block).filter(|_| block.size() == Ok(0)),
        medium: known.map_or(Medium::Unknown, |id| identify::medium(block, id)),
        slot: devices.slot(block, known.map_or(Transport::Other, |id| id.transport)),
        identity,
        facts: Err("does not answer".into()),
        denied: None,
        held: Vec::new(),
    }
}

/// Whether a disk is in use. A wipe locks its disk before it asks for exclusive
/// access: our own asking must not be what makes it fail. The lock is held for
/// this only, not while the disk is read.
fn is_busy_now(
    devices: &Devices,
    opened: io::Result<File>,
    path: &Path,
    block: &Block,
) -> Result<bool, String> {
    let _lock = match opened.map(|file| Flock::lock(file, FlockArg::LockSharedNonblock)) {
        Ok(Ok(lock)) => Some(lock),
        Ok(Err((_, Errno::EWOULDBLOCK))) => return Ok(true),
        // What is asked next says why.
        Ok(Err(_)) | Err(_) => None,
    };
    for _ in 1..TRIES {
        if !is_busy(devices, Some(path), block)? {
            return Ok(false);
        }
        thread::yield_now();
    }
    is_busy(devices, Some(path), block)
}

/// What a holder is to people, from what `Holder::by` says.
fn holder_word(devices: &Devices, by: &str) -> String {
    let name = by.split(' ').next().unwrap_or(by);
    let block = devices.of_name(name);
    let says = |what: &str| block.and_then(|block| block.text(what)).unwrap_or_default();
    let (uuid, label) = (says("dm/uuid"), says("dm/name"));
    if uuid.starts_with("LVM-") {
        format!("LVM: {}", volume_group(&label))
    } else if uuid.starts_with("CRYPT-") {
        format!("LUKS: {label}")
    } else if uuid.starts_with("mpath-") {
        format!("multipath: {label}")
    } else if name.starts_with("md") {
        format!("RAID: {name}")
    } else if name.starts_with("bcache") {
        format!("bcache: {name}")
    } else {
        format!("held by {by}")
    }
}

/// The group in `group-volume`, where a hyphen of a name is doubled.
fn volume_group(name: &str) -> String {
    let mut group = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '-' && chars.next_if_eq(&'-').is_none() {
            break;
        }
        group.push(c);
    }
    group
}

fn is_listed(block: &Block) -> bool {
    let name = block.name();
    let left_out = ["ram", "zram", "sr", "fd"];
    // A drive without a size cannot be wiped as it is, unless a medium is put
    // into it or a file behind it.
    let why = || no_capacity::why(block).filter(|why| *why != NoCapacity::NoMedium);
    !block.is_partition()
        && !left_out.iter().any(|it| is_numbered(&name, it))
        && !block.says_yes("hidden")
        && (block.size() != Ok(0) || why().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_group_may_have_hyphens() {
        assert_eq!(volume_group("vg0-home"), "vg0");
        assert_eq!(volume_group("my--vg-my--home"), "my-vg");
        assert_eq!(volume_group("plain"), "plain");
    }
}
