//! Loop devices, partitions, mounts, swap and slow disks that go away with the
//! test, and reading them from outside the program.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Scratch, path_variable, sh, wait_until};

/// Reads a range past the page cache where the file system can.
pub fn read_range(path: &Path, offset: u64, length: usize) -> Vec<u8> {
    const BLOCK: u64 = 4096;
    const STEP: usize = 1 << 20;
    let direct = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_DIRECT.bits())
        .open(path);
    let Ok(file) = direct else {
        let mut bytes = vec![0; length];
        let file = File::open(path).unwrap();
        file.read_exact_at(&mut bytes, offset).unwrap();
        return bytes;
    };
    let start = offset / BLOCK * BLOCK;
    let skip = usize::try_from(offset - start).unwrap();
    let mut buffer = memmap2::MmapMut::map_anon(STEP).unwrap();
    let mut bytes = Vec::with_capacity(length + STEP);
    while bytes.len() < skip + length {
        let at = start + bytes.len() as u64;
        let got = file.read_at(&mut buffer, at).unwrap();
        bytes.extend_from_slice(&buffer[..got]);
        if got < STEP {
            break;
        }
    }
    bytes.drain(..skip.min(bytes.len()));
    bytes.truncate(length);
    bytes
}

/// Size of a block device or file in bytes.
pub fn size_of(path: &Path) -> u64 {
    use std::io::{Seek as _, SeekFrom};
    File::open(path).unwrap().seek(SeekFrom::End(0)).unwrap()
}

/// A loop device; detached with its partitions when dropped.
pub struct Loop {
    path: PathBuf,
    image: PathBuf,
    parts: Vec<u32>,
}

/// Two at a time would find the same free number, and the one that comes too late
/// would hold the other's device open for a moment.
static ATTACHING: Mutex<()> = Mutex::new(());

impl Loop {
    /// Attaches with 512-byte blocks.
    pub fn over(image: &Path) -> Self {
        Self::with(image, &[])
    }

    /// Attaches with more arguments for losetup.
    pub fn with(image: &Path, args: &[&str]) -> Self {
        let mut all: Vec<&std::ffi::OsStr> = vec!["-f".as_ref(), "--show".as_ref()];
        all.extend(args.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        all.push(image.as_os_str());
        let path = {
            let _one = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
            PathBuf::from(super::output_of("losetup", &all))
        };
        let this = Self {
            path,
            image: image.canonicalize().unwrap(),
            parts: Vec::new(),
        };
        // What was said of the cache of the last one with this number would stand,
        // and the kernel would send no flush.
        let cache = format!("/sys/block/{}/queue/write_cache", this.name());
        std::fs::write(cache, "write back").unwrap();
        // So would the owner that a test gave the node.
        std::os::unix::fs::chown(&this.path, Some(0), None).unwrap();
        // A number may come with partitions that someone left behind.
        for number in 1..4 {
            this.remove_partition(number);
        }
        this
    }

    fn remove_partition(&self, number: u32) {
        let node = format!("/sys/block/{0}/{0}p{number}", self.name());
        for _ in 0..50 {
            if !Path::new(&node).exists() {
                return;
            }
            let number = number.to_string();
            quietly("delpart", &[self.path.as_os_str(), number.as_ref()]);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kernel's name, as `loop0`.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap().to_string_lossy().to_string()
    }

    /// Adds a partition; start and length in sectors of 512 bytes.
    pub fn partition(&mut self, number: u32, start: u64, length: u64) -> PathBuf {
        sh!(
            "addpart",
            self.path,
            number.to_string(),
            start.to_string(),
            length.to_string()
        );
        self.parts.push(number);
        let node = PathBuf::from(format!("{}p{number}", self.path.display()));
        wait_until("the partition's node", || node.exists());
        node
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        for number in &self.parts {
            self.remove_partition(*number);
        }
        let backing = format!("/sys/block/{}/loop/backing_file", self.name());
        for round in 0..50 {
            // Once detached, its number may at once be someone else's.
            let shown = std::fs::read_to_string(&backing).unwrap_or_default();
            if !shown.starts_with(&*self.image.to_string_lossy()) {
                return;
            }
            // One that is busy is detached by the kernel later. To ask again might
            // hit whoever has the number by then.
            if round % 20 == 0 {
                quietly("losetup", &["-d".as_ref(), self.path.as_os_str()]);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// For `Drop`: must not panic.
pub fn quietly(program: &str, args: &[&std::ffi::OsStr]) -> bool {
    Command::new(program)
        .args(args)
        .env("PATH", path_variable())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A mounted file system; unmounted when dropped.
pub struct Mount {
    point: PathBuf,
}

impl Mount {
    /// Makes an ext4 on the device and mounts it.
    pub fn ext4(device: &Path, point: PathBuf) -> Self {
        // What the kernel would write later is written now, so that the device
        // holds still.
        let now = "lazy_itable_init=0,lazy_journal_init=0";
        sh!("mkfs.ext4", "-q", "-F", "-E", now, device);
        Self::of(device, point)
    }

    /// Mounts what is on the device.
    pub fn of(device: &Path, point: PathBuf) -> Self {
        std::fs::create_dir_all(&point).unwrap();
        sh!("mount", "-o", "noatime", device, point);
        sh!("sync", "-f", point);
        Self { point }
    }

    /// The same with these options.
    pub fn with(device: &Path, point: PathBuf, options: &str) -> Self {
        std::fs::create_dir_all(&point).unwrap();
        sh!("mount", "-o", options, device, point);
        Self { point }
    }

    /// One without a device.
    pub fn kind(kind: &str, options: &str, point: PathBuf) -> Self {
        sh!("mount", "-t", kind, "-o", options, kind, point);
        Self { point }
    }

    /// A file system in memory.
    pub fn tmpfs(size: &str, point: PathBuf) -> Self {
        std::fs::create_dir_all(&point).unwrap();
        sh!(
            "mount",
            "-t",
            "tmpfs",
            "-o",
            format!("size={size}"),
            "tmpfs",
            point
        );
        Self { point }
    }

    pub fn point(&self) -> &Path {
        &self.point
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(&self.point, 50);
    }
}

/// Leaves no byte free in a file system, and none of those kept for root; gives
/// what takes them. For small ones.
pub fn fill(folder: &Path) -> PathBuf {
    use std::io::Write as _;
    let path = folder.join("fill");
    let mut file = File::create(&path).unwrap();
    let mut part = vec![7; 64 << 10];
    while !part.is_empty() {
        // The last page as well.
        if file.write_all(&part).is_err() {
            part.truncate(part.len() / 2);
        }
    }
    let _ = file.sync_all();
    path
}

/// Unmounts what may be busy for a moment, at so many tries 20 ms apart.
pub fn unmount(point: &Path, tries: u32) {
    for _ in 0..tries {
        if quietly("umount", &[point.as_os_str()]) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Active swap; switched off when dropped.
pub struct Swap {
    device: PathBuf,
}

impl Swap {
    pub fn on(device: &Path) -> Self {
        sh!("mkswap", "-q", device);
        sh!("swapon", device);
        let device = device.to_path_buf();
        Self { device }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        quietly("swapoff", &[self.device.as_os_str()]);
    }
}

/// A device-mapper device over another; removed when dropped.
pub struct Mapped {
    name: String,
}

impl Mapped {
    pub fn linear(name: &str, device: &Path, sectors: u64) -> Self {
        let table = format!("0 {sectors} linear {} 0", device.display());
        sh!("dmsetup", "create", name, "--table", table);
        let name = name.to_string();
        Self { name }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        quietly("dmsetup", &["remove".as_ref(), self.name.as_ref()]);
    }
}

/// A block device that is slow, or whose writes fail somewhere: a loop device
/// over a file that qemu-storage-daemon exports.
pub struct SlowDisk {
    // Dropped in this order: the loop device before the daemon below it.
    device: Loop,
    daemon: Daemon,
}

/// A size in bytes that no other disk of these tests has: while one does not
/// answer, what has its size and may be over the same file is refused to the
/// tests beside it.
pub fn size_of_its_own() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static TAKEN: AtomicU64 = AtomicU64::new(1);
    20 * super::MIB + TAKEN.fetch_add(1, Ordering::Relaxed) * 64 * super::KIB
}

/// What the disk does.
#[derive(Default)]
pub struct Traits {
    /// Bytes a second.
    pub write_speed: Option<u64>,
    /// Sectors of 512 bytes whose writes fail with EIO.
    pub bad_sectors: Vec<u64>,
    /// Sectors of 512 bytes whose reads fail with EIO.
    pub unreadable_sectors: Vec<u64>,
    /// Sectors of 512 bytes of which the first write fails with EIO.
    pub healing_sectors: Vec<u64>,
    /// The first flush fails with EIO.
    pub failing_flush: bool,
    /// Bytes of a logical block; 512 without a word.
    pub block: Option<u32>,
    /// Reads are not answered from the page cache of the loop device's file.
    /// The program may then send one request of at most 64 KiB at a time only.
    pub direct: bool,
}

/// The process, and the file that it serves.
struct Daemon(Child, PathBuf);

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        if let Ok(Some(_)) = self.0.try_wait() {
            // It was killed, and has left a dead mount.
            quietly("umount", &["-l".as_ref(), self.1.as_os_str()]);
            return;
        }
        // TERM lets it take its export down; KILL would leave a dead mount.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        for _ in 0..200 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl SlowDisk {
    /// What the test needs of the machine.
    pub const NEEDS: &'static [super::Need] = &[
        super::Need::Root,
        super::Need::Loop,
        super::Need::Fuse,
        super::Need::Tool("qemu-storage-daemon"),
        super::Need::Tool("openssl"),
    ];

    pub fn over(scratch: &Scratch, image: &Path, traits: &Traits) -> Self {
        let (export, daemon) = serve(scratch, image, traits);
        // Not with direct I/O, unless asked for: that sends several writes at once, and the FUSE
        // export of QEMU before 10 then mixes up their data (seen with 7.2 and
        // plain pwrite). Through the page cache they go one by one, at once.
        // What is on the disk is therefore read from the image, not from here.
        let direct = if traits.direct { "on" } else { "off" };
        let block = traits.block.unwrap_or(512);
        let device = Loop::with(
            &export,
            &[
                &format!("--direct-io={direct}"),
                &format!("--sector-size={block}"),
            ],
        );
        Self { device, daemon }
    }

    pub fn path(&self) -> &Path {
        self.device.path()
    }

    /// The daemon's process, for tests that stop it.
    pub fn daemon(&self) -> u32 {
        self.daemon.0.id()
    }
}

/// Serves what is in an image as a file that FUSE leads to; gives its path.
fn serve(scratch: &Scratch, image: &Path, traits: &Traits) -> (PathBuf, Daemon) {
    let export = scratch.join("export.raw");
    File::create(&export).unwrap();
    let file = serde_json::json!({
        "driver": "file", "node-name": "file", "filename": image.to_str().unwrap(),
        "cache": { "direct": true },
    });
    // In a file: ten thousand rules are too long for an argument.
    let mut rules = String::new();
    let mut rule = |what: &str, sector: Option<u64>, once: bool| {
        let sector = sector.map_or(String::new(), |sector| format!("sector = \"{sector}\"\n"));
        let once = if once { "once = \"on\"\n" } else { "" };
        let _ = write!(
            rules,
            "[inject-error]\nevent = \"none\"\niotype = \"{what}\"\nerrno = \"5\"\n{sector}{once}\n"
        );
    };
    for sector in &traits.bad_sectors {
        rule("write", Some(*sector), false);
    }
    for sector in &traits.unreadable_sectors {
        rule("read", Some(*sector), false);
    }
    for sector in &traits.healing_sectors {
        rule("write", Some(*sector), true);
    }
    if traits.failing_flush {
        rule("flush", None, true);
    }
    let mut faults = serde_json::json!({
        "driver": "blkdebug", "node-name": "faults", "image": "file",
    });
    if !rules.is_empty() {
        let file = scratch.join("faults.conf");
        std::fs::write(&file, rules).unwrap();
        faults["config"] = file.to_str().unwrap().into();
    }
    let speed = serde_json::json!({
        "qom-type": "throttle-group", "id": "speed",
        "limits": { "bps-write": traits.write_speed.unwrap_or(0) },
    });
    let throttle = serde_json::json!({
        "driver": "throttle", "node-name": "disk", "throttle-group": "speed",
        "file": "faults",
    });
    let mut command = Command::new("qemu-storage-daemon");
    command
        .env("PATH", path_variable())
        .args(["--object", &speed.to_string()])
        .args(["--blockdev", &file.to_string()])
        .args(["--blockdev", &faults.to_string()])
        .args(["--blockdev", &throttle.to_string()])
        .arg("--export")
        .arg(format!(
            "type=fuse,id=export,node-name=disk,mountpoint={},writable=on",
            export.display()
        ))
        .stdin(Stdio::null());
    let daemon = Daemon(command.spawn().unwrap(), export.clone());
    let size = size_of(image);
    wait_until("the export", || {
        std::fs::metadata(&export).is_ok_and(|meta| meta.len() == size)
    });
    (export, daemon)
}

/// A file that another program serves through FUSE; gone with the program.
pub struct Served {
    path: PathBuf,
    daemon: Daemon,
}

impl Served {
    /// What the test needs of the machine.
    pub const NEEDS: &'static [super::Need] = &[
        super::Need::Root,
        super::Need::Fuse,
        super::Need::Tool("qemu-storage-daemon"),
        super::Need::Tool("openssl"),
    ];

    pub fn over(scratch: &Scratch, image: &Path, traits: &Traits) -> Self {
        let (path, daemon) = serve(scratch, image, traits);
        Self { path, daemon }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Kills the program that serves it; the file stays mounted, but dead.
    pub fn kill(&mut self) {
        self.daemon.0.kill().unwrap();
        self.daemon.0.wait().unwrap();
    }
}
