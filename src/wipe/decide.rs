//! What is to be done to a drive: from the options and what the state directory
//! knows of it to a plan and the place where it begins.

use std::path::PathBuf;

use super::history::{self, Finished};
use super::kin;
use super::open::Opened;
use super::resume::{self, Known, Unfinished};
use crate::cli::{Mode, Request};
use crate::drive::{Attached, Device, Fact, Tuning, identity};
use crate::engine::{Proof, State};
use crate::outcome::Outcome;
use crate::plan::{Content, Draw, Key, Phase, Plan, ReadBack, Scheme, Verify, Wish};
use crate::probe::Host;
use crate::progress::{self, Beginning, Checkpoint, ContentBefore, StateDir, lineage};
use crate::screen::{self, question};
use crate::strategy;
use crate::text::{clean, shown};

/// What is to be done, as far as it is known before anything is opened.
#[derive(Debug)]
pub struct Job {
    /// All passes, also those that are done.
    pub plan: Plan,
    /// The scheme that it follows.
    pub scheme: Option<String>,
    /// Where it begins.
    pub state: State,
    /// Bytes of one write, before they are brought into range.
    pub chunk: u64,
    /// The wipe that is continued.
    pub continued: Option<Unfinished>,
    /// Checkpoints of this drive that the new one replaces.
    pub supersedes: Vec<PathBuf>,
    /// The run ids of the wipes of this drive that this one supersedes.
    pub superseded: Vec<String>,
    /// The unfinished wipes that are forgotten, in words.
    pub forgets: Vec<String>,
}

/// What was decided.
#[derive(Debug)]
pub enum Decision {
    /// There is something to do.
    Work(Box<Job>),
    /// The drive is wiped already: the record of that.
    Done(Box<Finished>),
}

/// Decides what is to be done; asks about an unfinished wipe where the request
/// does not say. Nothing is changed yet.
///
/// # Errors
/// The outcome that ends the run here: refused, left, or an option that
/// contradicts the wipe that is continued.
pub fn decide(
    request: &Request,
    host: &Host,
    opened: &Opened,
    state: &StateDir,
    subject: &str,
) -> Result<Decision, Outcome> {
    let mut known = resume::of_device(state, opened, subject)?;
    let mut mode = request.mode;
    if matches!(mode, Mode::Fresh | Mode::Ensure)
        && let Some(unusable) = known.unusable.first()
    {
        return Err(Outcome::Refused(format!(
            "{subject}: has an unfinished wipe that cannot be continued ({unusable}); \
             --restart wipes it from the start; not touched"
        )));
    }
    if mode == Mode::Fresh && known.of_it.is_empty() {
        refuse_lost(&known, subject)?;
    }
    if mode == Mode::Fresh
        && let Some(unfinished) = known.of_it.first()
    {
        refuse_a_copy(unfinished, subject)?;
        mode = ask_about(request, unfinished, opened.device(), subject)?;
    }
    if mode == Mode::Ensure {
        mode = Mode::Fresh;
        if known.of_it.is_empty() {
            let finished = history::finished(state, opened, subject)?;
            if finished.as_ref().is_none_or(|finished| !finished.sure) {
                refuse_doubtful(&known, subject)?;
                refuse_lost(&known, subject)?;
            }
            if let Some(finished) = finished {
                return wiped_already(request, finished, subject);
            }
        } else {
            mode = Mode::Resume;
        }
    }
    if mode == Mode::Resume {
        let continued = choose(&mut known, state, subject)?;
        check_drive(host, opened, &continued, subject)?;
        let job = continuation(request, continued, &known)?;
        refuse_what_nobody_would_see(&job, subject)?;
        return Ok(Decision::Work(Box::new(job)));
    }
    for line in known.unusable.iter().chain(&known.left_out) {
        screen::say(&format!("wipeit: {line}"));
    }
    let superseded = history::to_supersede(state, opened, &known, subject)?;
    Ok(Decision::Work(Box::new(Job {
        plan: request
            .wish
            .plan(&mut Kernel, u64::from_le_bytes(random_bytes()?))?,
        scheme: request.wish.scheme.map(|scheme| scheme.name.to_string()),
        state: State::start(),
        chunk: request
            .buffer_size
            .unwrap_or(Tuning::of(opened.device()).chunk),
        continued: None,
        supersedes: files_of(&known),
        forgets: known.replaced().map(forgotten).collect(),
        superseded,
    })))
}

/// A drive that nothing identifies may be one that was begun; then it may also
/// be another one, or hold new data.
fn refuse_doubtful(known: &Known, subject: &str) -> Result<(), Outcome> {
    let maybe = known.maybe.iter().map(|unfinished| &unfinished.file);
    let files: Vec<String> = maybe
        .chain(&known.doubtful)
        .map(|file| shown(file))
        .collect();
    if files.is_empty() {
        return Ok(());
    }
    Err(Outcome::Refused(format!(
        "{subject}: may be the drive of an unfinished wipe ({}), and nothing proves that it is or \
         is not; say --resume to continue it or --restart to start over; not touched",
        files.join(", ")
    )))
}

/// A checkpoint that says nothing any more may have been of this drive: what
/// is known of it is no more than that a wipe was begun.
fn refuse_lost(known: &Known, subject: &str) -> Result<(), Outcome> {
    let Some(first) = known.empty.first() else {
        return Ok(());
    };
    let more = match known.empty.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Err(Outcome::Refused(format!(
        "{subject}: may have an unfinished wipe: {file}{more} holds nothing, as a loss of power \
         leaves a file, so not even which drive it was of; rm {file} if it was another, or \
         --restart to wipe this one from the start; not touched",
        file = shown(first)
    )))
}

/// What `--ensure` says of a drive that has the record of a finished wipe.
fn wiped_already(
    request: &Request,
    finished: Finished,
    subject: &str,
) -> Result<Decision, Outcome> {
    let Finished { sure, proof, .. } = finished;
    let record = &finished.record;
    let when = record.checkpoint.timestamp().to_string();
    match proof {
        Proof::Matches { .. } => match missed(&request.wish, &record.checkpoint) {
            None => Ok(Decision::Done(Box::new(finished))),
            Some((option, done)) => Err(Outcome::Refused(format!(
                "{subject}: was wiped on {when}, but not as {option} asks ({done}); leave it out, \
                 or --restart; not touched"
            ))),
        },
        Proof::Differs(at) if !sure => Err(Outcome::Refused(format!(
            "{subject}: reports the same as the drive that was wiped on {when}, and does not hold \
             what was written then (at byte {at}); --restart wipes it; not touched"
        ))),
        Proof::Differs(at) => Err(Outcome::Refused(format!(
            "{subject}: was wiped on {when}, and written to since (at byte {at}); --restart \
             wipes it again; not touched"
        ))),
        Proof::TooLittle => Err(Outcome::Refused(format!(
            "{subject}: was wiped on {when}, but too little of it can be read to tell whether it \
             still is; --restart wipes it again; not touched"
        ))),
    }
}

/// The option that asks for something else than a finished wipe did, and what it
/// did.
fn missed(wish: &Wish, done: &Checkpoint) -> Option<(&'static str, String)> {
    if let Some(asked) = wish.scheme
        && done.scheme().as_deref() != Some(asked.name)
    {
        let scheme = done.scheme().as_deref().unwrap_or("without a scheme");
        return Some(("--scheme", scheme.to_string()));
    }
    match wish.reconcile(done.plan(), 0, 0) {
        Err(contradiction) => Some((contradiction.option, contradiction.begun)),
        Ok(wanted) if done.plan().shows_no_less_than(&wanted) => None,
        Ok(_) => Some((
            "--verify",
            format!("read-back {}", done.plan().verify().name()),
        )),
    }
}

/// Unfinished wipes of other drives that are named.
const OTHERS: usize = 3;

/// The unfinished wipe that is continued.
fn choose(known: &mut Known, state: &StateDir, subject: &str) -> Result<Unfinished, Outcome> {
    if !known.of_it.is_empty() {
        return the_one_that_fits(known, subject);
    }
    if known.maybe.len() == 1
        && let Some(only) = known.maybe.pop()
    {
        return Ok(only);
    }
    let files = |list: &[Unfinished]| -> String {
        list.iter()
            .map(|one| shown(&one.file))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if known.maybe.is_empty()
        && let Some(why) = known.elsewhere.first()
    {
        return Err(Outcome::Refused(format!("{why}; not touched")));
    }
    let why = if known.maybe.is_empty() {
        let reasons: Vec<&str> = known
            .unusable
            .iter()
            .chain(&known.left_out)
            .chain(known.of_others.iter().take(OTHERS))
            .map(String::as_str)
            .collect();
        let more = match known.of_others.len().saturating_sub(OTHERS) {
            0 => String::new(),
            more => format!("; and {more} more of other drives: see --list"),
        };
        let none = format!(
            "has no unfinished wipe in {} that can be continued",
            shown(state.root())
        );
        match reasons.as_slice() {
            [] => format!("{none}; start one without --resume"),
            reasons => format!(
                "{none} ({}{more}); start one without --resume",
                reasons.join("; ")
            ),
        }
    } else {
        format!(
            "may be the drive of any of {}, and nothing proves which; move the others away",
            files(&known.maybe)
        )
    };
    Err(Outcome::Refused(format!("{subject}: {why}; not touched")))
}

/// Of several unfinished wipes of one drive the one that its content fits, never
/// the one with the latest date. Several copies of one checkpoint are one wipe,
/// which got as far as the furthest of them says.
fn the_one_that_fits(known: &mut Known, subject: &str) -> Result<Unfinished, Outcome> {
    let mut wipes = std::mem::take(&mut known.of_it);
    wipes.sort_by_key(|begun| begun.checkpoint.progress());
    let mut furthest: Vec<Unfinished> = Vec::new();
    while let Some(begun) = wipes.pop() {
        let id = begun.checkpoint.run_id();
        if furthest.iter().any(|one| one.checkpoint.run_id() == id) {
            known.gone.push(begun);
        } else {
            furthest.push(begun);
        }
    }
    let rank = |begun: &Unfinished| match begun.proof {
        Proof::Matches { .. } => 2,
        Proof::TooLittle => 1,
        Proof::Differs(_) => 0,
    };
    let best = furthest.iter().map(rank).max().unwrap_or(0);
    let (mut fitting, others): (Vec<_>, Vec<_>) =
        furthest.into_iter().partition(|begun| rank(begun) == best);
    known.gone.extend(others);
    let files: Vec<String> = fitting.iter().map(|begun| shown(&begun.file)).collect();
    match (fitting.pop(), fitting.is_empty() || best == 0) {
        // Where none fits, that is what is said of it.
        (Some(one), true) => Ok(one),
        _ => Err(Outcome::Refused(format!(
            "{subject}: has several unfinished wipes ({}), and its content does not tell which \
             one is to be continued; move the others away, or --restart; not touched",
            files.join(", ")
        ))),
    }
}

/// Of two images that hold the same nobody knows which is the copy.
fn refuse_a_copy(begun: &Unfinished, subject: &str) -> Result<(), Outcome> {
    let Some(rival) = &begun.rival else {
        return Ok(());
    };
    let other = shown(&rival.path);
    let fact = match &rival.unread {
        None => format!("{other} holds the same, and is where its unfinished wipe began"),
        Some(why) => format!(
            "may be a copy of {other}, where its unfinished wipe began and which cannot be read: \
             {why}"
        ),
    };
    Err(Outcome::Refused(format!(
        "{subject}: {fact}; continue that one with `--resume {other}`, or remove it to continue \
         this one, or wipe this one from the start with --restart; not touched"
    )))
}

/// The last rules of "the same drive".
fn check_drive(
    host: &Host,
    opened: &Opened,
    continued: &Unfinished,
    subject: &str,
) -> Result<(), Outcome> {
    if let Proof::Differs(at) = continued.proof {
        return Err(written_to(at, subject));
    }
    refuse_a_copy(continued, subject)?;
    refuse_one_of_several(host, opened, continued, subject)
}

/// Where no strong identifier is the drive's own, its keystream has to be on it
/// alone of all attached drives of its size.
fn refuse_one_of_several(
    host: &Host,
    opened: &Opened,
    continued: &Unfinished,
    subject: &str,
) -> Result<(), Outcome> {
    let (device, kin) = (opened.device(), opened.kin());
    let refused = |why: String| Err(Outcome::Refused(format!("{subject}: {why}; not touched")));
    let holds = |path: &PathBuf| kin::holds(path, &continued.checkpoint);
    let is_proved = continued.proof.is_cryptographic();
    if continued.same_identity {
        // What shows the same but does not hold the stream is another drive with
        // a copied name.
        let lacks = |path: &&PathBuf| !kin::disk_holds(path, &continued.checkpoint);
        return match kin.paths.iter().find(|path| is_proved && lacks(path)) {
            Some(other) => refused(format!(
                "{} has the same name and shows the same, but not what was written; detach it",
                shown(other)
            )),
            None => Ok(()),
        };
    }
    if !is_proved {
        return match kin.rivals.first() {
            Some(rival) => refused(format!(
                "{} reports the same identifier, and what was written up to now does not tell \
                 which of them is the drive; detach one, or --restart",
                shown(&rival.path)
            )),
            None => Ok(()),
        };
    }
    let is_like = |other: &Attached| {
        (other.identity.kind, other.identity.size) == (device.identity.kind, device.size)
    };
    let others = host.beside(device).into_iter().filter(is_like);
    let others = others.map(|other| other.path);
    let holding: Vec<String> = others
        .filter(|path| !kin.nodes().contains(path) && holds(path))
        .map(|path| shown(&path))
        .collect();
    if holding.is_empty() {
        return Ok(());
    }
    refused(format!(
        "{} holds what was written as well, and no identifier tells which of them is the drive; \
         detach the copy",
        holding.join(", ")
    ))
}

/// Refuses where the drive was seen to differ ahead of a read-back, and what is
/// left of the plan would not tell: the read-back is switched off or reads
/// samples. Nor is it for a later pass to wipe what may be new data.
fn refuse_what_nobody_would_see(job: &Job, subject: &str) -> Result<(), Outcome> {
    let proof = job.continued.as_ref().map(|continued| continued.proof);
    let Some(Proof::Matches {
        ahead: Some(at), ..
    }) = proof
    else {
        return Ok(());
    };
    let step = job.state.step;
    let is_told = step.phase == Phase::Verify && job.plan.part(step) == Verify::Full;
    if is_told && job.plan.after(step).phase == Phase::Complete {
        Ok(())
    } else {
        Err(written_to(at, subject))
    }
}

fn written_to(at: u64, subject: &str) -> Outcome {
    Outcome::Refused(format!(
        "{subject}: was written to since the wipe stopped, or does not keep what is written to \
         it (byte {at} is not what was written); --restart wipes it from the start; not touched"
    ))
}

/// A fresh wipe was asked for, but there is an unfinished one.
fn ask_about(
    request: &Request,
    unfinished: &Unfinished,
    device: &Device,
    subject: &str,
) -> Result<Mode, Outcome> {
    use question::Unfinished::{Continue, Leave, NoTerminal, StartOver};
    let silent = request.yes || request.dry_run;
    let answer = if silent {
        NoTerminal
    } else {
        question::choose_continue(device, &unfinished.checkpoint).unwrap_or(NoTerminal)
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
            shown(&unfinished.file)
        ))),
    }
}

fn continuation(request: &Request, continued: Unfinished, known: &Known) -> Result<Job, Outcome> {
    let checkpoint = &continued.checkpoint;
    if let Some(asked) = request.wish.scheme
        && checkpoint.scheme().as_deref() != Some(asked.name)
    {
        let begun = checkpoint.scheme().as_deref().unwrap_or("without a scheme");
        return Err(Outcome::Usage(format!(
            "--scheme: contradicts the wipe that is continued ({begun}); leave it out, or \
             --restart"
        )));
    }
    let own = checkpoint.scheme().as_deref().and_then(Scheme::named);
    if let (Some(scheme), Some(how)) = (own, request.wish.verify) {
        scheme.allows(how).map_err(Outcome::Usage)?;
    }
    let seed = u64::from_le_bytes(random_bytes()?);
    let plan = request
        .wish
        .reconcile(checkpoint.plan(), checkpoint.step().pass, seed)
        .map_err(|contradiction| {
            Outcome::Usage(format!(
                "{}: contradicts the wipe that is continued ({}); leave it out, or --restart",
                contradiction.option, contradiction.begun
            ))
        })?;
    // What looks the same may be another drive, on which something else stands
    // between the samples.
    let may_be_its_double = continued.has_double && !continued.proof.is_cryptographic();
    let plan = if checkpoint.read_again() || may_be_its_double {
        // Whatever was asked: something could write to it since.
        plan.with_read_back(ReadBack::Full, usize::MAX, seed)
    } else {
        plan
    };
    let mut state = checkpoint.state(&plan);
    let is_last = state.step.pass + 1 == plan.passes().len();
    if may_be_its_double && state.step.phase != Phase::Write && is_last {
        (state.step.phase, state.position) = (Phase::Verify, 0);
    }
    Ok(Job {
        scheme: checkpoint.scheme().clone(),
        state,
        plan,
        chunk: request.buffer_size.unwrap_or(checkpoint.chunk_size()),
        supersedes: files_of(known),
        superseded: superseded(checkpoint, known),
        forgets: Vec::new(),
        continued: Some(continued),
    })
}

/// An unfinished wipe that a new one replaces.
fn forgotten(begun: &Unfinished) -> String {
    let checkpoint = &begun.checkpoint;
    format!(
        "the unfinished wipe of {} ({} {}), {}",
        checkpoint.started_at(),
        checkpoint.phase().name(),
        checkpoint.progress_text(),
        shown(&begun.file)
    )
}

/// What a continued wipe superseded, and the other unfinished ones that it does.
fn superseded(continued: &Checkpoint, known: &Known) -> Vec<String> {
    let mut ids = continued.supersedes().to_vec();
    for id in lineage::to_supersede(known.replaced().map(|other| &other.checkpoint)) {
        if id != continued.run_id() && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn files_of(known: &Known) -> Vec<PathBuf> {
    known.replaced().map(|old| old.file.clone()).collect()
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

/// Draws from the kernel.
struct Kernel;

impl Draw<Outcome> for Kernel {
    fn random(&mut self) -> Result<Content, Outcome> {
        let generator = strategy::best_generator();
        let key = Key::new(random_bytes()?);
        Ok(Content::Random { generator, key })
    }
    fn byte(&mut self) -> Result<u8, Outcome> {
        random_bytes::<1>().map(|[byte]| byte)
    }
}

impl Job {
    /// The checkpoint with which the job begins, at `now` (RFC 3339).
    ///
    /// # Errors
    /// A refusal when the kernel gives no random bytes.
    pub fn checkpoint(&self, opened: &Opened, now: &str) -> Result<Checkpoint, Outcome> {
        let device = opened.device();
        let checkpoint = if let Some(continued) = &self.continued {
            continued.checkpoint.clone()
        } else {
            let run_id = format!("{:032x}", u128::from_le_bytes(random_bytes()?));
            let (identity, plan) = (device.identity.clone(), self.plan.clone());
            let fresh = Checkpoint::begin(identity, plan, self.chunk, run_id, now);
            fresh.over(device.contents.iter().filter_map(|content| {
                Some(ContentBefore {
                    name: clean(&content.name),
                    size: content.size,
                    format: content.what?.into(),
                    label: content.label.as_deref().map(clean),
                })
            }))
        };
        let mut checkpoint = checkpoint.resumed(Beginning {
            device: identity::path_to_text(&device.path),
            identity: &device.identity,
            plan: &self.plan,
            scheme: self.scheme.as_ref(),
            chunk_size: self.chunk,
            supersedes: &self.superseded,
            page_cache: !opened.writer.is_direct(),
            state: &self.state,
        });
        if let Fact::Known(found) = &device.usage.leftovers {
            for finding in found {
                checkpoint.note(finding.clone());
            }
        }
        Ok(checkpoint)
    }

    /// The name of the checkpoint's file: a continued wipe keeps its own.
    #[must_use]
    pub fn file_name(&self, device: &Device, checkpoint: &Checkpoint) -> String {
        let own = |continued: &Unfinished| Some(continued.file.file_name()?.to_str()?.to_string());
        self.continued.as_ref().and_then(own).unwrap_or_else(|| {
            let serial = device.identity.serial.as_deref();
            progress::file_name(&device.name, serial, checkpoint.run_id())
        })
    }
}
