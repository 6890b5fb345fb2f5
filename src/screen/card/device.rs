//! What a device is, and what is on it.

use crate::drive::{Device, Fact, Kind, Node, Signature};
use crate::text::{field, said, size};

/// Partitions that are listed on the card.
const LISTED: usize = 8;

pub(super) fn device_text(device: &Device) -> String {
    let path = device.path.to_string_lossy();
    let named = device
        .path
        .file_name()
        .is_some_and(|name| *name == *device.name);
    // Typed as a link: the name is what the question may ask for.
    let is = if named || matches!(device.node, Node::Image { .. }) {
        String::new()
    } else {
        format!(", is {}", device.name)
    };
    format!("{path}{is}, {}{}", kind(device), slot(device))
}

pub(super) fn slot(device: &Device) -> String {
    after(", slot ", device.slot.as_ref())
}

/// What is known, after some words; nothing of what is not.
fn after(words: &str, known: Option<&String>) -> String {
    known.map_or(String::new(), |known| format!("{words}{known}"))
}

/// What it is, in words: `SATA hard disk`, `partition of /dev/sdb`.
fn kind(device: &Device) -> String {
    let nature = device.identity.nature();
    let drive = device.identity.transport.drive_name(device.medium);
    let backing = device.identity.backing.as_ref().map(|file| &file.path);
    let backing = after(" over ", backing);
    match (device.identity.kind, &device.node) {
        (Kind::Image, _) => "disk-image file".into(),
        (Kind::Loop, _) => format!("loop device{backing}"),
        (Kind::Partition, Node::Block { whole_path, .. }) => {
            let whole = whole_path.to_string_lossy();
            format!("only this partition of {whole}, {drive}{backing}")
                .trim_end_matches([',', ' '])
                .into()
        }
        (Kind::Partition | Kind::Disk, _) => match (nature.name(), nature.part()) {
            (_, Some(part)) => format!("{drive}, {part}"),
            (Some(name), None) => name,
            (None, None) => drive,
        },
    }
}

/// Model, serial and size.
pub(super) fn identity_lines(device: &Device) -> Vec<String> {
    let id = &device.identity;
    let mut lines = Vec::new();
    let names = [&id.vendor, &id.model].map(|name| said(name.as_ref()));
    let names: Vec<&str> = names.into_iter().flatten().collect();
    if id.kind != Kind::Image && !names.is_empty() {
        let firmware = after(", firmware ", id.firmware.as_ref());
        lines.extend(field("Model", &format!("{}{firmware}", names.join(" "))));
    }
    if id.kind != Kind::Image && id.kind != Kind::Loop {
        let label = if id.nature().is_volume() {
            "Id"
        } else {
            "Serial"
        };
        let serial = said(id.serial.as_ref()).unwrap_or("none reported");
        let wwn = after(", WWN ", id.wwn.as_ref());
        lines.extend(field(label, &format!("{serial}{wwn}")));
    }
    lines.extend(field(
        "Size",
        &format!(
            "{} ({} bytes)",
            size::decimal(device.size),
            size::grouped(device.size)
        ),
    ));
    lines
}

/// What is lost: what the device says it is, then each partition.
pub(super) fn content_lines(device: &Device) -> Vec<String> {
    let itself = device.contents.first();
    let parts = device.contents.get(1..).unwrap_or_default();
    let mounted = match &device.usage.mounts {
        Fact::Known(mounts) if mounts.is_empty() => "not mounted",
        Fact::Known(_) => "MOUNTED",
        Fact::Unknown(_) => "mounts unknown",
    };
    let mut texts: Vec<String> = parts.iter().take(LISTED).map(partition).collect();
    if parts.len() > LISTED {
        texts.push(format!("and {} more", parts.len() - LISTED));
    }
    match (itself, texts.is_empty()) {
        (itself, true) => {
            let what = itself.and_then(Signature::text);
            let what = what.unwrap_or_else(|| "nothing recognised".into());
            field("Content", &format!("{what}; {mounted}"))
        }
        (itself, false) => {
            let table = itself.and_then(|found| found.what).unwrap_or("partitions");
            let first = texts.remove(0);
            let mut lines = field("Content", &format!("{table}: {first}"));
            for text in texts {
                lines.extend(field("", &text));
            }
            lines.extend(field("", mounted));
            // One partition: all on one line, where it fits.
            if let [only, state] = lines.as_slice() {
                let joined = format!("{only}; {}", state.trim_start());
                if joined.chars().count() <= crate::text::COLUMNS {
                    return vec![joined];
                }
            }
            lines
        }
    }
}

fn partition(found: &Signature) -> String {
    let what = after(" ", found.text().as_ref());
    format!("{} {}{what}", found.name, size::decimal(found.size))
}
