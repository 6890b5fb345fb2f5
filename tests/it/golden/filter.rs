//! What is another in every run: stamps, ids, keys, times, speeds, shares.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex_lite::Regex;

/// In this order; what stands for it.
const RULES: &[(&str, &str)] = &[
    // What the host's own file system keeps.
    (r"(?m)^(  State .*?) \(.*\)$", "$1 (KEEPS)"),
    (r"Continue[a-z, ]*:", "Continue:"),
    (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
        "STAMP",
    ),
    (
        r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?( [+-]\d\d:\d\d)?",
        "STAMP",
    ),
    (
        r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)( \d{1,2} [A-Z][a-z]{2}( \d{4})?)? \d\d:\d\d",
        "WHEN",
    ),
    (
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "UUID",
    ),
    (r"\b[0-9a-f]{32,64}\b", "HEX"),
    (r"-[0-9a-f]{8}\b", "-ID"),
    (
        r"\b(under 1 (?:s|min)|\d+ h \d+ min|\d+ min \d+ s|about \d+ (h \d+ )?(min|h)|\d+ s)\b",
        "SPAN",
    ),
    (r"\b[0-9.]+ [kKMGT]?i?B/s", "SPEED"),
    // Said once there is enough to tell by.
    (r"(?m)( SPEED)?(,? done [0-9T:-]+)?$", ""),
    (r"\b\d{1,2}\.\d%(?: \([0-9.]+ of )?", "SHARE "),
    (
        r#""(inode|blocks|data|work_ms|asleep_ms|offset_ms|speed|active_seconds|pid|done|written_before)": -?\d+"#,
        r#""$1": N"#,
    ),
    (
        r#""(progress_percent|plan_percent)": \d{1,2}\.\d+"#,
        r#""$1": SHARE"#,
    ),
    (" at SPEED, [a-z ]+;", ";"),
    (r"at line \d+ column \d+", "at line N column N"),
    (r"from byte \d+ on", "from byte N on"),
    (r"- \d+ of (\d+ bytes, (?:write|read-back))", "- N of $1"),
    (
        r"\d+ samples? of what was written (is|are)",
        "N samples of what was written are",
    ),
    (r"\d+ samples? ", "N samples "),
    (r"wipeit [0-9]+\.[0-9]+\.[0-9]+", "wipeit VERSION"),
    (r#""tool_version": "[^"]*""#, r#""tool_version": VERSION"#),
];

/// Without what is another in every run.
pub fn steady(text: &str) -> String {
    static MADE: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let made = |&(rule, word): &(&str, &'static str)| (Regex::new(rule).unwrap(), word);
        RULES.iter().map(made).collect()
    });
    let mut text = Cow::Borrowed(text);
    for (rule, word) in made {
        let replaced = rule.replace_all(&text, *word).into_owned();
        text = Cow::Owned(replaced);
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let in_json = format!("\"name\": \"{}\"", host.trim());
    let on_page = format!("<td>{}</td>", host.trim());
    let text = text.replace(&in_json, "\"name\": HOST");
    let text = text.replace(&on_page, "<td>HOST</td>");
    without_samples(&without_shares(&text))
}

/// A step is said once: how often it is said how far it is depends on the time
/// that it takes.
fn without_shares(text: &str) -> String {
    let (mut kept, mut steps) = (String::new(), Vec::new());
    for line in text.split_inclusive('\n') {
        if line.starts_with("$ wipeit") {
            steps.clear();
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let step = words
            .windows(2)
            .find(|pair| matches!(pair[0], "write" | "read-back"));
        if let (Some(step), ["STAMP", ..]) = (step, &words[..]) {
            let (this, all) = step[1].split_once('/').unwrap_or_default();
            // The last step alone always says that it is whole.
            let passing = words.last() == Some(&"100.0%") && this != all;
            let share = words.last() == Some(&"SHARE") && !words.contains(&"stopped:") || passing;
            let said = steps.contains(&step.concat());
            steps.push(step.concat());
            if share && said {
                continue;
            }
        }
        kept.push_str(line);
    }
    kept
}

/// How many there are depends on the time that it took.
fn without_samples(text: &str) -> String {
    let (mut kept, mut among) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if !among {
            kept.push_str(line);
        }
        among = (among || bare == "\"samples\": [") && bare != "]," && bare != "]";
    }
    kept
}

/// Each message in one line: where it is broken depends on the length of paths.
pub fn unwrapped(said: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with("         ") => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim_end().into()),
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A line of a table, however wide its columns are.
pub fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A page, an element a line, without style and plot.
pub fn page(html: &str) -> String {
    let plain = without(&without(html, "<style>", "</style>"), "<svg", "</svg>");
    plain.replace("><", ">\n<")
}

fn without(text: &str, start: &str, end: &str) -> String {
    let mut parts = text.split(start);
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |kept, part| {
        kept + part.split_once(end).map_or("", |(_, rest)| rest)
    })
}
