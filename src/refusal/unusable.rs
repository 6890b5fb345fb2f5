//! A file of the state directory that is of no use.

use std::path::PathBuf;

use crate::progress::{Invalid, LoadError};
use crate::text::{reason, shown};

/// Of what a refusal speaks, and what is said of a file that is of no use: the
/// checkpoint or record of a wipe.
#[derive(Debug)]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: LoadError,
}

impl Unusable {
    /// Why it is not used, as `FILE: fact; remedy`.
    pub fn text(&self) -> String {
        let path = shown(&self.path);
        let why = match &self.error {
            LoadError::Unreadable(error) => format!("cannot be read: {}", reason(error)),
            LoadError::Empty => "holds nothing, as a loss of power leaves a file, and names no \
                                 drive; rm it unless you can put it back from a backup"
                .into(),
            LoadError::Invalid { why, .. } => {
                let remedy = match why {
                    Invalid::Corrupt(_) => "put it back from a backup, if there is one",
                    Invalid::Newer(_) => "use a newer wipeit",
                    Invalid::Keyless(_) => "put them back from a backup, if there is one",
                };
                format!("{why}; {remedy}")
            }
        };
        format!("{path}: {why}; it is left as it is")
    }
}
