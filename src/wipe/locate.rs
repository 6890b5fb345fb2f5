//! Where the drives of unfinished wipes are attached now.

use std::env;
use std::path::PathBuf;

use nix::unistd::User;

use super::kin::{self, Which};
use super::unfinished::{pending, whose};
use crate::drive::{Attached, Comparison, Kind, path_from_text};
use crate::probe::{Host, Whereabouts};
use crate::progress::{Checkpoint, Pending, StateDir};
use crate::refusal::{Cause, Unusable};
use crate::text::{all_shown, shown, size};

/// The paths under which the drives of unfinished wipes are attached now.
pub(crate) fn drives_of_unfinished(host: &Host, state: &StateDir) -> Result<Vec<PathBuf>, Cause> {
    let all = pending(state)?;
    if all.is_empty() {
        return Err(nothing(state));
    }
    let here = host.attached();
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for Pending { path, checkpoint } in all {
        match checkpoint {
            Ok(checkpoint) => match place(host, &here, &checkpoint) {
                Ok(place) => found.push(place),
                Err(why) => left_out.push(format!("{}: {why}", shown(&path))),
            },
            Err(error) => left_out.push(Unusable { path, error }.text()),
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        Err(Cause::NoneHere(left_out))
    } else {
        Ok(found)
    }
}

fn place(host: &Host, here: &[Attached], checkpoint: &Checkpoint) -> Result<PathBuf, String> {
    match find(host, here, checkpoint) {
        Whereabouts::Here(path) => Ok(path),
        Whereabouts::Absent => {
            let wanted = checkpoint.device_id();
            if let Some(file) = &wanted.backing {
                let path = path_from_text(&file.path);
                return Err(format!(
                    "is of {} ({}), which is not there any more, or is another file now; if it \
                     was moved or is attached elsewhere, name it: --resume TARGET",
                    path.map_or_else(|| checkpoint.device().to_string(), |path| shown(&path)),
                    size::decimal(checkpoint.total_size()),
                ));
            }
            Err(format!(
                "is of {}, which is not attached; attach it and try again",
                whose(checkpoint)
            ))
        }
        Whereabouts::AnyOf(several) => {
            let remedy = match kin::which(host, &several, checkpoint) {
                Which::One(path) => return Ok(path),
                Which::Doubles => format!(
                    ", which report and show the same; name the drive: --resume {}",
                    several.first().map_or("TARGET".into(), |path| shown(path))
                ),
                Which::Several => "; detach the others".to_string(),
                Which::Unknown => "; name the one that it is of".to_string(),
            };
            let names = all_shown(&several);
            Err(format!("could be of any of {names}{remedy}"))
        }
    }
}

/// Where the drive of a checkpoint is now, by its identity; its content is not
/// looked at. `here`: what is attached.
pub(crate) fn find(host: &Host, here: &[Attached], checkpoint: &Checkpoint) -> Whereabouts {
    let wanted = checkpoint.device_id();
    if wanted.kind == Kind::Image {
        let backing = wanted.backing.as_ref();
        let path = backing.and_then(|backing| path_from_text(&backing.path));
        return path
            .filter(|path| {
                let device = host.glance(path);
                let comparison = device.map(|device| device.identity.compare(wanted));
                matches!(comparison, Ok(Comparison::Same | Comparison::Unprovable))
            })
            .map_or(Whereabouts::Absent, Whereabouts::Here);
    }
    let with = |comparison| {
        let drives = here.iter();
        let drives = drives.filter(|drive| drive.identity.compare(wanted) == comparison);
        host.topmost(drives.map(|drive| drive.path.clone()).collect())
    };
    let (mut same, mut maybe) = (with(Comparison::Same), with(Comparison::Unprovable));
    match (same.len(), maybe.len()) {
        (1, _) => Whereabouts::Here(same.remove(0)),
        (0, 1) => Whereabouts::Here(maybe.remove(0)),
        (0, 0) => Whereabouts::Absent,
        (0, _) => Whereabouts::AnyOf(maybe),
        _ => Whereabouts::AnyOf(same),
    }
}

/// Nothing to resume: names every directory that was searched.
fn nothing(state: &StateDir) -> Cause {
    let own = state.root().to_path_buf();
    let Some(theirs) = state_of_sudo_user() else {
        return Cause::NothingToResume(own);
    };
    let some = theirs.pending().is_ok_and(|pending| !pending.is_empty());
    Cause::NothingToResumeUnderSudo(own, theirs.root().to_path_buf(), some)
}

/// Under sudo, where the invoking user's own runs keep their state.
fn state_of_sudo_user() -> Option<StateDir> {
    let name = env::var("SUDO_USER").ok()?;
    let user = User::from_name(&name).ok()??;
    StateDir::default_root(user.uid.is_root(), None, Some(&user.dir)).map(StateDir::new)
}
