//! `--ensure` brings a target to "wiped" however often it runs.

use std::os::unix::fs::FileExt;

use crate::support::state::{unchanged, write};
use crate::support::{MIB, NOTHING, OPENSSL, Scratch, cases};

cases![
    OPENSSL => ensure_wipes_once_in_a_loop_of_five_runs,
    NOTHING => ensure_refuses_what_was_written_to_since,
    NOTHING => ensure_refuses_a_drive_whose_record_is_damaged,
    NOTHING => a_wipe_that_lost_its_keys_still_supersedes_the_one_before,
    NOTHING => ensure_names_a_record_that_tells_no_drive_and_goes_on,
    NOTHING => ensure_refuses_an_image_that_has_another_size_than_when_it_was_wiped,
    NOTHING => ensure_continues_what_is_unfinished,
    NOTHING => ensure_needs_consent_for_the_first_wipe_only,
    NOTHING => ensure_looks_at_the_serial_also_where_nothing_is_left_to_do,
    NOTHING => ensure_never_calls_wiped_what_ended_otherwise,
    NOTHING => ensure_refuses_what_was_wiped_otherwise_than_it_is_asked,
    NOTHING => a_dry_run_of_ensure_writes_no_report_and_refuses_nothing_that_is_wiped,
];

fn ensure_wipes_once_in_a_loop_of_five_runs() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 3 * MIB + 5);
    let ensure = || scratch.wipe(&image).arg("--ensure").yes();
    let first = ensure().code(0).wiped(&image, 3 * MIB + 5);
    let content = std::fs::read(&image).unwrap();
    for _ in 0..4 {
        let again = ensure()
            .code(0)
            .says(&["was wiped on", "nothing was written"]);
        assert_eq!(again.stdout, first.stdout);
        assert!(std::fs::read(&image).unwrap() == content);
    }
    assert_eq!(scratch.state().reports().len(), 1);
}

fn ensure_refuses_what_was_written_to_since() {
    // A small drive is read to its last byte; of this one samples would see
    // one byte in a hundred.
    let size = 96 * MIB + 77;
    for options in ["", "-s zero"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", size);
        let ensure = || scratch.wipe(&image).arg("--ensure").yes();
        ensure().words(options).code(0);
        for at in [MIB / 2, 40 * MIB + 12_345, size - 1] {
            flip(&image, at);
            let says = ["was wiped on", "written to since", "--restart"];
            unchanged(&[&image, scratch.state().path()], || {
                ensure().code(4).one_line().says(&says);
            });
            flip(&image, at);
            ensure().code(0).says(&["every byte of it still matches"]);
        }
        flip(&image, 0);
        scratch.wipe(&image).arg("--restart").yes().code(0);
        ensure().code(0);
    }
}

/// Somebody changes a byte, or changes it back.
fn flip(image: &std::path::Path, at: u64) {
    let file = std::fs::File::options().write(true).read(true).open(image);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

/// Both end with zeros, so that the drive looks like the one of the first record.
fn a_wipe_that_lost_its_keys_still_supersedes_the_one_before() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let wipe = |options: &str| scratch.wipe(&image).yes().words(options);
    wipe("-s zero").code(0);
    wipe("--restart --scheme nnsa").code(0);
    wipe("--ensure").code(0);
    let files = std::fs::read_dir(scratch.state().path().join("reports")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut keys = files.filter(|path| path.to_string_lossy().ends_with(".keys.json"));
    let path = keys.next().unwrap();
    assert_eq!(keys.next(), None);
    std::fs::remove_file(&path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    unchanged(&[&image, scratch.state().path()], || {
        for options in ["--ensure", "--check"] {
            let done = scratch.wipe(&image).arg(options).code(4);
            done.says(&["cannot be used", name, "not to be had", "--restart"]);
        }
    });
    wipe("--restart --scheme nnsa").code(0);
    wipe("--ensure").code(0);
}

fn ensure_refuses_a_drive_whose_record_is_damaged() {
    for (field, value) in [("outcome", "SOMETHING"), ("written", "all")] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", MIB);
        scratch.wipe(&image).arg("--ensure").yes().code(0);
        let file = scratch.state().reports().remove(0);
        let mut record = scratch.state().report();
        record[field] = value.into();
        write(&file, &record);
        // Somebody uses it again.
        crate::support::content::fill_with_tags(&image, MIB);
        unchanged(&[&image, scratch.state().path()], || {
            let done = scratch.wipe(&image).arg("--ensure").yes().code(4);
            let file = file.to_str().unwrap();
            done.one_line().says(&[file, field, "--restart"]);
        });
    }
}

fn ensure_refuses_an_image_that_has_another_size_than_when_it_was_wiped() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let ensure = || scratch.wipe(&image).arg("--ensure").yes();
    ensure().code(0);
    std::fs::File::options()
        .write(true)
        .open(&image)
        .and_then(|file| file.set_len(2 * MIB))
        .unwrap();
    unchanged(&[&image, scratch.state().path()], || {
        let done = ensure().code(4).one_line();
        done.says(&["had 1048576 bytes", "has 2097152 now", "--restart"]);
    });
    scratch.wipe(&image).arg("--restart").yes().code(0);
    ensure().code(0).says(&["nothing was written"]);
}

fn ensure_names_a_record_that_tells_no_drive_and_goes_on() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let reports = scratch.state().path().join("reports");
    std::fs::create_dir_all(&reports).unwrap();
    let file = reports.join("torn.json");
    std::fs::write(&file, "{").unwrap();
    let done = scratch.wipe(&image).arg("--ensure").yes().run();
    done.says(&[file.to_str().unwrap()]).wiped(&image, MIB);
}

fn ensure_continues_what_is_unfinished() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let slow = scratch
        .wipe(&image)
        .arg("--ensure")
        .yes()
        .words("--rate-limit 4M");
    let mut run = slow.start();
    run.until_saved(&scratch.state(), "it has written something", |json| {
        json["written"].as_u64() > Some(0)
    });
    run.signal(nix::sys::signal::Signal::SIGINT);
    run.wait().killed_by(nix::sys::signal::Signal::SIGINT);
    scratch
        .wipe(&image)
        .arg("--ensure")
        .yes()
        .code(0)
        .says(&["continues at"]);
    scratch
        .wipe(&image)
        .arg("--ensure")
        .yes()
        .code(0)
        .says(&["was wiped on"]);
}

fn ensure_needs_consent_for_the_first_wipe_only() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    scratch
        .wipe(&image)
        .arg("--ensure")
        .code(4)
        .says(&["there is no terminal"]);
    scratch.wipe(&image).arg("--ensure").yes().code(0);
    scratch
        .wipe(&image)
        .arg("--ensure")
        .code(0)
        .says(&["nothing was written"]);
}

/// A wiped image whose record says that its wipe ended so. `--ensure` goes by
/// the record and the samples.
fn with_outcome(outcome: &str) -> (Scratch, std::path::PathBuf) {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    scratch.wipe(&image).arg("--ensure").yes().code(0);
    let file = scratch.state().reports().remove(0);
    let mut record = scratch.state().report();
    record["outcome"] = outcome.into();
    write(&file, &record);
    (scratch, image)
}

fn ensure_never_calls_wiped_what_ended_otherwise() {
    for (outcome, code) in [("NOT-CLEAR", 3), ("DIFFERS", 5)] {
        let (scratch, image) = with_outcome(outcome);
        unchanged(&[&image, scratch.state().path()], || {
            let done = scratch.wipe(&image).arg("--ensure").yes().code(code);
            assert!(done.stdout.starts_with(outcome), "{done:?}");
            assert!(!done.stderr.contains("was wiped"), "{done:?}");
            done.says(&[&format!("ended as {outcome}"), "--restart"]);
            let dry = scratch.wipe(&image).words("--ensure -n").code(4);
            dry.one_line().says(&[&format!("ended as {outcome}")]);
        });
    }
}

fn a_dry_run_of_ensure_writes_no_report_and_refuses_nothing_that_is_wiped() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.tagged("a.img", MIB), scratch.tagged("b.img", MIB));
    scratch.wipe(&one).arg("--ensure").yes().code(0);
    unchanged(&[&one, &two, scratch.state().path()], || {
        let dry = scratch.wipe(&one).arg(&two).words("--ensure -n").code(0);
        dry.stdout("")
            .says(&["a.img: was wiped on", "b.img: dry run"]);
        let wipe = scratch.wipe(&one).words("--ensure -n --report r.html");
        wipe.code(0).one_line().says(&["was wiped on"]);
    });
    assert!(!scratch.join("r.html").exists());
}

fn ensure_refuses_what_was_wiped_otherwise_than_it_is_asked() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let wipe = |options: &str| scratch.wipe(&image).words("--ensure --yes").words(options);
    wipe("-s zero --passes 2 --verify sample").code(0);
    unchanged(&[&image, scratch.state().path()], || {
        for (options, option, done) in [
            ("--verify full", "--verify", "read-back sample"),
            ("--verify all", "--verify", "read-back sample"),
            ("--scheme gutmann", "--scheme", "without a scheme"),
            ("-s random", "--strategy", "zero"),
            ("--pattern 55", "--strategy", "zero"),
            ("--passes 3", "--passes", "2"),
        ] {
            let refused = wipe(options).code(4).one_line();
            let done = format!("but not as {option} asks ({done})");
            refused.says(&["was wiped on", &done, "--restart"]);
        }
        // Nothing else was asked for, or less.
        for options in ["", "-s zero --passes 2", "--verify sample", "--verify none"] {
            wipe(options).code(0).says(&["nothing was written"]);
        }
    });
}

fn ensure_looks_at_the_serial_also_where_nothing_is_left_to_do() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    scratch.wipe(&image).arg("--ensure").yes().code(0);
    for options in ["--ensure --serial X", "--ensure -n --serial X"] {
        let done = scratch.wipe(&image).words(options).code(4).one_line();
        done.says(&["has no serial, but --serial says X"]);
    }
}
