//! The content proof: whether a target still holds what its checkpoint says.

use std::io;

use memmap2::MmapMut;

use super::{MAX_INTERVAL, MIN_CHUNK, State, Target, verify};
use crate::extent::Extent;
use crate::plan::{Phase, Plan};
use crate::size::{self, MIB};
use crate::strategy;

/// Random places that are looked at, besides both ends.
const SAMPLES: usize = 256;

/// What the proof found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// This many samples match.
    Matches {
        /// Places that were compared.
        samples: usize,
        /// Whether they prove who wrote them: the pass is a keystream.
        cryptographic: bool,
    },
    /// The first byte that is not what was written.
    Differs(u64),
    /// Too little was written for a proof.
    TooLittle,
}

/// Whether the position leaves enough written for a proof.
#[must_use]
pub fn is_possible(plan: &Plan, state: &State, size: u64) -> bool {
    evidence(plan, state, size).is_some_and(|(_, range)| range.length() >= MIB || !writes(state))
}

fn writes(state: &State) -> bool {
    state.step.phase == Phase::Write
}

/// The pass whose output must stand in a range of the target.
fn evidence(plan: &Plan, state: &State, size: u64) -> Option<(usize, Extent)> {
    let pass = state.step.pass.min(plan.passes().len() - 1);
    if !writes(state) {
        return Some((pass, Extent::new(0, size)?));
    }
    if pass > 0 && state.position < MIB {
        // Above whatever this pass may have written beyond its checkpoint.
        let start = state.position.checked_add(MAX_INTERVAL)?;
        return Some((pass - 1, Extent::between(start, size)?));
    }
    Some((pass, Extent::new(0, state.position)?))
}

/// Reads the first and last MiB of what was written and 256 places drawn
/// between them, leaving out what is known to be bad or different. `draw`
/// gives a number below its argument.
///
/// # Errors
/// When the target cannot be read.
pub fn prove(
    plan: &Plan,
    state: &State,
    target: &dyn Target,
    draw: &mut dyn FnMut(u64) -> u64,
) -> io::Result<Proof> {
    let Some((pass, range)) = evidence(plan, state, target.size()) else {
        return Ok(Proof::TooLittle);
    };
    // Whole blocks: the tail of an image is left out.
    let start = range.start().next_multiple_of(MIN_CHUNK);
    let end = range.end() / target.alignment() * target.alignment();
    let Some(range) = Extent::between(start, end) else {
        return Ok(Proof::TooLittle);
    };
    let content = &plan.pass(pass).content;
    let strategy = strategy::of(content);
    let mut buffer = MmapMut::map_anon(size::memory(MIB))?;
    let mut samples = 0;
    for place in places(range, draw) {
        for piece in state.bad.map().gaps(place) {
            let data = &mut buffer[..size::memory(piece.length())];
            target.read(data, piece.start())?;
            samples += 1;
            for differing in verify::differing(strategy.as_ref(), piece.start(), data) {
                if let Some(unknown) = state.mismatches.map().gaps(differing).first() {
                    return Ok(Proof::Differs(unknown.start()));
                }
            }
        }
    }
    Ok(if is_possible(plan, state, target.size()) {
        Proof::Matches {
            samples,
            cryptographic: content.is_keystream(),
        }
    } else {
        Proof::TooLittle
    })
}

fn places(range: Extent, draw: &mut dyn FnMut(u64) -> u64) -> Vec<Extent> {
    let (start, end) = (range.start(), range.end());
    let last = end.saturating_sub(MIB).max(start) / MIN_CHUNK * MIN_CHUNK;
    let mut places = vec![
        Extent::between(start, end.min(start + MIB)),
        Extent::between(last, end.min(last + MIB)),
    ];
    let blocks = range.length() / MIN_CHUNK;
    if blocks > 2 * (MIB / MIN_CHUNK) {
        places
            .extend((0..SAMPLES).map(|_| Extent::new(start + draw(blocks) * MIN_CHUNK, MIN_CHUNK)));
    }
    places.into_iter().flatten().collect()
}
