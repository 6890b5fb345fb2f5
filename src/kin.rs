//! The other attached disks that report the same identifier: the same drive by
//! another path, or another drive with a copied one. Reads only.

use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::device::{Attached, Device, Host, Node};
use crate::engine::{self, State};
use crate::identity::{Comparison, Identity, Kind};
use crate::peek::{self, Peek};
use crate::resume::draw;

/// What else of this machine may be the drive at hand.
#[derive(Debug, Default)]
pub struct Kin {
    /// The same drive by another path: it shows the same bytes.
    pub paths: Vec<PathBuf>,
    /// What a multipath map is made of.
    pub below: Vec<PathBuf>,
    /// Other drives that report the same WWN or serial, so that neither names
    /// one of them.
    pub rivals: Vec<Attached>,
}

impl Kin {
    /// Looks at what is attached; reads other disks only where they report the
    /// same name.
    #[must_use]
    pub fn of(host: &Host, device: &Device) -> Self {
        let Node::Block { whole_path, .. } = &device.node else {
            return Self::default();
        };
        let mut kin = Self {
            below: host.paths_below(device),
            ..Self::default()
        };
        let attached = host.attached();
        let disk = attached.iter().find(|disk| disk.path == *whole_path);
        let identity = disk.map_or(&device.identity, |disk| &disk.identity);
        let shares = |other: &Attached| {
            other.identity.kind == Kind::Disk
                && other.path != *whole_path
                && other.identity.shares_id_with(identity)
        };
        if !attached.iter().any(shares) {
            return kin;
        }
        for other in host.beside(device) {
            if !shares(&other) {
                continue;
            }
            if other.identity.is_other_path_to(identity) && show_the_same(whole_path, &other.path)
            {
                kin.paths.push(other.path);
            } else {
                kin.rivals.push(other);
            }
        }
        kin
    }

    /// Every node that leads to the drive besides its own.
    #[must_use]
    pub fn nodes(&self) -> Vec<PathBuf> {
        [self.paths.as_slice(), &self.below].concat()
    }

    /// Compares the drive with what was recorded; what another one reports as
    /// well proves nothing.
    #[must_use]
    pub fn compare(&self, identity: &Identity, recorded: &Identity) -> Comparison {
        let others = self.rivals.iter().map(|rival| &rival.identity);
        identity.compare_beside(recorded, others)
    }

    /// Whether it is what was recorded, but for its size.
    #[must_use]
    pub fn was_resized(&self, identity: &Identity, recorded: &Identity) -> bool {
        let as_before = Identity {
            size: recorded.size,
            ..identity.clone()
        };
        identity.size != recorded.size
            && self.compare(&as_before, recorded) == Comparison::Same
    }
}

/// Whether two disks with one name and size are one. What cannot be read is not
/// proved to be.
#[must_use]
pub fn show_the_same(one: &Path, other: &Path) -> bool {
    let both = || {
        let (one, other) = (Peek::open(one)?, Peek::open(other)?);
        peek::show_the_same(&one, &other, &mut draw)
    };
    both().unwrap_or(false)
}

/// Whether what is at this path holds the keystream of a wipe. What cannot be
/// read does not prove it.
#[must_use]
pub fn holds(path: &Path, checkpoint: &Checkpoint) -> bool {
    Peek::open(path).is_ok_and(|peek| matches(&peek, checkpoint))
}

/// The same of a path to the whole disk, where the wipe may be of a partition.
#[must_use]
pub fn disk_holds(path: &Path, checkpoint: &Checkpoint) -> bool {
    let slice = checkpoint.device_id.slice.as_ref();
    let part = |disk: Peek| match slice {
        Some(slice) => disk.part(slice.start, slice.length),
        None => Some(disk),
    };
    let part = Peek::open(path).ok().and_then(part);
    part.is_some_and(|part| matches(&part, checkpoint))
}

fn matches(peek: &Peek, checkpoint: &Checkpoint) -> bool {
    let state = State::of(checkpoint, &checkpoint.plan);
    engine::prove(&checkpoint.plan, &state, peek, &mut draw)
        .is_ok_and(engine::Proof::is_cryptographic)
}

/// Of several disks that may be the drive of a checkpoint the one that is: by its
/// keystream, or as all are paths to one drive; `None` where that is not proved.
#[must_use]
pub fn the_one(host: &Host, of: &[PathBuf], checkpoint: &Checkpoint) -> Option<PathBuf> {
    let holding: Vec<&PathBuf> = of.iter().filter(|path| holds(path, checkpoint)).collect();
    let candidates = if holding.is_empty() {
        of.iter().collect()
    } else {
        holding
    };
    let (first, others) = candidates.split_first()?;
    let attached = host.attached();
    let identity = |path: &Path| {
        let mut all = attached.iter();
        all.find(|other| other.path == path).map(|found| &found.identity)
    };
    let is_path = |other: &&PathBuf| {
        let (one, other_one) = (identity(first), identity(other));
        let may_be = one.zip(other_one).is_some_and(|(one, other)| one.is_other_path_to(other));
        may_be && show_the_same(first, other)
    };
    let proved = candidates.len() < of.len() || !others.is_empty();
    (proved && others.iter().all(is_path)).then(|| (*first).clone())
}
