//! Words from outside made fit to be shown: on a terminal, as one field of a
//! line, as one word of a shell.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

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
pub(crate) fn clean(text: &str) -> String {
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
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.chars().any(|c| is_unsafe(c) && !joins(c))
}

/// A text of the user for a page: as [`clean`], but it may join its characters.
pub(crate) fn clean_words(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) && !joins(c) { '?' } else { c })
        .collect()
}

/// A name as one field of a line: white space, the backslash, what is not
/// UTF-8 and what a terminal would not simply show become `\ooo`, as in
/// `/proc/mounts`.
pub(crate) fn octal(name: impl AsRef<OsStr>) -> String {
    escaped(name.as_ref().as_bytes(), |c| {
        is_unsafe(c) || c.is_whitespace() || c == '\\'
    })
}

/// A name for a message: what is not UTF-8 and what a terminal would not simply
/// show become `\ooo`.
pub(crate) fn visible(name: impl AsRef<OsStr>) -> String {
    escaped(name.as_ref().as_bytes(), is_unsafe)
}

/// A name as one word of a shell command that can be pasted. Control
/// characters and what is not UTF-8 need `$'...'`, which bash, zsh and busybox
/// know.
pub(crate) fn shell_word(name: impl AsRef<OsStr>) -> String {
    let bytes = name.as_ref().as_bytes();
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

/// Paths, one after the other.
pub(crate) fn all_shown<P: AsRef<Path>>(paths: &[P]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| shown(path.as_ref())).collect();
    paths.join(", ")
}

/// A path for a message: one line without control characters.
pub(crate) fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octal(bytes: &[u8]) -> String {
        super::octal(OsStr::from_bytes(bytes))
    }

    fn shell_word(bytes: &[u8]) -> String {
        super::shell_word(OsStr::from_bytes(bytes))
    }

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
}
