//! Which unfinished wipe belongs to which drive.

use std::io;
use std::path::PathBuf;

use super::open::Opened;
use super::peek::{Peek, draw};
use crate::drive::{Comparison, Device, Identity, Kind, Transport, path_from_text, path_to_text};
use crate::engine::{self, Proof, Target};
use crate::progress::{Checkpoint, LoadError, Pending, StateDir, lineage};
use crate::refusal::{Cause, Unusable};
use crate::text::{clean, reason, shown, size};

#[derive(Debug)]
pub(super) struct Unfinished {
    pub file: PathBuf,
    pub checkpoint: Checkpoint,
    /// Whether a strong identifier says that it is the same drive; otherwise
    /// nothing says that it is not.
    pub same_identity: bool,
    /// Whether one says so, but another attached disk reports it as well and
    /// looks the same, so that only who names this one can tell.
    pub has_double: bool,
    pub proof: Proof,
    /// Of an image that is elsewhere than it was: what is in its place, where
    /// that may be it as well.
    pub original: Option<Original>,
}

/// What is where an image was when its wipe began, while another one with the
/// same content is named.
#[derive(Debug)]
pub(super) struct Original {
    pub path: PathBuf,
    /// Why it cannot be told whether it has the same content; `None`: it has.
    pub unread: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    /// Unfinished wipes that are surely of this drive.
    pub of_it: Vec<Unfinished>,
    /// Those of this drive that another wipe of it superseded.
    pub gone: Vec<Unfinished>,
    /// Images whose wipe is unfinished, which are no longer where they were and
    /// which this one may be.
    pub elsewhere: Vec<Cause>,
    /// Those that may be of this drive or of one just like it.
    pub maybe: Vec<Unfinished>,
    /// Files that speak of this drive but cannot be used.
    pub unusable: Vec<Unusable>,
    /// Those whose content is another, of drives that nothing identifies: this
    /// one after new data came onto it, or another one.
    pub doubtful: Vec<PathBuf>,
    /// Files that say nothing any more. Each may have been of this drive.
    pub empty: Vec<PathBuf>,
    /// Those of other drives, as `FILE: fact`.
    pub of_others: Vec<String>,
    /// Why others were left out, as `SUBJECT: fact`.
    pub left_out: Vec<String>,
}

/// Finds the unfinished wipes of a drive by what the files and the drive say,
/// never by their names. Reads only.
pub(super) fn of_device(state: &StateDir, opened: &Opened) -> Result<Known, Cause> {
    let mut known = Known::default();
    for Pending { path, checkpoint } in pending(state)? {
        match checkpoint {
            Ok(checkpoint) => known.add(path, checkpoint, opened)?,
            Err(error) => known.add_unusable(Unusable { path, error }, opened),
        }
    }
    if !known.of_it.is_empty() {
        known.leave_what_is_superseded(state, opened)?;
    }
    Ok(known)
}

impl Known {
    fn add_unusable(&mut self, unusable: Unusable, opened: &Opened) {
        if matches!(unusable.error, LoadError::Empty) {
            self.empty.push(unusable.path.clone());
        }
        if speaks_of(&unusable.error, opened) {
            self.unusable.push(unusable);
        } else {
            self.left_out.push(unusable.text());
        }
    }

    fn add(&mut self, file: PathBuf, mut of: Checkpoint, opened: &Opened) -> Result<(), Cause> {
        let (device, name) = (opened.device(), shown(&file));
        let comparison = opened.compare(of.device_id());
        if let Comparison::Different(field) = comparison {
            if of.device() == path_to_text(&device.path) {
                self.left_out.push(format!(
                    "{name}: is of another drive (its {field} differs); it is left as it is"
                ));
            } else {
                let text = format!("{name}: is of {}; its {field} differs", whose(&of));
                self.of_others.push(text);
            }
            return Ok(());
        }
        let has_double = opened.has_double(of.device_id());
        if of.device_id().is_of_old_map() && device.identity.transport != Transport::Dm {
            of = of.of_drive(&device.identity);
        }
        let proof = prove(&of, &opened.writer)?;
        let mut unfinished = Unfinished {
            same_identity: comparison == Comparison::Same,
            has_double,
            file,
            checkpoint: of,
            proof,
            original: None,
        };
        if comparison == Comparison::Elsewhere {
            if proof.is_cryptographic() {
                unfinished.original = original(&unfinished.checkpoint, &device.identity);
                self.of_it.push(unfinished);
            } else {
                self.elsewhere.extend(may_be(&unfinished, device));
            }
        } else if unfinished.same_identity || proof.is_cryptographic() {
            self.of_it.push(unfinished);
        } else if let Proof::Differs(at) = proof {
            self.doubtful.push(unfinished.file);
            self.left_out.push(format!(
                "{name}: is of another drive, or this one was written to since (byte {at} is not \
                 what was written); it is left as it is"
            ));
        } else {
            self.maybe.push(unfinished);
        }
        Ok(())
    }

    /// The wipes of this drive that a new one replaces: all but those that may
    /// be of another image.
    pub(super) fn replaced(&self) -> impl Iterator<Item = &Unfinished> {
        let own = self.of_it.iter().filter(|begun| begun.original.is_none());
        own.chain(&self.gone)
    }

    /// Counts as gone what another wipe of the drive superseded, finished or not: a
    /// crash, or somebody who copies files, may leave both.
    fn leave_what_is_superseded(&mut self, state: &StateDir, opened: &Opened) -> Result<(), Cause> {
        let records = state.records().map_err(|error| unreadable(state, error))?;
        let finished = records.usable.into_iter().filter_map(|record| {
            let comparison = opened.compare(record.checkpoint.device_id());
            (comparison == Comparison::Same).then_some(record.checkpoint)
        });
        let finished: Vec<Checkpoint> = finished.collect();
        let begun = self.of_it.iter().map(|begun| &begun.checkpoint);
        let gone = lineage::superseded(begun.chain(&finished));
        let of_it = std::mem::take(&mut self.of_it);
        (self.gone, self.of_it) = of_it
            .into_iter()
            .partition(|begun| gone.contains(begun.checkpoint.run_id()));
        Ok(())
    }
}

/// What is where the image of a checkpoint was, if it holds what was written
/// as well; `now`: where an image that holds it is. Reads only.
fn original(checkpoint: &Checkpoint, now: &Identity) -> Option<Original> {
    let recorded = checkpoint.device_id();
    let path = in_its_place(recorded, now)?;
    let part = Peek::open(&path).map(|all| part_of(recorded, all));
    let proof = match part {
        Ok(None) => return None,
        Ok(Some(part)) => {
            let state = checkpoint.state(checkpoint.plan());
            engine::prove(checkpoint.plan(), &state, &part, &mut draw)
        }
        // It is no file any more, or an empty one.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return None,
        Err(error) => Err(error),
    };
    match proof {
        Ok(proof) if !proof.is_cryptographic() => None,
        proof => Some(Original {
            path,
            unread: proof.err().map(|error| reason(&error)),
        }),
    }
}

/// Where the file behind a recorded target was, if something else than the file
/// behind the one at hand is there.
fn in_its_place(recorded: &Identity, now: &Identity) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let path = |identity: &Identity| path_from_text(&identity.backing.as_ref()?.path);
    let (was, is) = (path(recorded)?, path(now)?);
    let there = match std::fs::metadata(&was) {
        Ok(there) => there,
        Err(error) => {
            use io::ErrorKind::{NotADirectory, NotFound};
            // What cannot be looked at may be it.
            return (!matches!(error.kind(), NotFound | NotADirectory)).then_some(was);
        }
    };
    let file = |meta: &std::fs::Metadata| (meta.dev(), meta.ino(), meta.rdev());
    let is_same = std::fs::metadata(is).is_ok_and(|here| file(&here) == file(&there));
    (!is_same).then_some(was)
}

/// What a recorded target shows of a file; `None` where that has another size.
fn part_of(recorded: &Identity, all: Peek) -> Option<Peek> {
    let backing = recorded.backing.as_ref()?;
    let start = recorded.slice.as_ref().map_or(0, |slice| slice.start);
    let size = all.size();
    let is_whole = recorded.kind == Kind::Image;
    let part = all.part(backing.offset.checked_add(start)?, recorded.size)?;
    (!is_whole || size == recorded.size).then_some(part)
}

/// What is to be said of an image that may be one which was moved, and holds
/// nothing that would prove it.
fn may_be(begun: &Unfinished, device: &Device) -> Option<Cause> {
    let recorded = &begun.checkpoint.device_id();
    let why = match begun.proof {
        Proof::Differs(_) => return None,
        Proof::TooLittle => "too little was written to prove it",
        Proof::Matches { .. } => "zeros and patterns do not prove it",
    };
    if in_its_place(recorded, &device.identity).is_some() {
        return None;
    }
    let was = path_from_text(&recorded.backing.as_ref()?.path)?;
    let file = begun.file.clone();
    Some(Cause::MayBeMoved { was, file, why })
}

pub(super) fn prove(checkpoint: &Checkpoint, target: &dyn Target) -> Result<Proof, Cause> {
    let state = checkpoint.state(checkpoint.plan());
    engine::prove(checkpoint.plan(), &state, target, &mut draw).map_err(Cause::Unproved)
}

pub(super) fn pending(state: &StateDir) -> Result<Vec<Pending>, Cause> {
    state.pending().map_err(|error| unreadable(state, error))
}

pub(super) fn unreadable(state: &StateDir, error: io::Error) -> Cause {
    Cause::StateUnread(state.root().to_path_buf(), error)
}

/// Whether what can be understood of an unusable checkpoint fits this drive.
pub(super) fn speaks_of(error: &LoadError, opened: &Opened) -> bool {
    let LoadError::Invalid { device_id, .. } = error else {
        return false;
    };
    let comparison = device_id.as_ref().map(|recorded| opened.compare(recorded));
    matches!(comparison, Some(Comparison::Same | Comparison::Unprovable))
}

/// Which drive a checkpoint is of, as `ST18000NM004J ZR5A1B2C (18.0 TB, last
/// /dev/sdb)`.
pub(super) fn whose(checkpoint: &Checkpoint) -> String {
    let id = checkpoint.device_id();
    let name = [id.model.as_deref(), id.serial.as_deref()];
    let name: Vec<&str> = name.into_iter().flatten().map(str::trim).collect();
    let name = match (name.is_empty(), id.kind) {
        (true, Kind::Image) => "an image".into(),
        (true, Kind::Loop) => "a loop device".into(),
        (true, Kind::Partition) => "a partition".into(),
        (true, Kind::Disk) => "a drive".into(),
        (false, _) => clean(&name.join(" ")),
    };
    let (size, last) = (size::decimal(checkpoint.total_size()), &checkpoint.device());
    format!("{name} ({size}, last {})", clean(last))
}
