//! The steps of a plan and their times.

use std::time::Duration;

use jiff::ZonedDateTime;

use crate::plan::{Phase, Plan, Step, Verify};
use crate::text::{about, clean, size};

/// Steps that are listed on the card.
const STEPS: usize = 8;

/// Column at which the times of the plan's steps stand.
const TIMES: usize = 41;

/// How long one pass takes: to write it, to read it back. Measured.
pub(crate) type PassTimes = (Duration, Duration);

/// The steps with their times, and when all is done.
pub(super) fn plan_lines(
    plan: &Plan,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
    size: u64,
) -> Vec<String> {
    let steps = plan.steps();
    let time_of = |step, times| time_of(plan, step, times, size);
    let mut lines: Vec<String> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // Of a long plan the begin and the end.
        let left_out = steps.len() > STEPS && (STEPS - 2..steps.len() - 1).contains(&index);
        if left_out {
            if index == STEPS - 2 {
                lines.push(format!("... {} more steps", steps.len() - STEPS + 1));
            }
            continue;
        }
        let text = format!("{}. {}", index + 1, step_text(plan, *step, size));
        let time = times.map_or(String::new(), |times| about(time_of(*step, times)));
        lines.push(format!("{text:<TIMES$}{time}").trim_end().to_string());
    }
    let whole = times.map(|times| {
        steps.iter().fold(Duration::ZERO, |sum, step| {
            sum.saturating_add(time_of(*step, times))
        })
    });
    if let Some(end) = whole.and_then(|whole| now.checked_add(whole).ok()) {
        lines.push(format!("done about {}", day(&end, now)));
    }
    lines
        .iter()
        .enumerate()
        .map(|(index, line)| {
            // Not through field(): the columns of the times stay.
            let label = if index == 0 { "Plan" } else { "" };
            format!("  {label:<9}{}", clean(line))
        })
        .collect()
}

pub(super) fn time_of(plan: &Plan, step: Step, times: PassTimes, size: u64) -> Duration {
    let whole = match step.phase {
        Phase::Write => times.0,
        Phase::Verify => times.1,
        Phase::Complete => Duration::ZERO,
    };
    let points = size::basis_points(plan.step_bytes(step, size), size);
    whole.saturating_mul(u32::from(points)) / 10_000
}

fn step_text(plan: &Plan, step: Step, size: u64) -> String {
    if step.phase == Phase::Verify {
        return match plan.pass(step.pass).verify {
            how @ Verify::Sample { .. } => {
                let share = size::percent_text(how.bytes(size), size);
                format!("read back samples ({share}), compare")
            }
            Verify::Full | Verify::None => "read everything back and compare".into(),
        };
    }
    format!("write {}", plan.pass(step.pass).content.words().object)
}

/// `Fri 16 Jan 00:40`, with the year where it is another one than now.
pub(super) fn day(at: &ZonedDateTime, now: &ZonedDateTime) -> String {
    let format = if at.year() == now.year() {
        "%a %-d %b %H:%M"
    } else {
        "%a %-d %b %Y %H:%M"
    };
    at.strftime(format).to_string()
}
