//! What is shown of a run: the state behind a face.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use nix::errno::Errno;

use super::display::{Face, Finish, Header, Note, Shared};
use super::estimate::Estimate;
use super::output::say;
use super::{bar, plain};
use crate::engine::{Event, Progress};
use crate::outcome::Outcome;
use crate::plan::{Bad, BadState, Difference, During, Extent};
use crate::text::{clean, count, no_room, size, span};

/// How often the screen is looked after, and so the most often it is drawn.
const TICK: Duration = Duration::from_secs(1);
/// The end of a run that takes this long is pointed out.
const CLOSING: Duration = Duration::from_secs(10);
const STATE_DISK: &str = "the disk of the state directory has not answered for";
/// Bad ranges and differences that are shown one by one.
const SHOWN: u64 = 10;

/// How long the run has worked, without the time in which it was stopped or the
/// machine slept, and how often that was.
pub type Work = Box<dyn Fn() -> (Duration, u64) + Send>;

/// Where lines and the bar go.
pub trait Paper: Send {
    /// A line that stays.
    fn line(&mut self, text: &str);
    /// The bar; drawn over the one before.
    fn bar(&mut self, text: String);
    /// The bar is taken away for good.
    fn end(&mut self);
    /// Columns.
    fn width(&self) -> usize;
}

/// Lines only, on stderr.
pub struct Log;

impl Paper for Log {
    fn line(&mut self, text: &str) {
        say(text);
    }
    fn bar(&mut self, _text: String) {}
    fn end(&mut self) {}
    fn width(&self) -> usize {
        0
    }
}

/// The state behind a face.
pub struct Screen {
    face: Face,
    header: Header,
    paper: Box<dyn Paper>,
    work: Work,
    // as often as the speed has begun anew
    pauses: u64,
    estimate: Estimate,
    // as reported
    now: Option<Progress>,
    // as shown: in a step it never goes back
    shown: Option<Progress>,
    // when the bar was last drawn
    drawn: Option<Duration>,
    pace: plain::Pace,
    bad: Tally,
    differ: Tally,
    save_failure: Option<String>,
    // since when only the disk of the state directory is waited for
    closing: Option<Duration>,
}

impl Screen {
    pub fn new(face: Face, header: Header, paper: Box<dyn Paper>) -> Self {
        let start = header.plan.steps()[0];
        let started = Instant::now();
        let (_, total) = header.plan.work(start, 0, header.size);
        Self {
            face,
            paper,
            work: Box::new(move || (started.elapsed(), 0)),
            pauses: 0,
            estimate: Estimate::new(total),
            header,
            now: None,
            shown: None,
            drawn: None,
            pace: plain::Pace::default(),
            bad: Tally::default(),
            differ: Tally::default(),
            save_failure: None,
            closing: None,
        }
    }

    pub fn face(&self) -> Face {
        self.face
    }

    /// With this time of work.
    pub fn timed(self, work: Work) -> Self {
        Self { work, ..self }
    }

    pub fn run(mut self, inbox: &Receiver<Note>, shared: &Shared) {
        loop {
            let first = inbox.recv_timeout(TICK).ok();
            // Taken before the rest of the notes: what they announce is never
            // older than this.
            let latest = shared.take();
            let finish = shared.finish();
            let rest = std::iter::from_fn(|| inbox.try_recv().ok());
            let mut status = false;
            for note in first.into_iter().chain(rest) {
                match note {
                    Note::Event(event) => {
                        let at = self.work();
                        self.event(event, at, &ZonedDateTime::now());
                    }
                    Note::Status => status = true,
                    Note::Closing => self.closing = Some(self.work()),
                    Note::Wake => {}
                }
            }
            if let Some(progress) = latest {
                self.progress(progress);
            }
            let (at, local) = (self.work(), ZonedDateTime::now());
            match shared.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                lost => self.warn(&format!("{lost} messages could not be shown"), &local),
            }
            self.watch_closing(at, &local);
            self.tick(at, &local);
            if status {
                self.status(&local);
            }
            if let Some(Finish(outcome)) = finish {
                return self.finish(outcome.as_ref(), &local);
            }
        }
    }

    /// How long the run has worked. After a pause the speed begins anew.
    fn work(&mut self) -> Duration {
        let (work, pauses) = (self.work)();
        if pauses != self.pauses {
            self.pauses = pauses;
            self.estimate.pause();
        }
        work
    }

    /// Says once that the end of the run waits for the disk of the state directory.
    fn watch_closing(&mut self, at: Duration, local: &ZonedDateTime) {
        let silence = at.saturating_sub(self.closing.unwrap_or(at));
        if silence >= CLOSING {
            self.closing = None;
            let then = "the last checkpoint or the record waits for it";
            self.silent(STATE_DISK, silence, then, local);
        }
    }

    /// Takes a position in; drawn by the next tick.
    fn progress(&mut self, progress: Progress) {
        if self.now.is_some_and(|now| now.number > progress.number) {
            return;
        }
        let mut shown = progress;
        if let Some(before) = self.shown
            && before.number == shown.number
        {
            shown.done = shown.done.max(before.done);
        }
        self.now = Some(progress);
        self.shown = Some(shown);
    }

    fn event(&mut self, event: Event, at: Duration, local: &ZonedDateTime) {
        match event {
            Event::Progress(progress) => self.progress(progress),
            Event::StepStarted(progress) => {
                let first = self.now.is_none();
                self.progress(progress);
                self.feed(at);
                self.pace.started(at, &progress);
                if self.face == Face::Plain {
                    let text =
                        plain::started(&self.header, &progress, first, &self.estimate, local);
                    self.log(&text, local);
                }
            }
            Event::BadExtent(extent, bad) => {
                let text = || bad_text(extent, bad, self.header.sector);
                if let Some(text) = self.bad.shown(text, "bad ranges") {
                    self.warn(&text, local);
                }
            }
            Event::Mismatch(difference) => {
                let text = || differing_text(&difference);
                if let Some(text) = self.differ.shown(text, "ranges that differ") {
                    self.warn(&text, local);
                }
            }
            Event::SyncFailed { errno, from } => {
                let why = Errno::from_raw(errno).desc();
                let text =
                    format!("the drive's flush failed ({why}); writing again from byte {from}");
                self.warn(&text, local);
            }
            Event::SaveFailed(why) => self.save_failed(why, local),
            Event::SaveRecovered => {
                if self.save_failure.take().is_some() {
                    self.warn("the checkpoint can be saved again", local);
                }
            }
            Event::NoRoom(why) => self.warn(&no_room(&why), local),
            Event::NotDelivered(what, time) => {
                // That it waits, and for what, is said now.
                self.closing = None;
                let again = format!("trying again for {} (Ctrl+C ends the wait)", span(time));
                self.warn(&format!("{what}; {again}"), local);
            }
            Event::Stopping => self.stopping(local),
            Event::LastSyncFailed { errno, from } => self.warn(
                &format!(
                    "flush failed (errno {errno}); what was written after byte {from} does not \
                     count, and a resume writes it again"
                ),
                local,
            ),
            Event::WaitsForCheckpoint => self.warn(
                "waiting until the checkpoint can be saved: the next pass would destroy what the \
                 last one speaks of",
                local,
            ),
            Event::StillUsed(how, limit) => self.warn(&still_used(&how, limit), local),
            Event::Retrying { areas, bytes } => self.warn(
                &format!(
                    "trying again what was left for the end: {}, {} together",
                    count(areas as u64, "area", "areas"),
                    size::decimal(bytes)
                ),
                local,
            ),
            Event::NoAnswer(silence) => self.silent(
                "nothing has come back from the drive for",
                silence,
                "it may hang",
                local,
            ),
            Event::Slow { now, best } => self.warn(
                &format!(
                    "{}/s for minutes, less than a hundredth of the {}/s it did before; the drive \
                     may be failing",
                    size::decimal(now),
                    size::decimal(best)
                ),
                local,
            ),
            Event::StateSilent(silence) => self.silent(
                STATE_DISK,
                silence,
                "the wipe goes on as far as the last checkpoint allows",
                local,
            ),
            Event::StillWaiting => self.warn(
                "still waiting for the drive or the disk of the state directory; a write that hangs in the \
                 kernel cannot be left",
                local,
            ),
        }
    }

    fn silent(&mut self, what: &str, silence: Duration, then: &str, local: &ZonedDateTime) {
        self.warn(&format!("{what} {}; {then}", span(silence)), local);
    }

    fn save_failed(&mut self, why: String, local: &ZonedDateTime) {
        // It is tried again in every cycle; the same reason is said once.
        if self.save_failure.as_ref() == Some(&why) {
            return;
        }
        self.warn(
            &format!(
                "checkpoint could not be saved ({why}); the wipe goes on, the last checkpoint \
                 stands, a crash may now lose more than the interval"
            ),
            local,
        );
        self.save_failure = Some(why);
    }

    fn stopping(&mut self, local: &ZonedDateTime) {
        const TEXT: &str = "stopping; finishing what is in flight (Ctrl+C again leaves at once)";
        match self.face {
            Face::Bar => self.paper.line(&format!("wipeit: {TEXT}")),
            Face::Plain => self.log(TEXT, local),
            Face::None => {}
        }
    }

    /// A line of the log.
    fn log(&mut self, text: &str, local: &ZonedDateTime) {
        let line = format!("{} {} {text}", plain::stamp(local), self.header.name);
        self.paper.line(&clean(&line));
    }

    /// Shown in every face.
    fn warn(&mut self, text: &str, local: &ZonedDateTime) {
        if self.face == Face::Plain {
            self.log(&format!("warning: {text}"), local);
        } else {
            let line = format!("wipeit: {}: {text}", self.header.name);
            self.paper.line(&clean(&line));
        }
    }

    fn feed(&mut self, at: Duration) {
        if let Some(now) = self.now {
            let (done, _) = self.header.plan.work(now.step, now.done, now.size);
            self.estimate.feed(at, done);
        }
    }

    /// Draws what is due.
    fn tick(&mut self, at: Duration, local: &ZonedDateTime) {
        self.feed(at);
        let Some(shown) = self.shown else {
            return;
        };
        match self.face {
            Face::Bar => {
                let due = self
                    .drawn
                    .is_none_or(|drawn| at.saturating_sub(drawn) >= TICK);
                if due {
                    self.drawn = Some(at);
                    let width = self.paper.width();
                    let line = bar::line(&self.header.name, &shown, &self.estimate, local, width);
                    self.paper.bar(line);
                }
            }
            Face::Plain => {
                if self.pace.due(at, &shown) {
                    let text = plain::progress(&shown, &self.estimate, local);
                    self.log(&text, local);
                }
            }
            Face::None => {}
        }
    }

    fn status(&mut self, local: &ZonedDateTime) {
        let text = match &self.shown {
            Some(shown) => plain::status(shown, &self.estimate, local),
            None => "nothing is written yet".into(),
        };
        match self.face {
            Face::Plain => self.log(&text, local),
            Face::Bar | Face::None => {
                let line = format!("wipeit: {}: {text}", self.header.name);
                self.paper.line(&clean(&line));
            }
        }
    }

    fn finish(&mut self, outcome: Option<&Outcome>, local: &ZonedDateTime) {
        let rest = [
            self.bad.rest("bad ranges"),
            self.differ.rest("ranges that differ"),
        ];
        for text in rest.into_iter().flatten() {
            self.warn(&text, local);
        }
        self.paper.end();
        if let (Face::Plain, Some(outcome)) = (self.face, outcome) {
            let text = plain::ended(outcome, self.now.as_ref());
            self.log(&text, local);
        }
    }
}

fn still_used(how: &str, limit: Duration) -> String {
    let limit = span(limit);
    format!("written in full, but {how} since; waiting up to {limit} for that to end")
}

fn differing_text(difference: &Difference) -> String {
    let (bytes, from) = (difference.extent.length(), difference.extent.start());
    let origin = match difference.first.written_for {
        Some(origin) => format!(", but what was written for byte {origin}"),
        None => String::new(),
    };
    format!("{bytes} bytes at byte {from} are not what was written{origin}")
}

fn bad_text(extent: Extent, bad: Bad, sector: u64) -> String {
    let why = Errno::from_raw(bad.errno).desc();
    let what = match bad.during {
        During::Write => "write",
        During::Read => "read-back",
    };
    let later = match bad.state {
        BadState::Deferred => "; left for the end, as the search takes long",
        BadState::Abandoned => "; given up, as the search takes too long",
        BadState::Failed => "",
    };
    let (start, length) = (extent.start(), extent.length());
    let kind = match bad.state {
        BadState::Failed if length <= sector => "sector",
        BadState::Failed => "sectors",
        BadState::Deferred | BadState::Abandoned => "area",
    };
    format!("bad {kind} at byte {start}: {length} bytes, {what}: {why}{later}")
}

/// Counts warnings of one kind: the first ones are shown, then every tenfold.
#[derive(Debug, Default)]
struct Tally {
    seen: u64,
}

impl Tally {
    fn shown(&mut self, text: impl FnOnce() -> String, what: &str) -> Option<String> {
        self.seen += 1;
        if self.seen <= SHOWN {
            Some(text())
        } else if self.seen == SHOWN + 1 {
            Some(format!(
                "more than {SHOWN} {what}; from here on they are only counted"
            ))
        } else if self.seen >= 100 && self.seen == 10_u64.pow(self.seen.ilog10()) {
            Some(format!("{} {what} so far", size::grouped(self.seen)))
        } else {
            None
        }
    }

    /// What was counted but not shown.
    fn rest(&self, what: &str) -> Option<String> {
        let all = size::grouped(self.seen);
        (self.seen > SHOWN).then(|| format!("{all} {what} in this run"))
    }
}

#[cfg(test)]
mod tests;
