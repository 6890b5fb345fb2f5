//! The report as a page: one file without scripts or anything from elsewhere,
//! to read and to print.
//!
//! A pure function of the record, without the keys of random passes.

use std::io;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plot::{self, Plot};
use super::record::Record;
use super::result::{LISTED, amount_text, noun, sectors};
use super::time::{Active, Took};
use crate::drive::{Identity, Kind};
use crate::plan::{Amount, BadState, Content, During, Extent, Generator, Pass, Pattern, Verify};
use crate::progress::{Checkpoint, Run, digest};
use crate::text::{clean, clean_words, count, grouped, reason, size};

/// Rows of a table of ranges; the rest stands in the record.
const ROWS: usize = 100;
/// Runs that are listed: first and last ones.
const RUNS: usize = 40;
/// Bytes of a pattern that are shown.
const PATTERN: usize = 16;

const STYLE: &str = include_str!("page.css");

/// The page of a record: `json` are the record's exact bytes and `file` what
/// they are kept as; empty where they could not be kept.
#[must_use]
pub fn html(record: &Record, json: &[u8], file: &str) -> String {
    let id = record.checkpoint.device_id();
    let name = id.serial.as_deref().map_or("", str::trim);
    let name = if name.is_empty() {
        record.checkpoint.device()
    } else {
        name
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { "wipeit report: " (record_word(record)) " " (clean(name)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(record))
                (drive(record))
                (work(record))
                (verification(record))
                (bad(record))
                (different(record))
                (speeds(record))
                (times(record))
                (found(record))
                (reach(record))
                (by_hand(record))
                (footer(record, json, file))
            }
        }
    }
    .into_string()
}

fn record_word(record: &Record) -> String {
    clean(&record.outcome)
}

fn is_wiped(record: &Record) -> bool {
    record.outcome == "WIPED"
}

/// What stood on the target before, without the labels: they are somebody's data.
fn contents_before(checkpoint: &Checkpoint) -> String {
    let all = checkpoint.contents_before().iter();
    let texts: Vec<String> = all
        .map(|one| format!("{} ({})", one.format, size::decimal(one.size)))
        .collect();
    texts.join(", ")
}

/// A row of a table of facts; nothing where there is nothing to say.
fn row(label: &str, text: &str) -> Markup {
    html! {
        @if !text.is_empty() {
            tr { th scope="row" { (label) } td { (clean(text)) } }
        }
    }
}

fn section(title: &str, body: &Markup) -> Markup {
    html! { section { h2 { (title) } (body) } }
}

fn bytes_text(bytes: u64) -> String {
    if bytes < 1000 {
        return count(bytes, "byte", "bytes");
    }
    format!("{} bytes ({})", grouped(bytes), size::decimal(bytes))
}

/// The outcome, and what it means.
fn head(record: &Record) -> Markup {
    let checkpoint = &record.checkpoint;
    let class = if is_wiped(record) { "wiped" } else { "not" };
    html! {
        header {
            p.kind { "Data sanitization report" }
            h1 class=(class) { (record_word(record)) }
            p.meaning { (sentence(&meaning(record))) }
            table.facts {
                (row("Drive", &drive_name(checkpoint.device_id(), checkpoint.device())))
                (row("Method", &record.method))
                (row("Finished", &moment(checkpoint.timestamp())))
                (words("Asset", checkpoint.report().asset.as_deref()))
                (words("Operator", checkpoint.report().operator.as_deref()))
                (words("Note", checkpoint.report().note.as_deref()))
            }
        }
    }
}

/// What the user said, each in its own direction of writing.
fn words(label: &str, text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            tr { th scope="row" { (label) } td { bdi { (clean_words(text)) } } }
        }
    }
}

fn meaning(record: &Record) -> String {
    let checkpoint = &record.checkpoint;
    let number = |bytes| count(sectors(checkpoint, bytes), "sector", "sectors");
    let bad = least_text(record.bad_bytes, record.bad_bytes_at_most)
        .unwrap_or_else(|| number(record.bad_bytes));
    let differ = different_text(record);
    match record.outcome.as_str() {
        "WIPED" => {
            let read_back = match checkpoint.plan().verify() {
                Verify::Full => "and every byte was read back equal",
                Verify::Sample { .. } => "and every sample that was read back was equal",
                Verify::None => "but NOT read back",
            };
            let of = checkpoint
                .device_id()
                .nature()
                .part()
                .map_or(String::new(), |part| {
                    format!(" of {part} (and of no other)")
                });
            format!("Every addressable byte{of} was overwritten and flushed, {read_back}.")
        }
        "NOT-CLEAR" if record.bad_bytes == 0 => format!(
            "Everything was overwritten, but the {} is NOT clear: {}.",
            noun(checkpoint),
            kept_elsewhere(checkpoint)
        ),
        "NOT-CLEAR" => format!(
            "{bad} could not be written or read back. The {} is NOT clear: old data may be left. \
             Do not reuse or sell it.",
            noun(checkpoint)
        ),
        "DIFFERS" => {
            let more = if record.bad_bytes > 0 {
                format!(" {bad} could not be written or read back.")
            } else {
                String::new()
            };
            format!(
                "{differ} are in sectors that are not what was written. The {} cannot be \
                 trusted, or something else wrote to it.{more} Do not reuse or sell it.",
                noun(checkpoint)
            )
        }
        _ => "This outcome is not known to this version.".into(),
    }
}

/// Where old data is known to remain.
fn kept_elsewhere(checkpoint: &Checkpoint) -> String {
    let findings = checkpoint.findings().iter();
    let places: Vec<String> = findings
        .filter(|finding| finding.keeps_old_data())
        .map(|finding| clean(&finding.to_string()))
        .collect();
    places.join("; ")
}

/// A number of bytes that is not known exactly; `None` where it is.
fn least_text(least: u64, most: Option<u64>) -> Option<String> {
    Some(amount_text(Amount { least, most: most? }))
}

fn different_text(record: &Record) -> String {
    let found = &record.verification;
    least_text(found.bytes_different, found.bytes_different_at_most)
        .unwrap_or_else(|| bytes_text(found.bytes_different))
}

fn drive_name(id: &Identity, path: &str) -> String {
    let said = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_string();
    let names: Vec<String> = [said(&id.vendor), said(&id.model), said(&id.serial)]
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() {
        path.to_string()
    } else {
        names.join(" ")
    }
}

fn drive(record: &Record) -> Markup {
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
    let medium = match record.medium {
        _ if record.is_file() => "file of a file system",
        medium => medium.words().name,
    };
    let cache = match record.write_back {
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
            (row("Slot", record.slot.as_deref().unwrap_or_default()))
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
    match (record.hidden_areas.as_str(), areas) {
        ("not checked", Some(areas)) => {
            format!("{}: not checked", areas.trim_end_matches(" areas"))
        }
        _ => String::new(),
    }
}

/// What a target is that is no part of a disk.
fn whole(id: &Identity) -> String {
    let nature = id.nature();
    match (nature.part(), nature.name()) {
        (Some(part), _) => format!("{part} of an NVMe drive"),
        (None, Some(name)) => name,
        (None, None) => "whole disk".into(),
    }
}

fn work(record: &Record) -> Markup {
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
    let is_random = passes
        .iter()
        .any(|pass| matches!(pass.content, Content::Random { .. }));
    let body = html! {
        table.facts {
            (row("Method", &record.method))
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
                    tr {
                        td.number { (index + 1) }
                        td { (content(pass)) }
                        td { (generator(pass)) }
                        td { (read_back(pass, index + 1 == passes.len(), record)) }
                    }
                }
            }
        }
        @if is_random {
            @if checkpoint.plan().lacks_keys() {
                p.small { "The keys of random passes are kept apart from the record." }
            } @else {
                p.small { "The keys of random passes stand in the record only." }
            }
        }
    };
    section("What was done", &body)
}

fn content(pass: &Pass) -> String {
    match &pass.content {
        Content::Zero => "zeros".into(),
        Content::Random { .. } => "random".into(),
        Content::Pattern { pattern } => format!("pattern {}", digits(pattern)),
    }
}

fn digits(pattern: &Pattern) -> String {
    let bytes = pattern.bytes();
    if bytes.len() <= PATTERN {
        return hex::encode(bytes);
    }
    format!(
        "{}.. ({} bytes)",
        hex::encode(&bytes[..PATTERN]),
        bytes.len()
    )
}

fn generator(pass: &Pass) -> &'static str {
    match &pass.content {
        Content::Random { generator, .. } => match generator {
            Generator::Aes256 => "AES-256, counter mode",
            Generator::ChaCha20 => "ChaCha20",
        },
        Content::Zero | Content::Pattern { .. } => "\u{2013}",
    }
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
    let missed = total.saturating_sub(record.verification.bytes);
    format!("all but {}", bytes_text(missed))
}

fn verification(record: &Record) -> Markup {
    let checkpoint = &record.checkpoint;
    let found = &record.verification;
    let share = size::percent_text(found.bytes, checkpoint.total_size());
    let how = match checkpoint.plan().verify() {
        Verify::None => "none: the last pass was not read back".into(),
        Verify::Full => {
            let bytes = if checkpoint.bad().is_empty() {
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
    let compared = match checkpoint.plan().verify() {
        Verify::None => String::new(),
        Verify::Full | Verify::Sample { .. } => {
            let target = if record.is_file() { "file" } else { "drive" };
            format!("{}, {share} of the {target}", bytes_text(found.bytes))
        }
    };
    let through = if checkpoint.page_cache() {
        "through the page cache: the file system refuses direct I/O"
    } else {
        "past the page cache"
    };
    let through = if compared.is_empty() { "" } else { through };
    let result = match (found.bytes_different, checkpoint.plan().verify()) {
        (0, Verify::None) => "nothing was compared".into(),
        (0, _) if record.bad_bytes > 0 => "what could be compared is equal".into(),
        (0, _) => "equal: 0 bytes differ".into(),
        _ => format!(
            "NOT equal: {} in sectors that differ",
            different_text(record)
        ),
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

/// Says how many rows were left out.
fn left_out(all: usize) -> Markup {
    html! {
        @if all > ROWS {
            p.small { "and " (grouped((all - ROWS) as u64)) " more, all in the record" }
        }
    }
}

fn bad(record: &Record) -> Markup {
    let ranges = record.checkpoint.bad().ranges();
    if ranges.is_empty() {
        return section("Bad sectors", &html! { p { "None." } });
    }
    let checkpoint = &record.checkpoint;
    let amount = checkpoint.bad().amount();
    let number = count(ranges.len() as u64, "range", "ranges");
    let all = if amount.is_exact() {
        format!(
            "{} in {number}, {}",
            count(sectors(checkpoint, amount.least), "sector", "sectors"),
            bytes_text(amount.least),
        )
    } else {
        format!("{}, in {number}", amount_text(amount))
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
                        td { (match bad.during { During::Write => "write", During::Read => "read" }) }
                        td { (reason(&io::Error::from_raw_os_error(bad.errno))) }
                        td { (state(bad.state)) }
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

/// What a number that is not known exactly means.
fn joined(amount: Amount) -> &'static str {
    if amount.is_exact() {
        return "";
    }
    " There were too many ranges to keep each of them: those with the smallest gaps between them \
     were joined, and a joined range also holds sectors that are good."
}

fn state(state: BadState) -> &'static str {
    match state {
        BadState::Failed => "failed",
        BadState::Deferred => "not tried again",
        BadState::Abandoned => "given up as a whole",
    }
}

fn different(record: &Record) -> Markup {
    let found = record.checkpoint.mismatches();
    if found.is_empty() {
        return html! {};
    }
    let (ranges, amount) = (found.len(), found.amount());
    let shifted = found.iter().any(|one| one.value.written_for.is_some());
    let number = count(ranges as u64, "range", "ranges");
    let all = if amount.is_exact() {
        format!("{} in {number}", bytes_text(amount.least))
    } else {
        format!("{}, in {number}", amount_text(amount))
    };
    let body = html! {
        p { strong { (sentence(&all)) }
            " Ranges of whole sectors, and the first bytes that differ in each." (joined(amount)) }
        @if let Some(capacity) = record.checkpoint.wrap().and_then(crate::plan::Wrap::capacity) {
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
                @for one in found.iter().take(ROWS) {
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
fn hex(bytes: &[u8]) -> String {
    let groups: Vec<String> = bytes.chunks(8).map(hex::encode).collect();
    groups.join(" ")
}

fn speeds(record: &Record) -> Markup {
    let checkpoint = &record.checkpoint;
    let samples = checkpoint.samples();
    let fastest = samples.iter().map(|sample| sample.speed).max();
    let Some(fastest) = fastest else {
        return section(
            "Speed over position",
            &html! { p { "The wipe was too short to plot." } },
        );
    };
    let bad = checkpoint.bad().shape();
    let bad: Vec<Extent> = bad.iter().map(|(area, ())| area).collect();
    let different = checkpoint.mismatches().iter().map(|range| range.extent);
    let different: Vec<Extent> = different.collect();
    let passes = checkpoint.plan().passes().len();
    let height = if passes <= 2 { 180 } else { 90 };
    let body = html! {
        p.legend {
            span.write { "written" } " "
            @if samples.iter().any(|s| s.phase == crate::plan::Phase::Verify) {
                span.read { "read back" } " "
            }
            @if !bad.is_empty() { span.bad { "bad sectors" } " " }
            @if !different.is_empty() { span.different { "sectors that differ" } }
        }
        @for pass in 1..=passes {
            @let own: Vec<_> = samples.iter().copied().filter(|s| s.pass == pass).collect();
            @if !own.is_empty() {
                figure {
                    @if passes > 1 { figcaption { "Pass " (pass) } }
                    (Plot {
                        size: checkpoint.total_size(),
                        samples: &own,
                        greatest: plot::axis(fastest).0,
                        bad: &bad,
                        different: &different,
                        height,
                    }.svg())
                }
            }
        }
    };
    section("Speed over position", &body)
}

fn times(record: &Record) -> Markup {
    let checkpoint = &record.checkpoint;
    let runs = checkpoint.runs();
    let active = Active::of(runs);
    let interruptions = active.runs.saturating_sub(1);
    // Those that are not kept one by one are among the hidden ones.
    let left_out = active.runs.saturating_sub(runs.len() as u64);
    let text = format!(
        "{}, in {}",
        active.text(),
        count(active.runs, "run", "runs")
    );
    let host = [&record.host.name, &record.host.model];
    let host: Vec<&str> = host.into_iter().flatten().map(String::as_str).collect();
    let saves = match checkpoint.failed_saves() {
        0 => String::new(),
        times => format!(
            "{} could not be saved; until the next good one a crash could have cost more than the \
             interval",
            count(times, "checkpoint", "checkpoints")
        ),
    };
    let hidden = runs.len().saturating_sub(RUNS);
    let shown = runs
        .iter()
        .enumerate()
        .filter(|(index, _)| *index < LISTED || *index >= hidden + LISTED);
    let body = html! {
        table.facts {
            (row("Start", &moment(checkpoint.started_at())))
            (row("End", &moment(checkpoint.timestamp())))
            (row("Active time", &text))
            (row("Asleep besides", &active.asleep_text()))
            (row("Interruptions", &grouped(interruptions)))
            (row("Checkpoints", &saves))
            (row("Host at the end", &host.join(", ")))
        }
        table.list {
            thead { tr { th.number { "Run" } th { "Start" } th { "End" } th { "Took" } th { "Ended by" } } }
            tbody {
                @for (index, run) in shown {
                    tr {
                        td.number { (index as u64 + 1 + if index < LISTED { 0 } else { left_out }) }
                        td { (moment(&run.start)) }
                        td { (run.end.as_deref().map_or("unknown".into(), moment)) }
                        td { (Took::of(run).text()) }
                        td { (ended_by(run)) }
                    }
                    @if hidden > 0 && index + 1 == LISTED {
                        tr { td {} td colspan="4" { (grouped(hidden as u64 + left_out)) " more, all in the record" } }
                    }
                }
            }
        }
    };
    section("When and where", &body)
}

/// `2026-01-14 02:10:07 +01:00` of an RFC 3339 stamp.
fn moment(stamp: &str) -> String {
    let Some((day, time)) = stamp.split_once('T') else {
        return clean(stamp);
    };
    let (clock, rest) = time.split_at_checked(8).unwrap_or((time, ""));
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    clean(format!("{day} {clock} {zone}").trim_end())
}

fn ended_by(run: &Run) -> String {
    match run.ended_by.as_deref() {
        None => "without a trace: killed, power lost, or the drive hung".into(),
        Some(why) => clean(why),
    }
}

/// What else was found.
fn found(record: &Record) -> Markup {
    let findings = record.checkpoint.findings();
    let body = html! {
        ul { @for finding in findings.iter() { li { (sentence(&finding.to_string())) } } }
    };
    html! { @if !findings.is_empty() { (section("What else was found", &body)) } }
}

fn reach(record: &Record) -> Markup {
    let body = html! {
        ul { @for limit in &record.limits { li { (sentence(limit)) } } }
        p.small {
            "\u{201c}Clear\u{201d} is meant as in NIST SP 800-88: "
            @if is_wiped(record) {
                "all user-addressable bytes were overwritten. "
            } @else {
                "that was NOT achieved here. "
            }
            "It is not Purge, and nobody certified this page; it says what the "
            "program did and saw."
        }
    };
    section("What overwriting does not reach", &body)
}

/// With a capital letter and one full stop.
fn sentence(text: &str) -> String {
    let text = clean(text);
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map_or(String::new(), |first| {
        format!("{}{}.", first.to_uppercase(), chars.as_str())
    })
}

/// What no program knows.
fn by_hand(record: &Record) -> Markup {
    let wanted = record.checkpoint.report();
    let line = |label: &str| html! { tr { th scope="row" { (label) } td.empty {} } };
    let person = |title: &str, name: Option<&str>| {
        html! {
            table.hand {
                thead { tr { th colspan="2" { (title) } } }
                tbody {
                    tr { th scope="row" { "Name" } td.empty { @if let Some(name) = name {
                        bdi { (clean_words(name)) }
                    } } }
                    (line("Title"))
                    (line("Location"))
                    (line("Contact"))
                    (line("Date"))
                    (line("Signature"))
                }
            }
        }
    };
    let body = html! {
        table.hand.wide {
            tbody {
                @if wanted.asset.is_none() { (line("Property number")) }
                (line("Media source (user, system)"))
                (line("Classification before"))
                (line("Classification after"))
                (line("Destination"))
            }
        }
        div.pair {
            (person("Sanitized by", wanted.operator.as_deref()))
            (person("Verified by", None))
        }
    };
    section("To be filled in by hand", &body)
}

fn footer(record: &Record, json: &[u8], file: &str) -> Markup {
    let run = html! { "run " span.code { (clean(record.checkpoint.run_id())) } };
    if file.is_empty() {
        return html! { footer {
            p { "The record of this wipe could not be kept (" (run) "): this page is all there is." }
        } };
    }
    html! {
        footer {
            p { "Record of this wipe: " span.code { (clean(file)) } " (" (run) "). Its SHA-256, to be compared "
                "with " span.code { "sha256sum" } ":" }
            p.code.digest { (digest(json)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::bad;
    use super::*;
    use crate::drive::Finding;
    use crate::drive::example::{SIZE, disk};
    use crate::outcome::Outcome;
    use crate::plan::{Difference, First, Wrap};
    use crate::plan::{Key, Phase, Plan, Step};
    use crate::probe::Computer;
    use crate::progress::Sample;

    const KEY: [u8; 32] = [0xAB; 32];

    /// A wipe of a drive with a tired area, stopped once.
    fn checkpoint(verify: Verify) -> Checkpoint {
        let content = Content::Random {
            generator: Generator::Aes256,
            key: Key::new(KEY),
        };
        let plan = Plan::new(vec![Pass { content, verify }]).unwrap();
        let run_id = "7f3a0b1c2d3e4f50";
        let begun = "2026-01-14T02:10:07.123+01:00";
        let id = disk().identity;
        let mut checkpoint = Checkpoint::begin(id, plan, 1 << 20, run_id.into(), begun);
        *checkpoint.device_mut() = "/dev/sdb".into();
        *checkpoint.timestamp_mut() = "2026-01-16T02:41:02.500+01:00".into();
        let run = |start: &str, end: &str, why: &str| Run {
            start: start.into(),
            end: Some(end.into()),
            ended_by: Some(why.into()),
            ..Run::default()
        };
        *checkpoint.runs_mut() = vec![
            run(begun, "2026-01-14T12:10:07.123+01:00", "SIGINT"),
            run(
                "2026-01-14T14:10:07+01:00",
                "2026-01-16T02:41:02+01:00",
                "finished",
            ),
        ];
        for i in 1..=200_u64 {
            for (phase, outside) in [(Phase::Write, 271), (Phase::Verify, 280)] {
                if phase == Phase::Verify && verify == Verify::None {
                    continue;
                }
                let noise = i * 7919 % 11 + u64::from(phase == Phase::Verify) * (i * 31 % 5);
                let dip = if (98..=103).contains(&i) { 190 } else { 0 };
                let slow = i * i * 140 / 40_000;
                checkpoint.samples_mut().push(Sample {
                    pass: 1,
                    phase,
                    offset: SIZE / 200 * i,
                    speed: (outside - slow).saturating_sub(dip + noise).max(4) * 1_000_000,
                });
            }
        }
        let complete = Step {
            pass: 0,
            phase: Phase::Complete,
        };
        checkpoint.set_position(complete, SIZE);
        checkpoint.report_mut().operator = Some("J\u{fc}rgen M\u{fc}ller".into());
        checkpoint.report_mut().asset = Some("INV-2041-7".into());
        checkpoint
    }

    fn differ(checkpoint: &mut Checkpoint, start: u64, length: u64, written_for: Option<u64>) {
        checkpoint.mismatches_mut().insert(Difference {
            extent: Extent::new(start, length).unwrap(),
            first: First {
                at: start,
                expected: vec![0x11; 16],
                found: vec![0x22; 16],
                written_for,
            },
        });
    }

    fn record(checkpoint: &Checkpoint, outcome: &Outcome) -> Record {
        let host = Computer {
            name: Some("bench-4".into()),
            model: Some("Dell Inc. PowerEdge R740xd".into()),
        };
        Record::new(checkpoint, outcome, &disk(), host)
    }

    fn page(checkpoint: &Checkpoint, outcome: &Outcome) -> String {
        let record = record(checkpoint, outcome);
        let json = record.to_json().unwrap();
        html(&record, &json, "sdb-ZR5A1B2C-7f3a0b1c.json")
    }

    /// The cell beside a label.
    fn fact<'a>(page: &'a str, label: &str) -> &'a str {
        let start = format!("<th scope=\"row\">{label}</th><td>");
        let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{label}"));
        rest.split("</td>").next().unwrap()
    }

    #[test]
    fn every_figure_that_is_checked_by_hand_is_the_one_of_the_record() {
        let page = page(&checkpoint(Verify::Full), &Outcome::Wiped);
        for (label, text) in [
            ("Drive", "SEAGATE ST18000NM004J ZR5A1B2C"),
            ("Method", "Clear: overwrite"),
            ("Finished", "2026-01-16 02:41:02 +01:00"),
            ("Serial number", "ZR5A1B2C"),
            ("Firmware", "E002"),
            ("World-wide name", "5000c500d1a2b3c4"),
            ("Capacity", "18,000,207,937,536 bytes (18.0 TB)"),
            ("Sector", "4,096 bytes (its logical block)"),
            ("Slot", "0:7"),
            ("Write cache", "write back: flushed at every checkpoint"),
            ("Hidden areas", "HPA, DCO and AMAX: not checked"),
            ("Passes", "1; 18,000,207,937,536 bytes (18.0 TB) in all"),
            (
                "Compared",
                "18,000,207,937,536 bytes (18.0 TB), 100.0% of the drive",
            ),
            ("Result", "equal: 0 bytes differ"),
            ("Start", "2026-01-14 02:10:07 +01:00"),
            // 10 h, and 36 h 30 min 55 s.
            ("Active time", "46 h 30 min, in 2 runs"),
            ("Interruptions", "1"),
            ("Host at the end", "bench-4, Dell Inc. PowerEdge R740xd"),
        ] {
            assert_eq!(fact(&page, label), text, "{label}");
        }
        assert!(page.contains("<h1 class=\"wiped\">WIPED</h1>"));
        assert!(page.contains("No overwrite reaches retired sectors"));
        assert!(page.contains("J\u{fc}rgen") && page.contains("INV-2041-7"));
        assert!(!page.contains("Property number"), "it has one");
    }

    #[test]
    fn the_digest_is_that_of_the_records_bytes() {
        // From FIPS 180-2.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), known);
        let record = record(&checkpoint(Verify::Full), &Outcome::Wiped);
        let json = record.to_json().unwrap();
        assert!(html(&record, &json, "x.json").contains(&digest(&json)));
    }

    #[test]
    fn the_page_has_no_key_no_script_and_nothing_from_elsewhere() {
        let page = page(&checkpoint(Verify::Full), &Outcome::Wiped);
        assert!(!page.contains(&hex::encode(KEY)) && !page.contains(&hex::encode(&KEY[..8])));
        for part in [
            "<script", "http:", "https:", "src=", "href=", "url(", "@import",
        ] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn what_is_not_clear_is_never_called_so() {
        let mut bad_one = checkpoint(Verify::Full);
        bad(&mut bad_one, 9_000_103_968_768, 2_097_152, During::Write);
        bad(&mut bad_one, 9_000_504_524_800, 2_097_152, During::Read);
        let page = page(&bad_one, &Outcome::NotClear);
        assert!(page.contains("<h1 class=\"not\">NOT-CLEAR</h1>"));
        assert_eq!(fact(&page, "Method"), "Clear NOT achieved");
        assert!(!page.contains("Clear: overwrite") && !page.contains("WIPED"));
        assert!(page.contains("1,024 sectors in 2 ranges, 4,194,304 bytes (4.19 MB)"));
        for text in [
            "9,000,103,968,768",
            "9,000,106,065,919",
            "2,097,152",
            "I/O error",
        ] {
            assert!(page.contains(text), "{text}");
        }
        let compared = "18,000,203,743,232 bytes (18.0 TB), 99.9% of the drive";
        assert_eq!(fact(&page, "Compared"), compared);
        assert_eq!(fact(&page, "Result"), "what could be compared is equal");
    }

    #[test]
    fn where_old_data_remains_stands_at_the_top_and_among_what_was_found() {
        let mut checkpoint = checkpoint(Verify::Full);
        let place = "/lower/<b>disk.img".into();
        checkpoint.findings_mut().note(Finding::OldDataAt { place });
        let page = page(&checkpoint, &Outcome::NotClear);
        let said = "the old data is still on /lower/&lt;b&gt;disk.img.";
        assert_eq!(page.to_lowercase().matches(said).count(), 2, "{page}");
        assert!(!page.contains("0 sectors"), "{page}");
    }

    #[test]
    fn what_differs_is_shown_and_a_counterfeit_named() {
        let mut checkpoint = checkpoint(Verify::Full);
        differ(&mut checkpoint, 4096, 8192, Some(24 << 20));
        *checkpoint.wrap_mut() = Some(Wrap::and(None, 8 << 20, 2 << 20));
        let page = page(&checkpoint, &Outcome::Differs);
        assert_eq!(
            fact(&page, "Result"),
            "NOT equal: 8,192 bytes (8.19 kB) in sectors that differ"
        );
        assert!(page.contains("Addresses wrap: the drive has at most 8,388,608 bytes (8.38 MB)"));
        for text in [
            &*hex(&[0x11; 16]),
            &*hex(&[0x22; 16]),
            "25,165,824",
            "12,287",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn a_wipe_without_a_full_read_back_claims_none() {
        let page = |verify| page(&checkpoint(verify), &Outcome::Wiped);
        let none = page(Verify::None);
        assert!(none.contains("but NOT read back.") && !none.contains("read back equal"));
        assert_eq!(fact(&none, "Result"), "nothing was compared");
        let verify = Verify::Sample { seed: 7 };
        let sample = page(verify);
        let share = size::percent_text(verify.bytes(SIZE), SIZE);
        assert!(sample.contains("every sample that was read back"));
        assert!(fact(&sample, "Compared").ends_with(&format!("{share} of the drive")));
    }

    #[test]
    fn what_a_killed_run_took_is_not_known() {
        let mut checkpoint = checkpoint(Verify::Full);
        checkpoint.runs_mut()[0].end = None;
        checkpoint.runs_mut()[0].ended_by = None;
        let page = page(&checkpoint, &Outcome::Wiped);
        assert_eq!(
            fact(&page, "Active time"),
            "at least 36 h 30 min, in 2 runs"
        );
        assert!(page.contains("without a trace: killed, power lost, or the drive hung"));
        checkpoint.runs_mut()[1].end = Some(checkpoint.runs()[1].start.clone());
        let page = self::page(&checkpoint, &Outcome::Wiped);
        assert_eq!(fact(&page, "Active time"), "unknown, in 2 runs");
    }

    #[test]
    fn hostile_words_reach_no_browser_raw() {
        const NASTY: &str = "<script>x</script>\"'&\n\x1b\u{202e}\u{9b}";
        let mut checkpoint = checkpoint(Verify::Full);
        let nasty = || Some(NASTY.to_string());
        let id = checkpoint.device_id_mut();
        (id.vendor, id.model, id.serial) = (nasty(), nasty(), nasty());
        (id.firmware, id.wwn) = (nasty(), nasty());
        *checkpoint.device_mut() = NASTY.into();
        *checkpoint.tool_version_mut() = NASTY.into();
        *checkpoint.timestamp_mut() = NASTY.into();
        checkpoint.runs_mut()[0].ended_by = nasty();
        let wanted = checkpoint.report_mut();
        (wanted.operator, wanted.asset, wanted.note) = (nasty(), nasty(), nasty());
        let mut record = record(&checkpoint, &Outcome::Wiped);
        (record.slot, record.host.name, record.host.model) = (nasty(), nasty(), nasty());
        (record.outcome, record.method) = (NASTY.into(), NASTY.into());
        record.limits = vec![NASTY.into()];
        let page = html(&record, b"", NASTY);
        assert!(!page.contains("<script") && !page.contains("x</"), "{page}");
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!page.chars().any(raw));
        let escaped = "&lt;script&gt;x&lt;/script&gt;&quot;'&amp;?";
        assert!(page.matches(escaped).count() >= 15);
    }

    #[test]
    fn thousands_of_ranges_and_runs_leave_a_page_that_can_be_read() {
        let mut checkpoint = checkpoint(Verify::Full);
        for i in 0..10_000 {
            bad(&mut checkpoint, i * 8192, 4096, During::Write);
        }
        *checkpoint.runs_mut() = vec![checkpoint.runs()[0].clone(); 1000];
        let page = page(&checkpoint, &Outcome::NotClear);
        assert!(page.contains("and 9,900 more, all in the record"));
        assert!(page.contains("960 more, all in the record"));
        assert!(page.len() < 200_000, "{}", page.len());
    }

    #[test]
    #[ignore = "writes pages to look at, to the folder WIPEIT_PAGES"]
    fn pages_to_look_at() {
        let folder = std::path::PathBuf::from(std::env::var("WIPEIT_PAGES").unwrap());
        let wiped = checkpoint(Verify::Full);
        let mut not_clear = wiped.clone();
        bad(&mut not_clear, 9_000_103_968_768, 2_097_152, During::Write);
        bad(&mut not_clear, 9_000_504_524_800, 2_097_152, During::Read);
        let mut differs = wiped.clone();
        for i in 0..40 {
            differ(
                &mut differs,
                i * 400_000_000_000,
                8_388_608,
                Some((i + 1) << 33),
            );
        }
        *differs.wrap_mut() = Some(Wrap::and(None, 8 << 30, 2 << 20));
        for (name, checkpoint, outcome) in [
            ("wiped", wiped, Outcome::Wiped),
            ("not-clear", not_clear, Outcome::NotClear),
            ("differs", differs, Outcome::Differs),
        ] {
            let file = folder.join(name).with_extension("html");
            std::fs::write(file, page(&checkpoint, &outcome)).unwrap();
        }
    }
}
