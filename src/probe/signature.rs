//! What is on a device, by the signatures that formats put at fixed places.
//!
//! For people to recognise their data by, not for deciding: a device without a
//! known signature is not thereby empty.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::member;
use super::sysfs::stripped;
use crate::drive::{Signature, file_kind};

/// Covers the btrfs superblock at 64 KiB, the farthest of the cheap ones.
const HEAD: usize = 70 * 1024;

type Format = (&'static str, Option<String>);

/// What is on the device or image of this name and size at a path.
pub(super) fn of(name: String, path: &Path, size: u64) -> Signature {
    let (what, label) = look(path, size).unzip();
    let label = label.flatten();
    Signature {
        name,
        size,
        group: what.and_then(|what| member::group(path, what, label.as_deref())),
        what,
        label,
    }
}

/// What is on the device or image at a path of `size` bytes; `None` when
/// nothing known was found or it cannot be read.
fn look(path: &Path, size: u64) -> Option<Format> {
    let file = File::open(path).ok()?;
    let head = read(&file, 0, HEAD);
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
    let of_file = |kind: fn(&[u8]) -> Option<&'static str>| {
        is_file
            .then(|| kind(&head))
            .flatten()
            .map(|what| (what, None))
    };
    of_file(file_kind::virtual_disk)
        .or_else(|| member(&head))
        .or_else(|| array_at_end(&file, size))
        .or_else(|| gpt(&head))
        .or_else(|| file_system(&head))
        .or_else(|| zfs(&file))
        .or_else(|| mbr(&head))
        .or_else(|| of_file(file_kind::no_disk))
}

/// Up to `length` bytes; fewer at the end or where it cannot be read.
fn read(file: &File, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut have = 0;
    while have < length {
        match file.read_at(&mut bytes[have..], offset + have as u64) {
            Ok(n) if n > 0 => have += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    bytes.truncate(have);
    bytes
}

/// The bytes there; empty where the device ends before.
fn at(bytes: &[u8], offset: usize, length: usize) -> &[u8] {
    bytes.get(offset..offset + length).unwrap_or_default()
}

fn le32(bytes: &[u8], offset: usize) -> u32 {
    at(bytes, offset, 4)
        .try_into()
        .map_or(0, u32::from_le_bytes)
}

fn le16(bytes: &[u8], offset: usize) -> u16 {
    at(bytes, offset, 2)
        .try_into()
        .map_or(0, u16::from_le_bytes)
}

/// md superblock versions 0.90 to 1.2: `include/uapi/linux/raid/md_p.h`.
const MD_MAGIC: u32 = 0xa92b_4efc;
/// `bcache_magic`: `drivers/md/bcache/bcache_ondisk.h`.
const BCACHE: [u8; 16] = [
    0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
];

/// `BCHFS_MAGIC`: `fs/bcachefs/bcachefs_format.h`.
const BCACHEFS: [u8; 16] = [
    0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef,
];

/// Parts of something larger. They come first, since what is inside an array
/// with its description at the end looks like a file system from here.
fn member(head: &[u8]) -> Option<Format> {
    // LUKS1 and LUKS2 on-disk format specifications: magic at 0; LUKS2 has a
    // label of 48 bytes at 24.
    if at(head, 0, 6) == b"LUKS\xba\xbe" {
        let second = at(head, 6, 2) == [0, 2];
        return Some(("LUKS", label(at(head, 24, 48)).filter(|_| second)));
    }
    // LVM2, lib/format_text/layout.h and lib/label/label.h: in one of the first
    // four sectors.
    let lvm = |sector: usize| {
        at(head, sector * 512, 8) == b"LABELONE" && at(head, sector * 512 + 24, 8) == b"LVM2 001"
    };
    if (0..4).any(lvm) {
        return Some(("LVM2", None));
    }
    if at(head, 4096 + 24, 16) == BCACHE {
        return Some(("bcache", None));
    }
    if at(head, 4096 + 24, 16) == BCACHEFS {
        return Some(("bcachefs", label(at(head, 4096 + 72, 32))));
    }
    // Version 1.1 lies at 0, 1.2 at 4 KiB; set_name has 32 bytes at 32.
    [0, 4096]
        .into_iter()
        .find(|start| le32(head, *start) == MD_MAGIC && le32(head, start + 4) == 1)
        .map(|start| ("MD", label(at(head, start + 32, 32))))
}

/// Version 1.0 lies 8 to 12 KiB before the end, 0.90 64 to 128 KiB before it.
fn array_at_end(file: &File, size: u64) -> Option<Format> {
    let is_md = |start: Option<u64>, version: u32| {
        start.is_some_and(|start| {
            let block = read(file, start, 8);
            le32(&block, 0) == MD_MAGIC && le32(&block, 4) == version
        })
    };
    let version_1 = (size / 512)
        .checked_sub(16)
        .map(|sector| (sector & !7) * 512);
    let version_0 = (size & !0xffff).checked_sub(0x1_0000);
    (is_md(version_1, 1) || is_md(version_0, 0)).then_some(("MD", None))
}

/// UEFI specification, 5.3.2: in the second logical block.
fn gpt(head: &[u8]) -> Option<Format> {
    [512, 4096]
        .into_iter()
        .any(|block| at(head, block, 8) == b"EFI PART")
        .then_some(("GPT", None))
}

fn file_system(head: &[u8]) -> Option<Format> {
    swap(head)
        .or_else(|| ext(head))
        .or_else(|| fat(head))
        .or_else(|| simple(head))
}

/// Formats with one magic at one place: offset, magic, name, then where the
/// label lies and its length (0: none, or too deep inside).
const SIMPLE: [(usize, &[u8], &str, usize, usize); 8] = [
    // XFS: fs/xfs/libxfs/xfs_format.h, sb_fname.
    (0, b"XFSB", "xfs", 108, 12),
    // btrfs: superblock at 64 KiB, include/uapi/linux/btrfs_tree.h.
    (0x1_0040, b"_BHRfS_M", "btrfs", 0x1_012b, 256),
    // exFAT specification, 3.1.2.
    (3, b"EXFAT   ", "exfat", 0, 0),
    // NTFS: OEM identifier of its boot sector; BitLocker puts its own there.
    (3, b"NTFS    ", "ntfs", 0, 0),
    (3, b"-FVE-FS-", "BitLocker", 0, 0),
    // F2FS: include/linux/f2fs_fs.h, superblock at 1 KiB.
    (1024, &[0x10, 0x20, 0xf5, 0xf2], "f2fs", 0, 0),
    // squashfs: fs/squashfs/squashfs_fs.h.
    (0, b"hsqs", "squashfs", 0, 0),
    // ECMA-119, 8.1: volume descriptors from sector 16 of 2048 bytes.
    (32769, b"CD001", "iso9660", 32808, 32),
];

fn simple(head: &[u8]) -> Option<Format> {
    SIMPLE
        .iter()
        .find(|(offset, magic, ..)| at(head, *offset, magic.len()) == *magic)
        .map(|(_, _, name, offset, length)| (*name, label(at(head, *offset, *length))))
}

/// `include/linux/swap.h`: the magic ends the first page, whose size is the
/// machine's; `volume_name` lies at 1052.
fn swap(head: &[u8]) -> Option<Format> {
    [4096, 8192, 16384, 65536]
        .into_iter()
        .any(|page| matches!(at(head, page - 10, 10), b"SWAPSPACE2" | b"SWAP-SPACE"))
        .then(|| ("swap", label(at(head, 1052, 16))))
}

/// `Documentation/filesystems/ext4/super.rst`: superblock at 1 KiB. Which of
/// the three it is shows in the features that the older ones do not know.
fn ext(head: &[u8]) -> Option<Format> {
    const JOURNAL: u32 = 0x4;
    const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x10;
    const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
    let block = at(head, 1024, 1024);
    if le16(block, 0x38) != 0xef53 {
        return None;
    }
    let (compat, incompat, ro_compat) = (le32(block, 0x5c), le32(block, 0x60), le32(block, 0x64));
    let name = if incompat & !EXT3_INCOMPAT != 0 || ro_compat & !EXT3_RO_COMPAT != 0 {
        "ext4"
    } else if compat & JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    Some((name, label(at(block, 0x78, 16))))
}

/// Microsoft's FAT specification, 3.1: the names at 54 and 82 are only
/// customary, so the geometry must make sense too.
fn fat(head: &[u8]) -> Option<Format> {
    let sector = le16(head, 11);
    let cluster = *head.get(13)?;
    let makes_sense = at(head, 510, 2) == [0x55, 0xaa]
        && matches!(head[0], 0xeb | 0xe9)
        && (512..=4096).contains(&sector)
        && sector.is_power_of_two()
        && cluster.is_power_of_two();
    let volume = if at(head, 82, 8) == b"FAT32   " {
        71
    } else if matches!(at(head, 54, 8), b"FAT12   " | b"FAT16   " | b"FAT     ") {
        43
    } else {
        return None;
    };
    let label = label(at(head, volume, 11)).filter(|label| label != "NO NAME");
    makes_sense.then_some(("vfat", label))
}

/// `OpenZFS`, `include/sys/vdev_impl.h`: label 0 has a ring of uberblocks at
/// 128 KiB, each at a multiple of 1 KiB, in the byte order of its writer.
fn zfs(file: &File) -> Option<Format> {
    const MAGIC: u64 = 0x00ba_b10c;
    let ring = read(file, 128 * 1024, 128 * 1024);
    ring.chunks_exact(1024)
        .any(|block| {
            let magic = at(block, 0, 8);
            magic == MAGIC.to_le_bytes() || magic == MAGIC.to_be_bytes()
        })
        .then_some(("ZFS", None))
}

/// UEFI specification, 5.2.1. The signature alone stands on every boot sector,
/// so the table must make sense: it comes last.
fn mbr(head: &[u8]) -> Option<Format> {
    let entries = at(head, 446, 64).chunks_exact(16);
    let used = |entry: &&[u8]| entry[4] != 0;
    let makes_sense = |entry: &[u8]| {
        matches!(entry[0], 0 | 0x80)
            && (entry[4] == 0 || (le32(entry, 8) > 0 && le32(entry, 12) > 0))
    };
    let plausible = at(head, 510, 2) == [0x55, 0xaa]
        && entries.clone().any(|entry| used(&entry))
        && entries.clone().all(makes_sense);
    plausible.then_some(("MBR", None))
}

/// Whether the MBR of the disk at a path says that its partition of this number
/// is an extended one: CHS, LBA or Linux's own.
pub(super) fn is_extended(disk: &Path, number: u64) -> std::io::Result<bool> {
    let mut table = [0; 512];
    File::open(disk)?.read_exact_at(&mut table, 0)?;
    let entry = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let kind = table[446..510].chunks_exact(16).nth(entry);
    let signed = table[510..] == [0x55, 0xaa];
    Ok(signed && kind.is_some_and(|entry| matches!(entry[4], 0x05 | 0x0f | 0x85)))
}

/// A label up to its first NUL, without the white space around it.
fn label(bytes: &[u8]) -> Option<String> {
    stripped(bytes.split(|byte| *byte == 0).next()?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An image of `size` bytes with these bytes at these places.
    fn image(size: u64, parts: &[(u64, &[u8])]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file_mut().set_len(size).unwrap();
        for (offset, bytes) in parts {
            file.as_file().write_all_at(bytes, *offset).unwrap();
        }
        file.flush().unwrap();
        file
    }

    fn found(size: u64, parts: &[(u64, &[u8])]) -> Option<Format> {
        look(image(size, parts).path(), size)
    }

    const MIB: u64 = 1 << 20;

    fn named(what: &'static str) -> Option<Format> {
        Some(what).zip(Some(None))
    }

    #[test]
    fn every_signature_is_known_where_it_lies() {
        let md = MD_MAGIC.to_le_bytes();
        let cases: [(u64, &[u8], &str); 18] = [
            (0, b"LUKS\xba\xbe\0\x01", "LUKS"),
            (4096 + 24, &BCACHE, "bcache"),
            (4096 + 24, &BCACHEFS, "bcachefs"),
            (512, b"EFI PART", "GPT"),
            (4096, b"EFI PART", "GPT"),
            (0, b"XFSB", "xfs"),
            (65600, b"_BHRfS_M", "btrfs"),
            (3, b"EXFAT   ", "exfat"),
            (3, b"NTFS    ", "ntfs"),
            (3, b"-FVE-FS-", "BitLocker"),
            (1024, b"\x10\x20\xf5\xf2", "f2fs"),
            (0, b"hsqs", "squashfs"),
            (32769, b"CD001", "iso9660"),
            (4086, b"SWAPSPACE2", "swap"),
            (65526, b"SWAPSPACE2", "swap"),
            (1080, b"\x53\xef", "ext2"),
            (128 * 1024 + 5 * 1024, b"\x0c\xb1\xba\0\0\0\0\0", "ZFS"),
            (MIB - 65536, &md, "MD"),
        ];
        for (offset, magic, name) in cases {
            assert_eq!(
                found(MIB, &[(offset, magic)]),
                named(name),
                "{name} at {offset}"
            );
            // One byte further it is nothing.
            assert_eq!(
                found(MIB, &[(offset + 1, magic)]),
                None,
                "{name} at {offset} + 1"
            );
        }
    }

    #[test]
    fn labels_are_read_without_their_padding() {
        let with = |label: &str| Some(label.to_string());
        assert_eq!(
            found(MIB, &[(0, b"XFSB"), (108, b"data\0\0")]),
            Some(("xfs", with("data")))
        );
        assert_eq!(
            found(
                MIB,
                &[(65600, b"_BHRfS_M"), (0x1_012b, "k\u{e4}se".as_bytes())]
            ),
            Some(("btrfs", with("k\u{e4}se")))
        );
        assert_eq!(
            found(MIB, &[(4086, b"SWAPSPACE2"), (1052, b"paging")]),
            Some(("swap", with("paging")))
        );
        assert_eq!(
            found(
                MIB,
                &[(1080, b"\x53\xef"), (1024 + 0x78, b"sixteen bytes ok")]
            ),
            Some(("ext2", with("sixteen bytes ok")))
        );
        assert_eq!(
            found(MIB, &[(0, b"LUKS\xba\xbe\0\x02"), (24, b"vault")]),
            Some(("LUKS", with("vault")))
        );
    }

    #[test]
    fn ext_generations_are_told_apart_by_their_features() {
        let ext =
            |feature: u64, bit: u8| found(MIB, &[(1080, b"\x53\xef"), (1024 + feature, &[bit])]);
        assert_eq!(ext(0x5c, 0x4), named("ext3"));
        assert_eq!(ext(0x60, 0x40), named("ext4"));
        assert_eq!(ext(0x64, 0x08), named("ext4"));
        assert_eq!(ext(0x60, 0x02), named("ext2"));
    }

    #[test]
    fn a_fat_boot_sector_is_no_partition_table_and_has_a_label() {
        let fat = |name: &[u8], volume: &[u8], at: u64| {
            let place = if at == 71 { 82 } else { 54 };
            found(
                MIB,
                &[
                    (0, b"\xeb\x3c\x90mkfs.fat\0\x02\x04"),
                    (place, name),
                    (at, volume),
                    (510, b"\x55\xaa"),
                ],
            )
        };
        assert_eq!(fat(b"FAT16   ", b"NO NAME    ", 43), named("vfat"));
        assert_eq!(
            fat(b"FAT32   ", b"STICK      ", 71),
            Some(("vfat", Some("STICK".into())))
        );
        // A cluster of no sectors.
        assert_eq!(
            found(
                MIB,
                &[
                    (0, b"\xeb\x3c\x90mkfs.fat\0\x02\0"),
                    (54, b"FAT16   "),
                    (510, b"\x55\xaa")
                ]
            ),
            None
        );
    }

    #[test]
    fn a_partition_table_must_make_sense() {
        let table = |entry: &[u8]| found(MIB, &[(446, entry), (510, b"\x55\xaa")]);
        let good = [0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0];
        assert_eq!(table(&good), named("MBR"));
        assert_eq!(table(&[0; 16]), None);
        let mut strange = good;
        strange[0] = 0x33;
        assert_eq!(table(&strange), None);
        let mut nowhere = good;
        nowhere[9] = 0;
        assert_eq!(table(&nowhere), None);
    }

    #[test]
    fn md_and_lvm_are_known_in_all_their_places() {
        let head = [&MD_MAGIC.to_le_bytes()[..], &1_u32.to_le_bytes()].concat();
        assert_eq!(
            found(MIB, &[(4096, &head), (4096 + 32, b"host:0")]),
            Some(("MD", Some("host:0".into())))
        );
        assert_eq!(found(MIB, &[(0, &head)]), named("MD"));
        assert_eq!(found(MIB + 512, &[(MIB - 8192, &head)]), named("MD"));
        for sector in 0..4 {
            let start = sector * 512;
            assert_eq!(
                found(MIB, &[(start, b"LABELONE"), (start + 24, b"LVM2 001")]),
                named("LVM2")
            );
        }
    }

    #[test]
    fn an_array_wins_over_what_lies_inside_it() {
        let end = [&MD_MAGIC.to_le_bytes()[..], &1_u32.to_le_bytes()].concat();
        assert_eq!(
            found(MIB, &[(512, b"EFI PART"), (MIB - 8192, &end)]),
            named("MD")
        );
    }

    #[test]
    fn short_and_unreadable_things_are_nothing_known() {
        for size in [1, 511, 512, 513, 4097] {
            assert_eq!(found(size, &[]), None, "{size}");
        }
        assert_eq!(look(Path::new("/nonexistent"), 512), None);
        assert_eq!(look(Path::new("/"), 512), None);
    }
}
