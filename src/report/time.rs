//! How long the runs of a wipe took.
//!
//! Sums of work only: the wall clock may be set at any time, and nothing hangs
//! on the order of its stamps.

use std::fmt::Write as _;
use std::time::Duration;

use crate::progress::{LeftOut, Run};
use crate::text::{count, span};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Active {
    pub work: Duration,
    /// In which the machine slept; not in `work`.
    pub asleep: Duration,
    pub runs: u64,
    /// Runs that were killed and so left no end.
    pub killed: u64,
    /// Runs with an end of which only the clock tells, and cannot be believed.
    pub unknown: u64,
}

impl Active {
    /// Of these runs. One that was killed has worked at least until its last
    /// checkpoint.
    pub(super) fn of(runs: &[Run]) -> Self {
        runs.iter().fold(Self::default(), Self::and)
    }

    fn and(mut self, run: &Run) -> Self {
        self.work = self.work.saturating_add(run.work().unwrap_or_default());
        let asleep = Duration::from_millis(run.asleep_ms);
        self.asleep = self.asleep.saturating_add(asleep);
        let several = LeftOut::of(run);
        self.runs = self.runs.saturating_add(several.runs);
        self.killed = self.killed.saturating_add(several.killed);
        self.unknown = self.unknown.saturating_add(several.unknown);
        self
    }

    pub(super) fn is_exact(&self) -> bool {
        self.killed == 0 && self.unknown == 0
    }

    /// The work, for people; `unknown` where nothing is known.
    pub(super) fn text(&self) -> String {
        match self.is_exact() {
            true => span(self.work),
            false if self.work < Duration::from_secs(1) => "unknown".into(),
            false => format!("at least {}", span(self.work)),
        }
    }

    /// What goes with it, each beginning with `; `.
    pub(super) fn notes(&self) -> String {
        // Writing to a string does not fail.
        let mut text = String::new();
        if self.killed > 0 {
            let runs = count(self.killed, "run", "runs");
            let _ = write!(text, "; {runs} ended without a trace");
        }
        if self.unknown > 0 {
            let runs = count(self.unknown, "run", "runs");
            let _ = write!(text, "; the clock does not tell of {runs}");
        }
        let asleep = self.asleep_text();
        if !asleep.is_empty() {
            let _ = write!(text, "; asleep {asleep} besides");
        }
        text
    }

    pub(super) fn asleep_text(&self) -> String {
        if self.asleep < Duration::from_secs(1) {
            return String::new();
        }
        span(self.asleep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: &str, end: Option<&str>) -> Run {
        Run {
            start: format!("2026-01-14T{start}+01:00"),
            end: end.map(|end| format!("2026-01-14T{end}+01:00")),
            ..Run::default()
        }
    }

    #[test]
    fn work_counts_whatever_the_stamps_say() {
        let mut of_it = run("10:00:00", Some("07:00:00"));
        assert_eq!(
            Active::of(std::slice::from_ref(&of_it)).text(),
            "unknown",
            "the end before the start"
        );
        of_it.start = "1970-01-01T00:00:00+00:00".into();
        assert_eq!(
            Active::of(std::slice::from_ref(&of_it)).text(),
            "unknown",
            "56 years"
        );
        of_it.work_ms = Some(5_400_000);
        assert_eq!(
            Active::of(std::slice::from_ref(&of_it)).text(),
            "1 h 30 min"
        );
        of_it.end = None;
        assert_eq!(
            Active::of(std::slice::from_ref(&of_it)).text(),
            "at least 1 h 30 min"
        );
    }

    #[test]
    fn runs_of_the_first_version_have_their_stamps() {
        let told = |run: &Run| Active::of(std::slice::from_ref(run)).text();
        assert_eq!(told(&run("10:00:00", Some("11:00:05"))), "1 h 0 min");
        assert_eq!(told(&run("10:00:00", Some("10:00:00"))), "under 1 s");
        assert_eq!(told(&run("10:00:00", None)), "unknown");
        assert_eq!(told(&run("nonsense", Some("10:00:00"))), "unknown");
    }

    #[test]
    fn what_is_not_known_of_some_runs_makes_the_sum_a_minimum() {
        let mut killed = run("10:00:00", None);
        killed.work_ms = Some(3_600_000);
        let mut slept = run("10:00:00", Some("15:00:00"));
        (slept.work_ms, slept.asleep_ms) = (Some(3_600_000), 7_200_000);
        let back = run("10:00:00", Some("09:00:00"));
        let all = Active::of(&[killed.clone(), slept.clone(), back]);
        assert_eq!(all.text(), "at least 2 h 0 min");
        assert_eq!(
            all.notes(),
            "; 1 run ended without a trace; the clock does not tell of 1 run; asleep 2 h 0 min besides"
        );
        let one = Active::of(&[slept]);
        assert_eq!((one.text().as_str(), one.is_exact()), ("1 h 0 min", true));
        killed.work_ms = Some(u64::MAX);
        let most = Active::of(&[killed.clone(), killed]);
        assert!(!most.is_exact() && most.work >= Duration::from_millis(u64::MAX));
    }
}
