//! A resume continues what was begun, or refuses and changes nothing.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};
use serde_json::{Value, json};

use crate::support::content::{Content, check};
use crate::support::device::{Loop, read_range};
use crate::support::page;
use crate::support::run::Done;
use crate::support::state::{number, unchanged};
use crate::support::{LOOP, MIB, NOTHING, OPENSSL, Scratch, cases};

cases![
    OPENSSL => another_chunk_size_and_thread_count_give_the_same_bytes,
    OPENSSL => resume_without_a_target_finds_the_image,
    LOOP => resume_without_a_target_finds_the_device_under_another_name,
    OPENSSL => resume_without_a_target_continues_all_with_yes,
    OPENSSL => an_image_that_was_written_to_is_refused,
    OPENSSL => a_single_byte_changed_in_the_last_mebibyte_is_noticed,
    OPENSSL => another_image_of_the_same_size_is_refused,
    OPENSSL => an_image_of_another_size_is_refused,
    OPENSSL => an_interrupted_read_back_continues_where_it_was,
    OPENSSL => a_mismatch_ahead_of_an_interrupted_read_back_is_found,
    OPENSSL => a_mismatch_ahead_of_which_no_read_back_would_tell_is_refused,
    OPENSSL => a_mismatch_found_before_an_interrupt_is_not_forgotten,
    OPENSSL => options_that_contradict_the_checkpoint_are_a_usage_error,
    OPENSSL => the_read_back_may_be_changed_on_resume_and_is_recorded,
    OPENSSL => a_fresh_wipe_of_an_unfinished_target_needs_a_word,
    OPENSSL => restart_begins_anew_with_another_key,
    OPENSSL => a_truncated_checkpoint_is_refused_and_left_as_it_is,
    OPENSSL => a_checkpoint_of_a_newer_version_is_refused_and_left_as_it_is,
    OPENSSL => a_contradictory_checkpoint_is_refused_with_the_field,
    OPENSSL => a_fresh_wipe_does_not_replace_a_checkpoint_that_it_cannot_read,
    OPENSSL => a_checkpoint_that_does_not_tell_its_drive_stops_no_fresh_wipe,
    OPENSSL => a_checkpoint_of_a_finished_run_only_needs_its_record,
    OPENSSL => a_record_that_was_kept_before_a_crash_stays_byte_for_byte,
    OPENSSL => very_little_written_asks_again,
    OPENSSL => a_second_pass_with_little_written_is_proved_by_the_first,
    OPENSSL => the_start_of_a_later_pass_is_no_consent_to_another_content,
    NOTHING => a_changed_transport_is_said_and_asked_about,
    NOTHING => wiping_again_after_success_needs_no_word,
    NOTHING => the_checkpoint_has_the_fields_that_are_promised,
];

const SIZE: u64 = 12 * MIB + 512;
const SLOW: &str = "--rate-limit 16M -b 64K --checkpoint-every 1M";

/// A wipe that was stopped once the checkpoint said so.
struct Stopped {
    scratch: Scratch,
    target: PathBuf,
}

impl Stopped {
    /// Stopped in the first pass, some megabytes in.
    fn writing(options: &str) -> Self {
        Self::when(options, |value| number(value, "written") >= 3 * MIB)
    }

    /// Stopped while reading back.
    fn reading(options: &str) -> Self {
        Self::when(options, |value| {
            value["phase"] == "verify" && number(value, "verified") >= 3 * MIB
        })
    }

    fn when(options: &str, reached: impl Fn(&Value) -> bool) -> Self {
        let scratch = Scratch::new();
        let target = scratch.tagged("old.img", SIZE);
        let this = Self { scratch, target };
        this.go_on(options, SIGINT, reached);
        this
    }

    /// Starts it, and stops it.
    fn go_on(&self, options: &str, by: nix::sys::signal::Signal, reached: impl Fn(&Value) -> bool) {
        let state = self.scratch.state();
        let mut run = self
            .scratch
            .wipe(&self.target)
            .yes()
            .words(SLOW)
            .words(options)
            .start();
        run.until_saved(&state, "the place to stop", reached);
        run.signal(by);
        run.wait().killed_by(by);
    }

    fn checkpoint(&self) -> Value {
        self.scratch.state().checkpoint()
    }

    fn resume(&self, options: &str) -> Done {
        let wipe = self.scratch.wipe(&self.target).arg("--resume");
        wipe.words(options).run()
    }

    fn assert_wiped(&self, plan: &Value) {
        let report = self.scratch.state().report();
        assert_eq!(&report["plan"], plan, "the plan is the same to the end");
        let last = plan.as_array().unwrap().len();
        check(&self.target, 0, SIZE, &Content::of(&report, last));
        assert!(self.scratch.state().pending().is_empty());
    }

    /// Refused with this code, and nothing is changed.
    fn refused(&self, wipe: crate::support::run::Wipe, code: i32, says: &[&str]) {
        let state = self.scratch.state();
        unchanged(&[&self.target, state.path()], || {
            wipe.code(code).one_line().says(says)
        });
    }

    fn resume_refused(&self, options: &str, code: i32, says: &[&str]) {
        let wipe = self.scratch.wipe(&self.target).arg("--resume");
        self.refused(wipe.words(options), code, says);
        // Also where the drive is looked for.
        let wipe = self.scratch.wipeit().arg("--resume");
        self.refused(wipe.words(options), code, says);
    }

    /// Someone writes to the image.
    fn spoil(&self, offset: u64, length: usize) {
        let mut bytes = read_range(&self.target, offset, length);
        for byte in &mut bytes {
            *byte ^= 0xff;
        }
        let file = std::fs::OpenOptions::new().write(true).open(&self.target);
        let file = file.unwrap();
        file.write_all_at(&bytes, offset).unwrap();
        file.sync_all().unwrap();
    }
}

fn another_chunk_size_and_thread_count_give_the_same_bytes() {
    for options in [
        "-b 1M --threads 1",
        "-b 4K --threads 4",
        "-b 36K --threads 2",
    ] {
        let stopped = Stopped::writing("--passes 2");
        let before = stopped.checkpoint();
        stopped.resume(options).wiped(&stopped.target, SIZE);
        stopped.assert_wiped(&before["plan"]);
        let report = stopped.scratch.state().report();
        assert_eq!(report["run_id"], before["run_id"]);
        assert_eq!(report["started_at"], before["started_at"]);
        assert_eq!(report["runs"].as_array().unwrap().len(), 2);
    }
}

fn resume_without_a_target_finds_the_image() {
    let stopped = Stopped::writing("");
    let plan = stopped.checkpoint()["plan"].clone();
    let done = stopped.scratch.wipeit().arg("--resume").code(0);
    assert!(done.stdout.starts_with("WIPED "), "{done:?}");
    stopped.assert_wiped(&plan);
}

fn resume_without_a_target_finds_the_device_under_another_name() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let state = scratch.state();
    let device = Loop::over(&image);
    let mut run = scratch.wipe(device.path()).yes().words(SLOW).start();
    run.until_written(&state, 3 * MIB);
    run.signal(SIGTERM);
    run.wait().killed_by(SIGTERM);
    let old = device.path().to_path_buf();
    let plan = state.checkpoint()["plan"].clone();
    drop(device);
    // Someone else takes the old name.
    let decoy_image = scratch.tagged("decoy.img", SIZE);
    let decoy = Loop::over(&decoy_image);
    let device = Loop::over(&image);
    unchanged(&[&decoy_image], || {
        let done = scratch.wipeit().arg("--resume").code(0);
        let start = format!("WIPED {} ", device.path().display());
        assert!(
            done.stdout.starts_with(&start),
            "was {}: {done:?}",
            old.display()
        );
    });
    check(
        device.path(),
        0,
        SIZE,
        &Content::of(&json!({ "plan": plan }), 1),
    );
    drop(decoy);
}

fn resume_without_a_target_continues_all_with_yes() {
    let one = Stopped::writing("");
    // A second image in the same state directory.
    let second = one.scratch.tagged("second.img", SIZE);
    let state = one.scratch.state();
    let mut run = one.scratch.wipe(&second).yes().words(SLOW).start();
    run.until("some megabytes", |_| {
        state.pending().len() == 2
            && state.pending().iter().all(|file| {
                let value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
                number(&value, "written") >= 2 * MIB
            })
    });
    run.signal(SIGKILL);
    run.wait().killed_by(SIGKILL);
    // Without --yes and without a terminal nothing is chosen.
    let images = [one.target.as_path(), second.as_path(), state.path()];
    unchanged(&images, || {
        let done = one.scratch.wipeit().arg("--resume").code(4);
        done.stdout("REFUSED - - nothing written\n");
    });
    let done = one.scratch.wipeit().words("--resume --yes").code(0);
    assert_eq!(done.stdout.matches("WIPED ").count(), 2, "{done:?}");
    assert!(state.pending().is_empty());
    assert_eq!(state.reports().len(), 2);
}

fn an_image_that_was_written_to_is_refused() {
    for options in ["", "-s zero", "--pattern 55aa"] {
        let stopped = Stopped::writing(options);
        stopped.spoil(0, 1 << 20);
        stopped.resume_refused("", 4, &[]);
        stopped.resume_refused("--yes", 4, &[]);
    }
}

fn a_single_byte_changed_in_the_last_mebibyte_is_noticed() {
    let stopped = Stopped::writing("");
    let written = number(&stopped.checkpoint(), "written");
    stopped.spoil(written - 1, 1);
    stopped.resume_refused("--yes", 4, &[]);
    stopped.spoil(written - 1, 1);
    let plan = stopped.checkpoint()["plan"].clone();
    stopped.resume("").wiped(&stopped.target, SIZE);
    stopped.assert_wiped(&plan);
}

fn another_image_of_the_same_size_is_refused() {
    let stopped = Stopped::writing("");
    let away = stopped.scratch.join("away.img");
    std::fs::rename(&stopped.target, &away).unwrap();
    stopped.scratch.tagged("old.img", SIZE);
    stopped.resume_refused("--yes", 4, &[]);
    // And a target that has no checkpoint.
    let other = stopped.scratch.tagged("other.img", SIZE);
    unchanged(&[&other, stopped.scratch.state().path()], || {
        let wipe = stopped.scratch.wipe(&other);
        wipe.words("--resume --yes").code(4).one_line();
    });
}

fn an_image_of_another_size_is_refused() {
    let stopped = Stopped::writing("");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&stopped.target);
    file.unwrap().set_len(SIZE + 512).unwrap();
    let wipe = stopped.scratch.wipe(&stopped.target);
    stopped.refused(wipe.words("--resume --yes"), 4, &["size"]);
    let wipe = stopped.scratch.wipeit().words("--resume --yes");
    stopped.refused(wipe, 4, &[]);
}

fn an_interrupted_read_back_continues_where_it_was() {
    let stopped = Stopped::reading("");
    let before = stopped.checkpoint();
    assert_eq!(number(&before, "written"), SIZE);
    let verified = number(&before, "verified");
    assert!(verified < SIZE);
    let done = stopped.resume("").wiped(&stopped.target, SIZE);
    let percent = format!("{}", verified * 100 / SIZE);
    done.says(&["read-back", &percent]);
    stopped.assert_wiped(&before["plan"]);
}

fn a_mismatch_ahead_of_an_interrupted_read_back_is_found() {
    let stopped = Stopped::reading("");
    // Behind the read-back it was seen right: somebody wrote to it since.
    stopped.spoil(MIB / 2, 3);
    stopped.resume_refused("--yes", 4, &["written to since"]);
    stopped.spoil(MIB / 2, 3);
    // Ahead of it the drive may have lost it. In the last MiB, at which every
    // resume looks.
    let at = SIZE - MIB / 2;
    stopped.spoil(at, 3);
    let done = stopped.resume("");
    let line = format!(
        "DIFFERS {} - {SIZE} bytes, 0 bad, ",
        stopped.target.display()
    );
    assert!(done.stdout.starts_with(&line), "{done:?}");
    let done = done.code(5);
    assert!(!done.stdout.contains(" 0 differ"), "{done:?}");
    let report = stopped.scratch.state().report();
    let (start, length) = (
        number(&report["mismatches"][0], "start"),
        number(&report["mismatches"][0], "length"),
    );
    assert!(start <= at && start + length >= at + 3, "{report}");
    assert_eq!(report["outcome"], "DIFFERS");
}

fn a_mismatch_ahead_of_which_no_read_back_would_tell_is_refused() {
    for (options, at_resume) in [
        ("", "--yes --verify none"),
        ("", "--yes --verify sample"),
        ("--verify sample", "--yes"),
        // The next pass would go over what may be new data.
        ("--passes 2 --verify all", "--yes"),
    ] {
        let stopped = Stopped::reading(options);
        // In the last MiB, at which every resume looks.
        stopped.spoil(SIZE - MIB / 2, 64 * 1024);
        stopped.resume_refused(at_resume, 4, &["written to since"]);
    }
}

fn a_mismatch_found_before_an_interrupt_is_not_forgotten() {
    let scratch = Scratch::new();
    let target = scratch.tagged("old.img", SIZE);
    let stopped = Stopped { scratch, target };
    let state = stopped.scratch.state();
    let mut run = stopped
        .scratch
        .wipe(&stopped.target)
        .yes()
        .words("--rate-limit 6M -b 64K --checkpoint-every 1M")
        .start();
    run.until_saved(&state, "the read-back", |value| value["phase"] == "verify");
    // Ahead of it someone writes, and it goes over that.
    let at = SIZE - 4 * MIB;
    stopped.spoil(at, 1);
    run.until_saved(&state, "the spoilt place", |value| {
        number(value, "verified") > at + MIB
    });
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    let checkpoint = stopped.checkpoint();
    assert_eq!(
        checkpoint["mismatches"].as_array().unwrap().len(),
        1,
        "{checkpoint}"
    );
    // Put right again: what was found stays found.
    stopped.spoil(at, 1);
    let done = stopped.resume("").code(5);
    assert!(done.stdout.starts_with("DIFFERS "), "{done:?}");
    let report = stopped.scratch.state().report();
    assert_eq!(report["mismatches"].as_array().unwrap().len(), 1);
}

fn options_that_contradict_the_checkpoint_are_a_usage_error() {
    let stopped = Stopped::writing("--pattern 55aa --passes 2");
    for options in ["-s zero", "-s random", "--pattern 55ab", "--passes 3"] {
        let wipe = stopped.scratch.wipe(&stopped.target).arg("--resume");
        stopped.refused(wipe.words(options), 2, &[]);
    }
    // The same again is no contradiction.
    let plan = stopped.checkpoint()["plan"].clone();
    let same = "-s pattern --pattern 0x55AA --passes 2";
    stopped.resume(same).wiped(&stopped.target, SIZE);
    stopped.assert_wiped(&plan);
}

fn the_read_back_may_be_changed_on_resume_and_is_recorded() {
    let stopped = Stopped::writing("");
    let done = stopped.resume("--verify none").code(0);
    assert!(done.stdout.ends_with("read-back none\n"), "{done:?}");
    let report = stopped.scratch.state().report();
    assert_eq!(report["plan"][0]["verify"], "none", "{report}");
}

fn a_fresh_wipe_of_an_unfinished_target_needs_a_word() {
    let stopped = Stopped::writing("");
    let wipe = stopped.scratch.wipe(&stopped.target).yes();
    stopped.refused(wipe, 4, &["--resume", "--restart"]);
    let wipe = stopped.scratch.wipe(&stopped.target).words("--yes -s zero");
    stopped.refused(wipe, 4, &["--resume", "--restart"]);
}

fn restart_begins_anew_with_another_key() {
    let stopped = Stopped::writing("");
    let before = stopped.checkpoint();
    let done = stopped
        .scratch
        .wipe(&stopped.target)
        .words("--yes --restart");
    done.run().wiped(&stopped.target, SIZE);
    let report = stopped.scratch.state().report();
    assert_ne!(report["plan"][0]["key"], before["plan"][0]["key"]);
    assert_ne!(report["run_id"], before["run_id"]);
    stopped.assert_wiped(&report["plan"]);
}

fn checkpoint_file(stopped: &Stopped) -> (PathBuf, String) {
    let file = stopped.scratch.state().pending().remove(0);
    let name = file.to_str().unwrap().to_string();
    (file, name)
}

fn assert_file_refused(stopped: &Stopped, name: &str, says: &[&str]) {
    stopped.resume_refused("", 4, &[&[name], says].concat());
}

fn a_truncated_checkpoint_is_refused_and_left_as_it_is() {
    let stopped = Stopped::writing("");
    let (file, name) = checkpoint_file(&stopped);
    let whole = std::fs::read(&file).unwrap();
    for length in [whole.len() / 2, 1, 0] {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert_file_refused(&stopped, &name, &[]);
    }
    std::fs::write(&file, "not JSON").unwrap();
    assert_file_refused(&stopped, &name, &[]);
    // Put back, it is good.
    std::fs::write(&file, whole).unwrap();
    stopped.resume("").wiped(&stopped.target, SIZE);
}

fn a_checkpoint_of_a_newer_version_is_refused_and_left_as_it_is() {
    let stopped = Stopped::writing("");
    let (_, name) = checkpoint_file(&stopped);
    stopped.scratch.state().edit(|value| {
        value["version"] = json!(2);
        value["something_new"] = json!([]);
    });
    assert_file_refused(&stopped, &name, &["version 2"]);
}

fn a_contradictory_checkpoint_is_refused_with_the_field() {
    let stopped = Stopped::writing("");
    let (file, name) = checkpoint_file(&stopped);
    let whole = std::fs::read(&file).unwrap();
    let changes: [(&str, Value); 9] = [
        ("written", json!(SIZE + 1)),
        ("written", json!(-1)),
        ("written", json!("many")),
        ("total_size", json!(SIZE - 1)),
        ("progress_percent", json!(99.9)),
        ("pass", json!(2)),
        ("pass", json!(0)),
        ("phase", json!("resting")),
        ("plan", json!([])),
    ];
    for (field, wrong) in changes {
        stopped
            .scratch
            .state()
            .edit(|value| value[field] = wrong.clone());
        assert_file_refused(&stopped, &name, &[field]);
        std::fs::write(&file, &whole).unwrap();
    }
    stopped.scratch.state().edit(|value| {
        value.as_object_mut().unwrap().remove("run_id");
    });
    assert_file_refused(&stopped, &name, &["run_id"]);
}

fn a_fresh_wipe_does_not_replace_a_checkpoint_that_it_cannot_read() {
    type Change = (&'static str, Value);
    let changes: [Change; 3] = [
        ("version", json!(2)),
        ("written", json!(SIZE + 1)),
        ("phase", json!("resting")),
    ];
    for (field, wrong) in changes {
        let stopped = Stopped::writing("");
        let (file, name) = checkpoint_file(&stopped);
        let state = stopped.scratch.state();
        state.edit(|value| value[field] = wrong);
        let wipe = stopped.scratch.wipe(&stopped.target).yes();
        stopped.refused(wipe, 4, &[&name, field, "--restart"]);
        let left = std::fs::read(&file).unwrap();
        let wipe = stopped.scratch.wipe(&stopped.target);
        let done = wipe.words("--yes --restart").run();
        let done = done.wiped(&stopped.target, SIZE);
        // It is not known to be superseded.
        assert_eq!(std::fs::read(&file).unwrap(), left, "{done:?}");
        done.says(&[&name]);
        let report = state.report();
        check(&stopped.target, 0, SIZE, &Content::of(&report, 1));
    }
}

fn a_checkpoint_that_does_not_tell_its_drive_stops_no_fresh_wipe() {
    let stopped = Stopped::writing("");
    let (file, name) = checkpoint_file(&stopped);
    let whole = std::fs::read(&file).unwrap();
    let torn = &whole[..whole.len() / 2];
    std::fs::write(&file, torn).unwrap();
    let target = stopped.target.display().to_string();
    let wipe = stopped.scratch.wipe(&stopped.target).arg("--resume");
    stopped.refused(wipe, 4, &[&name, &target, "no unfinished wipe"]);
    let wipe = stopped.scratch.wipe(&stopped.target).yes();
    wipe.run().wiped(&stopped.target, SIZE).says(&[&name]);
    assert_eq!(std::fs::read(&file).unwrap(), torn);
    let report = stopped.scratch.state().report();
    check(&stopped.target, 0, SIZE, &Content::of(&report, 1));
}

fn a_checkpoint_of_a_finished_run_only_needs_its_record() {
    // Killed between the last checkpoint and the record.
    let stopped = Stopped::reading("");
    let whole = stopped.checkpoint();
    let (file, _) = checkpoint_file(&stopped);
    stopped.resume("").wiped(&stopped.target, SIZE);
    let report = stopped.scratch.state().report();
    let mut finished = report.clone();
    finished.as_object_mut().unwrap().remove("outcome");
    finished["kind"] = "wipeit-checkpoint".into();
    std::fs::remove_file(&stopped.scratch.state().reports()[0]).unwrap();
    std::fs::write(&file, serde_json::to_vec_pretty(&finished).unwrap()).unwrap();
    unchanged(&[&stopped.target], || {
        stopped.resume("").wiped(&stopped.target, SIZE);
    });
    stopped.assert_wiped(&whole["plan"]);
}

fn a_record_that_was_kept_before_a_crash_stays_byte_for_byte() {
    // Killed between the record and the removal of its checkpoint, which says in
    // one case that there is still something to read back.
    for done in [true, false] {
        let stopped = Stopped::reading("--report r.html");
        let state = stopped.scratch.state();
        let (file, _) = checkpoint_file(&stopped);
        let mut left = std::fs::read(&file).unwrap();
        stopped.resume("").wiped(&stopped.target, SIZE);
        let record = state.reports().remove(0);
        let page = record.with_extension("html");
        let kept = std::fs::read(&record).unwrap();
        if done {
            let mut finished = state.report();
            finished.as_object_mut().unwrap().remove("outcome");
            finished["kind"] = "wipeit-checkpoint".into();
            left = serde_json::to_vec_pretty(&finished).unwrap();
        }
        for lost in [&page, &stopped.scratch.join("r.html")] {
            std::fs::write(&file, &left).unwrap();
            std::fs::remove_file(lost).unwrap();
            stopped.resume("").wiped(&stopped.target, SIZE);
            assert!(std::fs::read(&record).unwrap() == kept, "another record");
            assert!(state.pending().is_empty());
            for page in [&page, &stopped.scratch.join("r.html")] {
                let text = std::fs::read_to_string(page).unwrap();
                assert!(text.contains(&page::digest(&kept)), "{}", page.display());
            }
        }
    }
}

fn very_little_written_asks_again() {
    // Under a mebibyte nothing proves that it is the same image.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let state = scratch.state();
    let mut run = scratch
        .wipe(&image)
        .yes()
        .words("--rate-limit 64K -b 4K")
        .start();
    run.until_saved(&state, "its first checkpoint", |_| true);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    assert!(number(&state.checkpoint(), "written") < MIB);
    unchanged(&[&image, state.path()], || {
        scratch.wipe(&image).arg("--resume").code(4);
    });
    let plan = state.checkpoint()["plan"].clone();
    let wipe = scratch.wipe(&image).words("--resume --yes");
    wipe.run().wiped(&image, SIZE);
    assert_eq!(state.report()["plan"], plan);
}

fn a_second_pass_with_little_written_is_proved_by_the_first() {
    // Nothing says how far the second pass really got, but never more than 100
    // MiB: beyond, the first pass must still be there.
    let scratch = Scratch::new();
    let size = 130 * MIB;
    let image = scratch.tagged("old.img", size);
    let target = image.clone();
    let stopped = Stopped { scratch, target };
    let state = stopped.scratch.state();
    let mut run = stopped
        .scratch
        .wipe(&image)
        .yes()
        .words("--passes 2 --rate-limit 80M -b 64K --checkpoint-every 1M")
        .start();
    run.until("the second pass", |_| {
        state
            .try_checkpoint()
            .is_some_and(|value| value["pass"] == 2)
    });
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    let before = stopped.checkpoint();
    assert!(number(&before, "written") < 110 * MIB, "too late: {before}");
    stopped.spoil(115 * MIB, 15 << 20);
    stopped.resume_refused("--yes", 4, &[]);
    stopped.spoil(115 * MIB, 15 << 20);
    stopped.resume("").wiped(&image, size);
    check(&image, 0, size, &Content::of(&before, 2));
}

fn the_start_of_a_later_pass_is_no_consent_to_another_content() {
    // The whole image is smaller than what the second pass may have reached.
    for (by, start) in [(SIGINT, 0), (SIGKILL, 0), (SIGKILL, 2 * MIB)] {
        let scratch = Scratch::new();
        let target = scratch.tagged("old.img", SIZE);
        let stopped = Stopped { scratch, target };
        stopped.go_on("--passes 2", by, |value| {
            value["pass"] == 2 && number(value, "written") >= start
        });
        let before = stopped.checkpoint();
        let kept = read_range(&stopped.target, 0, usize::try_from(SIZE).unwrap());
        let put = |bytes: &[u8]| {
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(&stopped.target);
            file.unwrap().write_all_at(bytes, 0).unwrap();
        };
        put(&vec![0x33; kept.len()]);
        stopped.resume_refused("", 4, &[]);
        stopped.resume_refused("--yes", 4, &[]);
        // Put back, it goes on.
        put(&kept);
        stopped.resume("--yes").wiped(&stopped.target, SIZE);
        stopped.assert_wiped(&before["plan"]);
    }
}

fn a_changed_transport_is_said_and_asked_about() {
    let stopped = Stopped::writing("");
    let plan = stopped.checkpoint()["plan"].clone();
    stopped.scratch.state().edit(|value| {
        value["device_id"]["transport"] = "sata".into();
    });
    let changed = "it was attached by SATA and is now by a file";
    let done = stopped.resume("").code(4);
    done.says(&[changed, "there is no terminal to ask on"]);
    stopped.resume("--yes").code(0).says(&[changed]);
    stopped.assert_wiped(&plan);
}

fn wiping_again_after_success_needs_no_word() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    scratch.wipe(&image).yes().run().wiped(&image, MIB);
    scratch.wipe(&image).yes().run().wiped(&image, MIB);
    assert!(scratch.state().pending().is_empty());
}

fn the_checkpoint_has_the_fields_that_are_promised() {
    let stopped = Stopped::writing("");
    let value = stopped.checkpoint();
    for field in [
        "kind",
        "version",
        "device",
        "written",
        "total_size",
        "progress_percent",
        "chunk_size",
        "timestamp",
        "device_id",
        "plan_percent",
        "run_id",
        "started_at",
        "runs",
        "tool_version",
        "plan",
        "pass",
        "phase",
        "verified",
        "bad",
        "mismatches",
        "samples",
    ] {
        assert!(!value[field].is_null(), "no {field} in {value}");
    }
    assert_eq!(value["tool_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(value["chunk_size"], 65_536);
    let device = Path::new(value["device"].as_str().unwrap());
    assert_eq!(device, stopped.target);
    let plan = value["plan_percent"].as_f64().unwrap();
    let pass = value["progress_percent"].as_f64().unwrap();
    assert!(plan < pass, "{plan} of the plan, {pass} of the pass");
    for field in ["timestamp", "started_at"] {
        let time = value[field].as_str().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
}
