//! What lies on a device: the state, the running system.

use nix::sys::statfs::TMPFS_MAGIC;

use super::*;

#[test]
fn the_drive_below_the_state_directory_is_found_through_all_layers() {
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    let not_yet = state.join("deeper/still");
    let dev = file_system_of(&state);
    // The file system of this test plays a volume on sda1.
    machine.disk_at("virtual", "dm-0", dev);
    let carries = |name: &str| known(machine.look_with(name, &not_yet).usage.carries_state);
    assert!(carries("dm-0"));
    assert!(!carries("sda"));
    machine.hold("sda1", "dm-0");
    assert!(carries("sda1"));
    assert!(carries("sda"));
    assert!(!carries("sda2"), "a neighbour");
    assert!(!carries("sdaa"));
}

#[test]
fn state_on_a_loop_device_lies_on_the_drive_of_its_file() {
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    let file = machine.file("image");
    // The same file system carries the file and, in this play, the loop device.
    machine.looped("loop0", file_system_of(&state), file.to_str().unwrap());
    assert!(known(
        machine.look_with("loop0", &state).usage.carries_state
    ));
    // A block device in place of the file.
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    machine.looped("loop0", file_system_of(&state), "/gone (deleted)");
    let text = why(machine.look_with("sda", &state).usage.carries_state);
    assert!(text.contains("/gone (deleted)"), "{text}");
}

#[test]
fn state_on_an_anonymous_file_system_is_traced_by_its_mount() {
    let machine = Machine::usual();
    let state = machine.host.dev.with_file_name("state");
    let source = machine.host.dev.join("sda2");
    let mount = |kind: &str, source: &str, options: &str| {
        let dev = file_system_of(&state);
        let DevId { major, minor } = dev;
        machine.mounts(&format!(
            "1 0 {major}:{minor} / / rw - {kind} {source} {options}\n"
        ));
    };
    let carries = |name: &str| machine.look_with(name, &state).usage.carries_state;
    let pool = machine.host.sys.join("fs/btrfs/1/devices");
    std::fs::create_dir_all(&pool).unwrap();
    for member in ["sda2", "sdaa1"] {
        symlink(machine.sys(member), pool.join(member)).unwrap();
    }
    mount("btrfs", source.to_str().unwrap(), "rw");
    assert_eq!(carries("sda"), Fact::Known(true));
    assert_eq!(
        carries("sdaa"),
        Fact::Known(true),
        "the pool's other member"
    );
    assert_eq!(carries("sda1"), Fact::Known(false));
    mount("btrfs", "/dev/unheard-of", "rw");
    assert!(why(carries("sda")).contains("cannot be seen"));
    mount("tmpfs", "sda", "rw");
    assert_eq!(carries("sda"), Fact::Known(false));
    mount("nfs4", "server:/export", "rw");
    assert_eq!(carries("sda"), Fact::Known(false));
    mount(
        "overlay",
        "overlay",
        "rw,upperdir=/nowhere/to/be/seen,workdir=/w",
    );
    assert!(why(carries("sda")).contains("/nowhere/to/be/seen"));
    // An overlay over itself must not go round for ever.
    mount(
        "overlay",
        "overlay",
        &format!("rw,upperdir={}", state.display()),
    );
    assert!(why(carries("sda")).contains("too many layers"));
}

#[test]
fn what_is_promised_of_the_state_is_known() {
    let machine = Machine::new();
    let state = machine.host.dev.with_file_name("state");
    let DevId { major, minor } = file_system_of(&state);
    let promised = |kind: &str, options: &str| {
        machine.mounts(&format!(
            "1 0 {major}:{minor} / / rw - {kind} x {options}\n"
        ));
        machine.host.keeping(&state.join("not/yet")).durability
    };
    let why = |durability: Durability| match durability {
        Durability::Unknown(why) => why,
        other => panic!("{other:?}"),
    };
    let over = |dir: &Path| format!("rw,lowerdir=/l,upperdir={},workdir=/w", dir.display());
    if nix::sys::statfs::statfs(&state).unwrap().filesystem_type() != TMPFS_MAGIC {
        assert_eq!(promised("xfs", "rw"), Durability::Kept);
        assert_eq!(promised("vfat", "rw"), Durability::BySlots("vfat".into()));
        assert!(why(promised("overlay", "rw")).contains("no layer"));
        assert!(why(promised("overlay", &over(&state))).contains("too many layers"));
        assert!(why(promised("overlay", &over(Path::new("/not/here")))).contains("/not/here"));
        let text = format!("{},volatile", over(&state));
        assert!(why(promised("overlay", &text)).contains("volatile"));
    }
    for (kind, slots) in [("vfat", true), ("exfat", true), ("ext4", false)] {
        promised(kind, "rw");
        assert_eq!(machine.host.needs_slots(&state.join("not/yet")), slots);
    }
    assert_eq!(promised("ramfs", "rw"), Durability::Memory);
    let in_memory = Path::new("/dev/shm/rw");
    assert_eq!(
        machine.host.keeping(in_memory).durability,
        Durability::Memory
    );
    // A layer must be there: another place of its name is none.
    let layer = tempfile::tempdir_in("/dev/shm").unwrap();
    assert_eq!(promised("overlay", &over(layer.path())), Durability::Memory);
}

#[test]
fn the_promise_of_ext4_is_that_of_its_journal_and_of_the_disk_below() {
    let machine = Machine::new();
    let state = machine.host.dev.with_file_name("state");
    if nix::sys::statfs::statfs(&state).unwrap().filesystem_type() == TMPFS_MAGIC {
        return;
    }
    let dev = file_system_of(&state);
    machine.mounts(&format!(
        "1 0 {}:{} / / rw - ext4 x rw\n",
        dev.major, dev.minor
    ));
    machine.disk("sda", dev);
    let host = &machine.host;
    let promised = || host.keeping(&state).durability;
    let set = |path: PathBuf, text: &str| Machine::write(&path, text);
    assert!(matches!(promised(), Durability::Unknown(_)));
    let options = host.proc.join("fs/ext4/sda/options");
    set(options.clone(), "rw\nbarrier\ninode_readahead_blks=32\n");
    assert!(matches!(promised(), Durability::Unknown(_)));
    set(options, "rw\nbarrier\ndata=ordered\n");
    assert_eq!(promised(), Durability::Kept);
    let task = host.sys.join("fs/ext4/sda/journal_task");
    set(task.clone(), "<none>\n");
    assert!(matches!(promised(), Durability::Unknown(_)));
    set(task, "4090\n");
    assert_eq!(promised(), Durability::Kept);
    assert_eq!(host.keeping(&state).unflushed, [""; 0]);
    machine.set("sda", &[("queue/write_cache", "write through")]);
    assert_eq!(host.keeping(&state).unflushed, ["sda"]);
}
