//! What a run that was killed before its first checkpoint leaves in the state
//! directory: it belongs to no wipe, and to nobody.

use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::state::State;
use crate::support::{MIB, STRACE, Scratch, cases};

cases![
    STRACE => what_was_killed_before_its_first_checkpoint_leaves_nothing_that_stays,
    STRACE => what_a_run_has_made_that_begins_just_now_is_not_taken_from_it,
    STRACE => what_belongs_to_an_unfinished_wipe_or_to_somebody_else_stays,
];

/// What is hidden in the state directory, sorted.
fn hidden(state: &State) -> Vec<String> {
    let mut all = Vec::new();
    for folder in ["pending", "reports"] {
        for entry in std::fs::read_dir(state.path().join(folder))
            .into_iter()
            .flatten()
        {
            let name = entry.unwrap().file_name().to_string_lossy().to_string();
            all.extend(name.starts_with('.').then(|| format!("{folder}/{name}")));
        }
    }
    all.sort();
    all
}

/// Runs a wipe to the rename that is its first save, and ends it there.
fn killed_in_its_first_save(scratch: &Scratch, image: &Path) {
    let wipe = scratch.wipe(image).yes().words("-s zero");
    let done = wipe.injected("rename:signal=SIGKILL:when=1").run();
    done.killed_by(Signal::SIGKILL);
}

fn what_was_killed_before_its_first_checkpoint_leaves_nothing_that_stays() {
    let scratch = Scratch::new();
    let (state, image) = (scratch.state(), scratch.tagged("old.img", MIB));
    for _ in 0..2 {
        killed_in_its_first_save(&scratch, &image);
    }
    // Two of them, each with room for three files.
    assert!(hidden(&state).len() >= 3, "{:?}", hidden(&state));
    // What cannot be taken away does not keep a wipe from anything.
    let dir = state.path().join("pending/.sda-0.json.room");
    std::fs::create_dir(&dir).unwrap();
    let other = scratch.tagged("other.img", MIB);
    scratch.wipe(&other).yes().words("-s zero").code(0);
    assert_eq!(hidden(&state), ["pending/.sda-0.json.room"]);
}

fn what_a_run_has_made_that_begins_just_now_is_not_taken_from_it() {
    let scratch = Scratch::new();
    let (state, image) = (scratch.state(), scratch.tagged("old.img", MIB));
    let wipe = scratch.wipe(&image).yes().words("-s zero");
    let mut run = wipe.injected("fallocate:signal=SIGSTOP:when=3").start();
    run.until("it has room", |_| hidden(&state).len() == 3);
    let made = hidden(&state);
    let other = scratch.tagged("other.img", MIB);
    scratch.wipe(&other).yes().words("-s zero").code(0);
    assert_eq!(hidden(&state), made);
    assert!(state.pending().is_empty(), "it was not stopped");
    run.signal(Signal::SIGCONT);
    run.wait().code(0);
    assert_eq!(state.reports().len(), 2);
    assert_eq!(hidden(&state), [""; 0]);
}

fn what_belongs_to_an_unfinished_wipe_or_to_somebody_else_stays() {
    let scratch = Scratch::new();
    let (state, image) = (scratch.state(), scratch.tagged("old.img", 4 * MIB));
    let slow = "-s zero -b 64K --checkpoint-every 1M --rate-limit 1M";
    let mut run = scratch.wipe(&image).yes().words(slow).start();
    run.until_saved(&state, "it has begun", |_| true);
    run.signal(Signal::SIGKILL);
    run.wait().killed_by(Signal::SIGKILL);
    for name in [
        "pending/.notes",
        "reports/.a.room",
        "reports/.keep.txt.tmp",
        "pending/.x.json.c",
    ] {
        std::fs::write(state.path().join(name), b"mine").unwrap();
    }
    let before = hidden(&state);
    assert!(before.len() >= 4 + 3, "{before:?}");
    let other = scratch.tagged("other.img", MIB);
    scratch.wipe(&other).yes().words("-s zero").code(0);
    assert_eq!(hidden(&state), before);
    scratch.wipe(&image).words("--resume --yes").run().code(0);
    assert_eq!(hidden(&state).len(), 4);
}
