//! The page of a report, as a reader would check it against the record.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::state::number;

/// The SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-r"])
        .env("PATH", super::path_variable())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let out = child.wait_with_output().unwrap();
    let line = String::from_utf8_lossy(&out.stdout).to_string();
    line.split(' ').next().unwrap().into()
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Fails unless the page says what the record, of which these are the exact
/// bytes, says: outcome, every bad and every differing range, and its digest.
pub fn tells(page: &str, json: &str) {
    let record: Value = serde_json::from_str(json).unwrap();
    let says = |what: &str| assert!(page.contains(what), "no {what:?} in {page}");
    says(&digest(json.as_bytes()));
    let outcome = record["outcome"].as_str().unwrap();
    let class = if outcome == "WIPED" { "wiped" } else { "not" };
    says(&format!("<h1 class=\"{class}\">{outcome}</h1>"));
    let cells = |entry: &Value| {
        let (start, length) = (number(entry, "start"), number(entry, "length"));
        [start, start + length - 1, length]
            .map(|number| format!("<td class=\"number\">{}</td>", grouped(number)))
            .concat()
    };
    let list = |field: &str| record[field].as_array().unwrap();
    let bytes = |field: &str| -> u64 { list(field).iter().map(|one| number(one, "length")).sum() };
    for bad in list("bad") {
        let (pass, during) = (number(bad, "pass"), bad["during"].as_str().unwrap());
        says(&format!(
            "{}<td class=\"number\">{pass}</td><td>{during}</td><td>",
            cells(bad)
        ));
    }
    if list("bad").is_empty() {
        says("<h2>Bad sectors</h2><p>None.</p>");
    } else {
        let block = number(&record["device_id"], "logical_block");
        let blocks = bytes("bad") / block;
        let noun = if blocks == 1 { "sector" } else { "sectors" };
        says(&format!("<strong>{} {noun} in ", grouped(blocks)));
    }
    for differing in list("mismatches") {
        let hex = |field: &str| {
            let text = differing[field].as_str().unwrap();
            let (a, b) = text.split_at(text.len().min(16));
            format!("<td class=\"code\">{a} {b}</td>")
        };
        let row = [cells(differing), hex("expected"), hex("found")].concat();
        says(&row);
    }
    if list("mismatches").is_empty() {
        assert!(!page.contains("Blocks that differ"), "{page}");
    } else {
        says("Blocks that differ");
        says(&format!("{} bytes", grouped(bytes("mismatches"))));
    }
    assert_eq!(page.contains("Addresses wrap"), !record["wrap"].is_null());
}
