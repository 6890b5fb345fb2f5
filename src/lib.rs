//! wipeit wipes disks, and never lies about how far it got.
//!
//! The house, from the facts up; a module may use only what stands above it
//! (an architecture test keeps it so):
//!
//! - facts: [`size`], [`text`], [`bounded`], [`extent`], [`difference`], [`finding`], [`sample`],
//!   [`scheme`], [`strategy`], [`plan`], [`nature`], [`identity`], [`checkpoint`],
//!   [`event`], [`means`], [`outcome`],
//!   [`lineage`]
//! - core: [`guard`], [`engine`], [`timekeeper`], [`tuning`]
//! - edges: [`cli`], [`device`], [`writer`], [`progress`], [`card`], [`confirm`],
//!   [`signal`], [`display`], [`report`], [`list`],
//!   [`peek`]
//! - for the test rig, and nothing in what is shipped: `planted`
//! - top: [`kin`], [`history`],
//!   [`opening`], [`resume`], [`job`], [`consent`], [`delivery`],
//!   [`aftercheck`], [`closing`], [`check`], [`session`], [`survey`], and [`run`] here

#[macro_use]
mod planted;

mod aftercheck;
mod bounded;
mod card;
mod check;
mod checkpoint;
mod cli;
mod closing;
mod confirm;
mod consent;
mod delivery;
mod device;
mod difference;
mod display;
mod engine;
mod event;
mod extent;
mod finding;
mod guard;
mod history;
mod identity;
mod job;
mod kin;
mod lineage;
mod list;
mod means;
mod nature;
mod opening;
mod outcome;
mod peek;
mod plan;
mod progress;
mod report;
mod resume;
mod sample;
mod scheme;
mod session;
mod signal;
mod size;
mod strategy;
mod survey;
mod text;
mod timekeeper;
mod tuning;
mod writer;

/// What the tests and the benchmark see of the house, for them alone. Without it
/// (`--cfg wipeit_alone`) the compiler sees what nothing uses.
#[cfg(not(wipeit_alone))]
#[doc(hidden)]
pub mod inside {
    pub use crate::check::Nowhere;
    pub use crate::checkpoint::Checkpoint;
    pub use crate::device::{Device, Fact, Host, Medium, Mount, Node, Problem};
    pub use crate::engine::{Control, End, Engine, MAX_INTERVAL, Presence, Settings, Target};
    pub use crate::engine::{Journal, State, differing};
    pub use crate::event::{Event, Observer};
    pub use crate::extent::{Bad, BadMap, BadState, During, Extent};
    pub use crate::guard::{Refusal, check};
    pub use crate::identity::{Comparison, Identity, Kind, Transport};
    pub use crate::opening::open;
    pub use crate::outcome::Signal;
    pub use crate::plan::{Content, Generator, KEY_BYTES, Key, Pass, Plan, Verify};
    pub use crate::progress::{Clock, Saver, StateDir};
    pub use crate::size::{memory, parse as parse_size};
    pub use crate::strategy::{WipeStrategy, best_generator, of as strategy_of};
    pub use crate::tuning::Tuning;
}

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use cli::Parsed;
use outcome::{Outcome, Signal};
use session::Session;

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
            delivery::told(&display::text(&text), Outcome::Nothing)
        }
        Parsed::Usage(text) => Outcome::Usage(text),
        Parsed::List { json, state_dir } => survey::list(json, state_dir.as_deref()),
        Parsed::Run(request) => {
            let session = Session::new(*request);
            let outcome = session.run();
            return exit(&outcome, session.stopped_by());
        }
    };
    exit(&outcome, None)
}

/// Says what was refused before the wipe began, and how to end. After a signal
/// the program dies by it whatever came of the wipe: a loop in a shell must not
/// start on the next drive.
fn exit(outcome: &Outcome, signal: Option<Signal>) -> Exit {
    session::say_why(outcome);
    Exit {
        code: outcome.code(),
        signal,
    }
}

#[cfg(test)]
mod architecture {
    use std::fs;
    use std::path::{Path, PathBuf};

    const FACTS: &[&str] = &[
        "size",
        "text",
        "bounded",
        "extent",
        "difference",
        "finding",
        "sample",
        "scheme",
        "strategy",
        "plan",
        "nature",
        "identity",
        "checkpoint",
        "event",
        "means",
        "outcome",
        "lineage",
        "planted",
    ];
    const CORE: &[&str] = &["guard", "engine", "timekeeper", "tuning"];
    const EDGES: &[&str] = &[
        "peek", "cli", "device", "writer", "progress", "card", "confirm", "signal", "display",
        "report", "list",
    ];
    const TOP: &[&str] = &[
        "kin",
        "history",
        "opening",
        "resume",
        "job",
        "consent",
        "delivery",
        "closing",
        "check",
        "session",
        "survey",
        "lib",
        "main",
        "aftercheck",
    ];

    /// Whether `from` may use `to`: arrows point up the house only.
    fn allowed(from: &str, to: &str) -> bool {
        let within = |floors: &[&[&str]]| floors.iter().any(|floor| floor.contains(&to));
        // Facts about a device are data that everybody below the facts may see.
        let device_as_data = to == "device" && !FACTS.contains(&from);
        from == to
            || device_as_data
            || (FACTS.contains(&from) && within(&[FACTS]))
            || (CORE.contains(&from) && within(&[FACTS]))
            || (EDGES.contains(&from) && within(&[FACTS, CORE]))
            || TOP.contains(&from)
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    /// The modules that a text names as `crate::module`, also in groups.
    fn used(text: &str) -> Vec<String> {
        text.split("crate::")
            .skip(1)
            .flat_map(|rest| {
                let group = rest
                    .strip_prefix('{')
                    .and_then(|rest| rest.split('}').next());
                let names = group
                    .unwrap_or(rest)
                    .split(if group.is_some() { ',' } else { '\0' });
                names
                    .map(|name| {
                        name.trim()
                            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    })
                    .filter_map(|mut words| words.next().map(String::from))
                    .collect::<Vec<_>>()
            })
            .filter(|name| !name.is_empty())
            .collect()
    }

    #[test]
    fn every_arrow_points_up_the_house() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&source, &mut files);
        let known = [FACTS, CORE, EDGES, TOP].concat();
        let mut wrong = Vec::new();
        for file in files {
            let room = file
                .strip_prefix(&source)
                .unwrap()
                .components()
                .next()
                .unwrap();
            let room = Path::new(&room).file_stem().unwrap().to_str().unwrap();
            assert!(known.contains(&room), "{room} has no place in the house");
            for to in used(&fs::read_to_string(&file).unwrap()) {
                if known.contains(&to.as_str()) && !allowed(room, &to) {
                    wrong.push(format!("{}: {room} uses {to}", file.display()));
                }
            }
        }
        assert_eq!(wrong, [""; 0]);
    }
}
