//! What is looked at once more after the last byte: whether the target is still
//! what was opened, and whether anything uses it since.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::run::EngineRun;
use crate::drive::{Finding, Holder, InUse, Mount, Node, Process, guard, path_to_text};
use crate::engine::{End, Ended, Event, Journal as _, Observer as _, Target as _};
use crate::plan::Phase;
use crate::progress::Saver;
use crate::text::{reason, shown, visible};

/// How long something may use a target after the last byte: udev and its kind
/// do so for moments.
const PATIENCE: Duration = Duration::from_secs(60);
/// What lasts longer than this is said, and waited for.
const MOMENT: Duration = Duration::from_secs(2);
/// How often it is looked at: at first, and later.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

impl EngineRun<'_> {
    /// Why a wipe that was written in full is not to be called done: something
    /// that could write to the target stays, or it is not there as it was. The
    /// checkpoint then says that all of it is to be read back. `None` for a wipe
    /// that did not come to its end, or whose result is that bytes differ.
    pub(super) fn spoiled(&self, ended: &Ended, saver: &mut Saver) -> Option<String> {
        let done = ended.state.step.phase == Phase::Complete
            && matches!(ended.end, End::Complete | End::Interrupted(_));
        if !done {
            return None;
        }
        if !ended.state.mismatches.is_empty() {
            saver.change(|checkpoint| checkpoint.set_read_again(false));
            return None;
        }
        let plan = saver.checkpoint().plan().clone();
        let why = self
            .opened
            .writer
            .look(&ended.state, &plan)
            .and_then(|()| self.still_used(ended, saver))
            .and_then(|()| self.held_back())
            .and_then(|()| self.path(saver));
        match why {
            Ok(()) => {
                saver.change(|checkpoint| checkpoint.set_read_again(false));
                None
            }
            Err(why) => {
                saver.change(|checkpoint| checkpoint.set_read_again(true));
                Some(format!("written in full, but {why}"))
            }
        }
    }

    fn still_used(&self, ended: &Ended, saver: &mut Saver) -> Result<(), String> {
        let begun = Instant::now();
        let (mut first, mut told) = (None, false);
        while let Some(how) = self.used()? {
            let waited = begun.elapsed();
            if waited >= PATIENCE || self.context.stop.requested().is_some() {
                return Err(format!("{how} since; end that first"));
            }
            if first.is_none() {
                // A crash while this waits must not end as if nothing had been.
                saver.change(|checkpoint| checkpoint.set_read_again(true));
                let _ = saver.save(&ended.state);
            }
            if waited >= MOMENT && !told {
                told = true;
                let left = PATIENCE.saturating_sub(waited);
                self.display.event(Event::StillUsed(how.clone(), left));
            }
            first.get_or_insert(how);
            // Nothing tells when it lets go.
            thread::sleep(if waited < MOMENT { RETRY.0 } else { RETRY.1 });
        }
        if let Some(how) = first {
            saver.change(|checkpoint| {
                checkpoint.note(Finding::UsedSince { how });
            });
        }
        Ok(())
    }

    /// What uses the target now, past the descriptor that is open.
    fn used(&self) -> Result<Option<String>, String> {
        let device = self.opened.device();
        let fd = self.descriptor();
        let now = self
            .context
            .host
            .used_now(device, &fd, self.context.state.root())?;
        let mut refusals = guard::check(now).err().unwrap_or_default();
        // No use of it, and nothing that passes by itself.
        refusals.retain(|refusal| !matches!(refusal, InUse::Cached(_) | InUse::Unseen { .. }));
        Ok(refusals.first().map(since))
    }

    /// A wipe is begun only where no cache holds back what is written, but the
    /// mode of one may be changed meanwhile.
    fn held_back(&self) -> Result<(), String> {
        let caches = self.context.host.caches(self.opened.device())?;
        match caches.into_iter().next() {
            Some(cache) => Err(InUse::Cached(cache).to_string()),
            None => Ok(()),
        }
    }

    /// The path of an image must still lead to the file that was opened.
    fn path(&self, saver: &mut Saver) -> Result<(), String> {
        let device = self.opened.device();
        let Node::Image { dev, inode } = device.node else {
            // A link that has gone is no fault: udev takes them away with what
            // they were made of.
            return Ok(());
        };
        let own = |meta: &std::fs::Metadata| (meta.dev(), meta.ino()) == (dev, inode);
        let now = std::fs::read_link(self.descriptor())
            .ok()
            .filter(|path| std::fs::metadata(path).is_ok_and(|meta| own(&meta)));
        match std::fs::metadata(&device.path) {
            Ok(meta) if own(&meta) => Ok(()),
            Ok(meta) => {
                let place = now.map_or("deleted".into(), |now| format!("now {}", shown(&now)));
                Err(format!(
                    "the path leads to another file now (inode {}): what was wiped is inode \
                     {inode}, {place}; move it back first",
                    meta.ino()
                ))
            }
            Err(error) if is_missing(&error) => {
                saver.change(|checkpoint| {
                    let path = path_to_text(&device.path);
                    let now = now.as_deref().map(path_to_text);
                    checkpoint.note(Finding::PathGone { path, now });
                });
                Ok(())
            }
            Err(error) => Err(format!(
                "its path cannot be looked at any more: {}",
                reason(&error)
            )),
        }
    }

    fn descriptor(&self) -> PathBuf {
        let fd = self.opened.writer.as_raw_fd();
        self.context.host.proc.join(format!("self/fd/{fd}"))
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// What a refusal says of a target that nothing used before.
fn since(refusal: &InUse) -> String {
    let who = |process: &Process| format!("process {} ({})", process.pid, visible(&process.name));
    match refusal {
        InUse::Open(opener) => format!("{} has it open", who(&opener.process)),
        InUse::Looped { by, .. } => format!("{} uses the same bytes", visible(by)),
        InUse::Mounted(Mount { name, point, by }) => {
            let point = visible(point);
            let by = by.as_ref().map(who);
            let by = by.map_or(String::new(), |who| {
                format!(" in the mount namespace of {who}")
            });
            format!("{} is mounted at {point}{by}", visible(name))
        }
        InUse::Swap(path) => format!("{} is swap", visible(path)),
        InUse::Held(Holder { name, by }) => {
            format!("{} is held by {}", visible(name), visible(by))
        }
        InUse::Unreadable(why) => {
            format!("nobody can tell whether it is in use ({})", visible(why))
        }
        other => format!("it may be in use ({other})"),
    }
}
