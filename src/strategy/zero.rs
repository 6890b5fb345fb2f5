//! Zero bytes.

use std::num::NonZeroU64;

use super::stream::WipeStrategy;

/// Writes zero bytes.
pub(super) struct Zero;

impl WipeStrategy for Zero {
    fn fill(&self, _offset: u64, chunk: &mut [u8]) {
        chunk.fill(0);
    }

    fn period(&self) -> Option<NonZeroU64> {
        Some(NonZeroU64::MIN)
    }
}
