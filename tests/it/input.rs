//! Bad input gets one line, the documented code, and nothing is lost.

use std::fs;
use std::path::Path;

use crate::support::content::{Content, check};
use crate::support::device::Mount;
use crate::support::run::PROGRAM;
use crate::support::state::{State, number, unchanged};
use crate::support::{MIB, NOTHING, Need, Scratch, cases};

const MOUNT: &[Need] = &[Need::Root];

cases![
    NOTHING => bad_usage_is_one_line_and_exit_2,
    NOTHING => every_bad_size_is_refused_by_every_option_that_takes_one,
    NOTHING => an_empty_variable_does_not_succeed,
    NOTHING => there_is_no_force,
    NOTHING => two_targets_are_a_usage_error_that_says_so,
    NOTHING => a_dry_run_says_of_each_of_several_targets_what_would_be_done,
    NOTHING => help_and_version_go_to_stdout,
    NOTHING => a_loop_over_a_list_does_not_lose_its_lines,
    NOTHING => control_characters_of_a_path_do_not_reach_the_terminal,
    NOTHING => a_state_directory_that_cannot_be_made_fails_before_the_first_byte,
    MOUNT => a_state_directory_that_cannot_be_written_fails_before_the_first_byte,
    MOUNT => a_full_state_disk_fails_before_the_first_byte,
    NOTHING => the_state_directory_is_private,
    NOTHING => without_an_option_the_state_is_kept_at_home,
    NOTHING => nothing_to_resume_names_the_directory_searched,
];

fn bad_usage_is_one_line_and_exit_2() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let cases: &[(&[&str], &str)] = &[
        (&["--pattern", ""], "--pattern"),
        (&["--pattern", "0x"], "--pattern"),
        (&["--pattern", "123"], "--pattern"),
        (&["--pattern", "5g"], "--pattern"),
        (&["--pattern", "55 aa"], "--pattern"),
        (&["-s", "pattern"], "--pattern"),
        (&["-s", "zero", "--pattern", "55"], "--pattern"),
        (&["-s", "random", "--pattern", "55"], "--pattern"),
        (&["-s", "shred"], "shred"),
        (&["-s", ""], "--strategy"),
        (&["--passes", "0"], "--passes"),
        (&["--passes", "-1"], "--passes"),
        (&["--passes", "100"], "--passes"),
        (&["--passes", "two"], "--passes"),
        (&["--threads", "0"], "--threads"),
        (&["--threads", "-1"], "--threads"),
        (&["--threads", "many"], "--threads"),
        (&["--verify", "some"], "--verify"),
        (&["--progress", "loud"], "--progress"),
        (&["--checkpoint-every", "1023K"], "--checkpoint-every"),
        (&["--checkpoint-every", "101M"], "--checkpoint-every"),
        (&["--resume", "--restart"], "--re"),
        (&["--unknown"], "--unknown"),
        (&["-x"], "-x"),
        (&["--state-dir"], "--state-dir"),
        (&["--state-dir", ""], "--state-dir"),
        (&["--resume=foo"], "--resume"),
        (&["--yes=no"], "--yes"),
    ];
    for (options, says) in cases {
        unchanged(&[&image, scratch.state().path()], || {
            let wipe = scratch.wipe(&image).yes().args(*options);
            wipe.code(2).one_line().says(&[says]);
        });
    }
}

fn every_bad_size_is_refused_by_every_option_that_takes_one() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    for option in ["--buffer-size", "-b", "--checkpoint-every", "--rate-limit"] {
        for size in ["0", "-1", "1X", "99999999T", "", "M", "1.5M", "1 M"] {
            unchanged(&[&image, scratch.state().path()], || {
                let wipe = scratch.wipe(&image).yes().args([option, size]);
                wipe.code(2).one_line();
            });
        }
    }
}

fn an_empty_variable_does_not_succeed() {
    let scratch = Scratch::new();
    let done = scratch.wipeit().yes().code(2).one_line();
    done.says(&["no TARGET", "did a variable expand to nothing?"]);
    for options in ["--yes -s zero", "-n", "--restart --yes", "-q"] {
        scratch.wipeit().words(options).code(2).one_line();
    }
    // In quotes it is an empty word.
    scratch.wipe("").yes().code(2).one_line();
    assert!(!scratch.state().path().exists());
}

fn there_is_no_force() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    for options in ["--force", "--yes --force"] {
        unchanged(&[&image, scratch.state().path()], || {
            let done = scratch.wipe(&image).words(options).code(2).one_line();
            done.says(&["there is no --force", "a disk in use is always refused"]);
        });
    }
}

fn two_targets_are_a_usage_error_that_says_so() {
    let scratch = Scratch::new();
    let one = scratch.tagged("one.img", MIB);
    let two = scratch.tagged("two.img", MIB);
    unchanged(&[&one, &two, scratch.state().path()], || {
        let done = scratch.wipe(&one).arg(&two).yes().code(2).one_line();
        done.says(&["one run wipes one"]);
    });
}

fn a_dry_run_says_of_each_of_several_targets_what_would_be_done() {
    let scratch = Scratch::new();
    let one = scratch.tagged("one.img", MIB);
    let two = scratch.tagged("two.img", MIB);
    let three = scratch.join("three.img");
    unchanged(&[&one, &two, scratch.state().path()], || {
        let done = scratch.wipe(&one).arg(&two).arg("--dry-run").code(0);
        done.says(&["one.img", "two.img", "nothing was written"])
            .stdout("");
        let done = scratch.wipe(&one).arg(&three).arg(&two).arg("-n").code(4);
        let line = format!("REFUSED {} - nothing written\n", three.display());
        done.says(&["one.img", "two.img", "three.img: ", "not all of these 3"])
            .stdout(&line);
        // No image has a serial.
        let wipe = scratch.wipe(&one).arg(&two).words("-n --serial X");
        wipe.code(4)
            .says(&["--serial X: is of none of the targets"]);
        let wipe = scratch.wipe(&one).arg(&two).words("--ensure -n");
        wipe.code(0);
    });
}

fn help_and_version_go_to_stdout() {
    let scratch = Scratch::new();
    for option in ["-h", "--help"] {
        let done = scratch.wipeit().arg(option).code(0).stderr("");
        for text in ["--resume", "--strategy", "TARGET", "--force"] {
            assert!(done.stdout.contains(text), "{text}: {}", done.stdout);
        }
    }
    let short = scratch.wipeit().arg("-h").code(0).stdout;
    assert!(short.lines().count() <= 24, "{short}");
    assert!(short.lines().all(|line| line.len() <= 80), "{short}");
    let done = scratch.wipeit().arg("-V").code(0).stderr("");
    assert_eq!(
        done.stdout,
        concat!("wipeit ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert!(!scratch.state().path().exists());
}

fn a_loop_over_a_list_does_not_lose_its_lines() {
    let scratch = Scratch::new();
    let names = ["one.img", "two.img", "three.img"];
    for name in names {
        scratch.tagged(name, 64 * 1024);
    }
    fs::write(scratch.join("list"), names.join("\n") + "\n").unwrap();
    let script = format!("while read d; do {PROGRAM} --yes -s zero $d || exit 9; done < list");
    let out = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(scratch.path())
        .env("WIPEIT_STATE_DIR", scratch.state().path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    for name in names {
        check(&scratch.join(name), 0, 64 * 1024, &Content::Zero);
    }
    assert_eq!(String::from_utf8_lossy(&out.stdout).lines().count(), 3);
}

fn control_characters_of_a_path_do_not_reach_the_terminal() {
    let scratch = Scratch::new();
    let image = scratch.tagged("a b\t\x1b[31m\n.img", 64 * 1024);
    let done = scratch.wipe(&image).yes().args(["-s", "zero"]).code(0);
    let printed = image.to_str().unwrap().replace(' ', "\\040");
    let printed = printed.replace('\t', "\\011").replace('\n', "\\012");
    let printed = printed.replace('\x1b', "\\033");
    let line = format!("WIPED {printed} - 65536 bytes, 0 bad, read-back full, 0 differ\n");
    let done = done.stdout(&line);
    assert!(!done.stderr.contains(['\x1b', '\t']), "{done:?}");
    let missing = scratch.join("no\x1b[2Jsuch\n.img");
    let done = scratch.wipe(&missing).yes().code(4);
    assert!(!done.stderr.contains('\x1b'), "{done:?}");
    done.one_line();
}

/// A run that must end before it writes.
fn fails_before_the_first_byte(scratch: &Scratch, state: &Path) {
    let image = scratch.tagged("old.img", MIB);
    unchanged(&[&image], || {
        // Where the state is in memory a log says so first.
        let quiet = scratch.wipe(&image).yes().arg("--quiet");
        let done = quiet.state(state).run().one_line();
        let code = done.status.code();
        assert!(matches!(code, Some(1 | 4)), "{done:?}");
        // The folder, or the one that it would be in.
        let folder = state.parent().unwrap();
        done.says(&[folder.to_str().unwrap()]);
    });
}

fn a_state_directory_that_cannot_be_made_fails_before_the_first_byte() {
    let scratch = Scratch::new();
    fs::write(scratch.join("file"), "in the way").unwrap();
    fails_before_the_first_byte(&scratch, &scratch.join("file/state"));
    fails_before_the_first_byte(&scratch, &scratch.join("file"));
}

fn a_state_directory_that_cannot_be_written_fails_before_the_first_byte() {
    let scratch = Scratch::new();
    let mount = Mount::tmpfs("1M", scratch.join("mnt"));
    crate::support::sh!("mount", "-o", "remount,ro", mount.point());
    fails_before_the_first_byte(&scratch, &mount.point().join("state"));
}

fn a_full_state_disk_fails_before_the_first_byte() {
    let scratch = Scratch::new();
    let mount = Mount::tmpfs("64K", scratch.join("mnt"));
    let state = mount.point().join("state");
    let fill = fs::write(mount.point().join("fill"), vec![1; 128 * 1024]);
    assert!(fill.is_err(), "it is not full");
    fails_before_the_first_byte(&scratch, &state);
}

fn the_state_directory_is_private() {
    use std::os::unix::fs::MetadataExt as _;
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    scratch.wipe(&image).yes().run().wiped(&image, MIB);
    let state = scratch.state();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    for folder in ["", "pending", "reports"] {
        assert_eq!(mode(&state.path().join(folder)), 0o700, "{folder}");
    }
    assert_eq!(mode(&state.reports()[0]), 0o600);
}

fn without_an_option_the_state_is_kept_at_home() {
    if nix::unistd::geteuid().is_root() {
        // Root's is a folder of the system, which a test leaves alone; the
        // option is what a test can see.
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", MIB);
        let dir = scratch.join("elsewhere");
        let wipe = scratch.wipe(&image).yes().arg("--state-dir").arg(&dir);
        wipe.run().wiped(&image, MIB);
        assert_eq!(State::at(dir).reports().len(), 1);
        assert!(!scratch.state().path().exists(), "the option goes first");
        return;
    }
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let wipe = scratch.wipe(&image).yes().env("WIPEIT_STATE_DIR", "");
    wipe.run().wiped(&image, MIB);
    let state = State::at(scratch.join(".local/state/wipeit"));
    assert_eq!(number(&state.report(), "total_size"), MIB);
}

fn nothing_to_resume_names_the_directory_searched() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let dir = scratch.state().path().to_str().unwrap().to_string();
    unchanged(&[&image, scratch.state().path()], || {
        let done = scratch.wipeit().arg("--resume").code(4).one_line();
        done.says(&[&dir]);
        let done = scratch.wipe(&image).args(["--resume", "--yes"]).code(4);
        done.one_line().says(&[&dir]);
    });
}
