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

use nix::libc::{EINVAL, ENOENT, ESRCH, O_ACCMODE, O_RDONLY};

use super::mounts::{Entry, parse};
use super::sysfs::{cannot_read, list};
use super::{Host, Opener, Process};

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
    pub(super) fn mounts_elsewhere(&self) -> Result<Vec<Elsewhere>, String> {
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

    /// Other processes that hold something open for writing that `target` gives
    /// a name to: it sees what the link of an open file says, and the link.
    /// Files on the mounts in `remote` are left out.
    pub(super) fn openers(
        &self,
        remote: &BTreeSet<u64>,
        target: impl Fn(&Path, &Path) -> Option<String>,
    ) -> Result<Vec<Opener>, String> {
        let own = std::fs::read_link(self.proc.join("self"))
            .ok()
            .and_then(|link| link.to_str()?.parse().ok())
            .unwrap_or_else(std::process::id);
        let mut openers = Vec::new();
        for (pid, dir) in self.processes()? {
            if pid == own {
                continue;
            }
            // Gone, or not ours to see.
            let open = list(&dir.join("fd")).unwrap_or_default();
            let held = open.iter().find_map(|link| {
                let says = std::fs::read_link(link).ok()?;
                // Pipes and sockets have no path.
                let info = says.is_absolute().then(|| info(&dir, link))??;
                (info.writes && !remote.contains(&info.mount))
                    .then(|| target(&says, link))
                    .flatten()
            });
            if let Some(name) = held {
                openers.push(Opener {
                    name,
                    process: named(pid, &dir),
                });
            }
        }
        Ok(openers)
    }
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
