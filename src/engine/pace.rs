//! Whether the target still answers, and as fast as it used to.

use std::time::Duration;

/// The speed is taken over this long.
const STRETCH: Duration = Duration::from_secs(60);
/// So many stretches in a row below a hundredth of the best are pointed out.
const SLOW_STRETCHES: u32 = 3;
/// A silence of this length is pointed out.
const SILENCE: Duration = Duration::from_secs(60);

/// A checkpoint that takes this long to save is pointed out.
const STATE_SILENCE: Duration = Duration::from_secs(10);
/// A look that comes later than this part of the limit begins a silence anew.
const LATE: u32 = 4;

/// Speeds in bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slow {
    pub now: u64,
    pub best: u64,
}

/// Watches how the target does.
#[derive(Debug)]
pub(crate) struct Pace {
    // when the stretch began, later by what it was idle, and bytes that were moved until then
    since: Duration,
    from: u64,
    best: u64,
    slow: u32,
    // when the target was last heard of, or had nothing to do
    heard: Duration,
    silence_told: bool,
    hang_told: bool,
    // when somebody looked last and how long after the look before, and how often the program had paused
    looked: Duration,
    gap: Duration,
    pauses: u64,
    // since when a checkpoint is being saved, and whether that was told
    saving: Option<(Duration, bool)>,
}

impl Pace {
    /// Watches from now on.
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            since: now,
            from: 0,
            best: 0,
            slow: 0,
            heard: now,
            silence_told: false,
            hang_told: false,
            looked: now,
            gap: Duration::ZERO,
            pauses: 0,
            saving: None,
        }
    }

    /// To be called before anything is asked, often. Where the program itself did
    /// not run, nothing could be heard: then a silence begins anew. `limit`: the
    /// one of [`hang`](Self::hang), of which a late look may be a small part.
    pub(crate) fn looks(&mut self, now: Duration, pauses: u64, limit: Option<Duration>) {
        let gap = now.saturating_sub(self.looked);
        let late = limit.is_some_and(|limit| gap > limit / LATE);
        if late || pauses != self.pauses {
            self.heard = now;
            self.saving = self.saving.map(|(_, told)| (now, told));
        }
        (self.looked, self.gap, self.pauses) = (now, gap, pauses);
    }

    /// The target has had nothing to do since the look before: neither its silence
    /// nor its speed is its own.
    pub(crate) fn idle(&mut self, now: Duration) {
        self.heard(now);
        self.since = (self.since + self.gap).min(now);
    }

    /// How long a checkpoint has been being saved, where that is to be pointed
    /// out: once for each.
    pub(crate) fn saves(&mut self, now: Duration, saves: bool) -> Option<Duration> {
        if !saves {
            self.saving = None;
            return None;
        }
        let (since, told) = self.saving.get_or_insert((now, false));
        let silence = now.saturating_sub(*since);
        let due = silence >= STATE_SILENCE && !*told;
        *told |= due;
        due.then_some(silence)
    }

    /// The target answered.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.heard = now;
        self.silence_told = false;
        self.hang_told = false;
    }

    /// How long nothing has come back, where that is to be pointed out: once
    /// for each silence.
    pub(crate) fn silence(&mut self, now: Duration) -> Option<Duration> {
        let silence = now.saturating_sub(self.heard);
        let told = std::mem::replace(&mut self.silence_told, silence >= SILENCE);
        (silence >= SILENCE && !told).then_some(silence)
    }

    /// The same for a silence of the length at which the run is to end.
    pub(crate) fn hang(&mut self, now: Duration, limit: Duration) -> Option<Duration> {
        let silence = now.saturating_sub(self.heard);
        let told = std::mem::replace(&mut self.hang_told, silence >= limit);
        (silence >= limit && !told).then_some(silence)
    }

    /// So many bytes were moved until now, in all. Tells once when the target
    /// has become slow.
    pub(crate) fn moved(&mut self, now: Duration, bytes: u64) -> Option<Slow> {
        let time = now.saturating_sub(self.since);
        if time < STRETCH {
            return None;
        }
        let moved = u128::from(bytes.saturating_sub(self.from)) * 1000 / time.as_millis().max(1);
        let speed = u64::try_from(moved).unwrap_or(u64::MAX);
        (self.since, self.from) = (now, bytes);
        self.best = self.best.max(speed);
        let slow = speed < self.best / 100;
        self.slow = if slow { self.slow.saturating_add(1) } else { 0 };
        (self.slow == SLOW_STRETCHES).then_some(Slow {
            now: speed,
            best: self.best,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(n: u64) -> Duration {
        STRETCH * u32::try_from(n).unwrap()
    }

    #[test]
    fn a_target_below_a_hundredth_of_its_best_is_pointed_out_once() {
        let mut pace = Pace::new(Duration::ZERO);
        let mut bytes = 0;
        let mut minute = |n: u64, moved: u64| {
            bytes += moved;
            pace.moved(minutes(n), bytes)
        };
        assert_eq!(minute(1, 60_000_000), None);
        assert_eq!(minute(2, 590_000), None);
        assert_eq!(minute(3, 0), None);
        let slow = Slow {
            now: 1000,
            best: 1_000_000,
        };
        assert_eq!(minute(4, 60_000), Some(slow));
        assert_eq!(minute(5, 0), None, "once");
        assert_eq!(minute(6, 30_000_000), None);
        assert_eq!(minute(7, 0), None);
        assert_eq!(minute(8, 0), None);
        assert!(minute(9, 0).is_some(), "and again after it recovered");
    }

    #[test]
    fn a_silence_is_told_once_and_ends_with_an_answer() {
        let mut pace = Pace::new(Duration::ZERO);
        let second = Duration::from_secs;
        assert_eq!(pace.silence(second(59)), None);
        assert_eq!(pace.silence(second(61)), Some(second(61)));
        assert_eq!(pace.silence(second(62)), None);
        assert_eq!(pace.hang(second(62), second(90)), None);
        assert_eq!(pace.hang(second(90), second(90)), Some(second(90)));
        assert_eq!(pace.hang(second(91), second(90)), None);
        pace.heard(second(100));
        assert_eq!(pace.silence(second(101)), None);
        assert_eq!(pace.silence(second(160)), Some(second(60)));
    }

    #[test]
    fn a_silence_begins_anew_where_nobody_looked() {
        let (second, limit) = (Duration::from_secs, Duration::from_secs(8));
        let ms = Duration::from_millis;
        let mut pace = Pace::new(Duration::ZERO);
        let mut hang = |at: Duration, pauses| {
            pace.looks(at, pauses, Some(limit));
            pace.hang(at, limit)
        };
        // In time, again and again.
        assert!((1..16).all(|half| hang(ms(500 * half), 0).is_none()));
        assert_eq!(hang(second(8), 0), Some(second(8)));
        // A program that was stopped has a clock that was stopped, too.
        assert_eq!(hang(ms(8_500), 1), None);
        assert!((18..33).all(|half| hang(ms(500 * half), 1).is_none()));
        assert_eq!(hang(ms(16_500), 1), Some(second(8)));
        // One that was not, but did not look for long.
        assert_eq!(hang(second(30), 1), None);
    }

    #[test]
    fn a_save_that_takes_long_is_told_once_each() {
        let second = Duration::from_secs;
        let mut pace = Pace::new(Duration::ZERO);
        assert_eq!(pace.saves(second(0), true), None);
        assert_eq!(pace.saves(second(9), true), None);
        assert_eq!(pace.saves(second(10), true), Some(second(10)));
        assert_eq!(pace.saves(second(90), true), None);
        assert_eq!(pace.saves(second(91), false), None);
        assert_eq!(pace.saves(second(92), true), None);
        pace.looks(second(101), 1, None);
        assert_eq!(pace.saves(second(103), true), None, "stopped in between");
        assert_eq!(pace.saves(second(111), true), Some(second(10)));
    }
}
