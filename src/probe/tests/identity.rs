//! Which drive a device is.

use super::*;
use crate::drive::{Slice, path_from_text};

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
            nature: Some(Nature::Drive),
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

/// A bridge on USB with two bays; each with a serial of the bridge and one of
/// the drive in it.
fn bay(machine: &Machine, name: &str, port: &str, of_bridge: &str, of_drive: &[u8]) {
    let bridge = format!("pci0000:00/usb2/2-{port}");
    machine.disk_at(
        &format!("{bridge}/2-{port}:1.0/host6/6:0:0:{port}"),
        name,
        id(1008, 16 * u64::from(name.as_bytes()[2] - b'a')),
    );
    let device = machine.host.sys.join("devices").join(&bridge);
    Machine::write(&device.join("idVendor"), "152d\n");
    Machine::write(&device.join("serial"), of_bridge);
    let length = u8::try_from(of_drive.len()).unwrap();
    let page = [&[0, 0x80, 0, length], of_drive].concat();
    Machine::write(&machine.sys(name).join("device/vpd_pg80"), page);
}

#[test]
fn behind_a_usb_bridge_with_a_junk_serial_that_of_the_drive_is_taken() {
    let machine = Machine::new();
    bay(&machine, "sda", "1", "152D00539000", b"  WD-WCC4E0000001");
    bay(&machine, "sdb", "2", "000000000000", b"0123456789ABCDEF");
    bay(&machine, "sdc", "3", "000000000000", b"");
    bay(&machine, "sdd", "4", "4C530001", b"WD-WCC4E0000001");
    let serial = |name: &str| machine.look(name).identity.serial;
    assert_eq!(serial("sda").as_deref(), Some("WD-WCC4E0000001"));
    assert_eq!(serial("sdb").as_deref(), Some("000000000000"));
    assert_eq!(serial("sdd").as_deref(), Some("4C530001"));
    // Two bays say the same: neither is known by it.
    let attached = machine.host.attached();
    let disk = machine.look("sdb");
    let sharing: Vec<_> = sharing_id(&disk.path, &disk.identity, &attached)
        .map(|other| other.name.as_str())
        .collect();
    assert_eq!(sharing, ["sdc"]);
}

#[test]
fn the_boot_areas_of_an_emmc_are_disks_of_their_own() {
    let machine = Machine::new();
    machine.disk_at("platform/mmc_host/mmc0/mmc0:0001", "mmcblk0", id(20179, 0));
    machine.set(
        "mmcblk0",
        &[
            ("device/cid", "150100424a54443452033a"),
            ("device/name", "BJTD4R"),
            ("device/serial", "0x3a12bc4d"),
        ],
    );
    for (name, minor) in [("mmcblk0boot0", 8), ("mmcblk0boot1", 16)] {
        let dir = machine.sys("mmcblk0").join(name);
        machine.add(
            name,
            id(20179, minor),
            &dir,
            &[("size", "8192"), ("queue/logical_block_size", "512")],
        );
        symlink(machine.sys("mmcblk0"), dir.join("device")).unwrap();
    }
    let card = machine.look("mmcblk0").identity;
    let first = machine.look("mmcblk0boot0").identity;
    let second = machine.look("mmcblk0boot1").identity;
    assert_eq!(first.model, card.model);
    assert_eq!(first.serial.as_deref(), Some("0x3a12bc4d-boot0"));
    assert_eq!(second.wwn.as_deref(), Some("150100424a54443452033a-boot1"));
    assert!(!first.shares_id_with(&card) && !first.shares_id_with(&second));
    // They are no partitions of it.
    assert_eq!(machine.look("mmcblk0").contents.len(), 1);
}

#[test]
fn an_nvme_drive_of_an_older_kernel_is_known_by_the_best_name_it_has() {
    let machine = Machine::new();
    machine.disk("nvme0n1", id(20259, 0));
    let wwn = || machine.look("nvme0n1").identity.wwn;
    assert_eq!(wwn(), None);
    for (attribute, value, says) in [
        ("eui", "00 25 38 5b", "eui.0025385b"),
        ("nguid", "36354830-5281-0107", "eui.3635483052810107"),
        ("wwid", "eui.0025385b71b0a3d1", "eui.0025385b71b0a3d1"),
    ] {
        machine.set("nvme0n1", &[(attribute, value)]);
        assert_eq!(wwn().as_deref(), Some(says));
    }
}
