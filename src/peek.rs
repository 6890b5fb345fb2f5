//! Reads a part of a file or device that may be a target, beside the target:
//! whether it shows the same bytes. Takes no lock and never writes.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::engine::{MIN_CHUNK, Presence, Target};
use crate::extent::Extent;

/// A range of a file or device, for reading alone.
#[derive(Debug)]
pub struct Peek {
    file: File,
    range: Extent,
}

impl Peek {
    /// Opens all of a file or block device; past the page cache where it is a
    /// device, whose other paths have a cache of their own.
    ///
    /// # Errors
    /// The kernel's; `InvalidInput` where it is something else or has no bytes.
    pub fn open(path: &Path) -> io::Result<Self> {
        let kind = std::fs::metadata(path)?.file_type();
        let mut flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        if kind.is_block_device() {
            flags |= OFlag::O_DIRECT;
        } else if !kind.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        let range = Extent::new(0, end).ok_or(ErrorKind::InvalidInput)?;
        Ok(Self { file, range })
    }

    /// Only `size` bytes from `offset` on; `None` where it is shorter.
    #[must_use]
    pub fn part(self, offset: u64, size: u64) -> Option<Self> {
        let range = Extent::new(offset, size)?;
        (range.end() <= self.range.end()).then_some(Self { range, ..self })
    }
}

impl Target for Peek {
    fn size(&self) -> u64 {
        self.range.length()
    }
    fn alignment(&self) -> u64 {
        MIN_CHUNK
    }
    fn physical_block(&self) -> u64 {
        MIN_CHUNK
    }
    fn write(&self, _data: &[u8], _offset: u64) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }
    fn read(&self, data: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(data, self.range.start() + offset)
    }
    fn write_tail(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.write(data, offset)
    }
    fn read_tail(&self, data: &mut [u8], offset: u64, length: usize) -> io::Result<()> {
        self.read(&mut data[..length], offset)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn begin_read_back(&self) -> io::Result<()> {
        Ok(())
    }
    fn is_whole(&self) -> Result<(), String> {
        Ok(())
    }
    fn presence(&self, error: &io::Error) -> Presence {
        // What is gone cannot be read.
        match error.kind() {
            ErrorKind::UnexpectedEof => Presence::Gone("it has gone".into()),
            _ => Presence::Present,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_read_and_never_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(9000).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        let peek = Peek::open(file.path()).unwrap();
        assert_eq!(peek.size(), 9000);
        let part = peek.part(512, 8000).unwrap();
        let mut found = [0; 100];
        part.read(&mut found, 4096).unwrap();
        assert_eq!(found, bytes[4608..4708]);
        assert!(part.write(&[1], 0).is_err());
        assert!(Peek::open(file.path()).unwrap().part(512, 8500).is_none());
        assert!(Peek::open(Path::new("/")).is_err());
        assert!(Peek::open(Path::new("/dev/null")).is_err());
    }
}
