//! What a run is about, and how it is shown.

use std::io::{self, IsTerminal};

use clap::ValueEnum;

use crate::plan::Plan;

/// What `--progress` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// Lines, as for a log.
    Plain,
    /// Only warnings.
    None,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// One line that changes.
    Bar,
    /// A line now and then, as for a log.
    Plain,
    /// Only warnings.
    None,
}

impl Face {
    /// The face for this process.
    pub(crate) fn here(mode: ProgressMode, quiet: bool) -> Self {
        let term = std::env::var("TERM").ok();
        Self::of(mode, quiet, io::stderr().is_terminal(), term.as_deref())
    }

    /// A bar needs a terminal that can move its cursor; where there is none, lines
    /// take its place.
    fn of(mode: ProgressMode, quiet: bool, terminal: bool, term: Option<&str>) -> Self {
        let can_move = terminal && !matches!(term, None | Some("" | "dumb"));
        match mode {
            _ if quiet => Self::None,
            ProgressMode::None => Self::None,
            ProgressMode::Auto | ProgressMode::Bar if can_move => Self::Bar,
            ProgressMode::Auto | ProgressMode::Bar | ProgressMode::Plain => Self::Plain,
        }
    }
}

/// What a run is about.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    /// The kernel's name, or an image's file name.
    pub name: String,
    /// The drive's serial.
    pub serial: Option<String>,
    /// Bytes of the target.
    pub size: u64,
    /// Bytes of a sector of it.
    pub sector: u64,
    /// What is written, such as `random`.
    pub what: String,
    /// All steps; for the remaining time.
    pub plan: Plan,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_needs_a_terminal_that_is_not_dumb() {
        let xterm = Some("xterm");
        for (mode, quiet, terminal, term, face) in [
            (ProgressMode::Auto, false, true, xterm, Face::Bar),
            (ProgressMode::Auto, false, false, xterm, Face::Plain),
            (ProgressMode::Auto, false, true, Some("dumb"), Face::Plain),
            (ProgressMode::Auto, false, true, None, Face::Plain),
            (ProgressMode::Bar, false, true, Some("dumb"), Face::Plain),
            (ProgressMode::Bar, false, true, xterm, Face::Bar),
            (ProgressMode::Plain, false, true, xterm, Face::Plain),
            (ProgressMode::None, false, true, xterm, Face::None),
            (ProgressMode::Bar, true, true, xterm, Face::None),
        ] {
            assert_eq!(
                Face::of(mode, quiet, terminal, term),
                face,
                "{mode:?} {term:?}"
            );
        }
    }
}
