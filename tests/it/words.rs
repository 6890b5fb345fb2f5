//! What is said of a command line that cannot be meant. `words/usage.txt` holds
//! every such message, to be read as a whole.

use std::fmt::Write as _;

use crate::support::pty::Terminal;
use crate::support::{NOTHING, Scratch, cases};

cases![
    NOTHING => every_wrong_command_line_is_told_what_to_type,
    NOTHING => nothing_is_no_success_for_a_script,
];

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
