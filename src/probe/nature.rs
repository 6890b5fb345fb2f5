//! What sysfs says that tells a drive from a volume.

use std::path::Path;

use super::block::Block;
use super::devices::Devices;
use super::sysfs::{FileId, base_name, is_numbered};
use super::vpd;
use crate::drive::{Nature, Signs};

/// What a whole disk really is. `signs`: what is known of it besides.
pub(super) fn nature(devices: &Devices, disk: &Block, signs: &Signs<'_>) -> Result<Nature, String> {
    let driver = disk.text("host/proc_name");
    // hpsa and smartpqi show the first of everything, the kernel's RAID class
    // the other of volumes.
    let raid_level = disk.text("device/raid_level");
    let raid_level = raid_level.or_else(|| disk.text("raid_devices/level"));
    let file = disk.file.as_ref().map_err(String::clone)?.as_ref();
    Ok(Nature::of(&Signs {
        name: &disk.name(),
        driver: driver.as_deref(),
        channel: channel(&disk.dir),
        raid_level: raid_level.as_deref(),
        answers_as_drive: answers_as_drive(disk),
        loops_over_device: matches!(file.and_then(|file| file.found), Some(FileId::Block(_))),
        namespace: namespace(devices, disk),
        ..*signs
    }))
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

/// Whether it has ATA data (SAT-4, 12.4.2) or is an end device of SAS. A volume
/// has the attribute too, and an address of zeros.
fn answers_as_drive(disk: &Block) -> bool {
    let address = disk.text("device/sas_address");
    let own = address.is_some_and(|text| {
        let digits = text.trim_start_matches("0x");
        digits.bytes().any(|byte| byte != b'0') && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    let mut above = disk.dir.iter();
    own || above.any(|part| part.to_string_lossy().starts_with("end_device-"))
        || vpd::page(disk, 0x89).is_some()
}

/// The number of an `NVMe` namespace, and how many its drive has. They lie side
/// by side, below the controller or, where the kernel knows of several paths,
/// below the subsystem.
fn namespace(devices: &Devices, disk: &Block) -> Option<(u32, u32)> {
    let name = disk.name();
    let (drive, _) = name.strip_prefix("nvme")?.split_once('n')?;
    let prefix = format!("nvme{drive}n");
    let is_one = |other: &&Block| {
        is_numbered(&other.name(), &prefix)
            && other.dir.parent() == disk.dir.parent()
            && !other.says_yes("hidden")
    };
    let count = devices.iter().filter(is_one).count();
    let number = disk.text("nsid")?.parse().ok()?;
    Some((number, u32::try_from(count).ok()?))
}
