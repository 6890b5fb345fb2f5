//! What the coordinator hears from the other threads.

use std::sync::mpsc::Sender;
use std::{io, thread};

use super::state::State;

/// What the coordinator hears.
pub enum Message {
    /// Workers have done chunks: the gate has what came of them.
    Chunks,
    /// The target's flush came back; what it covered is being saved.
    Flushed,
    /// A checkpoint cycle has ended.
    Cycle(Done),
    /// A thread panicked; the run ends at once.
    Panicked,
}

/// How a cycle ended.
pub enum Done {
    /// The sync failed; nothing was saved.
    NotSynced(io::Error),
    /// The target is not what it was; why, for people. Nothing was saved.
    Changed(String),
    /// Synced up to the mark, and saved unless there is a reason why not.
    Synced {
        /// The position within the step that was asked for.
        mark: u64,
        /// What was saved.
        state: State,
        /// Why it is not saved.
        unsaved: Option<String>,
    },
}

/// Tells the coordinator about a panic, which would otherwise wait for ever.
pub struct Alarm(pub Sender<Message>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.send(Message::Panicked);
        }
    }
}
