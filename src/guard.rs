//! Whether a device may be wiped. Pure: it looks at facts only.
//!
//! [`check`] is the only way to a [`Cleared`], and only a [`Cleared`] is opened
//! for writing. What could not be read counts as in use, and no option
//! overrides a refusal.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::device::{Device, Fact, Holder, Mount, Node};
use crate::identity::Transport;
use crate::text;

/// A device with nothing against wiping it, at the time its facts were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared(Device);

impl Cleared {
    /// Its facts.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.0
    }
}

/// Something between a loop device and its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Under {
    /// The target is the loop device's backing file.
    File,
    /// The target is a loop device over the same file.
    SameFile,
    /// The target is a block device that the loop device lies over.
    Device,
}

/// Why a device must not be wiped. Shown as `fact; remedy`, in one line without
/// control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It, or something on it, is mounted.
    Mounted(Mount),
    /// It, or something on it, is active swap: kernel name or path.
    Swap(String),
    /// Something is built on it.
    Held(Holder),
    /// A loop device writes to the same bytes.
    Looped {
        /// Its node.
        by: String,
        /// What it shares with the target.
        under: Under,
    },
    /// The checkpoints would be wiped with it.
    CarriesState,
    /// It cannot be written.
    ReadOnly {
        /// Whether it is a file, whose file system is read-only.
        image: bool,
    },
    /// The kernel refuses exclusive access, and nothing above says why.
    Busy,
    /// A fact could not be read; which, and why.
    Unreadable(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted(mount) => mounted(f, mount),
            Self::Swap(path) => {
                let node = if path.starts_with('/') {
                    path.clone()
                } else {
                    format!("/dev/{path}")
                };
                let name = path.strip_prefix("/dev/").unwrap_or(path);
                let (name, node) = (visible(name), quoted(Path::new(&node)));
                write!(f, "{name} is swap; run `swapoff {node}` first")
            }
            Self::Held(Holder { name, by }) => {
                let (name, by) = (visible(name), visible(by));
                write!(f, "{name} is held by {by}; {} first", release(&by))
            }
            Self::Looped { by, under } => {
                let (shown, by) = (visible(by), quoted(Path::new(by)));
                let fact = match under {
                    Under::File => "it is the backing file of",
                    Under::SameFile => "its backing file is in use by",
                    Under::Device => "it is the backing device of",
                };
                write!(f, "{fact} {shown}; run `losetup -d {by}` first")
            }
            Self::CarriesState => f.write_str(
                "it carries wipeit's state directory; use --state-dir on another drive",
            ),
            Self::ReadOnly { image: true } => {
                f.write_str("its file system is read-only; remount it writable first")
            }
            Self::ReadOnly { image: false } => f.write_str(
                "it is read-only; release its write protection (a switch, or `blockdev --setrw`) first",
            ),
            Self::Busy => f.write_str(
                "it is in use (the kernel refuses exclusive access); \
                 find by what with `lsblk` and `fuser -v`, and end that first",
            ),
            Self::Unreadable(why) => write!(f, "{}; refusing", visible(why)),
        }
    }
}

impl std::error::Error for Refusal {}

fn mounted(f: &mut fmt::Formatter<'_>, mount: &Mount) -> fmt::Result {
    let name = visible(&mount.name);
    let point = visible(&mount.point);
    if mount.point == Path::new("/") {
        write!(
            f,
            "{name} is mounted at /; it carries the running system: start another one to wipe it"
        )
    } else {
        let command = quoted(&mount.point);
        write!(
            f,
            "{name} is mounted at {point}; run `umount {command}` first"
        )
    }
}

/// How a holder is made to let go.
fn release(by: &str) -> String {
    let node = by.split(' ').next().unwrap_or(by);
    if by.starts_with("dm-") {
        "close it (`lvchange -an`, `cryptsetup close` or `dmsetup remove`)".to_string()
    } else if by.starts_with("md") {
        format!("run `mdadm --stop /dev/{node}`")
    } else {
        "release it".to_string()
    }
}

/// Clears a device, or says everything that is against it, the most specific
/// first.
///
/// # Errors
/// One or more refusals.
pub fn check(device: Device) -> Result<Cleared, Vec<Refusal>> {
    let refusals = refusals(&device);
    if refusals.is_empty() {
        Ok(Cleared(device))
    } else {
        Err(refusals)
    }
}

fn refusals(device: &Device) -> Vec<Refusal> {
    let usage = &device.usage;
    let mut found = Vec::new();
    let mut unread = Vec::new();
    let mut mounts = listed(&usage.mounts, &mut unread, |mount| {
        Refusal::Mounted(mount.clone())
    });
    // Nothing else helps while the running system is on it.
    mounts.sort_by_key(|refusal| !is_root(refusal));
    found.append(&mut mounts);
    found.extend(listed(&usage.swaps, &mut unread, |path| {
        Refusal::Swap(path.clone())
    }));
    found.extend(listed(&usage.holders, &mut unread, |holder| {
        Refusal::Held(holder.clone())
    }));
    let busy = flagged(&usage.busy, &mut unread) && found.is_empty();
    let under = under(device);
    found.extend(listed(&usage.loops, &mut unread, |by| Refusal::Looped {
        by: by.clone(),
        under,
    }));
    if flagged(&usage.carries_state, &mut unread) {
        found.push(Refusal::CarriesState);
    }
    if flagged(&usage.read_only, &mut unread) {
        let image = under == Under::File;
        found.push(Refusal::ReadOnly { image });
    }
    if busy {
        found.push(Refusal::Busy);
    }
    // One unreadable file may hide several facts.
    for why in unread {
        let refusal = Refusal::Unreadable(why);
        if !found.contains(&refusal) {
            found.push(refusal);
        }
    }
    found
}

fn is_root(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Mounted(mount) if mount.point == Path::new("/"))
}

fn under(device: &Device) -> Under {
    match device.node {
        Node::Image { .. } => Under::File,
        Node::Block { .. } if device.identity.transport == Transport::Loop => Under::SameFile,
        Node::Block { .. } => Under::Device,
    }
}

fn listed<T>(
    fact: &Fact<Vec<T>>,
    unread: &mut Vec<String>,
    refusal: impl Fn(&T) -> Refusal,
) -> Vec<Refusal> {
    match fact {
        Fact::Known(things) => things.iter().map(refusal).collect(),
        Fact::Unknown(why) => {
            unread.push(why.clone());
            Vec::new()
        }
    }
}

fn flagged(fact: &Fact<bool>, unread: &mut Vec<String>) -> bool {
    match fact {
        Fact::Known(yes) => *yes,
        Fact::Unknown(why) => {
            unread.push(why.clone());
            false
        }
    }
}

/// A name for a message; what a terminal would not simply show becomes octal
/// bytes as in mountinfo.
fn visible(text: impl AsRef<OsStr>) -> String {
    text::visible(text.as_ref().as_bytes())
}

/// A path as a word of a shell command.
fn quoted(path: &Path) -> String {
    text::shell_word(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests;
