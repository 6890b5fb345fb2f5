//! What is known of file systems by their magic numbers: `f_type` of statfs,
//! `linux/magic.h`.

use nix::sys::statfs::FsType;

/// What a file system does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Does {
    /// It is not known to be one that the kernel itself keeps on a disk of this
    /// machine, or in its memory.
    Nothing,
    /// It is, and may write new data elsewhere than over the old.
    Copies,
    /// It writes new data over the old.
    InPlace,
    /// And its count of blocks follows every write at once, and a hole is made by
    /// nobody but who asks for one.
    CountsExactly,
}

const KNOWN: [(u64, Does); 22] = [
    (0xef53, Does::CountsExactly),      // ext2, ext3, ext4
    (0x5846_5342, Does::CountsExactly), // xfs
    (0x0102_1994, Does::CountsExactly), // tmpfs
    (0x8584_58f6, Does::InPlace),       // ramfs
    (0x4d44, Does::InPlace),            // msdos, vfat
    (0x2011_bab0, Does::InPlace),       // exfat
    (0x7366_746e, Does::InPlace),       // ntfs3
    (0x9123_683e, Does::Copies),        // btrfs
    (0xf2f5_2010, Does::Copies),        // f2fs
    (0x2fc1_2fc1, Does::Copies),        // zfs
    (0xca45_1a4e, Does::Copies),        // bcachefs
    (0x3153_464a, Does::Copies),        // jfs
    (0x5265_4973, Does::Copies),        // reiserfs
    (0x3434, Does::Copies),             // nilfs
    (0x4244, Does::Copies),             // hfs
    (0x482b, Does::Copies),             // hfs+
    (0x0001_1954, Does::Copies),        // ufs
    (0x1501_3346, Does::Copies),        // udf
    (0x137f, Does::Copies),             // minix
    (0x2468, Does::Copies),             // minix, version 2
    (0x4d5a, Does::Copies),             // minix, version 3
    (0x9584_58f6, Does::Copies),        // hugetlbfs
];

/// What the kind of file system with this number does.
pub(super) fn does(magic: u64) -> Does {
    let known = KNOWN.iter().find(|(known, _)| *known == magic);
    known.map_or(Does::Nothing, |(_, does)| *does)
}

/// The number of a kind; its type differs from machine to machine, and it has 32
/// bits.
pub(super) fn magic(kind: FsType) -> u64 {
    u64::try_from(i128::from(kind.0) & 0xffff_ffff).unwrap_or(0)
}
