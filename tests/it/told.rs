//! What is said of a target that is refused. `words/refusals.txt` holds every
//! such message, to be read as a whole.

use std::fmt::Write as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::device::{Loop, Mount, Swap, quietly, unmount};
use crate::support::pty::Terminal;
use crate::support::run::{Done, Wipe};
use crate::support::state::number;
use crate::support::{MIB, Need, Scratch, cases, sh};

cases![
    EVERYTHING => every_refusal_says_what_and_what_helps,
];

const EVERYTHING: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("mkfs.ext4"),
    Need::Tool("swapon"),
    Need::Tool("setpriv"),
    Need::Tool("unshare"),
    Need::Tool("chattr"),
    Need::Tool("openssl"),
];

/// Read when the test runs, so that the words can change without a build.
const WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/words/refusals.txt");

fn every_refusal_says_what_and_what_helps() {
    let mut book = Book {
        scratch: Scratch::new(),
        devices: Vec::new(),
        said: String::new(),
    };
    book.of_what_is_no_target();
    book.of_what_is_denied();
    book.of_what_is_in_use();
    book.of_what_was_asked();
    book.of_unfinished_wipes();
    book.of_finished_wipes();
    book.of_the_state();
    let said = &book.said;
    let there = std::fs::read_to_string(WORDS).unwrap_or_default();
    assert_eq!(*said, there, "what was said:\n{said}");
    for line in said.lines().filter(|line| line.starts_with("wipeit: ")) {
        assert!(line.matches(": ").count() >= 2, "no subject: {line}");
        // A success is never said of what was not touched.
        assert!(
            !line.contains("WIPED") && !line.contains("success"),
            "{line}"
        );
    }
}

/// What was said, in the order in which it was.
struct Book {
    scratch: Scratch,
    // the node, and what stands for it
    devices: Vec<(String, String)>,
    said: String,
}

impl Book {
    /// A heading.
    fn about(&mut self, what: &str) {
        writeln!(self.said, "# {what}").unwrap();
    }

    fn image(&self, name: &str) -> std::path::PathBuf {
        self.scratch.tagged(name, MIB)
    }

    /// What stands for a device from here on.
    fn call(&mut self, device: &Loop, name: &str) {
        self.devices.retain(|(_, known)| known != name);
        let node = device.path().display().to_string();
        self.devices.push((node, name.into()));
    }

    fn told(&mut self, line: &str) {
        self.told_as(line, |wipe| wipe);
    }

    fn told_as(&mut self, line: &str, how: impl FnOnce(Wipe) -> Wipe) {
        let mut words = line.to_string();
        for (node, name) in &self.devices {
            words = words.replace(name.as_str(), node);
        }
        let done = how(self.scratch.wipeit().words(&words)).run();
        self.note(line, &done);
    }

    /// The exit code, and the messages alone: a card or a list may stand above them.
    fn note(&mut self, line: &str, done: &Done) {
        let code = done.status.code().unwrap_or(-1);
        self.write(line, code, &done.said());
    }

    fn write(&mut self, line: &str, code: i32, said: &str) {
        writeln!(self.said, "$ wipeit {line} ; exits {code}").unwrap();
        let messages = said.lines().filter(|line| line.starts_with("wipeit: "));
        let mut messages: Vec<String> = messages.map(|line| self.plain(line)).collect();
        // Loop devices have any order.
        messages.sort();
        for message in messages {
            writeln!(self.said, "{message}").unwrap();
        }
    }

    /// Without what differs from run to run.
    fn plain(&self, message: &str) -> String {
        let folder = self.scratch.path().display().to_string();
        let mut text = message.replace(&folder, "/w");
        for (node, name) in &self.devices {
            text = renamed(&text, &node[5..], &name[5..]);
        }
        let words = text.split(' ').map(plain_word);
        let words: Vec<String> = words.collect();
        let mut text = words.join(" ");
        for before in ["process ", "byte "] {
            text = without_numbers(&text, before);
        }
        text
    }

    fn of_what_is_no_target(&mut self) {
        self.about("no target");
        self.told("--yes nothing");
        std::fs::create_dir(self.scratch.join("folder")).unwrap();
        self.told("--yes folder");
        self.told("--yes /dev/null");
        let pipe = self.scratch.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        self.told("--yes pipe");
        // A path of a socket must be short.
        let short = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(short.path().join("socket")).unwrap();
        std::os::unix::fs::symlink(short.path().join("socket"), self.scratch.join("socket"))
            .unwrap();
        self.told("--yes socket");
        self.scratch.sparse("empty.img", 0);
        self.told("--yes empty.img");
        let device = Loop::over(&self.image("loop.img"));
        self.call(&device, "/dev/LOOP");
        let name = device.name();
        let done = self.scratch.wipe(&name).yes().code(4);
        let said = done
            .said()
            .replace(&format!("wipeit: {name}:"), "wipeit: LOOP:");
        self.write("--yes LOOP", 4, &said);
    }

    fn of_what_is_denied(&mut self) {
        self.about("denied");
        let device = Loop::over(&self.scratch.sparse("fs.img", 16 * MIB));
        let mount = Mount::ext4(device.path(), self.scratch.join("mnt"));
        let file = mount.point().join("file.img");
        crate::support::content::fill_with_tags(&file, MIB);
        for (set, reset) in [("+i", "-i"), ("+a", "-a")] {
            sh!("chattr", set, file);
            self.told("--yes mnt/file.img");
            sh!("chattr", reset, file);
        }
        sh!("mount", "-o", "remount,ro", mount.point());
        self.told("--yes mnt/file.img");
        drop(mount);
        let point = self.scratch.join("nodev");
        std::fs::create_dir(&point).unwrap();
        let mount = Mount::kind("tmpfs", "nodev", point);
        sh!("cp", "-a", device.path(), mount.point().join("disk"));
        self.told("--yes nodev/disk");
        drop(mount);
        drop(device);
        let image = self.image("old.img");
        sh!("chmod", "000", image);
        let without =
            |what: &'static str| move |wipe: Wipe| wipe.under(["setpriv", "--bounding-set", what]);
        self.about("root without CAP_DAC_OVERRIDE");
        self.told_as("--yes old.img", without("-dac_override,-dac_read_search"));
        sh!("chmod", "600", image);
        sh!("chown", "12345", image);
        self.about("root of a user namespace");
        self.told_as("--yes old.img", |wipe| {
            wipe.under(["unshare", "--user", "--map-root-user"])
        });
        sh!("chown", "0", image);
        let device = Loop::over(&image);
        self.call(&device, "/dev/LOOP");
        self.about("without CAP_SYS_PTRACE");
        self.told_as("--yes /dev/LOOP", without("-sys_ptrace"));
        drop(device);
        let device = Loop::with(&image, &["-r"]);
        self.call(&device, "/dev/LOOP");
        self.about("read-only");
        self.told("--yes /dev/LOOP");
    }

    fn of_what_is_in_use(&mut self) {
        self.about("in use");
        let mut device = Loop::over(&self.scratch.sparse("fs.img", 24 * MIB));
        self.call(&device, "/dev/LOOP");
        let mount = Mount::ext4(device.path(), self.scratch.join("mnt"));
        self.told("--yes /dev/LOOP");
        self.told("--check /dev/LOOP");
        self.about("which carries the state directory");
        let state = mount.point().join("state");
        self.told_as("--yes /dev/LOOP", |wipe| wipe.state(&state));
        drop(mount);
        let part = device.partition(1, 2048, 8 * 2048);
        let swap = Swap::on(&part);
        self.told("--yes /dev/LOOP");
        drop(swap);
        let twin = Loop::over(&self.scratch.join("fs.img"));
        self.call(&twin, "/dev/TWIN");
        self.told("--yes fs.img");
        self.told("--yes /dev/LOOP");
        let upper = Loop::over(twin.path());
        self.call(&upper, "/dev/UPPER");
        drop(device);
        self.told("--yes /dev/TWIN");
        drop((upper, twin));
        let image = self.image("open.img");
        let file = std::fs::File::options().append(true).open(&image).unwrap();
        let mut command = std::process::Command::new("sleep");
        let mut opener = command.arg("90").stdout(file).spawn().unwrap();
        drop(command);
        self.told("--yes open.img");
        opener.kill().unwrap();
        opener.wait().unwrap();
        self.scratch.tagged("busy.img", 16 * MIB);
        let mut run = self.run("busy.img");
        self.told("--yes busy.img");
        run.nudge(Signal::SIGKILL);
        run.wait();
        std::fs::remove_dir_all(self.scratch.state().path()).unwrap();
    }

    fn of_what_was_asked(&mut self) {
        self.about("what was asked for");
        self.image("old.img");
        self.told("old.img");
        self.told("--serial ZR5A1B2C old.img");
        self.told("--resume");
        self.told("--resume old.img");
        self.told("--check old.img");
        self.told("--yes --report no/such/ old.img");
        self.told("--yes --report folder/file.pdf old.img");
        self.told("--yes --report old.img old.img");
        self.about("declined");
        let mut terminal = Terminal::new();
        let error = tempfile::NamedTempFile::new().unwrap();
        let wipe = self.scratch.wipe("old.img").on_terminal(terminal.slave());
        let run = wipe.stderr(error.reopen().unwrap()).start();
        terminal.shows("anything else to leave: ");
        terminal.types("no\n");
        run.wait().code(4);
        let said = std::fs::read_to_string(error.path()).unwrap();
        self.write("old.img", 4, &said);
    }

    /// A wipe that goes on for as long as it is needed, up to its first checkpoint
    /// with something in it.
    fn run(&self, image: &str) -> crate::support::run::Running {
        let wipe = self.scratch.wipe(image).yes();
        let slow = "--rate-limit 256K -b 64K --checkpoint-every 1M";
        let mut run = wipe.words(slow).start();
        let state = self.scratch.state();
        run.until("its first checkpoint", |_| state.try_checkpoint().is_some());
        run
    }

    /// A wipe that was stopped when it had written a megabyte.
    fn stopped(&self, image: &str, options: &str) {
        let wipe = self.scratch.wipe(image).yes().words(options);
        let mut run = wipe
            .words("--rate-limit 4M -b 64K --checkpoint-every 1M")
            .start();
        let state = self.scratch.state();
        run.until("a megabyte", |_| {
            let checkpoint = state.try_checkpoint();
            checkpoint.is_some_and(|value| number(&value, "written") >= MIB)
        });
        run.signal(Signal::SIGINT);
        run.wait().killed_by(Signal::SIGINT);
    }

    fn of_unfinished_wipes(&mut self) {
        self.about("an unfinished wipe");
        let image = self.scratch.tagged("begun.img", 8 * MIB);
        self.stopped("begun.img", "");
        self.told("begun.img");
        self.told("--yes begun.img");
        self.told("--check begun.img");
        self.told("--resume --yes -s zero begun.img");
        self.told("--resume --yes --passes 3 begun.img");
        self.told("--resume --yes old.img");
        let checkpoint = self.scratch.state().pending()[0].clone();
        let whole = std::fs::read(&checkpoint).unwrap();
        self.about("written to since");
        let kept = std::fs::read(&image).unwrap();
        crate::support::content::fill_with_tags(&image, 8 * MIB);
        self.told("--resume --yes");
        std::fs::write(&image, kept).unwrap();
        self.about("damaged");
        std::fs::write(&checkpoint, "{").unwrap();
        self.told("--resume --yes");
        self.told("--resume --yes begun.img");
        self.about("of a newer version");
        std::fs::write(&checkpoint, &whole).unwrap();
        self.scratch
            .state()
            .edit(|value| value["version"] = 2.into());
        self.told("--resume --yes");
        self.about("empty");
        std::fs::write(&checkpoint, "").unwrap();
        self.told("--yes begun.img");
        self.told("--resume --yes");
        std::fs::write(&checkpoint, whole).unwrap();
        self.about("gone");
        std::fs::rename(&image, self.scratch.join("moved.img")).unwrap();
        self.told("--resume --yes");
        std::fs::remove_dir_all(self.scratch.state().path()).unwrap();
    }

    fn of_finished_wipes(&mut self) {
        self.about("a finished wipe");
        let image = self.image("done.img");
        self.scratch.wipe(&image).yes().code(0);
        self.told("--yes --ensure --passes 3 done.img");
        self.about("written to since");
        crate::support::content::fill_with_tags(&image, MIB);
        self.told("--yes --ensure done.img");
        std::fs::remove_dir_all(self.scratch.state().path()).unwrap();
    }

    fn of_the_state(&mut self) {
        self.about("the state directory");
        self.image("old.img");
        let state = self.scratch.state().path().to_path_buf();
        std::fs::write(&state, "a file").unwrap();
        self.told("--yes old.img");
        self.told("--resume");
        std::fs::remove_file(&state).unwrap();
        std::fs::create_dir_all(state.join("pending")).unwrap();
        std::fs::write(state.join("reports"), "a file").unwrap();
        self.told("--yes old.img");
        std::fs::remove_file(state.join("reports")).unwrap();
        self.inside(&state);
        self.about("read-only");
        let mount = Mount::tmpfs("1M", state.join("pending"));
        sh!("mount", "-o", "remount,ro", mount.point());
        self.told("--yes old.img");
        drop(mount);
        self.about("without HOME and a state directory");
        let without = [
            "env",
            "-u",
            "HOME",
            "-u",
            "WIPEIT_STATE_DIR",
            "setpriv",
            "--reuid",
            "65534",
        ];
        let program = tempfile::Builder::new()
            .prefix("wipeit-")
            .tempdir()
            .unwrap();
        sh!("chmod", "755", program.path());
        let binary = program.path().join("wipeit");
        std::fs::copy(crate::support::run::PROGRAM, &binary).unwrap();
        let wipe = self.scratch.wipe("old.img").yes().program(&binary);
        let done = wipe.under(without).run();
        self.note("--yes old.img", &done);
        quietly("rmdir", &[state.join("pending").as_os_str()]);
        unmount(&state, 1);
    }

    fn inside(&mut self, state: &Path) {
        let inside = state.join("inside.img");
        crate::support::content::fill_with_tags(&inside, MIB);
        self.told("--yes state/inside.img");
        std::fs::remove_file(inside).unwrap();
    }
}

/// A word without the name of a run or a time in it.
fn plain_word(word: &str) -> String {
    let stamp = |at: &str| at.len() > 10 && at.starts_with("20") && at.as_bytes()[10] == b'T';
    if stamp(word) {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit() || "-T:.+Z".contains(c));
        return format!("TIME{rest}");
    }
    let Some(end) = word.find(".json") else {
        return word.to_string();
    };
    let start = end.saturating_sub(8);
    let run = word.get(start..end).unwrap_or_default();
    if run.len() == 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return format!("{}RUN{}", &word[..start], &word[end..]);
    }
    word.to_string()
}

/// Another name for a device; not for those whose names go on with a digit.
fn renamed(text: &str, name: &str, new: &str) -> String {
    let mut parts = text.split(name);
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let longer = part.starts_with(|c: char| c.is_ascii_digit());
        plain += if longer { name } else { new };
        plain += part;
    }
    plain
}

/// `before` and a number become `before` and `N`.
fn without_numbers(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = if rest.len() < part.len() { "N" } else { "" };
        write!(plain, "{before}{number}{rest}").unwrap();
    }
    plain
}
