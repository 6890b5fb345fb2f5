//! The disks of a machine as files over FUSE, for loop devices to stand on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, Session, WriteFlags,
};

use super::disk::Machine;
use crate::support::device::unmount;

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
        let number = Self::number(inode);
        match number.and_then(|number| self.machine.read_from(number, offset, size.into())) {
            Some(bytes) => reply.data(&bytes),
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
        let number = Self::number(inode);
        match number.and_then(|number| self.machine.write_to(number, offset, data)) {
            Some(true) => reply.written(u32::try_from(data.len()).unwrap()),
            Some(false) => reply.error(Errno::EIO),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match Self::number(inode).map(|number| self.machine.flush_of(number)) {
            Some(false) => reply.error(Errno::EIO),
            _ => reply.ok(),
        }
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
        unmount(&self.folder, 250);
        drop(self.session.take());
    }
}
