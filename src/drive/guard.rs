//! Whether a device may be wiped. Pure: it looks at facts only.
//!
//! [`check`] is the only way to a [`Cleared`], and only a [`Cleared`] is opened
//! for writing. What could not be read counts as in use, and no option
//! overrides a refusal.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::device::{
    Cache, CacheState, Carried, Device, Fact, Holder, Mount, Node, Opener, Process, Unseen, Usage,
};
use super::identity::Transport;
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
    /// Another process can write to it.
    Open(Opener),
    /// The running system would be wiped.
    Carries(Carried),
    /// The checkpoints would be wiped with it.
    CarriesState {
        /// Whether it is a file: then it lies there, or they lie in it.
        image: bool,
    },
    /// It holds these partitions; maybe none yet, but is there to hold some.
    Extended(Vec<String>),
    /// A cache below it keeps what is written from the disk.
    Cached(Cache),
    /// Who else writes to it may stay unseen, and nobody named it by its serial.
    Unseen {
        /// Why.
        why: Unseen,
        /// Whether it has one.
        has_serial: bool,
    },
    /// Its zones must be written in order.
    HostManaged,
    /// It cannot be written.
    ReadOnly {
        /// Whether it is a file, whose file system is read-only.
        image: bool,
        /// Where that is mounted, if that can be told.
        at: Option<PathBuf>,
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
            Self::Held(Holder { name, by }) => write!(
                f,
                "{} is held by {}; {} first",
                visible(name),
                visible(by),
                release(by)
            ),
            Self::Looped { by, under } => {
                let (shown, by) = (visible(by), quoted(Path::new(by)));
                let fact = match under {
                    Under::File => "it is the backing file of",
                    Under::SameFile => "its backing file is in use by",
                    Under::Device => "it is the backing device of",
                };
                write!(f, "{fact} {shown}; run `losetup -d {by}` first")
            }
            Self::Open(Opener { name, process }) => write!(
                f,
                "{} is open for writing by {}; end it first",
                visible(name),
                who(process)
            ),
            Self::Carries(Carried::System) => {
                f.write_str("it carries the running system; start another one to wipe it")
            }
            Self::Carries(Carried::Program(path)) => write!(
                f,
                "it carries the program that is running, {}; start that from another drive",
                visible(path)
            ),
            Self::Extended(inside) if inside.is_empty() => f.write_str(
                "it is an extended partition, only a table of others; wipe the whole disk",
            ),
            Self::Extended(inside) => write!(
                f,
                "it is a partition that holds others ({}); wipe those, or the whole disk",
                visible(inside.join(", "))
            ),
            Self::HostManaged => f.write_str(
                "it is a host-managed zoned drive, which wipeit cannot write; \
                 use the drive's own sanitize",
            ),
            Self::Cached(cache) => cached(f, cache),
            Self::Unseen { why, has_serial } => {
                let (fact, remedy) = unseen(*why);
                let or = if *has_serial {
                    ", or add --serial to take that on you"
                } else {
                    "; it has no serial by which you could take that on you"
                };
                write!(
                    f,
                    "processes that write to it cannot be seen ({fact}), so it counts as in use; \
                     {remedy}{or}"
                )
            }
            Self::CarriesState { image: true } => f.write_str(
                "it lies in wipeit's state directory, or holds it; move it elsewhere, or use \
                 another --state-dir",
            ),
            Self::CarriesState { image: false } => f.write_str(
                "it carries wipeit's state directory; use --state-dir on another drive",
            ),
            Self::ReadOnly {
                image: true,
                at: Some(point),
            } => write!(
                f,
                "it lies at {}, which is mounted read-only; run `mount -o remount,rw {}` first",
                visible(point),
                quoted(point)
            ),
            Self::ReadOnly { image: true, .. } => {
                f.write_str("its file system is read-only; remount it writable first")
            }
            Self::ReadOnly { image: false, .. } => f.write_str(
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
    let command = quoted(&mount.point);
    if let Some(process) = &mount.by {
        let (who, pid) = (who(process), process.pid);
        return write!(
            f,
            "{name} is mounted at {point} in the mount namespace of {who}; \
             end that or run `nsenter -t {pid} -m umount {command}` first"
        );
    }
    if mount.point == Path::new("/") {
        return write!(
            f,
            "{name} is mounted at /; it carries the running system: start another one to wipe it"
        );
    }
    let starts = BOOT.iter().any(|boot| mount.point == Path::new(boot));
    let role = if starts {
        ", from where this system starts"
    } else {
        ""
    };
    write!(
        f,
        "{name} is mounted at {point}{role}; run `umount {command}` first"
    )
}

fn cached(f: &mut fmt::Formatter<'_>, Cache { name, state }: &Cache) -> fmt::Result {
    let dir = format!("/sys/block/{}/bcache", visible(name));
    match state {
        CacheState::WriteBack => write!(
            f,
            "{} is a bcache in write-back mode: what is written stays on its cache, and the old \
             data on the disk below; run `echo writethrough > {dir}/cache_mode` and wait until \
             {dir}/state says clean",
            visible(name)
        ),
        CacheState::Dirty => write!(
            f,
            "{} is a bcache whose cache and disk differ; wait until {dir}/state says clean",
            visible(name)
        ),
        CacheState::WriteCache => write!(
            f,
            "{} has a dm-writecache: what is written stays on it, and the old data on the disk \
             below; run `lvconvert --splitcache` on it first",
            visible(name)
        ),
    }
}

/// Why processes stay unseen, and what shows them.
pub(super) fn unseen(why: Unseen) -> (&'static str, &'static str) {
    match why {
        Unseen::Denied => (
            "those of other users may not be looked at",
            "run as root of the machine, with CAP_SYS_PTRACE",
        ),
        Unseen::Hidden => (
            "/proc hides them: hidepid",
            "run as root of the machine, or mount a /proc without hidepid",
        ),
        Unseen::Namespace => (
            "this is a PID namespace of its own, as of a container",
            "run in the machine's own (for a container: --pid=host)",
        ),
    }
}

/// Where what starts a system is mounted.
const BOOT: [&str; 4] = ["/boot", "/boot/efi", "/boot/firmware", "/efi"];

/// `process 77 (qemu)`.
fn who(process: &Process) -> String {
    format!("process {} ({})", process.pid, visible(&process.name))
}

/// How a holder is made to let go.
fn release(by: &str) -> String {
    let (node, rest) = by.split_once(' ').unwrap_or((by, ""));
    if node == "multipath" {
        let map = rest.split(['(', ')']).nth(1).unwrap_or(rest);
        format!("run `multipath -f {}`", quoted(Path::new(map)))
    } else if node == "ZFS" {
        let pool = rest.strip_prefix("pool ").unwrap_or(rest);
        format!("run `zpool export {}`", quoted(Path::new(pool)))
    } else if matches!(node, "btrfs" | "bcachefs") {
        "unmount it, in whichever mount namespace that is,".to_string()
    } else if node.starts_with("dm-") {
        "close it (`lvchange -an`, `cryptsetup close` or `dmsetup remove`)".to_string()
    } else if node.starts_with("md") {
        format!(
            "run `mdadm --stop {}`",
            quoted(&Path::new("/dev").join(node))
        )
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

/// Whether a device may be read in peace: as [`check`], but one that may not be
/// written is welcome. What comes of it is never opened for writing.
///
/// # Errors
/// Everything that is against it.
pub fn check_to_read(device: Device) -> Result<Device, Vec<Refusal>> {
    let mut refusals = refusals(&device);
    // Who else writes matters to what is written.
    refusals
        .retain(|refusal| !matches!(refusal, Refusal::ReadOnly { .. } | Refusal::Unseen { .. }));
    if refusals.is_empty() {
        Ok(device)
    } else {
        Err(refusals)
    }
}

/// Whether refusals may be fewer in a moment: other processes hold the device
/// open, perhaps only to look at it. What else is against it is then told alone.
#[must_use]
pub fn may_pass(refusals: &[Refusal]) -> bool {
    refusals
        .iter()
        .any(|refusal| matches!(refusal, Refusal::Open(_)))
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
    let under = under(device);
    let busy = flagged(&usage.busy, &mut unread) && found.is_empty();
    found.extend(listed(&usage.loops, &mut unread, |by| Refusal::Looped {
        by: by.clone(),
        under,
    }));
    found.extend(listed(&usage.openers, &mut unread, |opener| {
        Refusal::Open(opener.clone())
    }));
    found.extend(carried(usage, &found, &mut unread));
    if flagged(&usage.carries_state, &mut unread) {
        let image = under == Under::File;
        found.push(Refusal::CarriesState { image });
    }
    found.extend(listed(&usage.caches, &mut unread, |cache| {
        Refusal::Cached(cache.clone())
    }));
    // What was found is told; only that nothing could be found stops the run.
    let _ = known(&usage.leftovers, &mut unread);
    if let (Some(why), Node::Block { .. }, false) = (usage.unseen, &device.node, device.named) {
        let has_serial = device.identity.serial.is_some();
        found.push(Refusal::Unseen { why, has_serial });
    }
    if let Some(inside) = known(&usage.extended, &mut unread).flatten() {
        found.push(Refusal::Extended(inside));
    }
    if flagged(&usage.host_managed, &mut unread) {
        found.push(Refusal::HostManaged);
    }
    if flagged(&usage.read_only, &mut unread) {
        let image = under == Under::File;
        let at = usage.lies_at.clone();
        found.push(Refusal::ReadOnly { image, at });
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

/// What of the running system is there; the most telling only, and nothing that
/// its mount has told.
fn carried(usage: &Usage, found: &[Refusal], unread: &mut Vec<String>) -> Option<Refusal> {
    let carries = known(&usage.carries, unread).unwrap_or_default();
    let told = found.iter().any(is_root);
    carries
        .into_iter()
        .min_by_key(|carried| *carried != Carried::System)
        .filter(|_| !told)
        .map(Refusal::Carries)
}

fn is_root(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Mounted(Mount { point, by: None, .. }) if point == Path::new("/")
    )
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
    known(fact, unread).unwrap_or(false)
}

fn known<T: Clone>(fact: &Fact<T>, unread: &mut Vec<String>) -> Option<T> {
    match fact {
        Fact::Known(value) => Some(value.clone()),
        Fact::Unknown(why) => {
            unread.push(why.clone());
            None
        }
    }
}

/// A name for a message; what a terminal would not simply show becomes octal
/// bytes as in mountinfo.
pub(super) fn visible(text: impl AsRef<OsStr>) -> String {
    text::visible(text.as_ref().as_bytes())
}

/// A path as a word of a shell command.
fn quoted(path: &Path) -> String {
    text::shell_word(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests;
