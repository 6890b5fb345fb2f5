//! The question and the typed answer.
//!
//! The answer comes from /dev/tty only: stdin may be the list that a loop reads
//! its drives from. Nothing here decides whether a question is needed.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::termios::{FlushArg, tcflush};

use crate::drive::{Attached, Device, Kind, Node};
use crate::progress::Checkpoint;
use crate::text::{COLUMNS, clean, columns, folded, said, size};

/// Fewest characters of a serial that are asked for.
const FEWEST: usize = 4;
/// Longest answer that is looked at, in bytes; a longer one is a no.
const LONGEST: usize = 256;

/// Answers that leave, whatever the serial ends with.
const LEAVING: [&str; 7] = ["", "n", "no", "q", "quit", "exit", "stop"];

/// What has to be typed to start: the serial, or its end; the device's name or
/// path only where there is no good serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    // as it is told: the shortest that will do; never empty
    shortest: String,
    // the serial, and those of the other disks in lower case
    serial: Option<(String, Vec<String>)>,
    // what else will do
    names: Vec<String>,
}

impl Expected {
    /// What has to be typed for `device`, among the `others` that are attached:
    /// an end of its serial of at least four characters that no other one's ends
    /// with.
    pub(crate) fn of(device: &Device, others: &[Attached]) -> Self {
        let serial = device
            .identity
            .good_serial()
            .map(str::trim)
            .filter(|serial| serial.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        let others = other_serials(device, others);
        let end = serial.and_then(|serial| Some((serial, unique_end(serial, &others)?)));
        if let Some((serial, shortest)) = end {
            return Self {
                shortest,
                serial: Some((serial.to_string(), others)),
                names: Vec::new(),
            };
        }
        let path = device.path.to_string_lossy();
        let names = [clean(&device.name), clean(&path)];
        let names = names.map(|name| name.trim().to_string());
        let mut names: Vec<String> = names.into_iter().filter(|name| may_start(name)).collect();
        if names.is_empty() {
            names.push("erase".into());
        }
        Self {
            shortest: names[0].clone(),
            serial: None,
            names,
        }
    }

    pub(crate) fn is(&self, typed: &str) -> bool {
        let typed = typed.trim();
        if !may_start(typed) {
            return false;
        }
        let lower = typed.to_ascii_lowercase();
        let of_serial = self.serial.as_ref().is_some_and(|(serial, others)| {
            let of_it = serial.to_ascii_lowercase().ends_with(&lower);
            of_it && lower.len() >= FEWEST && !is_shared(&lower, others)
        });
        of_serial
            || self
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(typed))
    }
}

/// Whether an answer may be a yes at all.
fn may_start(typed: &str) -> bool {
    !LEAVING.contains(&typed.to_ascii_lowercase().as_str())
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
        .filter(|start| !lower[*start..].starts_with(' ') && may_start(&lower[*start..]))
        .find(|start| !is_shared(&lower[*start..], others))
        .map(|start| serial[start..].to_string())
}

/// Whether the serial of another disk ends so, too.
fn is_shared(end: &str, others: &[String]) -> bool {
    others.iter().any(|other| other.ends_with(end))
}

/// The lines of the question: what is lost, which drive it is, and the prompt,
/// which is not ended.
pub(crate) fn question(device: &Device, expected: &Expected) -> [String; 3] {
    let id = device.identity.nature().id_word();
    let typed = &expected.shortest;
    let how = if expected.serial.is_some() {
        format!("the last {} characters of its {id}", typed.len())
    } else if clean(&device.name).trim() == typed {
        format!("its name, {typed},")
    } else {
        format!("the word {typed}")
    };
    let path = clean(&device.path.to_string_lossy());
    let model = said(device.identity.model.as_ref()).map(clean);
    let end = match &expected.serial {
        Some(_) => format!("{id} ends in {typed}"),
        None => format!("no {id} that tells it from others"),
    };
    let drive = [Some(path.clone()), model, Some(size::decimal(device.size))];
    let mut drive: Vec<String> = drive.into_iter().flatten().collect();
    if device.identity.kind != Kind::Image && device.identity.kind != Kind::Loop {
        drive.push(end);
    }
    [
        format!("Everything on {path} will be destroyed."),
        drive.join(", "),
        format!("Type {how} to start, anything else to leave: "),
    ]
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// Anything else, or nothing.
    No,
    NoTerminal,
}

/// Asks on /dev/tty, after what was typed ahead is thrown away. The last of the
/// lines is the prompt. stdin is never read.
pub(crate) fn ask(lines: &[String], expected: &Expected) -> io::Result<Answer> {
    Ok(match asked(lines)? {
        None => Answer::NoTerminal,
        Some(typed) if expected.is(&typed) => Answer::Yes,
        Some(_) => Answer::No,
    })
}

/// What to do with a drive that has an unfinished wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuation {
    Continue,
    /// Forget it and start over; the card and its question follow.
    StartOver,
    Leave,
    NoTerminal,
}

/// Asks what to do with a drive that a fresh wipe was asked for but that has an
/// unfinished one.
pub(crate) fn choose_continue(
    device: &Device,
    checkpoint: &Checkpoint,
) -> io::Result<Continuation> {
    let typed = asked(&unfinished_question(device, checkpoint))?;
    Ok(typed.map_or(Continuation::NoTerminal, |typed| choice(Some(&typed))))
}

/// Asks which one of `names` is meant; `None` for anything else, and where there
/// is nobody to ask. The last of the lines is the prompt.
pub(crate) fn choose_one(lines: &[String], names: &[String]) -> io::Result<Option<usize>> {
    let typed = asked(lines)?;
    let typed = typed.as_deref().map(str::trim);
    Ok(names.iter().position(|name| Some(name.as_str()) == typed))
}

fn unfinished_question(device: &Device, checkpoint: &Checkpoint) -> [String; 2] {
    let path = clean(&device.path.to_string_lossy());
    let phase = checkpoint.phase().name();
    let position = checkpoint.progress_text();
    [
        format!("{path} has an unfinished wipe: {phase} {position}."),
        "Type continue or restart, anything else to leave: ".into(),
    ]
}

fn choice(typed: Option<&str>) -> Continuation {
    let typed = typed.unwrap_or_default().trim().to_ascii_lowercase();
    match typed.as_str() {
        "continue" | "c" => Continuation::Continue,
        "restart" | "start over" => Continuation::StartOver,
        _ => Continuation::Leave,
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

/// What is typed after these lines, nothing where that is no answer; `None` where there
/// is nobody to ask.
fn asked(lines: &[String]) -> io::Result<Option<String>> {
    let answer = |mut tty| Ok(put(&mut tty, lines)?.unwrap_or_default());
    terminal()?.map(answer).transpose()
}

/// Writes the lines and reads one; `None`: the input ended, or the line is too
/// long to be an answer.
fn put(tty: &mut File, lines: &[String]) -> io::Result<Option<String>> {
    tcflush(&*tty, FlushArg::TCIFLUSH)?;
    let columns = columns(tty.as_fd()).unwrap_or(COLUMNS);
    let lines = lines.iter().flat_map(|line| folded(&clean(line), columns));
    let text: Vec<String> = lines.collect();
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
    use crate::drive::example::disk;
    use crate::plan::{Pass, Plan};
    use crate::strategy::Content;
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
        assert_eq!(Expected::of(&disk(), &me()).shortest, "1B2C");
        let with = |serial: &str| {
            let mut all = me();
            all.push(other("sdc", serial, Kind::Disk));
            Expected::of(&disk(), &all).shortest
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
            Expected::of(&device, &[]).shortest
        };
        assert_eq!(wanted("000000000000", "sdb"), "sdb");
        assert_eq!(wanted("A1B", "sdb"), "sdb");
        assert_eq!(wanted("ABCD\x1bEFG", "sdb"), "sdb");
        assert_eq!(wanted("ABCDEFG\u{e9}", "sdb"), "sdb");
        assert_eq!(wanted("AB 12C", "sdb"), "B 12C");
        assert_eq!(wanted("", "a\nb.img"), "a?b.img");
        assert_eq!(wanted("", "  "), "/dev/sdb");
        assert_eq!(wanted("", "stop"), "/dev/sdb");
        assert_eq!(wanted("ZR5AEXIT", "sdb"), "AEXIT");
    }

    #[test]
    fn the_question_says_what_is_to_be_typed() {
        let by_serial = Expected::of(&disk(), &[]);
        assert_eq!(
            question(&disk(), &by_serial),
            [
                "Everything on /dev/sdb will be destroyed.",
                "/dev/sdb, ST18000NM004J, 18.0 TB, serial ends in 1B2C",
                "Type the last 4 characters of its serial to start, anything else to leave: ",
            ]
        );
        let mut nameless = disk();
        nameless.identity.serial = None;
        let [_, drive, by_name] = question(&nameless, &Expected::of(&nameless, &[]));
        assert_eq!(
            by_name,
            "Type its name, sdb, to start, anything else to leave: "
        );
        assert!(
            drive.ends_with(", no serial that tells it from others"),
            "{drive}"
        );
    }

    #[test]
    fn the_serial_or_an_end_of_it_that_no_other_disk_shares_is_a_yes() {
        let others = [other("sdc", "XXXX1B2C", Kind::Disk)];
        let wanted = Expected::of(&disk(), &others);
        for yes in ["ZR5A1B2C", " zr5a1b2c\r", "A1B2C", "r5a1b2c"] {
            assert!(wanted.is(yes), "{yes:?}");
        }
        for no in [
            "", " ", "y", "yes", "1B2C", "B2C", "XA1B2C", "A1B2CX", "sdb", "/dev/sdb",
        ] {
            assert!(!wanted.is(no), "{no:?}");
        }
        let mut device = disk();
        for serial in ["ABCDSTOP", "WXYZEXIT", "0123QUIT"] {
            device.identity.serial = Some(serial.into());
            let wanted = Expected::of(&device, &[]);
            assert!(wanted.is(serial) && !wanted.is(&serial[4..]), "{serial}");
        }
        // By its name or path where there is no good serial.
        device.identity.serial = None;
        let wanted = Expected::of(&device, &[]);
        assert!(wanted.is("sdb") && wanted.is("/dev/sdb") && !wanted.is("b"));
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
            (Some("continue"), Continuation::Continue),
            (Some(" Restart "), Continuation::StartOver),
            (Some("start over"), Continuation::StartOver),
            (Some(""), Continuation::Leave),
            (Some("y"), Continuation::Leave),
            (None, Continuation::Leave),
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
            put(&mut tty, &question(&disk(), &Expected::of(&disk(), &[]))).map(|typed| (typed, tty))
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
