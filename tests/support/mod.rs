//! What the tests share. Nothing here uses the library under test: the bytes
//! that are expected come from openssl, the devices are read by plain files.

pub mod cgroup;
pub mod content;
pub mod device;
pub mod page;
pub mod pty;
pub mod run;
pub mod state;
pub mod trace;
pub mod vm;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Trial};

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;

/// What a test needs of the machine. Where it is missing the test shows as
/// ignored, with the reason.
#[derive(Clone, Copy)]
pub enum Need {
    Root,
    Loop,
    Fuse,
    DeviceMapper,
    /// Control groups with this controller, made by us.
    Cgroup(&'static str),
    Tool(&'static str),
    /// A file system of this kernel.
    FileSystem(&'static str),
    Zram,
    /// A guest with emulated drives.
    Machine,
    /// What makes a guest reach drives over iSCSI.
    Initiator,
    /// Bytes of free space below the target directory.
    Space(u64),
}

pub const NOTHING: &[Need] = &[];
pub const OPENSSL: &[Need] = &[Need::Tool("openssl")];
pub const LOOP: &[Need] = &[Need::Root, Need::Loop, Need::Tool("openssl")];
pub const STRACE: &[Need] = &[Need::Tool("strace"), Need::Tool("openssl")];

impl Need {
    /// Why the need is not met here.
    fn missing(self) -> Option<String> {
        match self {
            Self::Root => (!nix::unistd::geteuid().is_root()).then(|| "needs root".into()),
            Self::Loop => {
                let free = tool("losetup").is_some()
                    && Command::new("losetup")
                        .arg("-f")
                        .output()
                        .is_ok_and(|out| out.status.success());
                (!free).then(|| "no loop devices here".into())
            }
            Self::Fuse => {
                (!Path::new("/dev/fuse").exists()).then(|| "no /dev/fuse in this kernel".into())
            }
            Self::DeviceMapper => {
                let works = tool("dmsetup").is_some()
                    && Command::new("dmsetup")
                        .arg("ls")
                        .output()
                        .is_ok_and(|out| out.status.success());
                (!works).then(|| "no device mapper here".into())
            }
            Self::Cgroup(controller) => (!cgroup::Cgroup::works(controller))
                .then(|| format!("no control groups with {controller} can be made here")),
            Self::Tool(name) => tool(name)
                .is_none()
                .then(|| format!("{name} is not installed")),
            Self::FileSystem(name) => {
                let all = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
                let known = all.lines().any(|line| line.ends_with(&format!("\t{name}")));
                (!known).then(|| format!("no {name} in this kernel"))
            }
            Self::Zram => (!Path::new("/sys/class/zram-control/hot_add").exists())
                .then(|| "no zram in this kernel".into()),
            Self::Machine => vm::missing(),
            Self::Initiator => vm::no_initiator(),
            Self::Space(bytes) => {
                let free = nix::sys::statvfs::statvfs(Path::new(env!("CARGO_TARGET_TMPDIR")))
                    .map_or(0, |fs| fs.blocks_available() * fs.fragment_size());
                (free < bytes).then(|| format!("needs {} MiB of free space", bytes / MIB))
            }
        }
    }
}

/// Where a tool is installed; `sbin` folders are looked at as well, a user's
/// PATH may lack them.
fn tool(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&path_variable())
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// PATH with the folders of system tools.
pub fn path_variable() -> String {
    let given = std::env::var("PATH").unwrap_or_default();
    format!("{given}:/usr/sbin:/sbin:/usr/bin:/bin")
}

/// A test as the harness takes it.
pub fn case(module: &str, name: &str, needs: &'static [Need], run: fn()) -> Trial {
    let module = module.rsplit("::").next().unwrap_or(module);
    Trial::ignorable_test(format!("{module}::{name}"), move || {
        if let Some(reason) = needs.iter().find_map(|need| need.missing()) {
            return Ok(Completion::ignored_with(reason));
        }
        run();
        Ok(Completion::Completed)
    })
}

/// Lists the tests of a module: `cases![NEEDS => function, ...]`.
macro_rules! cases {
    ($($needs:expr => $name:ident),* $(,)?) => {
        pub fn cases() -> Vec<libtest_mimic::Trial> {
            vec![$($crate::support::case(module_path!(), stringify!($name), $needs, $name)),*]
        }
    };
}
pub(crate) use cases;

/// A folder of one test, with the state directory of its runs; it goes away
/// with the test.
pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// On the disk that the build is on: a temporary folder may be in memory.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("wipeit-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The state directory; no test creates it, the program does.
    pub fn state(&self) -> state::State {
        state::State::at(self.join("state"))
    }

    /// A new image, filled with tagged data.
    pub fn tagged(&self, name: &str, size: u64) -> PathBuf {
        let path = self.join(name);
        content::fill_with_tags(&path, size);
        path
    }

    /// A new image without blocks.
    pub fn sparse(&self, name: &str, size: u64) -> PathBuf {
        let path = self.join(name);
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// A run of the program with this scratch's state directory.
    pub fn wipe(&self, target: impl AsRef<std::ffi::OsStr>) -> run::Wipe {
        self.wipeit().arg(target)
    }

    /// The same without a target.
    pub fn wipeit(&self) -> run::Wipe {
        run::Wipe::new(self.path())
    }
}

/// Runs a tool that must succeed; its output without the last line end.
pub fn output_of(program: &str, args: &[&std::ffi::OsStr]) -> String {
    let out = Command::new(program)
        .args(args)
        .env("PATH", path_variable())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        out.status.success(),
        "{program} {args:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim_end().to_string()
}

/// `sh!("losetup", "-d", path)`: arguments of any text or path type.
macro_rules! sh {
    ($program:expr $(, $arg:expr)* $(,)?) => {
        $crate::support::output_of($program, &[$(std::ffi::OsStr::new(&$arg)),*])
    };
}
pub(crate) use sh;

/// How long something may take that takes no time: a shared machine is slow at
/// times.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until something holds; fails the test with `what` when it does not in
/// three minutes.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A small generator for test schedules; the same numbers in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
