//! What sections of the page are made of.

use super::super::record::Record;
use crate::text::{clean, clean_words, count, grouped, size};
use maud::{Markup, html};

/// Rows of a table of ranges; the rest stands in the record.
pub(super) const ROWS: usize = 100;

pub(super) fn record_word(record: &Record) -> String {
    clean(&record.end.outcome)
}

pub(super) fn is_wiped(record: &Record) -> bool {
    record.end.outcome == "WIPED"
}

/// A row of a table of facts; nothing where there is nothing to say.
pub(super) fn row(label: &str, text: &str) -> Markup {
    html! {
        @if !text.is_empty() {
            tr { th scope="row" { (label) } td { (clean(text)) } }
        }
    }
}

pub(super) fn section(title: &str, body: &Markup) -> Markup {
    html! { section { h2 { (title) } (body) } }
}

pub(super) fn bytes_text(bytes: u64) -> String {
    if bytes < 1000 {
        return count(bytes, "byte", "bytes");
    }
    format!("{} bytes ({})", grouped(bytes), size::decimal(bytes))
}

/// What the user said, each in its own direction of writing.
pub(super) fn words(label: &str, text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            tr { th scope="row" { (label) } td { bdi { (clean_words(text)) } } }
        }
    }
}

pub(super) fn left_out(all: usize) -> Markup {
    html! {
        @if all > ROWS {
            p.small { "and " (grouped((all - ROWS) as u64)) " more, all in the record" }
        }
    }
}

/// `2026-01-14 02:10:07 +01:00` of an RFC 3339 stamp.
pub(super) fn moment(stamp: &str) -> String {
    let Some((day, time)) = stamp.split_once('T') else {
        return clean(stamp);
    };
    let (clock, rest) = time.split_at_checked(8).unwrap_or((time, ""));
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    clean(format!("{day} {clock} {zone}").trim_end())
}

/// With a capital letter and one full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = clean(text);
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map_or(String::new(), |first| {
        format!("{}{}.", first.to_uppercase(), chars.as_str())
    })
}
