//! Power cuts on real drivers of every kind: the short form of the campaign
//! `machine`.

use std::path::{Path, PathBuf};

use crate::rig::coverage::Coverage;
use crate::rig::machine::{Cut, Fs, Job, wipe};
use crate::rig::slots;
use crate::support::{MIB, NOTHING, Need, cases};

const CUTS: &[Need] = &[
    Need::Machine,
    Need::Tool("mkfs.ext4"),
    Need::Tool("mkfs.xfs"),
    Need::Tool("mkfs.btrfs"),
    Need::Tool("mkfs.vfat"),
    Need::Tool("mkfs.exfat"),
];

cases![
    CUTS => a_cut_loses_nothing_on_any_kind_of_drive_nor_on_any_file_system_of_the_state,
    NOTHING => the_judge_takes_no_copy_that_is_not_whole,
];

fn a_cut_loses_nothing_on_any_kind_of_drive_nor_on_any_file_system_of_the_state() {
    let jobs = [
        ("nvme", Fs::Vfat, (512, 512), 25, "none"),
        ("sata", Fs::Ext4, (512, 512), 40, "random"),
        ("scsi", Fs::Xfs, (4096, 512), 55, "prefix"),
        ("usb", Fs::Btrfs, (512, 4096), 70, "none"),
        ("uas", Fs::Exfat, (4096, 4096), 85, "random"),
        ("virtio", Fs::Vfat, (512, 4096), 100, "all"),
    ];
    let mut coverage = Coverage::default();
    for (kind, fs, blocks, at, keep) in jobs {
        let job = Job {
            kind,
            size: 4 * MIB,
            blocks,
            fs,
            options: "--buffer-size 64K".into(),
            bad: Vec::new(),
            bug: None,
        };
        let cut = |round| (round == 0).then_some(Cut { at, keep, seed: at });
        wipe(&job, cut, &mut coverage).unwrap_or_else(|why| panic!("{why}"));
    }
    assert_eq!(coverage.cuts(), 6, "{}", coverage.table());
}

fn the_judge_takes_no_copy_that_is_not_whole() {
    // SHA-256 of 7 in eight bytes, the lowest first, and of the body.
    let digest = "f19ffccf5c126dadc6ca06693154b69fd31c44398b8d2ba98ca73c902a469b1a";
    let slot = |digest: &str| {
        format!("{{\n  \"slot\": {{\"sequence\": 7, \"length\": 9, \"sha256\": \"{digest}\"}},\n \"a\": 1}}    \n")
            .into_bytes()
    };
    let (folder, name) = (Path::new("/p"), "a.json".to_string());
    let found = |own: &[u8], copy: &[u8]| {
        let files: Vec<(PathBuf, Vec<u8>)> = vec![
            (folder.join(".a.json.a"), copy.to_vec()),
            (folder.join("a.json"), own.to_vec()),
        ];
        slots::whole(&files, folder)
    };
    let whole = slot(digest);
    let torn = slot(&digest.replace('c', "d"));
    let json = b"{\n \"a\": 1}".to_vec();
    let of = |bytes: &[u8]| vec![(name.clone(), bytes.to_vec())];
    assert_eq!(found(b"", &whole), of(&json));
    assert_eq!(found(&torn, &whole), of(&json));
    assert_eq!(found(&whole, &torn), of(&json));
    // Nothing to go by: the judge is given what is torn.
    assert_eq!(found(&torn[..40], &torn), of(&torn[..40]));
    assert_eq!(found(&torn[..40], b""), of(&torn[..40]));
}
