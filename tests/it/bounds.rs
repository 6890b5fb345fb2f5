//! However much goes wrong, what is saved stays small, and whatever is saved is
//! read again.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::sys::signal::Signal::SIGINT;
use serde_json::Value;

use crate::support::content::{Content, tags};
use crate::support::device::{SlowDisk, Traits};
use crate::support::state::number;
use crate::support::{MIB, NOTHING, Scratch, cases};

cases![
    NOTHING => a_wrong_byte_in_every_kib_leaves_a_small_checkpoint_that_is_read_again,
    NOTHING => a_checkpoint_of_200_mb_is_read_in_little_memory_and_continued,
    NOTHING => a_file_of_any_making_takes_little_memory,
    SlowDisk::NEEDS => more_bad_sectors_than_are_kept_are_joined_and_the_rest_is_wiped,
    SlowDisk::NEEDS => more_sectors_than_are_kept_that_cannot_be_read_back_are_joined,
];

/// No file of the state directory is larger.
const MOST: u64 = 8 << 20;

/// Inverts a byte in the middle of every KiB from `start` on; how many.
fn alter_every_kib(image: &Path, start: u64, end: u64) -> u64 {
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut part = vec![0; 1 << 20];
    for at in (start..end).step_by(1 << 20) {
        file.read_exact_at(&mut part, at).unwrap();
        for kib in part.chunks_mut(1024) {
            kib[300] ^= 0xff;
        }
        file.write_all_at(&part, at).unwrap();
    }
    file.sync_all().unwrap();
    (end - start) / 1024
}

fn small(file: &Path) {
    let length = file.metadata().unwrap().len();
    assert!(length <= MOST, "{}: {length} bytes", file.display());
}

/// Bytes that are known to be wrong, and bytes of the ranges that they are in.
fn amount(list: &Value) -> (u64, u64) {
    let ranges = list.as_array().unwrap();
    let length = |range: &Value| number(range, "length");
    let least = |range: &Value| match range.get("at_least") {
        Some(_) => number(range, "at_least"),
        None => length(range),
    };
    assert!(ranges.len() <= 12_000, "{} ranges", ranges.len());
    (
        ranges.iter().map(least).sum(),
        ranges.iter().map(length).sum(),
    )
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn a_wrong_byte_in_every_kib_leaves_a_small_checkpoint_that_is_read_again() {
    const SIZE: u64 = 64 * MIB;
    let scratch = Scratch::new();
    let (image, state) = (scratch.tagged("old.img", SIZE), scratch.state());
    let options = "-b 64K --threads 2 --checkpoint-every 1M";
    let stop = |mut run: crate::support::run::Running, from: u64| {
        run.until_saved(&state, "far enough", |value| {
            number(value, "verified") >= from
        });
        run.signal(SIGINT);
        run.wait().killed_by(SIGINT)
    };
    let slow = format!("{options} --rate-limit 24M");
    let run = scratch.wipe(&image).yes().words(&slow).start();
    stop(run, 2 * MIB);
    let begun = number(&state.checkpoint(), "verified").next_multiple_of(MIB) + MIB;
    let wrong = alter_every_kib(&image, begun, SIZE);

    // Stopped again when most of it is found.
    let resume = || scratch.wipe(&image).yes().arg("--resume");
    let done = stop(resume().words(&slow).start(), 50 * MIB);
    small(&state.pending()[0]);
    let checkpoint = state.checkpoint();
    let (least, most) = amount(&checkpoint["mismatches"]);
    let seen = number(&checkpoint, "verified").saturating_sub(begun) / 1024;
    assert!(least >= 512 * seen && most > least, "{seen} {least} {most}");
    let words = format!("at least {} bytes in at most", grouped(least));
    done.says(&[&words, &format!("most {} of ranges", grouped(most))]);

    let done = resume().words(options).code(5);
    small(&state.reports()[0]);
    let record = state.report();
    let (least, most) = amount(&record["mismatches"]);
    assert_eq!(least, 512 * wrong, "each is counted once");
    let line = format!(
        "DIFFERS {} - {SIZE} bytes, 0 bad, read-back full, at least {least} differ\n",
        image.display()
    );
    let words = format!(
        "at least {} bytes in at most {} of ranges",
        grouped(least),
        grouped(most)
    );
    let done = done.stdout(&line);
    assert!(done.unbroken().contains(&words), "{done:?}");
    let html = state.reports()[0].with_extension("html");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains(&words[1..]), "not in the page");
    assert_eq!(record["verification"]["bytes_different"], least);

    // Each stands in the text file beside it.
    let text = state.reports()[0].with_extension("ranges.txt");
    let text = std::fs::read_to_string(text).unwrap();
    let starts = text
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
    let starts: std::collections::BTreeSet<u64> = starts.collect();
    assert_eq!(starts.len() as u64, wrong);

    // Everything that reads it can.
    let check = scratch.wipe(&image).arg("--check").code(5);
    let _ = check.stdout(&line);
    scratch.wipeit().words("--list").code(0);
    let ensured = scratch.wipe(&image).words("--ensure --dry-run").run();
    let _ = ensured.says(&["DIFFERS", "nothing was written"]);
}

/// Runs the program with so little address space that a file that is kept in
/// memory as it is does not fit.
fn little_memory(scratch: &Scratch, words: &str) -> crate::support::run::Wipe {
    let limit = "ulimit -v 400000; exec \"$0\" \"$@\"";
    let wipe = scratch.wipeit().under(["bash", "-c", limit]);
    wipe.limit(300).words(words)
}

/// A file of the state directory that begins like `checkpoint`, without its last
/// brace, and goes on with what `write` writes.
fn goes_on(path: &Path, checkpoint: &Value, write: impl FnOnce(&mut dyn Write)) {
    let text = checkpoint.to_string();
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(text.strip_suffix('}').unwrap().as_bytes())
        .unwrap();
    write(&mut file);
    file.flush().unwrap();
}

fn stopped(scratch: &Scratch, image: &Path) -> Value {
    let state = scratch.state();
    let slow = "-b 64K --threads 2 --checkpoint-every 1M --rate-limit 8M";
    let mut run = scratch.wipe(image).yes().words(slow).start();
    run.until_saved(&state, "something read back", |value| {
        number(value, "verified") >= 2 * MIB
    });
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    state.checkpoint()
}

/// As wipeit 0.1.0 saved it: every range with its own entry, pretty.
fn a_checkpoint_of_200_mb_is_read_in_little_memory_and_continued() {
    const SIZE: u64 = 8 * MIB;
    const EACH: u64 = 64;
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let mut checkpoint = stopped(&scratch, &image);
    let file = scratch.state().pending().remove(0);
    checkpoint.as_object_mut().unwrap().remove("mismatches");
    // Within what was read back: one byte in 64 of the first 2 MiB, said in as
    // many words as fill 200 MB.
    let number = 2 * MIB / EACH - 1;
    goes_on(&file, &checkpoint, |to| {
        write!(to, ",\"mismatches\": [").unwrap();
        let spaces = " ".repeat(6200);
        for index in 0..number {
            let (at, comma) = (index * EACH, if index > 0 { "," } else { "" });
            write!(
                to,
                "{comma}\n    {{\n      \"start\": {at},\n      \"length\": 16,\n      \"at\": {at},\n      \
                 \"expected\": \"{:032x}\",{spaces}\n      \"found\": \"{:032x}\"\n    }}",
                index,
                index + 1
            )
            .unwrap();
        }
        writeln!(to, "\n  ]\n}}").unwrap();
    });
    let length = file.metadata().unwrap().len();
    assert!(length > 200_000_000, "{length}");

    little_memory(&scratch, "--list").code(0);
    let words = format!("{} --resume --yes", image.display());
    let done = little_memory(&scratch, &words).code(5);
    let least = format!("at least {} bytes in at most", grouped(16 * number));
    assert!(done.unbroken().contains(&least), "{done:?}");
    small(&scratch.state().reports()[0]);
    let (least, _) = amount(&scratch.state().report()["mismatches"]);
    assert_eq!(least, 16 * number);
}

/// Files that would take more memory than there is if they were kept as they are.
fn a_file_of_any_making_takes_little_memory() {
    const LENGTH: usize = 30_000_000;
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let checkpoint = stopped(&scratch, &image);
    let file = scratch.state().pending().remove(0);
    let repeated = |to: &mut dyn Write, text: &str| {
        let part = text.repeat(65_536 / text.len());
        for _ in 0..LENGTH / part.len() {
            to.write_all(part.as_bytes()).unwrap();
        }
    };
    // What is left out, what comes instead, and whether that is a checkpoint.
    for (field, before, again, after, whole) in [
        ("", ",\"more\":[1", ",[1]", "]}", true),
        ("", ",\"more\":{\"a\":1", ",\"b\":{}", "}}", true),
        ("", ",\"more\":\"", "x", "\"}", false),
        ("", ",\"more\":\"", "\\n", "\"}", false),
        ("", ",\"more\":1", "0", "}", false),
        ("", ",\"more\":", "[", "]}", false),
        ("", ",\"more\":", "{\"a\":", "}}", false),
        ("", ",\"more\":[{\"a\":[1", ",{}", "]}]}", false),
        ("device_id", ",\"device_id\":[1", ",[]", "]}", false),
        ("kind", ",\"kind\":[1", ",[]", "]}", false),
        (
            "runs",
            ",\"runs\":[{\"start\":\"x\"}",
            ",{\"start\":\"x\"}",
            "]}",
            true,
        ),
        (
            "plan",
            ",\"plan\":[{\"strategy\":\"zero\",\"verify\":\"full\"}",
            ",{\"strategy\":\"zero\",\"verify\":\"full\"}",
            "]}",
            false,
        ),
        (
            "samples",
            ",\"samples\":[{\"pass\":1,\"phase\":\"write\",\"offset\":1,\"speed\":1}",
            ",{\"pass\":1,\"phase\":\"write\",\"offset\":1,\"speed\":1}",
            "]}",
            true,
        ),
        (
            "bad",
            ",\"bad\":[{\"start\":0}",
            ",{\"start\":0}",
            "]}",
            false,
        ),
    ] {
        let mut checkpoint = checkpoint.clone();
        checkpoint.as_object_mut().unwrap().remove(field);
        goes_on(&file, &checkpoint, |to| {
            write!(to, "{before}").unwrap();
            repeated(to, again);
            write!(to, "{after}").unwrap();
        });
        let words = format!("{} --resume --dry-run", image.display());
        let done = little_memory(&scratch, &words).run();
        let name = file.file_name().unwrap().to_string_lossy();
        if whole {
            done.code(0);
        } else {
            done.code(4).says(&[&name, "is not a whole checkpoint"]);
        }
    }
}

fn more_bad_sectors_than_are_kept_are_joined_and_the_rest_is_wiped() {
    const SIZE: u64 = 16 * MIB;
    const BAD: u64 = 11_000;
    let bad = |sector: u64| sector.is_multiple_of(2) && sector < 2 * BAD;
    // In the write, and in the read-back, when they are joined already.
    for stopped in [None, Some("written"), Some("verified")] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let traits = Traits {
            bad_sectors: (0..2 * BAD).filter(|sector| bad(*sector)).collect(),
            ..Traits::default()
        };
        let disk = SlowDisk::over(&scratch, &image, &traits);
        let state = scratch.state();
        let options = "-b 64K --threads 1 --checkpoint-every 1M";
        let wipe = scratch.wipe(disk.path()).yes().words(options);
        let done = match stopped {
            None => wipe.code(3),
            Some(field) => {
                let mut run = wipe.words("--rate-limit 16M").start();
                run.until_saved(&state, field, |value| number(value, field) >= 5 * MIB);
                run.signal(SIGINT);
                run.wait().killed_by(SIGINT);
                let resume = scratch.wipe(disk.path()).words("--resume --yes");
                resume.words("-b 64K --threads 1").code(3)
            }
        };
        let record = state.report();
        small(&state.reports()[0]);
        let (least, most) = amount(&record["bad"]);
        assert_eq!(least, BAD * 512, "each is counted once: {stopped:?}");
        assert!(most > least, "none is joined");
        assert_eq!(record["mismatches"].as_array().unwrap().len(), 0);
        let line = format!(
            "NOT-CLEAR {} - {} of {SIZE} bytes, at least {BAD} bad\n",
            disk.path().display(),
            SIZE - most,
        );
        done.stdout(&line);
        let stream = Content::of(&record, 1).bytes(0, usize::try_from(SIZE).unwrap());
        let held = std::fs::read(&image).unwrap();
        let old = tags(0, 22_000 * 512);
        for (at, sector) in (0..).zip(held.chunks(512)) {
            let from = usize::try_from(at * 512).unwrap();
            let due = if bad(at) { &old } else { &stream };
            assert!(sector == &due[from..from + 512], "sector {at}");
        }
        let text = state.reports()[0].with_extension("ranges.txt");
        let text = std::fs::read_to_string(text).unwrap();
        assert!(
            text.lines().count() as u64 >= BAD,
            "not all ranges are told"
        );
        // What was bad is no news to who looks again.
        scratch.wipe(disk.path()).arg("--check").code(3);
    }
}

fn more_sectors_than_are_kept_that_cannot_be_read_back_are_joined() {
    const SIZE: u64 = 16 * MIB;
    const BAD: u64 = 11_000;
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let traits = Traits {
        unreadable_sectors: (0..2 * BAD).step_by(2).collect(),
        direct: true,
        ..Traits::default()
    };
    let disk = SlowDisk::over(&scratch, &image, &traits);
    let wipe = scratch.wipe(disk.path()).yes();
    let done = wipe.words("-b 64K --threads 1").code(3);
    let record = scratch.state().report();
    small(&scratch.state().reports()[0]);
    let (least, most) = amount(&record["bad"]);
    assert!(least == BAD * 512 && most > least, "{least} {most}");
    assert_eq!(record["mismatches"].as_array().unwrap().len(), 0);
    assert_eq!(number(&record, "written"), SIZE, "all of it was written");
    done.stdout(&format!(
        "NOT-CLEAR {} - {} of {SIZE} bytes, at least {BAD} bad\n",
        disk.path().display(),
        SIZE - most,
    ));
    crate::support::content::check(&image, 0, SIZE, &Content::of(&record, 1));
    scratch
        .wipe(disk.path())
        .arg("--check")
        .words("-b 64K --threads 1")
        .code(3);
}
