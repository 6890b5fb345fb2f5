//! By what a device is used.

use super::*;
use crate::probe::stack::Stack;
use crate::probe::usage;

#[test]
fn what_a_device_is_used_by_is_told_by_the_snapshot_alone() {
    let machine = Machine::usual();
    machine.mapped("dm-0", 0, "vg0-home", "LVM-1");
    machine.hold("sda2", "dm-0");
    let file = machine.file("image");
    machine.looped("loop0", id(207, 0), file.to_str().unwrap());
    machine.mounts_besides_root("2 1 20252:0 / /home rw - ext4 /dev/mapper/vg0-home rw\n");
    machine.swaps("/dev/sda1 partition\t1\t0\t-2\n");
    let qemu = machine.process(77, "qemu", "1");
    Machine::opens(&qemu, "3", &machine.host.dev.join("sda"), "0100002");
    Machine::opens(&qemu, "4", &file, "0100002");
    let snapshot = Snapshot::take(&machine.host, Path::new("/proc"));
    let uses = || {
        ["sda", "sda1", "sdaa", "loop0"].map(|name| {
            let devices = snapshot.storage.devices().unwrap();
            let block = devices.of_name(name).unwrap();
            let stack = Stack::of(devices, block);
            usage::of_block(block, stack.as_ref(), &snapshot)
        })
    };
    let before = uses();
    std::fs::remove_dir_all(machine.host.dev.parent().unwrap()).unwrap();
    assert_eq!(uses(), before);
    let [disk, partition, other, looped] = before;
    assert_eq!(known(disk.mounts)[0].point, Path::new("/home"));
    assert_eq!(known(disk.holders)[0].by, "dm-0 (vg0-home)");
    assert_eq!(known(partition.swaps), ["/dev/sda1"]);
    assert_eq!(known(partition.openers)[0].name, "sda");
    assert_eq!(known(other.openers), []);
    assert_eq!(known(looped.openers)[0].name, "image");
}

#[test]
fn an_idle_disk_is_used_by_nothing() {
    let machine = Machine::usual();
    // The state directory of this test lies on no drive of the machine.
    machine.mounts(&format!("1 0 {} / / rw - tmpfs none rw\n", {
        let dev = file_system_of(Path::new("/proc"));
        format!("{}:{}", dev.major, dev.minor)
    }));
    let device = machine.look("sda");
    assert_eq!(
        device.usage,
        Usage {
            busy: Fact::Known(false),
            read_only: Fact::Known(false),
            lies_at: None,
            mounts: Fact::Known(vec![]),
            swaps: Fact::Known(vec![]),
            holders: Fact::Known(vec![]),
            loops: Fact::Known(vec![]),
            openers: Fact::Known(vec![]),
            unseen: None,
            caches: Fact::Known(vec![]),
            leftovers: Fact::Known(vec![]),
            carries_state: Fact::Known(false),
            carries: Fact::Known(vec![]),
            host_managed: Fact::Known(false),
            extended: Fact::Known(None),
        }
    );
    assert_eq!(
        device.node,
        Node::Block {
            dev: id(1008, 0),
            whole: id(1008, 0),
            whole_path: machine.host.dev.join("sda"),
            diskseq: Some(7),
        }
    );
    assert_eq!(
        (device.size, device.logical_block, device.physical_block),
        (MIB, 512, 4096)
    );
    assert_eq!(device.name, "sda");
    assert_eq!(device.write_back, Some(true));
    assert_eq!(device.medium, Medium::Rotational);
    let names: Vec<_> = device
        .contents
        .iter()
        .map(|content| &content.name)
        .collect();
    assert_eq!(names, ["sda", "sda1", "sda2"]);
}

#[test]
fn mounts_are_found_by_number_and_not_by_the_start_of_a_name() {
    let machine = Machine::usual();
    machine.mounts("30 1 1065:161 / /mnt rw - ext4 /dev/sdaa1 rw\n");
    assert_eq!(machine.mounted_on("sda"), []);
    assert_eq!(
        machine.mounted_on("sdaa"),
        [("sdaa1".into(), "/mnt".into())]
    );
    assert_eq!(
        machine.mounted_on("sdaa1"),
        [("sdaa1".into(), "/mnt".into())]
    );
}

#[test]
fn a_partition_is_in_use_with_its_disk_but_not_with_its_neighbour() {
    let machine = Machine::usual();
    machine.mounts("30 1 1008:1 / /one rw - ext4 /dev/sda1 rw\n");
    assert_eq!(machine.mounted_on("sda2"), []);
    machine.mounts("30 1 1008:0 / /disk rw - ext4 /dev/sda rw\n");
    assert_eq!(machine.mounted_on("sda2"), [("sda".into(), "/disk".into())]);
}

#[test]
fn strange_mount_points_are_decoded_and_the_newest_comes_first() {
    let machine = Machine::usual();
    machine.mounts(
        "30 1 1008:1 / /mnt rw - ext4 /dev/sda1 rw\n\
         31 30 1008:2 / /mnt/a\\040b\\012c rw shared:5 - ext4 /dev/sda2 rw\n\
         32 30 1008:2 /sub /mnt/\u{43c} rw - ext4 /dev/sda2 rw\n",
    );
    assert_eq!(
        machine.mounted_on("sda"),
        [
            ("sda2".into(), "/mnt/\u{43c}".into()),
            ("sda2".into(), "/mnt/a b\nc".into()),
            ("sda1".into(), "/mnt".into()),
        ]
    );
}

#[test]
fn what_is_built_on_a_disk_counts_with_its_mounts_and_swap() {
    let machine = Machine::usual();
    machine.disk_at("virtual", "dm-0", id(20252, 0));
    machine.set(
        "dm-0",
        &[("dm/name", "crypt"), ("dm/uuid", "CRYPT-LUKS2-1")],
    );
    machine.disk_at("virtual", "dm-1", id(20252, 1));
    machine.set("dm-1", &[("dm/name", "vg0-home"), ("dm/uuid", "LVM-2")]);
    machine.disk_at("virtual", "md127", id(209, 127));
    machine.partition("md127", "p1", id(20259, 0));
    machine.hold("sda1", "dm-0");
    machine.hold("dm-0", "dm-1");
    machine.hold("sda2", "md127");
    machine.mounts(
        "30 1 20252:1 / /home rw - ext4 /dev/mapper/vg0-home rw\n\
         31 1 20259:0 / /raid rw - ext4 /dev/md127p1 rw\n",
    );
    let usage = machine.look("sda").usage;
    let holder = |name: &str, by: &str| Holder {
        name: name.into(),
        by: by.into(),
    };
    // Who must be closed first stands first.
    assert_eq!(
        known(usage.holders),
        [
            holder("dm-0", "dm-1 (vg0-home)"),
            holder("sda1", "dm-0 (crypt)"),
            holder("sda2", "md127"),
        ]
    );
    assert_eq!(
        machine.mounted_on("sda"),
        [
            ("md127p1".into(), "/raid".into()),
            ("dm-1".into(), "/home".into())
        ]
    );
    assert_eq!(
        machine.mounted_on("sda2"),
        [("md127p1".into(), "/raid".into())]
    );
    let swap = machine.host.dev.join("dm-1");
    machine.swaps(&format!("{} partition\t1\t0\t-2\n", swap.display()));
    assert_eq!(
        known(machine.look("sda1").usage.swaps),
        [swap.to_str().unwrap()]
    );
    assert_eq!(known(machine.look("sda2").usage.swaps), [""; 0]);
}

#[test]
fn swap_is_found_on_partitions() {
    let machine = Machine::usual();
    machine.swaps(
        "/dev/sda2                               partition\t1000\t\t0\t\t-2\n\
         /dev/sdaa1                              partition\t1000\t\t0\t\t-3\n",
    );
    assert_eq!(known(machine.look("sda").usage.swaps), ["/dev/sda2"]);
    assert_eq!(known(machine.look("sda1").usage.swaps), [""; 0]);
}

#[test]
fn every_member_of_a_btrfs_pool_is_mounted() {
    let machine = Machine::usual();
    let pool = machine.host.sys.join("fs/btrfs/1234/devices");
    std::fs::create_dir_all(&pool).unwrap();
    for member in ["sda2", "sdaa1"] {
        symlink(machine.sys(member), pool.join(member)).unwrap();
    }
    let source = machine.host.dev.join("sda2");
    machine.mounts(&format!(
        "30 1 0:55 / /pool rw - btrfs {} rw\n",
        source.display()
    ));
    assert_eq!(machine.mounted_on("sda"), [("sda2".into(), "/pool".into())]);
    assert_eq!(
        machine.mounted_on("sdaa"),
        [("sdaa1".into(), "/pool".into())]
    );
    assert_eq!(machine.mounted_on("sda1"), []);
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let machine = Machine::usual();
    let proc = &machine.host.proc;
    let mountinfo = proc.join("self/mountinfo");
    std::fs::remove_file(&mountinfo).unwrap();
    let usage = machine.look("sda").usage;
    let text = format!(
        "cannot read {}: no such file or directory",
        mountinfo.display()
    );
    assert_eq!(why(usage.mounts), text);
    assert!(why(usage.carries_state).contains(&text));
    std::fs::create_dir(&mountinfo).unwrap();
    assert!(why(machine.look("sda").usage.mounts).ends_with(": is a directory"));

    let machine = Machine::usual();
    machine.mounts("garbage\n");
    assert!(why(machine.look("sda").usage.mounts).starts_with("cannot understand a line of "));

    let machine = Machine::usual();
    let swaps = machine.host.proc.join("swaps");
    std::fs::remove_file(&swaps).unwrap();
    std::fs::create_dir(&swaps).unwrap();
    assert!(why(machine.look("sda").usage.swaps).starts_with("cannot read "));

    let machine = Machine::usual();
    machine.swaps("/dev/unheard-of partition 1 0 -2\n");
    assert_eq!(
        why(machine.look("sda").usage.swaps),
        "cannot tell which device the swap /dev/unheard-of is"
    );

    // Holders of one partition: then what is above is unknown altogether.
    let machine = Machine::usual();
    std::fs::remove_dir(machine.sys("sda2").join("holders")).unwrap();
    let usage = machine.look("sda").usage;
    assert!(why(usage.holders).contains("sda2/holders: no such file"));
    assert!(why(usage.mounts).contains("sda2/holders"));
    assert!(why(usage.swaps).contains("sda2/holders"));

    let machine = Machine::usual();
    std::fs::remove_file(machine.sys("sda").join("ro")).unwrap();
    assert!(why(machine.look("sda1").usage.read_only).contains("sda/ro"));
}

#[test]
fn a_kernel_without_swap_has_none() {
    let machine = Machine::usual();
    std::fs::remove_file(machine.host.proc.join("swaps")).unwrap();
    assert_eq!(known(machine.look("sda").usage.swaps), [""; 0]);
}

#[test]
fn a_partition_of_a_read_only_disk_is_read_only() {
    let machine = Machine::usual();
    machine.set("sda", &[("ro", "1")]);
    assert_eq!(machine.look("sda1").usage.read_only, Fact::Known(true));
    assert_eq!(machine.look("sdaa1").usage.read_only, Fact::Known(false));
}

#[test]
fn a_twin_over_the_same_file_is_found_and_the_device_itself_is_not() {
    let machine = Machine::new();
    let file = machine.file("image");
    let hard_link = machine.host.dev.with_file_name("link");
    std::fs::hard_link(&file, &hard_link).unwrap();
    machine.looped("loop0", id(207, 0), file.to_str().unwrap());
    machine.partition("loop0", "p1", id(20259, 0));
    machine.looped("loop1", id(207, 1), machine.file("other").to_str().unwrap());
    for name in ["loop0", "loop0p1", "loop1"] {
        assert_eq!(known(machine.look(name).usage.loops), [""; 0], "{name}");
    }
    machine.looped("loop2", id(207, 2), hard_link.to_str().unwrap());
    let twin = |name: &str| machine.host.dev.join(name).to_str().unwrap().to_string();
    assert_eq!(known(machine.look("loop0").usage.loops), [twin("loop2")]);
    assert_eq!(known(machine.look("loop0p1").usage.loops), [twin("loop2")]);
    assert_eq!(known(machine.look("loop2").usage.loops), [twin("loop0")]);
    let image = machine.host.device(&file, Path::new("/proc")).unwrap();
    assert_eq!(known(image.usage.loops), [twin("loop0"), twin("loop2")]);
}

#[test]
fn a_swap_file_behind_a_loop_device_is_its_swap() {
    let machine = Machine::new();
    let file = machine.file("image");
    let text = file.to_str().unwrap();
    machine.looped("loop0", id(207, 0), text);
    machine.looped("loop1", id(207, 1), machine.file("other").to_str().unwrap());
    machine.swaps(&format!("{text} file\t1\t0\t-2\n"));
    assert_eq!(known(machine.look("loop0").usage.swaps), [text]);
    assert_eq!(known(machine.look("loop1").usage.swaps), [""; 0]);
}

#[test]
fn loop_devices_over_one_deleted_file_are_twins_by_name() {
    let machine = Machine::new();
    machine.looped("loop0", id(207, 0), "/gone (deleted)");
    machine.looped("loop1", id(207, 1), "/gone (deleted)");
    machine.looped("loop2", id(207, 2), "/other (deleted)");
    assert_eq!(
        known(machine.look("loop0").usage.loops),
        [machine.host.dev.join("loop1").to_str().unwrap()]
    );
    // Of the same size: it may be over another name of the same file.
    assert!(why(machine.look("loop2").usage.loops).starts_with("cannot tell whether"));
}

#[test]
fn an_unreadable_list_of_loop_devices_is_unknown() {
    let machine = Machine::new();
    let file = machine.file("image");
    let class = machine.host.sys.join("class/block");
    std::fs::remove_dir(&class).unwrap();
    let image = machine.host.device(&file, Path::new("/proc")).unwrap();
    assert_eq!(
        why(image.usage.loops),
        format!("cannot read {}: no such file or directory", class.display())
    );
}
