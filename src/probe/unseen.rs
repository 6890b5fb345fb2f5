//! Whether all processes of the machine can be seen, so that one that writes to
//! the target would be found.

use std::io;

use super::host::Host;
use super::mounts::Entry;
use crate::drive::Unseen;

/// The inode of the first PID namespace: `PID_NS_INIT_INO`, include/uapi/linux/
/// nsfs.h.
const FIRST: &str = "pid:[4026531836]";

/// The capability to look at processes of others: `CAP_SYS_PTRACE`.
const LOOK_AT_OTHERS: u32 = 19;

impl Host {
    /// Why processes may stay unseen; `None` where all of them can be looked at.
    pub(super) fn unseen(&self) -> Option<Unseen> {
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
        let is_denied_any = || self.open_elsewhere().is_ok_and(|open| open.denied);
        let denied = !self.has_capability(LOOK_AT_OTHERS) || is_denied_any();
        denied.then_some(Unseen::Denied)
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

    /// Whether `/proc` is mounted with `subset=pid`, and so has no other files.
    pub(super) fn shows_processes_only(&self) -> bool {
        let is_it = |entry: &Entry| {
            entry.point == self.proc
                && entry.kind == "proc"
                && entry.has_option(|option| option == b"subset=pid")
        };
        self.mounts()
            .is_ok_and(|mounts| mounts.iter().rev().any(is_it))
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
