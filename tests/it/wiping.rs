//! Every byte of every kind of target.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::content::{self, Content, check};
use crate::support::device::{Loop, read_range, size_of};
use crate::support::state::number;
use crate::support::{KIB, LOOP, MIB, NOTHING, Need, OPENSSL, Scratch, cases, path_variable};

const GZIP: &[Need] = &[Need::Tool("gzip"), Need::Tool("openssl")];
const LARGE: &[Need] = &[Need::Space(6 << 30), Need::Tool("openssl")];

cases![
    NOTHING => zero_overwrites_every_byte_of_a_small_image,
    OPENSSL => random_overwrites_every_byte_of_a_small_image,
    NOTHING => a_pattern_overwrites_every_byte_of_a_small_image,
    NOTHING => zero_overwrites_every_byte_of_a_large_odd_image,
    OPENSSL => random_overwrites_every_byte_of_a_large_odd_image,
    NOTHING => a_pattern_overwrites_every_byte_of_a_large_odd_image,
    LOOP => every_strategy_overwrites_loop_devices_of_512_byte_blocks,
    LOOP => every_strategy_overwrites_loop_devices_of_4096_byte_blocks,
    LOOP => blocks_that_a_device_cannot_write_make_it_not_clear,
    LOOP => the_neighbours_of_a_partition_are_untouched,
    NOTHING => a_pattern_keeps_its_phase_over_chunks_and_threads,
    NOTHING => a_pattern_keeps_its_phase_over_a_resume,
    OPENSSL => two_random_runs_differ,
    GZIP => random_data_repeats_no_chunk_and_does_not_compress,
    LARGE => random_data_is_the_keys_stream_beyond_4_gib,
    OPENSSL => both_streams_are_openssls_at_every_offset,
    OPENSSL => the_last_of_several_passes_is_what_remains,
    NOTHING => wiping_without_read_back_says_so,
    NOTHING => the_strategy_pattern_and_its_short_form_are_the_same,
];

const SMALL: [u64; 6] = [1, 511, 512, 513, 4097, MIB - 1];
const LARGE_SIZES: [u64; 2] = [100 * MIB + 3 * 512, 300 * MIB + 1];

/// Wipes a tagged image and looks at all of it.
fn wipe_image(size: u64, options: &str) -> serde_json::Value {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", size);
    let limit = 60 + size / MIB;
    scratch
        .wipe(&image)
        .yes()
        .words(options)
        .limit(limit)
        .run()
        .wiped(&image, size);
    let report = scratch.state().report();
    assert_eq!(size_of(&image), size, "the size changed");
    assert_wiped(&image, &report);
    assert!(scratch.state().pending().is_empty());
    report
}

/// The target holds what its record says, and the record says that it is done.
fn assert_wiped(target: &Path, report: &serde_json::Value) {
    let size = size_of(target);
    let last = report["plan"].as_array().unwrap().len();
    check(target, 0, size, &Content::of(report, last));
    assert_eq!(report["phase"], "complete");
    assert_eq!(report["outcome"], "WIPED");
    assert_eq!(number(report, "written"), size);
    assert_eq!(number(report, "total_size"), size);
    assert_eq!(report["progress_percent"], 100.0);
    assert_eq!(report["bad"], serde_json::json!([]));
    assert_eq!(report["mismatches"], serde_json::json!([]));
}

fn zero_overwrites_every_byte_of_a_small_image() {
    for size in SMALL {
        let report = wipe_image(size, "--strategy zero");
        assert_eq!(Content::of(&report, 1), Content::Zero);
    }
}

fn random_overwrites_every_byte_of_a_small_image() {
    for size in SMALL {
        let report = wipe_image(size, "");
        assert_eq!(report["plan"][0]["strategy"], "random", "the default");
    }
}

fn a_pattern_overwrites_every_byte_of_a_small_image() {
    for size in SMALL {
        let report = wipe_image(size, "--pattern 924924");
        let pattern = Content::Pattern(vec![0x92, 0x49, 0x24]);
        assert_eq!(Content::of(&report, 1), pattern);
    }
}

fn zero_overwrites_every_byte_of_a_large_odd_image() {
    for size in LARGE_SIZES {
        wipe_image(size, "-s zero");
    }
}

fn random_overwrites_every_byte_of_a_large_odd_image() {
    for size in LARGE_SIZES {
        wipe_image(size, "-s random");
    }
}

fn a_pattern_overwrites_every_byte_of_a_large_odd_image() {
    for size in LARGE_SIZES {
        wipe_image(size, "--pattern 0123456789");
    }
}

/// Wipes a tagged loop device and looks at all of it, through the device and
/// in the file behind it.
fn wipe_loop(size: u64, block: &str, options: &str) {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", size);
    let device = Loop::with(&image, &["-b", block]);
    scratch
        .wipe(device.path())
        .yes()
        .words(options)
        .run()
        .wiped(device.path(), size);
    let report = scratch.state().report();
    assert_wiped(device.path(), &report);
    drop(device);
    assert_eq!(size_of(&image), size, "the size changed");
    assert_wiped(&image, &report);
}

fn every_strategy_overwrites_loop_devices_of_512_byte_blocks() {
    for size in [512, 1536, 4096, MIB - 512, 10 * MIB + 512, 33 * MIB + 3584] {
        for options in ["-s zero", "-s random", "--pattern 55aa01"] {
            wipe_loop(size, "512", options);
        }
    }
}

fn every_strategy_overwrites_loop_devices_of_4096_byte_blocks() {
    for size in [4096, 12_288, MIB - 4096, 33 * MIB + 4096] {
        for options in ["-s zero", "-s random", "--pattern 55aa01"] {
            wipe_loop(size, "4096", options);
        }
    }
}

fn blocks_that_a_device_cannot_write_make_it_not_clear() {
    let scratch = Scratch::new();
    let size = 10 * MIB + 512;
    let image = scratch.tagged("old.img", size);
    let device = Loop::with(&image, &["-b", "4096"]);
    let done = scratch.wipe(device.path()).yes().code(3);
    let line = format!(
        "NOT-CLEAR {} - {} of {size} bytes, ",
        device.path().display(),
        10 * MIB
    );
    assert!(done.stdout.starts_with(&line), "{done:?}");
    let report = scratch.state().report();
    assert_eq!(number(&report["bad"][0], "start"), 10 * MIB, "{report}");
    assert_eq!(number(&report["bad"][0], "length"), 512, "{report}");
    drop(device);
    check(&image, 0, 10 * MIB, &Content::of(&report, 1));
    check(&image, 10 * MIB, size, &Content::Tags);
}

fn the_neighbours_of_a_partition_are_untouched() {
    let scratch = Scratch::new();
    let size = 24 * MIB;
    let image = scratch.tagged("old.img", size);
    let mut device = Loop::over(&image);
    // An odd number of sectors, at an odd sector.
    let (start, length) = (8 * 2048 + 1, 8 * 2048 + 3);
    device.partition(1, 1, start - 1);
    let middle = device.partition(2, start, length);
    device.partition(3, start + length, 2048);
    scratch
        .wipe(&middle)
        .yes()
        .run()
        .wiped(&middle, length * 512);
    let report = scratch.state().report();
    assert_wiped(&middle, &report);
    drop(device);
    let (start, end) = (start * 512, (start + length) * 512);
    check(&image, 0, start, &Content::Tags);
    check(&image, end, size, &Content::Tags);
    let found = read_range(&image, start, usize::try_from(end - start).unwrap());
    let length = found.len();
    assert!(found == Content::of(&report, 1).bytes(0, length));
}

const PATTERNS: [&str; 5] = [
    "a5",
    "55aa",
    "924924",
    "0102030405",
    "000102030405060708090a0b0c0d0e0f",
];

fn a_pattern_keeps_its_phase_over_chunks_and_threads() {
    let size = 5 * MIB + 1000;
    for (i, pattern) in PATTERNS.iter().enumerate() {
        let buffer = ["4K", "64K", "1M", "2M", "12K"][i];
        for threads in [1, 2, 4] {
            let options = format!("--pattern {pattern} -b {buffer} --threads {threads}");
            let report = wipe_image(size, &options);
            let expected = Content::Pattern(content::from_hex(pattern));
            assert_eq!(Content::of(&report, 1), expected);
        }
    }
}

fn a_pattern_keeps_its_phase_over_a_resume() {
    for (i, pattern) in PATTERNS.iter().enumerate() {
        let scratch = Scratch::new();
        let size = 8 * MIB + 512;
        let image = scratch.tagged("old.img", size);
        let mut first = scratch
            .wipe(&image)
            .yes()
            .args(["--pattern", pattern, "-b", "60K"])
            .words("--rate-limit 10M --checkpoint-every 1M")
            .start();
        let state = scratch.state();
        first.until_saved(&state, "some of it is written", |value| {
            number(value, "written") > MIB
        });
        first.signal(Signal::SIGTERM);
        first.wait().killed_by(Signal::SIGTERM);
        let again = ["64K", "1M", "4K", "128K", "28K"][i];
        scratch
            .wipe(&image)
            .words("--resume -b")
            .arg(again)
            .run()
            .wiped(&image, size);
        let expected = Content::Pattern(content::from_hex(pattern));
        check(&image, 0, size, &expected);
    }
}

fn two_random_runs_differ() {
    let scratch = Scratch::new();
    let size = MIB;
    let image = scratch.tagged("old.img", size);
    let mut seen: Vec<(Vec<u8>, String)> = Vec::new();
    for folder in ["one", "two"] {
        let state = scratch.join(folder);
        scratch
            .wipe(&image)
            .yes()
            .state(&state)
            .run()
            .wiped(&image, size);
        let report = crate::support::state::State::at(state).report();
        let key = report["plan"][0]["key"].as_str().unwrap().to_string();
        seen.push((std::fs::read(&image).unwrap(), key));
    }
    assert!(seen[0].0 != seen[1].0, "the same bytes twice");
    assert!(seen[0].1 != seen[1].1, "the same key twice");
}

fn random_data_repeats_no_chunk_and_does_not_compress() {
    let scratch = Scratch::new();
    let size = 24 * MIB;
    let image = scratch.tagged("old.img", size);
    scratch
        .wipe(&image)
        .yes()
        .words("-b 1M --threads 4")
        .run()
        .wiped(&image, size);
    let bytes = std::fs::read(&image).unwrap();
    // Stronger than chunks of any size: no 4096 bytes occur twice.
    let mut chunks: Vec<&[u8]> = bytes.chunks(4096).collect();
    chunks.sort_unstable();
    assert!(chunks.windows(2).all(|pair| pair[0] != pair[1]));
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .env("PATH", path_variable())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let part = bytes[..4 << 20].to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&part));
    let packed = gzip.wait_with_output().unwrap().stdout.len();
    feeder.join().unwrap().unwrap();
    assert!(packed > 4 << 20, "gzip made {packed} bytes of 4 MiB");
}

fn random_data_is_the_keys_stream_beyond_4_gib() {
    let scratch = Scratch::new();
    let size = (4 << 30) + 3 * MIB + 512;
    let image = scratch.sparse("large.img", size);
    let line = format!(
        "WIPED {} - {size} bytes, 0 bad, read-back none\n",
        image.display()
    );
    scratch
        .wipe(&image)
        .yes()
        .words("--verify none")
        .limit(300)
        .code(0)
        .stdout(&line);
    let stream = Content::of(&scratch.state().report(), 1);
    for start in [0, size / 2 / 4096 * 4096, (4 << 30) - MIB, size - 2 * MIB] {
        check(&image, start, start + 2 * MIB, &stream);
    }
    // All of it was written: no hole is left.
    let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&image).unwrap());
    assert!(blocks * 512 >= size, "{blocks} blocks");
}

fn both_streams_are_openssls_at_every_offset() {
    let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    for generator in ["aes256-ctr64le", "chacha20-ctr64"] {
        let plan = serde_json::json!({"plan": [
            {"strategy": "random", "generator": generator, "key": key, "verify": "none"}
        ]});
        let theirs = Content::of(&plan, 1);
        let ours = serde_json::from_value(plan["plan"].clone()).unwrap();
        let ours: wipeit::inside::Plan = ours;
        let ours = wipeit::inside::strategy_of(&ours.pass(0).content);
        for offset in [
            0,
            1,
            100 * MIB + 7,
            (1 << 32) + 4096,
            (1 << 38) + 64,
            (1 << 38) + (1 << 20) + 5,
            (1 << 44) + 512,
        ] {
            let mut bytes = vec![0; 5000];
            ours.fill(offset, &mut bytes);
            assert!(
                bytes == theirs.bytes(offset, 5000),
                "{generator} at byte {offset}"
            );
        }
    }
}

fn the_last_of_several_passes_is_what_remains() {
    let report = wipe_image(3 * MIB + 7, "--passes 3");
    let keys: Vec<_> = (0..3).map(|i| &report["plan"][i]["key"]).collect();
    assert!(
        keys[0] != keys[1] && keys[1] != keys[2],
        "a key for each pass"
    );
}

fn wiping_without_read_back_says_so() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 70 * KIB);
    let line = format!(
        "WIPED {} - 71680 bytes, 0 bad, read-back none\n",
        image.display()
    );
    scratch
        .wipe(&image)
        .yes()
        .words("-s zero --verify none")
        .code(0)
        .stdout(&line);
    check(&image, 0, 70 * KIB, &Content::Zero);
}

fn the_strategy_pattern_and_its_short_form_are_the_same() {
    for options in ["-s pattern --pattern 0xAbCd", "--pattern abcd"] {
        let report = wipe_image(1001, options);
        assert_eq!(report["plan"][0]["pattern"], "abcd");
    }
}
