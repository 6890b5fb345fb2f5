//! Volumes, namespaces, caches and drives without a capacity, made by real
//! drivers in the small machine.

use crate::support::content::{Content, check};
use crate::support::vm::{Boot, MACHINE, Machine};
use crate::support::{MIB, Need, cases};

/// Drives that QEMU does not have are reached over iSCSI.
const MODELS: &[Need] = &[
    Need::Machine,
    Need::Initiator,
    Need::Tool("openssl"),
    Need::Tool("unshare"),
    Need::Tool("setpriv"),
];

cases![
    MACHINE => volumes_namespaces_and_drives_are_told_apart,
    MODELS => what_tells_no_capacity_or_is_behind_a_controller_is_known_for_what_it_is,
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

/// Drives without a capacity: the third word is what `sd` says of them.
const SILENT: [(&str, &str, &str); 5] = [
    // Of a medium of no bytes QEMU says "logical unit not ready".
    ("scsi,serial=EMPTY", "EMPTY", "Not Ready"),
    (
        "iscsi,serial=B520,lbs=520",
        "B520",
        "Unsupported sector size 520",
    ),
    (
        "iscsi,serial=LOCKED,state=locked",
        "LOCKED",
        "manual intervention required",
    ),
    ("iscsi,serial=ASLEEP,state=asleep", "ASLEEP", "standby"),
    (
        "iscsi,serial=ERASING,state=sanitizing",
        "ERASING",
        "Sense Key : Not Ready",
    ),
];

/// What controllers show, and whether it is a drive: by the real driver of
/// one, by the model.
const CONTROLLERS: [(&str, &str, bool); 4] = [
    ("raid,serial=VOLUME,model=ST600MM0006", "VOLUME", false),
    ("jbod,serial=PASSED,model=ST600MM0006", "PASSED", true),
    (
        "mptsas,serial=ONSAS,vendor=HP,model=EG0600FCVBK",
        "ONSAS",
        true,
    ),
    // A volume may have ATA data, too.
    (
        "iscsi,serial=ATADATA,vendor=HP,model=LOGICAL VOLUME,ata",
        "ATADATA",
        false,
    ),
];

fn what_tells_no_capacity_or_is_behind_a_controller_is_known_for_what_it_is() {
    let mut machine = Machine::new();
    for (spec, serial, _) in SILENT {
        let size = if serial == "EMPTY" { 0 } else { 520 * 16_384 };
        machine = machine.disk(spec, size);
    }
    for (spec, _, _) in CONTROLLERS {
        machine = machine.disk(spec, 8 * MIB);
    }
    machine = machine.disk("scsi,serial=SEEN", 8 * MIB);
    let silent: Vec<&str> = SILENT.iter().map(|(_, serial, _)| *serial).collect();
    let shown: Vec<&str> = CONTROLLERS.iter().map(|(_, serial, _)| *serial).collect();
    let boot = machine
        .boot(
            &[],
            &format!(
                "node() {{ for d in /sys/block/sd*; do grep -qa $1 $d/device/vpd_pg80 && echo /dev/${{d##*/}}; done; }}
                 for s in {silent}; do
                     d=$(node $s); echo \"node $s $d\"; echo \"size $s $(cat /sys/block/${{d##*/}}/size)\"
                     dmesg | grep \"\\[${{d##*/}}\\]\" >/tmp/log; show \"log $s\" /tmp/log
                     try \"wipe $s\" wipeit --yes --state-dir /w $d
                     try \"check $s\" wipeit --check --state-dir /w $d
                 done
                 for s in {shown}; do
                     try \"card $s\" wipeit --dry-run --state-dir /w $(node $s)
                     try \"wipe $s\" wipeit --yes --state-dir /w $(node $s)
                 done
                 try list wipeit --list --state-dir /w
                 try json wipeit --list --json --state-dir /w
                 {UNSEEN}",
                silent = silent.join(" "),
                shown = shown.join(" "),
            ),
        )
        .finished();
    without_a_capacity(&machine, &boot);
    for (_, serial, is_drive) in CONTROLLERS {
        let (card, wipe) = (format!("card {serial}"), format!("wipe {serial}"));
        let (name, method, limit) = if is_drive {
            (
                format!("Serial {serial}"),
                "Method Clear (overwrite): ",
                "HPA, DCO and AMAX areas",
            )
        } else {
            (
                format!("Id {serial}"),
                "Method Overwritten: ",
                "volume of a RAID controller",
            )
        };
        boot.ended(&card, 0, &[limit]);
        let mut said = boot.excerpt(&card).to_string();
        // QEMU's controller fails the flushes of a drive that it passes through.
        if serial != "PASSED" {
            boot.ended(&wipe, 0, &["WIPED ", method]);
            said += boot.excerpt(&wipe);
        }
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&name), "{said}");
        for untrue in UNTRUE.iter().filter(|_| !is_drive) {
            assert!(!said.contains(untrue), "{untrue}: {said}");
        }
    }
    unseen(&boot);
}

fn without_a_capacity(machine: &Machine, boot: &Boot) {
    let json = boot.excerpt("json");
    let json: serde_json::Value = serde_json::from_str(&json[..=json.rfind('}').unwrap()]).unwrap();
    for (_, serial, log) in SILENT {
        let node = boot.value(&format!("node {serial}"));
        assert_eq!(boot.value(&format!("size {serial}")), "0");
        let said = boot.excerpt(&format!("log {serial}"));
        assert!(said.contains(log), "{serial}: {said}");
        let look = format!("sg_readcap {node}");
        let words = [
            "reports no capacity",
            "520",
            "locked",
            "asleep",
            "NOT wiped",
            "sg_format",
            &look,
        ];
        for run in ["wipe", "check"] {
            let run = format!("{run} {serial}");
            boot.ended(&run, 4, &words);
            boot.ended(&run, 4, &[&format!("REFUSED {node} "), "nothing written"]);
            assert!(!boot.excerpt(&run).contains("nothing to wipe"));
        }
        let listed = format!("{node} reports no capacity");
        boot.ended("list", 0, &[&listed, &look]);
        let rows = json["disks"].as_array().unwrap();
        let row = rows.iter().find(|row| row["device"] == node).unwrap();
        assert_eq!(row["serial"], serial, "{row}");
        assert_eq!(row["state"], "unknown", "{row}");
        assert_eq!(row["wipeable"], false, "{row}");
        let notes = json["notes"].to_string();
        assert!(
            notes.contains("NOT wiped") && notes.contains(&look),
            "{notes}"
        );
    }
    check(&machine.image("iscsi0"), 0, 520 * 16_384, &Content::Tags);
}

/// Who cannot see the writers of a drive wipes it only by its serial.
const UNSEEN: &str = r#"
mkdir /n; chown 65534 /n; d=$(node SEEN); echo "node SEEN $d"
user="setpriv --reuid=65534 --regid=6 --clear-groups"
hidden() { unshare -m sh -c "mount -t proc -o hidepid=2 proc /proc && exec $user \"\$@\"" sh "$@"; }
apart="unshare --pid --fork --mount-proc"
for how in user hidden apart; do
    case $how in user) run=$user;; hidden) run=hidden;; apart) run=$apart;; esac
    try "$how" $run wipeit --yes --state-dir /n/$how $d
    try "$how wrong" $run wipeit --serial OTHER --state-dir /n/$how $d
    try "$how named" $run wipeit --serial SEEN --state-dir /n/$how $d
done
"#;

fn unseen(boot: &Boot) {
    let node = boot.value("node SEEN");
    for (how, fact, remedy) in [
        (
            "user",
            "those of other users may not be looked at",
            "run as root of the machine",
        ),
        ("hidden", "/proc hides them: hidepid", "without hidepid"),
        ("apart", "a PID namespace of its own", "--pid=host"),
    ] {
        let words = [
            "cannot be seen",
            fact,
            remedy,
            "or add --serial",
            "not touched",
        ];
        boot.ended(how, 4, &words);
        boot.ended(&format!("{how} wrong"), 4, &["not touched"]);
        let line = format!("WIPED {node} SEEN {} bytes", 8 * MIB);
        boot.ended(&format!("{how} named"), 0, &[&line]);
    }
}
