//! What forbids to wipe a device, and what helps.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::device::{Cache, CacheState, Carried, Holder, Mount, Opener, Process, Unseen};
use crate::text::{shell_word, visible};

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
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InUse {
    /// It, or something on it, is mounted.
    #[error("{}", mounted(.0))]
    Mounted(Mount),
    /// It, or something on it, is active swap: kernel name or path.
    #[error("{}", swapped(.0))]
    Swap(String),
    /// Something is built on it.
    #[error("{} is held by {}; {} first", visible(&.0.name), visible(&.0.by), release(&.0.by))]
    Held(Holder),
    /// A loop device writes to the same bytes: its node, and what it shares.
    #[error("{}", looped(.by, *.under))]
    Looped { by: String, under: Under },
    /// Another process can write to it.
    #[error("{} is open for writing by {}; end it first", visible(&.0.name), who(&.0.process))]
    Open(Opener),
    /// The running system would be wiped.
    #[error("{}", carried(.0))]
    Carries(Carried),
    /// The checkpoints would be wiped with it. `image`: a file lies there, or they lie
    /// in it.
    #[error("{}", carries_state(*.image))]
    CarriesState { image: bool },
    /// It holds these partitions; maybe none yet, but is there to hold some.
    #[error("{}", extended(.0))]
    Extended(Vec<String>),
    /// A cache below it keeps what is written from the disk.
    #[error("{}", cached(.0))]
    Cached(Cache),
    /// Who else writes to it may stay unseen, and nobody named it by its serial.
    #[error("{}", not_seen(*.why, *.has_serial))]
    Unseen { why: Unseen, has_serial: bool },
    /// Its zones must be written in order.
    #[error(
        "it is a host-managed zoned drive, which wipeit cannot write; use the drive's own sanitize"
    )]
    HostManaged,
    /// It cannot be written. `image`: the file system of a file is read-only, mounted
    /// there, if that can be told.
    #[error("{}", read_only(*.image, .at.as_deref()))]
    ReadOnly { image: bool, at: Option<PathBuf> },
    /// The kernel refuses exclusive access, and nothing above says why.
    #[error(
        "it is in use (the kernel refuses exclusive access); find by what with `lsblk` and \
         `fuser -v`, and end that first"
    )]
    Busy,
    /// A fact could not be read; which, and why.
    #[error("{}; refusing", visible(.0))]
    Unreadable(String),
}

fn carried(what: &Carried) -> String {
    match what {
        Carried::System => {
            "it carries the running system; start another one to wipe it".to_string()
        }
        Carried::Program(path) => format!(
            "it carries the program that is running, {}; start that from another drive",
            visible(path)
        ),
    }
}

fn carries_state(image: bool) -> &'static str {
    if image {
        "it lies in wipeit's state directory, or holds it; move it elsewhere, or use another \
         --state-dir"
    } else {
        "it carries wipeit's state directory; use --state-dir on another drive"
    }
}

fn extended(inside: &[String]) -> String {
    if inside.is_empty() {
        return "it is an extended partition, only a table of others; wipe the whole disk".into();
    }
    let inside = visible(inside.join(", "));
    format!("it is a partition that holds others ({inside}); wipe those, or the whole disk")
}

fn swapped(path: &str) -> String {
    let node = if path.starts_with('/') {
        path.to_string()
    } else {
        format!("/dev/{path}")
    };
    let name = path.strip_prefix("/dev/").unwrap_or(path);
    let (name, node) = (visible(name), shell_word(Path::new(&node)));
    format!("{name} is swap; run `swapoff {node}` first")
}

fn looped(by: &str, under: Under) -> String {
    let (shown, by) = (visible(by), shell_word(Path::new(by)));
    let fact = match under {
        Under::File => "it is the backing file of",
        Under::SameFile => "its backing file is in use by",
        Under::Device => "it is the backing device of",
    };
    format!("{fact} {shown}; run `losetup -d {by}` first")
}

fn not_seen(why: Unseen, has_serial: bool) -> String {
    let (fact, remedy) = unseen(why);
    let or = if has_serial {
        ", or add --serial to take that on you"
    } else {
        "; it has no serial by which you could take that on you"
    };
    format!(
        "processes that write to it cannot be seen ({fact}), so it counts as in use; {remedy}{or}"
    )
}

fn read_only(image: bool, at: Option<&Path>) -> String {
    match at {
        _ if !image => String::from(
            "it is read-only; release its write protection (a switch, or `blockdev --setrw`) first",
        ),
        Some(point) => format!(
            "it lies at {}, which is mounted read-only; run `mount -o remount,rw {}` first",
            visible(point),
            shell_word(point)
        ),
        None => String::from("its file system is read-only; remount it writable first"),
    }
}

fn mounted(mount: &Mount) -> String {
    let name = visible(&mount.name);
    let point = visible(&mount.point);
    let command = shell_word(&mount.point);
    if let Some(process) = &mount.by {
        let (who, pid) = (who(process), process.pid);
        return format!(
            "{name} is mounted at {point} in the mount namespace of {who}; \
             end that or run `nsenter -t {pid} -m umount {command}` first"
        );
    }
    if mount.point == Path::new("/") {
        return format!(
            "{name} is mounted at /; it carries the running system: start another one to wipe it"
        );
    }
    let starts = BOOT.iter().any(|boot| mount.point == Path::new(boot));
    let role = if starts {
        ", from where this system starts"
    } else {
        ""
    };
    format!("{name} is mounted at {point}{role}; run `umount {command}` first")
}

fn cached(Cache { name, state }: &Cache) -> String {
    let dir = format!("/sys/block/{}/bcache", visible(name));
    match state {
        CacheState::WriteBack => format!(
            "{} is a bcache in write-back mode: what is written stays on its cache, and the old \
             data on the disk below; run `echo writethrough > {dir}/cache_mode` and wait until \
             {dir}/state says clean",
            visible(name)
        ),
        CacheState::Dirty => format!(
            "{} is a bcache whose cache and disk differ; wait until {dir}/state says clean",
            visible(name)
        ),
        CacheState::WriteCache => format!(
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
        format!("run `multipath -f {}`", shell_word(Path::new(map)))
    } else if node == "ZFS" {
        let pool = rest.strip_prefix("pool ").unwrap_or(rest);
        format!("run `zpool export {}`", shell_word(Path::new(pool)))
    } else if matches!(node, "btrfs" | "bcachefs") {
        "unmount it, in whichever mount namespace that is,".to_string()
    } else if node.starts_with("dm-") {
        "close it (`lvchange -an`, `cryptsetup close` or `dmsetup remove`)".to_string()
    } else if node.starts_with("md") {
        format!(
            "run `mdadm --stop {}`",
            shell_word(Path::new("/dev").join(node))
        )
    } else {
        "release it".to_string()
    }
}
