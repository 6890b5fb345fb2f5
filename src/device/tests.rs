//! Against trees that look like `/sys`, `/proc` and `/dev`.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::identity::{Slice, path_from_text};

/// A machine of files.
pub(crate) struct Machine {
    dir: TempDir,
    pub(crate) host: Host,
}

const MIB: u64 = 1 << 20;

impl Machine {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let host = Host {
            sys: root.join("sys"),
            proc: root.join("proc"),
            dev: root.join("dev"),
            run: root.join("run"),
        };
        for path in [
            "sys/dev/block",
            "sys/class/block",
            "proc/self",
            "dev",
            "state",
        ] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        let machine = Self { dir, host };
        machine.mounts("");
        machine.swaps("");
        machine
    }

    fn write(path: &Path, text: impl AsRef<[u8]>) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A file outside of the kernel's trees.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.host.dev.with_file_name(name);
        Self::write(&path, vec![0; 8192]);
        path
    }

    pub(crate) fn mounts(&self, text: &str) {
        Self::write(&self.host.proc.join("self/mountinfo"), text);
    }

    pub(crate) fn swaps(&self, lines: &str) {
        let text = format!("Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n{lines}");
        Self::write(&self.host.proc.join("swaps"), text);
    }

    /// Where a device's attributes are.
    fn sys(&self, name: &str) -> PathBuf {
        let link = self.host.sys.join("class/block").join(name);
        link.canonicalize().unwrap()
    }

    pub(crate) fn set(&self, name: &str, attributes: &[(&str, &str)]) {
        for (attribute, value) in attributes {
            Self::write(&self.sys(name).join(attribute), format!("{value}\n"));
        }
    }

    fn add(&self, name: &str, dev: DevId, dir: &Path, attributes: &[(&str, &str)]) {
        let sys = &self.host.sys;
        std::fs::create_dir_all(dir.join("holders")).unwrap();
        let number = format!("{}:{}", dev.major, dev.minor);
        symlink(dir, sys.join("dev/block").join(&number)).unwrap();
        symlink(dir, sys.join("class/block").join(name)).unwrap();
        self.set(name, &[("dev", &number), ("ro", "0")]);
        self.set(name, attributes);
        Self::write(&self.host.dev.join(name), vec![0; 4096]);
    }

    /// A whole disk of 1 MiB below `bus`.
    pub(crate) fn disk_at(&self, bus: &str, name: &str, dev: DevId) {
        let dir = self
            .host
            .sys
            .join("devices")
            .join(bus)
            .join("block")
            .join(name);
        std::fs::create_dir_all(dir.join("slaves")).unwrap();
        self.add(
            name,
            dev,
            &dir,
            &[
                ("size", "2048"),
                ("queue/logical_block_size", "512"),
                ("queue/physical_block_size", "4096"),
                ("queue/rotational", "1"),
                ("queue/write_cache", "write back"),
                ("diskseq", "7"),
            ],
        );
    }

    pub(crate) fn disk(&self, name: &str, dev: DevId) {
        self.disk_at("pci0000:00", name, dev);
    }

    pub(crate) fn partition(&self, disk: &str, number: &str, dev: DevId) {
        let name = format!("{disk}{number}");
        let dir = self.sys(disk).join(&name);
        self.add(
            &name,
            dev,
            &dir,
            &[
                ("partition", number.trim_start_matches('p')),
                ("start", "64"),
                ("size", "100"),
            ],
        );
    }

    /// A loop device over a file.
    pub(crate) fn looped(&self, name: &str, dev: DevId, backing: &str) {
        self.disk_at("virtual", name, dev);
        self.set(
            name,
            &[
                ("loop/backing_file", backing),
                ("loop/offset", "0"),
                ("loop/sizelimit", "0"),
            ],
        );
    }

    pub(crate) fn hold(&self, held: &str, by: &str) {
        symlink(self.sys(by), self.sys(held).join("holders").join(by)).unwrap();
        let whole = self.sys(by).join("slaves").join(held);
        symlink(self.sys(held), whole).unwrap();
    }

    /// A disk `sda` with two partitions and a disk `sdaa` with one.
    pub(crate) fn usual() -> Self {
        let machine = Self::new();
        machine.disk("sda", id(1008, 0));
        machine.partition("sda", "1", id(1008, 1));
        machine.partition("sda", "2", id(1008, 2));
        machine.disk("sdaa", id(1065, 160));
        machine.partition("sdaa", "1", id(1065, 161));
        machine
    }

    fn number(&self, name: &str) -> DevId {
        Block::at(&self.host.sys.join("class/block").join(name))
            .unwrap()
            .dev
    }

    fn look(&self, name: &str) -> Device {
        self.look_with(name, Path::new("/proc"))
    }

    /// With another state directory than one that lies on no drive.
    fn look_with(&self, name: &str, state_dir: &Path) -> Device {
        let path = self.host.dev.join(name);
        self.host
            .block_target(&path, self.number(name), state_dir)
            .unwrap()
    }

    fn mounted_on(&self, name: &str) -> Vec<(String, PathBuf)> {
        let Fact::Known(mounts) = self.look(name).usage.mounts else {
            panic!("mounts are unknown");
        };
        mounts
            .into_iter()
            .map(|mount| (mount.name, mount.point))
            .collect()
    }
}

/// Majors here are none that a real file system has: its number must not meet a
/// device of the machine.
pub(crate) fn id(major: u64, minor: u64) -> DevId {
    DevId { major, minor }
}

/// The number of the file system that a path lies on.
fn file_system_of(path: &Path) -> DevId {
    DevId::from_raw(std::fs::metadata(path).unwrap().dev())
}

fn known<T>(fact: Fact<T>) -> T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(why) => panic!("unknown: {why}"),
    }
}

fn why<T: std::fmt::Debug>(fact: Fact<T>) -> String {
    match fact {
        Fact::Known(value) => panic!("known: {value:?}"),
        Fact::Unknown(why) => why,
    }
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
            mounts: Fact::Known(vec![]),
            swaps: Fact::Known(vec![]),
            holders: Fact::Known(vec![]),
            loops: Fact::Known(vec![]),
            carries_state: Fact::Known(false),
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
fn a_sata_disk_is_known_by_its_wwn_and_serial() {
    let machine = Machine::new();
    machine.disk_at(
        "pci0000:00/0000:00:1f.2/ata3/host2/2:0:0:0",
        "sda",
        id(1008, 0),
    );
    machine.partition("sda", "1", id(1008, 1));
    machine.set(
        "sda",
        &[
            ("device/vendor", "ATA     "),
            ("device/model", "ST18000NM004J   "),
            ("device/rev", "E002"),
            ("device/wwid", "naa.5000c500d1a2b3c4"),
        ],
    );
    let serial = machine.sys("sda").join("device/vpd_pg80");
    Machine::write(&serial, b"\0\x80\0\x0c    ZR5A1B2Cjunk");
    let disk = machine.look("sda").identity;
    let text = |text: &str| Some(text.to_string());
    assert_eq!(
        disk,
        Identity {
            kind: Kind::Disk,
            transport: Transport::Sata,
            vendor: None,
            model: text("ST18000NM004J"),
            serial: text("ZR5A1B2C"),
            wwn: text("naa.5000c500d1a2b3c4"),
            firmware: text("E002"),
            size: MIB,
            logical_block: 512,
            slice: None,
            backing: None,
        }
    );
    assert_eq!(machine.look("sda").slot.as_deref(), Some("ata3"));
    let partition = machine.look("sda1");
    assert_eq!(
        partition.identity,
        Identity {
            kind: Kind::Partition,
            size: 51200,
            slice: Some(Slice {
                start: 32768,
                length: 51200,
                disk_size: MIB,
            }),
            ..disk
        }
    );
    assert!(matches!(partition.node, Node::Block { whole, .. } if whole == id(1008, 0)));
    assert_eq!(partition.size, 51200);
}

#[test]
fn a_scsi_disk_without_a_wwid_is_known_by_page_83() {
    let machine = Machine::new();
    machine.disk("sda", id(1008, 0));
    machine.set(
        "sda",
        &[("device/vendor", "SEAGATE"), ("device/model", "X")],
    );
    let page = machine.sys("sda").join("device/vpd_pg83");
    // A name of the target port, an EUI-64 and a NAA of the unit.
    let ids = b"\x61\x93\0\x04abcd\x01\x02\0\x02\xab\xcd\x01\x03\0\x08\x50\0\xc5\0\xd1\xa2\xb3\xc4";
    let header = [0, 0x83, 0, u8::try_from(ids.len()).unwrap()];
    Machine::write(&page, [&header[..], ids].concat());
    let identity = machine.look("sda").identity;
    assert_eq!(identity.wwn.as_deref(), Some("naa.5000c500d1a2b3c4"));
    assert_eq!(identity.transport, Transport::Scsi);
    assert_eq!(identity.vendor.as_deref(), Some("SEAGATE"));
    assert_eq!(identity.serial, None);
    // Cut off in the middle of an identifier.
    Machine::write(&page, [0, 0x83, 0, 12, 1, 3, 0, 8, 0x50]);
    assert_eq!(machine.look("sda").identity.wwn, None);
}

#[test]
fn a_usb_stick_is_flash_and_has_the_serial_of_its_usb_device() {
    let machine = Machine::new();
    let bus = "pci0000:00/usb2/2-1/2-1.4/2-1.4:1.0/host6/6:0:0:0";
    machine.disk_at(bus, "sdc", id(1008, 32));
    let device = machine.host.sys.join("devices/pci0000:00/usb2/2-1/2-1.4");
    Machine::write(&device.join("idVendor"), "0781\n");
    Machine::write(&device.join("serial"), "4C530001\n");
    machine.set("sdc", &[("device/vendor", "ATA"), ("removable", "1")]);
    let stick = machine.look("sdc");
    assert_eq!(stick.identity.transport, Transport::Usb);
    assert_eq!(stick.identity.serial.as_deref(), Some("4C530001"));
    assert_eq!(stick.slot.as_deref(), Some("2-1.4"));
    assert_eq!(stick.medium, Medium::Flash);
}

#[test]
fn nvme_namespaces_of_one_drive_have_different_names() {
    let machine = Machine::new();
    let bus = "pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0";
    for (name, nsid, minor) in [("nvme0n1", "1", 0), ("nvme0n2", "2", 1)] {
        machine.disk_at(bus, name, id(20259, minor));
        machine.set(
            name,
            &[
                ("nsid", nsid),
                ("wwid", &format!("eui.{nsid}")),
                ("device/serial", "S64FNE0R31      "),
                ("device/model", "SAMSUNG MZQL2960"),
                ("device/firmware_rev", "GDC5"),
                ("queue/rotational", "0"),
            ],
        );
    }
    let first = machine.look("nvme0n1");
    let second = machine.look("nvme0n2");
    assert_eq!(first.identity.transport, Transport::Nvme);
    assert_eq!(first.identity.serial.as_deref(), Some("S64FNE0R31"));
    assert_eq!(first.identity.wwn.as_deref(), Some("eui.1"));
    assert_eq!(first.identity.firmware.as_deref(), Some("GDC5"));
    assert_eq!(first.medium, Medium::Flash);
    assert!(!first.identity.shares_id_with(&second.identity));
    assert_eq!(first.slot.as_deref(), Some("0000:3d:00.0"));
    let slot = machine.host.sys.join("bus/pci/slots/12/address");
    Machine::write(&slot, "0000:3d:00\n");
    assert_eq!(machine.look("nvme0n1").slot.as_deref(), Some("12"));
}

#[test]
fn an_enclosure_says_its_slot() {
    let machine = Machine::new();
    machine.disk("sda", id(1008, 0));
    let link = machine.sys("sda").join("device/enclosure_device:Slot 07");
    Machine::write(&link, "");
    assert_eq!(machine.look("sda").slot.as_deref(), Some("Slot 07"));
}

#[test]
fn cards_virtual_drives_and_arrays_are_known_by_their_own_attributes() {
    let machine = Machine::new();
    machine.disk("mmcblk0", id(20179, 0));
    machine.set(
        "mmcblk0",
        &[
            ("device/cid", "1b534d"),
            ("device/name", "GC1S5"),
            ("device/serial", "0x12"),
        ],
    );
    machine.disk("vda", id(20254, 0));
    machine.set("vda", &[("serial", "  ")]);
    machine.disk_at("virtual", "dm-0", id(20252, 0));
    machine.set("dm-0", &[("dm/name", "vg0-home"), ("dm/uuid", "LVM-9")]);
    machine.disk_at("virtual", "md0", id(209, 0));
    machine.set("md0", &[("md/uuid", "aa:bb")]);
    let ids = |name: &str| {
        let found = machine.look(name).identity;
        let shown = [found.model, found.serial, found.wwn];
        (found.transport, shown.map(Option::unwrap_or_default))
    };
    let text = |a: &str, b: &str, c: &str| [a, b, c].map(str::to_string);
    assert_eq!(
        ids("mmcblk0"),
        (Transport::Mmc, text("GC1S5", "0x12", "1b534d"))
    );
    assert_eq!(ids("vda"), (Transport::Virtio, text("", "", "")));
    assert_eq!(ids("dm-0"), (Transport::Dm, text("vg0-home", "", "LVM-9")));
    assert_eq!(ids("md0"), (Transport::Md, text("", "", "aa:bb")));
    // A hypervisor says "rotational" of everything.
    assert_eq!(machine.look("vda").medium, Medium::Unknown);
}

#[test]
fn a_loop_device_is_known_by_its_file() {
    let machine = Machine::new();
    let file = machine.file("disk\u{e4} (deleted)");
    machine.looped("loop0", id(207, 0), file.to_str().unwrap());
    machine.set(
        "loop0",
        &[("loop/offset", "4096"), ("loop/sizelimit", "8192")],
    );
    machine.partition("loop0", "p1", id(20259, 0));
    let inode = std::fs::metadata(&file).unwrap().ino();
    for name in ["loop0", "loop0p1"] {
        let device = machine.look(name);
        let backing = device.identity.backing.unwrap();
        assert_eq!(path_from_text(&backing.path).unwrap(), file);
        assert_eq!(
            (backing.inode, backing.offset, backing.size_limit),
            (inode, 4096, 8192)
        );
        assert_eq!(device.medium, Medium::File);
        assert_eq!(device.identity.transport, Transport::Loop);
    }
    assert_eq!(machine.look("loop0").identity.kind, Kind::Loop);
    assert_eq!(machine.look("loop0p1").identity.kind, Kind::Partition);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(machine.look("loop0").identity.backing.unwrap().inode, 0);
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
fn what_may_not_be_opened_is_denied_and_what_went_away_is_missing() {
    let problem = |code| Problem::of(Path::new("x"), &io::Error::from_raw_os_error(code));
    assert!(matches!(problem(nix::libc::EACCES), Problem::Denied));
    assert!(matches!(problem(nix::libc::EPERM), Problem::Denied));
    assert!(matches!(problem(nix::libc::ENXIO), Problem::Missing));
    assert!(matches!(problem(nix::libc::ENOMEDIUM), Problem::Empty));
    assert_eq!(
        problem(nix::libc::ELOOP).to_string(),
        "cannot open x: too many symbolic links encountered; refusing"
    );
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

#[test]
fn an_image_is_known_by_its_path_and_inode() {
    let machine = Machine::new();
    let file = machine.file("image");
    let link = machine.host.dev.with_file_name("by-another-name");
    symlink(&file, &link).unwrap();
    let image = machine.host.device(&link, Path::new("/proc")).unwrap();
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(image.path, link);
    assert_eq!(image.name, "image");
    assert_eq!(image.size, 8192);
    assert_eq!((image.logical_block, image.physical_block), (512, 4096));
    assert_eq!(
        image.node,
        Node::Image {
            dev: metadata.dev(),
            inode: metadata.ino(),
        }
    );
    assert_eq!(image.identity.kind, Kind::Image);
    assert_eq!(
        image.identity.backing,
        Some(Backing {
            path: path_to_text(&file),
            inode: metadata.ino(),
            offset: 0,
            size_limit: 0,
        })
    );
    assert_eq!(image.usage.carries_state, Fact::Known(false));
    assert_eq!(image.usage.read_only, Fact::Known(false));
    // Its swap is found by inode.
    let text = link.to_str().unwrap();
    machine.swaps(&format!("{text} file\t1\t0\t-2\n"));
    let image = machine.host.device(&file, Path::new("/proc")).unwrap();
    assert_eq!(known(image.usage.swaps), [text]);
}

#[test]
fn other_things_are_not_targets() {
    let machine = Machine::new();
    let root = machine.dir.path();
    let state = Path::new("/proc");
    let problem = |path: &Path| machine.host.device(path, state).unwrap_err();
    assert!(matches!(problem(&root.join("nothing")), Problem::Missing));
    assert!(matches!(problem(Path::new("")), Problem::Missing));
    assert!(matches!(
        problem(&machine.file("image").join("x")),
        Problem::Missing
    ));
    assert!(matches!(problem(root), Problem::NotATarget("a directory")));
    assert!(matches!(
        problem(Path::new("/dev/null")),
        Problem::NotATarget("a character device")
    ));
    let pipe = root.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(problem(&pipe), Problem::NotATarget("a pipe")));
    let socket = root.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(problem(&socket), Problem::NotATarget("a socket")));
    let empty = root.join("empty");
    Machine::write(&empty, "");
    assert!(matches!(problem(&empty), Problem::Empty));
    symlink(root.join("nowhere"), root.join("dangling")).unwrap();
    assert!(matches!(problem(&root.join("dangling")), Problem::Missing));
}

#[test]
fn a_drive_that_went_away_or_has_no_size_is_not_a_target() {
    let machine = Machine::usual();
    let look = |dev| {
        let path = machine.host.dev.join("sda");
        machine.host.block_target(&path, dev, Path::new("/proc"))
    };
    assert!(matches!(look(id(1008, 48)), Err(Problem::Missing)));
    machine.set("sda", &[("size", "0")]);
    assert!(matches!(look(id(1008, 0)), Err(Problem::Empty)));
    machine.set("sda", &[("size", "many")]);
    assert!(matches!(look(id(1008, 0)), Err(Problem::Unreadable(_))));
}

#[test]
fn the_drive_below_the_state_directory_is_found_through_all_layers() {
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    let not_yet = state.join("deeper/still");
    let dev = file_system_of(&state);
    // The file system of this test plays a volume on sda1.
    machine.disk_at("virtual", "dm-0", dev);
    let carries = |name: &str| known(machine.look_with(name, &not_yet).usage.carries_state);
    assert!(carries("dm-0"));
    assert!(!carries("sda"));
    machine.hold("sda1", "dm-0");
    assert!(carries("sda1"));
    assert!(carries("sda"));
    assert!(!carries("sda2"), "a neighbour");
    assert!(!carries("sdaa"));
}

#[test]
fn state_on_a_loop_device_lies_on_the_drive_of_its_file() {
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    let file = machine.file("image");
    // The same file system carries the file and, in this play, the loop device.
    machine.looped("loop0", file_system_of(&state), file.to_str().unwrap());
    assert!(known(
        machine.look_with("loop0", &state).usage.carries_state
    ));
    // A block device in place of the file.
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    machine.looped("loop0", file_system_of(&state), "/gone (deleted)");
    let text = why(machine.look_with("sda", &state).usage.carries_state);
    assert!(text.contains("/gone (deleted)"), "{text}");
}

#[test]
fn state_on_an_anonymous_file_system_is_traced_by_its_mount() {
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    let source = machine.host.dev.join("sda2");
    let mount = |kind: &str, source: &str, options: &str| {
        let dev = file_system_of(&state);
        let DevId { major, minor } = dev;
        machine.mounts(&format!(
            "1 0 {major}:{minor} / / rw - {kind} {source} {options}\n"
        ));
    };
    let carries = |name: &str| machine.look_with(name, &state).usage.carries_state;
    let pool = machine.host.sys.join("fs/btrfs/1/devices");
    std::fs::create_dir_all(&pool).unwrap();
    for member in ["sda2", "sdaa1"] {
        symlink(machine.sys(member), pool.join(member)).unwrap();
    }
    mount("btrfs", source.to_str().unwrap(), "rw");
    assert_eq!(carries("sda"), Fact::Known(true));
    assert_eq!(
        carries("sdaa"),
        Fact::Known(true),
        "the pool's other member"
    );
    assert_eq!(carries("sda1"), Fact::Known(false));
    mount("btrfs", "/dev/unheard-of", "rw");
    assert!(why(carries("sda")).contains("cannot be seen"));
    mount("tmpfs", "sda", "rw");
    assert_eq!(carries("sda"), Fact::Known(false));
    mount("nfs4", "server:/export", "rw");
    assert_eq!(carries("sda"), Fact::Known(false));
    mount(
        "overlay",
        "overlay",
        "rw,upperdir=/nowhere/to/be/seen,workdir=/w",
    );
    assert!(why(carries("sda")).contains("/nowhere/to/be/seen"));
    // An overlay over itself must not go round for ever.
    mount(
        "overlay",
        "overlay",
        &format!("rw,upperdir={}", state.display()),
    );
    assert!(why(carries("sda")).contains("too many layers"));
}

#[test]
fn state_in_memory_is_known() {
    let machine = Machine::new();
    let state = machine.host.dev.with_file_name("state");
    let DevId { major, minor } = file_system_of(&state);
    let in_memory = |kind: &str, options: &str| {
        machine.mounts(&format!(
            "1 0 {major}:{minor} / / rw - {kind} x {options}\n"
        ));
        machine.host.state_in_memory(&state.join("not/yet"))
    };
    if nix::sys::statfs::statfs(&state).unwrap().filesystem_type() != TMPFS_MAGIC {
        assert!(!in_memory("ext4", "rw"));
        assert!(!in_memory("overlay", "rw"));
        assert!(!in_memory(
            "overlay",
            &format!("rw,upperdir={}", state.display())
        ));
    }
    assert!(in_memory("ramfs", "rw"));
    assert!(machine.host.state_in_memory(Path::new("/dev/shm/wipeit")));
    assert!(in_memory(
        "overlay",
        "rw,lowerdir=/l,upperdir=/dev/shm/rw,workdir=/w"
    ));
}

#[test]
fn attached_are_all_that_have_a_size_and_are_no_memory() {
    let machine = Machine::usual();
    machine.looped("loop0", id(207, 0), machine.file("image").to_str().unwrap());
    machine.disk("loop1", id(207, 1));
    machine.set("loop1", &[("size", "0")]);
    machine.disk("ram0", id(201, 0));
    machine.disk("zram0", id(20253, 0));
    machine.disk("nvme0c0n1", id(20259, 9));
    machine.set("nvme0c0n1", &[("hidden", "1")]);
    machine.disk("cciss!c0d0", id(20104, 0));
    let attached = machine.host.attached();
    let names: Vec<_> = attached.iter().map(|drive| drive.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cciss!c0d0",
            "loop0",
            "sda",
            "sda1",
            "sda2",
            "sdaa",
            "sdaa1"
        ]
    );
    assert_eq!(attached[0].path, machine.host.dev.join("cciss/c0d0"));
    assert_eq!(attached[3].identity, machine.look("sda1").identity);
}

#[test]
fn reasons_are_lower_case_without_a_number() {
    let reason_of = |code| reason(&io::Error::from_raw_os_error(code));
    assert_eq!(reason_of(nix::libc::EACCES), "permission denied");
    assert_eq!(reason_of(nix::libc::EIO), "I/O error");
}
