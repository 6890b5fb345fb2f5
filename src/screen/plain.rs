//! Lines for a log: few, each with its time.

use std::time::Duration;

use jiff::ZonedDateTime;

use super::estimate::Estimate;
use super::face::Header;
use crate::engine::Progress;
use crate::outcome::Outcome;
use crate::plan::Phase;
use crate::text::{clock, size};

/// After this long in a step comes a first line: the speed is known.
const FIRST: Duration = Duration::from_secs(60);
/// At least this often comes a line.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Hundredths of a percent from line to line.
const POINTS: u16 = 500;

/// When the next line is due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    began: Duration,
    minute_told: bool,
    // the last line: when, and at how many times 5 %
    last: Duration,
    told: u16,
}

impl Schedule {
    /// A step began and was announced.
    pub(super) fn started(&mut self, at: Duration, progress: &Progress) {
        *self = Self {
            began: at,
            minute_told: false,
            last: at,
            told: fives(progress),
        };
    }

    /// Whether a line is due; it is then taken as written.
    pub(super) fn due(&mut self, at: Duration, progress: &Progress) -> bool {
        let minute = !self.minute_told && at.saturating_sub(self.began) >= FIRST;
        let due = minute || fives(progress) > self.told || at.saturating_sub(self.last) >= LONGEST;
        if due {
            self.minute_told |= minute;
            self.last = at;
            self.told = fives(progress);
        }
        due
    }
}

fn fives(progress: &Progress) -> u16 {
    size::basis_points(progress.done, progress.size) / POINTS
}

/// Local time with its numeric offset, RFC 3339.
pub(super) fn stamp(local: &ZonedDateTime) -> String {
    local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The line at the begin of a step; the first one says what is wiped.
pub(super) fn started(
    header: &Header,
    progress: &Progress,
    first: bool,
    estimate: &Estimate,
    local: &ZonedDateTime,
) -> String {
    let step = step(progress);
    if !first {
        let plan = &header.plan;
        let what = if progress.step.phase == Phase::Write && plan.passes().len() > 1 {
            format!("{}: ", plan.pass(progress.step.pass).content.name())
        } else {
            String::new()
        };
        return format!(
            "{what}{step} {}{}",
            percent(progress),
            done(estimate, local, ", ")
        );
    }
    let serial = header
        .serial
        .as_ref()
        .map_or(String::new(), |serial| format!("{} ", serial.trim()));
    let intro = format!("{serial}{} {}", size::decimal(header.size), header.what);
    if progress.done == 0 && progress.number == 1 {
        format!("{intro}: {step} starts")
    } else {
        format!("{intro}: {step} continues at {}", percent(progress))
    }
}

/// A line on the way.
pub(super) fn progress(progress: &Progress, estimate: &Estimate, local: &ZonedDateTime) -> String {
    format!(
        "{} {}{}{}",
        step(progress),
        percent(progress),
        speed(estimate, " "),
        done(estimate, local, ", ")
    )
}

/// The answer to USR1. "Saved" is what a resume would find.
pub(super) fn status(progress: &Progress, estimate: &Estimate, local: &ZonedDateTime) -> String {
    let done = estimate
        .done_at(local)
        .map_or(String::new(), |at| format!(", done {}", clock(local, &at)));
    format!(
        "{} {}, {}, {} saved{}{done}",
        step(progress),
        percent(progress),
        size::part_of(progress.done.min(progress.size), progress.size, "/"),
        size::decimal(progress.saved),
        speed(estimate, ", "),
    )
}

pub(super) fn ended(outcome: &Outcome, progress: Option<&Progress>) -> String {
    let place = progress.map_or(String::new(), |progress| {
        format!(" at {} {}", step(progress), percent(progress))
    });
    match outcome {
        Outcome::Interrupted(signal) => format!("stopped: {}{place}", signal.name()),
        Outcome::Failed(why) => format!("failed: {why}{place}, exit {}", outcome.code()),
        _ => format!("finished: {}, exit {}", outcome.word(), outcome.code()),
    }
}

fn step(progress: &Progress) -> String {
    let phase = progress.step.phase.name();
    format!("{phase} {}/{}", progress.number, progress.steps)
}

fn percent(progress: &Progress) -> String {
    size::percent_text(progress.done, progress.size)
}

fn speed(estimate: &Estimate, before: &str) -> String {
    estimate.speed().map_or(String::new(), |speed| {
        format!("{before}{}/s", size::decimal(speed))
    })
}

fn done(estimate: &Estimate, local: &ZonedDateTime, before: &str) -> String {
    estimate.done_at(local).map_or(String::new(), |at| {
        format!("{before}done {}", at.strftime("%Y-%m-%dT%H:%M"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    fn at(done: u64) -> Progress {
        Progress {
            step: Step {
                pass: 0,
                phase: Phase::Write,
            },
            number: 1,
            steps: 2,
            done,
            saved: 0,
            size: 1000,
        }
    }

    #[test]
    fn a_line_comes_after_a_minute_every_5_percent_and_every_half_hour() {
        let s = Duration::from_secs;
        let mut pace = Schedule::default();
        pace.started(s(100), &at(10));
        assert!(!pace.due(s(159), &at(49)));
        assert!(pace.due(s(160), &at(49)), "a minute");
        assert!(!pace.due(s(161), &at(49)));
        assert!(pace.due(s(162), &at(50)), "5 %");
        assert!(!pace.due(s(163), &at(99)));
        assert!(
            pace.due(s(164), &at(300)),
            "several steps at once: one line"
        );
        assert!(!pace.due(s(165), &at(301)));
        assert!(!pace.due(s(164 + 1799), &at(301)));
        assert!(pace.due(s(164 + 1800), &at(301)), "half an hour");
    }

    #[test]
    fn the_stamp_has_a_numeric_offset_and_no_zone_name() {
        let local: ZonedDateTime = "2026-01-14T02:10:07+01:00[Europe/Berlin]".parse().unwrap();
        assert_eq!(stamp(&local), "2026-01-14T02:10:07+01:00");
    }
}
