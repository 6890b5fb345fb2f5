//! What other processes do with devices: what is mounted in their mount
//! namespaces, and what they hold open for writing.
//!
//! Of the processes of others an ordinary user may see neither. That must not
//! stop every run of one, so both are left out: for a block device the kernel's
//! exclusive access, which is asked for too, knows the mounts of every namespace.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc::{EINVAL, ENOENT, ESRCH, O_ACCMODE, O_RDONLY};

use super::mounts::{Entry, parse};
use super::storage::{Storage, find_sources};
use super::sysfs::{FileId, base_name, cannot_read, find, list, listed};
use crate::drive::Process;

/// The mounts of a namespace that is not ours.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// One of the processes that see them.
    pub process: Process,
    /// The oldest first.
    pub mounts: Vec<Entry>,
}

/// A block device or a file that another process holds open for writing.
#[derive(Debug)]
pub(super) struct Written {
    pub process: Process,
    pub found: FileId,
    /// The last part of the path that the kernel names it by.
    pub name: String,
}

/// What processes but ours hold open for writing.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Block devices, and the files that were asked for; the oldest process
    /// first.
    pub written: Vec<Written>,
    /// Whether the open files of some process may not be looked at.
    pub denied: bool,
}

type Running = (u32, PathBuf);

/// Whether a process ended while it was looked at. One that is ending has no
/// namespace any more, which is EINVAL.
fn has_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOENT | ESRCH | EINVAL))
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// All processes that can be seen. Of several the oldest is named, which is
/// likely to be the one to end.
pub(super) fn running(proc: &Path) -> Result<Vec<Running>, String> {
    let number = |dir: PathBuf| Some((dir.file_name()?.to_str()?.parse().ok()?, dir));
    let mut running: Vec<Running> = listed(proc)?.into_iter().filter_map(number).collect();
    running.sort();
    Ok(running)
}

/// What is mounted in every mount namespace but ours, as far as it may be seen.
pub(super) fn mounts(storage: &Storage, running: &[Running]) -> Result<Vec<Elsewhere>, String> {
    let namespace = |dir: &Path| std::fs::read_link(dir.join("ns/mnt")).ok();
    let own = storage.host.proc.join("self");
    let mut seen: BTreeSet<PathBuf> = namespace(&own).into_iter().collect();
    let mut elsewhere = Vec::new();
    for (pid, dir) in running {
        let own = namespace(dir);
        if own.as_ref().is_some_and(|own| seen.contains(own)) {
            continue;
        }
        let path = dir.join("mountinfo");
        match std::fs::read(&path) {
            Ok(text) => {
                let mut mounts = parse(&text, &path)?;
                if let Ok(devices) = storage.devices() {
                    find_sources(devices, &mut mounts);
                }
                elsewhere.push(Elsewhere {
                    process: named(*pid, dir),
                    mounts,
                });
            }
            Err(error) if has_gone(&error) || is_denied(&error) => continue,
            Err(error) => return Err(cannot_read(&path, &error)),
        }
        seen.extend(own);
    }
    Ok(elsewhere)
}

/// What is looked for among what processes hold open.
pub(super) struct Sought<'a> {
    /// Mounts whose server may never answer: nothing is asked of a file there.
    /// None of them has block devices.
    pub silent: &'a BTreeSet<u64>,
    /// The files that count, besides all block devices.
    pub files: &'a BTreeSet<FileId>,
}

/// What other processes hold open for writing, as far as it may be seen.
pub(super) fn open(storage: &Storage, running: &[Running], sought: &Sought<'_>) -> Open {
    let own = std::fs::read_link(storage.host.proc.join("self"))
        .ok()
        .and_then(|link| link.to_str()?.parse().ok())
        .unwrap_or_else(std::process::id);
    let mut open = Open::default();
    for (pid, dir) in running {
        let links = match list(&dir.join("fd")) {
            Ok(links) => links,
            // Gone, or not ours to see.
            Err(error) => {
                open.denied |= is_denied(&error);
                continue;
            }
        };
        if *pid == own {
            continue;
        }
        let mut process = None;
        for (found, name) in links
            .iter()
            .filter_map(|link| written(storage, dir, link, sought))
        {
            let process = process.get_or_insert_with(|| named(*pid, dir)).clone();
            open.written.push(Written {
                process,
                found,
                name,
            });
        }
    }
    open
}

/// What a link of `/proc/PID/fd` leads to, where that is held for writing and
/// sought.
fn written(
    storage: &Storage,
    process: &Path,
    link: &Path,
    sought: &Sought<'_>,
) -> Option<(FileId, String)> {
    /// Of the link itself: whether it is open for writing, `proc_pid_fd(5)`.
    const WRITABLE: u32 = 0o200;
    let says = std::fs::read_link(link).ok()?;
    // Pipes and sockets have no path.
    if !says.is_absolute() || link.symlink_metadata().ok()?.mode() & WRITABLE == 0 {
        return None;
    }
    // Where every server answers, its mount needs not be known before.
    let info = || info(process, link).filter(|info| info.writes);
    if !sought.silent.is_empty() && sought.silent.contains(&info()?.mount) {
        return None;
    }
    let found = match find(link).ok()? {
        found @ FileId::File(..) if sought.files.contains(&found) => found,
        // A node that lies out of sight, too.
        FileId::File(..) => FileId::Block(storage.devices().ok()?.of_node(&says)?.dev),
        found @ FileId::Block(_) => found,
    };
    info()?;
    Some((found, base_name(&says)))
}

/// What `fdinfo` says of an open file.
struct Info {
    writes: bool,
    mount: u64,
}

fn info(process: &Path, link: &Path) -> Option<Info> {
    let text = std::fs::read_to_string(process.join("fdinfo").join(link.file_name()?)).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let flags = i32::from_str_radix(field("flags:")?.trim(), 8).ok()?;
    Some(Info {
        writes: flags & O_ACCMODE != O_RDONLY,
        mount: field("mnt_id:")
            .and_then(|id| id.trim().parse().ok())
            .unwrap_or(0),
    })
}

fn named(pid: u32, dir: &Path) -> Process {
    let name = std::fs::read(dir.join("comm")).unwrap_or_default();
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    let name = std::ffi::OsStr::from_bytes(name);
    Process {
        pid,
        name: name.to_string_lossy().into_owned(),
    }
}
