//! How much a rate limit lets through.

use std::time::Duration;

use super::state::Settings;

/// What a rate limit allows.
pub(crate) struct Credit {
    rate: Option<u64>,
    // at most a quarter of a second's worth, so that what a stall or a pause held
    // up is not made up for by a burst
    most: u64,
    bytes: u64,
    spent: u64,
    at: Duration,
}

impl Credit {
    /// Nothing yet, from now on.
    pub(crate) fn new(settings: Settings, now: Duration) -> Self {
        let most = (settings.rate.unwrap_or(0) / 4).max(settings.chunk);
        Self {
            rate: settings.rate,
            most,
            bytes: 0,
            spent: 0,
            at: now,
        }
    }

    /// Bytes that may be dispensed now, when `dispensed` were so far.
    pub(crate) fn left(&mut self, now: Duration, dispensed: u64) -> u64 {
        let Some(rate) = self.rate else {
            return u64::MAX;
        };
        let earned = u128::from(rate) * now.saturating_sub(self.at).as_micros() / 1_000_000;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        if earned > 0 {
            self.at = now;
        }
        self.bytes = self.bytes.saturating_sub(dispensed - self.spent);
        self.spent = dispensed;
        self.bytes = self.bytes.saturating_add(earned).min(self.most);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::MIB;

    #[test]
    fn what_was_held_up_is_not_made_up_for() {
        let rate = 50 * MIB;
        let settings = Settings::new(MIB, 4, 100 * MIB, Some(rate));
        let ms = Duration::from_millis;
        let mut credit = Credit::new(settings, ms(0));
        let mut dispensed = 0;
        // A second at full speed, looked at every ten milliseconds.
        for at in 1..=100 {
            dispensed += credit.left(ms(10 * at), dispensed);
        }
        assert!(dispensed.abs_diff(rate) < MIB, "{dispensed}");
        // Nothing gets through for an hour, then all that may.
        let before = dispensed;
        for at in 0..100 {
            dispensed += credit.left(ms(3_600_000 + 10 * at), dispensed);
        }
        let second = dispensed - before;
        assert!(second <= rate + rate / 4, "{second}");
        assert!(second >= rate, "{second}");
    }
}
