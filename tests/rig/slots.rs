//! What was saved on FAT, by the reference's sentences alone: a file and its copy
//! are written in turn, and that counts which is whole and has the higher number.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Of the files of a folder those that are no copies, each with what counts of
/// it.
pub fn whole(files: &[(PathBuf, Vec<u8>)], folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Option<u64>, Vec<u8>)> = Vec::new();
    for (path, bytes) in files
        .iter()
        .filter(|(path, _)| path.parent() == Some(folder))
    {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let copy = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".a").or_else(|| name.strip_suffix(".b")));
        let number = number(bytes);
        // A copy that is not whole is nothing.
        if copy.is_some() && number.is_none() {
            continue;
        }
        let name = copy.unwrap_or(&name).to_string();
        match found.iter_mut().find(|(other, ..)| *other == name) {
            Some(other) if other.1 >= number => {}
            Some(other) => (other.1, other.2) = (number, bytes.clone()),
            None => found.push((name, number, bytes.clone())),
        }
    }
    found.sort();
    found
        .into_iter()
        .map(|(name, _, bytes)| (name, bytes))
        .collect()
}

/// The number of a slot that is whole.
fn number(bytes: &[u8]) -> Option<u64> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let slot = value.get("slot")?;
    let number = slot.get("sequence")?.as_u64()?;
    let length = usize::try_from(slot.get("length")?.as_u64()?).ok()?;
    let digest = slot.get("sha256")?.as_str()?;
    // It follows the first member of the object.
    let body = bytes.iter().position(|byte| *byte == b'}')? + 2;
    let mut hash = Sha256::new();
    hash.update(number.to_le_bytes());
    hash.update(bytes.get(body..body + length)?);
    let found = hash
        .finalize()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    (found == digest).then_some(number)
}
