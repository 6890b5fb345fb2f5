//! Whether a drive and a state directory, as a cut left them, keep the promise.
//! It shares no code with the program: the stream is worked out anew, and the
//! JSON is read field by field.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::memory::Memory;
use super::stream::Stream;

/// What the state directory holds.
#[derive(Clone, Default)]
pub struct Files {
    /// Checkpoints: name and bytes.
    pub pending: Vec<(String, Vec<u8>)>,
    /// Records.
    pub reports: Vec<(String, Vec<u8>)>,
}

/// What is known from outside.
#[derive(Clone)]
pub struct Known {
    /// Bytes between checkpoints.
    pub interval: u64,
    /// How far the last look found it: pass, phase, position.
    pub before: Option<Place>,
    /// Where the writes since the last look reached, survived or not; 0: none.
    pub reach: u64,
    /// Sectors of 512 bytes that take no write.
    pub bad: Vec<u64>,
    /// The program said that it is finished, before the cut.
    pub said_wiped: bool,
}

/// Pass from 0, phase 0 write, 1 verify, 2 complete, bytes.
pub type Place = (u64, u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file, and nothing was written.
    Untouched,
    /// A checkpoint.
    Unfinished(Place),
    /// A record.
    Finished,
}

/// The records of a folder, each with its keys where those that are kept apart are
/// of it.
pub fn records(files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let (keys, mut records): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|(name, _)| name.ends_with(".keys.json"));
    for (name, bytes) in &mut records {
        let apart = name.replace(".json", ".keys.json");
        let own = keys.iter().find(|(name, _)| *name == apart);
        if let Some(whole) = own.and_then(|(_, keys)| whole(bytes, keys)) {
            *bytes = whole;
        }
    }
    records
}

/// `None` where they are of another record.
fn whole(record: &[u8], keys: &[u8]) -> Option<Vec<u8>> {
    let keys: Value = serde_json::from_slice(keys).ok()?;
    let mut value: Value = serde_json::from_slice(record).ok()?;
    let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
    let digest = Sha256::digest(record).iter().fold(String::new(), hex);
    if keys["record_sha256"] != digest || keys["run_id"] != value["run_id"] {
        return None;
    }
    for one in keys["keys"].as_array()? {
        let pass = usize::try_from(one["pass"].as_u64()?).ok()?;
        let pass = value["plan"].get_mut(pass.checked_sub(1)?)?;
        pass["key"] = one["key"].clone();
    }
    serde_json::to_vec(&value).ok()
}

/// Bytes that are compared at a time.
const STEP: u64 = 256 << 10;

/// What it found, or everything that is wrong.
pub fn judge(drive: &Memory, files: &Files, known: &Known) -> Result<Found, Vec<String>> {
    let mut wrong = Vec::new();
    let found = look(drive, files, known, &mut wrong);
    match found {
        Some(found) if wrong.is_empty() => Ok(found),
        _ => Err(wrong),
    }
}

fn look(drive: &Memory, files: &Files, known: &Known, wrong: &mut Vec<String>) -> Option<Found> {
    if files.pending.len() > 1 || files.reports.len() > 1 {
        wrong.push(format!(
            "{} checkpoints, {} records",
            files.pending.len(),
            files.reports.len()
        ));
    }
    let record = read(files.reports.first(), wrong);
    let checkpoint = read(files.pending.first(), wrong);
    if known.said_wiped && record.is_none() {
        wrong.push("WIPED was said, and there is no record".into());
    }
    if record.is_none() && checkpoint.is_none() {
        untouched(drive, known, wrong);
        return Some(Found::Untouched);
    }
    // Where both are there both are true.
    let checkpoint = checkpoint.and_then(|value| claimed(drive, &value, false, known, wrong));
    let record = record.and_then(|value| claimed(drive, &value, true, known, wrong));
    match (record, checkpoint) {
        (Some(_), _) => Some(Found::Finished),
        (None, checkpoint) => checkpoint.map(Found::Unfinished),
    }
}

/// Whether what a checkpoint or record claims is so; where it stands.
fn claimed(
    drive: &Memory,
    value: &Value,
    is_record: bool,
    known: &Known,
    wrong: &mut Vec<String>,
) -> Option<Place> {
    let field = |name: &str| value.get(name).and_then(Value::as_u64);
    let streams = streams(value);
    let numbers = [
        field("pass"),
        field("written"),
        field("verified"),
        phase(value),
    ];
    let (Some(streams), [Some(pass @ 1..), Some(written), Some(verified), Some(phase)]) =
        (streams, numbers)
    else {
        wrong.push(format!("is not understood: {value}"));
        return None;
    };
    if field("total_size") != Some(drive.size) || pass > streams.len() as u64 {
        wrong.push(format!("contradicts itself or the drive: {value}"));
        return None;
    }
    let bad = bad(value);
    bad_is_true(&bad, known, written, phase, wrong);
    let place = (pass - 1, phase, if phase == 1 { verified } else { written });
    if is_record && (phase != 2 || pass != streams.len() as u64) {
        wrong.push(format!("a record of what is not complete: {place:?}"));
    }
    // What was written in full before anybody looked again is read back once more.
    let again = value.get("read_again").and_then(Value::as_bool) == Some(true)
        && known
            .before
            .is_some_and(|before| (before.0, before.1) == (place.0, 2));
    if known.before.is_some_and(|before| place < before) && !(again && phase == 1) {
        wrong.push(format!(
            "backwards: {:?} was saved, and now {place:?}",
            known.before
        ));
    }
    // The furthest that may have been written ahead of what is saved.
    let most = written.saturating_add(known.interval);
    if phase == 0 && known.reach > most && pass == 1 {
        wrong.push(format!(
            "written up to {}, more than {} beyond the saved {written}",
            known.reach, known.interval
        ));
    }
    let current = &streams[usize::try_from(pass - 1).unwrap()];
    let earlier = usize::try_from(pass - 1).unwrap().checked_sub(1);
    let earlier = earlier.map(|earlier| &streams[earlier]);
    let done = if phase == 0 { written } else { drive.size };
    compare(drive, (current, earlier), (done, most), &bad, wrong);
    Some(place)
}

/// What each pass writes.
fn streams(value: &Value) -> Option<Vec<Stream>> {
    let plan = value.get("plan").and_then(Value::as_array)?;
    plan.iter().map(Stream::of).collect()
}

fn phase(value: &Value) -> Option<u64> {
    match value.get("phase").and_then(Value::as_str) {
        Some("write") => Some(0),
        Some("verify") => Some(1),
        Some("complete") => Some(2),
        _ => None,
    }
}

/// Where a checkpoint or record stands.
pub fn place(value: &Value) -> Option<Place> {
    let field = |name: &str| value.get(name).and_then(Value::as_u64);
    let (pass, phase) = (field("pass")?.checked_sub(1)?, phase(value)?);
    let position = if phase == 1 { "verified" } else { "written" };
    Some((pass, phase, field(position)?))
}

/// The sectors that are not what was written, of all that a checkpoint or record
/// says is: by its pass, and beyond the position of a later one by that or the
/// pass before.
pub fn wrong_sectors(drive: &Memory, value: &Value, (pass, phase, position): Place) -> Vec<u64> {
    let streams = streams(value).unwrap_or_default();
    let Some(stream) = streams.get(usize::try_from(pass).unwrap()) else {
        return Vec::new();
    };
    let earlier = pass.checked_sub(1).filter(|_| phase == 0);
    let earlier = earlier.and_then(|pass| streams.get(usize::try_from(pass).unwrap()));
    let done = if phase == 0 { position } else { drive.size };
    let end = if earlier.is_some() { drive.size } else { done };
    let is_right = |at: u64| {
        let length = usize::try_from(512.min(end - at)).unwrap();
        let found = drive.read(at, length);
        let by = |stream: &Stream| found == stream.bytes(at, length);
        by(stream) || (at >= done && earlier.is_some_and(by))
    };
    (0..end).step_by(512).filter(|at| !is_right(*at)).collect()
}

fn read(file: Option<&(String, Vec<u8>)>, wrong: &mut Vec<String>) -> Option<Value> {
    let (name, bytes) = file?;
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            wrong.push(format!("{name} is torn, {} bytes: {error}", bytes.len()));
            None
        }
    }
}

fn untouched(drive: &Memory, known: &Known, wrong: &mut Vec<String>) {
    if let Some(before) = known.before {
        wrong.push(format!("nothing is left of what was saved at {before:?}"));
    }
    if known.reach > 0 {
        wrong.push(format!(
            "written up to {} before any checkpoint was saved",
            known.reach
        ));
    }
    if let Some(at) = first_change(drive) {
        wrong.push(format!("byte {at} was written, and no checkpoint says so"));
    }
}

fn first_change(drive: &Memory) -> Option<u64> {
    drive.pieces().find_map(|(at, piece)| {
        let before = drive.original(at, piece.len());
        let place = piece.iter().zip(&before).position(|(a, b)| a != b)?;
        Some(at + place as u64)
    })
}

/// The ranges that are given up.
fn bad(value: &Value) -> Vec<(u64, u64)> {
    ranges(value, "bad")
}

/// The ranges that were read back different.
pub fn mismatches(value: &Value) -> Vec<(u64, u64)> {
    ranges(value, "mismatches")
}

fn ranges(value: &Value, name: &str) -> Vec<(u64, u64)> {
    let list = value.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|entry| {
            let start = entry.get("start")?.as_u64()?;
            Some((start, start + entry.get("length")?.as_u64()?))
        })
        .collect()
}

/// What is called bad is bad, and no bad sector that was passed is left out.
fn bad_is_true(
    listed: &[(u64, u64)],
    known: &Known,
    written: u64,
    phase: u64,
    wrong: &mut Vec<String>,
) {
    for &(start, end) in listed {
        let all = (start / 512..end.div_ceil(512)).all(|sector| known.bad.contains(&sector));
        if !all {
            wrong.push(format!("{start}-{end} is called bad and is not"));
        }
    }
    for sector in &known.bad {
        let at = sector * 512;
        let passed = phase > 0 || at < written;
        if passed
            && !listed
                .iter()
                .any(|&(start, end)| (start..end).contains(&at))
        {
            wrong.push(format!("the bad sector at {at} is passed over in silence"));
        }
    }
}

/// Every sector: below `done` what this pass writes, up to `most` that or what
/// was there before, beyond it what was there before.
fn compare(
    drive: &Memory,
    (current, earlier): (&Stream, Option<&Stream>),
    (done, most): (u64, u64),
    bad: &[(u64, u64)],
    wrong: &mut Vec<String>,
) {
    let mut at = 0;
    while at < drive.size && wrong.len() < 5 {
        let length = usize::try_from(STEP.min(drive.size - at)).unwrap();
        // Of a first pass far ahead, or far below where it was resumed, where
        // nothing was written: nothing to read.
        let known = at >= done || (at > 0 && at + STEP <= drive.written_before());
        if known && earlier.is_none() && !drive.is_touched(at, length) {
            let next = drive.next_touched(at).unwrap_or(drive.size);
            let end = if at >= done {
                drive.size
            } else {
                drive.written_before().min(done)
            };
            at = (next.min(end) / STEP * STEP).max(at + STEP);
            continue;
        }
        let found = drive.read(at, length);
        let new = current.bytes(at, length);
        if at + STEP <= done && found == new {
            at += STEP;
            continue;
        }
        let old = match earlier {
            Some(earlier) => earlier.bytes(at, length),
            None => drive.original(at, length),
        };
        for (number, found) in found.chunks(512).enumerate() {
            let place = at + number as u64 * 512;
            let range = number * 512..number * 512 + found.len();
            if bad
                .iter()
                .any(|&(start, end)| (start..end).contains(&place))
            {
                continue;
            }
            let (is_new, is_old) = (found == &new[range.clone()], found == &old[range]);
            let problem = if place < done {
                (!is_new).then_some("is not what was written, below what is saved")
            } else if place >= most {
                (!is_old).then_some("was written further ahead than the interval")
            } else {
                (!is_new && !is_old).then_some("is neither old nor new")
            };
            if let Some(problem) = problem {
                wrong.push(format!("byte {place} {problem} ({done}, {most})"));
                break;
            }
        }
        at += STEP;
    }
}
