//! What a drive, a file or the system does wrong while a wipe runs.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal::SIGINT;

use crate::support::content::{Content, check};
use crate::support::device::{Loop, SlowDisk, Traits, size_of};
use crate::support::run::Wipe;
use crate::support::state::number;
use crate::support::{LOOP, MIB, NOTHING, STRACE, Scratch, cases};

cases![
    STRACE => what_a_failed_flush_lost_is_written_again,
    STRACE => two_failed_flushes_in_a_row_end_the_run_where_the_last_good_one_was,
    STRACE => an_error_after_ctrl_c_does_not_hide_it,
    STRACE => a_quiet_run_that_fails_says_why_in_one_line,
    NOTHING => an_image_that_grows_under_a_wipe_is_not_called_wiped,
    NOTHING => an_image_that_shrinks_ahead_of_a_wipe_is_not_called_wiped,
    NOTHING => an_image_that_loses_what_was_written_is_not_called_wiped,
    NOTHING => an_image_that_loses_what_was_written_is_noticed_without_a_read_back,
    NOTHING => an_image_that_shrinks_under_the_read_back_is_not_called_wiped,
    SlowDisk::NEEDS => a_sector_that_went_unreadable_does_not_stop_a_resume,
    NOTHING => a_file_size_limit_refuses_an_image_before_the_first_byte,
    LOOP => a_file_size_limit_refuses_a_device_before_the_first_byte,
];

const ODD: u64 = 30 * MIB + 700;

fn what_a_failed_flush_lost_is_written_again() {
    // With the last one fails what covers the tail.
    let mut warned = 0;
    for number in 1..=8 {
        let scratch = Scratch::new();
        let image = scratch.tagged("odd.img", ODD);
        let wipe = scratch.wipe(&image).yes();
        let wipe = wipe.words("-b 256K --checkpoint-every 10M");
        let fault = format!("fdatasync:error=EIO:when={number}");
        let done = wipe.injected(&fault).run().wiped(&image, ODD);
        warned += usize::from(done.stderr.contains("flush failed"));
        let report = scratch.state().report();
        check(&image, 0, ODD, &Content::of(&report, 1));
        if !done.stderr.contains("flush failed") {
            // There were fewer.
            break;
        }
    }
    assert!(warned >= 4, "only {warned} flushes failed");
}

fn two_failed_flushes_in_a_row_end_the_run_where_the_last_good_one_was() {
    for (when, least) in [("1..2", 0), ("3..4", 2 * MIB), ("6+", 5 * MIB)] {
        let scratch = Scratch::new();
        let image = scratch.tagged("odd.img", ODD);
        let wipe = scratch.wipe(&image).yes();
        // So small that there are seven flushes however slow the checkpoints are.
        let wipe = wipe.words("-b 256K --checkpoint-every 4M");
        let fault = format!("fdatasync:error=EIO:when={when}");
        let done = wipe.injected(&fault).code(1);
        assert!(done.stdout.starts_with("FAILED "), "{done:?}");
        let checkpoint = scratch.state().checkpoint();
        let written = number(&checkpoint, "written");
        assert!(
            (least..ODD).contains(&written),
            "{written} after flushes {when} failed"
        );
        assert_eq!(written == 0, least == 0, "{written} with {when}");
        check(&image, 0, written, &Content::of(&checkpoint, 1));
        let wipe = scratch.wipe(&image).words("--resume --yes");
        wipe.run().wiped(&image, ODD);
        check(&image, 0, ODD, &Content::of(&checkpoint, 1));
    }
}

fn an_error_after_ctrl_c_does_not_hide_it() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let wipe = scratch.wipe(&image).yes();
    let wipe = wipe.words("-b 64K --threads 1 --checkpoint-every 1M");
    // A write that fails after a while, when Ctrl+C was pressed.
    let fault = "pwrite64:error=ENOSPC:delay_enter=1500000:when=40+";
    let mut run = wipe.injected(fault).start();
    let state = scratch.state();
    run.until_written(&state, 2 * MIB);
    std::thread::sleep(Duration::from_millis(300));
    run.signal(SIGINT);
    let done = run.wait().killed_by(SIGINT);
    let checkpoint = state.checkpoint();
    let ended = checkpoint["runs"][0]["ended_by"].as_str().unwrap();
    assert!(ended.contains("SIGINT"), "{ended}: {done:?}");
    assert!(ended.contains("error"), "{ended}: {done:?}");
    let written = number(&checkpoint, "written");
    check(&image, 0, written, &Content::of(&checkpoint, 1));
    check(&image, 40 * 64 * 1024, 8 * MIB, &Content::Tags);
}

fn a_quiet_run_that_fails_says_why_in_one_line() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 4 * MIB);
    let wipe = scratch.wipe(&image).words("--yes --quiet -b 64K");
    let done = wipe.injected("pwrite64:error=ENOSPC:when=5+").code(1);
    assert!(done.stdout.starts_with("FAILED "), "{done:?}");
    assert_eq!(done.stdout.lines().count(), 1, "{done:?}");
    let said = done.said();
    assert_eq!(said.lines().count(), 1, "{done:?}");
    let start = format!("wipeit: {}: ", image.display());
    assert!(said.starts_with(&start), "{done:?}");
    done.says(&["o space left"]);
}

const RESIZED: u64 = 8 * MIB + 700;

/// A wipe under which the image changes its size when `phase` has come some
/// megabytes far; it must end with one of these codes.
fn resized(phase: &str, options: &str, size: u64, codes: &[i32]) {
    resized_from(RESIZED, phase, options, size, codes);
}

fn resized_from(was: u64, phase: &str, options: &str, size: u64, codes: &[i32]) {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", was);
    let wipe = scratch.wipe(&image).yes().words(options);
    let mut run = wipe
        .words("--rate-limit 8M -b 64K --checkpoint-every 1M")
        .start();
    let state = scratch.state();
    let field = if phase == "write" {
        "written"
    } else {
        "verified"
    };
    run.until_saved(&state, "some megabytes", |value| {
        value["phase"] == phase && number(value, field) >= 3 * MIB
    });
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(size).unwrap();
    let done = run.wait();
    let code = done.status.code().unwrap_or(-1);
    assert!(codes.contains(&code), "to {size} bytes: {done:?}");
    assert!(!done.stdout.starts_with("WIPED "), "{done:?}");
    if code == 1 {
        assert!(done.stdout.starts_with("FAILED "), "{done:?}");
        assert!(state.reports().is_empty());
        assert_eq!(number(&state.checkpoint(), "total_size"), was);
    }
    if size > was {
        assert_eq!(size_of(&image), size);
        check(&image, was, size, &Content::Zero);
    }
}

fn an_image_that_grows_under_a_wipe_is_not_called_wiped() {
    // With and without a tail that is no whole block.
    for was in [RESIZED, 8 * MIB] {
        resized_from(was, "write", "", 9 * MIB, &[1]);
        resized_from(was, "write", "--verify none", was + 1, &[1]);
        resized_from(was, "verify", "", 9 * MIB, &[1]);
    }
}

fn an_image_that_shrinks_ahead_of_a_wipe_is_not_called_wiped() {
    // What was cut off went back to the file system with its old data.
    resized("write", "", 7 * MIB, &[1]);
    resized("write", "", RESIZED - 1, &[1]);
}

fn an_image_that_loses_what_was_written_is_not_called_wiped() {
    // The next write makes it longer again, but the read-back finds the hole.
    resized("write", "", MIB, &[1, 5]);
}

fn an_image_that_loses_what_was_written_is_noticed_without_a_read_back() {
    resized("write", "--verify none", MIB, &[1]);
}

fn an_image_that_shrinks_under_the_read_back_is_not_called_wiped() {
    resized("verify", "", MIB, &[1]);
    resized("verify", "", 7 * MIB, &[1]);
    resized("verify", "", RESIZED - 1, &[1]);
}

fn a_sector_that_went_unreadable_does_not_stop_a_resume() {
    let scratch = Scratch::new();
    let size = 16 * MIB + 3 * 512;
    let image = scratch.tagged("old.img", size);
    let state = scratch.state();
    let disk = SlowDisk::over(&scratch, &image, &Traits::default());
    let wipe = scratch.wipe(disk.path()).yes();
    let mut run = wipe
        .words("--rate-limit 8M --checkpoint-every 1M -b 64K")
        .start();
    run.until_written(&state, 3 * MIB);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    drop(disk);
    // In the first megabyte, which every proof looks at.
    let traits = Traits {
        unreadable_sectors: vec![100],
        ..Traits::default()
    };
    let disk = SlowDisk::over(&scratch, &image, &traits);
    let checkpoint = state.checkpoint();
    let done = scratch.wipe(disk.path()).arg("--resume").code(3);
    assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
    let report = state.report();
    let bad = &report["bad"][0];
    let start = number(bad, "start");
    let found = start..start + number(bad, "length");
    assert!(found.contains(&51_200), "{report}");
    assert_eq!(report["outcome"], "NOT-CLEAR");
    check(&image, 0, size, &Content::of(&checkpoint, 1));
}

/// As under a limit on the size of files, which also bounds this test's logs:
/// what the program says goes through a pipe.
fn limited(wipe: Wipe, kibibytes: u64) -> Wipe {
    let script = format!(
        "set -o pipefail; {{ ( ulimit -f {kibibytes}; exec \"$@\" ) 2>&1 >&3 | cat >&2; }} 3>&1 | cat"
    );
    wipe.under(["bash", "-c", &script, "bash"])
}

fn refused_by_limit(scratch: &Scratch, target: &Path) {
    use crate::support::state::unchanged;
    for kibibytes in [0, 1] {
        unchanged(&[target], || {
            let wipe = limited(scratch.wipe(target).yes(), kibibytes);
            wipe.code(4).one_line().says(&["no checkpoint"])
        });
        assert!(scratch.state().pending().is_empty());
    }
}

fn a_file_size_limit_refuses_an_image_before_the_first_byte() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 2 * MIB);
    refused_by_limit(&scratch, &image);
    // The checkpoint can be saved, but the image not be written.
    let wipe = limited(scratch.wipe(&image).yes(), 64);
    let done = wipe.words("-b 64K").code(1);
    assert!(done.stdout.starts_with("FAILED "), "{done:?}");
    let checkpoint = scratch.state().checkpoint();
    assert!(number(&checkpoint, "written") <= 64 * 1024, "{checkpoint}");
    check(&image, 64 * 1024, 2 * MIB, &Content::Tags);
}

fn a_file_size_limit_refuses_a_device_before_the_first_byte() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 2 * MIB + 7 * 512);
    let device = Loop::over(&image);
    refused_by_limit(&scratch, device.path());
}
