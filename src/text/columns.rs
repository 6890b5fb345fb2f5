//! Lines that fit a terminal.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr as _};

use super::escape::clean;

/// Columns of every line that is laid out here.
pub(crate) const COLUMNS: usize = 80;

/// Columns of a label in a card and in closing lines, with its indentation.
const LABEL: usize = 11;

/// A labelled text as a line of a card, which a terminal may [fold](folded).
/// Cleaned.
pub(crate) fn field(label: &str, text: &str) -> Vec<String> {
    let text: Vec<&str> = text.split_whitespace().collect();
    let label = clean(label);
    let label = padded(&label, LABEL - 2);
    vec![format!("  {label}{}", clean(&text.join(" ")))]
}

/// A line as a terminal of so many `columns` shows it: in lines that are broken at
/// spaces and fit, but for a word that is longer, such as a path, which stays
/// whole. The later ones are indented as far as what they go on with.
pub(crate) fn folded(line: &str, columns: usize) -> Vec<String> {
    broken(line, columns, hanging(line).min(columns / 3))
}

/// The same with the later lines indented by so many spaces.
pub(crate) fn broken(line: &str, columns: usize, indent: usize) -> Vec<String> {
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
pub(crate) fn columns(of: impl AsFd + IsTerminal) -> Option<usize> {
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

/// Columns that a text takes at most: where some terminals show a character in two,
/// it counts as two, and a skin tone as an emoji of its own.
pub(crate) fn width(text: &str) -> usize {
    let each = text.chars().filter_map(UnicodeWidthChar::width_cjk);
    text.width_cjk().max(each.sum())
}

/// The first `columns` of a text, ending in `..` where something is left out.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.into();
    }
    let dots = columns.min(2);
    let mut short = String::new();
    for c in text.chars() {
        if width(&short) + c.width_cjk().unwrap_or(0) + dots > columns {
            break;
        }
        short.push(c);
    }
    short + &".."[..dots]
}

/// A text with spaces up to so many columns.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(text.width());
    text.to_string() + &" ".repeat(spaces)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_text_is_cut_to_columns_not_to_characters() {
        for (text, columns, short) in [
            ("sda", 3, "sda"),
            ("sda1", 3, "s.."),
            ("sda1", 1, "."),
            ("sda1", 0, ""),
            ("\u{78c1}\u{76d8}\u{4e00}", 6, "\u{78c1}\u{76d8}\u{4e00}"),
            ("\u{78c1}\u{76d8}\u{4e00}", 5, "\u{78c1}.."),
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
        ] {
            assert_eq!(cut(text, columns), short, "{text} {columns}");
        }
        assert_eq!(padded("\u{78c1}", 4), "\u{78c1}  ");
        assert_eq!(width("\u{1f44d}\u{1f3fd}"), 4, "with a skin tone");
    }
}
