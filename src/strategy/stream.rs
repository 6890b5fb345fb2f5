//! The bytes of a strategy, as all that use them see it.

use std::num::NonZeroU64;

/// Fills chunks of a target.
///
/// The output is a pure function of the strategy, its key and the absolute
/// offset. From this follow resuming in the middle, reading back without a
/// second copy, and the same bytes whatever the chunk size and thread count.
pub trait WipeStrategy: Send + Sync {
    /// Fills `chunk` with the bytes that belong at `offset` (bytes from the
    /// start of the target).
    fn fill(&self, offset: u64, chunk: &mut [u8]);

    /// The bytes after which the output repeats, where it does: chunks whose
    /// offsets differ by a multiple of it are equal and can share a buffer.
    fn period(&self) -> Option<NonZeroU64> {
        None
    }

    /// The offset in a target of `size` bytes to which `found` belongs, 16
    /// bytes that were read at `at`, a multiple of 16; `None` where that cannot
    /// be told, as where the output repeats.
    fn origin(&self, _found: &[u8], _at: u64, _size: u64) -> Option<u64> {
        None
    }
}
