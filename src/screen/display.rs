//! The thread that shows a run.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::bar;
use super::face::{Face, Header};
use super::notes::{Finish, Note, Posted};
use super::output::{PATIENCE, STDERR};
use super::paper::{Log, Paper};
use super::view::Screen;
use crate::engine::{Event, Observer};
use crate::outcome::Outcome;

/// Events that may wait to be shown.
const WAITING: usize = 1024;

/// Shows a run. Events may come from any thread and never wait.
#[derive(Debug)]
pub(crate) struct Display {
    face: Face,
    notes: SyncSender<Note>,
    pub(super) posted: Arc<Posted>,
    // something arrives, or it is dropped, when the thread has ended
    ended: Mutex<Option<Receiver<()>>>,
}

/// Asks a [`Display`] for a line of status; for the thread that gets USR1.
#[derive(Debug, Clone)]
pub(crate) struct StatusHandle(SyncSender<Note>);

impl StatusHandle {
    /// One line about where the run is, at once, whatever the face.
    pub(crate) fn status(&self) {
        // No room: the terminal stands still, and so would this line.
        let _ = self.0.try_send(Note::Status);
    }
}

impl Display {
    /// Starts showing. `work`: the time that the run worked, and how often it paused.
    pub(crate) fn start(
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
        let (face, posted) = (screen.face(), Arc::new(Posted::default()));
        let theirs = Arc::clone(&posted);
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
            posted,
            ended: Mutex::new(Some(ended)),
        })
    }

    /// For the thread that gets USR1.
    pub(crate) fn handle(&self) -> StatusHandle {
        StatusHandle(self.notes.clone())
    }

    /// Takes the bar away, or writes the last line of a log. Returns after two
    /// seconds at the latest, even if the terminal stands still.
    pub(crate) fn finish(&self, outcome: &Outcome) {
        self.end(Some(outcome.clone()));
    }

    /// From here on only the disk of the state directory is waited for: where it
    /// does not answer, that is said.
    pub(crate) fn closing(&self) {
        // No room: the terminal stands still, and so would these words.
        let _ = self.notes.try_send(Note::Closing);
    }

    /// Takes the bar away, so that lines can be written; a log goes on.
    pub(crate) fn clear(&self) {
        if self.face == Face::Bar {
            self.end(None);
        }
    }

    /// Takes the bar away; a log gets no last line.
    pub(crate) fn abandon(&self) {
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
        *self.posted.finish() = Some(Finish(outcome));
        // No room: then the thread is awake, or stands still.
        let _ = self.notes.try_send(Note::Wake);
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            STDERR.give_up();
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
            Event::Progress(progress) => {
                *self.posted.latest() = Some(*progress);
                return;
            }
            Event::StepStarted(progress) => Some(*progress),
            _ => None,
        };
        if let Err(TrySendError::Full(_)) = self.notes.try_send(Note::Event(event)) {
            self.posted.lost.fetch_add(1, Ordering::Relaxed);
        }
        // After the note: what is read here was announced before.
        if let Some(progress) = position {
            *self.posted.latest() = Some(progress);
        }
    }
}
