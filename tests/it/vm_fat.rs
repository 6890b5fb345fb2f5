//! The state on FAT and exFAT, as on every live USB stick, with the real
//! drivers: whatever of it a power cut leaves, the checkpoint is there.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::Value;

use crate::rig::machine::Fs;
use crate::rig::slots;
use crate::support::state::number;
use crate::support::vm::Machine;
use crate::support::{Dice, MIB, Need, Scratch, cases, sh};

const FAT: &[Need] = &[
    Need::Machine,
    Need::Tool("openssl"),
    Need::Tool("mkfs.vfat"),
    Need::Tool("mkfs.exfat"),
];

cases![
    FAT => on_vfat_the_checkpoint_is_there_whenever_the_power_is_cut,
    FAT => on_exfat_the_checkpoint_is_there_whenever_the_power_is_cut,
];

const STATE: u64 = MIB;
const TARGET: u64 = 24 * MIB;
/// As often as it can be.
const EVERY: u64 = MIB;
/// With so long a note a checkpoint outgrows its first files on the way.
const NOTE: usize = 800;
/// The size of those.
const FIRST: u64 = 4096;

fn on_vfat_the_checkpoint_is_there_whenever_the_power_is_cut() {
    sweep(Fs::Vfat);
}

fn on_exfat_the_checkpoint_is_there_whenever_the_power_is_cut() {
    sweep(Fs::Exfat);
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
fn sweep(fs: Fs) {
    let machine = Machine::new()
        .restored()
        .blank("virtio,name=state,serial=STATE,log", STATE)
        .disk("virtio,name=target,serial=TARGET,log", TARGET);
    let image = machine.image("state");
    fs.make(&image, 512);
    let base = std::fs::read(&image).unwrap();
    let (kind, note) = (fs.name(), "x".repeat(NOTE));
    let boot = machine
        .boot(
            &[],
            &format!(
                "mkdir /s; mount -t {kind} $(dev STATE) /s
                 try wipe wipeit --yes -s zero --verify none --threads 1 -b 64K --note {note} \
                     --checkpoint-every {EVERY} --state-dir /s/w $(dev TARGET)"
            ),
        )
        .finished();
    boot.ended("wipe", 0, &["WIPED", "keeps no file modes", "has the keys"]);
    let log = requests(&image.with_file_name("requests.bin"));
    let cuts = cuts(base, &log);
    assert!(cuts.len() > 100, "{}", cuts.len());
    let judged = look(kind, &cuts);
    // Of each there are some, and a larger pair of files was made on the way.
    assert!(judged.iter().all(|count| *count > 0), "{judged:?}");
}

/// How often nothing was found, a checkpoint in the first pair of files, one in
/// a larger pair, and a record.
type Judged = [usize; 4];

/// What the program finds on each of these media: the guest's drivers read the
/// files, and the program looks at them here.
fn look(kind: &str, cuts: &[Cut]) -> Judged {
    let machine = Machine::new()
        .restored()
        .blank("virtio,name=state,serial=STATE", STATE)
        .blank("virtio,name=files,serial=FILES", 256 * MIB);
    let mut media = File::create(machine.folder().join("state.media")).unwrap();
    for cut in cuts {
        media.write_all(&cut.medium).unwrap();
    }
    // Static programs: another takes its time to start there. What of a file that
    // is not finished leads nowhere cannot be read.
    machine
        .boot(
            &[],
            &format!(
                "state=$(dev STATE) files=$(dev FILES); mkdir /m /a; exec 8<>/run/lab
                 i=0; while [ $i -lt {} ]; do
                     echo load state $i >&8; read -r answer <&8; [ \"$answer\" = ok ] || exit 8
                     busybox mount -r -t {kind} $state /m || exit 9
                     busybox cp -r /m /a/$i 2>/dev/null; busybox umount /m || exit 10
                     i=$((i+1))
                 done; exec 8<&-
                 cd /; tar cf $files a; sync",
                cuts.len()
            ),
        )
        .finished();
    let scratch = Scratch::new();
    let archive = machine.image("files");
    sh!("tar", "xf", archive, "-C", scratch.path());
    let mut judged = Judged::default();
    for (number, cut) in cuts.iter().enumerate() {
        judged[judge(&scratch, &scratch.join(&format!("a/{number}/w")), cut)] += 1;
    }
    judged
}

/// The place in [`Judged`].
fn judge(scratch: &Scratch, dir: &Path, cut: &Cut) -> usize {
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
    let unfinished = listed["unfinished"].as_array().unwrap();
    let (pending, records) = (whole(dir, "pending"), whole(dir, "reports"));
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let finished = records.iter().any(|(_, bytes)| {
        // One that is not whole yet has its checkpoint.
        parsed(bytes).is_some_and(|record| record["outcome"] == "WIPED")
    });
    // Read by other code: what is there is whole, and as far.
    let read: Vec<_> = pending.iter().map(|(_, bytes)| parsed(bytes)).collect();
    let far = |value: &Option<Value>| value.as_ref().map(|value| number(value, "written"));
    match (unfinished.as_slice(), read.as_slice()) {
        ([], []) if finished => {
            assert_eq!(cut.flushed, TARGET, "{}", what());
            3
        }
        ([], []) => {
            assert_eq!(cut.begun, 0, "it is lost; {}", what());
            assert!(records.is_empty(), "{}", what());
            0
        }
        ([one], [other]) => {
            let done = number(one, "done");
            assert_eq!(far(other), Some(done), "{}", what());
            assert!(done <= cut.flushed, "it is ahead; {}", what());
            assert!(cut.begun <= done + EVERY, "it is old; {}", what());
            if largest(dir) > FIRST { 2 } else { 1 }
        }
        _ => panic!("several, or torn: {}", what()),
    }
}

/// Bytes of the largest file of a checkpoint.
fn largest(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("pending")).unwrap();
    let files = files.map(|entry| entry.unwrap());
    files
        .filter(|file| !file.file_name().to_string_lossy().ends_with(".room"))
        .map(|file| file.metadata().unwrap().len())
        .max()
        .unwrap()
}

/// What counts of the files in a folder, read by the rig.
fn whole(dir: &Path, folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = dir.join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy();
        if [".json", ".a", ".b"].iter().any(|end| name.ends_with(end)) {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    slots::whole(&found, &folder)
}
