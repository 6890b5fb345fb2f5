//! Faulty drives with real drivers, in the small virtual machine: drives that
//! fail, drop writes, flip bits, wrap, hang, die, or do not flush. For blocks of
//! 512 and 4096 bytes (SATA has none of 4096), also interrupted in between.

use std::path::Path;

use serde_json::Value;

use crate::support::content::{Content, check, from_hex};
use crate::support::device::read_range;
use crate::support::state::number;
use crate::support::vm::{Boot, MACHINE, Machine};
use crate::support::{MIB, cases, page};

cases![
    MACHINE => faults_of_every_kind_give_their_exit_code_record_page_and_bytes,
    MACHINE => faults_are_found_by_a_wipe_that_was_stopped_in_the_write,
    MACHINE => faults_are_found_by_a_wipe_that_was_stopped_in_the_read_back,
    MACHINE => a_read_back_asks_the_drive_and_not_the_page_cache,
    MACHINE => a_drive_that_only_says_it_flushes_is_found_out_after_a_power_cut,
];

const MEDIUM: u64 = 8 * MIB;
/// Where Ctrl+C is pressed.
const STOPPED: u64 = 2 * MIB;
/// Where drives hang or die, or later.
const FAILING: u64 = 3 * MIB;

/// Shell functions of these scripts. A drive's name is its serial.
const RUNS: &str = r#"
state=/w
# start NAME OPTION...: wipes it in the background
start() {
    drive=$1; shift
    env --default-signal=INT wipeit --yes -b 64K --checkpoint-every 1M --state-dir $state "$@" \
        $(dev $drive) >/tmp/$drive.said 2>&1 </dev/null &
    eval run_$drive=$!
}
# ended EXCERPT NAME: what the run in the background said, and its exit code
ended() {
    eval wait \$run_$2; echo "code $?" >>/tmp/$2.said
    ( flock 9; show "$1" /tmp/$2.said ) 9>/tmp/show.lock
}
# each EXCERPT OPTIONS NAME...: runs wipeit on all of them at once
each() {
    excerpt=$1 options=$2; shift 2; pids=
    for d; do try "$excerpt$d" wipeit $options --yes --state-dir $state $(dev $d) & pids="$pids $!"; done
    wait $pids
}
tell() { lab "$@" >/dev/null; }
bytes() { case $1 in *4096) echo $(($2 / 4096)) ;; *) echo $(($2 / 512)) ;; esac; }
# hold NAME r|w BYTE: the drive will hang when this is read or written
hold() { tell bad $1:$(bytes $1 $3):$2:hang; }
# held NAME r|w: waits until it does, or the run has ended
held() { eval pid=\$run_$1; while [ -e /proc/$pid/exe ] && ! tell held $1 $2; do sleep .1; done; }
# writing NAME BYTE: a wipe that has come so far, where the drive holds it
writing() { hold $1 w $2; start $1; held $1 w; }
# reading NAME BYTE: the same in the read-back
reading() { hold $1 r $2; tell free $1 w; held $1 r; }
# ctrl_c NAME r|w: stops it there
ctrl_c() {
    eval pid=\$run_$1; kill -INT $pid
    while [ -e /proc/$pid/exe ] && ! grep -q ' stopping' /tmp/$1.said; do sleep .1; done
    tell free $1 $2; ended "stopped $1" $1
}
# stopped_w NAME BYTE, stopped_r NAME BYTE: begins a wipe, and presses Ctrl+C there
stopped_w() { writing $1 $2; ctrl_c $1 w; }
stopped_r() { writing $1 6291456; reading $1 $2; ctrl_c $1 r; }
# at_once WORDS...: the same as tell, with nothing to start first; for one at a time
at_once() { exec 8<>/run/lab; echo "$*" >&8; read -r answer <&8; exec 8<&-; }
# upto FIELD BYTES NAME...: hangs or kills each drive when its checkpoint has so much
upto() {
    field=$1 bytes=$2; shift 2; left=$*
    while [ -n "$left" ]; do
        sleep .1; still=
        there=$(awk -v f="\"$field\":" -v n=$bytes '$1 == f && $2 + 0 >= n { print FILENAME }' \
            $state/pending/*.json 2>/dev/null)
        for d in $left; do
            eval pid=\$run_$d
            case $there in
                *-$d-*) case $d in hang*) at_once bad $d:0-99999:rw:hang ;; *) at_once die $d ;; esac ;;
                *) if [ -e /proc/$pid/exe ]; then still="$still $d"; else echo "$d has ended"; fi ;;
            esac
        done
        left=$still
    done
}
"#;

/// When Ctrl+C is pressed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Stop {
    Never,
    Write,
    ReadBack,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    /// Cannot be written: old data.
    Unwritten,
    /// Cannot be read: what was written.
    Unread,
    /// A write was acknowledged and dropped: old data.
    Dropped,
    /// The first bit is wrong on the medium.
    Flipped,
}

/// A drive that holds, at the end, what was written but for these ranges.
struct Spoilt {
    kind: &'static str,
    name: String,
    block: u64,
    // first byte and length, in order
    faults: Vec<(u64, u64, Fault)>,
}

impl Spoilt {
    /// The drives of a machine, of both sizes of blocks. What a drive drops and
    /// spoils before Ctrl+C in the write, the resume may refuse: see `forgets`.
    fn all(stop: Stop) -> Vec<Self> {
        let early = if stop == Stop::Write { 15_200 } else { 104 };
        let (early, late) = (early * 512, 16_000 * 512);
        let mut all = Vec::new();
        for (block, kinds) in [
            (512, ["nvme", "scsi", "usb", "sata"]),
            (4096, ["scsi", "scsi", "virtio", "nvme"]),
        ] {
            let ends = |fault| {
                let last = MEDIUM - block;
                vec![
                    (0, block, fault),
                    (57_344, 4 * block, fault),
                    (last, block, fault),
                ]
            };
            let two = |length, fault| vec![(early, length, fault), (late, length, fault)];
            let faults = [
                ("unwritten", ends(Fault::Unwritten)),
                ("unread", ends(Fault::Unread)),
                ("lies", two(block, Fault::Dropped)),
                ("flips", two(512, Fault::Flipped)),
            ];
            for (kind, (name, faults)) in kinds.into_iter().zip(faults) {
                let name = format!("{name}{block}");
                // `faulty` has these, with an interrupt.
                let known = ["unwritten512", "unread4096"].contains(&&*name);
                if known && stop != Stop::Never {
                    continue;
                }
                all.push(Self {
                    kind,
                    name,
                    block,
                    faults,
                });
            }
        }
        all
    }

    fn plug_in(&self, machine: Machine) -> Machine {
        let Self { name, block, .. } = self;
        let spec = format!("{},name={name},serial={name},lbs={block}", self.kind);
        let mut machine = machine.disk(&spec, MEDIUM);
        for (start, length, fault) in &self.faults {
            let does = match fault {
                Fault::Unwritten => "w",
                Fault::Unread => "r",
                Fault::Dropped => "w:lie",
                Fault::Flipped => "w:flip",
            };
            let (first, last) = (start / block, (start + length - 1) / block);
            machine = machine.fault(&format!("{name}:{first}-{last}:{does}"));
        }
        machine
    }

    /// Fails unless code, record, page, map and bytes are those of the faults.
    fn check(&self, boot: &Boot, machine: &Machine, stop: Stop) {
        let Self { name, faults, .. } = self;
        let image = machine.image(name);
        let differs = |fault: &Fault| matches!(fault, Fault::Dropped | Fault::Flipped);
        let (code, outcome) = if faults.iter().any(|(.., fault)| differs(fault)) {
            (5, "DIFFERS")
        } else {
            (3, "NOT-CLEAR")
        };
        boot.ended(name, code, &[&format!("{outcome} ")]);
        let record = reported(boot, name, stop);
        assert_eq!(record["outcome"], outcome);
        let listed = |field: &str| -> Vec<(u64, u64, String)> {
            let entries = record[field].as_array().unwrap().iter();
            entries
                .map(|entry| {
                    let during = entry["during"].as_str().unwrap_or_default().into();
                    (number(entry, "start"), number(entry, "length"), during)
                })
                .collect()
        };
        let expected = |differing: bool| -> Vec<(u64, u64, String)> {
            let these = faults
                .iter()
                .filter(|(.., fault)| differs(fault) == differing);
            these
                .map(|(start, length, fault)| {
                    let during = match fault {
                        Fault::Unwritten => "write",
                        Fault::Unread => "read",
                        Fault::Dropped | Fault::Flipped => "",
                    };
                    (*start, *length, during.into())
                })
                .collect()
        };
        assert_eq!(listed("bad"), expected(false), "{name}");
        assert_eq!(listed("mismatches"), expected(true), "{name}");
        let stream = Content::of(&record, 1);
        let mut at = 0;
        for (start, length, fault) in faults {
            check(&image, at, *start, &stream);
            at = start + length;
            let mut wrong = stream.bytes(*start, 16);
            match fault {
                Fault::Unread => check(&image, *start, at, &stream),
                Fault::Unwritten | Fault::Dropped => check(&image, *start, at, &Content::Tags),
                Fault::Flipped => {
                    wrong[0] ^= 1;
                    assert_eq!(read_range(&image, *start, 16), wrong);
                    check(&image, start + 16, at, &stream);
                }
            }
            if differs(fault) {
                first_bytes(&record, *start, &image);
            }
        }
        check(&image, at, MEDIUM, &stream);
    }
}

/// Fails unless the record shows the first bytes of this differing range, which
/// are all wrong, as they should be and as they are.
fn first_bytes(record: &Value, start: u64, image: &Path) {
    let all = record["mismatches"].as_array().unwrap();
    let entry = all.iter().find(|entry| number(entry, "start") == start);
    let shown = |field: &str| from_hex(entry.unwrap()[field].as_str().unwrap());
    assert_eq!(shown("expected"), Content::of(record, 1).bytes(start, 16));
    assert_eq!(shown("found"), read_range(image, start, 16));
}

/// The record of a drive, whose page was looked at too.
fn recorded(boot: &Boot, name: &str) -> Value {
    let text = boot.text_of("report", name);
    let text = text.unwrap_or_else(|| panic!("no record of {name}: {:?}", boot.excerpts(name)));
    let digest = page::digest(text.as_bytes());
    let mut pages = boot.excerpts("page").into_iter();
    let page = pages.find(|page| page.contains(&digest));
    page::tells(page.expect("a page with this digest"), text);
    boot.whole("report", text)
}

/// The same, of as many runs as there must have been.
fn reported(boot: &Boot, name: &str, stop: Stop) -> Value {
    let record = recorded(boot, name);
    match stop {
        Stop::Never => assert_eq!(ends(&record), ["finished"], "{name}"),
        Stop::Write | Stop::ReadBack => assert_eq!(ends(&record), ["SIGINT", "finished"], "{name}"),
    }
    record
}

/// How each run ended, in a word.
fn ends(record: &Value) -> Vec<&str> {
    let runs = record["runs"].as_array().unwrap().iter();
    runs.map(|run| run["ended_by"].as_str().unwrap_or("?"))
        .map(|word| word.split(':').next().unwrap())
        .collect()
}

/// Names of both sizes of blocks, and those.
fn both(name: &str) -> [(String, u64); 2] {
    [512, 4096].map(|block| (format!("{name}{block}"), block))
}

/// A machine with a drive of every fault, and the script that wipes them.
struct Matrix {
    stop: Stop,
    machine: Machine,
    spoilt: Vec<Spoilt>,
    script: String,
}

impl Matrix {
    fn new(stop: Stop) -> Self {
        let spoilt = Spoilt::all(stop);
        let mut machine = Machine::new();
        for drive in &spoilt {
            machine = drive.plug_in(machine);
        }
        let add = |machine: Machine, name: &str, kinds: [&str; 2], size: u64, more: &str| {
            let drives = both(name).into_iter().zip(kinds);
            drives.fold(machine, |machine, ((name, block), kind)| {
                let spec = format!("{kind},name={name},serial={name},lbs={block}{more}");
                machine.disk(&spec, size)
            })
        };
        machine = add(machine, "fake", ["usb", "scsi"], 16 * MIB, ",fake=8M");
        if stop == Stop::Never {
            machine = add(machine, "heals", ["virtio", "virtio"], MEDIUM, "");
        }
        machine = add(machine, "hangs", ["virtio", "nvme"], MEDIUM, "");
        machine = add(machine, "dies", ["scsi", "nvme"], MEDIUM, "");
        let mut all: Vec<String> = spoilt.iter().map(|drive| drive.name.clone()).collect();
        all.extend(both("fake").map(|(name, _)| name));
        if stop == Stop::Never {
            all.extend(both("heals").map(|(name, _)| name));
        }
        let script = Self::script(stop, &all.join(" "));
        Self {
            stop,
            machine,
            spoilt,
            script,
        }
    }

    /// Wipes these drives, and those that hang or die.
    fn script(stop: Stop, all: &str) -> String {
        let failing = "hangs512 hangs4096 dies512 dies4096";
        let (field, stopped, resume) = match stop {
            Stop::Never => ("written", "", ""),
            Stop::Write => ("written", "stopped_w", "--resume"),
            Stop::ReadBack => ("verified", "stopped_r", "--resume"),
        };
        let mut steps = vec![RUNS.to_string()];
        if stop == Stop::Never {
            // A flush that fails loses what was written since the one before;
            // the kernel does requests that failed again itself, but not on
            // virtio.
            let heals = "for d in heals512 heals4096; do
                 tell bad $d:0:f:times=1; tell bad $d:1900:w:times=1
             done";
            steps.push(heals.into());
        } else {
            let lanes: Vec<&str> = all.split(' ').chain(failing.split(' ')).collect();
            for lane in lanes.chunks(lanes.len().div_ceil(4)) {
                let lane = lane.join(" ");
                steps.push(format!(
                    "for d in {lane}; do {stopped} $d {STOPPED}; done &"
                ));
            }
            steps.push("wait; show stopped $state/pending/*.json".into());
        }
        steps.push(format!(
            "each '' '{resume}' {all}
             # So slow that it does not get to its end before it is looked at.
             for d in hangs512 hangs4096; do start $d {resume} --rate-limit 300K --stall-timeout 5; done
             for d in dies512 dies4096; do start $d {resume} --rate-limit 300K; done
             upto {field} {FAILING} {failing}
             for d in hangs512 hangs4096; do
                 until grep -q ^FAILED /tmp/$d.said; do sleep .1; done; tell free $d rw
             done
             for d in {failing}; do ended \"failed $d\" $d; tell copy $d $d.copy; done
             show failed $state/pending/*.json
             for d in dies512 dies4096; do tell revive $d; done
             each 'resumed ' --resume {failing}
             show report $state/reports/*.json; show page $state/reports/*.html\n"
        ));
        steps.join("\n")
    }

    /// Boots it, and fails unless everything is as it must be.
    fn run(&self) -> Boot {
        let boot = self.machine.boot(&[], &self.script).finished();
        if self.stop != Stop::Never {
            self.stopped(&boot);
        }
        for drive in &self.spoilt {
            drive.check(&boot, &self.machine, self.stop);
        }
        for (name, _) in both("fake") {
            self.fake(&boot, &name);
        }
        for (name, _) in ["hangs", "dies"].into_iter().flat_map(both) {
            self.failed(&boot, &name);
        }
        boot
    }

    /// Every run was stopped where it was meant to be.
    fn stopped(&self, boot: &Boot) {
        let (phase, field) = match self.stop {
            Stop::Write => ("write", "written"),
            _ => ("verify", "verified"),
        };
        let names = self.spoilt.iter().map(|drive| drive.name.clone());
        let others = ["fake", "hangs", "dies"].into_iter().flat_map(both);
        for name in names.chain(others.map(|(name, _)| name)) {
            boot.ended(&format!("stopped {name}"), 130, &["STOPPED "]);
            let checkpoint = boot.json_of("stopped", &name).unwrap();
            assert_eq!(checkpoint["phase"], phase, "{name}: {checkpoint}");
            let at = number(&checkpoint, field);
            assert!((STOPPED..FAILING).contains(&at), "{name} at {at}");
        }
    }

    /// The counterfeit: its upper half went over the lower one.
    fn fake(&self, boot: &Boot, name: &str) {
        let words = [
            "DIFFERS ",
            "8388608 differ",
            "its addresses wrap: it has at most 8.38 MB of memory and not 16.7 MB; it is a counterfeit",
        ];
        boot.ended(name, 5, &words);
        let record = reported(boot, name, self.stop);
        assert_eq!(number(&record["wrap"], "every"), 8 * MIB, "{record}");
        let all = record["mismatches"].as_array().unwrap();
        let range = (number(&all[0], "start"), number(&all[0], "length"));
        assert_eq!((all.len(), range), (1, (0, 8 * MIB)), "{record}");
        let image = self.machine.image(name);
        first_bytes(&record, 0, &image);
        // All that it has was written, last with what belongs in its upper half.
        let upper = Content::of(&record, 1).bytes(8 * MIB, 8 << 20);
        assert!(read_range(&image, 0, 8 << 20) == upper);
    }

    /// The drive that hung or died: what was done until then stands.
    fn failed(&self, boot: &Boot, name: &str) {
        let word = if name.starts_with("hangs") {
            "--stall-timeout"
        } else {
            "wipeit --resume"
        };
        boot.ended(&format!("failed {name}"), 1, &["FAILED ", word]);
        let left = boot.json_of("failed", name).unwrap();
        assert_eq!(left["bad"], serde_json::json!([]), "{name}: {left}");
        let stream = Content::of(&left, 1);
        let (written, verified) = (number(&left, "written"), number(&left, "verified"));
        match self.stop {
            Stop::ReadBack => {
                assert_eq!(written, MEDIUM, "{name}");
                assert!((FAILING..MEDIUM).contains(&verified), "{name}: {left}");
            }
            _ => assert!((FAILING..MEDIUM).contains(&written), "{name}: {left}"),
        }
        check(&self.machine.copy(name), 0, written, &stream);
        boot.ended(&format!("resumed {name}"), 0, &["WIPED "]);
        let record = recorded(boot, name);
        // A run that hung was left in the middle, without a last word.
        let last = if name.starts_with("hangs") {
            "?"
        } else {
            "error"
        };
        match self.stop {
            Stop::Never => assert_eq!(ends(&record), [last, "finished"], "{name}"),
            _ => assert_eq!(ends(&record), ["SIGINT", last, "finished"], "{name}"),
        }
        assert_eq!(Content::of(&record, 1), stream, "begun anew, not resumed");
        boot.wiped(name, &self.machine.image(name));
    }
}

fn faults_of_every_kind_give_their_exit_code_record_page_and_bytes() {
    let mut matrix = Matrix::new(Stop::Never);
    matrix.machine = matrix
        .machine
        .disk("virtio,name=passes,serial=passes", MEDIUM)
        .fault("passes:4000:w:times=1:flip");
    matrix.script += "state=/p; each '' '--passes 2 --verify all' passes
        show report /p/reports/*.json; show page /p/reports/*.html";
    let boot = matrix.run();
    for (name, _) in both("heals") {
        boot.ended(
            &name,
            0,
            &["WIPED ", "flush failed", "writing again from byte"],
        );
        assert_eq!(
            reported(&boot, &name, Stop::Never)["bad"],
            serde_json::json!([])
        );
        boot.wiped(&name, &matrix.machine.image(&name));
    }
    // The second pass was written over it, and yet it is found.
    boot.ended("passes", 5, &["DIFFERS ", "512 differ"]);
    let passes = recorded(&boot, "passes");
    assert_eq!(number(&passes["mismatches"][0], "start"), 4000 * 512);
    let last = Content::of(&passes, 2);
    check(&matrix.machine.image("passes"), 0, MEDIUM, &last);
}

fn faults_are_found_by_a_wipe_that_was_stopped_in_the_write() {
    let mut matrix = Matrix::new(Stop::Write);
    matrix.machine = matrix
        .machine
        .disk(
            "virtio,name=forgets4096,serial=forgets4096,lbs=4096",
            MEDIUM,
        )
        .fault("forgets4096:9:w:lie")
        .disk("scsi,name=wrapped512,serial=wrapped512,fake=8M", 16 * MIB);
    // Stopped when the stick has begun to write over its own data.
    matrix.script += "stopped_w forgets4096 2097152; stopped_w wrapped512 9437184
        for d in forgets4096 wrapped512; do tell copy $d $d.copy; done
        each '' --resume forgets4096 wrapped512";
    let boot = matrix.run();
    // What a resume looks at first is not what was acknowledged: this may be
    // another drive, which is not written to.
    for (name, at) in [("forgets4096", 9 * 4096), ("wrapped512", 0)] {
        boot.ended(&format!("stopped {name}"), 130, &["STOPPED "]);
        let words = [&format!("byte {at} is not what was written"), "not touched"];
        boot.ended(name, 4, &words);
        let bytes = |path: &Path| read_range(path, 0, 16 << 20);
        assert!(bytes(&matrix.machine.copy(name)) == bytes(&matrix.machine.image(name)));
    }
}

fn faults_are_found_by_a_wipe_that_was_stopped_in_the_read_back() {
    Matrix::new(Stop::ReadBack).run();
}

fn a_read_back_asks_the_drive_and_not_the_page_cache() {
    // Where the drives drop what is written to them.
    const AT: u64 = 7 * MIB;
    let machine = Machine::new()
        .disk("scsi,name=checked,serial=checked", MEDIUM)
        .fault("checked:14336-14343:w:lie")
        .disk("nvme,name=resumed4096,serial=resumed4096,lbs=4096", MEDIUM);
    // A reader keeps the kernel from dropping the cache when a writer closes the
    // node; udev would have it dropped then. The samples of the resume may meet
    // the place: it is ahead of the read-back, which is left to find it.
    let script = r#"
        # cached NAME FILE: writes it through the page cache, and says whether a read finds it there
        cached() {
            dd if=$2 of=$(dev $1) bs=4096 seek=1792 count=1 conv=notrunc,fsync 2>/dev/null
            dd if=$(dev $1) bs=4096 skip=1792 count=1 2>/dev/null | cmp -s - $2 && echo "$1 right"
        }
        try 'wiped checked' wipeit --yes -s zero --verify none --state-dir $state $(dev checked)
        stopped_r resumed4096 2097152
        show stopped $state/pending/*.json
        udevadm settle; udevadm control --exit
        while pidof systemd-udevd >/dev/null; do sleep .1; done

        exec 7<$(dev checked)
        dd if=/dev/zero of=/tmp/zeros bs=4096 count=1 2>/dev/null
        cached checked /tmp/zeros
        try checked wipeit --check --state-dir $state $(dev checked)

        exec 8<$(dev resumed4096)
        dd if=$(dev resumed4096) of=/tmp/right bs=4096 skip=1792 count=1 2>/dev/null
        # The medium gets other bytes past the cache, and keeps them.
        dd if=/tmp/zeros of=$(dev resumed4096) bs=4096 seek=1792 count=1 conv=notrunc oflag=direct 2>/dev/null
        lab bad resumed4096:1792:w:lie >/dev/null
        cached resumed4096 /tmp/right
        each '' --resume resumed4096
        show report $state/reports/*.json; show page $state/reports/*.html"#;
    let boot = machine.boot(&[], &format!("{RUNS}{script}")).finished();
    boot.ended("wiped checked", 0, &["WIPED ", "read-back none"]);
    boot.ended("stopped resumed4096", 130, &["STOPPED "]);
    let stopped = boot.json_of("stopped", "resumed4096").unwrap();
    assert!(number(&stopped, "verified") < AT, "{stopped}");
    let place = format!("{AT}-{}", AT + 4095);
    for (name, on_medium) in [("checked", Content::Tags), ("resumed4096", Content::Zero)] {
        assert_eq!(boot.value(name), "right", "the cache of {name}");
        boot.ended(name, 5, &["DIFFERS ", "4096 differ", &place]);
        let image = machine.image(name);
        let record = boot.json_of("report", name).unwrap();
        let stream = Content::of(&record, 1);
        check(&image, 0, AT, &stream);
        check(&image, AT, AT + 4096, &on_medium);
        check(&image, AT + 4096, MEDIUM, &stream);
    }
    let record = recorded(&boot, "resumed4096");
    assert_eq!(number(&record["mismatches"][0], "start"), AT);
    first_bytes(&record, AT, &machine.image("resumed4096"));
}

fn a_drive_that_only_says_it_flushes_is_found_out_after_a_power_cut() {
    // All of its cache is lost, or (torn) half of the writes in it.
    let lying = [
        ("lost512", "nvme,flush=lie", 16 * MIB),
        ("lost4096", "scsi,lbs=4096,flush=lie", 16 * MIB),
        ("torn512", "scsi,keep=random,flush=lie", 16 * MIB),
        ("read4096", "scsi,lbs=4096,flush=lie", 16 * MIB),
        ("done512", "virtio,flush=lie", MEDIUM),
        ("done4096", "nvme,lbs=4096,flush=lie", MEDIUM),
        // These begin to lie near the end of the write.
        ("tail512", "scsi", 16 * MIB),
        ("tail4096", "nvme,lbs=4096", 16 * MIB),
    ];
    let mut machine = Machine::new().blank("virtio,name=state,serial=STATE", 32 * MIB);
    for (name, spec, size) in lying {
        let (kind, options) = spec.split_once(',').unwrap_or((spec, ""));
        machine = machine.disk(&format!("{kind},name={name},serial={name},{options}"), size);
    }
    let script = r"
        state=/s/w; mkdir /s; mkfs.ext4 -q $(dev STATE); mount $(dev STATE) /s
        each 'wiped ' '' done512 done4096
        for d in lost512 lost4096 torn512 read4096; do writing $d 9437184; done
        reading read4096 4194304
        for d in tail512 tail4096; do
            writing $d 9437184; tell bad $d:0:f:lie; reading $d 2097152
        done
        show pending $state/pending/*.json; lab cut; sleep 100";
    let boot = machine.boot(&[], &format!("{RUNS}{script}")).was_cut();
    for name in ["done512", "done4096"] {
        boot.ended(&format!("wiped {name}"), 0, &["WIPED "]);
    }
    let media = lying.map(|(name, ..)| machine.copy(name));
    let script = r#"
        state=/s/w; mkdir /s; mount $(dev STATE) /s; show pending $state/pending/*.json
        each '' --resume lost512 lost4096 torn512 read4096 tail512 tail4096
        for d in done512 done4096; do
            try "check $d" wipeit --check --state-dir $state $(dev $d)
            try "ensure $d" wipeit --ensure --yes --state-dir $state $(dev $d)
        done
        show report $state/reports/*.json; show page $state/reports/*.html"#;
    let boot = machine.boot(&[], &format!("{RUNS}{script}")).finished();
    for ((name, _, size), medium) in lying.into_iter().zip(media) {
        let image = machine.image(name);
        let untouched =
            || assert!(read_range(&medium, 0, 32 << 20) == read_range(&image, 0, 32 << 20));
        if !name.starts_with("torn") && !name.starts_with("tail") {
            check(&medium, 0, size, &Content::Tags);
        }
        if name.starts_with("done") {
            // It was read back from its cache. Nothing can tell until that is lost.
            boot.ended(
                &format!("check {name}"),
                5,
                &["DIFFERS ", &format!("{size} differ")],
            );
            boot.ended(
                &format!("ensure {name}"),
                4,
                &["written to since", "not touched"],
            );
            untouched();
            continue;
        }
        let checkpoint = boot.json_of("pending", name);
        let checkpoint = checkpoint.unwrap_or_else(|| panic!("{name}: {:?}", boot.excerpts(name)));
        let written = number(&checkpoint, "written");
        assert!(written >= 8 * MIB, "{checkpoint}");
        if !name.starts_with("tail") {
            let words = ["does not keep what is written to it", "not touched"];
            boot.ended(name, 4, &words);
            untouched();
            continue;
        }
        // What was flushed before stands, and proves the drive; the rest is
        // found by the read-back.
        assert_eq!(checkpoint["phase"], "verify");
        boot.ended(name, 5, &["DIFFERS "]);
        let record = recorded(&boot, name);
        let stream = Content::of(&record, 1);
        let all = record["mismatches"].as_array().unwrap();
        let mut at = 0;
        for range in all {
            let start = number(range, "start");
            assert!(start >= 8 * MIB, "{record}");
            check(&image, at, start, &stream);
            at = start + number(range, "length");
            check(&image, start, at, &Content::Tags);
        }
        assert_eq!(at, size, "{record}");
        untouched();
    }
}
