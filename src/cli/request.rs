//! What the command line means.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use super::args::{Args, command};
use super::mistake;
use super::values::SchemeName;
use crate::engine::MAX_INTERVAL;
use crate::plan::{Wish, scheme};
use crate::progress::{Place, ReportWish};
use crate::screen::ProgressMode;
use crate::strategy::Choice;

/// What the command line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// What is wiped; none: the drives of unfinished wipes. Several only where
    /// nothing is written.
    pub targets: Vec<PathBuf>,
    pub wish: Wish,
    /// What is done about a checkpoint that is there.
    pub mode: Mode,
    pub yes: bool,
    /// The serials that the targets must have: each is the answer for one.
    pub serials: Vec<String>,
    pub dry_run: bool,
    /// Whether only warnings, errors and the result are shown.
    pub quiet: bool,
    pub progress: ProgressMode,
    /// Where the state is kept, where that was said.
    pub state_dir: Option<PathBuf>,
    /// Where the report goes besides the state directory, as it was typed.
    pub report: Option<PathBuf>,
    /// The same, and what stands in the report.
    pub report_wish: ReportWish,
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
pub(crate) enum Mode {
    /// Nothing was said: ask.
    Fresh,
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
pub(crate) enum Parsed {
    Run(Box<Request>),
    /// Show unfinished wipes and the disks of this machine.
    List {
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
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Option<PathBuf>,
    terminal: bool,
) -> Parsed {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.len() <= 1 && terminal {
        return Parsed::List {
            json: false,
            state_dir: state_dir(None, environment),
        };
    }
    let matches = command().try_get_matches_from(&arguments);
    match matches.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => {
            if let Some(SchemeName::Help) = args.scheme {
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
            // Whatever else is wrong with a value, there is none.
            ErrorKind::ValueValidation
                if arguments.iter().any(|it| it == "--force" || it == "-f") =>
            {
                Parsed::Usage(NO_FORCE.into())
            }
            _ => Parsed::Usage(
                mistake::single_dash(&arguments, &command())
                    .unwrap_or_else(|| mistake::told(&error)),
            ),
        },
    }
}

/// The state directory that was said, on the command line before elsewhere.
fn state_dir(option: Option<PathBuf>, environment: Option<PathBuf>) -> Option<PathBuf> {
    option.or(environment.filter(|dir| !dir.as_os_str().is_empty()))
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
    Ok(Parsed::List {
        json: args.json,
        state_dir: state_dir(args.state_dir, environment),
    })
}

const NO_FORCE: &str =
    "--force: there is no --force, a disk in use is always refused; end what uses it";

fn wish(args: &Args) -> Result<Wish, String> {
    let strategy = match (args.strategy, &args.pattern) {
        (Some(choice), None) if choice.takes_pattern() && !args.resume => {
            let name = choice.name();
            return Err(format!(
                "--strategy: {name} needs its bytes; add --pattern HEX"
            ));
        }
        (Some(choice), Some(_)) if !choice.takes_pattern() => {
            return Err("--pattern: contradicts --strategy; leave one of them out".into());
        }
        (None, Some(_)) => Some(Choice::Pattern),
        (strategy, _) => strategy,
    };
    Ok(Wish {
        strategy,
        pattern: args.pattern.clone(),
        passes: args.passes,
        scheme: match args.scheme {
            Some(SchemeName::One(scheme)) => Some(scheme),
            Some(SchemeName::Help) | None => None,
        },
        verify: args.verify,
    })
}

fn request(args: Args, environment: Option<PathBuf>) -> Result<Request, String> {
    if args.force {
        return Err(NO_FORCE.into());
    }
    let targets = targets(&args)?;
    let wish = wish(&args)?;
    if let (Some(scheme), Some(how)) = (wish.scheme, wish.verify) {
        scheme.allows(how).map_err(|why| why.to_string())?;
    }
    // clap lets one of them stand at most.
    let modes = [
        (args.check, Mode::Check),
        (args.resume, Mode::Resume),
        (args.ensure, Mode::Ensure),
        (args.restart, Mode::Restart),
    ];
    let asked = modes.into_iter().find(|(asked, _)| *asked);
    let mode = asked.map_or(Mode::Fresh, |(_, mode)| mode);
    let stall_timeout = args.stall_timeout.map(|seconds| seconds as u64);
    Ok(Request {
        targets,
        wish,
        mode,
        yes: args.yes,
        serials: args.serial,
        dry_run: args.dry_run,
        quiet: args.quiet,
        progress: args.progress.unwrap_or(ProgressMode::Auto),
        state_dir: state_dir(args.state_dir, environment),
        report_wish: ReportWish {
            path: args.report.as_ref().map(Place::to_text),
            operator: args.operator,
            asset: args.asset,
            note: args.note,
        },
        report: args.report.map(|place| place.typed),
        checkpoint_every: args.checkpoint_every.unwrap_or(MAX_INTERVAL),
        buffer_size: args.buffer_size,
        threads: args.threads,
        rate_limit: args.rate_limit,
        stall_timeout: stall_timeout.map(Duration::from_secs),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::EXIT_CODES;
    use crate::plan::ReadBack;

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
            ("wipeit --force --passes 0 x", "there is no --force"),
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
        assert_eq!(request.report_wish.operator.as_deref(), Some(name));
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
