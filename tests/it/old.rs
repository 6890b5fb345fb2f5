//! Files of wipeit 0.1.0, which its binary wrote (`old/`): they are read, continued
//! and checked as they are. What was on the drive is made again from their keys.

use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::content::{Content, check};
use crate::support::state::{keys_of, number, read, unchanged};
use crate::support::{OPENSSL, Scratch, cases};

cases![
    OPENSSL => a_record_of_0_1_0_is_checked_and_ensured_and_stays_as_it_is,
    OPENSSL => what_is_handed_out_of_a_record_of_0_1_0_has_no_keys,
    OPENSSL => a_checkpoint_of_0_1_0_is_continued,
    OPENSSL => a_new_record_without_its_keys_is_said_to_be_and_nothing_is_written,
];

const RECORD: &[u8] = include_bytes!("old/record.json");
const CHECKPOINT: &[u8] = include_bytes!("old/checkpoint.json");

/// An image as this file says that it is, and the file in its folder.
fn kept(scratch: &Scratch, folder: &str, bytes: &[u8]) -> (PathBuf, PathBuf, Value) {
    let value: Value = serde_json::from_slice(bytes).unwrap();
    let image = scratch.tagged("old.img", number(&value, "total_size"));
    let written = usize::try_from(number(&value, "written")).unwrap();
    let file = std::fs::File::options().write(true).open(&image).unwrap();
    file.write_all_at(&Content::of(&value, 1).bytes(0, written), 0)
        .unwrap();
    file.sync_all().unwrap();
    let folder = scratch.state().path().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("old.img-01234567.json");
    // It is the same image in the same place.
    let (backing, inode) = (
        &value["device_id"]["backing"],
        file.metadata().unwrap().ino(),
    );
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let text = text.replace(backing["path"].as_str().unwrap(), image.to_str().unwrap());
    let text = text.replace(&backing["inode"].to_string(), &inode.to_string());
    std::fs::write(&path, text).unwrap();
    (image, path, value)
}

fn a_record_of_0_1_0_is_checked_and_ensured_and_stays_as_it_is() {
    let scratch = Scratch::new();
    let (image, path, value) = kept(&scratch, "reports", RECORD);
    assert_eq!(value["kind"], "wipeit-checkpoint");
    unchanged(&[&image, &path], || {
        let done = scratch.wipe(&image).arg("--check").code(0);
        assert!(done.stdout.starts_with("CHECKED "), "{done:?}");
        let done = scratch.wipe(&image).words("--ensure --yes").code(0);
        done.says(&["was wiped on 2026-11-28", "nothing was written"]);
    });
    // One changed byte is found by both.
    let file = std::fs::File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"new data", 4096).unwrap();
    drop(file);
    scratch.wipe(&image).arg("--check").code(5);
    let done = scratch.wipe(&image).words("--ensure --yes").code(4);
    done.one_line().says(&["written to since"]);
}

fn what_is_handed_out_of_a_record_of_0_1_0_has_no_keys() {
    let scratch = Scratch::new();
    let (image, _, value) = kept(&scratch, "reports", RECORD);
    let key = value["plan"][0]["key"].as_str().unwrap();
    for name in ["r.json", "r.html"] {
        let wipe = scratch.wipe(&image).words("--ensure --yes --report");
        wipe.arg(name).code(0);
        let text = std::fs::read_to_string(scratch.join(name)).unwrap();
        assert!(text.contains("d41491b2") && !text.contains(key), "{text}");
    }
    let record = read(&scratch.join("r.json"));
    assert_eq!(record["kind"], "wipeit-record");
    assert_eq!(record["outcome"], "WIPED");
}

fn a_checkpoint_of_0_1_0_is_continued() {
    let scratch = Scratch::new();
    let (image, path, value) = kept(&scratch, "pending", CHECKPOINT);
    let size = number(&value, "total_size");
    let done = scratch.wipe(&image).words("--resume --yes").code(0);
    done.says(&["continues at 39."]).wiped(&image, size);
    check(&image, 0, size, &Content::of(&value, 1));
    assert!(!path.exists());
    let record = scratch.state().report();
    assert_eq!(record["run_id"], value["run_id"]);
    assert_eq!(record["plan"], value["plan"]);
    assert_eq!(record["runs"].as_array().unwrap().len(), 2);
    scratch.wipe(&image).arg("--check").code(0);
}

fn a_new_record_without_its_keys_is_said_to_be_and_nothing_is_written() {
    let of_another = |keys: &Path| {
        let mut all: Value = serde_json::from_slice(&std::fs::read(keys).unwrap()).unwrap();
        all["record_sha256"] = "0".repeat(64).into();
        all.to_string()
    };
    for why in ["no such file", "no whole file of keys", "another SHA-256"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", 1 << 20);
        scratch.wipe(&image).yes().code(0);
        let keys = keys_of(&scratch.state().reports()[0]);
        match why {
            "no such file" => std::fs::remove_file(&keys).unwrap(),
            "another SHA-256" => std::fs::write(&keys, of_another(&keys)).unwrap(),
            _ => std::fs::write(&keys, "{").unwrap(),
        }
        unchanged(&[&image, scratch.state().path()], || {
            for option in ["--check", "--ensure"] {
                let done = scratch.wipe(&image).yes().arg(option).code(4);
                let keys = keys.to_str().unwrap();
                done.one_line().says(&[keys, why, "--restart"]);
            }
        });
    }
}
