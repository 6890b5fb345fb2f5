//! What speaks against wiping a device and does not forbid it.

use std::fmt;

use super::device::{Device, Node, Signature, Unseen};
use super::file_kind::{is_no_disk, is_virtual_disk};
use super::finding::Finding;
use super::in_use::unseen;
use crate::text::{clean, visible};

/// Something that speaks against wiping a device and does not forbid it. Shown
/// as a fact in one line without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Warning {
    /// It, or a partition of it, is part of something that is not active now.
    Member {
        /// Kernel name, or file name of an image.
        name: String,
        /// The format, as in [`Signature::what`].
        what: &'static str,
        /// The name of what it is part of.
        group: Option<String>,
    },
    /// The kernel believes that nothing is to be flushed.
    WriteThrough,
    /// Old data stays somewhere else, or may.
    Left(Finding),
    /// Who else writes to it may stay unseen.
    Unseen(Unseen),
    /// The content of a file is a virtual disk of this format.
    VirtualDisk(&'static str),
    /// The content of a file is no disk but this.
    NoDisk(&'static str),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, what, group) = match self {
            Self::Member { name, what, group } => (name, what, group),
            Self::WriteThrough => {
                return f.write_str(
                    "the kernel takes its cache for write-through and sends no flush: if that is \
                     wrong, a power cut costs more than the checkpoint says",
                );
            }
            Self::VirtualDisk(what) => {
                return write!(
                    f,
                    "it is a {what} file: all of that is overwritten, but a backing file, and \
                     snapshots that lie in other files, keep what they hold"
                );
            }
            Self::NoDisk(what) => return write!(f, "its content is no disk, but {what}"),
            Self::Left(finding) => return f.write_str(&clean(&finding.to_string())),
            Self::Unseen(why) => {
                let (fact, _) = unseen(*why);
                return write!(f, "processes that write to it cannot be seen ({fact})");
            }
        };
        let name = visible(name);
        let group = group.as_ref().map(visible);
        let (inactive, of) = match *what {
            "LVM2" if group.is_some() => ("inactive", "LVM2 volume group"),
            "LVM2" => ("inactive", "LVM2 volume"),
            "MD" => ("inactive", "RAID array"),
            "ZFS" => ("inactive", "ZFS pool"),
            "btrfs" => ("unmounted", "multi-device btrfs"),
            "bcachefs" => ("unmounted", "multi-device bcachefs"),
            "LUKS" => {
                let label = group.map_or(String::new(), |label| format!(" \"{label}\""));
                return write!(f, "{name} is a closed LUKS volume{label}");
            }
            other => ("inactive", other),
        };
        match group {
            Some(group) => write!(f, "{name} is a member of the {inactive} {of} {group}"),
            None => write!(f, "{name} is a member of an {inactive} {of}"),
        }
    }
}

/// What is worth knowing before a device is wiped: members of volumes, arrays
/// and pools that nothing uses now, and that its other members may miss; and a
/// drive that is never flushed.
pub(crate) fn warnings(device: &Device) -> Vec<Warning> {
    let leftovers = device.usage.leftovers.known().into_iter().flatten();
    device
        .contents
        .iter()
        .filter(|content| !is_held(device, content))
        .filter_map(member)
        .chain((device.write_back == Some(false)).then_some(Warning::WriteThrough))
        .chain(leftovers.cloned().map(Warning::Left))
        .chain(device.usage.unseen.map(Warning::Unseen))
        .chain(of_file(device))
        .collect()
}

/// The warnings that are repeated above the question: what will be lost.
pub(crate) fn losses(device: &Device) -> Vec<Warning> {
    let mut warnings = warnings(device);
    warnings.retain(|warning| matches!(warning, Warning::Member { .. } | Warning::NoDisk(_)));
    warnings
}

/// What a file is that is no disk as it stands.
fn of_file(device: &Device) -> Option<Warning> {
    let what = device.contents.first()?.what?;
    match &device.node {
        Node::Image { .. } if is_virtual_disk(what) => Some(Warning::VirtualDisk(what)),
        Node::Image { .. } if is_no_disk(what) => Some(Warning::NoDisk(what)),
        Node::Image { .. } | Node::Block { .. } => None,
    }
}

/// Whether it is active, which is a refusal.
fn is_held(device: &Device, content: &Signature) -> bool {
    let holders = device.usage.holders.known().into_iter().flatten();
    let mounts = device.usage.mounts.known().into_iter().flatten();
    let mut names = holders.map(|it| &it.name).chain(mounts.map(|it| &it.name));
    names.any(|name| *name == content.name)
}

fn member(content: &Signature) -> Option<Warning> {
    let what = content.what?;
    let group = match what {
        // On one device it is a file system like any other.
        "btrfs" | "bcachefs" => Some(content.group.clone()?),
        "LVM2" | "MD" | "ZFS" | "bcache" => content.group.clone(),
        "LUKS" => content.label.clone(),
        _ => return None,
    };
    Some(Warning::Member {
        name: content.name.clone(),
        what,
        group,
    })
}
