//! Which errors end a run, and which are of a sector.

use std::path::Path;

use nix::sys::signal::Signal::SIGCONT;

use crate::support::content::{Content, check};
use crate::support::device::{Loop, Mount, Served, SlowDisk, Traits, size_of_its_own};
use crate::support::run::{Done, Running};
use crate::support::state::number;
use crate::support::{MIB, Need, STRACE, Scratch, cases, sh};

const TRACED_LOOP: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Tool("strace"),
    Need::Tool("openssl"),
];

cases![
    STRACE => an_error_of_a_file_system_makes_no_bad_sectors_in_an_image,
    STRACE => an_error_that_passes_is_waited_for,
    TRACED_LOOP => an_error_of_a_whole_device_makes_no_bad_sectors_on_it,
    TRACED_LOOP => an_error_of_one_command_is_no_error_of_a_whole_device,
    Served::NEEDS => an_image_whose_server_is_killed_has_no_bad_sectors,
    Served::NEEDS => an_image_that_is_served_has_its_bad_sectors_mapped,
    SlowDisk::NEEDS => an_image_on_a_disk_that_dies_has_no_bad_sectors,
    SlowDisk::NEEDS => a_device_whose_server_is_killed_has_no_bad_sectors,
    crate::support::LOOP => a_device_over_a_full_file_system_has_no_bad_sectors,
    crate::support::LOOP => a_device_that_shrinks_is_said_to_have_shrunk,
];

const SIZE: u64 = 17 * MIB;
const OPTIONS: &str = "-b 64K --threads 1 --checkpoint-every 1M --yes";

/// Fails unless the run ended without a word of bad sectors and with an exact
/// checkpoint of at least `least` bytes, on an image of `size` bytes.
fn ended_without_bad_sectors(scratch: &Scratch, done: Done, image: &Path, least: u64) -> Done {
    assert!(done.stdout.starts_with("FAILED "), "{done:?}");
    let done = done.says(&["checkpoint is kept", "wipeit --resume"]);
    let checkpoint = scratch.state().checkpoint();
    assert_eq!(checkpoint["bad"].as_array().unwrap().len(), 0, "{done:?}");
    assert_eq!(checkpoint["phase"], "write");
    let written = number(&checkpoint, "written");
    assert!(written >= least, "{written}: {done:?}");
    check(image, 0, written, &Content::of(&checkpoint, 1));
    assert!(scratch.state().reports().is_empty());
    done
}

fn an_error_of_a_file_system_makes_no_bad_sectors_in_an_image() {
    for errno in [
        "ESTALE",
        "ENOTCONN",
        "ECONNABORTED",
        "EHOSTDOWN",
        "ESHUTDOWN",
        "EACCES",
        "EROFS",
        "EDQUOT",
        "EFBIG",
        "EUCLEAN",
        "EKEYEXPIRED",
        "EBADF",
        "ENODEV",
        "EINVAL",
        "EOPNOTSUPP",
    ] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let wipe = scratch.wipe(&image).words(OPTIONS);
        // As many as the search for bad blocks would try in one chunk: what is
        // tried elsewhere then works.
        let fault = format!("pwrite64:error={errno}:when=100..130");
        let done = wipe.injected(&fault).code(1);
        ended_without_bad_sectors(&scratch, done, &image, 5 * MIB);
        // What came before is not lost.
        scratch
            .wipe(&image)
            .words("--resume --yes")
            .run()
            .wiped(&image, SIZE);
    }
}

fn an_error_that_passes_is_waited_for() {
    for errno in ["EAGAIN", "ENOMEM", "EINTR", "EBUSY"] {
        for call in ["pwrite64", "pread64"] {
            let scratch = Scratch::new();
            let image = scratch.tagged("old.img", SIZE);
            let wipe = scratch.wipe(&image).words(OPTIONS);
            let fault = format!("{call}:error={errno}:when=100..104");
            wipe.injected(&fault).run().wiped(&image, SIZE);
            let report = scratch.state().report();
            assert_eq!(report["bad"].as_array().unwrap().len(), 0);
            check(&image, 0, SIZE, &Content::of(&report, 1));
        }
    }
    // It does not pass.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let wipe = scratch.wipe(&image).words(OPTIONS);
    let done = wipe.injected("pwrite64:error=ENOMEM:when=100+").code(1);
    let done = ended_without_bad_sectors(&scratch, done, &image, 5 * MIB);
    done.says(&["out of memory"]);
}

fn an_error_of_a_whole_device_makes_no_bad_sectors_on_it() {
    for errno in ["ENODEV", "ENXIO", "ESHUTDOWN", "EROFS", "EPERM"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let device = Loop::over(&image);
        let wipe = scratch.wipe(device.path()).words(OPTIONS);
        let fault = format!("pwrite64:error={errno}:when=100..130");
        let done = wipe.injected(&fault).code(1);
        ended_without_bad_sectors(&scratch, done, device.path(), 5 * MIB);
    }
    // The kernel says so of a device that has no bytes any more, too.
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let device = Loop::over(&image);
    let wipe = scratch.wipe(device.path()).words(OPTIONS);
    let done = wipe.injected("pwrite64:error=ENOSPC:when=100+").code(1);
    let done = ended_without_bad_sectors(&scratch, done, device.path(), 5 * MIB);
    let done = done.says(&["what lies below it is full"]);
    assert!(!done.stderr.contains("has gone"), "{done:?}");
}

fn an_error_of_one_command_is_no_error_of_a_whole_device() {
    for errno in [
        "EIO",
        "ENODATA",
        "EREMOTEIO",
        "EILSEQ",
        "ETIMEDOUT",
        "ENOLINK",
    ] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let device = Loop::over(&image);
        let wipe = scratch.wipe(device.path()).words(OPTIONS);
        // The chunk, and the left halves down to one block.
        let fault = format!("pwrite64:error={errno}:when=100..107");
        let done = wipe.injected(&fault).code(3);
        assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
        let report = scratch.state().report();
        let bad = &report["bad"][0];
        assert_eq!(number(bad, "length"), 512, "{report}");
    }
}

fn an_image_whose_server_is_killed_has_no_bad_sectors() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let traits = Traits {
        write_speed: Some(4 * MIB),
        ..Traits::default()
    };
    let mut served = Served::over(&scratch, &image, &traits);
    let state = scratch.state();
    let mut run = scratch.wipe(served.path()).words(OPTIONS).start();
    run.until_written(&state, 3 * MIB);
    served.kill();
    let done = run.wait().code(1);
    let done = ended_without_bad_sectors(&scratch, done, &image, 3 * MIB);
    let said = done.stderr;
    // Whichever of the two is asked first.
    assert!(
        said.contains("what serves it has gone") || said.contains("cannot be asked for its size"),
        "{said}"
    );
}

fn an_image_that_is_served_has_its_bad_sectors_mapped() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let traits = Traits {
        bad_sectors: vec![20_001],
        ..Traits::default()
    };
    let served = Served::over(&scratch, &image, &traits);
    let done = scratch.wipe(served.path()).words(OPTIONS).code(3);
    assert!(done.stdout.starts_with("NOT-CLEAR "), "{done:?}");
    let report = scratch.state().report();
    let bad = &report["bad"][0];
    assert_eq!(number(bad, "start"), 20_001 * 512 / 4096 * 4096, "{report}");
    assert_eq!(number(bad, "length"), 4096, "{report}");
}

/// A wipe that has come three megabytes far.
fn begun(scratch: &Scratch, target: &Path) -> Running {
    let state = scratch.state();
    let wipe = scratch.wipe(target).words(OPTIONS);
    let mut run = wipe.words("--rate-limit 4M").start();
    run.until_written(&state, 3 * MIB);
    run
}

fn killed(pid: u32) {
    use nix::sys::signal::{Signal, kill};
    kill(
        nix::unistd::Pid::from_raw(pid.cast_signed()),
        Signal::SIGKILL,
    )
    .unwrap();
}

fn an_image_on_a_disk_that_dies_has_no_bad_sectors() {
    let scratch = Scratch::new();
    let old = scratch.sparse("disk.img", 66 * MIB);
    let disk = SlowDisk::over(&scratch, &old, &Traits::default());
    let mount = Mount::ext4(disk.path(), scratch.join("mounted"));
    let image = mount.point().join("old.img");
    crate::support::content::fill_with_tags(&image, SIZE);
    let run = begun(&scratch, &image);
    killed(disk.daemon());
    let done = run.wait().code(1);
    assert!(done.stdout.starts_with("FAILED "), "{done:?}");
    let checkpoint = scratch.state().checkpoint();
    assert_eq!(checkpoint["bad"].as_array().unwrap().len(), 0, "{done:?}");
    assert!(scratch.state().reports().is_empty());
}

fn a_device_whose_server_is_killed_has_no_bad_sectors() {
    let scratch = Scratch::new();
    let old = scratch.tagged("old.img", size_of_its_own());
    let disk = SlowDisk::over(&scratch, &old, &Traits::default());
    let run = begun(&scratch, disk.path());
    killed(disk.daemon());
    let done = run.wait().code(1);
    ended_without_bad_sectors(&scratch, done, &old, 3 * MIB);
}

fn a_device_over_a_full_file_system_has_no_bad_sectors() {
    for direct in ["on", "off"] {
        let scratch = Scratch::new();
        let small = Mount::tmpfs("6M", scratch.join("small"));
        let image = small.point().join("sparse.img");
        sh!("truncate", "-s", SIZE.to_string(), image);
        let device = Loop::with(&image, &[&format!("--direct-io={direct}")]);
        let done = scratch.wipe(device.path()).words(OPTIONS).code(1);
        let done = ended_without_bad_sectors(&scratch, done, device.path(), 4 * MIB);
        let done = done.says(&["what lies below it is full"]);
        assert!(!done.stderr.contains("has gone"), "{done:?}");
    }
}

fn a_device_that_shrinks_is_said_to_have_shrunk() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    // Over another one, as the file right below is looked at itself.
    let lower = Loop::over(&image);
    let device = Loop::over(lower.path());
    let wipe = scratch.wipe(device.path()).words(OPTIONS);
    let state = scratch.state();
    let mut run = wipe.words("--rate-limit 2M").start();
    run.until_written(&state, 3 * MIB);
    // All at once, for the run: a write in between finds the upper one larger
    // than what it is over.
    run.stop();
    sh!("truncate", "-s", (7 * MIB).to_string(), image);
    sh!("losetup", "-c", lower.path());
    sh!("losetup", "-c", device.path());
    run.signal(SIGCONT);
    let done = run.wait().code(1);
    let done = ended_without_bad_sectors(&scratch, done, device.path(), 3 * MIB);
    done.says(&["its size was 17825792 bytes and is now 7340032"]);
}
