//! One of the two files that hold what is saved where renaming is not durable; see
//! [`slots`](super::slots). It begins with its sequence number and its SHA-256, as a
//! member of the JSON object that it holds, and ends with spaces.

use super::file::sync_name;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

const HEAD: &str = "{\n  \"slot\": {\"sequence\": ";

/// Files are a multiple of so many bytes.
const GRAIN: usize = 4096;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// A slot: its sequence number, and what was saved.
    Whole(u64, Vec<u8>),
    /// A slot whose SHA-256 is of something else.
    Torn(Vec<u8>),
    Plain(Vec<u8>),
}

/// The bytes of a slot, without the spaces at its end.
pub(super) fn encode(sequence: u64, json: &[u8]) -> io::Result<Vec<u8>> {
    let body = json.strip_prefix(b"{").ok_or(ErrorKind::InvalidInput)?;
    let (length, digest) = (body.len(), digest(sequence, body));
    let head = format!("{HEAD}{sequence}, \"length\": {length}, \"sha256\": \"{digest}\"}},");
    Ok([head.as_bytes(), body].concat())
}

fn digest(sequence: u64, body: &[u8]) -> String {
    let mut hash = Sha256::new_with_prefix(sequence.to_le_bytes());
    hash.update(body);
    hex::encode(hash.finalize())
}

pub(super) fn decode(bytes: Vec<u8>) -> Held {
    if !bytes.starts_with(HEAD.as_bytes()) {
        return Held::Plain(bytes);
    }
    match whole(&bytes) {
        Some((sequence, json)) => Held::Whole(sequence, json),
        None => Held::Torn(bytes),
    }
}

fn whole(bytes: &[u8]) -> Option<(u64, Vec<u8>)> {
    let rest = bytes.strip_prefix(HEAD.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b'}')?;
    let head = std::str::from_utf8(&rest[..end]).ok()?;
    let (sequence, head) = head.split_once(", \"length\": ")?;
    let (length, head) = head.split_once(", \"sha256\": \"")?;
    let sequence: u64 = sequence.parse().ok()?;
    let body = rest.get(end + 2..)?.get(..length.parse().ok()?)?;
    let fits = rest[end + 1] == b',' && head.strip_suffix('"')? == digest(sequence, body);
    fits.then(|| (sequence, [b"{", body].concat()))
}

pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Removes the entry of a file; its clusters are free once what is given back
/// is dropped.
pub(super) fn unlink(path: &Path) -> io::Result<Option<File>> {
    // A pipe would wait for somebody.
    let is_file = fs::symlink_metadata(path)?.is_file();
    let open = is_file.then(|| File::open(path).ok()).flatten();
    fs::remove_file(path).map(|()| open)
}

/// Removes one file, durably; none is no failure.
pub(super) fn remove_one(path: &Path) -> io::Result<()> {
    match unlink(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        open => {
            let _open = open?;
            sync_name(path)
        }
    }
}

/// Makes a file under its final name, durably. Until that is done it may be
/// there in part.
/// Where that fails nothing is left of it.
pub(super) fn write_once(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    make(path, bytes, mode).map(drop)
}

pub(super) fn make(path: &Path, bytes: &[u8], mode: u32) -> io::Result<File> {
    remove_one(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    let written = file
        .write_all_at(bytes, 0)
        .and_then(|()| sync_name(path))
        .and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok(file),
        Err(error) => {
            drop(file);
            // What is left of it would only fill the disk further.
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) path: PathBuf,
    /// To write to, and how many bytes it has; `None` where it has to be made
    /// anew.
    pub(super) open: Option<(File, usize)>,
    /// Of what it holds durably; `None` where that is nothing whole.
    pub(super) sequence: Option<u64>,
}

impl Slot {
    pub(super) fn find(path: PathBuf) -> Self {
        let found = || -> io::Result<(File, usize, Held)> {
            if !fs::symlink_metadata(&path)?.is_file() {
                return Err(ErrorKind::InvalidData.into());
            }
            let bytes = fs::read(&path)?;
            let file = OpenOptions::new().write(true).open(&path)?;
            Ok((file, bytes.len(), decode(bytes)))
        };
        let (open, sequence) = match found() {
            Ok((file, length, Held::Whole(sequence, _))) => (Some((file, length)), Some(sequence)),
            // Of another kind: it is kept until the copy is whole.
            Ok((_, _, Held::Plain(bytes))) => (None, is_json(&bytes).then_some(0)),
            // Nobody knows what else of it was torn.
            Ok((_, _, Held::Torn(_))) | Err(_) => (None, None),
        };
        Self {
            path,
            open,
            sequence,
        }
    }

    pub(super) fn has_room(&self, image: &[u8]) -> bool {
        let room = self.open.as_ref().map_or(0, |(_, room)| *room);
        room > image.len()
    }

    pub(super) fn overwrite(&mut self, image: &[u8], sequence: u64) -> io::Result<()> {
        // Whatever fails from here on, it is not what it was.
        self.sequence = None;
        let Some((file, room)) = self.open.take() else {
            return Err(ErrorKind::NotFound.into());
        };
        file.write_all_at(&padded(image, room), 0)?;
        // Nothing but its content changes.
        file.sync_data()?;
        self.open = Some((file, room));
        self.sequence = Some(sequence);
        Ok(())
    }

    /// Makes it anew, with more room than it needs now.
    pub(super) fn make(&mut self, image: &[u8], sequence: u64) -> io::Result<()> {
        (self.open, self.sequence) = (None, None);
        let room = room_for(image.len());
        let file = make(&self.path, &padded(image, room), 0o600)?;
        self.open = Some((file, room));
        self.sequence = Some(sequence);
        Ok(())
    }
}

/// Bytes of a file for so many that it holds: a quarter more, as every sample
/// adds some.
fn room_for(length: usize) -> usize {
    (length + length / 4 + 512).next_multiple_of(GRAIN)
}

pub(super) fn padded(image: &[u8], room: usize) -> Vec<u8> {
    let mut bytes = image.to_vec();
    bytes.resize(room.max(image.len() + 1) - 1, b' ');
    bytes.push(b'\n');
    bytes
}
