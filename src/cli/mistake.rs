//! What is said of a command line that cannot be meant: which option, what is
//! wrong with it, and what to type.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::scheme::SCHEMES;
use crate::text::clean;

/// Where nothing more can be said.
const MORE: &str = "see wipeit --help";
/// How alike two words are from which one may be meant for the other: 1 is the
/// same. The value that clap uses.
const ALIKE: f64 = 0.7;
/// Words of another tool or age, and why they are none here.
const FOREIGN: [(&str, &str); 8] = [
    ("--zero", "did you mean -s zero?"),
    ("--random", "did you mean -s random?"),
    ("--device", "name the drive alone: wipeit /dev/NAME"),
    (
        "--skip-pretest",
        "there is no pretest: a drive is measured while it is wiped; leave it out",
    ),
    (
        "--force-buffer-size",
        "nothing overrules a --buffer-size, so it needs no force; use that one alone",
    ),
    ("-v", "did you mean -V, the version, or --help?"),
    ("--verbose", "what happens is always told; -q tells less"),
    (
        "--no-confirm",
        "did you mean --yes, or better --serial SERIAL?",
    ),
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
#[must_use]
pub fn told(error: &clap::Error) -> String {
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
        ErrorKind::TooManyValues => format!("{name}: takes no value; leave '{text}' out"),
        _ => first_line(error),
    }
}

/// What is said of a scheme that is not known.
#[must_use]
pub fn scheme(name: &str) -> String {
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
        "--scheme: '{}' is not known; {meant}--scheme help lists them",
        clean(name)
    )
}

/// What may be meant by an option that is none.
fn meant(error: &clap::Error, name: &str) -> String {
    if let Some((_, why)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
        return (*why).into();
    }
    match first(error, ContextKind::SuggestedArg) {
        Some(word) => format!("did you mean {}?", parted(&word).0),
        None => MORE.into(),
    }
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
