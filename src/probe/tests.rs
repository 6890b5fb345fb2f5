//! Against trees that look like `/sys`, `/proc` and `/dev`.

use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::devices::Devices;
use super::*;
use crate::drive::{
    Backing, DevId, Device, Fact, Holder, Identity, Kind, Medium, Nature, NoCapacity, NoTarget,
    Node, Transport, Unseen, Usage, guard, path_to_text, sharing_id,
};
use crate::text::reason;

mod carried;
mod foundation;
mod identity;
mod machine;
mod refusals;
mod system;
mod targets;
mod usage;

pub(crate) struct Machine {
    dir: TempDir,
    pub(crate) host: Host,
}

const MIB: u64 = 1 << 20;

impl Machine {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let host = Host {
            sys: root.join("sys"),
            proc: root.join("proc"),
            dev: root.join("dev"),
        };
        for path in [
            "sys/dev/block",
            "sys/class/block",
            "proc/self",
            "dev",
            "state",
        ] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        let machine = Self { dir, host };
        machine.mounts("");
        machine.swaps("");
        let program = machine.file("program");
        symlink(program, machine.host.proc.join("self/exe")).unwrap();
        machine
    }

    fn write(path: &Path, text: impl AsRef<[u8]>) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A file outside of the kernel's trees.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.host.dev.with_file_name(name);
        Self::write(&path, vec![0; 8192]);
        path
    }

    pub(crate) fn mounts(&self, text: &str) {
        Self::write(&self.host.proc.join("self/mountinfo"), text);
    }

    /// On a system that runs from memory, so that none of its disks is needed.
    fn mounts_besides_root(&self, text: &str) {
        self.mounts(&format!("1 0 0:999999 / / rw - tmpfs none rw\n{text}"));
    }

    /// A process with a mount namespace.
    fn process(&self, pid: u32, name: &str, namespace: &str) -> PathBuf {
        let dir = self.host.proc.join(pid.to_string());
        Self::write(&dir.join("comm"), format!("{name}\n"));
        std::fs::create_dir_all(dir.join("ns")).unwrap();
        std::fs::create_dir_all(dir.join("fd")).unwrap();
        symlink(format!("mnt:[{namespace}]"), dir.join("ns/mnt")).unwrap();
        dir
    }

    /// Lets a process hold a file open, with these flags in octal.
    fn opens(process: &Path, fd: &str, path: &Path, flags: &str) {
        symlink(path, process.join("fd").join(fd)).unwrap();
        let info = format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t24\nino:\t5\n");
        Self::write(&process.join("fdinfo").join(fd), info);
    }

    pub(crate) fn swaps(&self, lines: &str) {
        let text = format!("Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n{lines}");
        Self::write(&self.host.proc.join("swaps"), text);
    }

    /// Where a device's attributes are.
    fn sys(&self, name: &str) -> PathBuf {
        let link = self.host.sys.join("class/block").join(name);
        link.canonicalize().unwrap()
    }

    pub(crate) fn set(&self, name: &str, attributes: &[(&str, &str)]) {
        for (attribute, value) in attributes {
            Self::write(&self.sys(name).join(attribute), format!("{value}\n"));
        }
    }

    fn add(&self, name: &str, dev: DevId, dir: &Path, attributes: &[(&str, &str)]) {
        let sys = &self.host.sys;
        std::fs::create_dir_all(dir.join("holders")).unwrap();
        let number = format!("{}:{}", dev.major, dev.minor);
        symlink(dir, sys.join("dev/block").join(&number)).unwrap();
        symlink(dir, sys.join("class/block").join(name)).unwrap();
        self.set(name, &[("dev", &number), ("ro", "0")]);
        self.set(name, attributes);
        Self::write(&self.host.dev.join(name), vec![0; 4096]);
    }

    /// A whole disk of 1 MiB below `bus`.
    pub(crate) fn disk_at(&self, bus: &str, name: &str, dev: DevId) {
        let dir = self
            .host
            .sys
            .join("devices")
            .join(bus)
            .join("block")
            .join(name);
        std::fs::create_dir_all(dir.join("slaves")).unwrap();
        self.add(
            name,
            dev,
            &dir,
            &[
                ("size", "2048"),
                ("queue/logical_block_size", "512"),
                ("queue/physical_block_size", "4096"),
                ("queue/rotational", "1"),
                ("queue/write_cache", "write back"),
                ("diskseq", "7"),
            ],
        );
    }

    pub(crate) fn disk(&self, name: &str, dev: DevId) {
        self.disk_at("pci0000:00", name, dev);
    }

    pub(crate) fn partition(&self, disk: &str, number: &str, dev: DevId) {
        let name = format!("{disk}{number}");
        let dir = self.sys(disk).join(&name);
        let number = number.trim_start_matches('p');
        let start = 64 + 100 * (number.parse::<u64>().unwrap() - 1);
        self.add(
            &name,
            dev,
            &dir,
            &[
                ("partition", number),
                ("start", &start.to_string()),
                ("size", "100"),
            ],
        );
    }

    /// A loop device over a file.
    pub(crate) fn looped(&self, name: &str, dev: DevId, backing: &str) {
        self.disk_at("virtual", name, dev);
        self.set(
            name,
            &[
                ("loop/backing_file", backing),
                ("loop/offset", "0"),
                ("loop/sizelimit", "0"),
            ],
        );
    }

    pub(crate) fn hold(&self, held: &str, by: &str) {
        symlink(self.sys(by), self.sys(held).join("holders").join(by)).unwrap();
        let whole = self.sys(by).join("slaves").join(held);
        symlink(self.sys(held), whole).unwrap();
    }

    /// A disk `sda` with two partitions and a disk `sdaa` with one.
    pub(crate) fn usual() -> Self {
        let machine = Self::new();
        machine.disk("sda", id(1008, 0));
        machine.partition("sda", "1", id(1008, 1));
        machine.partition("sda", "2", id(1008, 2));
        machine.disk("sdaa", id(1065, 160));
        machine.partition("sdaa", "1", id(1065, 161));
        machine
    }

    fn number(&self, name: &str) -> DevId {
        let devices = Devices::read(&self.host).unwrap();
        devices.of_name(name).unwrap().dev
    }

    pub(crate) fn look(&self, name: &str) -> Device {
        self.look_with(name, Path::new("/proc"))
    }

    /// With another state directory than one that lies on no drive.
    fn look_with(&self, name: &str, state_dir: &Path) -> Device {
        let path = self.host.dev.join(name);
        self.host
            .block_target(&path, self.number(name), Some(state_dir))
            .unwrap()
    }

    fn mounted_on(&self, name: &str) -> Vec<(String, PathBuf)> {
        let Fact::Known(mounts) = self.look(name).usage.mounts else {
            panic!("mounts are unknown");
        };
        mounts
            .into_iter()
            .map(|mount| (mount.name, mount.point))
            .collect()
    }
}

impl Machine {
    /// What is said against wiping a device; nothing when it is cleared. Paths
    /// as on a real machine.
    fn said(&self, name: &str) -> Vec<String> {
        self.refusals(self.look(name))
    }

    fn said_of_image(&self, path: &Path) -> Vec<String> {
        self.refusals(self.host.device(path, Path::new("/proc")).unwrap())
    }

    fn refusals(&self, device: Device) -> Vec<String> {
        let root = self.host.dev.parent().unwrap().to_str().unwrap();
        match guard::check(device) {
            Ok(_) => Vec::new(),
            Err(refusals) => refusals
                .iter()
                .map(|refusal| refusal.to_string().replace(root, ""))
                .collect(),
        }
    }

    fn warned(&self, name: &str) -> Vec<String> {
        let warnings = crate::drive::warnings(&self.look(name));
        warnings.iter().map(ToString::to_string).collect()
    }

    /// What stands on a device.
    fn holds(&self, name: &str, bytes: impl AsRef<[u8]>) {
        Self::write(&self.host.dev.join(name), bytes);
    }

    fn mapped(&self, name: &str, minor: u64, label: &str, uuid: &str) {
        self.disk_at("virtual", name, id(20252, minor));
        self.set(name, &[("dm/name", label), ("dm/uuid", uuid)]);
    }

    /// The same, with nothing mounted but its root in memory.
    fn resting() -> Self {
        let machine = Self::usual();
        machine.mounts_besides_root("");
        machine
    }
}

const NOTHING: [&str; 0] = [];

/// Majors here are none that a real file system has: its number must not meet a
/// device of the machine.
pub(crate) fn id(major: u64, minor: u64) -> DevId {
    DevId { major, minor }
}

/// The number of the file system that a path lies on.
fn file_system_of(path: &Path) -> DevId {
    DevId::from_raw(std::fs::metadata(path).unwrap().dev())
}

fn known<T>(fact: Fact<T>) -> T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(why) => panic!("unknown: {why}"),
    }
}

fn why<T: std::fmt::Debug>(fact: Fact<T>) -> String {
    match fact {
        Fact::Known(value) => panic!("known: {value:?}"),
        Fact::Unknown(why) => why,
    }
}
