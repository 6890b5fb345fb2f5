//! The report of a finished wipe: where it goes, and that it can go there.

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::{Checkpoint, Wanted};
use crate::cli::Request;
use crate::device::{Device, Fact, Host, Node};
use crate::display;
use crate::outcome::Outcome;
use crate::progress::place::{Files, Place};
use crate::progress::{self, Saver};
use crate::report::record::Record;
use crate::report::{self, page};
use crate::text::{reason, shown};

/// Whether `--report` names a place.
///
/// # Errors
/// A usage error.
pub fn understood(request: &Request) -> Result<(), Outcome> {
    match &request.report {
        None => Ok(()),
        Some(path) => Place::new(path)
            .map(drop)
            .map_err(|why| Outcome::Usage(format!("--report: {} {why}", shown(path)))),
    }
}

/// What is asked of the report, by this run or by the wipe that it continues.
/// A wipe of two days must not end without its report: whether that can be
/// written is looked at before.
///
/// # Errors
/// Refused: the place cannot be written, or lies on the target.
pub fn wanted(
    request: &Request,
    continued: Option<&Checkpoint>,
    host: &Host,
    device: &Device,
    subject: &str,
) -> Result<Wanted, Outcome> {
    let mut new = request.wanted.clone();
    if let Some(path) = &request.report {
        let place = Place::new(path);
        let place = place.map_err(|why| Outcome::Usage(format!("{} {why}", shown(path))))?;
        new.path = Some(place.to_text());
    }
    let before = continued.map(|checkpoint| checkpoint.report.clone());
    let before = before.unwrap_or_default();
    let wanted = before.or_new(&new);
    let Some(text) = &wanted.path else {
        return Ok(wanted);
    };
    let refused = |why: String| {
        Outcome::Refused(format!(
            "{subject}: the report has no place: {why} with --report; not touched"
        ))
    };
    let place = Place::from_text(text)
        .ok_or_else(|| refused("the checkpoint's is not understood; name another".into()))?;
    // What an earlier run of this wipe left may be replaced.
    let run_id = continued.map(|checkpoint| checkpoint.run_id.as_str());
    place.check(run_id).map_err(refused)?;
    if lies_on(host, device, place.folder()) != Fact::Known(false) {
        let folder = shown(place.folder());
        return Err(refused(format!(
            "{folder} may lie on the target; name another"
        )));
    }
    Ok(wanted)
}

/// Whether a folder lies on a target. An image is a file beside others.
fn lies_on(host: &Host, device: &Device, folder: &Path) -> Fact<bool> {
    match device.node {
        Node::Image { .. } => Fact::Known(false),
        Node::Block { .. } => match host.held(device, folder) {
            Ok(facts) => facts.usage.carries_state,
            Err(why) => Fact::Unknown(why),
        },
    }
}

/// Keeps the record and its page in the state directory, and then writes the
/// report where it is wanted. A report that cannot be written there is said
/// loudly; the record stands.
///
/// # Errors
/// Why the record could not be kept.
pub fn keep(record: &Record, saver: &Saver, device: &Device) -> io::Result<Vec<PathBuf>> {
    let json = report::record_json(record).map_err(io::Error::other)?;
    let path = saver.report_path();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    saver.keep(&json, page::html(record, &json, &name).as_bytes())?;
    let html = path.with_extension("html");
    Ok(deliver(record, &json, &path, &html, device))
}

/// Writes the report where it is wanted; gives the files.
fn deliver(
    record: &Record,
    json: &[u8],
    kept: &Path,
    kept_page: &Path,
    device: &Device,
) -> Vec<PathBuf> {
    let checkpoint = &record.checkpoint;
    let Some(text) = &checkpoint.report.path else {
        return Vec::new();
    };
    let Some(place) = Place::from_text(text) else {
        return Vec::new();
    };
    let html = |file: &Path| page::html(record, json, &file.to_string_lossy());
    let name = progress::report_name(
        &device.name,
        checkpoint.device_id.serial.as_deref(),
        &checkpoint.started_at,
        &checkpoint.run_id,
    );
    let files = Files {
        name: &name,
        json,
        html: &html,
        kept,
    };
    // It was free when the wipe began, days ago maybe: another one may have left
    // its report there since.
    let delivered = place.check(Some(&checkpoint.run_id)).and_then(|()| {
        let delivered = place.deliver(&files);
        delivered.map_err(|error| reason(&error))
    });
    delivered.unwrap_or_else(|why| {
        let kept = shown(kept_page);
        let text = format!("the report could not be written: {why}; it is kept as {kept}");
        display::message(&shown(place.path()), &text);
        Vec::new()
    })
}

/// Writes the report of a wipe that was found done where this run wants it; the
/// record in the state directory stays as it is.
#[must_use]
pub fn again(request: &Request, record: &progress::Record, device: &Device) -> Vec<PathBuf> {
    let Some(path) = &request.report else {
        return Vec::new();
    };
    let read = || -> io::Result<(Vec<u8>, Record)> {
        let json = std::fs::read(&record.path)?;
        let known = serde_json::from_slice(&json)?;
        Ok((json, known))
    };
    let failed = |why: &str| {
        let kept = shown(&record.path);
        let text = format!("the report could not be written: {why}; it is kept as {kept}");
        display::message(&shown(path), &text);
        Vec::new()
    };
    match (read(), Place::new(path)) {
        (Err(error), _) => failed(&reason(&error)),
        (_, Err(why)) => failed(&why),
        (Ok((json, mut known)), Ok(place)) => {
            if let Err(why) = place.check(Some(&known.checkpoint.run_id)) {
                return failed(&why);
            }
            known.checkpoint.report.path = Some(place.to_text());
            let page = record.path.with_extension("html");
            deliver(&known, &json, &record.path, &page, device)
        }
    }
}
