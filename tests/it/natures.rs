//! What is no drive of its own, what keeps old data elsewhere, and what cannot
//! be seen: nothing untrue is said of it.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::content::{Content, check};
use crate::support::device::{Loop, Mount, size_of};
use crate::support::run::{Done, PROGRAM, Wipe};
use crate::support::state::unchanged;
use crate::support::{LOOP, MIB, Need, Scratch, cases, sh};

const OVERLAY: &[Need] = &[Need::Root, Need::FileSystem("overlay")];
const OVERLAY_LOOP: &[Need] = &[Need::Root, Need::Loop, Need::FileSystem("overlay")];
const BTRFS: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::FileSystem("btrfs"),
    Need::Tool("mkfs.btrfs"),
];
const ZRAM: &[Need] = &[Need::Root, Need::Zram];
const USERS: &[Need] = &[Need::Root, Need::Loop, Need::Tool("setpriv")];
const SPACES: &[Need] = &[Need::Root, Need::Loop, Need::Tool("unshare")];

cases![
    OVERLAY => an_image_that_a_lower_layer_has_is_not_clear,
    OVERLAY => what_was_copied_up_before_is_not_clear_either,
    OVERLAY => an_image_that_only_the_upper_layer_has_is_wiped,
    OVERLAY => a_lower_layer_is_found_through_a_bind_mount_and_odd_names,
    OVERLAY => a_layer_out_of_sight_is_told_and_no_more_is_claimed,
    OVERLAY => a_layer_below_a_layer_is_found,
    OVERLAY_LOOP => a_loop_device_over_a_file_of_a_lower_layer_is_not_clear,
    OVERLAY => a_resumed_wipe_still_knows_of_the_lower_layer,
    BTRFS => a_file_system_that_writes_elsewhere_is_told_before_and_after,
    BTRFS => so_is_one_below_a_loop_device,
    ZRAM => memory_is_neither_clear_nor_pulled_nor_hides_areas,
    LOOP => a_loop_device_over_a_device_is_a_volume,
    USERS => an_ordinary_user_sees_no_writers_and_wipes_no_device,
    USERS => an_ordinary_user_is_warned_of_an_image,
    SPACES => a_pid_namespace_sees_no_writers_and_wipes_no_device,
    SPACES => root_that_may_not_look_at_others_wipes_no_device,
    USERS => hidepid_is_found_out,
];

/// An overlay; unmounted when dropped.
struct Overlay {
    point: PathBuf,
}

impl Overlay {
    fn of(scratch: &Scratch, lower: &str) -> Self {
        let dir = |name: &str| {
            let dir = scratch.join(name);
            std::fs::create_dir_all(&dir).unwrap();
            dir
        };
        let (upper, work, point) = (dir("upper"), dir("work"), dir("merged"));
        let options = format!(
            "lowerdir={lower},upperdir={},workdir={}",
            upper.display(),
            work.display()
        );
        sh!("mount", "-t", "overlay", "-o", options, "overlay", point);
        Self { point }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for _ in 0..50 {
            let done = std::process::Command::new("umount")
                .arg(&self.point)
                .stderr(std::process::Stdio::null())
                .status();
            if done.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// A scratch folder whose `lower/sub/old.img` has old data, below an overlay.
fn with_lower() -> (Scratch, PathBuf, Overlay) {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.join("lower/sub")).unwrap();
    let old = scratch.tagged("lower/sub/old.img", own_size());
    let lower = scratch.join("lower");
    let overlay = Overlay::of(&scratch, lower.to_str().unwrap());
    (scratch, old, overlay)
}

/// A size that no other image has: on an overlay a loop device may be over any
/// file of its size.
fn own_size() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    3 * MIB + 512 * (13 + NEXT.fetch_add(1, Ordering::Relaxed))
}

/// It ended as one whose old data is still in `old`.
fn not_clear(done: Done, scratch: &Scratch, old: &Path) {
    let line = "NOT-CLEAR ";
    assert!(done.stdout.starts_with(line), "{done:?}");
    let place = format!("in {}", old.display());
    let words = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in ["the old data is still on ", &place] {
        assert!(words.contains(said), "no {said:?} in {words}");
    }
    done.code(3);
    let report = scratch.state().report();
    assert_eq!(report["outcome"], "NOT-CLEAR");
    assert_eq!(report["method"], "Overwritten NOT achieved");
    // It is indeed.
    check(old, 0, size_of(old), &Content::Tags);
}

fn an_image_that_a_lower_layer_has_is_not_clear() {
    let (scratch, old, overlay) = with_lower();
    let image = overlay.point.join("sub/old.img");
    let done = scratch.wipe(&image).arg("--dry-run").code(0);
    assert!(done.stderr.contains("Warning  the old data"), "{done:?}");
    not_clear(scratch.wipe(&image).yes().run(), &scratch, &old);
}

fn what_was_copied_up_before_is_not_clear_either() {
    let (scratch, old, overlay) = with_lower();
    let image = overlay.point.join("sub/old.img");
    drop(
        std::fs::OpenOptions::new()
            .write(true)
            .open(&image)
            .unwrap(),
    );
    assert!(scratch.join("upper/sub/old.img").exists());
    not_clear(scratch.wipe(&image).yes().run(), &scratch, &old);
}

fn an_image_that_only_the_upper_layer_has_is_wiped() {
    let (scratch, _, overlay) = with_lower();
    let image = overlay.point.join("sub/new.img");
    std::fs::copy(overlay.point.join("sub/old.img"), &image).unwrap();
    let done = scratch
        .wipe(&image)
        .yes()
        .run()
        .wiped(&image, size_of(&image));
    assert!(!done.stderr.contains("old data is still"), "{done:?}");
}

fn a_lower_layer_is_found_through_a_bind_mount_and_odd_names() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.join("one: a\\b/x y")).unwrap();
    std::fs::create_dir_all(scratch.join("two")).unwrap();
    let old = scratch.tagged("one: a\\b/x y/old.img", own_size());
    let (one, two) = (scratch.join("one\\: a\\\\b"), scratch.join("two"));
    let overlay = Overlay::of(&scratch, &format!("{}:{}", two.display(), one.display()));
    let bound = scratch.join("bound");
    std::fs::create_dir(&bound).unwrap();
    sh!("mount", "--bind", overlay.point.join("x y"), bound);
    let bound = Overlay { point: bound };
    let done = scratch.wipe(bound.point.join("old.img")).yes().run();
    drop(bound);
    assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
    done.code(3);
    check(&old, 0, size_of(&old), &Content::Tags);
}

fn a_layer_out_of_sight_is_told_and_no_more_is_claimed() {
    let (scratch, old, overlay) = with_lower();
    let over = Mount::tmpfs("1M", scratch.join("lower"));
    let image = overlay.point.join("sub/old.img");
    let done = scratch.wipe(&image).yes().run().code(0);
    assert!(done.stderr.contains("cannot be seen"), "{done:?}");
    let finding = &scratch.state().report()["findings"][0];
    assert_eq!(finding["kind"], "layer-unseen", "{finding}");
    drop(over);
    check(&old, 0, size_of(&old), &Content::Tags);
}

fn a_layer_below_a_layer_is_found() {
    let (scratch, old, below) = with_lower();
    let inner = Scratch::new();
    // Of two overlays over each other the upper one writes to a folder of the
    // lower one.
    let image = below.point.join("sub/old.img");
    let device = inner.path();
    let upper = below.point.join("sub");
    sh!("mount", "--bind", upper, device);
    let bound = Overlay {
        point: device.into(),
    };
    let done = scratch.wipe(device.join("old.img")).yes().run();
    drop(bound);
    assert!(image.exists());
    not_clear(done, &scratch, &old);
}

fn a_loop_device_over_a_file_of_a_lower_layer_is_not_clear() {
    let (scratch, old, overlay) = with_lower();
    let device = Loop::over(&overlay.point.join("sub/old.img"));
    not_clear(scratch.wipe(device.path()).yes().run(), &scratch, &old);
}

fn a_resumed_wipe_still_knows_of_the_lower_layer() {
    let (scratch, old, overlay) = with_lower();
    let image = overlay.point.join("sub/old.img");
    let slow = scratch
        .wipe(&image)
        .yes()
        .words("--rate-limit 1M --checkpoint-every 1M");
    let mut run = slow.start();
    let state = scratch.state();
    run.until_saved(&state, "a checkpoint", |_| true);
    run.signal(nix::sys::signal::Signal::SIGKILL);
    let _ = run.wait();
    let done = scratch.wipe(&image).yes().arg("--resume").run();
    not_clear(done, &scratch, &old);
}

/// A btrfs with an old image in it.
fn with_btrfs() -> (Scratch, Mount, PathBuf) {
    let scratch = Scratch::new();
    let disk = scratch.sparse("btrfs.img", 120 * MIB);
    sh!("mkfs.btrfs", "-q", disk);
    let mount = Mount::of(&disk, scratch.join("mnt"));
    let image = mount.point().join("old.img");
    crate::support::content::fill_with_tags(&image, MIB);
    (scratch, mount, image)
}

const ELSEWHERE: &str = "btrfs writes elsewhere as a rule (unless NOCOW)";

fn a_file_system_that_writes_elsewhere_is_told_before_and_after() {
    let (scratch, _mount, image) = with_btrfs();
    let card = scratch.wipe(&image).arg("--dry-run").code(0).stderr;
    assert!(card.contains(&format!("Warning  {ELSEWHERE}")), "{card}");
    let done = scratch.wipe(&image).yes().run().wiped(&image, MIB);
    assert!(
        done.stderr.contains(&format!("Note     {ELSEWHERE}")),
        "{done:?}"
    );
    let report = scratch.state().report();
    assert_eq!(report["findings"][0]["kind"], "writes-elsewhere");
    assert_eq!(report["findings"][0]["file_system"], "btrfs");
}

fn so_is_one_below_a_loop_device() {
    let (scratch, _mount, image) = with_btrfs();
    let device = Loop::over(&image);
    let done = scratch.wipe(device.path()).yes().run();
    let done = done.wiped(device.path(), MIB);
    assert!(done.stderr.contains(ELSEWHERE), "{done:?}");
}

/// A zram of its own; removed when dropped.
struct Zram {
    number: String,
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = std::fs::write("/sys/class/zram-control/hot_remove", &self.number);
    }
}

fn memory_is_neither_clear_nor_pulled_nor_hides_areas() {
    let scratch = Scratch::new();
    let number = std::fs::read_to_string("/sys/class/zram-control/hot_add").unwrap();
    let zram = Zram {
        number: number.trim().into(),
    };
    let name = format!("zram{}", zram.number);
    std::fs::write(format!("/sys/block/{name}/disksize"), "4M").unwrap();
    let path = PathBuf::from(format!("/dev/{name}"));
    let card = scratch.wipe(&path).arg("--dry-run").code(0).stderr;
    assert!(card.contains(&format!("{name}, memory (zram)\n")), "{card}");
    let done = scratch.wipe(&path).yes().run().wiped(&path, 4 * MIB);
    for said in [&card, &done.stderr] {
        for untrue in ["HPA", "Pull", "Flash", "spare", "Clear (", "is Clear"] {
            assert!(!said.contains(untrue), "{untrue} in {said}");
        }
    }
    assert!(done.stderr.contains("Method   Overwritten: "), "{done:?}");
    let report = scratch.state().report();
    assert_eq!(report["hidden_areas"], "none");
    assert_eq!(report["method"], "Overwritten");
}

fn a_loop_device_over_a_device_is_a_volume() {
    let scratch = Scratch::new();
    let below = Loop::over(&scratch.tagged("old.img", 2 * MIB));
    let above = Loop::over(below.path());
    let done = scratch.wipe(above.path()).yes().run().code(0);
    assert!(done.stderr.contains("Method   Overwritten: "), "{done:?}");
    assert!(!done.stderr.contains("Pull"), "{done:?}");
}

/// A folder where everybody may go, with the program in it.
struct Open {
    dir: tempfile::TempDir,
}

const NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

impl Open {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("wipeit-")
            .tempdir()
            .unwrap();
        let this = Self { dir };
        std::fs::copy(PROGRAM, this.join("wipeit")).unwrap();
        for (path, mode) in [
            (this.dir.path().to_path_buf(), 0o777),
            (this.join("wipeit"), 0o755),
        ] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        this
    }

    fn join(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the program there under `wrapper`.
    fn run(&self, wrapper: &[&str], args: &[&dyn AsRef<std::ffi::OsStr>]) -> Done {
        let program = self.join("wipeit");
        let mut words: Vec<OsString> = wrapper.iter().map(Into::into).collect();
        words.push(program.into());
        words.extend(args.iter().map(|arg| arg.as_ref().to_os_string()));
        // The shell leaves out the program that the harness would run.
        Wipe::new(self.dir.path())
            .under(["bash", "-c", "shift; exec \"$@\"", "bash"])
            .only(words)
            .state(&self.join("state"))
            .run()
    }

    fn image(&self) -> PathBuf {
        let image = self.join("old.img");
        crate::support::content::fill_with_tags(&image, MIB);
        std::os::unix::fs::chown(&image, Some(65534), Some(65534)).unwrap();
        image
    }
}

/// A loop device that an ordinary user may write to.
fn device(scratch: &Scratch) -> Loop {
    let device = Loop::over(&scratch.tagged("old.img", MIB));
    std::os::unix::fs::chown(device.path(), Some(65534), Some(65534)).unwrap();
    device
}

/// Gives a device back to root, so that no other test is surprised.
fn give_back(device: &Loop) {
    std::os::unix::fs::chown(device.path(), Some(0), Some(6)).unwrap();
}

/// A loop device has no serial: `--serial` is no remedy.
fn refused_unseen(open: &Open, device: &Loop, wrapper: &[&str], why: &str, remedy: &str) {
    let done = unchanged(&[device.path()], || {
        open.run(wrapper, &[&"--yes", &device.path()])
    });
    give_back(device);
    let done = done.code(4).one_line();
    for said in [
        "cannot be seen",
        why,
        remedy,
        "it has no serial",
        "not touched",
    ] {
        assert!(done.stderr.contains(said), "no {said:?} in {done:?}");
    }
    assert!(!done.stderr.contains("--serial"), "{done:?}");
}

fn an_ordinary_user_sees_no_writers_and_wipes_no_device() {
    let (open, scratch) = (Open::new(), Scratch::new());
    let device = device(&scratch);
    let why = "may not be looked at";
    refused_unseen(&open, &device, &NOBODY, why, "run as root of the machine");
}

fn an_ordinary_user_is_warned_of_an_image() {
    let open = Open::new();
    let image = open.image();
    let done = open.run(&NOBODY, &[&"--yes", &image]).code(0);
    assert!(done.stdout.starts_with("WIPED "), "{done:?}");
    let warning = "warning: processes that write to it cannot be seen";
    assert!(done.stderr.contains(warning), "{done:?}");
}

fn a_pid_namespace_sees_no_writers_and_wipes_no_device() {
    let (open, scratch) = (Open::new(), Scratch::new());
    let device = device(&scratch);
    let apart = ["unshare", "--pid", "--fork", "--mount-proc"];
    refused_unseen(&open, &device, &apart, "PID namespace", "--pid=host");
    // One that sees all processes, as its /proc is the machine's.
    let device = Loop::over(&scratch.tagged("two.img", MIB));
    let done = open.run(&["unshare", "--pid", "--fork"], &[&"--yes", &device.path()]);
    done.code(0);
}

fn root_that_may_not_look_at_others_wipes_no_device() {
    let (open, scratch) = (Open::new(), Scratch::new());
    let device = device(&scratch);
    let less = [
        "setpriv",
        "--bounding-set=-sys_ptrace",
        "--inh-caps=-sys_ptrace",
    ];
    refused_unseen(
        &open,
        &device,
        &less,
        "may not be looked at",
        "CAP_SYS_PTRACE",
    );
}

fn hidepid_is_found_out() {
    let (open, scratch) = (Open::new(), Scratch::new());
    let device = device(&scratch);
    let hidden = [
        "unshare",
        "--mount",
        "bash",
        "-c",
        // A remount would hide them from the whole machine.
        "mount -t proc -o hidepid=2 proc /proc && \
         exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"",
        "bash",
    ];
    refused_unseen(&open, &device, &hidden, "hidepid", "without hidepid");
}
