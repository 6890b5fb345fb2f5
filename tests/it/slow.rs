//! Slow and faulty block devices.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGCONT, SIGINT, SIGSTOP};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::support::content::{Content, check};
use crate::support::device::{SlowDisk, Traits, size_of, size_of_its_own};
use crate::support::pty::Terminal;
use crate::support::run::Running;
use crate::support::state::{Watcher, number};
use crate::support::{MIB, Scratch, cases};

cases![
    SlowDisk::NEEDS => ctrl_c_after_512_mib_of_a_slow_device_says_so_in_the_checkpoint,
    SlowDisk::NEEDS => sectors_that_cannot_be_written_are_named_and_the_rest_is_wiped,
    SlowDisk::NEEDS => bad_sectors_found_before_an_interrupt_are_not_forgotten,
    SlowDisk::NEEDS => a_second_ctrl_c_leaves_a_device_that_takes_its_time,
    SlowDisk::NEEDS => a_drive_that_hangs_ends_the_run_and_holds_up_no_other,
];

/// The case that this project began with.
fn ctrl_c_after_512_mib_of_a_slow_device_says_so_in_the_checkpoint() {
    let scratch = Scratch::new();
    let size = 1024 * MIB;
    let image = scratch.sparse("slow.img", size);
    let disk = SlowDisk::over(
        &scratch,
        &image,
        &Traits {
            write_speed: Some(160 * MIB),
            ..Traits::default()
        },
    );
    let state = scratch.state();
    let watcher = Watcher::of(&state);
    let mut terminal = Terminal::new();
    let mut run = scratch
        .wipe(disk.path())
        .yes()
        .on_terminal(terminal.slave())
        .start();
    run.until_written(&state, 512 * MIB);
    terminal.types("\x03");
    run.wait().killed_by(SIGINT);
    assert!(watcher.end() > 100, "the watcher saw the checkpoint");
    let checkpoint = state.checkpoint();
    let written = number(&checkpoint, "written");
    assert!((536_870_912..size).contains(&written), "{written}");
    let percent = checkpoint["progress_percent"].as_f64().unwrap();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let exact = 100.0 * written as f64 / size as f64;
    assert!((percent - exact).abs() <= 0.011, "{percent} is not {exact}");
    let stream = Content::of(&checkpoint, 1);
    check(&image, 0, written, &stream);
    // Nothing was written beyond.
    check(&image, written, size, &Content::Zero);
    terminal.shows("STOPPED");
    // And the rest.
    let done = scratch
        .wipeit()
        .words("--resume --verify none")
        .run()
        .code(0);
    assert!(done.stdout.starts_with("WIPED "), "{done:?}");
    check(&image, 0, size, &stream);
}

fn sectors_that_cannot_be_written_are_named_and_the_rest_is_wiped() {
    let scratch = Scratch::new();
    let size = 16 * MIB;
    let image = scratch.tagged("old.img", size);
    // Two alone, and two neighbours.
    let bad_sectors = vec![8, 20_001, 30_000, 30_001];
    let traits = Traits {
        bad_sectors: bad_sectors.clone(),
        ..Traits::default()
    };
    let disk = SlowDisk::over(&scratch, &image, &traits);
    let done = scratch.wipe(disk.path()).yes().code(3);
    let good = size - 4 * 512;
    let line = format!(
        "NOT-CLEAR {} - {good} of {size} bytes, 4 bad\n",
        disk.path().display()
    );
    let done = done.stdout(&line);
    done.says(&["may hold old data"]);
    let report = scratch.state().report();
    let extents: Vec<(u64, u64)> = report["bad"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bad| (number(bad, "start") / 512, number(bad, "length") / 512))
        .collect();
    assert_eq!(extents, [(8, 1), (20_001, 1), (30_000, 2)], "{report}");
    assert_eq!(report["outcome"], "NOT-CLEAR");
    let stream = Content::of(&report, 1);
    let mut at = 0;
    for sector in bad_sectors {
        check(&image, at, sector * 512, &stream);
        check(
            disk.path(),
            sector * 512,
            sector * 512 + 512,
            &Content::Tags,
        );
        at = sector * 512 + 512;
    }
    check(&image, at, size, &stream);
    assert_eq!(size_of(&image), size);
}

fn bad_sectors_found_before_an_interrupt_are_not_forgotten() {
    let scratch = Scratch::new();
    let size = 16 * MIB;
    let image = scratch.tagged("old.img", size);
    let traits = Traits {
        bad_sectors: vec![100],
        ..Traits::default()
    };
    let disk = SlowDisk::over(&scratch, &image, &traits);
    let state = scratch.state();
    let mut run = scratch
        .wipe(disk.path())
        .yes()
        .words("--rate-limit 8M --checkpoint-every 1M -b 64K")
        .start();
    run.until_written(&state, 2 * MIB);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    let checkpoint = state.checkpoint();
    assert_eq!(
        number(&checkpoint["bad"][0], "start"),
        51_200,
        "{checkpoint}"
    );
    scratch.wipe(disk.path()).arg("--resume").code(3);
    assert_eq!(number(&state.report()["bad"][0], "start"), 51_200);
}

/// A wipe of a slow disk that has stopped answering after a first megabyte.
struct Hanging {
    image: PathBuf,
    disk: SlowDisk,
    daemon: Pid,
    run: Running,
}

impl Hanging {
    fn new(scratch: &Scratch, options: &str) -> Self {
        let image = scratch.tagged("old.img", size_of_its_own());
        let traits = Traits {
            write_speed: Some(2 * MIB),
            ..Traits::default()
        };
        let disk = SlowDisk::over(scratch, &image, &traits);
        let state = scratch.state();
        let wipe = scratch.wipe(disk.path()).yes().words(options);
        let mut run = wipe.words("-b 64K --checkpoint-every 1M").start();
        run.until_written(&state, MIB);
        let daemon = Pid::from_raw(disk.daemon().cast_signed());
        // The writes in flight cannot be finished.
        kill(daemon, SIGSTOP).unwrap();
        Self {
            image,
            disk,
            daemon,
            run,
        }
    }
}

fn a_drive_that_hangs_ends_the_run_and_holds_up_no_other() {
    let scratch = Scratch::new();
    let hanging = Hanging::new(&scratch, "--stall-timeout 5");
    let Hanging {
        image,
        disk,
        daemon,
        mut run,
    } = hanging;
    run.until("the result", |run| run.stdout().ends_with('\n'));
    // Another run looks at all loop devices of the machine, this one among them.
    let other = Scratch::new();
    let fine = other.tagged("fine.img", MIB);
    other.wipe(&fine).yes().run().wiped(&fine, MIB);
    // What hangs in the kernel cannot be left: let it end.
    kill(daemon, SIGCONT).unwrap();
    let done = run.wait().code(1);
    assert!(done.stdout.starts_with("FAILED /dev/loop"), "{done:?}");
    assert_eq!(done.stdout.lines().count(), 1, "{done:?}");
    done.says(&[
        "nothing has come back",
        "--stall-timeout",
        "wipeit --resume",
    ]);
    let checkpoint = scratch.state().checkpoint();
    let written = number(&checkpoint, "written");
    check(&image, 0, written, &Content::of(&checkpoint, 1));
    let size = size_of(&image);
    let resume = scratch.wipe(disk.path()).words("--resume --yes");
    resume.run().wiped(disk.path(), size);
    check(&image, 0, size, &Content::of(&checkpoint, 1));
}

fn a_second_ctrl_c_leaves_a_device_that_takes_its_time() {
    let scratch = Scratch::new();
    let state = scratch.state();
    let hanging = Hanging::new(&scratch, "");
    let Hanging {
        image,
        daemon,
        mut run,
        disk: _disk,
    } = hanging;
    run.signal(SIGINT);
    run.until("a word that it is stopping", |run| {
        run.stderr().contains("stopping")
    });
    std::thread::sleep(Duration::from_millis(1_300));
    assert!(run.is_running(), "the writes in flight are waited for");
    let before = state.checkpoint();
    run.signal(SIGINT);
    std::thread::sleep(Duration::from_millis(500));
    // A write that hangs in the kernel cannot be left: let it end.
    kill(daemon, SIGCONT).unwrap();
    run.wait().killed_by(SIGINT);
    let checkpoint = state.checkpoint();
    assert_eq!(
        checkpoint["written"], before["written"],
        "the last one stands"
    );
    let written = number(&checkpoint, "written");
    check(&image, 0, written, &Content::of(&checkpoint, 1));
}
