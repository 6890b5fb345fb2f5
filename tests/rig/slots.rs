//! What was saved on FAT, by the reference's sentences alone: a file and its copy
//! are written in turn, and that counts which is whole and has the higher number.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Of the files of a folder those that are no copies, each with what counts of
/// it.
pub fn whole(files: &[(PathBuf, Vec<u8>)], folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Option<u64>, Vec<u8>)> = Vec::new();
    let here = files
        .iter()
        .filter(|(path, _)| path.parent() == Some(folder));
    for (path, bytes) in here {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let copy = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".a").or_else(|| name.strip_suffix(".b")));
        let (number, bytes) = match slot(bytes) {
            Some((number, json)) => (Some(number), json),
            // A copy that is not whole is nothing.
            None if copy.is_some() => continue,
            None => (None, bytes.clone()),
        };
        let name = copy.unwrap_or(&name).to_string();
        match found.iter_mut().find(|(other, ..)| *other == name) {
            Some(other) if other.1 >= number => {}
            Some(other) => (other.1, other.2) = (number, bytes),
            None => found.push((name, number, bytes)),
        }
    }
    found.sort();
    found
        .into_iter()
        .map(|(name, _, bytes)| (name, bytes))
        .collect()
}

/// The number of a slot that is whole, and its JSON; what follows it is room.
fn slot(bytes: &[u8]) -> Option<(u64, Vec<u8>)> {
    let end = bytes.iter().position(|byte| *byte == b'}')?;
    let head = [&bytes[..=end], b"}"].concat();
    let head: Value = serde_json::from_slice(&head).ok()?;
    let slot = head.get("slot")?;
    let number = slot.get("sequence")?.as_u64()?;
    let length = usize::try_from(slot.get("length")?.as_u64()?).ok()?;
    let digest = slot.get("sha256")?.as_str()?;
    let body = bytes.get(end + 2..)?.get(..length)?;
    let mut hash = Sha256::new();
    hash.update(number.to_le_bytes());
    hash.update(body);
    let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
    let found = hash.finalize().iter().fold(String::new(), hex);
    (found == digest).then(|| (number, [b"{", body].concat()))
}
