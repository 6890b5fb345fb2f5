//! Which drive it is, from sysfs alone: nothing here needs udev or an ioctl.

use std::path::{Path, PathBuf};

use super::host::Host;
use super::sysfs::{Block, Found, LoopFile, attribute, base_name, clean, list, number};
use super::{made, vpd};
use crate::drive::{
    Backing, Identity, Kind, Medium, Nature, Slice, Transport, is_junk, path_to_text,
};

/// The sizes of its blocks, logical and physical.
pub(super) fn block_sizes(block: &Block) -> Result<(u32, u32), String> {
    let logical = number(&block.whole_dir, "queue/logical_block_size")?;
    let physical = number(&block.whole_dir, "queue/physical_block_size").unwrap_or(logical);
    let fit = |size: u64| {
        u32::try_from(size)
            .ok()
            .filter(|size| size.is_power_of_two())
    };
    let logical = fit(logical).ok_or_else(|| {
        format!(
            "{} says that a block has {logical} bytes",
            block.whole_dir.join("queue/logical_block_size").display()
        )
    })?;
    Ok((logical, fit(physical).unwrap_or(logical).max(logical)))
}

/// Which drive it is; a partition has the identifiers of its disk.
pub(super) fn identity(block: &Block) -> Result<Identity, String> {
    // A multipath map is the drive that its paths lead to.
    let path = if is_multipath(block) {
        block.slaves()?.into_iter().next()
    } else {
        None
    };
    let names = path.as_ref().unwrap_or(block);
    let dir = &names.whole_dir;
    let transport = transport(dir);
    let slice = if block.is_partition() {
        Some(Slice {
            start: number(&block.dir, "start")?.saturating_mul(512),
            length: block.size()?,
            disk_size: block.whole()?.size()?,
        })
    } else {
        None
    };
    let ids = Ids::read(dir, transport);
    let nature = made::nature(names, transport, &ids)?;
    Ok(Identity {
        kind: match (block.is_partition(), transport) {
            (true, _) => Kind::Partition,
            (false, Transport::Loop) => Kind::Loop,
            _ => Kind::Disk,
        },
        transport,
        vendor: ids.vendor,
        model: ids.model,
        serial: ids.serial,
        wwn: ids.wwn,
        firmware: ids.firmware,
        size: block.size()?,
        logical_block: block_sizes(block)?.0,
        slice,
        backing: block
            .loop_file()?
            .map(|file| backing(dir, &file))
            .transpose()?,
        nature: Some(nature),
    })
}

/// Whether it is a map of multipath-tools (libmultipath/devmapper.c,
/// `UUID_PREFIX`), not one of its partitions.
pub(super) fn is_multipath(block: &Block) -> bool {
    attribute(&block.whole_dir, "dm/uuid").is_some_and(|uuid| uuid.starts_with("mpath-"))
}

fn backing(dir: &Path, file: &LoopFile) -> Result<Backing, String> {
    Ok(Backing {
        path: path_to_text(&file.path),
        inode: match file.found {
            Some(Found::File(_, inode)) => inode,
            _ => 0,
        },
        offset: number(dir, "loop/offset")?,
        size_limit: number(dir, "loop/sizelimit")?,
    })
}

/// By the names that the kernel's drivers give, which no user can change.
fn transport(dir: &Path) -> Transport {
    let name = base_name(dir);
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
    } else if on_usb(dir) {
        Transport::Usb
    } else if is("sd") || is("sr") {
        // The SCSI name that libata gives to every ATA drive.
        match attribute(dir, "device/vendor").as_deref() {
            Some("ATA") => Transport::Sata,
            _ => Transport::Scsi,
        }
    } else {
        Transport::Other
    }
}

/// Whether a directory `usb1` lies above: a root hub.
fn on_usb(dir: &Path) -> bool {
    dir.components().any(|part| {
        part.as_os_str()
            .to_str()
            .and_then(|part| part.strip_prefix("usb"))
            .is_some_and(|bus| !bus.is_empty() && bus.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The USB device above: the nearest directory with an `idVendor`.
fn usb_device(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|dir| dir.join("idVendor").exists())
}

#[derive(Default)]
pub(super) struct Ids {
    pub vendor: Option<String>,
    pub model: Option<String>,
    serial: Option<String>,
    wwn: Option<String>,
    firmware: Option<String>,
}

impl Ids {
    fn read(dir: &Path, transport: Transport) -> Self {
        let get = |name: &str| attribute(dir, name);
        match transport {
            Transport::Nvme => Self {
                model: get("device/model"),
                serial: nvme_serial(dir),
                // Kernels that have no `wwid` have what it is made of, the best
                // first, with separators.
                wwn: get("wwid").or_else(|| {
                    let id = get("nguid").or_else(|| get("eui"))?;
                    Some(format!("eui.{}", id.replace([' ', '-'], "")))
                }),
                firmware: get("device/firmware_rev"),
                vendor: None,
            },
            Transport::Mmc => Self::of_card(dir),
            Transport::Virtio => Self {
                serial: get("serial"),
                ..Self::default()
            },
            Transport::Dm => Self {
                model: get("dm/name"),
                wwn: get("dm/uuid"),
                ..Self::default()
            },
            Transport::Md => Self {
                wwn: get("md/uuid"),
                ..Self::default()
            },
            Transport::Loop | Transport::File => Self::default(),
            Transport::Sata | Transport::Scsi | Transport::Usb | Transport::Other => {
                let usb_serial = (transport == Transport::Usb)
                    .then(|| attribute(usb_device(dir)?, "serial"))
                    .flatten();
                Self {
                    vendor: get("device/vendor").filter(|_| transport != Transport::Sata),
                    model: get("device/model"),
                    serial: better(usb_serial, scsi_serial(dir)),
                    wwn: get("device/wwid").or_else(|| vpd::name(dir)),
                    firmware: get("device/rev"),
                }
            }
        }
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

impl Ids {
    /// A card. The boot areas of an eMMC, `mmcblk0boot0`, are disks of their own
    /// and lie below its directory; they have its identifiers with their name
    /// at the end.
    fn of_card(dir: &Path) -> Self {
        let name = base_name(dir);
        let area = name
            .strip_prefix("mmcblk")
            .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()))
            .filter(|area| !area.is_empty());
        let card = if area.is_some() && !dir.join("device/cid").exists() {
            dir.join("device/device")
        } else {
            dir.join("device")
        };
        let get = |name: &str| attribute(&card, name);
        let own = |id: Option<String>| match area {
            Some(area) => id.map(|id| format!("{id}-{area}")),
            None => id,
        };
        Self {
            model: get("name"),
            serial: own(get("serial")),
            wwn: own(get("cid")),
            firmware: get("fwrev"),
            vendor: None,
        }
    }
}

/// The serial is that of the whole drive; a second namespace of it is another
/// disk and gets its number at the end.
fn nvme_serial(dir: &Path) -> Option<String> {
    let serial = attribute(dir, "device/serial")?;
    match attribute(dir, "nsid") {
        Some(nsid) if nsid != "1" => Some(format!("{serial}-n{nsid}")),
        _ => Some(serial),
    }
}

fn scsi_serial(dir: &Path) -> Option<String> {
    clean(&vpd::page(dir, 0x80)?)
}

/// What the bits are kept on.
pub(super) fn medium(block: &Block, identity: &Identity) -> Medium {
    let dir = &block.whole_dir;
    let transport = identity.transport;
    let yes = |name: &str| attribute(dir, name).map(|text| text == "1");
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
    match transport {
        // So do sticks on USB, which unlike disks are removable.
        Transport::Usb if yes("removable") == Some(true) => Medium::Flash,
        _ => match yes("queue/rotational") {
            Some(true) => Medium::Rotational,
            Some(false) => Medium::Flash,
            None => Medium::Unknown,
        },
    }
}

/// Whether the kernel believes in a volatile write cache.
pub(super) fn write_back(block: &Block) -> Option<bool> {
    match attribute(&block.whole_dir, "queue/write_cache")?.as_str() {
        "write back" => Some(true),
        "write through" => Some(false),
        _ => None,
    }
}

/// The kernel's count of disks seen, of the whole disk.
pub(super) fn diskseq(block: &Block) -> Option<u64> {
    number(&block.whole_dir, "diskseq").ok()
}

impl Host {
    /// Where the drive sits: the most exact place that sysfs knows.
    pub(super) fn slot(&self, block: &Block, transport: Transport) -> Option<String> {
        let dir = &block.whole_dir;
        if let Some(slot) = enclosure_slot(dir) {
            return Some(slot);
        }
        match transport {
            Transport::Usb => usb_device(dir).map(base_name),
            Transport::Sata => dir
                .iter()
                .filter_map(|part| part.to_str())
                .find(|part| {
                    part.strip_prefix("ata")
                        .is_some_and(|port| port.parse::<u32>().is_ok())
                })
                .map(str::to_string),
            Transport::Nvme => self.pci_slot(dir),
            _ => None,
        }
    }

    /// The number printed at the slot, else the address on the bus.
    fn pci_slot(&self, dir: &Path) -> Option<String> {
        let device = dir.join("device").canonicalize().ok()?;
        let address = device
            .iter()
            .filter_map(|part| part.to_str())
            .rfind(|part| is_pci_address(part))?;
        let slots = list(&self.sys.join("bus/pci/slots")).unwrap_or_default();
        let of_slot = |slot: &PathBuf| {
            attribute(slot, "address").is_some_and(|prefix| {
                address
                    .strip_prefix(&prefix)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
        };
        let slot = slots.iter().find(|slot| of_slot(slot));
        Some(slot.map_or_else(|| address.to_string(), |slot| base_name(slot)))
    }
}

/// `device/enclosure_device:SLOT`, from the kernel's enclosure services.
fn enclosure_slot(dir: &Path) -> Option<String> {
    list(&dir.join("device")).ok()?.iter().find_map(|path| {
        let name = base_name(path);
        clean(name.strip_prefix("enclosure_device:")?.as_bytes())
    })
}

/// `0000:3d:00.0`.
fn is_pci_address(part: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    part.split_once('.').is_some_and(|(device, function)| {
        digits(function) && device.split(':').count() == 3 && device.split(':').all(digits)
    })
}
