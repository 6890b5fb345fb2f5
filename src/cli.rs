//! The command line: what was typed, and what it means.
//!
//! Nothing else reads the arguments, and they are read once.

mod mistake;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, ValueEnum};

use crate::engine;
use crate::outcome::EXIT_CODES;
use crate::plan::{Choice, MAX_PASSES, Pattern, ReadBack, Scheme, Wish, scheme};
use crate::progress::Wanted;
use crate::screen::ProgressMode;
use crate::text::{clean, is_one_line, size};

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
struct Args {
    /// A block device, a partition or a disk-image file; with --resume it may be
    /// left out
    // Not a path for clap, which has words of its own for an empty one.
    #[arg(value_name = "TARGET", hide_short_help = true)]
    targets: Vec<OsString>,

    /// Write random, zero or pattern [default: random]
    #[arg(
        short,
        long,
        value_enum,
        value_name = "KIND",
        hide_possible_values = true
    )]
    strategy: Option<Strategy>,

    /// Bytes to repeat, as 55aa or 0x924924; ff for ones
    #[arg(
        long,
        value_name = "HEX",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pattern: Option<String>,

    /// How often everything is written [default: 1]
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    passes: Option<String>,

    /// A named list of passes, as dod-short; `help` shows them all
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["strategy", "pattern", "passes"],
        hide_short_help = true
    )]
    scheme: Option<String>,

    /// Read back: full, sample, all or none [default: full]
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true)]
    verify: Option<Verify>,

    /// Continue a wipe that Ctrl+C or a crash stopped
    #[arg(
        short,
        long,
        long_help = "Continue a wipe that Ctrl+C, a crash or a power cut stopped, wherever its \
                     drive is now"
    )]
    resume: bool,

    /// Wipe it unless it is wiped already; for scripts that run again. What was
    /// written to since is refused: --restart wipes it
    #[arg(long, conflicts_with_all = ["resume", "restart"], hide_short_help = true)]
    ensure: bool,

    /// Forget an unfinished wipe of this drive and start over
    #[arg(long, conflicts_with = "resume")]
    restart: bool,

    /// Prove a finished wipe: read the drive back against its record. Writes
    /// nothing, not even a report
    #[arg(
        long,
        conflicts_with_all = [
            "resume", "ensure", "restart", "strategy", "pattern", "passes", "scheme", "verify",
            "dry_run", "report", "operator", "asset", "note",
        ],
        hide_short_help = true
    )]
    check: bool,

    /// Show unfinished wipes and the disks of this machine
    #[arg(short, long, conflicts_with_all = ["resume", "restart", "ensure", "check"])]
    list: bool,

    /// --list for scripts
    #[arg(long, hide_short_help = true)]
    json: bool,

    /// Ask nothing, whatever TARGET is; --serial is safer
    #[arg(short, long)]
    yes: bool,

    /// Ask nothing, but refuse TARGET unless it is the drive with this serial
    #[arg(long, value_name = "SERIAL", hide_short_help = true)]
    serial: Vec<String>,

    /// Show what would be done, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Only warnings, errors and the result
    #[arg(short, long)]
    quiet: bool,

    /// How progress is shown: auto, bar, plain or none
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        hide_possible_values = true,
        hide_short_help = true
    )]
    progress: Option<ProgressMode>,

    /// Write the report there too: a folder (one that is there, or PATH ends in
    /// /) gets a JSON record and an HTML page to read and print, named by serial
    /// and time; PATH.json or PATH.html that one. Only of a finished wipe:
    /// WIPED, NOT-CLEAR or DIFFERS. A resume keeps it, and the three below. For
    /// PDF print the page
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    report: Option<OsString>,

    /// Who wipes, for the report
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    operator: Option<OsString>,

    /// Your own number of the drive, for the report
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    asset: Option<OsString>,

    /// Anything else, for the report
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    note: Option<OsString>,

    /// Where checkpoints and records are kept [default: /var/lib/wipeit for
    /// root, else ~/.local/state/wipeit; or `WIPEIT_STATE_DIR`]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    state_dir: Option<OsString>,

    /// Most that a crash may cost, from 1M to 100M [default: 100M]
    #[arg(
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    checkpoint_every: Option<String>,

    /// Bytes of one write, from 4K to 64M, lowered where checkpoints are close
    /// [default: 1M on hard disks, USB and cards, else 2M]
    #[arg(
        short,
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    buffer_size: Option<String>,

    /// Writes at a time, from 1 to 64 [default: 2 on hard disks, USB and cards, else 3]
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    threads: Option<String>,

    /// Most bytes a second
    #[arg(
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    rate_limit: Option<String>,

    /// End a run whose drive has not answered for so many seconds, from 5 on
    /// [default: wait for it]
    #[arg(
        long,
        value_name = "SECONDS",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    stall_timeout: Option<String>,

    /// This help; --help says more
    #[arg(short = 'h', action = ArgAction::HelpShort)]
    short_help: Option<bool>,

    /// All options
    #[arg(long = "help", action = ArgAction::HelpLong, hide_short_help = true)]
    long_help: Option<bool>,

    /// The version
    #[arg(short = 'V', long, action = ArgAction::Version, hide_short_help = true)]
    version: Option<bool>,

    /// Caught, to say that it does not exist
    #[arg(short, long, hide = true)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Strategy {
    Random,
    Zero,
    Pattern,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Verify {
    Full,
    Sample,
    All,
    None,
}

impl From<Verify> for ReadBack {
    fn from(verify: Verify) -> Self {
        match verify {
            Verify::Full => Self::Full,
            Verify::Sample => Self::Sample,
            Verify::All => Self::All,
            Verify::None => Self::None,
        }
    }
}

/// What the command line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is wiped; none: the drives of unfinished wipes. Several only where
    /// nothing is written.
    pub targets: Vec<PathBuf>,
    /// What was asked of the plan.
    pub wish: Wish,
    /// What is done about a checkpoint that is there.
    pub mode: Mode,
    /// Whether nothing is asked.
    pub yes: bool,
    /// The serials that the targets must have: each is the answer for one.
    pub serials: Vec<String>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether only warnings, errors and the result are shown.
    pub quiet: bool,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// Where the state is kept, where that was said.
    pub state_dir: Option<PathBuf>,
    /// Where the report goes besides the state directory.
    pub report: Option<PathBuf>,
    /// What stands in the report; its path is not set.
    pub wanted: Wanted,
    /// Bytes between checkpoints.
    pub checkpoint_every: u64,
    /// Bytes of one write, where that was said.
    pub buffer_size: Option<u64>,
    /// Workers, where that was said.
    pub threads: Option<usize>,
    /// Bytes a second.
    pub rate_limit: Option<u64>,
    /// How long a drive may not answer.
    pub stall_timeout: Option<Duration>,
}

/// What is done about a checkpoint that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing was said: ask.
    Fresh,
    /// Continue.
    Resume,
    /// Continue; and where the drive is wiped already, write nothing.
    Ensure,
    /// Drop it.
    Restart,
    /// Nothing: a finished wipe is read back.
    Check,
}

/// What came of the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Do this.
    Run(Box<Request>),
    /// Show unfinished wipes and the disks of this machine.
    List {
        /// Whether for scripts.
        json: bool,
        /// Where the state is kept, where that was said.
        state_dir: Option<PathBuf>,
    },
    /// Print this text and end with success.
    Show(String),
    /// Print `wipeit: TEXT` and end with a usage error.
    Usage(String),
}

/// Reads the arguments, the program's name first. `environment` is the state
/// directory from the environment; `terminal`: whether somebody types and looks.
#[must_use]
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Option<PathBuf>,
    terminal: bool,
) -> Parsed {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.len() <= 1 && terminal {
        return Parsed::List {
            json: false,
            state_dir: said(None, environment),
        };
    }
    let matches = command().try_get_matches_from(&arguments);
    match matches.and_then(|matches| <Args as clap::FromArgMatches>::from_arg_matches(&matches)) {
        Ok(args) => {
            if args.scheme.as_deref() == Some("help") {
                return Parsed::Show(scheme::list());
            }
            let meaning = if args.list || args.json {
                list(args, environment)
            } else {
                request(args, environment).map(|request| Parsed::Run(Box::new(request)))
            };
            meaning.unwrap_or_else(Parsed::Usage)
        }
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Parsed::Show(error.to_string()),
            _ => Parsed::Usage(
                mistake::single_dash(&arguments, &command())
                    .unwrap_or_else(|| mistake::told(&error)),
            ),
        },
    }
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

fn command() -> clap::Command {
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
        .after_help(short)
        .after_long_help(long)
        .help_template("{usage-heading} {usage}\n\n{all-args}{after-help}")
}

/// The state directory that was said, on the command line before elsewhere.
fn said(option: Option<OsString>, environment: Option<PathBuf>) -> Option<PathBuf> {
    option
        .map(PathBuf::from)
        .or(environment.filter(|dir| !dir.as_os_str().is_empty()))
}

fn list(args: Args, environment: Option<PathBuf>) -> Result<Parsed, String> {
    if args.force {
        return Err(NO_FORCE.into());
    }
    if !args.list {
        return Err("--json: goes with --list only; add --list, or leave it out".into());
    }
    if !args.targets.is_empty() {
        return Err("--list: takes no TARGET; leave one of them out".into());
    }
    check_state_dir(&args)?;
    Ok(Parsed::List {
        json: args.json,
        state_dir: said(args.state_dir, environment),
    })
}

const NO_FORCE: &str =
    "--force: there is no --force, a disk in use is always refused; end what uses it";

fn check_state_dir(args: &Args) -> Result<(), String> {
    if args.state_dir.as_ref().is_some_and(|dir| dir.is_empty()) {
        return Err("--state-dir: is empty; did a variable expand to nothing?".into());
    }
    Ok(())
}

/// What was asked of the plan.
fn wish(args: &Args) -> Result<Wish, String> {
    let pattern = match &args.pattern {
        Some(text) => Some(
            text.parse::<Pattern>()
                .map_err(|why| format!("--pattern: '{}' {why}", clean(text)))?,
        ),
        None => None,
    };
    let strategy = match (args.strategy, &pattern) {
        (Some(Strategy::Random), None) => Some(Choice::Random),
        (Some(Strategy::Zero), None) => Some(Choice::Zero),
        (Some(Strategy::Pattern), None) if !args.resume => {
            return Err("--strategy: pattern needs its bytes; add --pattern HEX".into());
        }
        (Some(Strategy::Pattern), _) | (None, Some(_)) => Some(Choice::Pattern),
        (Some(_), Some(_)) => {
            return Err("--pattern: contradicts --strategy; leave one of them out".into());
        }
        (None, None) => None,
    };
    let scheme = match &args.scheme {
        None => None,
        Some(name) => Some(Scheme::named(name).ok_or_else(|| mistake::scheme(name))?),
    };
    let verify = args.verify.map(ReadBack::from);
    if let (Some(scheme), Some(how)) = (scheme, verify) {
        scheme.allows(how)?;
    }
    let passes = number("--passes", args.passes.as_deref(), 1, MAX_PASSES)?;
    Ok(Wish {
        strategy,
        pattern,
        passes,
        scheme,
        verify,
    })
}

fn request(args: Args, environment: Option<PathBuf>) -> Result<Request, String> {
    if args.force {
        return Err(NO_FORCE.into());
    }
    let targets = targets(&args)?;
    let wish = wish(&args)?;
    if args.serial.iter().any(|serial| serial.trim().is_empty()) {
        return Err("--serial: is empty; did a variable expand to nothing?".into());
    }
    let threads = number("--threads", args.threads.as_deref(), 1, engine::MAX_WORKERS)?;
    let stall_timeout = args.stall_timeout.as_deref();
    let stall_timeout = number("--stall-timeout", stall_timeout, LEAST_STALL, MOST_STALL)?;
    let interval = bytes(
        "--checkpoint-every",
        args.checkpoint_every.as_deref(),
        (engine::MIN_INTERVAL, "1M"),
        (engine::MAX_INTERVAL, "100M"),
    )?;
    let buffer_size = bytes(
        "--buffer-size",
        args.buffer_size.as_deref(),
        (engine::MIN_CHUNK, "4K"),
        (engine::MAX_CHUNK, "64M"),
    )?;
    let most = (1 << 50, "1024T");
    let rate_limit = bytes(
        "--rate-limit",
        args.rate_limit.as_deref(),
        (4096, "4K"),
        most,
    )?;
    let mode = match (args.resume, args.ensure, args.restart) {
        _ if args.check => Mode::Check,
        (true, ..) => Mode::Resume,
        (_, true, _) => Mode::Ensure,
        (.., true) => Mode::Restart,
        _ => Mode::Fresh,
    };
    check_state_dir(&args)?;
    if args.report.as_ref().is_some_and(|path| path.is_empty()) {
        return Err("--report: is empty; did a variable expand to nothing?".into());
    }
    let wanted = Wanted {
        path: None,
        operator: words("--operator", args.operator)?,
        asset: words("--asset", args.asset)?,
        note: words("--note", args.note)?,
    };
    Ok(Request {
        targets,
        wish,
        mode,
        yes: args.yes,
        serials: args.serial,
        dry_run: args.dry_run,
        quiet: args.quiet,
        progress: args.progress.unwrap_or(ProgressMode::Auto),
        state_dir: said(args.state_dir, environment),
        report: args.report.map(PathBuf::from),
        wanted,
        checkpoint_every: interval.unwrap_or(engine::MAX_INTERVAL),
        buffer_size,
        threads,
        rate_limit,
        stall_timeout: stall_timeout.map(|seconds| Duration::from_secs(seconds as u64)),
    })
}

fn targets(args: &Args) -> Result<Vec<PathBuf>, String> {
    const MISSING: &str = "no TARGET; did a variable expand to nothing? (--list lists disks)";
    if let Some(why) = mistake::targets(&args.targets) {
        return Err(why);
    }
    match args.targets.as_slice() {
        [] if args.resume => Ok(Vec::new()),
        [] if !args.serial.is_empty() => Err(format!(
            "--serial: names the drive that TARGET must be, and selects none; {MISSING}"
        )),
        [] => Err(MISSING.into()),
        all if all.iter().any(|target| target.is_empty()) => Err(MISSING.into()),
        [one] => Ok(vec![one.into()]),
        several if args.dry_run => Ok(several.iter().map(PathBuf::from).collect()),
        several => Err(format!(
            "usage: {} TARGETs, but one run wipes one; run wipeit once for each",
            several.len()
        )),
    }
}

/// Words that go into the report as they are.
fn words(option: &str, text: Option<OsString>) -> Result<Option<String>, String> {
    let Some(text) = text else { return Ok(None) };
    let Ok(text) = text.into_string() else {
        return Err(format!("{option}: is not UTF-8; write it in UTF-8"));
    };
    if text.trim().is_empty() {
        return Err(format!(
            "{option}: is empty; did a variable expand to nothing?"
        ));
    }
    if !is_one_line(&text) {
        return Err(format!(
            "{option}: '{}' has a line break, a control character or one that turns the \
             direction of text; leave it out",
            clean(&text)
        ));
    }
    Ok(Some(text.trim().to_string()))
}

/// Seconds: any drive may take a few to answer.
const LEAST_STALL: usize = 5;
/// Seconds: a day.
const MOST_STALL: usize = 86_400;

fn number(
    option: &str,
    text: Option<&str>,
    least: usize,
    most: usize,
) -> Result<Option<usize>, String> {
    let Some(text) = text else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && (least..=most).contains(number))
        .map(Some)
        .ok_or_else(|| {
            format!(
                "{option}: '{}' is not a number from {least} to {most}; give one",
                clean(text)
            )
        })
}

fn bytes(
    option: &str,
    text: Option<&str>,
    least: (u64, &str),
    most: (u64, &str),
) -> Result<Option<u64>, String> {
    let Some(text) = text else { return Ok(None) };
    let text = &clean(text);
    let range = format!("give a size from {} to {}", least.1, most.1);
    match size::parse(text) {
        Err(size::SizeError::Malformed) => {
            Err(format!("{option}: '{text}' is not a size; {range}"))
        }
        Err(size::SizeError::TooLarge) => Err(format!("{option}: '{text}' is too large; {range}")),
        Ok(bytes) if bytes < least.0 => Err(format!("{option}: '{text}' is too small; {range}")),
        Ok(bytes) if bytes > most.0 => Err(format!("{option}: '{text}' is too large; {range}")),
        Ok(bytes) => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Parsed {
        parse(line.split(' ').map(OsString::from), None, false)
    }

    fn usage(line: &str) -> String {
        match typed(line) {
            Parsed::Usage(text) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn run(line: &str) -> Request {
        match typed(line) {
            Parsed::Run(request) => *request,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn clap_finds_no_fault_with_the_definition() {
        command().debug_assert();
    }

    #[test]
    fn the_short_help_fits_24_lines_of_80_columns() {
        let Parsed::Show(help) = typed("wipeit -h") else {
            panic!()
        };
        assert!(help.lines().count() <= 24, "{help}");
        assert!(help.lines().all(|line| line.len() < 80), "{help}");
        for (code, _) in EXIT_CODES {
            assert!(help.contains(code));
        }
    }

    #[test]
    fn an_empty_variable_does_not_succeed() {
        for line in ["wipeit --yes", "wipeit ", "wipeit --yes ", "wipeit"] {
            assert!(
                usage(line).contains("did a variable expand to nothing?"),
                "{line}"
            );
        }
        assert!(run("wipeit --resume").targets.is_empty());
    }

    #[test]
    fn every_mistake_is_one_line_that_names_the_option() {
        for (line, part) in [
            ("wipeit --force x", "there is no --force"),
            ("wipeit a b", "2 TARGETs"),
            ("wipeit --pattern 5 x", "odd"),
            (
                "wipeit --pattern zz x",
                "--pattern: 'zz' is not hexadecimal",
            ),
            ("wipeit --pattern  x", "--pattern: '' is empty"),
            ("wipeit -s pattern x", "--pattern HEX"),
            ("wipeit -s zero --pattern 55 x", "contradicts"),
            ("wipeit -s zeros x", "zeros"),
            ("wipeit -b 0 x", "--buffer-size: '0' is too small"),
            ("wipeit -b -1 x", "--buffer-size: '-1' is not a size"),
            ("wipeit -b 1X x", "--buffer-size: '1X' is not a size"),
            ("wipeit -b 99999999T x", "too large"),
            ("wipeit --checkpoint-every 101M x", "from 1M to 100M"),
            ("wipeit --passes 0 x", "from 1 to 99"),
            ("wipeit --threads -2 x", "from 1 to 64"),
            ("wipeit --resume --restart x", "cannot be used with"),
            ("wipeit --bogus x", "--bogus"),
            ("wipeit --json", "--json: goes with --list only"),
            ("wipeit --json x", "--json: goes with --list only"),
            ("wipeit --list x", "--list: takes no TARGET"),
            ("wipeit --list --resume", "cannot be used with"),
            ("wipeit --list --force", "there is no --force"),
        ] {
            let text = usage(line);
            assert!(text.contains(part), "{line}: {text}");
            assert!(!text.contains('\n'), "{line}: {text}");
        }
    }

    #[test]
    fn the_list_is_shown_when_asked_for_and_for_nothing_on_a_terminal() {
        let list = |json, dir: Option<&str>| Parsed::List {
            json,
            state_dir: dir.map(PathBuf::from),
        };
        assert_eq!(typed("wipeit --list"), list(false, None));
        assert_eq!(
            typed("wipeit -l --json --state-dir /x"),
            list(true, Some("/x"))
        );
        let nothing = parse(["wipeit".into()], Some("/y".into()), true);
        assert_eq!(nothing, list(false, Some("/y")));
    }

    #[test]
    fn words_for_the_report_are_any_line_of_text() {
        let with = |option: &str, text: &str| {
            let args = ["wipeit", option, text, "x"].map(OsString::from);
            parse(args, None, false)
        };
        for option in ["--operator", "--asset", "--note"] {
            for (text, part) in [
                ("", "did a variable expand to nothing?"),
                (" ", "did a variable expand to nothing?"),
                ("a\nb", "control character"),
                ("a\u{202e}b", "direction"),
            ] {
                let Parsed::Usage(why) = with(option, text) else {
                    panic!("{option} {text:?}")
                };
                assert!(why.starts_with(option) && why.contains(part), "{why}");
                assert!(!why.contains('\n') && !why.contains('\u{202e}'), "{why}");
            }
        }
        // A joiner that Persian needs, and an emoji of several.
        let name = "\u{645}\u{6cc}\u{200c}\u{62e} <b>&\"' \u{1f469}\u{200d}\u{1f527}";
        let Parsed::Run(request) = with("--operator", name) else {
            panic!()
        };
        assert_eq!(request.wanted.operator.as_deref(), Some(name));
        assert!(usage("wipeit --report  x").contains("--report: is empty"));
    }

    #[test]
    fn options_mean_what_they_say() {
        let request = run("wipeit -y --pattern 0x924924 --passes 3 --verify none -b 64K /dev/sdx");
        assert_eq!(request.wish.strategy, Some(Choice::Pattern));
        assert_eq!(request.wish.passes, Some(3));
        assert_eq!(request.wish.verify, Some(ReadBack::None));
        assert_eq!(request.buffer_size, Some(65536));
        assert_eq!(request.targets, [PathBuf::from("/dev/sdx")]);
        assert_eq!(run("wipeit -r /dev/sdb").mode, Mode::Resume);
        assert_eq!(run("wipeit --serial A --serial B x").serials, ["A", "B"]);
        assert!(usage("wipeit --serial  x").contains("--serial: is empty"));
    }
}
