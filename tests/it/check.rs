//! `--check` reads a finished wipe back against its record.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal::SIGINT;

use crate::support::device::{Loop, Mount, SlowDisk, Traits};
use crate::support::state::{number, unchanged};
use crate::support::trace;
use crate::support::{LOOP, MIB, NOTHING, Need, STRACE, Scratch, cases, sh};

const MOUNT: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("mkfs.ext4"),
    Need::Tool("tune2fs"),
];

cases![
    NOTHING => a_wiped_image_is_checked_and_nothing_changes,
    NOTHING => one_changed_byte_is_found_with_what_stands_there,
    NOTHING => a_target_without_a_record_is_refused,
    NOTHING => a_drive_that_is_being_wiped_again_is_not_checked_against_its_old_record,
    NOTHING => check_takes_no_option_that_says_what_is_written,
    NOTHING => a_check_that_is_stopped_says_so_and_leaves_no_trace,
    NOTHING => a_wipe_that_was_only_sampled_is_checked_in_full,
    NOTHING => the_last_of_several_passes_is_checked,
    LOOP => a_read_only_device_can_be_checked,
    LOOP => a_mounted_device_cannot,
    MOUNT => what_a_file_system_would_answer_from_memory_is_read_from_its_disk,
    STRACE => nothing_opens_the_target_for_writing,
    SlowDisk::NEEDS => a_drive_with_bad_sectors_stays_not_clear,
];

const SIZE: u64 = 5 * MIB + 700;

fn change(path: &Path, at: u64) -> u8 {
    let file = std::fs::File::options().read(true).write(true).open(path);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    file.sync_all().unwrap();
    byte[0]
}

fn a_wiped_image_is_checked_and_nothing_changes() {
    for options in ["", "-s zero", "--pattern 924924", "--verify none"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        scratch.wipe(&image).yes().words(options).code(0);
        let line = format!(
            "CHECKED {} - {SIZE} bytes, 0 bad, read-back full, 0 differ\n",
            image.display()
        );
        unchanged(&[&image, scratch.state().path()], || {
            let done = scratch.wipe(&image).arg("--check").code(0);
            done.stdout(&line).says(&["every byte is what was written"]);
            scratch.wipe(&image).words("--check -q").code(0).stderr("");
        });
    }
}

fn one_changed_byte_is_found_with_what_stands_there() {
    for at in [0, 511, 2 * MIB + 77, SIZE - 1] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        scratch.wipe(&image).yes().words("-s zero").code(0);
        change(&image, at);
        unchanged(&[&image, scratch.state().path()], || {
            let done = scratch.wipe(&image).arg("--check").code(5);
            assert!(done.stdout.starts_with("DIFFERS "), "{done:?}");
            let (first, last) = (at / 512 * 512, (at / 512 * 512 + 511).min(SIZE - 1));
            let block = format!("{first}-{last}");
            let from = format!("at byte {}: 00", at / 16 * 16);
            done.says(&[&block, &from, "10", "--restart"]);
        });
        // Put right again, it is.
        change(&image, at);
        scratch.wipe(&image).arg("--check").code(0);
    }
}

fn a_drive_that_is_being_wiped_again_is_not_checked_against_its_old_record() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    scratch.wipe(&image).yes().code(0);
    let state = scratch.state();
    let slow = "--rate-limit 4M -b 64K --checkpoint-every 1M";
    let mut run = scratch.wipe(&image).yes().words(slow).start();
    run.until("something written", |_| {
        let written = state
            .try_checkpoint()
            .map(|value| number(&value, "written"));
        written >= Some(MIB)
    });
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    unchanged(&[&image, state.path()], || {
        let done = scratch.wipe(&image).arg("--check").code(4);
        done.one_line()
            .says(&["has an unfinished wipe", "--resume"]);
    });
    scratch.wipe(&image).words("--resume --yes").code(0);
    scratch.wipe(&image).arg("--check").code(0);
}

fn a_target_without_a_record_is_refused() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let other = scratch.tagged("other.img", MIB);
    scratch.wipe(&other).yes().code(0);
    unchanged(&[&image, scratch.state().path()], || {
        let done = scratch.wipe(&image).arg("--check").code(4).one_line();
        done.says(&["no record in ", "is of it: it has no finished wipe"]);
    });
}

fn check_takes_no_option_that_says_what_is_written() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    for option in [
        "--resume",
        "--restart",
        "--ensure",
        "-s zero",
        "--passes 2",
        "--verify full",
        "--list",
        "--report r.html",
        "--operator X",
        "--asset X",
        "--note X",
    ] {
        let wipe = scratch.wipe(&image).arg("--check").words(option);
        wipe.code(2).one_line();
    }
    // A list is no check.
    for option in ["--check", "--ensure"] {
        let done = scratch.wipeit().arg("--list").arg(option).code(2);
        done.one_line().says(&[option]);
    }
    scratch.wipeit().arg("--check").code(2).says(&["no TARGET"]);
}

fn a_check_that_is_stopped_says_so_and_leaves_no_trace() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    scratch.wipe(&image).yes().code(0);
    unchanged(&[&image, scratch.state().path()], || {
        let wipe = scratch
            .wipe(&image)
            .words("--check -b 64K --rate-limit 256K");
        let mut run = wipe.start();
        run.until("the read-back", |run| {
            run.stderr().contains("read-back 1/1")
        });
        run.signal(SIGINT);
        let done = run.wait().killed_by(SIGINT);
        assert!(done.stdout.starts_with("STOPPED "), "{done:?}");
        done.says(&["The check is NOT finished", "--check"]);
    });
    assert_eq!(scratch.state().pending().len(), 0);
}

fn a_wipe_that_was_only_sampled_is_checked_in_full() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 200 * MIB);
    let wipe = scratch.wipe(&image).yes().words("--verify sample");
    let done = wipe.code(0);
    assert!(
        done.stdout.ends_with("read-back sample, 0 differ\n"),
        "{done:?}"
    );
    done.says(&["samples read back: 1"]);
    // Most places are in no sample: some of these are not.
    let places: Vec<u64> = (1..20).map(|n| n * 10 * MIB + 777).collect();
    for at in &places {
        change(&image, *at);
    }
    let done = scratch.wipe(&image).arg("--check").code(5);
    done.says(&["in 19"]);
}

fn the_last_of_several_passes_is_checked() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    scratch.wipe(&image).yes().words("--passes 3").code(0);
    scratch.wipe(&image).arg("--check").code(0);
    change(&image, 12345);
    scratch.wipe(&image).arg("--check").code(5);
}

fn a_read_only_device_can_be_checked() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 4 * MIB + 1536);
    let device = Loop::over(&image);
    scratch.wipe(device.path()).yes().code(0);
    let set = |option: &str| {
        let status = Command::new("blockdev")
            .arg(option)
            .arg(device.path())
            .status();
        assert!(status.unwrap().success());
    };
    set("--setro");
    unchanged(&[&image, scratch.state().path()], || {
        scratch.wipe(device.path()).arg("--check").code(0);
    });
    scratch.wipe(device.path()).words("--yes --restart").code(4);
    set("--setrw");
}

fn a_mounted_device_cannot() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let device = Loop::over(&image);
    scratch.wipe(device.path()).yes().code(0);
    let mount = Mount::ext4(device.path(), scratch.join("point"));
    let done = scratch.wipe(device.path()).arg("--check").code(4);
    done.says(&["is mounted at"]);
    drop(mount);
}

fn nothing_opens_the_target_for_writing() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    scratch.wipe(&image).yes().code(0);
    let log = scratch.join("trace");
    let wipe = scratch.wipe(&image).arg("--check").under([
        "strace",
        "-f",
        "-y",
        "-o",
        log.to_str().unwrap(),
        "-e",
        "trace=openat,open,pwrite64,write,pread64,ftruncate,fallocate,ioctl",
    ]);
    wipe.code(0);
    let calls = trace::read(&log);
    let name = image.to_str().unwrap();
    let opened = calls
        .iter()
        .filter(|call| call.name == "openat" && call.args.contains(name));
    let mut direct = 0;
    for call in opened {
        assert!(call.args.contains("O_RDONLY"), "{call:?}");
        direct += usize::from(call.args.contains("O_DIRECT"));
    }
    assert!(direct >= 1);
    let reads = |call: &&trace::Call| call.name == "pread64" && call.path() == name;
    assert!(calls.iter().filter(reads).count() >= 5);
    for call in calls.iter().filter(|call| call.path() == name) {
        assert!(
            matches!(call.name.as_str(), "pread64" | "openat"),
            "{call:?}"
        );
    }
}

fn a_drive_with_bad_sectors_stays_not_clear() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let traits = Traits {
        bad_sectors: vec![100, 5000],
        ..Traits::default()
    };
    let disk = SlowDisk::over(&scratch, &image, &traits);
    scratch.wipe(disk.path()).yes().code(3);
    let done = scratch.wipe(disk.path()).arg("--check").code(3);
    assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
    done.says(&["may hold old data"]);
}

fn what_a_file_system_would_answer_from_memory_is_read_from_its_disk() {
    // It takes O_DIRECT when a file is opened, and then caches all the same.
    let scratch = Scratch::new();
    let below = scratch.tagged("below.img", 128 * MIB);
    let device = Loop::over(&below);
    sh!("mkfs.ext4", "-q", "-F", device.path());
    sh!("tune2fs", "-o", "journal_data", device.path());
    let mount = Mount::of(device.path(), scratch.join("point"));
    let image = mount.point().join("old.img");
    crate::support::content::fill_with_tags(&image, SIZE);
    let read = || {
        let file = format!("/sys/block/{}/stat", device.name());
        let text = std::fs::read_to_string(file).unwrap();
        let sectors = text.split_whitespace().nth(2).unwrap();
        sectors.parse::<u64>().unwrap() * 512
    };
    for options in ["--yes", "--check"] {
        let before = read();
        scratch.wipe(&image).words(options).code(0);
        let from_disk = read() - before;
        assert!(from_disk >= SIZE, "{options}: {from_disk} of {SIZE} bytes");
    }
}
