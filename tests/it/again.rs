//! What is looked at again while a wipe runs, and after its last byte.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal::SIGINT;

use crate::support::content::{Content, check};
use crate::support::device::{Loop, Mount, size_of};
use crate::support::run::{Running, Wipe};
use crate::support::state::number;
use crate::support::{LOOP, MIB, NOTHING, Need, OPENSSL, Scratch, cases, page, sh};

const TRACED: &[Need] = &[Need::Tool("openssl"), Need::Tool("strace")];
const ROOT: &[Need] = &[Need::Root, Need::Tool("openssl")];

cases![
    LOOP => a_file_below_a_loop_device_that_is_cut_off_is_not_called_wiped,
    LOOP => a_file_below_a_loop_device_that_grows_is_said,
    LOOP => what_is_taken_out_of_a_file_below_a_loop_device_is_found,
    OPENSSL => what_is_taken_out_of_an_image_and_given_back_is_found,
    ROOT => what_is_taken_out_of_an_image_in_memory_is_found,
    OPENSSL => what_is_taken_out_while_a_wipe_is_stopped_is_found,
    OPENSSL => what_is_taken_out_after_it_was_overwritten_is_only_said,
    ROOT => a_wipe_that_nobody_disturbs_has_nothing_to_be_said,
    OPENSSL => an_image_that_a_process_keeps_open_is_not_called_wiped,
    OPENSSL => an_image_that_was_written_to_after_the_last_byte_differs,
    OPENSSL => an_image_that_a_process_lets_go_is_wiped,
    LOOP => a_loop_device_over_a_finished_image_keeps_it_from_being_called_wiped,
    LOOP => a_device_that_a_process_keeps_open_is_not_called_wiped,
    NOTHING => a_process_that_stays_is_waited_for_a_minute,
    OPENSSL => a_path_that_leads_nowhere_any_more_is_said,
    OPENSSL => a_path_that_leads_to_another_file_is_a_failure,
    OPENSSL => a_run_that_is_killed_while_it_waits_reads_back_all,
    TRACED => a_run_that_is_killed_before_it_looked_again_reads_back_all,
];

const SIZE: u64 = 18 * MIB;
const OPTIONS: &str = "-b 64K --checkpoint-every 1M --yes --rate-limit 8M";

/// A wipe that has come so many bytes far.
fn begun(wipe: Wipe, scratch: &Scratch, bytes: u64) -> Running {
    let state = scratch.state();
    let mut run = wipe.words(OPTIONS).start();
    run.until_written(&state, bytes);
    run
}

/// Cuts a file off and lets it grow again, at once.
fn cut_and_grow(file: &Path, to: u64) {
    let size = size_of(file);
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(to).unwrap();
    file.set_len(size).unwrap();
}

fn punch(file: &Path, from: u64, length: u64) {
    let (from, length) = (from.to_string(), length.to_string());
    sh!("fallocate", "--punch-hole", "-o", from, "-l", length, file);
}

/// Fails unless the record and its page say that old data got away.
fn lost_old_data(scratch: &Scratch) {
    let file = scratch.state().reports().pop().unwrap();
    let record = scratch.state().report();
    assert_eq!(record["outcome"], "NOT-CLEAR", "{record}");
    let findings = record["findings"].as_array().unwrap();
    let lost = |finding: &&serde_json::Value| finding["kind"] == "file-lost";
    let all: Vec<_> = findings.iter().filter(lost).collect();
    assert!(all.iter().any(|one| one["old"] == true), "{record}");
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let html = text(&file.with_extension("html"));
    page::tells(&html, &text(&file));
    assert!(html.contains("omething else took"), "{html}");
}

fn a_file_below_a_loop_device_that_is_cut_off_is_not_called_wiped() {
    for verify in ["none", "full"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let device = Loop::over(&image);
        let wipe = scratch.wipe(device.path()).args(["--verify", verify]);
        let run = begun(wipe, &scratch, 3 * MIB);
        let file = OpenOptions::new().write(true).open(&image).unwrap();
        file.set_len(12 * MIB).unwrap();
        drop(file);
        let done = run.wait().code(1);
        assert!(done.stdout.starts_with("FAILED "), "{done:?}");
        done.says(&["the file below it had 18874368 bytes and has now"]);
        let checkpoint = scratch.state().checkpoint();
        let written = number(&checkpoint, "written");
        check(device.path(), 0, written, &Content::of(&checkpoint, 1));
        // Nor is it when the file has its size again.
        sh!("truncate", "-s", SIZE.to_string(), image);
        let wipe = scratch.wipe(device.path()).words("--resume --yes");
        let done = wipe.code(3);
        assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
        done.says(&["something else took"]);
        lost_old_data(&scratch);
    }
}

fn a_file_below_a_loop_device_that_grows_is_said() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let device = Loop::over(&image);
    let run = begun(scratch.wipe(device.path()), &scratch, 3 * MIB);
    sh!("truncate", "-s", (SIZE + MIB).to_string(), image);
    let done = run.wait().wiped(device.path(), SIZE);
    done.says(&["changed the size of its file from 18874368 to 19922944"]);
}

fn what_is_taken_out_of_a_file_below_a_loop_device_is_found() {
    for offset in [0, MIB] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let device = Loop::with(&image, &["--offset", &offset.to_string()]);
        let wipe = scratch.wipe(device.path()).words("--verify none");
        let run = begun(wipe, &scratch, 3 * MIB);
        punch(&image, 12 * MIB, MIB);
        let done = run.wait().code(3);
        assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
        let at = 12 * MIB - offset;
        done.says(&[&format!("1048576 bytes from byte {at}")]);
        lost_old_data(&scratch);
    }
}

fn what_is_taken_out_of_an_image_and_given_back_is_found() {
    for verify in ["none", "full"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE + 700);
        let wipe = scratch.wipe(&image).args(["--verify", verify]);
        let run = begun(wipe, &scratch, 3 * MIB);
        cut_and_grow(&image, 12 * MIB);
        let done = run.wait();
        // Where it was seen while it was short it is a failure.
        let code = done.status.code();
        assert!(matches!(code, Some(1 | 3)), "{done:?}");
        let done = if code == Some(1) {
            scratch.wipe(&image).words("--resume --yes").code(3)
        } else {
            done
        };
        assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
        lost_old_data(&scratch);
        let record = scratch.state().report();
        check(&image, 0, SIZE + 700, &Content::of(&record, 1));
    }
}

fn what_is_taken_out_of_an_image_in_memory_is_found() {
    let scratch = Scratch::new();
    let memory = Mount::tmpfs("40M", scratch.join("memory"));
    let image = memory.point().join("old.img");
    crate::support::content::fill_with_tags(&image, SIZE);
    let wipe = scratch.wipe(&image).words("--verify none --strategy zero");
    let run = begun(wipe, &scratch, 3 * MIB);
    punch(&image, 12 * MIB, 2 * MIB);
    let done = run.wait().code(3);
    assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
    done.says(&["2097152 bytes from byte 12582912"]);
    lost_old_data(&scratch);
}

fn what_is_taken_out_while_a_wipe_is_stopped_is_found() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let run = begun(scratch.wipe(&image), &scratch, 3 * MIB);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    punch(&image, 12 * MIB, MIB);
    let done = scratch.wipe(&image).words("--resume --yes").code(3);
    assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
    done.says(&["1048576 bytes"]);
    lost_old_data(&scratch);
}

fn what_is_taken_out_after_it_was_overwritten_is_only_said() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let wipe = scratch.wipe(&image).words("--verify none");
    let run = begun(wipe, &scratch, 4 * MIB);
    punch(&image, 2 * MIB, MIB);
    let done = run.wait().code(0);
    assert!(done.stdout.starts_with("WIPED "), "{done:?}");
    done.says(&[
        "1048576 bytes from byte 2097152",
        "after they had been overwritten",
    ]);
}

fn a_wipe_that_nobody_disturbs_has_nothing_to_be_said() {
    let scratch = Scratch::new();
    let memory = Mount::tmpfs("40M", scratch.join("memory"));
    for folder in [scratch.path(), memory.point()] {
        for strategy in ["zero", "random", "pattern"] {
            let image = folder.join(format!("{strategy}.img"));
            let size = (SIZE + 700).to_string();
            sh!("truncate", "-s", size, image);
            match strategy {
                "zero" => {}
                // Preallocated, in part read, in part data.
                "random" => {
                    sh!("fallocate", "-o", "3M", "-l", "9M", image);
                    std::fs::read(&image).unwrap();
                    sh!("fallocate", "--punch-hole", "-o", "5M", "-l", "12K", image);
                }
                _ => {
                    let file = OpenOptions::new().write(true).open(&image).unwrap();
                    for at in (0..SIZE).step_by(128 * 1024) {
                        file.write_all_at(&[1; 5000], at).unwrap();
                    }
                }
            }
            let wipe = scratch.wipe(&image).args(["-s", strategy]);
            let wipe = if strategy == "pattern" {
                wipe.words("--pattern 55aa")
            } else {
                wipe
            };
            let done = wipe.words("--yes -b 64K --checkpoint-every 1M").run();
            let done = done.wiped(&image, SIZE + 700);
            assert!(!done.stderr.contains("Note"), "{done:?}");
            std::fs::remove_file(&image).unwrap();
        }
    }
}

/// A process that has a file open for writing until it is dropped.
struct Opener(Child);

impl Opener {
    fn of(path: &Path) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let mut command = Command::new("sleep");
        let command = command.arg("1000").stdin(file).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until a run says that it waits, and interrupts it.
fn interrupted_while_it_waits(mut run: Running, scratch: &Scratch) -> String {
    run.until("that it waits", |run| {
        run.stderr().contains("waiting up to")
    });
    run.signal(SIGINT);
    let done = run.wait().killed_by(SIGINT);
    assert!(done.stdout.starts_with("FAILED "), "{done:?}");
    let done = done.says(&["written in full, but ", "since", "checkpoint is kept"]);
    let checkpoint = scratch.state().checkpoint();
    assert_eq!(checkpoint["phase"], "complete", "{checkpoint}");
    assert!(scratch.state().reports().is_empty());
    done.stderr
}

fn an_image_that_a_process_keeps_open_is_not_called_wiped() {
    for verify in ["none", "full"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let wipe = scratch.wipe(&image).args(["--verify", verify]);
        let run = begun(wipe, &scratch, 3 * MIB);
        let mut opener = Opener::of(&image);
        let said = interrupted_while_it_waits(run, &scratch);
        let who = format!("process {} (sleep) has it open since", opener.0.id());
        assert!(said.contains(&who), "{said}");
        // It looks again.
        let wipe = scratch.wipe(&image).words("--resume --yes");
        wipe.code(4).says(&["sleep"]);
        opener.end();
        // And reads everything back, whatever was asked.
        let wipe = scratch.wipe(&image).words("--resume --yes");
        let done = wipe.run().wiped(&image, SIZE);
        done.says(&["every byte read back"]);
        let record = scratch.state().report();
        check(&image, 0, SIZE, &Content::of(&record, 1));
        assert!(scratch.state().pending().is_empty());
    }
}

fn an_image_that_was_written_to_after_the_last_byte_differs() {
    for at in [0, 5 * MIB + 4096, SIZE - 1] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let run = begun(scratch.wipe(&image), &scratch, 3 * MIB);
        let mut opener = Opener::of(&image);
        interrupted_while_it_waits(run, &scratch);
        let file = OpenOptions::new().write(true).open(&image).unwrap();
        let mut byte = [0];
        std::fs::File::open(&image)
            .unwrap()
            .read_exact_at(&mut byte, at)
            .unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
        drop(file);
        opener.end();
        let done = scratch.wipe(&image).words("--resume --yes").code(5);
        assert!(done.stdout.starts_with("DIFFERS "), "{done:?}");
        assert_eq!(scratch.state().report()["outcome"], "DIFFERS");
    }
}

fn an_image_that_a_process_lets_go_is_wiped() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let mut run = begun(scratch.wipe(&image), &scratch, 3 * MIB);
    let mut opener = Opener::of(&image);
    run.until("that it waits", |run| {
        run.stderr().contains("waiting up to")
    });
    opener.end();
    let done = run.wait().wiped(&image, SIZE);
    done.says(&["Note", "(sleep) has it open"]);
    let record = scratch.state().report();
    assert_eq!(record["findings"][0]["kind"], "used-since", "{record}");
}

fn a_loop_device_over_a_finished_image_keeps_it_from_being_called_wiped() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let run = begun(scratch.wipe(&image), &scratch, 3 * MIB);
    let device = Loop::over(&image);
    let said = interrupted_while_it_waits(run, &scratch);
    assert!(
        said.contains(&format!(
            "{} uses the same bytes since",
            device.path().display()
        )),
        "{said}"
    );
    drop(device);
    let wipe = scratch.wipe(&image).words("--resume --yes");
    wipe.run().wiped(&image, SIZE);
}

fn a_device_that_a_process_keeps_open_is_not_called_wiped() {
    for below in [false, true] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let device = Loop::over(&image);
        let run = begun(scratch.wipe(device.path()), &scratch, 3 * MIB);
        let mut opener = Opener::of(if below { &image } else { device.path() });
        let said = interrupted_while_it_waits(run, &scratch);
        assert!(said.contains("(sleep) has it open since"), "{said}");
        opener.end();
        let wipe = scratch.wipe(device.path()).words("--resume --yes");
        wipe.run().wiped(device.path(), SIZE);
    }
}

/// This takes a minute: that long it is to be waited for.
fn a_process_that_stays_is_waited_for_a_minute() {
    let scratch = Scratch::new();
    let image = scratch.sparse("old.img", SIZE);
    let run = begun(scratch.wipe(&image).limit(150), &scratch, 3 * MIB);
    let _opener = Opener::of(&image);
    let since = std::time::Instant::now();
    let done = run.wait().code(1);
    assert!(since.elapsed().as_secs() >= 60, "{done:?}");
    assert!(done.stdout.starts_with("FAILED "), "{done:?}");
    done.says(&["written in full, but process", "has it open since"]);
    assert_eq!(scratch.state().checkpoint()["phase"], "complete");
}

fn a_path_that_leads_nowhere_any_more_is_said() {
    for deleted in [true, false] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let other = scratch.join("other.img");
        let run = begun(scratch.wipe(&image), &scratch, 3 * MIB);
        if deleted {
            std::fs::remove_file(&image).unwrap();
        } else {
            std::fs::rename(&image, &other).unwrap();
        }
        let done = run.wait().wiped(&image, SIZE);
        let said = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = if deleted {
            "the file that was wiped was deleted".to_string()
        } else {
            format!("the file that was wiped is now {}", other.display())
        };
        assert!(said.contains("has gone since"), "{said}");
        assert!(said.contains(&place), "{said}");
        let record = scratch.state().report();
        assert_eq!(record["findings"][0]["kind"], "path-gone", "{record}");
    }
}

fn a_path_that_leads_to_another_file_is_a_failure() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let other = scratch.join("other.img");
    let run = begun(scratch.wipe(&image), &scratch, 3 * MIB);
    let inode = std::fs::metadata(&image).unwrap().ino();
    std::fs::rename(&image, &other).unwrap();
    crate::support::content::fill_with_tags(&image, SIZE);
    let done = run.wait().code(1);
    assert!(done.stdout.starts_with("FAILED "), "{done:?}");
    let done = done.says(&["written in full, but the path leads to another file now"]);
    let wiped = format!("what was wiped is inode {inode}, now {}", other.display());
    done.says(&[&wiped]);
    check(&image, 0, SIZE, &Content::Tags);
    let checkpoint = scratch.state().checkpoint();
    check(&other, 0, SIZE, &Content::of(&checkpoint, 1));
    // With everything in its place again.
    std::fs::rename(&other, &image).unwrap();
    let wipe = scratch.wipe(&image).words("--resume --yes");
    wipe.run().wiped(&image, SIZE);
}

fn a_run_that_is_killed_while_it_waits_reads_back_all() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let wipe = scratch.wipe(&image).words("--verify none");
    let mut run = begun(wipe, &scratch, 3 * MIB);
    let mut opener = Opener::of(&image);
    run.until("that it waits", |run| {
        run.stderr().contains("waiting up to")
    });
    run.signal(nix::sys::signal::Signal::SIGKILL);
    run.wait();
    opener.end();
    let wipe = scratch.wipe(&image).words("--resume --yes");
    wipe.run().wiped(&image, SIZE);
}

fn a_run_that_is_killed_before_it_looked_again_reads_back_all() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    // The folder's flush of the second save, which says that all is written.
    let wipe = scratch.wipe(&image).words("--yes --verify none");
    let wipe = wipe.injected("fsync:signal=SIGKILL:when=4");
    assert_eq!(wipe.run().status.signal(), Some(9));
    let checkpoint = scratch.state().checkpoint();
    assert_eq!(checkpoint["phase"], "complete", "{checkpoint}");
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    let changed = SIZE / 3 + 7;
    let byte = Content::of(&checkpoint, 1).bytes(changed, 1)[0];
    file.write_all_at(&[!byte], changed).unwrap();
    drop(file);
    let wipe = scratch.wipe(&image).words("--resume --yes");
    let block = changed / 512 * 512;
    wipe.code(5).says(&[&format!("{block}-{}", block + 511)]);
}
