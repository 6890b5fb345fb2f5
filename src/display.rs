//! What the user sees while a run is under way, and the one way to print.
//!
//! A thread of its own draws, so that a terminal that stands still (Ctrl+S, a
//! dead connection) never holds the wipe. Nothing here can panic or fail:
//! output that cannot be written is dropped.

pub mod bar;
pub mod plain;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use nix::errno::Errno;

use crate::event::{Event, Observer, Progress};
use crate::extent::{Bad, BadState, During, Extent};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::size;
use crate::text::{clean, count, span};

/// How often the screen is looked after, and so the most often it is drawn.
const TICK: Duration = Duration::from_secs(1);
/// How long the end waits for a terminal that does not take its lines.
const PATIENCE: Duration = Duration::from_secs(2);
/// Events that may wait to be shown.
const WAITING: usize = 1024;
/// Bad ranges and differences that are shown one by one.
const SHOWN: u64 = 10;
/// Over how long a time the speed is taken.
const WINDOW: Duration = Duration::from_secs(30);

/// The terminal did not take the last lines: from here on nothing waits for it.
static HUNG: AtomicBool = AtomicBool::new(false);

/// One line to stderr, cleaned. What cannot be written is lost.
pub fn say(line: &str) {
    if !HUNG.load(Ordering::SeqCst) {
        let bytes = format!("{}\n", clean(line));
        let _ = patiently(move || write_raw(io::stderr(), bytes.as_bytes()));
    }
}

/// Writes, but does not wait for ever: a stopped terminal must hold up neither
/// a wipe nor the end of the program.
fn patiently(write: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        // Nobody listens any more after the timeout.
        let _ = sender.send(write());
    })?;
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        HUNG.store(true, Ordering::SeqCst);
        Err(io::ErrorKind::TimedOut.into())
    })
}

/// `wipeit: SUBJECT: TEXT` to stderr.
pub fn message(subject: &str, text: &str) {
    say(&format!("wipeit: {subject}: {text}"));
}

/// One line to stdout, for people and scripts, flushed.
///
/// # Errors
/// When stdout does not take it: a closed pipe, a full disk.
pub fn result(line: &str) -> io::Result<()> {
    let bytes = format!("{}\n", clean(line));
    // stdout may be a file when the terminal hangs: it is always tried.
    patiently(move || {
        let mut out = io::stdout().lock();
        out.write_all(bytes.as_bytes())?;
        out.flush()
    })
}

/// Writes without std's lock on stderr, which a thread that hangs in a write
/// would keep.
fn write_raw(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(&to, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// What `--progress` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// Lines, as for a log.
    Plain,
    /// Only warnings.
    None,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// One line that changes.
    Bar,
    /// A line now and then, as for a log.
    Plain,
    /// Only warnings.
    None,
}

/// Chooses a face. A bar needs a terminal that can move its cursor; where there
/// is none, lines take its place.
#[must_use]
pub fn choose(choice: Choice, quiet: bool, stderr_is_terminal: bool, term: Option<&str>) -> Face {
    let can_move = stderr_is_terminal && !matches!(term, None | Some("" | "dumb"));
    match choice {
        _ if quiet => Face::None,
        Choice::None => Face::None,
        Choice::Auto | Choice::Bar if can_move => Face::Bar,
        Choice::Auto | Choice::Bar | Choice::Plain => Face::Plain,
    }
}

/// [`choose`] for this process.
#[must_use]
pub fn choose_here(choice: Choice, quiet: bool) -> Face {
    let term = std::env::var("TERM").ok();
    choose(choice, quiet, io::stderr().is_terminal(), term.as_deref())
}

/// What a run is about.
#[derive(Debug, Clone)]
pub struct Header {
    /// The kernel's name, or an image's file name.
    pub name: String,
    /// The drive's serial.
    pub serial: Option<String>,
    /// Bytes of the target.
    pub size: u64,
    /// What is written, such as `random`.
    pub what: String,
    /// All steps; for the remaining time.
    pub plan: Plan,
}

/// Speed and remaining time, from what this run did itself.
#[derive(Debug, Clone)]
pub struct Estimate {
    total: u128,
    // when this run began, and where
    start: Option<(Duration, u128)>,
    // oldest first; times grow, positions do not shrink
    window: VecDeque<(Duration, u128)>,
}

impl Estimate {
    /// For a plan of so many bytes in all.
    #[must_use]
    pub fn new(total: u128) -> Self {
        Self {
            total,
            start: None,
            window: VecDeque::new(),
        }
    }

    /// At `now`, so many bytes of the plan are done. What was done before the
    /// first call counts for nothing: an earlier run did it.
    pub fn feed(&mut self, now: Duration, done: u128) {
        self.start.get_or_insert((now, done));
        match self.window.back() {
            // After a failed flush the run goes back; its speed begins anew.
            Some((_, last)) if done < *last => self.window.clear(),
            Some((at, _)) if now < *at => return,
            _ => {}
        }
        self.window.push_back((now, done));
        // One sample at or before the window's begin is kept.
        while let Some((second, _)) = self.window.get(1)
            && now.saturating_sub(*second) >= WINDOW
        {
            self.window.pop_front();
        }
    }

    /// Bytes a second over the last half minute; `None` in the first second.
    #[must_use]
    pub fn speed(&self) -> Option<u64> {
        let (first_at, first) = *self.window.front()?;
        let (at, done) = *self.window.back()?;
        let rate = rate(done.saturating_sub(first), at.saturating_sub(first_at))?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// Time until the whole plan is done, at the mean speed of this run; `None`
    /// while there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let (start_at, start) = self.start?;
        let (at, done) = *self.window.back()?;
        let rate = rate(done.saturating_sub(start), at.saturating_sub(start_at))?;
        let seconds = self.total.saturating_sub(done).checked_div(rate)?;
        Some(Duration::from_secs(
            u64::try_from(seconds).unwrap_or(u64::MAX),
        ))
    }

    /// Local time when the whole plan is done; `None` where there is no
    /// estimate, or none that a calendar holds.
    #[must_use]
    pub fn done_at(&self, now: &ZonedDateTime) -> Option<ZonedDateTime> {
        now.checked_add(self.remaining()?).ok()
    }
}

fn rate(bytes: u128, time: Duration) -> Option<u128> {
    if time < Duration::from_secs(1) {
        return None;
    }
    (bytes * 1000).checked_div(time.as_millis())
}

/// What goes to the display's thread.
#[derive(Debug)]
enum Note {
    Event(Event),
    Status,
    /// Look at [`Shared::finish`].
    Wake,
}

/// Shows a run. Events may come from any thread and never wait.
#[derive(Debug)]
pub struct Display {
    notes: SyncSender<Note>,
    shared: Arc<Shared>,
    // something arrives, or it is dropped, when the thread has ended
    ended: Mutex<Option<Receiver<()>>>,
}

/// The end; how it came, unless something else went wrong.
#[derive(Debug)]
struct Finish(Option<Outcome>);

#[derive(Debug, Default)]
struct Shared {
    // the newest position; in a place of its own, as older ones tell nothing
    latest: Mutex<Option<Progress>>,
    // not among the notes, where there may be no room
    finish: Mutex<Option<Finish>>,
    // events that found no room
    lost: AtomicU64,
}

impl Shared {
    fn set(&self, progress: Progress) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    fn finish(&self) -> Option<Finish> {
        self.finish
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn take(&self) -> Option<Progress> {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Asks a [`Display`] for a line of status; for the thread that gets USR1.
#[derive(Debug, Clone)]
pub struct StatusHandle(SyncSender<Note>);

impl StatusHandle {
    /// One line about where the run is, at once, whatever the face.
    pub fn status(&self) {
        // No room: the terminal stands still, and so would this line.
        let _ = self.0.try_send(Note::Status);
    }
}

impl Display {
    /// Starts showing. Without a thread to do it the run is not shown.
    #[must_use]
    pub fn start(face: Face, header: Header) -> Self {
        let paper: Box<dyn Paper> = match face {
            Face::Bar => Box::new(bar::Terminal::new()),
            Face::Plain | Face::None => Box::new(Log),
        };
        Self::on(Screen::new(face, header, paper))
    }

    fn on(screen: Screen) -> Self {
        let (notes, inbox) = mpsc::sync_channel(WAITING);
        let (ending, ended) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("display".into())
            .spawn(move || {
                screen.run(&inbox, &theirs);
                // The receiver may have lost its patience.
                let _ = ending.send(());
            });
        Self {
            notes,
            shared,
            ended: Mutex::new(thread.is_ok().then_some(ended)),
        }
    }

    /// See [`StatusHandle::status`].
    pub fn status(&self) {
        self.handle().status();
    }

    /// For the thread that gets USR1.
    #[must_use]
    pub fn handle(&self) -> StatusHandle {
        StatusHandle(self.notes.clone())
    }

    /// Takes the bar away, or writes the last line of a log. Returns after two
    /// seconds at the latest, even if the terminal stands still.
    pub fn finish(&self, outcome: &Outcome) {
        self.end(Some(outcome.clone()));
    }

    /// Takes the bar away; a log gets no last line.
    pub fn abandon(&self) {
        self.end(None);
    }

    fn end(&self, outcome: Option<Outcome>) {
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(ended) = ended else {
            return;
        };
        *self
            .shared
            .finish
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Finish(outcome));
        // No room: then the thread is awake, or stands still.
        let _ = self.notes.try_send(Note::Wake);
        let hung = ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if hung {
            HUNG.store(true, Ordering::SeqCst);
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Observer for Display {
    fn event(&self, event: Event) {
        let position = match &event {
            Event::Progress(progress) => return self.shared.set(*progress),
            Event::StepStarted(progress) => Some(*progress),
            _ => None,
        };
        if let Err(TrySendError::Full(_)) = self.notes.try_send(Note::Event(event)) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        // After the note: what is read here was announced before.
        if let Some(progress) = position {
            self.shared.set(progress);
        }
    }
}

/// Where lines and the bar go.
trait Paper: Send {
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
struct Log;

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
struct Screen {
    face: Face,
    header: Header,
    paper: Box<dyn Paper>,
    started: Instant,
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
}

impl Screen {
    fn new(face: Face, header: Header, paper: Box<dyn Paper>) -> Self {
        let start = header.plan.steps()[0];
        let (_, total) = header.plan.work(start, 0, header.size);
        Self {
            face,
            paper,
            started: Instant::now(),
            estimate: Estimate::new(total),
            header,
            now: None,
            shown: None,
            drawn: None,
            pace: plain::Pace::default(),
            bad: Tally::default(),
            differ: Tally::default(),
            save_failure: None,
        }
    }

    fn run(mut self, inbox: &Receiver<Note>, shared: &Shared) {
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
                        self.event(event, self.started.elapsed(), &ZonedDateTime::now());
                    }
                    Note::Status => status = true,
                    Note::Wake => {}
                }
            }
            if let Some(progress) = latest {
                self.progress(progress);
            }
            let (at, local) = (self.started.elapsed(), ZonedDateTime::now());
            match shared.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                lost => self.warn(&format!("{lost} messages could not be shown"), &local),
            }
            self.tick(at, &local);
            if status {
                self.status(&local);
            }
            if let Some(Finish(outcome)) = finish {
                return self.finish(outcome.as_ref(), &local);
            }
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
                if let Some(text) = self.bad.shown(|| bad_text(extent, bad), "bad ranges") {
                    self.warn(&text, local);
                }
            }
            Event::Mismatch(difference) => {
                let extent = difference.extent;
                let text = || {
                    let (bytes, from) = (extent.length(), extent.start());
                    let origin = match difference.first.written_for {
                        Some(origin) => format!(", but what was written for byte {origin}"),
                        None => String::new(),
                    };
                    format!("{bytes} bytes at byte {from} are not what was written{origin}")
                };
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
            Event::Retrying { areas, bytes } => self.warn(
                &format!(
                    "trying again what was left for the end: {}, {} together",
                    count(areas as u64, "area", "areas"),
                    size::decimal(bytes)
                ),
                local,
            ),
            Event::NoAnswer(silence) => self.warn(
                &format!(
                    "nothing has come back from the drive for {}; it may hang",
                    span(silence)
                ),
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
            Event::StillWaiting => self.warn(
                "still waiting for the drive or the disk of the state directory; a write that hangs in the \
                 kernel cannot be left",
                local,
            ),
        }
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
        const TEXT: &str = "stopping; finishing the writes in flight (Ctrl+C again leaves at once)";
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

fn bad_text(extent: Extent, bad: Bad) -> String {
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
        BadState::Failed => "sector",
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
mod tests {
    use super::*;
    use crate::outcome::Signal;
    use crate::plan::{Content, Pass, Phase, Step, Verify};
    use std::sync::atomic::AtomicUsize;

    const GB: u64 = 1_000_000_000;

    fn header() -> Header {
        let pass = Pass {
            content: Content::Zero,
            verify: Verify::Full,
        };
        Header {
            name: "sdb".into(),
            serial: Some("ZR5A1B2C".into()),
            size: 10 * GB,
            what: "zero".into(),
            plan: Plan::new(vec![pass]).unwrap(),
        }
    }

    fn at(phase: Phase, done: u64) -> Progress {
        Progress {
            step: Step { pass: 0, phase },
            number: if phase == Phase::Write { 1 } else { 2 },
            steps: 2,
            done,
            saved: done / 2,
            size: 10 * GB,
        }
    }

    fn local() -> ZonedDateTime {
        "2026-01-14T02:10:07+01:00[Europe/Berlin]".parse().unwrap()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What was shown; the bar's lines begin with `BAR `.
    #[derive(Clone, Default)]
    struct Fake(Arc<Mutex<Vec<String>>>);

    impl Fake {
        fn lines(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Paper for Fake {
        fn line(&mut self, text: &str) {
            self.0.lock().unwrap().push(text.into());
        }
        fn bar(&mut self, text: String) {
            self.0.lock().unwrap().push(format!("BAR {text}"));
        }
        fn end(&mut self) {
            self.0.lock().unwrap().push("END".into());
        }
        fn width(&self) -> usize {
            80
        }
    }

    fn screen(face: Face) -> (Screen, Fake) {
        let paper = Fake::default();
        (Screen::new(face, header(), Box::new(paper.clone())), paper)
    }

    #[test]
    fn a_bar_needs_a_terminal_that_is_not_dumb() {
        let xterm = Some("xterm");
        for (choice, quiet, terminal, term, face) in [
            (Choice::Auto, false, true, xterm, Face::Bar),
            (Choice::Auto, false, false, xterm, Face::Plain),
            (Choice::Auto, false, true, Some("dumb"), Face::Plain),
            (Choice::Auto, false, true, None, Face::Plain),
            (Choice::Bar, false, true, Some("dumb"), Face::Plain),
            (Choice::Bar, false, true, xterm, Face::Bar),
            (Choice::Plain, false, true, xterm, Face::Plain),
            (Choice::None, false, true, xterm, Face::None),
            (Choice::Bar, true, true, xterm, Face::None),
        ] {
            assert_eq!(
                choose(choice, quiet, terminal, term),
                face,
                "{choice:?} {term:?}"
            );
        }
    }

    #[test]
    fn the_remaining_time_counts_only_what_this_run_did() {
        let mut estimate = Estimate::new(1000);
        estimate.feed(s(5), 900);
        assert_eq!(estimate.remaining(), None);
        estimate.feed(s(15), 910);
        assert_eq!(estimate.speed(), Some(1));
        assert_eq!(estimate.remaining(), Some(s(90)));
    }

    #[test]
    fn the_speed_is_that_of_the_last_half_minute() {
        let mut estimate = Estimate::new(1_000_000);
        for second in 0..=100 {
            estimate.feed(s(second), u128::from(second) * 1000);
        }
        assert_eq!(estimate.speed(), Some(1000));
        for second in 101..=200 {
            estimate.feed(s(second), 100_000);
        }
        assert_eq!(estimate.speed(), Some(0));
        assert!(estimate.window.len() < 40);
        assert_eq!(estimate.remaining(), Some(s(1800)));
    }

    #[test]
    fn a_plan_without_speed_has_no_end() {
        let mut estimate = Estimate::new(u128::MAX);
        for second in 0..10 {
            estimate.feed(s(second), 0);
        }
        assert_eq!(estimate.remaining(), None);
        estimate.feed(s(10), 20);
        assert_eq!(estimate.remaining(), Some(s(u64::MAX)));
        assert_eq!(estimate.done_at(&local()), None);
    }

    #[test]
    fn the_bar_stands_still_while_a_run_catches_up() {
        let (mut screen, paper) = screen(Face::Bar);
        let mut show = |second, event| {
            screen.event(event, s(second), &local());
            screen.tick(s(second), &local());
            paper.lines()
        };
        let first = show(0, Event::StepStarted(at(Phase::Write, 0)));
        assert!(first[0].starts_with("BAR sdb 1/2 write"), "{first:?}");
        let before = show(1, Event::Progress(at(Phase::Write, 5 * GB)));
        assert!(before[0].contains(" 50.0%"), "{before:?}");
        let failed = show(2, Event::SyncFailed { errno: 5, from: 7 });
        assert_eq!(
            failed[0],
            "wipeit: sdb: the drive's flush failed (I/O error); writing again from byte 7"
        );
        let after = show(3, Event::Progress(at(Phase::Write, 4 * GB)));
        assert!(after[0].contains(" 50.0%"), "{after:?}");
        let next = show(4, Event::StepStarted(at(Phase::Verify, 0)));
        assert!(
            next[0].contains("2/2 read-back") && next[0].contains(" 0.0%"),
            "{next:?}"
        );
        let late = show(5, Event::Progress(at(Phase::Write, 10 * GB)));
        assert!(late[0].contains("2/2 read-back"), "{late:?}");
    }

    #[test]
    fn the_bar_is_drawn_at_most_once_a_second() {
        let (mut screen, paper) = screen(Face::Bar);
        for milliseconds in 0..3000 {
            screen.progress(at(Phase::Write, milliseconds));
            screen.tick(Duration::from_millis(milliseconds), &local());
        }
        assert_eq!(paper.lines().len(), 3);
    }

    #[test]
    fn a_log_tells_the_run_in_a_few_lines() {
        let (mut screen, paper) = screen(Face::Plain);
        let local = local();
        screen.event(Event::StepStarted(at(Phase::Write, 0)), s(0), &local);
        screen.tick(s(0), &local);
        screen.progress(at(Phase::Write, GB / 10));
        screen.tick(s(60), &local);
        screen.event(Event::Stopping, s(61), &local);
        screen.event(Event::SaveFailed("no space".into()), s(61), &local);
        screen.event(Event::SaveFailed("no space".into()), s(62), &local);
        screen.event(Event::SaveRecovered, s(62), &local);
        screen.event(Event::StepStarted(at(Phase::Verify, 0)), s(63), &local);
        screen.finish(Some(&Outcome::NotClear), &local);
        let stamp = "2026-01-14T02:10:07+01:00 sdb";
        assert_eq!(
            paper.lines(),
            [
                format!("{stamp} ZR5A1B2C 10.0 GB zero: write 1/2 starts"),
                format!("{stamp} write 1/2 1.0% 1.66 MB/s, done 2026-01-14T05:29"),
                format!(
                    "{stamp} stopping; finishing the writes in flight (Ctrl+C again leaves at once)"
                ),
                format!(
                    "{stamp} warning: checkpoint could not be saved (no space); the wipe goes on, \
                     the last checkpoint stands, a crash may now lose more than the interval"
                ),
                format!("{stamp} warning: the checkpoint can be saved again"),
                format!("{stamp} read-back 2/2 0.0%, done 2026-01-14T02:11"),
                "END".to_string(),
                format!("{stamp} finished: NOT-CLEAR, exit 3"),
            ]
        );
    }

    #[test]
    fn a_resume_is_announced_where_it_continues_and_a_stop_where_it_is() {
        let (mut screen, paper) = screen(Face::Plain);
        screen.event(
            Event::StepStarted(at(Phase::Verify, 5 * GB)),
            s(0),
            &local(),
        );
        let outcome = Outcome::Interrupted(Signal::Term);
        screen.finish(Some(&outcome), &local());
        let lines = paper.lines();
        assert!(
            lines[0].ends_with("zero: read-back 2/2 continues at 50.0%"),
            "{lines:?}"
        );
        assert!(
            lines[2].ends_with("sdb stopped: SIGTERM at read-back 2/2 50.0%"),
            "{lines:?}"
        );
    }

    #[test]
    fn thousands_of_bad_ranges_make_few_lines() {
        let (mut screen, paper) = screen(Face::None);
        let bad = Bad {
            pass: 1,
            state: BadState::Failed,
            during: During::Write,
            errno: 5,
        };
        for i in 0..2345 {
            let extent = Extent::new(i * 512, 512).unwrap();
            screen.event(Event::BadExtent(extent, bad), s(i), &local());
        }
        screen.finish(None, &local());
        let lines = paper.lines();
        assert_eq!(
            lines[1],
            "wipeit: sdb: bad sector at byte 512: 512 bytes, write: I/O error"
        );
        assert_eq!(
            lines[10..],
            [
                "wipeit: sdb: more than 10 bad ranges; from here on they are only counted",
                "wipeit: sdb: 100 bad ranges so far",
                "wipeit: sdb: 1,000 bad ranges so far",
                "wipeit: sdb: 2,345 bad ranges in this run",
                "END",
            ]
        );
    }

    #[test]
    fn quiet_shows_warnings_and_the_status_but_not_the_stop() {
        let (mut screen, paper) = screen(Face::None);
        screen.event(Event::StepStarted(at(Phase::Write, 0)), s(0), &local());
        screen.event(Event::Stopping, s(1), &local());
        screen.progress(at(Phase::Write, GB));
        screen.tick(s(2), &local());
        assert_eq!(paper.lines(), Vec::<String>::new());
        screen.status(&local());
        assert_eq!(
            paper.lines(),
            ["wipeit: sdb: write 1/2 10.0%, 1.00/10.0 GB, 500 MB saved, 500 MB/s, done Wed 02:10"]
        );
        screen.event(Event::StillWaiting, s(3), &local());
        assert_eq!(paper.lines().len(), 1);
    }

    #[test]
    fn a_name_from_outside_reaches_no_terminal_raw() {
        for face in [Face::Bar, Face::Plain, Face::None] {
            let paper = Fake::default();
            let header = Header {
                name: "a\x1b[2J".into(),
                serial: Some("\u{9b}31m".into()),
                ..header()
            };
            let mut screen = Screen::new(face, header, Box::new(paper.clone()));
            screen.event(Event::StepStarted(at(Phase::Write, 0)), s(0), &local());
            screen.event(Event::SaveFailed("\x1b".into()), s(0), &local());
            screen.tick(s(0), &local());
            screen.status(&local());
            screen.finish(Some(&Outcome::Failed("\x07".into())), &local());
            let all = paper.lines().concat();
            assert!(!all.chars().any(char::is_control), "{all:?}");
        }
    }

    /// A terminal that takes nothing until it is let go.
    struct Stuck(Arc<AtomicUsize>, Receiver<()>);

    impl Paper for Stuck {
        fn line(&mut self, _: &str) {
            self.0.fetch_add(1, Ordering::SeqCst);
            let _ = self.1.recv();
        }
        fn bar(&mut self, _: String) {}
        fn end(&mut self) {}
        fn width(&self) -> usize {
            80
        }
    }

    #[test]
    fn a_terminal_that_stands_still_holds_neither_the_run_nor_its_end() {
        let (_let_go, held) = mpsc::channel();
        let seen = Arc::new(AtomicUsize::new(0));
        let paper = Box::new(Stuck(Arc::clone(&seen), held));
        let display = Display::on(Screen::new(Face::Plain, header(), paper));
        let began = Instant::now();
        display.event(Event::StepStarted(at(Phase::Write, 0)));
        for i in 0..5000 {
            display.event(Event::Progress(at(Phase::Write, i)));
            display.event(Event::SaveRecovered);
            display.status();
        }
        assert!(began.elapsed() < s(1), "{:?}", began.elapsed());
        assert!(display.shared.lost.load(Ordering::SeqCst) > 0);
        display.finish(&Outcome::Wiped);
        assert!(began.elapsed() < s(4), "{:?}", began.elapsed());
        HUNG.store(false, Ordering::SeqCst);
    }

    #[test]
    fn any_thread_may_tell_it_events() {
        fn shared<T: Send + Sync>() {}
        shared::<Display>();
        shared::<StatusHandle>();
    }

    #[test]
    fn the_thread_shows_what_it_is_told_and_ends() {
        let paper = Fake::default();
        let display = Display::on(Screen::new(Face::Plain, header(), Box::new(paper.clone())));
        display.event(Event::StepStarted(at(Phase::Write, 0)));
        display.event(Event::StepStarted(at(Phase::Verify, 0)));
        display.event(Event::Progress(at(Phase::Verify, GB)));
        display.handle().status();
        display.finish(&Outcome::Wiped);
        let lines = paper.lines();
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        assert!(has("write 1/2 starts"), "{lines:?}");
        assert!(has("read-back 2/2 0.0%"), "{lines:?}");
        assert!(has("500 MB saved"), "{lines:?}");
        assert!(
            lines.last().unwrap().ends_with("finished: WIPED, exit 0"),
            "{lines:?}"
        );
    }
}
