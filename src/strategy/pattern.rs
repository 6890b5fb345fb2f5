//! A repeated pattern.

use std::num::NonZeroU64;

use super::stream::WipeStrategy;
use crate::plan::Pattern;
use crate::text::size;

/// Repeats a pattern. Its phase is the offset on the target, never that of a
/// buffer.
#[derive(Debug, Clone)]
pub struct Repeat {
    // never empty
    pattern: Vec<u8>,
}

impl Repeat {
    /// Repeats this pattern.
    #[must_use]
    pub fn new(pattern: &Pattern) -> Self {
        Self {
            pattern: pattern.bytes().to_vec(),
        }
    }
}

impl WipeStrategy for Repeat {
    fn fill(&self, offset: u64, chunk: &mut [u8]) {
        let length = self.pattern.len();
        let phase = size::memory(offset % length as u64);
        // One period by bytes, then by doubling copies.
        let first = chunk.len().min(length);
        for (i, byte) in chunk[..first].iter_mut().enumerate() {
            *byte = self.pattern[(phase + i) % length];
        }
        let mut filled = first;
        while filled < chunk.len() {
            let more = filled.min(chunk.len() - filled);
            chunk.copy_within(..more, filled);
            filled += more;
        }
    }

    fn period(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.pattern.len() as u64)
    }
}
