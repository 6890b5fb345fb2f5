//! Time: programs that are stopped, clocks, state disks that hang, the rate
//! limit.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::Signal::{SIGCONT, SIGINT, SIGKILL, SIGSTOP};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::cgroup::Cgroup;
use crate::support::content::{Content, check};
use crate::support::device::{Loop, Mount, SlowDisk, Traits, size_of_its_own};
use crate::support::run::Running;
use crate::support::state::{State, number};
use crate::support::vm::{MACHINE, Machine};
use crate::support::{MIB, Need, OPENSSL, Scratch, cases, sh};

const FREEZER: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Fuse,
    Need::Cgroup("freezer"),
    Need::Tool("qemu-storage-daemon"),
    Need::Tool("openssl"),
];
const FROZEN_DISK: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("mkfs.ext4"),
    Need::Tool("fsfreeze"),
    Need::Tool("openssl"),
];

cases![
    OPENSSL => time_in_which_the_program_is_stopped_is_no_work,
    OPENSSL => a_killed_run_has_worked_at_least_until_its_last_checkpoint,
    OPENSSL => runs_of_the_first_version_with_a_clock_set_back_take_an_unknown_time,
    OPENSSL => a_clock_that_was_set_between_two_runs_of_one_boot_is_said,
    SlowDisk::NEEDS => a_program_that_was_stopped_gives_the_drive_its_whole_time_again,
    FREEZER => a_frozen_program_gives_the_drive_its_whole_time_again,
    FROZEN_DISK => a_state_disk_that_hangs_is_named_and_never_the_drive,
    FROZEN_DISK => a_state_disk_that_hangs_when_a_wipe_stops_is_named,
    MACHINE => a_clock_that_is_set_and_a_machine_that_sleeps_change_no_time_of_a_wipe,
    OPENSSL => a_rate_limit_is_said_to_be_of_this_run_and_repeated_for_the_next,
];

fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Milliseconds between the stamps of a run.
fn by_stamps(run: &Value) -> i64 {
    let at = |field: &str| -> Timestamp { run[field].as_str().unwrap().parse().unwrap() };
    let (start, end) = (at("start"), at("end"));
    end.as_millisecond() - start.as_millisecond()
}

fn time_in_which_the_program_is_stopped_is_no_work() {
    const STOPPED: u64 = 6;
    let scratch = Scratch::new();
    let (size, state) = (8 * MIB, scratch.state());
    let image = scratch.tagged("old.img", size);
    let wipe = scratch.wipe(&image).yes().words("--verify none");
    let mut run = wipe.words("--rate-limit 4M --checkpoint-every 1M").start();
    run.until_written(&state, MIB);
    run.signal(SIGSTOP);
    pause(Duration::from_secs(STOPPED));
    run.signal(SIGCONT);
    let done = run.wait().code(0);
    let report = state.report();
    let first = &report["runs"][0];
    let (whole, work) = (by_stamps(first), number(first, "work_ms").cast_signed());
    // However slow the machine is, this was no work.
    assert!(whole - work > 5_500, "{work} of {whole} ms, {done:?}");
    assert!(work > 500, "{work}");
    assert_eq!(
        number(&report, "active_seconds"),
        work.cast_unsigned() / 1000
    );
    // Nor does it make a speed: half a second of it would be beyond the limit.
    for sample in report["samples"].as_array().unwrap() {
        let speed = number(sample, "speed");
        assert!(speed > MIB / 2, "{report}");
    }
    check(&image, 0, size, &Content::of(&report, 1));
}

fn a_killed_run_has_worked_at_least_until_its_last_checkpoint() {
    let scratch = Scratch::new();
    let (size, state) = (16 * MIB, scratch.state());
    let image = scratch.tagged("old.img", size);
    let wipe = scratch.wipe(&image).yes();
    let mut run = wipe.words("--rate-limit 2M --checkpoint-every 1M").start();
    run.until_saved(&state, "two seconds of work in a checkpoint", |value| {
        value["runs"][0]["work_ms"].as_u64() >= Some(2_000)
    });
    run.signal(SIGKILL);
    run.wait().killed_by(SIGKILL);
    let done = scratch.wipe(&image).arg("--resume").run();
    let done = done.says(&[
        "Time     at least ",
        "; 2 runs; 1 run ended without a trace",
    ]);
    done.wiped(&image, size);
    let report = state.report();
    assert!(number(&report["runs"][0], "work_ms") >= 2_000, "{report}");
    assert!(number(&report, "active_seconds") >= 2, "{report}");
}

/// A wipe that was interrupted after a megabyte.
fn interrupted(scratch: &Scratch, options: &str) -> PathBuf {
    let state = scratch.state();
    let image = scratch.tagged("old.img", 8 * MIB);
    let wipe = scratch.wipe(&image).yes().words(options);
    let mut run = wipe.words("--rate-limit 2M --checkpoint-every 1M").start();
    run.until_written(&state, MIB);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    image
}

fn runs_of_the_first_version_with_a_clock_set_back_take_an_unknown_time() {
    for (start, end) in [
        ("2026-01-14T10:00:00Z", "2026-01-14T07:00:00Z"),
        ("1970-01-01T00:00:10Z", "2026-01-14T07:00:00Z"),
    ] {
        let scratch = Scratch::new();
        let image = interrupted(&scratch, "");
        scratch.state().edit(|value| {
            let run = value["runs"][0].as_object_mut().unwrap();
            for field in ["work_ms", "asleep_ms", "clock"] {
                run.remove(field);
            }
            run["start"] = start.into();
            run["end"] = end.into();
        });
        let done = scratch.wipe(&image).arg("--resume").run();
        done.says(&["2 runs; the clock does not tell of 1 run"])
            .wiped(&image, 8 * MIB);
        let active = number(&scratch.state().report(), "active_seconds");
        assert!(active < 600, "{active} s");
    }
}

fn a_clock_that_was_set_between_two_runs_of_one_boot_is_said() {
    let scratch = Scratch::new();
    let image = interrupted(&scratch, "");
    // As if it had been three hours ahead then; half a minute on top, as the
    // clock of a machine is slewed all the time.
    scratch.state().edit(|value| {
        let mark = &mut value["runs"][0]["clock"]["offset_ms"];
        *mark = (mark.as_i64().unwrap() + 3 * 3_600_000 + 30_000).into();
    });
    let done = scratch.wipe(&image).arg("--resume").run();
    let told = "the clock was set during this wipe (by -3 h 0 min)";
    done.says(&[told]).wiped(&image, 8 * MIB);
    let report = scratch.state().report();
    assert_eq!(report["findings"][0]["kind"], "clock-set", "{report}");
    let page = std::fs::read_to_string(scratch.state().reports()[0].with_extension("html"));
    assert!(
        page.unwrap()
            .contains("lock was set during this wipe (by -3 h 0 min)")
    );
    // In another boot nobody can tell.
    let scratch = Scratch::new();
    let image = interrupted(&scratch, "");
    scratch.state().edit(|value| {
        let mark = &mut value["runs"][0]["clock"];
        mark["offset_ms"] = 5.into();
        mark["boot"] = "7e8a1d60-0000-0000-0000-000000000000".into();
    });
    let done = scratch.wipe(&image).arg("--resume").run();
    assert!(!done.stderr.contains("clock"), "{done:?}");
    done.wiped(&image, 8 * MIB);
}

/// A wipe of a slow disk with a stall timeout of eight seconds, and a megabyte
/// done.
fn slow(scratch: &Scratch, wrapper: &[String]) -> (SlowDisk, Running) {
    let image = scratch.tagged("old.img", size_of_its_own());
    let traits = Traits {
        write_speed: Some(2 * MIB),
        ..Traits::default()
    };
    let disk = SlowDisk::over(scratch, &image, &traits);
    let state = scratch.state();
    let wipe = scratch.wipe(disk.path()).yes().under(wrapper).limit(180);
    let words = "--stall-timeout 8 -b 64K --checkpoint-every 1M --verify none";
    let mut run = wipe.words(words).start();
    run.until_written(&state, MIB);
    (disk, run)
}

/// The drive is silent while the program is stopped, and a little longer.
fn stopped(disk: &SlowDisk, run: &mut Running, stop: impl Fn(&Running), go: impl Fn(&Running)) {
    let daemon = Pid::from_raw(disk.daemon().cast_signed());
    for _ in 0..3 {
        // First: a program whose writes hang cannot be frozen.
        stop(run);
        kill(daemon, SIGSTOP).unwrap();
        pause(Duration::from_secs(10));
        go(run);
        pause(Duration::from_secs(1));
        assert!(run.is_running(), "{}{}", run.stdout(), run.stderr());
        kill(daemon, SIGCONT).unwrap();
        pause(Duration::from_millis(300));
    }
}

fn a_program_that_was_stopped_gives_the_drive_its_whole_time_again() {
    let scratch = Scratch::new();
    let (disk, mut run) = slow(&scratch, &[]);
    let (stop, go) = (
        |run: &Running| run.signal(SIGSTOP),
        |run: &Running| run.signal(SIGCONT),
    );
    stopped(&disk, &mut run, stop, go);
    let done = run.wait().code(0);
    assert!(!done.stderr.contains("nothing has come back"), "{done:?}");
}

fn a_frozen_program_gives_the_drive_its_whole_time_again() {
    let scratch = Scratch::new();
    let group = Cgroup::new("freezer");
    let (disk, mut run) = slow(&scratch, &group.wrapper());
    stopped(&disk, &mut run, |_| group.freeze(), |_| group.thaw());
    let done = run.wait().code(0);
    assert!(!done.stderr.contains("nothing has come back"), "{done:?}");
}

/// Frozen for writing until dropped.
struct Frozen<'a>(&'a Path);

impl<'a> Frozen<'a> {
    fn new(point: &'a Path) -> Self {
        sh!("fsfreeze", "-f", point);
        Self(point)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        sh!("fsfreeze", "-u", self.0);
    }
}

/// A wipe whose state is on a disk of its own, and that disk's mount point.
struct Apart {
    image: PathBuf,
    point: PathBuf,
    run: Running,
    // in this order
    _mount: Mount,
    _disk: Loop,
}

impl Apart {
    /// With a first checkpoint.
    fn new(scratch: &Scratch) -> Self {
        let image = scratch.tagged("old.img", 32 * MIB);
        let disk = Loop::over(&scratch.sparse("state.img", 32 * MIB));
        let point = scratch.join("kept");
        let mount = Mount::ext4(disk.path(), point.clone());
        let wipe = scratch.wipe(&image).yes().state(&point.join("state"));
        let words = "--stall-timeout 5 --checkpoint-every 4M --rate-limit 8M";
        let mut run = wipe.words(words).start();
        let state = State::at(point.join("state"));
        run.until("a checkpoint", |_| !state.pending().is_empty());
        Self {
            image,
            point,
            run,
            _mount: mount,
            _disk: disk,
        }
    }
}

const STATE_DISK: &str = "the disk of the state directory has not answered for";

fn a_state_disk_that_hangs_is_named_and_never_the_drive() {
    let scratch = Scratch::new();
    let mut apart = Apart::new(&scratch);
    let frozen = Frozen::new(&apart.point);
    let run = &mut apart.run;
    run.until("a word", |run| run.stderr().contains(STATE_DISK));
    // The workers wait for a checkpoint; the drive has nothing to do.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        assert!(run.is_running(), "{}{}", run.stdout(), run.stderr());
        pause(Duration::from_millis(100));
    }
    drop(frozen);
    let Apart {
        image,
        run,
        _mount,
        _disk,
        ..
    } = apart;
    let done = run.wait().code(0);
    assert!(!done.stderr.contains("nothing has come back"), "{done:?}");
    done.wiped(&image, 32 * MIB);
}

fn a_state_disk_that_hangs_when_a_wipe_stops_is_named() {
    let scratch = Scratch::new();
    let mut apart = Apart::new(&scratch);
    let frozen = Frozen::new(&apart.point);
    apart.run.signal(SIGINT);
    let told = |run: &Running| run.stderr().contains(STATE_DISK);
    apart.run.until("a word", told);
    assert!(apart.run.is_running());
    drop(frozen);
    let Apart {
        run,
        point,
        _mount,
        _disk,
        ..
    } = apart;
    run.wait().killed_by(SIGINT);
    assert_eq!(State::at(point.join("state")).pending().len(), 1);
}

fn a_rate_limit_is_said_to_be_of_this_run_and_repeated_for_the_next() {
    let scratch = Scratch::new();
    let state = scratch.state();
    let image = scratch.tagged("old.img", 8 * MIB);
    let wipe = scratch.wipe(&image).yes();
    let mut run = wipe
        .words("--rate-limit 1536K --checkpoint-every 1M")
        .start();
    run.until_saved(&state, "a checkpoint", |_| true);
    run.signal(SIGINT);
    let done = run.wait().killed_by(SIGINT);
    done.says(&[" --rate-limit 1536K\n", "The rate limit is not saved"]);
    // Without one nothing is said of it.
    let run = scratch
        .wipe(&image)
        .words("--resume -b 4K --threads 1")
        .start();
    run.signal(SIGINT);
    let done = run.wait();
    assert!(!done.stderr.contains("rate"), "{done:?}");
}

fn a_clock_that_is_set_and_a_machine_that_sleeps_change_no_time_of_a_wipe() {
    let mut machine = Machine::new();
    for kind in ["virtio", "nvme", "scsi"] {
        machine = machine.disk(kind, 16 * MIB);
    }
    // One clock is set back once, the other one to 1970 and far ahead again. The
    // third wipe is suspended with the machine: all but the firmware's part of it,
    // for the five seconds of the kernel's own test and those that waking takes.
    let boot = machine.boot(
        &[],
        "start() { wipeit --yes --verify none --rate-limit 4M --checkpoint-every 1M \
             --stall-timeout 5 --state-dir /w $(dev $1) >/tmp/$1.said 2>&1 </dev/null & pid=$!
             until grep -q '\"written\": [1-9]' /w/pending/*.json 2>/dev/null; do sleep .1; done; }
         set_by() { date -s @$(($(date +%s) + $1)) >/dev/null; sleep 1; }
         end() { wait $pid; echo \"code $?\" >>/tmp/$1.said; show \"$1\" /tmp/$1.said; }
         start SN-VIRTIO0; set_by -10800; end SN-VIRTIO0
         start SN-NVME0; now=$(date +%s); date -s @100 >/dev/null; sleep 1
         date -s @$((now + 86400)) >/dev/null; sleep 1; end SN-NVME0
         start SN-SCSI0; echo core >/sys/power/pm_test; echo mem >/sys/power/state
         end SN-SCSI0
         show report /w/reports/*.json",
    );
    let boot = boot.finished();
    boot.ended(
        "SN-VIRTIO0",
        0,
        &["the clock was set during this wipe (by -3 h 0 min)"],
    );
    boot.ended(
        "SN-NVME0",
        0,
        // By seconds that `date` leaves out it may be a minute less than a day.
        &["the clock was set 2 times during this wipe (by +2"],
    );
    boot.ended("SN-SCSI0", 0, &[" s besides"]);
    let slept = boot.wiped("SN-SCSI0", &machine.image("scsi0"));
    assert!(number(&slept["runs"][0], "asleep_ms") >= 4000, "{slept}");
    assert!(slept.get("findings").is_none(), "{slept}");
    for (serial, drive) in [("SN-VIRTIO0", "virtio0"), ("SN-NVME0", "nvme0")] {
        let report = boot.wiped(serial, &machine.image(drive));
        let active = number(&report, "active_seconds");
        assert!((3..600).contains(&active), "{serial}: {active} s");
        assert_eq!(report["findings"][0]["kind"], "clock-set", "{report}");
        for sample in report["samples"].as_array().unwrap() {
            let speed = number(sample, "speed");
            assert!((MIB / 100..64 * MIB).contains(&speed), "{report}");
        }
    }
}
