//! Paths as text in files that are kept.

use std::path::{Path, PathBuf};

/// A path as text that keeps every byte: a backslash is doubled and a byte that
/// is not UTF-8 becomes `\xNN`.
pub(crate) fn path_to_text(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The path that [`path_to_text`] was given; `None` when the text is not one.
pub(crate) fn path_from_text(text: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next()? {
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                bytes.push(u8::try_from(value).ok()?);
            }
            _ => return None,
        }
    }
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_every_byte_as_text() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/a b\\c\xff\n\xc3\xa9"));
        let text = path_to_text(path);
        assert_eq!(text, "/a b\\\\c\\xff\n\u{e9}");
        assert_eq!(path_from_text(&text).as_deref(), Some(path));
        assert_eq!(path_from_text("\\q"), None);
    }
}
