//! Which unfinished wipe belongs to which drive.

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::User;

use crate::checkpoint::Checkpoint;
use crate::device::{Device, Host, Node};
use crate::identity::{self, Comparison, Kind};
use crate::outcome::Outcome;
use crate::progress::{LoadError, Pending, StateDir};
use crate::size;
use crate::text::clean;

/// An unfinished wipe of a drive that is at hand.
#[derive(Debug)]
pub struct Unfinished {
    /// The checkpoint's file.
    pub file: PathBuf,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Whether the drive's identifiers prove that it is the same.
    pub proven: bool,
}

/// What the state directory says about one drive.
#[derive(Debug, Default)]
pub struct Known {
    /// Unfinished wipes of it, the newest last.
    pub unfinished: Vec<Unfinished>,
    /// Why others were left out, as `SUBJECT: fact; remedy`: files that cannot
    /// be used, and a checkpoint of another drive that had this path.
    pub left_out: Vec<String>,
}

/// Finds the unfinished wipes of a drive, by what the files say and never by
/// their names.
///
/// # Errors
/// A refusal when the state directory cannot be read.
pub fn of_device(state: &StateDir, device: &Device) -> Result<Known, Outcome> {
    let mut known = Known::default();
    for Pending { path, checkpoint } in pending(state)? {
        let checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                known.left_out.push(unusable(&path, &error));
                continue;
            }
        };
        match device.identity.compare(&checkpoint.device_id) {
            Comparison::Different(field) => {
                if checkpoint.device == identity::path_to_text(&device.path) {
                    known.left_out.push(format!(
                        "{}: is of another drive (its {field} differs); it is left as it is",
                        path.display()
                    ));
                }
            }
            same => known.unfinished.push(Unfinished {
                file: path,
                checkpoint,
                proven: same == Comparison::Same,
            }),
        }
    }
    known
        .unfinished
        .sort_by(|a, b| a.checkpoint.started_at.cmp(&b.checkpoint.started_at));
    Ok(known)
}

fn pending(state: &StateDir) -> Result<Vec<Pending>, Outcome> {
    state.pending().map_err(|error| {
        Outcome::Refused(format!(
            "{}: cannot read the state directory: {error}; see --state-dir",
            state.root().display()
        ))
    })
}

fn unusable(path: &Path, error: &LoadError) -> String {
    let path = path.display();
    match error {
        LoadError::Unreadable(error) => format!("{path}: cannot be read: {error}"),
        LoadError::Invalid(why) => format!(
            "{path}: {why}; it is left as it is: move it away to wipe the drive from the start"
        ),
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
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for Pending { path, checkpoint } in &all {
        let checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                absent.push(unusable(path, error));
                continue;
            }
        };
        let places = places(host, state, &here, checkpoint);
        if places.is_empty() {
            absent.push(describe_absent(path, checkpoint));
        }
        found.extend(places);
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        Err(Outcome::Refused(absent.join("\n")))
    } else {
        Ok(found)
    }
}

fn places(
    host: &Host,
    state: &StateDir,
    here: &[crate::device::Attached],
    checkpoint: &Checkpoint,
) -> Vec<PathBuf> {
    let wanted = &checkpoint.device_id;
    if wanted.kind == Kind::Image {
        let path = wanted
            .backing
            .as_ref()
            .and_then(|backing| identity::path_from_text(&backing.path));
        return path
            .filter(|path| {
                host.device(path, state.root())
                    .is_ok_and(|device| device.identity.compare(wanted) == Comparison::Same)
            })
            .into_iter()
            .collect();
    }
    here.iter()
        .filter(|drive| !matches!(drive.identity.compare(wanted), Comparison::Different(_)))
        .map(|drive| drive.path.clone())
        .collect()
}

fn describe_absent(file: &Path, checkpoint: &Checkpoint) -> String {
    let id = &checkpoint.device_id;
    let name = [id.model.as_deref(), id.serial.as_deref()];
    let name: Vec<&str> = name.into_iter().flatten().collect();
    let what = if name.is_empty() {
        checkpoint.device.clone()
    } else {
        name.join(" ")
    };
    format!(
        "{}: is of {} ({}, last {}), which is not attached; attach it and try again",
        file.display(),
        clean(&what),
        size::decimal(checkpoint.total_size),
        clean(&checkpoint.device)
    )
}

/// Nothing to resume: names every directory that was searched.
fn nothing(state: &StateDir) -> Outcome {
    let mut searched = vec![state.root().display().to_string()];
    let mut hint = "";
    if let Some(theirs) = state_of_sudo_user() {
        let pending = theirs.pending().is_ok_and(|pending| !pending.is_empty());
        let root = theirs.root().display().to_string();
        if pending {
            hint = " (unfinished wipes are there: add --state-dir)";
        }
        searched.push(format!("{root}{hint}"));
    }
    Outcome::Refused(format!(
        "--resume: there is no unfinished wipe in {}; start one with `wipeit TARGET`",
        searched.join(" or ")
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
