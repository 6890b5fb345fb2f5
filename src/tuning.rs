//! How a kind of drive is kept busy, unless the user says otherwise.

use crate::device::{Device, Medium};
use crate::identity::Transport;
use crate::size::MIB;

/// Bytes of one write or read. Smaller ones lose speed: of 64 and 256 KiB every
/// kind of drive lost a tenth to a half. With all of them in flight, 8 MiB and
/// more fall out of the CPU's cache.
pub const CHUNK: u64 = MIB;

/// How many workers keep a drive busy: two, where it does one thing after the
/// other (one writes while the other fills its chunk), four elsewhere.
///
/// Measured on emulated drives, three rounds of zeros with 1, 2 and 4 workers,
/// medians in MB/s: USB 148, 138, 100; UAS 148, 150, 138; SATA 131, 131, 136;
/// SCSI 186, 180, 214; `NVMe` 180, 201, 201. A loop device over memory lost a
/// third with 1. Fewer in flight also end sooner after Ctrl+C on a slow drive.
#[must_use]
pub fn workers(device: &Device) -> usize {
    match (device.identity.transport, device.medium) {
        (Transport::Usb | Transport::Mmc, _) | (_, Medium::Rotational) => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::example::disk;

    #[test]
    fn drives_that_do_one_thing_after_the_other_get_two_workers() {
        let mut device = disk();
        let mut workers = |transport, medium| {
            device.identity.transport = transport;
            device.medium = medium;
            super::workers(&device)
        };
        assert_eq!(workers(Transport::Sata, Medium::Rotational), 2);
        assert_eq!(workers(Transport::Scsi, Medium::Rotational), 2);
        assert_eq!(workers(Transport::Usb, Medium::Flash), 2);
        assert_eq!(workers(Transport::Mmc, Medium::Flash), 2);
        assert_eq!(workers(Transport::Sata, Medium::Flash), 4);
        assert_eq!(workers(Transport::Nvme, Medium::Flash), 4);
        assert_eq!(workers(Transport::Loop, Medium::File), 4);
    }
}
