//! What forbids to wipe a device, and what helps.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::device::{Cache, CacheState, Carried, Holder, Mount, Opener, Process, Unseen};
use crate::text;

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
pub enum InUse {
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

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted(mount) => mounted(f, mount),
            Self::Swap(path) => swapped(f, path),
            Self::Held(Holder { name, by }) => write!(
                f,
                "{} is held by {}; {} first",
                visible(name),
                visible(by),
                release(by)
            ),
            Self::Looped { by, under } => looped(f, by, *under),
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
                "it is a host-managed zoned drive, which wipeit cannot write; use the drive's own \
                 sanitize",
            ),
            Self::Cached(cache) => cached(f, cache),
            Self::Unseen { why, has_serial } => not_seen(f, *why, *has_serial),
            Self::CarriesState { image: true } => f.write_str(
                "it lies in wipeit's state directory, or holds it; move it elsewhere, or use \
                 another --state-dir",
            ),
            Self::CarriesState { image: false } => {
                f.write_str("it carries wipeit's state directory; use --state-dir on another drive")
            }
            Self::ReadOnly { image, at } => read_only(f, *image, at.as_deref()),
            Self::Busy => f.write_str(
                "it is in use (the kernel refuses exclusive access); \
                 find by what with `lsblk` and `fuser -v`, and end that first",
            ),
            Self::Unreadable(why) => write!(f, "{}; refusing", visible(why)),
        }
    }
}

impl std::error::Error for InUse {}

fn swapped(f: &mut fmt::Formatter<'_>, path: &str) -> fmt::Result {
    let node = if path.starts_with('/') {
        path.to_string()
    } else {
        format!("/dev/{path}")
    };
    let name = path.strip_prefix("/dev/").unwrap_or(path);
    let (name, node) = (visible(name), quoted(Path::new(&node)));
    write!(f, "{name} is swap; run `swapoff {node}` first")
}

fn looped(f: &mut fmt::Formatter<'_>, by: &str, under: Under) -> fmt::Result {
    let (shown, by) = (visible(by), quoted(Path::new(by)));
    let fact = match under {
        Under::File => "it is the backing file of",
        Under::SameFile => "its backing file is in use by",
        Under::Device => "it is the backing device of",
    };
    write!(f, "{fact} {shown}; run `losetup -d {by}` first")
}

fn not_seen(f: &mut fmt::Formatter<'_>, why: Unseen, has_serial: bool) -> fmt::Result {
    let (fact, remedy) = unseen(why);
    let or = if has_serial {
        ", or add --serial to take that on you"
    } else {
        "; it has no serial by which you could take that on you"
    };
    write!(
        f,
        "processes that write to it cannot be seen ({fact}), so it counts as in use; {remedy}{or}"
    )
}

fn read_only(f: &mut fmt::Formatter<'_>, image: bool, at: Option<&Path>) -> fmt::Result {
    match at {
        _ if !image => f.write_str(
            "it is read-only; release its write protection (a switch, or `blockdev --setrw`) first",
        ),
        Some(point) => write!(
            f,
            "it lies at {}, which is mounted read-only; run `mount -o remount,rw {}` first",
            visible(point),
            quoted(point)
        ),
        None => f.write_str("its file system is read-only; remount it writable first"),
    }
}

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

/// A name for a message; what a terminal would not simply show becomes octal
/// bytes as in mountinfo.
pub(super) fn visible(text: impl AsRef<OsStr>) -> String {
    text::visible(text.as_ref().as_bytes())
}

/// A path as a word of a shell command.
pub(super) fn quoted(path: &Path) -> String {
    text::shell_word(path.as_os_str().as_bytes())
}
