//! Real drivers of every kind of drive, in a small virtual machine: power cuts,
//! drives that go and come back, and what else a machine does with its disks.

use crate::support::content::{Content, check};
use crate::support::state::number;
use crate::support::vm::{Boot, MACHINE, Machine};
use crate::support::{MIB, Need, cases};

const STACKS: &[Need] = &[
    Need::Machine,
    Need::Tool("dmsetup"),
    Need::Tool("lvm"),
    Need::Tool("cryptsetup"),
    Need::Tool("mdadm"),
    Need::Tool("mkfs.btrfs"),
    Need::Tool("sfdisk"),
];

cases![
    MACHINE => every_kind_of_drive_is_wiped_to_the_last_byte_and_known_by_its_serial,
    MACHINE => a_power_cut_in_a_write_leaves_what_the_checkpoints_say,
    MACHINE => a_power_cut_in_a_flush_of_a_drive_leaves_what_the_checkpoints_say,
    MACHINE => a_power_cut_in_an_early_flush_of_the_state_drive_leaves_what_the_checkpoints_say,
    MACHINE => a_power_cut_in_a_late_flush_of_the_state_drive_leaves_what_the_checkpoints_say,
    MACHINE => a_power_cut_before_the_first_checkpoint_leaves_the_drives_untouched,
    MACHINE => drives_unplugged_in_the_middle_are_found_again_under_another_name,
    MACHINE => neither_a_twin_nor_another_drive_of_the_old_name_is_resumed,
    MACHINE => a_drive_that_the_kernel_takes_offline_has_no_bad_sectors,
    STACKS => what_is_in_use_is_refused_until_it_is_released,
    MACHINE => a_cpu_without_aes_goes_on_with_its_stream_and_begins_another,
    MACHINE => a_cache_that_the_kernel_takes_for_write_through_is_said_to_be_unflushed,
];

/// The serial that QEMU gives every SD card.
const SD: &str = "0xdeadbeef";
/// A byte of every drive that is changed after it was wiped.
const CHANGED: u64 = 1_111_111;

fn every_kind_of_drive_is_wiped_to_the_last_byte_and_known_by_its_serial() {
    let kinds = [
        ("nvme", "nvme", "SN-NVME0", "slot 0, "),
        ("sata", "sata", "SN-SATA0", "slot ata1, "),
        ("scsi", "scsi", "SN-SCSI0", ""),
        ("usb", "usb", "SN-USB0", "slot 2-1, "),
        ("uas", "usb", "SN-UAS0", "slot 2-2, "),
        ("virtio", "virtio", "SN-VIRTIO0", ""),
        ("sd", "mmc", SD, ""),
    ];
    let mut machine = Machine::new();
    for (kind, ..) in kinds {
        machine = machine.disk(kind, 4 * MIB);
    }
    let serials = kinds.map(|(_, _, serial, _)| serial).join(" ");
    let boot = machine
        .boot(
            &[],
            &format!(
                "try list wipeit --list --json --state-dir /w
                 # all NAME COMMAND: all drives at once
                 all() {{ for s in {serials}; do try \"$1 $s\" $2 $(dev $s) & done; wait; }}
                 wipe() {{ wipeit --yes --state-dir /w $1; }}
                 # What is behind a bridge is known by places of its content that are
                 # drawn anew each time. The changed one may be among them.
                 check() {{ o=/tmp/${{1##*/}}; for n in 1 2 3 4 5 6 7 8 9; do
                     wipeit --check --state-dir /w $1 >$o 2>&1; code=$?; [ $code = 4 ] || break
                 done; cat $o; return $code; }}
                 for s in {serials}; do echo \"$s $(dev $s)\"; done
                 all wipe wipe; show report /w/reports/*.json
                 # change NUMBER: the byte there is more by this, of 256
                 change() {{ for s in {serials}; do
                     b=$(dd if=$(dev $s) bs=1 skip={CHANGED} count=1 2>/dev/null | od -An -tu1)
                     printf \"\\\\$(printf %o $(((b + $1) % 256)))\" |
                         dd of=$(dev $s) bs=1 seek={CHANGED} conv=notrunc,fsync 2>/dev/null
                 done; }}
                 change 1; all changed check; change 255; all again check"
            ),
        )
        .finished();
    boot.ended("list", 0, &[]);
    let listed = boot.excerpt("list");
    let listed = &listed[..=listed.rfind('}').expect("an object")];
    let listed: serde_json::Value = serde_json::from_str(listed).unwrap();
    let rows = listed["disks"].as_array().unwrap();
    for (kind, transport, serial, slot) in kinds {
        let row = rows.iter().find(|row| row["serial"] == serial);
        let row = row.unwrap_or_else(|| panic!("{kind} is not listed: {listed}"));
        let shown = match transport {
            "nvme" => "NVMe",
            "usb" => "USB",
            "mmc" => "SD",
            "virtio" => "virtio",
            // What QEMU's say of themselves.
            _ => "HDD",
        };
        assert_eq!(row["kind"], shown, "{row}");
        assert_eq!(row["state"], "free", "{row}");
        assert_eq!(row["device"], boot.value(serial), "{row}");
        let place = slot.strip_prefix("slot ").unwrap_or(slot);
        let place = place.trim_end_matches(", ");
        assert_eq!(row["slot"].as_str().unwrap_or_default(), place, "{row}");
    }
    for (kind, transport, serial, slot) in kinds {
        let line = format!(
            "WIPED {} {serial} {} bytes, 0 bad, read-back full, 0 differ",
            boot.value(serial),
            4 * MIB
        );
        let pull = match slot {
            "" => format!("Pull the drive with serial {serial}"),
            slot => format!("Pull the drive in {slot}serial {serial}"),
        };
        boot.ended(&format!("wipe {serial}"), 0, &[&line, &pull]);
        // The change was taken back.
        let report = boot.wiped(serial, &machine.image(&format!("{kind}0")));
        boot.ended(&format!("again {serial}"), 0, &["CHECKED ", " 0 differ"]);
        let at = CHANGED / 512 * 512;
        let place = format!("{at}-{}", at + 511);
        let first = format!("at byte {}: ", CHANGED / 16 * 16);
        let words = ["DIFFERS ", "512 differ", &place, &first];
        boot.ended(&format!("changed {serial}"), 5, &words);
        assert_eq!(report["device_id"]["transport"], transport, "{report}");
    }
}

/// What a power cut may cost in these tests.
const INTERVAL: u64 = MIB;

/// Wipes a drive of each of these kinds at once, with such a cache each (what
/// survives a power cut of what was not flushed), until the power is cut;
/// checks what is there then, and that a resume completes it. Gives the drives
/// that had a checkpoint.
fn cut(drives: &[(&str, &str)], kept_state: &str, at: &[&str], before: &str) -> usize {
    let size = 8 * MIB;
    let state = format!("virtio,name=state,serial=STATE,keep={kept_state}");
    let mut machine = Machine::new().blank(&state, 32 * MIB);
    for (number, (kind, keep)) in drives.iter().enumerate() {
        let spec = format!("{kind},name={kind},serial=SN-{kind},keep={keep},seed={number}");
        machine = machine.disk(&spec, size);
    }
    let serials: Vec<String> = drives
        .iter()
        .map(|(kind, _)| format!("SN-{kind}"))
        .collect();
    machine
        .boot(
            at,
            &format!(
                "mkfs.ext4 -q $(dev STATE); mkdir /s; mount $(dev STATE) /s; sync; {before}
                 for s in {}; do
                     try \"wipe $s\" wipeit -q --yes --checkpoint-every 1M --state-dir /s/w $(dev $s) &
                 done; wait",
                serials.join(" ")
            ),
        )
        .was_cut();
    let media: Vec<_> = drives.iter().map(|(kind, _)| machine.copy(kind)).collect();
    let serials_listed = serials.join(" ");
    let boot = machine
        .boot(
            &[],
            &format!(
                "mkdir /s; mount $(dev STATE) /s; show finished /s/w/reports/*.json
                 show pending /s/w/pending/*.json
                 try resume wipeit -q --resume --yes --state-dir /s/w
                 for s in {serials_listed}; do
                     grep -q $s /s/w/pending/*.json &&
                         try \"named $s\" wipeit -q --resume --yes --state-dir /s/w $(dev $s)
                 done
                 show report /s/w/reports/*.json; umount /s"
            ),
        )
        .finished();
    let (mut begun, mut unproven) = (0, 0);
    for ((serial, (kind, _)), medium) in serials.iter().zip(drives).zip(media) {
        if let Some(checkpoint) = boot.json_of("pending", serial) {
            begun += 1;
            let written = number(&checkpoint, "written");
            check(&medium, 0, written, &Content::of(&checkpoint, 1));
            check(&medium, written + INTERVAL, size, &Content::Tags);
            // A USB bridge's serial proves nothing, nor does so little content:
            // somebody must say that it is this one.
            if kind.starts_with('u') && written < MIB {
                unproven += 1;
                boot.ended(&format!("named {serial}"), 0, &["WIPED "]);
            }
        } else if let Some(report) = boot.json_of("finished", serial) {
            check(&medium, 0, size, &Content::of(&report, 1));
        } else {
            check(&medium, 0, size, &Content::Tags);
            continue;
        }
        boot.wiped(serial, &machine.image(kind));
    }
    match (begun, unproven) {
        (0, _) => boot.ended("resume", 4, &["no unfinished wipe"]),
        (_, 0) => boot.ended("resume", 0, &["WIPED "]),
        _ => {
            let said = boot.excerpt("resume");
            let refusals = said.matches("neither identifiers nor content prove");
            assert_eq!(refusals.count(), unproven, "{said}");
            assert!(!said.contains("code 0"), "{said}");
            &boot
        }
    };
    begun
}

fn a_power_cut_in_a_write_leaves_what_the_checkpoints_say() {
    let drives = [
        ("nvme", "none"),
        ("scsi", "random"),
        ("usb", "prefix"),
        ("virtio", "all"),
    ];
    assert!(cut(&drives, "none", &["scsi:5M=cut"], "") > 0);
}

fn a_power_cut_in_a_flush_of_a_drive_leaves_what_the_checkpoints_say() {
    let drives = [
        ("sata", "none"),
        ("uas", "random"),
        ("nvme", "prefix"),
        ("scsi", "none"),
    ];
    assert!(cut(&drives, "random", &["sata:flush:5=cut"], "") > 0);
}

fn a_power_cut_in_an_early_flush_of_the_state_drive_leaves_what_the_checkpoints_say() {
    let drives = [
        ("virtio", "none"),
        ("uas", "prefix"),
        ("sata", "random"),
        ("usb", "none"),
    ];
    cut(&drives, "none", &[], "lab cut-at-flush state 12");
}

fn a_power_cut_in_a_late_flush_of_the_state_drive_leaves_what_the_checkpoints_say() {
    let drives = [
        ("scsi", "none"),
        ("usb", "random"),
        ("virtio", "prefix"),
        ("nvme", "random"),
    ];
    assert!(cut(&drives, "prefix", &[], "lab cut-at-flush state 60") > 0);
}

fn a_power_cut_before_the_first_checkpoint_leaves_the_drives_untouched() {
    let drives = [
        ("nvme", "all"),
        ("sata", "all"),
        ("scsi", "all"),
        ("usb", "all"),
    ];
    assert_eq!(cut(&drives, "none", &[], "lab cut-at-flush state 1"), 0);
}

fn drives_unplugged_in_the_middle_are_found_again_under_another_name() {
    let size = 16 * MIB;
    let machine = Machine::new()
        .disk("usb", size)
        .disk("uas", size)
        .disk("scsi", size);
    let names = [
        ("usb0", "SN-USB0"),
        ("uas0", "SN-UAS0"),
        ("scsi0", "SN-SCSI0"),
    ];
    // A node that somebody holds open keeps its name from coming back.
    let boot = machine
        .boot(
            &[
                "usb0:3M=unplug usb0",
                "uas0:5M=unplug uas0",
                "scsi0:7M=unplug scsi0",
            ],
            "serials='SN-USB0 SN-UAS0 SN-SCSI0'
             for s in $serials; do sleep 100 <$(dev $s) & echo \"was $s $(dev $s)\"; done
             pids=
             for s in $serials; do
                 try \"wipe $s\" wipeit --yes --verify none --rate-limit 4M --checkpoint-every 1M --state-dir /w $(dev $s) &
                 pids=\"$pids $!\"
             done
             wait $pids
             show pending /w/pending/*.json
             for d in usb0 uas0 scsi0; do lab copy $d $d.copy; lab plug $d; done
             for s in $serials; do echo \"now $s $(appears $s)\"; done
             try resume wipeit --resume --yes --state-dir /w
             show report /w/reports/*.json; echo left $(ls /w/pending | wc -l)",
        )
        .finished();
    for (name, serial) in names {
        let was = boot.value(&format!("was {serial}"));
        let now = boot.value(&format!("now {serial}"));
        assert_ne!(was, now);
        let line = format!("FAILED {was} {serial} ");
        let words = [&line, "it has gone", "wipeit --resume"];
        boot.ended(&format!("wipe {serial}"), 1, &words);
        let checkpoint = boot.json_of("pending", serial).unwrap();
        let written = number(&checkpoint, "written");
        assert!(written > 0 && written < size, "{checkpoint}");
        let stream = Content::of(&checkpoint, 1);
        check(&machine.copy(name), 0, written, &stream);
        check(
            &machine.copy(name),
            written + INTERVAL,
            size,
            &Content::Tags,
        );
        let report = boot.wiped(serial, &machine.image(name));
        assert_eq!(Content::of(&report, 1), stream, "begun anew, not resumed");
        let line = format!("WIPED {now} {serial} {size} bytes, 0 bad");
        boot.ended("resume", 0, &[&line]);
    }
    assert_eq!(boot.value("left"), "0");
}

fn a_drive_that_the_kernel_takes_offline_has_no_bad_sectors() {
    let size = 32 * MIB;
    let machine = Machine::new().disk("scsi", size).disk("usb", size);
    let serials = ["SN-SCSI0", "SN-USB0"];
    let boot = machine
        .boot(
            &[],
            "for s in SN-SCSI0 SN-USB0; do
                 d=$(dev $s); state=/sys/block/${d#/dev/}/device/state
                 try \"wipe $s\" wipeit --yes --rate-limit 8M --checkpoint-every 1M -b 64K \
                     --state-dir /w/$s $d &
                 until grep -q '\"written\": [1-9]' /w/$s/pending/*.json 2>/dev/null; do
                     sleep .1
                 done
                 echo offline >$state
                 wait $!
                 show pending /w/$s/pending/*.json
             done",
        )
        .finished();
    for (name, serial) in ["scsi0", "usb0"].into_iter().zip(serials) {
        let words = ["FAILED ", "taken it offline (offline)", "wipeit --resume"];
        boot.ended(&format!("wipe {serial}"), 1, &words);
        let checkpoint = boot.json_of("pending", serial).unwrap();
        assert_eq!(checkpoint["bad"].as_array().unwrap().len(), 0);
        let written = number(&checkpoint, "written");
        assert!(written > 0 && written < size, "{checkpoint}");
        let stream = Content::of(&checkpoint, 1);
        check(&machine.image(name), 0, written, &stream);
    }
}

fn neither_a_twin_nor_another_drive_of_the_old_name_is_resumed() {
    for kind in ["usb", "scsi"] {
        let machine = Machine::new()
            .disk(&format!("{kind},serial=MINE"), 8 * MIB)
            .disk(&format!("{kind},serial=TWIN,out"), 8 * MIB)
            .disk(
                &format!("{kind},serial=OTHER,model=OTHER DISK,out"),
                12 * MIB,
            );
        let drive = |number: u32| format!("{kind}{number}");
        let boot = machine
            .boot(
                &[&format!("{kind}0:3M=unplug {kind}0")],
                &format!(
                    "old=$(dev MINE)
                     try wipe wipeit --yes --rate-limit 2M --checkpoint-every 1M --state-dir /w $old
                     disappears MINE
                     for d in 1 2; do
                         case $d in 1) s=TWIN;; 2) s=OTHER;; esac
                         plugged_as $old $s {kind}$d
                         try \"resume $s\" wipeit --resume --yes --state-dir /w
                         try \"resume $s by name\" wipeit --resume --yes --state-dir /w $old
                         lab unplug {kind}$d; disappears $s
                     done
                     lab plug {kind}1; lab plug {kind}0; echo twin $(appears TWIN); echo mine $(appears MINE)
                     try resume wipeit --resume --yes --state-dir /w
                     show report /w/reports/*.json"
                ),
            )
            .finished();
        boot.ended("wipe", 1, &["it has gone"]);
        for other in ["TWIN", "OTHER"] {
            boot.ended(
                &format!("resume {other}"),
                4,
                &["MINE", "which is not attached"],
            );
            let by_name = format!("resume {other} by name");
            boot.ended(&by_name, 4, &["is of another drive", "not touched"]);
        }
        check(&machine.image(&drive(1)), 0, 8 * MIB, &Content::Tags);
        check(&machine.image(&drive(2)), 0, 12 * MIB, &Content::Tags);
        let line = format!("WIPED {} MINE {} bytes", boot.value("mine"), 8 * MIB);
        boot.ended("resume", 0, &[&line]);
        boot.wiped("MINE", &machine.image(&drive(0)));
    }
}

/// How a disk is taken into use and released, in the guest.
struct Stack {
    /// The serials of its disks.
    disks: &'static [&'static str],
    /// Sets it up on `$1`, `$2`...
    on: &'static str,
    /// Releases it; its data stays.
    off: &'static str,
    /// What the refusal says of every disk.
    words: &'static [&'static str],
    /// What the card warns of once it is released.
    warning: &'static [&'static str],
}

const IN_USE: [Stack; 6] = [
    Stack {
        disks: &["LINEAR"],
        on: "echo 0 2048 linear $1 64 | dmsetup create upper",
        off: "dmsetup remove upper",
        words: &["is held by dm-", "upper"],
        warning: &[],
    },
    Stack {
        disks: &["CRYPT"],
        on: "echo 2048,, | sfdisk -q $1; udevadm settle; printf key >/key
             p=$(ls $1?*); cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $p /key
             cryptsetup open --key-file /key $p secret
             pvcreate -q /dev/mapper/secret; vgcreate -q vg0 /dev/mapper/secret
             lvcreate -q -an -Zn -Wn -l 4 -n home vg0; lvchange -ay vg0/home",
        off: "vgchange -q -an vg0; cryptsetup close secret",
        words: &["is held by dm-", "secret", "vg0-home"],
        warning: &["Warning", "LUKS"],
    },
    Stack {
        disks: &["RAID1", "RAID2"],
        on: "mdadm --create -q --run --assume-clean --level=1 --metadata=1.2 --raid-devices=2 /dev/md0 $1 $2",
        off: "mdadm --stop -q /dev/md0",
        words: &["is held by md0"],
        warning: &["Warning", "MD"],
    },
    Stack {
        disks: &["BTRFS1", "BTRFS2"],
        on: "mkfs.btrfs -q -f $1 $2; mkdir -p /btrfs; btrfs device scan $1 $2; mount -t btrfs $1 /btrfs",
        off: "umount /btrfs",
        words: &["/btrfs"],
        warning: &["Warning", "btrfs"],
    },
    Stack {
        disks: &["SWAP"],
        on: "echo 2048,, | sfdisk -q $1; udevadm settle; p=$(ls $1?*); mkswap -q $p; swapon $p",
        off: "swapoff $(ls $1?*)",
        words: &["1 is swap"],
        warning: &[],
    },
    Stack {
        disks: &["MOUNT"],
        on: "echo 2048,, | sfdisk -q $1; udevadm settle; p=$(ls $1?*); mkfs.ext4 -q $p
             mkdir -p '/old home'; mount $p '/old home'",
        off: "umount '/old home'",
        words: &["1 is mounted at /old"],
        warning: &[],
    },
];

fn what_is_in_use_is_refused_until_it_is_released() {
    let mut machine = Machine::new().modules(&[
        "dm-mod",
        "dm-crypt",
        "xts",
        "ecb",
        "aes_generic",
        "sha256_generic",
        "algif_skcipher",
        "algif_hash",
        "raid1",
        "btrfs",
    ]);
    // A tool that is missing, or fails, fails the test.
    let must = "must() { [ $3 = 0 ] || { echo \"$2$1 failed: $3\"; exit 1; }; }";
    let mut script = vec![format!("exec 2>&1; {must}")];
    for (number, stack) in IN_USE.iter().enumerate() {
        for serial in stack.disks {
            machine = machine.blank(&format!("scsi,serial={serial}"), 128 * MIB);
        }
        let nodes: Vec<String> = stack.disks.iter().map(|s| format!("$(dev {s})")).collect();
        let nodes = nodes.join(" ");
        let runs = |how: &str, flags: &str| {
            let run =
                |s: &&str| format!("try '{s} {how}' wipeit {flags} --state-dir /w $(dev {s})\n");
            stack.disks.iter().map(run).collect::<String>()
        };
        script.push(format!(
            "on{number}() ( set -e; {}\n)\noff{number}() ( set -e; {}\n)\n\
             on{number} {nodes}; must {number} on $?; udevadm settle\n{}{}\
             off{number} {nodes}; must {number} off $?; udevadm settle\n{}",
            stack.on,
            stack.off,
            runs("active", "--yes"),
            runs("active dry run", "--dry-run"),
            runs("inactive", "--dry-run"),
        ));
    }
    let boot = machine.boot(&[], &script.join("\n")).finished();
    let refused = |boot: &Boot, name: &str, words: &[&str]| {
        boot.ended(name, 4, words).ended(name, 4, &["not touched"]);
    };
    for stack in &IN_USE {
        for serial in stack.disks {
            refused(&boot, &format!("{serial} active"), stack.words);
            refused(&boot, &format!("{serial} active dry run"), stack.words);
            boot.ended(&format!("{serial} inactive"), 0, stack.warning);
        }
    }
}

fn a_cpu_without_aes_goes_on_with_its_stream_and_begins_another() {
    let size = 8 * MIB;
    let machine = Machine::new()
        .blank("virtio,name=state,serial=STATE", 32 * MIB)
        .disk("scsi,serial=BEGUN", size)
        .disk("scsi,serial=FRESH", size);
    let boot = machine
        .boot(
            &["scsi0:3M=unplug scsi0"],
            "mkfs.ext4 -q $(dev STATE); mkdir /s; mount $(dev STATE) /s
             try begun wipeit --yes --rate-limit 2M --checkpoint-every 1M --state-dir /s/w $(dev BEGUN)
             show pending /s/w/pending/*.json; umount /s",
        )
        .finished();
    boot.ended("begun", 1, &["it has gone"]);
    let stream = |value: &serde_json::Value| value["plan"][0]["generator"].clone();
    let begun = boot.json_of("pending", "BEGUN").unwrap();
    assert_eq!(stream(&begun), "aes256-ctr64le");
    let machine = machine.without("aes");
    let boot = machine
        .boot(
            &[],
            "mkdir /s; mount $(dev STATE) /s; grep -qw aes /proc/cpuinfo && exit 1
             try begun wipeit --resume --yes --state-dir /s/w
             try fresh wipeit --yes --state-dir /s/w $(dev FRESH)
             show report /s/w/reports/*.json",
        )
        .finished();
    boot.ended("begun", 0, &["WIPED "]);
    let report = boot.wiped("BEGUN", &machine.image("scsi0"));
    assert_eq!(report["plan"], begun["plan"]);
    boot.ended("fresh", 0, &["WIPED "]);
    let report = boot.wiped("FRESH", &machine.image("scsi1"));
    assert_eq!(stream(&report), "chacha20-ctr64");
}

fn a_cache_that_the_kernel_takes_for_write_through_is_said_to_be_unflushed() {
    let machine = Machine::new().disk("usb", 4 * MIB).disk("scsi", 4 * MIB);
    let boot = machine
        .boot(
            &[],
            "for c in /sys/class/scsi_disk/*/cache_type; do
                 [ -e ${c%/*}/device/block/$(basename $(dev SN-USB0)) ] && echo write through >$c
             done
             echo before $(lab flushes usb0)
             try usb wipeit --yes --state-dir /w $(dev SN-USB0)
             echo after $(lab flushes usb0)
             try scsi wipeit --yes --state-dir /w $(dev SN-SCSI0)
             show report /w/reports/*.json",
        )
        .finished();
    let sentence = "sent it no flush";
    boot.ended("usb", 0, &["WIPED ", sentence]);
    assert_eq!(boot.value("before"), boot.value("after"), "it was flushed");
    boot.ended("scsi", 0, &["WIPED "]);
    assert!(!boot.excerpt("scsi").contains(sentence));
    boot.wiped("SN-USB0", &machine.image("usb0"));
}
