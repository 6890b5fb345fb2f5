//! Repeated bytes.

use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::stream::WipeStrategy;
use crate::text::size;

/// Longest repeated pattern in bytes.
pub(crate) const MAX_PATTERN: usize = 4096;

/// A repeated sequence of 1 to [`MAX_PATTERN`] bytes. Its phase is the offset on
/// the target, never that of a buffer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// These bytes; `None` without any or with more than [`MAX_PATTERN`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=MAX_PATTERN)
            .contains(&bytes.len())
            .then(|| Self(bytes.to_vec()))
    }

    /// The bytes, never none.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digits of its first bytes, so many of them at most; `..` where it has more.
    pub fn digits(&self, most: usize) -> String {
        let more = if self.0.len() > most { ".." } else { "" };
        hex::encode(&self.0[..self.0.len().min(most)]) + more
    }
}

impl WipeStrategy for Pattern {
    fn fill(&self, offset: u64, chunk: &mut [u8]) {
        let length = self.0.len();
        let phase = size::memory(offset % length as u64);
        // One period by bytes, then by doubling copies.
        let first = chunk.len().min(length);
        for (i, byte) in chunk[..first].iter_mut().enumerate() {
            *byte = self.0[(phase + i) % length];
        }
        let mut filled = first;
        while filled < chunk.len() {
            let more = filled.min(chunk.len() - filled);
            chunk.copy_within(..more, filled);
            filled += more;
        }
    }

    fn period(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.len() as u64)
    }
}

impl TryFrom<String> for Pattern {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Pattern {
    type Err = &'static str;
    /// Parses pairs of hexadecimal digits, with or without a leading `0x`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        if digits.is_empty() {
            return Err("is empty; give pairs of hexadecimal digits, such as 55aa");
        }
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("is not hexadecimal; give pairs of the digits 0-9 and a-f, such as 55aa");
        }
        let bytes = hex::decode(digits)
            .map_err(|_| "has an odd number of digits; give pairs of digits, such as 55aa")?;
        if bytes.len() > MAX_PATTERN {
            return Err("is longer than 4096 bytes; give a shorter one");
        }
        Ok(Self(bytes))
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        hex::encode(pattern.0)
    }
}
