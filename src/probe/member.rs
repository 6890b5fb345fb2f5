//! The names that members of volume groups, arrays and pools carry.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::sysfs::stripped;

/// What a ZFS label says of its pool.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ZfsLabel {
    pub pool: String,
    pub guid: u64,
}

/// What a device with the format `what` is a member of; by its name, where it
/// has one. A file system over several devices counts, one on a single device
/// does not.
pub(super) fn group(path: &Path, what: &str, label: Option<&str>) -> Option<String> {
    match what {
        "LVM2" => volume_group(&File::open(path).ok()?),
        "MD" => label.map(str::to_string),
        "ZFS" => Some(zfs_label(path).ok()??.pool),
        // Superblock at 64 KiB: include/uapi/linux/btrfs_tree.h, fsid and
        // num_devices.
        "btrfs" => several(path, 0x1_0000, 0x20, label, |block| {
            u64::from_le_bytes(array(block, 0x88).unwrap_or_default())
        }),
        // Superblock at 4 KiB: fs/bcachefs/bcachefs_format.h, user_uuid and
        // nr_devices.
        "bcachefs" => several(path, 4096, 56, label, |block| u64::from(block[123])),
        _ => None,
    }
}

/// The label or UUID of a file system with more than one device.
fn several(
    path: &Path,
    superblock: u64,
    uuid: usize,
    label: Option<&str>,
    devices: impl Fn(&[u8]) -> u64,
) -> Option<String> {
    let mut block = [0; 512];
    File::open(path)
        .ok()?
        .read_exact_at(&mut block, superblock)
        .ok()?;
    if devices(&block) < 2 {
        return None;
    }
    let uuid = array(&block, uuid)?;
    Some(label.map_or_else(|| dashed(uuid), str::to_string))
}

/// As UUIDs are written.
fn dashed(uuid: [u8; 16]) -> String {
    let mut text = String::new();
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// LVM2, `lib/format_text/layout.h`: label, device header with a list of data
/// areas, a list of metadata areas; there a header with the place of the text,
/// which begins with the group's name.
fn volume_group(file: &File) -> Option<String> {
    const HEADER_MAGIC: &[u8] = b" LVM2 x[5A%r0N*>";
    let mut head = [0; 2048];
    file.read_exact_at(&mut head, 0).ok()?;
    let sector = head
        .chunks_exact(512)
        .find(|sector| sector.starts_with(b"LABELONE"))?;
    let le32 = |bytes: &[u8], at| array(bytes, at).map(u32::from_le_bytes);
    let le64 = |bytes: &[u8], at| array(bytes, at).map(u64::from_le_bytes);
    // Past UUID and size.
    let mut at = usize::try_from(le32(sector, 20)?).ok()?.checked_add(40)?;
    while le64(sector, at)? != 0 {
        at += 16;
    }
    let area = le64(sector, at + 16).filter(|area| *area != 0)?;
    let mut header = [0; 512];
    file.read_exact_at(&mut header, area).ok()?;
    if header.get(4..20)? != HEADER_MAGIC {
        return None;
    }
    let text = le64(&header, 40).filter(|text| *text != 0)?;
    // Names have up to 127 bytes.
    let mut name = [0; 130];
    file.read_exact_at(&mut name, area.checked_add(text)?)
        .ok()?;
    let end = name.iter().position(|byte| *byte == b' ')?;
    stripped(&name[..end])
}

/// The pool that a device belongs to by its first label; `None` without one.
/// `OpenZFS`, `include/sys/vdev_impl.h`: name-value pairs at 16 KiB, in XDR.
pub(super) fn zfs_label(path: &Path) -> io::Result<Option<ZfsLabel>> {
    const LABEL: u64 = 16 * 1024;
    let mut pairs = vec![0; 112 * 1024];
    match File::open(path)?.read_exact_at(&mut pairs, LABEL) {
        Ok(()) => Ok(parse_label(&pairs)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// `module/nvpair/nvpair.c`: encoding, byte order and two reserved bytes, then
/// version and flags; then pairs: length, length in memory, name, type, count,
/// value. Everything is big-endian and padded to four bytes.
fn parse_label(bytes: &[u8]) -> Option<ZfsLabel> {
    const XDR: u8 = 1;
    const UINT64: usize = 8;
    const STRING: usize = 9;
    let be32 = |at| usize::try_from(u32::from_be_bytes(array(bytes, at)?)).ok();
    let text = |at: usize| bytes.get(at + 4..at.checked_add(4)?.checked_add(be32(at)?)?);
    if bytes.first() != Some(&XDR) {
        return None;
    }
    let (mut at, mut pool, mut guid) = (12, None, None);
    while let Some(length) = be32(at).filter(|length| *length > 0) {
        let name = text(at + 8)?;
        let kind = at + 12 + name.len().next_multiple_of(4);
        match (name, be32(kind)?) {
            (b"name", STRING) => pool = stripped(text(kind + 8)?),
            (b"pool_guid", UINT64) => guid = array(bytes, kind + 8).map(u64::from_be_bytes),
            _ => {}
        }
        at = at.checked_add(length)?;
    }
    Some(ZfsLabel {
        pool: pool?,
        guid: guid?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The first label of a member of a pool, and nothing behind it.
    pub(in crate::probe) fn zfs_device(pool: &str, guid: u64) -> Vec<u8> {
        let pair = |name: &str, kind: u32, value: &[u8]| {
            let mut body = Vec::new();
            body.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
            body.extend(name.as_bytes());
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(kind.to_be_bytes());
            body.extend(1_u32.to_be_bytes());
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
            let length = u32::try_from(body.len() + 8).unwrap();
            [&length.to_be_bytes()[..], &[0, 0, 0, 99], &body].concat()
        };
        let length = u32::try_from(pool.len()).unwrap().to_be_bytes();
        let mut label = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        label.extend(pair("version", 8, &5000_u64.to_be_bytes()));
        label.extend(pair("name", 9, &[&length, pool.as_bytes()].concat()));
        label.extend(pair("pool_guid", 8, &guid.to_be_bytes()));
        let mut device = vec![0; 256 * 1024];
        device[16 * 1024..][..label.len()].copy_from_slice(&label);
        device[128 * 1024..][..8].copy_from_slice(&0x00ba_b10c_u64.to_le_bytes());
        device
    }

    /// The head of a physical volume of a group.
    pub(in crate::probe) fn lvm_device(group: &str) -> Vec<u8> {
        let mut device = vec![0; 8192];
        let mut put = |at: usize, bytes: &[u8]| device[at..][..bytes.len()].copy_from_slice(bytes);
        let header = 512 + 32;
        put(512, b"LABELONE");
        put(512 + 20, &32_u32.to_le_bytes());
        put(512 + 24, b"LVM2 001");
        // One data area, then one metadata area.
        put(header + 40, &(1_u64 << 20).to_le_bytes());
        put(header + 72, &4096_u64.to_le_bytes());
        put(4096 + 4, b" LVM2 x[5A%r0N*>");
        put(4096 + 40, &512_u64.to_le_bytes());
        put(4096 + 512, format!("{group} {{\nid = \"x\"").as_bytes());
        device
    }

    fn named(what: &str, label: Option<&str>, device: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), device).unwrap();
        group(file.path(), what, label)
    }

    #[test]
    fn the_name_of_a_pool_is_read_from_its_label() {
        let device = zfs_device("tank", 77);
        assert_eq!(named("ZFS", None, &device).as_deref(), Some("tank"));
        assert_eq!(
            parse_label(&device[16 * 1024..]),
            Some(ZfsLabel {
                pool: "tank".into(),
                guid: 77
            })
        );
        // Cut off anywhere, it says nothing and does not fail.
        let label = &device[16 * 1024..][..160];
        for length in 0..label.len() {
            let _ = parse_label(&label[..length]);
        }
        assert_eq!(named("ZFS", None, &[0; 4096]), None);
        assert_eq!(named("ZFS", None, &vec![0xff; 256 * 1024]), None);
    }

    #[test]
    fn the_name_of_a_volume_group_is_read_from_its_metadata() {
        assert_eq!(
            named("LVM2", None, &lvm_device("vg0")).as_deref(),
            Some("vg0")
        );
        let mut broken = lvm_device("vg0");
        broken[4100] = 0;
        assert_eq!(named("LVM2", None, &broken), None);
        assert_eq!(named("LVM2", None, &lvm_device("vg0")[..4096]), None);
        assert_eq!(named("LVM2", None, &[0xff; 4096]), None);
    }

    #[test]
    fn only_file_systems_over_several_devices_are_groups() {
        let mut btrfs = vec![0; 0x1_1000];
        btrfs[0x1_0020] = 0xab;
        btrfs[0x1_0088] = 1;
        assert_eq!(named("btrfs", Some("data"), &btrfs), None);
        btrfs[0x1_0088] = 2;
        assert_eq!(
            named("btrfs", Some("data"), &btrfs).as_deref(),
            Some("data")
        );
        assert_eq!(
            named("btrfs", None, &btrfs).as_deref(),
            Some("ab000000-0000-0000-0000-000000000000")
        );
        let mut bcachefs = vec![0; 8192];
        bcachefs[4096 + 123] = 3;
        assert_eq!(
            named("bcachefs", Some("b"), &bcachefs).as_deref(),
            Some("b")
        );
        assert_eq!(named("ext4", Some("x"), &bcachefs), None);
    }
}
