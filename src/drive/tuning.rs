//! How a kind of drive is kept busy, unless the user says otherwise.

use super::device::Device;
use super::medium::Medium;
use crate::text::MIB;

/// What is in flight: more than about 8 MiB falls out of the CPU's cache, and
/// on a slow drive all of it has to end after Ctrl+C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes of one write or read. Writes of 64 and 256 KiB cost every kind of
    /// drive a tenth to a half of its speed.
    pub chunk: u64,
    /// Writes or reads at a time.
    pub workers: usize,
}

/// Drives that do one thing after the other: one worker writes while the other
/// fills its chunk.
///
/// Emulated drives with their real drivers, 1 MiB of zeros by 1, 2 and 4
/// workers, medians of three rounds in MB/s: USB 148, 138, 100; UAS 148, 150,
/// 138; SATA 131, 131, 136.
const SLOW: Tuning = Tuning {
    chunk: MIB,
    workers: 2,
};

/// All others. Emulated as above: SCSI 186, 180, 214; `NVMe` 180, 201, 201.
///
/// A loop device over memory, medians of 25 rounds in GB/s, zeros and random
/// data: 4 x 1 MiB 6.93 and 6.53; 3 x 2 MiB 7.13 and 6.58; 4 x 2 MiB 7.04 and
/// 6.52.
const FAST: Tuning = Tuning {
    chunk: 2 * MIB,
    workers: 3,
};

impl Tuning {
    pub fn of(device: &Device) -> Self {
        let sequential = device.identity.transport.traits().sequential;
        if sequential || device.medium == Medium::Rotational {
            SLOW
        } else {
            FAST
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::example::disk;
    use super::super::transport::Transport;
    use super::*;

    #[test]
    fn drives_that_do_one_thing_after_the_other_get_less_at_a_time() {
        let mut device = disk();
        let mut tuning = |transport, medium| {
            device.identity.transport = transport;
            device.medium = medium;
            Tuning::of(&device)
        };
        assert_eq!(tuning(Transport::Sata, Medium::Rotational), SLOW);
        assert_eq!(tuning(Transport::Scsi, Medium::Rotational), SLOW);
        assert_eq!(tuning(Transport::Usb, Medium::Flash), SLOW);
        assert_eq!(tuning(Transport::Mmc, Medium::Flash), SLOW);
        assert_eq!(tuning(Transport::Sata, Medium::Flash), FAST);
        assert_eq!(tuning(Transport::Nvme, Medium::Flash), FAST);
        assert_eq!(tuning(Transport::Loop, Medium::File), FAST);
    }
}
