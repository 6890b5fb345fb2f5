//! What is said of what went wrong, in words; the same is not said for ever.

use std::time::Duration;

use nix::errno::Errno;

use crate::engine::Event;
use crate::plan::{Bad, BadState, Difference, During, Extent};
use crate::text::{count, no_room, size, span};

/// Bad ranges and differences that are shown one by one.
const SHOWN: u64 = 10;
const STATE_DISK: &str = "the disk of the state directory has not answered for";

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    bad: Repeats,
    differ: Repeats,
    save_failure: Option<String>,
}

impl Warnings {
    /// What is to be said of an event, if anything. `sector`: bytes of one.
    pub(super) fn of(&mut self, event: Event, sector: u64) -> Option<String> {
        match event {
            Event::Progress(_) | Event::StepStarted(_) | Event::Stopping => None,
            Event::BadExtent(extent, bad) => self.bad.shown(|| bad_text(extent, bad, sector), BAD),
            Event::Mismatch(difference) => {
                self.differ.shown(|| differing_text(&difference), DIFFER)
            }
            Event::SaveFailed(why) => self.save_failed(why),
            Event::SaveRecovered => {
                let failed = self.save_failure.take();
                failed.map(|_| "the checkpoint can be saved again".into())
            }
            Event::SyncFailed { errno, from } => {
                let why = Errno::from_raw(errno).desc();
                Some(format!(
                    "the drive's flush failed ({why}); writing again from byte {from}"
                ))
            }
            Event::LastSyncFailed { errno, from } => Some(format!(
                "flush failed (errno {errno}); what was written after byte {from} does not \
                 count, and a resume writes it again"
            )),
            Event::NoRoom(why) => Some(no_room(&why)),
            Event::NotDelivered(what, time) => Some(format!(
                "{what}; trying again for {} (Ctrl+C ends the wait)",
                span(time)
            )),
            Event::Retrying { areas, bytes } => Some(format!(
                "trying again what was left for the end: {}, {} together",
                count(areas as u64, "area", "areas"),
                size::decimal(bytes)
            )),
            Event::StillUsed(how, limit) => Some(format!(
                "written in full, but {how} since; waiting up to {} for that to end",
                span(limit)
            )),
            Event::NoAnswer(silence) => Some(format!(
                "nothing has come back from the drive for {}; it may hang",
                span(silence)
            )),
            Event::StateSilent(silence) => Some(state_silent(
                silence,
                "the wipe goes on as far as the last checkpoint allows",
            )),
            Event::Slow { now, best } => Some(slow(now, best)),
            Event::WaitsForCheckpoint => Some(WAITS.into()),
            Event::StillWaiting => Some(STILL.into()),
        }
    }

    /// A reason for which the checkpoint cannot be saved is said once: it is tried
    /// again in every cycle.
    fn save_failed(&mut self, why: String) -> Option<String> {
        let text = format!(
            "checkpoint could not be saved ({why}); the wipe goes on, the last checkpoint stands, \
             a crash may now lose more than the interval"
        );
        let before = self.save_failure.replace(why);
        (before != self.save_failure).then_some(text)
    }

    /// What was counted but not shown.
    pub(super) fn rest(&self) -> impl Iterator<Item = String> {
        let rest = [self.bad.rest(BAD), self.differ.rest(DIFFER)];
        rest.into_iter().flatten()
    }
}

const BAD: &str = "bad ranges";
const DIFFER: &str = "ranges that differ";

const WAITS: &str = "waiting until the checkpoint can be saved: the next pass would destroy what \
                     the last one speaks of";
const STILL: &str = "still waiting for the drive or the disk of the state directory; a write that \
                     hangs in the kernel cannot be left";

/// That the drive has become slow: bytes a second.
fn slow(now: u64, best: u64) -> String {
    let (now, best) = (size::decimal(now), size::decimal(best));
    format!(
        "{now}/s for minutes, less than a hundredth of the {best}/s it did before; the drive may \
         be failing"
    )
}

/// That the disk of the state directory does not answer, and what comes of it.
pub(super) fn state_silent(silence: Duration, then: &str) -> String {
    format!("{STATE_DISK} {}; {then}", span(silence))
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
struct Repeats {
    seen: u64,
}

impl Repeats {
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
