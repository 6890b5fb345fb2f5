//! Why a device that is there tells no capacity: all its data may still be on
//! it.

use super::block::Block;
use crate::drive::{NoCapacity, NoTarget};

/// Why there is nothing of this device that could be wiped.
pub(super) fn problem(block: &Block) -> NoTarget {
    why(block).map_or(NoTarget::Empty, NoTarget::NoCapacity)
}

/// `None` of what software makes and what has nothing behind it: a loop device
/// without a file, memory that is not set up, a server that is not connected.
pub(super) fn why(block: &Block) -> Option<NoCapacity> {
    let name = block.name();
    let is = |prefix: &str| name.starts_with(prefix);
    let node = format!("/dev/{}", block.name().replace('!', "/"));
    let removable = block.says_yes("removable");
    Some(if block.is_partition() {
        return None;
    } else if is("sr") || is("fd") || removable && (is("sd") || is("mmcblk")) {
        NoCapacity::NoMedium
    } else if is("sd") {
        NoCapacity::Scsi(node)
    } else if is("nvme") {
        NoCapacity::Nvme(node)
    } else if is("md") || is("bcache") || is("drbd") {
        NoCapacity::NotRunning
    } else if [
        "mmcblk", "vd", "xvd", "hd", "dasd", "cciss", "ida", "rd", "pmem",
    ]
    .iter()
    .any(|prefix| is(prefix))
    {
        NoCapacity::Other
    } else {
        return None;
    })
}
