//! A drive in memory: a loop device past the page cache, over a file on a tmpfs
//! of its own. All of it goes away, also after a panic or a signal.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const MIB: u64 = 1 << 20;
/// Bytes of the tmpfs beside the drive, for state directories and logs.
const ROOM: u64 = 64 * MIB;
/// Bytes of memory that must be left to the machine.
const SPARE: u64 = 512 * MIB;

fn stopped() -> &'static Arc<AtomicBool> {
    static STOPPED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    STOPPED.get_or_init(Arc::default)
}

/// From here on a signal stops the benchmark in good order.
pub fn stop_by_signal() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(stopped()))?;
    }
    Ok(())
}

/// Fails once a signal has come: the way out drops what must go away.
pub fn go_on() -> anyhow::Result<()> {
    ensure!(!stopped().load(Ordering::SeqCst), "stopped by a signal");
    Ok(())
}

/// Why there can be no such drive here; `None` when there can.
pub fn obstacle(size: u64) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root: try `sudo -E env PATH=$PATH cargo bench`".into());
    }
    if tool("losetup").is_none() {
        return Some("needs losetup, of the package mount or util-linux".into());
    }
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = line
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .map_or(0, |kib: u64| kib * 1024);
    let needed = size + ROOM + SPARE;
    (available < needed).then(|| {
        format!(
            "needs {} MiB of free memory, and there are {}; see --size",
            needed / MIB,
            available / MIB
        )
    })
}

/// Where a tool is; folders of system tools may be missing from PATH.
pub fn tool(name: &str) -> Option<PathBuf> {
    let given = std::env::var("PATH").unwrap_or_default();
    let all = format!("{given}:/usr/sbin:/sbin:/usr/bin:/bin");
    std::env::split_paths(&all)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Runs a system tool; gives its stdout.
fn call(name: &str, words: &[&std::ffi::OsStr]) -> anyhow::Result<String> {
    let program = tool(name).with_context(|| format!("{name} is not installed"))?;
    let out = Command::new(program).args(words).output()?;
    let errors = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name}: {}", errors.trim());
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_string())
}

/// A loop device; detached when dropped.
#[derive(Debug)]
pub struct Loop(PathBuf);

impl Loop {
    /// Attaches a file, with more arguments for losetup.
    pub fn over(file: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let mut words = vec!["--find", "--show", "--direct-io=on"];
        words.extend(more);
        let mut words: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
        words.push(file.as_os_str());
        call("losetup", &words).map(|path| Self(path.into()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // udev or a tool that was killed may hold it for moments more.
        for _ in 0..100 {
            let detached = call("losetup", &["--detach".as_ref(), self.0.as_os_str()]);
            let name = self.0.file_name().unwrap_or_default();
            let backing = Path::new("/sys/block").join(name).join("loop/backing_file");
            if detached.is_ok() && !backing.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        crate::say(&format!("{}: could not be detached", self.0.display()));
    }
}

/// A tmpfs; unmounted, and its folder removed, when dropped.
#[derive(Debug)]
struct Memory {
    point: PathBuf,
}

impl Memory {
    fn of(size: u64) -> anyhow::Result<Self> {
        let name = format!("bench-{}", std::process::id());
        let point = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&point)?;
        let options = format!("size={size},mode=700");
        let words = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mut words: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
        words.push(point.as_os_str());
        if let Err(error) = call("mount", &words) {
            let _ = fs::remove_dir(&point);
            return Err(error);
        }
        Ok(Self { point })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for _ in 0..100 {
            if call("umount", &[self.point.as_os_str()]).is_ok() {
                let _ = fs::remove_dir(&self.point);
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        crate::say(&format!("{}: could not be unmounted", self.point.display()));
    }
}

/// The drive, and room in memory beside it.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order.
    device: Option<Loop>,
    memory: Memory,
    size: u64,
    states: std::cell::Cell<u32>,
}

impl Lab {
    /// A drive of so many bytes whose memory was all written to: a page that is
    /// touched for the first time measures the machine, not the tool.
    pub fn of(size: u64) -> anyhow::Result<Self> {
        let memory = Memory::of(size + size / 4 + ROOM)?;
        let mut lab = Self {
            device: None,
            memory,
            size,
            states: std::cell::Cell::new(0),
        };
        let mut image = File::create(lab.image())?;
        let block = [0xA5; 16 * 1024];
        let mut left = size;
        while left > 0 {
            let length = left.min(block.len() as u64);
            image.write_all(&block[..wipeit::inside::memory(length)])?;
            left -= length;
            go_on()?;
        }
        drop(image);
        lab.device = Some(Loop::over(&lab.image(), &[])?);
        Ok(lab)
    }

    fn image(&self) -> PathBuf {
        self.memory.point.join("drive.img")
    }

    /// Bytes of the drive.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The drive.
    pub fn device(&self) -> anyhow::Result<&Path> {
        match &self.device {
            Some(device) => Ok(device.path()),
            None => bail!("the drive is detached"),
        }
    }

    /// A second device over the same memory, with blocks of 4096 bytes.
    pub fn with_large_blocks(&self) -> anyhow::Result<Loop> {
        Loop::over(&self.image(), &["--sector-size=4096"])
    }

    /// Makes it a drive of another size over the same memory; what is beyond it
    /// is a hole.
    pub fn resize(&mut self, size: u64) -> anyhow::Result<()> {
        self.device = None;
        File::options()
            .write(true)
            .open(self.image())?
            .set_len(size)?;
        self.device = Some(Loop::over(&self.image(), &[])?);
        Ok(())
    }

    /// A state directory that nobody used.
    pub fn state(&self) -> PathBuf {
        self.states.set(self.states.get() + 1);
        self.memory
            .point
            .join(format!("state-{}", self.states.get()))
    }

    /// A file for what a tool wants to write.
    pub fn log(&self) -> PathBuf {
        self.memory.point.join("log")
    }
}

/// Waits until nobody looks at a device because it was closed.
pub fn settle() {
    if tool("udevadm").is_some() {
        let _ = call("udevadm", &["settle".as_ref(), "--timeout=5".as_ref()]);
    }
}
