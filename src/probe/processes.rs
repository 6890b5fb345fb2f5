//! What other processes do with devices: what is mounted in their mount
//! namespaces, and what they hold open for writing.
//!
//! Of the processes of others an ordinary user may see neither. That must not
//! stop every run of one, so both are left out: for a block device the kernel's
//! exclusive access, which `usage` asks for, knows the mounts of every
//! namespace.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::libc::{EINVAL, ENOENT, ESRCH, O_ACCMODE, O_RDONLY};

use super::host::Host;
use super::mounts::{Entry, parse};
use super::sysfs::{Found, cannot_read, find, list};
use crate::drive::{Opener, Process};

/// The mounts of a namespace that is not ours.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// One of the processes that see them.
    pub process: Process,
    /// The oldest first.
    pub mounts: Vec<Entry>,
}

/// A process and its directory.
type Running = (u32, PathBuf);

/// Whether a process ended while it was looked at. One that is ending has no
/// namespace any more, which is EINVAL.
fn has_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOENT | ESRCH | EINVAL))
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

impl Host {
    fn processes(&self) -> Result<Vec<Running>, String> {
        let all = list(&self.proc).map_err(|error| cannot_read(&self.proc, &error))?;
        let mut running: Vec<Running> = all
            .into_iter()
            .filter_map(|dir| Some((dir.file_name()?.to_str()?.parse().ok()?, dir)))
            .collect();
        // Of several the oldest is named, which is likely to be the one to end.
        running.sort();
        Ok(running)
    }

    /// What is mounted in every mount namespace but ours, as far as it may be
    /// seen.
    pub(super) fn mounts_elsewhere(&self) -> Result<Arc<Vec<Elsewhere>>, String> {
        self.once(|seen| &seen.elsewhere, || self.read_mounts_elsewhere())
    }

    fn read_mounts_elsewhere(&self) -> Result<Vec<Elsewhere>, String> {
        let namespace = |dir: &Path| std::fs::read_link(dir.join("ns/mnt")).ok();
        let mut seen: BTreeSet<PathBuf> = namespace(&self.proc.join("self")).into_iter().collect();
        let mut elsewhere = Vec::new();
        for (pid, dir) in self.processes()? {
            let own = namespace(&dir);
            if own.as_ref().is_some_and(|own| seen.contains(own)) {
                continue;
            }
            let path = dir.join("mountinfo");
            match std::fs::read(&path) {
                Ok(text) => elsewhere.push(Elsewhere {
                    process: named(pid, &dir),
                    mounts: parse(&text, &path)?,
                }),
                Err(error) if has_gone(&error) || is_denied(&error) => continue,
                Err(error) => return Err(cannot_read(&path, &error)),
            }
            seen.extend(own);
        }
        Ok(elsewhere)
    }

    /// What other processes hold open for writing, as far as it may be seen.
    pub(super) fn open_elsewhere(&self) -> Result<Arc<Open>, String> {
        self.once(|seen| &seen.open, || self.read_open_elsewhere())
    }

    fn read_open_elsewhere(&self) -> Result<Open, String> {
        let own = std::fs::read_link(self.proc.join("self"))
            .ok()
            .and_then(|link| link.to_str()?.parse().ok())
            .unwrap_or_else(std::process::id);
        let mut open = Open::default();
        for (pid, dir) in self.processes()? {
            let links = match list(&dir.join("fd")) {
                Ok(links) => links,
                // Gone, or not ours to see.
                Err(error) => {
                    open.denied |= is_denied(&error);
                    continue;
                }
            };
            if pid != own {
                let written = links.into_iter().filter_map(|link| written(&dir, link));
                open.processes.push((pid, dir.clone(), written.collect()));
            }
        }
        Ok(open)
    }

    /// Other processes that hold something open for writing that `target` gives
    /// a name to: it sees what the link of an open file says, and what it is.
    /// Files on the mounts in `remote` are left out.
    pub(super) fn openers(
        &self,
        remote: &BTreeSet<u64>,
        target: impl Fn(&Path, Found) -> Option<String>,
    ) -> Result<Vec<Opener>, String> {
        let mut openers = Vec::new();
        for (pid, dir, written) in &self.open_elsewhere()?.processes {
            let asked = written.iter().filter(|file| !remote.contains(&file.mount));
            let held = asked.filter_map(|file| target(&file.says, file.found()?));
            if let Some(name) = held.take(1).next() {
                openers.push(Opener {
                    name,
                    process: named(*pid, dir),
                });
            }
        }
        Ok(openers)
    }
}

/// What processes but ours hold open for writing.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Each with its number and its directory.
    processes: Vec<(u32, PathBuf, Vec<Written>)>,
    /// Whether the open files of some process may not be looked at.
    pub denied: bool,
}

/// A file that a process holds open for writing.
#[derive(Debug)]
struct Written {
    /// The path that the kernel names it by.
    says: PathBuf,
    /// The link that leads to it.
    link: PathBuf,
    mount: u64,
    found: OnceLock<Option<Found>>,
}

impl Written {
    /// What it is. To ask for it on a server that does not answer would hang.
    fn found(&self) -> Option<Found> {
        *self.found.get_or_init(|| find(&self.link).ok())
    }
}

/// What a link of `/proc/PID/fd` leads to, where that is held for writing.
fn written(process: &Path, link: PathBuf) -> Option<Written> {
    let says = std::fs::read_link(&link).ok()?;
    // Pipes and sockets have no path.
    if !says.is_absolute() {
        return None;
    }
    let info = info(process, &link).filter(|info| info.writes)?;
    Some(Written {
        says,
        link,
        mount: info.mount,
        found: OnceLock::new(),
    })
}

/// The mounts whose server may never answer; to ask for a file there could
/// hang. None of them has block devices.
pub(super) fn remote<'a>(mounts: impl Iterator<Item = &'a Entry>) -> BTreeSet<u64> {
    mounts
        .filter(|entry| is_remote(entry))
        .map(|entry| entry.id)
        .collect()
}

/// Whether somebody else serves a mount: another machine, or a program.
pub(super) fn is_remote(entry: &Entry) -> bool {
    const KINDS: [&str; 8] = ["nfs", "cifs", "smb", "fuse", "9p", "ceph", "afs", "lustre"];
    // "fuseblk" is over a block device of this machine.
    entry.kind != "fuseblk" && KINDS.iter().any(|kind| entry.kind.starts_with(kind))
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
