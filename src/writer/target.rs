//! The descriptor as the engine sees it: aligned exact I/O, and what an error of it
//! means.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};
use std::{io, thread};

use memmap2::MmapMut;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::fstatfs;
use nix::sys::statvfs::fstatvfs;

use super::Writer;
use super::descriptor::end_of;
use super::file_system::{Does, does, magic};
use super::presence::{Meaning, ServedBy, meaning};
use crate::drive::Node;
use crate::engine::{MIN_CHUNK, Presence, State, Target};
use crate::plan::Plan;
use crate::text::{reason, size};

/// How long a call is tried again that the kernel could not do for now.
const PASSING: Duration = Duration::from_secs(3);

/// How often within that time.
const PASSING_RETRY: Duration = Duration::from_millis(100);

/// Places that are read to tell a bad block from a server that fails.
const ELSEWHERE: u64 = 4;

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
    code.is_some_and(|code| meaning(ServedBy::Block, code) == Meaning::Passing)
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
        if code.is_some_and(|code| meaning(self.keeper, code) == Meaning::ServerGone) {
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
        match meaning(self.keeper, errno) {
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
            let copies =
                fstatfs(file).is_ok_and(|fs| does(magic(fs.filesystem_type())) < Does::InPlace);
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
                meaning(self.keeper, code) == Meaning::Passing
            }
        };
        (0..ELSEWHERE).map(|place| place * step).any(read)
    }
}
