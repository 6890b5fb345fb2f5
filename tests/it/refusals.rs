//! What is in use is refused, and a refusal leaves no trace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::device::{Loop, Mapped, Mount, Swap};
use crate::support::pty::Terminal;
use crate::support::run::{Done, Running, Wipe};
use crate::support::state::{State, unchanged};
use crate::support::{LOOP, MIB, NOTHING, Need, Scratch, cases, sh, wait_until};

const MOUNT: &[Need] = &[Need::Root, Need::Loop, Need::Tool("mkfs.ext4")];
const SWAP: &[Need] = &[Need::Root, Need::Loop, Need::Tool("swapon")];
const MAPPER: &[Need] = &[Need::Root, Need::Loop, Need::DeviceMapper];
const TMPFS: &[Need] = &[Need::Root];
const USERS: &[Need] = &[Need::Root, Need::Loop, Need::Tool("setpriv")];

cases![
    MOUNT => refuses_a_mounted_device_with_the_mount_point_and_the_remedy,
    MOUNT => refuses_a_disk_whose_partition_is_mounted,
    MOUNT => wipes_a_partition_although_its_neighbour_is_mounted,
    SWAP => refuses_active_swap,
    SWAP => refuses_a_disk_whose_partition_is_swap,
    MOUNT => refuses_an_image_that_is_swapped_on_or_mounted,
    MAPPER => refuses_a_disk_that_something_holds_and_names_it,
    LOOP => refuses_a_read_only_device,
    NOTHING => refuses_a_node_that_is_missing_and_does_not_create_it,
    NOTHING => refuses_a_directory,
    NOTHING => refuses_a_character_device,
    NOTHING => refuses_a_pipe,
    NOTHING => refuses_an_empty_image,
    LOOP => refuses_an_image_that_a_loop_device_shows,
    LOOP => refuses_a_loop_device_whose_file_another_one_shows,
    LOOP => refuses_an_image_whose_other_name_a_loop_device_had,
    MOUNT => refuses_an_image_whose_other_name_was_deleted_while_mounted,
    LOOP => refuses_a_loop_device_whose_file_another_one_had_by_another_name,
    MOUNT => refuses_a_loop_device_over_another_whose_file_is_mounted_by_a_third,
    MOUNT => refuses_a_loop_device_two_above_one_that_is_unmounted_lazily,
    LOOP => refuses_a_loop_device_over_another_whose_file_is_open_for_writing,
    NOTHING => refuses_a_program_that_is_running,
    NOTHING => refuses_a_file_in_the_state_directory,
    NOTHING => refuses_when_records_have_no_folder_to_go_to,
    NOTHING => refuses_when_the_folder_of_records_leads_nowhere,
    TMPFS => refuses_when_records_cannot_be_written,
    MOUNT => refuses_the_drive_that_carries_the_state_directory,
    NOTHING => a_second_run_on_an_image_is_busy,
    NOTHING => a_second_run_through_a_hard_link_is_busy,
    LOOP => a_second_run_on_a_device_is_busy,
    LOOP => a_disk_is_busy_while_its_partition_is_wiped,
    LOOP => a_partition_is_busy_while_its_disk_is_wiped,
    LOOP => an_image_and_a_loop_device_over_it_are_not_wiped_together,
    NOTHING => without_a_terminal_and_yes_nothing_is_asked_and_nothing_done,
    NOTHING => declining_the_question_leaves_no_trace,
    NOTHING => ctrl_c_at_the_question_leaves_no_trace,
    NOTHING => hanging_up_at_the_question_leaves_no_trace,
    LOOP => refuses_an_image_that_was_attached_while_the_question_waited,
    MOUNT => refuses_an_image_that_was_mounted_while_the_question_waited,
    LOOP => refuses_a_loop_device_that_got_a_twin_while_the_question_waited,
    NOTHING => the_right_answer_starts_the_wipe,
    NOTHING => what_was_typed_before_the_question_is_not_the_answer,
    NOTHING => declining_leaves_an_old_checkpoint_as_it_was,
    NOTHING => a_dry_run_leaves_no_trace,
    NOTHING => a_serial_that_the_target_does_not_have_is_refused,
    LOOP => a_hundred_refusals_leave_the_targets_untouched,
    USERS => an_ordinary_user_is_told_to_run_as_root,
];

/// A run that must be refused with this code and leave everything as it was.
fn refused(scratch: &Scratch, target: &Path, code: i32, says: &[&str]) -> Done {
    refused_run(
        scratch.wipe(target).yes(),
        &scratch.state(),
        target,
        code,
        says,
    )
}

fn refused_run(wipe: Wipe, state: &State, target: &Path, code: i32, says: &[&str]) -> Done {
    let name = target.display().to_string();
    unchanged(&[target, state.path()], || {
        wipe.code(code).one_line().says(&[&name]).says(says)
    })
}

fn refuses_a_mounted_device_with_the_mount_point_and_the_remedy() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let device = Loop::over(&image);
    let mount = Mount::ext4(device.path(), scratch.join("mnt"));
    let point = mount.point().to_str().unwrap();
    let remedy = format!("umount {point}");
    let done = refused(
        &scratch,
        device.path(),
        4,
        &["is mounted at", point, &remedy],
    );
    assert!(done.stderr.trim_end().ends_with("not touched"), "{done:?}");
}

fn refuses_a_disk_whose_partition_is_mounted() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 24 * MIB);
    let mut device = Loop::over(&image);
    let part = device.partition(1, 2048, 16 * 2048);
    let mount = Mount::ext4(&part, scratch.join("mnt"));
    let point = mount.point().to_str().unwrap();
    let remedy = format!("umount {point}");
    let name = format!("{}p1 is mounted at", device.name());
    refused(&scratch, device.path(), 4, &[&name, &remedy]);
    refused(&scratch, &part, 4, &[&name, &remedy]);
}

fn wipes_a_partition_although_its_neighbour_is_mounted() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 24 * MIB);
    let mut device = Loop::over(&image);
    let used = device.partition(1, 2048, 16 * 2048);
    let free = device.partition(2, 18 * 2048, 2048);
    let mount = Mount::ext4(&used, scratch.join("mnt"));
    std::fs::write(mount.point().join("file"), "still here").unwrap();
    scratch.wipe(&free).yes().run().wiped(&free, MIB);
    drop(mount);
    sh!("e2fsck", "-f", "-n", used);
}

fn refuses_active_swap() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 4 * MIB);
    let device = Loop::over(&image);
    let _swap = Swap::on(device.path());
    refused(&scratch, device.path(), 4, &["swap", "swapoff"]);
}

fn refuses_a_disk_whose_partition_is_swap() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let mut device = Loop::over(&image);
    let part = device.partition(1, 2048, 4 * 2048);
    let _swap = Swap::on(&part);
    let node = part
        .to_str()
        .unwrap()
        .trim_start_matches("/dev/")
        .to_string();
    refused(&scratch, device.path(), 4, &[&node, "swap", "swapoff"]);
}

fn refuses_an_image_that_is_swapped_on_or_mounted() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let device = Loop::over(&image);
    let _mount = Mount::ext4(device.path(), scratch.join("mnt"));
    refused(&scratch, &image, 4, &[&device.name()]);
}

fn refuses_a_disk_that_something_holds_and_names_it() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let device = Loop::over(&image);
    let name = format!("wipeit-test-{}", std::process::id());
    let _mapped = Mapped::linear(&name, device.path(), 2048);
    refused(&scratch, device.path(), 4, &[&name]);
}

fn refuses_a_read_only_device() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let device = Loop::with(&image, &["-r"]);
    refused(&scratch, device.path(), 4, &["read-only"]);
}

fn refuses_a_node_that_is_missing_and_does_not_create_it() {
    let scratch = Scratch::new();
    refused(&scratch, &scratch.join("nothing"), 4, &[]);
    refused(&scratch, Path::new("/dev/wipeit-no-such-disk"), 4, &[]);
}

fn refuses_a_directory() {
    let scratch = Scratch::new();
    let folder = scratch.join("folder");
    std::fs::create_dir(&folder).unwrap();
    refused(&scratch, &folder, 4, &["directory"]);
}

fn refuses_a_character_device() {
    let scratch = Scratch::new();
    let done = scratch.wipe("/dev/null").yes().code(4).one_line();
    done.says(&["/dev/null", "character device"]);
    assert!(!scratch.state().path().exists());
}

fn refuses_a_pipe() {
    let scratch = Scratch::new();
    let pipe = scratch.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Opening a pipe waits for its other side: it must not be opened.
    scratch.wipe(&pipe).yes().code(4).one_line();
    assert!(!scratch.state().path().exists());
}

fn refuses_an_empty_image() {
    let scratch = Scratch::new();
    let image = scratch.sparse("empty.img", 0);
    refused(&scratch, &image, 4, &[]);
}

fn refuses_an_image_that_a_loop_device_shows() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let device = Loop::over(&image);
    refused(&scratch, &image, 4, &[&device.name()]);
    let link = scratch.join("link.img");
    std::fs::hard_link(&image, &link).unwrap();
    refused(&scratch, &link, 4, &[&device.name()]);
    let link = scratch.join("symbolic.img");
    std::os::unix::fs::symlink(&image, &link).unwrap();
    unchanged(&[&image], || refused(&scratch, &link, 4, &[&device.name()]));
}

fn refuses_a_loop_device_whose_file_another_one_shows() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let one = Loop::over(&image);
    let two = Loop::over(&image);
    refused(&scratch, one.path(), 4, &[&two.name()]);
    refused(&scratch, two.path(), 4, &[&one.name()]);
}

/// A size that no other test uses, nor another run of this one: a loop device
/// over a deleted file makes wipeit refuse every image of its size.
fn size_of_its_own(mebibytes: u64) -> u64 {
    mebibytes * MIB + 512 * (100 + u64::from(std::process::id() % 1000))
}

/// An image with a second name, under which a loop device was attached before
/// that name was deleted.
fn disguised(scratch: &Scratch, size: u64) -> (PathBuf, Loop) {
    let image = scratch.tagged("one.img", size);
    let second = scratch.join("two.img");
    std::fs::hard_link(&image, &second).unwrap();
    let device = Loop::over(&second);
    std::fs::remove_file(&second).unwrap();
    (image, device)
}

fn refuses_an_image_whose_other_name_a_loop_device_had() {
    let scratch = Scratch::new();
    let size = size_of_its_own(3);
    let (image, device) = disguised(&scratch, size);
    refused(&scratch, &image, 4, &[&device.name()]);
    drop(device);
    let wipe = scratch.wipe(&image).yes();
    wipe.run().wiped(&image, size);
}

fn refuses_an_image_whose_other_name_was_deleted_while_mounted() {
    let scratch = Scratch::new();
    let (image, device) = disguised(&scratch, size_of_its_own(17));
    let _mount = Mount::ext4(device.path(), scratch.join("mnt"));
    refused(&scratch, &image, 4, &[&device.name()]);
}

fn refuses_a_loop_device_whose_file_another_one_had_by_another_name() {
    let scratch = Scratch::new();
    let (image, hidden) = disguised(&scratch, size_of_its_own(4));
    let device = Loop::over(&image);
    refused(&scratch, device.path(), 4, &[&hidden.name()]);
    refused(&scratch, hidden.path(), 4, &[&device.name()]);
}

fn refuses_a_loop_device_over_another_whose_file_is_mounted_by_a_third() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let lower = Loop::over(&image);
    let upper = Loop::over(lower.path());
    let third = Loop::over(&image);
    let _mount = Mount::ext4(third.path(), scratch.join("mnt"));
    refused(&scratch, upper.path(), 4, &[&third.name()]);
}

fn refuses_a_loop_device_two_above_one_that_is_unmounted_lazily() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let lower = Loop::over(&image);
    let middle = Loop::over(lower.path());
    let upper = Loop::over(middle.path());
    let mount = Mount::ext4(lower.path(), scratch.join("mnt"));
    // Whoever works in it keeps it alive.
    let _open = std::fs::File::create(mount.point().join("file")).unwrap();
    sh!("umount", "--lazy", mount.point());
    refused(&scratch, upper.path(), 4, &["exclusive access"]);
}

fn refuses_a_loop_device_over_another_whose_file_is_open_for_writing() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let lower = Loop::over(&image);
    let upper = Loop::over(lower.path());
    // Not of this process, whose other threads start programs: each has it, too,
    // for a moment.
    let file = std::fs::File::options().write(true).open(&image).unwrap();
    let mut command = std::process::Command::new("sleep");
    let mut opener = command.arg("60").stdout(file).spawn().unwrap();
    drop(command);
    refused(&scratch, upper.path(), 4, &["old.img is open for writing"]);
    opener.kill().unwrap();
    opener.wait().unwrap();
    let wipe = scratch.wipe(upper.path()).yes();
    wipe.run().wiped(upper.path(), MIB);
}

fn refuses_a_program_that_is_running() {
    let scratch = Scratch::new();
    let program = scratch.join("program");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut running = std::process::Command::new(&program)
        .arg("60")
        .spawn()
        .unwrap();
    refused(&scratch, &program, 4, &["a program that is running"]);
    running.kill().unwrap();
    running.wait().unwrap();
}

fn refuses_a_file_in_the_state_directory() {
    let scratch = Scratch::new();
    let state = scratch.state().path().to_path_buf();
    for folder in ["", "pending", "reports", "deeper/still"] {
        std::fs::create_dir_all(state.join(folder)).unwrap();
        let image = state.join(folder).join("old.img");
        crate::support::content::fill_with_tags(&image, MIB);
        refused(&scratch, &image, 4, &["state directory"]);
        // Also where the name does not say so.
        let link = scratch.join("link.img");
        std::os::unix::fs::symlink(&image, &link).unwrap();
        unchanged(&[&state], || refused(&scratch, &link, 4, &[]));
        std::fs::remove_file(link).unwrap();
    }
}

fn refuses_when_records_have_no_folder_to_go_to() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let state = scratch.state().path().to_path_buf();
    std::fs::create_dir_all(state.join("pending")).unwrap();
    let reports = state.join("reports");
    std::fs::write(&reports, "a file").unwrap();
    refused(&scratch, &image, 4, &[reports.to_str().unwrap()]);
}

fn refuses_when_the_folder_of_records_leads_nowhere() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let state = scratch.state().path().to_path_buf();
    std::fs::create_dir_all(state.join("pending")).unwrap();
    let nowhere = scratch.join("nowhere");
    std::os::unix::fs::symlink(nowhere, state.join("reports")).unwrap();
    unchanged(&[&image], || scratch.wipe(&image).yes().code(4).one_line());
}

fn refuses_when_records_cannot_be_written() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let reports = scratch.state().path().join("reports");
    let _mount = Mount::tmpfs("64K", reports.clone());
    sh!("mount", "-o", "remount,ro", reports);
    refused(&scratch, &image, 4, &[reports.to_str().unwrap()]);
}

fn refuses_the_drive_that_carries_the_state_directory() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 24 * MIB);
    let mut device = Loop::over(&image);
    let part = device.partition(1, 2048, 16 * 2048);
    let mount = Mount::ext4(&part, scratch.join("mnt"));
    let dir = mount.point().join("state");
    for target in [device.path(), &part] {
        // Two reasons: it is mounted as well.
        unchanged(&[target, &dir], || {
            let done = scratch.wipe(target).yes().state(&dir).code(4);
            done.says(&["state directory", "is mounted at"]).refuses()
        });
    }
    // An image in the file system that also holds the state is fine.
    let inner = mount.point().join("inner.img");
    crate::support::content::fill_with_tags(&inner, MIB);
    let wipe = scratch.wipe(&inner).yes().state(&dir);
    wipe.run().wiped(&inner, MIB);
}

/// A wipe that goes on for as long as the test needs it.
fn long_run(scratch: &Scratch, target: &Path) -> Running {
    let mut run = scratch
        .wipe(target)
        .yes()
        .words("--rate-limit 256K -b 64K")
        .start();
    let state = scratch.state();
    run.until_saved(&state, "its first checkpoint", |_| true);
    run
}

/// A second run ends at once with one of these codes; the first goes on.
fn second(mut first: Running, wipe: Wipe, other: &Path, codes: &[i32]) {
    let done = wipe.run().one_line();
    let code = done.status.code().unwrap_or(-1);
    assert!(codes.contains(&code), "{done:?}");
    assert!(first.is_running(), "the first run must go on");
    assert!(!other.exists(), "a state directory was made");
    drop(first);
}

fn a_second_run_on_an_image_is_busy() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    for option in [None, Some("--resume"), Some("--restart")] {
        let mut first = long_run(&scratch, &image);
        let done = scratch.wipe(&image).yes().args(option).code(6);
        done.one_line();
        assert!(first.is_running());
        // Its checkpoint is still the first run's.
        scratch.state().checkpoint();
        drop(first);
        std::fs::remove_dir_all(scratch.state().path()).unwrap();
    }
    let other = scratch.join("other");
    let wipe = scratch.wipe(&image).yes().state(&other);
    second(long_run(&scratch, &image), wipe, &other, &[6]);
}

fn a_second_run_through_a_hard_link_is_busy() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let link = scratch.join("link.img");
    std::fs::hard_link(&image, &link).unwrap();
    let other = scratch.join("other");
    let wipe = scratch.wipe(&link).yes().state(&other);
    second(long_run(&scratch, &image), wipe, &other, &[6]);
}

fn a_second_run_on_a_device_is_busy() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let device = Loop::over(&image);
    let other = scratch.join("other");
    let wipe = scratch.wipe(device.path()).yes().state(&other);
    second(long_run(&scratch, device.path()), wipe, &other, &[6]);
}

fn a_disk_is_busy_while_its_partition_is_wiped() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 24 * MIB);
    let mut device = Loop::over(&image);
    let part = device.partition(1, 2048, 8 * 2048);
    let other = scratch.join("other");
    let wipe = scratch.wipe(device.path()).yes().state(&other);
    second(long_run(&scratch, &part), wipe, &other, &[6]);
}

fn a_partition_is_busy_while_its_disk_is_wiped() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 24 * MIB);
    let mut device = Loop::over(&image);
    let part = device.partition(1, 2048, 8 * 2048);
    let other = scratch.join("other");
    let wipe = scratch.wipe(&part).yes().state(&other);
    second(long_run(&scratch, device.path()), wipe, &other, &[6]);
}

fn an_image_and_a_loop_device_over_it_are_not_wiped_together() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    let other = scratch.join("other");
    // The image is wiped, then someone attaches it.
    let first = long_run(&scratch, &image);
    let device = Loop::over(&image);
    let wipe = scratch.wipe(device.path()).yes().state(&other);
    second(first, wipe, &other, &[6]);
    std::fs::remove_dir_all(scratch.state().path()).unwrap();
    // The loop device is wiped: its image is in use in either sense.
    let wipe = scratch.wipe(&image).yes().state(&other);
    second(long_run(&scratch, device.path()), wipe, &other, &[4, 6]);
}

fn without_a_terminal_and_yes_nothing_is_asked_and_nothing_done() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let wipe = scratch.wipe(&image);
    unchanged(&[&image, scratch.state().path()], || {
        let done = wipe.code(4).refuses();
        done.says(&["--yes"]);
    });
}

/// Starts on a terminal and waits for the question.
fn asked(scratch: &Scratch, image: &Path, options: &str) -> (Terminal, Running) {
    let terminal = Terminal::new();
    let run = scratch
        .wipe(image)
        .words(options)
        .on_terminal(terminal.slave())
        .start();
    terminal.shows("anything else to leave");
    (terminal, run)
}

fn declining_the_question_leaves_no_trace() {
    for answer in ["\n", "n\n", "y\n", "yes\n", "\x04", "old\n"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", MIB);
        unchanged(&[&image, scratch.state().path()], || {
            let (mut terminal, run) = asked(&scratch, &image, "");
            terminal.types(answer);
            run.wait().code(4);
        });
    }
}

fn ctrl_c_at_the_question_leaves_no_trace() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    unchanged(&[&image, scratch.state().path()], || {
        let (mut terminal, run) = asked(&scratch, &image, "");
        terminal.types("\x03");
        let done = run.wait();
        assert!(!done.status.success(), "{done:?}");
    });
}

fn hanging_up_at_the_question_leaves_no_trace() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    unchanged(&[&image, scratch.state().path()], || {
        let (_terminal, run) = asked(&scratch, &image, "");
        run.signal(nix::sys::signal::Signal::SIGHUP);
        let done = run.wait();
        assert!(!done.status.success(), "{done:?}");
    });
}

/// The right answer, after something changed: nothing is done.
fn answered_too_late(terminal: &mut Terminal, run: Running, answer: &str, says: &str) {
    let before = terminal.unbroken().len();
    terminal.types(&format!("{answer}\n"));
    let done = run.wait().code(4);
    wait_until("the refusal", || {
        let after = terminal.unbroken().split_off(before);
        after.contains("not touched") && after.contains(says)
    });
    assert!(!terminal.shown().contains("WIPED"), "{done:?}");
}

fn refuses_an_image_that_was_attached_while_the_question_waited() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 5 * MIB);
    unchanged(&[&image, scratch.state().path()], || {
        let (mut terminal, run) = asked(&scratch, &image, "");
        let device = Loop::over(&image);
        answered_too_late(&mut terminal, run, "old.img", &device.name());
    });
}

fn refuses_an_image_that_was_mounted_while_the_question_waited() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 16 * MIB);
    sh!("mkfs.ext4", "-q", "-F", image);
    let (mut terminal, run) = asked(&scratch, &image, "");
    let device = Loop::over(&image);
    let mount = Mount::of(device.path(), scratch.join("mnt"));
    let file = mount.point().join("file");
    std::fs::write(&file, "still here").unwrap();
    sh!("sync", "-f", file);
    answered_too_late(&mut terminal, run, "old.img", &device.name());
    drop(mount);
    sh!("e2fsck", "-f", "-n", device.path());
    assert!(!scratch.state().path().exists());
}

fn refuses_a_loop_device_that_got_a_twin_while_the_question_waited() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 5 * MIB);
    let device = Loop::over(&image);
    unchanged(&[&image, scratch.state().path()], || {
        let (mut terminal, run) = asked(&scratch, device.path(), "");
        let twin = Loop::over(&image);
        answered_too_late(&mut terminal, run, &device.name(), &twin.name());
    });
}

fn the_right_answer_starts_the_wipe() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let (mut terminal, run) = asked(&scratch, &image, "-s zero");
    // An image has no serial: its name is asked for.
    terminal.shows("old.img");
    terminal.shows("will be destroyed");
    terminal.types("old.img\n");
    run.wait().code(0);
    terminal.shows("WIPED ");
    crate::support::content::check(&image, 0, MIB, &crate::support::content::Content::Zero);
}

fn what_was_typed_before_the_question_is_not_the_answer() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    unchanged(&[&image, scratch.state().path()], || {
        let mut terminal = Terminal::new();
        terminal.types("old.img\n");
        let run = scratch.wipe(&image).on_terminal(terminal.slave()).start();
        terminal.shows("anything else to leave");
        std::thread::sleep(Duration::from_millis(300));
        terminal.types("\n");
        run.wait().code(4);
    });
}

fn declining_leaves_an_old_checkpoint_as_it_was() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let first = long_run(&scratch, &image);
    first.signal(nix::sys::signal::Signal::SIGINT);
    first.wait().killed_by(nix::sys::signal::Signal::SIGINT);
    unchanged(&[&image, scratch.state().path()], || {
        let (mut terminal, run) = asked(&scratch, &image, "--restart");
        terminal.types("no\n");
        run.wait().code(4);
    });
}

fn a_dry_run_leaves_no_trace() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    unchanged(&[&image, scratch.state().path()], || {
        for options in ["--dry-run", "-n --yes", "-n --restart"] {
            let done = scratch.wipe(&image).words(options).code(0);
            assert_eq!(done.stdout, "", "{done:?}");
            done.says(&["old.img", "Plan", "random"]);
        }
    });
}

fn a_serial_that_the_target_does_not_have_is_refused() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let wipe = scratch.wipe(&image).args(["--serial", "ZR5A1B2C"]);
    refused_run(
        wipe,
        &scratch.state(),
        &image,
        4,
        &["has no serial, but --serial says ZR5A1B2C"],
    );
}

fn a_hundred_refusals_leave_the_targets_untouched() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB + 7 * 512);
    let device = Loop::over(&image);
    let twin = Loop::over(&image);
    let state = scratch.state();
    let targets = [&image, device.path(), twin.path(), scratch.path()].map(Path::to_path_buf);
    unchanged(&[&image, device.path(), state.path()], || {
        let mut refusals = 0;
        for how in [
            "--yes",
            "--yes --strategy zero",
            "--yes --pattern 55aa",
            "--dry-run",
            "--yes --resume",
            "--yes --restart",
            "--yes --ensure",
            "--yes --quiet",
            "--yes --verify none",
            "--yes -b 4K",
            "--yes --threads 1",
            "--yes --passes 3",
            "--serial ZR5A1B2C",
        ] {
            for target in &targets {
                for _ in 0..2 {
                    scratch.wipe(target).words(how).code(4);
                    refusals += 1;
                }
            }
        }
        assert!(refusals >= 100);
    });
}

fn an_ordinary_user_is_told_to_run_as_root() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let device = Loop::over(&image);
    // Where everybody may go.
    let open = tempfile::Builder::new()
        .prefix("wipeit-")
        .tempdir()
        .unwrap();
    let everybody = |path: &Path, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    everybody(open.path(), 0o777);
    let program = open.path().join("wipeit");
    std::fs::copy(crate::support::run::PROGRAM, &program).unwrap();
    everybody(&program, 0o755);
    let state = open.path().join("state");
    let line = "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$0\" --yes \"$1\"";
    unchanged(&[&image, &state], || {
        let out = std::process::Command::new("bash")
            .arg("-c")
            .arg(line)
            .arg(&program)
            .arg(device.path())
            .current_dir(open.path())
            .env("WIPEIT_STATE_DIR", &state)
            .env("PATH", crate::support::path_variable())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stderr).to_string();
        assert_eq!(out.status.code(), Some(4), "{text}");
        assert!(text.contains("root"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    });
}
