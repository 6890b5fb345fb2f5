//! A machine that gives no threads or no memory.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use crate::support::cgroup::Cgroup;
use crate::support::content::{Content, check};
use crate::support::run::{Done, Wipe};
use crate::support::{MIB, Need, OPENSSL, Scratch, cases};

const PIDS: &[Need] = &[Need::Root, Need::Cgroup("pids"), Need::Tool("openssl")];
const OTHER_USER: &[Need] = &[
    Need::Root,
    Need::Tool("prlimit"),
    Need::Tool("setpriv"),
    Need::Tool("openssl"),
];

cases![
    PIDS => whichever_thread_a_cgroup_denies_nothing_is_written_or_left_behind,
    PIDS => a_resume_without_threads_leaves_the_checkpoint_as_it_was,
    PIDS => a_check_and_a_list_without_threads_say_so,
    OTHER_USER => whichever_thread_a_user_is_denied_nothing_is_written_or_left_behind,
    OPENSSL => whatever_memory_is_denied_nothing_is_lost_without_a_word,
];

const SIZE: u64 = MIB;

/// The run wiped all, or refused with a reason and left everything as it was.
/// Whether it refused.
fn all_or_nothing(scratch: &Scratch, image: &Path, done: Done) -> bool {
    let pending = scratch.state().pending();
    assert_eq!(pending.len(), 0, "{pending:?} {done:?}");
    if done.status.code() == Some(0) {
        done.wiped(image, SIZE);
        return false;
    }
    let done = done.code(4).refuses().says(&["nothing was written"]);
    done.says(&["no threads to be had (a limit is reached); see ulimit -u"]);
    check(image, 0, SIZE, &Content::Tags);
    true
}

/// Tries all limits from one up until the wipe fits. Each thread in turn is the
/// one that cannot be had. Then the same target is wiped without a limit.
fn under_rising_limits(run: impl Fn(&Scratch, &Path, u32) -> Wipe) {
    for limit in 1..40 {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        std::fs::create_dir(scratch.state().path()).unwrap();
        let done = run(&scratch, &image, limit).run();
        if !all_or_nothing(&scratch, &image, done) {
            assert!(limit > 5, "{limit} were enough");
            return;
        }
        scratch.wipe(&image).yes().run().wiped(&image, SIZE);
    }
    panic!("the wipe never fits");
}

fn whichever_thread_a_cgroup_denies_nothing_is_written_or_left_behind() {
    let group = Cgroup::new("pids");
    under_rising_limits(|scratch, image, limit| {
        group.limit_tasks(limit);
        scratch.wipe(image).yes().under(group.wrapper())
    });
}

fn whichever_thread_a_user_is_denied_nothing_is_written_or_left_behind() {
    // Nobody else's: the limit counts all threads of a user.
    let user = (61_000 + std::process::id() % 1000).to_string();
    let own = |path: &Path| chown(path, Some(user.parse().unwrap()), None).unwrap();
    under_rising_limits(|scratch, image, limit| {
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        own(image);
        own(scratch.state().path());
        let limit = format!("--nproc={limit}");
        let words = [
            "prlimit", &limit, "setpriv", "--reuid", &user, "--regid", "65534",
        ];
        scratch
            .wipe(image)
            .yes()
            .under(words)
            .under(["--clear-groups"])
    });
}

fn a_resume_without_threads_leaves_the_checkpoint_as_it_was() {
    let scratch = Scratch::new();
    let (size, state) = (16 * MIB, scratch.state());
    let image = scratch.tagged("old.img", size);
    let begun = scratch.wipe(&image).yes();
    let mut run = begun.words("--rate-limit 2M --checkpoint-every 1M").start();
    run.until_saved(&state, "a checkpoint", |value| {
        value["written"].as_u64() >= Some(MIB)
    });
    run.signal(nix::sys::signal::Signal::SIGINT);
    run.wait().killed_by(nix::sys::signal::Signal::SIGINT);
    let before = std::fs::read(&state.pending()[0]).unwrap();
    let group = Cgroup::new("pids");
    let refused = (1..40).take_while(|limit| {
        group.limit_tasks(*limit);
        let resume = scratch.wipe(&image).arg("--resume").under(group.wrapper());
        let done = resume.run();
        if done.status.code() == Some(0) {
            done.wiped(&image, size);
            return false;
        }
        done.code(4).refuses().says(&["no threads to be had"]);
        assert_eq!(std::fs::read(&state.pending()[0]).unwrap(), before);
        true
    });
    assert!(refused.count() > 4);
}

fn a_check_and_a_list_without_threads_say_so() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    scratch.wipe(&image).yes().run().wiped(&image, SIZE);
    let group = Cgroup::new("pids");
    group.limit_tasks(1);
    let check = scratch.wipe(&image).arg("--check").under(group.wrapper());
    check.code(4).refuses().says(&["no threads to be had"]);
    let list = scratch.wipeit().arg("--list").under(group.wrapper());
    let done = list.code(0);
    assert!(!done.stdout.is_empty(), "{done:?}");
    // What is printed before a run needs no thread either.
    let usage = scratch
        .wipe(&image)
        .arg("--nonsense")
        .under(group.wrapper());
    usage.code(2).says(&["--nonsense"]);
}

/// From nothing that the program could start with to enough.
fn whatever_memory_is_denied_nothing_is_lost_without_a_word() {
    let (mut refused, mut wiped) = (0, 0);
    for step in 1..=400 {
        let kib = step * 1500;
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let line = format!("ulimit -v {kib} && exec \"$0\" \"$@\"");
        let done = scratch.wipe(&image).yes().under(["sh", "-c", &line]).run();
        let pending = scratch.state().pending();
        assert_eq!(pending.len(), 0, "{kib} KiB: {pending:?} {done:?}");
        if done.status.code() == Some(0) {
            done.wiped(&image, SIZE);
            wiped += 1;
            if wiped == 3 {
                assert!(refused > 0);
                return;
            }
            continue;
        }
        assert!(!done.stdout.contains("WIPED"), "{done:?}");
        // Below this it is the loader that ends the program.
        if kib >= 12 * 1024 {
            let done = done.code(4).refuses();
            done.says(&["nothing was written", "ulimit -v"]);
            refused += 1;
        }
        check(&image, 0, SIZE, &Content::Tags);
        scratch.wipe(&image).yes().run().wiped(&image, SIZE);
    }
    panic!("the wipe never fits");
}
