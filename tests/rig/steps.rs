//! What the program has done of its protocol in the state directory, as inotify
//! tells it: in the order of the system calls, of the very program that is
//! shipped. A file is closed after its fsync, so closing says that it was.

use std::collections::HashMap;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// A step that is done.
pub type Step = &'static str;

const FOLDERS: [&str; 2] = ["pending", "reports"];

/// Watches the folders of one state directory.
pub struct Steps {
    inotify: Inotify,
    folders: HashMap<WatchDescriptor, usize>,
    // a name in this folder has changed, and it was not synced since
    changed: [bool; 2],
}

impl Steps {
    /// Of the state directory that is there.
    pub fn of(state: &Path) -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
        let mut folders = HashMap::new();
        for (number, folder) in FOLDERS.iter().enumerate() {
            let wanted = AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_MODIFY
                | AddWatchFlags::IN_CLOSE_WRITE
                | AddWatchFlags::IN_CLOSE_NOWRITE
                | AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_DELETE;
            let watch = inotify.add_watch(&state.join(folder), wanted).ok()?;
            folders.insert(watch, number);
        }
        Some(Self {
            inotify,
            folders,
            changed: [false; 2],
        })
    }

    /// What was done since the last time.
    pub fn since(&mut self) -> Vec<Step> {
        let events = self.inotify.read_events().unwrap_or_default();
        let mut steps: Vec<Step> = Vec::new();
        for event in events {
            let Some(&folder) = self.folders.get(&event.wd) else {
                continue;
            };
            let name = event.name.unwrap_or_default();
            let step = self.step(folder, &name.to_string_lossy(), event.mask);
            steps.extend(step.filter(|step| steps.last() != Some(step)));
        }
        steps
    }

    fn step(&mut self, folder: usize, name: &str, mask: AddWatchFlags) -> Option<Step> {
        let has = |flag| mask.contains(flag);
        if name.is_empty() {
            // The folder itself: read, or synced.
            let synced =
                has(AddWatchFlags::IN_CLOSE_NOWRITE) && std::mem::take(&mut self.changed[folder]);
            return synced.then(|| ["folder synced", "records' folder synced"][folder]);
        }
        let name = name.trim_end_matches(".tmp");
        let ending = Path::new(name).extension().unwrap_or_default();
        let what = if ending == "room" {
            3
        } else if folder == 0 {
            0
        } else if ending == "html" {
            1
        } else if name.ends_with(".keys.json") {
            4
        } else {
            2
        };
        let row = if has(AddWatchFlags::IN_CREATE) {
            [
                "temp created",
                "page created",
                "record created",
                "room created",
                "keys created",
            ]
        } else if has(AddWatchFlags::IN_MODIFY) {
            [
                "temp written",
                "page written",
                "record written",
                "room written",
                "keys written",
            ]
        } else if has(AddWatchFlags::IN_CLOSE_WRITE) {
            [
                "temp synced",
                "page synced",
                "record synced",
                "room closed",
                "keys synced",
            ]
        } else if has(AddWatchFlags::IN_MOVED_TO) {
            self.changed[folder] = true;
            [
                "temp renamed",
                "page renamed",
                "record renamed",
                "room renamed",
                "keys renamed",
            ]
        } else if has(AddWatchFlags::IN_DELETE) {
            self.changed[folder] = true;
            [
                "checkpoint removed",
                "page removed",
                "record removed",
                "room given back",
                "keys removed",
            ]
        } else {
            return None;
        };
        Some(row[what])
    }
}
