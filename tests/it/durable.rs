//! Where the state is kept, and what is said of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::device::{Loop, Mount};
use crate::support::state::unchanged;
use crate::support::{MIB, NOTHING, Need, Scratch, cases, sh};

const MOUNTS: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("mkfs.ext4"),
    Need::Tool("openssl"),
];
const USERS: &[Need] = &[Need::Root, Need::Tool("setpriv")];

cases![
    MOUNTS => what_the_file_system_of_the_state_keeps_is_said,
    MOUNTS => a_state_on_a_disk_that_gets_no_flush_is_said,
    NOTHING => a_state_in_memory_is_said_on_the_card_in_the_log_and_under_quiet,
    NOTHING => beside_an_empty_checkpoint_no_wipe_begins_unless_it_is_told_to,
    USERS => without_a_home_the_state_has_no_place,
];

fn text(lines: &str) -> String {
    lines.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a dry run, a log, and the closing lines of a wipe say with the state on
/// this folder.
fn said(scratch: &Scratch, dir: &Path) -> [String; 2] {
    let image = scratch.tagged("old.img", MIB);
    let run = || scratch.wipe(&image).words("-s zero").state(dir);
    let dry = run().arg("--dry-run").code(0);
    let wiped = run().yes().code(0);
    [dry.stderr, wiped.stderr].map(|said| text(&said))
}

fn what_the_file_system_of_the_state_keeps_is_said() {
    const NO: &str = "may NOT survive a loss of power: ";
    const YES: &str = "on disk: survives a reboot";
    // The disk below counts as well.
    let scratch = Scratch::new();
    let [_, log] = said(&scratch, scratch.state().path());
    let below = log
        .split_once(NO)
        .map(|(_, why)| format!("{NO}{}", why.split(';').next().unwrap()));
    let good = below.unwrap_or_else(|| YES.to_string());
    for (make, mount, wanted) in [
        ("mkfs.ext4", "rw", good.clone()),
        ("mkfs.ext4", "data=writeback", good.clone()),
        ("mkfs.ext3", "rw", good.clone()),
        (
            "mkfs.ext2",
            "rw",
            format!("{NO}ext2 at MOUNT is not known to keep it"),
        ),
        (
            "mkfs.ext4 -O ^has_journal",
            "rw",
            format!("{NO}ext4 at MOUNT has no journal"),
        ),
        (
            "mkfs.ext4",
            "nobarrier",
            format!("{NO}ext4 at MOUNT is mounted with nobarrier"),
        ),
        (
            "mkfs.ext3",
            "barrier=0",
            format!("{NO}ext3 at MOUNT is mounted with nobarrier"),
        ),
        (
            "mkfs.ext4",
            "noload",
            format!("{NO}ext4 at MOUNT is mounted without its journal"),
        ),
    ] {
        let scratch = Scratch::new();
        let device = Loop::over(&scratch.sparse("state.img", 32 * MIB));
        let make = format!("{make} -q -F {}", device.path().display());
        sh!("bash", "-c", make);
        let mounted = Mount::with(device.path(), scratch.join("mount"), mount);
        let wanted = wanted.replace("MOUNT", &mounted.point().display().to_string());
        let [dry, log] = said(&scratch, &mounted.point().join("state"));
        assert!(dry.contains(&wanted), "{make} {mount}: {dry}");
        let warned = log.contains(&format!("warning: {wanted}"));
        assert_eq!(warned, wanted != YES, "{make} {mount}: {log}");
    }
    // A file system on a disk of memory, and an overlay over memory.
    let scratch = Scratch::new();
    let memory = Mount::tmpfs("64m", scratch.join("memory"));
    let file = memory.point().join("state.img");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(32 * MIB)
        .unwrap();
    let device = Loop::over(&file);
    let on_memory = Mount::ext4(device.path(), scratch.join("on-memory"));
    for name in ["upper", "work", "over"] {
        std::fs::create_dir(memory.point().join(name)).unwrap();
    }
    let folder = |name: &str| memory.point().join(name).display().to_string();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        scratch.path().display(),
        folder("upper"),
        folder("work")
    );
    let over = Mount::kind("overlay", &options, memory.point().join("over"));
    for dir in [on_memory.point(), over.point()] {
        let [dry, log] = said(&scratch, &dir.join("kept"));
        let wanted = "in memory: a resume will NOT survive a reboot";
        assert!(dry.contains(wanted), "{dry}");
        assert!(log.contains(&format!("warning: {wanted}")), "{log}");
    }
}

fn a_state_on_a_disk_that_gets_no_flush_is_said() {
    let scratch = Scratch::new();
    let device = Loop::over(&scratch.sparse("state.img", 32 * MIB));
    let mounted = Mount::ext4(device.path(), scratch.join("mount"));
    let dir = mounted.point().join("state");
    let sentence = format!(
        "the kernel takes the cache of the state's disk ({}) for write-through",
        device.name()
    );
    let before = said(&scratch, &dir);
    assert!(
        before.iter().all(|said| !said.contains("write-through")),
        "{before:?}"
    );
    let cache = format!("/sys/block/{}/queue/write_cache", device.name());
    std::fs::write(cache, "write through").unwrap();
    let [dry, log] = said(&scratch, &dir);
    assert!(dry.contains(&sentence), "{dry}");
    let times = log.matches(&sentence).count();
    assert_eq!(times, 2, "at the start and at the end: {log}");
}

fn a_state_in_memory_is_said_on_the_card_in_the_log_and_under_quiet() {
    let scratch = Scratch::new();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let [dry, log] = said(&scratch, memory.path());
    for said in [dry, log] {
        assert!(
            said.contains("in memory: a resume will NOT survive"),
            "{said}"
        );
    }
    let image = scratch.tagged("old.img", MIB);
    let quiet = scratch.wipe(&image).yes().words("-s zero --quiet");
    let done = quiet.state(memory.path()).code(0);
    done.says(&["warning: in memory: a resume will NOT survive"]);
}

fn without_a_home_the_state_has_no_place() {
    let scratch = Scratch::new();
    let free = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(scratch.path(), free.clone()).unwrap();
    let image = scratch.tagged("old.img", MIB);
    std::fs::set_permissions(&image, free).unwrap();
    for (home, why) in [
        ("", "is empty"),
        (".", "is not an absolute path"),
        ("h/x", "is not an absolute path"),
    ] {
        for state_home in [None, Some(""), Some("relative")] {
            unchanged(&[&image], || {
                let user = [
                    "setpriv",
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                ];
                let mut wipe = scratch.wipe(&image).yes().under(user).env("HOME", home);
                if let Some(state_home) = state_home {
                    wipe = wipe.env("XDG_STATE_HOME", state_home);
                }
                let done = wipe.state(Path::new("")).run();
                assert_eq!(done.status.code(), Some(4), "{done:?}");
                let line = format!("wipeit: HOME: {why}; add --state-dir DIR\n");
                assert_eq!(done.stderr, line, "{done:?}");
                assert!(!scratch.join(".local").exists());
                assert!(!scratch.join("h").exists());
            });
        }
    }
}

fn beside_an_empty_checkpoint_no_wipe_begins_unless_it_is_told_to() {
    for content in [Vec::new(), vec![0; 4096]] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", MIB);
        let pending = scratch.state().path().join("pending");
        std::fs::create_dir_all(&pending).unwrap();
        let file = pending.join("sdb-ZR5A-01234567.json");
        std::fs::write(&file, &content).unwrap();
        for how in ["--yes", "--yes --ensure", "--yes --resume", "--dry-run"] {
            let run = || scratch.wipe(&image).words(how).code(4);
            let done = unchanged(&[&image, scratch.state().path()], run);
            let file = file.display();
            let says = match how {
                "--yes --resume" => [format!("{file}: holds nothing"), "rm it unless".into()],
                _ => [
                    format!("{file} holds nothing"),
                    format!("rm {file} if it was another, or --restart to wipe this"),
                ],
            };
            done.one_line().says(&[&says[0], &says[1], "not touched"]);
        }
        // It is found whatever the name that it has.
        scratch.wipeit().words("--resume --yes").code(4).says(&[
            "holds nothing",
            "rm it",
            "left as it is",
        ]);
        let listed = scratch.wipeit().arg("--list").code(0);
        assert!(listed.stdout.contains("holds nothing"), "{listed:?}");
        let second = pending.join("sdc-01234567.json");
        std::fs::write(&second, b"").unwrap();
        let done = scratch.wipe(&image).yes().code(4);
        done.says(&["sdb-ZR5A-01234567.json (and 1 more) holds nothing"]);
        std::fs::remove_file(second).unwrap();
        scratch
            .wipe(&image)
            .words("--yes --restart")
            .run()
            .wiped(&image, MIB);
        assert_eq!(std::fs::read(&file).unwrap(), content, "nobody removes it");
        // Its content still is what the record says.
        scratch.wipe(&image).words("--yes --ensure").code(0);
        std::fs::remove_file(&file).unwrap();
        scratch.wipe(&image).words("--yes").run().wiped(&image, MIB);
    }
}
