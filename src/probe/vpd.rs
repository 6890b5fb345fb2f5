//! What a SCSI drive says of itself in its pages of vital product data, as the
//! kernel keeps them in sysfs.

use super::block::Block;

/// The payload of a page: SPC-4, 7.8.1.
pub(super) fn page(disk: &Block, code: u8) -> Option<&[u8]> {
    let page = disk.bytes(&format!("device/vpd_pg{code:02x}"))?;
    let (header, payload) = page.split_at_checked(4)?;
    if header[1] != code {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    Some(&payload[..length.min(payload.len())])
}

/// What a name of page 83h is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Unit,
    Port,
    Other,
}

/// A name of page 83h.
#[derive(Debug, PartialEq, Eq)]
struct Designator {
    of: Of,
    kind: u8,
    id: Vec<u8>,
}

/// Kinds of names (SPC-4, table 598).
const EUI: u8 = 2;
const NAA: u8 = 3;
const RELATIVE_PORT: u8 = 4;

/// All names in page 83h (SPC-4, 7.8.6); none where it ends within one.
fn designators(disk: &Block) -> Vec<Designator> {
    let (mut rest, mut all) = (page(disk, 0x83).unwrap_or_default(), Vec::new());
    while let Some((header, tail)) = rest.split_at_checked(4) {
        let Some((id, tail)) = tail.split_at_checked(usize::from(header[3])) else {
            return Vec::new();
        };
        rest = tail;
        all.push(Designator {
            of: match header[1] & 0x30 {
                0x00 => Of::Unit,
                0x10 => Of::Port,
                _ => Of::Other,
            },
            kind: header[1] & 0x0f,
            id: id.to_vec(),
        });
    }
    all
}

/// The world-wide name of the logical unit, in the form of the `wwid`
/// attribute, which older kernels lack.
pub(super) fn name(disk: &Block) -> Option<String> {
    let all = designators(disk);
    let of_kind = |kind: u8| {
        all.iter()
            .find(|one| one.of == Of::Unit && one.kind == kind && !one.id.is_empty())
    };
    let (prefix, found) = of_kind(NAA)
        .map(|found| ("naa", found))
        .or_else(|| Some(("eui", of_kind(EUI)?)))?;
    let hex = found.id.iter().map(|byte| format!("{byte:02x}"));
    Some(format!("{prefix}.{}", hex.collect::<String>()))
}

/// The number that a drive gives to the port of its own through which it is
/// asked; 0 is reserved.
fn relative_port(all: &[Designator]) -> Option<u16> {
    let mut ports = all
        .iter()
        .filter(|one| one.of == Of::Port && one.kind == RELATIVE_PORT);
    let id = ports.next()?.id.get(2..4)?;
    Some(u16::from_be_bytes([id[0], id[1]])).filter(|port| *port != 0)
}

/// Whether two disks say themselves that they are two ports of one drive: the
/// same names of the logical unit and the same serial, and different numbers of
/// the port in its own count. A copied name does not do that: each of two drives
/// is asked through its first port. ATA drives have one port and do not count.
pub(super) fn are_two_ports(one: &Block, other: &Block) -> bool {
    let is_ata = |disk: &Block| {
        let vendor = disk.text("device/vendor");
        vendor.is_none_or(|vendor| vendor == "ATA") || page(disk, 0x89).is_some()
    };
    if is_ata(one) || is_ata(other) {
        return false;
    }
    let unit = |all: &[Designator]| -> Vec<(u8, Vec<u8>)> {
        let of_unit = all.iter().filter(|name| name.of == Of::Unit);
        of_unit.map(|name| (name.kind, name.id.clone())).collect()
    };
    let (here, there) = (designators(one), designators(other));
    let (serial, its_serial) = (page(one, 0x80), page(other, 0x80));
    let ports = relative_port(&here).zip(relative_port(&there));
    !unit(&here).is_empty()
        && unit(&here) == unit(&there)
        && serial.is_some()
        && serial == its_serial
        && ports.is_some_and(|(here, there)| here != there)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Machine, id};

    /// Page 83h of these names: `header byte 1`, id.
    fn names(all: &[(u8, &[u8])]) -> Vec<u8> {
        let mut page = Vec::new();
        for (kind, id) in all {
            page.extend([1, *kind, 0, u8::try_from(id.len()).unwrap()]);
            page.extend_from_slice(id);
        }
        let length = u16::try_from(page.len()).unwrap().to_be_bytes();
        [&[0, 0x83], length.as_slice(), &page].concat()
    }

    const UNIT: (u8, &[u8]) = (0x03, &[0x50, 0, 0xc5, 0, 0xd1, 0xa2, 0xb3, 0xc4]);

    #[test]
    fn two_disks_are_two_ports_only_where_the_drive_counts_them_itself() {
        let of = |first: &[u8], second: &[u8], vendor: &str, serials: [&str; 2]| {
            let machine = Machine::new();
            for (name, minor, page, serial) in [
                ("sdx", 0, first, serials[0]),
                ("sdy", 16, second, serials[1]),
            ] {
                machine.disk(name, id(1008, minor));
                machine.set(name, &[("device/vendor", vendor)]);
                let dir = machine.host.sys.join("class/block").join(name);
                std::fs::write(dir.join("device/vpd_pg83"), page).unwrap();
                let serial = [b"\0\x80\0\x04", serial.as_bytes()].concat();
                std::fs::write(dir.join("device/vpd_pg80"), serial).unwrap();
            }
            let node = |name: &str| machine.host.dev.join(name);
            machine.host.are_two_ports(&node("sdx"), &node("sdy"))
        };
        let port = |number: &'static [u8]| {
            names(&[
                UNIT,
                (0x93, &[0x50, 0, 0xc5, 0, 1, 2, 3, 4]),
                (0x94, number),
            ])
        };
        let (one, two) = (port(&[0, 0, 0, 1]), port(&[0, 0, 0, 2]));
        assert!(of(&one, &two, "SEAGATE", ["SERA", "SERA"]));
        // Two drives of one name are both asked through their first port.
        assert!(!of(&one, &one, "SEAGATE", ["SERA", "SERA"]));
        assert!(!of(&one, &two, "SEAGATE", ["SERA", "SERB"]));
        assert!(!of(&one, &two, "ATA", ["SERA", "SERA"]));
        assert!(!of(&one, &port(&[0, 0, 0, 0]), "SEAGATE", ["SERA", "SERA"]));
        assert!(!of(&one, &names(&[UNIT]), "SEAGATE", ["SERA", "SERA"]));
        let other: (u8, &[u8]) = (0x03, &[0x50, 0, 0xc5, 0, 0xd1, 0xa2, 0xb3, 0xc5]);
        let other = names(&[other, (0x94, &[0, 0, 0, 2])]);
        assert!(!of(&one, &other, "SEAGATE", ["SERA", "SERA"]));
        // Cut off within a name.
        assert!(!of(
            &one,
            &two[..two.len() - 2],
            "SEAGATE",
            ["SERA", "SERA"]
        ));
    }
}
