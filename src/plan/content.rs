//! What a pass writes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of a key of either generator.
pub const KEY_BYTES: usize = 32;

/// Longest repeated pattern in bytes.
pub const MAX_PATTERN: usize = 4096;

/// A key of a random pass. Its `Debug` form hides it. Never all zeros: they stand
/// for one that is kept elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(#[serde(with = "hex")] [u8; KEY_BYTES]);

impl Key {
    /// Stands in a record for a key that is kept apart from it.
    pub const ELSEWHERE: Self = Self([0; KEY_BYTES]);

    /// Whether it is not here.
    pub fn is_elsewhere(&self) -> bool {
        *self == Self::ELSEWHERE
    }

    fn elsewhere() -> Self {
        Self::ELSEWHERE
    }

    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A repeated sequence of 1 to [`MAX_PATTERN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// The bytes, never none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for Pattern {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Pattern {
    /// These bytes; `None` without any or with more than [`MAX_PATTERN`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=MAX_PATTERN)
            .contains(&bytes.len())
            .then(|| Self(bytes.to_vec()))
    }
}

impl std::str::FromStr for Pattern {
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

/// The generator of a random stream; named in the checkpoint, so that another
/// machine continues with the same stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generator {
    /// AES-256 in counter mode over a zero nonce: block `n` of 16 bytes is the
    /// encryption of `n` as 64 bits little-endian followed by 8 zero bytes.
    #[serde(rename = "aes256-ctr64le")]
    Aes256,
    /// The original `ChaCha20` with a 64-bit block counter and a zero nonce.
    #[serde(rename = "chacha20-ctr64")]
    ChaCha20,
}

/// What one pass writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "lowercase")]
pub enum Content {
    /// Zero bytes.
    Zero,
    /// A repeated pattern; its phase is the offset on the device.
    Pattern {
        /// The repeated bytes.
        pattern: Pattern,
    },
    /// A keystream.
    Random {
        /// What makes the stream.
        generator: Generator,
        /// Drawn from the kernel for this pass.
        #[serde(default = "Key::elsewhere", skip_serializing_if = "Key::is_elsewhere")]
        key: Key,
    },
}

impl Content {
    /// The strategy's name as typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Pattern { .. } => "pattern",
            Self::Random { .. } => "random",
        }
    }

    /// Whether matching it proves who wrote it, and not only that nobody wrote
    /// since.
    #[must_use]
    pub fn is_keystream(&self) -> bool {
        matches!(self, Self::Random { .. })
    }
}
