//! What is listed: unfinished wipes and the disks of this machine. Reads only.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{io, thread};

use jiff::Timestamp;

use crate::drive::{Attached, Comparison, Fact, Identity, sharing_id};
use crate::outcome::Outcome;
use crate::probe::{Disk, Host, Snapshot, Whereabouts};
use crate::progress::{Checkpoint, Pending, RecordFile, StateDir, lineage};
use crate::refusal::Unusable;
use crate::screen::{self, Listing, Past, PendingWipe, Readiness, Row};
use crate::text::{columns, reason, shown};
use crate::wipe::{self, Context, locate};

/// How long the disks have to answer: a drive that spins up takes this long, a
/// dead one for ever.
const PATIENCE: Duration = Duration::from_secs(15);

/// Lists on stdout. A list that nobody reads is no failure, one that could not
/// be written whole is.
pub(crate) fn list(json: bool, asked: Option<&Path>) -> Outcome {
    let state = wipe::state_dir(asked).ok();
    let resume = wipe::resume_command(asked);
    let now = Timestamp::now();
    let found = match look(&Host::real(), state.as_ref(), &resume, now) {
        Ok(found) => found,
        Err(why) => {
            screen::message("--list", &format!("{why}; nothing can be listed"));
            return Outcome::Failed(why);
        }
    };
    let text = if json {
        found.json(now).map_err(io::Error::other)
    } else {
        Ok(found.text(columns(io::stdout()), now))
    };
    let written = text.and_then(|text| screen::text(&text));
    screen::delivered(&written, Outcome::Nothing)
}

/// The same as text for stderr, for a run that found nothing to continue; none where
/// it cannot be listed.
pub(crate) fn overview(context: &Context) -> Option<String> {
    let now = Timestamp::now();
    let resume = context.resume_command();
    let found = look(&context.host, Some(&context.state), &resume, now).ok()?;
    Some(found.text(columns(io::stderr()), now))
}

/// The machine, unless something of it does not answer in time: a file that is
/// open on a dead server, a swap file on a dead disk.
fn machine(host: &Host, root: &Path) -> Result<Snapshot, String> {
    let (sender, taken) = mpsc::channel();
    let (theirs, state) = (host.clone(), root.to_path_buf());
    let take = move || {
        // Nobody listens any more after the timeout.
        let _ = sender.send(Snapshot::take(&theirs, &state));
    };
    if thread::Builder::new().spawn(take).is_err() {
        // Without a thread to lose it is looked at here.
        return Ok(Snapshot::take(host, root));
    }
    let none = |_| "what the disks are used by does not answer".to_string();
    taken.recv_timeout(PATIENCE).map_err(none)
}

/// Looks at everything. Without a state directory there are no unfinished
/// wipes.
fn look(
    host: &Host,
    state: Option<&StateDir>,
    resume: &str,
    now: Timestamp,
) -> Result<Listing, String> {
    // Where no state can be kept, it lies on no drive.
    let root = state.map_or(host.proc.as_path(), StateDir::root);
    let machine = Arc::new(machine(host, root)?);
    let disks = machine.survey(PATIENCE)?;
    let mut notes = Vec::new();
    let here = machine.attached();
    let unfinished = state.map_or_else(Vec::new, |state| {
        unfinished(host, state, &here, &disks, resume, &mut notes)
    });
    // Why a record is of no use is said where it matters.
    let records = state.map_or_else(Vec::new, |state| {
        or_note(state.records(), state, &mut notes).usable
    });
    for disk in &disks {
        if let Some(why) = &disk.no_capacity {
            notes.push(format!("{} {why}.", shown(&disk.path)));
        }
    }
    notes.extend(denied(&disks));
    let rows = disks.into_iter().map(|disk| {
        let begun = unfinished.iter().find_map(|wipe| part(&disk, &wipe.place));
        let past = past(&machine, &disk, &here, &records);
        let state = Readiness::of(&disk, begun.as_deref(), past.as_ref(), now);
        Row { disk, state }
    });
    let disks = rows.collect();
    notes.dedup();
    Ok(Listing {
        unfinished,
        disks,
        notes,
    })
}

fn denied(disks: &[Disk]) -> impl Iterator<Item = String> {
    let mut denied: Vec<(String, Vec<String>)> = Vec::new();
    for disk in disks {
        let Some(why) = disk.denied.as_ref().map(ToString::to_string) else {
            continue;
        };
        let path = shown(&disk.path);
        match denied.iter_mut().find(|(known, _)| *known == why) {
            Some((_, paths)) => paths.push(path),
            None => denied.push((why, vec![path])),
        }
    }
    denied.into_iter().map(|(why, paths)| {
        let paths = paths.join(", ");
        format!("The content and the use of {paths} cannot be seen: {why}.")
    })
}

/// What was read of the state directory; nothing where that failed, which is noted.
fn or_note<T: Default>(read: io::Result<T>, state: &StateDir, notes: &mut Vec<String>) -> T {
    read.unwrap_or_else(|error| {
        let (root, why) = (shown(state.root()), reason(&error));
        notes.push(format!(
            "Unfinished and finished wipes in {root} cannot be seen: {why}."
        ));
        T::default()
    })
}

fn unfinished(
    host: &Host,
    state: &StateDir,
    here: &[Attached],
    disks: &[Disk],
    resume: &str,
    notes: &mut Vec<String>,
) -> Vec<PendingWipe> {
    let pending = or_note(state.pending(), state, notes);
    let mut found = Vec::new();
    for Pending { path, checkpoint } in pending {
        let checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                notes.push(format!("{}.", Unusable { path, error }.text()));
                continue;
            }
        };
        let place = locate::find(host, here, &checkpoint);
        let on = disks.iter().find(|disk| part(disk, &place).is_some());
        let running =
            is_running(host, &checkpoint, &place).unwrap_or_else(|| on.is_some_and(is_busy));
        let pid = match &place {
            Whereabouts::Here(path) if running => host.lock_holder(path),
            _ => None,
        };
        found.push(PendingWipe {
            slot: on.and_then(|disk| disk.slot.clone()),
            running,
            pid,
            file: path,
            checkpoint,
            place,
            resume: resume.to_string(),
        });
    }
    found
}

/// Whether the last run of a wipe is under way; `None` where that cannot be seen.
fn is_running(host: &Host, checkpoint: &Checkpoint, place: &Whereabouts) -> Option<bool> {
    if checkpoint.runs().last().is_none_or(|run| run.end.is_some()) {
        return Some(false);
    }
    let paths = match place {
        Whereabouts::Here(path) => std::slice::from_ref(path),
        Whereabouts::AnyOf(paths) => paths,
        Whereabouts::Absent => return Some(false),
    };
    let locked = paths.iter().filter_map(|path| host.is_locked(path));
    locked.reduce(|any, this| any || this)
}

fn is_busy(disk: &Disk) -> bool {
    let busy = disk.facts.as_ref().map(|device| &device.usage.busy);
    matches!(busy, Ok(Fact::Known(true)))
}

/// The kernel name of what is there, where that is this disk or a partition of
/// it.
fn part(disk: &Disk, place: &Whereabouts) -> Option<String> {
    let Whereabouts::Here(path) = place else {
        return None;
    };
    let name = path.file_name()?.to_string_lossy();
    let of_it = |name: &str| {
        let contents = disk.facts.as_ref().map(|device| &device.contents);
        contents.is_ok_and(|contents| contents.iter().any(|content| content.name == name))
    };
    if *path == disk.path {
        Some(disk.name.clone())
    } else {
        (path.parent() == disk.path.parent() && of_it(&name)).then(|| name.into_owned())
    }
}

/// Of the records that are surely of this disk and that none of them supersedes
/// the one that ended worst. `here`: what is attached.
fn past(
    machine: &Snapshot,
    disk: &Disk,
    here: &[Attached],
    records: &[RecordFile],
) -> Option<Past> {
    let identity = disk.identity.as_ref()?;
    // What another drive reports as well names none. Another path is no other
    // drive, where that can be told without reading.
    let is_path = |other: &&Attached| {
        other.identity.is_other_path_to(identity) && machine.are_two_ports(&disk.path, &other.path)
    };
    let others: Vec<&Identity> = sharing_id(&disk.path, identity, here)
        .filter(|other| !is_path(other))
        .map(|other| &other.identity)
        .collect();
    let of_it = |record: &&RecordFile| {
        identity.compare_beside(record.checkpoint.device_id(), others.iter().copied())
            == Comparison::Same
    };
    let of_it: Vec<&RecordFile> = records.iter().filter(of_it).collect();
    let gone = lineage::superseded(of_it.iter().map(|record| &record.checkpoint));
    of_it
        .into_iter()
        .filter(|record| !gone.contains(record.checkpoint.run_id()))
        .max_by_key(|record| lineage::severity(&record.outcome))
        .and_then(|record| {
            Some(Past {
                outcome: record.outcome.word().to_string(),
                at: record.checkpoint.timestamp().parse().ok()?,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Machine, id};

    /// Under a root that is on none of its disks.
    fn machine(mounts: &str) -> Machine {
        let machine = Machine::usual();
        machine.mounts(&format!("1 0 0:1 / / rw - tmpfs none rw\n{mounts}"));
        machine
    }

    /// Each disk with its kind, state word and words.
    fn states(machine: &Machine) -> Vec<String> {
        let now = Timestamp::now();
        let found = look(&machine.host, None, "wipeit --resume", now).unwrap();
        let rows = found.disks.iter();
        rows.map(|row| {
            let (name, state) = (&row.disk.name, &row.state);
            format!("{name} {}: {}", state.word, state.text)
        })
        .collect()
    }

    #[test]
    fn whole_disks_are_listed_and_idle_ones_are_free() {
        let machine = machine("");
        machine.disk("ram0", id(1001, 0));
        machine.disk("zram0", id(1002, 0));
        machine.disk("sr0", id(1011, 0));
        machine.disk("loop9", id(1007, 9));
        machine.set("loop9", &[("size", "0")]);
        machine.disk("sdz", id(1008, 99));
        machine.set("sdz", &[("size", "0")]);
        machine.disk("sdy", id(1008, 98));
        machine.set("sdy", &[("size", "0"), ("removable", "1")]);
        assert_eq!(
            states(&machine),
            [
                "sda free: ready",
                "sdaa free: ready",
                "sdz unknown: no capacity"
            ]
        );
    }

    #[test]
    fn use_is_told_in_short_words() {
        for (mounts, words) in [
            ("30 1 1008:1 / / rw - ext4 x rw\n", "system: system disk"),
            (
                "30 1 1008:1 / /boot/efi rw - vfat x rw\n",
                "system: system disk",
            ),
            ("30 1 1008:1 / /home rw - ext4 x rw\n", "in-use: at /home"),
            (
                "30 1 1008:1 / /b rw - ext4 x rw\n31 1 1008:2 / /a\\012\\040c rw - ext4 x rw\n",
                "in-use: at /a\\012 c, at /b",
            ),
        ] {
            let machine = machine(mounts);
            assert_eq!(states(&machine)[0], format!("sda {words}"));
            assert_eq!(states(&machine)[1], "sdaa free: ready");
        }
        let machine = machine("");
        machine.set("sda", &[("ro", "1")]);
        assert_eq!(states(&machine)[0], "sda read-only: read-only");
        let swap = machine.host.dev.join("sdaa1");
        machine.swaps(&format!("{} partition\t1\t0\t-2\n", swap.display()));
        assert_eq!(states(&machine)[1], "sdaa in-use: swap");
    }

    #[test]
    fn holders_have_the_names_that_people_gave_them() {
        let machine = machine("30 1 20252:1 / /home rw - ext4 x rw\n");
        for (name, minor, label, uuid) in [
            ("dm-0", 0, "crypt", "CRYPT-LUKS2-1"),
            ("dm-1", 1, "my--vg-home", "LVM-2"),
        ] {
            machine.disk_at("virtual", name, id(20252, minor));
            machine.set(name, &[("dm/name", label), ("dm/uuid", uuid)]);
        }
        machine.disk_at("virtual", "md127", id(209, 127));
        machine.hold("sda1", "dm-0");
        machine.hold("dm-0", "dm-1");
        machine.hold("sdaa1", "md127");
        assert_eq!(
            states(&machine),
            [
                "dm-0 in-use: LVM: my-vg, at /home",
                "dm-1 in-use: at /home",
                "md127 free: ready",
                "sda in-use: LVM: my-vg, LUKS: crypt, at /home",
                "sdaa in-use: RAID: md127",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_never_free() {
        let machine = machine("");
        std::fs::remove_file(machine.host.proc.join("self/mountinfo")).unwrap();
        for state in states(&machine) {
            assert!(state.contains(" unknown: unknown: cannot read "), "{state}");
        }
        std::fs::remove_dir_all(machine.host.sys.join("class/block")).unwrap();
        assert!(look(&machine.host, None, "", Timestamp::now()).is_err());
    }
}
