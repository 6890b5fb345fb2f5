//! Which drive this is, and whether two identities are the same drive.

use serde::{Deserialize, Serialize};

use super::nature::Nature;
use super::signs::Signs;
use super::transport::{Identifiers, Transport};

/// What kind of target it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Disk,
    Partition,
    Loop,
    Image,
}

/// Where a partition lies on its disk, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// First byte on the disk.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Bytes of the whole disk.
    pub disk_size: u64,
}

/// The file behind an image or a loop device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backing {
    /// Canonical path; see [`path_to_text`].
    pub path: String,
    /// Inode. The file system's device number changes over remounts and is left
    /// out.
    pub inode: u64,
    /// First byte of the file that the device shows.
    pub offset: u64,
    /// Bytes that the device is limited to; 0: none.
    pub size_limit: u64,
}

/// Everything known about which drive a target is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub kind: Kind,
    pub transport: Transport,
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    /// World-wide name: WWN, EUI-64, NGUID or a volume's UUID.
    pub wwn: Option<String>,
    /// Firmware revision. Not compared: it may be updated.
    pub firmware: Option<String>,
    /// Bytes of the target.
    pub size: u64,
    /// Bytes of a logical block.
    pub logical_block: u32,
    pub slice: Option<Slice>,
    /// For an image or a loop device, or a partition of one.
    pub backing: Option<Backing>,
    /// What it really is, of the whole disk; `None` in files of version 0.1.0.
    /// Not compared: a drive shows other namespaces after one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nature: Option<Nature>,
}

/// Whether a drive is the one that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// A strong identifier is equal and nothing differs.
    Same,
    Different(&'static str),
    /// Nothing differs, but nothing proves it either.
    Unprovable,
    /// Nothing differs but the path of the file behind it: it was moved, or it
    /// is another one. Only a keystream tells.
    Elsewhere,
}

impl Identity {
    /// One of which no more is known.
    pub fn bare(kind: Kind, transport: Transport, size: u64, logical_block: u32) -> Self {
        Self {
            kind,
            transport,
            vendor: None,
            model: None,
            serial: None,
            wwn: None,
            firmware: None,
            size,
            logical_block,
            slice: None,
            backing: None,
            nature: None,
        }
    }

    /// What it tells of its nature by its names alone.
    pub fn signs(&self) -> Signs<'_> {
        Signs {
            transport: Some(self.transport),
            vendor: self.vendor.as_deref(),
            model: self.model.as_deref(),
            ..Signs::default()
        }
    }

    /// What it really is, or its disk: as the kernel said it, else as far as its
    /// names tell.
    pub fn nature(&self) -> Nature {
        let known = self.nature.clone();
        known.unwrap_or_else(|| Nature::of(&self.signs()))
    }

    /// What its disk may hide from the host, unless it hides nothing.
    pub fn hidden_areas(&self) -> Option<&'static str> {
        let of_disk = matches!(self.kind, Kind::Disk | Kind::Partition);
        self.nature()
            .hidden_areas(self.transport)
            .filter(|_| of_disk)
    }

    /// Compares with what was recorded: the rules of "the same drive".
    pub fn compare(&self, recorded: &Self) -> Comparison {
        self.compare_beside(recorded, std::iter::empty())
    }

    /// The same where other attached drives report some of the same: what
    /// several report proves nothing.
    pub fn compare_beside<'a>(
        &self,
        recorded: &Self,
        others: impl Iterator<Item = &'a Self>,
    ) -> Comparison {
        let map = recorded.of_map().map(|wwid| self.named_by(recorded, wwid));
        let recorded = map.as_ref().unwrap_or(recorded);
        let fields = [
            ("kind", self.kind == recorded.kind),
            ("size", self.size == recorded.size),
            (
                "logical block size",
                self.logical_block == recorded.logical_block,
            ),
            ("model", self.model == recorded.model),
            ("WWN", both_equal(self.wwn.as_ref(), recorded.wwn.as_ref())),
            (
                "serial",
                both_equal(self.serial.as_ref(), recorded.serial.as_ref()),
            ),
            ("partition", self.slice == recorded.slice),
            ("backing file", self.shows_the_same_part(recorded)),
        ];
        if let Some((field, _)) = fields.iter().find(|(_, equal)| !equal) {
            return Comparison::Different(field);
        }
        let shared: Vec<&str> = others
            .flat_map(|other| [&other.wwn, &other.serial])
            .filter_map(|id| id.as_deref())
            .collect();
        let path = |identity: &Self| identity.backing.as_ref().map(|file| file.path.clone());
        if path(self) != path(recorded) {
            return Comparison::Elsewhere;
        }
        // Another inode at the same path: FAT gives a new one at each mount, and
        // so does whoever puts another file there.
        let strong = (self.has_file() && self.backing == recorded.backing)
            || self
                .strong_ids()
                .filter(|id| recorded.strong_ids().any(|other| *id == other))
                .any(|id| !shared.contains(&id));
        if strong {
            Comparison::Same
        } else {
            Comparison::Unprovable
        }
    }

    /// Whether version 0.1.0 recorded it for a multipath map, by the name of
    /// that: it says nothing of the drive.
    pub fn is_of_old_map(&self) -> bool {
        self.of_map().is_some()
    }

    /// The WWID in the name of a multipath map, which version 0.1.0 recorded
    /// for the drive's own.
    fn of_map(&self) -> Option<&str> {
        let uuid = self.wwn.as_deref()?;
        uuid.strip_prefix("mpath-")
            .filter(|_| self.transport == Transport::Dm)
    }

    /// What was recorded as a map, in the words of this drive, where it is its
    /// WWID: the WWN as it is or in hex after a digit for its kind, or what ends
    /// in the serial.
    fn named_by(&self, recorded: &Self, wwid: &str) -> Self {
        let bare = |wwn: &str| wwn.split_once('.').map_or(wwn, |(_, id)| id).to_lowercase();
        let after_kind = wwid.strip_prefix(['1', '2', '3']).map(str::to_lowercase);
        let is_wwn = |wwn: &&String| {
            **wwn == wwid || after_kind.as_deref().is_some_and(|id| id == bare(wwn))
        };
        let is_serial = |serial: &&str| {
            let before = wwid.strip_suffix(serial.trim());
            before.is_some_and(|before| before.ends_with(['_', ' ']))
        };
        let wwn = self.wwn.as_ref().filter(is_wwn);
        let serial = self.good_serial().filter(is_serial);
        if wwn.is_none() && serial.is_none() {
            return recorded.clone();
        }
        Self {
            model: self.model.clone(),
            wwn: wwn.cloned(),
            serial: serial.map(str::to_string),
            ..recorded.clone()
        }
    }

    /// Whether this is its serial, in any case.
    pub fn has_serial(&self, serial: &str) -> bool {
        let own = self.serial.as_deref().map(str::trim);
        own.is_some_and(|own| own.eq_ignore_ascii_case(serial.trim()))
    }

    /// Whether both show the same part of the file behind them, whichever that
    /// is; also where neither has one.
    fn shows_the_same_part(&self, recorded: &Self) -> bool {
        let part = |identity: &Self| {
            let file = identity.backing.as_ref()?;
            Some((file.offset, file.size_limit))
        };
        part(self) == part(recorded)
    }

    /// Whether a file is known behind it. One that could not be looked at has
    /// inode 0.
    fn has_file(&self) -> bool {
        self.backing
            .as_ref()
            .is_some_and(|backing| backing.inode != 0)
    }

    /// Identifiers that no two drives share.
    fn strong_ids(&self) -> impl Iterator<Item = &str> {
        let trusted = self.transport.traits().identifiers != Identifiers::Weak;
        [&self.wwn, &self.serial]
            .into_iter()
            .filter(move |_| trusted)
            .filter_map(|id| id.as_deref())
            .filter(|id| !is_junk(id))
    }

    /// Whether the same drive may be attached through several cables or ports,
    /// each of which is a disk to the kernel. By a good world-wide name only.
    pub fn can_have_paths(&self) -> bool {
        self.transport.traits().identifiers == Identifiers::StrongByPaths
            && self.wwn.as_deref().is_some_and(|wwn| !is_junk(wwn))
    }

    /// Whether another disk of this machine is the same drive by another path.
    pub fn is_other_path_to(&self, other: &Self) -> bool {
        self.can_have_paths()
            && other.can_have_paths()
            && self.wwn == other.wwn
            && self.size == other.size
            && both_equal(self.serial.as_ref(), other.serial.as_ref())
    }

    /// Whether this and another attached drive cannot be told apart by name:
    /// they report the same WWN or the same serial.
    pub fn shares_id_with(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        same(&self.wwn, &other.wwn) || same(&self.serial, &other.serial)
    }

    /// What is equal with a recorded identity, for people: `WWN`, `serial`,
    /// `backing file`.
    pub fn equal_identifiers(&self, recorded: &Self) -> Vec<&'static str> {
        let equal = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let file = self.has_file() && self.backing == recorded.backing;
        let which = [
            ("WWN", equal(&self.wwn, &recorded.wwn)),
            ("serial", equal(&self.serial, &recorded.serial)),
            ("backing file", file && self.kind == Kind::Loop),
            ("path and inode", file && self.kind == Kind::Image),
        ];
        which
            .iter()
            .filter(|(_, equal)| *equal)
            .map(|(name, _)| *name)
            .collect()
    }

    /// The serial, where it is one that tells drives apart.
    pub fn good_serial(&self) -> Option<&str> {
        self.serial.as_deref().filter(|serial| !is_junk(serial))
    }
}

fn both_equal(a: Option<&String>, b: Option<&String>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// Whether an identifier is one that many drives have: empty, of one character
/// over and over, with a single digit that is not zero, a row of digits, or one
/// that makers of bridges are known to leave in.
pub(crate) fn is_junk(id: &str) -> bool {
    #[rustfmt::skip]
    const KNOWN: [&str; 12] = [
        "152D00539000", "ABCDEF", "DEADBEEF", "DEFAULT", "EMPTY", "FFFFFFFE", "NA", "NONE", "NULL",
        "SERIAL", "SERIALNUMBER", "UNKNOWN",
    ];
    const ROWS: [&str; 2] = [
        "012345678901234567890123456789",
        "0123456789ABCDEF0123456789ABCDEF",
    ];
    let text: String = distinct_part(id)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let mut chars = text.chars();
    let first = chars.next();
    let all_the_same = chars.all(|c| Some(c) == first);
    let digits = text.chars().filter(|c| *c != '0').count();
    all_the_same
        || (digits <= 1 && text.len() > 4)
        || (text.len() >= 5 && ROWS.iter().any(|row| row.contains(&text)))
        || KNOWN.contains(&text.as_str())
}

/// An identifier without what says only which kind it is, and without vendor
/// and model where it is made of them and a serial.
fn distinct_part(id: &str) -> String {
    const KINDS: [&str; 5] = ["naa.", "eui.", "uuid.", "0x", "0X"];
    if let Some(id) = id.strip_prefix("t10.") {
        return id.split_whitespace().next_back().unwrap_or("").into();
    }
    // The kernel's own for a drive without one, drivers/nvme/host/sysfs.c:
    // vendor, serial and model in hex, number.
    if let Some(id) = id.strip_prefix("nvme.") {
        let hex = id.split('-').nth(1).unwrap_or("");
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = hex.as_bytes().chunks(2).filter_map(byte).collect();
        return String::from_utf8_lossy(&bytes).trim().to_string();
    }
    let kind = KINDS.iter().find_map(|kind| id.strip_prefix(kind));
    let id = kind.unwrap_or(id);
    // A namespace's number and the area of a card stand at the end.
    match id.rsplit_once('-') {
        Some((id, part)) if part.starts_with(['n', 'b', 'g', 'r']) && part.len() < 6 => id.into(),
        _ => id.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Identity {
        Identity {
            kind: Kind::Disk,
            transport: Transport::Sata,
            vendor: None,
            model: Some("ST1000".into()),
            serial: Some("ZR5A1B2C".into()),
            wwn: Some("naa.5000c500d1a2b3c4".into()),
            firmware: Some("E002".into()),
            size: 1 << 30,
            logical_block: 512,
            slice: None,
            backing: None,
            nature: None,
        }
    }

    #[test]
    fn a_strong_identifier_with_nothing_different_is_the_same_drive() {
        let other = Identity {
            wwn: None,
            firmware: Some("E003".into()),
            ..disk()
        };
        assert_eq!(other.compare(&disk()), Comparison::Same);
    }

    #[test]
    fn what_was_recorded_as_a_multipath_map_is_the_drive_below_it() {
        let map = |uuid: &str| Identity {
            transport: Transport::Dm,
            model: Some("mpatha".into()),
            serial: None,
            wwn: Some(uuid.into()),
            firmware: None,
            ..disk()
        };
        for uuid in ["mpath-35000c500d1a2b3c4", "mpath-ST1000_ZR5A1B2C"] {
            assert_eq!(disk().compare(&map(uuid)), Comparison::Same, "{uuid}");
        }
        let nvme = Identity {
            wwn: Some("eui.0025385b71b0a3d1".into()),
            ..disk()
        };
        let judged = nvme.compare(&map("mpath-eui.0025385b71b0a3d1"));
        assert_eq!(judged, Comparison::Same);
        let mut others = vec![map("mpath-35000c500d1a2b3c5"), map("mpath-ST1000_R5A1B2C")];
        others.extend([map("part1-mpath-35000c500d1a2b3c4"), map("LVM-abc")]);
        others.push(Identity {
            transport: Transport::Scsi,
            ..map("mpath-35000c500d1a2b3c4")
        });
        for other in others {
            let judged = disk().compare(&other);
            assert_eq!(judged, Comparison::Different("model"), "{other:?}");
        }
        let resized = Identity {
            size: 5,
            ..map("mpath-35000c500d1a2b3c4")
        };
        assert_eq!(disk().compare(&resized), Comparison::Different("size"));
        // Of two with that name it proves nothing.
        let twin = disk();
        let judged = disk().compare_beside(&map("mpath-35000c500d1a2b3c4"), [&twin].into_iter());
        assert_eq!(judged, Comparison::Unprovable);
    }

    #[test]
    fn an_identifier_that_another_drive_reports_too_proves_nothing() {
        let judged = |others: &[Identity]| disk().compare_beside(&disk(), others.iter());
        let copied = Identity {
            serial: Some("other".into()),
            ..disk()
        };
        // The serial is its own.
        assert_eq!(judged(std::slice::from_ref(&copied)), Comparison::Same);
        assert_eq!(judged(&[copied, disk()]), Comparison::Unprovable);
        let other = Identity { size: 5, ..disk() };
        let judged = other.compare_beside(&disk(), [].iter());
        assert_eq!(judged, Comparison::Different("size"));
    }

    #[test]
    fn each_field_that_differs_is_named() {
        let name = |text: &str| Some(text.to_string());
        for (other, field) in [
            (Identity { size: 5, ..disk() }, "size"),
            (
                Identity {
                    logical_block: 4096,
                    ..disk()
                },
                "logical block size",
            ),
            (
                Identity {
                    model: name("X"),
                    ..disk()
                },
                "model",
            ),
            (
                Identity {
                    serial: name("X"),
                    ..disk()
                },
                "serial",
            ),
            (
                Identity {
                    wwn: name("X"),
                    ..disk()
                },
                "WWN",
            ),
        ] {
            assert_eq!(other.compare(&disk()), Comparison::Different(field));
        }
    }

    #[test]
    fn behind_a_usb_bridge_a_drive_is_no_longer_proven_but_not_another_one() {
        let docked = Identity {
            transport: Transport::Usb,
            ..disk()
        };
        assert_eq!(docked.compare(&disk()), Comparison::Unprovable);
    }

    #[test]
    fn weak_or_junk_identifiers_prove_nothing() {
        let usb = Identity {
            transport: Transport::Usb,
            ..disk()
        };
        assert_eq!(usb.compare(&usb), Comparison::Unprovable);
        for junk in ["000000000000", "0123456789abcdef", "    ", ""] {
            let drive = Identity {
                serial: Some(junk.into()),
                wwn: None,
                ..disk()
            };
            assert_eq!(drive.compare(&drive), Comparison::Unprovable, "{junk:?}");
            assert_eq!(drive.good_serial(), None, "{junk:?}");
        }
    }

    #[test]
    fn identifiers_that_many_drives_have_are_junk_and_others_are_not() {
        for junk in [
            "",
            " \0",
            "0",
            "000000000000",
            "0x00000000",
            "FFFFFFFFFFFFFFFF",
            "naa.0000000000000000",
            "naa.5000000000000000",
            "eui.0000000000000000",
            "eui.0100000000000000",
            "uuid.00000000-0000-0000-0000-000000000000",
            "0123456789ABCDEF",
            "123456789012",
            "ABCDEF012345",
            "152D00539000",
            "152d00539000",
            "deadbeef",
            "(none)",
            "Default",
            "0000000000-n2",
            "00000000-boot0",
            "t10.ATA     Some Model                     000000000000",
            "nvme.1b36-3030303030303030-51454d55-00000001",
        ] {
            assert!(is_junk(junk), "{junk:?}");
        }
        for good in [
            "ZR5A1B2C",
            "S64FNE0R31",
            "S64FNE0R31-n2",
            "4C530001090822118593",
            "0x1234abcd",
            "WD-WCC4E0000001",
            "naa.5000c500d1a2b3c4",
            "eui.0025385b71b0a3d1",
            "uuid.4f3c1e2a-0000-0000-0000-000000000001",
            "t10.ATA     QEMU HARDDISK                           QM00001",
            "nvme.1b36-5a523541314232432020-51454d55-00000001",
            "1b534d47433153351082d4b5a3012b00",
            "LVM-abcdef",
        ] {
            assert!(!is_junk(good), "{good:?}");
        }
    }

    #[test]
    fn a_disk_is_another_path_only_by_a_good_name_and_nothing_different() {
        let path = Identity {
            serial: None,
            ..disk()
        };
        assert!(path.is_other_path_to(&disk()));
        let others = [
            Identity { size: 5, ..disk() },
            Identity {
                wwn: None,
                ..disk()
            },
            Identity {
                serial: Some("other".into()),
                ..disk()
            },
            Identity {
                transport: Transport::Usb,
                ..disk()
            },
        ];
        for other in others {
            assert!(!disk().is_other_path_to(&other), "{other:?}");
            assert!(!other.is_other_path_to(&disk()), "{other:?}");
        }
        let junk = Identity {
            wwn: Some("eui.0100000000000000".into()),
            ..disk()
        };
        assert!(!junk.is_other_path_to(&junk));
    }
}
