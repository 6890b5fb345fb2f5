//! The options as they are typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Str;
use clap::{ArgAction, CommandFactory, Parser};

use super::values::{self, SchemeName};
use crate::engine::{MAX_CHUNK, MAX_INTERVAL, MAX_WORKERS, MIN_CHUNK, MIN_INTERVAL};
use crate::outcome::EXIT_CODES;
use crate::plan::{MAX_PASSES, ReadBack};
use crate::progress::Place;
use crate::screen::ProgressMode;
use crate::strategy::{Choice, Pattern};

/// Seconds: any drive may take a few to answer.
const LEAST_STALL: usize = 5;
/// Seconds: a day.
const MOST_STALL: usize = 86_400;

/// What was typed.
// Flags of a command line are bools.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Parser)]
#[command(
    name = "wipeit",
    version,
    about = "Wipe a disk, and never lie about how far it got",
    disable_help_flag = true,
    disable_version_flag = true,
    max_term_width = 80,
    override_usage = "wipeit [OPTIONS] TARGET   (or: wipeit --resume)"
)]
pub(super) struct Args {
    /// A block device, a partition or a disk-image file; with --resume it may be
    /// left out
    // Not a path for clap, which has words of its own for an empty one.
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<OsString>,

    #[arg(short, long, value_name = "KIND", help = written())]
    pub(super) strategy: Option<Choice>,

    /// Bytes to repeat, as 55aa or 0x924924; ff for ones
    #[arg(long, value_name = "HEX", value_parser = values::pattern)]
    pub(super) pattern: Option<Pattern>,

    /// How often everything is written [default: 1]
    #[arg(long, value_name = "N", value_parser = values::number(1, MAX_PASSES))]
    pub(super) passes: Option<usize>,

    /// A named list of passes, as dod-short; `help` shows them all
    #[arg(
        long,
        value_name = "NAME",
        value_parser = values::scheme,
        conflicts_with_all = ["strategy", "pattern", "passes"],
    )]
    pub(super) scheme: Option<SchemeName>,

    /// Read back: full, sample, all or none [default: full]
    #[arg(long, value_name = "HOW")]
    pub(super) verify: Option<ReadBack>,

    /// Continue a wipe that Ctrl+C or a crash stopped
    #[arg(
        short,
        long,
        long_help = "Continue a wipe that Ctrl+C, a crash or a power cut stopped, wherever its \
                     drive is now"
    )]
    pub(super) resume: bool,

    /// Wipe it unless it is wiped already; for scripts that run again. What was
    /// written to since is refused: --restart wipes it
    #[arg(long, conflicts_with_all = ["resume", "restart"])]
    pub(super) ensure: bool,

    /// Forget an unfinished wipe of this drive and start over
    #[arg(long, conflicts_with = "resume")]
    pub(super) restart: bool,

    /// Prove a finished wipe: read the drive back against its record. Writes
    /// nothing, not even a report
    #[arg(
        long,
        conflicts_with_all = [
            "resume", "ensure", "restart", "strategy", "pattern", "passes", "scheme", "verify",
            "dry_run", "report", "operator", "asset", "note",
        ]
    )]
    pub(super) check: bool,

    /// Show unfinished wipes and the disks of this machine
    #[arg(short, long, conflicts_with_all = ["resume", "restart", "ensure", "check"])]
    pub(super) list: bool,

    /// --list for scripts
    #[arg(long)]
    pub(super) json: bool,

    /// Ask nothing, whatever TARGET is; --serial is safer
    #[arg(short, long)]
    pub(super) yes: bool,

    /// Ask nothing, but refuse TARGET unless it is the drive with this serial
    #[arg(long, value_name = "SERIAL", value_parser = values::serial)]
    pub(super) serial: Vec<String>,

    /// Show what would be done, and write nothing
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,

    /// Only warnings, errors and the result
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// How progress is shown: auto, bar, plain or none
    #[arg(long, value_name = "HOW")]
    pub(super) progress: Option<ProgressMode>,

    /// Write the report there too: a folder (one that is there, or PATH ends in
    /// /) gets a JSON record and an HTML page to read and print, named by serial
    /// and time; PATH.json or PATH.html that one. Only of a finished wipe:
    /// WIPED, NOT-CLEAR or DIFFERS. A resume keeps it, and the three below. For
    /// PDF print the page
    #[arg(long, value_name = "PATH", value_parser = values::place())]
    pub(super) report: Option<Place>,

    /// Who wipes, for the report
    #[arg(long, value_name = "NAME", value_parser = values::words())]
    pub(super) operator: Option<String>,

    /// Your own number of the drive, for the report
    #[arg(long, value_name = "TAG", value_parser = values::words())]
    pub(super) asset: Option<String>,

    /// Anything else, for the report
    #[arg(long, value_name = "TEXT", value_parser = values::words())]
    pub(super) note: Option<String>,

    /// Where checkpoints and records are kept [default: /var/lib/wipeit for
    /// root, else ~/.local/state/wipeit; or `WIPEIT_STATE_DIR`]
    #[arg(long, value_name = "DIR", value_parser = values::path())]
    pub(super) state_dir: Option<PathBuf>,

    /// Most that a crash may cost, from 1M to 100M [default: 100M]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes(MIN_INTERVAL, MAX_INTERVAL))]
    pub(super) checkpoint_every: Option<u64>,

    /// Bytes of one write, from 4K to 64M, lowered where checkpoints are close
    /// [default: 1M on hard disks, USB and cards, else 2M]
    #[arg(short, long, value_name = "SIZE", value_parser = values::bytes(MIN_CHUNK, MAX_CHUNK))]
    pub(super) buffer_size: Option<u64>,

    /// Writes at a time, from 1 to 64 [default: 2 on hard disks, USB and cards, else 3]
    #[arg(long, value_name = "N", value_parser = values::number(1, MAX_WORKERS))]
    pub(super) threads: Option<usize>,

    /// Most bytes a second
    #[arg(long, value_name = "SIZE", value_parser = values::bytes(4096, 1 << 50))]
    pub(super) rate_limit: Option<u64>,

    /// End a run whose drive has not answered for so many seconds, from 5 on
    /// [default: wait for it]
    #[arg(long, value_name = "SECONDS", value_parser = values::number(LEAST_STALL, MOST_STALL))]
    pub(super) stall_timeout: Option<usize>,

    /// This help; --help says more
    #[arg(short = 'h', action = ArgAction::HelpShort)]
    pub(super) short_help: Option<bool>,

    /// All options
    #[arg(long = "help", action = ArgAction::HelpLong)]
    pub(super) long_help: Option<bool>,

    /// The version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    pub(super) version: Option<bool>,

    /// Caught, to say that it does not exist
    #[arg(short, long, hide = true)]
    pub(super) force: bool,
}

/// What people come for, one line each.
const EXAMPLES: &str = "\
Examples:
  wipeit --list                      which disks are here, and what is on them
  wipeit -n /dev/sdX                 what would be done; nothing is written
  wipeit -s zero /dev/sdX            zeros instead of random data
  wipeit --serial ZR5A1B2C /dev/sdX  no question, but only if it is this drive
  wipeit --resume                    continue, whatever the drive's name is now
  wipeit --resume --yes              all that are unfinished, without a question
  wipeit --check /dev/sdX            prove it afterwards: read all of it back
  wipeit --report DIR/ /dev/sdX      prove it on paper: a page to print and sign
";

/// What `-h` shows.
#[rustfmt::skip]
const SHORT: [&str; 9] = [
    "strategy", "verify", "resume", "restart", "list", "yes", "dry_run", "quiet", "short_help",
];

/// Values that have digits.
const NUMBERS: [&str; 4] = ["HEX", "N", "SIZE", "SECONDS"];

fn written() -> String {
    format!("Write {} [default: random]", Choice::all())
}

pub(super) fn command() -> clap::Command {
    let codes: Vec<String> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("  {code:<6}  {meaning}"))
        .collect();
    let codes = format!("Exit codes:\n{}\n", codes.join("\n"));
    let short = format!("{codes}There is no --force. More: wipeit --help");
    let long = format!(
        "{codes}\n{EXAMPLES}\nSizes: K, M, G, T are powers of 1024; KB, MB, GB, TB of 1000.\n\
         A disk in use is always refused; there is no --force."
    );
    Args::command()
        .mut_args(|arg| {
            let short = SHORT.contains(&arg.get_id().as_str());
            // "-1" is a wrong number and no option.
            let is_number = |names: &[Str]| NUMBERS.contains(&names[0].as_str());
            let number = arg.get_value_names().is_some_and(is_number);
            let value = arg.get_action().takes_values();
            arg.hide_short_help(!short)
                .hide_possible_values(value)
                .allow_hyphen_values(number)
        })
        .after_help(short)
        .after_long_help(long)
        .help_template("{usage-heading} {usage}\n\n{all-args}{after-help}")
}
