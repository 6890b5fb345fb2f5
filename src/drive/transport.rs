//! How a drive is attached, and all that follows from it.
//!
//! A new transport is a variant and an entry here, and what the kernel's files say of
//! it in `probe/identify.rs`. Nothing else matches on a [`Transport`].

use serde::{Deserialize, Serialize};

use super::medium::Medium;

/// How a drive is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// `NVMe`.
    Nvme,
    /// SATA or PATA.
    Sata,
    /// SAS, and SCSI of any other kind.
    Scsi,
    /// USB, with or without UAS.
    Usb,
    /// SD cards and eMMC.
    Mmc,
    /// A virtual drive of a hypervisor.
    Virtio,
    Loop,
    Dm,
    Md,
    File,
    /// None of these.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attaches {
    Drive,
    /// A drive, or what a controller shows as one: other signs tell.
    DriveOrVolume,
    /// What this software makes.
    Volume(&'static str),
    File,
    Virtual,
    Unknown,
}

/// What the identifiers of a drive are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifiers {
    /// They may not be the drive's own: a USB bridge reports its own name, or
    /// gives every bay the same one.
    Weak,
    Strong,
    /// And the same drive may be attached several times, each a disk to the
    /// kernel.
    StrongByPaths,
}

/// All that is true of a transport.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// As people know it.
    pub name: &'static str,
    /// Before the word for a drive, with a space; empty where that says it.
    pub adjective: &'static str,
    /// In a column; `None` where the medium says more.
    pub short: Option<&'static str>,
    /// What a drive is called, where not by its medium.
    pub noun: Option<&'static str>,
    /// What one with a flash medium is called.
    pub flash_noun: &'static str,
    pub attaches: Attaches,
    pub identifiers: Identifiers,
    /// Whether removable media are flash whatever the queue says.
    pub removable_is_flash: bool,
    /// Whether it does one thing after the other whatever the medium.
    pub sequential: bool,
    /// The areas that a drive may hide from the host and that nobody looked for.
    pub hidden_areas: Option<&'static str>,
    /// What no overwrite of flash reaches besides spare blocks.
    pub flash_beyond: &'static str,
}

/// A drive of which nothing special is known.
const DRIVE: Traits = Traits {
    name: "another transport",
    adjective: "",
    short: None,
    noun: None,
    flash_noun: "SSD",
    attaches: Attaches::DriveOrVolume,
    identifiers: Identifiers::Strong,
    removable_is_flash: false,
    sequential: false,
    hidden_areas: None,
    flash_beyond: "; hidden areas",
};

impl Traits {
    /// Whether its word in a column says what a disk is, whatever else is known.
    pub const fn short_says_all(&self) -> bool {
        matches!(
            self.attaches,
            Attaches::Volume(_) | Attaches::File | Attaches::Virtual
        )
    }
}

impl Transport {
    /// All that is true of it, an entry for each.
    #[rustfmt::skip]
    pub const fn traits(self) -> Traits {
        const HIDDEN: Option<&str> = Some("HPA, DCO and AMAX areas");
        match self {
            // It hides no areas; what no namespace has is unreached.
            Self::Nvme => Traits { name: "NVMe", adjective: "NVMe ", short: Some("NVMe"),
                identifiers: Identifiers::StrongByPaths,
                flash_beyond: ", nor what is in no namespace", ..DRIVE },
            Self::Sata => Traits { name: "SATA", adjective: "SATA ",
                identifiers: Identifiers::StrongByPaths, hidden_areas: HIDDEN, ..DRIVE },
            Self::Scsi => Traits { name: "SCSI", adjective: "SAS/SCSI ",
                identifiers: Identifiers::StrongByPaths, hidden_areas: HIDDEN, ..DRIVE },
            Self::Usb => Traits { name: "USB", adjective: "USB ", short: Some("USB"),
                flash_noun: "flash drive", identifiers: Identifiers::Weak,
                removable_is_flash: true, sequential: true,
                hidden_areas: Some("areas that the drive or its USB bridge hides"), ..DRIVE },
            Self::Mmc => Traits { name: "a card slot", adjective: "SD/MMC ", short: Some("SD"),
                noun: Some("card"), attaches: Attaches::Drive, sequential: true,
                hidden_areas: Some("boot, RPMB and protected areas"), ..DRIVE },
            Self::Virtio => Traits { name: "virtio", adjective: "virtio ", short: Some("virtio"),
                attaches: Attaches::Virtual, ..DRIVE },
            Self::Loop => Traits { name: "a loop device", short: Some("loop"), noun: Some(""),
                attaches: Attaches::File, ..DRIVE },
            Self::Dm => Traits { name: "device mapper", adjective: "device-mapper ",
                short: Some("dm"), attaches: Attaches::Volume("device-mapper"), ..DRIVE },
            Self::Md => Traits { name: "software RAID", adjective: "RAID ", short: Some("md"),
                attaches: Attaches::Volume("RAID"), ..DRIVE },
            Self::File => Traits { name: "a file", noun: Some(""), attaches: Attaches::File, ..DRIVE },
            Self::Other => Traits { attaches: Attaches::Unknown, identifiers: Identifiers::Weak,
                ..DRIVE },
        }
    }

    /// As people know it.
    pub const fn name(self) -> &'static str {
        self.traits().name
    }

    /// What a drive is called: `SATA hard disk`, `SD/MMC card`; nothing of a
    /// file.
    pub fn drive_name(self, medium: Medium) -> String {
        let traits = self.traits();
        let noun = match medium {
            Medium::Flash => traits.flash_noun,
            Medium::Rotational | Medium::File | Medium::Unknown => medium.words().noun,
        };
        format!("{}{}", traits.adjective, traits.noun.unwrap_or(noun))
    }
}
