//! What is said of an unfinished wipe.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::entry::PendingWipe;
use crate::drive::Kind;
use crate::plan::Phase;
use crate::probe::Whereabouts;
use crate::progress::Run;
use crate::text::{about, ago, clean, said, shell_word, size, visible};

/// Columns at the start of a line of a block, before its second and later
/// lines.
pub(super) const INDENT: usize = 12;

impl PendingWipe {
    /// The command that continues it; none while it runs.
    pub(super) fn command(&self) -> Option<String> {
        if self.running {
            return None;
        }
        Some(match &self.place {
            Whereabouts::Here(path) => {
                let path = shell_word(path);
                format!("{} {path}", self.resume)
            }
            Whereabouts::AnyOf(_) => format!("{} DEVICE", self.resume),
            Whereabouts::Absent => self.resume.clone(),
        })
    }

    pub(super) fn lines(&self, now: Timestamp) -> [String; 2] {
        let checkpoint = &self.checkpoint;
        let id = checkpoint.device_id();
        let word = |text: &Option<String>| said(text.as_ref()).map(clean);
        let last = checkpoint.device().rsplit('/').next().unwrap_or_default();
        let name = word(&id.serial).unwrap_or_else(|| clean(last));
        let what = match (word(&id.model), id.kind) {
            (Some(model), Kind::Partition) => format!("partition of {model} "),
            (Some(model), _) => format!("{model} "),
            (None, Kind::Loop) => "loop device ".into(),
            (None, Kind::Image) => "image ".into(),
            (None, _) => String::new(),
        };
        let shown = |path: &PathBuf| visible(path);
        let place = match &self.place {
            Whereabouts::Here(path) => format!("now {}", shown(path)),
            Whereabouts::Absent => "not attached".into(),
            Whereabouts::AnyOf(several) => {
                let names: Vec<String> = several.iter().map(shown).collect();
                format!("one of {}", names.join(", "))
            }
        };
        let slot = self.slot.as_ref();
        let slot = slot.map_or(String::new(), |slot| format!(", slot {}", clean(slot)));
        let size = size::decimal(checkpoint.total_size());
        let indent = " ".repeat(INDENT);
        [
            format!("  {name:<8}  {what}{size}, {place}{slot}"),
            format!("{indent}{}", self.state_text(now)),
        ]
    }

    /// How far it is, and how it goes on or ended.
    pub(super) fn state_text(&self, now: Timestamp) -> String {
        let checkpoint = &self.checkpoint;
        let progress = if checkpoint.phase() == Phase::Complete && checkpoint.read_again() {
            "written; all of it is to be read back".into()
        } else if checkpoint.phase() == Phase::Complete {
            "only the report is left".into()
        } else {
            let passes = checkpoint.plan().passes().len();
            let pass = match passes {
                1 => String::new(),
                _ => format!("pass {} of {passes}: ", checkpoint.pass()),
            };
            let phase = checkpoint.phase().name();
            format!("{pass}{phase} {}", checkpoint.progress_text())
        };
        format!("{progress}, {}", clean(&self.stopped(now)))
    }

    /// Bytes a second, by what the last checkpoint of a running wipe says.
    pub(super) fn speed(&self) -> Option<u64> {
        let sample = self.checkpoint.samples().last();
        sample.filter(|_| self.running).map(|sample| sample.speed)
    }

    /// How long a running wipe still takes, by the same.
    pub(super) fn left(&self) -> Option<Duration> {
        let work: Duration = self.checkpoint.runs().iter().filter_map(Run::work).sum();
        let done = self.checkpoint.plan_percent() / 100.0;
        let known = self.running && done > 0.0 && work > Duration::ZERO;
        known.then(|| {
            let left = work.as_secs_f64() * (1.0 - done) / done;
            Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)
        })
    }

    /// Which process runs it, how fast, and for how long still.
    fn under_way(&self) -> String {
        let mut text = String::from("running");
        // Writing to a string does not fail.
        if let Some(pid) = self.pid {
            let _ = write!(text, " as process {pid}");
        }
        if let Some(speed) = self.speed() {
            let _ = write!(text, " at {}/s", size::decimal(speed));
        }
        if let Some(left) = self.left() {
            let _ = write!(text, ", {} left", about(left));
        }
        text
    }

    /// How long ago and by what it stopped.
    fn stopped(&self, now: Timestamp) -> String {
        let when = |text: &str| {
            text.parse()
                .map_or("at an unknown time".into(), |at| ago(now, at))
        };
        let last = self.checkpoint.runs().last();
        let Some(Run {
            end: Some(end),
            ended_by: Some(by),
            ..
        }) = last
        else {
            let how = if self.running {
                self.under_way()
            } else {
                "killed or crashed".into()
            };
            return format!("{how}, saved {}", when(self.checkpoint.timestamp()));
        };
        let by = match by.as_str() {
            "SIGINT" => "Ctrl+C",
            "SIGHUP" => "a hang-up",
            other => other,
        };
        format!("stopped {} by {by}", when(end))
    }
}
