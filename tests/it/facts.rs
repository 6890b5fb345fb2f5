//! What the kernel says about real loop devices, and what the guard makes of it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use wipeit::inside::{
    Comparison, Device, Fact, Host, InUse, Kind, Medium, Mount, NoTarget, Node, Transport, check,
};

use crate::support::device::Loop;
use crate::support::{LOOP, MIB, Need, cases, wait_until};

const MOUNT: &[Need] = &[Need::Root, Need::Loop, Need::Tool("mkfs.ext4")];
const NAMESPACE: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("mkfs.ext4"),
    Need::Tool("unshare"),
];
const SWAP: &[Need] = &[Need::Root, Need::Loop, Need::Tool("mkswap")];

cases![
    LOOP => an_idle_loop_device_is_cleared_with_its_facts,
    LOOP => sizes_are_exact_for_odd_sectors_and_large_blocks,
    MOUNT => a_mounted_disk_is_refused_with_its_mount_point,
    MOUNT => only_the_mounted_partition_and_its_disk_are_refused,
    MOUNT => a_lazily_unmounted_disk_is_busy,
    SWAP => swap_is_refused_by_name,
    LOOP => a_twin_loop_device_is_refused,
    LOOP => a_loop_device_over_the_target_is_refused,
    MOUNT => a_loop_device_over_a_mounted_one_is_refused,
    LOOP => a_read_only_loop_device_is_refused,
    MOUNT => the_drive_of_the_state_directory_is_refused,
    LOOP => a_loop_device_over_less_than_a_sector_has_no_bytes,
    LOOP => what_another_process_can_write_to_is_refused_by_its_name,
    NAMESPACE => a_mount_in_another_namespace_is_refused_by_its_process,
];

fn run(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{command} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// What is seen of a loop device now.
trait Look {
    fn look(&self) -> Device;
}

impl Look for Loop {
    fn look(&self) -> Device {
        look(self.path())
    }
}

/// Something that a command ends.
struct Until(Vec<String>);

impl Until {
    fn run(command: &[&str]) -> Self {
        Self(command.iter().map(ToString::to_string).collect())
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        let _ = Command::new(&self.0[0]).args(&self.0[1..]).status();
    }
}

fn mount(node: &str, point: &Path) -> Until {
    std::fs::create_dir_all(point).unwrap();
    let point = point.to_str().unwrap();
    run("mount", &[node, point]);
    Until::run(&["umount", point])
}

fn image(dir: &TempDir, name: &str, size: u64) -> PathBuf {
    let path = dir.path().canonicalize().unwrap().join(name);
    File::create(&path).unwrap().set_len(size).unwrap();
    path
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// What is seen when no other test looks for a free loop device, for which
/// `losetup` opens them for writing.
fn look(path: &Path) -> Device {
    let mut device = look_now(path);
    wait_until("no opener", || {
        device = look_now(path);
        device.usage.openers == Fact::Known(vec![])
    });
    device
}

fn look_now(path: &Path) -> Device {
    Host::real().device(path, Path::new("/proc")).unwrap()
}

fn refused(device: Device) -> Vec<String> {
    match check(device) {
        Ok(_) => Vec::new(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
    }
}

fn an_idle_loop_device_is_cleared_with_its_facts() {
    let dir = temporary();
    let file = image(&dir, "disk.img", 8 * MIB);
    let disk = Loop::with(&file, &[]);
    let device = disk.look();
    assert_eq!(device.size, 8 * MIB);
    assert_eq!(device.logical_block, 512);
    assert_eq!(device.identity.kind, Kind::Loop);
    assert_eq!(device.identity.transport, Transport::Loop);
    assert_eq!(device.medium, Medium::File);
    let backing = device.identity.backing.clone().unwrap();
    assert_eq!(backing.path, file.to_str().unwrap());
    assert_ne!(backing.inode, 0);
    assert_eq!(
        device.identity.compare(&disk.look().identity),
        Comparison::Same
    );
    assert!(
        matches!(&device.node, Node::Block { whole_path, diskseq: Some(_), .. } if whole_path == disk.path())
    );
    let attached = Host::real().attached();
    let own = attached
        .iter()
        .find(|drive| drive.path == disk.path())
        .unwrap();
    assert_eq!(own.identity, device.identity);
    assert_eq!(refused(device), [""; 0]);
}

fn sizes_are_exact_for_odd_sectors_and_large_blocks() {
    let dir = temporary();
    let odd = Loop::with(&image(&dir, "odd", MIB + 3 * 512), &[]);
    assert_eq!(odd.look().size, MIB + 3 * 512);
    let large = Loop::with(&image(&dir, "large", MIB + 512), &["-b", "4096"]);
    assert_eq!(large.look().logical_block, 4096);
    // The kernel shows the last sector although no block of 4096 bytes fits.
    let size = run("blockdev", &["--getsize64", large.path().to_str().unwrap()]);
    assert_eq!(large.look().size.to_string(), size);
}

fn a_mounted_disk_is_refused_with_its_mount_point() {
    let dir = temporary();
    let disk = Loop::with(&image(&dir, "disk", 16 * MIB), &[]);
    run(
        "mkfs.ext4",
        &["-q", "-L", "backup", disk.path().to_str().unwrap()],
    );
    let content = disk.look().contents.remove(0);
    assert_eq!(content.what, Some("ext4"));
    assert_eq!(content.label.as_deref(), Some("backup"));
    let name = &disk.name();
    for (folder, word) in [
        ("plain", "{}/plain"),
        ("two words", "'{}/two words'"),
        ("K\u{e4}se", "'{}/K\u{e4}se'"),
        ("line\nfeed", "$'{}/line\\012feed'"),
    ] {
        let point = dir.path().join(folder);
        let _mounted = mount(disk.path().to_str().unwrap(), &point);
        let device = disk.look();
        assert_eq!(device.usage.busy, Fact::Known(true));
        let mount = Mount {
            name: name.into(),
            point: point.clone(),
            by: None,
        };
        assert_eq!(device.usage.mounts, Fact::Known(vec![mount]));
        let lines = refused(device);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let command = word.replace("{}", dir.path().to_str().unwrap());
        assert!(
            lines[0].ends_with(&format!("; run `umount {command}` first")),
            "{lines:?}"
        );
    }
    assert_eq!(refused(disk.look()), [""; 0]);
}

fn only_the_mounted_partition_and_its_disk_are_refused() {
    let dir = temporary();
    let disk = Loop::with(&image(&dir, "disk", 32 * MIB), &[]);
    let mut ends = Vec::new();
    for (number, start) in [("1", "2048"), ("2", "34816")] {
        run(
            "addpart",
            &[disk.path().to_str().unwrap(), number, start, "30001"],
        );
        ends.push(Until::run(&[
            "delpart",
            disk.path().to_str().unwrap(),
            number,
        ]));
    }
    let node = |number: u8| format!("{}p{number}", disk.path().display());
    run("mkfs.ext4", &["-q", &node(1)]);
    let mounted = mount(&node(1), &dir.path().join("mnt"));
    let name = node(1).trim_start_matches("/dev/").to_string();
    for path in [disk.path().display().to_string(), node(1)] {
        let lines = refused(look(Path::new(&path)));
        assert!(
            lines[0].starts_with(&format!("{name} is mounted at ")),
            "{lines:?}"
        );
    }
    let neighbour = look(Path::new(&node(2)));
    assert_eq!(neighbour.size, 30001 * 512);
    let slice = neighbour.identity.slice.clone().unwrap();
    assert_eq!(
        (slice.start, slice.length, slice.disk_size),
        (34816 * 512, 30001 * 512, 32 * MIB)
    );
    assert_eq!(neighbour.identity.kind, Kind::Partition);
    assert_eq!(neighbour.identity.backing, disk.look().identity.backing);
    assert_eq!(refused(neighbour), [""; 0]);
    assert_eq!(disk.look().contents[1].what, Some("ext4"));
    drop(mounted);
    assert_eq!(refused(disk.look()), [""; 0]);
    drop(ends);
}

fn a_lazily_unmounted_disk_is_busy() {
    let dir = temporary();
    let disk = Loop::with(&image(&dir, "disk", 16 * MIB), &[]);
    run("mkfs.ext4", &["-q", disk.path().to_str().unwrap()]);
    let point = dir.path().join("mnt");
    let mounted = mount(disk.path().to_str().unwrap(), &point);
    let kept = File::create(point.join("kept")).unwrap();
    run("umount", &["-l", point.to_str().unwrap()]);
    std::mem::forget(mounted);
    let device = disk.look();
    assert_eq!(device.usage.mounts, Fact::Known(vec![]));
    assert_eq!(check(device).unwrap_err(), [InUse::Busy]);
    drop(kept);
}

fn swap_is_refused_by_name() {
    let dir = temporary();
    let file = image(&dir, "disk", 16 * MIB);
    // A file with holes behind a loop device is slow to page to, not wrong.
    let disk = Loop::with(&file, &[]);
    run("mkswap", &["-L", "paging", disk.path().to_str().unwrap()]);
    assert_eq!(disk.look().contents[0].label.as_deref(), Some("paging"));
    run("swapon", &[disk.path().to_str().unwrap()]);
    let active = Until::run(&["swapoff", disk.path().to_str().unwrap()]);
    let name = &disk.name();
    let device = disk.look();
    assert_eq!(device.usage.busy, Fact::Known(true));
    assert_eq!(
        refused(device),
        [format!(
            "{name} is swap; run `swapoff {}` first",
            disk.path().display()
        )]
    );
    drop(active);
    assert_eq!(refused(disk.look()), [""; 0]);
}

fn a_twin_loop_device_is_refused() {
    let dir = temporary();
    let file = image(&dir, "disk", MIB);
    let link = dir.path().join("link");
    std::fs::hard_link(&file, &link).unwrap();
    assert_eq!(refused(look(&file)), [""; 0]);
    let first = Loop::with(&file, &[]);
    assert_eq!(refused(first.look()), [""; 0]);
    let refusal = |by: &Loop, fact: &str| {
        format!(
            "{fact} {0}; run `losetup -d {0}` first",
            by.path().display()
        )
    };
    let of_file = "it is the backing file of";
    for path in [&file, &link] {
        assert_eq!(refused(look(path)), [refusal(&first, of_file)]);
    }
    let second = Loop::with(&link, &[]);
    let same = "its backing file is in use by";
    assert_eq!(refused(first.look()), [refusal(&second, same)]);
    assert_eq!(refused(second.look()), [refusal(&first, same)]);
}

fn a_loop_device_over_the_target_is_refused() {
    let dir = temporary();
    let below = Loop::with(&image(&dir, "disk", MIB), &[]);
    let above = Loop::over(below.path());
    // The kernel sees nothing wrong with it.
    let device = below.look();
    assert_eq!(device.usage.busy, Fact::Known(false));
    let lines = refused(device);
    assert!(
        lines[0].contains(above.path().to_str().unwrap()),
        "{lines:?}"
    );
    assert_eq!(refused(above.look()), [""; 0]);
}

fn a_loop_device_over_a_mounted_one_is_refused() {
    let dir = temporary();
    let below = Loop::with(&image(&dir, "disk", 16 * MIB), &[]);
    let above = Loop::over(below.path());
    run("mkfs.ext4", &["-q", below.path().to_str().unwrap()]);
    let point = dir.path().join("mnt");
    let _mounted = mount(below.path().to_str().unwrap(), &point);
    let device = above.look();
    assert_eq!(device.usage.busy, Fact::Known(true));
    let lines = refused(device);
    let name = &below.name();
    assert!(
        lines[0].starts_with(&format!("{name} is mounted at ")),
        "{lines:?}"
    );
}

fn a_read_only_loop_device_is_refused() {
    let dir = temporary();
    let disk = Loop::with(&image(&dir, "disk", MIB), &["-r"]);
    assert!(matches!(
        check(disk.look()).unwrap_err()[..],
        [InUse::ReadOnly {
            image: false,
            at: None
        }]
    ));
}

fn the_drive_of_the_state_directory_is_refused() {
    let dir = temporary();
    let outer = Loop::with(&image(&dir, "outer", 64 * MIB), &[]);
    run("mkfs.ext4", &["-q", outer.path().to_str().unwrap()]);
    let outer_point = dir.path().join("outer-mnt");
    let _outer = mount(outer.path().to_str().unwrap(), &outer_point);
    let carries = |disk: &Loop, state: &Path| {
        let device = Host::real().device(disk.path(), state).unwrap();
        let carries = device.usage.carries_state.clone();
        let refusals = check(device).unwrap_err();
        let said = refusals
            .iter()
            .any(|it| matches!(it, InUse::CarriesState { .. }));
        assert_eq!(carries, Fact::Known(said));
        said
    };
    assert!(carries(&outer, &outer_point.join("not/yet/there")));
    assert!(!carries(&outer, dir.path()));
    // A file system in a file in a file system.
    let file = outer_point.join("inner");
    File::create(&file).unwrap().set_len(16 * MIB).unwrap();
    let inner = Loop::with(&file, &[]);
    run("mkfs.ext4", &["-q", inner.path().to_str().unwrap()]);
    let inner_point = dir.path().join("inner-mnt");
    let _inner = mount(inner.path().to_str().unwrap(), &inner_point);
    assert!(carries(&inner, &inner_point));
    assert!(carries(&outer, &inner_point));
    assert!(!carries(&inner, &outer_point));
}

fn a_loop_device_over_less_than_a_sector_has_no_bytes() {
    let dir = temporary();
    let file = image(&dir, "disk", 511);
    let disk = Loop::with(&file, &[]);
    assert!(matches!(
        Host::real().device(disk.path(), Path::new("/proc")),
        Err(NoTarget::Empty)
    ));
    // The file itself has its 511 bytes, but a loop device has it.
    assert_eq!(look(&file).size, 511);
    assert_eq!(refused(look(&file)).len(), 1);
    File::open(&file)
        .unwrap()
        .read_exact_at(&mut [0; 511], 0)
        .unwrap();
}

/// A process that waits until it is dropped.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn what_another_process_can_write_to_is_refused_by_its_name() {
    let dir = temporary();
    let file = image(&dir, "file", MIB);
    let disk = Loop::with(&file, &[]);
    let holding = |path: &Path| {
        let open = File::options().read(true).write(true).open(path).unwrap();
        let mut sleep = Command::new("sleep");
        Waiting(sleep.arg("1000").stdin(open).spawn().unwrap())
    };
    let line = |name: &str, process: &Waiting| {
        let pid = process.0.id();
        format!("{name} is open for writing by process {pid} (sleep); end it first")
    };
    let other = temporary();
    let alone = image(&other, "alone", MIB);
    {
        let process = holding(disk.path());
        let lines = refused(look_now(disk.path()));
        let name = disk.name();
        assert!(lines.contains(&line(&name, &process)), "{lines:?}");
        let process = holding(&alone);
        assert_eq!(refused(look_now(&alone)), [line("alone", &process)]);
        // The file behind a loop device.
        let process = holding(&file);
        let lines = refused(look_now(disk.path()));
        assert!(lines.contains(&line("file", &process)), "{lines:?}");
    }
    assert_eq!(refused(disk.look()), [""; 0]);
    assert_eq!(refused(look(&alone)), [""; 0]);
}

fn a_mount_in_another_namespace_is_refused_by_its_process() {
    let dir = temporary();
    let disk = Loop::with(&image(&dir, "disk", 16 * MIB), &[]);
    let node = disk.path().to_str().unwrap();
    run("mkfs.ext4", &["-q", node]);
    let point = dir.path().join("there");
    std::fs::create_dir(&point).unwrap();
    let script = "mount \"$0\" \"$1\" && echo mounted && exec sleep 1000";
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script, node]).arg(&point);
    let mut process = Waiting(unshare.stdout(Stdio::piped()).spawn().unwrap());
    let mut ready = String::new();
    let output = process.0.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut ready).unwrap();
    assert_eq!(ready, "mounted\n");
    let name = disk.name();
    let point = point.to_str().unwrap();
    let pid = process.0.id();
    let lines = refused(disk.look());
    let begin = format!("{name} is mounted at {point} in the mount namespace of process {pid} (");
    let end = format!("); end that or run `nsenter -t {pid} -m umount {point}` first");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with(&begin) && lines[0].ends_with(&end),
        "{lines:?}"
    );
    drop(process);
    wait_until("free again", || refused(disk.look()).is_empty());
}
