//! The question and the typed answer.
//!
//! The answer comes from /dev/tty only: stdin may be the list that a loop reads
//! its drives from. Nothing here decides whether a question is needed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::termios::{FlushArg, tcflush};

use crate::checkpoint::Checkpoint;
use crate::device::{Attached, Device, Node};
use crate::identity::Kind;
use crate::text::clean;

/// Fewest characters of a serial that are asked for.
const FEWEST: usize = 4;
/// Longest answer that is looked at, in bytes; a longer one is a no.
const LONGEST: usize = 256;

/// What has to be typed to start: the shortest end of the serial, of at least
/// four characters, that no other attached disk's serial ends with; the
/// device's name where no such end can be typed. Never empty.
#[must_use]
pub fn answer_wanted(device: &Device, others: &[Attached]) -> String {
    let end = device
        .identity
        .good_serial()
        .map(str::trim)
        .filter(|serial| serial.bytes().all(|b| b.is_ascii_graphic() || b == b' '))
        .and_then(|serial| unique_end(serial, &other_serials(device, others)));
    let name = clean(&device.name).trim().to_string();
    end.unwrap_or(if name.is_empty() {
        "erase".into()
    } else {
        name
    })
}

/// The serials of the other disks, in lower case.
fn other_serials(device: &Device, others: &[Attached]) -> Vec<String> {
    let whole = match &device.node {
        Node::Block { whole_path, .. } => whole_path.as_path(),
        Node::Image { .. } => Path::new(""),
    };
    others
        .iter()
        // A partition has the serial of its disk.
        .filter(|other| other.identity.kind != Kind::Partition)
        .filter(|other| other.name != device.name && other.path != whole)
        .filter_map(|other| other.identity.serial.as_deref())
        .map(|serial| serial.trim().to_ascii_lowercase())
        .collect()
}

fn unique_end(serial: &str, others: &[String]) -> Option<String> {
    let lower = serial.to_ascii_lowercase();
    (FEWEST..=lower.len())
        .map(|length| lower.len() - length)
        // An answer is trimmed: it cannot begin with a space.
        .filter(|start| !lower[*start..].starts_with(' '))
        .find(|start| !others.iter().any(|other| other.ends_with(&lower[*start..])))
        .map(|start| serial[start..].to_string())
}

/// The two lines of the question; the second one is not ended.
#[must_use]
pub fn question(device: &Device, wanted: &str) -> [String; 2] {
    let of_serial = device
        .identity
        .good_serial()
        .is_some_and(|serial| serial.trim().ends_with(wanted));
    let how = if of_serial {
        let id = device.identity.nature().id_word();
        format!("the last {} characters of its {id}", wanted.len())
    } else if clean(&device.name).trim() == wanted {
        format!("its name, {wanted},")
    } else {
        format!("the word {wanted}")
    };
    let path = clean(&device.path.to_string_lossy());
    [
        format!("Everything on {path} will be destroyed."),
        format!("Type {how} to start, anything else to leave: "),
    ]
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// What was wanted.
    Yes,
    /// Anything else, or nothing.
    No,
    /// There is nobody to ask.
    NoTerminal,
}

/// Asks on /dev/tty, after what was typed ahead is thrown away. The last of the
/// lines is the prompt. stdin is never read.
///
/// # Errors
/// When the terminal can be opened but not used.
pub fn ask(lines: &[String], wanted: &str) -> io::Result<Answer> {
    let Some(mut tty) = terminal()? else {
        return Ok(Answer::NoTerminal);
    };
    let typed = put(&mut tty, lines)?;
    Ok(if agrees(typed.as_deref(), wanted) {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn agrees(typed: Option<&str>, wanted: &str) -> bool {
    let wanted = wanted.trim();
    // An empty line must never be a yes.
    !wanted.is_empty() && typed.is_some_and(|typed| typed.trim().eq_ignore_ascii_case(wanted))
}

/// What to do with a drive that has an unfinished wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// Continue it.
    Continue,
    /// Forget it and start over; the card and its question follow.
    StartOver,
    /// Leave everything as it is.
    Leave,
    /// There is nobody to ask.
    NoTerminal,
}

/// Asks what to do with a drive that a fresh wipe was asked for but that has an
/// unfinished one.
///
/// # Errors
/// When the terminal can be opened but not used.
pub fn choose_continue(device: &Device, checkpoint: &Checkpoint) -> io::Result<Unfinished> {
    let Some(mut tty) = terminal()? else {
        return Ok(Unfinished::NoTerminal);
    };
    let typed = put(&mut tty, &unfinished_question(device, checkpoint))?;
    Ok(choice(typed.as_deref()))
}

/// Asks which one of `names` is meant; `None` for anything else, and where there
/// is nobody to ask. The last of the lines is the prompt.
///
/// # Errors
/// When the terminal can be opened but not used.
pub fn choose_one(lines: &[String], names: &[String]) -> io::Result<Option<usize>> {
    let Some(mut tty) = terminal()? else {
        return Ok(None);
    };
    let typed = put(&mut tty, lines)?;
    let typed = typed.as_deref().map(str::trim);
    Ok(names.iter().position(|name| Some(name.as_str()) == typed))
}

fn unfinished_question(device: &Device, checkpoint: &Checkpoint) -> [String; 2] {
    let path = clean(&device.path.to_string_lossy());
    let phase = checkpoint.phase.name();
    let position = checkpoint.progress_text();
    [
        format!("{path} has an unfinished wipe: {phase} {position}."),
        "Type continue or restart, anything else to leave: ".into(),
    ]
}

fn choice(typed: Option<&str>) -> Unfinished {
    let typed = typed.unwrap_or_default().trim().to_ascii_lowercase();
    match typed.as_str() {
        "continue" | "c" => Unfinished::Continue,
        "restart" | "start over" => Unfinished::StartOver,
        _ => Unfinished::Leave,
    }
}

/// The controlling terminal; `None` where there is none.
fn terminal() -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open("/dev/tty") {
        Ok(tty) => Ok(Some(tty)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(
                Errno::ENXIO
                | Errno::ENODEV
                | Errno::ENOENT
                | Errno::ENOTTY
                | Errno::EIO
                | Errno::EACCES
                | Errno::EPERM,
            ) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Writes the lines and reads one; `None`: the input ended, or the line is too
/// long to be an answer.
fn put(tty: &mut File, lines: &[String]) -> io::Result<Option<String>> {
    tcflush(&*tty, FlushArg::TCIFLUSH)?;
    let text: Vec<String> = lines.iter().map(|line| clean(line)).collect();
    tty.write_all(text.join("\n").as_bytes())?;
    tty.flush()?;
    let line = read_line(tty)?;
    if line.is_none() {
        // The cursor stands behind the question.
        tty.write_all(b"\n")?;
    }
    Ok(line)
}

/// A line to its end, of bounded length. What has no end is no answer.
fn read_line(input: &mut impl Read) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) if byte[0] == b'\n' => break,
            // Read on to the end, so that the rest is no command to the shell.
            Ok(_) => line.extend((line.len() <= LONGEST).then_some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The terminal has gone.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok((line.len() <= LONGEST)
        .then(|| String::from_utf8(line).ok())
        .flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::example::disk;
    use crate::plan::{Content, Pass, Plan};
    use std::fmt::Debug;

    fn other(name: &str, serial: &str, kind: Kind) -> Attached {
        let mut identity = disk().identity;
        identity.serial = Some(serial.into());
        identity.kind = kind;
        Attached {
            path: Path::new("/dev").join(name),
            name: name.into(),
            identity,
        }
    }

    #[test]
    fn the_shortest_end_of_the_serial_that_no_other_disk_has_is_asked_for() {
        let me = || {
            vec![
                other("sdb", "ZR5A1B2C", Kind::Disk),
                other("sdb1", "ZR5A1B2C", Kind::Partition),
            ]
        };
        assert_eq!(answer_wanted(&disk(), &me()), "1B2C");
        let with = |serial: &str| {
            let mut all = me();
            all.push(other("sdc", serial, Kind::Disk));
            answer_wanted(&disk(), &all)
        };
        assert_eq!(with("XXXX1B2C"), "A1B2C");
        assert_eq!(with("xxxxa1b2c "), "5A1B2C");
        assert_eq!(with("B2C"), "1B2C");
        assert_eq!(with("ZR5A1B2C"), "sdb");
        assert_eq!(with("AAZR5A1B2C"), "sdb");
    }

    #[test]
    fn without_a_serial_that_can_be_typed_the_name_is_asked_for() {
        let wanted = |serial: &str, name: &str| {
            let mut device = disk();
            device.identity.serial = Some(serial.into());
            device.name = name.into();
            answer_wanted(&device, &[])
        };
        assert_eq!(wanted("000000000000", "sdb"), "sdb");
        assert_eq!(wanted("A1B", "sdb"), "sdb");
        assert_eq!(wanted("ABCD\x1bEFG", "sdb"), "sdb");
        assert_eq!(wanted("ABCDEFG\u{e9}", "sdb"), "sdb");
        assert_eq!(wanted("AB 12C", "sdb"), "B 12C");
        assert_eq!(wanted("", "a\nb.img"), "a?b.img");
        assert_eq!(wanted("", "  "), "erase");
    }

    #[test]
    fn the_question_says_what_is_to_be_typed() {
        assert_eq!(
            question(&disk(), "1B2C"),
            [
                "Everything on /dev/sdb will be destroyed.",
                "Type the last 4 characters of its serial to start, anything else to leave: ",
            ]
        );
        let [_, by_name] = question(&disk(), "sdb");
        assert_eq!(
            by_name,
            "Type its name, sdb, to start, anything else to leave: "
        );
        let [_, by_word] = question(&disk(), "erase");
        assert_eq!(
            by_word,
            "Type the word erase to start, anything else to leave: "
        );
    }

    #[test]
    fn only_the_wanted_answer_is_a_yes() {
        assert!(agrees(Some(" 1b2c\r"), "1B2C"));
        for no in [
            None,
            Some(""),
            Some("y"),
            Some("yes"),
            Some("B2C"),
            Some("1B2CX"),
        ] {
            assert!(!agrees(no, "1B2C"), "{no:?}");
        }
        assert!(!agrees(Some(""), "") && !agrees(Some(" "), " "));
    }

    fn checkpoint() -> Checkpoint {
        let pass = Pass {
            content: Content::Zero,
            verify: crate::plan::Verify::Full,
        };
        let plan = Plan::new(vec![pass]).unwrap();
        let begun = "2026-01-14T01:10:00Z";
        let mut checkpoint = Checkpoint::begin(disk().identity, plan, 4096, "7f3a".into(), begun);
        checkpoint.set_position(checkpoint.step(), 7_740_089_413_632);
        checkpoint
    }

    #[test]
    fn an_unfinished_wipe_is_continued_or_dropped_only_by_the_word() {
        for (typed, meant) in [
            (Some("continue"), Unfinished::Continue),
            (Some(" Restart "), Unfinished::StartOver),
            (Some("start over"), Unfinished::StartOver),
            (Some(""), Unfinished::Leave),
            (Some("y"), Unfinished::Leave),
            (None, Unfinished::Leave),
        ] {
            assert_eq!(choice(typed), meant, "{typed:?}");
        }
        assert_eq!(
            unfinished_question(&disk(), &checkpoint())[0],
            "/dev/sdb has an unfinished wipe: write 43.0% (7.74 of 18.0 TB)."
        );
    }

    #[test]
    fn an_answer_has_an_end_and_a_bounded_length() {
        let read = |mut bytes: &[u8]| read_line(&mut bytes).unwrap();
        assert_eq!(read(b"1B2C\nrest"), Some("1B2C".into()));
        assert_eq!(read(b"\n"), Some(String::new()));
        assert_eq!(read(b"1B2C"), None);
        assert_eq!(read(b""), None);
        assert_eq!(read(b"\xff\n"), None);
        let long = [vec![b'a'; 5000], b"\n".to_vec()].concat();
        assert_eq!(read(&long), None);
    }

    /// The two ends of a new terminal, the user's and the program's.
    fn pty() -> (File, File) {
        let pty = nix::pty::openpty(None, None).unwrap();
        (pty.master.into(), pty.slave.into())
    }

    fn ok<T, E: Debug>(result: Result<T, E>) -> T {
        result.unwrap()
    }

    #[test]
    fn what_was_typed_before_the_question_is_no_answer() {
        let (mut user, mut tty) = pty();
        ok(user.write_all(b"1B2C\n"));
        let asked = std::thread::spawn(move || {
            put(&mut tty, &question(&disk(), "1B2C")).map(|typed| (typed, tty))
        });
        let mut seen = String::new();
        let mut buffer = [0; 512];
        while !seen.contains("leave: ") {
            let n = ok(user.read(&mut buffer));
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        ok(user.write_all(b"later\n"));
        let (typed, _tty) = ok(asked.join().unwrap());
        assert_eq!(typed.as_deref(), Some("later"));
    }
}
