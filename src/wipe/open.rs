//! From a path to a target that is open, ours alone, and what it seemed to be.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::kin::Kin;
use crate::drive::{Comparison, Device, Identity, InUse, NoTarget, guard};
use crate::probe::Host;
use crate::refusal::Cause;
use crate::writer::{self, Lock, LockError, OpenError, Writer};

/// How long another process may hold a target open for writing.
const OPENER_PATIENCE: Duration = Duration::from_secs(2);
const OPENER_RETRY: Duration = Duration::from_millis(50);

/// What was seen so long ago may not be so any more: a proof or a measurement of
/// a slow drive takes seconds.
const STALE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Opened {
    device: Device,
    // when its facts were gathered
    looked: Instant,
    kin: Kin,
    pub writer: Writer,
}

impl Opened {
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn kin(&self) -> &Kin {
        &self.kin
    }

    pub fn compare(&self, recorded: &Identity) -> Comparison {
        self.kin.compare(&self.device.identity, recorded)
    }

    /// Whether it is what was recorded, or one that looks just like it.
    pub fn has_double(&self, recorded: &Identity) -> bool {
        let others = self.kin.rivals.iter().map(|rival| &rival.identity);
        let comparison = self.device.identity.compare_beside(recorded, others);
        !self.kin.alike.is_empty() && comparison == Comparison::Same
    }

    /// Whether it was looked at so long ago that it has to be again.
    pub fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked) >= STALE
    }

    /// Looks once more, after time has gone by since the first look: the
    /// exclusive descriptor keeps others off a block device, but not off an
    /// image file, and loop devices off neither.
    pub fn look_again(&self, host: &Host, state_dir: &Path) -> Result<(), Cause> {
        let facts = || host.held(self.device(), state_dir).map_err(Cause::Changed);
        clear(facts, guard::check).map(drop)
    }
}

/// Opens a target, or says why not. Writes nothing. `serials`: those that the
/// user gave.
pub fn open(
    host: &Host,
    path: &Path,
    state_dir: &Path,
    serials: &[String],
) -> Result<Opened, Cause> {
    let (looked, cleared, (lock, kin)) = locked(host, path, state_dir, serials, guard::check)?;
    let writer =
        Writer::open(host, &cleared, lock).map_err(|error| not_opened(host, path, error))?;
    Ok(Opened {
        device: cleared.device().clone(),
        looked,
        kin,
        writer,
    })
}

pub(super) fn open_to_read(
    host: &Host,
    path: &Path,
    state_dir: &Path,
    serials: &[String],
) -> Result<Opened, Cause> {
    let check = guard::check_to_read;
    let (looked, device, (lock, kin)) = locked(host, path, state_dir, serials, check)?;
    let writer =
        Writer::open_to_read(host, &device, lock).map_err(|error| not_opened(host, path, error))?;
    Ok(Opened {
        device,
        looked,
        kin,
        writer,
    })
}

fn locked<T>(
    host: &Host,
    path: &Path,
    state_dir: &Path,
    serials: &[String],
    check: impl Fn(Device) -> Result<T, Vec<InUse>>,
) -> Result<(Instant, T, (Lock, Kin)), Cause> {
    let refused = |problem| match problem {
        NoTarget::Missing => meant(host, path).map_or(Cause::Problem(problem), Cause::Meant),
        NoTarget::Denied(errno) => Cause::Denied(host.denial(path, errno)),
        problem => Cause::Problem(problem),
    };
    // Before the guard, which would call another run's drive merely in use.
    let device = host.glance(path).map_err(refused)?;
    let kin = Kin::of(host, &device);
    let lock = lock(host, &device, &kin)?;
    let facts = || {
        let mut device = host.device(path, state_dir).map_err(refused)?;
        device.named = serials.iter().any(|it| device.identity.has_serial(it));
        Ok(device)
    };
    let (looked, cleared) = clear(facts, check)?;
    Ok((looked, cleared, (lock, kin)))
}

/// The device that is meant by its name without `/dev/`.
fn meant(host: &Host, path: &Path) -> Option<PathBuf> {
    let name = path.strip_prefix("/").unwrap_or(path);
    let there = host.dev.join(name.strip_prefix("dev").unwrap_or(name));
    (there != *path && host.glance(&there).is_ok()).then_some(there)
}

/// Clears a device, and tells when it was looked at, or says what is against it;
/// not at once where another process has it open for writing: `losetup`, udev
/// and their kind do so for moments.
fn clear<T>(
    facts: impl Fn() -> Result<Device, Cause>,
    check: impl Fn(Device) -> Result<T, Vec<InUse>>,
) -> Result<(Instant, T), Cause> {
    let deadline = Instant::now() + OPENER_PATIENCE;
    loop {
        let looked = Instant::now();
        match check(facts()?) {
            Ok(cleared) => return Ok((looked, cleared)),
            Err(refusals) if guard::may_pass(&refusals) && Instant::now() < deadline => {
                thread::sleep(OPENER_RETRY);
            }
            Err(refusals) => return Err(Cause::InUse(refusals)),
        }
    }
}

fn lock(host: &Host, device: &Device, kin: &Kin) -> Result<Lock, Cause> {
    writer::lock(device, &kin.nodes()).map_err(|error| match error {
        LockError::Held => Cause::Locked,
        LockError::NoThread(error) => Cause::NoThread(error),
        LockError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Cause::LockDenied(host.denial(&device.path, error.raw_os_error()))
        }
        LockError::Io(error) => Cause::NoLock(error),
    })
}

fn not_opened(host: &Host, path: &Path, error: OpenError) -> Cause {
    match error {
        OpenError::InUse => Cause::UsedSince,
        OpenError::Changed(what) => Cause::Changed(what),
        OpenError::Io(error) => match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Cause::Denied(host.denial(path, error.raw_os_error()))
            }
            io::ErrorKind::ExecutableFileBusy => Cause::Running,
            _ => Cause::NotOpened(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_was_only_glanced_at_is_never_cleared() {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(4096).unwrap();
        let host = Host::real();
        let device = host.glance(image.path()).unwrap();
        assert!(guard::check(device.clone()).is_err());
        assert!(guard::check_to_read(device).is_err());
        let device = host.device(image.path(), Path::new("/proc")).unwrap();
        assert!(guard::check(device).is_ok());
    }

    #[test]
    fn what_was_seen_some_time_ago_is_looked_at_again() {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(4096).unwrap();
        let host = Host::real();
        let opened = open(&host, image.path(), Path::new("/proc"), &[]).unwrap();
        assert!(!opened.is_stale(opened.looked));
        assert!(opened.is_stale(opened.looked + STALE));
    }
}
