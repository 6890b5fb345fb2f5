//! The list: what is unfinished, which disks there are, and that it only looks.

use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal::{SIGINT, SIGKILL};
use serde_json::Value;

use crate::support::device::{Loop, Mount};
use crate::support::pty::Terminal;
use crate::support::state::{number, unchanged};
use crate::support::{LOOP, MIB, NOTHING, Need, Scratch, cases, wait_until};

const MOUNT: &[Need] = &[Need::Root, Need::Loop, Need::Tool("mkfs.ext4")];
const ROOT: &[Need] = &[Need::Root, Need::Tool("unshare")];
const OTHER_USER: &[Need] = &[Need::Root, Need::Loop, Need::Tool("setpriv")];

cases![
    LOOP => a_disk_is_free_then_unfinished_then_wiped,
    MOUNT => a_mounted_disk_says_where_and_what_is_on_it,
    NOTHING => an_unfinished_image_is_listed_until_it_is_gone,
    NOTHING => nothing_on_a_terminal_is_the_list_and_fits,
    NOTHING => a_damaged_checkpoint_is_named_and_the_rest_listed,
    ROOT => a_list_that_cannot_be_made_says_why,
    NOTHING => a_reader_that_has_gone_is_no_failure,
    OTHER_USER => without_root_it_says_what_it_could_not_see,
    LOOP => a_running_wipe_is_told_from_one_that_was_killed,
    NOTHING => a_resume_that_finds_nothing_shows_what_is_there,
    LOOP => a_disk_that_another_run_has_locked_is_in_use,
    LOOP => the_list_does_not_disturb_a_wipe_that_starts,
];

fn json(scratch: &Scratch) -> Value {
    let done = scratch.wipeit().words("--list --json").code(0).stderr("");
    serde_json::from_str(&done.stdout).unwrap()
}

/// The entry of one disk.
fn entry(list: &Value, device: &Path) -> Value {
    let disks = list["disks"].as_array().unwrap();
    let of_it = |disk: &&Value| disk["device"] == device.to_str().unwrap();
    disks.iter().find(of_it).unwrap_or(&Value::Null).clone()
}

/// The line of one disk, in the table that is not cut.
fn line(scratch: &Scratch, device: &Path) -> String {
    let done = scratch.wipeit().arg("--list").code(0).stderr("");
    let start = format!("  {} ", device.display());
    let line = done.stdout.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("no {start}in {}", done.stdout))
        .to_string()
}

/// With one space between two words.
fn words(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ")
}

/// Begins a slow wipe and stops it by Ctrl+C.
fn stop_halfway(scratch: &Scratch, target: &Path) {
    let mut run = scratch
        .wipe(target)
        .yes()
        .words("-s zero --rate-limit 8M -b 64K --checkpoint-every 1M")
        .start();
    let state = scratch.state();
    let written = || {
        let checkpoint = state.try_checkpoint();
        checkpoint.map_or(0, |it| number(&it, "written"))
    };
    run.until("a first megabyte", |_| written() >= MIB);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
}

fn a_disk_is_free_then_unfinished_then_wiped() {
    let scratch = Scratch::new();
    let image = scratch.tagged("a model.img", 8 * MIB);
    let device = Loop::over(&image);
    let path = device.path();
    let free = unchanged(&[path, scratch.path()], || json_in_memory(&scratch));
    let free = entry(&free, path);
    assert_eq!(free["state"], "free", "{free}");
    assert_eq!(free["kind"], "loop");
    assert_eq!(free["wipeable"], true);
    assert_eq!(number(&free, "size"), 8 * MIB);
    assert_eq!(free["backing_file"], image.to_str().unwrap());
    let shown = line(&scratch, path);
    assert!(
        words(&shown).contains(" 8.38 MB ready loop a model.img "),
        "{shown}"
    );

    stop_halfway(&scratch, path);
    let checkpoint = scratch.state().checkpoint();
    let list = unchanged(&[path, scratch.state().path()], || json(&scratch));
    assert_eq!(entry(&list, path)["state"], "unfinished");
    let wipe = &list["unfinished"][0];
    assert_eq!(list["unfinished"].as_array().unwrap().len(), 1);
    assert_eq!(wipe["devices"], serde_json::json!([path]));
    assert_eq!(number(wipe, "done"), number(&checkpoint, "written"));
    assert_eq!(wipe["ended_by"], "SIGINT");
    let state = scratch.state();
    let command = format!(
        "wipeit --resume --state-dir {} {}",
        state.path().display(),
        path.display()
    );
    assert_eq!(wipe["command"], command);
    let text = scratch.wipeit().arg("--list").code(0).stdout;
    assert!(text.starts_with("Unfinished:\n"), "{text}");
    assert!(text.contains(&format!("continue: {command}\n")), "{text}");
    assert!(text.contains("by Ctrl+C\n"), "{text}");

    scratch.wipe(path).words("--resume --yes").code(0);
    let list = json(&scratch);
    assert_eq!(list["unfinished"], serde_json::json!([]));
    let wiped = entry(&list, path);
    assert_eq!(wiped["state"], "wiped", "{wiped}");
    assert_eq!(wiped["last_outcome"], "WIPED");
    assert!(wiped["last_wiped_at"].is_string());
    let shown = line(&scratch, path);
    let shown = words(&shown);
    assert!(
        shown.contains(" MB wiped ") && shown.contains(" ago loop "),
        "{shown}"
    );
}

/// The list without the files that a run's output goes to.
fn json_in_memory(scratch: &Scratch) -> Value {
    let out = std::process::Command::new(crate::support::run::PROGRAM)
        .args(["--list", "--json", "--state-dir"])
        .arg(scratch.state().path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).unwrap()
}

fn a_mounted_disk_says_where_and_what_is_on_it() {
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.sparse("a.img", 32 * MIB));
    let mount = Mount::ext4(device.path(), scratch.join("mount point"));
    let disk = entry(&json(&scratch), device.path());
    assert_eq!(disk["state"], "in-use", "{disk}");
    assert_eq!(disk["wipeable"], false);
    assert_eq!(disk["contents"][0]["format"], "ext4");
    let at = format!("at {}", mount.point().display());
    assert_eq!(disk["state_text"], at);
    assert!(
        disk["reasons"][0].as_str().unwrap().contains("umount"),
        "{disk}"
    );
    let shown = words(&line(&scratch, device.path()));
    assert!(
        shown.contains(&format!(" MB {} loop ", words(&at))),
        "{shown}"
    );
    drop(mount);
    let free = entry(&json(&scratch), device.path());
    assert_eq!(free["state_text"], "has data: ext4", "{free}");
}

fn an_unfinished_image_is_listed_until_it_is_gone() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    stop_halfway(&scratch, &image);
    let text = || scratch.wipeit().arg("--list").code(0).stdout;
    let now = format!(", now {}\n", image.display());
    assert!(text().contains(&now), "{}", text());
    std::fs::remove_file(&image).unwrap();
    assert!(
        text().contains("image 8.38 MB, not attached\n"),
        "{}",
        text()
    );
    assert_eq!(json(&scratch)["unfinished"][0]["attached"], false);
}

fn nothing_on_a_terminal_is_the_list_and_fits() {
    let scratch = Scratch::new();
    let terminal = Terminal::new();
    scratch.wipeit().on_terminal(terminal.slave()).code(0);
    terminal.shows("Wipe one with: wipeit DEVICE");
    let shown = terminal.shown();
    assert!(shown.contains("DEVICE"), "{shown}");
    // A state is whole, however long.
    let table = |line: &str| line.starts_with("  /dev/");
    assert!(
        shown
            .lines()
            .all(|line| table(line) || line.chars().count() <= 80),
        "{shown}"
    );
    assert!(!scratch.state().path().exists());
}

fn a_damaged_checkpoint_is_named_and_the_rest_listed() {
    let scratch = Scratch::new();
    let folder = scratch.state().path().join("pending");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("torn.json");
    std::fs::write(&file, "{").unwrap();
    let list = unchanged(&[&folder], || json(&scratch));
    let note = list["notes"][0].as_str().unwrap();
    assert!(note.contains(file.to_str().unwrap()), "{note}");
    assert!(note.contains("left as it is"), "{note}");
    let text = scratch.wipeit().arg("-l").code(0).stdout;
    assert!(
        text.contains("torn.json") && text.contains("Disks:"),
        "{text}"
    );
}

fn a_list_that_cannot_be_made_says_why() {
    let scratch = Scratch::new();
    for options in ["--list", "--list --json"] {
        let hidden = "mount -t tmpfs none /sys && exec \"$0\" \"$@\"";
        let wipe = scratch.wipeit().words(options);
        let wipe = wipe.under(["unshare", "--mount", "bash", "-c", hidden]);
        wipe.code(1)
            .one_line()
            .says(&["--list", "/sys/class/block"]);
    }
}

fn a_reader_that_has_gone_is_no_failure() {
    let scratch = Scratch::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = scratch.wipeit().arg("--list").stdout(writer).code(0);
    done.stderr("");
}

fn without_root_it_says_what_it_could_not_see() {
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.sparse("a.img", 8 * MIB));
    // The program lies where only its owner may go, maybe.
    let program = tempfile::Builder::new()
        .prefix("wipeit-")
        .tempdir()
        .unwrap();
    let binary = program.path().join("wipeit");
    std::fs::copy(crate::support::run::PROGRAM, &binary).unwrap();
    crate::support::sh!("chmod", "755", program.path());
    let out = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["--list", "--state-dir", "/nonexistent/state"])
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{out:?}");
    assert!(out.stderr.is_empty(), "{out:?}");
    let start = format!("  {} ", device.path().display());
    let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
    assert!(line.contains("8.38 MB"), "{line}");
    assert!(line.contains("unknown: no permission"), "{line}");
    assert!(
        text.contains("The content and the use of /dev/")
            && text.contains("cannot be seen: permission denied; run as root."),
        "{text}"
    );
}

fn a_running_wipe_is_told_from_one_that_was_killed() {
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.tagged("a.img", 16 * MIB));
    let state = scratch.state();
    let mut run = scratch
        .wipe(device.path())
        .yes()
        .words("-s zero --rate-limit 1M -b 64K --checkpoint-every 1M")
        .start();
    run.until_saved(&state, "a checkpoint", |_| true);
    let disk = entry(&json(&scratch), device.path());
    assert_eq!(disk["state_text"], "in use, unfinished", "{disk}");
    let text = || scratch.wipeit().arg("--list").code(0).stdout;
    let running = format!(", running as process {}", run.pid());
    assert!(text().contains(&running), "{}", text());
    assert!(!text().contains("continue: "), "{}", text());
    // One source of the words and figures: neither says what the other does not.
    let list = json(&scratch);
    assert_eq!(list["unfinished"][0]["running"], true, "{list}");
    let said = list["unfinished"][0]["state_text"].as_str().unwrap();
    let speed = list["unfinished"][0]["speed"].as_u64();
    assert_eq!(said.contains("/s"), speed.is_some(), "{list}");
    let left = list["unfinished"][0]["seconds_left"].as_u64();
    assert_eq!(said.contains(" left, "), left.is_some(), "{list}");
    assert_eq!(list["unfinished"][0]["pid"], run.pid().as_raw(), "{list}");
    run.signal(SIGKILL);
    run.wait().killed_by(SIGKILL);
    let disk = entry(&json(&scratch), device.path());
    assert_eq!(disk["state"], "unfinished", "{disk}");
    assert!(text().contains(", killed or crashed, saved "), "{}", text());
}

fn a_resume_that_finds_nothing_shows_what_is_there() {
    let scratch = Scratch::new();
    let resume = |options: &str| scratch.wipeit().arg("--resume").words(options).code(4);
    let done = resume("").one_line().says(&["Disks:\n  DEVICE "]);
    let last = done.stderr.lines().last().unwrap();
    assert!(last.contains("there is no unfinished wipe in "), "{done:?}");
    resume("--quiet").one_line().says(&["wipeit: --resume: "]);
    // And which wipes are there, and why none fits.
    let image = scratch.tagged("old.img", 8 * MIB);
    stop_halfway(&scratch, &image);
    std::fs::rename(&image, scratch.join("moved.img")).unwrap();
    let done = resume("--yes").one_line();
    done.says(&[
        "Unfinished:\n  old.img ",
        "stopped ",
        "continue, once it is attached: wipeit --resume",
        "is of ",
        "which is not there any more",
    ]);
    let other = scratch.tagged("other.img", MIB);
    let done = scratch.wipe(&other).words("--resume --yes").code(4);
    let file = scratch.state().pending()[0].display().to_string();
    let why = format!("({file}: is of an image (8.38 MB, last ");
    done.one_line().says(&[&why, "its size differs"]);
}

fn a_disk_that_another_run_has_locked_is_in_use() {
    // That run may be about to ask for exclusive access: the list does not ask.
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.sparse("a.img", MIB));
    let file = std::fs::File::open(device.path()).unwrap();
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    let state = || entry(&json(&scratch), device.path())["state_text"].clone();
    assert_eq!(state(), "in use");
    drop(lock);
    assert_eq!(state(), "ready");
}

fn the_list_does_not_disturb_a_wipe_that_starts() {
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.tagged("a.img", MIB));
    // Asked for again and again, it meets every step of the wipes' start.
    let lists: Vec<_> = (0..3)
        .map(|_| {
            let script = "while :; do \"$@\" --list > /dev/null; done";
            let lists = scratch.wipeit().under(["bash", "-c", script, "bash"]);
            lists.start()
        })
        .collect();
    for _ in 0..15 {
        let wipe = scratch.wipe(device.path()).yes().words("-s zero");
        wipe.run().wiped(device.path(), MIB);
    }
    drop(lists);
    wait_until("the disk is idle", || {
        entry(&json(&scratch), device.path())["state"] == "wiped"
    });
}
