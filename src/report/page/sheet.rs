//! The page as a whole: its head, what it means, and what is left to people.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::super::found::Found;
use super::super::record::Record;
use super::drive::drive;
use super::parts::{bytes_text, is_wiped, moment, record_word, row, section, sentence, words};
use super::ranges::{bad, different};
use super::times::{speeds, times};
use super::work::{verification, work};
use crate::drive::Identity;
use crate::plan::Verify;
use crate::progress::digest;
use crate::text::{clean, clean_words};

const STYLE: &str = include_str!("page.css");

/// The page of a record: `json` are the record's exact bytes and `file` what
/// they are kept as; empty where they could not be kept.
pub(crate) fn html(record: &Record, json: &[u8], file: &str) -> String {
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
                (row("Method", &record.end.method))
                (row("Finished", &moment(checkpoint.timestamp())))
                (words("Asset", checkpoint.report().asset.as_deref()))
                (words("Operator", checkpoint.report().operator.as_deref()))
                (words("Note", checkpoint.report().note.as_deref()))
            }
        }
    }
}

fn meaning(record: &Record) -> String {
    let found = Found::of(&record.checkpoint);
    let (bad, noun) = (found.bad.in_sectors(), found.noun);
    match record.end.outcome.as_str() {
        "WIPED" => {
            let read_back = match found.read_back {
                Verify::Full => "and every byte was read back equal",
                Verify::Sample { .. } => "and every sample that was read back was equal",
                Verify::None => "but NOT read back",
            };
            let part = record.checkpoint.device_id().nature().part();
            let of = part.map_or(String::new(), |part| {
                format!(" of {part} (and of no other)")
            });
            format!("Every addressable byte{of} was overwritten and flushed, {read_back}.")
        }
        "NOT-CLEAR" if found.bad.is_none() => {
            let places = found.kept_elsewhere();
            let places: Vec<String> = places.map(|place| clean(&place.to_string())).collect();
            let places = places.join("; ");
            format!("Everything was overwritten, but the {noun} is NOT clear: {places}.")
        }
        "NOT-CLEAR" => format!(
            "{bad} could not be written or read back. The {noun} is NOT clear: old data may be \
             left. Do not reuse or sell it."
        ),
        "DIFFERS" => {
            let more = if found.bad.is_none() {
                String::new()
            } else {
                format!(" {bad} could not be written or read back.")
            };
            let differ = found.differ.as_bytes(&bytes_text);
            format!(
                "{differ} are in sectors that are not what was written. The {noun} cannot be \
                 trusted, or something else wrote to it.{more} Do not reuse or sell it."
            )
        }
        _ => "This outcome is not known to this version.".into(),
    }
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

fn found(record: &Record) -> Markup {
    let findings = record.checkpoint.findings();
    let body = html! {
        ul { @for finding in findings.iter() { li { (sentence(&finding.to_string())) } } }
    };
    html! { @if !findings.is_empty() { (section("What else was found", &body)) } }
}

fn reach(record: &Record) -> Markup {
    let body = html! {
        ul { @for limit in &record.end.limits { li { (sentence(limit)) } } }
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

/// What no program knows.
fn by_hand(record: &Record) -> Markup {
    let wish = record.checkpoint.report();
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
                @if wish.asset.is_none() { (line("Property number")) }
                (line("Media source (user, system)"))
                (line("Classification before"))
                (line("Classification after"))
                (line("Destination"))
            }
        }
        div.pair {
            (person("Sanitized by", wish.operator.as_deref()))
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
