//! The place that `--report` names, besides the state directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::unistd::{AccessFlags, access};

use super::file::{create_durably, replace_as};
use super::slot;
use crate::drive::{path_from_text, path_to_text};
use crate::text::shown;

/// A place for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
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

/// The files of a report.
pub struct Files<'a> {
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
    ///
    /// # Errors
    /// Why it is none, with the remedy; after the path.
    pub fn new(path: &Path) -> Result<Self, String> {
        let form = if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            Form::Folder
        } else {
            match path.extension() {
                Some(end) if end.eq_ignore_ascii_case("json") => Form::Json,
                Some(end) if end.eq_ignore_ascii_case("html") => Form::Html,
                _ => {
                    return Err(
                        "is no folder, and does not end in .json or .html; end it in / to make a \
                         folder; for PDF print the page"
                            .into(),
                    );
                }
            }
        };
        // A relative path would mean another place to the next run.
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        Ok(Self { path, form })
    }

    /// The place that a checkpoint names; `None` when it makes no sense.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::new(&path_from_text(text)?).ok()
    }

    /// As it is kept in a checkpoint.
    pub fn to_text(&self) -> String {
        let text = path_to_text(&self.path);
        match self.form {
            Form::Folder => format!("{}/", text.trim_end_matches('/')),
            Form::Json | Form::Html => text,
        }
    }

    /// The folder that files are written to.
    pub fn folder(&self) -> &Path {
        match self.form {
            Form::Folder => &self.path,
            Form::Json | Form::Html => self.path.parent().unwrap_or(Path::new("/")),
        }
    }

    /// Whether something else is here, which no later attempt would change. A
    /// report of the wipe `run_id` may be replaced.
    ///
    /// # Errors
    /// What is, with the remedy.
    pub fn is_free(&self, run_id: Option<&str>) -> Result<(), String> {
        if self.form == Form::Folder {
            return Ok(());
        }
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if !meta.is_file() => {
                Err(format!("{} is no file; name another", shown(&self.path)))
            }
            // Another drive's report would be lost.
            Ok(meta) if meta.len() > 0 && !self.is_of(run_id) => Err(format!(
                "{} is there already; name another, or a folder",
                shown(&self.path)
            )),
            _ => Ok(()),
        }
    }

    /// Whether a report could be written here, as far as can be told without
    /// writing. A report of the wipe `run_id` may be replaced.
    ///
    /// # Errors
    /// Why not, with the remedy.
    pub fn check(&self, run_id: Option<&str>) -> Result<(), String> {
        let failed = |path: &Path, error: io::Error| {
            let why = crate::text::reason(&error);
            format!("{} cannot be written: {why}; name another", shown(path))
        };
        self.is_free(run_id)?;
        if self.form != Form::Folder
            && let Err(error) = fs::symlink_metadata(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(failed(&self.path, error));
        }
        for path in self.folder().ancestors() {
            match fs::metadata(path) {
                Ok(meta) if !meta.is_dir() => {
                    return Err(failed(path, ErrorKind::NotADirectory.into()));
                }
                Ok(_) => {
                    return access(path, AccessFlags::W_OK | AccessFlags::X_OK)
                        .map_err(|error| failed(path, error.into()));
                }
                // Only what was asked for is made, not what is above it: that
                // may be a disk that is not mounted.
                Err(error)
                    if error.kind() == ErrorKind::NotFound
                        && self.form == Form::Folder
                        && path == self.folder() => {}
                Err(error) => return Err(failed(path, error)),
            }
        }
        Ok(())
    }

    /// Whether the report that is there is of this wipe.
    fn is_of(&self, run_id: Option<&str>) -> bool {
        run_id.is_some_and(|run_id| {
            fs::read_to_string(&self.path).is_ok_and(|text| text.contains(run_id))
        })
    }

    /// Writes the report durably.
    pub fn deliver(&self, files: &Files) -> io::Result<Vec<PathBuf>> {
        let html = |record: Option<&Path>| (files.html)(record).into_bytes();
        let write = if files.in_place {
            slot::write_once
        } else {
            replace_as
        };
        match self.form {
            Form::Json => {
                write(&self.path, files.json, SECRET)?;
                Ok(vec![self.path.clone()])
            }
            Form::Html => {
                write(&self.path, &html(files.kept), PUBLIC)?;
                Ok(vec![self.path.clone()])
            }
            Form::Folder => {
                create_durably(&self.path)?;
                let path = |end: &str| self.path.join(format!("{}.{end}", files.name));
                let (json, page) = (path("json"), path("html"));
                // Not with_extension: a name may have dots of its own.
                let name = format!("{}.json", files.name);
                write(&json, files.json, SECRET)?;
                write(&page, &html(Some(Path::new(&name))), PUBLIC)?;
                Ok(vec![page, json])
            }
        }
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
        let at = |name: &str| Place::new(Path::new(&format!("{}{name}", folder.path().display())));
        assert_eq!(at("").unwrap().form, Form::Folder);
        assert_eq!(at("/new/").unwrap().form, Form::Folder);
        assert_eq!(at("/a.json").unwrap().form, Form::Json);
        assert_eq!(at("/a.HTML").unwrap().form, Form::Html);
        for name in ["/new", "/a.pdf", "/.json", "/a.html.txt"] {
            assert!(at(name).unwrap_err().contains(".json or .html"), "{name}");
        }
        assert!(Place::new(Path::new("a.html")).unwrap().path.is_absolute());
    }

    #[test]
    fn a_checkpoint_keeps_a_folder_a_folder_also_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path()).unwrap();
        let text = place.to_text();
        drop(folder);
        let again = Place::from_text(&text).unwrap();
        assert_eq!(again.form, Form::Folder);
        assert_eq!(again.to_text(), text);
    }

    #[test]
    fn what_cannot_be_written_is_known_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Place::new(&folder.path().join(name)).unwrap();
        assert_eq!(at("new/").check(None), Ok(()));
        assert_eq!(at("a.json").check(None), Ok(()));
        assert!(at("new/a.json").check(None).is_err());
        assert!(at("not/new/").check(None).is_err());
        fs::write(folder.path().join("a.json"), b"").unwrap();
        assert_eq!(at("a.json").check(None), Ok(()));
        fs::write(folder.path().join("a.json"), b"old").unwrap();
        assert!(at("a.json").check(None).is_err());
        assert!(at("a.json").check(Some("0123")).is_err());
        fs::write(folder.path().join("a.json"), b"run 0123").unwrap();
        assert_eq!(at("a.json").check(Some("0123")), Ok(()));
        assert!(at("a.json/").check(Some("0123")).is_err());
    }
}
