//! The end of a wipe: its record, page and report, and the line on stdout come
//! where they are to come, or the exit code and the words say that they did not.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal::{SIGINT, SIGKILL};
use serde_json::Value;

use crate::support::content::{Content, check};
use crate::support::device::{Loop, Mount, fill};
use crate::support::page;
use crate::support::run::{Done, Running, Wipe};
use crate::support::state::{State, number, unchanged};
use crate::support::{KIB, LOOP, MIB, NOTHING, Need, OPENSSL, STRACE, Scratch, cases, sh};

const ROOT: &[Need] = &[Need::Root, Need::Tool("openssl")];
const EXT4: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("openssl"),
    Need::Tool("mkfs.ext4"),
];

cases![
    ROOT => a_state_disk_that_is_full_at_the_end_has_room_for_the_record,
    EXT4 => the_same_on_a_disk,
    OPENSSL => room_is_kept_over_an_interrupt_and_a_kill_and_given_back_in_the_end,
    NOTHING => a_restart_gives_the_room_of_the_wipe_before_back,
    NOTHING => a_run_that_writes_nothing_keeps_no_room,
    ROOT => where_no_room_can_be_kept_that_is_said_and_the_wipe_runs,
    ROOT => a_record_that_is_lost_is_no_success_and_the_report_comes_from_memory,
    ROOT => a_record_is_saved_when_the_disk_has_space_again,
    ROOT => ctrl_c_ends_the_wait_for_space,
    ROOT => a_state_disk_that_became_read_only_does_not_cost_the_report,
    ROOT => a_state_directory_that_is_gone_does_not_cost_the_report,
    STRACE => every_write_of_the_end_is_tried_again_and_missed,
    STRACE => a_kill_at_any_step_leaves_the_checkpoint_or_the_record_with_its_keys,
    NOTHING => a_lost_report_of_a_wipe_that_was_done_before_is_no_success,
    NOTHING => a_result_or_a_list_that_stdout_cannot_take_is_no_success,
    ROOT => a_file_on_a_full_disk_takes_no_result,
    STRACE => what_is_worse_than_a_lost_record_keeps_its_code,
    OPENSSL => of_several_targets_the_worst_counts_and_each_has_its_line,
    LOOP => a_target_that_is_refused_or_busy_has_a_line_on_stdout,
    STRACE => a_flush_that_failed_is_never_said_to_have_been_done,
    OPENSSL => a_wipe_that_runs_is_not_to_be_resumed,
];

const SIZE: u64 = 6 * MIB + 700;
const SLOW: &str = "--rate-limit 6M -b 64K --checkpoint-every 1M";

/// A state directory on a small disk in memory.
struct Small {
    scratch: Scratch,
    mount: Mount,
    image: PathBuf,
}

impl Small {
    fn new(size: &str) -> Self {
        let scratch = Scratch::new();
        let mount = Mount::tmpfs(size, scratch.join("mnt"));
        let image = scratch.tagged("old.img", SIZE);
        Self {
            scratch,
            mount,
            image,
        }
    }

    fn state(&self) -> State {
        State::at(self.mount.point().join("state"))
    }

    fn wipe(&self) -> Wipe {
        self.scratch.wipe(&self.image).state(self.state().path())
    }

    /// A slow wipe that has saved its first megabyte.
    fn begun(&self, options: &str) -> Running {
        begun(self.wipe().yes().words(SLOW).words(options), &self.state())
    }

    fn resume(&self) -> Wipe {
        self.wipe().words("--resume --yes")
    }

    /// Takes all space that is left.
    fn fill(&self) -> PathBuf {
        fill(self.mount.point())
    }

    /// The wipe is done, and its record and page agree.
    fn assert_wiped(&self) {
        assert_recorded(&self.state());
        let record = self.state().report();
        check(&self.image, 0, SIZE, &Content::of(&record, 1));
    }
}

fn begun(wipe: Wipe, state: &State) -> Running {
    let mut run = wipe.start();
    run.until_written(state, MIB);
    run
}

fn assert_recorded(state: &State) {
    let file = state.reports().pop().expect("a record");
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    page::tells(&text(&file.with_extension("html")), &text(&file));
    assert_eq!(state.report()["outcome"], "WIPED");
    assert!(state.pending().is_empty());
    assert_eq!(rooms(state), [""; 0]);
}

/// The names of files in the state directory that nobody is meant to see.
fn rooms(state: &State) -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["pending", "reports"] {
        let entries = fs::read_dir(state.path().join(folder)).unwrap();
        let hidden = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.extend(hidden.filter(|name| name.starts_with('.')));
    }
    names
}

fn line(image: &Path, size: u64) -> String {
    let image = image.display();
    format!("WIPED {image} - {size} bytes, 0 bad, read-back full, 0 differ")
}

fn a_state_disk_that_is_full_at_the_end_has_room_for_the_record() {
    for options in ["", "--verify none"] {
        let small = Small::new("2M");
        let run = small.begun(options);
        small.fill();
        let done = run.wait().code(0);
        assert!(done.stdout.starts_with("WIPED "), "{done:?}");
        assert!(!done.stdout.contains("record none"), "{done:?}");
        small.assert_wiped();
        let again = small.wipe().arg("--ensure").yes();
        again.code(0).says(&["nothing was written"]);
    }
}

fn the_same_on_a_disk() {
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.sparse("state.img", 16 * MIB));
    let mount = Mount::ext4(device.path(), scratch.join("mnt"));
    let state = State::at(mount.point().join("state"));
    let image = scratch.tagged("old.img", SIZE);
    let wipe = scratch.wipe(&image).state(state.path());
    let run = begun(wipe.yes().words(SLOW), &state);
    fill(mount.point());
    let done = run.wait().code(0);
    done.stdout(&format!("{}\n", line(&image, SIZE)));
    assert_recorded(&state);
}

fn room_is_kept_over_an_interrupt_and_a_kill_and_given_back_in_the_end() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 24 * MIB);
    let state = scratch.state();
    let slow = "--rate-limit 16M -b 64K --checkpoint-every 1M";
    let blocks = || -> Vec<(PathBuf, u64, u64)> {
        let of = |folder: &str| fs::read_dir(state.path().join(folder)).unwrap();
        let paths = ["pending", "reports"].into_iter().flat_map(of);
        let paths = paths.map(|entry| entry.unwrap().path());
        let rooms = paths.filter(|path| path.extension().is_some_and(|end| end == "room"));
        let meta = |path: PathBuf| {
            let meta = fs::metadata(&path).unwrap();
            (path, meta.ino(), meta.blocks())
        };
        rooms.map(meta).collect()
    };
    let run = begun(scratch.wipe(&image).yes().words(slow), &state);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    let before = blocks();
    assert!(before.len() >= 3, "{before:?}");
    let mut ahead = number(&state.checkpoint(), "written");
    for _ in 0..2 {
        let mut run = scratch
            .wipe(&image)
            .words("--resume --yes")
            .words(slow)
            .start();
        run.until_saved(&state, "some more", |value| {
            number(value, "written") > ahead + MIB
        });
        run.signal(SIGKILL);
        run.wait().killed_by(SIGKILL);
        ahead = number(&state.checkpoint(), "written");
        let now = blocks();
        for (name, inode, blocks) in &before {
            let same = |(other, at, _): &&(PathBuf, u64, u64)| other == name && at == inode;
            let kept = now.iter().find(same).expect("the same room");
            assert!(kept.2 >= *blocks, "{}: {kept:?}", name.display());
        }
    }
    scratch.wipe(&image).words("--resume --yes").code(0);
    assert_recorded(&state);
}

fn a_restart_gives_the_room_of_the_wipe_before_back() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let state = scratch.state();
    let run = begun(scratch.wipe(&image).yes().words(SLOW), &state);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    assert!(!rooms(&state).is_empty());
    scratch.wipe(&image).words("--yes --restart").code(0);
    assert_eq!(rooms(&state), [""; 0]);
}

fn a_run_that_writes_nothing_keeps_no_room() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    unchanged(&[&image, scratch.state().path()], || {
        scratch.wipe(&image).arg("--dry-run").code(0);
        scratch.wipe(&image).code(4);
        scratch.wipe(&image).arg("--check").code(4);
        scratch.wipe(&image).words("--resume --yes").code(4);
    });
}

fn where_no_room_can_be_kept_that_is_said_and_the_wipe_runs() {
    let small = Small::new("256K");
    let image = small.scratch.tagged("small.img", MIB);
    let filled = small.fill();
    // Enough for checkpoints and, at the end, for the record.
    let file = File::options().write(true).open(&filled).unwrap();
    file.set_len(fs::metadata(&filled).unwrap().len() - 32 * KIB)
        .unwrap();
    let says = ["no room can be kept for the record", "--report"];
    let wipe = || small.scratch.wipe(&image).state(small.state().path());
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let dry = wipe().arg("--dry-run").code(0);
    for text in says {
        assert!(words(&dry.stderr).contains(text), "{dry:?}");
    }
    // Only a terminal breaks it.
    let whole = |line: &str| line.starts_with("  Record ") && line.ends_with("and --report");
    assert!(dry.stderr.lines().any(whole), "{dry:?}");
    let done = wipe().yes().code(0).says(&says);
    assert!(done.stdout.starts_with("WIPED "), "{done:?}");
    assert_eq!(rooms(&small.state()), [""; 0]);
    assert_recorded(&small.state());
    // Where there is room nothing is said.
    let small = Small::new("4M");
    let done = small.wipe().yes().code(0);
    assert!(!done.stderr.contains("no room"), "{done:?}");
    let dry = small.wipe().words("--restart --dry-run").code(0);
    assert!(!words(&dry.stderr).contains("no room"), "{dry:?}");
}

/// A wipe on a disk without room for its record, which is full from the first
/// megabyte on.
fn without_room(options: &str) -> (Small, Running, PathBuf) {
    let small = Small::new("256K");
    let filled = small.fill();
    let file = File::options().write(true).open(&filled).unwrap();
    file.set_len(fs::metadata(&filled).unwrap().len() - 20 * KIB)
        .unwrap();
    let mut run = small.begun(options);
    std::io::Write::write_all(
        &mut File::options().append(true).open(&filled).unwrap(),
        &vec![1; 1 << 20],
    )
    .unwrap_err();
    run.until("a word of it", |run| {
        run.stderr().contains("could not be saved")
    });
    (small, run, filled)
}

fn a_record_that_is_lost_is_no_success_and_the_report_comes_from_memory() {
    let (small, run, filled) = without_room("--report out/");
    let stood = small.state().checkpoint();
    let done = run.wait().code(7);
    let line = format!("{}, record none\n", line(&small.image, SIZE));
    let done = done.stdout(&line);
    let done = done.says(&[
        "the record could not be saved: no space left on device",
        "the checkpoint on disk is older (write ",
        "--resume",
        "exit 7",
    ]);
    assert!(
        !done.stderr.contains("resume completes the record"),
        "{done:?}"
    );
    check_report(&small.scratch.join("out"));
    // It says what a resume does, and that is what it does.
    assert_eq!(small.state().checkpoint(), stood);
    assert!(small.state().reports().is_empty());
    let told = done
        .stderr
        .split("(write ")
        .nth(1)
        .unwrap()
        .split('%')
        .next()
        .unwrap();
    fs::remove_file(filled).unwrap();
    fs::remove_dir_all(small.scratch.join("out")).unwrap();
    let resume = small
        .resume()
        .code(0)
        .says(&[&format!("continues at {told}%")]);
    assert!(resume.stdout.starts_with("WIPED "), "{resume:?}");
    small.assert_wiped();
}

/// Both files of a report are in the folder, and agree.
fn check_report(folder: &Path) {
    let find = |end: &str| -> PathBuf {
        let mut entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let found = entries.find(|path| path.extension().is_some_and(|it| it == end));
        found.unwrap_or_else(|| panic!("no {end}"))
    };
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    page::tells(&text(&find("html")), &text(&find("json")));
    let record: Value = serde_json::from_str(&text(&find("json"))).unwrap();
    assert_eq!(record["outcome"], "WIPED");
}

fn a_record_is_saved_when_the_disk_has_space_again() {
    let (small, mut run, filled) = without_room("--report r.html");
    run.until("the wait", |run| run.stderr().contains("trying again for"));
    // From memory, before the wait is over.
    let page = fs::read_to_string(small.scratch.join("r.html")).unwrap();
    assert!(page.contains(">WIPED<") && page.contains("could not be kept"));
    fs::remove_file(filled).unwrap();
    let done = run.wait().code(0);
    done.stdout(&format!("{}\n", line(&small.image, SIZE)));
    small.assert_wiped();
    // It says where its record is, now that there is one.
    let page = fs::read_to_string(small.scratch.join("r.html")).unwrap();
    let record = small.state().reports().pop().unwrap();
    assert!(page.contains(&page::digest(&fs::read(&record).unwrap())));
    assert!(page.contains(record.to_str().unwrap()), "{page}");
}

fn ctrl_c_ends_the_wait_for_space() {
    let (small, mut run, _) = without_room("");
    run.until("the wait", |run| run.stderr().contains("trying again for"));
    run.signal(SIGINT);
    let done = run.wait().killed_by(SIGINT);
    assert!(done.stdout.ends_with(", record none\n"), "{done:?}");
    assert_eq!(small.state().pending().len(), 1);
}

fn a_state_disk_that_became_read_only_does_not_cost_the_report() {
    let small = Small::new("4M");
    let run = small.begun("--report out/");
    sh!("mount", "-o", "remount,ro", small.mount.point());
    let done = run.wait().code(7);
    let line = format!("{}, record none\n", line(&small.image, SIZE));
    let done = done.stdout(&line);
    done.says(&["read-only file system", "the checkpoint on disk is older"]);
    check_report(&small.scratch.join("out"));
    sh!("mount", "-o", "remount,rw", small.mount.point());
    fs::remove_dir_all(small.scratch.join("out")).unwrap();
    small.resume().code(0);
    small.assert_wiped();
}

fn a_state_directory_that_is_gone_does_not_cost_the_report() {
    let small = Small::new("4M");
    let run = small.begun("--report out/");
    // Nothing can be made there again.
    fs::rename(small.state().path(), small.mount.point().join("gone")).unwrap();
    fs::write(small.state().path(), "").unwrap();
    let done = run.wait().code(7);
    assert!(done.stdout.ends_with(", record none\n"), "{done:?}");
    done.says(&["no checkpoint can be read", "nothing can be resumed"]);
    check_report(&small.scratch.join("out"));
}

/// A fault of one system call on some paths; a rename is known by the old one.
fn broken<P: AsRef<Path>>(wipe: Wipe, paths: &[P], fault: &str) -> Wipe {
    let call = fault.split(':').next().unwrap();
    let mut strace: Vec<OsString> = ["strace", "-D", "-f", "-o", "/dev/null"]
        .map(OsString::from)
        .into();
    for path in paths {
        strace.extend(["-P".into(), path.as_ref().into()]);
    }
    strace.extend(["-e".into(), format!("trace={call}").into()]);
    strace.extend(["-e".into(), format!("inject={fault}").into()]);
    wipe.under(strace)
}

/// What fails, what is said of it, whether the record is there all the same.
const FAULTS: [(&str, &str, &str, bool); 9] = [
    (
        "reports/.N.keys.json.room reports/.N.keys.json.tmp",
        "rename:error=EIO",
        "the record could not be saved",
        false,
    ),
    (
        "reports/.N.json.room reports/.N.json.tmp",
        "rename:error=EIO",
        "the record could not be saved",
        false,
    ),
    (
        "reports/.N.html.room reports/.N.html.tmp",
        "rename:error=EIO",
        "the page could not be saved",
        true,
    ),
    (
        "reports",
        "fsync:error=EIO",
        "the record could not be saved",
        false,
    ),
    (
        "pending/N.json",
        "unlink:error=EIO",
        "the checkpoint could not be removed",
        true,
    ),
    (
        "out/",
        "mkdir:error=EDQUOT",
        "the report could not be written",
        true,
    ),
    (
        "out/.P.json.tmp",
        "rename:error=EIO",
        "the report could not be written",
        true,
    ),
    (
        "out/.P.html.tmp",
        "rename:error=ENOSPC",
        "the report could not be written",
        true,
    ),
    (
        "out",
        "fsync:error=EIO",
        "the report could not be written",
        true,
    ),
];

fn a_kill_at_any_step_leaves_the_checkpoint_or_the_record_with_its_keys() {
    let mut both = 0;
    for call in ["rename", "fsync", "unlink,unlinkat"] {
        let mut kills = 0;
        for when in 1.. {
            let scratch = Scratch::new();
            let image = scratch.tagged("old.img", MIB);
            let state = scratch.state();
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let strace = ["strace", "-D", "-f", "-o", "/dev/null", "-e", &inject];
            let done = scratch.wipe(&image).yes().under(strace).run();
            if done.status.success() {
                break;
            }
            kills += 1;
            let unfinished = !state.pending().is_empty();
            both += usize::from(unfinished && !state.reports().is_empty());
            if !unfinished && state.reports().is_empty() {
                // Before the first byte.
                check(&image, 0, MIB, &Content::Tags);
                continue;
            }
            for record in state.reports() {
                let whole = crate::support::state::read(&record);
                assert!(whole["plan"][0]["key"].is_string(), "no keys of {whole}");
            }
            if unfinished {
                scratch.wipe(&image).words("--resume --yes").code(0);
            }
            assert_recorded(&state);
            scratch.wipe(&image).arg("--check").code(0);
        }
        assert!(kills > 0, "{call}: nothing was killed");
    }
    assert!(both > 0, "never killed between the record and the end");
}

fn every_write_of_the_end_is_tried_again_and_missed() {
    let start = |&(path, fault, ..): &(&str, &str, &str, bool)| {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let state = scratch.state();
        let wipe = scratch
            .wipe(&image)
            .yes()
            .words(SLOW)
            .words("--report out/");
        let run = begun(wipe, &state);
        run.signal(SIGINT);
        run.wait().killed_by(SIGINT);
        let checkpoint = state.checkpoint();
        let name = state.pending().pop().unwrap();
        let name = name.file_stem().unwrap().to_str().unwrap().to_string();
        let begun = checkpoint["started_at"].as_str().unwrap();
        let digits = begun.chars().filter(|c| c.is_ascii_digit() || *c == 'T');
        let digits: String = digits.take(15).collect();
        let run_id = &checkpoint["run_id"].as_str().unwrap()[..8];
        let report = format!("old.img-{digits}-{run_id}");
        let place = |path: &str| {
            let path = path.replace('N', &name).replace('P', &report);
            match path.strip_prefix("out") {
                Some(_) => scratch.join(&path),
                None => state.path().join(&path),
            }
        };
        let paths: Vec<PathBuf> = path.split(' ').map(place).collect();
        let wipe = scratch.wipe(&image).words("--resume --yes");
        let run = broken(wipe, &paths, fault).start();
        (scratch, image, run)
    };
    let runs: Vec<_> = FAULTS.iter().map(|case| (case, start(case))).collect();
    for ((path, _, says, recorded), (scratch, image, run)) in runs {
        let done = run.wait().code(7);
        let state = scratch.state();
        let end = if *recorded { "\n" } else { ", record none\n" };
        let done = done.stdout(&format!("{}{end}", line(&image, SIZE)));
        let done = done.says(&[says, "trying again for"]);
        // What waits is told already, and it is not for the disk of the state.
        assert!(!done.stderr.contains("has not answered"), "{done:?}");
        let left = !path.starts_with("out");
        if left {
            // The wipe is not done again.
            assert_eq!(state.checkpoint()["phase"], "complete", "{path}");
            done.says(&["`", "--resume", "only writes what is missing"]);
            check_report(&scratch.join("out"));
            // A record that is there already stays as it is.
            let kept = state.reports().pop().map(|path| fs::read(path).unwrap());
            assert!(kept.is_some() || !recorded, "{path}");
            let resume = scratch.wipe(&image).words("--resume --yes");
            let resume = resume.code(0);
            let after = fs::read(state.reports().pop().unwrap()).unwrap();
            assert!(kept.is_none_or(|kept| kept == after), "{path}");
            assert!(resume.stdout.starts_with("WIPED "), "{resume:?}");
            assert!(!resume.stderr.contains("write 1/2 "), "{resume:?}");
        } else {
            done.says(&["it is kept as"]);
            let ensure = scratch.wipe(&image).words("--ensure --yes --report out/");
            ensure.code(0);
            check_report(&scratch.join("out"));
        }
        assert_recorded(&state);
    }
}

fn a_lost_report_of_a_wipe_that_was_done_before_is_no_success() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    scratch.wipe(&image).yes().run().wiped(&image, MIB);
    fs::write(scratch.join("r.json"), "of another drive").unwrap();
    for report in ["r.json", "missing/r.html"] {
        let wipe = scratch.wipe(&image).words("--ensure --yes");
        let done = wipe.args(["--report", report]).code(7);
        let done = done.stdout(&format!("{}\n", line(&image, MIB)));
        done.says(&["the report could not be written", report]);
    }
    assert_eq!(
        fs::read(scratch.join("r.json")).unwrap(),
        b"of another drive"
    );
}

fn a_result_or_a_list_that_stdout_cannot_take_is_no_success() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let says = ["stdout: the result could not be written: no space left on device"];
    let wipe = scratch.wipe(&image).yes().stdout(full());
    wipe.code(7).says(&says).says(&["finished: WIPED, exit 7"]);
    // What was done is done, and known.
    assert_recorded(&scratch.state());
    for words in ["--ensure --yes", "--check"] {
        let wipe = scratch.wipe(&image).words(words).stdout(full());
        wipe.code(7).says(&says);
    }
    for words in [
        "--list",
        "--list --json",
        "-h",
        "--help",
        "--version",
        "--scheme help",
    ] {
        let done = scratch.wipeit().words(words).stdout(full()).code(7);
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
        done.says(&says);
    }
    // It has a worse one.
    let refused = scratch.wipe(scratch.join("missing")).yes().stdout(full());
    refused.code(4);
    // Who has left does not want it.
    for words in ["--list", "--help", "--check old.img"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = scratch.wipeit().words(words).stdout(writer);
        done.code(0);
    }
}

fn a_file_on_a_full_disk_takes_no_result() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let mount = Mount::tmpfs("64K", scratch.join("mnt"));
    let out = mount.point().join("out");
    let file = File::create(&out).unwrap();
    fill(mount.point());
    let wipe = scratch.wipe(&image).yes().stdout(file.try_clone().unwrap());
    wipe.code(7).says(&["the result could not be written"]);
    assert_eq!(fs::metadata(&out).unwrap().len(), 0);
    let list = scratch.wipeit().words("--list --json").stdout(file);
    list.code(7).says(&["the result could not be written"]);
}

fn what_is_worse_than_a_lost_record_keeps_its_code() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    // Failed.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let wipe = scratch.wipe(&image).yes().words("-b 64K").stdout(full());
    let wipe = broken(wipe, &[&image], "pwrite64:error=ENOSPC:when=5+");
    wipe.code(1).says(&["could not be written", "exit 1"]);
    // Different: somebody writes behind the read-back's back.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let wipe = scratch.wipe(&image).yes().words(SLOW).stdout(full());
    let mut run = wipe.start();
    let state = scratch.state();
    run.until_saved(&state, "the read-back", |value| value["phase"] == "verify");
    let file = File::options().write(true).open(&image).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1; 512], SIZE - 600).unwrap();
    file.sync_all().unwrap();
    run.wait().code(5).says(&["could not be written"]);
}

fn of_several_targets_the_worst_counts_and_each_has_its_line() {
    let scratch = Scratch::new();
    let (one, two) = (
        scratch.tagged("a.img", 12 * MIB),
        scratch.tagged("b.img", 12 * MIB),
    );
    let slow = "--rate-limit 8M -b 64K --checkpoint-every 1M";
    let state = |name: &str| scratch.join(name);
    fs::create_dir(scratch.join("out")).unwrap();
    for (image, report) in [(&one, "out/a.json"), (&two, "b.json")] {
        // Each in a folder of its own at first, where one checkpoint is the one.
        let own = State::at(state(&format!("{report}.d").replace('/', "-")));
        let wipe = scratch.wipe(image).state(own.path()).yes().words(slow);
        let run = begun(wipe.args(["--report", report]), &own);
        run.signal(SIGINT);
        run.wait().killed_by(SIGINT);
        let from = own.pending().pop().unwrap();
        let pending = scratch.state().path().join("pending");
        fs::create_dir_all(&pending).unwrap();
        fs::create_dir_all(scratch.state().path().join("reports")).unwrap();
        fs::rename(&from, pending.join(from.file_name().unwrap())).unwrap();
    }
    let mut run = scratch.wipeit().words("--resume --yes").words(slow).start();
    run.until("the first is written", |run| {
        run.stderr().contains("read-back 2/2")
    });
    fs::remove_dir(scratch.join("out")).unwrap();
    let done = run.wait().code(7);
    let both = [&one, &two]
        .map(|image| line(image, 12 * MIB) + "\n")
        .concat();
    done.stdout(&both)
        .says(&["a.json: the report could not be written"]);
    assert!(scratch.join("b.json").exists());
    assert_eq!(scratch.state().reports().len(), 2);
}

fn a_target_that_is_refused_or_busy_has_a_line_on_stdout() {
    let scratch = Scratch::new();
    let image = scratch.tagged("a b\\\n\u{202e}.img", MIB);
    let escaped = format!(
        "{}/a\\040b\\134\\012\\342\\200\\256.img",
        scratch.path().display()
    );
    let refused = |done: Done, path: &str| {
        done.stdout(&format!("REFUSED {path} - nothing written\n"));
    };
    // Not confirmed, nothing to resume or to check, of another serial, missing.
    refused(scratch.wipe(&image).code(4), &escaped);
    for words in ["--resume", "--check", "--yes --serial X", "-n --serial X"] {
        refused(scratch.wipe(&image).words(words).code(4), &escaped);
    }
    let missing = scratch.join("missing");
    refused(
        scratch.wipe(&missing).yes().code(4),
        missing.to_str().unwrap(),
    );
    // Without a TARGET.
    refused(scratch.wipeit().arg("--resume").code(4), "-");
    // No state directory.
    fs::write(scratch.join("file"), "").unwrap();
    let wipe = scratch
        .wipe(&image)
        .yes()
        .state(&scratch.join("file/state"));
    refused(wipe.code(4), &escaped);
    // A wrong command line has none.
    for words in [
        "--yes --force",
        "--yes --report r.pdf",
        "--resume --restart",
    ] {
        scratch.wipe(&image).words(words).code(2).stdout("");
    }
    // Busy.
    let device = Loop::over(&scratch.sparse("c.img", MIB));
    let file = File::open(device.path()).unwrap();
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    let done = scratch.wipe(device.path()).yes().code(6);
    let busy = format!("BUSY {} - nothing written\n", device.path().display());
    done.stdout(&busy);
    drop(lock);
    // Several: a line for each that would be refused.
    let wipe = scratch.wipe(&missing).arg(&image).arg("-n");
    refused(wipe.code(4), missing.to_str().unwrap());
}

fn a_flush_that_failed_is_never_said_to_have_been_done() {
    for when in ["3+", "2+", "1+"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let wipe = scratch
            .wipe(&image)
            .yes()
            .words("-b 64K --checkpoint-every 1M");
        let done = broken(wipe, &[&image], &format!("fdatasync:error=EIO:when={when}"));
        let done = done.code(1);
        assert!(!done.stderr.contains("Flushed, and saved"), "{done:?}");
        let done = done.says(&["Saved up to the last good flush", "does NOT count"]);
        let written = number(&scratch.state().checkpoint(), "written");
        let start = format!("FAILED {} - {written} of ", image.display());
        assert!(done.stdout.starts_with(&start), "{done:?}");
    }
    // It failed when the run was stopping; a signal between two flushes says
    // nothing of that.
    let mut seen = false;
    for _ in 0..8 {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", 16 * MIB);
        let wipe = scratch.wipe(&image).yes().words(SLOW);
        let fault = "fdatasync:error=EIO:delay_enter=1000000:when=3+";
        let run = begun(broken(wipe, &[&image], fault), &scratch.state());
        std::thread::sleep(std::time::Duration::from_millis(400));
        run.signal(SIGINT);
        let done = run.wait().killed_by(SIGINT);
        let checkpoint = scratch.state().checkpoint();
        let written = number(&checkpoint, "written");
        check(&image, 0, written, &Content::of(&checkpoint, 1));
        seen |= done.stderr.contains("flush failed");
        if done.stderr.contains("flush failed") {
            assert!(!done.stderr.contains("Flushed, and saved"), "{done:?}");
            done.says(&["Saved up to the last good flush"]);
            break;
        }
    }
    assert!(seen, "no flush failed while the run was stopping");
}

fn list(scratch: &Scratch) -> (Value, String) {
    let json = scratch.wipeit().words("--list --json").code(0).stdout;
    let text = scratch.wipeit().arg("--list").code(0).stdout;
    let value: Value = serde_json::from_str(&json).unwrap();
    (value["unfinished"][0].clone(), text)
}

fn a_wipe_that_runs_is_not_to_be_resumed() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let state = scratch.state();
    let slow = "--rate-limit 1M -b 64K --checkpoint-every 1M";
    let run = begun(scratch.wipe(&image).yes().words(slow), &state);
    let (wipe, text) = list(&scratch);
    assert_eq!(
        (&wipe["running"], &wipe["command"]),
        (&true.into(), &Value::Null)
    );
    assert!(text.contains(", running as process "), "{text}");
    assert!(!text.contains("--resume"), "{text}");
    run.signal(SIGKILL);
    run.wait().killed_by(SIGKILL);
    let (wipe, text) = list(&scratch);
    assert_eq!(wipe["running"], false);
    assert!(
        wipe["command"].as_str().unwrap().contains("--resume"),
        "{wipe}"
    );
    assert!(
        text.contains("killed or crashed") && text.contains("--resume"),
        "{text}"
    );
}
