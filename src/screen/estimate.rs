//! Speed and remaining time.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::ZonedDateTime;

use crate::text::size;

/// Over how long a time the speed is taken.
const WINDOW: Duration = Duration::from_secs(30);

/// Speed and remaining time, from what this run did itself.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    total: u128,
    // when this run began, and where
    start: Option<(Duration, u128)>,
    // oldest first; times grow, positions do not shrink
    window: VecDeque<(Duration, u128)>,
}

impl Estimate {
    /// For a plan of so many bytes in all.
    pub(super) fn new(total: u128) -> Self {
        Self {
            total,
            start: None,
            window: VecDeque::new(),
        }
    }

    /// At `now`, so many bytes of the plan are done. What was done before the
    /// first call counts for nothing: an earlier run did it.
    pub(super) fn feed(&mut self, now: Duration, done: u128) {
        self.start.get_or_insert((now, done));
        match self.window.back() {
            // After a failed flush the run goes back; its speed begins anew.
            Some((_, last)) if done < *last => self.window.clear(),
            Some((at, _)) if now < *at => return,
            _ => {}
        }
        self.window.push_back((now, done));
        // One sample at or before the window's begin is kept.
        while let Some((second, _)) = self.window.get(1)
            && now.saturating_sub(*second) >= WINDOW
        {
            self.window.pop_front();
        }
    }

    /// Bytes a second over the last half minute; `None` in the first second.
    pub(super) fn speed(&self) -> Option<u64> {
        let (first_at, first) = *self.window.front()?;
        let (at, done) = *self.window.back()?;
        let rate = rate(done.saturating_sub(first), at.saturating_sub(first_at))?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// The speed begins anew: time went by in which nothing was done, nor counted.
    pub(super) fn pause(&mut self) {
        let last = self.window.pop_back();
        self.window.clear();
        self.window.extend(last);
    }

    /// Bytes a second over this run; `None` in the first second.
    pub(super) fn mean(&self) -> Option<u64> {
        Some(u64::try_from(self.rate()?).unwrap_or(u64::MAX))
    }

    fn rate(&self) -> Option<u128> {
        let (start_at, start) = self.start?;
        let (at, done) = *self.window.back()?;
        rate(done.saturating_sub(start), at.saturating_sub(start_at))
    }

    /// How much of the whole plan is done, as `21.5%`.
    pub(super) fn percent(&self) -> String {
        let done = self.window.back().map_or(0, |(_, done)| *done);
        // A plan of many passes may have more bytes than a u64 counts.
        let whole = self.total.max(1);
        let shift = (u128::BITS - whole.leading_zeros()).saturating_sub(u64::BITS);
        let part = |bytes: u128| u64::try_from(bytes >> shift).unwrap_or(u64::MAX);
        size::percent_text(part(done.min(whole)), part(whole))
    }

    /// Time until the whole plan is done, at the mean speed of this run; `None`
    /// while there is none.
    pub(super) fn remaining(&self) -> Option<Duration> {
        let (_, done) = *self.window.back()?;
        let seconds = self.total.saturating_sub(done).checked_div(self.rate()?)?;
        Some(Duration::from_secs(
            u64::try_from(seconds).unwrap_or(u64::MAX),
        ))
    }

    /// Local time when the whole plan is done; `None` where there is no
    /// estimate, or none that a calendar holds.
    pub(super) fn done_at(&self, now: &ZonedDateTime) -> Option<ZonedDateTime> {
        now.checked_add(self.remaining()?).ok()
    }
}

fn rate(bytes: u128, time: Duration) -> Option<u128> {
    if time < Duration::from_secs(1) {
        return None;
    }
    (bytes * 1000).checked_div(time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_remaining_time_counts_only_what_this_run_did() {
        let mut estimate = Estimate::new(1000);
        estimate.feed(s(5), 900);
        assert_eq!(estimate.remaining(), None);
        estimate.feed(s(15), 910);
        assert_eq!(estimate.speed(), Some(1));
        assert_eq!(estimate.remaining(), Some(s(90)));
    }

    #[test]
    fn the_speed_is_that_of_the_last_half_minute() {
        let mut estimate = Estimate::new(1_000_000);
        for second in 0..=100 {
            estimate.feed(s(second), u128::from(second) * 1000);
        }
        assert_eq!(estimate.speed(), Some(1000));
        for second in 101..=200 {
            estimate.feed(s(second), 100_000);
        }
        assert_eq!(estimate.speed(), Some(0));
        assert!(estimate.window.len() < 40);
        assert_eq!(estimate.remaining(), Some(s(1800)));
    }

    #[test]
    fn after_a_pause_the_speed_is_of_the_time_since() {
        let mut estimate = Estimate::new(100_000);
        for second in 0..=20 {
            estimate.feed(s(second), u128::from(second) * 1000);
        }
        estimate.pause();
        assert_eq!(estimate.speed(), None);
        estimate.feed(s(22), 20_020);
        assert_eq!(estimate.speed(), Some(10));
        assert_eq!(estimate.mean(), Some(910));
        assert_eq!(estimate.percent(), "20.0%");
    }

    #[test]
    fn a_plan_without_speed_has_no_end() {
        let mut estimate = Estimate::new(u128::MAX);
        for second in 0..10 {
            estimate.feed(s(second), 0);
        }
        assert_eq!(estimate.remaining(), None);
        estimate.feed(s(10), 20);
        assert_eq!(estimate.remaining(), Some(s(u64::MAX)));
        assert_eq!(estimate.done_at(&ZonedDateTime::now()), None);
    }
}
