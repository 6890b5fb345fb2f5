//! What sysfs says that tells a drive from a volume.

use std::path::{Path, PathBuf};

use super::drive::Ids;
use super::sysfs::{Block, Found, attribute, base_name, list};
use super::vpd;
use crate::drive::{Nature, Signs, Transport};

/// What the whole disk of a device really is.
pub(super) fn nature(block: &Block, transport: Transport, ids: &Ids) -> Result<Nature, String> {
    let dir = &block.whole_dir;
    let driver = host(dir).and_then(|host| {
        let name = base_name(host);
        attribute(&host.join("scsi_host").join(name), "proc_name")
    });
    let raid_level = raid_level(dir);
    let over_device = matches!(
        block.loop_file()?.and_then(|file| file.found),
        Some(Found::Block(_))
    );
    Ok(Nature::of(&Signs {
        name: &base_name(dir),
        transport: Some(transport),
        vendor: ids.vendor.as_deref(),
        model: ids.model.as_deref(),
        driver: driver.as_deref(),
        channel: channel(dir),
        raid_level: raid_level.as_deref(),
        answers_as_drive: answers_as_drive(dir),
        loops_over_device: over_device,
        namespace: namespace(dir),
    }))
}

/// The SCSI host above: `host6`.
fn host(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|above| {
        base_name(above)
            .strip_prefix("host")
            .is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// The channel in `host:channel:target:lun` above.
fn channel(dir: &Path) -> Option<u32> {
    dir.ancestors().find_map(|above| {
        let name = base_name(above);
        let numbers: Option<Vec<u32>> = name.split(':').map(|part| part.parse().ok()).collect();
        match numbers?.as_slice() {
            [_, channel, _, _] => Some(*channel),
            _ => None,
        }
    })
}

/// The level that hpsa and smartpqi show of everything, or that the kernel's
/// RAID class (`drivers/scsi/raid_class.c`) shows of volumes.
fn raid_level(dir: &Path) -> Option<String> {
    let device = dir.join("device");
    attribute(&device, "raid_level").or_else(|| {
        let volumes: Vec<PathBuf> = list(&device.join("raid_devices")).ok()?;
        volumes.iter().find_map(|volume| attribute(volume, "level"))
    })
}

/// Whether it has ATA data (SAT-4, 12.4.2) or is an end device of SAS. A volume
/// has the attribute too, and an address of zeros.
fn answers_as_drive(dir: &Path) -> bool {
    let address = attribute(dir, "device/sas_address");
    let own = address.is_some_and(|text| {
        let digits = text.trim_start_matches("0x");
        digits.bytes().any(|byte| byte != b'0') && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    let on_sas = || {
        dir.iter()
            .any(|part| part.to_string_lossy().starts_with("end_device-"))
    };
    own || on_sas() || vpd::page(dir, 0x89).is_some()
}

/// The number of an `NVMe` namespace, and how many its drive has. They lie side
/// by side, below the controller or, where the kernel knows of several paths,
/// below the subsystem.
fn namespace(dir: &Path) -> Option<(u32, u32)> {
    let drive = base_name(dir);
    let (drive, _) = drive.strip_prefix("nvme")?.split_once('n')?;
    let prefix = format!("nvme{drive}n");
    let is_one = |path: &PathBuf| {
        base_name(path)
            .strip_prefix(&prefix)
            .is_some_and(|number| number.parse::<u32>().is_ok())
            && attribute(path, "hidden").as_deref() != Some("1")
    };
    let all = list(dir.parent()?).ok()?;
    let count = all.iter().filter(|path| is_one(path)).count();
    let number = attribute(dir, "nsid")?.parse().ok()?;
    Some((number, u32::try_from(count).ok()?))
}
