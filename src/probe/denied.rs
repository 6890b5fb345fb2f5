//! Why the kernel denies a target: what can be known of it, the mount that
//! explains it first.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use thiserror::Error;

use super::host::Host;
use super::storage::Storage;
use super::sysfs;
use crate::text::{shell_word, shown};

/// The capability to overrule file modes: `CAP_DAC_OVERRIDE`.
const OVERRULE_MODES: u32 = 1;

/// Who is shown as the owner of a file whose owner has no name in a user
/// namespace: `/proc/sys/kernel/overflowuid`, unless somebody changed it.
const NOBODY: u32 = 65534;

/// Why something is denied. Shown as `fact; remedy`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Denial {
    /// Only root may.
    #[error("permission denied; run as root")]
    NotRoot,
    /// The node lies on a file system whose nodes lead nowhere, mounted there.
    #[error(
        "permission denied: {} is mounted with nodev, so that no device can be opened there; name \
         its node in /dev",
        shown(.0)
    )]
    NoDevices(PathBuf),
    /// It lies on a server, or is served by a program, which decides itself: `nfs4`,
    /// and where that is mounted.
    #[error(
        "permission denied: {} is {kind}, whose server decides, and it denies root; run where its \
         disk is",
        shown(.point)
    )]
    Served { kind: String, point: PathBuf },
    /// Root of a user namespace has no rights over what is of others.
    #[error(
        "permission denied: its owner is unknown in this user namespace, whose root has no right \
         to it; run as root of the machine"
    )]
    ForeignOwner,
    /// The file may not be changed: `immutable` or `append-only`, and the letter that
    /// `chattr` takes for it.
    #[error(
        "permission denied: it is {name}; run `chattr -{letter} {}` first",
        shell_word(.path)
    )]
    Attribute {
        name: &'static str,
        letter: char,
        path: PathBuf,
    },
    /// fs-verity keeps the file as it is, for ever.
    #[error("permission denied: fs-verity seals it, so that it can never be changed; delete it")]
    Sealed,
    /// Root without the capability that overrules file modes.
    #[error(
        "permission denied by its owner and mode: this root has no CAP_DAC_OVERRIDE, as in a \
         container; run with it"
    )]
    Mode,
    /// A control group that may use some devices only.
    #[error(
        "permission denied: this control group may not use the device, as in a container; allow it \
         (docker and podman: --device, systemd: DeviceAllow)"
    )]
    ControlGroup,
    /// A security module.
    #[error(
        "permission denied, by {0} as it seems; allow it there (the kernel's log or the audit log \
         has the rule)"
    )]
    Module(String),
    /// Nothing that can be seen.
    #[error("permission denied, even to root; the kernel's log (dmesg) may say why")]
    Unexplained,
}

impl Host {
    /// Why a target is denied with this error, EPERM or EACCES.
    pub(crate) fn denial(&self, path: &Path, errno: Option<i32>) -> Denial {
        Storage::read(self).denial(path, errno)
    }

    /// Whether it is of somebody who has no number in our user namespace.
    fn foreign(&self, found: Option<&Metadata>) -> Option<Denial> {
        let map = std::fs::read_to_string(self.proc.join("self/uid_map")).ok()?;
        let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
        (!whole && found.is_none_or(|meta| meta.uid() == NOBODY)).then_some(Denial::ForeignOwner)
    }

    /// The security module that may have denied it: one that is told to.
    fn module(&self) -> Option<String> {
        if sysfs::attribute(&self.sys.join("fs/selinux"), "enforce").as_deref() == Some("1") {
            return Some("SELinux".into());
        }
        let profile = sysfs::attribute(&self.proc.join("self/attr/apparmor"), "current")?;
        (profile != "unconfined").then(|| format!("AppArmor (profile {profile})"))
    }
}

impl Storage {
    /// Why a target is denied with this error.
    pub(super) fn denial(&self, path: &Path, errno: Option<i32>) -> Denial {
        let found = std::fs::metadata(path).ok();
        let is_block = found
            .as_ref()
            .is_some_and(|meta| meta.file_type().is_block_device());
        self.denying_mount(path, is_block)
            .or_else(|| attribute(path))
            .or_else(|| (!Uid::effective().is_root()).then_some(Denial::NotRoot))
            .or_else(|| self.host.foreign(found.as_ref()))
            .or_else(|| (!self.host.has_capability(OVERRULE_MODES)).then_some(Denial::Mode))
            // Everything else that denies a device answers EACCES.
            .or_else(|| {
                let by_group = is_block && errno == Some(nix::libc::EPERM);
                by_group.then_some(Denial::ControlGroup)
            })
            .or_else(|| self.host.module().map(Denial::Module))
            .unwrap_or(Denial::Unexplained)
    }

    fn denying_mount(&self, path: &Path, is_block: bool) -> Option<Denial> {
        let mount = self.mount_over(path)?;
        if is_block {
            return mount
                .is_mounted_with("nodev")
                .then(|| Denial::NoDevices(mount.point.clone()));
        }
        let served = mount.is_remote() && Uid::effective().is_root();
        served.then(|| Denial::Served {
            kind: mount.kind.clone(),
            point: mount.point.clone(),
        })
    }
}

/// An attribute of the file that forbids to change it.
fn attribute(path: &Path) -> Option<Denial> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE).ok()?;
    let known = found.stx_attributes & found.stx_attributes_mask;
    if known.contains(StatxAttributes::VERITY) {
        return Some(Denial::Sealed);
    }
    let attributes = [
        (StatxAttributes::IMMUTABLE, "immutable", 'i'),
        (StatxAttributes::APPEND, "append-only", 'a'),
    ];
    let (_, name, letter) = attributes
        .into_iter()
        .find(|(attribute, ..)| known.contains(*attribute))?;
    Some(Denial::Attribute {
        name,
        letter,
        path: path.into(),
    })
}
