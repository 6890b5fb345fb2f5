//! Nobody has to listen for a wipe to finish.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::Signal::SIGINT;

use crate::support::content::{Content, check};
use crate::support::pty::Terminal;
use crate::support::run::{Done, Wipe};
use crate::support::state::{State, number};
use crate::support::{MIB, NOTHING, Scratch, cases};

cases![
    NOTHING => a_closed_stdout_does_not_stop_a_wipe,
    NOTHING => a_closed_stderr_does_not_stop_a_wipe_or_end_up_in_the_image,
    NOTHING => a_full_disk_under_stdout_does_not_stop_a_wipe,
    NOTHING => a_full_disk_under_stderr_does_not_stop_a_wipe,
    NOTHING => a_pipe_that_nobody_reads_does_not_stop_a_wipe,
    NOTHING => a_terminal_that_hangs_up_does_not_stop_a_wipe,
    NOTHING => a_terminal_that_was_stopped_does_not_stop_a_wipe,
    NOTHING => a_state_directory_cannot_forge_a_line,
    NOTHING => a_closed_stdin_does_not_stop_a_wipe,
    NOTHING => quiet_says_nothing_but_the_line_on_stdout,
    NOTHING => a_log_has_whole_lines_without_control_characters,
    NOTHING => a_wide_window_gets_the_mean_speed_the_whole_plan_and_the_time_left,
    NOTHING => lines_are_broken_at_words_on_a_terminal_and_nowhere_else,
    NOTHING => the_bar_fits_80_columns_and_ends_with_the_closing_lines,
    NOTHING => success_names_method_time_and_report,
    NOTHING => an_image_is_overwritten_never_clear,
];

fn wipe(scratch: &Scratch, size: u64) -> Wipe {
    let image = scratch.tagged("old.img", size);
    scratch.wipe(&image).yes().words("-s zero")
}

fn assert_wiped(scratch: &Scratch, size: u64) {
    check(&scratch.join("old.img"), 0, size, &Content::Zero);
    let report = scratch.state().report();
    assert_eq!(number(&report, "written"), size);
    assert!(scratch.state().pending().is_empty());
}

const SIZE: u64 = 3 * MIB + 5;

/// Runs with a redirection that only a shell can make.
fn redirected(redirection: &str) {
    redirected_to(redirection, 0);
}

fn redirected_to(redirection: &str, code: i32) {
    let scratch = Scratch::new();
    let script = format!("exec \"$@\" {redirection}");
    for progress in ["auto", "plain", "bar"] {
        let wipe = wipe(&scratch, SIZE).under(["bash", "-c", &script, "bash"]);
        let done = wipe.args(["--progress", progress]).run();
        assert_eq!(done.status.code(), Some(code), "{done:?}");
        assert_wiped(&scratch, SIZE);
        std::fs::remove_dir_all(scratch.state().path()).unwrap();
    }
}

fn a_closed_stdout_does_not_stop_a_wipe() {
    redirected(">&-");
}

fn a_closed_stderr_does_not_stop_a_wipe_or_end_up_in_the_image() {
    redirected("2>&-");
    redirected("<&- >&- 2>&-");
}

fn a_closed_stdin_does_not_stop_a_wipe() {
    redirected("<&-");
}

fn a_full_disk_under_stdout_does_not_stop_a_wipe() {
    redirected_to("> /dev/full", 7);
}

fn a_full_disk_under_stderr_does_not_stop_a_wipe() {
    redirected("2> /dev/full");
    redirected_to("> /dev/full 2>&1", 7);
}

fn a_pipe_that_nobody_reads_does_not_stop_a_wipe() {
    let scratch = Scratch::new();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(OwnedFd::from(writer))
    };
    let done = wipe(&scratch, SIZE).stdout(closed()).stderr(closed()).run();
    done.code(0);
    assert_wiped(&scratch, SIZE);
}

fn a_terminal_that_hangs_up_does_not_stop_a_wipe() {
    for progress in ["auto", "bar", "plain"] {
        let scratch = Scratch::new();
        let pty = nix::pty::openpty(None, None).unwrap();
        let copy = || Stdio::from(pty.slave.try_clone().unwrap());
        // As under nohup: the terminal is not the controlling one, so that its
        // end is seen by writing only.
        let mut run = wipe(&scratch, SIZE)
            .words("--rate-limit 4M -b 64K")
            .args(["--progress", progress])
            .env("TERM", "xterm")
            .stdout(copy())
            .stderr(copy())
            .start();
        let state = scratch.state();
        run.until_saved(&state, "its first checkpoint", |_| true);
        drop(pty);
        run.wait().code(0);
        assert_wiped(&scratch, SIZE);
    }
}

fn quiet_says_nothing_but_the_line_on_stdout() {
    let scratch = Scratch::new();
    let done = wipe(&scratch, SIZE).arg("--quiet").code(0);
    assert_eq!(done.said(), "", "{done:?}");
    assert_eq!(done.stdout.lines().count(), 1);
    assert!(done.stdout.starts_with("WIPED "));
    assert_wiped(&scratch, SIZE);
}

fn a_log_has_whole_lines_without_control_characters() {
    let scratch = Scratch::new();
    for progress in ["auto", "plain"] {
        let done = wipe(&scratch, SIZE).args(["--progress", progress]).code(0);
        let plain = done.stderr.chars().all(|c| c == '\n' || !c.is_control());
        assert!(plain, "{done:?}");
        assert!(done.stderr.ends_with('\n'), "{done:?}");
        let done = done.says(&["write", "read-back"]);
        assert!(done.stderr.is_ascii(), "{done:?}");
        std::fs::remove_dir_all(scratch.state().path()).unwrap();
    }
}

fn the_bar_fits_80_columns_and_ends_with_the_closing_lines() {
    let scratch = Scratch::new();
    let terminal = Terminal::new();
    wipe(&scratch, SIZE)
        .env("TERM", "xterm")
        .words("--rate-limit 2M -b 64K")
        .on_terminal(terminal.slave())
        .run()
        .code(0);
    terminal.shows("WIPED ");
    let shown = without_escapes(&terminal.shown());
    let bars: Vec<&str> = shown
        .split(['\r', '\n'])
        .filter(|line| line.contains('[') && line.contains('%'))
        .collect();
    assert!(!bars.is_empty(), "{shown:?}");
    for bar in bars {
        assert!(bar.trim_end().chars().count() < 80, "{bar:?}");
        assert!(bar.is_ascii(), "{bar:?}");
    }
    assert!(!shown.contains("101."), "{shown}");
    assert_wiped(&scratch, SIZE);
}

fn a_wide_window_gets_the_mean_speed_the_whole_plan_and_the_time_left() {
    let scratch = Scratch::new();
    let terminal = Terminal::of(140);
    let mut run = wipe(&scratch, 8 * SIZE)
        .env("TERM", "xterm")
        .words("--rate-limit 2M -b 64K")
        .on_terminal(terminal.slave())
        .start();
    run.until("all figures", |_| {
        let shown = without_escapes(&terminal.shown());
        shown.split(['\r', '\n']).any(|line| {
            let figures = ["/s, mean ", "  all ", " left, done "];
            line.chars().count() < 140 && figures.iter().all(|it| line.contains(it))
        })
    });
}

fn lines_are_broken_at_words_on_a_terminal_and_nowhere_else() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let refused = || scratch.wipe(&image).arg("--check");
    let carded = || scratch.wipe(&image).arg("--dry-run");
    let finished = || scratch.wipe(&image).words("--yes --restart");
    for (wipe, code) in [
        (&refused as &dyn Fn() -> Wipe, 4),
        (&carded, 0),
        (&finished, 0),
    ] {
        let whole = wipe().code(code);
        let limits = |line: &str| {
            line.starts_with("  Limits ")
                && (line.contains("not Clear") || line.ends_with("its journal)"))
        };
        assert_eq!(whole.stderr.lines().any(limits), code == 0, "{whole:?}");
        assert!(code == 0 || whole.said().lines().count() == 1, "{whole:?}");
        for columns in [80, 40] {
            let terminal = Terminal::of(columns);
            let _ = std::fs::remove_dir_all(scratch.state().path());
            wipe().on_terminal(terminal.slave()).code(code);
            let last = whole.stderr.lines().last().unwrap_or_default();
            let last: Vec<&str> = last.split_whitespace().collect();
            terminal.shows(last.last().unwrap());
            let shown = terminal.shown();
            for line in shown.lines().map(|line| line.trim_end_matches('\r')) {
                let fits = line.chars().count() <= usize::from(columns);
                // A path is one word, and stdout is for scripts.
                let longest = line.split(' ').map(str::len).max().unwrap_or_default();
                let excused = longest + 11 >= usize::from(columns);
                let result = ["REFUSED ", "WIPED "]
                    .iter()
                    .any(|word| line.starts_with(word));
                assert!(fits || excused || result, "{columns}: {line}");
            }
        }
        let _ = std::fs::remove_dir_all(scratch.state().path());
    }
}

/// What a terminal would show of it, without colours and cursor movements.
fn without_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            if chars.next() == Some('[') {
                while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn success_names_method_time_and_report() {
    let scratch = Scratch::new();
    let done = wipe(&scratch, SIZE).code(0);
    let report = scratch.state().reports()[0].to_str().unwrap().to_string();
    done.says(&["Method", "Time", "Report", &report]);
}

fn an_image_is_overwritten_never_clear() {
    let scratch = Scratch::new();
    let done = wipe(&scratch, SIZE).code(0);
    let method = done.stderr.lines().find(|line| line.contains("Method"));
    assert!(!method.unwrap().contains("Clear"), "{done:?}");
    let done = done.says(&["Overwritten"]);
    assert!(
        !done.stderr.to_lowercase().contains("certified"),
        "{done:?}"
    );
}

fn a_terminal_that_was_stopped_does_not_stop_a_wipe() {
    for options in ["--quiet", "--progress none", "--quiet --progress none"] {
        let scratch = Scratch::new();
        let mut terminal = Terminal::new();
        let mut run = wipe(&scratch, SIZE)
            .words("--rate-limit 3M -b 64K --checkpoint-every 1M")
            .words(options)
            .on_terminal(terminal.slave())
            .start();
        let state = scratch.state();
        run.until_saved(&state, "its first checkpoint", |_| true);
        // Ctrl+S
        terminal.types("\x13");
        run.wait().code(0);
        let shown = terminal.shown();
        assert!(!shown.contains("WIPED"), "it was not stopped: {shown}");
        assert_wiped(&scratch, SIZE);
    }
}

fn a_state_directory_cannot_forge_a_line() {
    let scratch = Scratch::new();
    let forged = "WIPED /dev/sda - 500107862016 bytes, 0 bad, read-back full, 0 differ";
    let dir = scratch.join("state\n");
    let dir = PathBuf::from(format!("{}{forged}\n\x1b[2J", dir.display()));
    let honest = |done: &Done| {
        for line in done.stdout.lines().chain(done.stderr.lines()) {
            assert!(!line.starts_with("WIPED /dev/sda"), "{done:?}");
        }
        assert!(!done.stderr.contains('\x1b'), "{done:?}");
        assert!(!done.stdout.contains('\x1b'), "{done:?}");
    };
    // Wiped, and told where the record is.
    let image = scratch.tagged("old.img", SIZE);
    let done = || scratch.wipe(&image).state(&dir);
    for options in ["--yes", "--yes --quiet", "--yes --dry-run", ""] {
        honest(&done().words(options).run());
    }
    honest(&done().words("--resume").code(4));
    // The card and the question.
    let terminal = Terminal::new();
    let run = done().on_terminal(terminal.slave()).start();
    terminal.shows("anything else to leave");
    drop(run);
    let shown = terminal.shown();
    assert!(!shown.contains("\nWIPED") && !shown.contains("\x1b[2J"));
    // Stopped, told how to go on, and refused because of that.
    let wipe = done().words("--yes --rate-limit 2M -b 64K");
    let mut run = wipe.args([OsStr::new("--state-dir"), dir.as_os_str()]);
    let state = State::at(dir.clone());
    run = run.arg("--checkpoint-every").arg("1M");
    let mut run = run.start();
    run.until_saved(&state, "its checkpoint", |_| true);
    run.signal(SIGINT);
    honest(&run.wait().killed_by(SIGINT));
    honest(&done().arg("--yes").code(4).one_line());
    // Files of that name that cannot be read, and no folder at all.
    let pending = state.pending().remove(0);
    std::fs::write(&pending, "torn").unwrap();
    honest(&done().arg("--resume").code(4).one_line());
    honest(&scratch.wipeit().state(&dir).arg("--resume").code(4));
    std::fs::remove_dir_all(&dir).unwrap();
    honest(&scratch.wipeit().state(&dir).arg("--resume").code(4));
    std::fs::write(&dir, "a file").unwrap();
    honest(&done().arg("--yes").code(4).one_line());
}
