//! What the bits are kept on, and its words.

use serde::{Deserialize, Serialize};

/// What the bits are kept on; it decides what overwriting reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    Rotational,
    /// SSD, USB stick, card.
    Flash,
    /// A file of a file system, or a loop device over one.
    File,
    /// The kernel does not say.
    #[default]
    Unknown,
}

/// What a medium is called.
#[derive(Debug, Clone, Copy)]
pub struct MediumWords {
    pub name: &'static str,
    /// A drive with it.
    pub noun: &'static str,
    /// The same in a column.
    pub short: &'static str,
}

impl Medium {
    pub const fn words(self) -> MediumWords {
        let (name, noun, short) = match self {
            Self::Rotational => ("magnetic disk (rotational)", "hard disk", "HDD"),
            Self::Flash => ("flash (SSD, stick or card)", "SSD", "SSD"),
            Self::File | Self::Unknown => ("unknown", "disk", "disk"),
        };
        MediumWords { name, noun, short }
    }
}
