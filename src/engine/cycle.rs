//! The checkpoint cycle: sync the target, then save what the sync covered.

use std::sync::mpsc::{Receiver, Sender};

use super::joined::Joined;
use super::message::{Done, Message};
use super::state::State;
use super::target::{Journal, Target};
use crate::plan::Plan;

/// What one cycle is to do.
pub struct Request {
    /// Whether the target must be synced first: when something was written.
    pub sync: bool,
    /// What is saved once that succeeded.
    pub state: State,
    /// The position within the step that the state stands for, in bytes.
    pub mark: u64,
    /// What its lists have no longer one by one.
    pub joined: Joined,
}

/// Serves requests until there are no more.
pub fn serve(
    (target, plan): (&dyn Target, &Plan),
    journal: &mut dyn Journal,
    requests: &Receiver<Request>,
    replies: &Sender<Message>,
) {
    for request in requests {
        let Request {
            sync,
            state,
            mark,
            joined,
        } = request;
        if !joined.is_empty() {
            journal.joined(&joined);
        }
        if planted!("save-before-sync") {
            let _ = journal.save(&state);
        }
        let synced = if sync { target.sync() } else { Ok(()) };
        let done = if let Err(error) = synced {
            Done::NotSynced(error)
        } else if let Err(why) = target.look(&state, plan) {
            Done::Changed(why)
        } else {
            if sync && replies.send(Message::Flushed).is_err() {
                return;
            }
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
