//! What the user sees while a run is under way, and the one way to print.
//!
//! A thread of its own draws, so that a terminal that stands still (Ctrl+S, a
//! dead connection) never holds the wipe. Nothing here can panic or fail:
//! output that cannot be written is dropped.

use std::io;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::bar;
use super::output::{HUNG, PATIENCE};
use super::view::{Log, Paper, Screen};
use crate::engine::{Event, Observer, Progress};
use crate::outcome::Outcome;
use crate::plan::Plan;

/// Events that may wait to be shown.
const WAITING: usize = 1024;

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
    /// Bytes of a sector of it.
    pub sector: u64,
    /// What is written, such as `random`.
    pub what: String,
    /// All steps; for the remaining time.
    pub plan: Plan,
}

/// What goes to the display's thread.
#[derive(Debug)]
pub(super) enum Note {
    Event(Event),
    Status,
    /// From here on only the disk of the state directory is waited for.
    Closing,
    /// Look at [`Shared::finish`].
    Wake,
}

/// Shows a run. Events may come from any thread and never wait.
#[derive(Debug)]
pub struct Display {
    face: Face,
    notes: SyncSender<Note>,
    pub(super) shared: Arc<Shared>,
    // something arrives, or it is dropped, when the thread has ended
    ended: Mutex<Option<Receiver<()>>>,
}

/// The end; how it came, unless something else went wrong.
#[derive(Debug)]
pub(super) struct Finish(pub(super) Option<Outcome>);

#[derive(Debug, Default)]
pub(super) struct Shared {
    // the newest position; in a place of its own, as older ones tell nothing
    latest: Mutex<Option<Progress>>,
    // not among the notes, where there may be no room
    finish: Mutex<Option<Finish>>,
    // events that found no room
    pub(super) lost: AtomicU64,
}

impl Shared {
    fn set(&self, progress: Progress) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    pub(super) fn finish(&self) -> Option<Finish> {
        self.finish
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(super) fn take(&self) -> Option<Progress> {
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
    /// Starts showing. `work`: the time that the run worked, and how often it paused.
    ///
    /// # Errors
    /// When the system gives no thread to do it.
    pub fn start(
        face: Face,
        header: Header,
        work: impl Fn() -> (Duration, u64) + Send + 'static,
    ) -> io::Result<Self> {
        let paper: Box<dyn Paper> = match face {
            Face::Bar => Box::new(bar::Terminal::new()),
            Face::Plain | Face::None => Box::new(Log),
        };
        Self::on(Screen::new(face, header, paper).timed(Box::new(work)))
    }

    pub(super) fn on(screen: Screen) -> io::Result<Self> {
        let (notes, inbox) = mpsc::sync_channel(WAITING);
        let (ending, ended) = mpsc::channel();
        let (face, shared) = (screen.face(), Arc::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("display".into())
            .spawn(move || {
                screen.run(&inbox, &theirs);
                // The receiver may have lost its patience.
                let _ = ending.send(());
            })?;
        Ok(Self {
            face,
            notes,
            shared,
            ended: Mutex::new(Some(ended)),
        })
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

    /// From here on only the disk of the state directory is waited for: where it
    /// does not answer, that is said.
    pub fn closing(&self) {
        // No room: the terminal stands still, and so would these words.
        let _ = self.notes.try_send(Note::Closing);
    }

    /// Takes the bar away, so that lines can be written; a log goes on.
    pub fn clear(&self) {
        if self.face == Face::Bar {
            self.end(None);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
