//! The checkpoint cycle: sync the target, then save what the sync covered.

use super::desk::{Alarm, Desk};
use super::ledger::{Done, Order};
use super::target::{Journal, Target};
use crate::plan::Plan;

/// What is synced, and what is done to it.
type Subject<'a> = (&'a dyn Target, &'a Plan);

/// Does cycles as they are due, to the end of the run.
pub(crate) fn serve(subject: Subject, desk: &Desk, journal: &mut dyn Journal) {
    let _alarm = Alarm(desk);
    while let Some(order) = desk.next_cycle() {
        let done = cycle(subject, desk, journal, &order);
        desk.end_cycle(order, done);
    }
}

fn cycle(subject: Subject, desk: &Desk, journal: &mut dyn Journal, order: &Order) -> Done {
    let (target, plan) = subject;
    // Nothing more may be claimed of a target that changed, least of all its end.
    if order.last
        && let Err(why) = target.is_whole()
    {
        return Done::Changed(order.mark, why);
    }
    if !order.joined.is_empty() {
        journal.joined(&order.joined);
    }
    if planted!("save-before-sync") {
        let _ = journal.save(&order.state);
    }
    if order.sync
        && let Err(error) = target.sync()
    {
        let presence = target.presence(&error);
        return Done::NotSynced(error, presence);
    }
    if let Err(why) = target.look(&order.state, plan) {
        return Done::Changed(order.durable, why);
    }
    if order.sync {
        desk.flushed();
    }
    Done::Synced(journal.save(&order.state).err())
}
