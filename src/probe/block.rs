//! A block device as sysfs shows it, each of its files read once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;

use super::sysfs::{
    FileId, base_name, cannot_read, canonical, is_numbered, list, listed, stripped,
};
use crate::drive::{DevId, Identity};

/// What is read in a device's own directory, of what is there.
#[rustfmt::skip]
const OWN: [&str; 13] = [
    "backing_dev", "dev", "diskseq", "eui", "hidden", "nguid", "nsid", "partition", "removable",
    "ro", "size", "start", "wwid",
];

/// What is read in directories below it, where they are there.
#[rustfmt::skip]
const BELOW: [(&str, &[&str]); 5] = [
    ("queue", &[
        "logical_block_size", "physical_block_size", "rotational", "write_cache", "zoned",
    ]),
    ("loop", &["backing_file", "offset", "sizelimit"]),
    ("dm", &["name", "uuid"]),
    ("md", &["uuid"]),
    ("bcache", &["cache_mode", "state"]),
];

/// What is read of the device that a driver made the disk of, of what is there.
#[rustfmt::skip]
const DEVICE: [&str; 15] = [
    "cid", "firmware_rev", "fwrev", "model", "name", "raid_level", "rev", "sas_address", "serial",
    "state", "vendor", "vpd_pg80", "vpd_pg83", "vpd_pg89", "wwid",
];

/// The file behind a loop device.
#[derive(Debug, Clone)]
pub(super) struct LoopFile {
    /// As the kernel names it, maybe with ` (deleted)`.
    pub path: PathBuf,
    /// What is there now; `None` when it was deleted or lies out of sight.
    pub found: Option<FileId>,
}

/// A block device: a whole one or a partition.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub dev: DevId,
    /// Its own directory, symbolic links resolved.
    pub dir: PathBuf,
    /// That of the whole disk; `dir` when it is one.
    pub whole_dir: PathBuf,
    /// The directory of what its driver made it of, symbolic links resolved.
    pub device_dir: Option<PathBuf>,
    pub device_entries: Vec<String>,
    /// Whether it is a bcache, or kept on one.
    pub has_bcache: bool,
    /// The USB device that it is on: `2-1`.
    pub usb: Option<String>,
    /// Of a loop device: what is behind it, if anything.
    pub file: Result<Option<LoopFile>, String>,
    pub holders: Result<Vec<PathBuf>, String>,
    /// Those of the devices that it is made of.
    pub slaves: Result<Vec<PathBuf>, String>,
    /// Which drive it is, once that was worked out from all this.
    pub identity: OnceLock<Result<Identity, String>>,
    // by their names below `dir`, or those of `read_above`
    attributes: BTreeMap<String, Result<Vec<u8>, String>>,
}

impl Block {
    /// The device whose directory, or a link to it, this is. What is behind a
    /// loop device is not looked for.
    pub(super) fn read(link: &Path) -> Result<Self, String> {
        let dir = canonical(link)?;
        let entries = listed(&dir)?;
        let mut entries: BTreeSet<String> = entries.iter().map(|path| base_name(path)).collect();
        let whole_dir = match dir.parent() {
            Some(parent) if entries.contains("partition") => parent.to_path_buf(),
            _ => dir.clone(),
        };
        let mut this = Self {
            dev: DevId { major: 0, minor: 0 },
            device_dir: None,
            device_entries: Vec::new(),
            usb: None,
            has_bcache: entries.contains("bcache"),
            file: Ok(None),
            holders: Ok(Vec::new()),
            slaves: Ok(Vec::new()),
            identity: OnceLock::new(),
            attributes: BTreeMap::new(),
            dir,
            whole_dir,
        };
        let is_loop = this.name().starts_with("loop") && !this.is_partition();
        if is_loop && !entries.contains("loop") {
            // Of those with nothing behind them there are many.
            entries.retain(|entry| matches!(entry.as_str(), "dev" | "ro" | "size"));
        } else {
            this.holders = linked(&this.dir.join("holders"));
        }
        if entries.contains("slaves") {
            this.slaves = linked(&this.dir.join("slaves"));
        }
        let own = OWN.iter().map(|name| (*name, (*name).to_string()));
        let below = BELOW.iter().flat_map(|(below, names)| {
            let names = names.iter();
            names.map(move |name| (*below, format!("{below}/{name}")))
        });
        for (entry, name) in own.chain(below) {
            if entries.contains(entry) {
                this.keep(&name, &this.dir.join(&name));
            }
        }
        if entries.contains("device") && !this.is_partition() {
            this.read_device();
        }
        let number = this.required("dev")?;
        this.dev = DevId::parse(&String::from_utf8_lossy(number))
            .ok_or_else(|| format!("{} is not a device number", this.dir.join("dev").display()))?;
        this.file = this.loop_file();
        Ok(this)
    }

    /// Reads a file, to be asked for by a name.
    fn keep(&mut self, name: &str, path: &Path) {
        match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A loop device that was detached while we looked.
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => {}
            read => {
                let read = read.map_err(|error| cannot_read(path, &error));
                self.attributes.insert(name.to_string(), read);
            }
        }
    }

    fn read_device(&mut self) {
        let device = self.dir.join("device");
        self.device_dir = device.canonicalize().ok();
        let mut entries = list(&device).unwrap_or_default();
        let is_card = self.name().starts_with("mmcblk");
        // The boot areas of an eMMC lie below the card's own directory.
        let card = device.join("device");
        let below = is_card && !device.join("cid").exists() && card.exists();
        let from = if below {
            entries = list(&card).unwrap_or_default();
            card
        } else {
            device.clone()
        };
        self.device_entries = entries.iter().map(|path| base_name(path)).collect();
        for name in DEVICE {
            if self.device_entries.iter().any(|entry| entry == name) {
                self.keep(&format!("device/{name}"), &from.join(name));
            }
        }
        // The kernel's RAID class, drivers/scsi/raid_class.c.
        if self.device_entries.iter().any(|it| it == "raid_devices") {
            let volumes = list(&device.join("raid_devices")).unwrap_or_default();
            if let Some(volume) = volumes.iter().find(|it| it.join("level").exists()) {
                self.keep("raid_devices/level", &volume.join("level"));
            }
        }
        self.read_above();
    }

    /// What stands in directories above: the driver of the SCSI host, and the
    /// USB device.
    fn read_above(&mut self) {
        let dir = self.dir.clone();
        let mut above = dir.ancestors();
        if let Some(host) = above.find(|above| is_numbered(&base_name(above), "host")) {
            let host = host.join("scsi_host").join(base_name(host));
            self.keep("host/proc_name", &host.join("proc_name"));
        }
        let is_device = |above: &&Path| above.join("idVendor").exists();
        if self.is_on_usb()
            && let Some(usb) = dir.ancestors().find(is_device)
        {
            self.usb = Some(base_name(usb));
            self.keep("usb/serial", &usb.join("serial"));
        }
    }

    /// Whether it is attached by USB: a root hub, `usb1`, lies above.
    pub(super) fn is_on_usb(&self) -> bool {
        let mut parts = self.whole_dir.iter().filter_map(OsStr::to_str);
        parts.any(|part| is_numbered(part, "usb"))
    }

    /// The kernel's name, such as `sdb1`.
    pub(super) fn name(&self) -> String {
        base_name(&self.dir)
    }

    pub(super) fn is_partition(&self) -> bool {
        self.dir != self.whole_dir
    }

    /// The serial of a virtio disk. Each reading is a request to the disk, which one
    /// that hangs does not answer: only who has to know asks for it.
    pub(super) fn virtio_serial(&self) -> Option<String> {
        stripped(&std::fs::read(self.dir.join("serial")).ok()?)
    }

    /// What a file of it says, if there is one that can be read.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        stripped(self.bytes(name)?)
    }

    /// The same as bytes.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.attributes.get(name)?.as_deref().ok()
    }

    /// The same of one that must be read where it is there.
    pub(super) fn text_if_there(&self, name: &str) -> Result<Option<String>, String> {
        let text = self.attributes.get(name).cloned().transpose()?;
        Ok(text.and_then(|text| stripped(&text)))
    }

    /// A number that every such device has.
    pub(super) fn number(&self, name: &str) -> Result<u64, String> {
        let text = std::str::from_utf8(self.required(name)?).ok();
        text.and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| format!("{} is not a number", self.dir.join(name).display()))
    }

    fn required(&self, name: &str) -> Result<&[u8], String> {
        match self.attributes.get(name) {
            Some(read) => read.as_deref().map_err(String::clone),
            None => Err(cannot_read(&self.dir.join(name), &Errno::ENOENT.into())),
        }
    }

    pub(super) fn says_yes(&self, name: &str) -> bool {
        self.text(name).as_deref() == Some("1")
    }

    /// Bytes. sysfs counts in 512 bytes whatever the block size.
    pub(super) fn size(&self) -> Result<u64, String> {
        let sectors = self.number("size")?;
        sectors
            .checked_mul(512)
            .ok_or_else(|| format!("{} is too large", self.dir.join("size").display()))
    }

    /// First sector of a partition and the one behind its last, in units of 512
    /// bytes.
    pub(super) fn range(&self) -> Result<(u64, u64), String> {
        let start = self.number("start")?;
        Ok((start, start.saturating_add(self.number("size")?)))
    }

    /// Whether two partitions of a disk share bytes.
    pub(super) fn overlaps(&self, other: &Self) -> Result<bool, String> {
        let (a, b) = (self.range()?, other.range()?);
        Ok(a.0 < b.1 && b.0 < a.1)
    }

    /// Whether it is a map of multipath-tools (libmultipath/devmapper.c,
    /// `UUID_PREFIX`), not one of its partitions.
    pub(super) fn is_multipath(&self) -> bool {
        let uuid = self.text("dm/uuid");
        uuid.is_some_and(|uuid| uuid.starts_with("mpath-"))
    }

    /// `dm-3 (vg-snap)`, `md127`.
    pub(super) fn labelled(&self) -> String {
        match self.text("dm/name") {
            Some(label) => format!("{} ({label})", self.name()),
            None => self.name(),
        }
    }

    /// Whether its file could not be found because it is not over that any more.
    pub(super) fn lost_its_file(&self) -> bool {
        let not_found = matches!(&self.file, Ok(Some(file)) if file.found.is_none());
        not_found && {
            let now = std::fs::read(self.dir.join("loop/backing_file")).ok();
            now.as_deref() != self.bytes("loop/backing_file")
        }
    }

    fn loop_file(&self) -> Result<Option<LoopFile>, String> {
        let bytes = match self.attributes.get("loop/backing_file") {
            None => return Ok(None),
            Some(Ok(bytes)) => bytes,
            Some(Err(why)) => return Err(why.clone()),
        };
        // A file name may itself end in a line feed.
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        Ok((!bytes.is_empty()).then(|| LoopFile {
            path: OsStr::from_bytes(bytes).into(),
            found: None,
        }))
    }
}

/// Where the links of a directory lead to.
fn linked(dir: &Path) -> Result<Vec<PathBuf>, String> {
    listed(dir)?.iter().map(|link| canonical(link)).collect()
}
