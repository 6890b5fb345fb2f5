//! Which record of a drive counts, of several: never by the clock.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal::{SIGINT, SIGKILL};
use serde_json::{Value, json};

use crate::support::content::{Content, check, fill_with_tags};
use crate::support::device::{Loop, read_range};
use crate::support::state::{number, read, unchanged, write};
use crate::support::{LOOP, MIB, NOTHING, OPENSSL, Scratch, cases};

cases![
    OPENSSL => an_older_record_with_a_later_date_changes_nothing,
    OPENSSL => a_wipe_lists_what_it_supersedes_before_its_first_byte_and_its_record_keeps_it,
    NOTHING => what_a_dropped_checkpoint_superseded_stays_superseded,
    NOTHING => a_wipe_that_was_begun_again_is_never_taken_for_the_one_before,
    NOTHING => a_record_that_is_deleted_from_between_brings_none_before_it_back,
    NOTHING => of_several_records_that_match_the_worst_outcome_counts_and_all_are_named,
    NOTHING => records_that_supersede_each_other_hide_none,
    OPENSSL => the_furthest_of_several_copies_of_a_checkpoint_is_continued,
    OPENSSL => a_checkpoint_that_another_one_supersedes_is_not_continued_whatever_its_date,
    NOTHING => two_unfinished_wipes_that_both_fit_are_named_and_neither_is_continued,
    LOOP => a_drive_that_no_strong_identifier_names_is_not_called_damaged,
    LOOP => zeros_on_a_drive_that_nothing_identifies_match_no_record,
    LOOP => the_list_shows_the_last_wipe_whatever_the_dates_say,
];

const SIZE: u64 = 5 * MIB + 700;
const SLOW: &str = "--rate-limit 8M -b 64K --checkpoint-every 1M";
const FUTURE: &str = "2040-01-01T00:00:00.000+00:00";

/// Changes a file of the state directory.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = read(path);
    change(&mut value);
    write(path, &value);
}

/// All times of a record, as if its clock had been wrong.
fn date(path: &Path, stamp: &str) {
    edit(path, |value| {
        value["timestamp"] = stamp.into();
        value["started_at"] = stamp.into();
        for run in value["runs"].as_array_mut().unwrap() {
            run["start"] = stamp.into();
            run["end"] = stamp.into();
        }
    });
}

/// Somebody writes to the drive.
fn put(target: &Path, at: u64, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(target).unwrap();
    file.write_all_at(bytes, at).unwrap();
    file.sync_all().unwrap();
}

/// A wipe with these options; its record.
fn wipe(scratch: &Scratch, target: &Path, options: &str) -> PathBuf {
    let before = scratch.state().reports();
    scratch.wipe(target).yes().words(options).code(0);
    let new = |file: &PathBuf| !before.contains(file);
    scratch.state().reports().into_iter().find(new).unwrap()
}

/// A wipe that is stopped some megabytes in; its checkpoint.
fn stop(scratch: &Scratch, target: &Path, options: &str) -> PathBuf {
    let before = scratch.state().pending();
    let new = || {
        let mut now = scratch.state().pending().into_iter();
        now.find(|file| !before.contains(file))
    };
    let slow = scratch.wipe(target).yes().words(SLOW).words(options);
    let mut run = slow.start();
    let far = |file: PathBuf| {
        let bytes = std::fs::read(file).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        Some(number(&value, "written") >= 2 * MIB)
    };
    run.until("some megabytes", |_| new().and_then(far) == Some(true));
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    new().unwrap()
}

fn an_older_record_with_a_later_date_changes_nothing() {
    for (first, second) in [
        ("", ""),
        ("", "-s zero"),
        ("-s zero", ""),
        ("-s zero", "--pattern 55"),
        ("", "--restart"),
    ] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let old = wipe(&scratch, &image, first);
        date(&old, FUTURE);
        let new = wipe(&scratch, &image, second);
        date(&new, "1999-01-01T00:00:00.000+00:00");
        check(&image, 0, SIZE, &Content::of(&read(&new), 1));
        unchanged(&[&image, scratch.state().path()], || {
            let done = scratch.wipe(&image).arg("--check").code(0);
            assert!(done.stdout.starts_with("CHECKED "), "{done:?}");
            let done = scratch.wipe(&image).words("--ensure --yes").code(0);
            done.says(&["was wiped on 1999", "nothing was written"]);
        });
        // New data on it: it is the later wipe that it was written to after.
        put(&image, 0, &[7; 512]);
        unchanged(&[&image, scratch.state().path()], || {
            let done = scratch.wipe(&image).words("--ensure --yes").code(4);
            done.one_line().says(&["wiped on 1999", "written to since"]);
            scratch.wipe(&image).arg("--check").code(5);
        });
    }
}

fn a_wipe_lists_what_it_supersedes_before_its_first_byte_and_its_record_keeps_it() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let first = read(&wipe(&scratch, &image, ""));
    assert!(first.get("supersedes").is_none(), "{first}");
    let second = read(&wipe(&scratch, &image, ""));
    assert_eq!(second["supersedes"], json!([first["run_id"]]));
    // Killed before anything is durably written.
    let slow = scratch.wipe(&image).yes().words("--rate-limit 64K -b 4K");
    let mut run = slow.start();
    let state = scratch.state();
    run.until_saved(&state, "its first checkpoint", |_| true);
    run.signal(SIGKILL);
    run.wait().killed_by(SIGKILL);
    let third = state.checkpoint();
    assert_eq!(number(&third, "written"), 0);
    let ids = third["supersedes"].as_array().unwrap();
    for before in [&first, &second] {
        assert!(ids.contains(&before["run_id"]), "{third}");
    }
    scratch.wipe(&image).words("--resume --yes").code(0);
    let files = state.reports();
    let kept = files.iter().map(|file| read(file));
    let kept = kept.filter(|record| record["run_id"] == third["run_id"]);
    let kept: Vec<Value> = kept.collect();
    assert_eq!(kept[0]["supersedes"], third["supersedes"]);
    scratch.wipe(&image).arg("--check").code(0);
}

fn what_a_dropped_checkpoint_superseded_stays_superseded() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let old = wipe(&scratch, &image, "-s zero");
    edit(&old, |value| value["outcome"] = "DIFFERS".into());
    date(&old, FUTURE);
    let dropped = read(&stop(&scratch, &image, "-s zero"));
    let done = scratch.wipe(&image).arg("--check").code(4);
    done.one_line().says(&["has an unfinished wipe"]);
    let new = read(&wipe(&scratch, &image, "-s zero --restart"));
    let ids = new["supersedes"].as_array().unwrap();
    assert!(ids.contains(&dropped["run_id"]), "{new}");
    assert!(ids.contains(&read(&old)["run_id"]), "{new}");
    scratch.wipe(&image).arg("--check").code(0);
    let done = scratch.wipe(&image).words("--ensure --yes").code(0);
    done.says(&["was wiped on", "nothing was written"]);
}

fn a_wipe_that_was_begun_again_is_never_taken_for_the_one_before() {
    // The image holds zeros, as an earlier wipe left them; a later one failed.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let good = wipe(&scratch, &image, "-s zero");
    let bad = wipe(&scratch, &image, "-s zero");
    edit(&bad, |value| value["outcome"] = "NOT-CLEAR".into());
    for (first, second) in [
        (FUTURE, "1999-01-01T00:00:00Z"),
        ("1999-01-01T00:00:00Z", FUTURE),
    ] {
        date(&good, first);
        date(&bad, second);
        let done = scratch.wipe(&image).words("--ensure --yes").code(3);
        assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
    }
}

fn a_record_that_is_deleted_from_between_brings_none_before_it_back() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let first = wipe(&scratch, &image, "-s zero");
    edit(&first, |value| value["outcome"] = "DIFFERS".into());
    let second = wipe(&scratch, &image, "-s zero");
    let kept = scratch.join("kept.json");
    std::fs::rename(&first, &kept).unwrap();
    // While the first is away a third is made; then the second goes.
    wipe(&scratch, &image, "-s zero");
    std::fs::remove_file(&second).unwrap();
    std::fs::rename(&kept, &first).unwrap();
    scratch.wipe(&image).arg("--check").code(0);
    let done = scratch.wipe(&image).words("--ensure --yes").code(0);
    assert!(done.stdout.starts_with("WIPED "), "{done:?}");
}

fn of_several_records_that_match_the_worst_outcome_counts_and_all_are_named() {
    // As 0.1.0 left them: none says what it supersedes.
    for (outcome, code) in [("WIPED", 0), ("NOT-CLEAR", 3), ("DIFFERS", 5)] {
        for at in [0, 1] {
            let scratch = Scratch::new();
            let image = scratch.tagged("old.img", SIZE);
            let both = [
                wipe(&scratch, &image, "-s zero"),
                wipe(&scratch, &image, "-s zero"),
            ];
            for file in &both {
                edit(file, |value| {
                    value.as_object_mut().unwrap().remove("supersedes");
                });
            }
            edit(&both[at], |value| value["outcome"] = outcome.into());
            date(&both[0], FUTURE);
            let names = both.each_ref().map(|file| file.to_str().unwrap());
            unchanged(&[&image, scratch.state().path()], || {
                let done = scratch.wipe(&image).words("--ensure --yes").code(code);
                assert!(done.stdout.starts_with(outcome), "{done:?}");
                done.says(&names);
                scratch.wipe(&image).arg("--check").run().says(&names);
            });
        }
    }
}

fn records_that_supersede_each_other_hide_none() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let (one, two) = (
        wipe(&scratch, &image, "-s zero"),
        wipe(&scratch, &image, "-s zero"),
    );
    let id = read(&two)["run_id"].clone();
    edit(&one, |value| {
        value["supersedes"] = json!([id]);
        value["outcome"] = "DIFFERS".into();
    });
    scratch.wipe(&image).words("--ensure --yes").code(5);
    // What supersedes itself is not whole.
    edit(&two, |value| value["supersedes"] = json!([id]));
    scratch.wipe(&image).words("--ensure --yes").code(5);
    std::fs::remove_file(&one).unwrap();
    let done = scratch.wipe(&image).words("--ensure --yes").code(4);
    done.one_line().says(&["supersedes", "--restart"]);
}

fn the_furthest_of_several_copies_of_a_checkpoint_is_continued() {
    for later in [true, false] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let file = stop(&scratch, &image, "");
        let copy = file.with_file_name("copy.json");
        std::fs::copy(&file, &copy).unwrap();
        // The copy is of an earlier moment, whatever its date.
        edit(&copy, |value| {
            let written = MIB + 64 * 1024;
            value["written"] = written.into();
            let percent = |of: u64| {
                let hundredths = u32::try_from(written * 10_000 / of).unwrap();
                f64::from(hundredths) / 100.0
            };
            value["progress_percent"] = percent(SIZE).into();
            value["plan_percent"] = percent(2 * SIZE).into();
        });
        let stamp = if later {
            FUTURE
        } else {
            "1999-01-01T00:00:00Z"
        };
        edit(&copy, |value| value["timestamp"] = stamp.into());
        let far = number(&read(&file), "written");
        let done = scratch.wipe(&image).words("--resume --yes").code(0);
        done.says(&[&format!("continues at {}.", far * 100 / SIZE)]);
        assert!(scratch.state().pending().is_empty());
        check(&image, 0, SIZE, &Content::of(&scratch.state().report(), 1));
    }
}

fn a_checkpoint_that_another_one_supersedes_is_not_continued_whatever_its_date() {
    // A crash after the new checkpoint was saved and before the old one went.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let old = stop(&scratch, &image, "-s zero");
    let kept = scratch.join("kept.json");
    std::fs::copy(&old, &kept).unwrap();
    let new = stop(&scratch, &image, "-s zero --restart");
    std::fs::rename(&kept, &old).unwrap();
    edit(&old, |value| value["timestamp"] = FUTURE.into());
    let id = read(&new)["run_id"].clone();
    scratch.wipe(&image).words("--resume --yes").code(0);
    assert_eq!(scratch.state().report()["run_id"], id);
    assert!(scratch.state().pending().is_empty());
}

fn two_unfinished_wipes_that_both_fit_are_named_and_neither_is_continued() {
    // Zeros fit both, and neither says that it superseded the other.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let one = stop(&scratch, &image, "-s zero");
    let kept = scratch.join("kept.json");
    std::fs::copy(&one, &kept).unwrap();
    let two = stop(&scratch, &image, "-s zero --restart");
    std::fs::rename(&kept, &one).unwrap();
    edit(&two, |value| {
        value.as_object_mut().unwrap().remove("supersedes");
    });
    let names = [one.to_str().unwrap(), two.to_str().unwrap()];
    unchanged(&[&image, scratch.state().path()], || {
        for options in ["--resume --yes", "--ensure --yes"] {
            let done = scratch.wipe(&image).words(options).code(4);
            done.one_line().says(&names).says(&["--restart"]);
        }
    });
    scratch.wipe(&image).words("--restart --yes").code(0);
    assert!(scratch.state().pending().is_empty());
    scratch.wipe(&image).arg("--check").code(0);
}

/// A drive that nothing identifies: a loop device over a loop device.
struct Nameless {
    outer: Loop,
    _inner: Loop,
    scratch: Scratch,
}

impl Nameless {
    fn new() -> Self {
        let scratch = Scratch::new();
        let inner = Loop::over(&scratch.tagged("below.img", 4 * MIB));
        let outer = Loop::over(inner.path());
        Self {
            outer,
            _inner: inner,
            scratch,
        }
    }
}

fn a_drive_that_no_strong_identifier_names_is_not_called_damaged() {
    let drive = Nameless::new();
    let (scratch, path) = (&drive.scratch, drive.outer.path());
    wipe(scratch, path, "");
    scratch.wipe(path).arg("--check").code(0);
    // Another one of the same kind.
    let wiped = read_range(path, 0, usize::try_from(4 * MIB).unwrap());
    let mut other = wiped.clone();
    for byte in &mut other {
        *byte ^= 0x5a;
    }
    put(path, 0, &other);
    unchanged(&[path, scratch.state().path()], || {
        let done = scratch.wipe(path).arg("--check").code(4).one_line();
        done.one_line()
            .says(&["is of it: neither an identifier nor its content ties it to"]);
        let done = scratch.wipe(path).words("--ensure --yes").code(4);
        done.one_line().says(&["--restart"]);
    });
    // Its own keystream names it, where one byte of it changed as well.
    put(path, 0, &wiped);
    scratch.wipe(path).arg("--check").code(0);
}

fn zeros_on_a_drive_that_nothing_identifies_match_no_record() {
    let drive = Nameless::new();
    let (scratch, path) = (&drive.scratch, drive.outer.path());
    wipe(scratch, path, "-s zero");
    unchanged(&[path, scratch.state().path()], || {
        let done = scratch.wipe(path).arg("--check").code(4).one_line();
        done.one_line()
            .says(&["is of it: neither an identifier nor its content ties it to"]);
    });
}

fn the_list_shows_the_last_wipe_whatever_the_dates_say() {
    let scratch = Scratch::new();
    let image = scratch.join("old.img");
    fill_with_tags(&image, 4 * MIB);
    let device = Loop::over(&image);
    let old = wipe(&scratch, device.path(), "-s zero");
    edit(&old, |value| value["outcome"] = "DIFFERS".into());
    date(&old, FUTURE);
    let new = wipe(&scratch, device.path(), "-s zero");
    date(&new, "1999-01-01T00:00:00Z");
    let shown = || {
        let done = scratch.wipeit().words("--list --json").code(0);
        let list: Value = serde_json::from_str(&done.stdout).unwrap();
        let node = device.path().to_str().unwrap();
        let mut disks = list["disks"].as_array().unwrap().iter();
        let disk = disks.find(|disk| disk["device"] == node).unwrap();
        disk["last_outcome"].clone()
    };
    assert_eq!(shown(), "WIPED");
    // Where none supersedes the other, the worst counts.
    edit(&new, |value| {
        value.as_object_mut().unwrap().remove("supersedes");
    });
    assert_eq!(shown(), "DIFFERS");
}
