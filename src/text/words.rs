//! Words from outside made fit to be shown: on a terminal, as one field of a
//! line, as one word of a shell.

use std::fmt::Write as _;
use std::io;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use jiff::ZonedDateTime;
use nix::errno::Errno;

/// Columns of every line that is laid out here.
pub const COLUMNS: usize = 80;

/// Columns of a label in a card and in closing lines, with its indentation.
const LABEL: usize = 11;

/// Whether a terminal would not simply show this character: control characters
/// (also the 8-bit ones), line separators, and what turns the direction of
/// text or is invisible, so that a name could pass for another.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text for a terminal: what it would not simply show becomes `?`.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) { '?' } else { c })
        .collect()
}

/// Characters that join others, or keep them apart: invisible by themselves, and
/// needed to write Persian, the languages of India and some emoji.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether what a user says is one line of text without tricks.
#[must_use]
pub fn is_one_line(text: &str) -> bool {
    !text.chars().any(|c| is_unsafe(c) && !joins(c))
}

/// A text of the user for a page: as [`clean`], but it may join its characters.
#[must_use]
pub fn clean_words(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) && !joins(c) { '?' } else { c })
        .collect()
}

/// Bytes as pairs of hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that pairs of hexadecimal digits stand for; `None` where they are
/// none.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    whole.then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// A name as one field of a line: white space, the backslash, what is not
/// UTF-8 and what a terminal would not simply show become `\ooo`, as in
/// `/proc/mounts`.
#[must_use]
pub fn octal(bytes: &[u8]) -> String {
    escaped(bytes, |c| is_unsafe(c) || c.is_whitespace() || c == '\\')
}

/// A name for a message: what is not UTF-8 and what a terminal would not simply
/// show become `\ooo`.
#[must_use]
pub fn visible(bytes: &[u8]) -> String {
    escaped(bytes, is_unsafe)
}

/// A name as one word of a shell command that can be pasted. Control
/// characters and what is not UTF-8 need `$'...'`, which bash, zsh and busybox
/// know.
#[must_use]
pub fn shell_word(bytes: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+:,@%=".contains(b);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(is_unsafe) => format!("'{}'", text.replace('\'', "'\\''")),
        _ => format!(
            "$'{}'",
            escaped(bytes, |c| is_unsafe(c) || c == '\\' || c == '\'')
        ),
    }
}

fn escaped(bytes: &[u8], hide: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let hidden = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\{byte:03o}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if hide(c) {
                hidden(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(c);
            }
        }
        hidden(&mut text, chunk.invalid());
    }
    text
}

/// A path for a message: one line without control characters.
#[must_use]
pub fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

/// Why something failed, as `permission denied`.
#[must_use]
pub fn reason(error: &io::Error) -> String {
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
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => "under 1 s".into(),
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// A length of time that is only estimated, as `about 23 h`.
#[must_use]
pub fn about(time: Duration) -> String {
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
#[must_use]
pub fn clock(now: &ZonedDateTime, at: &ZonedDateTime) -> String {
    let days = at.date().duration_since(now.date()).as_hours() / 24;
    let format = if (0..6).contains(&days) {
        "%a %H:%M"
    } else {
        "%Y-%m-%d"
    };
    at.strftime(format).to_string()
}

/// `1 pass`, `2 passes`.
#[must_use]
pub fn count(number: u64, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", super::size::grouped(number))
}

/// A labelled text as a line of a card, which a terminal may [fold](folded).
/// Cleaned.
#[must_use]
pub fn field(label: &str, text: &str) -> Vec<String> {
    let text: Vec<&str> = text.split_whitespace().collect();
    let label = clean(label);
    vec![format!(
        "  {label:<width$}{}",
        clean(&text.join(" ")),
        width = LABEL - 2
    )]
}

/// A line as a terminal of so many `columns` shows it: in lines that are broken at
/// spaces and fit, but for a word that is longer, such as a path, which stays
/// whole. The later ones are indented as far as what they go on with.
#[must_use]
pub fn folded(line: &str, columns: usize) -> Vec<String> {
    broken(line, columns, hanging(line).min(columns / 3))
}

/// The same with the later lines indented by so many spaces.
#[must_use]
pub fn broken(line: &str, columns: usize, indent: usize) -> Vec<String> {
    let indent = " ".repeat(indent);
    let (mut lines, mut begun) = (Vec::new(), String::new());
    for word in line.split_inclusive(' ') {
        let shown = word.trim_end_matches(' ');
        let fits = width(&begun) + width(shown) <= columns;
        if !fits && !shown.is_empty() && begun.len() > indent.len() {
            let full = std::mem::replace(&mut begun, indent.clone());
            lines.push(full.trim_end_matches(' ').to_string());
        }
        begun.push_str(word);
    }
    // A prompt keeps the space at its end.
    lines.push(begun);
    lines
}

/// The width of a terminal in columns; `None`: it is none.
#[must_use]
pub fn columns(of: impl AsFd + IsTerminal) -> Option<usize> {
    of.is_terminal().then(|| {
        // A serial line says 0.
        terminal_size::terminal_size_of(of)
            .map(|(width, _)| usize::from(width.0))
            .filter(|width| *width > 0)
            .unwrap_or(COLUMNS)
    })
}

/// Columns before what a line says: of a card its label, of a message the
/// program's name.
fn hanging(line: &str) -> usize {
    const NAME: &str = "wipeit: ";
    let blank = line.len() - line.trim_start_matches(' ').len();
    let labelled = blank == 2 && line.get(LABEL - 2..LABEL) == Some("  ");
    match blank {
        _ if labelled => LABEL,
        0 if line.starts_with(NAME) => NAME.len(),
        0 => 2,
        blank => blank,
    }
}

/// Columns that a text takes at most: what is not ASCII may be two wide.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// That no room can be kept for the record, and why not.
#[must_use]
pub fn no_room(why: &str) -> String {
    format!(
        "no room can be kept for the record ({why}): it is lost if the disk of the state is full \
         at the end; free some space there, or see --state-dir and --report"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_survives() {
        let nasty = "a\x1b[2Jb\u{9b}c\rd\ne\tf\u{202e}g\u{7f}h\u{200b}";
        assert_eq!(clean(nasty), "a?[2Jb?c?d?e?f?g?h?");
        assert_eq!(clean("M\u{fc}ller 1 TB"), "M\u{fc}ller 1 TB");
    }

    #[test]
    fn a_name_is_one_field_and_can_be_read_back() {
        assert_eq!(octal(b"/dev/sdb"), "/dev/sdb");
        assert_eq!(octal(b"a b\n\\c\xff"), "a\\040b\\012\\134c\\377");
        assert_eq!(
            octal("\u{a0}\u{202e}\u{e9}".as_bytes()),
            "\\302\\240\\342\\200\\256\u{e9}"
        );
    }

    #[test]
    fn a_shell_gets_the_same_bytes_back() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(shell_word(b"/dev/sdb"), "/dev/sdb");
        for name in [
            &b"a b"[..],
            b"it's",
            b"$(reboot)",
            b"-n",
            b"",
            b"tab\there\\x'",
            b"\xff\x01",
            "M\u{fc}ller".as_bytes(),
            b"~root",
            b"a\nb",
        ] {
            let word = shell_word(name);
            assert!(!word.bytes().any(|b| b < b' '), "{word:?}");
            let script = format!("printf %s. {word}");
            let said = std::process::Command::new("bash")
                .arg("-c")
                .arg(std::ffi::OsStr::from_bytes(script.as_bytes()))
                .output()
                .unwrap();
            assert_eq!(said.stdout, [name, b"."].concat(), "{word}");
        }
    }

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

    #[test]
    fn a_line_is_broken_at_spaces_and_long_words_stay_whole() {
        let [line] = field("Flash", &"word ".repeat(30)).try_into().unwrap();
        let lines = folded(&line, COLUMNS);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.len() <= COLUMNS), "{lines:?}");
        assert!(lines[0].starts_with("  Flash    word"));
        assert!(lines[1].starts_with("           word"));
        let path = "/x".repeat(60);
        let line = format!("  State    {path}");
        assert_eq!(field("State", &path), [line.as_str()]);
        assert_eq!(folded(&line, COLUMNS), [line.as_str()]);
        for (line, columns, broken) in [
            ("wipeit: a b c", 11, &["wipeit: a b", "   c"][..]),
            (
                "  1. write zeros      about 2 h",
                31,
                &["  1. write zeros      about 2 h"],
            ),
            (
                "  1. write zeros      about 2 h",
                30,
                &["  1. write zeros      about 2", "  h"],
            ),
            ("Type it: ", 20, &["Type it: "]),
            ("", 20, &[""]),
            ("a b", 1, &["a", "b"]),
        ] {
            assert_eq!(folded(line, columns), broken, "{line}");
        }
    }
}
