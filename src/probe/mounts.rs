//! What is mounted where: `/proc/self/mountinfo`, as proc(5) describes it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::sysfs::cannot_read;
use crate::drive::DevId;

/// File systems over several devices whose own number is anonymous: mountinfo
/// names one member.
const POOLED: [&str; 2] = ["btrfs", "bcachefs"];

/// A line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The kernel's number of the mount, one over all namespaces.
    pub id: u64,
    /// The file system's device number; anonymous (major 0) for btrfs, overlay
    /// and those without a device.
    pub dev: DevId,
    /// What of the file system is mounted: `/`, or a directory of it.
    pub root: PathBuf,
    pub point: PathBuf,
    /// `ext4`.
    pub kind: String,
    /// What is mounted: a node, or a name that the file system understands.
    pub source: PathBuf,
    /// The devices that it is on besides `dev`, as far as its source names some.
    pub sources: Vec<DevId>,
    /// The options of this mount: `rw,nodev`.
    flags: Vec<u8>,
    /// The options of the file system, still escaped.
    options: Vec<u8>,
}

impl Entry {
    /// Whether its source is one of several devices, maybe.
    pub(super) fn is_pooled(&self) -> bool {
        POOLED.contains(&self.kind.as_str())
    }

    /// Whether somebody else serves it: another machine, or a program.
    pub(super) fn is_remote(&self) -> bool {
        const KINDS: [&str; 8] = ["nfs", "cifs", "smb", "fuse", "9p", "ceph", "afs", "lustre"];
        // "fuseblk" is over a block device of this machine.
        self.kind != "fuseblk" && KINDS.iter().any(|kind| self.kind.starts_with(kind))
    }

    /// Where a path below the mount point lies within the file system, without
    /// a slash before it.
    pub(super) fn path_inside(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.point).ok()?;
        let root = self.root.strip_prefix("/").unwrap_or(&self.root);
        // Joining nothing would add a slash.
        Some(match below.as_os_str().as_bytes() {
            [] => root.to_path_buf(),
            _ => root.join(below),
        })
    }

    /// Whether this mount, not its file system, has an option.
    pub(super) fn is_mounted_with(&self, option: &str) -> bool {
        lists(&self.flags, option)
    }

    /// The value of an option that is a path.
    pub(super) fn option(&self, name: &str) -> Option<PathBuf> {
        self.options
            .split(|byte| *byte == b',')
            .find_map(|option| option.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .map(unescape)
    }

    /// Whether its options have this one, with its value if it has one.
    pub(super) fn says(&self, option: &str) -> bool {
        lists(&self.options, option)
    }

    /// The directories that an overlay is made of: the upper one too, or only the lower
    /// ones, which it never writes to; in either form that kernels show
    /// (`Documentation/filesystems/overlayfs.rst`, "Multiple lower layers").
    pub(super) fn layers(&self, upper: bool) -> Vec<PathBuf> {
        let mut layers = Vec::new();
        for option in self.options.split(|byte| *byte == b',') {
            let Some(equals) = option.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let value = unescape(&option[equals + 1..]);
            match &option[..equals] {
                b"lowerdir" => layers.extend(split_layers(value.as_os_str().as_bytes())),
                b"upperdir" if upper => layers.push(value),
                b"lowerdir+" | b"datadir+" => layers.push(value),
                _ => {}
            }
        }
        layers
    }
}

/// Whether an option is among those between commas.
fn lists(options: &[u8], option: &str) -> bool {
    options
        .split(|byte| *byte == b',')
        .any(|own| own == option.as_bytes())
}

/// The directories between colons; one in a name has a backslash before it.
fn split_layers(joined: &[u8]) -> Vec<PathBuf> {
    let mut layers = vec![Vec::new()];
    let mut bytes = joined.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, layers.last_mut()) {
            (b':', _) => layers.push(Vec::new()),
            (b'\\', Some(layer)) => layer.extend(bytes.next()),
            (byte, Some(layer)) => layer.push(byte),
            _ => {}
        }
    }
    // Two colons stand before layers that hold data only.
    layers.retain(|layer| !layer.is_empty());
    layers
        .into_iter()
        .map(|layer| OsString::from_vec(layer).into())
        .collect()
}

/// A path in which the kernel wrote bytes as three octal digits.
pub(super) fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\'
            && let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] = tail
        {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = tail;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    OsString::from_vec(bytes).into()
}

fn parse_line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field| std::str::from_utf8(field).ok();
    let id = text(fields.next()?)?.parse().ok()?;
    let dev = DevId::parse(text(fields.by_ref().nth(1)?)?)?;
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    let flags = fields.next()?.to_vec();
    // Optional fields of any number end with a lone dash.
    fields.by_ref().find(|field| *field == b"-")?;
    Some(Entry {
        id,
        dev,
        root,
        point,
        kind: String::from_utf8_lossy(fields.next()?).into_owned(),
        source: unescape(fields.next()?),
        sources: Vec::new(),
        flags,
        options: fields.next().unwrap_or_default().to_vec(),
    })
}

/// Everything that is mounted in the namespace of a process, by its directory;
/// the oldest first.
pub(super) fn read(process: &Path) -> Result<Vec<Entry>, String> {
    let path = process.join("mountinfo");
    let text = std::fs::read(&path).map_err(|error| cannot_read(&path, &error))?;
    parse(&text, &path)
}

/// The mounts that a mountinfo file names.
pub(super) fn parse(text: &[u8], path: &Path) -> Result<Vec<Entry>, String> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            parse_line(line).ok_or_else(|| {
                let line = line.escape_ascii();
                format!("cannot understand a line of {}: {line}", path.display())
            })
        })
        .collect()
}

/// The mount that a path without symbolic links lies on. `dev` is its `st_dev`;
/// on a btrfs subvolume mountinfo has another number, so the longest mount
/// point decides where no number fits.
pub(super) fn mount_of<'a>(entries: &'a [Entry], path: &Path, dev: DevId) -> Option<&'a Entry> {
    let above = || {
        entries
            .iter()
            .filter(|entry| path.starts_with(&entry.point))
    };
    let longest = |entry: &&Entry| entry.point.as_os_str().as_bytes().len();
    // The last of equals covers the others, and that is what max_by_key takes.
    above()
        .filter(|entry| entry.dev == dev)
        .max_by_key(longest)
        .or_else(|| above().max_by_key(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_escapes_become_bytes_and_other_backslashes_stay() {
        let path = |text: &[u8]| unescape(text).into_os_string().into_vec();
        assert_eq!(path(br"/a\040b\134\011\012"), b"/a b\\\t\n");
        assert_eq!(path(br"/\303\244\x41\04"), b"/\xc3\xa4\\x41\\04");
        assert_eq!(path(br"/end\"), b"/end\\");
        assert_eq!(path(br"/\777"), br"/\777");
    }

    #[test]
    fn a_line_is_read_with_any_number_of_optional_fields() {
        for optional in ["", "shared:1 ", "shared:1 master:2 propagate_from:3 "] {
            let line = format!(
                r"36 35 8:17 /sub /mnt/a\040b rw,noatime {optional}- ext4 /dev/sdb1 rw,errors=x"
            );
            let entry = parse_line(line.as_bytes()).unwrap();
            assert_eq!(
                entry.dev,
                DevId {
                    major: 8,
                    minor: 17
                }
            );
            assert_eq!(entry.point, Path::new("/mnt/a b"));
            assert_eq!(entry.kind, "ext4");
            assert_eq!(entry.source, Path::new("/dev/sdb1"));
        }
        assert_eq!(parse_line(b"36 35 8:17 / /mnt rw ext4 /dev/sdb1 rw"), None);
        assert_eq!(parse_line(b"rubbish"), None);
    }

    #[test]
    fn options_that_are_paths_are_found_whole() {
        let line = br"1 0 0:40 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u\054p,workdir=/w";
        let entry = parse_line(line).unwrap();
        assert_eq!(entry.option("upperdir"), Some("/u,p".into()));
        assert_eq!(entry.option("upper"), None);
    }

    #[test]
    fn the_layers_of_an_overlay_are_found_in_both_forms() {
        let layers = |options: &str| {
            let line = format!("1 0 0:40 / / rw - overlay overlay {options}");
            parse_line(line.as_bytes()).unwrap().layers(true)
        };
        assert_eq!(
            layers(r"rw,lowerdir=/a\040b:/c\134:d::/data,upperdir=/u,workdir=/w"),
            ["/a b", "/c:d", "/data", "/u"].map(PathBuf::from)
        );
        assert_eq!(
            layers("ro,lowerdir+=/a,lowerdir+=/b:c,datadir+=/d"),
            ["/a", "/b:c", "/d"].map(PathBuf::from)
        );
        assert_eq!(layers("rw"), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn the_mount_of_a_path_is_the_longest_with_its_number_and_the_newest() {
        let entry = |point: &str, minor, kind: &str| Entry {
            id: 0,
            dev: DevId { major: 0, minor },
            root: "/".into(),
            point: point.into(),
            kind: kind.into(),
            source: PathBuf::new(),
            sources: Vec::new(),
            flags: Vec::new(),
            options: Vec::new(),
        };
        let entries = [
            entry("/", 1, "root"),
            entry("/var", 2, "old"),
            entry("/var", 2, "new"),
            entry("/var/lib", 3, "hidden"),
            entry("/va", 2, "other"),
        ];
        let at = |path: &str, minor| {
            let dev = DevId { major: 0, minor };
            mount_of(&entries, Path::new(path), dev).map(|entry| entry.kind.as_str())
        };
        assert_eq!(at("/var/lib/x", 2), Some("new"));
        assert_eq!(at("/var/lib/x", 9), Some("hidden"));
        assert_eq!(at("/vars", 9), Some("root"));
    }
}
