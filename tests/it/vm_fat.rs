//! The state on FAT and exFAT, as on every live USB stick, with the real
//! drivers: whatever of it a power cut leaves, the checkpoint is there.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::Value;

use crate::rig::coverage::Coverage;
use crate::rig::machine::{Cut, Fs, Job, wipe};
use crate::rig::{planted, slots};
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
    FAT => the_same_finds_a_build_that_renames_its_checkpoints_on_fat,
    FAT => on_vfat_a_wipe_goes_on_after_power_cuts_and_after_cuts_of_its_resumes,
    FAT => on_exfat_a_wipe_goes_on_after_power_cuts_and_after_cuts_of_its_resumes,
    FAT => on_vfat_a_state_directory_does_all_that_it_does_elsewhere,
    FAT => on_exfat_a_state_directory_does_all_that_it_does_elsewhere,
    FAT => an_unfinished_wipe_moves_from_vfat_to_ext4_and_on_to_exfat,
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
    holds(Fs::Vfat);
}

fn on_exfat_the_checkpoint_is_there_whenever_the_power_is_cut() {
    holds(Fs::Exfat);
}

fn on_vfat_a_wipe_goes_on_after_power_cuts_and_after_cuts_of_its_resumes() {
    // While its first files are made; in two resumes; late; in a last resume.
    goes_on(Fs::Vfat, (512, 512), &[5, 24, 9, 6, 33, 14]);
}

fn on_exfat_a_wipe_goes_on_after_power_cuts_and_after_cuts_of_its_resumes() {
    goes_on(Fs::Exfat, (512, 4096), &[9, 31, 7, 11, 26, 5]);
}

fn goes_on(fs: Fs, blocks: (u64, u64), cuts: &[u64]) {
    let job = Job {
        kind: "virtio",
        size: 4 * MIB,
        blocks,
        fs,
        options: "--buffer-size 64K".into(),
        bad: Vec::new(),
        bug: None,
    };
    let mut coverage = Coverage::default();
    let cut = |round| {
        let at = *cuts.get(usize::try_from(round).unwrap())?;
        let keep = ["none", "random"][usize::try_from(round % 2).unwrap()];
        Some(Cut { at, keep, seed: at })
    };
    wipe(&job, cut, &mut coverage).unwrap_or_else(|why| panic!("{why}"));
    let made = coverage.cuts();
    assert_eq!(made, cuts.len() as u64, "{}", coverage.table());
}

/// Shell functions.
const RUNS: &str = r#"
A=$(dev SN-SCSI0) B=$(dev SN-SCSI1)
# stop DIR BYTE OPTION...: starts a wipe of A, and presses Ctrl+C while it writes there
stop() { dir=$1; lab bad scsi0:$(($2 / 512)):w:hang >/dev/null; shift 2
    env --default-signal=INT wipeit --yes -b 64K --checkpoint-every 1M --state-dir $dir "$@" $A \
        >/tmp/said 2>&1 </dev/null & pid=$!
    while [ -e /proc/$pid/exe ] && ! lab held scsi0 w >/dev/null; do sleep .1; done; kill -INT $pid
    while [ -e /proc/$pid/exe ] && ! grep -q ' stopping' /tmp/said; do sleep .1; done
    lab free scsi0 w >/dev/null; wait $pid; echo "stopped $?"
}
# leave KIB: fills the file system but for so much
leave() {
    rm -f /s/fill; sync; free=$(df -k /s | awk 'NR == 2 { print $4 }')
    dd if=/dev/zero of=/s/fill bs=1k count=$((free - $1)) 2>/dev/null; sync
}
"#;

fn on_vfat_a_state_directory_does_all_that_it_does_elsewhere() {
    does_all(Fs::Vfat);
}

fn on_exfat_a_state_directory_does_all_that_it_does_elsewhere() {
    does_all(Fs::Exfat);
}

fn does_all(fs: Fs) {
    let machine = Machine::new()
        .blank("virtio,name=state,serial=STATE", STATE)
        .disk("scsi", 4 * MIB)
        .disk("scsi", 4 * MIB);
    fs.make(&machine.image("state"), 512);
    let kind = fs.name();
    let boot = machine
        .boot(
            &[],
            &format!(
                "{RUNS}\nmkdir /s; mount -t {kind} $(dev STATE) /s
                 w=\"wipeit --yes -s zero --state-dir /s/w\"
                 try A $w $A & try B $w $B & wait
                 stop /s/w 3145728 --restart; show stopped /s/w/pending/*.json
                 echo \"{{\" >/s/w/pending/.sdz-0.json.a; : >/s/w/pending/.sdz-0.json.room
                 try again $w --restart $A; echo left $(ls -A /s/w/pending | wc -l)
                 umount /s; mount -t {kind} $(dev STATE) /s
                 try check wipeit --check --state-dir /s/w $A
                 : >/s/w/pending/sdz-01234567.json; try lost $w --restart $B
                 try empty $w $B; rm /s/w/pending/sdz-01234567.json
                 try report wipeit --yes --restart -s zero --state-dir /w --report /s/r/ $B
                 show record /s/r/*.json
                 grep -q $(sha256sum /s/r/*.json | cut -c 1-64) /s/r/*.html && echo tied yes
                 leave 0; try full $w --restart $B; echo \"left full\" $(ls -A /s/w/pending | wc -l)
                 leave 24; try tight $w --restart $B
                 show reports /s/w/reports/*.json; echo \"left tight\" $(ls -A /s/w/pending | wc -l)
                 sync; mount -o remount,ro /s; try locked $w --restart $B
                 try checked wipeit --check --state-dir /s/w $A"
            ),
        )
        .finished();
    let keys = format!("{kind} keeps no file modes: who can read it has the keys");
    for name in ["A", "B", "again"] {
        boot.ended(name, 0, &["WIPED", "survives a reboot", &keys]);
    }
    assert_eq!(boot.value("stopped"), "130");
    let stopped = boot.json_of("stopped", "SN-SCSI0").unwrap();
    assert!(number(&stopped, "written") >= 2 * MIB, "{stopped}");
    assert_eq!(boot.value("left"), "0");
    boot.ended("check", 0, &["CHECKED"]);
    boot.ended("lost", 0, &["WIPED"]);
    let rm = "rm /s/w/pending/sdz-01234567.json if it was another";
    boot.ended(
        "empty",
        4,
        &["holds nothing", rm, "--restart", "not touched"],
    );
    boot.ended("report", 0, &["WIPED", "/s/r/"]);
    let record: Value = serde_json::from_str(boot.excerpt("record")).unwrap();
    assert_eq!(record["outcome"], "WIPED", "{record}");
    assert_eq!(boot.value("tied"), "yes");
    let full = ["no space left on device", "nothing was written"];
    boot.ended("full", 4, &full);
    assert_eq!(boot.value("left full"), "0");
    boot.ended("tight", 0, &["no room can be kept for the record", "WIPED"]);
    assert_eq!(boot.value("left tight"), "0");
    // Twice A, and thrice B; each is whole.
    let reports = boot.excerpts("reports");
    assert_eq!(reports.len(), 5, "{reports:?}");
    for report in reports {
        let report: Value = serde_json::from_str(report).unwrap();
        assert_eq!(report["outcome"], "WIPED", "{report}");
    }
    boot.ended("locked", 4, &["read-only file system", "not touched"]);
    boot.ended("checked", 0, &["CHECKED"]);
}

fn an_unfinished_wipe_moves_from_vfat_to_ext4_and_on_to_exfat() {
    let machine = Machine::new()
        .blank("virtio,name=fat,serial=FAT", STATE)
        .blank("virtio,name=ext,serial=EXT", 16 * MIB)
        .blank("virtio,name=exfat,serial=EXFAT", STATE)
        .disk("scsi", TARGET);
    Fs::Vfat.make(&machine.image("fat"), 512);
    Fs::Ext4.make(&machine.image("ext"), 512);
    Fs::Exfat.make(&machine.image("exfat"), 512);
    let boot = machine
        .boot(
            &[],
            &format!(
                "{RUNS}\nmkdir /f /e /x; mount -t vfat $(dev FAT) /f; mount $(dev EXT) /e
                 mount -t exfat $(dev EXFAT) /x
                 stop /f/w 3145728; show first /f/w/pending/*.json
                 cp -r /f/w /e/w; stop /e/w 9437184 --resume; show second /e/w/pending/*.json
                 echo there $(ls -A /e/w/pending | grep -vc room)
                 # The file itself is enough.
                 mkdir -p /x/w/pending; cp /e/w/pending/*.json /x/w/pending
                 try last wipeit --resume --yes --state-dir /x/w $A
                 show report /x/w/reports/*.json; echo left $(ls -A /x/w/pending | wc -l)"
            ),
        )
        .finished();
    let first: Value = serde_json::from_str(boot.excerpt("first")).unwrap();
    let second: Value = serde_json::from_str(boot.excerpt("second")).unwrap();
    assert!(first.get("slot").is_some() && second.get("slot").is_none());
    assert!(number(&first, "written") < number(&second, "written"));
    // Its copy of FAT is of no use there.
    assert_eq!(boot.value("there"), "1");
    boot.ended("last", 0, &["WIPED"]);
    let report = boot.wiped("SN-SCSI0", &machine.image("scsi0"));
    assert_eq!(report["runs"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(boot.value("left"), "0");
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
struct Left {
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
fn cuts(base: Vec<u8>, requests: &[Request]) -> Vec<Left> {
    let mut dice = Dice::new(9);
    let (mut medium, mut unflushed) = (base, Vec::<(u64, &[u8])>::new());
    let (mut begun, mut flushed) = (0, 0);
    let mut all: Vec<Left> = Vec::new();
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
            let cut = Left {
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

fn holds(fs: Fs) {
    let judged = sweep(Machine::new(), "", fs).unwrap_or_else(|why| panic!("{why}"));
    // Of each there are some, and a larger pair of files was made on the way.
    assert!(judged.iter().all(|count| *count > 0), "{judged:?}");
}

fn the_same_finds_a_build_that_renames_its_checkpoints_on_fat() {
    let machine = Machine::new().program(planted::program());
    let plant = "export WIPEIT_PLANTED=renamed-on-fat";
    let why = sweep(machine, plant, Fs::Vfat).unwrap_err();
    assert!(why.contains("it is lost") || why.contains("torn"), "{why}");
}

/// A wipe is recorded once; then the medium of every cut is looked at. Gives
/// what is wrong with the first that is wrong.
fn sweep(machine: Machine, before: &str, fs: Fs) -> Result<Judged, String> {
    let machine = machine
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
                "{before}\nmkdir /s; mount -t {kind} $(dev STATE) /s
                 try wipe wipeit --yes -s zero --verify none --threads 1 -b 64K --note {note} \
                     --checkpoint-every {EVERY} --state-dir /s/w $(dev TARGET)"
            ),
        )
        .finished();
    boot.ended("wipe", 0, &["WIPED", "keeps no file modes", "has the keys"]);
    let log = requests(&image.with_file_name("requests.bin"));
    let cuts = cuts(base, &log);
    assert!(cuts.len() > 100, "{}", cuts.len());
    look(kind, &cuts)
}

/// How often nothing was found, a checkpoint in the first pair of files, one in
/// a larger pair, and a record.
type Judged = [usize; 4];

/// What the program finds on each of these media: the guest's drivers read the
/// files, and the program looks at them here.
fn look(kind: &str, cuts: &[Left]) -> Result<Judged, String> {
    let machine = Machine::new()
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
        let found = judge(&scratch, &scratch.join(&format!("a/{number}/w")), cut)?;
        judged[found] += 1;
    }
    Ok(judged)
}

/// The place in [`Judged`].
fn judge(scratch: &Scratch, dir: &Path, cut: &Left) -> Result<usize, String> {
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
    let is = |good: bool, place: usize, else_: &str| {
        good.then_some(place)
            .ok_or_else(|| format!("{else_}; {}", what()))
    };
    match (unfinished.as_slice(), read.as_slice()) {
        ([], []) if finished => is(cut.flushed == TARGET, 3, "a record before its time"),
        ([], []) => is(cut.begun == 0 && records.is_empty(), 0, "it is lost"),
        ([one], [other]) => {
            let done = number(one, "done");
            let place = if largest(dir) > FIRST { 2 } else { 1 };
            is(far(other) == Some(done), place, "it is read as another")?;
            is(done <= cut.flushed, place, "it is ahead")?;
            is(cut.begun <= done + EVERY, place, "it is old")
        }
        _ => is(false, 0, "several, or torn"),
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
