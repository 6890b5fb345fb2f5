//! What is said of a command line that cannot be meant. `words/usage.txt` holds
//! every such message, to be read as a whole.

use std::fmt::Write as _;

use crate::support::device::Loop;
use crate::support::pty::Terminal;
use crate::support::state::number;
use crate::support::{LOOP, MIB, NOTHING, Need, OPENSSL, Scratch, cases, sh};

cases![
    NOTHING => every_wrong_command_line_is_told_what_to_type,
    NOTHING => nothing_is_no_success_for_a_script,
    OPENSSL => a_restart_says_what_it_forgets,
    NOTHING => the_question_names_the_drive_and_takes_its_name_or_path,
    LOOP => a_name_without_its_folder_is_told_the_device_that_is_meant,
    NOTHING => a_file_that_is_no_disk_is_called_what_it_is,
    EXT4 => the_record_says_what_stood_there_and_the_page_no_label,
];

const EXT4: &[Need] = &[Need::Tool("mkfs.ext4"), Need::Tool("openssl")];
const USAGE: &str = include_str!("words/usage.txt");

fn every_wrong_command_line_is_told_what_to_type() {
    let scratch = Scratch::new();
    let mut said = String::new();
    for line in USAGE
        .lines()
        .filter_map(|line| line.strip_prefix("$ wipeit"))
    {
        let done = scratch.wipeit().words(line).code(2).one_line().stdout("");
        write!(said, "$ wipeit{line}\n{}", done.stderr).unwrap();
    }
    assert_eq!(said, USAGE, "{said}");
    for line in USAGE.lines().filter(|line| !line.starts_with('$')) {
        let parts = line.strip_prefix("wipeit: ");
        assert!(parts.is_some_and(|line| line.contains("; ")), "{line}");
    }
    assert!(!scratch.state().path().exists());
}

fn nothing_is_no_success_for_a_script() {
    let scratch = Scratch::new();
    let last = "no TARGET; did a variable expand to nothing? (--list lists disks)\n";
    // One of the three that is no terminal tells of a script.
    for (redirected, options) in [
        (0, ""),
        (1, ""),
        (2, ""),
        (3, "-q"),
        (3, "--yes"),
        (3, "-n"),
    ] {
        let (terminal, error) = (Terminal::new(), tempfile::NamedTempFile::new().unwrap());
        let mut wipe = scratch.wipeit().words(options);
        wipe = wipe.on_terminal(terminal.slave());
        wipe = match redirected {
            0 => wipe.under(["sh", "-c", "exec \"$0\" \"$@\" </dev/null"]),
            1 => wipe.stdout(std::process::Stdio::null()),
            2 => wipe.stderr(error.reopen().unwrap()),
            _ => wipe,
        };
        wipe.code(2);
        let said = std::fs::read_to_string(error.path()).unwrap();
        if redirected != 2 {
            terminal.shows(last.trim_end());
        }
        let shown = terminal.shown().replace('\r', "") + &said;
        assert!(shown.ends_with(last), "{redirected} {options}: {shown}");
    }
}

fn a_restart_says_what_it_forgets() {
    let scratch = Scratch::new();
    let (image, state) = (scratch.tagged("old.img", 8 * MIB), scratch.state());
    let wipe = scratch.wipe(&image).yes();
    let mut run = wipe.words("--rate-limit 2M --checkpoint-every 1M").start();
    run.until_written(&state, MIB);
    run.signal(nix::sys::signal::Signal::SIGINT);
    run.wait();
    let begun = state.checkpoint()["started_at"]
        .as_str()
        .unwrap()
        .to_string();
    let file = state.pending()[0].display().to_string();
    let restart = |options: &str| {
        scratch
            .wipe(&image)
            .arg("--restart")
            .words(options)
            .code(0)
            .unbroken()
    };
    for (options, word) in [("--dry-run", "Forgets"), ("--yes --verify none", "forgets")] {
        let said = restart(options);
        let forgotten = format!("{word} the unfinished wipe of {begun} (write ");
        assert!(said.contains(&forgotten), "{options}: {said}");
        assert!(
            said.replace(' ', "").contains(&file.replace(' ', "")),
            "{said}"
        );
    }
}

fn the_question_names_the_drive_and_takes_its_name_or_path() {
    let scratch = Scratch::new();
    for (answer, code) in [
        ("old.img", 0),
        ("", 4),
        ("n", 4),
        ("stop", 4),
        ("yes", 4),
        ("PATH", 0),
    ] {
        let image = scratch.tagged("old.img", MIB);
        let answer = answer.replace("PATH", image.to_str().unwrap());
        let mut terminal = Terminal::new();
        let wipe = scratch.wipe(&image).words("--restart --quiet");
        let run = wipe.on_terminal(terminal.slave()).start();
        terminal.shows("anything else to leave: ");
        terminal.types(&format!("{answer}\n"));
        run.wait().code(code);
        let shown = terminal.unbroken();
        let asked = format!("{}, 1.04 MB Type ", image.display());
        assert!(shown.contains(&asked), "{shown}");
    }
}

fn a_name_without_its_folder_is_told_the_device_that_is_meant() {
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.sparse("a.img", MIB));
    let name = device.path().file_name().unwrap().to_str().unwrap();
    let meant = format!("no such file; did you mean {}?", device.path().display());
    for typed in [name.to_string(), format!("dev/{name}"), format!("/{name}")] {
        for mode in ["--yes", "--check", "--dry-run"] {
            let wipe = scratch.wipe(&typed).arg(mode);
            wipe.code(4).one_line().says(&[&meant]);
        }
    }
    let done = scratch
        .wipe("nothing-of-that-name")
        .yes()
        .code(4)
        .one_line();
    assert!(!done.stderr.contains("did you mean"), "{done:?}");
}

fn a_file_that_is_no_disk_is_called_what_it_is() {
    for (head, what) in [
        (&b"QFI\xfb\0\0\0\x03"[..], "it is a qcow2 file: "),
        (b"KDMV\x01\0\0\0", "it is a vmdk file: "),
        (b"vhdxfile", "it is a vhdx file: "),
        (b"%PDF-1.7\n", "its content is no disk, but a PDF document"),
        (b"\x7fELF\x02\x01", "its content is no disk, but a program"),
        (b"Dear diary,\n", "its content is no disk, but a text"),
    ] {
        let scratch = Scratch::new();
        let file = scratch.join("file");
        let mut bytes = head.to_vec();
        let filler = if what.ends_with("a text") { b'\n' } else { 0 };
        bytes.resize(64 << 10, filler);
        std::fs::write(&file, bytes).unwrap();
        let said = |options: &str| scratch.wipe(&file).words(options).code(0).unbroken();
        let card = said("--dry-run");
        assert!(card.contains(&format!("Warning {what}")), "{card}");
        let log = said("--yes");
        assert!(log.contains(&format!("warning: {what}")), "{log}");
        // It has become what a wipe leaves.
        let again = said("--yes --restart");
        assert!(!again.contains(what), "{again}");
    }
}

fn the_record_says_what_stood_there_and_the_page_no_label() {
    let scratch = Scratch::new();
    let image = scratch.sparse("old.img", 8 * MIB);
    sh!("mkfs.ext4", "-q", "-F", "-L", "SECRETS", image);
    scratch.wipe(&image).yes().code(0);
    let record = scratch.state().report();
    let before = &record["contents_before"];
    assert_eq!(before[0]["format"], "ext4", "{record}");
    assert_eq!(before[0]["label"], "SECRETS", "{record}");
    assert_eq!(number(&before[0], "size"), 8 * MIB);
    let page = scratch.state().reports()[0].with_extension("html");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("ext4 (8.38 MB)") && !page.contains("SECRETS"),
        "{page}"
    );
}
