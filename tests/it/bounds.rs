//! However much goes wrong, what is saved stays small, and whatever is saved is
//! read again.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::sys::signal::Signal::SIGINT;
use serde_json::Value;

use crate::support::state::number;
use crate::support::{MIB, NOTHING, Scratch, cases};

cases![
    NOTHING => a_wrong_byte_in_every_kib_leaves_a_small_checkpoint_that_is_read_again,
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
        run.until("far enough", |_| {
            let checkpoint = state.try_checkpoint();
            checkpoint.is_some_and(|value| number(&value, "verified") >= from)
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
    // However the lines are broken.
    let text: Vec<&str> = done.stderr.split_whitespace().collect();
    assert!(text.join(" ").contains(&words), "{done:?}");
    let html = state.reports()[0].with_extension("html");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains(&words[1..]), "not in the page");
    assert_eq!(record["verification"]["bytes_different"], least);

    // Everything that reads it can.
    let check = scratch.wipe(&image).arg("--check").code(5);
    let _ = check.stdout(&line);
    scratch.wipeit().words("--list").code(0);
    let ensured = scratch.wipe(&image).words("--ensure --dry-run").run();
    let _ = ensured.says(&["DIFFERS", "nothing was written"]);
}
