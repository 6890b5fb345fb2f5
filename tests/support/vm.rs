//! A small machine with emulated drives of every kind, real drivers, hot unplug
//! and power cuts: `tests/vm`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::content::{Content, check, fill_with_tags};
use super::run::PROGRAM;
use super::state::{number, with_keys};
use super::{Need, Scratch, path_variable, tool};

/// What a test of the machine needs.
pub const MACHINE: &[Need] = &[Need::Machine, Need::Tool("openssl")];

/// Shell functions of every script. `show` and `try` make an excerpt, see
/// [`Boot::excerpts`].
const PRELUDE: &str = r#"
# dev SERIAL: the drive's node, as udev knows it (lsblk takes three times as long)
dev() ( for d in $(grep -lE "^E:ID_(SCSI_|USB_)?SERIAL(_SHORT)?=$1\$" /run/udev/data/b* 2>/dev/null); do
        cd -P /sys/dev/block/${d##*/b} 2>/dev/null && [ ! -e partition ] && echo /dev/${PWD##*/}
    done | sort )
# appears SERIAL: waits until it is there, and says as what
appears() { n=0; until [ -n "$(dev "$1")" ] || [ $n = 100 ]; do n=$((n+1)); sleep .1; done; dev "$1"; }
# plugged_as NODE SERIAL DRIVE: plugs it in; again while the kernel has not yet let go of the name
plugged_as() { for i in 1 2 3 4 5 6 7 8; do
        lab plug $3; [ "$(appears $2)" = $1 ] && return
        lab unplug $3; disappears $2; sleep .3
    done; echo "$2 is not $1"; exit 1; }
disappears() { n=0; while [ -n "$(dev "$1")" ] && [ $n -lt 100 ]; do n=$((n+1)); sleep .1; done; }
# show NAME FILE...: each file's content
show() { name=$1; shift; for f; do [ -f "$f" ] && { echo "<<< $name"; cat "$f"; echo ">>>"; }; done; return 0; }
# try NAME COMMAND...: what it says, and its exit code
try() { name=$1; shift; o=$(mktemp); "$@" >$o 2>&1 </dev/null; echo "code $?" >>$o
        ( flock 9; show "$name" $o ) 9>/tmp/show.lock; }
"#;

/// Where the guest's kernel is kept between runs.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm-cache")
}

fn lab() -> Command {
    let mut command = Command::new("python3");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/lab.py"))
        .arg("--cache")
        .arg(cache())
        .env("PATH", path_variable())
        .stdin(Stdio::null());
    command
}

/// Why no guest can be started here; looked at once.
pub fn missing() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING
        .get_or_init(|| {
            for (name, package) in [
                ("python3", "python3"),
                ("qemu-system-x86_64", "qemu-system-x86"),
                ("busybox", "busybox-static"),
                ("dpkg", "dpkg"),
                ("apt-get", "apt"),
                ("lsblk", "util-linux"),
                ("mkfs.ext4", "e2fsprogs"),
            ] {
                if tool(name).is_none() {
                    return Some(format!("{name} (Debian's {package}) is not installed"));
                }
            }
            std::fs::create_dir_all(cache()).unwrap();
            unavailable("prepare")
        })
        .clone()
}

/// Why no guest can reach drives over iSCSI; looked at once.
pub fn no_initiator() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(|| unavailable("initiator")).clone()
}

/// Why a part of the machine is not to be had.
fn unavailable(part: &str) -> Option<String> {
    let out = lab().arg(part).output().unwrap();
    let why = String::from_utf8_lossy(&out.stdout).trim().to_string();
    assert!(
        out.status.success() || !why.is_empty(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    (!out.status.success()).then_some(why)
}

/// A machine that is off; its drives live as long as it. Where it can, it goes on
/// from a state that was saved once when it is switched on.
pub struct Machine {
    scratch: Scratch,
    disks: Vec<String>,
    modules: Vec<&'static str>,
    faults: Vec<String>,
    // options of the machine's program that hold for all boots from now on
    options: Vec<String>,
    is_restored: bool,
    // what runs as wipeit in it
    program: PathBuf,
}

/// What the drives were asked for in a boot, from `lab cut-in` on.
#[derive(Deserialize)]
pub struct Tally {
    /// How far writes to a drive reached.
    pub reach: BTreeMap<String, u64>,
    /// Drive and request; in place of the last one the power was cut.
    pub past: Vec<(String, String)>,
}

impl Machine {
    pub fn new() -> Self {
        Self {
            scratch: Scratch::new(),
            disks: Vec::new(),
            modules: Vec::new(),
            faults: Vec::new(),
            options: Vec::new(),
            is_restored: true,
            program: PROGRAM.into(),
        }
    }

    /// Adds a drive of old data: `KIND[,OPTION=VALUE...]`, see `tests/vm`.
    pub fn disk(mut self, spec: &str, size: u64) -> Self {
        self.disks.push(spec.to_string());
        let name = self.name_of_last();
        fill_with_tags(&self.image(&name), size);
        self
    }

    /// Adds a drive without content.
    pub fn blank(mut self, spec: &str, size: u64) -> Self {
        self.disks.push(spec.to_string());
        let name = self.name_of_last();
        self.scratch.sparse(&format!("{name}.img"), size);
        self
    }

    /// Adds another path to a drive: `scsi,path-to=scsi0`.
    pub fn path(mut self, spec: &str) -> Self {
        self.disks.push(spec.to_string());
        self
    }

    /// Serves a folder over 9p, in which an image of old data is; see `tests/vm`.
    pub fn serving(mut self, name: &str, size: u64) -> (Self, PathBuf) {
        let folder = self.scratch.join("served");
        std::fs::create_dir_all(&folder).unwrap();
        let image = folder.join(name);
        fill_with_tags(&image, size);
        let option = ["--serve".to_string(), folder.display().to_string()];
        self.options.extend(option);
        (self, image)
    }

    fn name_of_last(&self) -> String {
        let kind = |spec: &str| spec.split(',').next().unwrap().to_string();
        let (last, before) = self.disks.split_last().unwrap();
        if let Some((_, name)) = last.split_once("name=") {
            return name.split(',').next().unwrap().to_string();
        }
        let same = before.iter().filter(|spec| kind(spec) == kind(last));
        format!("{}{}", kind(last), same.count())
    }

    /// Makes a drive faulty: `NAME:START-END...`, see `tests/vm`.
    pub fn fault(mut self, what: &str) -> Self {
        self.faults.push(what.into());
        self
    }

    /// Takes a feature away from its processors.
    pub fn without(mut self, feature: &str) -> Self {
        self.options.push(format!("--cpu=-{feature}"));
        self.booted()
    }

    /// Is booted, and does not go on from a state that was saved once, with the
    /// drives plugged in. SATA drives are part of that state: one for a single
    /// run would be saved for nothing.
    pub fn booted(mut self) -> Self {
        self.is_restored = false;
        self
    }

    /// Another build of the program runs in it.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.into();
        self
    }

    /// Gives a drive other options from the next boot on.
    pub fn change(&mut self, drive: usize, spec: &str) {
        self.disks[drive] = spec.into();
    }

    /// Where its drives and logs are.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    pub fn tally(&self) -> Tally {
        let text = std::fs::read(self.scratch.join("tally.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Loads these kernel modules as well.
    pub fn modules(mut self, names: &[&'static str]) -> Self {
        self.modules.extend(names);
        self
    }

    /// A drive's medium.
    pub fn image(&self, name: &str) -> PathBuf {
        self.scratch.join(&format!("{name}.img"))
    }

    /// A copy of a drive's medium that the machine made, or that is made now.
    pub fn copy(&self, name: &str) -> PathBuf {
        let copy = self.scratch.join(&format!("{name}.copy"));
        if !copy.exists() {
            std::fs::copy(self.image(name), &copy).unwrap();
        }
        copy
    }

    /// Boots it, runs a script as root, and takes its power away. `at`: events,
    /// as `usb0:8M=unplug usb0`.
    pub fn boot(&self, at: &[&str], script: &str) -> Boot {
        let _turn = Turn::wait();
        let mut command = lab();
        command.arg("run").arg("--dir").arg(self.scratch.path());
        command.args(["--timeout", "600"]);
        let program = format!("{}:/bin/wipeit", self.program.display());
        command.args(["--copy", &program]);
        for disk in &self.disks {
            command.args(["--disk", disk]);
        }
        for fault in &self.faults {
            command.args(["--bad", fault]);
        }
        for event in at {
            command.args(["--at", event]);
        }
        command.args(&self.options);
        if self.is_restored {
            command.arg("--restore");
        }
        // Not of the saved state, which all share.
        let load = format!("for m in {}; do modprobe $m; done", self.modules.join(" "));
        let out = command
            .arg(format!("{PRELUDE}\n{load}\n{script}"))
            .output()
            .unwrap();
        let mut said = String::from_utf8_lossy(&out.stdout).replace('\r', "");
        let code = out.status.code().unwrap_or(-1);
        if !matches!(code, 0 | 137) {
            let log = std::fs::read_to_string(self.scratch.join("kernel.log"));
            let machine = String::from_utf8_lossy(&out.stderr);
            let kernel = log.unwrap_or_default();
            let _ = write!(said, "\n--- machine\n{machine}\n--- kernel\n{kernel}");
        }
        Boot { code, said }
    }
}

/// How many machines may be on. Without KVM one takes all of a processor, and of
/// two now and then: beside other tests there is one.
static FREE: (Mutex<u32>, Condvar) = (Mutex::new(1), Condvar::new());

/// From now on one machine more may be on.
pub fn one_more() {
    drop(Turn);
}

/// A machine that may be on.
struct Turn;

impl Turn {
    fn wait() -> Self {
        let free = FREE.0.lock().unwrap_or_else(PoisonError::into_inner);
        let none = |free: &mut u32| *free == 0;
        let free = FREE.1.wait_while(free, none);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREE.1.notify_one();
    }
}

/// What came of one boot.
#[derive(Debug)]
pub struct Boot {
    /// The script's exit code; 137 after a power cut.
    code: i32,
    said: String,
}

impl Boot {
    /// Fails unless the script came to its end.
    pub fn finished(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.said);
        self
    }

    /// Fails unless the power was cut.
    pub fn was_cut(self) -> Self {
        assert_eq!(self.code, 137, "{}", self.said);
        self
    }

    /// Whether the power was cut.
    pub fn is_cut(&self) -> bool {
        self.code == 137
    }

    pub fn said(&self) -> &str {
        &self.said
    }

    /// What `show` and `try` of this name printed.
    pub fn excerpts(&self, name: &str) -> Vec<&str> {
        let all = self.all_excerpts(name).into_iter();
        all.filter(|text| !is_keys(text)).collect()
    }

    /// With the keys of records.
    fn all_excerpts(&self, name: &str) -> Vec<&str> {
        let mark = format!("<<< {name}\n");
        self.said
            .split(&mark)
            .skip(1)
            .map(|rest| rest.split(">>>").next().unwrap())
            .collect()
    }

    /// The one excerpt of this name.
    pub fn excerpt(&self, name: &str) -> &str {
        let all = self.excerpts(name);
        assert_eq!(all.len(), 1, "{name}: {}", self.said);
        all[0]
    }

    /// Fails unless the command of this name ended with this code and said all
    /// of these (white space as single spaces).
    pub fn ended(&self, name: &str, code: i32, words: &[&str]) -> &Self {
        let said = self.excerpt(name);
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(last, format!("code {code}"), "{name}: {}", self.said);
        // Closing lines are wrapped.
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(flat.contains(word), "{name}: no {word:?} in {said}");
        }
        self
    }

    /// The value of a line `KEY VALUE`.
    pub fn value(&self, key: &str) -> &str {
        self.said
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("no {key} in {}", self.said))
    }

    /// The checkpoint or report, among excerpts of this name, of the drive with
    /// this serial.
    pub fn json_of(&self, name: &str, serial: &str) -> Option<Value> {
        Some(self.whole(name, self.text_of(name, serial)?))
    }

    /// An excerpt of this name with the keys that were shown with it.
    pub fn whole(&self, name: &str, text: &str) -> Value {
        let keys = self.all_excerpts(name).into_iter();
        let keys = keys.filter(|text| is_keys(text)).map(parsed);
        keys.fold(parsed(text), |value, keys| {
            with_keys(value, text.as_bytes(), &keys)
        })
    }

    /// The same as it was shown.
    pub fn text_of(&self, name: &str, serial: &str) -> Option<&str> {
        let mut all = self.excerpts(name).into_iter();
        all.find(|text| parsed(text)["device_id"]["serial"] == serial)
    }

    /// Fails unless the report of this drive was shown, and every byte of the
    /// image is what it says.
    pub fn wiped(&self, serial: &str, image: &Path) -> Value {
        let report = self
            .json_of("report", serial)
            .unwrap_or_else(|| panic!("no report of {serial} in {}", self.said));
        assert_eq!(report["outcome"], "WIPED", "{report}");
        let size = std::fs::metadata(image).unwrap().len();
        assert_eq!(number(&report, "total_size"), size, "{report}");
        check(image, 0, size, &Content::of(&report, 1));
        report
    }
}

/// Whether it is a record's file of keys.
fn is_keys(text: &str) -> bool {
    text.contains("\"kind\": \"wipeit-keys\"")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}
