//! Volumes, namespaces, caches and drives without a capacity, made by real
//! drivers in the small machine.

use crate::support::content::{Content, check};
use crate::support::vm::{MACHINE, Machine};
use crate::support::{MIB, cases};

cases![
    MACHINE => volumes_namespaces_and_drives_are_told_apart,
    MACHINE => a_drive_that_tells_no_capacity_is_not_called_empty,
];

/// What no word may be of what is said of a volume.
const UNTRUE: [&str; 6] = ["HPA", "Pull", "is Clear", "Clear (", "serial", "Serial"];

fn volumes_namespaces_and_drives_are_told_apart() {
    let machine = Machine::new()
        .disk("nvme,serial=THREE", 8 * MIB)
        .disk("ns,of=nvme0", 8 * MIB)
        .disk("ns,of=nvme0", 8 * MIB)
        .disk("nvme,serial=ONLY", 8 * MIB)
        .disk(
            "scsi,vendor=HP,model=LOGICAL VOLUME,serial=PDNMF0ARH8A0YN",
            8 * MIB,
        )
        .disk(
            "scsi,vendor=DELL,model=PERC H730 Mini,serial=00AB12CD",
            8 * MIB,
        )
        .disk("scsi,vendor=HP,model=EG0600FCVBK,serial=REALDRIVE", 8 * MIB)
        .disk("usb,serial=BRIDGED", 8 * MIB)
        .disk("sata,serial=ATADRIVE", 8 * MIB)
        .modules(&["dm-mod"]);
    let boot = machine
        .boot(
            &[],
            "three=$(dev THREE | head -n 1)
             one() { try \"$1 card\" wipeit --dry-run --state-dir /w $2
                     try \"$1 wipe\" wipeit --yes --state-dir /w $2; }
             one namespace $three
             for s in ONLY PDNMF0ARH8A0YN 00AB12CD REALDRIVE BRIDGED ATADRIVE; do
                 one $s $(dev $s)
             done
             echo 0 8192 linear $(dev ATADRIVE) 0 | dmsetup create vg-home
             one mapped /dev/dm-0; dmsetup remove vg-home
             try wrong wipeit --yes --restart --serial WRONG --state-dir /w $(dev PDNMF0ARH8A0YN)
             try list wipeit --list --json --state-dir /w
             show report /w/reports/*.json
             for p in /w/reports/*.html; do echo '<<< page'; cat $p; echo '>>>'; done",
        )
        .finished();
    let said = |name: &str| {
        let (card, wipe) = (format!("{name} card"), format!("{name} wipe"));
        boot.ended(&card, 0, &[]).ended(&wipe, 0, &["WIPED "]);
        format!("{}{}", boot.excerpt(&card), boot.excerpt(&wipe))
    };
    let has = |name: &str, words: &[&str]| {
        let text = said(name);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(flat.contains(word), "{name}: no {word:?} in {text}");
        }
    };
    has(
        "namespace",
        &[
            "NVMe SSD, namespace 1 of 3",
            "Clear (overwrite) of namespace 1 of 3 alone",
            "it has other namespaces, which were not touched",
            "only namespace 1 of 3; the rest of the drive was not touched",
        ],
    );
    assert!(!said("namespace").contains("HPA"));
    // The others were not touched.
    for other in ["ns0", "ns1"] {
        check(&machine.image(other), 0, 8 * MIB, &Content::Tags);
    }
    has("ONLY", &["Method Clear (overwrite): ", "serial ONLY"]);
    for untrue in ["HPA", "namespace 1"] {
        assert!(!said("ONLY").contains(untrue), "{}", said("ONLY"));
    }
    for volume in ["PDNMF0ARH8A0YN", "00AB12CD"] {
        has(
            volume,
            &[
                "volume of a RAID controller",
                &format!("Id {volume}"),
                "Method Overwritten: ",
                "the drives below it hold more",
            ],
        );
    }
    has("mapped", &["device-mapper volume", "Method Overwritten: "]);
    for volume in ["PDNMF0ARH8A0YN", "00AB12CD", "mapped"] {
        for untrue in UNTRUE {
            assert!(!said(volume).contains(untrue), "{untrue}: {}", said(volume));
        }
    }
    let words = ["has the volume id PDNMF0ARH8A0YN, but --serial says WRONG"];
    boot.ended("wrong", 4, &words);
    for drive in ["REALDRIVE", "ATADRIVE"] {
        let serial = format!("serial {drive}");
        has(
            drive,
            &[
                "HPA, DCO and AMAX areas",
                "Method Clear (overwrite): ",
                &serial,
            ],
        );
    }
    has(
        "BRIDGED",
        &["USB bridge hides: not checked", "Method Clear"],
    );
    assert!(!said("BRIDGED").contains("HPA"));
    let report = boot.json_of("report", "PDNMF0ARH8A0YN").unwrap();
    assert_eq!(report["method"], "Overwritten");
    assert_eq!(report["hidden_areas"], "none");
    assert_eq!(report["device_id"]["nature"]["is"], "controller-volume");
    let report = boot.json_of("report", "THREE").unwrap();
    assert_eq!(
        report["method"],
        "Clear of namespace 1 of 3 alone: overwrite"
    );
    let pages = boot.excerpts("page");
    let page = pages.iter().find(|page| page.contains("PDNMF0ARH8A0YN"));
    let page = page.expect("a page");
    assert!(page.contains("Volume id") && !page.contains("Serial number"));
    assert!(!page.contains("HPA") && page.contains("volume of a RAID controller"));
    let page = pages.iter().find(|page| page.contains("THREE")).unwrap();
    assert!(page.contains("namespace 1 of 3 of an NVMe drive"));
    assert!(page.contains("Every addressable byte of namespace 1 of 3 (and of no other)"));
    let listed = boot.excerpt("list");
    let listed: serde_json::Value =
        serde_json::from_str(&listed[..=listed.rfind('}').unwrap()]).unwrap();
    let rows = listed["disks"].as_array().unwrap();
    let row = rows.iter().find(|row| row["serial"] == "PDNMF0ARH8A0YN");
    assert_eq!(row.unwrap()["kind"], "volume");
}

fn a_drive_that_tells_no_capacity_is_not_called_empty() {
    // Of a medium of no bytes QEMU says "logical unit not ready", as drives do
    // that are locked, formatting or asleep.
    let boot = Machine::new()
        .blank("scsi,serial=EMPTY", 0)
        .disk("scsi,serial=OTHER", MIB)
        .boot(
            &[],
            "echo size $(cat /sys/block/sda/size) $(cat /sys/block/sda/device/vendor)
             e=/dev/sda; [ $(dev OTHER) = $e ] && e=/dev/sdb; echo empty $e
             try wipe wipeit --yes --state-dir /w $e
             try list wipeit --list --state-dir /w
             try json wipeit --list --json --state-dir /w",
        )
        .finished();
    let empty = boot.value("empty");
    let look = format!("sg_readcap {empty}");
    let words = [
        "reports no capacity",
        "520",
        "locked",
        "NOT wiped",
        "sg_format",
        &look,
    ];
    boot.ended("wipe", 4, &words);
    assert!(!boot.excerpt("wipe").contains("nothing to wipe"));
    boot.ended("list", 0, &[&format!("{empty} reports no capacity"), &look]);
    boot.ended("json", 0, &["NOT wiped", &look]);
}
