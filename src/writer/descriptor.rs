//! The one descriptor of a target: opened once by its path, so that a node that
//! vanishes or is replaced later changes nothing.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use memmap2::MmapMut;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::statfs::fstatfs;

use super::file_system::magic;
use super::lock::Lock;
use super::presence::ServedBy;
use super::watch::{Role, Watch};
use crate::drive::{Cleared, DevId, Device, Node};
use crate::engine::MIN_CHUNK;
use crate::probe::Host;
use crate::text::{MIB, size};

/// How long another run that only looks may hold a drive.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);
/// How often a busy device is tried again within that time.
const BUSY_RETRY: Duration = Duration::from_millis(50);
/// Bytes that are read at each of three places to measure the speed.
const PROBE: u64 = 32 * MIB;
/// So many are enough where they came faster than any disk turns: a hard disk
/// may give the first few megabytes from its own memory.
const PROBE_FAST: (u64, Duration) = (8 * MIB, Duration::from_millis(8));
/// A slow drive is not measured for longer at one place.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);

/// A target that is open, for writing or for reading alone.
#[derive(Debug)]
pub struct Writer {
    pub(super) file: File,
    pub(super) is_block: bool,
    // > 0
    pub(super) size: u64,
    // power of two, <= MIN_CHUNK
    pub(super) alignment: u64,
    pub(super) physical_block: u64,
    pub(super) direct: bool,
    pub(super) keeper: ServedBy,
    pub(super) node: Node,
    pub(super) host: Host,
    // none of what is no file
    pub(super) watch: Option<Arc<Watch>>,
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
    pub fn open(host: &Host, cleared: &Cleared, lock: Lock) -> Result<Self, OpenError> {
        Self::opened(host, cleared.device(), lock, Access::Write)
    }

    /// The same for reading alone: a write to it fails.
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
        let keeper = if is_block {
            ServedBy::Block
        } else {
            keeper_of(&file)
        };
        Ok(Self {
            file,
            is_block,
            size,
            alignment,
            physical_block,
            direct,
            keeper,
            node: device.node.clone(),
            host: host.clone(),
            watch: watched(device, &lock)?.map(Arc::new),
            _lock: lock,
        })
    }

    /// The file that is watched: the image, or the one below a loop device as
    /// far as that can be found.
    pub fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    /// Whether reads and writes bypass the page cache.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Bytes a second that the target gives when read at its start, middle and
    /// end; `None` where that says nothing, as it is too small. Reads only.
    /// Fails where nothing can be read at any place.
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

    pub(super) fn write_buffered(&self, data: &[u8], offset: u64) -> io::Result<()> {
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
    let deadline = Instant::now() + OPEN_PATIENCE;
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
pub(super) fn end_of(mut file: &File) -> io::Result<u64> {
    // All reads and writes say where; the position is free for this.
    io::Seek::seek(&mut file, io::SeekFrom::End(0))
}

impl AsRawFd for Writer {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
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

fn keeper_of(file: &File) -> ServedBy {
    fstatfs(file).map_or(ServedBy::Served, |fs| {
        ServedBy::of_file_system(magic(fs.filesystem_type()))
    })
}
