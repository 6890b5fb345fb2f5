//! The bar: one line on a terminal that changes.

use std::io;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use jiff::ZonedDateTime;

use super::estimate::Estimate;
use super::output::{say, write_raw};
use super::paper::Paper;
use crate::engine::Progress;
use crate::text::{COLUMNS, about, clean, clock, columns, cut, size, width as width_of};

/// From this width on there is room for more than the usual figures.
const WIDE: usize = 120;
/// The widest line of a narrower window: the figures do not move apart.
const USUAL_LINE: usize = 80;
/// The longest bar between its brackets.
const MOST_CELLS: usize = 40;
/// The narrowest bar between its brackets that is worth it.
const FEWEST_CELLS: usize = 5;
/// Columns that a name keeps where there is little room.
const SHORT_NAME: usize = 8;
/// Columns that a name gets at most.
const LONG_NAME: usize = 16;
/// Columns of `  1.21 GB/s`, the longest speed.
const SPEED: usize = 11;
/// Columns of `  done Fri 00:41`.
const DONE: usize = 16;
/// Columns of `  43.0%  7.74/18.0 TB  all 21.5%  212 MB/s, mean 212 MB/s  about 46 h left, done Fri
/// 01:01`.
const WIDE_FIGURES: usize = 88;

/// The line of the bar for a terminal of `width` columns, of which the last one
/// stays free: a character there makes some terminals wrap. What does not fit
/// is left out: the bar first, then sizes, speed, time and step.
pub(super) fn line(
    name: &str,
    progress: &Progress,
    estimate: &Estimate,
    now: &ZonedDateTime,
    width: usize,
) -> String {
    if width >= WIDE {
        return wide_line(name, progress, estimate, now, width - 1);
    }
    let room = width.saturating_sub(1).min(USUAL_LINE);
    let points = size::basis_points(progress.done, progress.size);
    let step = step(progress);
    let short = size::percent_text(progress.done, progress.size);
    let percent = format!("{short:>7}");
    let sizes = sizes(progress);
    let speed = per_second("  ", estimate.speed());
    let done = estimate
        .done_at(now)
        .map(|at| format!("  done {}", clock(now, &at)))
        .unwrap_or_default();

    // Nominal widths, so that the bar does not jump when a figure grows.
    let figures = percent.len() + sizes.len() + SPEED.max(speed.len()) + DONE.max(done.len());
    let name = clean(name);
    let long = cut(&name, LONG_NAME);
    let cells = room.saturating_sub(width_of(&long) + step.len() + " []".len() + figures);
    if cells >= FEWEST_CELLS {
        let bar = cells_of(points, cells);
        return format!("{long}{step} [{bar}]{percent}{sizes}{speed}{done}");
    }
    let layouts: [&[&str]; 5] = [
        &[&step, &percent, &sizes, &speed, &done],
        &[&step, &percent, &speed, &done],
        &[&step, &percent, &done],
        &[&step, &percent],
        &[&percent],
    ];
    for parts in layouts {
        let taken: usize = parts.iter().map(|part| part.len()).sum();
        let left = room.saturating_sub(taken);
        if left >= width_of(&long).clamp(1, SHORT_NAME) {
            return format!("{}{}", cut(&long, left), parts.concat());
        }
    }
    if short.len() <= room {
        short
    } else {
        String::new()
    }
}

/// The same with all that a wide window has room for: the percentage of all steps,
/// the mean speed, and how long it still takes.
fn wide_line(
    name: &str,
    progress: &Progress,
    estimate: &Estimate,
    now: &ZonedDateTime,
    room: usize,
) -> String {
    let points = size::basis_points(progress.done, progress.size);
    let percent = size::percent_text(progress.done, progress.size);
    let all = match progress.steps {
        1 => String::new(),
        _ => format!("  all {:>5}", estimate.percent()),
    };
    let speed = per_second("  ", estimate.speed());
    let mean = per_second(", mean ", estimate.mean().filter(|_| !speed.is_empty()));
    let left = estimate
        .remaining()
        .map_or(String::new(), |left| format!("  {} left", about(left)));
    let done = estimate
        .done_at(now)
        .map_or(String::new(), |at| format!(", done {}", clock(now, &at)));
    let figures = [
        &format!("{percent:>7}"),
        &sizes(progress),
        &all,
        &speed,
        &mean,
        &left,
        &done,
    ];
    let figures = figures.map(String::as_str).concat();
    let (name, step) = (cut(&clean(name), LONG_NAME), step(progress));
    // As in the usual line, the bar does not jump.
    let nominal = figures.len().max(WIDE_FIGURES);
    let cells = room.saturating_sub(width_of(&name) + step.len() + " []".len() + nominal);
    let cells = cells.min(MOST_CELLS);
    if cells < FEWEST_CELLS {
        return line(name.as_str(), progress, estimate, now, WIDE - 1);
    }
    format!("{name}{step} [{}]{figures}", cells_of(points, cells))
}

/// ` 1/2 write`.
fn step(progress: &Progress) -> String {
    let phase = progress.step.phase.name();
    format!(" {}/{} {phase}", progress.number, progress.steps)
}

fn per_second(before: &str, speed: Option<u64>) -> String {
    speed.map_or(String::new(), |speed| {
        format!("{before}{}/s", size::decimal(speed))
    })
}

/// `  7.74/18.0 TB`, always as wide.
fn sizes(progress: &Progress) -> String {
    let whole = size::decimal(progress.size);
    let digits = whole.split(' ').next().map_or(0, str::len).max(4);
    let both = size::part_of(progress.done.min(progress.size), progress.size, "/");
    format!("  {both:>width$}", width = digits + 1 + whole.len())
}

fn cells_of(points: u16, cells: usize) -> String {
    let full = (usize::from(points) * cells / 10_000).min(cells);
    "#".repeat(full) + &".".repeat(cells - full)
}

/// The bar and the lines above it, on stderr.
pub(super) struct Terminal(ProgressBar);

impl Terminal {
    pub(super) fn new() -> Self {
        let target = ProgressDrawTarget::term_like(Box::<Raw>::default());
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Paper for Terminal {
    fn line(&mut self, text: &str) {
        self.0.suspend(|| say(text));
    }

    fn bar(&mut self, text: String) {
        self.0.set_message(text);
    }

    fn end(&mut self) {
        self.0.finish_and_clear();
    }

    fn width(&self) -> usize {
        columns(io::stderr()).unwrap_or(COLUMNS)
    }
}

/// A terminal for indicatif that draws one line and leaves the cursor at its
/// begin.
///
/// indicatif's own target pads a line with spaces into the last column and
/// leaves the cursor there: when the window is made narrower the padding wraps,
/// and the next drawing clears only the last of the rows. Here nothing is
/// padded, and from the begin of the line everything below is cleared, into
/// however many rows the terminal has broken it.
#[derive(Debug, Default)]
struct Raw {
    // what is drawn at the next flush, in one write
    pending: Mutex<String>,
}

impl Raw {
    fn add(&self, text: &str) {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(text);
    }
}

impl TermLike for Raw {
    fn width(&self) -> u16 {
        // Only measures the padding, which is not drawn; more than any line.
        1000
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text);
        self.add("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text.trim_end_matches(' '));
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[J");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::mem::take(&mut *pending);
        drop(pending);
        if text.is_empty() {
            return Ok(());
        }
        write_raw(io::stderr(), format!("{text}\r").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, Step};
    use proptest::prelude::*;
    use std::time::Duration;

    const SIZE: u64 = 18_000_207_937_536;

    fn at(done: u64, size: u64, phase: Phase) -> Progress {
        Progress {
            step: Step { pass: 0, phase },
            number: if phase == Phase::Write { 1 } else { 2 },
            steps: 2,
            done,
            saved: 0,
            size,
        }
    }

    fn now() -> ZonedDateTime {
        "2026-01-14T12:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    /// 212 MB/s for a second, ending at `done` of two steps.
    fn estimate(done: u64) -> Estimate {
        let mut estimate = Estimate::new(2 * u128::from(SIZE));
        estimate.feed(Duration::ZERO, u128::from(done) - 212_000_000);
        estimate.feed(Duration::from_secs(1), u128::from(done));
        estimate
    }

    #[test]
    fn the_bar_fits_80_columns_and_leaves_the_last_one_free() {
        let done = 7_740_089_413_632;
        let progress = at(done, SIZE, Phase::Write);
        let line = |width| line("sdb", &progress, &estimate(done), &now(), width);
        assert_eq!(
            line(80),
            "sdb 1/2 write [######.........]  43.0%  7.74/18.0 TB  212 MB/s  done Fri 01:01"
        );
        // The longest speed would fit, too.
        assert_eq!(line(80).len(), 78);
        assert_eq!(line(119).len(), 79);
    }

    #[test]
    fn a_wide_window_shows_all_steps_the_mean_and_the_time_left() {
        let done = 7_740_089_413_632;
        let progress = at(done, SIZE, Phase::Write);
        let line = |width| line("sdb", &progress, &estimate(done), &now(), width);
        let figures = "  43.0%  7.74/18.0 TB  all 21.5%  212 MB/s, mean 212 MB/s  about 37 h left, \
                       done Fri 01:01";
        assert_eq!(line(120), format!("sdb 1/2 write [#####........]{figures}"));
        assert_eq!(
            line(300),
            format!(
                "sdb 1/2 write [{}{}]{figures}",
                "#".repeat(17),
                ".".repeat(23)
            )
        );
    }

    #[test]
    fn a_narrow_terminal_loses_the_bar_first_and_the_percentage_last() {
        let done = 7_740_089_413_632;
        let progress = at(done, SIZE, Phase::Write);
        let line = |width| line("sdb", &progress, &estimate(done), &now(), width);
        assert_eq!(line(40), "sdb 1/2 write  43.0%  done Fri 01:01");
        assert_eq!(line(24), "sdb 1/2 write  43.0%");
        assert_eq!(line(12), "sdb  43.0%");
        assert_eq!(line(7), "43.0%");
        assert_eq!(line(4), "");
        assert_eq!(line(0), "");
    }

    #[test]
    fn without_an_estimate_the_bar_promises_nothing() {
        let none = Estimate::new(10);
        let progress = at(0, SIZE, Phase::Verify);
        let line = line("sdb", &progress, &none, &now(), 80);
        assert!(!line.contains("/s") && !line.contains("done"), "{line}");
        assert!(line.starts_with("sdb 2/2 read-back [....."), "{line}");
    }

    proptest! {
        #[test]
        fn every_line_fits_and_never_passes_100_percent(
            name in "\\PC{0,60}|[a-z]{1,60}",
            done in 0..=u64::MAX, size in 1..=u64::MAX,
            width in 0_usize..200, verify: bool,
        ) {
            let phase = if verify { Phase::Verify } else { Phase::Write };
            let progress = at(done, size, phase);
            let mut estimate = Estimate::new(u128::from(size) * 2);
            estimate.feed(Duration::ZERO, 0);
            estimate.feed(Duration::from_secs(7), u128::from(done));
            let line = line(&name, &progress, &estimate, &now(), width);
            let most = if width < WIDE { 80 } else { width };
            prop_assert!(width_of(&line) <= width.saturating_sub(1).min(most), "{}", line);
            if line.contains('%') {
                prop_assert!(done >= size || !line.contains("100.0%"), "{}", line);
            }
        }
    }
}
