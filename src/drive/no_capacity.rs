//! What is said of a device that is there and tells no capacity.

use thiserror::Error;

/// Why a device has no capacity. Shown as `fact; remedy`, without the path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoCapacity {
    /// A SCSI or ATA drive; its node.
    #[error(
        "reports no capacity: its blocks may have 520 or 528 bytes, or it is locked, formatting, \
         asleep or broken; it is NOT wiped and its data is still there; look with `sg_readcap {0}` \
         and `sg_turs -v {0}`; blocks of 512 bytes are made by `sg_format --format --size=512 {0}`"
    )]
    Scsi(String),
    /// A namespace of an `NVMe` drive; its node.
    #[error(
        "reports no capacity: its blocks may have metadata that the kernel does not take, or it is \
         locked, formatting or broken; it is NOT wiped and its data is still there; look with \
         `nvme id-ns -H {0}`; other blocks are made by `nvme format --lbaf=N {0}`"
    )]
    Nvme(String),
    /// A drive with removable media, which may have none.
    #[error("has no medium, or one that tells no capacity; it is NOT wiped; put one in")]
    NoMedium,
    /// An array or volume that is not running.
    #[error(
        "is not running and so has no bytes; it is NOT wiped; start it, or wipe the drives that it \
         is made of"
    )]
    NotRunning,
    /// A drive of another kind.
    #[error(
        "reports no capacity: it may be locked, formatting, asleep or broken; it is NOT wiped and \
         its data is still there; see dmesg"
    )]
    Other,
}
