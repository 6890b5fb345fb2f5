//! wipeit wipes disks, and never lies about how far it got.
//!
//! The house: a folder is a domain. Lowest first; a folder or file uses only what
//! stands before it (`architecture.rs` keeps it so).
//!
//! - [`text`]: sizes, words and counts as people read them, and bounded reading
//! - [`outcome`]: how a run ended, and the exit codes
//! - [`strategy`]: the bytes of a pass, as a pure function of the offset
//! - [`plan`]: what is written and compared, where, and what went wrong
//! - [`drive`]: facts about a drive, as data, and whether it may be wiped
//! - [`probe`]: those facts, read from the kernel
//! - [`engine`]: overwrites and reads back, and never lies about how far it got
//! - [`writer`]: the device writer: one descriptor, aligned exact I/O, sync
//! - [`progress`]: the state directory: checkpoints and records
//! - [`report`]: what was done, as closing lines and as a page
//! - [`screen`]: what people see while it is done, and the question before
//! - [`signal`]: stopping by signals, and dying by them
//! - [`cli`]: the command line
//! - [`refusal`]: why a target is not touched
//! - [`wipe`]: one drive's way: open, decide, ask, run, end
//! - [`survey`]: the list of unfinished wipes and disks
//! - [`batch`]: the targets of one run of the program
//!
//! Beside it `planted`: bugs on purpose for the test rig, in a build of its own.
// Public is `run` with its `Exit`, and what `inside` shows.
#![cfg_attr(not(wipeit_alone), deny(unreachable_pub))]

#[macro_use]
mod planted;

#[cfg(test)]
mod architecture;
mod batch;
mod cli;
mod drive;
mod engine;
mod outcome;
mod plan;
mod probe;
mod progress;
mod refusal;
mod report;
mod screen;
mod signal;
mod strategy;
mod survey;
mod text;
mod wipe;
mod writer;

/// What the tests and the benchmark see of the house, for them alone. Without it
/// (`--cfg wipeit_alone`) the compiler sees what nothing uses.
#[cfg(not(wipeit_alone))]
#[doc(hidden)]
pub mod inside {
    pub use crate::drive::Tuning;
    pub use crate::drive::{Comparison, Identity, Kind, Transport};
    pub use crate::drive::{Device, Fact, Medium, Mount, NoTarget, Node};
    pub use crate::drive::{InUse, check};
    pub use crate::engine::{Control, End, Engine, MAX_INTERVAL, Presence, Settings, Target};
    pub use crate::engine::{Event, Observer};
    pub use crate::engine::{Journal, State, differing, run as run_engine};
    pub use crate::outcome::Signal;
    pub use crate::plan::{Bad, BadMap, BadState, During, Extent};
    pub use crate::plan::{Pass, Plan, Verify};
    pub use crate::probe::Host;
    pub use crate::progress::Checkpoint;
    pub use crate::progress::{Clock, Saver, StateDir};
    pub use crate::strategy::{Content, Generator, KEY_BYTES, Key};
    pub use crate::strategy::{WipeStrategy, best_generator, of as strategy_of};
    pub use crate::text::size::{memory, parse as parse_size};
    pub use crate::wipe::Nowhere;
    pub use crate::wipe::open;
}

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use cli::Parsed;
use outcome::{Outcome, Signal};

/// How the program ends.
#[derive(Debug)]
#[must_use]
pub struct Exit {
    code: u8,
    signal: Option<Signal>,
}

impl Exit {
    /// Dies by the signal that stopped the run, if one did; gives the exit code
    /// otherwise.
    #[must_use]
    pub fn leave(self) -> ExitCode {
        if let Some(signal) = self.signal {
            signal::die_by(signal);
        }
        ExitCode::from(self.code)
    }
}

/// Does what the command line says.
pub fn run() -> Exit {
    let _ = signal::survive_early();
    let environment = std::env::var_os("WIPEIT_STATE_DIR").map(PathBuf::from);
    // Where a script called it with nothing, nothing must not look like success.
    let somebody =
        io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    let outcome = match cli::parse(std::env::args_os(), environment, somebody) {
        Parsed::Show(text) => {
            // A closed pipe (`wipeit -h | head`) is no failure.
            screen::delivered(&screen::text(&text), Outcome::Nothing)
        }
        Parsed::Usage(text) => {
            screen::notice(&text);
            Outcome::Usage
        }
        Parsed::List { json, state_dir } => survey::list(json, state_dir.as_deref()),
        Parsed::Run(request) => {
            let (outcome, signal) = batch::run(*request);
            return exit(&outcome, signal);
        }
    };
    exit(&outcome, None)
}

/// After a signal the program dies by it whatever came of the wipe: a loop in a shell must not
/// start on the next drive.
fn exit(outcome: &Outcome, signal: Option<Signal>) -> Exit {
    Exit {
        code: outcome.code(),
        signal,
    }
}
