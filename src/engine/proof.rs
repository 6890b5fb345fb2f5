//! The content proof: whether a target still holds what its checkpoint says.

use std::io;

use memmap2::MmapMut;

use super::doubtful::{Doubtful, whole_blocks};
use super::state::{MIN_CHUNK, State};
use super::target::{Presence, Target};
use super::verify;
use crate::plan::{Difference, Extent, Phase, Plan};
use crate::strategy::{self, WipeStrategy};
use crate::text::{MIB, size};

/// Random places that are looked at, besides both ends.
const SAMPLES: usize = 256;

/// What the proof found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Everything that was looked at is what was written.
    Matches {
        /// Places that were compared.
        samples: u64,
        /// Whether they prove who wrote them: the pass is a keystream.
        cryptographic: bool,
        /// The first byte that was seen to differ where the read-back under way
        /// has not been yet: only if it still comes there will anybody be told.
        ahead: Option<u64>,
    },
    /// The first byte that is not what was written.
    Differs(u64),
    /// Too little was written, or too little of it can be read, for a proof.
    TooLittle,
}

impl Proof {
    /// Whether everything matches and proves who wrote it.
    #[must_use]
    pub(crate) fn is_cryptographic(self) -> bool {
        matches!(
            self,
            Self::Matches {
                cryptographic: true,
                ..
            }
        )
    }
}

/// What must stand on the target.
struct Evidence {
    range: Extent,
    pass: usize,
    // a pass whose output may still stand in the place of `pass`, from this
    // offset on
    older: Option<(usize, u64)>,
    // where the read-back under way has not been yet: what differs from there
    // on it will find, whoever is to blame
    unread: Option<u64>,
    // bytes that have to be seen
    enough: u64,
}

fn evidence(plan: &Plan, state: &State, size: u64) -> Option<Evidence> {
    let pass = state.step.pass.min(plan.passes().len() - 1);
    let begun = state.step.phase == Phase::Write;
    let whole = !begun || pass > 0;
    Some(Evidence {
        range: Extent::new(0, if whole { size } else { state.position })?,
        pass,
        // This pass may have got further than its checkpoint says.
        older: (begun && pass > 0).then(|| (pass - 1, state.position)),
        unread: (state.step.phase == Phase::Verify).then_some(state.position),
        // Where everything was written, the whole of a small target is enough.
        enough: if whole { MIB.min(size / 2) } else { MIB },
    })
}

/// Reads the first and last MiB of what was written and 256 places drawn
/// between them, leaving out what is known to be bad or different, what cannot
/// be read, and, where enough else matches, what differs beyond the position of
/// a read-back: a drive that lost it is to be read back to its end, not
/// refused. `draw` gives a number below its argument.
///
/// # Errors
/// When the target has gone.
pub(crate) fn prove(
    plan: &Plan,
    state: &State,
    target: &dyn Target,
    draw: &mut dyn FnMut(u64) -> u64,
) -> io::Result<Proof> {
    let Some(evidence) = evidence(plan, state, target.size()) else {
        return Ok(Proof::TooLittle);
    };
    // Whole blocks: the tail of an image is left out.
    let end = evidence.range.end() / target.alignment() * target.alignment();
    let places = Extent::new(0, end).map_or(Vec::new(), |range| places(range, draw));
    compare(plan, state, target, &evidence, &places)
}

/// The same, but reads everything that was written, to the last byte.
///
/// # Errors
/// When the target has gone.
pub(crate) fn prove_all(plan: &Plan, state: &State, target: &dyn Target) -> io::Result<Proof> {
    let Some(evidence) = evidence(plan, state, target.size()) else {
        return Ok(Proof::TooLittle);
    };
    let end = evidence.range.end();
    let whole = end / target.alignment() * target.alignment();
    let mut places: Vec<Extent> = (0..whole)
        .step_by(size::memory(MIB))
        .filter_map(|start| Extent::between(start, whole.min(start + MIB)))
        .collect();
    places.extend(Extent::between(whole, end));
    compare(plan, state, target, &evidence, &places)
}

fn compare(
    plan: &Plan,
    state: &State,
    target: &dyn Target,
    evidence: &Evidence,
    places: &[Extent],
) -> io::Result<Proof> {
    let content = &plan.pass(evidence.pass).content;
    let older = evidence.older;
    let mut written = Written {
        strategy: strategy::of(content),
        older: older.map(|(pass, from)| (strategy::of(&plan.pass(pass).content), from)),
        doubtful: Doubtful::of(state),
    };
    let mut buffer = MmapMut::map_anon(size::memory(MIB))?;
    let (mut samples, mut seen, mut lost) = (0, 0, None);
    let all = places.iter().flat_map(|&place| pieces(state, place));
    for (piece, good) in all {
        let Some(data) = read(target, piece, &mut buffer)? else {
            continue;
        };
        if let Some(at) = written.contradicted(piece, data, good) {
            if evidence.unread.is_none_or(|from| at < from) {
                return Ok(Proof::Differs(at));
            }
            lost = Some(lost.map_or(at, |before: u64| before.min(at)));
        } else if good {
            samples += 1;
            seen += piece.length();
        }
    }
    Ok(if seen >= evidence.enough && seen > 0 {
        let older = |(pass, _)| plan.pass(pass).content.is_keystream();
        let cryptographic = content.is_keystream() && evidence.older.is_none_or(older);
        Proof::Matches {
            samples,
            cryptographic,
            ahead: lost,
        }
    } else {
        lost.map_or(Proof::TooLittle, Proof::Differs)
    })
}

/// Reads a piece; `None` of a block that went bad since, which proves nothing either
/// way.
fn read<'b>(
    target: &dyn Target,
    piece: Extent,
    buffer: &'b mut [u8],
) -> io::Result<Option<&'b [u8]>> {
    let length = size::memory(piece.length());
    let read = if piece.length().is_multiple_of(target.alignment()) {
        target.read(&mut buffer[..length], piece.start())
    } else {
        let block = &mut buffer[..size::memory(target.alignment())];
        target.read_tail(block, piece.start(), length)
    };
    match read.map_err(|error| (target.presence(&error), error)) {
        Ok(()) => Ok(Some(&buffer[..length])),
        Err((Presence::Present, _)) => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// What was written, and what may stand there instead.
struct Written {
    strategy: Box<dyn WipeStrategy>,
    // what the pass before wrote, which may be there from an offset on
    older: Option<(Box<dyn WipeStrategy>, u64)>,
    doubtful: Doubtful,
}

impl Written {
    /// Where a piece holds what nothing explains.
    fn contradicted(&mut self, piece: Extent, data: &[u8], good: bool) -> Option<u64> {
        let differ = verify::differing(self.strategy.as_ref(), piece.start(), data);
        for difference in differ {
            if planted!("no-proof") {
                continue;
            }
            let differs = difference.extent;
            let part = &data[offset_in(piece, differs.start())..offset_in(piece, differs.end())];
            let unknown = match &self.older {
                Some((older, from)) if differs.start() >= *from => {
                    verify::differing(older.as_ref(), differs.start(), part)
                }
                _ => vec![difference],
            };
            let doubtful = &mut self.doubtful;
            let mut explains = |one: &Difference| doubtful.explains_again(one.extent);
            if !good && unknown.iter().all(&mut explains) {
                continue;
            }
            if let Some(first) = unknown.first() {
                return Some(first.extent.start());
            }
        }
        None
    }
}

fn offset_in(piece: Extent, at: u64) -> usize {
    size::memory(at - piece.start())
}

/// The parts of a place, each with whether it is known to be good: those that
/// are neither bad nor known to differ are, and those of joined ranges may be.
fn pieces(state: &State, place: Extent) -> Vec<(Extent, bool)> {
    let mut known = state.bad.touching(place);
    let mut exact = state.bad.exact(place);
    for range in state.mismatches.touching(place) {
        let blocks = whole_blocks(range.extent);
        known.insert(blocks, ());
        if range.is_exact() {
            exact.insert(blocks, ());
        }
    }
    let good = known.gaps(place);
    let mut pieces: Vec<(Extent, bool)> = good.iter().map(|&piece| (piece, true)).collect();
    for piece in good {
        exact.insert(piece, ());
    }
    pieces.extend(exact.gaps(place).into_iter().map(|piece| (piece, false)));
    pieces
}

fn places(range: Extent, draw: &mut dyn FnMut(u64) -> u64) -> Vec<Extent> {
    let (start, end) = (range.start(), range.end());
    let last = end
        .saturating_sub(MIB)
        .next_multiple_of(MIN_CHUNK)
        .max(start);
    let mut places = vec![Extent::between(start, end.min(start + MIB))];
    if last > start {
        places.push(Extent::between(last, end));
    }
    let blocks = range.length() / MIN_CHUNK;
    if blocks > 2 * (MIB / MIN_CHUNK) {
        let drawn = (0..SAMPLES).map(|_| start + draw(blocks) * MIN_CHUNK);
        places.extend(drawn.map(|at| Extent::new(at, MIN_CHUNK)));
    }
    places.into_iter().flatten().collect()
}
