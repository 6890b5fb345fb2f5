//! All block devices of the machine, and how they stand to each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::block::{Block, LoopFile};
use super::host::Host;
use super::sysfs::{FileId, attribute, base_name, find, list, listed};
use crate::drive::DevId;

#[derive(Debug)]
pub(super) struct Devices {
    // in the order of their names
    blocks: Vec<Block>,
    // numbers printed at slots, each with the start of its PCI address
    pci_slots: Vec<(String, String)>,
    // `/dev`
    nodes: PathBuf,
}

/// How often a device that changes while it is read is read again.
const TRIES: usize = 5;

/// Reads a device; `None` of one that goes away meanwhile. It may come again at
/// once: partitions do when a table is read anew.
fn read_again(link: &Path) -> Result<Option<Block>, String> {
    let mut read = Block::read(link);
    for _ in 1..TRIES {
        match read {
            Ok(block) => return Ok(Some(block)),
            Err(_) if !link.join("dev").exists() => return Ok(None),
            Err(_) => read = Block::read(link),
        }
    }
    read.map(Some)
}

impl Devices {
    /// Reads sysfs, and looks for the files behind loop devices.
    pub(super) fn read(host: &Host) -> Result<Self, String> {
        let mut links = listed(&host.sys.join("class/block"))?;
        let (mut blocks, mut known) = (Vec::new(), BTreeSet::new());
        while let Some(link) = links.pop() {
            let Some(block) = read_again(&link)? else {
                continue;
            };
            if known.insert(block.dir.clone()) {
                // One may have come meanwhile.
                let beside = block.holders.iter().chain(&block.slaves).flatten();
                links.extend(beside.filter(|dir| !known.contains(*dir)).cloned());
                blocks.push(block);
            }
        }
        blocks.sort_by_key(Block::name);
        find_files(&mut blocks);
        for _ in 1..TRIES {
            // One that was detached meanwhile, or got another file, whose file is
            // gone with it.
            let Some(at) = blocks.iter().position(Block::lost_its_file) else {
                break;
            };
            match read_again(&blocks[at].dir)? {
                Some(block) => blocks[at] = block,
                None => drop(blocks.remove(at)),
            }
            find_files(&mut blocks);
        }
        let is_nvme = |block: &Block| block.name().starts_with("nvme");
        let slots = if blocks.iter().any(is_nvme) {
            list(&host.sys.join("bus/pci/slots")).unwrap_or_default()
        } else {
            Vec::new()
        };
        let slots = slots.iter().filter_map(|slot| {
            let address = attribute(slot, "address")?;
            Some((base_name(slot), address))
        });
        Ok(Self {
            pci_slots: slots.collect(),
            nodes: host.dev.clone(),
            blocks,
        })
    }

    /// All of them, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    pub(super) fn block(&self, dev: DevId) -> Option<&Block> {
        self.iter().find(|block| block.dev == dev)
    }

    pub(super) fn of_name(&self, name: &str) -> Option<&Block> {
        self.iter().find(|block| block.name() == name)
    }

    pub(super) fn at(&self, dir: &Path) -> Result<&Block, String> {
        let found = self.iter().find(|block| block.dir == dir);
        found.ok_or_else(|| format!("{} is no block device any more", dir.display()))
    }

    /// The whole disk; itself when it is one.
    pub(super) fn whole(&self, block: &Block) -> Result<&Block, String> {
        self.at(&block.whole_dir)
    }

    /// Its partitions, in the order of their numbers; none of a partition.
    pub(super) fn partitions(&self, block: &Block) -> Result<Vec<&Block>, String> {
        let of = |other: &&Block| other.is_partition() && other.whole_dir == block.dir;
        let numbered = |other| Ok((Block::number(other, "partition")?, other));
        let all = self.iter().filter(of).map(numbered);
        let mut all = all.collect::<Result<Vec<(u64, &Block)>, String>>()?;
        all.sort_by_key(|(number, _)| *number);
        Ok(all.into_iter().map(|(_, block)| block).collect())
    }

    pub(super) fn holders(&self, block: &Block) -> Result<Vec<&Block>, String> {
        self.all_at(&block.holders)
    }

    /// The devices that it, or its disk, is made of.
    pub(super) fn slaves(&self, block: &Block) -> Result<Vec<&Block>, String> {
        self.all_at(&self.whole(block)?.slaves)
    }

    fn all_at(&self, dirs: &Result<Vec<PathBuf>, String>) -> Result<Vec<&Block>, String> {
        let dirs = dirs.as_ref().map_err(String::clone)?;
        dirs.iter().map(|dir| self.at(dir)).collect()
    }

    /// The file behind it or behind its whole disk; `None` where that is no
    /// loop device, or one with nothing behind it.
    pub(super) fn file(&self, block: &Block) -> Result<Option<&LoopFile>, String> {
        let file = self.whole(block)?.file.as_ref();
        file.map(Option::as_ref).map_err(String::clone)
    }

    /// The block device that a loop device, or the disk of a partition, lies over.
    pub(super) fn below_loop(&self, block: &Block) -> Result<Option<&Block>, String> {
        let found = self.file(block)?.and_then(|file| file.found);
        Ok(match found {
            Some(FileId::Block(dev)) => self.block(dev),
            Some(FileId::File(..)) | None => None,
        })
    }

    /// Loop devices with a file behind them.
    pub(super) fn loops(&self) -> Result<Vec<(&Block, &LoopFile)>, String> {
        let loops = self.iter().filter(|block| !block.is_partition());
        let pair = |block| Ok(self.file(block)?.map(|file| (block, file)));
        loops.filter_map(|block| pair(block).transpose()).collect()
    }

    /// The node of a device. In a name `!` stands for the slash of
    /// `/dev/cciss/c0d0`.
    pub(super) fn node(&self, block: &Block) -> PathBuf {
        self.nodes.join(block.name().replace('!', "/"))
    }

    pub(super) fn shown(&self, block: &Block) -> String {
        self.node(block).to_string_lossy().into_owned()
    }

    pub(super) fn is_node(&self, path: &Path) -> bool {
        path.starts_with(&self.nodes)
    }

    /// The device whose node a path would be, by its name.
    pub(super) fn of_node(&self, path: &Path) -> Option<&Block> {
        let name = path.strip_prefix(&self.nodes).ok()?.to_str()?;
        self.of_name(&name.replace('/', "!"))
    }

    /// The device behind a path of `/proc`'s files: by its node, or by its name
    /// where the node lies out of sight, as in a container.
    pub(super) fn named(&self, path: &Path) -> Option<DevId> {
        if !path.is_absolute() {
            return None;
        }
        match find(path) {
            Ok(FileId::Block(dev)) => Some(dev),
            _ => Some(self.of_name(path.file_name()?.to_str()?)?.dev),
        }
    }

    /// The number printed at the slot with a PCI address.
    pub(super) fn pci_slot(&self, address: &str) -> Option<&str> {
        let is_of = |prefix: &str| {
            let rest = address.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let (slot, _) = self.pci_slots.iter().find(|(_, prefix)| is_of(prefix))?;
        Some(slot)
    }
}

/// How long a file may take to be found. What takes longer lies on a server
/// that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks for the files behind loop devices. They are somebody else's and must
/// not hang this program: one that is not found in time is not, then and ever
/// after.
fn find_files(blocks: &mut [Block]) {
    static SILENT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let silent = || SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut finder = None;
    let files = blocks
        .iter_mut()
        .filter_map(|it| it.file.as_mut().ok()?.as_mut());
    for LoopFile { path, found } in files {
        if found.is_some() || silent().contains(path) {
            continue;
        }
        finder = finder.or_else(Finder::start);
        // Without a thread to lose it is looked for here: what a disk is used
        // for must be known.
        let asked = finder.as_ref().map(|finder| finder.ask(path));
        if let Ok(there) = asked.unwrap_or_else(|| Ok(find(path).ok())) {
            *found = there;
        } else {
            silent().insert(path.clone());
            finder = None;
        }
    }
}

/// A thread that looks for files, one after the other.
struct Finder(Sender<PathBuf>, Receiver<Option<FileId>>);

impl Finder {
    fn start() -> Option<Self> {
        let ((ask, asked), (tell, told)) = (mpsc::channel::<PathBuf>(), mpsc::channel());
        let look = move || {
            let mut answers = asked.iter().map(|path| tell.send(find(&path).ok()));
            // Nobody listens any more after the timeout.
            answers.all(|told| told.is_ok())
        };
        let thread = std::thread::Builder::new().name("finder".into());
        thread.spawn(look).ok().map(|_| Self(ask, told))
    }

    fn ask(&self, path: &Path) -> Result<Option<FileId>, RecvTimeoutError> {
        // Of one that has ended nothing comes.
        let _ = self.0.send(path.to_path_buf());
        self.1.recv_timeout(PATIENCE)
    }
}
