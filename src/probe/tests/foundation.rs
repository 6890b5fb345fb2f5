//! What lies below a target: caches, snapshots, pools, drives of controllers.

use super::*;
use crate::drive::Nature;

/// The machine's own PID namespace.
const FIRST: &str = "pid:[4026531836]";

fn leftovers(machine: &Machine, name: &str) -> Vec<String> {
    let found = known(machine.look(name).usage.leftovers);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_bcache_is_refused_while_it_holds_anything_back() {
    let machine = Machine::resting();
    machine.disk_at("virtual", "bcache0", id(20251, 0));
    machine.hold("sda", "bcache0");
    machine.mapped("dm-0", 0, "secret", "CRYPT-LUKS2-1");
    machine.hold("bcache0", "dm-0");
    let modes = |mode: &str| {
        let all = ["writethrough", "writeback", "writearound", "none"];
        let shown = all.map(|one| {
            if one == mode {
                format!("[{one}]")
            } else {
                one.into()
            }
        });
        shown.join(" ")
    };
    for (mode, state, word) in [
        ("writeback", "clean", "write-back mode"),
        ("writeback", "dirty", "write-back mode"),
        ("writeback", "no cache", "write-back mode"),
        ("writethrough", "dirty", "cache and disk differ"),
        ("none", "inconsistent", "cache and disk differ"),
        ("writethrough", "", "cache and disk differ"),
        ("writethrough", "clean", ""),
        ("writearound", "clean", ""),
        ("none", "no cache", ""),
    ] {
        machine.set(
            "bcache0",
            &[("bcache/cache_mode", &modes(mode)), ("bcache/state", state)],
        );
        // Whatever lies over it rests on it as well.
        let said = machine.said("dm-0");
        if word.is_empty() {
            assert_eq!(said, NOTHING, "{mode} {state}");
            continue;
        }
        assert_eq!(said.len(), 1, "{mode} {state}: {said:?}");
        let remedy = "/sys/block/bcache0/bcache/state says clean";
        assert!(
            said[0].contains(word) && said[0].contains(remedy),
            "{said:?}"
        );
    }
}

#[test]
fn an_image_on_a_bcache_that_writes_back_is_refused_too() {
    let machine = Machine::usual();
    let image = machine.file("disk.img");
    let device = file_system_of(&image);
    machine.disk_at("virtual", "bcache0", device);
    machine.set(
        "bcache0",
        &[
            ("bcache/cache_mode", "[writeback] none"),
            ("bcache/state", "clean"),
        ],
    );
    let (major, minor) = (device.major, device.minor);
    machine.mounts(&format!(
        "1 0 {major}:{minor} / / rw - ext4 /dev/bcache0 rw\n"
    ));
    let said = machine.said_of_image(&image);
    assert!(
        said.iter().any(|why| why.contains("write-back mode")),
        "{said:?}"
    );
}

#[test]
fn volumes_of_lvm_tell_what_keeps_old_data() {
    let machine = Machine::resting();
    for (minor, name, uuid) in [
        (0, "vg-home", "LVM-1"),
        (1, "vg-home-real", "LVM-1-real"),
        (2, "vg-snap", "LVM-2"),
        (3, "vg-snap-cow", "LVM-2-cow"),
        (4, "vg-thin", "LVM-3"),
        (5, "vg-pool-tpool", "LVM-4-tpool"),
        (6, "vg-cached", "LVM-5"),
        (7, "vg-cached_corig", "LVM-6"),
        (8, "vg-quick", "LVM-7"),
        (9, "vg-quick_wcorig", "LVM-8"),
        (10, "vg-plain", "LVM-9"),
    ] {
        machine.mapped(&format!("dm-{minor}"), minor, name, uuid);
    }
    for (below, above) in [(1, 0), (1, 2), (3, 2), (5, 4), (7, 6), (9, 8)] {
        machine.hold(&format!("dm-{below}"), &format!("dm-{above}"));
    }
    assert_eq!(leftovers(&machine, "dm-10"), NOTHING);
    assert_eq!(
        leftovers(&machine, "dm-0"),
        ["the old data is still on its snapshot dm-2 (vg-snap)"]
    );
    assert_eq!(
        leftovers(&machine, "dm-2"),
        ["the old data is still on its origin dm-0 (vg-home)"]
    );
    assert!(leftovers(&machine, "dm-4")[0].starts_with("an LVM thin pool writes elsewhere"));
    assert!(leftovers(&machine, "dm-6")[0].contains("lvs -o+cache_mode"));
    assert!(machine.said("dm-8")[0].contains("lvconvert --splitcache"));
    assert_eq!(machine.said("dm-10"), NOTHING);
}

#[test]
fn drives_behind_a_controller_are_told_from_its_volumes() {
    let machine = Machine::resting();
    let bus = "pci0000:00/host6/target6:1:0/6:1:0:0";
    machine.disk_at(bus, "sdb", id(1008, 16));
    machine.set(
        "sdb",
        &[("device/vendor", "HPE"), ("device/model", "SOMETHING")],
    );
    let host = machine.host.sys.join("devices/pci0000:00/host6");
    let driver = |name: &str| {
        Machine::write(&host.join("scsi_host/host6/proc_name"), format!("{name}\n"));
    };
    let nature = || machine.look("sdb").identity.nature();
    assert_eq!(nature(), Nature::Drive);
    driver("smartpqi");
    machine.set("sdb", &[("device/raid_level", "RAID 5")]);
    assert!(nature().is_volume());
    assert_eq!(machine.look("sdb").medium, Medium::Unknown);
    machine.set("sdb", &[("device/raid_level", "N/A")]);
    assert_eq!(nature(), Nature::Drive);
    std::fs::remove_file(machine.sys("sdb").join("device/raid_level")).unwrap();
    driver("mpt3sas");
    assert!(nature().is_volume(), "its channel is that of volumes");
    driver("arcmsr");
    assert!(nature().is_volume());
    machine.set("sdb", &[("device/sas_address", "0x0000000000000000")]);
    assert!(nature().is_volume(), "an address of zeros is none");
    machine.set("sdb", &[("device/sas_address", "0x5000c500d1a2b3c4")]);
    assert_eq!(nature(), Nature::Drive);
    machine.set("sdb", &[("device/model", "LOGICAL VOLUME")]);
    assert!(nature().is_volume());
}

#[test]
fn other_namespaces_of_a_drive_are_counted() {
    let machine = Machine::resting();
    for (name, number) in [("nvme0n1", "1"), ("nvme0n2", "2"), ("nvme0n7", "7")] {
        let minor = number.parse().unwrap();
        machine.disk_at("pci0000:00/nvme/nvme0", name, id(1259, minor));
        machine.set(name, &[("nsid", number)]);
    }
    machine.disk_at("pci0000:00/nvme/nvme0", "nvme0c0n3", id(1259, 30));
    machine.disk_at("pci0000:01/nvme/nvme1", "nvme1n1", id(1259, 40));
    machine.set("nvme1n1", &[("nsid", "1")]);
    let nature = |name| machine.look(name).identity.nature();
    assert_eq!(nature("nvme0n2"), Nature::Namespace { number: 2, of: 3 });
    assert_eq!(
        nature("nvme0n7").part().as_deref(),
        Some("namespace 7, one of 3")
    );
    assert_eq!(nature("nvme1n1"), Nature::Drive);
}

#[test]
fn who_cannot_see_all_processes_wipes_no_device_unless_it_was_named() {
    let machine = Machine::resting();
    let space = |of: &str, text: &str| {
        let dir = machine.host.proc.join(of).join("ns");
        std::fs::create_dir_all(&dir).unwrap();
        let _ = std::fs::remove_file(dir.join("pid"));
        symlink(text, dir.join("pid")).unwrap();
    };
    let unseen = || machine.look("sda").usage.unseen;
    assert_eq!(unseen(), None);
    space("self", FIRST);
    assert_eq!(unseen(), Some(Unseen::Hidden), "number 1 is always there");
    space("1", FIRST);
    assert_eq!(unseen(), None);
    space("1", "pid:[4026532222]");
    space("self", "pid:[4026532222]");
    assert_eq!(unseen(), Some(Unseen::Namespace));
    space("1", FIRST);
    assert_eq!(unseen(), None, "the machine's processes are shown");
    let status = machine.host.proc.join("self/status");
    Machine::write(&status, "Name:\twipeit\nCapEff:\t000001fffff7ffff\n");
    assert_eq!(unseen(), Some(Unseen::Denied));
    // What has no serial cannot be named by it.
    let says = |words: &str| {
        let said = machine.said("sda");
        assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
    };
    says("with CAP_SYS_PTRACE; it has no serial");
    let page = machine.host.sys.join("class/block/sda/device/vpd_pg80");
    Machine::write(&page, b"\0\x80\0\x06SERIA1");
    says("with CAP_SYS_PTRACE, or add --serial");
    let mut device = machine.look("sda");
    device.named = true;
    assert!(guard::check(device).is_ok());
    Machine::write(&status, "Name:\twipeit\nCapEff:\t000001fffeffffff\n");
    assert_eq!(unseen(), None);
}
