use std::path::Path;
use std::time::Duration;

use jiff::ZonedDateTime;

use super::*;
use crate::drive::{Device, Fact, Kind, Medium, Mount, Signature, Transport};
use crate::plan::{Pass, Plan, ReadBack, Verify};
use crate::probe::{Durability, Keeping};
use crate::progress::Checkpoint;
use crate::strategy::{Content, Generator, Key};

use crate::drive::example::{SIZE, disk};
use crate::text::{COLUMNS, folded};

fn plan(passes: usize) -> Plan {
    let pass = Pass {
        content: Content::Random {
            generator: Generator::Aes256,
            key: Key::new([7; 32]),
        },
        verify: Verify::None,
    };
    let plan = Plan::new(vec![pass; passes]).unwrap();
    plan.with_read_back(ReadBack::Full, 0, 7)
}

fn now() -> ZonedDateTime {
    "2026-01-14T02:10:00+01:00[Europe/Berlin]".parse().unwrap()
}

const TIMES: PassTimes = (Duration::from_secs(83_700), Duration::from_secs(83_700));

fn shown(device: &Device, passes: usize) -> Vec<String> {
    let state = Path::new("/var/lib/wipeit");
    fresh(
        device,
        &plan(passes),
        Some(TIMES),
        &now(),
        state,
        &Keeping::on_disk(),
    )
}

#[test]
fn the_card_says_what_is_destroyed_and_how_long_it_takes() {
    assert_eq!(
        shown(&disk(), 1),
        [
            "  Device   /dev/sdb, SATA hard disk, slot 0:7",
            "  Model    SEAGATE ST18000NM004J, firmware E002",
            "  Serial   ZR5A1B2C, WWN 5000c500d1a2b3c4",
            "  Size     18.0 TB (18,000,207,937,536 bytes)",
            "  Content  GPT: sdb1 18.0 TB ext4 \"backup\"; not mounted",
            "  Plan     1. write random data                     about 23 h",
            "           2. read everything back and compare      about 23 h",
            "           done about Fri 16 Jan 00:40",
            "  State    /var/lib/wipeit (on disk: survives a reboot)",
            "  Hidden   HPA, DCO and AMAX areas: not checked",
        ]
    );
}

#[test]
fn members_of_what_is_not_active_stand_on_the_card() {
    let mut device = disk();
    device.contents[1].what = Some("LVM2");
    device.contents[1].label = None;
    device.contents[1].group = Some("vg\n0".into());
    let lines = shown(&device, 1);
    assert_eq!(
        lines[4..6],
        [
            "  Content  GPT: sdb1 18.0 TB LVM2; not mounted",
            "  Warning  sdb1 is a member of the inactive LVM2 volume group vg\\0120",
        ]
    );
}

#[test]
fn flash_files_and_states_in_memory_are_told_honestly() {
    let mut device = disk();
    device.medium = Medium::Flash;
    let all = shown(&device, 1).join("\n");
    assert!(all.contains("SATA SSD") && all.contains("spare blocks are not reached"));
    assert!(all.contains("overwriting is Clear"));
    device.identity.kind = Kind::Partition;
    let all = shown(&device, 1).join("\n");
    assert!(all.contains("spare blocks are not reached") && !all.contains("Clear"));
    device.identity.kind = Kind::Disk;
    device.identity.transport = Transport::Md;
    device.medium = Medium::Unknown;
    let all = shown(&device, 1).join("\n");
    assert!(all.contains("Volume   the drives below hold more"), "{all}");
    device.medium = Medium::File;
    device.identity.kind = Kind::Image;
    let all = shown(&device, 1).join("\n");
    assert!(all.contains("disk-image file"), "{all}");
    assert!(all.contains("Limits   it lies in a file") && all.contains("overwritten, not Clear"));
    let state = Path::new("/x");
    let keeping = Keeping {
        durability: Durability::Memory,
        unflushed: vec!["sda".into()],
    };
    let all = fresh(&device, &plan(1), None, &now(), state, &keeping).join("\n");
    assert!(
        all.contains("in memory") && all.contains("NOT survive"),
        "{all}"
    );
    assert!(!all.contains("about"), "{all}");
}

#[test]
fn whatever_a_drive_says_the_card_stays_a_card() {
    let mut device = disk();
    device.identity.model = Some("\x1b[2Jmodel ".repeat(12));
    device.identity.serial = None;
    device.usage.mounts = Fact::Known(vec![Mount {
        name: "sdb1".into(),
        point: "/mnt".into(),
        by: None,
    }]);
    let part = device.contents[1].clone();
    for i in 0..40 {
        device.contents.push(Signature {
            name: format!("sdb{i}"),
            label: Some("a\nb\u{202e}".into()),
            ..part.clone()
        });
    }
    let lines = shown(&device, 60);
    let all = lines.join("|");
    assert!(
        !all.chars().any(char::is_control) && !all.contains('\u{202e}'),
        "{all}"
    );
    assert!(
        lines
            .iter()
            .flat_map(|line| folded(line, COLUMNS))
            .all(|line| line.chars().count() <= COLUMNS),
        "{lines:#?}"
    );
    assert!(lines.len() < 35, "{lines:#?}");
    assert!(
        all.contains("MOUNTED") && all.contains("none reported"),
        "{all}"
    );
    assert!(
        all.contains("and 33 more") && all.contains("... 54 more steps"),
        "{all}"
    );
    assert!(all.contains("61. read everything back"), "{all}");
}

fn checkpoint() -> Checkpoint {
    let (identity, begun) = (disk().identity, "2026-01-14T01:10:00Z");
    let mut checkpoint = Checkpoint::begin(identity, plan(1), 1 << 20, "7f3a".into(), begun);
    *checkpoint.device_mut() = "/dev/sdb".into();
    let step = checkpoint.step();
    checkpoint.set_position(step, 7_740_089_413_632);
    checkpoint
}

#[test]
fn the_resume_card_says_why_it_is_the_same_drive_and_where_it_goes_on() {
    let mut device = disk();
    device.path = "/dev/sdd".into();
    let proof = SameDrive {
        identifiers: "WWN and serial".into(),
        samples: 258,
    };
    assert_eq!(
        resumed(&checkpoint(), &device, &proof, Some(TIMES), &now()),
        [
            "  Drive    ZR5A1B2C, ST18000NM004J, 18.0 TB, slot 0:7",
            "           was /dev/sdb, now /dev/sdd",
            "  Proof    that it is the same: WWN and serial equal; 258 samples of what was \
             written are still there",
            "  Plan     random, 1 pass, full read-back; begun Wed 14 Jan 02:10",
            "           write continues at 43.0% (7.74 of 18.0 TB); done about Thu 14:40",
        ]
    );
    let mut done = checkpoint();
    done.set_position(plan(1).after(plan(1).steps()[1]), SIZE);
    let all = resumed(&done, &device, &proof, Some(TIMES), &now()).join(" ");
    assert!(all.contains("only the report is left"), "{all}");
    assert!(all.contains("read back as asked"), "{all}");
    *done.plan_mut() = done.plan().clone().with_read_back(ReadBack::None, 0, 0);
    let all = resumed(&done, &device, &proof, Some(TIMES), &now()).join(" ");
    assert!(!all.contains("read back as asked"), "{all}");
    assert!(
        all.contains("everything is written; only the report is left"),
        "{all}"
    );
}
