//! What a device should hold, worked out without the program under test.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::device::read_range;
use super::{MIB, path_variable};

const TAG: &[u8; 504] = &{
    let mut text = [0_u8; 504];
    let word = b"old data! ";
    let mut i = 0;
    while i < text.len() {
        text[i] = word[i % word.len()];
        i += 1;
    }
    text
};

/// Old data: every 512 bytes begin with their own offset.
pub fn tags(offset: u64, length: usize) -> Vec<u8> {
    let first = offset / 512;
    let last = (offset + length as u64).div_ceil(512);
    let mut bytes = Vec::with_capacity(length + 1024);
    for sector in first..last {
        bytes.extend_from_slice(&(sector * 512).to_le_bytes());
        bytes.extend_from_slice(TAG);
    }
    let skip = usize::try_from(offset % 512).unwrap();
    bytes.drain(..skip);
    bytes.truncate(length);
    bytes
}

/// Creates a file of old data, on disk and out of the page cache.
pub fn fill_with_tags(path: &Path, size: u64) {
    let mut file = File::create(path).unwrap();
    for (offset, length) in pieces(0, size) {
        file.write_all(&tags(offset, length)).unwrap();
    }
    file.sync_all().unwrap();
}

/// A range cut into pieces that fit in memory.
fn pieces(start: u64, end: u64) -> Vec<(u64, usize)> {
    let step = 16 * MIB;
    let mut at = start;
    let mut list = Vec::new();
    while at < end {
        let length = step.min(end - at);
        list.push((at, usize::try_from(length).unwrap()));
        at += length;
    }
    list
}

/// What a range should hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// What was there before.
    Tags,
    Zero,
    Pattern(Vec<u8>),
    /// Key in hexadecimal.
    Aes(String),
    ChaCha(String),
}

impl Content {
    /// What pass `pass` (from 1) of a checkpoint or record writes.
    pub fn of(checkpoint: &Value, pass: usize) -> Self {
        let entry = &checkpoint["plan"][pass - 1];
        let text = |field: &str| entry[field].as_str().unwrap().to_string();
        match (text("strategy").as_str(), entry["generator"].as_str()) {
            ("zero", _) => Self::Zero,
            ("pattern", _) => Self::Pattern(from_hex(&text("pattern"))),
            ("random", Some("aes256-ctr64le")) => Self::Aes(text("key")),
            ("random", Some("chacha20-ctr64")) => Self::ChaCha(text("key")),
            other => panic!("unknown plan entry {other:?} in {checkpoint}"),
        }
    }

    /// The bytes of a range.
    pub fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        match self {
            Self::Tags => tags(offset, length),
            Self::Zero => vec![0; length],
            Self::Pattern(pattern) => {
                let phase = usize::try_from(offset % pattern.len() as u64).unwrap();
                let mut bytes = pattern.repeat(length / pattern.len() + 2);
                bytes.drain(..phase);
                bytes.truncate(length);
                bytes
            }
            Self::Aes(key) => {
                let (first, last) = (offset / 16, (offset + length as u64).div_ceil(16));
                let mut counters = Vec::with_capacity(length + 64);
                for block in first..last {
                    counters.extend_from_slice(&block.to_le_bytes());
                    counters.extend_from_slice(&[0; 8]);
                }
                let args = ["enc", "-aes-256-ecb", "-nopad", "-nosalt", "-K", key];
                cut(openssl(&args, counters), offset % 16, length)
            }
            Self::ChaCha(key) => {
                // openssl's counter has 32 bits and its nonce 96; the first 32 of
                // them stand where the upper half of a 64-bit counter does.
                let block = offset / 64;
                let last = (offset + length as u64).div_ceil(64);
                assert_eq!(block >> 32, last >> 32, "crosses openssl's counter");
                let iv = format!("{:016x}{:016x}", block.swap_bytes(), 0);
                let zeros = vec![0; usize::try_from((last - block) * 64).unwrap()];
                let args = ["enc", "-chacha20", "-nosalt", "-K", key, "-iv", &iv];
                cut(openssl(&args, zeros), offset % 64, length)
            }
        }
    }
}

fn cut(mut bytes: Vec<u8>, skip: u64, length: usize) -> Vec<u8> {
    bytes.drain(..usize::try_from(skip).unwrap());
    bytes.truncate(length);
    assert_eq!(bytes.len(), length);
    bytes
}

fn openssl(args: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(args)
        .env("PATH", path_variable())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let mut output = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut output)
        .unwrap();
    feeder.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    output
}

pub fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// Streams that were already worked out: interruption tests look at the same
/// bytes hundreds of times.
#[derive(Default)]
pub struct Known(HashMap<String, Vec<u8>>);

impl Known {
    /// Fails unless `device` holds `content` from `start` to `end`.
    pub fn check(&mut self, device: &Path, size: u64, range: (u64, u64), content: &Content) {
        let (start, end) = range;
        if start >= end {
            return;
        }
        let all = self
            .0
            .entry(format!("{content:?}"))
            .or_insert_with(|| content.bytes(0, usize::try_from(size).unwrap()));
        let part = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        let found = read_range(device, start, part.len());
        compare(device, start, &found, &all[part], content);
    }
}

/// Fails unless `device` holds `content` from `start` to `end`.
pub fn check(device: &Path, start: u64, end: u64, content: &Content) {
    for (offset, length) in pieces(start, end) {
        let found = read_range(device, offset, length);
        compare(
            device,
            offset,
            &found,
            &content.bytes(offset, length),
            content,
        );
    }
}

fn compare(device: &Path, offset: u64, found: &[u8], expected: &[u8], content: &Content) {
    assert_eq!(
        found.len(),
        expected.len(),
        "short read of {}",
        device.display()
    );
    if found != expected {
        let at = found.iter().zip(expected).position(|(a, b)| a != b);
        let at = at.unwrap();
        let end = found.len().min(at + 16);
        let differing = found.iter().zip(expected).filter(|(a, b)| a != b).count();
        panic!(
            "{}: byte {} of {content:?}: found {:02x?}, expected {:02x?}; {differing} of {} bytes \
             from {offset} differ",
            device.display(),
            offset + at as u64,
            &found[at..end],
            &expected[at..end],
            found.len(),
        );
    }
}
