//! Golden runs: what one sees, gets and keeps from runs of every kind, as it was
//! once looked at, in `golden/NAME.txt`. `WIPEIT_GOLDEN=keep` writes the files
//! anew; what they differ in then shows in the diff.

mod filter;

use std::fmt::Write as _;
use std::path::Path;

use nix::sys::signal::Signal::SIGINT;

use crate::support::device::{Loop, Mount, SlowDisk, Swap, Traits, fill};
use crate::support::run::{Done, Running, Wipe};
use crate::support::state::keys_of;
use crate::support::{LOOP, MIB, NOTHING, Need, Scratch, cases, sh};

const FILE_SYSTEMS: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("mkfs.ext4"),
    Need::Tool("mkswap"),
];

cases![
    NOTHING => an_image_wiped_checked_and_ensured_twice,
    LOOP => a_device_with_a_scheme,
    SlowDisk::NEEDS => bad_sectors,
    NOTHING => bytes_that_differ,
    NOTHING => ctrl_c_the_list_and_resume,
    LOOP => the_list_of_disks,
    FILE_SYSTEMS => what_is_in_use,
    LOOP => what_is_no_target,
    NOTHING => what_needs_another_word,
    FILE_SYSTEMS => a_full_state_disk,
];

/// Runs of one case, in one scratch folder.
struct Golden {
    scratch: Scratch,
    told: String,
    // names that are others in every run, and what stands for them
    names: Vec<(String, String)>,
}

impl Golden {
    fn new() -> Self {
        let scratch = Scratch::new();
        let folder = scratch.path().canonicalize().unwrap();
        let names = vec![(folder.display().to_string(), "/SCRATCH".to_string())];
        Self {
            scratch,
            told: String::new(),
            names,
        }
    }

    /// A name that is another one in every run.
    fn named(&mut self, name: &str, stand_in: &str) {
        self.names.push((name.into(), stand_in.into()));
        // The node before the bare name.
        self.names
            .sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    }

    fn device(&mut self, image: &Path, stand_in: &str) -> Loop {
        let device = Loop::over(image);
        self.named(&device.name(), stand_in);
        device
    }

    /// `wipeit WORDS`; in words, `{}` is the target.
    fn words(&self, target: &Path, words: &str) -> Wipe {
        let target = target.display().to_string();
        let words = words
            .split_whitespace()
            .map(|word| word.replace("{}", &target));
        self.scratch.wipeit().args(words)
    }

    fn run(&mut self, target: &Path, words: &str) {
        let done = self.words(target, words).run();
        let line = words.replace("{}", &target.display().to_string());
        self.note(&line, &done);
    }

    fn note(&mut self, line: &str, done: &Done) {
        let code = match done.status.code() {
            Some(code) => format!("code {code}"),
            None => done.status.to_string(),
        };
        let said = filter::unwrapped(&done.said());
        let text = format!(
            "$ wipeit {line}\n{code}\n[stdout]\n{}[stderr]\n{said}",
            done.stdout
        );
        self.tell(&text);
    }

    fn tell(&mut self, text: &str) {
        let mut text = text.to_string();
        for (name, stand_in) in &self.names {
            text = text.replace(name.as_str(), stand_in);
        }
        let _ = writeln!(self.told, "{}", filter::steady(&text));
    }

    /// Checkpoints, records and pages, and their modes.
    fn files(&mut self) {
        let state = self.scratch.state();
        for (what, files) in [("checkpoint", state.pending()), ("record", state.reports())] {
            for file in files {
                let mut text = std::fs::read_to_string(&file).unwrap();
                if what == "checkpoint" {
                    // Where it was stopped.
                    let written = format!(
                        "\"written\": {},",
                        self.scratch.state().checkpoint()["written"]
                    );
                    text = text.replace(&written, "\"written\": N,");
                }
                self.tell(&format!("[{what} {}]\n{text}", told_mode(&file)));
                if let Ok(text) = std::fs::read_to_string(keys_of(&file)) {
                    self.tell(&format!("[keys {}]\n{text}", told_mode(&keys_of(&file))));
                }
                let page = file.with_extension("html");
                if let Ok(html) = std::fs::read_to_string(&page) {
                    let lines = filter::page(&html);
                    self.tell(&format!("[page {}]\n{lines}", told_mode(&page)));
                }
            }
        }
    }

    /// Compares with what was kept.
    fn is(&self, name: &str) {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/golden/{name}.txt"));
        if std::env::var_os("WIPEIT_GOLDEN").is_some_and(|word| word == "keep") {
            std::fs::write(&file, &self.told).unwrap();
            return;
        }
        let kept = std::fs::read_to_string(&file).unwrap();
        let (was, is): (Vec<&str>, Vec<&str>) =
            (kept.lines().collect(), self.told.lines().collect());
        let first = was.iter().zip(&is).position(|(was, is)| was != is);
        let first = first.or((was.len() != is.len()).then_some(was.len().min(is.len())));
        if let Some(at) = first {
            let around = |lines: &[&str]| {
                lines[at.saturating_sub(3).min(lines.len())..(at + 6).min(lines.len())].join("\n  ")
            };
            panic!(
                "{} line {}, kept:\n  {}\nnow:\n  {}",
                file.display(),
                at + 1,
                around(&was),
                around(&is)
            );
        }
    }
}

fn told_mode(file: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let name = file.file_name().unwrap().to_string_lossy();
    let mode = std::fs::metadata(file).unwrap().mode() & 0o7777;
    format!("{name} {mode:o}")
}

fn an_image_wiped_checked_and_ensured_twice() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 8 * MIB);
    golden.run(&image, "{} --dry-run");
    golden.run(&image, "{} --ensure --yes --operator Ada");
    golden.files();
    golden.run(&image, "{} --ensure --yes");
    golden.run(&image, "{} --check");
    golden.run(&image, "{} --check --quiet");
    golden.run(&image, "{} --yes --quiet -s zero --verify sample --restart");
    golden.is("image");
}

fn a_device_with_a_scheme() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 4 * MIB);
    let device = golden.device(&image, "loopA");
    let words = "{} --yes --scheme dod-short --verify all --report copy.json";
    golden.run(device.path(), "{} --dry-run --pattern 0x924924 --passes 2");
    golden.run(device.path(), words);
    golden.files();
    golden.run(device.path(), "{} --check");
    golden.is("device");
}

fn bad_sectors() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 4 * MIB);
    let traits = Traits {
        bad_sectors: vec![17, 18, 19, 4_000],
        unreadable_sectors: vec![5_000],
        ..Traits::default()
    };
    let disk = SlowDisk::over(&golden.scratch, &image, &traits);
    let node = disk.path().to_path_buf();
    golden.named(node.file_name().unwrap().to_str().unwrap(), "loopA");
    golden.run(&node, "{} --yes -s zero -b 64K --threads 1");
    golden.files();
    golden.is("bad-sectors");
}

fn bytes_that_differ() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 4 * MIB);
    golden.run(&image, "{} --yes --pattern 55aa");
    spoil(&image);
    golden.run(&image, "{} --check");
    golden.run(&image, "{} --ensure --yes");
    golden.is("differs");
}

fn spoil(image: &Path) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().write(true).open(image).unwrap();
    file.write_all_at(&[1; 700], MIB + 100).unwrap();
    file.sync_all().unwrap();
}

fn ctrl_c_the_list_and_resume() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 16 * MIB);
    // Without the disks of this machine.
    golden.run(&image, "--resume --yes --quiet");
    stopped(
        &mut golden,
        &image,
        "{} --yes --rate-limit 4M --checkpoint-every 1M -b 64K",
    );
    golden.files();
    golden.run(&image, "--resume --dry-run");
    golden.run(&image, "{} --yes");
    golden.run(&image, "{} --resume --yes -s zero");
    golden.run(&image, "{} --resume --yes");
    golden.files();
    golden.run(&image, "{} --resume --yes");
    golden.is("interrupted");
}

/// Starts a wipe; a megabyte of it is saved.
fn begun(golden: &Golden, image: &Path, words: &str) -> Running {
    let mut run = golden.words(image, words).start();
    run.until_written(&golden.scratch.state(), MIB);
    run
}

/// Starts a wipe and stops it once a megabyte is saved.
fn stopped(golden: &mut Golden, image: &Path, words: &str) {
    let run = begun(golden, image, words);
    run.signal(SIGINT);
    let done = run.wait();
    golden.note(&words.replace("{}", &image.display().to_string()), &done);
}

fn the_list_of_disks() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("a.img", 8 * MIB);
    let empty = golden.scratch.sparse("b.img", 8 * MIB);
    let device = golden.device(&image, "loopA");
    let other = golden.device(&empty, "loopB");
    let node = device.path().to_path_buf();
    stopped(
        &mut golden,
        &node,
        "{} --yes --rate-limit 2M --checkpoint-every 1M -b 64K",
    );
    let ours = [device.name(), other.name()];
    let lists = |line: &str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        ours.iter().any(|name| first == format!("/dev/{name}"))
            || first.chars().all(char::is_uppercase)
    };
    let done = golden.scratch.wipeit().arg("--list").run();
    // Others' disks come and go, and make the columns wider.
    let rows = done.stdout.lines().filter(|line| lists(line));
    let mut rows: Vec<String> = rows.map(filter::squeezed).collect();
    sort_by_stand_in(&mut rows, &ours);
    golden.tell(&format!("$ wipeit --list\n{}", rows.join("\n")));
    let done = golden.scratch.wipeit().words("--list --json").run();
    let list: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    golden.tell("$ wipeit --list --json");
    for (name, rows) in list.as_object().unwrap() {
        let Some(rows) = rows.as_array() else {
            golden.tell(&format!("{name}: {rows}"));
            continue;
        };
        let rows = rows
            .iter()
            .map(|row| serde_json::to_string_pretty(row).unwrap());
        let quoted = |text: &String| {
            ours.iter()
                .any(|own| text.contains(&format!("/dev/{own}\"")))
        };
        let mut rows: Vec<String> = rows.filter(quoted).collect();
        sort_by_stand_in(&mut rows, &ours);
        for row in rows {
            golden.tell(&format!("{name}: {row}"));
        }
    }
    golden.is("list");
}

/// The system's numbers may come in any order.
fn sort_by_stand_in(rows: &mut [String], ours: &[String]) {
    rows.sort_by_key(|row| {
        ours.iter()
            .position(|own| row.contains(&format!("/dev/{own}")))
    });
}

fn what_is_in_use() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 24 * MIB);
    let mut device = golden.device(&image, "loopA");
    let node = device.path().to_path_buf();
    let part = device.partition(1, 2048, 16 * 2048);
    {
        let _mount = Mount::ext4(&part, golden.scratch.join("mnt"));
        golden.run(&node, "{} --yes");
        golden.run(&part, "{} --yes");
        golden.run(&node, "{} --dry-run");
        golden.run(&image, "{} --yes --quiet");
    }
    {
        let _swap = Swap::on(&part);
        golden.run(&node, "{} --check");
        golden.run(&node, "{} --ensure --yes");
    }
    {
        let mount = Mount::ext4(&part, golden.scratch.join("mnt"));
        let dir = mount.point().join("state");
        let done = golden.words(&node, "{} --yes --state-dir").arg(&dir).run();
        golden.note("NODE --yes --state-dir DIR", &done);
    }
    golden.is("in-use");
}

fn what_is_no_target() {
    let mut golden = Golden::new();
    let folder = golden.scratch.path().to_path_buf();
    let image = golden.scratch.tagged("old.img", MIB);
    let fixed = Loop::with(&golden.scratch.tagged("fixed.img", MIB), &["-r"]);
    golden.named(&fixed.name(), "loopA");
    golden.run(&folder.join("missing"), "{} --yes");
    golden.run(&folder, "{} --yes");
    golden.run(Path::new("/dev/null"), "{} --yes");
    golden.run(&golden.scratch.sparse("empty.img", 0), "{} --yes");
    let pipe = folder.join("pipe");
    sh!("mkfifo", pipe);
    golden.run(&pipe, "{} --yes");
    golden.run(fixed.path(), "{} --yes");
    golden.run(&image, "{} --yes --serial WX11");
    golden.run(&image, "{} --yes --report /proc/none/page.json");
    golden.run(&image, "{} --check");
    golden.is("no-target");
}

fn what_needs_another_word() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 16 * MIB);
    golden.run(&image, "{}");
    let words = "{} --yes --rate-limit 1M --checkpoint-every 1M -b 64K";
    let state = golden.scratch.state();
    let run = begun(&golden, &image, words);
    golden.named(&run.pid().to_string(), "PID");
    golden.run(&image, "{} --yes");
    run.signal(SIGINT);
    run.wait();
    golden.run(&image, "{}");
    golden.run(&image, "{} --check");
    golden.run(&golden.scratch.tagged("other.img", MIB), "{} --resume");
    let checkpoint = state.pending().remove(0);
    let whole = std::fs::read_to_string(&checkpoint).unwrap();
    std::fs::write(&checkpoint, whole.split_once("run_id").unwrap().0).unwrap();
    golden.run(&image, "{} --resume --yes");
    golden.is("another-word");
}

fn a_full_state_disk() {
    let mut golden = Golden::new();
    let image = golden.scratch.tagged("old.img", 16 * MIB);
    let disk = Loop::over(&golden.scratch.sparse("state.img", 16 * MIB));
    let mount = Mount::ext4(disk.path(), golden.scratch.join("mnt"));
    golden.named(&disk.name(), "loopS");
    let dir = mount.point().join("state");
    std::fs::create_dir(&dir).unwrap();
    fill(mount.point());
    let done = golden.words(&image, "{} --yes -s zero").state(&dir).run();
    golden.note("old.img --yes -s zero", &done);
    golden.is("full-state-disk");
}
