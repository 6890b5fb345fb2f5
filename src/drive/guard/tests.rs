use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;
use crate::drive::device::Usage;
use crate::drive::device::example::disk;
use crate::drive::device::{Holder, Opener, Process};
use crate::drive::transport::Transport;
use crate::drive::{losses, warnings};
use crate::text::shell_word;

fn said_about(device: Device) -> Vec<String> {
    match check(device) {
        Ok(_) => Vec::new(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
    }
}

fn said(change: impl FnOnce(&mut Usage)) -> Vec<String> {
    let mut device = disk();
    change(&mut device.usage);
    said_about(device)
}

fn mount(point: impl AsRef<OsStr>) -> Fact<Vec<Mount>> {
    Fact::Known(vec![Mount {
        name: "sdb1".into(),
        point: point.as_ref().into(),
        by: None,
    }])
}

#[test]
fn a_device_with_nothing_against_it_is_cleared_unchanged() {
    let cleared = check(disk()).unwrap();
    assert_eq!(cleared.device(), &disk());
}

#[test]
fn each_use_is_a_refusal_with_its_remedy() {
    assert_eq!(
        said(|usage| usage.mounts = mount("/home")),
        ["sdb1 is mounted at /home; run `umount /home` first"]
    );
    for path in ["/dev/sdb2", "sdb2"] {
        assert_eq!(
            said(|usage| usage.swaps = Fact::Known(vec![path.into()])),
            ["sdb2 is swap; run `swapoff /dev/sdb2` first"]
        );
    }
    assert_eq!(
        said(|usage| usage.swaps = Fact::Known(vec!["/var/swap file".into()])),
        ["/var/swap file is swap; run `swapoff '/var/swap file'` first"]
    );
    assert_eq!(
        said(|usage| usage.carries_state = Fact::Known(true)),
        ["it carries wipeit's state directory; use --state-dir on another drive"]
    );
    let read_only = said(|usage| usage.read_only = Fact::Known(true));
    assert!(
        read_only[0].starts_with("it is read-only; "),
        "{read_only:?}"
    );
    let busy = said(|usage| usage.busy = Fact::Known(true));
    assert!(
        busy[0].starts_with("it is in use (the kernel refuses exclusive access); "),
        "{busy:?}"
    );
}

#[test]
fn holders_are_named_with_the_way_to_release_them() {
    let held = |by: &str| {
        said(|usage| {
            usage.holders = Fact::Known(vec![Holder {
                name: "sdb1".into(),
                by: by.into(),
            }]);
        })
        .remove(0)
    };
    assert!(held("dm-0 (vg0-home)").starts_with("sdb1 is held by dm-0 (vg0-home); close it ("));
    assert_eq!(
        held("md127"),
        "sdb1 is held by md127; run `mdadm --stop /dev/md127` first"
    );
    assert_eq!(held("bcache0"), "sdb1 is held by bcache0; release it first");
}

#[test]
fn a_loop_device_is_named_with_what_it_shares() {
    let looped = |mut device: Device| {
        device.usage.loops = Fact::Known(vec!["/dev/loop3".into()]);
        said_about(device).remove(0)
    };
    assert_eq!(
        looped(disk()),
        "it is the backing device of /dev/loop3; run `losetup -d /dev/loop3` first"
    );
    let mut twin = disk();
    twin.identity.transport = Transport::Loop;
    assert_eq!(
        looped(twin),
        "its backing file is in use by /dev/loop3; run `losetup -d /dev/loop3` first"
    );
    assert_eq!(
        looped(image()),
        "it is the backing file of /dev/loop3; run `losetup -d /dev/loop3` first"
    );
}

#[test]
fn each_new_use_is_a_refusal_with_its_remedy() {
    let process = |name: &str| Process {
        pid: 77,
        name: name.into(),
    };
    let carried = |carried: &[Carried]| said(|usage| usage.carries = Fact::Known(carried.to_vec()));
    let program = Carried::Program("/opt/wipeit".into());
    assert_eq!(
        carried(&[Carried::System, program.clone()]),
        ["it carries the running system; start another one to wipe it"]
    );
    assert_eq!(
        carried(std::slice::from_ref(&program)),
        ["it carries the program that is running, /opt/wipeit; start that from another drive"]
    );
    // Its mount at / has said so.
    let lines = said(|usage| {
        usage.mounts = mount("/");
        usage.carries = Fact::Known(vec![Carried::System, program]);
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        said(|usage| {
            usage.openers = Fact::Known(vec![Opener {
                name: "sdb1".into(),
                process: process("a\nb"),
            }]);
        }),
        ["sdb1 is open for writing by process 77 (a\\012b); end it first"]
    );
    for (unknown, change) in [
        (
            "openers",
            (|usage| {
                usage.openers = Fact::Unknown("openers".into());
            }) as fn(&mut Usage),
        ),
        ("carries", |usage| {
            usage.carries = Fact::Unknown("carries".into());
        }),
        ("zones", |usage| {
            usage.host_managed = Fact::Unknown("zones".into());
        }),
        ("table", |usage| {
            usage.extended = Fact::Unknown("table".into());
        }),
    ] {
        assert_eq!(said(change), [format!("{unknown}; refusing")]);
    }
}

#[test]
fn openers_may_pass_in_a_moment_whatever_else_there_is() {
    let opener = InUse::Open(Opener {
        name: "sdb".into(),
        process: Process {
            pid: 1,
            name: "losetup".into(),
        },
    });
    assert!(may_pass(std::slice::from_ref(&opener)));
    assert!(may_pass(&[opener, InUse::CarriesState { image: false }]));
    assert!(!may_pass(&[InUse::CarriesState { image: false }]));
}

#[test]
fn a_drive_that_is_never_flushed_is_warned_of_but_nothing_is_lost_with_it() {
    let mut device = disk();
    assert_eq!(warnings(&device), []);
    device.write_back = None;
    assert_eq!(warnings(&device), []);
    device.write_back = Some(false);
    let lines: Vec<_> = warnings(&device).iter().map(ToString::to_string).collect();
    assert!(
        lines[0].contains("write-through and sends no flush"),
        "{lines:?}"
    );
    assert_eq!(losses(&device), []);
}

#[test]
fn each_kind_of_member_has_its_own_words() {
    let warned = |what: &'static str, group: Option<&str>, label: Option<&str>| {
        let mut device = disk();
        device.contents[1].what = Some(what);
        device.contents[1].group = group.map(str::to_string);
        device.contents[1].label = label.map(str::to_string);
        let lines: Vec<_> = warnings(&device).iter().map(ToString::to_string).collect();
        lines.join("|")
    };
    let some = Some("x\u{202e}1");
    let x = "x\\342\\200\\2561";
    for (what, group, label, says) in [
        (
            "LVM2",
            None,
            None,
            "is a member of an inactive LVM2 volume".into(),
        ),
        (
            "LVM2",
            some,
            None,
            format!("is a member of the inactive LVM2 volume group {x}"),
        ),
        (
            "MD",
            None,
            None,
            "is a member of an inactive RAID array".into(),
        ),
        (
            "MD",
            some,
            some,
            format!("is a member of the inactive RAID array {x}"),
        ),
        (
            "ZFS",
            None,
            None,
            "is a member of an inactive ZFS pool".into(),
        ),
        (
            "ZFS",
            some,
            None,
            format!("is a member of the inactive ZFS pool {x}"),
        ),
        (
            "bcache",
            None,
            None,
            "is a member of an inactive bcache".into(),
        ),
        (
            "bcachefs",
            some,
            None,
            format!("is a member of the unmounted multi-device bcachefs {x}"),
        ),
        ("LUKS", None, None, "is a closed LUKS volume".into()),
        (
            "LUKS",
            None,
            some,
            format!("is a closed LUKS volume \"{x}\""),
        ),
    ] {
        assert_eq!(warned(what, group, label), format!("sdb1 {says}"));
    }
    for what in ["ext4", "btrfs", "bcachefs", "GPT"] {
        assert_eq!(warned(what, None, some), "", "{what}");
    }
}

fn image() -> Device {
    Device {
        path: "disk.img".into(),
        node: Node::Image { dev: 1, inode: 2 },
        ..disk()
    }
}

#[test]
fn an_image_on_a_read_only_file_system_is_refused() {
    let mut device = image();
    device.usage.read_only = Fact::Known(true);
    assert_eq!(
        said_about(device),
        ["its file system is read-only; remount it writable first"]
    );
}

#[test]
fn each_fact_that_cannot_be_read_is_a_refusal() {
    fn unknown<T>() -> Fact<T> {
        Fact::Unknown("cannot read /proc/self/mountinfo: permission denied".into())
    }
    let changes: [fn(&mut Usage); 7] = [
        |usage| usage.busy = unknown(),
        |usage| usage.read_only = unknown(),
        |usage| usage.mounts = unknown(),
        |usage| usage.swaps = unknown(),
        |usage| usage.holders = unknown(),
        |usage| usage.loops = unknown(),
        |usage| usage.carries_state = unknown(),
    ];
    for change in changes {
        assert_eq!(
            said(change),
            ["cannot read /proc/self/mountinfo: permission denied; refusing"]
        );
    }
    // All at once: the same file is named once.
    let all = said(|usage| changes.iter().for_each(|change| change(usage)));
    assert_eq!(all.len(), 1, "{all:?}");
}

#[test]
fn busy_is_said_only_where_nothing_explains_it() {
    let lines = said(|usage| {
        usage.busy = Fact::Known(true);
        usage.mounts = mount("/home");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let lines = said(|usage| {
        usage.busy = Fact::Known(true);
        usage.mounts = Fact::Unknown("cannot read /proc/self/mountinfo: denied".into());
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("it is in use"), "{lines:?}");
}

#[test]
fn the_most_specific_comes_first() {
    let mut device = disk();
    device.usage = Usage {
        busy: Fact::Known(true),
        read_only: Fact::Known(true),
        mounts: mount("/home"),
        swaps: Fact::Known(vec!["/dev/sdb2".into()]),
        holders: Fact::Known(vec![Holder {
            name: "sdb3".into(),
            by: "md0".into(),
        }]),
        loops: Fact::Known(vec!["/dev/loop3".into()]),
        carries_state: Fact::Known(true),
        ..device.usage
    };
    let refusals = check(device).unwrap_err();
    assert!(
        matches!(
            refusals[..],
            [
                InUse::Mounted(_),
                InUse::Swap(_),
                InUse::Held(_),
                InUse::Looped { .. },
                InUse::CarriesState { image: false },
                InUse::ReadOnly { .. },
            ]
        ),
        "{refusals:?}"
    );
}

#[test]
fn the_running_system_comes_first_and_has_no_umount() {
    let point = |name: &str, point: &str| Mount {
        name: name.into(),
        point: point.into(),
        by: None,
    };
    let lines = said(|usage| {
        usage.mounts = Fact::Known(vec![point("sdb1", "/boot"), point("sdb2", "/")]);
    });
    assert!(
        lines[0].starts_with("sdb2 is mounted at /; it carries the running system"),
        "{lines:?}"
    );
    assert!(lines[1].contains("`umount /boot`"), "{lines:?}");
}

#[test]
fn strange_mount_points_are_quoted_for_a_shell_and_harmless_on_a_terminal() {
    for (point, shown, word) in [
        (&b"/mnt/my disk"[..], "/mnt/my disk", "'/mnt/my disk'"),
        (b"/mnt/it's", "/mnt/it's", r"'/mnt/it'\''s'"),
        (b"/mnt/$(reboot)", "/mnt/$(reboot)", "'/mnt/$(reboot)'"),
        (b"/mnt/a\nb", r"/mnt/a\012b", r"$'/mnt/a\012b'"),
        (
            b"/mnt/\x1b[2J'\\",
            r"/mnt/\033[2J'\",
            r"$'/mnt/\033[2J\047\134'",
        ),
        (b"/mnt/\xff", r"/mnt/\377", r"$'/mnt/\377'"),
        (
            "/mnt/\u{202e}x".as_bytes(),
            r"/mnt/\342\200\256x",
            r"$'/mnt/\342\200\256x'",
        ),
        (
            "/mnt/\u{9b}x".as_bytes(),
            r"/mnt/\302\233x",
            r"$'/mnt/\302\233x'",
        ),
        (
            "/mnt/K\u{e4}se".as_bytes(),
            "/mnt/K\u{e4}se",
            "'/mnt/K\u{e4}se'",
        ),
    ] {
        let lines = said(|usage| usage.mounts = mount(OsStr::from_bytes(point)));
        assert_eq!(
            lines,
            [format!(
                "sdb1 is mounted at {shown}; run `umount {word}` first"
            )]
        );
    }
}

#[test]
fn names_from_outside_never_steer_a_terminal() {
    let lines = said(|usage| {
        usage.swaps = Fact::Known(vec!["/a\x1b[31m".into()]);
        usage.holders = Fact::Known(vec![Holder {
            name: "sdb\x07".into(),
            by: "dm-0 (evil\r\n)".into(),
        }]);
        usage.loops = Fact::Known(vec!["/dev/loop\x1b".into()]);
        usage.read_only = Fact::Unknown("cannot read /x\ny: denied".into());
    });
    assert_eq!(lines.len(), 4);
    for line in lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn a_shell_reads_the_quoted_word_as_the_path() {
    for point in [
        &b"/mnt/a\nb'c\\d\x01e"[..],
        b"/mnt/sp ace'",
        b"/a\x80b",
        b"/a-b",
    ] {
        let word = shell_word(Path::new(OsStr::from_bytes(point)));
        let output = std::process::Command::new("bash")
            .args(["-c", &format!("printf %s {word}")])
            .output()
            .unwrap();
        assert_eq!(output.stdout, point, "{word}");
    }
}
