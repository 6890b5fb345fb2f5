//! The place that `--report` names, besides the state directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use thiserror::Error;

use super::file::{can_write, create_durably, replace_as};
use super::slot;
use crate::drive::{path_from_text, path_to_text};
use crate::text::{reason, shown};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// As it was typed.
    pub typed: PathBuf,
    // absolute
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Folder,
    Json,
    Html,
}

/// Why there is no place for a report, with the remedy.
#[derive(Debug, Error)]
pub enum NoPlace {
    #[error(
        "{} is no folder, and does not end in .json or .html; end it in / to make a folder; for \
         PDF print the page",
        shown(.0)
    )]
    NoEnding(PathBuf),
    #[error("the checkpoint's is not understood; name another")]
    NotUnderstood,
    #[error("{} is no file; name another", shown(.0))]
    NoFile(PathBuf),
    #[error("{} is there already; name another, or a folder", shown(.0))]
    Taken(PathBuf),
    #[error("{} may lie on the target; name another", shown(.0))]
    OnTarget(PathBuf),
    #[error("{} cannot be written: {}; name another", shown(.0), reason(.1))]
    NotWritable(PathBuf, io::Error),
}

pub(crate) struct Files<'a> {
    /// Their name in a folder, without an ending.
    pub name: &'a str,
    /// What of the record can be handed out.
    pub json: &'a [u8],
    /// The page, where the record is kept as the file that it is told.
    pub html: &'a dyn Fn(Option<&Path>) -> String,
    /// The record in the state directory, where it could be kept.
    pub kept: Option<&'a Path>,
    /// Whether renaming is not durable there.
    pub in_place: bool,
}

impl Place {
    /// The place at a path: a folder that is there or whose name ends in a
    /// slash, or a file by its ending.
    pub(crate) fn new(typed: PathBuf) -> Result<Self, NoPlace> {
        let is_folder = typed.is_dir() || typed.as_os_str().as_encoded_bytes().ends_with(b"/");
        let form = match typed.extension() {
            _ if is_folder => Form::Folder,
            Some(end) if end.eq_ignore_ascii_case("json") => Form::Json,
            Some(end) if end.eq_ignore_ascii_case("html") => Form::Html,
            _ => return Err(NoPlace::NoEnding(typed)),
        };
        // A relative path would mean another place to the next run.
        match std::path::absolute(&typed) {
            Ok(path) => Ok(Self { typed, path, form }),
            Err(error) => Err(NoPlace::NotWritable(typed, error)),
        }
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, NoPlace> {
        let place = path_from_text(text).and_then(|path| Self::new(path).ok());
        place.ok_or(NoPlace::NotUnderstood)
    }

    pub(crate) fn to_text(&self) -> String {
        let text = path_to_text(&self.path);
        match self.form {
            Form::Folder => format!("{}/", text.trim_end_matches('/')),
            Form::Json | Form::Html => text,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        match self.form {
            Form::Folder => &self.path,
            Form::Json | Form::Html => self.path.parent().unwrap_or(Path::new("/")),
        }
    }

    /// Whether a report could be written here, as far as can be told without
    /// writing. A report of the wipe `run_id` may be replaced.
    pub(crate) fn check(&self, run_id: Option<&str>) -> Result<(), NoPlace> {
        let path = || self.path.clone();
        let mut folder = self.folder();
        if self.form == Form::Folder {
            // Only what was asked for is made, not what is above it: that may be a
            // disk that is not mounted.
            if fs::metadata(folder).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                folder = folder.parent().unwrap_or(folder);
            }
        } else {
            match fs::symlink_metadata(&self.path) {
                Ok(meta) if !meta.is_file() => return Err(NoPlace::NoFile(path())),
                // Another drive's report would be lost.
                Ok(meta) if meta.len() > 0 && !self.is_of(run_id) => {
                    return Err(NoPlace::Taken(path()));
                }
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(NoPlace::NotWritable(path(), error));
                }
                _ => {}
            }
        }
        can_write(folder).map_err(|error| NoPlace::NotWritable(folder.into(), error))
    }

    /// Whether the report that is there is of this wipe.
    fn is_of(&self, run_id: Option<&str>) -> bool {
        run_id.is_some_and(|run_id| {
            fs::read_to_string(&self.path).is_ok_and(|text| text.contains(run_id))
        })
    }

    pub(crate) fn deliver(&self, files: &Files) -> io::Result<Vec<PathBuf>> {
        let html = |record: Option<&Path>| (files.html)(record).into_bytes();
        let write = if files.in_place {
            slot::write_once
        } else {
            replace_as
        };
        match self.form {
            Form::Json => write(&self.path, files.json, SECRET)?,
            Form::Html => write(&self.path, &html(files.kept), PUBLIC)?,
            Form::Folder => {
                create_durably(&self.path)?;
                // Not with_extension: a name may have dots of its own.
                let name = format!("{}.json", files.name);
                let page = self.path.join(format!("{}.html", files.name));
                let json = self.path.join(&name);
                write(&json, files.json, SECRET)?;
                write(&page, &html(Some(Path::new(&name))), PUBLIC)?;
                return Ok(vec![page, json]);
            }
        }
        Ok(vec![self.path.clone()])
    }
}

/// The record says what stood on the drive before.
const SECRET: u32 = 0o600;
/// The page has nothing to hide; the user's mask applies.
const PUBLIC: u32 = 0o666;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_folder_or_a_file_by_its_ending() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Place::new(format!("{}{name}", folder.path().display()).into());
        assert_eq!(at("").unwrap().form, Form::Folder);
        assert_eq!(at("/new/").unwrap().form, Form::Folder);
        assert_eq!(at("/a.json").unwrap().form, Form::Json);
        assert_eq!(at("/a.HTML").unwrap().form, Form::Html);
        for name in ["/new", "/a.pdf", "/.json", "/a.html.txt"] {
            assert!(
                at(name).unwrap_err().to_string().contains(".json or .html"),
                "{name}"
            );
        }
        assert!(Place::new("a.html".into()).unwrap().path.is_absolute());
    }

    #[test]
    fn a_checkpoint_keeps_a_folder_a_folder_also_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path().into()).unwrap();
        let text = place.to_text();
        drop(folder);
        let again = Place::from_text(&text).unwrap();
        assert_eq!(again.form, Form::Folder);
        assert_eq!(again.to_text(), text);
    }

    #[test]
    fn what_cannot_be_written_is_known_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Place::new(folder.path().join(name)).unwrap();
        assert!(at("new/").check(None).is_ok());
        assert!(at("a.json").check(None).is_ok());
        assert!(at("new/a.json").check(None).is_err());
        assert!(at("not/new/").check(None).is_err());
        fs::write(folder.path().join("a.json"), b"").unwrap();
        assert!(at("a.json").check(None).is_ok());
        fs::write(folder.path().join("a.json"), b"old").unwrap();
        assert!(at("a.json").check(None).is_err());
        assert!(at("a.json").check(Some("0123")).is_err());
        fs::write(folder.path().join("a.json"), b"run 0123").unwrap();
        assert!(at("a.json").check(Some("0123")).is_ok());
        assert!(at("a.json/").check(Some("0123")).is_err());
    }
}
