//! The record and the report of a finished wipe: where they go, that they can go
//! there, and what is done where they cannot.

use std::borrow::Cow;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::cli::Request;
use crate::drive::{Device, Fact, Node};
use crate::plan::Amount;
use crate::probe::Host;
use crate::progress::{
    self, Checkpoint, Files, LARGEST, LoadError, NoPlace, Place, ReportWish, Saver,
};
use crate::refusal::Cause;
use crate::report::{Record, page};
use crate::signal::Stop;
use crate::strategy::Key;
use crate::text::reason;

/// How long a record or report that cannot be written is tried again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(500);

/// What is asked of the report, by this run or by the wipe that it continues.
/// A wipe of two days must not end without its report: whether that can be
/// written is looked at before.
pub(super) fn wish(
    request: &Request,
    continued: Option<&Checkpoint>,
    host: &Host,
    device: &Device,
) -> Result<ReportWish, Cause> {
    let before = continued.map(|checkpoint| checkpoint.report().clone());
    let wish = before.unwrap_or_default().or_new(&request.report_wish);
    if let Some(text) = &wish.path {
        // What an earlier run of this wipe left may be replaced.
        let run_id = continued.map(Checkpoint::run_id);
        check_place(text, run_id, host, device).map_err(Cause::NoReportPlace)?;
    }
    Ok(wish)
}

fn check_place(
    text: &str,
    run_id: Option<&str>,
    host: &Host,
    device: &Device,
) -> Result<(), NoPlace> {
    let place = Place::from_text(text)?;
    place.check(run_id)?;
    match lies_on(host, device, place.folder()) {
        Fact::Known(false) => Ok(()),
        _ => Err(NoPlace::OnTarget(place.folder().into())),
    }
}

/// Whether a folder lies on a target. An image is a file beside others.
fn lies_on(host: &Host, device: &Device, folder: &Path) -> Fact<bool> {
    match device.node {
        Node::Image { .. } => Fact::Known(false),
        // It tells of any folder what it tells of the state directory.
        Node::Block { .. } => match host.held(device, folder) {
            Ok(facts) => facts.usage.carries_state,
            Err(why) => Fact::Unknown(why),
        },
    }
}

/// What became of the record and the report of a finished wipe. Each reason is
/// for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivered {
    pub record: Result<(), String>,
    pub page: Result<(), String>,
    /// Whether the checkpoint was removed, which only a kept record allows.
    pub ended: Result<(), String>,
    /// The files that `--report` asked for.
    pub report: Result<Vec<PathBuf>, String>,
}

impl Delivered {
    /// None of it, for this reason.
    pub(super) fn nothing(why: &str) -> Self {
        let failed = || Err(why.to_string());
        Self {
            record: failed(),
            page: failed(),
            ended: failed(),
            report: Err(why.to_string()),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.record.is_ok() && self.page.is_ok() && self.ended.is_ok() && self.report.is_ok()
    }
}

/// The end of a wipe whose outcome is known: what is to be written, from memory.
pub(super) struct Delivery<'a> {
    record: Cow<'a, Record>,
    // whether an earlier run of this wipe kept the record, and its keys apart
    kept: Option<bool>,
    saver: &'a Saver,
    device: &'a Device,
    json: RecordBytes,
    // no later attempt would help the report
    hopeless: bool,
    // whether the record was kept when the report was written
    named_record: bool,
    now: Delivered,
}

impl<'a> Delivery<'a> {
    /// Nothing is written yet. A record that an earlier run of this wipe kept
    /// with the same result stays as it is, and the rest is written from it: its
    /// SHA-256 stands on pages.
    pub(super) fn new(
        record: &'a Record,
        saver: &'a Saver,
        device: &'a Device,
    ) -> io::Result<Self> {
        let wish = record.checkpoint.report();
        let mut now = Delivered::nothing("");
        if wish.path.is_none() {
            now.report = Ok(Vec::new());
        }
        let before = read_record(&saver.record_path()).ok();
        let before = before.filter(|(_, before)| is_same_end(before, record));
        let (json, record, kept) = if let Some((json, mut before)) = before {
            let apart = before.checkpoint.plan().lacks_keys();
            // Where this run wants its report.
            before.checkpoint = before.checkpoint.reporting(wish.clone());
            (json, Cow::Owned(before), Some(apart))
        } else {
            let json = RecordBytes::of(record.to_json().map_err(io::Error::other)?);
            (json, Cow::Borrowed(record), None)
        };
        Ok(Self {
            json,
            record,
            kept,
            saver,
            device,
            hopeless: false,
            named_record: true,
            now,
        })
    }

    /// Writes everything, and tries again what failed as long as `wait` allows.
    /// The first failure is told at once. The checkpoint goes last: a crash
    /// before leaves it, and a resume does all of this again.
    pub(super) fn run(mut self, wait: &dyn Fn() -> bool, tell: &dyn Fn(String)) -> Delivered {
        let mut told = false;
        if planted!("removed-before-record") {
            let _ = self.saver.remove_checkpoint();
        }
        loop {
            self.write();
            if self.now.report.is_ok() || self.hopeless {
                self.end();
            }
            let Some((what, why)) = self.failure() else {
                return self.now;
            };
            if !told {
                told = true;
                tell(format!("{what}: {why}"));
            }
            if !wait() {
                // The record stands, whatever became of the report.
                self.end();
                return self.now;
            }
        }
    }

    /// What is not written and may be by a later attempt, and why not.
    fn failure(&self) -> Option<(&'static str, &str)> {
        let now = &self.now;
        match (&now.record, &now.page, &now.report, &now.ended) {
            (Err(why), ..) => Some(("the record could not be saved", why)),
            (_, Err(why), ..) => Some(("the page of the record could not be saved", why)),
            (.., Err(why), _) if !self.hopeless => Some(("the report could not be written", why)),
            (.., Err(why)) => Some(("the checkpoint could not be removed", why)),
            _ => None,
        }
    }

    fn write(&mut self) {
        let text = |error: io::Error| reason(&error);
        if self.now.page.is_err() {
            let path = self.saver.record_path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let page = page::html(&self.record, &self.json.kept, &name);
            self.now.page = self.saver.keep_page(page.as_bytes()).map_err(text);
        }
        if self.now.record.is_err() {
            let kept = match self.kept {
                Some(apart) => self.saver.confirm_record(&self.json.kept, apart),
                None => self.saver.keep_record(&self.json.kept),
            };
            self.now.record = kept.map_err(text);
        }
        let kept = self.now.record.is_ok();
        // A page alone says where its record is.
        let outdated = kept && !self.named_record && self.now.report.is_ok();
        if (self.now.report.is_err() && !self.hopeless) || outdated {
            let path = kept.then(|| self.saver.record_path());
            let written = write_report(&self.record, &self.json, path.as_deref(), self.device);
            self.now.report = written.map_err(|not| {
                self.hopeless = not.for_good;
                not.why
            });
            self.named_record = kept;
        }
    }

    fn end(&mut self) {
        if self.now.record.is_ok() && self.now.page.is_ok() && self.now.ended.is_err() {
            self.now.ended = self
                .saver
                .remove_checkpoint()
                .map_err(|error| reason(&error));
        }
    }
}

struct RecordBytes {
    // as it is kept
    kept: Vec<u8>,
    // what of it can be handed out, where that is less
    public: Option<Vec<u8>>,
}

impl RecordBytes {
    fn of(kept: Vec<u8>) -> Self {
        Self { kept, public: None }
    }

    fn public(&self) -> &[u8] {
        self.public.as_deref().unwrap_or(&self.kept)
    }
}

/// A record as it is kept, byte for byte, and what it says.
fn read_record(path: &Path) -> io::Result<(RecordBytes, Record)> {
    let mut file = progress::open(path)?;
    let known = Record::read(&mut file).map_err(|why| match why {
        LoadError::Unreadable(error) => error,
        why => io::Error::other(why.to_string()),
    })?;
    // A record of many ranges, as 0.1.0 kept it, is passed on as it is read.
    if file.metadata()?.len() > LARGEST {
        let known = known.without_keys();
        return Ok((RecordBytes::of(known.to_json()?), known));
    }
    let mut json = RecordBytes::of(Vec::new());
    file.rewind()?;
    file.take(LARGEST).read_to_end(&mut json.kept)?;
    let in_it = |(_, key): (_, Key)| !key.is_elsewhere();
    if known.checkpoint.plan().keys().any(in_it) {
        // 0.1.0 kept the keys in it.
        json.public = Some(known.clone().without_keys().to_json()?);
    }
    Ok((json, known))
}

/// Whether two records say the same of the same wipe. What was found in a part
/// that was done again may differ: then the new one is true.
fn is_same_end(before: &Record, now: &Record) -> bool {
    // A file that has no room for all ranges joins more of them.
    let alike = |a: Amount, b: Amount| a.least == b.least && !(a.is_exact() && b.is_exact());
    let (a, b) = (&before.checkpoint, &now.checkpoint);
    a.run_id() == b.run_id()
        && before.end.outcome == now.end.outcome
        && a.phase() == b.phase()
        && (a.bad() == b.bad() || alike(a.bad().amount(), b.bad().amount()))
        && (a.mismatches() == b.mismatches()
            || alike(a.mismatches().amount(), b.mismatches().amount()))
}

struct NotWritten {
    why: String,
    // a later attempt would not change that
    for_good: bool,
}

impl From<NoPlace> for NotWritten {
    fn from(why: NoPlace) -> Self {
        Self {
            for_good: !matches!(why, NoPlace::NotWritable(..)),
            why: why.to_string(),
        }
    }
}

/// Writes the report where it is wanted; gives the files. `kept`: the record in
/// the state directory.
fn write_report(
    record: &Record,
    json: &RecordBytes,
    kept: Option<&Path>,
    device: &Device,
) -> Result<Vec<PathBuf>, NotWritten> {
    let checkpoint = &record.checkpoint;
    let Some(text) = &checkpoint.report().path else {
        return Ok(Vec::new());
    };
    let place = Place::from_text(text)?;
    // It was free when the wipe began, days ago maybe: another one may have left
    // its report there since.
    place.check(Some(checkpoint.run_id()))?;
    let html = |file: Option<&Path>| {
        let name = file.map(Path::to_string_lossy);
        let json = if file == kept {
            &json.kept
        } else {
            json.public()
        };
        page::html(record, json, name.as_deref().unwrap_or_default())
    };
    let name = progress::report_name(
        &device.name,
        checkpoint.device_id().serial.as_deref(),
        checkpoint.started_at(),
        checkpoint.run_id(),
    );
    let written = place.deliver(&Files {
        name: &name,
        json: json.public(),
        html: &html,
        kept,
        in_place: Host::real().needs_slots(place.folder()),
    });
    written.map_err(|error| NotWritten {
        why: reason(&error),
        for_good: false,
    })
}

/// Waits between two attempts, for [`PATIENCE`] in all or until a signal; tells
/// whether to try again.
pub(super) fn patience(stop: &Stop) -> impl Fn() -> bool {
    let end = Instant::now() + PATIENCE;
    move || {
        let next = Instant::now() + RETRY;
        while Instant::now() < next {
            if stop.requested().is_some() || Instant::now() >= end {
                return false;
            }
            thread::sleep(RETRY / 10);
        }
        true
    }
}

/// Writes the report of a wipe that was found done where this run wants it; the
/// record in the state directory stays as it is. Otherwise why not, for people.
pub(super) fn again(
    request: &Request,
    record: &progress::RecordFile,
    device: &Device,
) -> Result<Vec<PathBuf>, String> {
    if request.report.is_none() {
        return Ok(Vec::new());
    }
    let (json, mut known) = read_record(&record.path).map_err(|error| reason(&error))?;
    let wish = ReportWish {
        path: request.report_wish.path.clone(),
        ..known.checkpoint.report().clone()
    };
    known.checkpoint = known.checkpoint.reporting(wish);
    write_report(&known, &json, Some(&record.path), device).map_err(|not| not.why)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::fs;

    use super::*;
    use crate::drive::example::disk;
    use crate::outcome::Outcome;
    use crate::plan::{Pass, Phase, Plan, Step, Verify};
    use crate::probe::Computer;
    use crate::progress::{Clock, StateDir};
    use crate::strategy::Content;

    struct Still;

    impl Clock for Still {
        fn stamp(&self) -> String {
            "2026-01-14T02:10:00+01:00".into()
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// Ends a wipe whose report goes to `out/`, where `wait` says how long it is
    /// tried; gives what was told on the way as well.
    fn ended(folder: &Path, wait: &dyn Fn() -> bool) -> (Delivered, Vec<String>) {
        ended_as(folder, &Outcome::Wiped, "then", wait)
    }

    fn ended_as(
        folder: &Path,
        outcome: &Outcome,
        time: &str,
        wait: &dyn Fn() -> bool,
    ) -> (Delivered, Vec<String>) {
        let pass = Pass {
            content: Content::Zero,
            verify: Verify::None,
        };
        let (device, plan) = (disk(), Plan::new(vec![pass]).unwrap());
        let id = device.identity.clone();
        let mut checkpoint = Checkpoint::begin(id, plan, 4096, "0123456789".into(), "now");
        let complete = Step {
            pass: 0,
            phase: Phase::Complete,
        };
        checkpoint.set_position(complete, 0);
        *checkpoint.timestamp_mut() = time.into();
        checkpoint.report_mut().path = Some(format!("{}/out/", folder.display()));
        let dir = StateDir::new(folder.join("state"));
        let name = "a.json".to_string();
        let saver = Saver::new(dir, name, checkpoint.clone(), [], Box::new(Still));
        let record = Record::new(&checkpoint, outcome, &device, Computer::default());
        let told = RefCell::new(Vec::new());
        let tell = |what| told.borrow_mut().push(what);
        let delivery = Delivery::new(&record, &saver, &device).unwrap();
        let delivered = delivery.run(wait, &tell);
        (delivered, told.into_inner())
    }

    #[test]
    fn what_fails_is_said_once_and_tried_again_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir_all(state.join("pending")).unwrap();
        fs::write(state.join("reports"), "in the way").unwrap();
        let rounds = Cell::new(0);
        let wait = || {
            rounds.set(rounds.get() + 1);
            if rounds.get() == 3 {
                fs::remove_file(state.join("reports")).unwrap();
                fs::create_dir(state.join("reports")).unwrap();
            }
            // The report does not wait for that.
            assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 2);
            rounds.get() < 10
        };
        let (delivered, told) = ended(folder.path(), &wait);
        assert!(delivered.is_whole(), "{delivered:?}");
        assert_eq!((rounds.get(), told.len()), (3, 1), "{told:?}");
        assert!(
            told[0].starts_with("the record could not be saved: "),
            "{told:?}"
        );
        assert_eq!(fs::read_dir(state.join("reports")).unwrap().count(), 2);
    }

    #[test]
    fn patience_ends_and_nothing_is_taken_for_delivered() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), "in the way").unwrap();
        let (delivered, told) = ended(folder.path(), &|| false);
        assert!(delivered.record.is_err() && delivered.page.is_err());
        assert!(delivered.ended.is_err() && !delivered.is_whole());
        assert_eq!(delivered.report.unwrap().len(), 2);
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn a_report_that_can_never_be_written_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        for name in ["pending", "reports"] {
            fs::create_dir_all(state.join(name)).unwrap();
        }
        fs::write(folder.path().join("out"), "no folder").unwrap();
        let rounds = Cell::new(0);
        let wait = || {
            rounds.set(rounds.get() + 1);
            false
        };
        let (delivered, _) = ended(folder.path(), &wait);
        assert!(delivered.report.is_err());
        // The record stands whatever became of it.
        assert!(delivered.record.is_ok() && delivered.ended.is_ok());
        assert!(!delivered.is_whole());
    }

    #[test]
    fn a_record_that_was_kept_before_stays_byte_for_byte_unless_it_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        for name in ["pending", "reports"] {
            fs::create_dir_all(state.join(name)).unwrap();
        }
        let record = state.join("reports/a.json");
        let end = |outcome, time| {
            let (delivered, _) = ended_as(folder.path(), outcome, time, &|| false);
            assert!(delivered.is_whole(), "{delivered:?}");
            let json = fs::read(&record).unwrap();
            let page = fs::read_to_string(record.with_extension("html")).unwrap();
            assert!(page.contains(&progress::digest(&json)), "{page}");
            for report in delivered.report.unwrap() {
                let bytes = fs::read(&report).unwrap();
                assert!(report.extension().unwrap() != "json" || bytes == json);
            }
            json
        };
        let first = end(&Outcome::Wiped, "then");
        fs::remove_file(record.with_extension("html")).unwrap();
        assert!(end(&Outcome::Wiped, "later") == first);
        assert!(end(&Outcome::NotClear, "later") != first);
        // Nor is half of it a record.
        fs::write(&record, &first[..first.len() / 2]).unwrap();
        let again = end(&Outcome::Wiped, "later");
        assert!(again != first && again.len() > first.len() / 2);
    }
}
