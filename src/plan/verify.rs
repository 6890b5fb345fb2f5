//! How a pass is read back.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::extent::Extent;
use super::sample;

/// How a pass is read back and compared afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verify", rename_all = "lowercase")]
pub enum Verify {
    None,
    /// The places that [`sample`](super::sample) draws with this seed.
    Sample {
        /// Drawn from the kernel.
        seed: u64,
    },
    Full,
}

impl Verify {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sample { .. } => "sample",
            Self::Full => "full",
        }
    }

    /// Bytes that it reads of a target of `size` bytes.
    pub fn bytes(self, size: u64) -> u64 {
        Extent::new(0, size).map_or(0, |all| self.bytes_in(all, size))
    }

    /// The parts of a range that it reads, in order, on a target of `size`
    /// bytes.
    pub fn pieces(self, range: Extent, size: u64) -> Vec<Extent> {
        match self {
            Self::None => Vec::new(),
            Self::Sample { seed } => sample::pieces(seed, size, range),
            Self::Full => vec![range],
        }
    }

    /// Bytes that it reads of a range of a target of `size` bytes.
    pub fn bytes_in(self, range: Extent, size: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::Full => range.length(),
            Self::Sample { .. } => {
                let pieces = self.pieces(range, size);
                pieces.iter().map(|piece| piece.length()).sum()
            }
        }
    }

    /// How much it shows: the more the higher.
    pub(super) fn strength(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Sample { .. } => 1,
            Self::Full => 2,
        }
    }
}

/// What `--verify` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadBack {
    /// The last pass.
    Full,
    /// Samples of the last pass.
    Sample,
    /// Every pass.
    All,
    /// Nothing is read back.
    None,
}
