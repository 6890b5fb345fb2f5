//! The holes of a file.

use std::fs::File;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::plan::Extent;

/// Most holes of a file that are looked at: where there are more, only its count
/// of blocks tells.
pub(super) const MOST_HOLES: usize = 1 << 12;

/// The holes of a file within a range; `None` where there are too many, or the
/// file system does not tell.
pub(super) fn holes(file: &File, within: Extent) -> Option<Vec<Extent>> {
    let (found, all) = first_holes(file, within);
    all.then_some(found)
}

/// The first holes of a file within a range, and whether these are all. What lies
/// behind its end is one.
pub(super) fn first_holes(file: &File, within: Extent) -> (Vec<Extent>, bool) {
    let seek = |at: u64, whence, behind_the_end| {
        let at = i64::try_from(at).ok()?;
        match lseek(file, at, whence) {
            Ok(found) => u64::try_from(found).ok(),
            Err(Errno::ENXIO) => Some(behind_the_end),
            Err(_) => None,
        }
    };
    let mut found = Vec::new();
    let mut at = within.start();
    while at < within.end() {
        let Some(hole) = seek(at, Whence::SeekHole, at) else {
            return (found, false);
        };
        if hole >= within.end() {
            break;
        }
        let Some(data) = seek(hole, Whence::SeekData, u64::MAX) else {
            return (found, false);
        };
        at = data.min(within.end());
        found.extend(Extent::between(hole, at));
        if found.len() > MOST_HOLES {
            return (found, false);
        }
    }
    (found, true)
}
