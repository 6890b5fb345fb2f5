//! Which drive it is, from sysfs alone: nothing here needs udev or an ioctl. The
//! one place besides `drive/transport.rs` that a new transport touches.

use super::block::{Block, LoopFile};
use super::devices::Devices;
use super::sysfs::{FileId, base_name, is_numbered, stripped};
use super::{nature, vpd};
use crate::drive::{
    Attached, Backing, Identity, Kind, Medium, Nature, Slice, Transport, is_junk, path_to_text,
};

impl Devices {
    /// Which drive a block device is; a partition has the identifiers of its disk.
    pub(super) fn identity(&self, block: &Block) -> Result<Identity, String> {
        block.identity.get_or_init(|| self.identify(block)).clone()
    }

    fn identify(&self, block: &Block) -> Result<Identity, String> {
        let disk = self.whole(block)?;
        // A multipath map is the drive that its paths lead to.
        let paths = if disk.is_multipath() {
            self.slaves(disk)?
        } else {
            Vec::new()
        };
        let names = paths.first().map_or(Ok(disk), |path| self.whole(path))?;
        let transport = transport(names);
        let kind = match (block.is_partition(), transport) {
            (true, _) => Kind::Partition,
            (false, Transport::Loop) => Kind::Loop,
            (false, _) => Kind::Disk,
        };
        let bare = Identity::bare(kind, transport, block.size()?, block_sizes(disk)?.0);
        let mut identity = named(names, bare);
        identity.nature = Some(nature::nature(self, names, &identity.signs())?);
        if block.is_partition() {
            identity.slice = Some(Slice {
                start: block.number("start")?.saturating_mul(512),
                length: identity.size,
                disk_size: disk.size()?,
            });
        }
        let file = self.file(block)?;
        identity.backing = file.map(|file| backing(disk, file)).transpose()?;
        Ok(identity)
    }

    /// All whole disks that have a node, each with what it is.
    pub(super) fn disks(&self) -> impl Iterator<Item = (&Block, Result<Identity, String>)> {
        let disks = self.iter();
        // The kernel makes no node for a path of an NVMe drive that has several.
        let disks = disks.filter(|block| !block.is_partition() && !block.says_yes("hidden"));
        disks.map(|block| (block, self.identity(block)))
    }

    /// Every disk, partition and loop device that has a size, in the order of
    /// their kernel names; not those that are memory.
    pub(super) fn attached(&self) -> Vec<Attached> {
        let counts = |block: &&Block| {
            let disk = base_name(&block.whole_dir);
            let hidden = || self.whole(block).is_ok_and(|disk| disk.says_yes("hidden"));
            !disk.starts_with("ram")
                && !disk.starts_with("zram")
                && !hidden()
                && block.size().is_ok_and(|size| size > 0)
        };
        let attached = |block: &Block| {
            Some(Attached {
                path: self.node(block),
                name: block.name(),
                identity: self.identity(block).ok()?,
            })
        };
        self.iter().filter(counts).filter_map(attached).collect()
    }

    /// Where the drive sits: the most exact place that sysfs knows.
    pub(super) fn slot(&self, disk: &Block, transport: Transport) -> Option<String> {
        // `device/enclosure_device:SLOT`, from the kernel's enclosure services.
        let enclosed = disk.device_entries.iter();
        let slot = enclosed.filter_map(|name| name.strip_prefix("enclosure_device:"));
        let mut slots = slot.filter_map(|slot| stripped(slot.as_bytes()));
        if let Some(slot) = slots.next() {
            return Some(slot);
        }
        match transport {
            Transport::Usb => disk.usb.clone(),
            Transport::Sata => {
                let mut parts = disk.dir.iter().filter_map(|part| part.to_str());
                let port = parts.find(|part| is_numbered(part, "ata"));
                port.map(str::to_string)
            }
            Transport::Nvme => {
                let device = disk.device_dir.as_ref()?;
                let mut parts = device.iter().filter_map(|part| part.to_str());
                let address = parts.rfind(|part| is_pci_address(part))?;
                Some(self.pci_slot(address).unwrap_or(address).to_string())
            }
            Transport::Scsi
            | Transport::Mmc
            | Transport::Virtio
            | Transport::Loop
            | Transport::Dm
            | Transport::Md
            | Transport::File
            | Transport::Other => None,
        }
    }
}

/// The sizes of the blocks of a disk, logical and physical.
pub(super) fn block_sizes(disk: &Block) -> Result<(u32, u32), String> {
    let logical = disk.number("queue/logical_block_size")?;
    let physical = disk.number("queue/physical_block_size").unwrap_or(logical);
    let fit = |size: u64| {
        let size = u32::try_from(size).ok();
        size.filter(|size| size.is_power_of_two())
    };
    let logical = fit(logical).ok_or_else(|| {
        format!(
            "{} says that a block has {logical} bytes",
            disk.dir.join("queue/logical_block_size").display()
        )
    })?;
    Ok((logical, fit(physical).unwrap_or(logical).max(logical)))
}

fn backing(disk: &Block, file: &LoopFile) -> Result<Backing, String> {
    Ok(Backing {
        path: path_to_text(&file.path),
        inode: match file.found {
            Some(FileId::File(_, inode)) => inode,
            _ => 0,
        },
        offset: disk.number("loop/offset")?,
        size_limit: disk.number("loop/sizelimit")?,
    })
}

/// By the names that the kernel's drivers give, which no user can change.
fn transport(disk: &Block) -> Transport {
    let name = disk.name();
    let is = |prefix: &str| name.starts_with(prefix);
    if is("loop") {
        Transport::Loop
    } else if is("dm-") {
        Transport::Dm
    } else if is("md") {
        Transport::Md
    } else if is("nvme") {
        Transport::Nvme
    } else if is("mmcblk") {
        // Before USB: a card in a reader on USB has its own number.
        Transport::Mmc
    } else if is("vd") {
        Transport::Virtio
    } else if disk.is_on_usb() {
        Transport::Usb
    } else if is("sd") || is("sr") {
        // The SCSI name that libata gives to every ATA drive.
        match disk.text("device/vendor").as_deref() {
            Some("ATA") => Transport::Sata,
            _ => Transport::Scsi,
        }
    } else {
        Transport::Other
    }
}

/// What a disk says of itself, by its transport. `bare`: nothing of that.
fn named(disk: &Block, bare: Identity) -> Identity {
    let get = |name: &str| disk.text(name);
    match bare.transport {
        Transport::Nvme => Identity {
            model: get("device/model"),
            serial: nvme_serial(disk),
            // Kernels that have no `wwid` have what it is made of, the best
            // first, with separators.
            wwn: get("wwid").or_else(|| {
                let id = get("nguid").or_else(|| get("eui"))?;
                Some(format!("eui.{}", id.replace([' ', '-'], "")))
            }),
            firmware: get("device/firmware_rev"),
            ..bare
        },
        Transport::Mmc => of_card(disk, bare),
        Transport::Virtio => Identity {
            serial: disk.virtio_serial(),
            ..bare
        },
        Transport::Dm => Identity {
            model: get("dm/name"),
            wwn: get("dm/uuid"),
            ..bare
        },
        Transport::Md => Identity {
            wwn: get("md/uuid"),
            ..bare
        },
        Transport::Loop | Transport::File => bare,
        Transport::Sata | Transport::Scsi | Transport::Usb | Transport::Other => Identity {
            vendor: get("device/vendor").filter(|_| bare.transport != Transport::Sata),
            model: get("device/model"),
            serial: better(get("usb/serial"), vpd::page(disk, 0x80).and_then(stripped)),
            wwn: get("device/wwid").or_else(|| vpd::name(disk)),
            firmware: get("device/rev"),
            ..bare
        },
    }
}

/// A card. The boot areas of an eMMC, `mmcblk0boot0`, are disks of their own; they
/// have its identifiers with their name at the end.
fn of_card(disk: &Block, bare: Identity) -> Identity {
    let name = disk.name();
    let area = name.strip_prefix("mmcblk").unwrap_or_default();
    let area = area.trim_start_matches(|c: char| c.is_ascii_digit());
    let get = |name: &str| disk.text(&format!("device/{name}"));
    let own = |id: Option<String>| match area {
        "" => id,
        area => id.map(|id| format!("{id}-{area}")),
    };
    Identity {
        model: get("name"),
        serial: own(get("serial")),
        wwn: own(get("cid")),
        firmware: get("fwrev"),
        ..bare
    }
}

/// A serial that tells drives apart before one that does not: some bridges say
/// their own junk in one place and the drive's serial in the other.
fn better(first: Option<String>, second: Option<String>) -> Option<String> {
    let is_junk = |id: &Option<String>| id.as_deref().is_none_or(is_junk);
    if is_junk(&first) && (!is_junk(&second) || first.is_none()) {
        second
    } else {
        first
    }
}

/// The serial is that of the whole drive; a second namespace of it is another
/// disk and gets its number at the end.
fn nvme_serial(disk: &Block) -> Option<String> {
    let serial = disk.text("device/serial")?;
    match disk.text("nsid") {
        Some(nsid) if nsid != "1" => Some(format!("{serial}-n{nsid}")),
        _ => Some(serial),
    }
}

/// What the bits are kept on.
pub(super) fn medium(disk: &Block, identity: &Identity) -> Medium {
    match identity.nature() {
        Nature::File => return Medium::File,
        // The host says "rotational" whatever it keeps the bits on, and the
        // drives below a volume may be of several kinds.
        Nature::Virtual
        | Nature::ControllerVolume { .. }
        | Nature::SoftwareVolume { .. }
        | Nature::Memory { .. } => return Medium::Unknown,
        Nature::Drive | Nature::Namespace { .. } | Nature::Unknown => {}
    }
    // So say sticks on USB, which unlike disks are removable.
    if identity.transport.traits().removable_is_flash && disk.says_yes("removable") {
        return Medium::Flash;
    }
    match disk.text("queue/rotational").as_deref() {
        Some("1") => Medium::Rotational,
        Some(_) => Medium::Flash,
        None => Medium::Unknown,
    }
}

/// Whether the kernel believes in a volatile write cache of a disk.
pub(super) fn write_back(disk: &Block) -> Option<bool> {
    match disk.text("queue/write_cache")?.as_str() {
        "write back" => Some(true),
        "write through" => Some(false),
        _ => None,
    }
}

/// The kernel's count of disks seen.
pub(super) fn diskseq(disk: &Block) -> Option<u64> {
    disk.number("diskseq").ok()
}

/// `0000:3d:00.0`.
fn is_pci_address(part: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    part.split_once('.').is_some_and(|(device, function)| {
        digits(function) && device.split(':').count() == 3 && device.split(':').all(digits)
    })
}
