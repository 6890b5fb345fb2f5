//! How far a wipe got, in memory: what must agree is moved together.

use std::sync::Arc;

use serde::Deserialize;

use super::lists::{self, add_run, add_sample, shorten};
use super::parts::{ClockMark, ContentBefore, ReportWish, Run, Sample};
use crate::drive::{Device, FileFacts, Finding, Findings, Identity, path_to_text};
use crate::engine::State;
use crate::plan::{BadMap, Differences, Phase, Plan, Step, Wrap};
use crate::strategy::Key;
use crate::text::bounded;

/// Declares the checkpoint, field by field: what it is when a wipe begins (nothing
/// unless said), and its reader. How far it got is kept besides. In its file stand
/// the fields that [`wire`](super::wire) lists.
macro_rules! checkpoint {
    (@ $first:expr) => { $first };
    (@) => { Default::default() };
    (
        begin($($given:ident: $type:ty),*);
        $($(#[$wire:meta])*
        $name:ident: $kept:ty $(= $first:expr)? => $read:ty $(, by $by:tt)? $(, then $then:ident)?;)*
    ) => {
        /// How far a wipe got, durably. What each field means stands in the
        /// [page on the format](super).
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        pub struct Checkpoint {
            $($(#[$wire])* pub(super) $name: $kept,)*
            // a step of the plan, and bytes of it that are done; of `Complete` all
            #[serde(skip, default = "lists::first_step")]
            pub(super) step: Step,
            #[serde(skip)]
            pub(super) position: u64,
        }

        impl Checkpoint {
            /// The start of a wipe: nothing is written yet. `chunk_size` in bytes,
            /// `now` in RFC 3339.
            pub fn begin($($given: $type),*) -> Self {
                Self {
                    $($name: checkpoint!(@ $($first)?),)*
                    step: lists::first_step(),
                    position: 0,
                }
            }

            $(pub fn $name(&self) -> $read {
                $($by)? self.$name$(.$then())?
            })*
        }
    };
}

checkpoint! {
    begin(device_id: Identity, plan: Plan, chunk_size: u64, run_id: String, now: &str);
    device: String => &str, by &;
    chunk_size: u64 = chunk_size => u64;
    timestamp: String = now.into() => &str, by &;
    // its size is the target's
    device_id: Identity = device_id => &Identity, by &;
    run_id: String = run_id => &str, by &;
    #[serde(default, deserialize_with = "lists::ids")]
    supersedes: Vec<String> => &[String], by &;
    started_at: String = now.into() => &str, by &;
    #[serde(deserialize_with = "lists::runs")]
    runs: Vec<Run> => &[Run], by &;
    tool_version: String = env!("CARGO_PKG_VERSION").into() => &str, by &;
    plan: Plan = plan => &Plan, by &;
    #[serde(default)]
    scheme: Option<String> => Option<&str>, then as_deref;
    bad: BadMap => &BadMap, by &;
    mismatches: Differences => &Differences, by &;
    wrap: Option<Wrap> => Option<Wrap>;
    #[serde(deserialize_with = "lists::samples")]
    samples: Vec<Sample> => &[Sample], by &;
    page_cache: bool => bool;
    failed_saves: u64 => u64;
    #[serde(default)]
    findings: Findings => &Findings, by &;
    #[serde(default)]
    file: Option<FileFacts> => Option<&FileFacts>, then as_ref;
    #[serde(default)]
    read_again: bool => bool;
    #[serde(default, deserialize_with = "bounded::list::<_, _, {lists::MOST_CONTENTS}>")]
    contents_before: Vec<ContentBefore> => &[ContentBefore], by &;
    #[serde(default)]
    report: ReportWish => &ReportWish, by &;
}

impl Checkpoint {
    /// The same with what a run of it, fresh or continued, begins with. `page_cache`:
    /// whether reads go through it.
    #[must_use]
    pub fn for_run(
        mut self,
        device: &Device,
        scheme: Option<&String>,
        chunk_size: u64,
        supersedes: &[String],
        page_cache: bool,
    ) -> Self {
        self.supersedes = supersedes.to_vec();
        // An image that was moved is looked for where it is now.
        self.device_id.backing.clone_from(&device.identity.backing);
        self.device_id.nature.clone_from(&device.identity.nature);
        self.device = path_to_text(&device.path);
        self.chunk_size = chunk_size;
        self.tool_version = env!("CARGO_PKG_VERSION").into();
        self.page_cache |= page_cache;
        self.scheme = scheme.cloned();
        self
    }

    /// The same where it goes on in this plan.
    pub fn entering(mut self, plan: &Plan, state: &State) -> Self {
        self.plan = plan.clone();
        self.set_position(state.step, state.position);
        self
    }

    /// The finished wipe as a check reads it back: by this plan alone.
    pub fn checked_by(mut self, plan: &Plan, page_cache: bool) -> Self {
        (self.plan, self.page_cache) = (plan.clone(), page_cache);
        self
    }

    /// With what stood on the target before.
    pub fn over(mut self, contents: impl Iterator<Item = ContentBefore>) -> Self {
        self.contents_before = contents.take(lists::MOST_CONTENTS).collect();
        self
    }

    pub fn reporting(mut self, report: ReportWish) -> Self {
        self.report = report;
        self
    }

    pub fn without_keys(self) -> Self {
        self.with_keys(&[])
    }

    /// The same with the keys of its passes, counted from 1.
    pub fn with_keys(mut self, keys: &[(usize, Key)]) -> Self {
        self.plan = self.plan.with_keys(keys);
        self
    }

    /// The same of the drive by what is known of it now.
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

    pub fn begin_run(&mut self, start: String) {
        let run = Run {
            start,
            ..Run::default()
        };
        add_run(&mut self.runs, run);
    }

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

    pub fn add_sample(&mut self, sample: Sample) {
        add_sample(&mut self.samples, sample);
    }

    pub fn stamp(&mut self, now: String) {
        self.timestamp = now;
    }

    pub fn missed_save(&mut self) {
        self.failed_saves += 1;
    }

    pub fn note(&mut self, finding: Finding) {
        self.findings.note(finding);
    }

    pub fn clock_was_set(&mut self, by_ms: i64, times: u64) {
        self.findings.clock_was_set(by_ms, times);
    }

    pub fn file_is(&mut self, file: FileFacts) {
        self.file = Some(file);
    }

    pub fn set_read_again(&mut self, read_again: bool) {
        self.read_again = read_again;
    }

    pub fn total_size(&self) -> u64 {
        self.device_id.size
    }

    pub fn step(&self) -> Step {
        self.step
    }

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
