//! What a target really is: a drive, a volume that a controller or software
//! makes of drives, memory, a file. Decided here alone, and every word that
//! depends on it comes from here.
//!
//! A drive is what overwriting makes Clear and what is pulled and labelled; a
//! volume is neither, whatever it reports about itself.

use serde::{Deserialize, Serialize};

use super::transport::Transport;

/// What a target, or the whole disk of a partition, really is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Nature {
    Drive,
    /// One of several namespaces of an `NVMe` drive.
    Namespace {
        /// Its number, as the drive counts.
        number: u32,
        /// Namespaces of the drive that the kernel sees, > 1.
        of: u32,
    },
    /// What a RAID controller or a storage array shows of its drives.
    ControllerVolume {
        /// Whose volume it is, as `a RAID controller`.
        by: String,
    },
    /// What software makes of drives, files or a server.
    SoftwareVolume {
        /// The software, as `device-mapper`, `RAID`, `bcache`.
        by: String,
    },
    Memory {
        /// The driver, as `zram`.
        by: String,
    },
    /// A virtual drive of a hypervisor, which may keep it in a file.
    Virtual,
    /// A file of a file system, or a loop device over one.
    File,
    /// Of its driver nothing is known.
    Unknown,
}

impl Nature {
    /// Whether overwriting all of it can be Clear, in the sense of NIST SP
    /// 800-88: only where every byte of a drive, or of a namespace, is in reach.
    pub fn can_be_clear(&self) -> bool {
        matches!(self, Self::Drive | Self::Namespace { .. })
    }

    /// Whether it is made of drives, which hold more than it shows.
    pub fn is_volume(&self) -> bool {
        matches!(
            self,
            Self::ControllerVolume { .. } | Self::SoftwareVolume { .. }
        )
    }

    pub fn id_word(&self) -> &'static str {
        if self.is_volume() {
            "volume id"
        } else {
            "serial"
        }
    }

    /// Whether somebody can pull it out of the machine: not a volume, and not
    /// memory.
    pub fn can_be_pulled(&self) -> bool {
        !self.is_volume() && !matches!(self, Self::Memory { .. } | Self::File)
    }

    /// What it is called in a sentence about the whole of it.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Drive | Self::Virtual | Self::Unknown => "drive",
            Self::Namespace { .. } => "namespace",
            Self::ControllerVolume { .. } | Self::SoftwareVolume { .. } => "volume",
            Self::Memory { .. } => "memory",
            Self::File => "file",
        }
    }

    /// What it is, where that is no drive: `volume of a RAID controller`,
    /// `bcache volume`, `memory (zram)`.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::ControllerVolume { by } => Some(format!("volume of {by}")),
            Self::SoftwareVolume { by } => Some(format!("{by} volume")),
            Self::Memory { by } => Some(format!("memory ({by})")),
            Self::Namespace { .. } => self.part(),
            Self::Drive | Self::Virtual | Self::File | Self::Unknown => None,
        }
    }

    /// Which part of its drive it is: `namespace 1 of 3`.
    pub fn part(&self) -> Option<String> {
        let Self::Namespace { number, of } = self else {
            return None;
        };
        Some(if number <= of {
            format!("namespace {number} of {of}")
        } else {
            format!("namespace {number}, one of {of}")
        })
    }

    /// The areas that a drive attached so may hide from the host and that nobody
    /// looked for; `None` where it hides none.
    pub fn hidden_areas(&self, transport: Transport) -> Option<&'static str> {
        if !self.can_be_clear() {
            return (*self == Self::Unknown).then_some("areas that it hides");
        }
        transport.traits().hidden_areas
    }
}
