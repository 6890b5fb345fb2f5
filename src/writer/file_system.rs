//! What is known of file systems by their magic numbers.

use nix::sys::statfs::FsType;

/// The number of a kind of file system; its type differs from machine to
/// machine, and it has 32 bits.
pub(super) fn magic(kind: FsType) -> u64 {
    u64::try_from(i128::from(kind.0) & 0xffff_ffff).unwrap_or(0)
}

/// Whether a file system writes new data over the old.
pub(super) fn writes_in_place(kind: FsType) -> bool {
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
