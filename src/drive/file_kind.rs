//! What a regular file is, where its content is no disk as it stands: the image
//! of a virtual disk in a format of its own, or something else altogether.

/// Formats of virtual disks: where the magic stands, the magic, the name.
const VIRTUAL: [(usize, &[u8], &str); 7] = [
    // docs/interop/qcow2 of QEMU; version 1 has the same magic.
    (0, b"QFI\xfb", "qcow2"),
    // VMware Virtual Disk Format: the sparse extent, and the text that names it.
    (0, b"KDMV", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    // VirtualBox: the signature lies behind a text of 64 bytes.
    (64, b"\x7f\x10\xda\xbe", "vdi"),
    // MS-VHDX, 2.2.1, and MS-VHD: the copy of the footer of a growing one.
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (0, b"QED\0", "qed"),
];

/// What nobody keeps a disk in: the magic at the start, and what it is.
const OTHER: [(&[u8], &str); 14] = [
    (b"\x7fELF", "a program"),
    (b"#!", "a script"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "compressed (gzip)"),
    (b"\xfd7zXZ\0", "compressed (xz)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)"),
    (b"BZh", "compressed (bzip2)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"SQLite format 3\0", "a database"),
];

/// A text has no other bytes in its first part, of so many.
const TEXT: usize = 4096;

const A_TEXT: &str = "a text";

/// Whether that is the name of a format of virtual disks.
pub(crate) fn is_virtual_disk(what: &str) -> bool {
    VIRTUAL.iter().any(|(.., name)| *name == what)
}

/// Whether that is the name of something that is no disk.
pub(crate) fn is_no_disk(what: &str) -> bool {
    what == A_TEXT || OTHER.iter().any(|(_, name)| *name == what)
}

/// The name of the format of a virtual disk.
pub(crate) fn virtual_disk(head: &[u8]) -> Option<&'static str> {
    let found = VIRTUAL
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    found.map(|(.., name)| *name)
}

/// What else it is, as `a program`.
pub(crate) fn no_disk(head: &[u8]) -> Option<&'static str> {
    let found = OTHER.iter().find(|(magic, _)| head.starts_with(magic));
    found
        .map(|(_, what)| *what)
        .or_else(|| is_text(head).then_some(A_TEXT))
}

fn is_text(head: &[u8]) -> bool {
    let part = &head[..head.len().min(TEXT)];
    let text = match std::str::from_utf8(part) {
        Ok(text) => text,
        // The last letter may be cut in two.
        Err(error) if part.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&part[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let written = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c');
    !text.trim().is_empty() && text.chars().all(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_disks_are_known_by_their_magic() {
        assert_eq!(virtual_disk(b"QFI\xfb\0\0\0\x03"), Some("qcow2"));
        let vdi = [&[b' '; 64][..], b"\x7f\x10\xda\xbe"].concat();
        assert_eq!(virtual_disk(&vdi), Some("vdi"));
        assert_eq!(virtual_disk(b""), None);
        assert_eq!(virtual_disk(&[0; 512]), None);
    }

    #[test]
    fn what_is_no_disk_is_called_what_it_is() {
        assert_eq!(no_disk(b"\x7fELF\x02"), Some("a program"));
        assert_eq!(no_disk("Grüße\n".as_bytes()), Some("a text"));
        // Cut within a letter.
        assert_eq!(no_disk(b"Gr\xc3"), Some("a text"));
        for disk in [
            &[0; 512][..],
            b"",
            b"\n\n",
            b"\xeb\x3c\x90mkfs.fat\0",
            b"abc\0",
        ] {
            assert_eq!(no_disk(disk), None, "{disk:?}");
        }
    }
}
