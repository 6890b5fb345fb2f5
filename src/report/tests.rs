//! The words about wipes of every kind.

use std::path::Path;
use std::time::Duration;

use super::closing::speed;
use super::{Ending, Record, Saved, details, line};
use crate::drive::example::disk;
use crate::drive::{Device, Kind, Medium, Transport};
use crate::outcome::{Outcome, Signal};
use crate::plan::example::difference;
use crate::plan::{Bad, BadState, During, Extent, Pass, Phase, Plan, ReadBack, Step, Verify, Wrap};
use crate::probe::{Computer, Durability};
use crate::progress::{Checkpoint, Run};
use crate::strategy::Content;
use crate::text::{COLUMNS, folded, size};

/// Whether every line fits a terminal.
fn fits(lines: &[String]) -> bool {
    let mut shown = lines.iter().flat_map(|line| folded(line, COLUMNS));
    shown.all(|line| line.len() <= COLUMNS)
}

const SIZE: u64 = 18_000_207_937_536;

fn checkpoint() -> Checkpoint {
    let pass = Pass {
        content: Content::Random {
            generator: crate::strategy::Generator::Aes256,
            key: crate::strategy::Key::new([7; 32]),
        },
        verify: Verify::Full,
    };
    let plan = Plan::new(vec![pass]).unwrap();
    let begun = "2026-01-14T02:10:00+01:00";
    let identity = disk().identity;
    let mut checkpoint = Checkpoint::begin(identity, plan, 1 << 20, "7f3a".into(), begun);
    *checkpoint.device_mut() = "/dev/sdb".into();
    *checkpoint.runs_mut() = vec![
        Run {
            start: "2026-01-14T02:00:00+01:00".into(),
            end: Some("2026-01-14T12:00:00+01:00".into()),
            ended_by: Some("SIGINT".into()),
            ..Run::default()
        },
        Run {
            start: "2026-01-14T13:00:00+01:00".into(),
            ..Run::default()
        },
    ];
    let complete = Step {
        pass: 0,
        phase: Phase::Complete,
    };
    checkpoint.set_position(complete, SIZE);
    checkpoint
}

fn ending<'a>(outcome: &'a Outcome, checkpoint: &'a Checkpoint) -> Ending<'a> {
    Ending {
        file: Some(Path::new("/var/lib/wipeit/reports/sdb-ZR5A1B2C-7f3a.json")),
        active: Duration::from_secs(36 * 3600 + 31 * 60),
        resume_command: "wipeit --resume".into(),
        ..Ending::new(outcome, Box::leak(Box::new(disk())), checkpoint)
    }
}

pub(crate) fn bad(checkpoint: &mut Checkpoint, start: u64, length: u64, during: During) {
    let what = Bad {
        pass: 1,
        state: BadState::Failed,
        during,
        errno: 5,
    };
    checkpoint
        .bad_mut()
        .add(Extent::new(start, length).unwrap(), what);
}

#[test]
fn a_wiped_drive_is_told_as_such() {
    let checkpoint = checkpoint();
    let ending = ending(&Outcome::Wiped, &checkpoint);
    assert_eq!(
        line(&ending),
        "WIPED /dev/sdb ZR5A1B2C 18000207937536 bytes, 0 bad, read-back full, 0 differ"
    );
    assert_eq!(
        details(&ending),
        [
            "  Method   Clear (overwrite): random, 1 pass, every byte read back",
            "  Time     46 h 31 min at 214 MB/s, written and read back; 2 runs",
            "  Pull     the drive in slot 0:7, serial ZR5A1B2C",
            "  Report   /var/lib/wipeit/reports/sdb-ZR5A1B2C-7f3a.json (and .html)",
            "  Limits   no overwrite reaches retired sectors; hidden areas: not checked",
        ]
    );
}

#[test]
fn a_wipe_that_was_not_read_back_says_none() {
    let mut checkpoint = checkpoint();
    *checkpoint.plan_mut() = checkpoint
        .plan()
        .clone()
        .with_read_back(ReadBack::None, 0, 7);
    let ending = ending(&Outcome::Wiped, &checkpoint);
    assert!(line(&ending).ends_with("bytes, 0 bad, read-back none"));
    assert!(details(&ending)[0].ends_with("not read back"));
}

#[test]
fn an_image_is_never_called_clear() {
    let mut checkpoint = checkpoint();
    checkpoint.device_id_mut().kind = Kind::Image;
    checkpoint.device_id_mut().serial = None;
    *checkpoint.page_cache_mut() = true;
    let mut ending = ending(&Outcome::Wiped, &checkpoint);
    let device = Device {
        medium: Medium::File,
        path: "/tmp/my disk.img".into(),
        ..disk()
    };
    ending.device = &device;
    let all = details(&ending).join("\n");
    assert!(!all.contains("Clear") && !all.contains("Pull"), "{all}");
    assert!(all.contains("Overwritten: random") && all.contains("page cache"));
    assert!(line(&ending).starts_with("WIPED /tmp/my\\040disk.img - 18000207937536 bytes"));
}

#[test]
fn a_check_through_the_page_cache_says_so() {
    let mut checkpoint = checkpoint();
    let said = |checkpoint: &Checkpoint| {
        let mut ending = ending(&Outcome::Checked, checkpoint);
        ending.check = true;
        details(&ending).join(" ")
    };
    assert!(!said(&checkpoint).contains("cache"));
    *checkpoint.page_cache_mut() = true;
    assert!(said(&checkpoint).contains("page cache"));
}

#[test]
fn flash_says_what_is_not_reached() {
    let checkpoint = checkpoint();
    let mut ending = ending(&Outcome::Wiped, &checkpoint);
    let device = Device {
        medium: Medium::Flash,
        ..disk()
    };
    ending.device = &device;
    assert!(details(&ending).join("\n").contains("spare blocks"));
}

#[test]
fn a_stopped_run_says_what_is_left_and_how_to_go_on() {
    let mut checkpoint = checkpoint();
    let step = Step {
        pass: 0,
        phase: Phase::Write,
    };
    checkpoint.set_position(step, 7_740_089_413_632);
    let outcome = Outcome::Interrupted(Signal::Int);
    let mut ending = ending(&outcome, &checkpoint);
    ending.file = Some(Path::new("/var/lib/wipeit/pending/sdb.json"));
    assert_eq!(
        line(&ending),
        "STOPPED /dev/sdb ZR5A1B2C 7740089413632 of 18000207937536 bytes, write 43.0%"
    );
    assert_eq!(
        details(&ending),
        [
            "  Flushed, and saved in /var/lib/wipeit/pending/sdb.json.",
            "  The drive is NOT wiped: the rest still holds its old data.",
            "  Continue, also after a reboot: wipeit --resume",
        ]
    );
    ending.saved = Saved::Less;
    let all = details(&ending).join("\n");
    assert!(
        !all.contains("Flushed, and saved") && all.contains("FAILED"),
        "{all}"
    );
    ending.state = &Durability::Memory;
    assert!(!details(&ending).join("\n").contains("also after a reboot"));
    ending.file = None;
    let all = details(&ending).join("\n");
    assert!(
        all.contains("cannot be resumed") && !all.contains("Continue"),
        "{all}"
    );
}

#[test]
fn a_stop_in_the_read_back_claims_no_old_data_and_forgets_no_finding() {
    let mut checkpoint = checkpoint();
    let step = Step {
        pass: 0,
        phase: Phase::Verify,
    };
    checkpoint.set_position(step, SIZE - 1);
    checkpoint.mismatches_mut().insert(difference(512, 1024));
    let outcome = Outcome::Failed("read at byte 5: I/O error".into());
    let ending = ending(&outcome, &checkpoint);
    assert_eq!(
        line(&ending),
        "FAILED /dev/sdb ZR5A1B2C 18000207937535 of 18000207937536 bytes, read-back 99.9%"
    );
    let all = details(&ending).join("\n");
    assert!(!all.contains("old data") && all.contains("512 bytes read back different"));
}

#[test]
fn bad_sectors_are_counted_listed_and_taken_off() {
    let mut checkpoint = checkpoint();
    bad(&mut checkpoint, 9_000_103_968_768, 2_097_152, During::Write);
    bad(&mut checkpoint, 9_000_504_524_800, 2_097_152, During::Write);
    let ending = ending(&Outcome::NotClear, &checkpoint);
    assert_eq!(
        line(&ending),
        "NOT-CLEAR /dev/sdb ZR5A1B2C 18000203743232 of 18000207937536 bytes, 1024 bad"
    );
    assert_eq!(
        details(&ending)[..5],
        [
            "  Bad      1,024 sectors of 4,096 bytes may hold old data, in 2 ranges:",
            "           9000103968768-9000106065919, 9000504524800-9000506621951",
            "  Rest     everything else is written and read back, 0 differ",
            "  Pull     the drive in slot 0:7, serial ZR5A1B2C; do not reuse or sell",
            "  Next     let the drive sanitize itself (hdparm, nvme, sg_sanitize), or destroy",
        ]
    );
}

#[test]
fn sectors_that_were_written_but_not_read_are_not_said_to_hold_old_data() {
    let mut checkpoint = checkpoint();
    for i in 0..40 {
        bad(&mut checkpoint, i * 8192, 100, During::Read);
    }
    let lines = details(&ending(&Outcome::NotClear, &checkpoint));
    let all = lines.join("\n");
    assert!(
        !all.contains("old data") && all.contains("cannot be read back"),
        "{all}"
    );
    assert!(all.contains("and 30 more"), "{all}");
    assert!(fits(&lines), "{all}");
}

#[test]
fn bytes_that_differ_are_counted_and_shown() {
    let mut checkpoint = checkpoint();
    checkpoint.mismatches_mut().insert(difference(4096, 5120));
    let ending = ending(&Outcome::Differs, &checkpoint);
    assert!(line(&ending).ends_with("bytes, 0 bad, read-back full, 1024 differ"));
    let all = details(&ending).join("\n");
    assert!(
        all.contains("1,024 bytes are in sectors that are not what was written, in 1 range:"),
        "{all}"
    );
    assert!(all.contains("4096-5119"), "{all}");
}

#[test]
fn a_drive_whose_addresses_wrap_is_called_a_counterfeit() {
    let mut checkpoint = checkpoint();
    checkpoint.mismatches_mut().insert(difference(4096, 5120));
    let told = |wrap| {
        let mut checkpoint = checkpoint.clone();
        *checkpoint.wrap_mut() = wrap;
        let lines = details(&ending(&Outcome::Differs, &checkpoint));
        assert!(fits(&lines), "{lines:?}");
        let words: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).collect();
        words.join(" ")
    };
    let wrap = Wrap::and(None, 8 << 20, 8 << 20);
    let meaning = "Meaning its addresses wrap: it has at most 8.38 MB of memory and not 18.0 \
                   TB; it is a counterfeit";
    assert!(told(Some(wrap)).contains(meaning), "{}", told(Some(wrap)));
    // A few writes that went astray are no reason to say so.
    let astray = Wrap::and(None, 8 << 20, 4096);
    assert!(told(Some(astray)).contains("cannot be trusted"));
    assert!(told(None).contains("cannot be trusted"));
}

#[test]
fn a_killed_run_makes_the_time_a_minimum_without_a_speed() {
    let mut checkpoint = checkpoint();
    checkpoint.runs_mut()[0].end = None;
    let text = &details(&ending(&Outcome::Wiped, &checkpoint))[1];
    assert!(
        text.starts_with("  Time     at least 36 h 31 min; 2 runs"),
        "{text}"
    );
    assert!(!text.contains("/s"), "{text}");
}

#[test]
fn a_report_that_was_not_saved_is_not_said_to_be() {
    let checkpoint = checkpoint();
    let mut ending = ending(&Outcome::Wiped, &checkpoint);
    ending.saved = Saved::Less;
    assert!(details(&ending).join("\n").contains("Report   NOT saved"));
}

#[test]
fn names_from_outside_reach_no_terminal_raw() {
    let mut checkpoint = checkpoint();
    checkpoint.device_id_mut().serial = Some("A\x1b[2J B".into());
    let mut ending = ending(&Outcome::Wiped, &checkpoint);
    ending.file = Some(Path::new("/x/\x1by.json"));
    let device = Device {
        slot: Some("\x1b]0;x\x07".into()),
        path: "/dev/\x1bz".into(),
        ..disk()
    };
    ending.device = &device;
    let all = details(&ending).join("") + &line(&ending);
    assert!(!all.contains('\x1b') && !all.contains('\x07'), "{all}");
}

#[test]
fn a_report_that_was_delivered_is_named() {
    let checkpoint = checkpoint();
    let mut ending = ending(&Outcome::Wiped, &checkpoint);
    let files = ["/srv/a.json".into(), "/srv/a.html".into()];
    ending.delivered = &files;
    let lines = details(&ending);
    assert_eq!(
        lines[4..6],
        ["           /srv/a.json", "           /srv/a.html"]
    );
}

#[test]
fn the_speed_of_a_sampled_wipe_counts_what_was_moved() {
    let mut checkpoint = checkpoint();
    *checkpoint.plan_mut() = checkpoint
        .plan()
        .clone()
        .with_read_back(ReadBack::Sample, 0, 7);
    let hour = Duration::from_secs(3600);
    let moved = SIZE + checkpoint.plan().verify().bytes(SIZE);
    let text = format!(
        " at {}/s, written and read back",
        size::decimal(moved / 3600)
    );
    assert_eq!(speed(&checkpoint, hour), text);
}

#[test]
fn a_record_says_what_its_checkpoint_does_without_its_keys() {
    let checkpoint = checkpoint();
    let record = Record::new(&checkpoint, &Outcome::Wiped, &disk(), Computer::default());
    let bytes = record.to_json().unwrap();
    let again = Checkpoint::read_record(&mut std::io::Cursor::new(&bytes)).unwrap();
    assert_eq!(again, checkpoint.clone().without_keys());
    // No checkpoint to any version.
    assert!(Checkpoint::parse(&bytes).is_err());
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        (&value["kind"], &value["version"]),
        (&"wipeit-record".into(), &1.into())
    );
    assert!(value["plan"][0].get("key").is_none(), "{value}");
    assert_eq!(value["outcome"], "WIPED");
    assert_eq!(value["method"], "Clear: overwrite");
    assert_eq!(value["hidden_areas"], "not checked");
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.starts_with("{\n  \"kind\""), "{text}");
    let read = Record::read(&mut std::io::Cursor::new(&bytes)).unwrap();
    assert_eq!(read, record);
    // As versions before this one left it.
    let mut old = serde_json::to_value(&checkpoint).unwrap();
    old["outcome"] = "WIPED".into();
    let old = old.to_string();
    assert!(Record::read(&mut std::io::Cursor::new(old)).is_ok());
}

#[test]
fn a_record_never_claims_what_was_not_achieved() {
    let mut checkpoint = checkpoint();
    let mut drive = disk();
    let method = |checkpoint: &Checkpoint, outcome, device: &_| {
        Record::new(checkpoint, &outcome, device, Computer::default())
            .end
            .method
    };
    for outcome in [Outcome::NotClear, Outcome::Differs] {
        assert_eq!(method(&checkpoint, outcome, &drive), "Clear NOT achieved");
    }
    for (kind, transport) in [
        (Kind::Partition, Transport::Sata),
        (Kind::Disk, Transport::Dm),
        (Kind::Disk, Transport::Md),
        (Kind::Disk, Transport::Other),
        (Kind::Disk, Transport::Virtio),
    ] {
        checkpoint.device_id_mut().kind = kind;
        checkpoint.device_id_mut().transport = transport;
        let method = method(&checkpoint, Outcome::Wiped, &drive);
        assert_eq!(method, "Overwritten", "{kind:?} {transport:?}");
    }
    checkpoint.device_id_mut().kind = Kind::Image;
    drive.medium = Medium::File;
    assert_eq!(method(&checkpoint, Outcome::Wiped, &drive), "Overwritten");
    let failed = method(&checkpoint, Outcome::NotClear, &drive);
    assert_eq!(failed, "Overwritten NOT achieved");
}

#[test]
fn bytes_that_were_compared_are_those_that_could_be_read() {
    let mut checkpoint = checkpoint();
    bad(&mut checkpoint, 4096, 8192, During::Read);
    checkpoint
        .mismatches_mut()
        .insert(difference(40_960, 45_056));
    let of = |checkpoint: &Checkpoint| {
        let device = disk();
        let record = Record::new(checkpoint, &Outcome::Differs, &device, Computer::default());
        (record.end.verification, record.end.bad_bytes)
    };
    let (found, bad_bytes) = of(&checkpoint);
    assert_eq!((found.method.as_str(), found.bytes), ("full", SIZE - 8192));
    assert_eq!((found.bytes_different, bad_bytes), (4096, 8192));
    *checkpoint.plan_mut() = checkpoint
        .plan()
        .clone()
        .with_read_back(ReadBack::Sample, 0, 7);
    let (found, _) = of(&checkpoint);
    let all = checkpoint.plan().verify().bytes(SIZE);
    assert_eq!(found.method, "sample");
    assert!(found.bytes <= all && found.bytes >= all - 8192);
    *checkpoint.plan_mut() = checkpoint
        .plan()
        .clone()
        .with_read_back(ReadBack::None, 0, 7);
    assert_eq!(of(&checkpoint).0.bytes, 0);
}
