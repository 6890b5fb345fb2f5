//! Interrupted at any point, a wipe knows how far it got, and a resume
//! finishes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1};
use serde_json::Value;

use crate::support::content::{Content, Known, check};
use crate::support::device::Loop;
use crate::support::pty::Terminal;
use crate::support::run::{Running, Wipe};
use crate::support::state::{State, Watcher, number};
use crate::support::{Dice, LOOP, MIB, NOTHING, OPENSSL, Scratch, cases, wait_until};

cases![
    OPENSSL => fifty_signals_to_an_image_lose_nothing,
    LOOP => fifty_signals_to_a_device_lose_nothing,
    OPENSSL => fifty_kills_of_an_image_lose_at_most_the_interval,
    LOOP => fifty_kills_of_a_device_lose_at_most_the_interval,
    NOTHING => a_signal_at_the_very_start_or_end_is_harmless,
    NOTHING => the_line_of_a_stopped_run_says_how_far_it_got,
    NOTHING => ctrl_c_stops_a_shell_loop_around_it,
    NOTHING => nohup_survives_a_hang_up,
    NOTHING => usr1_prints_where_it_is_and_the_run_goes_on,
    NOTHING => two_signals_in_a_row_still_leave_an_exact_checkpoint,
    NOTHING => a_run_in_the_background_of_a_script_ignores_ctrl_c,
];

/// One wipe of two passes and a read-back that is interrupted again and again.
struct Victim {
    // detached before its file goes away: a loop device over a deleted file of
    // the same size is refused by the tests beside this one
    _device: Option<Loop>,
    scratch: Scratch,
    target: PathBuf,
    size: u64,
    known: Known,
}

const OPTIONS: &str = "--rate-limit 40M --checkpoint-every 1M -b 64K --threads 3";

impl Victim {
    fn new(on_device: bool) -> Self {
        let scratch = Scratch::new();
        let size = 12 * MIB + 512;
        let image = scratch.tagged("old.img", size);
        let device = on_device.then(|| Loop::over(&image));
        let target = device.as_ref().map_or(image, |it| it.path().to_path_buf());
        Self {
            scratch,
            target,
            size,
            known: Known::default(),
            _device: device,
        }
    }

    /// Starts or continues.
    fn run(&self) -> Wipe {
        let begun = !self.scratch.state().pending().is_empty();
        let wipe = self.scratch.wipe(&self.target).yes().words(OPTIONS);
        if begun {
            return wipe.arg("--resume");
        }
        wipe.args(["--passes", "2"])
    }

    /// What is on the target agrees with the checkpoint: right below its
    /// position; not touched from `slack` beyond it.
    fn assert_true(&mut self, checkpoint: &Value, slack: u64) {
        let pass = usize::try_from(number(checkpoint, "pass")).unwrap();
        let written = number(checkpoint, "written");
        assert_eq!(number(checkpoint, "total_size"), self.size);
        let before = if pass == 1 {
            Content::Tags
        } else {
            Content::of(checkpoint, pass - 1)
        };
        let now = Content::of(checkpoint, pass);
        let (target, size) = (&self.target, self.size);
        self.known.check(target, size, (0, written), &now);
        self.known
            .check(target, size, (written + slack, size), &before);
        let percent = checkpoint["progress_percent"].as_f64().unwrap();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let exact = 100.0 * written as f64 / self.size as f64;
        assert!((percent - exact).abs() <= 0.011, "{percent} is not {exact}");
    }

    /// What is on the target after the end.
    fn assert_wiped(&mut self) {
        let state = self.scratch.state();
        assert!(state.pending().is_empty(), "{:?}", state.pending());
        let report = state.report();
        assert_eq!(report["outcome"], "WIPED");
        let last = Content::of(&report, 2);
        self.known
            .check(&self.target, self.size, (0, self.size), &last);
    }
}

/// Starts of the program that a checkpoint knows of.
fn runs(checkpoint: &Value) -> usize {
    checkpoint["runs"].as_array().map_or(0, Vec::len)
}

/// Interrupts wipes until `count` interruptions have hit; every resume must
/// agree with what is on the target, and every wipe must end right.
fn interrupt(on_device: bool, count: usize, signals: &[Signal], slack: u64) {
    let mut dice = Dice::new(count as u64 + slack + u64::from(on_device));
    let mut hits = 0;
    let mut phases = std::collections::BTreeMap::<String, usize>::new();
    let mut starts = 0;
    while hits < count {
        let mut victim = Victim::new(on_device);
        let state = victim.scratch.state();
        let watcher = Watcher::of(&state);
        loop {
            starts += 1;
            let many = 20 + 10 * count;
            assert!(starts < many, "{hits} signals hit in {starts} runs");
            let runs = || state.try_checkpoint().map_or(0, |it| runs(&it));
            let before = runs();
            let mut run = victim.run().start();
            if hits < count {
                // Mostly while it works; now and then before that.
                if dice.below(5) > 0 {
                    wait_until("a checkpoint or the end", || {
                        runs() != before || !run.is_running()
                    });
                }
                let wait = Duration::from_micros(dice.below(140_000));
                std::thread::sleep(wait);
            }
            let signal = signals[hits % signals.len()];
            if hits < count && run.is_running() {
                let _ = nix::sys::signal::kill(run.pid(), signal);
            }
            let done = run.wait();
            if done.status.success() {
                break;
            }
            hits += 1;
            let done = done.killed_by(signal);
            // So late that everything was done.
            if !state.reports().is_empty() && state.pending().is_empty() {
                break;
            }
            // Too early for a checkpoint: then nothing was written either.
            let Some(checkpoint) = state.try_checkpoint() else {
                assert!(state.pending().is_empty(), "it does not parse");
                victim.known.check(
                    &victim.target,
                    victim.size,
                    (0, victim.size),
                    &Content::Tags,
                );
                continue;
            };
            let (phase, pass) = (&checkpoint["phase"], &checkpoint["pass"]);
            *phases.entry(format!("{phase} {pass}")).or_default() += 1;
            victim.assert_true(&checkpoint, slack);
            if signal != SIGKILL && !done.stdout.is_empty() {
                assert!(done.stdout.starts_with("STOPPED "), "{done:?}");
                let runs = checkpoint["runs"].as_array().unwrap();
                let ended = &runs.last().unwrap()["ended_by"];
                assert_eq!(ended, signal.as_str(), "{checkpoint}");
            }
        }
        watcher.end();
        victim.assert_wiped();
    }
    // The schedule has hit every part of the plan.
    assert!(phases.len() >= 3, "{phases:?}");
}

fn fifty_signals_to_an_image_lose_nothing() {
    interrupt(false, 50, &[SIGINT, SIGTERM, SIGHUP], 0);
}

fn fifty_signals_to_a_device_lose_nothing() {
    interrupt(true, 50, &[SIGTERM, SIGHUP, SIGINT], 0);
}

fn fifty_kills_of_an_image_lose_at_most_the_interval() {
    interrupt(false, 50, &[SIGKILL], MIB);
}

fn fifty_kills_of_a_device_lose_at_most_the_interval() {
    interrupt(true, 50, &[SIGKILL], MIB);
}

fn a_signal_at_the_very_start_or_end_is_harmless() {
    // The whole life of a short wipe, a step at a time.
    for step in 0..40 {
        let scratch = Scratch::new();
        let size = 256 * 1024;
        let image = scratch.tagged("old.img", size);
        let run = scratch.wipe(&image).yes().words("-s zero -b 64K").start();
        std::thread::sleep(Duration::from_micros(step * 1_500));
        let _ = nix::sys::signal::kill(run.pid(), SIGTERM);
        let done = run.wait();
        let state = scratch.state();
        if done.status.success() {
            assert_eq!(state.reports().len(), 1);
        } else {
            let done = done.killed_by(SIGTERM);
            match state.try_checkpoint() {
                Some(checkpoint) => {
                    let written = number(&checkpoint, "written");
                    check(&image, 0, written, &Content::Zero);
                    check(&image, written, size, &Content::Tags);
                    let wipe = scratch.wipeit().words("--resume --yes");
                    wipe.code(0);
                }
                None if state.reports().is_empty() => {
                    check(&image, 0, size, &Content::Tags);
                    continue;
                }
                None => assert!(done.stdout.starts_with("WIPED"), "{done:?}"),
            }
        }
        check(&image, 0, size, &Content::Zero);
        assert!(state.pending().is_empty());
    }
}

/// A wipe of zeros that takes some seconds, begun and seen to write.
fn slow_run(scratch: &Scratch, image: &Path) -> Running {
    let mut run = scratch
        .wipe(image)
        .yes()
        .words("-s zero --rate-limit 8M -b 64K --checkpoint-every 1M")
        .start();
    let state = scratch.state();
    run.until("a first megabyte", |_| written(&state) >= MIB);
    run
}

fn written(state: &State) -> u64 {
    state
        .try_checkpoint()
        .map_or(0, |value| number(&value, "written"))
}

fn the_line_of_a_stopped_run_says_how_far_it_got() {
    let scratch = Scratch::new();
    let size = 16 * MIB;
    let image = scratch.tagged("old.img", size);
    let run = slow_run(&scratch, &image);
    run.signal(SIGINT);
    let done = run.wait().killed_by(SIGINT);
    let checkpoint = scratch.state().checkpoint();
    let written = number(&checkpoint, "written");
    let tenths = written * 1000 / size;
    let line = format!(
        "STOPPED {} - {written} of {size} bytes, write {}.{}%\n",
        image.display(),
        tenths / 10,
        tenths % 10
    );
    let file = scratch.state().pending()[0].to_str().unwrap().to_string();
    done.stdout(&line)
        .says(&["stopping", &file, "NOT wiped", "wipeit --resume"]);
}

fn ctrl_c_stops_a_shell_loop_around_it() {
    let scratch = Scratch::new();
    let names = ["one.img", "two.img", "three.img"];
    for name in names {
        scratch.tagged(name, 16 * MIB);
    }
    let mut terminal = Terminal::new();
    let script = "for d in one.img two.img three.img; do \
         \"$@\" --yes -s zero --rate-limit 8M -b 64K --checkpoint-every 1M $d; \
         echo came back with $?; done; echo loop is over";
    let state = scratch.state();
    let mut run = scratch
        .wipeit()
        .under(["bash", "-c", script, "bash"])
        .on_terminal(terminal.slave())
        .start();
    run.until("a first megabyte", |_| written(&state) >= MIB);
    terminal.types("\x03");
    run.wait().killed_by(SIGINT);
    let shown = terminal.shown();
    assert!(!shown.contains("came back"), "{shown}");
    assert!(!shown.contains("loop is over"), "{shown}");
    let written = written(&state);
    check(&scratch.join("one.img"), 0, written, &Content::Zero);
    check(&scratch.join("one.img"), written, 16 * MIB, &Content::Tags);
    check(&scratch.join("two.img"), 0, 16 * MIB, &Content::Tags);
}

fn nohup_survives_a_hang_up() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 6 * MIB);
    let state = scratch.state();
    let mut run = scratch
        .wipe(&image)
        .yes()
        .words("-s zero --rate-limit 8M -b 64K --checkpoint-every 1M")
        .under(["nohup"])
        .start();
    run.until("a first megabyte", |_| written(&state) >= MIB);
    run.signal(SIGHUP);
    run.wait().wiped(&image, 6 * MIB);
}

fn usr1_prints_where_it_is_and_the_run_goes_on() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 6 * MIB);
    let mut run = slow_run(&scratch, &image);
    let before = run.stderr();
    run.signal(SIGUSR1);
    run.until("a line more", |run| run.stderr().len() > before.len() + 10);
    let more = run.stderr()[before.len()..].to_string();
    assert!(more.contains("write"), "{more}");
    assert!(more.contains('%'), "{more}");
    run.wait().wiped(&image, 6 * MIB);
}

fn two_signals_in_a_row_still_leave_an_exact_checkpoint() {
    // systemd sends TERM and at once HUP: that is one wish to stop.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let run = slow_run(&scratch, &image);
    run.signal(SIGTERM);
    let _ = nix::sys::signal::kill(run.pid(), SIGHUP);
    let done = run.wait();
    assert!(done.stdout.starts_with("STOPPED "), "{done:?}");
    let written = written(&scratch.state());
    check(&image, 0, written, &Content::Zero);
    check(&image, written, 16 * MIB, &Content::Tags);
}

fn a_run_in_the_background_of_a_script_ignores_ctrl_c() {
    // A shell without job control starts background jobs with INT ignored.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 6 * MIB);
    let state = scratch.state();
    let mut run = scratch
        .wipe(&image)
        .yes()
        .words("-s zero --rate-limit 8M -b 64K --checkpoint-every 1M")
        .under(["bash", "-c", "trap '' INT; exec \"$@\"", "bash"])
        .start();
    run.until("a first megabyte", |_| written(&state) >= MIB);
    run.signal(SIGINT);
    run.wait().wiped(&image, 6 * MIB);
}
