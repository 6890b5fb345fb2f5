//! The text file beside a record in which ranges stand one by one that the
//! record has no room for. Nothing reads it, and nothing hangs on it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use crate::engine::Joined;
use crate::plan::{Bad, Extent, First};

/// The file grows no further, in bytes: it must not fill the disk that the
/// checkpoints need.
const LARGEST: u64 = 32 << 20;

const HEAD: &str = "\
# Ranges of bytes as they were found, which the record of this wipe has joined.
# After a crash some may be missing or stand here twice; past 32 MiB none are added.
# first byte, number of bytes, what is wrong with them
";

pub(super) fn path_of(record: &Path) -> PathBuf {
    record.with_extension("ranges.txt")
}

pub(super) fn add(path: &Path, ranges: &Joined) -> io::Result<()> {
    let mut text = String::new();
    for (extent, bad) in &ranges.bad {
        text.push_str(&bad_line(*extent, *bad));
    }
    for one in &ranges.different {
        text.push_str(&different_line(one.extent, &one.first));
    }
    if ranges.more > 0 {
        let more = ranges.more;
        let _ = writeln!(
            text,
            "# {more} more here, of which only the number is known"
        );
    }
    append(path, &text)
}

/// Adds, at the end of a wipe, those that were never joined.
pub(super) fn complete(path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut text = String::new();
    for one in checkpoint.bad().ranges() {
        if one.is_exact() {
            text.push_str(&bad_line(one.extent, one.bad));
        }
    }
    for one in checkpoint.mismatches().iter().filter(|one| one.is_exact()) {
        text.push_str(&different_line(one.extent, &one.value));
    }
    append(path, &text)
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let length = file.metadata()?.len();
    let head = if length == 0 { HEAD } else { "" };
    if length + text.len() as u64 > LARGEST {
        return Ok(());
    }
    file.write_all([head, text].concat().as_bytes())?;
    file.sync_data()
}

fn bad_line(extent: Extent, bad: Bad) -> String {
    format!(
        "{} {} pass {}, {}: {}, errno {}\n",
        extent.start(),
        extent.length(),
        bad.pass,
        bad.during.word(),
        bad.state.words(),
        bad.errno
    )
}

fn different_line(extent: Extent, first: &First) -> String {
    format!(
        "{} {} differs at {}: {} was written, {} is read\n",
        extent.start(),
        extent.length(),
        first.at,
        hex::encode(&first.expected),
        hex::encode(&first.found)
    )
}
