//! Which drive it was, on the page.

use super::super::record::Record;
use super::parts::{bytes_text, row, section};
use crate::drive::{Identity, Kind};
use crate::progress::Checkpoint;
use crate::text::{grouped, size};
use maud::{Markup, html};

/// What stood on the target before, without the labels: they are somebody's data.
fn contents_before(checkpoint: &Checkpoint) -> String {
    let all = checkpoint.contents_before().iter();
    let texts: Vec<String> = all
        .map(|one| format!("{} ({})", one.format, size::decimal(one.size)))
        .collect();
    texts.join(", ")
}

pub(super) fn drive(record: &Record) -> Markup {
    let checkpoint = &record.checkpoint;
    let id = checkpoint.device_id();
    let said = |text: &Option<String>| match text.as_deref().map(str::trim) {
        None | Some("") if id.kind == Kind::Image || id.kind == Kind::Loop => String::new(),
        None | Some("") => "none reported".into(),
        Some(text) => text.to_string(),
    };
    let kind = match id.kind {
        Kind::Disk => &whole(id),
        Kind::Partition => "one partition of a disk",
        Kind::Loop => "loop device over a file",
        Kind::Image => "disk-image file",
    };
    let medium = match record.end.medium {
        _ if record.is_file() => "file of a file system",
        medium => medium.words().name,
    };
    let cache = match record.end.write_back {
        Some(true) => "write back: flushed at every checkpoint",
        Some(false) => "write through, as the kernel believes: no flush was sent",
        None if record.is_file() => "",
        None => "unknown",
    };
    let backing = id.backing.as_ref().map_or("", |file| file.path.as_str());
    let slice = id.slice.as_ref().map_or(String::new(), |slice| {
        let end = (slice.start + slice.length).saturating_sub(1);
        format!(
            "bytes {} to {} of a disk of {}",
            grouped(slice.start),
            grouped(end),
            bytes_text(slice.disk_size)
        )
    });
    let rows = html! {
        table.facts {
            (row("Manufacturer", &said(&id.vendor)))
            (row("Model", &said(&id.model)))
            (row(if id.nature().is_volume() { "Volume id" } else { "Serial number" }, &said(&id.serial)))
            (row("Firmware", &said(&id.firmware)))
            (row("World-wide name", &said(&id.wwn)))
            (row("Capacity", &bytes_text(checkpoint.total_size())))
            (row("Sector", &format!("{} bytes (its logical block)", grouped(id.logical_block.into()))))
            (row("Target", kind))
            (row("Place on disk", &slice))
            (row("Backing file", backing))
            (row("Media type", medium))
            (row("Attached by", id.transport.name()))
            (row("Slot", record.end.slot.as_deref().unwrap_or_default()))
            (row("Device at the end", checkpoint.device()))
            (row("Held before", &contents_before(checkpoint)))
            (row("Write cache", cache))
            (row("Hidden areas", &hidden(record)))
        }
    };
    section("Drive", &rows)
}

fn hidden(record: &Record) -> String {
    let areas = record.checkpoint.device_id().hidden_areas();
    match (record.end.hidden_areas.as_str(), areas) {
        ("not checked", Some(areas)) => {
            format!("{}: not checked", areas.trim_end_matches(" areas"))
        }
        _ => String::new(),
    }
}

fn whole(id: &Identity) -> String {
    let nature = id.nature();
    match (nature.part(), nature.name()) {
        (Some(part), _) => format!("{part} of an NVMe drive"),
        (None, Some(name)) => name,
        (None, None) => "whole disk".into(),
    }
}
