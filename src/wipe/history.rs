//! What the records of finished wipes say of a drive at hand. Of those that no
//! other wipe of it supersedes and that its content matches the worst counts;
//! nothing hangs on the clock. Reads only.

use std::path::PathBuf;

use super::open::Opened;
use super::unfinished::{Known, prove, speaks_of, unreadable};
use crate::drive::Comparison;
use crate::engine::{self, Proof};
use crate::progress::{Checkpoint, RecordFile, StateDir, lineage};
use crate::refusal::{Cause, Unusable};
use crate::text::{MIB, shown};

/// A drive of at most so many bytes is read as a whole before it is called wiped
/// already: that takes a stick some seconds.
const SMALL: u64 = 256 * MIB;

#[derive(Debug)]
pub(super) struct Finished {
    pub record: RecordFile,
    pub proof: Proof,
    /// Whether that is all of its content.
    pub read_whole: bool,
    /// Whether it is surely of this drive. If not, nothing says that it is of
    /// another, but the content differs.
    pub sure: bool,
    /// Other records that its content matches as well, none of them worse.
    pub beside: Vec<PathBuf>,
    // whether a strong identifier says so
    same: bool,
}

impl Finished {
    /// `None` where the record is of another drive.
    fn of(record: RecordFile, opened: &Opened) -> Result<Option<Self>, Cause> {
        let comparison = opened.compare(record.checkpoint.device_id());
        if matches!(comparison, Comparison::Different(_)) {
            return Ok(None);
        }
        let proof = prove(&record.checkpoint, &opened.writer)?;
        let (same, is_proved) = (comparison == Comparison::Same, proof.is_cryptographic());
        let is_it = comparison != Comparison::Elsewhere || is_proved;
        Ok(is_it.then_some(Self {
            sure: same || is_proved,
            same,
            record,
            proof,
            read_whole: false,
            beside: Vec::new(),
        }))
    }

    /// Reads all of a small drive, where samples have found nothing.
    fn look_closely(&mut self, opened: &Opened) -> Result<(), Cause> {
        let checkpoint = &self.record.checkpoint;
        if checkpoint.total_size() <= SMALL && matches!(self.proof, Proof::Matches { .. }) {
            let state = checkpoint.state(checkpoint.plan());
            self.proof = engine::prove_all(checkpoint.plan(), &state, &opened.writer)
                .map_err(Cause::Unproved)?;
            self.read_whole = true;
        }
        Ok(())
    }

    /// Whether the content says that it is of another drive, or that new data
    /// is on this one.
    fn differs(&self) -> bool {
        matches!(self.proof, Proof::Differs(_))
    }

    /// Whether this drive holds what was written then. Zeros and patterns on a
    /// drive that nothing identifies match nothing.
    fn matches(&self) -> bool {
        self.sure && matches!(self.proof, Proof::Matches { .. })
    }
}

struct Candidates {
    // that may be of it and are not superseded
    fitting: Vec<Finished>,
    // why one that is of it cannot be used
    refused: Option<Cause>,
}

/// `notes`: what is said of those that are of no use, a line each.
fn candidates(
    state: &StateDir,
    opened: &Opened,
    notes: &mut Vec<String>,
) -> Result<Candidates, Cause> {
    let (mut fitting, mut resized) = (Vec::new(), Vec::new());
    let records = state.records().map_err(|error| unreadable(state, error))?;
    // What lacks its keys cannot be compared, but supersedes what came before.
    let lacks_keys = |it: &&RecordFile| {
        !it.is_comparable() && opened.compare(it.checkpoint.device_id()) == Comparison::Same
    };
    let lacking = records.usable.iter().filter(lacks_keys);
    let lacking: Vec<Checkpoint> = lacking.map(|it| it.checkpoint.clone()).collect();
    let records = records.comparable();
    for record in records.usable {
        let (now, then) = (&opened.device().identity, record.checkpoint.device_id());
        if opened.kin().was_resized(now, then) {
            resized.push(record.checkpoint);
        } else {
            fitting.extend(Finished::of(record, opened)?);
        }
    }
    let sure = fitting.iter().filter(|finished| finished.sure);
    let sure = sure.map(|finished| &finished.record.checkpoint);
    let gone = lineage::superseded(sure.chain(&resized).chain(&lacking));
    fitting.retain(|finished| !gone.contains(finished.record.checkpoint.run_id()));
    resized.retain(|checkpoint| !gone.contains(checkpoint.run_id()));
    let mut refused = resized.last().map(|before| Cause::Resized {
        then: before.total_size(),
        now: opened.device().size,
        when: before.timestamp().to_string(),
    });
    let lacks = lacking.iter().any(|it| !gone.contains(it.run_id()));
    if lacks {
        fitting.clear();
    }
    if lacks || !fitting.iter().any(|finished| finished.sure) {
        for (path, error) in records.unusable {
            let of_it = speaks_of(&error, opened);
            let unusable = Unusable { path, error };
            if of_it {
                refused.get_or_insert(Cause::RecordUnusable(unusable));
            } else {
                notes.push(unusable.text());
            }
        }
    }
    Ok(Candidates { fitting, refused })
}

/// The one that counts, of several wipes: that with the worst outcome, which
/// names the others.
fn worst(mut of: Vec<Finished>) -> Option<Finished> {
    of.sort_by_key(|finished| lineage::severity(&finished.record.outcome));
    let mut worst = of.pop()?;
    worst.beside = of.into_iter().map(|other| other.record.path).collect();
    Some(worst)
}

/// The record of a finished wipe that counts for this drive: the worst of those
/// that its content matches, or else one that is surely of it, or one that may
/// be: a drive which nothing identifies looks like another one as soon as new
/// data is on it. `notes`: what is to be said, a line each.
/// A refusal also where the only record that speaks of the drive cannot be used: the
/// drive may have been put to use since.
pub(super) fn finished(
    state: &StateDir,
    opened: &Opened,
    notes: &mut Vec<String>,
) -> Result<Option<Finished>, Cause> {
    let Candidates {
        mut fitting,
        refused,
    } = candidates(state, opened, notes)?;
    for finished in fitting.iter_mut().filter(|finished| finished.matches()) {
        finished.look_closely(opened)?;
    }
    let (matching, others): (Vec<_>, Vec<_>) = fitting.into_iter().partition(Finished::matches);
    if !matching.is_empty() {
        return Ok(worst(matching));
    }
    let (sure, mut others): (Vec<_>, Vec<_>) = others.into_iter().partition(|one| one.sure);
    if !sure.is_empty() {
        return Ok(worst(sure));
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    let unproved = others.iter().rfind(|finished| !finished.differs());
    let when = unproved.map(|finished| finished.record.checkpoint.timestamp().to_string());
    others.retain(Finished::differs);
    if let (true, Some(when)) = (others.is_empty(), when) {
        let target = shown(&opened.device().path);
        notes.push(format!(
            "{target}: may be the drive that was wiped on {when}, but zeros and patterns do not \
             prove it"
        ));
    }
    Ok(others.pop())
}

/// The record against which a drive is checked: the worst of those that its
/// content matches, or else one that a strong identifier says is of it. `notes`: as
/// for [`finished`].
pub(super) fn to_check(
    state: &StateDir,
    opened: &Opened,
    notes: &mut Vec<String>,
) -> Result<Finished, Cause> {
    let Candidates { fitting, refused } = candidates(state, opened, notes)?;
    let (matching, others): (Vec<_>, Vec<_>) = fitting.into_iter().partition(Finished::matches);
    let none = || {
        let maybe = others.iter().find(|finished| !finished.same);
        let state = state.root().to_path_buf();
        match maybe {
            None => Cause::NoRecord(state),
            Some(maybe) => Cause::NoSureRecord(state, maybe.record.path.clone()),
        }
    };
    let none = refused.unwrap_or_else(none);
    let same = others.into_iter().filter(|finished| finished.same);
    worst(matching)
        .or_else(|| worst(same.collect()))
        .ok_or(none)
}

/// The run ids of all wipes of this drive, finished or not, that a new one
/// supersedes.
pub(super) fn to_supersede(
    state: &StateDir,
    opened: &Opened,
    known: &Known,
) -> Result<Vec<String>, Cause> {
    let mut all: Vec<Checkpoint> = Vec::new();
    let records = state.records().map_err(|error| unreadable(state, error))?;
    for RecordFile { checkpoint, .. } in records.usable {
        let (now, then) = (&opened.device().identity, checkpoint.device_id());
        let is_of_it = match opened.compare(then) {
            Comparison::Same => true,
            // Of a copy, a record of the other image stays what it is.
            Comparison::Different(_) | Comparison::Elsewhere => opened.kin().was_resized(now, then),
            Comparison::Unprovable if checkpoint.plan().lacks_keys() => false,
            Comparison::Unprovable => prove(&checkpoint, &opened.writer)?.is_cryptographic(),
        };
        if is_of_it {
            all.push(checkpoint);
        }
    }
    let begun = known.replaced().map(|begun| &begun.checkpoint);
    Ok(lineage::to_supersede(all.iter().chain(begun)))
}
