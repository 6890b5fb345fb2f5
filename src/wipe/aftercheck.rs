//! What is looked at once more after the last byte: whether the target is still
//! what was opened, and whether anything uses it since.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use super::open::Opened;
use crate::drive::{Finding, InUse, Mount, Node, Process, guard, path_to_text};
use crate::engine::{End, Ended, Event, Journal, Observer, Target};
use crate::outcome::Signal;
use crate::plan::Phase;
use crate::probe::Host;
use crate::progress::Saver;
use crate::text::{reason, shown, visible};

/// How long something may use a target after the last byte: udev and its kind
/// do so for moments.
const PATIENCE: Duration = Duration::from_secs(60);
/// What lasts longer than this is said, and waited for.
const MOMENT: Duration = Duration::from_secs(2);
/// How often it is looked at: at first, and later.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A finished wipe that is looked at.
pub struct After<'a> {
    /// This machine.
    pub host: &'a Host,
    /// What was wiped, still open.
    pub opened: &'a Opened,
    /// The state directory.
    pub state_dir: &'a Path,
    /// Who hears that something is waited for.
    pub observer: &'a dyn Observer,
    /// The signal that ends the waiting.
    pub stop: &'a dyn Fn() -> Option<Signal>,
}

impl After<'_> {
    /// Why a wipe that was written in full is not to be called done: something
    /// that could write to the target stays, or it is not there as it was. The
    /// checkpoint then says that all of it is to be read back. `None` for a wipe
    /// that did not come to its end, or whose result is that bytes differ.
    pub fn look(&self, ended: &Ended, saver: &mut Saver) -> Option<String> {
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

    /// Waits until nothing uses the target; what does, where it stays.
    fn still_used(&self, ended: &Ended, saver: &mut Saver) -> Result<(), String> {
        let begun = Instant::now();
        let (mut first, mut told) = (None, false);
        while let Some(how) = self.used()? {
            let waited = begun.elapsed();
            if waited >= PATIENCE || (self.stop)().is_some() {
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
                self.observer.event(Event::StillUsed(how.clone(), left));
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
        let now = self.host.used_now(device, &fd, self.state_dir)?;
        let mut refusals = guard::check(now).err().unwrap_or_default();
        // No use of it, and nothing that passes by itself.
        refusals.retain(|refusal| !matches!(refusal, InUse::Cached(_) | InUse::Unseen { .. }));
        Ok(refusals.first().map(|refusal| Since(refusal).to_string()))
    }

    /// A wipe is begun only where no cache holds back what is written, but the
    /// mode of one may be changed meanwhile.
    fn held_back(&self) -> Result<(), String> {
        let caches = self.host.caches(self.opened.device())?;
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

    /// A path to what is open, whatever its names are now.
    fn descriptor(&self) -> PathBuf {
        let fd = self.opened.writer.as_raw_fd();
        self.host.proc.join(format!("self/fd/{fd}"))
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// What a refusal says of a target that nothing used before.
struct Since<'a>(&'a InUse);

impl fmt::Display for Since<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            InUse::Open(opener) => write!(f, "{} has it open", who(&opener.process)),
            InUse::Looped { by, .. } => write!(f, "{} uses the same bytes", visible(by)),
            InUse::Mounted(Mount { name, point, by }) => {
                let point = visible(point);
                write!(f, "{} is mounted at {point}", visible(name))?;
                match by {
                    Some(process) => {
                        write!(f, " in the mount namespace of {}", who(process))
                    }
                    None => Ok(()),
                }
            }
            InUse::Swap(path) => write!(f, "{} is swap", visible(path)),
            InUse::Held(holder) => {
                write!(
                    f,
                    "{} is held by {}",
                    visible(&holder.name),
                    visible(&holder.by)
                )
            }
            InUse::Unreadable(why) => {
                write!(f, "nobody can tell whether it is in use ({})", visible(why))
            }
            other => write!(f, "it may be in use ({other})"),
        }
    }
}

fn who(process: &Process) -> String {
    let name = visible(&process.name);
    format!("process {} ({name})", process.pid)
}
