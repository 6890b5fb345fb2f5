//! What a file lies on: the devices that its file system is on, and where old
//! data of it stays although it is overwritten.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::devices::Devices;
use super::mounts::{Entry, mount_of};
use super::storage::Storage;
use super::sysfs::FileId;
use crate::drive::{DevId, Finding};

/// Deeper than any real stack.
const DEEPEST: usize = 32;

/// File systems that write elsewhere as a rule, by their type in mountinfo.
const ELSEWHERE: [&str; 11] = [
    "apfs", "bcachefs", "btrfs", "f2fs", "jffs2", "logfs", "nilfs2", "ubifs", "yaffs", "yaffs2",
    "zfs",
];

/// Union file systems that do not tell their layers.
const UNIONS: [&str; 4] = ["aufs", "fuse.fuse-overlayfs", "fuse.unionfs", "unionfs"];

/// What a file lies on.
#[derive(Debug)]
pub(super) struct Ground {
    /// The file, without symbolic links.
    pub path: PathBuf,
    /// The devices below its file system.
    pub devices: Result<Vec<DevId>, String>,
    /// Where old data stays, or may.
    pub leftovers: Result<Vec<Finding>, String>,
}

/// What the files behind loop devices lie on, by the kernel's names for them.
#[derive(Debug)]
pub(super) struct Grounds(BTreeMap<PathBuf, Ground>);

impl Grounds {
    /// Looks at all that could be found.
    pub(super) fn read(storage: &Storage) -> Self {
        let loops = storage.devices().and_then(Devices::loops);
        let files = loops.unwrap_or_default().into_iter().map(|(_, file)| file);
        let files = files.filter(|file| matches!(file.found, Some(FileId::File(..))));
        let ground = |path: &PathBuf| Some((path.clone(), Ground::of(storage, path)?));
        Self(files.filter_map(|file| ground(&file.path)).collect())
    }

    /// What a file lies on; `None` where that is not known.
    pub(super) fn of(&self, path: &Path) -> Option<&Ground> {
        self.0.get(path)
    }
}

impl Ground {
    /// Looks at a file that is there.
    pub(super) fn of(storage: &Storage, path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let mut found = Vec::new();
        let left = left_behind(storage, &path, &mut found, 0);
        Some(Self {
            devices: devices(storage, &path, 0),
            leftovers: left.map(|()| found),
            path,
        })
    }
}

fn devices(storage: &Storage, path: &Path, depth: usize) -> Result<Vec<DevId>, String> {
    let Some(entry) = storage.mount_over(path) else {
        return Ok(Vec::new());
    };
    if entry.kind == "overlay" {
        let upper = entry.option("upperdir").filter(|upper| upper.exists());
        return match upper {
            Some(upper) if depth < DEEPEST => devices(storage, &upper, depth + 1),
            _ => Ok(Vec::new()),
        };
    }
    Ok(match storage.members(entry) {
        Some(members) => members,
        None if storage.block(entry.dev)?.is_some() => vec![entry.dev],
        None => storage
            .devices()?
            .named(&entry.source)
            .into_iter()
            .collect(),
    })
}

/// What the file system of a file leaves of its old data.
fn left_behind(
    storage: &Storage,
    path: &Path,
    found: &mut Vec<Finding>,
    depth: usize,
) -> Result<(), String> {
    let there = path
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok());
    let Some(Ok(there)) = there.map(Path::metadata) else {
        return Ok(());
    };
    let Some(entry) = mount_of(storage.mounts()?, path, DevId::from_raw(there.dev())) else {
        return Ok(());
    };
    let kind = entry.kind.as_str();
    if ELSEWHERE.contains(&kind) {
        found.push(Finding::WritesElsewhere {
            file_system: kind.into(),
        });
    } else if UNIONS.contains(&kind) {
        found.push(Finding::LayerUnseen {
            layer: format!("the layers of {}", entry.point.display()),
        });
    } else if kind == "overlay" && depth < DEEPEST {
        left_in_layers(storage, entry, path, found, depth)?;
    }
    Ok(())
}

/// An overlay copies a file up before it is written: what a lower layer has of
/// it stays.
fn left_in_layers(
    storage: &Storage,
    entry: &Entry,
    path: &Path,
    found: &mut Vec<Finding>,
    depth: usize,
) -> Result<(), String> {
    let Some(inside) = entry.path_inside(path) else {
        return Ok(());
    };
    let upper = entry.option("upperdir").filter(|dir| dir.is_absolute());
    let copied = upper.as_ref().is_some_and(|dir| is_old(&dir.join(&inside)));
    let (mut seen, mut unseen) = (false, false);
    for layer in entry.layers(false) {
        // A relative one is relative to where the mounter stood.
        if !layer.is_absolute() || !layer.is_dir() {
            unseen = true;
            found.push(Finding::LayerUnseen {
                layer: format!("{} (a lower layer)", layer.display()),
            });
            continue;
        }
        let old = layer.join(&inside);
        if is_old(&old) {
            seen = true;
            let place = match disk_under(storage, &old) {
                Some(disk) => format!("{disk}, in {}", old.display()),
                None => old.display().to_string(),
            };
            found.push(Finding::OldDataAt { place });
        }
    }
    // It must come from somewhere: another mount hides the layer that has it.
    if depth == 0 && !seen && !unseen && !copied {
        found.push(Finding::LayerUnseen {
            layer: format!("a layer of {}", entry.point.display()),
        });
    }
    match upper {
        Some(upper) => left_behind(storage, &upper.join(&inside), found, depth + 1),
        None => Ok(()),
    }
}

/// The node of the device that a file's file system is on, or what it is.
fn disk_under(storage: &Storage, path: &Path) -> Option<String> {
    let dev = DevId::from_raw(path.metadata().ok()?.dev());
    if let Ok(devices) = storage.devices()
        && let Some(block) = devices.block(dev)
    {
        return Some(devices.shown(block));
    }
    let entry = storage.mount_over(path)?;
    Some(if entry.source.is_absolute() {
        entry.source.display().to_string()
    } else {
        format!("a {}", entry.kind)
    })
}

/// Whether there is a file with bytes.
fn is_old(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}
