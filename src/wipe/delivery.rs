//! The record and the report of a finished wipe: where they go, that they can go
//! there, and what is done where they cannot.

use std::borrow::Cow;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::cli::Request;
use crate::drive::Device;
use crate::plan::Amount;
use crate::probe::Host;
use crate::progress::{self, Files, LARGEST, Place, ReportWish, Saver, Unread};
use crate::report::{Record, page};
use crate::signal::Stop;
use crate::text::reason;

/// How long a record or report that cannot be written is tried again.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often.
const RETRY: Duration = Duration::from_millis(500);

/// What became of the record and the report of a finished wipe. Each reason is
/// for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Whether the record is durable in the state directory.
    pub record: Result<(), String>,
    /// Whether its page is.
    pub page: Result<(), String>,
    /// Whether the checkpoint was removed, which only a kept record allows.
    pub ended: Result<(), String>,
    /// The files that `--report` asked for.
    pub report: Result<Vec<PathBuf>, String>,
}

impl Delivered {
    /// None of it, for this reason.
    #[must_use]
    pub fn nothing(why: &str) -> Self {
        let failed = || Err(why.to_string());
        Self {
            record: failed(),
            page: failed(),
            ended: failed(),
            report: Err(why.to_string()),
        }
    }

    /// Whether all came where it was to come.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.record.is_ok() && self.page.is_ok() && self.ended.is_ok() && self.report.is_ok()
    }
}

/// The end of a wipe whose outcome is known: what is to be written, from memory.
pub struct Delivery<'a> {
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
    ///
    /// # Errors
    /// Never in practice: the record cannot be told as JSON.
    pub fn new(record: &'a Record, saver: &'a Saver, device: &'a Device) -> io::Result<Self> {
        let not_yet = || Err(String::new());
        let report = record.checkpoint.report().path.as_ref();
        let before = read_record(&saver.record_path()).ok();
        let before = before.filter(|(_, before)| is_same_end(before, record));
        let kept = before.as_ref();
        let kept = kept.map(|(_, before)| before.checkpoint.plan().lacks_keys());
        let (json, record) = if let Some((json, mut before)) = before {
            // Where this run wants its report.
            let wish = record.checkpoint.report().clone();
            before.checkpoint = before.checkpoint.reporting(wish);
            (json, Cow::Owned(before))
        } else {
            let json = RecordBytes::of(record.to_json().map_err(io::Error::other)?);
            (json, Cow::Borrowed(record))
        };
        Ok(Self {
            json,
            record,
            kept,
            saver,
            device,
            hopeless: false,
            named_record: true,
            now: Delivered {
                record: not_yet(),
                page: not_yet(),
                ended: not_yet(),
                report: report.map_or(Ok(Vec::new()), |_| Err(String::new())),
            },
        })
    }

    /// Writes everything, and tries again what failed as long as `wait` allows.
    /// The first failure is told at once. The checkpoint goes last: a crash
    /// before leaves it, and a resume does all of this again.
    pub fn run(mut self, wait: &dyn Fn() -> bool, tell: &dyn Fn(String)) -> Delivered {
        let mut told = false;
        if planted!("removed-before-record") {
            let _ = self.saver.remove_checkpoint();
        }
        loop {
            self.write();
            if self.is_done() {
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
        let Delivered {
            record,
            page,
            ended,
            report,
        } = &self.now;
        match (record, page, report, ended) {
            (Err(why), ..) => Some(("the record could not be saved", why)),
            (_, Err(why), ..) => Some(("the page of the record could not be saved", why)),
            (.., Err(why), _) if !self.hopeless => Some(("the report could not be written", why)),
            (.., Err(why)) => Some(("the checkpoint could not be removed", why)),
            _ => None,
        }
    }

    fn is_done(&self) -> bool {
        let Delivered {
            record,
            page,
            report,
            ..
        } = &self.now;
        record.is_ok() && page.is_ok() && (report.is_ok() || self.hopeless)
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
            self.now.report = self.report();
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

    fn report(&mut self) -> Result<Vec<PathBuf>, String> {
        let kept = self.now.record.is_ok().then(|| self.saver.record_path());
        let written = write_report(&self.record, &self.json, kept.as_deref(), self.device);
        written.map_err(|NotWritten { why, for_good }| {
            self.hopeless = for_good;
            why
        })
    }
}

/// The bytes of a record.
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
        Unread::Unreadable(error) => error,
        Unread::Invalid(why) => io::Error::other(why.to_string()),
    })?;
    // A record of many ranges, as 0.1.0 kept it, is passed on as it is read.
    if file.metadata()?.len() > LARGEST {
        let known = known.without_keys();
        return Ok((RecordBytes::of(known.to_json()?), known));
    }
    let mut json = RecordBytes::of(Vec::new());
    file.rewind()?;
    file.take(LARGEST).read_to_end(&mut json.kept)?;
    if known
        .checkpoint
        .plan()
        .keys()
        .any(|(_, key)| !key.is_elsewhere())
    {
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

/// A report that was not written.
struct NotWritten {
    why: String,
    // a later attempt would not change that
    for_good: bool,
}

/// Writes the report where it is wanted; gives the files. `kept`: the record in
/// the state directory.
fn write_report(
    record: &Record,
    json: &RecordBytes,
    kept: Option<&Path>,
    device: &Device,
) -> Result<Vec<PathBuf>, NotWritten> {
    let failed = |for_good| move |why| NotWritten { why, for_good };
    let checkpoint = &record.checkpoint;
    let Some(text) = &checkpoint.report().path else {
        return Ok(Vec::new());
    };
    let place = Place::from_text(text);
    let place = place.ok_or_else(|| failed(true)(format!("{text} is no place for it")))?;
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
    let files = Files {
        name: &name,
        json: json.public(),
        html: &html,
        kept,
        in_place: Host::real().needs_slots(place.folder()),
    };
    // It was free when the wipe began, days ago maybe: another one may have left
    // its report there since.
    let run_id = Some(checkpoint.run_id());
    place.is_free(run_id).map_err(failed(true))?;
    place.check(run_id).map_err(failed(false))?;
    let written = place.deliver(&files);
    written.map_err(|error| failed(false)(reason(&error)))
}

/// Waits between two attempts, for [`PATIENCE`] in all or until a signal; tells
/// whether to try again.
pub fn patience(stop: &Stop) -> impl Fn() -> bool {
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
/// record in the state directory stays as it is.
///
/// # Errors
/// Why it could not be written, for people.
pub fn again(
    request: &Request,
    record: &progress::RecordFile,
    device: &Device,
) -> Result<Vec<PathBuf>, String> {
    let Some(path) = &request.report else {
        return Ok(Vec::new());
    };
    let (json, mut known) = read_record(&record.path).map_err(|error| reason(&error))?;
    let wish = ReportWish {
        path: Some(Place::new(path)?.to_text()),
        ..known.checkpoint.report().clone()
    };
    known.checkpoint = known.checkpoint.reporting(wish);
    let written = write_report(&known, &json, Some(&record.path), device);
    written.map_err(|not| not.why)
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
    use crate::progress::Checkpoint;
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
