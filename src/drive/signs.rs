//! What tells a drive from a volume, from memory and from a file: names that
//! the kernel, makers and controllers give.

use super::nature::Nature;
use super::transport::{Attaches, Transport};

/// What tells natures apart, as the kernel says it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signs<'a> {
    /// The kernel's name of the whole disk; empty where only a record speaks of
    /// it.
    pub name: &'a str,
    /// How it is attached, as far as that is known otherwise.
    pub transport: Option<Transport>,
    pub vendor: Option<&'a str>,
    pub model: Option<&'a str>,
    /// The driver of its SCSI host: `proc_name`.
    pub driver: Option<&'a str>,
    pub channel: Option<u32>,
    /// The driver's attribute `raid_level`, or the level that the kernel's RAID
    /// class shows.
    pub raid_level: Option<&'a str>,
    /// Whether it answers as a drive does: it has ATA data (VPD page 89h) or a
    /// SAS address of its own.
    pub answers_as_drive: bool,
    /// Whether a loop device lies over a block device.
    pub loops_over_device: bool,
    /// The number of its namespace and how many the drive has.
    pub namespace: Option<(u32, u32)>,
}

const CONTROLLER: &str = "a RAID controller";
const ARRAY: &str = "a storage array";

/// Drivers of controllers that show volumes; a drive that is passed through
/// answers as one.
#[rustfmt::skip]
const VOLUME_DRIVERS: [&str; 18] = [
    "3w-9xxx", "3w-sas", "3w-xxxx", "DAC960", "aacraid", "arcmsr", "dpt_i2o", "gdth", "hptiop",
    "ipr", "ips", "megaraid", "megaraid_mbox", "mvumi", "myrb", "myrs", "pmcraid", "stex",
];

/// Words in a model that no drive has in its name.
#[rustfmt::skip]
const VOLUME_WORDS: [&str; 14] = [
    "ARRAY", "LOGICAL", "LUN", "MEGARAID", "PERC", "PRAID", "RAID", "SERVERAID", "VD", "VDISK",
    "VIRTUAL", "VOL", "VOLUME", "VRAID",
];

/// How vendor and model of controllers' volumes begin; "" is any. A drive that
/// a controller passes through has its maker's own.
#[rustfmt::skip]
const CONTROLLERS: [(&str, &str); 42] = [
    ("3WARE", ""), ("ADAPTEC", ""), ("AMCC", ""), ("ARECA", ""), ("ASMT", "ASM1352R-B"),
    ("ASMT", "ASM1352R-F"), ("ASMT", "ASM1352R-S"), ("ATTO", ""), ("AVAGO", "MR"),
    ("AVAGO", "SAS"), ("BROADCOM", "MR"), ("CISCO", "UCS"), ("COMPAQ", "LOGICAL"),
    ("DELL", "PERC"), ("DELL", "BOSS"), ("", "DELLBOSS"), ("", "DELL BOSS"), ("DPT", ""),
    ("FTS", ""), ("HIGHPOIN", ""), ("HPE", "MR2"), ("HPE", "MR4"), ("", "HPE NS"), ("HPT", ""),
    ("IBM", "IPR"), ("IBM", "SERVERAID"), ("ICP", ""), ("INTEL", "RMS"), ("INTEL", "RS"),
    ("INTEL", "SROMB"), ("LENOVO", "MR"), ("LSI", "MR"), ("LSI", "SAS"), ("LSILOGIC", "1030"),
    ("LSILOGIC", "LOGICAL"), ("MSCC", "LOGICAL"), ("MYLEX", ""), ("PMCSIERA", ""),
    ("PROMISE", ""), ("SERVERA", ""), ("SMC", ""), ("VIA", "RAID"),
];

/// The same of storage arrays and of programs that serve volumes as SCSI.
#[rustfmt::skip]
const ARRAYS: [(&str, &str); 47] = [
    ("3PARDATA", ""), ("COMPELNT", ""), ("DATACORE", ""), ("DELL", "MD3"), ("DELL", "ME4"),
    ("DELL", "ME5"), ("DELLEMC", ""), ("DGC", ""), ("DOTHILL", ""), ("EMC", ""), ("ENGENIO", ""),
    ("EQLOGIC", ""), ("FREENAS", ""), ("FUJITSU", "ETERNUS"), ("HITACHI", "DF600"),
    ("HITACHI", "OPEN-"), ("HP", "HSV"), ("HP", "MSA"), ("HP", "OPEN-"), ("HP", "P2000"),
    ("HPE", "MSA"), ("HPE", "OPEN-"), ("HUAWEI", "S"), ("HUAWEI", "XSG1"), ("IBM", "1746"),
    ("IBM", "1814"), ("IBM", "2107"), ("IBM", "2145"), ("IBM", "2810"), ("IET", ""), ("IFT", ""),
    ("LENOVO", "DE_"), ("LIO-ORG", ""), ("NETAPP", "INF"), ("NEXSAN", ""), ("NFINIDAT", ""),
    ("NIMBLE", "SERVER"), ("PURE", "FLASH"), ("QNAP", ""), ("QSAN", ""), ("SCST_", ""),
    ("STK", ""), ("SUN", "LCSM"), ("SYNOLOGY", ""), ("TEGILE", ""), ("TRUENAS", ""),
    ("XTREMIO", ""),
];

/// The same of virtual drives on buses of real ones.
#[rustfmt::skip]
const HYPERVISORS: [(&str, &str); 11] = [
    ("", "AMAZON ELASTIC BLOCK STORE"), ("", "ALIBABA CLOUD ELASTIC BLOCK"), ("GOOGLE", ""),
    ("", "NVME_CARD"), ("", "ORCL-VBOX"), ("", "VBOX"), ("", "VMWARE VIRTUAL"),
    ("MSFT", "VIRTUAL"), ("ORACLE", "BLOCKVOLUME"), ("VBOX", ""), ("VMWARE", ""),
];

/// By the names that the kernel's drivers give, which no user can change: what
/// each makes. Before a number, a letter, or a name after a `_` or a `!`.
fn by_name(name: &str) -> Option<Nature> {
    use Nature::{Drive, Unknown, Virtual};
    let software = |by: &str| Nature::SoftwareVolume { by: by.into() };
    let memory = |by: &str| Nature::Memory { by: by.into() };
    let volume = |by: &str| Nature::ControllerVolume { by: by.into() };
    let stem = name.split(['!', '/']).next().unwrap_or(name);
    let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match stem {
        "dm-" => software("device-mapper"),
        "bcache" => software("bcache"),
        "drbd" => software("DRBD"),
        "rbd" => software("Ceph RBD"),
        "rnbd" | "nbd" => software("network block device"),
        "etherd" => software("ATA over Ethernet"),
        "zd" | "zvol" => software("ZFS"),
        "ublkb" => software("ublk"),
        "mtdblock" | "mtdblock_ro" | "ftl" | "nftl" | "inftl" | "rfd" => software("MTD"),
        "ubiblock" => software("UBI"),
        "ram" => memory("RAM disk"),
        "zram" => memory("zram"),
        "nullb" => memory("null_blk"),
        "cciss" | "ida" | "rd" | "amiraid" => volume(CONTROLLER),
        "mmcblk" | "rssd" => Drive,
        "pmem" => Unknown,
        _ if stem.starts_with("md") && !stem.starts_with("mdd") => software("RAID"),
        _ if stem.starts_with("mmcblk") => Drive,
        _ if stem.starts_with("dasd") => volume(ARRAY),
        _ if stem.starts_with("xvd") || stem.starts_with("vd") || stem.starts_with("ubd") => {
            Virtual
        }
        _ if stem.starts_with("ubiblock") => software("UBI"),
        _ => return None,
    })
}

impl Nature {
    /// Decides, from all that the kernel says.
    pub fn of(signs: &Signs<'_>) -> Self {
        if let Some(nature) = by_name(signs.name) {
            return nature;
        }
        let software = |by: &str| Self::SoftwareVolume { by: by.into() };
        match signs.transport.map(|transport| transport.traits().attaches) {
            Some(Attaches::File) if signs.loops_over_device => software("loop device"),
            Some(Attaches::File) => Self::File,
            Some(Attaches::Volume(by)) => software(by),
            Some(Attaches::Virtual) => Self::Virtual,
            Some(Attaches::Unknown) | None => Self::Unknown,
            Some(Attaches::Drive) => Self::Drive,
            Some(Attaches::DriveOrVolume) => signs.of_bus(),
        }
    }
}

impl Signs<'_> {
    /// A drive on a bus of drives, or what pretends to be one.
    fn of_bus(&self) -> Nature {
        let volume = |by: &str| Nature::ControllerVolume { by: by.into() };
        if let Some(passed_through) = self.driver_says() {
            return if passed_through {
                self.drive()
            } else {
                volume(CONTROLLER)
            };
        }
        if self.matches(&HYPERVISORS) {
            return Nature::Virtual;
        }
        // Before what it answers: controllers that talk AHCI or NVMe answer as a
        // drive, and an array on SAS has an address.
        if self
            .model_words()
            .any(|word| VOLUME_WORDS.contains(&&*word))
        {
            let array = self.matches(&ARRAYS);
            return volume(if array { ARRAY } else { CONTROLLER });
        }
        let of_volumes = || self.driver.is_some_and(|it| VOLUME_DRIVERS.contains(&it));
        if self.matches(&ARRAYS) {
            volume(ARRAY)
        } else if self.matches(&CONTROLLERS) || (of_volumes() && !self.answers_as_drive) {
            volume(CONTROLLER)
        } else {
            self.drive()
        }
    }

    /// What the controller's own driver says decides: whether it is a drive.
    fn driver_says(&self) -> Option<bool> {
        // hpsa and smartpqi give every drive the level "N/A".
        if let Some(level) = self.raid_level {
            return Some(level.eq_ignore_ascii_case("n/a"));
        }
        match (self.driver?, self.channel?) {
            // Channels 0 and 1 have its drives, the others its volumes.
            ("megaraid_sas", channel) => Some(channel < 2),
            // Channel 0 has its volumes, the others drives.
            ("aacraid", 1..) => Some(true),
            // Their RAID_CHANNEL.
            ("mpt2sas" | "mpt3sas" | "mptsas", 1) => Some(false),
            _ => None,
        }
    }

    fn drive(&self) -> Nature {
        match self.namespace {
            Some((number, of)) if of > 1 => Nature::Namespace { number, of },
            _ => Nature::Drive,
        }
    }

    /// Whether vendor and model begin as one of these.
    fn matches(&self, table: &[(&str, &str)]) -> bool {
        let upper = |text: Option<&str>| text.unwrap_or_default().trim().to_ascii_uppercase();
        let (vendor, model) = (upper(self.vendor), upper(self.model));
        let whole = format!("{vendor} {model}");
        // Where there is no vendor, as of ATA and NVMe, the model begins with it.
        let joined = model.split_once(' ').filter(|_| vendor.is_empty());
        table.iter().any(|(by, what)| {
            let fits = |vendor: &str, model: &str| {
                let same = vendor == *by || (by.ends_with('_') && vendor.starts_with(by));
                same && model.starts_with(what)
            };
            if by.is_empty() {
                return whole.trim_start().starts_with(what) || model.starts_with(what);
            }
            fits(&vendor, &model)
                || joined.is_some_and(|(by, model)| !what.is_empty() && fits(by, model))
        })
    }

    /// The words of its model, in upper case and without the number at their end.
    fn model_words(&self) -> impl Iterator<Item = String> {
        let model = self.model.unwrap_or_default();
        model
            .split(|c: char| !c.is_ascii_alphanumeric())
            .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
            .map(str::to_ascii_uppercase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scsi<'a>(vendor: &'a str, model: &'a str) -> Signs<'a> {
        Signs {
            name: "sdb",
            transport: Some(Transport::Scsi),
            vendor: Some(vendor),
            model: Some(model),
            ..Signs::default()
        }
    }

    fn controller() -> Nature {
        let by = CONTROLLER.to_string();
        Nature::ControllerVolume { by }
    }

    #[test]
    fn volumes_of_the_common_controllers_are_no_drives() {
        for (vendor, model) in [
            ("HP", "LOGICAL VOLUME"),
            ("HPE", "LOGICAL VOLUME"),
            ("Adaptec", "LogicalDrv 0"),
            ("DELL", "PERC H730 Mini"),
            ("LSI", "MR9260-8i"),
            ("LSI", "Logical Volume"),
            ("AVAGO", "MR9361-8i"),
            ("BROADCOM", "MR9560-16i"),
            ("LSI", "MegaRAID SAS RMB"),
            ("IBM", "ServeRAID M5015"),
            ("Lenovo", "RAID 930-8i-2GB"),
            ("Intel", "RMS3CC080"),
            ("FTS", "PRAID EP400i"),
            ("SMC", "SMC3108"),
            ("Cisco", "UCSC-MRAID12G"),
            ("AMCC", "9650SE-4LP DISK"),
            ("Areca", "ARC-1883-VOL#000"),
            ("Promise", "VTrak E610f"),
            ("HPE", "MR416i-o Gen11"),
            ("JMicron", "H/W RAID1"),
        ] {
            assert_eq!(
                Nature::of(&scsi(vendor, model)),
                controller(),
                "{vendor} {model}"
            );
        }
        for (transport, model) in [
            (Transport::Sata, "DELLBOSS VD"),
            (Transport::Sata, "ThinkSystem M.2 VD"),
            (Transport::Nvme, "HPE NS204i-p Gen10+ Boot Controller"),
            (Transport::Nvme, "Dell BOSS-N1"),
        ] {
            let signs = Signs {
                transport: Some(transport),
                vendor: None,
                // Through AHCI they answer as drives.
                answers_as_drive: true,
                ..scsi("", model)
            };
            assert_eq!(Nature::of(&signs), controller(), "{model}");
        }
        for (vendor, model) in [
            ("DGC", "VRAID"),
            ("NETAPP", "LUN C-Mode"),
            ("IBM", "2145"),
            ("LIO-ORG", "disk0"),
            ("HUAWEI", "XSG1"),
        ] {
            let nature = Nature::of(&scsi(vendor, model));
            assert!(nature.is_volume() && !nature.can_be_clear(), "{vendor}");
        }
    }

    #[test]
    fn what_a_controller_passes_through_is_a_drive() {
        for (vendor, model) in [
            ("HP", "EG0600FCVBK"),
            ("HPE", "MR000240GXBGH"),
            ("SEAGATE", "ST18000NM004J"),
            ("HUAWEI", "HWE32SS3008M001N"),
            ("NETAPP", "X422_HCOBD600A10"),
            ("LAB", "LAB DISK"),
            ("QEMU", "QEMU HARDDISK"),
            ("Kingston", "DataTraveler 3.0"),
        ] {
            assert_eq!(
                Nature::of(&scsi(vendor, model)),
                Nature::Drive,
                "{vendor} {model}"
            );
        }
        let behind = |driver, channel, raid_level, answers_as_drive| {
            Nature::of(&Signs {
                driver: Some(driver),
                channel,
                raid_level,
                answers_as_drive,
                ..scsi("SEAGATE", "ST18000NM004J")
            })
        };
        let (drive, volume) = (Nature::Drive, controller());
        assert_eq!(behind("hpsa", Some(0), Some("N/A"), false), drive);
        assert_eq!(behind("hpsa", Some(1), Some("RAID 5"), false), volume);
        assert_eq!(
            behind("smartpqi", Some(0), Some("RAID-1(1+0)"), false),
            volume
        );
        assert_eq!(behind("megaraid_sas", Some(0), None, false), drive);
        assert_eq!(behind("megaraid_sas", Some(2), None, false), volume);
        assert_eq!(behind("aacraid", Some(0), None, false), volume);
        assert_eq!(behind("aacraid", Some(1), None, false), drive);
        assert_eq!(behind("mpt3sas", Some(0), None, true), drive);
        assert_eq!(behind("mpt3sas", Some(1), None, true), volume);
        assert_eq!(behind("arcmsr", Some(0), None, false), volume);
        assert_eq!(behind("arcmsr", Some(0), None, true), drive);
        assert_eq!(behind("ahci", Some(0), None, true), drive);
    }

    #[test]
    fn what_software_makes_is_known_by_the_kernels_name() {
        let named = |name: &str| {
            Nature::of(&Signs {
                name,
                transport: Some(Transport::Other),
                ..Signs::default()
            })
        };
        for (name, what) in [
            ("dm-12", "device-mapper volume"),
            ("md127", "RAID volume"),
            ("md_d0", "RAID volume"),
            ("md_home", "RAID volume"),
            ("bcache0", "bcache volume"),
            ("drbd0", "DRBD volume"),
            ("rbd3", "Ceph RBD volume"),
            ("nbd0", "network block device volume"),
            ("zd16", "ZFS volume"),
            ("mtdblock3", "MTD volume"),
            ("ubiblock0_1", "UBI volume"),
            ("etherd!e1.1", "ATA over Ethernet volume"),
            ("cciss!c0d0", "volume of a RAID controller"),
            ("dasda", "volume of a storage array"),
            ("zram0", "memory (zram)"),
            ("ram0", "memory (RAM disk)"),
            ("nullb0", "memory (null_blk)"),
        ] {
            let nature = named(name);
            assert_eq!(nature.name().as_deref(), Some(what), "{name}");
            assert!(!nature.can_be_clear() && !nature.can_be_pulled(), "{name}");
            assert_eq!(nature.hidden_areas(Transport::Other), None, "{name}");
        }
        assert_eq!(named("vda"), Nature::Virtual);
        assert_eq!(named("xvda"), Nature::Virtual);
        assert_eq!(named("mmcblk0boot0"), Nature::Drive);
        for name in ["pmem0", "something"] {
            assert_eq!(named(name), Nature::Unknown);
            assert!(!named(name).can_be_clear());
        }
    }

    #[test]
    fn a_namespace_is_a_part_of_its_drive_only_beside_others() {
        let of = |namespace| {
            Nature::of(&Signs {
                name: "nvme0n1",
                transport: Some(Transport::Nvme),
                model: Some("SAMSUNG MZQL21T9"),
                namespace,
                ..Signs::default()
            })
        };
        assert_eq!(of(Some((1, 1))), Nature::Drive);
        assert_eq!(of(None), Nature::Drive);
        assert_eq!(of(Some((1, 3))).part().as_deref(), Some("namespace 1 of 3"));
        let odd = of(Some((5, 2))).part();
        assert_eq!(odd.as_deref(), Some("namespace 5, one of 2"));
    }

    #[test]
    fn only_what_may_have_them_hides_areas() {
        let hidden = |transport| Nature::Drive.hidden_areas(transport);
        assert_eq!(hidden(Transport::Sata), Some("HPA, DCO and AMAX areas"));
        assert_eq!(hidden(Transport::Scsi), Some("HPA, DCO and AMAX areas"));
        assert_eq!(hidden(Transport::Nvme), None);
        assert!(!hidden(Transport::Usb).unwrap().contains("HPA"));
        assert_eq!(controller().hidden_areas(Transport::Scsi), None);
    }
}
