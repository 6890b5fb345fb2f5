//! What is to be said of a wipe besides where it stands: things that wipeit saw
//! and did not do, or that weaken what it did. Kept in the checkpoint, so that a
//! resume forgets none, and in the record; shown by the closing lines and the
//! page.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::text::{bounded, span};

/// Most findings of one wipe. There are far fewer kinds; only what comes from
/// outside could repeat one without end.
pub(super) const MOST: usize = 64;

/// One thing that was found. A kind that this version does not know makes the
/// file unreadable to it, as nobody can tell what it would have to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// The file system under an image writes elsewhere than what it replaces,
    /// as a rule.
    WritesElsewhere {
        /// Its type, as in mountinfo.
        file_system: String,
    },
    /// A layer of a union file system cannot be seen: it may have the file.
    LayerUnseen { layer: String },
    /// A dm-cache lies below, of which it is not known whether it writes back.
    MayHoldBack { cache: String },
    /// The wall clock was set: the dates do not tell how long the wipe took.
    ClockSet {
        /// By how many milliseconds, together.
        by_ms: i64,
        times: u64,
    },
    /// Old data of the target is certainly still somewhere else.
    OldDataAt {
        /// Where, for people: a path, a disk.
        place: String,
    },
    /// Something else took a part of the target's file out of it.
    FileLost {
        /// Where the first of it was, in bytes of the target.
        at: u64,
        /// How many bytes.
        bytes: u64,
        /// Whether old data may have been in them.
        old: bool,
    },
    /// Something else changed the size of the target's file, if only for a while.
    FileResized {
        /// Bytes before.
        was: u64,
        /// Bytes when it was looked at.
        now: u64,
        /// Whether old data may have been in what was cut off.
        old: bool,
    },
    /// An image's path leads nowhere any more.
    PathGone {
        path: String,
        /// Where the file is now; `None` where it was deleted.
        now: Option<String>,
    },
    /// Something used the target after the last byte, and let it go.
    UsedSince {
        /// What, as a clause: `sdb is open for writing by process 7 (x)`.
        how: String,
    },
}

impl Finding {
    /// Whether old data certainly remains, so that the target is NOT clear
    /// however well it was overwritten.
    pub fn keeps_old_data(&self) -> bool {
        match self {
            Self::OldDataAt { .. } => true,
            Self::FileLost { old, .. } | Self::FileResized { old, .. } => *old,
            Self::WritesElsewhere { .. }
            | Self::ClockSet { .. }
            | Self::LayerUnseen { .. }
            | Self::MayHoldBack { .. }
            | Self::PathGone { .. }
            | Self::UsedSince { .. } => false,
        }
    }
}

impl fmt::Display for Finding {
    /// A sentence without capital letter and full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WritesElsewhere { file_system } if file_system == "btrfs" => f.write_str(
                "btrfs writes elsewhere as a rule (unless NOCOW) and not over the old data",
            ),
            Self::WritesElsewhere { file_system } => write!(
                f,
                "{file_system} writes elsewhere as a rule and not over the old data"
            ),
            Self::LayerUnseen { layer } => write!(
                f,
                "{layer} cannot be seen: where the file was there, its old data stays"
            ),
            Self::MayHoldBack { cache } => write!(
                f,
                "{cache} is a dm-cache: in write-back mode old data stays below it; \
                 see `lvs -o+cache_mode`"
            ),
            Self::ClockSet { by_ms, times } => clock_set(f, *by_ms, *times),
            Self::OldDataAt { place } => write!(f, "the old data is still on {place}"),
            Self::FileLost { at, bytes, old } => {
                write!(
                    f,
                    "something else took {bytes} bytes from byte {at} on out of its file, cut off or \
                     punched out, "
                )?;
                f.write_str(if *old {
                    "and old data with them: it lies in free blocks of the file system"
                } else {
                    "after they had been overwritten"
                })
            }
            Self::FileResized { was, now, old } => {
                write!(
                    f,
                    "something else changed the size of its file from {was} to {now} bytes"
                )?;
                if *old {
                    f.write_str(": old data may lie in free blocks of the file system")?;
                }
                Ok(())
            }
            Self::PathGone { path, now } => {
                write!(f, "{path} has gone since; the file that was wiped ")?;
                match now {
                    Some(now) => write!(f, "is now {now}"),
                    None => f.write_str("was deleted"),
                }
            }
            Self::UsedSince { how } => write!(
                f,
                "after the last byte {how}; that has ended, and what it wrote cannot be known"
            ),
        }
    }
}

fn clock_set(f: &mut fmt::Formatter<'_>, by_ms: i64, times: u64) -> fmt::Result {
    let sign = if by_ms < 0 { "-" } else { "+" };
    // Rounded: a clock that is also slewed is a few milliseconds off.
    let seconds = by_ms.unsigned_abs().saturating_add(500) / 1000;
    let by = span(Duration::from_secs(seconds));
    match times {
        0 | 1 => write!(f, "the clock was set during this wipe (by {sign}{by})")?,
        _ => write!(
            f,
            "the clock was set {times} times during this wipe (by {sign}{by} in all)"
        )?,
    }
    f.write_str(": its dates do not tell how long it took")
}

/// What was found over the whole history of a wipe, each thing once, in the
/// order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings(
    // at most MOST, no two equal
    Vec<Finding>,
);

impl Findings {
    /// Adds one, unless it is known. Whether it is new.
    pub fn note(&mut self, finding: Finding) -> bool {
        let new = !self.0.contains(&finding);
        if new && self.0.len() < MOST {
            self.0.push(finding);
        } else if new && finding.keeps_old_data() && !self.keep_old_data() {
            // What decides the outcome is never the one that finds no room.
            self.0.pop();
            self.0.push(finding);
        }
        new
    }

    /// Adds that the clock was set so many times, by so many milliseconds in all,
    /// to what is known of that.
    pub fn clock_was_set(&mut self, by_ms: i64, times: u64) {
        let known = self.0.iter_mut().find_map(|finding| match finding {
            Finding::ClockSet { by_ms, times } => Some((by_ms, times)),
            _ => None,
        });
        if let Some((all_ms, all_times)) = known {
            *all_ms = all_ms.saturating_add(by_ms);
            *all_times = all_times.saturating_add(times);
        } else {
            self.note(Finding::ClockSet { by_ms, times });
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn keep_old_data(&self) -> bool {
        self.0.iter().any(Finding::keeps_old_data)
    }
}

impl<'de> Deserialize<'de> for Findings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut this = Self::default();
        bounded::each(from, |finding| {
            this.note(finding);
            Ok(())
        })?;
        Ok(this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere(n: usize) -> Finding {
        Finding::WritesElsewhere {
            file_system: format!("fs{n}"),
        }
    }

    #[test]
    fn a_thing_is_noted_once_and_never_without_end() {
        let mut all = Findings::default();
        for n in (0..2 * MOST).chain(0..MOST) {
            all.note(elsewhere(n));
        }
        assert_eq!(all.iter().count(), MOST);
        assert!(!all.keep_old_data());
        let place = "sdb".to_string();
        all.note(Finding::OldDataAt { place });
        assert_eq!(all.iter().count(), MOST);
        assert!(all.keep_old_data(), "what decides the outcome has room");
    }

    #[test]
    fn what_is_saved_is_read_again_and_an_unknown_kind_is_refused() {
        let mut all = Findings::default();
        all.note(elsewhere(1));
        all.note(Finding::OldDataAt {
            place: "/lower".into(),
        });
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Findings>(&json).unwrap(), all);
        assert!(serde_json::from_str::<Findings>(r#"[{"kind":"later"}]"#).is_err());
    }
}
