//! Medians, tables, and on which machine.

use std::fmt::Write as _;
use std::fs;

use jiff::Timestamp;

/// The middle of some figures, and their range.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = figures.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let middle = all.len() / 2;
        let median = if all.len().is_multiple_of(2) {
            f64::midpoint(*all.get(middle.checked_sub(1)?)?, *all.get(middle)?)
        } else {
            *all.get(middle)?
        };
        Some(Self {
            median,
            least: *all.first()?,
            most: *all.last()?,
        })
    }
}

/// Three digits that count.
pub fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// The median of figures, in short; a dash of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> String {
    Spread::of(figures).map_or("-".into(), |spread| figure(spread.median))
}

/// Their range.
pub fn range(figures: impl IntoIterator<Item = f64>) -> String {
    Spread::of(figures).map_or("-".into(), |spread| {
        format!("{}-{}", figure(spread.least), figure(spread.most))
    })
}

/// A table in Markdown.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// When and where the figures were taken.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("?".into(), |(_, value)| value.trim().to_string())
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Measured {} on {} x {}, memory {}, Linux {}, wipeit {}.",
        Timestamp::now().strftime("%Y-%m-%d"),
        cpus,
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        env!("CARGO_PKG_VERSION"),
    )
}
