//! Real drivers of every kind of drive, in a small virtual machine: power cuts,
//! drives that go and come back, and what else a machine does with its disks.

use std::path::Path;

use crate::support::content::{Content, check, from_hex};
use crate::support::device::read_range;
use crate::support::state::number;
use crate::support::vm::{Boot, Machine};
use crate::support::{MIB, Need, cases};

const MACHINE: &[Need] = &[Need::Machine, Need::Tool("openssl")];
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
    STACKS => what_is_in_use_is_refused_until_it_is_released,
    MACHINE => faults_of_every_kind_of_drive_give_their_exit_code_record_and_bytes,
    MACHINE => faults_before_and_after_an_interrupt_are_found_by_the_resume,
    MACHINE => a_cache_that_the_kernel_takes_for_write_through_is_said_to_be_unflushed,
];

/// The serial that QEMU gives every SD card.
const SD: &str = "0xdeadbeef";

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
        machine = machine.disk(kind, 16 * MIB);
    }
    let serials = kinds.map(|(_, _, serial, _)| serial).join(" ");
    let boot = machine
        .boot(
            &[],
            &format!(
                "try list wipeit --list --json --state-dir /w
                 for s in {serials}; do
                     echo \"$s $(dev $s)\"; try \"wipe $s\" wipeit --yes --state-dir /w $(dev $s)
                 done
                 show report /w/reports/*.json"
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
            16 * MIB
        );
        let pull = format!("Pull {slot}serial {serial}");
        boot.ended(&format!("wipe {serial}"), 0, &[&line, &pull]);
        let report = boot.wiped(serial, &machine.image(&format!("{kind}0")));
        assert_eq!(report["device_id"]["transport"], transport, "{report}");
    }
}

/// What a power cut may cost in these tests.
const INTERVAL: u64 = 2 * MIB;

/// Wipes a drive of each of these kinds at once, with such a cache each (what
/// survives a power cut of what was not flushed), until the power is cut;
/// checks what is there then, and that a resume completes it. Gives the drives
/// that had a checkpoint.
fn cut(drives: &[(&str, &str)], kept_state: &str, at: &[&str], before: &str) -> usize {
    let size = 16 * MIB;
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
                     try \"wipe $s\" wipeit -q --yes --checkpoint-every 2M --state-dir /s/w $(dev $s) &
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
    assert!(cut(&drives, "none", &["scsi:9M=cut"], "") > 0);
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
    let size = 32 * MIB;
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
                "usb0:8M=unplug usb0",
                "uas0:12M=unplug uas0",
                "scsi0:17M=unplug scsi0",
            ],
            "serials='SN-USB0 SN-UAS0 SN-SCSI0'
             for s in $serials; do sleep 100 <$(dev $s) & echo \"was $s $(dev $s)\"; done
             pids=
             for s in $serials; do
                 try \"wipe $s\" wipeit --yes --checkpoint-every 2M --state-dir /w $(dev $s) &
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

fn neither_a_twin_nor_another_drive_of_the_old_name_is_resumed() {
    for kind in ["usb", "scsi"] {
        let machine = Machine::new()
            .disk(&format!("{kind},serial=MINE"), 16 * MIB)
            .disk(&format!("{kind},serial=TWIN,out"), 16 * MIB)
            .disk(
                &format!("{kind},serial=OTHER,model=OTHER DISK,out"),
                20 * MIB,
            );
        let drive = |number: u32| format!("{kind}{number}");
        let boot = machine
            .boot(
                &[&format!("{kind}0:9M=unplug {kind}0")],
                &format!(
                    "old=$(dev MINE)
                     try wipe wipeit --yes --checkpoint-every 1M --state-dir /w $old
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
        check(&machine.image(&drive(1)), 0, 16 * MIB, &Content::Tags);
        check(&machine.image(&drive(2)), 0, 20 * MIB, &Content::Tags);
        let line = format!("WIPED {} MINE {} bytes", boot.value("mine"), 16 * MIB);
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
             lvcreate -q -an -Zn -l 4 -n home vg0; lvchange -ay vg0/home",
        off: "vgchange -q -an vg0; cryptsetup close secret",
        words: &["is held by dm-", "secret"],
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
    let mut script = vec!["exec 2>&1".to_string()];
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
            "on{number}() {{ {}\n}}\noff{number}() {{ {}\n}}\n\
             on{number} {nodes}\nudevadm settle\n{}{}off{number} {nodes}\nudevadm settle\n{}",
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

fn a_cache_that_the_kernel_takes_for_write_through_is_said_to_be_unflushed() {
    let machine = Machine::new().disk("usb", 8 * MIB).disk("scsi", 8 * MIB);
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

/// What a drive holds at the end where it does not hold what was written.
type Spoilt = &'static [(u64, u64, Fault)];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    /// Cannot be written: old data.
    Unwritten,
    /// Cannot be read: what was written.
    Unread,
    /// A write was acknowledged and dropped: old data.
    Dropped,
    /// The first bit is wrong on the medium.
    Flipped,
}

/// A machine of drives with these options and faults, each named by its kind
/// and a number.
fn spoilt(cases: &[(&str, &[&str], Spoilt)]) -> Machine {
    let mut machine = Machine::new();
    for (spec, faults, _) in cases {
        let (name, options) = spec.split_once(',').unwrap_or((spec, ""));
        let kind = name.trim_end_matches(char::is_numeric);
        machine = machine.disk(&format!("{kind},name={name},{options}"), MEDIUM);
        for fault in *faults {
            machine = machine.fault(&format!("{name}:{fault}"));
        }
    }
    machine
}

/// Fails unless a drive's code, record, map and bytes are those of these
/// faults, which are in order.
fn faulty(boot: &Boot, name: &str, image: &Path, faults: Spoilt) {
    let serial = format!("SN-{}", name.to_uppercase());
    let record = boot.json_of("report", &serial);
    let record = record.unwrap_or_else(|| panic!("no record of {name}: {:?}", boot.excerpts(name)));
    let stream = Content::of(&record, 1);
    let size = std::fs::metadata(image).unwrap().len();
    let differs = |fault: &Fault| matches!(fault, Fault::Dropped | Fault::Flipped);
    let (code, outcome) = match faults {
        [] => (0, "WIPED"),
        _ if faults.iter().any(|(.., fault)| differs(fault)) => (5, "DIFFERS"),
        _ => (3, "NOT-CLEAR"),
    };
    boot.ended(name, code, &[&format!("{outcome} ")]);
    assert_eq!(record["outcome"], outcome);
    let listed = |field: &str| -> Vec<(u64, u64, String)> {
        let entries = record[field].as_array().unwrap().iter();
        entries
            .map(|entry| {
                let during = entry["during"].as_str().unwrap_or_default();
                (
                    number(entry, "start"),
                    number(entry, "length"),
                    during.into(),
                )
            })
            .collect()
    };
    let expected = |differing: bool| -> Vec<(u64, u64, String)> {
        let these = faults
            .iter()
            .filter(|(.., fault)| differs(fault) == differing);
        these
            .map(|(start, length, fault)| {
                let during = match fault {
                    Fault::Unwritten => "write",
                    Fault::Unread => "read",
                    Fault::Dropped | Fault::Flipped => "",
                };
                (*start, *length, during.into())
            })
            .collect()
    };
    assert_eq!(listed("bad"), expected(false), "{name}");
    assert_eq!(listed("mismatches"), expected(true), "{name}");
    let mut at = 0;
    for (start, length, fault) in faults {
        check(image, at, *start, &stream);
        at = start + length;
        let mut wrong = stream.bytes(*start, 16);
        match fault {
            Fault::Unread => check(image, *start, at, &stream),
            Fault::Unwritten | Fault::Dropped => check(image, *start, at, &Content::Tags),
            Fault::Flipped => {
                wrong[0] ^= 1;
                assert_eq!(read_range(image, *start, 16), wrong);
                check(image, start + 16, at, &stream);
            }
        }
        if differs(fault) {
            let all = record["mismatches"].as_array().unwrap();
            let entry = all.iter().find(|entry| number(entry, "start") == *start);
            let shown = |field: &str| from_hex(entry.unwrap()[field].as_str().unwrap());
            assert_eq!(shown("expected"), stream.bytes(*start, 16));
            assert_eq!(shown("found"), read_range(image, *start, 16));
        }
    }
    check(image, at, size, &stream);
}

const MEDIUM: u64 = 8 * MIB;
/// The last sector of 512 bytes.
const END: u64 = MEDIUM - 512;

fn faults_of_every_kind_of_drive_give_their_exit_code_record_and_bytes() {
    use Fault::{Dropped, Flipped, Unread, Unwritten};
    let cases: [(&str, &[&str], Spoilt); 7] = [
        (
            "nvme0",
            &["0:w", "100-103:w", "16383:w"],
            &[
                (0, 512, Unwritten),
                (51_200, 2048, Unwritten),
                (END, 512, Unwritten),
            ],
        ),
        (
            "scsi0,lbs=4096",
            &["0:w", "2047:r"],
            &[(0, 4096, Unwritten), (MEDIUM - 4096, 4096, Unread)],
        ),
        ("usb0", &["3000:w:lie"], &[(1_536_000, 512, Dropped)]),
        (
            "virtio0,lbs=4096",
            &["5-6:w:lie", "1000:w"],
            &[(20_480, 8192, Dropped), (4_096_000, 4096, Unwritten)],
        ),
        (
            "nvme1,lbs=4096",
            &["700:w:flip"],
            &[(2_867_200, 512, Flipped)],
        ),
        // The flush loses what was written, and is done again.
        ("virtio1", &["0:f:times=1", "77:w:times=1"], &[]),
        ("sata0", &["16383:w:flip"], &[(END, 512, Flipped)]),
    ];
    let machine = spoilt(&cases)
        .disk("usb,name=stick,fake=8M", 16 * MIB)
        .disk("virtio,name=passes", MEDIUM)
        .fault("passes:4000:w:times=1:flip");
    let names = cases.map(|(spec, ..)| spec.split(',').next().unwrap());
    let boot = machine
        .boot(
            &[],
            &format!(
                "for d in {} stick; do
                     try $d wipeit --yes --state-dir /w $(dev SN-$(echo $d | tr a-z A-Z))
                 done
                 show report /w/reports/*.json
                 try passes wipeit --yes --passes 2 --verify all --state-dir /p $(dev SN-PASSES)
                 show passes-report /p/reports/*.json",
                names.join(" ")
            ),
        )
        .finished();
    for (name, (.., spoilt)) in names.iter().zip(cases) {
        faulty(&boot, name, &machine.image(name), spoilt);
    }
    let words = [
        "DIFFERS ",
        "8388608 differ",
        "its addresses wrap: it has at most 8.38 MB of memory and not 16.7 MB; it is a counterfeit",
    ];
    boot.ended("stick", 5, &words);
    let stick = boot.json_of("report", "SN-STICK").unwrap();
    assert_eq!(number(&stick["wrap"], "every"), 8 * MIB, "{stick}");
    assert_eq!(number(&stick["mismatches"][0], "start"), 0);
    assert_eq!(number(&stick["mismatches"][0], "length"), 8 * MIB);
    // All that it has was written, last with what belongs in its upper half.
    let upper = Content::of(&stick, 1).bytes(8 * MIB, 8 << 20);
    assert!(read_range(&machine.image("stick"), 0, 8 << 20) == upper);
    // The second pass was written over it, and yet it is found.
    boot.ended("passes", 5, &["DIFFERS ", "512 differ"]);
    let passes = boot.json_of("passes-report", "SN-PASSES").unwrap();
    assert_eq!(number(&passes["mismatches"][0], "start"), 4000 * 512);
    let last = Content::of(&passes, 2);
    check(&machine.image("passes"), 0, MEDIUM, &last);
}

fn faults_before_and_after_an_interrupt_are_found_by_the_resume() {
    use Fault::{Dropped, Unread, Unwritten};
    let cases: [(&str, &[&str], Spoilt); 4] = [
        (
            "nvme0,lbs=4096",
            &["1:w", "2047:w"],
            &[(4096, 4096, Unwritten), (MEDIUM - 4096, 4096, Unwritten)],
        ),
        ("virtio0", &["15000:w:lie"], &[(7_680_000, 512, Dropped)]),
        (
            "scsi0",
            &["3:r", "16383:r"],
            &[(1536, 512, Unread), (END, 512, Unread)],
        ),
        ("virtio1,lbs=4096", &["2:w:lie"], &[(8192, 4096, Dropped)]),
    ];
    let machine = spoilt(&cases)
        .disk("nvme,name=dies,lbs=4096", MEDIUM)
        .disk("virtio,name=forgets", MEDIUM)
        .fault("forgets:9:w:lie")
        .disk("virtio,name=hangs", MEDIUM)
        .fault("hangs:8000:w:times=1:slow=9000");
    let boot = machine
        .boot(
            &["dies:4M=die dies"],
            // `written`: stopped in the write; `verified`: in the read-back.
            "slow='--yes -b 64K --checkpoint-every 1M --state-dir /w'
             serial() { echo SN-$(echo $1 | tr a-z A-Z); }
             stop() { # DRIVE FIELD
                 env --default-signal=INT wipeit $slow --rate-limit 4M $(dev $(serial $1)) >/dev/null 2>&1 &
                 until grep -qsE $2'.: [1-9][0-9]{6}' /w/pending/*SN_$(echo $1 | tr a-z A-Z)*.json ||
                     ! kill -0 $! 2>/dev/null; do usleep 20000; done
                 kill -INT $!; wait $!; echo stopped-$1 $?; }
             try hangs wipeit $slow --stall-timeout 5 $(dev SN-HANGS) & hangs=$!
             stop nvme0 written; stop virtio0 written; stop forgets written; stop scsi0 verified; stop virtio1 verified
             for d in nvme0 virtio0 scsi0 virtio1 forgets; do
                 try $d wipeit --resume --yes --state-dir /w $(dev $(serial $d))
             done
             try dies wipeit $slow $(dev SN-DIES)
             show pending /w/pending/*.json; lab copy dies dies.copy; lab revive dies
             wait $hangs
             show hung /w/pending/*.json
             try resumed-dies wipeit --resume --yes --state-dir /w $(dev SN-DIES)
             try resumed-hangs wipeit --resume --yes --state-dir /w $(dev SN-HANGS)
             show report /w/reports/*.json",
        )
        .finished();
    for (spec, _, spoilt) in cases {
        let name = spec.split(',').next().unwrap();
        assert_eq!(boot.value(&format!("stopped-{name}")), "130", "{name}");
        faulty(&boot, name, &machine.image(name), spoilt);
    }
    // What a resume looks at first is not what was acknowledged: this may be
    // another drive, which is not written to.
    let words = ["byte 4608 is not what was written", "not touched"];
    boot.ended("forgets", 4, &words);
    boot.ended("dies", 1, &["FAILED ", "wipeit --resume"]);
    let left = boot.json_of("pending", "SN-DIES").unwrap();
    assert_eq!(left["bad"].as_array().unwrap().len(), 0, "{left}");
    let stream = Content::of(&left, 1);
    check(&machine.copy("dies"), 0, number(&left, "written"), &stream);
    boot.ended("hangs", 1, &["FAILED ", "--stall-timeout"]);
    assert!(boot.json_of("hung", "SN-HANGS").is_some());
    for (name, serial) in [("dies", "SN-DIES"), ("hangs", "SN-HANGS")] {
        boot.ended(&format!("resumed-{name}"), 0, &["WIPED "]);
        boot.wiped(serial, &machine.image(name));
    }
}
