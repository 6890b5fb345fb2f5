//! Two ways to one drive, and two drives behind one name, in the machine.

use crate::support::content::{Content, check};
use crate::support::state::number;
use crate::support::vm::{MACHINE, Machine};
use crate::support::{MIB, Need, cases};

const MULTIPATH: &[Need] = &[Need::Machine, Need::Tool("openssl"), Need::Tool("dmsetup")];
cases![
    MACHINE => a_drive_with_two_paths_is_resumed_by_either_and_locked_on_both,
    MACHINE => paths_that_nothing_proves_to_be_one_drive_are_resumed_by_the_one_that_is_named,
    MACHINE => of_two_drives_with_one_name_only_the_one_that_was_begun_is_resumed,
    MACHINE => two_drives_with_one_name_that_look_alike_are_told_apart_by_the_keystream,
    MULTIPATH => a_multipath_map_is_the_drive_that_its_paths_lead_to,
];

const SIZE: u64 = 16 * MIB;

/// `begin NAME DEVICE OPTIONS...`: a wipe that is stopped some megabytes in,
/// after what `$during` says.
const BEGIN: &str = r#"
written() { sed -n 's/^  "written": \([0-9]*\),/\1/p' /w/pending/*.json 2>/dev/null; }
begin() { began=$1; shift
    wipeit --yes --rate-limit 2M -b 64K --checkpoint-every 1M --state-dir /w "$@" </dev/null >/out 2>&1 & pid=$!
    n=0; until [ "$(written || echo 0)" -gt 3000000 ] 2>/dev/null || [ $n = 300 ]; do n=$((n+1)); sleep .1; done
    $during
    kill -TERM $pid; wait $pid; echo "code $?" >>/out; show "$began" /out; show "pending $began" /w/pending/*.json; }
during=
"#;

/// `old FILE`: as version 0.1.0 wrote a checkpoint or record of a map.
const OLD: &str = r#"
old() {
    sed -Ei '/"device_id"/,/"slice"/ {
        s/"transport": "scsi"/"transport": "dm"/; s/"model": .*/"model": "mp",/
        s/"(vendor|serial|firmware)": .*/"\1": null,/
        s/"wwn": .*/"wwn": "mpath-35000c500a1b20000",/ }
        s/"backing": null,/"backing": null/; /"nature": \{/,/\}/d' $1
    # of a record, which its keys name by its SHA-256
    k=${1%.json}.keys.json
    [ -f $k ] || return 0
    sed -Ei "s/(_sha256\": \")[0-9a-f]*/\1$(sha256sum $1 | cut -c 1-64)/" $k
}
"#;

fn a_drive_with_two_paths_is_resumed_by_either_and_locked_on_both() {
    for options in ["", "-s zero"] {
        let machine = Machine::new()
            .disk("scsi,serial=DUAL", SIZE)
            .path("scsi,path-to=scsi0");
        let boot = machine
            .boot(
                &[],
                &format!(
                    "{BEGIN}
                     set -- $(dev DUAL); echo a $1; echo b $2; a=$1; b=$2
                     busy() {{ try 'other path' wipeit --yes --state-dir /v $b; }}
                     during=busy; begin first $a {options}; during=
                     try resume wipeit --resume --yes --state-dir /w $b
                     show report /w/reports/*.json; rm -f /w/reports/*.json
                     try serial wipeit --serial DUAL --state-dir /w $a
                     during=; begin second $b {options}
                     try looked-for wipeit --resume --yes --state-dir /w
                     for d in $a $b; do try \"check $d\" wipeit --check --state-dir /w $d; done
                     echo before $(lab requests scsi0)
                     for d in $a $b; do try \"ensure $d\" wipeit --ensure --yes {options} --state-dir /w $d; done
                     echo after $(lab requests scsi0)"
                ),
            )
            .finished();
        let (a, b) = (boot.value("a"), boot.value("b"));
        assert_ne!(a, b);
        boot.ended("first", 143, &[]);
        boot.ended("other path", 6, &["lock"]);
        let line = format!("WIPED {b} DUAL {SIZE} bytes");
        boot.ended("resume", 0, &[&line, "continues at"]);
        let begun = boot.json_of("pending first", "DUAL").unwrap();
        assert!(number(&begun, "written") > 0, "{begun}");
        let report = boot.json_of("report", "DUAL").unwrap();
        assert_eq!(report["run_id"], begun["run_id"]);
        // The serial names the one drive.
        boot.ended("serial", 0, &["WIPED "]);
        boot.ended("second", 143, &[]);
        boot.ended("looked-for", 0, &["WIPED ", "continues at"]);
        for path in [a, b] {
            boot.ended(&format!("check {path}"), 0, &["CHECKED "]);
            boot.ended(
                &format!("ensure {path}"),
                0,
                &["WIPED ", "nothing was written"],
            );
        }
        // `ok READS WRITES`: nothing was written again.
        let writes = |key: &str| boot.value(key).rsplit(' ').next().unwrap().to_string();
        assert_eq!(writes("before"), writes("after"));
    }
}

fn paths_that_nothing_proves_to_be_one_drive_are_resumed_by_the_one_that_is_named() {
    // Blank, and silent about its ports.
    let machine = Machine::new()
        .blank("scsi,serial=DUAL,no-ports", SIZE)
        .path("scsi,path-to=scsi0,no-ports")
        // Two drives with a copied name, which look the same.
        .blank("scsi,serial=TWIN", SIZE)
        .blank("scsi,serial=TWIN,wwn-of=scsi2", SIZE);
    let boot = machine
        .boot(
            &[],
            &format!(
                "{BEGIN}
                 set -- $(dev DUAL); echo a $1; echo b $2; a=$1; b=$2
                 busy() {{ try 'other path' wipeit --resume --yes --state-dir /w $b; }}
                 begin zero $a -s zero --verify none
                 try looked-for wipeit --resume --yes --state-dir /w
                 try unasked wipeit --resume --state-dir /w $b
                 # What stands between the samples comes to light.
                 (wipeit --resume --yes --rate-limit 2M -b 64K --state-dir /w $a </dev/null >/out 2>&1
                  echo \"code $?\" >>/out) & n=0
                 until grep -q continues /out || [ $n = 300 ]; do n=$((n+1)); sleep .1; done
                 busy; wait; show resume /out
                 show report /w/reports/*.json
                 try ensure wipeit --ensure -s zero --yes --state-dir /w $b
                 rm -rf /w; begin random $a
                 try 'random looked-for' wipeit --resume --yes --state-dir /w
                 rm -rf /w; set -- $(dev TWIN); echo twins $1, $2
                 begin twin $1 -s zero
                 try 'twin looked-for' wipeit --resume --yes --state-dir /w
                 try 'twin ensure begun' wipeit --ensure -s zero --yes --state-dir /w $1
                 try 'twin named' wipeit --resume --yes --state-dir /w $1
                 try 'twin check' wipeit --check --state-dir /w $2
                 try 'twin serial' wipeit --serial TWIN --state-dir /w $2
                 try list wipeit --list --json --state-dir /w
                 try 'twin ensure' wipeit --ensure -s zero --yes --state-dir /w $2"
            ),
        )
        .finished();
    let (a, b) = (boot.value("a"), boot.value("b"));
    boot.ended("zero", 143, &[]);
    let hint = format!("could be of any of {a}, {b}, which report and show the same");
    boot.ended("looked-for", 4, &[&hint, &format!("--resume {a}")]);
    boot.ended(
        "unasked",
        4,
        &["no terminal to ask on; add --serial with its serial, or --yes"],
    );
    boot.ended("other path", 6, &["lock"]);
    // It was not asked for, but what was written may have been so elsewhere.
    let words = ["WIPED ", "continues at", "read-back full, 0 differ"];
    boot.ended("resume", 0, &words);
    assert!(boot.json_of("report", "DUAL").is_some());
    // Zeros on a drive that nothing identifies prove nothing.
    boot.ended("ensure", 0, &["WIPED ", "zeros and patterns do not prove"]);
    // A keystream on both does.
    boot.ended("random looked-for", 0, &["WIPED ", "continues at"]);
    let twins = format!("could be of any of {}", boot.value("twins"));
    boot.ended("twin looked-for", 4, &[&twins, "report and show the same"]);
    boot.ended("twin ensure begun", 4, &["nothing proves", "not touched"]);
    boot.ended("twin named", 0, &["WIPED ", "continues at"]);
    // The other one is not taken for wiped.
    boot.ended(
        "twin check",
        4,
        &["is of it: neither an identifier nor its content ties it to"],
    );
    boot.ended("twin serial", 4, &["has the same serial"]);
    let list = boot.excerpt("list");
    assert!(!list.contains("\"state\": \"wiped\""), "{list}");
    boot.ended(
        "twin ensure",
        0,
        &["WIPED ", "zeros and patterns do not prove"],
    );
}

fn of_two_drives_with_one_name_only_the_one_that_was_begun_is_resumed() {
    let machine = Machine::new()
        .disk("scsi,serial=TWIN", SIZE)
        .blank("scsi,serial=TWIN,wwn-of=scsi0", SIZE);
    let boot = machine
        .boot(
            &[],
            &format!(
                "{BEGIN}
                 set -- $(dev TWIN); a=$1; b=$2
                 # Which is which: the second one is blank.
                 cmp -s -n 4096 $a /dev/zero && {{ a=$2; b=$1; }}
                 echo a $a; echo b $b
                 begin zero $a -s zero
                 try 'zero resume' wipeit --resume --yes --state-dir /w $a
                 try 'zero look' wipeit --resume --yes --state-dir /w
                 try 'zero restart' wipeit --restart -s zero --yes --state-dir /w $a
                 rm -f /w/pending/*
                 echo before $(lab requests scsi1)
                 try 'zero check b' wipeit --check --state-dir /w $b
                 try 'zero ensure b' wipeit --ensure -s zero --yes --state-dir /w $b
                 echo after $(lab requests scsi1)
                 rm -rf /w; begin random $a
                 try 'other' wipeit --resume --yes --state-dir /w $b
                 try 'looked-for' wipeit --resume --yes --state-dir /w
                 try 'check a' wipeit --check --state-dir /w $a
                 try 'check b' wipeit --check --state-dir /w $b
                 try 'ensure b' wipeit --ensure --yes --state-dir /w $b
                 try 'serial' wipeit --serial TWIN --state-dir /w $b
                 show report /w/reports/*.json
                 lab copy scsi1 scsi1.copy
                 # By its name the other one may be in use.
                 mkdir /m; mkfs.ext4 -q $b; mount $b /m
                 try 'in use' wipeit --yes --restart --state-dir /w $a; umount /m"
            ),
        )
        .finished();
    let (a, b) = (boot.value("a"), boot.value("b"));
    boot.ended("zero resume", 4, &[b, "not touched"]);
    boot.ended("zero look", 4, &[a, b]);
    boot.ended("zero restart", 0, &["WIPED "]);
    boot.ended(
        "zero check b",
        4,
        &["is of it: neither an identifier nor its content ties it to"],
    );
    // Zeros of another drive of this name are no proof that it was wiped.
    boot.ended("zero ensure b", 0, &["WIPED "]);
    assert_ne!(boot.value("before"), boot.value("after"));
    boot.ended("other", 4, &["no unfinished wipe", "not touched"]);
    let line = format!("WIPED {a} TWIN {SIZE} bytes");
    boot.ended("looked-for", 0, &[&line]);
    boot.ended("check a", 0, &["CHECKED "]);
    boot.ended(
        "check b",
        4,
        &["is of it: neither an identifier nor its content ties it to"],
    );
    boot.ended("ensure b", 4, &["--restart"]);
    boot.ended("serial", 4, &["has the same serial"]);
    let words = ["(another path to the same drive, by its WWN) is mounted at /m"];
    boot.ended("in use", 4, &words)
        .ended("in use", 4, &["not touched"]);
    let report = boot.json_of("report", "TWIN").unwrap();
    check(&machine.image("scsi0"), 0, SIZE, &Content::of(&report, 1));
    check(&machine.copy("scsi1"), 0, SIZE, &Content::Zero);
}

fn two_drives_with_one_name_that_look_alike_are_told_apart_by_the_keystream() {
    // Cloned from one master.
    let machine = Machine::new()
        .disk("scsi,serial=TWIN", SIZE)
        .disk("scsi,serial=TWIN,wwn-of=scsi0", SIZE)
        .disk("usb,serial=DOCK", SIZE)
        .disk("usb,serial=DOCK", SIZE);
    let boot = machine
        .boot(
            &[],
            &format!(
                "{BEGIN}
                 for s in TWIN DOCK; do
                     rm -rf /w; set -- $(dev $s); echo \"a $s $1\"
                     begin \"begun $s\" $1
                     try \"other $s\" wipeit --resume --yes --state-dir /w $2
                     if [ $s = DOCK ]; then
                         # A copy of what is begun.
                         dd if=$1 of=$2 bs=1M conv=fsync 2>/dev/null
                         try 'named' wipeit --resume --yes --state-dir /w $1
                         try 'both' wipeit --resume --yes --state-dir /w
                         dd if=/dev/urandom of=$2 bs=1M count=1 conv=fsync 2>/dev/null
                     fi
                     try \"look $s\" wipeit --resume --yes --state-dir /w
                 done"
            ),
        )
        .finished();
    for serial in ["TWIN", "DOCK"] {
        let a = boot.value(&format!("a {serial}"));
        let other = format!("other {serial}");
        boot.ended(&other, 4, &["no unfinished wipe", "not touched"]);
        let line = format!("WIPED {a} {serial} {SIZE} bytes");
        boot.ended(&format!("look {serial}"), 0, &[&line, "continues at"]);
    }
    boot.ended("named", 4, &["holds what was written as well"]);
    boot.ended("both", 4, &["could be of any of"]);
}

fn a_multipath_map_is_the_drive_that_its_paths_lead_to() {
    let machine = Machine::new()
        .modules(&["dm-mod", "dm-multipath", "dm-service-time"])
        .disk("scsi,serial=DUAL", SIZE)
        .path("scsi,path-to=scsi0");
    let boot = machine
        .boot(
            &[],
            &format!(
                "{BEGIN}{OLD}
                 set -- $(dev DUAL); a=$1; b=$2
                 begin path $a
                 echo \"0 $(blockdev --getsz $a) multipath 0 0 1 1 service-time 0 2 1 $a 1 $b 1\" |
                     dmsetup create mp --uuid mpath-35000c500a1b20000
                 udevadm settle; m=/dev/dm-0; echo map $m
                 try list wipeit --list --json --state-dir /w
                 try held wipeit --resume --yes --state-dir /w $a
                 # A checkpoint and a record as 0.1.0 wrote them for a map.
                 old /w/pending/*.json; show old /w/pending/*.json
                 try look wipeit --resume --yes --state-dir /w
                 try check wipeit --check --state-dir /w $m
                 show report /w/reports/*.json
                 old /w/reports/*.json
                 try check-old wipeit --check --state-dir /w $m
                 try ensure-old wipeit --ensure --yes --state-dir /w $m
                 begin map $m
                 dmsetup remove mp; udevadm settle
                 try path-again wipeit --resume --yes --state-dir /w $b
                 try check-again wipeit --check --state-dir /w $a"
            ),
        )
        .finished();
    let map = boot.value("map");
    boot.ended("held", 4, &["is held by multipath"]);
    let line = format!("WIPED {map} DUAL {SIZE} bytes");
    boot.ended("look", 0, &[&line, "continues at"]);
    for check in ["check", "check-old"] {
        boot.ended(check, 0, &["CHECKED "]);
    }
    boot.ended("ensure-old", 0, &["WIPED ", "nothing was written"]);
    let report: serde_json::Value = serde_json::from_str(boot.excerpt("report")).unwrap();
    let begun = boot.json_of("pending path", "DUAL").unwrap();
    assert_eq!(report["run_id"], begun["run_id"]);
    boot.ended("map", 143, &[]);
    boot.ended("path-again", 0, &["WIPED ", "continues at"]);
    boot.ended("check-again", 0, &["CHECKED "]);
}
