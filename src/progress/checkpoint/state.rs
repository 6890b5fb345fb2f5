//! How far a wipe got, in memory: what must agree is moved together.

use std::sync::Arc;

use serde::Deserialize;

use super::lists::{self, add_run, add_sample, shorten};
use super::parts::{ClockMark, ContentBefore, ReportWish, Run, Sample};
use crate::drive::{FileFacts, Finding, Findings, Identity};
use crate::engine::State;
use crate::plan::{BadMap, Differences, Phase, Plan, Step, Wrap};
use crate::strategy::Key;

/// How far a wipe got, durably. What each field means stands in the
/// [page on the format](super).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Checkpoint {
    pub(super) device: String,
    pub(super) chunk_size: u64,
    pub(super) timestamp: String,
    // its size is the target's
    pub(super) device_id: Identity,
    pub(super) run_id: String,
    #[serde(default, deserialize_with = "lists::ids")]
    pub(super) supersedes: Vec<String>,
    pub(super) started_at: String,
    #[serde(deserialize_with = "lists::runs")]
    pub(super) runs: Vec<Run>,
    pub(super) tool_version: String,
    pub(super) plan: Plan,
    #[serde(default)]
    pub(super) scheme: Option<String>,
    // a step of the plan, and bytes of it that are done; of `Complete` all
    #[serde(skip, default = "lists::first_step")]
    pub(super) step: Step,
    #[serde(skip)]
    pub(super) position: u64,
    pub(super) bad: BadMap,
    pub(super) mismatches: Differences,
    pub(super) wrap: Option<Wrap>,
    #[serde(deserialize_with = "lists::samples")]
    pub(super) samples: Vec<Sample>,
    pub(super) page_cache: bool,
    pub(super) failed_saves: u64,
    #[serde(default)]
    pub(super) findings: Findings,
    #[serde(default)]
    pub(super) file: Option<FileFacts>,
    #[serde(default)]
    pub(super) read_again: bool,
    #[serde(default, deserialize_with = "lists::contents_before")]
    pub(super) contents_before: Vec<ContentBefore>,
    #[serde(default)]
    pub(super) report: ReportWish,
}

/// With what a run begins, fresh or continued.
pub struct RunSetup<'a> {
    /// The target's path, as it is kept.
    pub device: String,
    /// What is known of it now.
    pub identity: &'a Identity,
    /// What is written and read back.
    pub plan: &'a Plan,
    /// The name of the scheme that asks for it.
    pub scheme: Option<&'a String>,
    /// Bytes of one write.
    pub chunk_size: u64,
    /// The wipes that this one supersedes.
    pub supersedes: &'a [String],
    /// Whether reads go through the page cache.
    pub page_cache: bool,
    /// Where it goes on.
    pub state: &'a State,
}

/// Readers of fields, by reference and by value; for tests also writers.
macro_rules! readers {
    ($($name:ident, $edit:ident: $kept:ty => $given:ty;)* ; $($flat:ident, $set:ident: $type:ty;)*) => {
        #[allow(missing_docs, reason = "each is on the page on the format")]
        impl Checkpoint {
            $(pub fn $name(&self) -> &$given {
                &self.$name
            })*
            $(pub fn $flat(&self) -> $type {
                self.$flat
            })*
            $(#[cfg(test)]
            pub fn $edit(&mut self) -> &mut $kept {
                &mut self.$name
            })*
            $(#[cfg(test)]
            pub fn $set(&mut self) -> &mut $type {
                &mut self.$flat
            })*
        }
    };
}

readers! {
    device, device_mut: String => str;
    timestamp, timestamp_mut: String => str;
    device_id, device_id_mut: Identity => Identity;
    run_id, run_id_mut: String => str;
    supersedes, supersedes_mut: Vec<String> => [String];
    started_at, started_at_mut: String => str;
    runs, runs_mut: Vec<Run> => [Run];
    tool_version, tool_version_mut: String => str;
    plan, plan_mut: Plan => Plan;
    scheme, scheme_mut: Option<String> => Option<String>;
    bad, bad_mut: BadMap => BadMap;
    mismatches, mismatches_mut: Differences => Differences;
    samples, samples_mut: Vec<Sample> => [Sample];
    findings, findings_mut: Findings => Findings;
    file, file_mut: Option<FileFacts> => Option<FileFacts>;
    contents_before, contents_before_mut: Vec<ContentBefore> => [ContentBefore];
    report, report_mut: ReportWish => ReportWish;
    ;
    wrap, wrap_mut: Option<Wrap>;
    page_cache, page_cache_mut: bool;
    failed_saves, failed_saves_mut: u64;
    read_again, read_again_mut: bool;
}

impl Checkpoint {
    /// The start of a wipe: nothing is written yet. `chunk_size` in bytes,
    /// `now` in RFC 3339.
    pub fn begin(
        device_id: Identity,
        plan: Plan,
        chunk_size: u64,
        run_id: String,
        now: &str,
    ) -> Self {
        Self {
            device: String::new(),
            chunk_size,
            timestamp: now.into(),
            device_id,
            run_id,
            supersedes: Vec::new(),
            started_at: now.into(),
            runs: Vec::new(),
            tool_version: env!("CARGO_PKG_VERSION").into(),
            plan,
            scheme: None,
            step: lists::first_step(),
            position: 0,
            bad: BadMap::default(),
            mismatches: Differences::default(),
            wrap: None,
            samples: Vec::new(),
            page_cache: false,
            failed_saves: 0,
            findings: Findings::default(),
            file: None,
            read_again: false,
            contents_before: Vec::new(),
            report: ReportWish::default(),
        }
    }

    /// The same with what the run that goes on with it begins with.
    #[must_use]
    pub fn for_run(mut self, with: RunSetup) -> Self {
        self.supersedes = with.supersedes.to_vec();
        // An image that was moved is looked for where it is now.
        self.device_id.backing.clone_from(&with.identity.backing);
        self.device_id.nature.clone_from(&with.identity.nature);
        self.device = with.device;
        self.chunk_size = with.chunk_size;
        self.tool_version = env!("CARGO_PKG_VERSION").into();
        self.page_cache |= with.page_cache;
        self.scheme = with.scheme.cloned();
        self.entering(with.plan, with.state)
    }

    /// The same where it goes on in this plan.
    #[must_use]
    pub fn entering(mut self, plan: &Plan, state: &State) -> Self {
        self.plan = plan.clone();
        self.set_position(state.step, state.position);
        self
    }

    /// The finished wipe as a check reads it back: by this plan alone.
    #[must_use]
    pub fn checked_by(mut self, plan: &Plan, page_cache: bool) -> Self {
        (self.plan, self.page_cache) = (plan.clone(), page_cache);
        self
    }

    /// The same with what stood on the target before.
    #[must_use]
    pub fn over(mut self, contents: impl Iterator<Item = ContentBefore>) -> Self {
        self.contents_before = contents.take(lists::MOST_CONTENTS).collect();
        self
    }

    /// The same with what is asked of the report.
    #[must_use]
    pub fn reporting(mut self, report: ReportWish) -> Self {
        self.report = report;
        self
    }

    /// The same as it can be handed out.
    #[must_use]
    pub fn without_keys(self) -> Self {
        self.with_keys(&[])
    }

    /// The same with the keys of its passes, counted from 1.
    #[must_use]
    pub fn with_keys(mut self, keys: &[(usize, Key)]) -> Self {
        self.plan = self.plan.with_keys(keys);
        self
    }

    /// The same of the drive by what is known of it now.
    #[must_use]
    pub fn of_drive(mut self, identity: &Identity) -> Self {
        self.device_id = identity.clone();
        self
    }

    /// Takes in how far the engine got. Its position and what was found on the
    /// way come from one moment.
    pub fn advance(&mut self, state: &State) {
        self.bad = (*state.bad).clone();
        self.mismatches = (*state.mismatches).clone();
        self.wrap = state.wrap;
        self.set_position(state.step, state.position);
    }

    /// Moves to a position.
    pub fn set_position(&mut self, step: Step, position: u64) {
        self.step = step;
        self.position = match step.phase {
            Phase::Write | Phase::Verify => position,
            Phase::Complete => self.total_size(),
        };
    }

    /// Where the engine goes on. The plan is its own, except that the read-back
    /// may have been switched on or off. One that is to be read again has a plan
    /// that reads the last pass back.
    pub fn state(&self, plan: &Plan) -> State {
        let (mut step, mut position) = plan.entry(&self.plan, self.step, self.position);
        if self.read_again && step.phase == Phase::Complete {
            (step.phase, position) = (Phase::Verify, 0);
        }
        State {
            step,
            position,
            bad: Arc::new(self.bad.clone()),
            mismatches: Arc::new(self.mismatches.clone()),
            wrap: self.wrap,
        }
    }

    /// Begins another run of the wipe, at this time (RFC 3339).
    pub fn begin_run(&mut self, start: String) {
        let run = Run {
            start,
            ..Run::default()
        };
        add_run(&mut self.runs, run);
    }

    /// What the run under way took up to now, in milliseconds.
    pub fn take_time(&mut self, work_ms: u64, asleep_ms: u64, clock: Option<ClockMark>) {
        if let Some(run) = self.runs.last_mut() {
            run.work_ms = Some(work_ms);
            run.asleep_ms = asleep_ms;
            run.clock = clock.or(run.clock.take());
        }
    }

    /// The run under way has ended, at this time (RFC 3339) and for this reason.
    pub fn end_run(&mut self, end: String, ended_by: &str) {
        if let Some(run) = self.runs.last_mut() {
            run.end = Some(end);
            run.ended_by = Some(ended_by.to_string());
            shorten(run);
        }
    }

    /// Adds the speed over one more stretch.
    pub fn add_sample(&mut self, sample: Sample) {
        add_sample(&mut self.samples, sample);
    }

    /// It is saved now (RFC 3339).
    pub fn stamp(&mut self, now: String) {
        self.timestamp = now;
    }

    /// It could not be saved.
    pub fn missed_save(&mut self) {
        self.failed_saves += 1;
    }

    /// What else is to be said of the wipe.
    pub fn note(&mut self, finding: Finding) {
        self.findings.note(finding);
    }

    /// The clock was set by so many milliseconds, so often.
    pub fn clock_was_set(&mut self, by_ms: i64, times: u64) {
        self.findings.clock_was_set(by_ms, times);
    }

    /// The target's file as it is now.
    pub fn file_is(&mut self, file: FileFacts) {
        self.file = Some(file);
    }

    /// Whether all of it is to be read back before it is called wiped.
    pub fn set_read_again(&mut self, read_again: bool) {
        self.read_again = read_again;
    }

    /// Bytes of the target.
    pub fn total_size(&self) -> u64 {
        self.device_id.size
    }

    /// Bytes of one write.
    pub fn chunk_size(&self) -> u64 {
        self.chunk_size
    }

    /// The step that is under way.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What is done with the current pass.
    pub fn phase(&self) -> Phase {
        self.step.phase
    }

    /// The current pass, from 1.
    pub fn pass(&self) -> usize {
        self.step.pass + 1
    }

    /// Bytes of the step that are done.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Keeps half of its ranges; `false` where no fewer are possible.
    pub(super) fn halve(&mut self) -> bool {
        let before = self.bad.len() + self.mismatches.len();
        self.bad.halve();
        self.mismatches.halve();
        self.bad.len() + self.mismatches.len() < before
    }
}
