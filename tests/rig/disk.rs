//! Disks with a volatile write cache, served as files over FUSE for loop devices
//! to stand on. A write goes to memory at once, and what it replaced is
//! remembered until a flush that began after it has ended. A cut puts the old
//! bytes back, for all disks in one instant or for one of them alone.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, Session, WriteFlags,
};

use super::memory::Memory;
use crate::support::Dice;
use crate::support::device::quietly;

/// What survives a cut of what was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    None,
    /// Any subset, single writes torn at a sector.
    Random,
    /// The oldest writes.
    Prefix,
    /// All of it: only what never left the host is lost.
    All,
}

/// What a disk was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    Write,
    Flush,
}

/// When the power is cut: at this event of all disks, counted from 1, in place
/// of it.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub at: u64,
    pub keep: Keep,
    /// The disk that alone loses power; `None`: all of them.
    pub only: Option<usize>,
    pub seed: u64,
}

struct Undo {
    offset: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

pub struct Disk {
    pub name: &'static str,
    pub memory: Memory,
    // oldest first: what a cut takes back
    unflushed: Vec<Undo>,
    // of the first in `unflushed`, counted over the life of the disk
    first: u64,
    /// Where the writes of this run ended that reached furthest.
    pub reach: u64,
    /// Sectors of 512 bytes that take no write.
    pub bad: Vec<u64>,
}

/// All disks of one machine, under one lock, so that a cut is one instant.
pub struct Power {
    pub disks: Vec<Disk>,
    /// Events since the last start: the disk, and what it was asked for.
    pub events: Vec<(usize, Asked)>,
    cut: Option<Cut>,
    /// The cut has happened: nothing changes any disk.
    pub is_off: bool,
    /// How long a flush takes at least, so that others overlap with it.
    pub flush_time: Duration,
}

#[derive(Clone)]
pub struct Machine {
    power: Arc<(Mutex<Power>, Condvar)>,
}

impl Machine {
    pub fn new(disks: Vec<(&'static str, Memory)>) -> Self {
        let disks = disks
            .into_iter()
            .map(|(name, memory)| Disk {
                name,
                memory,
                unflushed: Vec::new(),
                first: 0,
                reach: 0,
                bad: Vec::new(),
            })
            .collect();
        let power = Power {
            disks,
            events: Vec::new(),
            cut: None,
            is_off: false,
            flush_time: Duration::ZERO,
        };
        Self {
            power: Arc::new((Mutex::new(power), Condvar::new())),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Power> {
        self.power.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on events are counted, to this cut if there is one.
    pub fn arm(&self, cut: Option<Cut>) {
        let mut power = self.lock();
        power.events.clear();
        power.cut = cut;
        for disk in &mut power.disks {
            disk.reach = 0;
        }
    }

    /// Cuts the power now, unless that has happened.
    pub fn cut_now(&self, keep: Keep, seed: u64) {
        let mut power = self.lock();
        if !power.is_off {
            power.lose(Cut {
                at: 0,
                keep,
                only: None,
                seed,
            });
            self.power.1.notify_all();
        }
    }

    /// Waits for the cut; whether it came before `done` said that there is
    /// nothing to wait for.
    pub fn wait_for_cut(&self, mut done: impl FnMut() -> bool, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut power = self.lock();
        loop {
            if power.is_off {
                return true;
            }
            if done() || Instant::now() > end {
                return power.is_off;
            }
            (power, _) = self
                .power
                .1
                .wait_timeout(power, Duration::from_millis(2))
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until so many events were counted; whether that was before `done`
    /// said that there is nothing to wait for.
    pub fn wait_for_event(&self, event: u64, mut done: impl FnMut() -> bool) -> bool {
        loop {
            if self.lock().events.len() as u64 >= event {
                return true;
            }
            if done() {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// The power comes back; what is in memory is what is on the disks.
    pub fn start(&self) {
        let mut power = self.lock();
        power.is_off = false;
        power.cut = None;
        for disk in &mut power.disks {
            disk.settle(u64::MAX);
        }
    }
}

impl Power {
    /// Whether the next event is the one at which the power goes. Counts it.
    fn goes(&mut self, disk: usize, asked: Asked) -> bool {
        if self.is_off {
            return true;
        }
        self.events.push((disk, asked));
        let Some(cut) = self.cut else {
            return false;
        };
        if self.events.len() as u64 != cut.at {
            return false;
        }
        self.lose(cut);
        // Of one disk alone: the host goes on, and with it the other disks.
        cut.only.is_none()
    }

    fn lose(&mut self, cut: Cut) {
        self.cut = None;
        let mut dice = Dice::new(cut.seed);
        for (number, disk) in self.disks.iter_mut().enumerate() {
            if cut.only.is_none_or(|only| only == number) {
                disk.lose(cut.keep, &mut dice);
            }
        }
        self.is_off = cut.only.is_none();
    }
}

impl Disk {
    fn write(&mut self, offset: u64, data: &[u8]) {
        let old = self.memory.read(offset, data.len());
        self.memory.write(offset, data);
        self.reach = self.reach.max(offset + data.len() as u64);
        self.unflushed.push(Undo {
            offset,
            old,
            new: data.to_vec(),
        });
    }

    /// The number that the next write will have.
    fn mark(&self) -> u64 {
        self.first + self.unflushed.len() as u64
    }

    /// All writes before the mark are on the medium for good.
    fn settle(&mut self, mark: u64) {
        let count = mark.saturating_sub(self.first);
        let count = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(self.unflushed.len());
        self.unflushed.drain(..count);
        self.first += count as u64;
    }

    fn lose(&mut self, keep: Keep, dice: &mut Dice) {
        let mark = self.mark();
        let lost = std::mem::take(&mut self.unflushed);
        self.first = mark;
        for undo in lost.iter().rev() {
            self.memory.write(undo.offset, &undo.old);
        }
        let prefix = dice.below(lost.len() as u64 + 1);
        for (number, undo) in lost.iter().enumerate() {
            let sectors = undo.new.len() as u64 / 512;
            let kept = match keep {
                Keep::All => sectors,
                Keep::Prefix if (number as u64) < prefix => sectors,
                Keep::None | Keep::Prefix => 0,
                Keep::Random => match dice.below(8) {
                    0..4 => 0,
                    4..7 => sectors,
                    _ => dice.below(sectors + 1),
                },
            };
            let kept = usize::try_from(kept * 512).unwrap();
            self.memory.write(undo.offset, &undo.new[..kept]);
        }
    }

    fn is_bad(&self, offset: u64, length: usize) -> bool {
        let (first, end) = (offset / 512, (offset + length as u64).div_ceil(512));
        self.bad.iter().any(|sector| (first..end).contains(sector))
    }
}

const TTL: Duration = Duration::from_secs(3600);
/// Inode of the first disk; the root is 1.
const FIRST: u64 = 2;

struct Server {
    machine: Machine,
}

impl Server {
    fn number(inode: INodeNo) -> Option<usize> {
        usize::try_from(u64::from(inode).checked_sub(FIRST)?).ok()
    }

    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (size, kind) = if inode == INodeNo::ROOT {
            (0, FileType::Directory)
        } else {
            let power = self.machine.lock();
            let disk = power.disks.get(Self::number(inode)?)?;
            (disk.memory.size, FileType::RegularFile)
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: if kind == FileType::Directory {
                0o755
            } else {
                0o600
            },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn write_to(&self, number: usize, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut power = self.machine.lock();
        if power.goes(number, Asked::Write) {
            self.machine.power.1.notify_all();
            // Whoever asked is about to be killed; an error would only be told.
            return Ok(());
        }
        let disk = power.disks.get_mut(number).ok_or(Errno::ENOENT)?;
        if disk.is_bad(offset, data.len()) {
            return Err(Errno::EIO);
        }
        disk.write(offset, data);
        Ok(())
    }

    fn flush_of(&self, number: usize) {
        let (mark, time) = {
            let mut power = self.machine.lock();
            if power.goes(number, Asked::Flush) {
                self.machine.power.1.notify_all();
                return;
            }
            (power.disks[number].mark(), power.flush_time)
        };
        // Others are served meanwhile, and the power may go: then nothing of
        // this flush has happened.
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        let mut power = self.machine.lock();
        if !power.is_off {
            power.disks[number].settle(mark);
        }
    }
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let _ = config.set_max_write(1 << 20);
        let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = {
            let power = self.machine.lock();
            power.disks.iter().position(|disk| name == disk.name)
        };
        let found = number.and_then(|number| self.attributes(INodeNo(FIRST + number as u64)));
        match found {
            Some(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let direct = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        reply.opened(FileHandle(0), direct);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let power = self.machine.lock();
        match Self::number(inode).and_then(|number| power.disks.get(number)) {
            Some(disk) => {
                let length = u64::from(size).min(disk.memory.size.saturating_sub(offset));
                reply.data(&disk.memory.read(offset, usize::try_from(length).unwrap()));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let number = Self::number(inode).ok_or(Errno::ENOENT);
        match number.and_then(|number| self.write_to(number, offset, data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        if let Some(number) = Self::number(inode) {
            self.flush_of(number);
        }
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // What close() sends; it flushes nothing.
        reply.ok();
    }
}

/// The disks as files in a folder; gone when dropped.
pub struct Served {
    folder: PathBuf,
    session: Option<fuser::BackgroundSession>,
}

impl Served {
    pub fn at(folder: &Path, machine: &Machine) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let server = Server {
            machine: machine.clone(),
        };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("rig".into())];
        config.n_threads = Some(4);
        config.clone_fd = true;
        let session = Session::new(server, folder, &config).unwrap();
        Self {
            folder: folder.into(),
            session: Some(session.spawn().unwrap()),
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The kernel lets go of a loop device some time after it was detached, and
        // until then the mount is busy.
        for _ in 0..250 {
            if quietly("umount", &[self.folder.as_os_str()]) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.session.take());
    }
}
