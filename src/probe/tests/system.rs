//! What is said against wiping what the running system and its processes use.

use super::*;

#[test]
fn every_layer_of_an_overlay_root_carries_the_running_system() {
    let machine = Machine::usual();
    let root = machine.host.dev.parent().unwrap();
    let layer = root.join("lower, with: marks");
    std::fs::create_dir(&layer).unwrap();
    // The file system of this test plays one on sdb.
    machine.disk("sdb", file_system_of(&layer));
    let written = |path: &Path| {
        let text = path.to_str().unwrap().replace(' ', "\\040");
        text.replace(',', "\\054")
    };
    let overlay = |options: &str| {
        machine.mounts(&format!("1 0 0:77 / / rw - overlay overlay rw,{options}\n"));
        machine.said("sdb")
    };
    let system = "it carries the running system; start another one to wipe it";
    let state = "it carries wipeit's state directory; use --state-dir on another drive";
    let layer = written(&layer);
    let out_of_sight = "upperdir=/var/lib/out/of/sight,workdir=/w";
    let unclear = "cannot tell whether the state directory /proc lies on it (cannot tell which \
                   drive /var/lib/out/of/sight lies on: no such file or directory); refusing";
    assert_eq!(
        overlay(&format!(
            "lowerdir=/nowhere:{},{out_of_sight}",
            layer.replace(':', "\\134:")
        )),
        [system, unclear]
    );
    assert_eq!(
        overlay(&format!("lowerdir=/nowhere,upperdir={layer},workdir=/w")),
        [system, state]
    );
    assert_eq!(machine.said("sda"), NOTHING);
    // In a container all layers are out of sight; their drives are mounted
    // elsewhere, which the kernel's exclusive access knows.
    overlay("lowerdir=/nowhere,upperdir=/nor/here,workdir=/w");
    assert_eq!(known(machine.look("sda").usage.carries), []);
}

#[test]
fn the_drive_of_the_running_program_is_refused() {
    let machine = Machine::resting();
    let program = machine.file("my wipeit\n");
    machine.disk("sdb", file_system_of(&program));
    let exe = machine.host.proc.join("self/exe");
    std::fs::remove_file(&exe).unwrap();
    symlink(&program, &exe).unwrap();
    assert_eq!(
        machine.said("sdb"),
        ["it carries the program that is running, /my wipeit\\012; \
             start that from another drive"]
    );
    assert_eq!(machine.said("sda"), NOTHING);
    std::fs::remove_file(&exe).unwrap();
    assert_eq!(
        machine.said("sda"),
        [
            "cannot tell whether the running program lies on it (cannot read /proc/self/exe: \
             no such file or directory); refusing"
        ]
    );
}

#[test]
fn an_unreadable_mountinfo_refuses_everything() {
    let machine = Machine::usual();
    std::fs::remove_file(machine.host.proc.join("self/mountinfo")).unwrap();
    let said = machine.said("sda");
    assert_eq!(
        said[0],
        "cannot read /proc/self/mountinfo: no such file or directory; refusing"
    );
    assert_eq!(
        said.iter()
            .filter(|line| line.contains("/proc/self/mountinfo"))
            .count(),
        said.len(),
        "{said:?}"
    );
}

#[test]
fn a_mount_in_another_namespace_is_refused_and_said_once() {
    let machine = Machine::resting();
    symlink("mnt:[1]", {
        std::fs::create_dir(machine.host.proc.join("self/ns")).unwrap();
        machine.host.proc.join("self/ns/mnt")
    })
    .unwrap();
    let sees = |pid, name: &str, namespace: &str, mounts: &str| {
        let dir = machine.process(pid, name, namespace);
        Machine::write(&dir.join("mountinfo"), mounts);
    };
    let line = "2 1 1008:1 / /srv/db rw - ext4 /dev/sda1 rw\n";
    // In our own namespace it would stand in our own file.
    sees(70, "init", "1", line);
    assert_eq!(machine.said("sda"), NOTHING);
    sees(77, "evil\x1b[2J", "2", line);
    sees(78, "of the same namespace", "2", "rubbish\n");
    sees(1000, "another copy", "3", line);
    // One that has just ended.
    machine.process(900, "gone", "4");
    assert_eq!(
        machine.said("sda"),
        [
            "sda1 is mounted at /srv/db in the mount namespace of process 77 (evil\\033[2J); \
             end that or run `nsenter -t 77 -m umount /srv/db` first"
        ]
    );
    assert_eq!(machine.said("sda2"), NOTHING);
    // Where we see it ourselves, that is enough.
    machine.mounts_besides_root(line);
    assert_eq!(
        machine.said("sda"),
        ["sda1 is mounted at /srv/db; run `umount /srv/db` first"]
    );
    machine.mounts_besides_root("");
    sees(2000, "broken", "5", "rubbish\n");
    let said = machine.said("sda2");
    assert_eq!(
        said,
        ["cannot understand a line of /proc/2000/mountinfo: rubbish; refusing"]
    );
    // A root of somebody else is not the running system.
    sees(
        3000,
        "box",
        "6",
        "2 1 1065:161 / / rw - ext4 /dev/sdaa1 rw\n",
    );
    std::fs::remove_dir_all(machine.host.proc.join("2000")).unwrap();
    assert_eq!(
        machine.said("sdaa"),
        [
            "sdaa1 is mounted at / in the mount namespace of process 3000 (box); \
             end that or run `nsenter -t 3000 -m umount /` first"
        ]
    );
}

#[test]
fn a_device_or_image_that_another_process_can_write_to_is_refused() {
    let machine = Machine::resting();
    let node = |name: &str| machine.host.dev.join(name);
    let (reader, writer) = ("0100000", "0100002");
    let qemu = machine.process(77, "qemu\x07-system", "1");
    Machine::opens(&qemu, "3", &node("sda"), reader);
    Machine::opens(&qemu, "4", Path::new("socket:[77]"), writer);
    Machine::opens(&qemu, "5", Path::new("/nowhere/sda"), writer);
    assert_eq!(machine.said("sda"), NOTHING);
    Machine::opens(&qemu, "6", &node("sda1"), writer);
    let said = ["sda1 is open for writing by process 77 (qemu\\007-system); end it first"];
    assert_eq!(machine.said("sda"), said);
    assert_eq!(machine.said("sda1"), said);
    assert_eq!(machine.said("sda2"), NOTHING);
    // The whole disk, write only.
    let fdisk = machine.process(1078, "fdisk", "1");
    Machine::opens(&fdisk, "3", &node("sdaa"), "0100001");
    assert_eq!(
        machine.said("sdaa1"),
        ["sdaa is open for writing by process 1078 (fdisk); end it first"]
    );
    // A file of that name somewhere in memory is another thing.
    let shm = node("shm/sda2");
    Machine::write(&shm, "x");
    Machine::opens(&fdisk, "4", &shm, writer);
    assert_eq!(machine.said("sda2"), NOTHING);
    // We ourselves, as we hold the target in the end.
    let own = machine.process(std::process::id(), "wipeit", "1");
    Machine::opens(&own, "3", &node("sda2"), writer);
    assert_eq!(machine.said("sda2"), NOTHING);

    // An image is found by its inode, and so is the file behind a loop device.
    let image = machine.file("disk.img");
    let link = image.with_file_name("link.img");
    std::fs::hard_link(&image, &link).unwrap();
    machine.looped("loop0", id(207, 0), image.to_str().unwrap());
    Machine::opens(&fdisk, "5", &link, writer);
    assert_eq!(
        machine.said("loop0"),
        ["link.img is open for writing by process 1078 (fdisk); end it first"]
    );
    assert_eq!(
        machine.said_of_image(&image)[1..],
        ["disk.img is open for writing by process 1078 (fdisk); end it first"]
    );
}

#[test]
fn files_whose_server_may_not_answer_are_not_asked_for() {
    let machine = Machine::usual();
    let qemu = machine.process(77, "qemu", "1");
    Machine::opens(&qemu, "6", &machine.host.dev.join("sda1"), "0100002");
    machine.mounts_besides_root("24 1 0:50 / /net rw - nfs4 server:/x rw\n");
    assert_eq!(machine.said("sda"), NOTHING);
    machine.mounts_besides_root("24 1 0:50 / /win rw - fuseblk /dev/x rw\n");
    assert_eq!(machine.said("sda").len(), 1);
}
