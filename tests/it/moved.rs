//! An image that got another name, place or inode is known by its content.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal::SIGINT;
use serde_json::Value;

use crate::support::content::{Content, check};
use crate::support::device::Loop;
use crate::support::state::{number, unchanged};
use crate::support::{LOOP, MIB, OPENSSL, Scratch, cases};

cases![
    OPENSSL => a_moved_image_is_continued_where_it_is_named,
    OPENSSL => a_moved_image_that_is_stopped_again_is_found_where_it_is_now,
    OPENSSL => ensure_continues_a_moved_image_and_a_plain_wipe_asks_for_a_word,
    OPENSSL => restart_of_a_moved_image_drops_its_checkpoint,
    OPENSSL => a_copy_is_refused_with_both_names_and_nothing_is_lost,
    OPENSSL => another_name_of_the_same_file_is_no_copy,
    OPENSSL => an_image_with_another_inode_at_its_path_is_continued,
    OPENSSL => what_does_not_hold_the_stream_is_not_the_image,
    OPENSSL => without_a_target_only_the_recorded_path_is_tried,
    OPENSSL => zeros_do_not_tell_which_image_it_is,
    OPENSSL => under_a_mebibyte_does_not_tell_which_image_it_is,
    OPENSSL => a_moved_image_is_checked_and_ensured_by_the_record_of_its_content,
    LOOP => a_loop_device_over_a_moved_image_is_continued_where_it_is_named,
];

const SIZE: u64 = 8 * MIB + 512;
const SLOW: &str = "--rate-limit 16M -b 64K --checkpoint-every 1M";

/// An image with an unfinished wipe.
struct Begun {
    scratch: Scratch,
    image: PathBuf,
    before: Value,
}

impl Begun {
    fn new(options: &str) -> Self {
        Self::until(options, SLOW, 3 * MIB)
    }

    fn until(options: &str, slow: &str, written: u64) -> Self {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let before = stop(&scratch, &image, &format!("{slow} {options}"), written);
        Self {
            scratch,
            image,
            before,
        }
    }

    /// It gets another name.
    fn moved(&self, name: &str) -> PathBuf {
        let new = self.scratch.join(name);
        std::fs::create_dir_all(new.parent().unwrap()).unwrap();
        std::fs::rename(&self.image, &new).unwrap();
        new
    }

    fn copied(&self, name: &str) -> PathBuf {
        let new = self.scratch.join(name);
        std::fs::copy(&self.image, &new).unwrap();
        new
    }

    /// It was continued, not begun anew.
    fn assert_wiped(&self, image: &Path) {
        let state = self.scratch.state();
        let record = state.report();
        assert_eq!(record["run_id"], self.before["run_id"]);
        assert_eq!(record["plan"], self.before["plan"]);
        assert!(state.pending().is_empty());
        check(image, 0, SIZE, &Content::of(&record, 1));
    }

    /// Refused with exit code 4 and one line, and nothing is changed.
    fn refused(&self, target: &Path, options: &str, says: &[&str]) {
        let state = self.scratch.state();
        unchanged(&[target, state.path()], || {
            let done = self.scratch.wipe(target).words(options).code(4);
            done.one_line().says(says);
        });
    }
}

fn stop(scratch: &Scratch, target: &Path, options: &str, written: u64) -> Value {
    let state = scratch.state();
    let mut run = scratch.wipe(target).yes().words(options).start();
    run.until_written(&state, written);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    state.checkpoint()
}

fn a_moved_image_is_continued_where_it_is_named() {
    for name in ["new.img", "deep/er/new.img"] {
        for options in ["--resume", "--resume --yes"] {
            let begun = Begun::new("");
            let new = begun.moved(name);
            let done = begun.scratch.wipe(&new).words(options).run();
            done.wiped(&new, SIZE).says(&["continues at"]);
            begun.assert_wiped(&new);
        }
    }
    // To another file system, where it has another inode.
    let begun = Begun::new("");
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let new = other.path().join("new.img");
    std::fs::copy(&begun.image, &new).unwrap();
    std::fs::remove_file(&begun.image).unwrap();
    let done = begun.scratch.wipe(&new).arg("--resume").run();
    done.wiped(&new, SIZE);
    begun.assert_wiped(&new);
}

fn a_moved_image_that_is_stopped_again_is_found_where_it_is_now() {
    for (from, options) in [("old.img", ""), ("old.img", "-s zero")] {
        let begun = Begun::new(options);
        let new = if options.is_empty() {
            begun.moved("new.img")
        } else {
            // The same place, another inode: named, that is enough.
            let copy = begun.copied("copy.img");
            std::fs::rename(&copy, begun.scratch.join(from)).unwrap();
            begun.image.clone()
        };
        let state = begun.scratch.state();
        let wipe = begun.scratch.wipe(&new).words("--resume --yes").words(SLOW);
        let mut run = wipe.start();
        run.until_written(&state, 5 * MIB);
        run.signal(SIGINT);
        run.wait().killed_by(SIGINT);
        let done = begun.scratch.wipeit().words("--resume --yes").run();
        done.wiped(&new, SIZE).says(&["continues at"]);
        begun.assert_wiped(&new);
    }
}

fn ensure_continues_a_moved_image_and_a_plain_wipe_asks_for_a_word() {
    let begun = Begun::new("");
    let new = begun.moved("new.img");
    for options in ["--yes", "--yes -s zero"] {
        let says = ["has an unfinished wipe", "--resume", "--restart"];
        begun.refused(&new, options, &says);
    }
    let done = begun.scratch.wipe(&new).words("--ensure --yes").run();
    done.wiped(&new, SIZE).says(&["continues at"]);
    begun.assert_wiped(&new);
}

fn restart_of_a_moved_image_drops_its_checkpoint() {
    let begun = Begun::new("");
    let new = begun.moved("new.img");
    let done = begun.scratch.wipe(&new).words("--restart --yes").run();
    done.wiped(&new, SIZE);
    assert!(begun.scratch.state().pending().is_empty());
    let record = begun.scratch.state().report();
    assert_ne!(record["run_id"], begun.before["run_id"]);
}

fn a_copy_is_refused_with_both_names_and_nothing_is_lost() {
    let begun = Begun::new("");
    let copy = begun.copied("copy.img");
    let names = [copy.to_str().unwrap(), begun.image.to_str().unwrap()];
    unchanged(&[&begun.image], || {
        for options in ["--resume", "--resume --yes", "--ensure --yes", "--yes"] {
            begun.refused(&copy, options, &names);
        }
        // The copy alone begins anew, and the other's progress stays.
        let done = begun.scratch.wipe(&copy).words("--restart --yes").run();
        done.wiped(&copy, SIZE);
        assert_eq!(begun.scratch.state().checkpoint(), begun.before);
    });
    let restarted = begun.scratch.state().reports();
    let image = &begun.image;
    let done = begun.scratch.wipe(image).arg("--resume").run();
    done.wiped(image, SIZE).says(&["continues at"]);
    for file in restarted {
        std::fs::remove_file(file).unwrap();
    }
    begun.assert_wiped(image);
    // Each is right by its own record.
    begun.scratch.wipe(image).arg("--check").code(0);
}

fn another_name_of_the_same_file_is_no_copy() {
    let begun = Begun::new("");
    let link = begun.scratch.join("link.img");
    std::fs::hard_link(&begun.image, &link).unwrap();
    let done = begun.scratch.wipe(&link).arg("--resume").run();
    done.wiped(&link, SIZE);
    begun.assert_wiped(&begun.image);
}

fn an_image_with_another_inode_at_its_path_is_continued() {
    for (options, resume, target) in [
        ("", "--resume", true),
        ("", "--resume", false),
        ("-s zero", "--resume --yes", true),
    ] {
        let begun = Begun::new(options);
        let copy = begun.copied("copy.img");
        let before = std::fs::metadata(&begun.image).unwrap().ino();
        std::fs::rename(&copy, &begun.image).unwrap();
        assert_ne!(std::fs::metadata(&begun.image).unwrap().ino(), before);
        let wipe = if target {
            begun.scratch.wipe(&begun.image)
        } else {
            begun.scratch.wipeit()
        };
        let done = wipe.words(resume).run();
        done.wiped(&begun.image, SIZE).says(&["continues at"]);
        begun.assert_wiped(&begun.image);
    }
}

fn what_does_not_hold_the_stream_is_not_the_image() {
    let begun = Begun::new("");
    let other = begun.scratch.tagged("other.img", SIZE);
    begun.refused(&other, "--resume --yes", &["no unfinished wipe"]);
    let done = begun.scratch.wipe(&other).yes().run();
    done.wiped(&other, SIZE);
    assert_eq!(begun.scratch.state().checkpoint(), begun.before);
    // A longer one with the same start.
    let longer = begun.copied("longer.img");
    let file = std::fs::File::options().write(true).open(&longer);
    file.unwrap().set_len(SIZE + 512).unwrap();
    begun.refused(&longer, "--resume --yes", &["no unfinished wipe"]);
}

fn without_a_target_only_the_recorded_path_is_tried() {
    let begun = Begun::new("");
    let new = begun.moved("new.img");
    unchanged(&[&new, begun.scratch.state().path()], || {
        let done = begun.scratch.wipeit().words("--resume --yes").code(4);
        let old = begun.image.to_str().unwrap();
        done.one_line().says(&[old, "name it"]);
    });
}

fn zeros_do_not_tell_which_image_it_is() {
    for options in ["-s zero", "--pattern 55aa"] {
        let begun = Begun::new(options);
        let new = begun.moved("new.img");
        let old = begun.image.to_str().unwrap();
        begun.refused(&new, "--resume --yes", &["move it back", old]);
        // The way out that is named.
        std::fs::rename(&new, &begun.image).unwrap();
        let wipe = begun.scratch.wipe(&begun.image);
        wipe.words("--resume --yes").run().wiped(&begun.image, SIZE);
        begun.assert_wiped(&begun.image);
    }
}

fn under_a_mebibyte_does_not_tell_which_image_it_is() {
    let begun = Begun::until("", "--rate-limit 256K -b 4K", 0);
    assert!(number(&begun.before, "written") < MIB);
    let new = begun.moved("new.img");
    let old = begun.image.to_str().unwrap();
    begun.refused(&new, "--resume --yes", &["move it back", old]);
    std::fs::rename(&new, &begun.image).unwrap();
    let wipe = begun.scratch.wipe(&begun.image);
    wipe.words("--resume --yes").run().wiped(&begun.image, SIZE);
    begun.assert_wiped(&begun.image);
}

fn a_moved_image_is_checked_and_ensured_by_the_record_of_its_content() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    scratch.wipe(&image).yes().code(0);
    let new = scratch.join("new.img");
    std::fs::rename(&image, &new).unwrap();
    unchanged(&[&new, scratch.state().path()], || {
        scratch.wipe(&new).arg("--check").code(0);
        let done = scratch.wipe(&new).words("--ensure --yes").code(0);
        done.says(&["was wiped on", "nothing was written"]);
    });
    // One that never was wiped is, and is not the other.
    let other = scratch.tagged("other.img", SIZE);
    let done = scratch.wipe(&other).arg("--check").code(4);
    done.one_line().says(&["no record"]);
    scratch
        .wipe(&other)
        .words("--ensure --yes")
        .run()
        .wiped(&other, SIZE);
    // A copy that is wiped again leaves the first right.
    let copy = scratch.join("copy.img");
    std::fs::copy(&new, &copy).unwrap();
    scratch.wipe(&copy).yes().run().wiped(&copy, SIZE);
    scratch.wipe(&new).arg("--check").code(0);
    scratch.wipe(&copy).arg("--check").code(0);
}

fn a_loop_device_over_a_moved_image_is_continued_where_it_is_named() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE + MIB);
    let with = ["--offset", "1048576"];
    let device = Loop::with(&image, &with);
    let before = stop(&scratch, device.path(), SLOW, 3 * MIB);
    drop(device);
    let new = scratch.join("new.img");
    std::fs::copy(&image, &new).unwrap();
    let device = Loop::with(&new, &with);
    let path = device.path();
    // The other file is still there.
    let state = scratch.state();
    unchanged(&[path, state.path()], || {
        let wipe = scratch.wipe(path).words("--resume --yes").code(4);
        wipe.one_line().says(&[image.to_str().unwrap()]);
    });
    std::fs::remove_file(&image).unwrap();
    let done = scratch.wipe(path).words("--resume --yes").run();
    done.wiped(path, SIZE).says(&["continues at"]);
    let record = state.report();
    assert_eq!(record["run_id"], before["run_id"]);
    check(path, 0, SIZE, &Content::of(&record, 1));
}
