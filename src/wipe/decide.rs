//! What is to be done to a drive: from the options and what the state directory
//! knows of it to a plan and the place where it begins. Nothing here asks or prints.

use std::path::PathBuf;

use super::context::Context;
use super::history::{self, Finished};
use super::job::{Job, Kernel, random_bytes};
use super::kin;
use super::open::Opened;
use super::unfinished::{Known, Original, Unfinished};
use crate::cli::{Mode, Request};
use crate::drive::{Attached, Tuning};
use crate::engine::{Proof, State};
use crate::plan::{Phase, ReadBack, Scheme, Verify, Wish};
use crate::probe::Host;
use crate::progress::{Checkpoint, StateDir, lineage};
use crate::refusal::{Cause, Unusable};
use crate::text::shown;

/// What was decided.
#[derive(Debug)]
pub enum Decision {
    /// There is something to do.
    Work(Box<Job>),
    /// The drive is wiped already: the record of that.
    Done(Box<Finished>),
    /// It has an unfinished wipe, the first of those that are known to be of it, and
    /// the user is to say what becomes of that.
    Ask,
}

/// Decides what is to be done to a drive of which this is known. Nothing is changed,
/// asked or printed. `notes`: what is to be said, a line each, whatever comes of it.
///
/// # Errors
/// Refused, or an option that contradicts the wipe that is continued.
pub fn decide(
    context: &Context,
    opened: &Opened,
    known: &mut Known,
    mut mode: Mode,
    notes: &mut Vec<String>,
) -> Result<Decision, Cause> {
    let Context { request, state, .. } = context;
    if matches!(mode, Mode::Fresh | Mode::Ensure) && !known.unusable.is_empty() {
        return Err(Cause::Unfinishable(known.unusable.swap_remove(0)));
    }
    if mode == Mode::Fresh {
        let Some(unfinished) = known.of_it.first() else {
            refuse_lost(known)?;
            return afresh(context, opened, known, notes);
        };
        refuse_a_copy(unfinished)?;
        return Ok(Decision::Ask);
    }
    if mode == Mode::Ensure {
        if known.of_it.is_empty() {
            let finished = history::finished(state, opened, notes)?;
            if finished.as_ref().is_none_or(|finished| !finished.sure) {
                refuse_doubtful(known)?;
                refuse_lost(known)?;
            }
            return match finished {
                Some(finished) => wiped_already(&request.wish, finished),
                None => afresh(context, opened, known, notes),
            };
        }
        mode = Mode::Resume;
    }
    if mode == Mode::Resume {
        let continued = choose(known, state)?;
        check_drive(&context.host, opened, &continued)?;
        let job = continuation(request, continued, known)?;
        refuse_what_nobody_would_see(&job)?;
        return Ok(Decision::Work(Box::new(job)));
    }
    afresh(context, opened, known, notes)
}

/// A wipe from the start.
fn afresh(
    context: &Context,
    opened: &Opened,
    known: &Known,
    notes: &mut Vec<String>,
) -> Result<Decision, Cause> {
    let Request {
        wish, buffer_size, ..
    } = &context.request;
    notes.extend(known.unusable.iter().map(Unusable::text));
    notes.extend(known.left_out.iter().cloned());
    let supersedes = history::to_supersede(&context.state, opened, known)?;
    let suits = Tuning::of(opened.device()).chunk;
    Ok(Decision::Work(Box::new(Job {
        plan: wish.plan(&mut Kernel, u64::from_le_bytes(random_bytes()?))?,
        scheme: wish.scheme.map(|scheme| scheme.name.to_string()),
        state: State::start(),
        chunk: buffer_size.unwrap_or(suits),
        continued: None,
        replaces: files_of(known),
        forgets: known.replaced().map(forgotten).collect(),
        supersedes,
    })))
}

/// A drive that nothing identifies may be one that was begun; then it may also
/// be another one, or hold new data.
fn refuse_doubtful(known: &Known) -> Result<(), Cause> {
    let maybe = known.maybe.iter().map(|unfinished| &unfinished.file);
    let files: Vec<PathBuf> = maybe.chain(&known.doubtful).cloned().collect();
    if files.is_empty() {
        Ok(())
    } else {
        Err(Cause::MayBeBegun(files))
    }
}

/// A checkpoint that says nothing any more may have been of this drive: what
/// is known of it is no more than that a wipe was begun.
fn refuse_lost(known: &Known) -> Result<(), Cause> {
    match known.empty.split_first() {
        Some((first, others)) => Err(Cause::MayBeLost(first.clone(), others.len())),
        None => Ok(()),
    }
}

/// What `--ensure` says of a drive that has the record of a finished wipe.
fn wiped_already(wish: &Wish, finished: Finished) -> Result<Decision, Cause> {
    let checkpoint = &finished.record.checkpoint;
    let when = checkpoint.timestamp().to_string();
    match finished.proof {
        Proof::Matches { .. } => match missed(wish, checkpoint) {
            None => Ok(Decision::Done(Box::new(finished))),
            Some((option, done)) => Err(Cause::WipedOtherwise(when, option, done)),
        },
        Proof::Differs(at) if !finished.sure => Err(Cause::WipedLikeIt(when, at)),
        Proof::Differs(at) => Err(Cause::WipedAndUsed(when, at)),
        Proof::TooLittle => Err(Cause::WipedMaybe(when)),
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
fn choose(known: &mut Known, state: &StateDir) -> Result<Unfinished, Cause> {
    if !known.of_it.is_empty() {
        return the_one_that_fits(known);
    }
    if known.maybe.len() == 1
        && let Some(only) = known.maybe.pop()
    {
        return Ok(only);
    }
    if !known.maybe.is_empty() {
        let files = known.maybe.iter().map(|one| one.file.clone());
        return Err(Cause::AnyOf(files.collect()));
    }
    if !known.elsewhere.is_empty() {
        return Err(known.elsewhere.swap_remove(0));
    }
    let unusable = known.unusable.iter().map(Unusable::text);
    let others = known.of_others.iter().take(OTHERS);
    let left_out = unusable.chain(known.left_out.iter().chain(others).cloned());
    let more = known.of_others.len().saturating_sub(OTHERS);
    let state = state.root().to_path_buf();
    Err(Cause::NothingBegun(state, left_out.collect(), more))
}

/// Of several unfinished wipes of one drive the one that its content fits, never
/// the one with the latest date. Several copies of one checkpoint are one wipe,
/// which got as far as the furthest of them says.
fn the_one_that_fits(known: &mut Known) -> Result<Unfinished, Cause> {
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
    let files = fitting.iter().map(|begun| begun.file.clone()).collect();
    match (fitting.pop(), fitting.is_empty() || best == 0) {
        // Where none fits, that is what is said of it.
        (Some(one), true) => Ok(one),
        _ => Err(Cause::NoneFits(files)),
    }
}

/// Of two images that hold the same nobody knows which is the copy.
fn refuse_a_copy(begun: &Unfinished) -> Result<(), Cause> {
    match &begun.original {
        None => Ok(()),
        Some(Original { path, unread: None }) => Err(Cause::Copied(path.clone())),
        Some(Original {
            path,
            unread: Some(why),
        }) => Err(Cause::MayBeCopied(path.clone(), why.clone())),
    }
}

/// The last rules of "the same drive".
fn check_drive(host: &Host, opened: &Opened, continued: &Unfinished) -> Result<(), Cause> {
    if let Proof::Differs(at) = continued.proof {
        return Err(Cause::WrittenSince(at));
    }
    refuse_a_copy(continued)?;
    refuse_one_of_several(host, opened, continued)
}

/// Where no strong identifier is the drive's own, its keystream has to be on it
/// alone of all attached drives of its size.
fn refuse_one_of_several(
    host: &Host,
    opened: &Opened,
    continued: &Unfinished,
) -> Result<(), Cause> {
    let (device, kin) = (opened.device(), opened.kin());
    let holds = |path: &PathBuf| kin::holds(path, &continued.checkpoint);
    let is_proved = continued.proof.is_cryptographic();
    if continued.same_identity {
        // What shows the same but does not hold the stream is another drive with
        // a copied name.
        let lacks = |path: &&PathBuf| !kin::disk_holds(path, &continued.checkpoint);
        return match kin.paths.iter().find(|path| is_proved && lacks(path)) {
            Some(other) => Err(Cause::Lookalike(other.clone())),
            None => Ok(()),
        };
    }
    if !is_proved {
        return match kin.rivals.first() {
            Some(rival) => Err(Cause::Rival(rival.path.clone())),
            None => Ok(()),
        };
    }
    let is_like = |other: &Attached| {
        (other.identity.kind, other.identity.size) == (device.identity.kind, device.size)
    };
    let others = host.beside(device).into_iter().filter(is_like);
    let others = others.map(|other| other.path);
    let holding: Vec<PathBuf> = others
        .filter(|path| !kin.nodes().contains(path) && holds(path))
        .collect();
    if holding.is_empty() {
        return Ok(());
    }
    Err(Cause::HeldBy(holding))
}

/// Refuses where the drive was seen to differ ahead of a read-back, and what is
/// left of the plan would not tell: the read-back is switched off or reads
/// samples. Nor is it for a later pass to wipe what may be new data.
fn refuse_what_nobody_would_see(job: &Job) -> Result<(), Cause> {
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
        Err(Cause::WrittenSince(at))
    }
}

fn continuation(request: &Request, continued: Unfinished, known: &Known) -> Result<Job, Cause> {
    let checkpoint = &continued.checkpoint;
    if let Some(asked) = request.wish.scheme
        && checkpoint.scheme().as_deref() != Some(asked.name)
    {
        let begun = checkpoint.scheme().as_deref().unwrap_or("without a scheme");
        return Err(Cause::Contradicts("--scheme", begun.into()));
    }
    let own = checkpoint.scheme().as_deref().and_then(Scheme::named);
    if let (Some(scheme), Some(how)) = (own, request.wish.verify) {
        scheme
            .allows(how)
            .map_err(|why| Cause::Usage(why.to_string()))?;
    }
    let seed = u64::from_le_bytes(random_bytes()?);
    let plan = request
        .wish
        .reconcile(checkpoint.plan(), checkpoint.step().pass, seed)
        .map_err(|it| Cause::Contradicts(it.option, it.begun))?;
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
        replaces: files_of(known),
        supersedes: supersedes(checkpoint, known),
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
fn supersedes(continued: &Checkpoint, known: &Known) -> Vec<String> {
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
