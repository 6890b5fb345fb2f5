//! Whether all processes of the machine can be seen, so that one that writes to
//! the target would be found.

use std::io;

use super::host::Host;
use crate::drive::Unseen;

/// The inode of the first PID namespace: `PID_NS_INIT_INO`, include/uapi/linux/
/// nsfs.h.
const FIRST: &str = "pid:[4026531836]";

/// The capability to look at processes of others: `CAP_SYS_PTRACE`.
const LOOK_AT_OTHERS: u32 = 19;

impl Host {
    /// Why processes may stay unseen; `None` where all of them can be looked at.
    /// `denied`: whether some may not be.
    pub(super) fn unseen(&self, denied: bool) -> Option<Unseen> {
        let space = |of: &str| self.proc.join(of).join("ns/pid").read_link();
        let is_first = |of: &str| space(of).is_ok_and(|space| space.as_os_str() == FIRST);
        if let Ok(own) = space("self") {
            // One may be in a namespace and still see the machine's processes:
            // number 2 is a thread of the kernel, which is in no other.
            if own.as_os_str() != FIRST && !is_first("1") && !is_first("2") {
                return Some(Unseen::Namespace);
            }
            if matches!(self.proc.join("1").symlink_metadata(), Err(error) if is_missing(&error)) {
                return Some(Unseen::Hidden);
            }
        }
        (denied || !self.has_capability(LOOK_AT_OTHERS)).then_some(Unseen::Denied)
    }

    /// Whether this process has a capability, in proc(5)'s `CapEff`.
    pub(super) fn has_capability(&self, number: u32) -> bool {
        let status = std::fs::read_to_string(self.proc.join("self/status")).unwrap_or_default();
        let has = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        has.is_none_or(|mask| mask >> number & 1 == 1)
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
