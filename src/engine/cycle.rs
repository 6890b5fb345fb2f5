//! The checkpoint cycle: sync the target, then save what the sync covered.

use std::io;
use std::sync::mpsc::{Receiver, Sender};

use super::coordinator::Message;
use super::{Journal, State, Target};

/// What one cycle is to do.
pub struct Request {
    /// Whether the target must be synced first: when something was written.
    pub sync: bool,
    /// What is saved once that succeeded.
    pub state: State,
    /// The position within the step that the state stands for.
    pub mark: u64,
}

/// How a cycle ended.
pub enum Done {
    /// The sync failed; nothing was saved.
    NotSynced(io::Error),
    /// Synced up to the mark, and saved unless there is a reason why not.
    Synced {
        /// See [`Request::mark`].
        mark: u64,
        /// What was saved.
        state: State,
        /// Why it is not saved.
        unsaved: Option<String>,
    },
}

/// Serves requests until there are no more.
pub fn serve(
    target: &dyn Target,
    journal: &mut dyn Journal,
    requests: &Receiver<Request>,
    replies: &Sender<Message>,
) {
    for Request { sync, state, mark } in requests {
        let synced = if sync { target.sync() } else { Ok(()) };
        let done = if let Err(error) = synced {
            Done::NotSynced(error)
        } else {
            let unsaved = journal.save(&state).err();
            Done::Synced {
                mark,
                state,
                unsaved,
            }
        };
        if replies.send(Message::Cycle(done)).is_err() {
            return;
        }
    }
}
