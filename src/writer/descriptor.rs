//! The device writer: one descriptor, aligned exact I/O, sync.
//!
//! Nothing else in the program writes to a target. The path is opened once; a
//! node that vanishes or is replaced later changes nothing.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

use memmap2::MmapMut;
use nix::fcntl::{FcntlArg, OFlag, PosixFadviseAdvice, fcntl, posix_fadvise};
use nix::sys::statfs::{FsType, fstatfs};
use nix::sys::statvfs::fstatvfs;

use super::presence::{Kind, Meaning, meaning};
use super::watch::{Role, Watch};
use crate::drive::{Cleared, DevId, Device, Node, identity};
use crate::engine::{MIN_CHUNK, Presence, State, Target};
use crate::plan::Plan;
use crate::probe::Host;
use crate::text::{MIB, reason, size};

/// How long somebody else may hold a lock: udev does now and then, for moments.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How often a busy device is tried again within that time.
const BUSY_RETRY: Duration = Duration::from_millis(50);
/// Bytes that are read at each of three places to measure the speed.
const PROBE: u64 = 32 * MIB;
/// So many are enough where they came faster than any disk turns: a hard disk
/// may give the first few megabytes from its own memory.
const PROBE_FAST: (u64, Duration) = (8 * MIB, Duration::from_millis(8));
/// How long a call is tried again that the kernel could not do for now.
const PASSING: Duration = Duration::from_secs(3);
/// How often within that time.
const PASSING_RETRY: Duration = Duration::from_millis(100);
/// Places that are read to tell a bad block from a server that fails.
const ELSEWHERE: u64 = 4;
/// A slow drive is not measured for longer at one place.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);

/// Holds a drive or image against every other run, until dropped.
#[derive(Debug)]
pub struct Lock {
    // the node or the image, and the file below a loop device
    files: Vec<File>,
}

/// Why a drive could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another program holds it.
    Held,
    /// It cannot be opened.
    Io(io::Error),
    /// Another program holds it, and there is no thread to wait with.
    NoThread(io::Error),
}

/// Locks the whole disk, or the image; of a loop device its backing file too,
/// as a run on the file would not see one on the device; `others`: nodes that
/// lead to the same drive.
///
/// # Errors
/// See [`LockError`].
pub fn lock(device: &Device, others: &[PathBuf]) -> Result<Lock, LockError> {
    // Each with the inode that it must be; a node's own does not matter.
    let mut paths: Vec<(PathBuf, Option<u64>)> = Vec::new();
    match &device.node {
        Node::Block { whole_path, .. } => {
            // In the order of their numbers, so that of two runs that come by
            // different paths one gets all and the other none.
            let mut nodes = [std::slice::from_ref(whole_path), others].concat();
            nodes.sort_by_key(|node| std::fs::metadata(node).map_or(0, |meta| meta.rdev()));
            paths.extend(nodes.into_iter().map(|node| (node, None)));
            let backing = device
                .identity
                .backing
                .as_ref()
                .filter(|backing| backing.inode != 0);
            let file = backing.and_then(|backing| {
                Some((identity::path_from_text(&backing.path)?, backing.inode))
            });
            // A backing file that is deleted has no name to lock it by; the
            // guard refuses what may be another name of it.
            paths.extend(file.map(|(path, inode)| (path, Some(inode))));
        }
        Node::Image { inode, .. } => paths.push((device.path.clone(), Some(*inode))),
    }
    let deadline = Instant::now() + LOCK_PATIENCE;
    let files = paths
        .into_iter()
        .map(|(path, inode)| {
            let file = OpenOptions::new()
                .read(true)
                .open(path)
                .map_err(LockError::Io)?;
            let found = file.metadata().map_err(LockError::Io)?.ino();
            if inode.is_some_and(|inode| inode != found) {
                return Err(LockError::Io(ErrorKind::NotFound.into()));
            }
            wait_for_lock(file, deadline)
        })
        .collect::<Result<_, _>>()?;
    Ok(Lock { files })
}

fn wait_for_lock(file: File, deadline: Instant) -> Result<File, LockError> {
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    // flock has no timeout. When the time is over the thread is left behind; it
    // drops the lock should it still come.
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .spawn(move || {
            let result = file.lock().map(|()| file);
            let _ = sender.send(result);
        })
        .map_err(LockError::NoThread)?;
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(result) => result.map_err(LockError::Io),
        Err(_) => Err(LockError::Held),
    }
}

/// A target that is open, for writing or for reading alone.
#[derive(Debug)]
pub struct Writer {
    file: File,
    is_block: bool,
    // > 0
    size: u64,
    // power of two, <= MIN_CHUNK
    alignment: u64,
    physical_block: u64,
    direct: bool,
    kind: Kind,
    node: Node,
    host: Host,
    // none of what is no file
    watch: Option<Arc<Watch>>,
    _lock: Lock,
}

/// What a target is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Why a cleared device could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Somebody else uses it now.
    InUse,
    /// It is not the device that was looked at; what differs.
    Changed(String),
    /// The kernel's error.
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Writer {
    /// Opens a device for writing: an existing node only, exclusively, past the
    /// page cache; and checks that it is the one that was cleared.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(host: &Host, cleared: &Cleared, lock: Lock) -> Result<Self, OpenError> {
        Self::opened(host, cleared.device(), lock, Access::Write)
    }

    /// The same for reading alone: a write to it fails.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_to_read(host: &Host, device: &Device, lock: Lock) -> Result<Self, OpenError> {
        Self::opened(host, device, lock, Access::Read)
    }

    fn opened(host: &Host, device: &Device, lock: Lock, access: Access) -> Result<Self, OpenError> {
        let is_block = matches!(device.node, Node::Block { .. });
        let (file, direct) = open_patiently(device, is_block, access)?;
        let meta = file.metadata()?;
        let same = match &device.node {
            Node::Block { dev, .. } => {
                meta.file_type().is_block_device() && DevId::from_raw(meta.rdev()) == *dev
            }
            Node::Image { dev, inode } => {
                meta.is_file() && (meta.dev(), meta.ino()) == (*dev, *inode)
            }
        };
        if !same {
            return Err(OpenError::Changed(
                "the path leads to something else".into(),
            ));
        }
        let size = end_of(&file)?;
        if size != device.size {
            let why = format!("its size was {} bytes and is {size}", device.size);
            return Err(OpenError::Changed(why));
        }
        let alignment = if is_block {
            u64::from(device.logical_block)
        } else {
            MIN_CHUNK
        };
        if !alignment.is_power_of_two() || alignment > MIN_CHUNK {
            let why = format!("logical blocks of {alignment} bytes");
            return Err(OpenError::Io(io::Error::new(ErrorKind::Unsupported, why)));
        }
        let physical_block = u64::from(device.physical_block).next_multiple_of(alignment);
        let kind = if is_block {
            Kind::Block
        } else {
            kind_of(&file)
        };
        Ok(Self {
            file,
            is_block,
            size,
            alignment,
            physical_block,
            direct,
            kind,
            node: device.node.clone(),
            host: host.clone(),
            watch: watched(device, &lock)?.map(Arc::new),
            _lock: lock,
        })
    }

    /// The file that is watched: the image, or the one below a loop device as
    /// far as that can be found.
    #[must_use]
    pub fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    /// Whether reads and writes bypass the page cache.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Bytes a second that the target gives when read at its start, middle and
    /// end; `None` where that says nothing, as it is too small. Reads only.
    ///
    /// # Errors
    /// When nothing can be read at any of the three places.
    pub fn read_speed(&self) -> io::Result<Option<u64>> {
        let mut buffer = MmapMut::map_anon(size::memory(MIB))?;
        let span = PROBE.min(self.size / 3) / MIB * MIB;
        let last = (self.size - span) / MIN_CHUNK * MIN_CHUNK;
        let (mut bytes, mut time, mut failure) = (0_u64, Duration::ZERO, None);
        for place in [0, last / 2 / MIN_CHUNK * MIN_CHUNK, last] {
            let (begun, mut at) = (Instant::now(), place);
            while at < place + span && begun.elapsed() < PROBE_PATIENCE {
                if let Err(error) = self.file.read_exact_at(&mut buffer, at) {
                    failure = Some(error);
                    break;
                }
                at += buffer.len() as u64;
                if at - place == PROBE_FAST.0 && begun.elapsed() < PROBE_FAST.1 {
                    break;
                }
            }
            bytes += at - place;
            time += begun.elapsed();
        }
        match failure {
            Some(error) if bytes == 0 => Err(error),
            _ if bytes == 0 => Ok(None),
            _ => {
                let speed = u128::from(bytes) * 1_000_000 / time.as_micros().max(1);
                Ok(u64::try_from(speed).ok())
            }
        }
    }

    fn set_direct(&self, direct: bool) -> io::Result<()> {
        let flags = OFlag::from_bits_retain(fcntl(&self.file, FcntlArg::F_GETFL)?);
        let mut wanted = flags;
        wanted.set(OFlag::O_DIRECT, direct);
        fcntl(&self.file, FcntlArg::F_SETFL(wanted))?;
        Ok(())
    }

    fn write_buffered(&self, data: &[u8], offset: u64) -> io::Result<()> {
        // Not synced here: the kernel reports a failed write-back only once, and
        // it is the checkpoint cycle that must hear of it.
        self.set_direct(false)?;
        let written = self.file.write_all_at(data, offset);
        self.set_direct(true)?;
        written
    }
}

fn open_patiently(
    device: &Device,
    is_block: bool,
    access: Access,
) -> Result<(File, bool), OpenError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    let exclusive = if is_block {
        OFlag::O_EXCL
    } else {
        OFlag::empty()
    };
    let open = |extra: OFlag| {
        OpenOptions::new()
            .read(true)
            .write(access == Access::Write)
            .custom_flags((exclusive | extra | OFlag::O_CLOEXEC).bits())
            .open(&device.path)
    };
    loop {
        match open(OFlag::O_DIRECT) {
            Ok(file) => return Ok((file, true)),
            // A file system without direct I/O; block devices always have it.
            Err(error) if error.raw_os_error() == Some(22) && !is_block => {
                return Ok((open(OFlag::empty())?, false));
            }
            // Another run that only looks holds it for moments. Nothing tells
            // when it lets go, so it is asked again.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                if Instant::now() >= deadline {
                    return Err(OpenError::InUse);
                }
                thread::sleep(BUSY_RETRY);
            }
            Err(error) => return Err(OpenError::Io(error)),
        }
    }
}

/// Bytes of a device or file; 0 for a device that has gone.
fn end_of(mut file: &File) -> io::Result<u64> {
    // All reads and writes say where; the position is free for this.
    io::Seek::seek(&mut file, io::SeekFrom::End(0))
}

/// Does a call again that the kernel could not do for now.
fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let begun = Instant::now();
    loop {
        match call() {
            Err(error) if is_passing(&error) && begun.elapsed() < PASSING => {
                // Nothing tells when there is memory again.
                if error.kind() != ErrorKind::Interrupted {
                    thread::sleep(PASSING_RETRY);
                }
            }
            result => return result,
        }
    }
}

/// Whether an error says nothing of the target; it means the same for all kinds.
fn is_passing(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| meaning(Kind::Block, code) == Meaning::Passing)
}

impl AsRawFd for Writer {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Target for Writer {
    fn size(&self) -> u64 {
        self.size
    }

    fn alignment(&self) -> u64 {
        self.alignment
    }

    fn physical_block(&self) -> u64 {
        self.physical_block
    }

    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if let Some(watch) = self.watch.as_ref().filter(|watch| watch.is_near()) {
            // A file that somebody cut off would grow again under this write,
            // and nobody could tell any more that old data got away.
            watch.glance().map_err(io::Error::other)?;
        }
        retried(|| self.file.write_all_at(data, offset))
    }

    fn read(&self, data: &mut [u8], offset: u64) -> io::Result<()> {
        retried(|| self.file.read_exact_at(data, offset))
    }

    fn write_tail(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if self.is_block || !self.direct {
            // The last bytes of a device that are less than its own block
            // cannot be written, and the kernel says so at once only here.
            return retried(|| self.file.write_all_at(data, offset));
        }
        retried(|| self.write_buffered(data, offset))
    }

    fn read_tail(&self, data: &mut [u8], offset: u64, length: usize) -> io::Result<()> {
        let read = retried(|| self.file.read_at(data, offset))?;
        if read == length {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    fn sync(&self) -> io::Result<()> {
        if planted!("no-device-sync") {
            return Ok(());
        }
        // Even with direct I/O: it flushes the drive's cache, and a direct
        // write may have fallen back to a buffered one.
        self.file.sync_data()
    }

    fn begin_read_back(&self) -> io::Result<()> {
        if !self.direct {
            self.file.sync_data()?;
        }
        // A file system may take O_DIRECT and serve reads from memory all the same:
        // ext4 with data=journal does.
        if !self.is_block {
            posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        }
        Ok(())
    }

    fn is_whole(&self) -> Result<(), String> {
        if let Some(watch) = &self.watch {
            watch.glance()?;
        }
        match end_of(&self.file).map_err(|error| reason(&error))? {
            size if size == self.size => Ok(()),
            0 => Err("it has gone (its size is now 0)".into()),
            size => Err(format!(
                "its size was {} bytes and is now {size}",
                self.size
            )),
        }
    }

    fn look(&self, state: &State, plan: &Plan) -> Result<(), String> {
        self.is_whole()?;
        self.watch
            .as_ref()
            .map_or(Ok(()), |watch| watch.look(state, plan))
    }

    fn presence(&self, error: &io::Error) -> Presence {
        let why = reason(error);
        let ends = |what: &str| Presence::Gone(format!("{what}: {why}"));
        let code = error.raw_os_error();
        if code.is_some_and(|code| meaning(self.kind, code) == Meaning::ServerGone) {
            // It could not be asked for its size either.
            return ends("what serves it has gone");
        }
        if let Err(gone) = self.still_there() {
            return Presence::Gone(gone);
        }
        let Some(errno) = code else {
            // A range that ended early, of a target that is as large as ever.
            return Presence::Present;
        };
        match meaning(self.kind, errno) {
            Meaning::Bad if self.is_full_below() => ends("what lies below it is full"),
            Meaning::Bad => Presence::Present,
            Meaning::BadUnlessAll if self.reads_elsewhere() => Presence::Present,
            Meaning::BadUnlessAll => ends("its server answers nothing but errors"),
            Meaning::Passing => Presence::Passing(format!(
                "the system could not do it for {} seconds: {why}",
                PASSING.as_secs()
            )),
            Meaning::Gone if self.is_block => Presence::Gone("it has gone".into()),
            Meaning::Gone => ends("it has gone"),
            Meaning::ServerGone => ends("what serves it has gone"),
            Meaning::Full if self.is_block => ends("what lies below it is full"),
            Meaning::Full => ends("its file system cannot hold it"),
            Meaning::MayNotWrite => ends("it may not be written any more"),
            Meaning::Ends => ends("its file system fails"),
        }
    }
}

impl Writer {
    /// Whether the target that is open is still there, and as it was.
    fn still_there(&self) -> Result<(), String> {
        if let Node::Block { dev, diskseq, .. } = self.node
            && let Some(why) = self.host.has_gone(dev, diskseq)
        {
            return Err(why);
        }
        self.is_whole()
    }

    /// The file below, where this is a loop device over one.
    fn below(&self) -> Option<&File> {
        let watch = self.watch.as_ref().filter(|_| self.is_block);
        watch.map(|watch| watch.file())
    }

    /// Whether the file below a loop device asks for room that its file system
    /// has not: the loop driver makes a plain EIO of that.
    fn is_full_below(&self) -> bool {
        let full = |file: &File| {
            // One that gives no size of itself, as many on FUSE, tells nothing.
            let full = fstatvfs(file).is_ok_and(|fs| fs.blocks() > 0 && fs.blocks_free() == 0);
            let meta = file.metadata().ok()?;
            // Elsewhere a write to what is there needs no room.
            let copies = fstatfs(file).is_ok_and(|fs| !writes_in_place(fs.filesystem_type()));
            Some(full && (copies || meta.blocks() * 512 < meta.len()))
        };
        self.below().and_then(full).unwrap_or(false)
    }

    /// Whether anything of the target can still be read.
    fn reads_elsewhere(&self) -> bool {
        let Ok(mut buffer) = MmapMut::map_anon(size::memory(MIN_CHUNK)) else {
            return true;
        };
        let step = (self.size / ELSEWHERE / MIN_CHUNK * MIN_CHUNK).max(MIN_CHUNK);
        let read = |at: u64| match self.file.read_at(&mut buffer, at) {
            Ok(_) => true,
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(0);
                meaning(self.kind, code) == Meaning::Passing
            }
        };
        (0..ELSEWHERE).map(|place| place * step).any(read)
    }
}

/// Watches the image, or the file below a loop device.
fn watched(device: &Device, lock: &Lock) -> io::Result<Option<Watch>> {
    let (file, role) = match (&device.node, lock.files.as_slice()) {
        (Node::Image { .. }, [image, ..]) => (image, Role::Image),
        // Behind the nodes of all paths; a disk of several has no file below.
        (Node::Block { .. }, [_, .., below]) if device.identity.backing.is_some() => {
            let offset = device.identity.backing.as_ref().map_or(0, |b| b.offset);
            let start = device.identity.slice.as_ref().map_or(0, |s| s.start);
            let base = offset.saturating_add(start);
            (below, Role::Below { base })
        }
        _ => return Ok(None),
    };
    Watch::begin(file.try_clone()?, role, device.size).map(Some)
}

/// The kind of a file's file system.
fn kind_of(file: &File) -> Kind {
    fstatfs(file).map_or(Kind::Served, |fs| {
        Kind::of_file_system(magic(fs.filesystem_type()))
    })
}

/// The number of a kind of file system; its type differs from machine to
/// machine, and it has 32 bits.
pub(super) fn magic(kind: FsType) -> u64 {
    u64::try_from(i128::from(kind.0) & 0xffff_ffff).unwrap_or(0)
}

/// Whether a file system writes new data over the old.
fn writes_in_place(kind: FsType) -> bool {
    const IN_PLACE: [u64; 7] = [
        0xef53,      // ext
        0x5846_5342, // xfs
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x4d44,      // vfat
        0x2011_bab0, // exfat
        0x7366_746e, // ntfs3
    ];
    IN_PLACE.contains(&magic(kind))
}
