//! What is said of a device that is there and tells no capacity.

use std::fmt;

/// A device without a capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCapacity {
    /// A SCSI or ATA drive; its node.
    Scsi(String),
    /// A namespace of an `NVMe` drive; its node.
    Nvme(String),
    /// A drive with removable media, which may have none.
    NoMedium,
    /// An array or volume that is not running.
    NotRunning,
    /// A drive of another kind.
    Other,
}

impl fmt::Display for NoCapacity {
    /// Fact and remedy, without the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scsi(node) => write!(
                f,
                "reports no capacity: its blocks may have 520 or 528 bytes, or it is locked, \
                 formatting, asleep or broken; it is NOT wiped and its data is still there; look \
                 with `sg_readcap {node}` and `sg_turs -v {node}`; blocks of 512 bytes are made by \
                 `sg_format --format --size=512 {node}`"
            ),
            Self::Nvme(node) => write!(
                f,
                "reports no capacity: its blocks may have metadata that the kernel does not take, \
                 or it is locked, formatting or broken; it is NOT wiped and its data is still \
                 there; look with `nvme id-ns -H {node}`; other blocks are made by `nvme format \
                 --lbaf=N {node}`"
            ),
            Self::NoMedium => f.write_str(
                "has no medium, or one that tells no capacity; it is NOT wiped; put one in",
            ),
            Self::NotRunning => f.write_str(
                "is not running and so has no bytes; it is NOT wiped; start it, or wipe the drives \
                 that it is made of",
            ),
            Self::Other => f.write_str(
                "reports no capacity: it may be locked, formatting, asleep or broken; it is NOT \
                 wiped and its data is still there; see dmesg",
            ),
        }
    }
}
