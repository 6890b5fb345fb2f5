//! What is to be done to a drive: from the options and what the state directory
//! knows of it to a plan and the place where it begins.

use std::path::PathBuf;
use std::sync::Arc;

use crate::checkpoint::{Checkpoint, KIND, VERSION};
use crate::cli::{Mode, Request};
use crate::confirm;
use crate::device::Device;
use crate::display;
use crate::engine::{DEFAULT_CHUNK, Settings, State};
use crate::extent::{BadMap, ExtentSet};
use crate::outcome::Outcome;
use crate::plan::{Content, Key, Phase, Plan, Step};
use crate::progress::StateDir;
use crate::resume::{self, Unfinished};
use crate::strategy;

/// What is to be done, as far as it is known before anything is opened.
#[derive(Debug)]
pub struct Job {
    /// All passes, also those that are done.
    pub plan: Plan,
    /// Where it begins.
    pub state: State,
    /// Bytes of one write, before they are brought into range.
    pub chunk: u64,
    /// The wipe that is continued.
    pub continued: Option<Unfinished>,
    /// Checkpoints of this drive that the new one replaces.
    pub supersedes: Vec<PathBuf>,
}

/// Decides what is to be done; asks about an unfinished wipe where the request
/// does not say. Nothing is changed yet.
///
/// # Errors
/// The outcome that ends the run here: refused, left, or an option that
/// contradicts the wipe that is continued.
pub fn decide(
    request: &Request,
    device: &Device,
    state: &StateDir,
    subject: &str,
) -> Result<Job, Outcome> {
    let mut known = resume::of_device(state, device)?;
    let mut mode = request.mode;
    if mode == Mode::Fresh
        && let Some(unfinished) = known.unfinished.last()
    {
        mode = ask_about(request, unfinished, device, subject)?;
    }
    if mode == Mode::Resume {
        let Some(continued) = known.unfinished.pop() else {
            // The file that stands in the way says more than that there is none.
            return Err(Outcome::Refused(
                known.left_out.into_iter().next().unwrap_or_else(|| {
                    format!(
                        "{subject}: has no unfinished wipe in {}; start one without --resume",
                        state.root().display()
                    )
                }),
            ));
        };
        return continuation(request, continued, known.unfinished);
    }
    for line in &known.left_out {
        display::say(&format!("wipeit: {line}"));
    }
    Ok(Job {
        plan: request.wish.plan(new_random)?,
        state: State::start(),
        chunk: request.buffer_size.unwrap_or(DEFAULT_CHUNK),
        continued: None,
        supersedes: files_of(known.unfinished),
    })
}

/// A fresh wipe was asked for, but there is an unfinished one.
fn ask_about(
    request: &Request,
    unfinished: &Unfinished,
    device: &Device,
    subject: &str,
) -> Result<Mode, Outcome> {
    use confirm::Unfinished::{Continue, Leave, NoTerminal, StartOver};
    let silent = request.yes || request.dry_run;
    let answer = if silent {
        NoTerminal
    } else {
        confirm::choose_continue(device, &unfinished.checkpoint).unwrap_or(NoTerminal)
    };
    match answer {
        Continue => Ok(Mode::Resume),
        StartOver => Ok(Mode::Restart),
        Leave => Err(Outcome::Refused(format!(
            "{subject}: left as it was; nothing was written"
        ))),
        NoTerminal => Err(Outcome::Refused(format!(
            "{subject}: has an unfinished wipe ({}); say --resume to continue it or --restart \
             to start over; not touched",
            unfinished.file.display()
        ))),
    }
}

fn continuation(
    request: &Request,
    continued: Unfinished,
    older: Vec<Unfinished>,
) -> Result<Job, Outcome> {
    let checkpoint = &continued.checkpoint;
    let plan = request
        .wish
        .reconcile(&checkpoint.plan)
        .map_err(|contradiction| {
            Outcome::Usage(format!(
                "{}: contradicts the wipe that is continued ({}); leave it out, or --restart",
                contradiction.option, contradiction.begun
            ))
        })?;
    let (step, position) = entry(&plan, checkpoint);
    Ok(Job {
        state: State {
            step,
            position,
            bad: Arc::new(checkpoint.bad.clone()),
            mismatches: Arc::new(checkpoint.mismatches.clone()),
        },
        plan,
        chunk: request.buffer_size.unwrap_or(checkpoint.chunk_size),
        supersedes: files_of(older),
        continued: Some(continued),
    })
}

fn files_of(unfinished: Vec<Unfinished>) -> Vec<PathBuf> {
    unfinished.into_iter().map(|old| old.file).collect()
}

/// Where a plan goes on whose read-back may have been switched on or off.
fn entry(plan: &Plan, checkpoint: &Checkpoint) -> (Step, u64) {
    let step = checkpoint.step();
    let verified = plan.pass(step.pass).verify;
    match step.phase {
        Phase::Verify if !verified => (plan.after(step), 0),
        Phase::Complete if verified && !checkpoint.plan.verifies() => (
            Step {
                pass: step.pass,
                phase: Phase::Verify,
            },
            0,
        ),
        _ => (step, checkpoint.position()),
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], Outcome> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Outcome::Refused(format!(
            "random: the kernel gives no random bytes: {error}; not touched"
        ))
    })?;
    Ok(bytes)
}

/// A new key for each pass.
fn new_random() -> Result<Content, Outcome> {
    let generator = strategy::best_generator();
    let key = Key::new(random_bytes()?);
    Ok(Content::Random { generator, key })
}

/// A number below `below` to look at. Without randomness the places are known
/// beforehand, which weakens the proof only against somebody who forges it.
#[must_use]
pub fn draw(below: u64) -> u64 {
    let bytes = random_bytes().unwrap_or([0x5A; 8]);
    u64::from_le_bytes(bytes) % below.max(1)
}

/// The checkpoint of a wipe that begins at `now` (RFC 3339).
///
/// # Errors
/// A refusal when the kernel gives no random bytes.
pub fn fresh_checkpoint(
    device: &Device,
    plan: &Plan,
    settings: Settings,
    now: &str,
) -> Result<Checkpoint, Outcome> {
    let id = u128::from_le_bytes(random_bytes()?);
    let mut checkpoint = Checkpoint {
        kind: KIND.into(),
        version: VERSION,
        device: String::new(),
        written: 0,
        total_size: device.size,
        progress_percent: 0.0,
        chunk_size: settings.chunk(),
        timestamp: now.into(),
        device_id: device.identity.clone(),
        plan_percent: 0.0,
        run_id: format!("{id:032x}"),
        started_at: now.into(),
        runs: Vec::new(),
        tool_version: String::new(),
        plan: plan.clone(),
        pass: 1,
        phase: Phase::Write,
        verified: 0,
        bad: BadMap::default(),
        mismatches: ExtentSet::default(),
        samples: Vec::new(),
        page_cache: false,
    };
    checkpoint.set_position(
        Step {
            pass: 0,
            phase: Phase::Write,
        },
        0,
    );
    Ok(checkpoint)
}
