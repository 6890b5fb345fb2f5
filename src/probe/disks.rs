//! A look at every disk of the machine, for the list. Reads only, takes no
//! exclusive access from a run that has or wants it, and does not wait for a
//! disk that does not answer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::denied::Denial;
use super::host::Host;
use super::sysfs::{Block, attribute, base_name};
use super::{drive, empty};
use crate::drive::{Device, Fact, Identity, Medium, NoCapacity, Transport};

/// How often exclusive access is asked for: another list may ask at the same
/// moment.
const TRIES: usize = 4;

/// A whole disk as the list sees it.
#[derive(Debug, Clone)]
pub struct Disk {
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
pub enum Place {
    /// Here.
    Here(PathBuf),
    /// It is not attached.
    Absent,
    /// It is one of these, which cannot be told apart by name.
    AnyOf(Vec<PathBuf>),
}

/// What a disk says when it is asked.
struct Answer {
    facts: Result<Device, String>,
    denied: Option<Denial>,
    held: Vec<String>,
}

impl Host {
    /// Every whole disk, in the order of the kernel's names: not those that are
    /// memory, nor empty loop devices and slots, nor optical and floppy drives,
    /// whose medium an open would move. A disk that has not answered after
    /// `patience` is listed without its facts.
    ///
    /// # Errors
    /// When sysfs cannot be read.
    pub fn survey(&self, state_dir: &Path, patience: Duration) -> Result<Vec<Disk>, String> {
        let mut disks = Vec::new();
        let (send, answers) = mpsc::channel();
        let machine = self.at_once();
        machine.disks()?;
        for block in machine.blocks()?.iter().filter(|block| is_listed(block)) {
            let mut disk = machine.outline(block);
            let (host, path, index) = (machine.clone(), disk.path.clone(), disks.len());
            let block = block.clone();
            let (state_dir, send) = (state_dir.to_path_buf(), send.clone());
            // A read of a dying drive can hang in the kernel, where nothing
            // ends it.
            let started = thread::Builder::new().spawn(move || {
                let _ = send.send((index, host.ask(&block, &path, &state_dir)));
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

    /// What sysfs says without asking the disk.
    fn outline(&self, block: &Block) -> Disk {
        let identity = self.identity(block);
        let transport = identity
            .as_ref()
            .map_or(Transport::Other, |identity| identity.transport);
        Disk {
            path: self.node(block),
            name: block.name(),
            size: block.size().unwrap_or(0),
            no_capacity: empty::why(block).filter(|_| block.size() == Ok(0)),
            medium: identity
                .as_ref()
                .map_or(Medium::Unknown, |id| drive::medium(block, id)),
            identity: identity.ok(),
            slot: self.slot(block, transport),
            facts: Err("does not answer".into()),
            denied: None,
            held: Vec::new(),
        }
    }

    fn ask(&self, block: &Block, path: &Path, state_dir: &Path) -> Answer {
        let opened = File::open(path);
        let denied = opened
            .as_ref()
            .err()
            .filter(|error| error.kind() == io::ErrorKind::PermissionDenied)
            .map(|error| self.denial(path, error.raw_os_error()));
        let facts = block.size().and_then(|size| {
            let mut device = self.block_facts(path, None, block, size, Some(state_dir))?;
            device.usage.busy = self.is_busy_now(opened, path, block).into();
            Ok(device)
        });
        let held = match facts.as_ref().map(|device| &device.usage.holders) {
            Ok(Fact::Known(holders)) => {
                let mut words: Vec<String> =
                    holders.iter().map(|it| self.holder_word(&it.by)).collect();
                words.dedup();
                words
            }
            _ => Vec::new(),
        };
        Answer {
            facts,
            denied,
            held,
        }
    }

    /// Whether a disk is in use. A wipe locks its disk before it asks for exclusive
    /// access: our own asking must not be what makes it fail. The lock is held for
    /// this only, not while the disk is read.
    fn is_busy_now(
        &self,
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
            if !self.is_busy(Some(path), block)? {
                return Ok(false);
            }
            thread::yield_now();
        }
        self.is_busy(Some(path), block)
    }

    /// What a holder is to people, from what `Holder::by` says.
    fn holder_word(&self, by: &str) -> String {
        let name = by.split(' ').next().unwrap_or(by);
        let dir = self.sys.join("class/block").join(name);
        let uuid = attribute(&dir, "dm/uuid").unwrap_or_default();
        let label = attribute(&dir, "dm/name").unwrap_or_default();
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
    let name = base_name(&block.dir);
    let left_out = ["ram", "zram", "sr", "fd"];
    let is = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let yes = |name: &str| attribute(&block.dir, name).as_deref() == Some("1");
    // A drive without a size cannot be wiped as it is, unless a medium is put
    // into it or a file behind it.
    let why = || empty::why(block).filter(|why| *why != NoCapacity::NoMedium);
    !block.is_partition()
        && !left_out.into_iter().any(is)
        && !yes("hidden")
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
