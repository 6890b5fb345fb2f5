//! Drives with faults: exit code, record and every byte are as promised, for
//! both sizes of logical blocks, also when the run was interrupted.

use std::path::Path;

use nix::sys::signal::Signal::SIGINT;
use serde_json::Value;

use crate::support::content::{Content, check};
use crate::support::device::{Loop, SlowDisk, Traits};
use crate::support::run::Done;
use crate::support::state::number;
use crate::support::{LOOP, MIB, Scratch, cases, page};

cases![
    SlowDisk::NEEDS => bad_sectors_are_mapped_exactly_and_the_rest_is_wiped,
    SlowDisk::NEEDS => ten_thousand_bad_sectors_in_a_row_are_one_extent,
    SlowDisk::NEEDS => sectors_that_cannot_be_read_back_are_mapped_exactly,
    SlowDisk::NEEDS => a_write_error_that_heals_and_a_failed_flush_leave_no_trace,
    LOOP => a_sample_says_its_share_and_every_pass_can_be_read_back,
];

const SIZE: u64 = 16 * MIB;
const LAST: u64 = SIZE / 512 - 1;

/// When Ctrl+C is pressed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    Never,
    Write,
    ReadBack,
}

const STOPS: [Stop; 3] = [Stop::Never, Stop::Write, Stop::ReadBack];

/// Wipes the disk, stopped and resumed on the way.
fn wipe(scratch: &Scratch, disk: &Path, stop: Stop, code: i32) -> Done {
    // One request at a time, as some of the disks need.
    let options = "-b 64K --threads 1 --checkpoint-every 1M";
    let wipe = scratch.wipe(disk).yes().words(options);
    if stop == Stop::Never {
        return wipe.code(code);
    }
    let state = scratch.state();
    let mut run = wipe.words("--rate-limit 8M").start();
    let field = if stop == Stop::Write {
        "written"
    } else {
        "verified"
    };
    run.until_saved(&state, field, |value| number(value, field) >= 5 * MIB);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    let resume = scratch.wipe(disk).words("--resume --yes");
    resume.words("-b 64K --threads 1").code(code)
}

/// First byte, length and what failed, of every bad extent.
fn bad(record: &Value) -> Vec<(u64, u64, &str)> {
    let extents = record["bad"].as_array().unwrap();
    extents
        .iter()
        .map(|bad| {
            assert_eq!(bad["state"], "failed", "{record}");
            let during = bad["during"].as_str().unwrap();
            (number(bad, "start"), number(bad, "length"), during)
        })
        .collect()
}

/// Fails unless the image holds the wipe's stream, and old data in the extents
/// that could not be written.
fn holds(image: &Path, record: &Value, untouched: &[(u64, u64, &str)]) {
    let stream = Content::of(record, 1);
    let mut at = 0;
    for (start, length, _) in untouched {
        check(image, at, *start, &stream);
        check(image, *start, start + length, &Content::Tags);
        at = start + length;
    }
    check(image, at, SIZE, &stream);
}

/// Wipes a disk with bad sectors and checks all that there is to see.
fn mapped(traits: &Traits, stop: Stop, expected: &[(u64, u64, &str)]) {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let disk = SlowDisk::over(&scratch, &image, traits);
    let done = wipe(&scratch, disk.path(), stop, 3);
    let bytes: u64 = expected.iter().map(|(_, length, _)| length).sum();
    let line = format!(
        "NOT-CLEAR {} - {} of {SIZE} bytes, {} bad\n",
        disk.path().display(),
        SIZE - bytes,
        bytes / u64::from(traits.block.unwrap_or(512)),
    );
    done.stdout(&line);
    let record = scratch.state().report();
    assert_eq!(record["outcome"], "NOT-CLEAR");
    assert_eq!(record["mismatches"].as_array().unwrap().len(), 0);
    assert_eq!(bad(&record), expected, "{stop:?}");
    let unwritten = expected.iter().filter(|bad| bad.2 == "write");
    let unwritten: u64 = unwritten.map(|(_, length, _)| length).sum();
    assert_eq!(number(&record, "written"), SIZE - unwritten);
    assert_eq!(number(&record, "verified"), SIZE - bytes);
    assert_eq!(number(&record["verification"], "bytes"), SIZE - bytes);
    let untouched: Vec<_> = expected.iter().filter(|bad| bad.2 == "write").collect();
    let untouched: Vec<_> = untouched.into_iter().copied().collect();
    holds(&image, &record, &untouched);
    assert!(scratch.state().pending().is_empty());
    let file = scratch.state().reports().pop().unwrap();
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let page = text(&file.with_extension("html"));
    page::tells(&page, &text(&file));
    for untrue in ["every byte", "bytes were overwritten", "Every addressable"] {
        assert!(!page.contains(untrue), "{untrue}: {page}");
    }
}

/// The blocks of the first, a middle and the last sector.
fn three(block: u32, during: &str) -> [(u64, u64, &str); 3] {
    let block = u64::from(block);
    [0, 20_001, LAST].map(|sector| (sector * 512 / block * block, block, during))
}

fn bad_sectors_are_mapped_exactly_and_the_rest_is_wiped() {
    for block in [512, 4096] {
        for stop in STOPS {
            let traits = Traits {
                bad_sectors: vec![0, 20_001, LAST],
                block: Some(block),
                ..Traits::default()
            };
            mapped(&traits, stop, &three(block, "write"));
        }
    }
}

fn ten_thousand_bad_sectors_in_a_row_are_one_extent() {
    for block in [512, 4096] {
        // Stopped in the middle of them, and after them.
        for stop in STOPS {
            let traits = Traits {
                bad_sectors: (8_000..18_000).collect(),
                block: Some(block),
                ..Traits::default()
            };
            mapped(&traits, stop, &[(8_000 * 512, 10_000 * 512, "write")]);
        }
    }
}

fn sectors_that_cannot_be_read_back_are_mapped_exactly() {
    for block in [512, 4096] {
        for stop in STOPS {
            let traits = Traits {
                unreadable_sectors: vec![0, 20_001, LAST],
                block: Some(block),
                direct: true,
                ..Traits::default()
            };
            mapped(&traits, stop, &three(block, "read"));
        }
    }
}

fn a_write_error_that_heals_and_a_failed_flush_leave_no_trace() {
    for block in [512, 4096] {
        for stop in STOPS {
            let scratch = Scratch::new();
            let image = scratch.tagged("old.img", SIZE);
            let traits = Traits {
                healing_sectors: vec![0, 20_001, LAST],
                failing_flush: true,
                block: Some(block),
                ..Traits::default()
            };
            let disk = SlowDisk::over(&scratch, &image, &traits);
            let done = wipe(&scratch, disk.path(), stop, 0).wiped(disk.path(), SIZE);
            if stop == Stop::Never {
                done.says(&["flush failed", "writing again from byte 0"]);
            }
            let record = scratch.state().report();
            assert_eq!(bad(&record), []);
            holds(&image, &record, &[]);
        }
    }
}

fn a_sample_says_its_share_and_every_pass_can_be_read_back() {
    for block in ["512", "4096"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", 64 * MIB);
        let disk = Loop::with(&image, &["--sector-size", block]);
        let name = disk.path().display();
        let run = |verify: &str| {
            let wipe = scratch.wipe(disk.path()).yes().words("--passes 2");
            wipe.args(["--restart", "--verify", verify]).code(0)
        };
        let done = run("sample");
        let line = format!(
            "WIPED {name} - {} bytes, 0 bad, read-back sample, 0 differ\n",
            64 * MIB
        );
        let done = done.stdout(&line);
        let said = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let share = said.split("samples read back: ").nth(1);
        let share = share.and_then(|rest| rest.split('%').next()).unwrap();
        let share: f64 = share.parse().unwrap();
        // A tenth, in whole blocks of any drive.
        assert!((10.0..25.0).contains(&share), "{share}");
        assert!(!said.contains("every byte read back"), "{said}");
        let record = scratch.state().report();
        assert!(record["plan"][1].to_string().contains("sample"), "{record}");
        check(disk.path(), 0, 64 * MIB, &Content::of(&record, 2));
        let done = run("all");
        let full = format!(
            "WIPED {name} - {} bytes, 0 bad, read-back full, 0 differ\n",
            64 * MIB
        );
        done.stdout(&full).says(&["read-back 2/4", "read-back 4/4"]);
    }
}
