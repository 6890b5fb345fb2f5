//! What is shown of a run: the state behind a face.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;

use super::estimate::Estimate;
use super::face::{Face, Header};
use super::notes::{Finish, Note, Posted};
use super::paper::Paper;
use super::warnings::{Warnings, state_silent};
use super::{bar, plain};
use crate::engine::{Event, Progress};
use crate::outcome::Outcome;
use crate::text::clean;

/// How often the screen is looked after, and so the most often it is drawn.
const TICK: Duration = Duration::from_secs(1);
/// The end of a run that takes this long is pointed out.
const CLOSING: Duration = Duration::from_secs(10);

/// How long the run has worked, without the time in which it was stopped or the
/// machine slept, and how often that was.
pub(super) type WorkClock = Box<dyn Fn() -> (Duration, u64) + Send>;

/// The state behind a face.
pub(super) struct Screen {
    face: Face,
    header: Header,
    paper: Box<dyn Paper>,
    work: WorkClock,
    // as often as the speed has begun anew
    pauses: u64,
    estimate: Estimate,
    // as reported
    now: Option<Progress>,
    // as shown: in a step it never goes back
    shown: Option<Progress>,
    // when the bar was last drawn
    drawn: Option<Duration>,
    schedule: plain::Schedule,
    warnings: Warnings,
    // since when only the disk of the state directory is waited for
    closing: Option<Duration>,
}

impl Screen {
    pub(super) fn new(face: Face, header: Header, paper: Box<dyn Paper>) -> Self {
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
            schedule: plain::Schedule::default(),
            warnings: Warnings::default(),
            closing: None,
        }
    }

    pub(super) fn face(&self) -> Face {
        self.face
    }

    pub(super) fn timed(self, work: WorkClock) -> Self {
        Self { work, ..self }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Note>, posted: &Posted) {
        loop {
            let first = inbox.recv_timeout(TICK).ok();
            // Taken before the rest of the notes: what they announce is never
            // older than this.
            let latest = posted.latest().take();
            let finish = posted.finish().take();
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
            match posted.lost.swap(0, Ordering::Relaxed) {
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
            self.warn(&state_silent(silence, then), local);
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
            Event::StepStarted(progress) => self.started(progress, at, local),
            Event::Stopping => self.stopping(local),
            event => {
                // That it waits, and for what, is said now.
                if let Event::NotDelivered(..) = event {
                    self.closing = None;
                }
                if let Some(text) = self.warnings.of(event, self.header.sector) {
                    self.warn(&text, local);
                }
            }
        }
    }

    fn started(&mut self, progress: Progress, at: Duration, local: &ZonedDateTime) {
        let first = self.now.is_none();
        self.progress(progress);
        self.feed(at);
        self.schedule.started(at, &progress);
        if self.face == Face::Plain {
            let text = plain::started(&self.header, &progress, first, &self.estimate, local);
            self.log(&text, local);
        }
    }

    fn stopping(&mut self, local: &ZonedDateTime) {
        const TEXT: &str = "stopping; finishing what is in flight (Ctrl+C again leaves at once)";
        match self.face {
            Face::Bar => self.paper.line(&format!("wipeit: {TEXT}")),
            Face::Plain => self.log(TEXT, local),
            Face::None => {}
        }
    }

    fn log(&mut self, text: &str, local: &ZonedDateTime) {
        let line = format!("{} {} {text}", plain::stamp(local), self.header.name);
        self.paper.line(&clean(&line));
    }

    /// Shown in every face.
    fn warn(&mut self, text: &str, local: &ZonedDateTime) {
        match self.face {
            Face::Plain => self.log(&format!("warning: {text}"), local),
            Face::Bar | Face::None => self.say(text),
        }
    }

    fn feed(&mut self, at: Duration) {
        if let Some(now) = self.now {
            let (done, _) = self.header.plan.work(now.step, now.done, now.size);
            self.estimate.feed(at, done);
        }
    }

    fn tick(&mut self, at: Duration, local: &ZonedDateTime) {
        self.feed(at);
        let Some(shown) = self.shown else {
            return;
        };
        match self.face {
            Face::Bar
                if self
                    .drawn
                    .is_none_or(|drawn| at.saturating_sub(drawn) >= TICK) =>
            {
                self.drawn = Some(at);
                let width = self.paper.width();
                let line = bar::line(&self.header.name, &shown, &self.estimate, local, width);
                self.paper.bar(line);
            }
            Face::Plain if self.schedule.due(at, &shown) => {
                let text = plain::progress(&shown, &self.estimate, local);
                self.log(&text, local);
            }
            Face::Bar | Face::Plain | Face::None => {}
        }
    }

    fn status(&mut self, local: &ZonedDateTime) {
        let text = match &self.shown {
            Some(shown) => plain::status(shown, &self.estimate, local),
            None => "nothing is written yet".into(),
        };
        match self.face {
            Face::Plain => self.log(&text, local),
            Face::Bar | Face::None => self.say(&text),
        }
    }

    fn say(&mut self, text: &str) {
        let line = format!("wipeit: {}: {text}", self.header.name);
        self.paper.line(&clean(&line));
    }

    fn finish(&mut self, outcome: Option<&Outcome>, local: &ZonedDateTime) {
        let rest: Vec<String> = self.warnings.rest().collect();
        for text in rest {
            self.warn(&text, local);
        }
        self.paper.end();
        if let (Face::Plain, Some(outcome)) = (self.face, outcome) {
            let text = plain::ended(outcome, self.now.as_ref());
            self.log(&text, local);
        }
    }
}

#[cfg(test)]
mod tests;
