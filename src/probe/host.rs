//! Where the kernel's files are. What is asked of them stands beside the answers:
//! `target` (whether and what a path is), `beside`, `computer`, `denied`, `durability`,
//! `gone`, `locked`, `unseen`.

use std::path::PathBuf;

/// Where the kernel's files are; other roots in tests.
#[derive(Debug, Clone)]
pub struct Host {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
}

impl Host {
    pub fn real() -> Self {
        Self {
            sys: "/sys".into(),
            proc: "/proc".into(),
            dev: "/dev".into(),
        }
    }
}
