//! The other attached disks that report the same identifier: the same drive by
//! another path, or another drive with a copied one. Reads only.

use std::path::{Path, PathBuf};

use super::peek::{self, Likeness, Peek, draw};
use crate::drive::{Attached, Comparison, Device, Identity, Kind, Node};
use crate::engine;
use crate::probe::Host;
use crate::progress::Checkpoint;

#[derive(Debug, Default)]
pub struct Kin {
    /// The same drive by another path: it shows the same bytes.
    pub paths: Vec<PathBuf>,
    /// What a multipath map is made of.
    pub below: Vec<PathBuf>,
    /// Of the same name, and all that was looked at is the same, but nothing
    /// tells whether it is this drive by another path or another one: both are
    /// blank, or full of zeros.
    pub alike: Vec<Attached>,
    /// Other drives that report the same WWN or serial, so that neither names
    /// one of them.
    pub rivals: Vec<Attached>,
}

impl Kin {
    /// Looks at what is attached; reads other disks only where they report the
    /// same name.
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
            match kinship(host, whole_path, identity, &other) {
                Likeness::Same => kin.paths.push(other.path),
                Likeness::Alike => kin.alike.push(other),
                Likeness::Different => kin.rivals.push(other),
            }
        }
        kin
    }

    /// Every node that leads, or may lead, to the drive besides its own.
    pub fn nodes(&self) -> Vec<PathBuf> {
        let alike = self.alike.iter().map(|other| &other.path);
        let sure = self.paths.iter().chain(&self.below);
        sure.chain(alike).cloned().collect()
    }

    /// Compares the drive with what was recorded; what another one reports as
    /// well proves nothing.
    pub fn compare(&self, identity: &Identity, recorded: &Identity) -> Comparison {
        let others = self.rivals.iter().chain(&self.alike);
        identity.compare_beside(recorded, others.map(|other| &other.identity))
    }

    /// Whether it is what was recorded, but for its size.
    pub fn was_resized(&self, identity: &Identity, recorded: &Identity) -> bool {
        let as_before = Identity {
            size: recorded.size,
            ..identity.clone()
        };
        identity.size != recorded.size && self.compare(&as_before, recorded) == Comparison::Same
    }
}

/// Looks at what both show, and where that tells nothing at what they say of
/// their ports. What cannot be read is not proved to be the same.
fn kinship(host: &Host, path: &Path, identity: &Identity, other: &Attached) -> Likeness {
    if !other.identity.is_other_path_to(identity) {
        return Likeness::Different;
    }
    let shown = || {
        let (one, other) = (Peek::open(path)?, Peek::open(&other.path)?);
        peek::compare(&one, &other, &mut draw)
    };
    match shown() {
        Ok(Likeness::Alike) if host.are_two_ports(path, &other.path) => Likeness::Same,
        shown => shown.unwrap_or(Likeness::Different),
    }
}

/// Whether what is at this path holds the keystream of a wipe. What cannot be
/// read does not prove it.
pub(super) fn holds(path: &Path, checkpoint: &Checkpoint) -> bool {
    Peek::open(path).is_ok_and(|peek| matches(&peek, checkpoint))
}

/// The same of a path to the whole disk, where the wipe may be of a partition.
pub(super) fn disk_holds(path: &Path, checkpoint: &Checkpoint) -> bool {
    let slice = checkpoint.device_id().slice.as_ref();
    let part = |disk: Peek| match slice {
        Some(slice) => disk.part(slice.start, slice.length),
        None => Some(disk),
    };
    let part = Peek::open(path).ok().and_then(part);
    part.is_some_and(|part| matches(&part, checkpoint))
}

fn matches(peek: &Peek, checkpoint: &Checkpoint) -> bool {
    let state = checkpoint.state(checkpoint.plan());
    engine::prove(checkpoint.plan(), &state, peek, &mut draw)
        .is_ok_and(engine::Proof::is_cryptographic)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// This one: by its keystream, or as all are paths to one drive.
    One(PathBuf),
    /// Nothing tells whether they are paths to one drive or several that look
    /// the same; who names one continues that.
    Doubles,
    /// They are several, of which one may be a copy of the other.
    Several,
    Unknown,
}

pub(super) fn which(host: &Host, of: &[PathBuf], checkpoint: &Checkpoint) -> Which {
    let holding: Vec<&PathBuf> = of.iter().filter(|path| holds(path, checkpoint)).collect();
    let is_held = !holding.is_empty();
    let candidates = if is_held {
        holding
    } else {
        of.iter().collect()
    };
    let Some((first, others)) = candidates.split_first() else {
        return Which::Unknown;
    };
    if others.is_empty() && !is_held {
        return Which::Unknown;
    }
    let attached = host.attached();
    let found = |path: &Path| attached.iter().find(|other| other.path == path);
    let kinships = others.iter().filter_map(|other| {
        let (one, other) = found(first).zip(found(other))?;
        let shares = one.identity.shares_id_with(&other.identity);
        shares.then(|| match kinship(host, first, &one.identity, other) {
            // The keystream is on both.
            Likeness::Alike if is_held => Likeness::Same,
            kinship => kinship,
        })
    });
    let kinships: Vec<Likeness> = kinships.collect();
    if kinships.contains(&Likeness::Different) || (is_held && kinships.len() < others.len()) {
        Which::Several
    } else if kinships.len() < others.len() {
        Which::Unknown
    } else if kinships.contains(&Likeness::Alike) {
        Which::Doubles
    } else {
        Which::One((*first).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Machine, id};

    /// Three SCSI disks, the first two of one name, and what stands on them.
    fn machine(first: &[u8], second: &[u8]) -> Machine {
        let machine = Machine::new();
        for (name, minor) in [("sdx", 0), ("sdy", 16), ("sdz", 32)] {
            machine.disk(name, id(1008, minor));
            machine.set(name, &[("device/wwid", "naa.5000c500d1a2b3c4")]);
        }
        machine.set("sdz", &[("device/wwid", "naa.5000c500d1a2b3c5")]);
        for (name, bytes) in [("sdx", first), ("sdy", second)] {
            std::fs::write(machine.host.dev.join(name), bytes).unwrap();
        }
        machine
    }

    fn telling(seed: u64) -> Vec<u8> {
        let words = (0..32_768_u64).map(|word| word.wrapping_mul(seed));
        words.flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn a_disk_of_the_same_name_is_another_path_only_if_it_shows_the_same() {
        let kin = |machine: &Machine, name: &str| Kin::of(&machine.host, &machine.look(name));
        let names = |kin: &Kin| {
            kin.rivals
                .iter()
                .map(|one| one.name.clone())
                .collect::<Vec<_>>()
        };
        let same = machine(&telling(3), &telling(3));
        assert_eq!(kin(&same, "sdx").paths, [same.host.dev.join("sdy")]);
        assert!(kin(&same, "sdx").rivals.is_empty());
        assert!(kin(&same, "sdz").nodes().is_empty());
        for other in [
            machine(&telling(3), &telling(5)),
            machine(&vec![0; 1 << 18], &vec![0; 1 << 18]),
        ] {
            let mut kin = kin(&other, "sdx");
            assert!(kin.paths.is_empty());
            // Blank ones may be one, and are locked as one.
            let alike = kin.alike.iter().map(|other| other.path.clone());
            assert_eq!(kin.nodes(), alike.collect::<Vec<_>>());
            let alike = std::mem::take(&mut kin.alike);
            kin.rivals.extend(alike);
            assert_eq!(names(&kin), ["sdy"]);
            let identity = other.look("sdx").identity;
            assert_eq!(identity.compare(&identity), Comparison::Same);
            assert_eq!(kin.compare(&identity, &identity), Comparison::Unprovable);
        }
        // With a serial of its own it is another drive, and known as such.
        for (name, page) in [
            ("sdx", b"\0\x80\0\x06SERIA1"),
            ("sdy", b"\0\x80\0\x06SERIA2"),
        ] {
            let dir = same.host.sys.join("class/block").join(name);
            std::fs::write(dir.join("device/vpd_pg80"), page).unwrap();
        }
        let alone = kin(&same, "sdx");
        assert_eq!(names(&alone), ["sdy"]);
        let identity = same.look("sdx").identity;
        assert_eq!(alone.compare(&identity, &identity), Comparison::Same);
    }

    #[test]
    fn a_multipath_map_is_the_drive_of_its_paths_and_no_rival_of_them() {
        let machine = machine(&telling(3), &telling(3));
        machine.set("sdx", &[("device/model", "ST18000NM004J")]);
        machine.set("sdy", &[("device/model", "ST18000NM004J")]);
        let path = machine.look("sdx").identity;
        machine.disk_at("virtual", "dm-0", id(20252, 0));
        let uuid = ("dm/uuid", "mpath-35000c500d1a2b3c4");
        machine.set("dm-0", &[("dm/name", "mpatha"), uuid]);
        machine.hold("sdx", "dm-0");
        machine.hold("sdy", "dm-0");
        let map = machine.look("dm-0");
        assert_eq!(map.identity, path);
        let kin = Kin::of(&machine.host, &map);
        assert!(kin.rivals.is_empty() && kin.paths.is_empty(), "{kin:?}");
        let node = |name: &str| machine.host.dev.join(name);
        assert_eq!(kin.nodes(), [node("sdx"), node("sdy")]);
        // Of all three the map is the one to take.
        let all = vec![node("sdx"), node("dm-0"), node("sdy")];
        assert_eq!(machine.host.topmost(all), [node("dm-0")]);
        let other = vec![node("sdx"), node("sdz")];
        assert_eq!(machine.host.topmost(other.clone()), other);
        // A partition of it is a volume as ever.
        machine.disk_at("virtual", "dm-1", id(20252, 1));
        machine.set("dm-1", &[("dm/uuid", "part1-mpath-35000c500d1a2b3c4")]);
        machine.hold("dm-0", "dm-1");
        let part = machine.look("dm-1").identity;
        assert_eq!(part.wwn.as_deref(), Some("part1-mpath-35000c500d1a2b3c4"));
    }
}
