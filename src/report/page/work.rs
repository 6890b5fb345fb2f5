//! What was done and how it was read back, on the page.

use super::super::found::Found;
use super::super::record::Record;
use super::parts::{bytes_text, row, section};
use crate::plan::{Pass, Verify};
use crate::text::size;
use maud::{Markup, html};

pub(super) fn work(record: &Record) -> Markup {
    let checkpoint = &record.checkpoint;
    let passes = checkpoint.plan().passes();
    let whole = checkpoint.all_written();
    let written = u128::from(whole) * passes.len() as u128;
    let written = bytes_text(u64::try_from(written).unwrap_or(u64::MAX));
    // Which of them an earlier pass could write nobody knows any more.
    let least = if whole < checkpoint.total_size() && passes.len() > 1 {
        "at least "
    } else {
        ""
    };
    let tool = format!("wipeit {}", checkpoint.tool_version());
    let has_keys = passes.iter().any(|pass| pass.content.key().is_some());
    let body = html! {
        table.facts {
            (row("Method", &record.end.method))
            (row("Tool", &tool))
            @if let Some(scheme) = checkpoint.scheme() {
                (row("Scheme", scheme))
            }
            (row("Passes", &format!("{}; {least}{written} in all", passes.len())))
        }
        table.list {
            thead { tr { th.number { "Pass" } th { "Written" } th { "Generator" } th { "Read back" } } }
            tbody {
                @for (index, pass) in passes.iter().enumerate() {
                    @let words = pass.content.words();
                    tr {
                        td.number { (index + 1) }
                        td { (words.cell) }
                        td { (words.generator.unwrap_or("\u{2013}")) }
                        td { (read_back(pass, index + 1 == passes.len(), record)) }
                    }
                }
            }
        }
        @if has_keys {
            @if checkpoint.plan().lacks_keys() {
                p.small { "The keys of random passes are kept apart from the record." }
            } @else {
                p.small { "The keys of random passes stand in the record only." }
            }
        }
    };
    section("What was done", &body)
}

/// What was read back of a pass; exact of the last one only.
fn read_back(pass: &Pass, last: bool, record: &Record) -> String {
    let total = record.checkpoint.total_size();
    match pass.verify {
        Verify::None => "not read back".into(),
        Verify::Full if record.checkpoint.bad().is_empty() => "every byte".into(),
        Verify::Full if last => all_but(record),
        Verify::Full => "every byte that could be".into(),
        how @ Verify::Sample { .. } => {
            let share = size::percent_text(how.bytes(total), total);
            format!("samples, {share}")
        }
    }
}

/// What a full read-back of a target with bad sectors did not compare.
fn all_but(record: &Record) -> String {
    let total = record.checkpoint.total_size();
    let missed = total.saturating_sub(record.end.verification.bytes);
    format!("all but {}", bytes_text(missed))
}

pub(super) fn verification(record: &Record) -> Markup {
    let checkpoint = &record.checkpoint;
    let (found, bytes) = (Found::of(checkpoint), record.end.verification.bytes);
    let share = size::percent_text(bytes, checkpoint.total_size());
    let how = match found.read_back {
        Verify::None => "none: the last pass was not read back".into(),
        Verify::Full => {
            let bytes = if found.bad.is_none() {
                "every byte".into()
            } else {
                all_but(record)
            };
            format!("full: {bytes} of the last pass read back and compared")
        }
        Verify::Sample { .. } => {
            "sample: pseudorandom places of the last pass (NIST SP 800-88 R1)".to_string()
        }
    };
    let compared = match found.read_back {
        Verify::None => String::new(),
        Verify::Full | Verify::Sample { .. } => {
            let target = if record.is_file() { "file" } else { "drive" };
            format!("{}, {share} of the {target}", bytes_text(bytes))
        }
    };
    let through = match found.read_back {
        Verify::None => "",
        _ if found.from_cache => "through the page cache: the file system refuses direct I/O",
        _ => "past the page cache",
    };
    let result = match found.read_back {
        _ if !found.differ.is_none() => format!(
            "NOT equal: {} in sectors that differ",
            found.differ.as_bytes(&bytes_text)
        ),
        Verify::None => "nothing was compared".into(),
        _ if !found.bad.is_none() => "what could be compared is equal".into(),
        _ => "equal: 0 bytes differ".into(),
    };
    let body = html! {
        table.facts {
            (row("Method", &how))
            (row("Compared", &compared))
            (row("Read", through))
            (row("Result", &result))
        }
    };
    section("Verification", &body)
}
