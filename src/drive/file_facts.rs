//! What is looked at again of a file while it is wiped.

use serde::{Deserialize, Serialize};

/// What there is of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Which one it is within its file system.
    #[serde(default)]
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// Bytes of the target that are no hole; `None` where that is not known
    /// exactly.
    pub data: Option<u64>,
}
