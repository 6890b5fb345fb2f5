//! Which unfinished wipe belongs to which drive.

use std::env;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::unistd::User;

use crate::checkpoint::Checkpoint;
use crate::device::{Attached, Device, Host, Node, Place};
use crate::display;
use crate::engine::{self, Proof, State};
use crate::identity::{self, Comparison, Kind};
use crate::opening::Opened;
use crate::outcome::Outcome;
use crate::progress::{LoadError, Pending, Record, StateDir};
use crate::size::{self, MIB};
use crate::text::{reason, shown};

/// A drive of at most so many bytes is read as a whole before it is called wiped
/// already: that takes a stick some seconds.
const SMALL: u64 = 256 * MIB;

/// An unfinished wipe of a drive that is at hand.
#[derive(Debug)]
pub struct Unfinished {
    /// The checkpoint's file.
    pub file: PathBuf,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Whether a strong identifier says that it is the same drive; otherwise
    /// nothing says that it is not.
    pub same_identity: bool,
    /// What the drive's content says.
    pub proof: Proof,
}

/// What the state directory says about one drive.
#[derive(Debug, Default)]
pub struct Known {
    /// Unfinished wipes that are surely of this drive, the newest last.
    pub of_it: Vec<Unfinished>,
    /// Those that may be of this drive or of one just like it.
    pub maybe: Vec<Unfinished>,
    /// Files that speak of this drive but cannot be used, as `SUBJECT: fact`.
    pub unusable: Vec<String>,
    /// Those whose content is another, of drives that nothing identifies: this
    /// one after new data came onto it, or another one.
    pub doubtful: Vec<PathBuf>,
    /// Why others were left out, as `SUBJECT: fact`.
    pub left_out: Vec<String>,
}

/// Finds the unfinished wipes of a drive by what the files and the drive say,
/// never by their names. Reads only.
///
/// # Errors
/// A refusal when the state directory or the drive cannot be read.
pub fn of_device(state: &StateDir, opened: &Opened, subject: &str) -> Result<Known, Outcome> {
    let device = opened.device();
    let mut known = Known::default();
    for Pending { path, checkpoint } in pending(state)? {
        let checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                let text = unusable(&path, &error);
                if speaks_of(&error, device) {
                    known.unusable.push(text);
                } else {
                    known.left_out.push(text);
                }
                continue;
            }
        };
        let comparison = device.identity.compare(&checkpoint.device_id);
        if let Comparison::Different(field) = comparison {
            if checkpoint.device == identity::path_to_text(&device.path) {
                known.left_out.push(format!(
                    "{}: is of another drive (its {field} differs); it is left as it is",
                    shown(&path)
                ));
            }
            continue;
        }
        let proof = prove(&checkpoint, opened, subject)?;
        let unfinished = Unfinished {
            same_identity: comparison == Comparison::Same,
            file: path,
            checkpoint,
            proof,
        };
        let proven = matches!(
            proof,
            Proof::Matches {
                cryptographic: true,
                ..
            }
        );
        if unfinished.same_identity || proven {
            known.of_it.push(unfinished);
        } else if let Proof::Differs(at) = proof {
            known.doubtful.push(unfinished.file.clone());
            known.left_out.push(format!(
                "{}: is of another drive, or this one was written to since (byte {at} is not \
                 what was written); it is left as it is",
                shown(&unfinished.file)
            ));
        } else {
            known.maybe.push(unfinished);
        }
    }
    for list in [&mut known.of_it, &mut known.maybe] {
        list.sort_by_key(|unfinished| unfinished.checkpoint.timestamp.parse::<Timestamp>().ok());
    }
    Ok(known)
}

/// A finished wipe that has a record, and a drive at hand.
#[derive(Debug)]
pub struct Finished {
    /// What was done.
    pub record: Record,
    /// What the drive's content says of it now.
    pub proof: Proof,
    /// Whether that is all of its content.
    pub read_whole: bool,
    /// Whether it is surely of this drive. If not, nothing says that it is of
    /// another, but the content differs.
    pub sure: bool,
}

impl Finished {
    /// The better, the higher: surely of this drive, then the newest.
    fn rank(&self) -> (bool, Option<Timestamp>) {
        let at = self.record.checkpoint.timestamp.parse().ok();
        (self.sure, at)
    }

    /// Reads all of a small drive, where samples have found nothing.
    fn look_closely(&mut self, opened: &Opened, subject: &str) -> Result<(), Outcome> {
        let checkpoint = &self.record.checkpoint;
        if checkpoint.total_size <= SMALL && matches!(self.proof, Proof::Matches { .. }) {
            let state = State::of(checkpoint, &checkpoint.plan);
            self.proof = engine::prove_all(&checkpoint.plan, &state, &opened.writer)
                .map_err(|error| unproved(subject, &error))?;
            self.read_whole = true;
        }
        Ok(())
    }

    /// Whether the content says that it is of another drive, or that new data
    /// is on this one.
    fn differs(&self) -> bool {
        matches!(self.proof, Proof::Differs(_))
    }
}

/// What the records say of one drive.
struct Records {
    // that may be of it, the best last
    fitting: Vec<Finished>,
    // why one that is of it cannot be used
    refused: Option<Outcome>,
}

fn records(state: &StateDir, opened: &Opened, subject: &str) -> Result<Records, Outcome> {
    let (mut fitting, mut refused) = (Vec::new(), None);
    let records = state.records().map_err(|error| unreadable(state, &error))?;
    for record in records.usable {
        let (now, then) = (&opened.device().identity, &record.checkpoint.device_id);
        if now.was_resized(then) {
            refused = Some(Outcome::Refused(format!(
                "{subject}: had {} bytes when it was wiped on {}, and has {} now; --restart wipes \
                 it again; not touched",
                then.size, record.checkpoint.timestamp, now.size
            )));
            continue;
        }
        let comparison = now.compare(then);
        if matches!(comparison, Comparison::Different(_)) {
            continue;
        }
        let proof = prove(&record.checkpoint, opened, subject)?;
        let cryptographic = matches!(
            proof,
            Proof::Matches {
                cryptographic: true,
                ..
            }
        );
        fitting.push(Finished {
            sure: comparison == Comparison::Same || cryptographic,
            record,
            proof,
            read_whole: false,
        });
    }
    fitting.sort_by_key(Finished::rank);
    if !fitting.last().is_some_and(|best| best.sure) {
        for (path, error) in &records.unusable {
            let why = unusable(path, error);
            if speaks_of(error, opened.device()) {
                let why = format!(
                    "{subject}: has the record of a finished wipe that cannot be used ({why}); \
                     --restart wipes it again; not touched"
                );
                refused.get_or_insert(Outcome::Refused(why));
            } else {
                display::say(&format!("wipeit: {why}"));
            }
        }
    }
    Ok(Records { fitting, refused })
}

/// The newest record of a finished wipe that is surely of this drive, or else
/// that may be: a drive which nothing identifies looks like another one as soon
/// as new data is on it. Reads only.
///
/// # Errors
/// A refusal when the state directory or the drive cannot be read, or when the
/// only record that speaks of the drive cannot be used: the drive may have been
/// put to use since.
pub fn finished(
    state: &StateDir,
    opened: &Opened,
    subject: &str,
) -> Result<Option<Finished>, Outcome> {
    let Records {
        mut fitting,
        refused,
    } = records(state, opened, subject)?;
    match (fitting.last_mut(), refused) {
        (Some(best), _) if best.sure => {
            best.look_closely(opened, subject)?;
            return Ok(fitting.pop());
        }
        (_, Some(refused)) => return Err(refused),
        _ => {}
    }
    let unproved = fitting.iter().rfind(|finished| !finished.differs());
    let when = unproved.map(|finished| finished.record.checkpoint.timestamp.clone());
    fitting.retain(Finished::differs);
    if let (true, Some(when)) = (fitting.is_empty(), when) {
        display::message(
            subject,
            &format!(
                "may be the drive that was wiped on {when}, but zeros and patterns do not prove it"
            ),
        );
    }
    Ok(fitting.pop())
}

/// The record against which a drive is checked: the best that may be of it.
/// Reads only.
///
/// # Errors
/// A refusal when there is none, or when something cannot be read.
pub fn to_check(state: &StateDir, opened: &Opened, subject: &str) -> Result<Finished, Outcome> {
    let Records {
        mut fitting,
        refused,
    } = records(state, opened, subject)?;
    let none = || {
        Outcome::Refused(format!(
            "{subject}: has no record of a finished wipe in {}; see --list and --state-dir; \
             nothing was read",
            shown(state.root())
        ))
    };
    fitting.pop().ok_or_else(|| refused.unwrap_or_else(none))
}

fn prove(checkpoint: &Checkpoint, opened: &Opened, subject: &str) -> Result<Proof, Outcome> {
    let state = State::of(checkpoint, &checkpoint.plan);
    engine::prove(&checkpoint.plan, &state, &opened.writer, &mut draw)
        .map_err(|error| unproved(subject, &error))
}

fn unproved(subject: &str, error: &std::io::Error) -> Outcome {
    Outcome::Refused(format!(
        "{subject}: cannot be read to prove that it is the drive: {}; not touched",
        reason(error)
    ))
}

/// A number below `below` to look at. Without randomness the places are known
/// beforehand, which helps only somebody who forges the content.
fn draw(below: u64) -> u64 {
    let mut bytes = [0x5A; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes) % below.max(1)
}

fn pending(state: &StateDir) -> Result<Vec<Pending>, Outcome> {
    state.pending().map_err(|error| unreadable(state, &error))
}

fn unreadable(state: &StateDir, error: &std::io::Error) -> Outcome {
    Outcome::Refused(format!(
        "{}: cannot read the state directory: {}; see --state-dir",
        shown(state.root()),
        reason(error)
    ))
}

/// Why a file of the state directory is not used, as `SUBJECT: fact`.
#[must_use]
pub fn unusable(path: &Path, error: &LoadError) -> String {
    let path = shown(path);
    match error {
        LoadError::Unreadable(error) => {
            format!(
                "{path}: cannot be read: {}; it is left as it is",
                reason(error)
            )
        }
        LoadError::Invalid { why, .. } => format!("{path}: {why}; it is left as it is"),
    }
}

/// Whether what can be understood of an unusable checkpoint fits this drive.
fn speaks_of(error: &LoadError, device: &Device) -> bool {
    match error {
        LoadError::Invalid {
            device_id: Some(recorded),
            ..
        } => !matches!(device.identity.compare(recorded), Comparison::Different(_)),
        LoadError::Invalid {
            device_id: None, ..
        }
        | LoadError::Unreadable(_) => false,
    }
}

/// The paths under which the drives of unfinished wipes are attached now.
///
/// # Errors
/// A refusal when there is none.
pub fn attached(host: &Host, state: &StateDir) -> Result<Vec<PathBuf>, Outcome> {
    let all = pending(state)?;
    if all.is_empty() {
        return Err(nothing(state));
    }
    let here = host.attached();
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for Pending { path, checkpoint } in &all {
        match checkpoint {
            Ok(checkpoint) => match place(host, state, &here, checkpoint) {
                Ok(place) => found.push(place),
                Err(why) => left_out.push(format!("{}: {why}", shown(path))),
            },
            Err(error) => left_out.push(unusable(path, error)),
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        Err(Outcome::Refused(left_out.join("\n")))
    } else {
        Ok(found)
    }
}

/// Where the drive of a checkpoint is now, or why that cannot be said.
fn place(
    host: &Host,
    state: &StateDir,
    here: &[Attached],
    checkpoint: &Checkpoint,
) -> Result<PathBuf, String> {
    match find(host, state, here, checkpoint) {
        Place::Here(path) => Ok(path),
        Place::Absent => {
            let wanted = &checkpoint.device_id;
            let name = [wanted.model.as_deref(), wanted.serial.as_deref()];
            let name: Vec<&str> = name.into_iter().flatten().collect();
            Err(format!(
                "is of {} ({}, last {}), which is not attached; attach it and try again",
                if name.is_empty() {
                    "a drive".into()
                } else {
                    name.join(" ")
                },
                size::decimal(checkpoint.total_size),
                checkpoint.device
            ))
        }
        Place::AnyOf(several) => {
            let names: Vec<String> = several.iter().map(|path| shown(path)).collect();
            Err(format!(
                "could be of any of {}; name the one that it is of",
                names.join(", ")
            ))
        }
    }
}

/// Where the drive of a checkpoint is now, by its identity; its content is not
/// looked at. `here`: what is attached.
#[must_use]
pub fn find(host: &Host, state: &StateDir, here: &[Attached], checkpoint: &Checkpoint) -> Place {
    let wanted = &checkpoint.device_id;
    if wanted.kind == Kind::Image {
        let backing = wanted.backing.as_ref();
        let path = backing.and_then(|backing| identity::path_from_text(&backing.path));
        return path
            .filter(|path| {
                let device = host.device(path, state.root());
                device.is_ok_and(|device| device.identity.compare(wanted) == Comparison::Same)
            })
            .map_or(Place::Absent, Place::Here);
    }
    let with = |comparison: &Comparison| -> Vec<PathBuf> {
        here.iter()
            .filter(|drive| drive.identity.compare(wanted) == *comparison)
            .map(|drive| drive.path.clone())
            .collect()
    };
    let (mut same, mut maybe) = (with(&Comparison::Same), with(&Comparison::Unprovable));
    match (same.len(), maybe.len()) {
        (1, _) => Place::Here(same.remove(0)),
        (0, 1) => Place::Here(maybe.remove(0)),
        (0, 0) => Place::Absent,
        (0, _) => Place::AnyOf(maybe),
        _ => Place::AnyOf(same),
    }
}

/// Nothing to resume: names every directory that was searched.
fn nothing(state: &StateDir) -> Outcome {
    let own = shown(state.root());
    let searched = match state_of_sudo_user() {
        None => own,
        Some(theirs) => {
            let some = theirs.pending().is_ok_and(|pending| !pending.is_empty());
            let hint = if some {
                " (there are some: add --state-dir)"
            } else {
                ""
            };
            format!("{own} or {}{hint}", shown(theirs.root()))
        }
    };
    Outcome::Refused(format!(
        "--resume: there is no unfinished wipe in {searched}; start one with `wipeit TARGET`"
    ))
}

/// Under sudo, where the invoking user's own runs keep their state.
fn state_of_sudo_user() -> Option<StateDir> {
    let name = env::var("SUDO_USER").ok()?;
    let user = User::from_name(&name).ok()??;
    StateDir::default_root(user.uid.is_root(), None, Some(&user.dir)).map(StateDir::new)
}

/// Another attached disk that reports the same identifier, so that neither can
/// be told from the other.
#[must_use]
pub fn twin(host: &Host, device: &Device) -> Option<PathBuf> {
    let Node::Block { whole_path, .. } = &device.node else {
        return None;
    };
    host.attached()
        .into_iter()
        .filter(|other| other.identity.kind == Kind::Disk && other.path != *whole_path)
        .find(|other| other.identity.shares_id_with(&device.identity))
        .map(|other| other.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::tests::{Machine, id};

    #[test]
    fn a_drive_that_shares_its_serial_with_another_one_is_not_told_apart() {
        let machine = Machine::new();
        for (name, minor) in [("sdx", 0), ("sdy", 16), ("sdz", 32)] {
            machine.disk(name, id(1008, minor));
        }
        let serial = |name: &str, serial: &str| machine.set(name, &[("device/wwid", serial)]);
        serial("sdx", "naa.5000c500d1a2b3c4");
        serial("sdy", "naa.5000c500d1a2b3c4");
        serial("sdz", "naa.5000c500d1a2b3c5");
        assert_eq!(
            twin(&machine.host, &machine.look("sdx")),
            Some(machine.host.dev.join("sdy"))
        );
        assert_eq!(twin(&machine.host, &machine.look("sdz")), None);
    }
}
