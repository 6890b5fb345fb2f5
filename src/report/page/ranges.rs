//! What was bad or differs, on the page.

use super::super::found::Found;
use super::super::record::Record;
use super::parts::{ROWS, bytes_text, left_out, section, sentence};
use crate::plan::{Amount, Extent};
use crate::text::{count, grouped, reason};
use maud::{Markup, html};
use std::io;

pub(super) fn bad(record: &Record) -> Markup {
    let ranges = record.checkpoint.bad().ranges();
    if ranges.is_empty() {
        return section("Bad sectors", &html! { p { "None." } });
    }
    let bad = Found::of(&record.checkpoint).bad;
    let amount = bad.amount;
    let number = count(ranges.len() as u64, "range", "ranges");
    let all = if amount.is_exact() {
        let bytes = bytes_text(amount.least);
        format!("{} in {number}, {bytes}", bad.in_sectors())
    } else {
        format!("{}, in {number}", bad.in_bytes())
    };
    let body = html! {
        p { strong { (sentence(&all)) } " What could not be written may hold old data; what could not be "
            "read was written, but cannot be compared." (joined(amount)) }
        table.list {
            thead { tr {
                th.number { "First byte" } th.number { "Last byte" } th.number { "Bytes" }
                th.number { "Pass" } th { "During" } th { "Error" } th { "State" }
            } }
            tbody {
                @for (one, bad) in ranges.iter().take(ROWS).map(|one| (one, one.bad)) {
                    tr {
                        (range(one.extent, one.bytes))
                        td.number { (bad.pass) }
                        td { (bad.during.word()) }
                        td { (reason(&io::Error::from_raw_os_error(bad.errno))) }
                        td { (bad.state.words()) }
                    }
                }
            }
        }
        (left_out(ranges.len()))
    };
    section("Bad sectors", &body)
}

/// A range, and how many bytes of it are meant: all unless it is joined.
fn range(extent: Extent, bytes: u64) -> Markup {
    html! {
        td.number { (grouped(extent.start())) }
        td.number { (grouped(extent.end() - 1)) }
        td.number {
            @if bytes < extent.length() { (grouped(bytes)) " of " }
            (grouped(extent.length()))
        }
    }
}

fn joined(amount: Amount) -> &'static str {
    if amount.is_exact() {
        return "";
    }
    " There were too many ranges to keep each of them: those with the smallest gaps between them \
     were joined, and a joined range also holds sectors that are good."
}

pub(super) fn different(record: &Record) -> Markup {
    let found = Found::of(&record.checkpoint);
    let (differ, amount) = (record.checkpoint.mismatches(), found.differ.amount);
    if differ.is_empty() {
        return html! {};
    }
    let ranges = differ.len();
    let shifted = differ.iter().any(|one| one.value.written_for.is_some());
    let number = count(ranges as u64, "range", "ranges");
    let all = if amount.is_exact() {
        format!("{} in {number}", bytes_text(amount.least))
    } else {
        format!("{}, in {number}", found.differ.in_bytes())
    };
    let body = html! {
        p { strong { (sentence(&all)) }
            " Ranges of whole sectors, and the first bytes that differ in each." (joined(amount)) }
        @if let Some(capacity) = found.counterfeit {
            p.warning { "Addresses wrap: the drive has at most " (bytes_text(capacity))
                " of memory, however large it says it is. It is counterfeit or broken." }
        }
        table.list {
            thead { tr {
                th.number { "First byte" } th.number { "Last byte" } th.number { "Bytes" }
                th { "Written" } th { "Read" }
                @if shifted { th.number { "Written for byte" } }
            } }
            tbody {
                @for one in differ.iter().take(ROWS) {
                    tr {
                        (range(one.extent, one.bytes))
                        td.code { (hex(&one.value.expected)) }
                        td.code { (hex(&one.value.found)) }
                        @if shifted {
                            td.number { (one.value.written_for.map_or(String::new(), grouped)) }
                        }
                    }
                }
            }
        }
        (left_out(ranges))
    };
    section("Blocks that differ", &body)
}

/// In groups, between which a line may break.
pub(super) fn hex(bytes: &[u8]) -> String {
    let groups: Vec<String> = bytes.chunks(8).map(hex::encode).collect();
    groups.join(" ")
}
