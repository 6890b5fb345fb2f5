//! What the kernel's files say of a block device that gave an error.

use std::io;

use super::host::Host;
use super::sysfs::attribute;
use crate::drive::DevId;

impl Host {
    /// Why a block device that is open is not there any more: its files have
    /// gone, another disk has its number, or the kernel has taken it offline.
    /// `None` where nothing says so; what cannot be read says nothing, as its
    /// errors speak for themselves. `diskseq`: what it was.
    pub(crate) fn has_gone(&self, dev: DevId, diskseq: Option<u64>) -> Option<String> {
        let all = self.sys.join("dev/block");
        let link = all.join(format!("{}:{}", dev.major, dev.minor));
        let disk = match link.canonicalize() {
            Ok(dir) if dir.join("partition").exists() => dir.parent()?.to_path_buf(),
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound && all.exists() => {
                return Some("it has gone".into());
            }
            Err(_) => return None,
        };
        if let Some(was) = diskseq {
            let now = attribute(&disk, "diskseq").and_then(|text| text.parse().ok());
            if now.is_none() {
                return Some("it has gone".into());
            }
            if now != Some(was) {
                return Some("it has gone, and another disk has its name".into());
            }
        }
        // SCSI: include/scsi/scsi_device.h, NVMe: drivers/nvme/host/sysfs.c.
        let state = attribute(&disk, "device/state")?;
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

#[cfg(test)]
mod tests {
    use super::super::tests::Machine;
    use crate::drive::DevId;

    #[test]
    fn a_device_has_gone_where_the_kernel_says_so_and_only_there() {
        let machine = Machine::new();
        let dev = DevId { major: 8, minor: 0 };
        machine.disk("sda", dev);
        machine.set("sda", &[("diskseq", "7")]);
        let gone = || machine.host.has_gone(dev, Some(7)).unwrap_or_default();
        assert_eq!(gone(), "");
        for state in ["running", "blocked", "quiesce", "live", "resetting", "what"] {
            machine.set("sda", &[("device/state", state)]);
            assert_eq!(gone(), "", "{state}");
        }
        for (state, said) in [
            ("offline", "offline (offline)"),
            ("transport-offline", "offline (transport-offline)"),
            ("dead", "gone (dead)"),
            ("deleting (no IO)", "gone (deleting (no IO))"),
        ] {
            machine.set("sda", &[("device/state", state)]);
            assert!(gone().ends_with(said), "{state}: {}", gone());
        }
        machine.set("sda", &[("device/state", "running"), ("diskseq", "8")]);
        assert_eq!(gone(), "it has gone, and another disk has its name");
        // A kernel that does not count disks.
        assert_eq!(machine.host.has_gone(dev, None), None);
        let other = DevId {
            major: 8,
            minor: 16,
        };
        let said = machine.host.has_gone(other, None);
        assert_eq!(said.as_deref(), Some("it has gone"));
    }
}
