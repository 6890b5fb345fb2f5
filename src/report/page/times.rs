//! How fast, when and where, on the page.

use super::super::found::{LISTED, saves_text};
use super::super::plot::{self, Plot};
use super::super::record::Record;
use super::super::time::Active;
use super::parts::{moment, row, section};
use crate::plan::{Extent, Phase};
use crate::progress::Run;
use crate::text::{clean, count, grouped};
use maud::{Markup, html};

/// Runs that are listed: first and last ones.
const RUNS: usize = 40;

pub(super) fn speeds(record: &Record) -> Markup {
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
            @if samples.iter().any(|s| s.phase == Phase::Verify) {
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

pub(super) fn times(record: &Record) -> Markup {
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
    let host = [&record.end.host.name, &record.end.host.model];
    let host: Vec<&str> = host.into_iter().flatten().map(String::as_str).collect();
    let failed = checkpoint.failed_saves();
    let saves = if failed > 0 {
        saves_text(failed)
    } else {
        String::new()
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
                        td { (Active::of(std::slice::from_ref(run)).text()) }
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

fn ended_by(run: &Run) -> String {
    match run.ended_by.as_deref() {
        None => "without a trace: killed, power lost, or the drive hung".into(),
        Some(why) => clean(why),
    }
}
