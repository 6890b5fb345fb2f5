//! What is asked of the report, and whether it can be written where it is wish.

use std::path::Path;

use crate::cli::Request;
use crate::drive::{Device, Fact, Node};
use crate::probe::Host;
use crate::progress::{Checkpoint, Place, ReportWish};
use crate::refusal::Cause;
use crate::text::shown;

/// Whether `--report` names a place.
///
/// # Errors
/// A usage error.
pub fn understood(request: &Request) -> Result<(), Cause> {
    match &request.report {
        None => Ok(()),
        Some(path) => Place::new(path)
            .map(drop)
            .map_err(|why| Cause::Usage(format!("--report: {} {why}", shown(path)))),
    }
}

/// What is asked of the report, by this run or by the wipe that it continues.
/// A wipe of two days must not end without its report: whether that can be
/// written is looked at before.
///
/// # Errors
/// Refused: the place cannot be written, or lies on the target.
pub fn of(
    request: &Request,
    continued: Option<&Checkpoint>,
    host: &Host,
    device: &Device,
) -> Result<ReportWish, Cause> {
    let mut new = request.report_wish.clone();
    if let Some(path) = &request.report {
        let place = Place::new(path);
        let place = place.map_err(|why| Cause::Usage(format!("{} {why}", shown(path))))?;
        new.path = Some(place.to_text());
    }
    let before = continued.map(|checkpoint| checkpoint.report().clone());
    let before = before.unwrap_or_default();
    let wish = before.or_new(&new);
    let Some(text) = &wish.path else {
        return Ok(wish);
    };
    let place = Place::from_text(text).ok_or_else(|| {
        Cause::NoReportPlace("the checkpoint's is not understood; name another".into())
    })?;
    // What an earlier run of this wipe left may be replaced.
    let run_id = continued.map(Checkpoint::run_id);
    place.check(run_id).map_err(Cause::NoReportPlace)?;
    if lies_on(host, device, place.folder()) != Fact::Known(false) {
        let folder = shown(place.folder());
        let why = format!("{folder} may lie on the target; name another");
        return Err(Cause::NoReportPlace(why));
    }
    Ok(wish)
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
