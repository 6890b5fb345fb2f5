//! Whole machines, made small after real ones, and exactly what is said against
//! wiping their disks.

use super::*;
use crate::probe::member::tests::{lvm_device, zfs_device};

#[test]
fn a_plain_sata_disk_is_free_until_something_on_it_is_used() {
    let machine = Machine::resting();
    for name in ["sda", "sda1", "sda2", "sdaa", "sdaa1"] {
        assert_eq!(machine.said(name), NOTHING, "{name}");
    }
    machine.mounts(
        "1 0 1008:2 / / rw - ext4 /dev/sda2 rw\n\
         2 1 1008:1 / /boot/efi rw - vfat /dev/sda1 rw\n",
    );
    assert_eq!(
        machine.said("sda"),
        [
            "sda2 is mounted at /; it carries the running system: start another one to wipe it",
            "sda1 is mounted at /boot/efi, from where this system starts; \
             run `umount /boot/efi` first",
            "it carries wipeit's state directory; use --state-dir on another drive",
        ]
    );
    assert_eq!(machine.said("sda1").len(), 1);
    assert_eq!(machine.said("sdaa"), NOTHING);
}

#[test]
fn a_namespace_of_an_nvme_drive_is_free_while_its_neighbour_is_used() {
    let machine = Machine::new();
    let bus = "pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0";
    for (name, nsid, minor) in [("nvme0n1", "1", 0), ("nvme0n2", "2", 8)] {
        machine.disk_at(bus, name, id(20259, minor));
        let wwid = format!("eui.0025385b71b0a3d{nsid}");
        machine.set(
            name,
            &[
                ("nsid", nsid),
                ("wwid", &wwid),
                ("device/serial", "S64FNE0R31"),
            ],
        );
    }
    machine.partition("nvme0n1", "p1", id(20259, 1));
    machine.mounts_besides_root("2 1 20259:1 / /home rw - ext4 /dev/nvme0n1p1 rw\n");
    let home = ["nvme0n1p1 is mounted at /home; run `umount /home` first"];
    assert_eq!(machine.said("nvme0n1"), home);
    assert_eq!(machine.said("nvme0n1p1"), home);
    assert_eq!(machine.said("nvme0n2"), NOTHING);
}

#[test]
fn lvm_on_luks_on_a_partition_is_refused_with_the_whole_chain() {
    let machine = Machine::usual();
    machine.mapped("dm-0", 0, "crypt", "CRYPT-LUKS2-1f-crypt");
    machine.mapped("dm-1", 1, "vg0-home", "LVM-abc");
    machine.mapped("dm-2", 2, "vg0-swap", "LVM-def");
    machine.hold("sda2", "dm-0");
    machine.hold("dm-0", "dm-1");
    machine.hold("dm-0", "dm-2");
    machine.mounts_besides_root("2 1 20252:1 / /home rw - ext4 /dev/mapper/vg0-home rw\n");
    let swap = machine.host.dev.join("dm-2");
    machine.swaps(&format!("{} partition\t1\t0\t-2\n", swap.display()));
    let close = "close it (`lvchange -an`, `cryptsetup close` or `dmsetup remove`) first";
    for name in ["sda", "sda2"] {
        assert_eq!(
            machine.said(name),
            [
                "dm-1 is mounted at /home; run `umount /home` first",
                "/dev/dm-2 is swap; run `swapoff /dev/dm-2` first",
                &format!("dm-0 is held by dm-1 (vg0-home); {close}"),
                &format!("dm-0 is held by dm-2 (vg0-swap); {close}"),
                &format!("sda2 is held by dm-0 (crypt); {close}"),
            ],
            "{name}"
        );
    }
    assert_eq!(machine.said("sda1"), NOTHING);
    assert_eq!(machine.said("dm-0").len(), 4);
}

#[test]
fn both_disks_of_a_mirror_are_refused() {
    let machine = Machine::usual();
    machine.disk_at("virtual", "md127", id(209, 127));
    machine.hold("sda1", "md127");
    machine.hold("sdaa1", "md127");
    machine.mounts_besides_root("2 1 209:127 / /srv rw - xfs /dev/md127 rw\n");
    for (disk, member) in [("sda", "sda1"), ("sdaa", "sdaa1")] {
        assert_eq!(
            machine.said(disk),
            [
                "md127 is mounted at /srv; run `umount /srv` first",
                &format!("{member} is held by md127; run `mdadm --stop /dev/md127` first"),
            ]
        );
    }
    assert_eq!(machine.said("sda2"), NOTHING);
}

/// A btrfs over two disks; the kernel's number of it is anonymous.
fn btrfs(machine: &Machine) -> String {
    let pool = machine.host.sys.join("fs/btrfs/5b1f/devices");
    std::fs::create_dir_all(&pool).unwrap();
    std::fs::create_dir_all(machine.host.sys.join("fs/btrfs/features")).unwrap();
    for member in ["sda", "sdaa"] {
        symlink(machine.sys(member), pool.join(member)).unwrap();
    }
    let source = machine.host.dev.join("sda");
    format!("2 1 0:55 /sub /pool rw - btrfs {} rw\n", source.display())
}

#[test]
fn both_disks_of_a_btrfs_are_refused_although_mountinfo_names_one() {
    let machine = Machine::usual();
    machine.mounts_besides_root(&btrfs(&machine));
    for disk in ["sda", "sdaa"] {
        assert_eq!(
            machine.said(disk),
            [format!(
                "{disk} is mounted at /pool; run `umount /pool` first"
            )]
        );
    }
    // Mounted where nobody here can see it, it holds its disks all the same.
    machine.mounts_besides_root("");
    for disk in ["sda", "sdaa"] {
        assert_eq!(
            machine.said(disk),
            [format!(
                "{disk} is held by btrfs 5b1f; \
                 unmount it, in whichever mount namespace that is, first"
            )]
        );
    }
}

#[test]
fn a_member_of_a_bcachefs_is_refused() {
    let machine = Machine::resting();
    for (index, member) in ["sda2", "sdaa"].into_iter().enumerate() {
        let dir = machine
            .host
            .sys
            .join(format!("fs/bcachefs/77aa/dev-{index}"));
        std::fs::create_dir_all(&dir).unwrap();
        symlink(machine.sys(member), dir.join("block")).unwrap();
    }
    let says = |member: &str| {
        [format!(
            "{member} is held by bcachefs 77aa; \
             unmount it, in whichever mount namespace that is, first"
        )]
    };
    assert_eq!(machine.said("sda"), says("sda2"));
    assert_eq!(machine.said("sda1"), NOTHING);
    assert_eq!(machine.said("sdaa"), says("sdaa"));
    // A member that was lost leaves a link to nowhere.
    let lost = machine.host.sys.join("fs/bcachefs/77aa/dev-2");
    std::fs::create_dir_all(&lost).unwrap();
    symlink("/nowhere", lost.join("block")).unwrap();
    assert_eq!(machine.said("sda1"), NOTHING);
}

#[test]
fn a_zfs_member_is_refused_while_its_pool_is_imported_and_warned_of_otherwise() {
    let machine = Machine::resting();
    machine.holds("sda1", zfs_device("tank", 77));
    assert_eq!(machine.said("sda"), NOTHING);
    assert_eq!(
        machine.warned("sda"),
        ["sda1 is a member of the inactive ZFS pool tank"]
    );
    let kstat = machine.host.proc.join("spl/kstat/zfs");
    Machine::write(&kstat.join("arcstats"), "");
    Machine::write(&kstat.join("other/state"), "ONLINE\n");
    assert_eq!(machine.said("sda"), NOTHING);
    Machine::write(&kstat.join("tank/state"), "ONLINE\n");
    let held = ["sda1 is held by ZFS pool tank; run `zpool export tank` first"];
    assert_eq!(machine.said("sda"), held);
    assert_eq!(machine.said("sda1"), held);
    assert_eq!(machine.warned("sda"), NOTHING);
    assert_eq!(machine.said("sda2"), NOTHING);
    // Newer modules say the number: this drive is of another pool of that name.
    Machine::write(&kstat.join("tank/guid"), "78\n");
    assert_eq!(machine.said("sda"), NOTHING);
    Machine::write(&kstat.join("tank/guid"), "77\n");
    assert_eq!(machine.said("sda"), held);
    // A device that cannot be looked at may be a member.
    let node = machine.host.dev.join("sda2");
    std::fs::remove_file(&node).unwrap();
    assert_eq!(
        machine.said("sda"),
        ["cannot tell whether sda2 belongs to an imported ZFS pool: \
             no such file or directory; refusing"]
    );
}

#[test]
fn swap_partitions_and_swap_files_are_refused() {
    let machine = Machine::resting();
    machine.swaps("/dev/sda2 partition\t1000\t0\t-2\n");
    assert_eq!(
        machine.said("sda"),
        ["sda2 is swap; run `swapoff /dev/sda2` first"]
    );
    assert_eq!(machine.said("sda1"), NOTHING);
    // A swap file: as a target, and by the mount that it lies on.
    let file = machine.file("swap file");
    let escaped = file.to_str().unwrap().replace(' ', "\\040");
    machine.swaps(&format!("{escaped} file\t1000\t0\t-2\n"));
    assert_eq!(
        machine.said_of_image(&file),
        ["/swap file is swap; run `swapoff '/swap file'` first"]
    );
    machine.mounts_besides_root("2 1 1008:1 / /var rw - ext4 /dev/sda1 rw\n");
    assert_eq!(
        machine.said("sda"),
        ["sda1 is mounted at /var; run `umount /var` first"]
    );
}

fn san(machine: &Machine, name: &str) {
    machine.set(
        name,
        &[
            ("device/vendor", "NETAPP"),
            ("device/model", "LUN"),
            ("device/wwid", "naa.600a098038303053453f463045727654"),
        ],
    );
}

#[test]
fn a_path_of_a_multipath_drive_is_refused_also_while_it_is_not_claimed() {
    let machine = Machine::resting();
    machine.mapped(
        "dm-3",
        3,
        "mpath a",
        "mpath-3600a098038303053453f463045727654",
    );
    san(&machine, "sda");
    san(&machine, "sdaa");
    // Nothing uses either: it is one drive all the same, and free.
    assert_eq!(machine.said("sdaa"), NOTHING);
    machine.hold("sda", "dm-3");
    let held = "held by multipath dm-3 (mpath a); run `multipath -f 'mpath a'` first";
    assert_eq!(machine.said("sda"), [format!("sda is {held}")]);
    let other = "(another path to the same drive, by its WWN)";
    assert_eq!(machine.said("sdaa"), [format!("sda {other} is {held}")]);
    assert_eq!(machine.said("sdaa1"), [format!("sda {other} is {held}")]);
    // A mount by one path, without a multipath daemon.
    let machine = Machine::usual();
    san(&machine, "sda");
    san(&machine, "sdaa");
    machine.mounts_besides_root("2 1 1008:1 / /lun rw - ext4 /dev/sda1 rw\n");
    assert_eq!(
        machine.said("sdaa"),
        [format!(
            "sda1 {other} is mounted at /lun; run `umount /lun` first"
        )]
    );
    // Another logical unit, or a name that many drives have.
    machine.set(
        "sdaa",
        &[("device/wwid", "naa.600a098038303053453f463045727655")],
    );
    assert_eq!(machine.said("sdaa"), NOTHING);
    for name in ["sda", "sdaa"] {
        machine.set(name, &[("device/wwid", "naa.5000000000000000")]);
    }
    assert_eq!(machine.said("sdaa"), NOTHING);
}

#[test]
fn a_loop_device_over_the_target_or_over_a_file_on_it_is_a_refusal() {
    let machine = Machine::usual();
    let file = machine.file("image");
    machine.looped("loop0", id(207, 0), file.to_str().unwrap());
    machine.mounts_besides_root(
        "2 1 1008:1 / /data rw - ext4 /dev/sda1 rw\n\
         3 2 207:0 / /mnt rw - ext4 /dev/loop0 rw\n",
    );
    assert_eq!(
        machine.said("sda"),
        ["sda1 is mounted at /data; run `umount /data` first"]
    );
    assert_eq!(
        machine.said_of_image(&file),
        ["it is the backing file of /dev/loop0; run `losetup -d /dev/loop0` first"]
    );
    assert_eq!(
        machine.said("loop0"),
        ["loop0 is mounted at /mnt; run `umount /mnt` first"]
    );
}

#[test]
fn a_partition_that_shares_bytes_with_one_in_use_is_refused() {
    // The image of a live system on a stick: its EFI partition lies in the other.
    let machine = Machine::usual();
    machine.set("sda1", &[("start", "64"), ("size", "1000")]);
    machine.set("sda2", &[("start", "100"), ("size", "20")]);
    machine.mounts_besides_root("2 1 1008:1 / /run/live/medium ro - iso9660 /dev/sda1 ro\n");
    let live = ["sda1 is mounted at /run/live/medium; run `umount /run/live/medium` first"];
    assert_eq!(machine.said("sda2"), live);
    assert_eq!(machine.said("sda"), live);
    // Side by side they are two.
    machine.set("sda2", &[("start", "1064")]);
    assert_eq!(machine.said("sda2"), NOTHING);
    machine.set("sda2", &[("start", "1063")]);
    assert_eq!(machine.said("sda2"), live);
}

#[test]
fn what_uses_the_drive_below_past_the_target_is_seen() {
    // A multipath map that got one of two paths; the other is mounted by itself.
    let machine = Machine::usual();
    machine.mapped(
        "dm-3",
        3,
        "mpatha",
        "mpath-3600a098038303053453f463045727654",
    );
    san(&machine, "sda");
    san(&machine, "sdaa");
    machine.hold("sdaa", "dm-3");
    machine.mapped("dm-4", 4, "vg0-data", "LVM-abc");
    machine.hold("dm-3", "dm-4");
    machine.mounts_besides_root("2 1 1008:1 / /lun rw - ext4 /dev/sda1 rw\n");
    let other = "(another path to the same drive, by its WWN)";
    let lun = format!("sda1 {other} is mounted at /lun; run `umount /lun` first");
    assert_eq!(machine.said("dm-4"), std::slice::from_ref(&lun));
    assert_eq!(machine.said("dm-3")[0], lun);
    // With both paths in the map nothing passes by it.
    machine.mounts_besides_root("");
    machine.hold("sda", "dm-3");
    assert_eq!(machine.said("dm-4"), NOTHING);
    assert_eq!(
        machine.said("dm-3"),
        [
            "dm-3 is held by dm-4 (vg0-data); close it (`lvchange -an`, `cryptsetup close` or \
          `dmsetup remove`) first"
        ]
    );
}

#[test]
fn a_neighbour_on_the_same_drive_does_not_count() {
    // Two volumes of a group.
    let machine = Machine::usual();
    machine.mapped("dm-0", 0, "vg0-a", "LVM-abc");
    machine.mapped("dm-1", 1, "vg0-b", "LVM-def");
    machine.hold("sda2", "dm-0");
    machine.hold("sda2", "dm-1");
    machine.mounts_besides_root(
        "2 1 20252:1 / /b rw - ext4 /dev/mapper/vg0-b rw\n\
         3 1 1008:1 / /boot rw - ext4 /dev/sda1 rw\n",
    );
    assert_eq!(machine.said("dm-0"), NOTHING);
}

#[test]
fn a_device_that_a_program_mounted_through_fuse_is_refused() {
    let machine = Machine::usual();
    let node = machine.host.dev.join("sda1");
    machine.mounts_besides_root(&format!(
        "2 1 0:71 / /mnt/old ro - fuse.fuse2fs {} ro\n\
         3 1 0:72 / /mnt/share rw - cifs //server/sda2 rw\n\
         4 1 0:73 / /mnt/memory rw - tmpfs sda2 rw\n",
        node.display()
    ));
    let old = ["sda1 is mounted at /mnt/old; run `umount /mnt/old` first"];
    assert_eq!(machine.said("sda1"), old);
    assert_eq!(machine.said("sda"), old);
    assert_eq!(machine.said("sda2"), NOTHING);
}

#[test]
fn an_sd_card_with_a_mounted_partition_is_refused() {
    let machine = Machine::new();
    machine.disk_at(
        "platform/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa",
        "mmcblk0",
        id(20179, 0),
    );
    machine.partition("mmcblk0", "p1", id(20179, 1));
    machine.partition("mmcblk0", "p2", id(20179, 2));
    machine
        .mounts_besides_root("2 1 20179:1 / /media/me/my\\040card rw - vfat /dev/mmcblk0p1 rw\n");
    assert_eq!(
        machine.said("mmcblk0"),
        ["mmcblk0p1 is mounted at /media/me/my card; run `umount '/media/me/my card'` first"]
    );
    assert_eq!(machine.said("mmcblk0p2"), NOTHING);
}

#[test]
fn names_that_begin_alike_and_strange_mount_points_are_told_apart() {
    let machine = Machine::usual();
    machine.mounts_besides_root(
        "2 1 1065:161 / /mnt/sda rw - ext4 /dev/sdaa1 rw\n\
         3 1 1065:161 / /a\\012b rw - ext4 /dev/sdaa1 rw\n\
         4 1 1065:161 / /K\u{e4}se\\040\u{1f9c0} rw - ext4 /dev/sdaa1 rw\n",
    );
    for name in ["sda", "sda1", "sda2"] {
        assert_eq!(machine.said(name), NOTHING, "{name}");
    }
    assert_eq!(
        machine.said("sdaa"),
        [
            "sdaa1 is mounted at /K\u{e4}se \u{1f9c0}; run `umount '/K\u{e4}se \u{1f9c0}'` first",
            "sdaa1 is mounted at /a\\012b; run `umount $'/a\\012b'` first",
            "sdaa1 is mounted at /mnt/sda; run `umount /mnt/sda` first",
        ]
    );
}

#[test]
fn a_host_managed_zoned_drive_is_refused() {
    let machine = Machine::resting();
    let said = [
        "it is a host-managed zoned drive, which wipeit cannot write; \
         use the drive's own sanitize",
    ];
    for (zoned, refused) in [
        ("none", false),
        ("host-aware", false),
        ("host-managed", true),
    ] {
        machine.set("sda", &[("queue/zoned", zoned)]);
        for name in ["sda", "sda1"] {
            assert_eq!(machine.said(name), &said[..usize::from(refused)], "{zoned}");
        }
    }
    let attribute = machine.sys("sda").join("queue/zoned");
    std::fs::remove_file(&attribute).unwrap();
    std::fs::create_dir(&attribute).unwrap();
    assert_eq!(machine.said("sda").len(), 1);
    assert!(machine.said("sda")[0].ends_with("queue/zoned: is a directory; refusing"));
}

#[test]
fn an_extended_partition_is_refused_with_what_it_holds() {
    let machine = Machine::resting();
    // The kernel shows 1 KiB of it.
    machine.set("sda2", &[("size", "2")]);
    let mut table = vec![0; 4096];
    table[446 + 16 + 4] = 0x0f;
    table[510..512].copy_from_slice(&[0x55, 0xaa]);
    machine.holds("sda", &table);
    assert_eq!(
        machine.said("sda2"),
        ["it is an extended partition, only a table of others; wipe the whole disk"]
    );
    for (number, minor) in [("5", 5), ("6", 6)] {
        machine.partition("sda", number, id(1008, minor));
    }
    assert_eq!(
        machine.said("sda2"),
        ["it is a partition that holds others (sda5, sda6); wipe those, or the whole disk"]
    );
    for name in ["sda", "sda1", "sda5", "sda6"] {
        assert_eq!(machine.said(name), NOTHING, "{name}");
    }
    // A tiny partition of another type is one like any other.
    table[446 + 16 + 4] = 0x83;
    machine.holds("sda", &table);
    assert_eq!(machine.said("sda2"), NOTHING);
    std::fs::remove_file(machine.host.dev.join("sda")).unwrap();
    assert_eq!(
        machine.said("sda2"),
        ["cannot read /dev/sda: no such file or directory; refusing"]
    );
    // A slice with partitions of its own inside.
    machine.set("sda1", &[("size", "500")]);
    assert_eq!(
        machine.said("sda1"),
        ["it is a partition that holds others (sda2, sda5); wipe those, or the whole disk"]
    );
}

#[test]
fn members_of_what_is_not_active_are_warned_of_by_name() {
    let machine = Machine::resting();
    machine.holds("sda1", lvm_device("vg0"));
    machine.holds(
        "sda2",
        [
            &b"LUKS\xba\xbe\0\x02"[..],
            &[0; 16],
            b"va\x1bult",
            &[0; 5000],
        ]
        .concat(),
    );
    assert_eq!(machine.said("sda"), NOTHING);
    assert_eq!(
        machine.warned("sda"),
        [
            "sda1 is a member of the inactive LVM2 volume group vg0",
            "sda2 is a closed LUKS volume \"va\\033ult\"",
        ]
    );
    assert_eq!(
        machine.warned("sda1"),
        ["sda1 is a member of the inactive LVM2 volume group vg0"]
    );
    machine.holds("sda1", [&[0; 536], &b"LVM2 001"[..], &[0; 4000]].concat());
    let mut lvm = vec![0; 4096];
    lvm[512..520].copy_from_slice(b"LABELONE");
    lvm[536..544].copy_from_slice(b"LVM2 001");
    machine.holds("sda1", &lvm);
    assert_eq!(
        machine.warned("sda1"),
        ["sda1 is a member of an inactive LVM2 volume"]
    );
    // Of an active one its holder is said, which is a refusal.
    machine.mapped("dm-0", 0, "vg0-root", "LVM-x");
    machine.hold("sda1", "dm-0");
    assert_eq!(machine.warned("sda1"), NOTHING);
    assert_eq!(machine.said("sda1").len(), 1);

    let mut btrfs = vec![0; 0x1_1000];
    btrfs[0x1_0040..0x1_0048].copy_from_slice(b"_BHRfS_M");
    btrfs[0x1_0088] = 1;
    machine.holds("sdaa1", &btrfs);
    assert_eq!(machine.warned("sdaa"), NOTHING);
    btrfs[0x1_0088] = 2;
    btrfs[0x1_012b..0x1_012f].copy_from_slice(b"pool");
    machine.holds("sdaa1", &btrfs);
    assert_eq!(
        machine.warned("sdaa"),
        ["sdaa1 is a member of the unmounted multi-device btrfs pool"]
    );
}
