//! The state on FAT and exFAT, as on every live USB stick, with the real
//! drivers: whatever of it a power cut leaves, the checkpoint is there.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::state::{State, number};
use crate::support::vm::Machine;
use crate::support::{Dice, MIB, Need, Scratch, cases, sh};

const FAT: &[Need] = &[
    Need::Time,
    Need::Machine,
    Need::Tool("openssl"),
    Need::Tool("mkfs.vfat"),
    Need::Tool("mkfs.exfat"),
];

cases![
    FAT => on_vfat_the_checkpoint_is_there_whenever_the_power_is_cut,
    FAT => on_exfat_the_checkpoint_is_there_whenever_the_power_is_cut,
];

/// What of the file system fits on the state's drive.
const STATE: u64 = 2 * MIB;
const TARGET: u64 = 32 * MIB;
/// As often as it can be.
const EVERY: u64 = MIB;
/// Loads what FAT needs.
const MODULES: &str = "for m in nls_cp437 nls_ascii nls_utf8 vfat exfat loop; do modprobe $m; done";

fn on_vfat_the_checkpoint_is_there_whenever_the_power_is_cut() {
    sweep("vfat");
}

fn on_exfat_the_checkpoint_is_there_whenever_the_power_is_cut() {
    sweep("exfat");
}

/// Makes the file system; exFAT aligns to a megabyte, unless it is told not to.
fn make(kind: &str, image: &Path) {
    match kind {
        "exfat" => sh!("mkfs.exfat", "-b", "64K", "-c", "4K", image),
        _ => sh!("mkfs.vfat", image),
    };
}

/// A request of a drive.
struct Request {
    drive: u8,
    what: u8,
    offset: u64,
    data: Vec<u8>,
}

fn requests(file: &Path) -> Vec<Request> {
    let mut bytes = Vec::new();
    File::open(file).unwrap().read_to_end(&mut bytes).unwrap();
    let (mut rest, mut all) = (bytes.as_slice(), Vec::new());
    while let Some((head, tail)) = rest.split_first_chunk::<14>() {
        let length = u32::from_be_bytes(head[10..].try_into().unwrap()) as usize;
        all.push(Request {
            drive: head[0],
            what: head[1],
            offset: u64::from_be_bytes(head[2..10].try_into().unwrap()),
            data: tail[..length].to_vec(),
        });
        rest = &tail[length..];
    }
    all
}

/// What is on the state's drive after a cut, and what was asked of the target
/// up to then.
struct Cut {
    medium: Vec<u8>,
    /// Where the writes to the target end.
    begun: u64,
    /// Where those end that it has flushed.
    flushed: u64,
    /// Before which request.
    at: usize,
}

fn put(medium: &mut [u8], offset: u64, data: &[u8]) {
    let at = usize::try_from(offset).unwrap();
    medium[at..at + data.len()].copy_from_slice(data);
}

/// Every cut before a request of the state's drive (the first one) and at the
/// end: with nothing, all, and some of what was not flushed.
fn cuts(base: Vec<u8>, requests: &[Request]) -> Vec<Cut> {
    let mut dice = Dice::new(9);
    let (mut medium, mut unflushed) = (base, Vec::<(u64, &[u8])>::new());
    let (mut begun, mut flushed) = (0, 0);
    let mut all: Vec<Cut> = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        let end = request.offset + request.data.len() as u64;
        if request.drive != 0 {
            match request.what {
                3 => flushed = begun,
                _ => begun = begun.max(end),
            }
            continue;
        }
        let mut kinds = vec![medium.clone()];
        for kind in 0..4 {
            if unflushed.len() < [1, 2, 2, 2][kind] {
                continue;
            }
            let mut some = medium.clone();
            for (offset, data) in &unflushed {
                if kind == 0 || dice.below(2) == 0 {
                    // Torn at a sector.
                    let sectors = data.len() as u64 / 512;
                    let whole = kind == 0 || dice.below(4) > 0;
                    let kept = if whole {
                        sectors
                    } else {
                        dice.below(sectors + 1)
                    };
                    put(
                        &mut some,
                        *offset,
                        &data[..usize::try_from(kept * 512).unwrap()],
                    );
                }
            }
            kinds.push(some);
        }
        for medium in kinds {
            let cut = Cut {
                medium,
                begun,
                flushed,
                at,
            };
            // Of the same medium the later cut asks for more.
            if let Some(same) = all
                .iter_mut()
                .rev()
                .take(8)
                .find(|c| c.medium == cut.medium)
            {
                *same = cut;
            } else {
                all.push(cut);
            }
        }
        match request.what {
            3 => {
                for (offset, data) in unflushed.drain(..) {
                    put(&mut medium, offset, data);
                }
            }
            2 => put(&mut medium, request.offset, &request.data),
            _ => unflushed.push((request.offset, &request.data)),
        }
    }
    all
}

/// A wipe is recorded once; then the medium of every cut is looked at.
fn sweep(kind: &str) {
    let machine = Machine::new()
        .blank("virtio,name=state,serial=STATE,log", STATE)
        .disk("virtio,name=target,serial=TARGET,log", TARGET);
    let image = machine.image("state");
    make(kind, &image);
    let base = std::fs::read(&image).unwrap();
    let boot = machine
        .boot(
            &[],
            &format!(
                "{MODULES}; mkdir /s; mount -t {kind} $(dev STATE) /s
                 try wipe wipeit --yes -s zero --verify none --threads 1 -b 64K \
                     --checkpoint-every {EVERY} --state-dir /s/w $(dev TARGET)
                 ls -la /s/w/*; show report /s/w/reports/*.json"
            ),
        )
        .finished();
    boot.ended("wipe", 0, &["WIPED", "keeps no file modes", "has the keys"]);
    let log = requests(&image.with_file_name("requests.bin"));
    let cuts = cuts(base, &log);
    assert!(cuts.len() > 100, "{}", cuts.len());
    for some in cuts.chunks(100) {
        look(kind, some);
    }
}

/// What the program finds on each of these media: the guest's drivers read the
/// files, and the program looks at them here.
fn look(kind: &str, cuts: &[Cut]) {
    let machine = Machine::new()
        .blank("virtio,name=media,serial=MEDIA", cuts.len() as u64 * STATE)
        .blank("virtio,name=files,serial=FILES", 256 * MIB);
    let image = OpenOptions::new()
        .write(true)
        .open(machine.image("media"))
        .unwrap();
    for (number, cut) in cuts.iter().enumerate() {
        let offset = number as u64 * STATE;
        image.write_all_at(&cut.medium, offset).unwrap();
    }
    machine
        .boot(
            &[],
            &format!(
                "{MODULES}; mkdir /m; media=$(dev MEDIA) files=$(dev FILES) i=0
                 while [ $i -lt {} ]; do
                     mkdir /m/$i
                     mount -t {kind} -o ro,loop,offset=$((i * {STATE})),sizelimit={STATE} \
                         $media /m/$i || exit 9
                     i=$((i+1))
                 done
                 cd /; tar cf $files m || echo torn; sync",
                cuts.len()
            ),
        )
        .finished();
    let scratch = Scratch::new();
    let archive = machine.image("files");
    sh!("tar", "xf", archive, "-C", scratch.path());
    for (number, cut) in cuts.iter().enumerate() {
        judge(&scratch, &scratch.join(&format!("m/{number}/w")), cut);
    }
}

fn judge(scratch: &Scratch, dir: &Path, cut: &Cut) {
    let done = scratch.wipeit().words("--list --json").state(dir).run();
    let files = || {
        sh!(
            "find",
            dir.parent().unwrap(),
            "-type",
            "f",
            "-size",
            "-1000k"
        )
    };
    let what = || {
        format!(
            "cut before request {}: {} bytes begun, {} flushed: {done:?} {}",
            cut.at,
            cut.begun,
            cut.flushed,
            if dir.exists() { files() } else { String::new() }
        )
    };
    let listed: Value = serde_json::from_str(&done.stdout).unwrap();
    let records = State::at(dir.to_path_buf()).reports();
    let finished = records.iter().any(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        serde_json::from_str::<Value>(&text).is_ok_and(|record| record["outcome"] == "WIPED")
    });
    let unfinished = listed["unfinished"].as_array().unwrap();
    match unfinished.as_slice() {
        [] if finished => assert_eq!(cut.flushed, TARGET, "{}", what()),
        [] => assert_eq!(cut.begun, 0, "it is lost; {}", what()),
        [one] => {
            let done = number(one, "done");
            assert!(done <= cut.flushed, "it is ahead; {}", what());
            assert!(cut.begun <= done + EVERY, "it is old; {}", what());
        }
        _ => panic!("several: {}", what()),
    }
}
