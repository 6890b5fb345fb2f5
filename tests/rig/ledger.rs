//! Long runs: `cargo test --test wipeit -- campaign NAME FROM..TO [LEDGER]`. What
//! each seed came to is a line of the ledger, so that a run of days goes on
//! where it stopped; a violation leaves its story, the disks and which program it
//! was.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command of its own, for people"
)]

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::campaign::{self, Coverage};
use super::kills;
use super::lab::Fs;
use super::machine;
use crate::support::run::PROGRAM;
use crate::support::sh;

const USAGE: &str = "campaign NAME FROM..TO [LEDGER]
  cuts   wipes that lose their power at moments drawn by the seed
  sweep  one wipe of each kind on each file system, cut at its event FROM..TO
  kills  wipes that get signals at moments drawn by the seed
  machine  cuts on real drivers, in the virtual machine";

/// Runs what the words ask for, one seed after the other.
pub fn run(words: &[String]) -> ExitCode {
    let (name, range, ledger) = match words {
        [name, range] => (name, range, None),
        [name, range, ledger] => (name, range, Some(PathBuf::from(ledger))),
        _ => return usage(),
    };
    let Some((from, to)) = range.split_once("..") else {
        return usage();
    };
    let (Ok(from), Ok(to)) = (from.parse::<u64>(), to.parse::<u64>()) else {
        return usage();
    };
    let one: fn(u64, &mut Coverage) -> Result<(), String> = match name.as_str() {
        "cuts" => campaign::random,
        "sweep" => every_kind_at,
        "machine" => machine::random,
        "kills" => |seed, _| kills::random(seed).map(drop),
        _ => return usage(),
    };
    let program = Program::here();
    let done = ledger.as_deref().map(|file| program.done(file, name));
    let done = done.unwrap_or_default();
    let (mut coverage, mut violations) = (Coverage::default(), 0);
    for seed in (from..to).filter(|seed| !done.contains(seed)) {
        let before = coverage.cuts();
        let result = one(seed, &mut coverage);
        let cuts = coverage.cuts() - before;
        if let Err(why) = &result {
            violations += 1;
            eprintln!("seed {seed}: {why}");
        }
        if let Some(file) = &ledger {
            program.note(file, name, (seed, cuts), result);
        }
    }
    println!("{}", coverage.table());
    println!("{} cuts, {violations} violations", coverage.cuts());
    ExitCode::from(u8::from(violations > 0))
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn every_kind_at(event: u64, coverage: &mut Coverage) -> Result<(), String> {
    for fs in Fs::ALL {
        for (name, options, bad) in campaign::kinds() {
            let job = campaign::small(fs, options, bad);
            campaign::at(&job, event, coverage).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(())
}

/// The program under test.
struct Program {
    commit: String,
    sha256: String,
}

impl Program {
    fn here() -> Self {
        let source = env!("CARGO_MANIFEST_DIR");
        let digest = sh!("sha256sum", PROGRAM);
        Self {
            commit: sh!("git", "-C", source, "describe", "--always", "--dirty"),
            sha256: digest.split(' ').next().unwrap_or_default().into(),
        }
    }

    /// The seeds that this very program has been through.
    fn done(&self, ledger: &Path, campaign: &str) -> HashSet<u64> {
        let text = std::fs::read_to_string(ledger).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["program"] == *self.sha256 && line["campaign"] == *campaign)
            .filter_map(|line| line["seed"].as_u64())
            .collect()
    }

    fn note(
        &self,
        ledger: &Path,
        campaign: &str,
        (seed, cuts): (u64, u64),
        result: Result<(), String>,
    ) {
        let line = json!({
            "commit": self.commit, "program": self.sha256, "campaign": campaign,
            "seed": seed, "cuts": cuts, "violation": result.err(),
        });
        let mut file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(ledger)
            .unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        file.sync_data().unwrap();
    }
}
