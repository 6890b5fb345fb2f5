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

#[derive(Debug)]
pub(super) enum Decision {
    Work(Box<Job>),
    Done(Box<Finished>),
}

/// The unfinished wipe of which the user is to say what becomes of it, before
/// anything can be decided.
pub(super) fn in_question(known: &mut Known, mode: Mode) -> Result<Option<&Unfinished>, Cause> {
    if matches!(mode, Mode::Fresh | Mode::Ensure) && !known.unusable.is_empty() {
        return Err(Cause::Unfinishable(known.unusable.swap_remove(0)));
    }
    let begun = known.of_it.first().filter(|_| mode == Mode::Fresh);
    begun.map_or(Ok(()), refuse_a_copy)?;
    Ok(begun)
}

/// Decides what is to be done to a drive of which this is known. Nothing is changed,
/// asked or printed. `notes`: what is to be said, a line each, whatever comes of it.
pub(super) fn decide(
    context: &Context,
    opened: &Opened,
    known: &mut Known,
    mode: Mode,
    notes: &mut Vec<String>,
) -> Result<Decision, Cause> {
    let Context { request, state, .. } = context;
    let afresh = |known, notes| {
        let job = afresh(context, opened, known, notes)?;
        Ok(Decision::Work(Box::new(job)))
    };
    match mode {
        Mode::Ensure if known.of_it.is_empty() => {
            let finished = history::finished(state, opened, notes)?;
            if finished.as_ref().is_none_or(|finished| !finished.sure) {
                refuse_doubtful(known)?;
                refuse_lost(known)?;
            }
            match finished {
                Some(finished) => wiped_already(&request.wish, finished),
                None => afresh(known, notes),
            }
        }
        Mode::Resume | Mode::Ensure => {
            let continued = choose(known, state)?;
            if let Proof::Differs(at) = continued.proof {
                return Err(Cause::WrittenSince(at));
            }
            refuse_a_copy(&continued)?;
            refuse_one_of_several(&context.host, opened, &continued)?;
            let job = continuation(request, continued, known)?;
            refuse_what_nobody_would_see(&job)?;
            Ok(Decision::Work(Box::new(job)))
        }
        Mode::Fresh => {
            refuse_lost(known)?;
            afresh(known, notes)
        }
        // A check never comes here: `batch` sends it to `check`.
        Mode::Restart | Mode::Check => afresh(known, notes),
    }
}

fn afresh(
    context: &Context,
    opened: &Opened,
    known: &Known,
    notes: &mut Vec<String>,
) -> Result<Job, Cause> {
    let Request {
        wish, buffer_size, ..
    } = &context.request;
    notes.extend(known.unusable.iter().map(Unusable::text));
    notes.extend(known.left_out.iter().cloned());
    let supersedes = history::to_supersede(&context.state, opened, known)?;
    let suits = Tuning::of(opened.device()).chunk;
    Ok(Job {
        plan: wish.plan(&mut Kernel, u64::from_le_bytes(random_bytes()?))?,
        scheme: wish.scheme.map(|scheme| scheme.name.to_string()),
        state: State::start(),
        chunk: buffer_size.unwrap_or(suits),
        continued: None,
        replaces: files_of(known),
        forgets: known.replaced().map(forgotten).collect(),
        supersedes,
    })
}

/// A drive that nothing identifies may be one that was begun; then it may also
/// be another one, or hold new data.
fn refuse_doubtful(known: &Known) -> Result<(), Cause> {
    let maybe = known.maybe.iter().map(|unfinished| &unfinished.file);
    let files: Vec<PathBuf> = maybe.chain(&known.doubtful).cloned().collect();
    if files.is_empty() {
        return Ok(());
    }
    Err(Cause::MayBeBegun(files))
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
    if let Some(scheme) = other_scheme(wish, done) {
        return Some(("--scheme", scheme.into()));
    }
    match wish.reconcile(done.plan(), 0, 0) {
        Err(contradiction) => Some((contradiction.option, contradiction.begun)),
        Ok(wanted) if done.plan().shows_no_less_than(&wanted) => None,
        Ok(_) => {
            let done = done.plan().verify().name();
            Some(("--verify", format!("read-back {done}")))
        }
    }
}

/// What scheme a wipe follows, where another one is asked for.
fn other_scheme<'a>(wish: &Wish, of: &'a Checkpoint) -> Option<&'a str> {
    let (asked, own) = (wish.scheme?.name, of.scheme());
    (own != Some(asked)).then(|| own.unwrap_or("without a scheme"))
}

/// Unfinished wipes of other drives that are named.
const OTHERS: usize = 3;

fn choose(known: &mut Known, state: &StateDir) -> Result<Unfinished, Cause> {
    if !known.of_it.is_empty() {
        return the_one_that_fits(known);
    }
    if known.maybe.len() > 1 {
        let files = known.maybe.iter().map(|one| one.file.clone());
        return Err(Cause::AnyOf(files.collect()));
    }
    if let Some(only) = known.maybe.pop() {
        return Ok(only);
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
    let Some(Original { path, unread }) = &begun.original else {
        return Ok(());
    };
    Err(match unread {
        None => Cause::Copied(path.clone()),
        Some(why) => Cause::MayBeCopied(path.clone(), why.clone()),
    })
}

/// Where no strong identifier is the drive's own, its keystream has to be on it
/// alone of all attached drives of its size.
fn refuse_one_of_several(
    host: &Host,
    opened: &Opened,
    continued: &Unfinished,
) -> Result<(), Cause> {
    let (device, kin) = (opened.device(), opened.kin());
    let checkpoint = &continued.checkpoint;
    let is_proved = continued.proof.is_cryptographic();
    let refused = if continued.same_identity {
        // What shows the same but does not hold the stream is another drive with
        // a copied name.
        let lacks = |path: &&PathBuf| is_proved && !kin::disk_holds(path, checkpoint);
        kin.paths.iter().find(lacks).cloned().map(Cause::Lookalike)
    } else if !is_proved {
        let rival = kin.rivals.first();
        rival.map(|rival| Cause::Rival(rival.path.clone()))
    } else {
        let nodes = kin.nodes();
        let holds = |other: &Attached| {
            (other.identity.kind, other.identity.size) == (device.identity.kind, device.size)
                && !nodes.contains(&other.path)
                && kin::holds(&other.path, checkpoint)
        };
        let others = host.beside(device).into_iter().filter(holds);
        let holding: Vec<PathBuf> = others.map(|other| other.path).collect();
        (!holding.is_empty()).then_some(Cause::HeldBy(holding))
    };
    refused.map_or(Ok(()), Err)
}

/// Refuses where the drive was seen to differ ahead of a read-back, and what is
/// left of the plan would not tell: the read-back is switched off or reads
/// samples. Nor is it for a later pass to wipe what may be new data.
fn refuse_what_nobody_would_see(job: &Job) -> Result<(), Cause> {
    let proof = job.continued.as_ref().map(|continued| continued.proof);
    let Some(Proof::Matches { ahead, .. }) = proof else {
        return Ok(());
    };
    let step = job.state.step;
    let is_told = step.phase == Phase::Verify
        && job.plan.part(step) == Verify::Full
        && job.plan.after(step).phase == Phase::Complete;
    match ahead {
        Some(at) if !is_told => Err(Cause::WrittenSince(at)),
        _ => Ok(()),
    }
}

fn continuation(request: &Request, continued: Unfinished, known: &Known) -> Result<Job, Cause> {
    let checkpoint = &continued.checkpoint;
    if let Some(begun) = other_scheme(&request.wish, checkpoint) {
        return Err(Cause::Contradicts("--scheme", begun.into()));
    }
    let own = checkpoint.scheme().and_then(Scheme::named);
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
        scheme: checkpoint.scheme().map(String::from),
        state,
        plan,
        chunk: request.buffer_size.unwrap_or(checkpoint.chunk_size()),
        replaces: files_of(known),
        supersedes: supersedes(checkpoint, known),
        forgets: Vec::new(),
        continued: Some(continued),
    })
}

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
