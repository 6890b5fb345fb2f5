//! How a run ended, and the exit code that says so.

#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Every byte written, flushed, and read back where asked.
    Wiped,
    /// A finished wipe was read back again, and every byte is right.
    Checked,
    /// Nothing was to be done: a dry run, or help was printed.
    Nothing,
    /// Bytes of the target could not be written or read: it is not clear.
    NotClear,
    /// The read-back found other bytes than were written.
    Differs,
    /// Stopped by a signal; the checkpoint is exact.
    Interrupted(Signal),
    /// Ended by an error; where a checkpoint exists it is kept.
    Failed(String),
    /// Refused or declined before anything was written.
    Refused,
    /// Another run holds the target.
    Busy,
    Usage,
    /// This, but its record, report or result could not be delivered. What has
    /// a worse code keeps that: see [`Outcome::undelivered`].
    Undelivered(Box<Outcome>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl+C.
    Int,
    /// `kill`, a shutdown.
    Term,
    /// The terminal has gone.
    Hup,
}

impl Signal {
    pub const ALL: [Self; 3] = [Self::Int, Self::Term, Self::Hup];

    /// The number, the same on every Linux.
    pub fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Term => 15,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "SIGINT",
            Self::Term => "SIGTERM",
            Self::Hup => "SIGHUP",
        }
    }
}

/// The exit codes, as `--help` and the README show them.
pub(crate) const EXIT_CODES: [(&str, &str); 9] = [
    ("0", "every byte wiped, and verified as asked"),
    ("1", "failed; where a checkpoint exists it is kept"),
    ("2", "usage"),
    (
        "3",
        "finished, but some sectors failed: the drive is NOT clear",
    ),
    ("4", "refused or declined; nothing was written"),
    ("5", "read-back found bytes that are not what was written"),
    ("6", "busy: another wipeit holds this drive"),
    (
        "7",
        "wiped as asked, but its record, report or result is not delivered",
    ),
    ("signal", "stopped (129, 130, 143 in a shell); resumable"),
];

impl Outcome {
    /// The exit code. An interrupted run dies by its signal instead; the code
    /// is what a shell shows for that.
    pub fn code(&self) -> u8 {
        match self {
            Self::Wiped | Self::Checked | Self::Nothing => 0,
            Self::Failed(_) => 1,
            Self::Usage => 2,
            Self::NotClear => 3,
            Self::Refused => 4,
            Self::Differs => 5,
            Self::Busy => 6,
            Self::Undelivered(_) => 7,
            Self::Interrupted(Signal::Hup) => 129,
            Self::Interrupted(Signal::Int) => 130,
            Self::Interrupted(Signal::Term) => 143,
        }
    }

    /// The same where its record, report or result could not be delivered: that
    /// matters only where all else is as it was asked for.
    pub fn undelivered(self) -> Self {
        match self {
            Self::Wiped | Self::Checked | Self::Nothing => Self::Undelivered(Box::new(self)),
            other => other,
        }
    }

    /// The worse of two, as for several drives: 5, 3, 1, 7, 0. A refusal among
    /// others counts as failed. Of two that are as bad, the later.
    pub fn or_worse(self, later: Self) -> Self {
        let rank = |outcome: &Self| match outcome {
            Self::Differs => 0,
            Self::NotClear => 1,
            Self::Failed(_) | Self::Refused | Self::Busy | Self::Usage => 2,
            Self::Interrupted(_) => 3,
            Self::Undelivered(_) => 4,
            Self::Wiped | Self::Checked => 5,
            Self::Nothing => 6,
        };
        if rank(&later) <= rank(&self) {
            later
        } else {
            self
        }
    }

    pub fn of_record(word: &str) -> Option<Self> {
        [Self::Wiped, Self::NotClear, Self::Differs]
            .into_iter()
            .find(|outcome| outcome.word() == word)
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::Wiped => "WIPED",
            Self::Checked => "CHECKED",
            Self::Nothing => "NOTHING",
            Self::NotClear => "NOT-CLEAR",
            Self::Differs => "DIFFERS",
            Self::Interrupted(_) => "STOPPED",
            Self::Failed(_) => "FAILED",
            Self::Refused | Self::Usage => "REFUSED",
            Self::Busy => "BUSY",
            Self::Undelivered(outcome) => outcome.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_delivered_hides_nothing_that_is_worse() {
        let failed = || Outcome::Failed("why".into());
        assert_eq!(Outcome::Checked.undelivered().code(), 7);
        assert_eq!(Outcome::Wiped.undelivered().word(), "WIPED");
        for (outcome, code) in [(Outcome::Differs, 5), (Outcome::NotClear, 3), (failed(), 1)] {
            assert_eq!(outcome.clone().undelivered(), outcome);
            assert_eq!(outcome.undelivered().code(), code);
        }
        let order = [
            Outcome::Differs,
            Outcome::NotClear,
            failed(),
            Outcome::Wiped.undelivered(),
            Outcome::Wiped,
        ];
        for (index, worse) in order.iter().enumerate() {
            for better in &order[index..] {
                let code = worse.code();
                assert_eq!(worse.clone().or_worse(better.clone()).code(), code);
                assert_eq!(better.clone().or_worse(worse.clone()).code(), code);
            }
        }
    }

    #[test]
    fn every_code_stands_in_the_table_and_in_the_readme() {
        let why = || String::from("why");
        for outcome in [
            Outcome::Wiped,
            Outcome::Failed(why()),
            Outcome::Usage,
            Outcome::NotClear,
            Outcome::Refused,
            Outcome::Differs,
            Outcome::Busy,
            Outcome::Wiped.undelivered(),
        ] {
            let code = outcome.code().to_string();
            assert!(EXIT_CODES.iter().any(|(known, _)| *known == code), "{code}");
        }
        let readme = include_str!("../README.md");
        for (code, meaning) in EXIT_CODES {
            assert!(
                readme.contains(&format!("| {code} | {meaning} |")),
                "{code}"
            );
        }
        for signal in Signal::ALL {
            let code = i32::from(Outcome::Interrupted(signal).code());
            assert_eq!(code, 128 + signal.number());
            assert!(EXIT_CODES[8].1.contains(&code.to_string()));
        }
    }
}
