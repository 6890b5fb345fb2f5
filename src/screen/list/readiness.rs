//! Whether a disk can be wiped, or why not.

use std::path::Path;

use jiff::Timestamp;

use crate::drive::{Carried, Device, InUse, Mount, Signature, Under, guard};
use crate::probe::Disk;
use crate::text::{ago, clean, visible};

/// The end of an earlier wipe of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    /// The first word of its result, as `WIPED`.
    pub outcome: String,
    pub at: Timestamp,
}

/// Whether a disk can be wiped, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// One word for scripts.
    pub word: &'static str,
    /// A few words for people, as `at /home`.
    pub text: String,
    /// Everything against wiping it; empty where it can be wiped.
    pub reasons: Vec<String>,
    /// When it was last wiped, where a record says so.
    pub past: Option<Past>,
}

impl Readiness {
    /// The state of a disk. `unfinished`: the kernel name, itself or a partition,
    /// whose wipe is unfinished.
    pub(crate) fn of(
        disk: &Disk,
        unfinished: Option<&str>,
        past: Option<&Past>,
        now: Timestamp,
    ) -> Self {
        let state = |word, text: String, reasons: Vec<String>| Self {
            word,
            text,
            reasons,
            past: past.cloned(),
        };
        let free = |word, text: String| state(word, text, Vec::new());
        if disk.size == 0 {
            let why = disk.no_capacity.as_ref();
            let why = why.map_or("it has no bytes".into(), ToString::to_string);
            return state("unknown", "no capacity".into(), vec![why]);
        }
        let device = match &disk.facts {
            Ok(device) => device,
            Err(why) => return state("unknown", format!("unknown: {why}"), vec![why.clone()]),
        };
        if let Err(refusals) = guard::check(device.clone()) {
            let (word, text) = refused(disk, &refusals, unfinished.is_some());
            let reasons = refusals.iter().map(ToString::to_string).collect();
            return state(word, text, reasons);
        }
        match (unfinished, past, contents(device)) {
            (Some(name), ..) if name == disk.name => free("unfinished", "unfinished".into()),
            (Some(name), ..) => free("unfinished", format!("unfinished: {name}")),
            (None, Some(past), content) => {
                let (word, text) = match past.outcome.as_str() {
                    "NOT-CLEAR" => ("not-clear", "NOT CLEAR"),
                    "DIFFERS" => ("differs", "differs"),
                    _ => ("wiped", "wiped"),
                };
                let since = content.map_or(String::new(), |what| format!(", now {what}"));
                free(word, format!("{text} {}{since}", ago(now, past.at)))
            }
            (None, None, Some(what)) => free("free", format!("has data: {what}")),
            (None, None, None) => free("free", "ready".into()),
        }
    }
}

fn refused(disk: &Disk, refusals: &[InUse], unfinished: bool) -> (&'static str, String) {
    let mut words: Vec<String> = disk.held.clone();
    for refusal in refusals {
        let word = match refusal {
            // These stand in `held` with better names.
            InUse::Held(_) if !disk.held.is_empty() => None,
            // Whoever holds it exclusively also has it open.
            InUse::Open(_) if refusals.contains(&InUse::Busy) => None,
            InUse::Busy if unfinished => Some("in use, unfinished".into()),
            refusal => words_for(refusal),
        };
        words.extend(word.filter(|word| !words.contains(word)));
    }
    let read_only = |refusal: &InUse| matches!(refusal, InUse::ReadOnly { .. });
    if refusals.iter().any(is_system) {
        ("system", "system disk".into())
    } else if words.is_empty() {
        let mut unread: Vec<String> = refusals.iter().filter_map(|it| unread(disk, it)).collect();
        unread.dedup();
        ("unknown", format!("unknown: {}", unread.join(", ")))
    } else if words.len() == 1 && refusals.iter().any(read_only) {
        ("read-only", words.remove(0))
    } else {
        ("in-use", words.join(", "))
    }
}

/// Whether a running system cannot do without it.
fn is_system(refusal: &InUse) -> bool {
    const POINTS: [&str; 3] = ["/boot", "/efi", "/usr"];
    match refusal {
        InUse::Mounted(Mount { point, .. }) => {
            point == Path::new("/") || POINTS.iter().any(|system| point.starts_with(system))
        }
        refusal => *refusal == InUse::Carries(Carried::System),
    }
}

/// What could not be read, where a refusal is of that.
fn unread(disk: &Disk, refusal: &InUse) -> Option<String> {
    let why = match refusal {
        InUse::Unseen { .. } => "its writers cannot be seen".into(),
        InUse::Unreadable(why) => why.clone(),
        _ => return None,
    };
    Some(disk.denied.as_ref().map_or(why, |_| "no permission".into()))
}

fn words_for(refusal: &InUse) -> Option<String> {
    Some(match refusal {
        InUse::Unseen { .. } | InUse::Unreadable(_) => return None,
        InUse::Mounted(mount) => {
            format!("at {}", visible(&mount.point))
        }
        InUse::Swap(_) => "swap".into(),
        InUse::Held(holder) => format!("held by {}", holder.by),
        InUse::Looped { by, under } => match under {
            Under::SameFile => format!("same file as {by}"),
            Under::File | Under::Device => format!("under {by}"),
        },
        InUse::Open(opener) => format!("open by {}", clean(&opener.process.name)),
        InUse::Carries(Carried::System) => "system disk".into(),
        InUse::Carries(Carried::Program(_)) => "carries wipeit".into(),
        InUse::CarriesState { .. } => "wipeit's state".into(),
        InUse::Extended(_) => "extended partition".into(),
        InUse::Cached(_) => "write-back cache".into(),
        InUse::HostManaged => "host-managed zones".into(),
        InUse::ReadOnly { .. } => "read-only".into(),
        InUse::Busy => "in use".into(),
    })
}

/// What is on a device, as `vfat, ext4 "backup"`; the partition table only where
/// nothing is known to be in it.
fn contents(device: &Device) -> Option<String> {
    let (itself, parts) = device.contents.split_first()?;
    let parts: Vec<String> = parts.iter().filter_map(Signature::text).collect();
    if parts.is_empty() {
        itself.text()
    } else {
        Some(parts.join(", "))
    }
}
