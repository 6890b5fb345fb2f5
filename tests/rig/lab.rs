//! A drive and a state directory on disks that can lose their power.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::campaign::{Rig, Violation};
use super::disk::{Cut, Machine};
use super::far::Begun;
use super::judge::{Files, records};
use super::keep;
use super::memory::{Before, Memory};
use super::planted;
use super::served::Served;
use super::steps::Steps;
use crate::support::device::{Loop, Mount};
use crate::support::run::{Done, Running, Wipe};
use crate::support::{MIB, Scratch, sh};

/// The number of the drive among the disks; the other is that of the state.
pub const DRIVE: usize = 0;

/// The interval between checkpoints where nothing else is asked for.
pub const DEFAULT: u64 = 100 * MIB;

/// What the state directory stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fs {
    Ext4,
    /// Its data goes through the journal.
    Ext4Data,
    Xfs,
    Btrfs,
}

impl Fs {
    pub const ALL: [Self; 4] = [Self::Ext4, Self::Ext4Data, Self::Xfs, Self::Btrfs];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Ext4Data => "ext4 data=journal",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::Ext4 | Self::Ext4Data => 32 * MIB,
            // The least that mkfs makes.
            Self::Xfs => 320 * MIB,
            Self::Btrfs => 128 * MIB,
        }
    }

    fn make(self, device: &Path) {
        let now = "lazy_itable_init=0,lazy_journal_init=0";
        match self {
            Self::Ext4 | Self::Ext4Data => sh!("mkfs.ext4", "-q", "-F", "-E", now, device),
            Self::Xfs => sh!("mkfs.xfs", "-q", "-f", "-K", device),
            Self::Btrfs => sh!("mkfs.btrfs", "-q", "-f", "-K", device),
        };
    }

    fn options(self) -> &'static str {
        match self {
            Self::Ext4Data => "noatime,data=journal",
            Self::Ext4 | Self::Btrfs => "noatime",
            Self::Xfs => "noatime,nouuid",
        }
    }

    /// A disk with an empty one; made once.
    fn fresh(self, scratch: &Scratch) -> Memory {
        static MADE: Mutex<Option<HashMap<Fs, Memory>>> = Mutex::new(None);
        let mut made = MADE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let made = made.get_or_insert_with(HashMap::new);
        if let Some(memory) = made.get(&self) {
            return memory.clone();
        }
        let machine = Machine::new(vec![("fresh", Memory::new(self.size(), Before::Zeros))]);
        let served = Served::at(&scratch.join("fresh"), &machine);
        let device = Loop::with(&served.file("fresh"), &["--direct-io=on"]);
        self.make(device.path());
        drop(device);
        drop(served);
        let memory = machine.lock().disks[0].memory.clone();
        made.insert(self, memory.clone());
        memory
    }
}

/// What is wiped, and how.
#[derive(Clone, Debug)]
pub struct Job {
    pub fs: Fs,
    pub size: u64,
    /// Bytes between checkpoints.
    pub interval: u64,
    /// More options of the first run.
    pub options: String,
    /// Sectors of 512 bytes that take no write.
    pub bad: Vec<u64>,
    pub flush_time: Duration,
    /// The folders of the state directory are there before.
    pub folders: bool,
    /// Instead of a fresh wipe, one that has got far already.
    pub begun: Option<Begun>,
}

pub struct Lab {
    pub machine: Machine,
    served: Served,
    pub job: Job,
    bug: Option<&'static str>,
    keep: Option<PathBuf>,
    // dropped last: the disks are mounted in it
    scratch: Scratch,
}

/// The disks plugged in and the state directory mounted; unplugged when
/// dropped.
pub struct Plugged {
    // dropped in this order
    _mount: Mount,
    _state: Loop,
    pub drive: Loop,
}

impl Lab {
    pub fn new(job: &Job, rig: &Rig) -> Self {
        let scratch = Scratch::new();
        let state = job.fs.fresh(&scratch);
        let drive = Memory::new(job.size, Before::Tags);
        let machine = Machine::new(vec![("drive", drive), ("state", state)]);
        {
            let mut power = machine.lock();
            power.disks[DRIVE].bad.clone_from(&job.bad);
            power.flush_time = job.flush_time;
        }
        let served = Served::at(&scratch.join("disks"), &machine);
        let lab = Self {
            machine,
            served,
            job: job.clone(),
            bug: rig.bug,
            keep: rig.keep.clone(),
            scratch,
        };
        if job.folders || job.begun.is_some() {
            let plugged = lab.plug();
            for folder in ["state/pending", "state/reports"] {
                std::fs::create_dir_all(lab.point().join(folder)).unwrap();
            }
            if let Some(begun) = &job.begun {
                begun.make(&lab, &plugged);
            }
        }
        lab
    }

    /// Something that broke a promise: disks and logs are kept, where that is
    /// asked for.
    pub fn violation(&self, story: &str) -> Violation {
        match &self.keep {
            Some(folder) => {
                let kept = keep::all(folder, &self.machine, self.scratch.path(), story);
                format!("{story}\nkept in {}", kept.display())
            }
            None => story.into(),
        }
    }

    /// Where the state's disk is mounted.
    pub fn point(&self) -> PathBuf {
        self.scratch.join("mnt")
    }

    pub fn plug(&self) -> Plugged {
        self.machine.start();
        let drive = Loop::with(&self.served.file("drive"), &["--direct-io=on"]);
        let state = Loop::with(&self.served.file("state"), &["--direct-io=on"]);
        let mount = Mount::with(state.path(), self.point(), self.job.fs.options());
        self.machine.lock().steps = Steps::of(&self.point().join("state"));
        Plugged {
            _mount: mount,
            _state: state,
            drive,
        }
    }

    /// What the state directory holds.
    pub fn files(&self) -> Files {
        files_of(&self.point().join("state"))
    }

    /// A run with this lab's state directory and settings, without a target.
    pub fn wipe(&self) -> Wipe {
        let wipe = self
            .scratch
            .wipeit()
            .state(&self.point().join("state"))
            .under(["env", "--default-signal"])
            .arg("--yes")
            .limit(300);
        let wipe = if self.job.interval == DEFAULT {
            wipe
        } else {
            wipe.arg(format!("--checkpoint-every={}", self.job.interval))
        };
        planted::chosen(wipe, self.bug)
    }

    /// Starts or resumes the wipe.
    pub fn start(&self, plugged: &Plugged, resume: bool) -> Running {
        self.machine.arm(None);
        self.start_armed(plugged, resume)
    }

    /// The same where a cut waits already.
    pub fn start_armed(&self, plugged: &Plugged, resume: bool) -> Running {
        let wipe = if resume {
            self.wipe().arg("--resume").words(&self.job.again())
        } else {
            self.wipe().words(&self.job.options)
        };
        wipe.arg(plugged.drive.path()).start()
    }

    /// Starts or resumes the wipe, until it ends or the power is cut; how it
    /// ended where it did.
    pub fn run(&self, plugged: &Plugged, resume: bool, cut: Option<Cut>) -> Option<Done> {
        let alone = cut.is_some_and(|cut| cut.only.is_some());
        self.machine.arm(cut);
        let mut running = self.start_armed(plugged, resume);
        let limit = Duration::from_secs(300);
        let is_cut = self.machine.wait_for_cut(|| !running.is_running(), limit);
        if is_cut && !alone {
            running.nudge(Signal::SIGKILL);
            running.wait();
            return None;
        }
        Some(running.wait())
    }
}

impl Job {
    /// The options that a resume takes as well.
    fn again(&self) -> String {
        let words: Vec<&str> = self.options.split(' ').collect();
        let kept = words
            .windows(2)
            .filter(|pair| matches!(pair[0], "--threads" | "--buffer-size" | "--rate-limit"));
        kept.flatten().copied().collect::<Vec<_>>().join(" ")
    }
}

/// What a state directory holds.
pub fn files_of(state: &Path) -> Files {
    Files {
        pending: read(&state.join("pending")),
        reports: records(read(&state.join("reports"))),
    }
}

fn read(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().to_string();
        let is_json = entry.path().extension().is_some_and(|end| end == "json");
        if is_json && !name.starts_with('.') {
            found.push((name, std::fs::read(entry.path()).unwrap_or_default()));
        }
    }
    found.sort();
    found
}
