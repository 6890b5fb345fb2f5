//! The memory of chunks.

use memmap2::{Advice, MmapMut};

use super::means;
use super::state::Settings;
use crate::text::size;

/// A huge page of most machines; where it is not one, nothing is lost.
const HUGE_PAGE: usize = 2 << 20;

/// The memory that is written from and read into: page-aligned, one map for all
/// workers, as separate small ones get huge pages only by chance.
pub(crate) struct Buffers {
    map: MmapMut,
    // where the first huge page begins
    start: usize,
    // bytes of all chunks; start + length <= that of the map
    length: usize,
    // divides the length
    chunk: usize,
}

impl Buffers {
    /// One chunk for each worker, and one that all share.
    ///
    /// # Errors
    /// That they or their workers' stacks cannot be had, for people.
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        let chunk = size::memory(settings.chunk);
        let length = chunk * (settings.workers + 1);
        // The kernel gives huge pages only where whole ones fit.
        let whole = length.next_multiple_of(HUGE_PAGE);
        let all = whole + HUGE_PAGE;
        means::ensure(all as u64, settings.workers + 1)?;
        let map = MmapMut::map_anon(all).map_err(|error| means::no_memory(&error))?;
        let start = map.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
        // Only speed hangs on it.
        let _ = map.advise_range(Advice::HugePage, start, whole);
        Ok(Self {
            map,
            start,
            length,
            chunk,
        })
    }

    /// The shared chunk, and each worker's own.
    pub(crate) fn split(&mut self) -> (&mut [u8], impl Iterator<Item = &mut [u8]>) {
        let all = &mut self.map[self.start..self.start + self.length];
        let (shared, own) = all.split_at_mut(self.chunk);
        (shared, own.chunks_mut(self.chunk))
    }
}
