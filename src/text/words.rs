//! Times, counts and reasons in words.

use std::io;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};
use nix::errno::Errno;

use super::size::grouped;

/// Why something failed, as `permission denied`.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_string(),
        None => error.to_string(),
    };
    let mut chars = text.chars();
    match chars.next() {
        // "Input/output error", but not "I/O error".
        Some(first) if chars.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text,
    }
}

/// A length of time for people, as `46 h 31 min`, `5 min 3 s`, `12 s`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => "under 1 s".into(),
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// A length of time that is only estimated, as `about 23 h`.
pub(crate) fn about(time: Duration) -> String {
    let minutes = (time.as_secs() + 30) / 60;
    match minutes {
        0 => "under 1 min".into(),
        1..60 => format!("about {minutes} min"),
        60..600 => format!("about {} h {} min", minutes / 60, minutes % 60),
        _ => format!("about {} h", (minutes + 30) / 60),
    }
}

/// A time of day, as `Fri 00:41`; the date instead where the weekday could be
/// misread.
pub(crate) fn clock(now: &ZonedDateTime, at: &ZonedDateTime) -> String {
    let days = at.date().duration_since(now.date()).as_hours() / 24;
    let format = if (0..6).contains(&days) {
        "%a %H:%M"
    } else {
        "%Y-%m-%d"
    };
    at.strftime(format).to_string()
}

/// How long ago, as `3 days ago`.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        // A clock that was set back knows nothing.
        ..0 => "in the future".into(),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// What somebody says, without the white space around it; `None` where that is nothing.
pub(crate) fn said(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// `1 pass`, `2 passes`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", grouped(number))
}

/// That no room can be kept for the record, and why not.
pub(crate) fn no_room(why: &str) -> String {
    format!(
        "no room can be kept for the record ({why}): it is lost if the disk of the state is full \
         at the end; free some space there, or see --state-dir and --report"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_never_exact_where_they_are_estimates() {
        let s = Duration::from_secs;
        assert_eq!(span(s(167_460)), "46 h 31 min");
        assert_eq!(span(s(303)), "5 min 3 s");
        assert_eq!(span(Duration::from_millis(900)), "under 1 s");
        assert_eq!(about(s(29)), "under 1 min");
        assert_eq!(about(s(82_000)), "about 23 h");
        assert_eq!(about(s(3_600 * 3 + 60 * 20)), "about 3 h 20 min");
    }

    #[test]
    fn a_weekday_that_could_be_misread_becomes_a_date() {
        let now: ZonedDateTime = "2026-01-14T12:00:00+01:00[Europe/Berlin]".parse().unwrap();
        let later = |days: u64| {
            let time = Duration::from_secs(days * 86_400);
            clock(&now, &now.checked_add(time).unwrap())
        };
        assert_eq!(later(0), "Wed 12:00");
        assert_eq!(later(5), "Mon 12:00");
        assert_eq!(later(7), "2026-01-21");
    }
}
