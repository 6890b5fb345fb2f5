//! Bugs that are planted in a build of its own: each has to be found by a
//! campaign within its seeds, in which nothing is found without it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::campaign::{self, Rig, Violation};
use super::{dock, far, kills, machine, states};
use crate::support::run::Wipe;

/// A campaign, one seed of it.
pub type Campaign = fn(u64, &mut Rig) -> Result<(), Violation>;

/// All of them.
pub const CAMPAIGNS: [(&str, Campaign); 11] = [
    ("cuts", campaign::random),
    ("fails", campaign::failing),
    ("sweep", campaign::every_kind_at),
    ("one-pass", campaign::one_pass_at),
    ("kills", kills::random),
    ("after-flush", kills::after_a_flush),
    ("dock", dock::random),
    ("far", far::random),
    ("states", states::random),
    ("crowd", states::crowd),
    ("machine", machine::random),
];

/// Which campaign finds a bug, within which seeds.
pub struct Planted {
    pub bug: &'static str,
    pub campaign: &'static str,
    pub seeds: std::ops::Range<u64>,
    /// Found within seconds: also in the tests.
    pub short: bool,
}

const fn by(
    bug: &'static str,
    campaign: &'static str,
    seeds: std::ops::Range<u64>,
    short: bool,
) -> Planted {
    Planted {
        bug,
        campaign,
        seeds,
        short,
    }
}

/// Every bug.
pub const ALL: &[Planted] = &[
    // One line each, around a save.
    by("no-device-sync", "cuts", 1..20, true),
    by("save-before-sync", "one-pass", 20..100, true),
    by("no-file-sync", "cuts", 2..60, true),
    by("no-folder-sync", "cuts", 1..40, true),
    by("no-first-save", "one-pass", 1..100, true),
    by("bound-times-3", "one-pass", 15..100, true),
    by("64k-ahead", "kills", 1..20, true),
    by("in-place", "after-flush", 1..100, true),
    by("removed-before-record", "one-pass", 60..110, true),
    // What was wrong once, as far as this rig can see it.
    by("record-not-durable", "one-pass", 60..110, true),
    by("no-room", "states", 7..40, true),
    by("removed-later", "states", 6..60, true),
    by("unbounded-lists", "crowd", 1..2, true),
    by("renamed-on-fat", "machine", 1..40, false),
    // What was never wrong, and is not to be.
    by("stop-without-save", "kills", 1..20, true),
    by("bad-in-silence", "cuts", 8..60, true),
    by("no-time-trigger", "far", 3..40, false),
    by("no-rewind", "fails", 1..40, true),
    by("no-proof", "dock", 30..90, false),
    by("no-compare", "dock", 15..60, true),
];

/// The build with planted bugs; made once.
pub fn program() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = env!("CARGO_MANIFEST_DIR");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let own = target.join("planted");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--locked", "--bin", "wipeit"])
            .current_dir(source)
            // What does not hang on it is taken from the other build.
            .env("CARGO_BUILD_BUILD_DIR", target)
            .env("CARGO_TARGET_DIR", &own)
            .env(
                "RUSTC_WORKSPACE_WRAPPER",
                format!("{source}/tests/rig/planted-rustc"),
            )
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the planted build: {said}");
        own.join("debug/wipeit")
    })
}

/// The same run with this bug, or of what is shipped.
pub fn chosen(wipe: Wipe, bug: Option<&str>) -> Wipe {
    match bug {
        Some(bug) => wipe.program(program()).env("WIPEIT_PLANTED", bug),
        None => wipe,
    }
}

impl Planted {
    fn campaign(&self) -> Campaign {
        let found = CAMPAIGNS.iter().find(|(name, _)| *name == self.campaign);
        found.unwrap().1
    }

    /// The seed that finds the bug, and how long that took.
    pub fn hunt(&self) -> Option<(u64, Duration)> {
        let begun = Instant::now();
        let mut rig = Rig {
            bug: Some(self.bug),
            ..Rig::default()
        };
        let found = |seed: &u64| (self.campaign())(*seed, &mut rig).is_err();
        let seed = self.seeds.clone().find(found)?;
        Some((seed, begun.elapsed()))
    }

    /// What is found without it within the same seeds, up to this one.
    pub fn control(&self, last: u64) -> Result<(), Violation> {
        let mut rig = Rig {
            bug: Some("none"),
            ..Rig::default()
        };
        (self.seeds.start..=last).try_for_each(|seed| (self.campaign())(seed, &mut rig))
    }
}
