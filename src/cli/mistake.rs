//! What is said of a command line that cannot be meant: which option, what is
//! wrong with it, and what to type.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::plan::SCHEMES;
use crate::text::clean;

/// Where nothing more can be said.
const MORE: &str = "see wipeit --help";
/// How alike two words are from which one may be meant for the other: 1 is the
/// same. The value that clap uses.
const ALIKE: f64 = 0.7;
const NAMED_ALONE: &str = "name the drive alone: wipeit /dev/NAME";
/// Words that are none here, and what to type instead of any of them.
type Instead = (&'static [&'static str], &'static str);
/// Options of other tools and ages, and what to type instead, or why there is none.
#[rustfmt::skip]
const FOREIGN: [Instead; 25] = [
    (&["--zero", "--zeros", "-z"], "did you mean -s zero?"),
    (&["--ones", "--one"], "did you mean --pattern ff?"),
    (&["--random", "--prng", "--urandom"], "did you mean -s random?"),
    (&["--device", "--drive", "--disk", "--target", "--input", "--output"], NAMED_ALONE),
    (&["--skip-pretest"],
     "there is no pretest: a drive is measured while it is wiped; leave it out"),
    (&["--force-buffer-size"],
     "nothing overrules a --buffer-size, so it needs no force; use that one alone"),
    (&["-v"], "did you mean -V, the version, or --help?"),
    (&["--verbose"], "what happens is always told; -q tells less"),
    (&["--no-confirm", "--assume-yes", "--noconfirm", "--no-prompt", "--autonuke", "--force-yes",
       "--yes-i-know", "--i-know-what-i-am-doing"], "did you mean --serial SERIAL, or --yes?"),
    (&["--iterations", "--iteration", "--iter", "--rounds", "--count"], "did you mean --passes N?"),
    (&["--method"], "did you mean --scheme NAME or -s KIND?"),
    (&["--no-verify", "--noverify", "--skip-verify"], "did you mean --verify none?"),
    (&["--continue", "--go-on"], "did you mean --resume?"),
    (&["--reset", "--start-over"], "did you mean --restart?"),
    (&["--status", "--show"], "--list shows what runs and what is unfinished"),
    (&["--pause", "--stop", "--cancel"],
     "Ctrl+C or SIGTERM stops a wipe, and --resume continues it"),
    (&["--all"], "one run wipes one TARGET; run wipeit once for each"),
    (&["--bs", "--block-size", "--blocksize"], "did you mean --buffer-size?"),
    (&["--log", "--logfile", "--log-file"],
     "the log goes to stderr, so add 2>FILE, and the result to --report"),
    (&["--remove", "-u", "--unlink"],
     "nothing is removed: a file is wiped as a disk image, and stays"),
    (&["--size", "--offset", "--seek", "--length"],
     "a TARGET is wiped whole; name a partition for a part of a disk"),
    (&["--purge", "--sanitize", "--secure", "--secure-erase", "--security-erase", "--discard",
       "--trim", "--format"],
     "wipeit overwrites; for the drive's own erase use nvme, hdparm, sg_sanitize or blkdiscard"),
    (&["--user-master", "--security-erase-enhanced"],
     "wipeit overwrites; for the drive's own erase use hdparm"),
    (&["--quick", "--fast"], "every byte is written; --verify none leaves the read-back out"),
    (&["--dryrun", "--simulate"], "did you mean --dry-run?"),
];

/// Words that stand where a TARGET does, and what to type.
const NO_TARGETS: [Instead; 5] = [
    (&["help"], "did you mean --help?"),
    (&["version"], "did you mean --version?"),
    (&["list", "ls", "status"], "did you mean --list?"),
    (&["resume", "continue"], "did you mean --resume?"),
    (&["wipe", "erase", "check"], NAMED_ALONE),
];

/// Other words for a value, and what to type.
const WORDS: [(&str, &[&str], &str); 6] = [
    ("--strategy", &["one", "ones"], "for ones use --pattern ff"),
    ("--strategy", &["null", "0", "00"], "did you mean zero?"),
    ("--verify", &["yes", "on", "true"], "did you mean full?"),
    ("--verify", &["no", "off", "false"], "did you mean none?"),
    ("--progress", &["no", "off"], "did you mean none?"),
    ("--progress", &["lines", "log"], "did you mean plain?"),
];

/// One line of what clap refuses: `OPTION: fact; remedy`.
pub(super) fn told(error: &clap::Error) -> String {
    let option = first(error, ContextKind::InvalidArg);
    let value = first(error, ContextKind::InvalidValue);
    let (Some(option), text) = (option, value.as_deref().unwrap_or_default()) else {
        return first_line(error);
    };
    let (name, of) = parted(&option);
    let known = all(error, ContextKind::ValidValue);
    match error.kind() {
        ErrorKind::UnknownArgument => format!("{name}: is no option; {}", meant(error, name)),
        ErrorKind::InvalidValue if text.is_empty() => {
            let of = of.map_or("", |of| of.trim_matches(['<', '>']));
            let of = if known.is_empty() {
                of.into()
            } else {
                known.join(", ")
            };
            format!("{name}: needs a value ({of}); give one")
        }
        ErrorKind::InvalidValue => {
            let remedy = instead(name, text)
                .or_else(|| alike(text, &known).map(|word| format!("did you mean {word}?")))
                .unwrap_or_else(|| "give one of these".into());
            format!(
                "{name}: '{text}' is not one of {}; {remedy}",
                known.join(", ")
            )
        }
        ErrorKind::ArgumentConflict => {
            let other = all(error, ContextKind::PriorArg);
            let other = other.first().map(|other| parted(other).0);
            match other {
                Some(other) if other != name => {
                    format!("{name}: cannot be used with {other}; leave one of them out")
                }
                _ => format!("{name}: stands there twice; leave one out"),
            }
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string);
            format!("{name}: {}", why.unwrap_or_default())
        }
        ErrorKind::TooManyValues => format!("{name}: takes no value; leave '{text}' out"),
        _ => first_line(error),
    }
}

/// What is said of a scheme that is not known.
pub(super) fn scheme(name: &str) -> String {
    let typed = name.to_lowercase();
    let names = || SCHEMES.iter().map(|scheme| scheme.name.to_string());
    let begun: Vec<String> = names()
        .filter(|name| typed.len() > 1 && name.starts_with(&typed))
        .collect();
    let meant = if begun.is_empty() {
        alike(&typed, &names().collect::<Vec<_>>())
    } else {
        Some(begun.join(" or "))
    };
    let meant = meant.map_or(String::new(), |word| format!("did you mean {word}? "));
    format!(
        "'{}' is not known; {meant}--scheme help lists them",
        clean(name)
    )
}

/// What may be meant by an option that is none.
fn meant(error: &clap::Error, name: &str) -> String {
    if let Some(why) = remedy(&FOREIGN, name) {
        return why.into();
    }
    // What clap suggests may be far from what was typed.
    let suggested = first(error, ContextKind::SuggestedArg);
    let near = suggested.filter(|word| is_near(name, parted(word).0));
    near.map_or_else(
        || MORE.into(),
        |word| format!("did you mean {}?", parted(&word).0),
    )
}

fn remedy(table: &[Instead], word: &str) -> Option<&'static str> {
    let of_it = |(words, _): &&Instead| words.contains(&word);
    table.iter().find(of_it).map(|(_, remedy)| *remedy)
}

/// Whether an option is a slip of the pen for another, or its beginning.
fn is_near(typed: &str, option: &str) -> bool {
    option.starts_with(typed) || strsim::damerau_levenshtein(typed, option) <= 2
}

/// What is said of a long option after one dash: `-resume` is read as five
/// letters.
pub(super) fn single_dash(arguments: &[OsString], command: &clap::Command) -> Option<String> {
    let long = |word: &str| {
        command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(word))
    };
    arguments.iter().skip(1).find_map(|argument| {
        let word = argument.to_str()?.strip_prefix('-')?;
        let is_it = word.len() > 2 && long(word);
        is_it.then(|| format!("-{word}: is no option; did you mean --{word}?"))
    })
}

/// What is said of words that are no TARGET; `None` where they may be one.
pub(super) fn targets(words: &[OsString]) -> Option<String> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let of_dd = |word: &str| {
        ["if=", "of=", "bs=", "count=", "conv=", "status="]
            .iter()
            .any(|name| word.starts_with(name))
    };
    if let Some(word) = words.iter().find(|word| of_dd(word)) {
        return Some(format!(
            "{}: is an argument of dd; {NAMED_ALONE}",
            clean(word)
        ));
    }
    let first = words.first()?;
    let remedy = remedy(&NO_TARGETS, first).filter(|_| !Path::new(first.as_ref()).exists())?;
    Some(format!("{first}: is no TARGET; {remedy}"))
}

/// What does what a value seems to want.
fn instead(option: &str, value: &str) -> Option<String> {
    let value = value.to_ascii_lowercase();
    let word = |(of, words, _): &&(&str, &[&str], &str)| *of == option && words.contains(&&*value);
    if let Some((.., remedy)) = WORDS.iter().find(word) {
        return Some((*remedy).into());
    }
    if option != "--strategy" {
        return None;
    }
    if SCHEMES.iter().any(|scheme| scheme.name == value) {
        return Some(format!("did you mean --scheme {value}?"));
    }
    let bytes = value.trim_start_matches("0x");
    let is_hex = bytes.bytes().all(|byte| byte.is_ascii_hexdigit());
    let whole = !bytes.is_empty() && bytes.len().is_multiple_of(2);
    (is_hex && whole).then(|| format!("for these bytes use --pattern {bytes}"))
}

/// The word that is most like this one, where one is.
fn alike(typed: &str, words: &[String]) -> Option<String> {
    let typed = typed.to_lowercase();
    let score = |word: &String| strsim::jaro_winkler(&typed, word);
    if typed.len() < 2 {
        return None;
    }
    let best = words.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) > ALIKE).then(|| best.clone())
}

/// An option as it is shown, and the name of its value.
fn parted(option: &str) -> (&str, Option<&str>) {
    match option.split_once(' ') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    }
}

fn first(error: &clap::Error, kind: ContextKind) -> Option<String> {
    all(error, kind).into_iter().next()
}

/// Cleaned.
fn all(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![clean(one)],
        Some(ContextValue::Strings(all)) => all.iter().map(|one| clean(one)).collect(),
        _ => Vec::new(),
    }
}

/// The first line of clap's message, which has several.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let fact = first.strip_prefix("error: ").unwrap_or(first);
    format!("usage: {}; {MORE}", clean(fact))
}
