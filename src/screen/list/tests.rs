use jiff::Timestamp;

use super::*;
use crate::drive::Fact;
use crate::drive::example::{SIZE as BYTES, disk as device};
use crate::plan::{Pass, Plan, Verify};
use crate::probe::{Disk, Whereabouts};
use crate::progress::{Checkpoint, Run};
use crate::strategy::Content as Written;

fn now() -> Timestamp {
    "2026-01-14T12:00:00Z".parse().unwrap()
}

fn disk() -> Disk {
    let device = device();
    Disk {
        path: device.path.clone(),
        name: device.name.clone(),
        size: device.size,
        no_capacity: None,
        identity: Some(device.identity.clone()),
        medium: device.medium,
        slot: device.slot.clone(),
        facts: Ok(device),
        denied: None,
        held: Vec::new(),
    }
}

fn row(disk: Disk) -> Row {
    let state = Readiness::of(&disk, None, None, now());
    Row { disk, state }
}

fn checkpoint() -> Checkpoint {
    let pass = Pass {
        content: Written::Zero,
        verify: Verify::Full,
    };
    let (plan, begun) = (Plan::new(vec![pass]).unwrap(), "2026-01-14T01:00:00Z");
    let mut checkpoint = Checkpoint::begin(device().identity, plan, 1 << 20, "7f3a".into(), begun);
    *checkpoint.device_mut() = "/dev/sdb".into();
    let step = checkpoint.step();
    checkpoint.set_position(step, 7_740_089_413_632);
    checkpoint.runs_mut().push(Run {
        start: begun.into(),
        end: Some("2026-01-14T10:00:00Z".into()),
        ended_by: Some("SIGINT".into()),
        ..Run::default()
    });
    checkpoint
}

fn unfinished(place: Whereabouts) -> PendingWipe {
    PendingWipe {
        file: "/var/lib/wipeit/pending/a.json".into(),
        checkpoint: checkpoint(),
        slot: matches!(place, Whereabouts::Here(_)).then(|| "0:7".into()),
        place,
        running: false,
        pid: None,
        resume: "wipeit --resume".into(),
    }
}

fn listing(rows: Vec<Row>) -> Listing {
    Listing {
        unfinished: vec![unfinished(Whereabouts::Here("/dev/sdb".into()))],
        disks: rows,
        notes: Vec::new(),
    }
}

#[test]
fn the_list_is_what_the_user_was_promised() {
    let rows = listing(vec![row(disk())]);
    assert_eq!(
        rows.text(Some(80), now()),
        "\
Unfinished:
  ZR5A1B2C  ST18000NM004J 18.0 TB, now /dev/sdb, slot 0:7
            write 43.0% (7.74 of 18.0 TB), stopped 2 h ago by Ctrl+C
            continue: wipeit --resume /dev/sdb

Disks:
  DEVICE       SIZE  STATE                    KIND  MODEL         SERIAL    SLOT
  /dev/sdb  18.0 TB  has data: ext4 \"backup\"  HDD   ST18000NM0..  ZR5A1B2C  0:7
Nothing was touched. Wipe one with: wipeit DEVICE
"
    );
}

#[test]
fn a_terminal_gets_no_line_that_is_too_long_and_others_get_all() {
    let mut long = disk();
    let id = long.identity.as_mut().unwrap();
    id.model = Some("A MODEL WITH A VERY LONG NAME THAT NEVER ENDS".into());
    long.facts = Err("a reason that is a whole sentence and longer than that".into());
    let rows = listing(vec![row(disk()), row(long.clone())]);
    let whole = rows.text(None, now());
    assert!(whole.contains("NAME THAT NEVER ENDS") && whole.contains("longer than that"));
    assert!(!whole.contains("..") && !whole.contains('\t'));
    for width in 20..200 {
        let text = rows.text(Some(width), now());
        for line in text.lines() {
            let kept = line.contains("continue:") || line.starts_with("Nothing");
            let state = line.ends_with("backup\"")
                || line.ends_with("than that")
                || line.ends_with("STATE");
            assert!(
                kept || state || line.chars().count() <= width,
                "{width}: {text}"
            );
        }
        assert!(text.contains("/dev/sdb"), "{width}: {text}");
        // The state is whole at any width.
        for state in ["has data: ext4 \"backup\"", "longer than that"] {
            assert!(text.contains(state), "{width}: {text}");
        }
    }
    // The model gives way first.
    let text = listing(vec![row(disk())]).text(Some(80), now());
    assert!(text.contains("  ST18000NM0..  "), "{text}");
    let columns: Vec<usize> = whole
        .lines()
        .filter(|line| line.starts_with("  /dev") || line.starts_with("  DEVICE"))
        .map(|line| line.find(" 0:7").or(line.find(" SLOT")).unwrap())
        .collect();
    assert_eq!(columns.len(), 3);
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{whole}");
}

#[test]
fn no_name_from_outside_commands_a_terminal() {
    let nasty = "a\x1b[2Jb\u{202e}\n\u{9b}c\u{7f}";
    let mut bad = disk();
    let id = bad.identity.as_mut().unwrap();
    id.model = Some(nasty.into());
    id.serial = Some(nasty.into());
    bad.slot = Some(nasty.into());
    bad.path = format!("/dev/{nasty}").into();
    bad.facts.as_mut().unwrap().contents[1].label = Some(nasty.into());
    let mut rows = listing(vec![row(bad)]);
    let wipe = &mut rows.unfinished[0];
    wipe.place = Whereabouts::Here(format!("/x/{nasty}").into());
    wipe.slot = Some(nasty.into());
    wipe.checkpoint.device_id_mut().serial = Some(nasty.into());
    wipe.checkpoint.device_id_mut().model = Some(nasty.into());
    wipe.checkpoint.runs_mut()[0].ended_by = Some(nasty.into());
    rows.notes.push(nasty.into());
    for text in [
        rows.text(None, now()),
        rows.text(Some(80), now()),
        rows.json(now()).unwrap(),
    ] {
        let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(text.chars().all(harmless), "{text:?}");
    }
    assert_eq!(rows.text(None, now()).lines().count(), 10);
    let json: serde_json::Value = serde_json::from_str(&rows.json(now()).unwrap()).unwrap();
    assert_eq!(json["disks"][0]["serial"], nasty);
}

#[test]
fn every_place_and_end_of_an_unfinished_wipe_has_its_words() {
    let text = |wipe: &PendingWipe| {
        let command = wipe.command().map(|it| format!("\n{it}"));
        wipe.lines(now()).join("\n") + &command.unwrap_or_default()
    };
    let absent = unfinished(Whereabouts::Absent);
    let all = text(&absent);
    assert!(all.contains("18.0 TB, not attached\n"), "{all}");
    assert!(all.ends_with("\nwipeit --resume"), "{all}");
    let all = text(&unfinished(Whereabouts::AnyOf(vec![
        "/dev/sdb".into(),
        "/dev/sdc".into(),
    ])));
    assert!(all.contains("one of /dev/sdb, /dev/sdc"), "{all}");
    assert!(all.ends_with("--resume DEVICE"), "{all}");
    let mut wipe = unfinished(Whereabouts::Here("/dev/a b".into()));
    assert!(text(&wipe).ends_with("--resume '/dev/a b'"));
    wipe.checkpoint.runs_mut()[0].end = None;
    *wipe.checkpoint.timestamp_mut() = "2026-01-14T11:59:48Z".into();
    let all = text(&wipe);
    assert!(all.contains("killed or crashed, saved 12 s ago"), "{all}");
    wipe.running = true;
    let all = text(&wipe);
    assert!(all.contains(", running"), "{all}");
    assert!(!all.contains("--resume"), "{all}");
    wipe.pid = Some(712);
    wipe.checkpoint.runs_mut()[0].work_ms = Some(3_600_000);
    let (step, half) = (wipe.checkpoint.step(), wipe.checkpoint.total_size() / 2);
    wipe.checkpoint.set_position(step, half);
    let all = text(&wipe);
    assert!(
        all.contains("running as process 712, about 3 h 0 min left, saved"),
        "{all}"
    );
    wipe.running = false;
    wipe.checkpoint.runs_mut()[0].end = Some("nonsense".into());
    assert!(text(&wipe).contains("stopped at an unknown time by Ctrl+C"));
}

#[test]
fn an_earlier_wipe_is_told_with_what_came_after_it() {
    let past = |outcome: &str| Past {
        outcome: outcome.into(),
        at: "2026-01-11T11:00:00Z".parse().unwrap(),
    };
    let mut disk = disk();
    let told = |disk: &Disk, name: Option<&str>, outcome: &str| {
        let state = Readiness::of(disk, name, Some(&past(outcome)), now());
        format!("{}: {}", state.word, state.text)
    };
    assert_eq!(
        told(&disk, None, "WIPED"),
        "wiped: wiped 3 days ago, now ext4 \"backup\""
    );
    disk.facts.as_mut().unwrap().contents.truncate(1);
    disk.facts.as_mut().unwrap().contents[0].what = None;
    assert_eq!(told(&disk, None, "WIPED"), "wiped: wiped 3 days ago");
    assert_eq!(
        told(&disk, None, "NOT-CLEAR"),
        "not-clear: NOT CLEAR 3 days ago"
    );
    assert_eq!(told(&disk, None, "DIFFERS"), "differs: differs 3 days ago");
    assert_eq!(told(&disk, Some("sdb"), "WIPED"), "unfinished: unfinished");
    assert_eq!(
        told(&disk, Some("sdb1"), "WIPED"),
        "unfinished: unfinished: sdb1"
    );
    disk.facts.as_mut().unwrap().usage.busy = Fact::Known(true);
    assert_eq!(
        told(&disk, Some("sdb"), "WIPED"),
        "in-use: in use, unfinished"
    );
}

#[test]
fn what_a_user_may_not_read_is_unknown_but_what_is_seen_is_said() {
    let mut disk = disk();
    disk.denied = Some(crate::probe::Denial::NotRoot);
    disk.facts.as_mut().unwrap().usage.busy =
        Fact::Unknown("cannot open /dev/sdb: permission denied".into());
    let seen = Readiness::of(&disk, None, None, now());
    assert_eq!(
        (seen.word, seen.text.as_str()),
        ("unknown", "unknown: no permission")
    );
    disk.facts.as_mut().unwrap().usage.swaps = Fact::Known(vec!["/dev/sdb1".into()]);
    let seen = Readiness::of(&disk, None, None, now());
    assert_eq!((seen.word, seen.text.as_str()), ("in-use", "swap"));
    assert_eq!(seen.reasons.len(), 2);
}

#[test]
fn the_json_has_exact_numbers_and_times() {
    let json: serde_json::Value =
        serde_json::from_str(&listing(vec![row(disk())]).json(now()).unwrap()).unwrap();
    let (wipe, disk) = (&json["unfinished"][0], &json["disks"][0]);
    assert_eq!(wipe["done"], 7_740_089_413_632_u64);
    assert_eq!(wipe["size"], BYTES);
    assert_eq!(wipe["phase"], "write");
    assert_eq!(wipe["ended_at"], "2026-01-14T10:00:00Z");
    assert_eq!(wipe["devices"][0], "/dev/sdb");
    assert_eq!(disk["size"], BYTES);
    assert_eq!(disk["kind"], "HDD");
    assert_eq!(disk["wipeable"], true);
    assert_eq!(disk["contents"][1]["format"], "ext4");
    assert_eq!(disk["contents"][1]["label"], "backup");
    assert_eq!(disk["last_wiped_at"], serde_json::Value::Null);
}
