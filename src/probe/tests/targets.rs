//! What is a target at all.

use super::*;

#[test]
fn what_may_not_be_opened_is_denied_and_what_went_away_is_missing() {
    let problem = |code| NoTarget::of(Path::new("x"), &io::Error::from_raw_os_error(code));
    assert!(matches!(
        problem(nix::libc::EACCES),
        NoTarget::Denied(Some(nix::libc::EACCES))
    ));
    assert!(matches!(
        problem(nix::libc::EPERM),
        NoTarget::Denied(Some(nix::libc::EPERM))
    ));
    assert!(matches!(problem(nix::libc::ENXIO), NoTarget::Missing));
    let no_medium = problem(nix::libc::ENOMEDIUM);
    assert!(matches!(
        no_medium,
        NoTarget::NoCapacity(NoCapacity::NoMedium)
    ));
    assert_eq!(
        problem(nix::libc::ELOOP).to_string(),
        "cannot open x: too many symbolic links encountered; refusing"
    );
}

#[test]
fn other_things_are_not_targets() {
    let machine = Machine::new();
    let root = machine.dir.path();
    let state = Path::new("/proc");
    let problem = |path: &Path| machine.host.device(path, state).unwrap_err();
    assert!(matches!(problem(&root.join("nothing")), NoTarget::Missing));
    assert!(matches!(problem(Path::new("")), NoTarget::Missing));
    assert!(matches!(
        problem(&machine.file("image").join("x")),
        NoTarget::Missing
    ));
    assert!(matches!(problem(root), NoTarget::NotATarget("a directory")));
    assert!(matches!(
        problem(Path::new("/dev/null")),
        NoTarget::NotATarget("a character device")
    ));
    let pipe = root.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(problem(&pipe), NoTarget::NotATarget("a pipe")));
    let socket = root.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(problem(&socket), NoTarget::NotATarget("a socket")));
    let empty = root.join("empty");
    Machine::write(&empty, "");
    assert!(matches!(problem(&empty), NoTarget::Empty));
    symlink(root.join("nowhere"), root.join("dangling")).unwrap();
    assert!(matches!(problem(&root.join("dangling")), NoTarget::Missing));
}

#[test]
fn a_drive_that_went_away_or_has_no_size_is_not_a_target() {
    let machine = Machine::usual();
    let look = |dev| {
        let path = machine.host.dev.join("sda");
        machine
            .host
            .block_target(&path, dev, Some(Path::new("/proc")))
    };
    assert!(matches!(look(id(1008, 48)), Err(NoTarget::Missing)));
    machine.set("sda", &[("size", "0")]);
    let Err(problem @ NoTarget::NoCapacity(NoCapacity::Scsi(_))) = look(id(1008, 0)) else {
        panic!("a drive without a capacity is not empty");
    };
    let said = problem.to_string();
    for word in ["520", "NOT wiped", "sg_readcap /dev/sda", "sg_format"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    machine.set("sda", &[("removable", "1")]);
    let no_medium: Result<Device, _> = Err(NoTarget::NoCapacity(NoCapacity::NoMedium));
    assert_eq!(format!("{:?}", look(id(1008, 0))), format!("{no_medium:?}"));
    machine.looped("loop9", id(1007, 9), "");
    machine.set("loop9", &[("size", "0")]);
    let path = machine.host.dev.join("loop9");
    let empty = machine.host.block_target(&path, id(1007, 9), None);
    assert!(matches!(empty, Err(NoTarget::Empty)));
    machine.set("sda", &[("size", "many")]);
    assert!(matches!(look(id(1008, 0)), Err(NoTarget::Unreadable(_))));
}

#[test]
fn reasons_are_lower_case_without_a_number() {
    let reason_of = |code| reason(&io::Error::from_raw_os_error(code));
    assert_eq!(reason_of(nix::libc::EACCES), "permission denied");
    assert_eq!(reason_of(nix::libc::EIO), "I/O error");
}
