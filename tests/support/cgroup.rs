//! Control groups that go away with the test: so many tasks at most, or all of
//! them frozen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::wait_until;

/// Where a controller is mounted, and whether as version 2.
fn mounted(controller: &str) -> Option<(PathBuf, bool)> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let of = |line: &str| -> Option<(PathBuf, bool)> {
        let words: Vec<&str> = line.split(' ').collect();
        let (point, kind, options) = (*words.get(1)?, *words.get(2)?, *words.get(3)?);
        let point = PathBuf::from(point);
        let there = match kind {
            "cgroup" => options.split(',').any(|option| option == controller),
            "cgroup2" if controller == "freezer" => true,
            "cgroup2" => fs::read_to_string(point.join("cgroup.controllers"))
                .is_ok_and(|all| all.split_whitespace().any(|one| one == controller)),
            _ => false,
        };
        there.then_some((point, kind == "cgroup2"))
    };
    // Version 1 first: its groups need nothing of their parents.
    let mut all: Vec<_> = mounts.lines().filter_map(of).collect();
    all.sort_by_key(|(_, second)| *second);
    all.into_iter().next()
}

/// A group of its own.
pub struct Cgroup {
    dir: PathBuf,
    second: bool,
}

impl Cgroup {
    /// Whether there can be one with this controller.
    pub fn works(controller: &str) -> bool {
        Self::try_new(controller).is_some()
    }

    pub fn new(controller: &str) -> Self {
        Self::try_new(controller).unwrap()
    }

    fn try_new(controller: &str) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (root, second) = mounted(controller)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = root.join(format!("wipeit-{}-{number}", std::process::id()));
        if second && controller != "freezer" {
            let _ = fs::write(
                root.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
        fs::create_dir(&dir).ok()?;
        let this = Self { dir, second };
        let file = match controller {
            "pids" => "pids.max",
            _ if second => "cgroup.freeze",
            _ => "freezer.state",
        };
        this.dir.join(file).exists().then_some(this)
    }

    /// What runs a program inside.
    pub fn wrapper(&self) -> [String; 3] {
        let procs = self.dir.join("cgroup.procs");
        let line = format!("echo $$ > '{}' && exec \"$0\" \"$@\"", procs.display());
        ["sh".into(), "-c".into(), line]
    }

    /// Threads and processes at most.
    pub fn limit_tasks(&self, most: u32) {
        fs::write(self.dir.join("pids.max"), most.to_string()).unwrap();
    }

    /// Stops everything inside; nothing inside notices.
    pub fn freeze(&self) {
        if self.second {
            fs::write(self.dir.join("cgroup.freeze"), "1").unwrap();
            self.wait("cgroup.events", "frozen 1");
        } else {
            fs::write(self.dir.join("freezer.state"), "FROZEN").unwrap();
            self.wait("freezer.state", "FROZEN");
        }
    }

    pub fn thaw(&self) {
        let (file, word) = if self.second {
            ("cgroup.freeze", "0")
        } else {
            ("freezer.state", "THAWED")
        };
        fs::write(self.dir.join(file), word).unwrap();
    }

    fn wait(&self, file: &str, word: &str) {
        let path = self.dir.join(file);
        let holds = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.contains(word));
        wait_until(word, || holds(&path));
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What stays frozen cannot end.
        for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
            let file = self.dir.join(file);
            if file.exists() {
                let _ = fs::write(file, word);
            }
        }
        // A process that has just ended may still count.
        for _ in 0..500 {
            if fs::remove_dir(&self.dir).is_ok() || !self.dir.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
