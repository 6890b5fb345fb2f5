//! What the kernel's files say of a block device that gave an error.

use super::drive;
use super::sysfs::attribute;
use super::{DevId, Host};

impl Host {
    /// Why a block device that is open is not there any more: its files have
    /// gone, another disk has its number, or the kernel has taken it offline.
    /// `None` where nothing says so; what cannot be read says nothing, as its
    /// errors speak for themselves. `diskseq`: what it was.
    #[must_use]
    pub fn has_gone(&self, dev: DevId, diskseq: Option<u64>) -> Option<String> {
        let block = match self.block(dev) {
            Ok(Some(block)) => block,
            Ok(None) => return Some("it has gone".into()),
            Err(_) => return None,
        };
        if diskseq.is_some() {
            let now = drive::diskseq(&block);
            if now.is_none() {
                return Some("it has gone".into());
            }
            if now != diskseq {
                return Some("it has gone, and another disk has its name".into());
            }
        }
        // SCSI: include/scsi/scsi_device.h, NVMe: drivers/nvme/host/sysfs.c.
        let state = attribute(&block.whole_dir, "device/state")?;
        match state.as_str() {
            "offline" | "transport-offline" => {
                Some(format!("the kernel has taken it offline ({state})"))
            }
            "deleted" | "cancel" | "dead" | "deleting" | "deleting (no IO)" => {
                Some(format!("it has gone ({state})"))
            }
            _ => None,
        }
    }
}
