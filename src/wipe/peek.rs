//! Reads a part of a file or device that may be a target, beside the target:
//! whether it shows the same bytes. Takes no lock and never writes.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use memmap2::MmapMut;
use nix::fcntl::OFlag;

use crate::engine::{MIN_CHUNK, Presence, Target};
use crate::plan::Extent;
use crate::text::{MIB, size};

#[derive(Debug)]
pub(super) struct Peek {
    file: File,
    range: Extent,
}

impl Peek {
    /// Opens all of a file or block device; past the page cache where it is a
    /// device, whose other paths have a cache of their own.
    /// `InvalidInput` where it is something else or has no bytes.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
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
    pub(super) fn part(self, offset: u64, size: u64) -> Option<Self> {
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

/// Blocks that have to be equal, besides both ends, and have to tell something.
const TELLING: usize = 64;
/// So many are looked at for those.
const LOOKED_AT: usize = 1024;
/// The smallest part at the end that places are drawn from, as a power of one
/// half: what RAID controllers and partition tables keep there, which drives may
/// have in common, is less.
const NEAREST: u64 = 8;
/// A block that repeats after so many bytes may stand on many drives.
const PERIOD: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// They are one drive: the first and last MiB are equal, and the same blocks
    /// at 64 random places, none of which is constant or repeats.
    Same,
    /// All that was looked at is equal, but so it is on any two drives that are
    /// blank or full of zeros.
    Alike,
    Different,
}

/// Compares two disks of one name. What a wipe left constant tells nothing, and
/// what it has not come to yet lies at the end: every second place is drawn from
/// a part there.
pub(super) fn compare(
    one: &dyn Target,
    other: &dyn Target,
    draw: &mut dyn FnMut(u64) -> u64,
) -> io::Result<Likeness> {
    let blocks = one.size() / MIN_CHUNK;
    if one.size() != other.size() || blocks == 0 {
        return Ok(Likeness::Different);
    }
    let end = blocks * MIN_CHUNK;
    let ends = [
        Extent::new(0, end.min(MIB)),
        Extent::between(end.saturating_sub(MIB), end),
    ];
    let memory = || MmapMut::map_anon(size::memory(MIB));
    let (mut here, mut there) = (memory()?, memory()?);
    let mut equal = |place: Extent| {
        let length = size::memory(place.length());
        let (here, there) = (&mut here[..length], &mut there[..length]);
        one.read(here, place.start())?;
        other.read(there, place.start())?;
        io::Result::Ok((here == there).then(|| is_telling(here)))
    };
    for place in ends.into_iter().flatten() {
        if equal(place)?.is_none() {
            return Ok(Likeness::Different);
        }
    }
    let mut telling = HashSet::new();
    for number in 0..LOOKED_AT {
        let span = if number % 2 == 0 {
            blocks
        } else {
            (blocks >> draw(NEAREST + 1)).max(1)
        };
        let block = blocks - 1 - draw(span);
        let Some(place) = Extent::new(block * MIN_CHUNK, MIN_CHUNK) else {
            return Ok(Likeness::Alike);
        };
        match equal(place)? {
            None => return Ok(Likeness::Different),
            Some(false) => {}
            Some(true) => {
                telling.insert(block);
            }
        }
        if telling.len() == TELLING {
            return Ok(Likeness::Same);
        }
    }
    Ok(Likeness::Alike)
}

/// Whether a block is neither constant nor repeats a short pattern.
fn is_telling(block: &[u8]) -> bool {
    let repeats = |period: usize| block[period..] == block[..block.len() - period];
    !(1..=PERIOD.min(block.len() / 2)).any(repeats)
}

/// A number below `below` to look at. Without randomness the places are known
/// beforehand, which helps only somebody who forges the content.
pub(super) fn draw(below: u64) -> u64 {
    let mut bytes = [0x5A; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes) % below.max(1)
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

    /// A file of so many blocks, each of which tells its number where `telling`
    /// says so and is zero otherwise.
    fn disk(blocks: u64, telling: impl Fn(u64) -> bool) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = Vec::new();
        for block in 0..blocks {
            for word in 0..MIN_CHUNK / 8 {
                let telling = telling(block);
                let number = if telling { block * 1000 + word } else { 0 };
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn shown(one: &tempfile::NamedTempFile, other: &tempfile::NamedTempFile) -> Likeness {
        let open = |file: &tempfile::NamedTempFile| Peek::open(file.path()).unwrap();
        let mut dice = 7_u64;
        let mut draw = |below: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % below
        };
        compare(&open(one), &open(other), &mut draw).unwrap()
    }

    #[test]
    fn two_disks_are_one_only_if_what_they_show_tells_something() {
        use Likeness::{Alike, Different, Same};
        let all = disk(1024, |_| true);
        assert_eq!(shown(&all, &disk(1024, |_| true)), Same);
        assert_eq!(shown(&all, &disk(1023, |_| true)), Different);
        // The first block, the last, one in ten.
        let other = |telling: fn(u64) -> bool| shown(&all, &disk(1024, telling));
        assert_eq!(other(|block| block > 0), Different);
        assert_eq!(other(|block| block < 1023), Different);
        assert_eq!(other(|block| block % 10 > 0), Different);
        // Blank drives look alike.
        let blank = disk(1024, |_| false);
        assert_eq!(shown(&blank, &disk(1024, |_| false)), Alike);
        let half = |block| block < 512;
        assert_eq!(shown(&disk(1024, half), &disk(1024, half)), Same);
        // The same few blocks, looked at again and again, are not 64.
        let few = |block| block >= 16_384 - 63;
        assert_eq!(shown(&disk(16_384, few), &disk(16_384, few)), Alike);
    }

    #[test]
    fn what_a_controller_keeps_at_the_end_does_not_tell() {
        use std::os::unix::fs::FileExt;
        // 4 GiB, of which the last 800 KiB are metadata as on each member.
        let member = || {
            let metadata = std::fs::read(disk(200, |_| true).path()).unwrap();
            let file = tempfile::NamedTempFile::new().unwrap();
            let at = 1_000_000 * MIN_CHUNK;
            file.as_file().write_all_at(&metadata, at).unwrap();
            file
        };
        assert_eq!(shown(&member(), &member()), Likeness::Alike);
    }

    #[test]
    fn what_a_wipe_has_not_come_to_yet_tells() {
        // 1.2 % of 64 MiB are left.
        let rest = |block| block >= 16_384 - 200;
        assert_eq!(
            shown(&disk(16_384, rest), &disk(16_384, rest)),
            Likeness::Same
        );
    }

    #[test]
    fn a_block_that_repeats_tells_nothing() {
        assert!(!is_telling(&[0; 4096]));
        assert!(!is_telling(&[0x55, 0xaa].repeat(2048)));
        assert!(!is_telling(&[0x92, 0x49, 0x24].repeat(1366)[..4096]));
        let mut block = [0; 4096];
        block[2000] = 1;
        assert!(is_telling(&block));
    }
}
