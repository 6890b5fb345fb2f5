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
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::campaign::Rig;
use super::planted::{self, CAMPAIGNS, Campaign};
use crate::support::run::PROGRAM;
use crate::support::sh;

const USAGE: &str = "campaign NAME FROM..TO [LEDGER]
  cuts         wipes that lose their power at moments drawn by the seed
  fails        the same, where a flush of the drive fails first
  sweep        one wipe of each kind on each file system, cut at its event FROM..TO
  one-pass     the same of one pass on ext4
  kills        wipes that get signals at moments drawn by the seed
  after-flush  wipes that are killed while a checkpoint is saved
  dock         wipes whose drive alone loses its power
  far          large targets at the defaults, near their end
  states       state directories that are full, tiny, removed, read-only or shared
  crowd        more wrong bytes than anybody can list
  machine      cuts on real drivers, in the virtual machine
campaign planted [LEDGER [BUG]]
  whether every planted bug, or this one, is found, and nothing without it";

/// Runs what the words ask for, one seed after the other.
pub fn run(words: &[String]) -> ExitCode {
    match words {
        [name, rest @ ..] if name == "planted" && rest.len() <= 2 => Some(planted_bugs(
            rest.first().map(Path::new),
            rest.get(1).map(String::as_str),
        )),
        [name, range] => seeds(name, range, None),
        [name, range, ledger] => seeds(name, range, Some(Path::new(ledger))),
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

fn seeds(name: &str, range: &str, ledger: Option<&Path>) -> Option<ExitCode> {
    let (from, to) = range.split_once("..")?;
    let (from, to) = (from.parse::<u64>().ok()?, to.parse::<u64>().ok()?);
    let one: Campaign = CAMPAIGNS.iter().find(|(known, _)| *known == name)?.1;
    let program = Program::here();
    let done = ledger.map(|file| program.done(file, name));
    let done = done.unwrap_or_default();
    let mut rig = Rig {
        keep: ledger.map(|file| file.with_extension("kept")),
        ..Rig::default()
    };
    let mut violations = 0;
    for seed in (from..to).filter(|seed| !done.contains(seed)) {
        let before = (rig.coverage.cuts(), rig.hits, rig.kills);
        let result = one(seed, &mut rig);
        let made = json!({
            "cuts": rig.coverage.cuts() - before.0,
            "hits": rig.hits - before.1,
            "kills": rig.kills - before.2,
        });
        if let Err(why) = &result {
            violations += 1;
            eprintln!("{name}, seed {seed}: {why}");
        }
        if let Some(file) = ledger {
            program.note(file, name, seed, made, result);
        }
    }
    println!("{}", rig.coverage.table());
    println!(
        "{name} {range}: {} cuts, {} runs ended by a signal, {} harmless signals and other harm, {violations} violations",
        rig.coverage.cuts(),
        rig.kills,
        rig.hits
    );
    Some(ExitCode::from(u8::from(violations > 0)))
}

/// Looks for every planted bug or for one, and for what is found without them.
fn planted_bugs(ledger: Option<&Path>, only: Option<&str>) -> ExitCode {
    let mut wrong = 0;
    println!("bug                    campaign     seeds    found at  seconds  without it");
    let wanted = |planted: &&planted::Planted| only.is_none_or(|only| only == planted.bug);
    for planted in planted::ALL.iter().filter(wanted) {
        let found = planted.hunt();
        let control = planted.control(found.map_or(planted.seeds.end - 1, |(seed, _)| seed));
        wrong += u32::from(found.is_none() || control.is_err());
        let (seed, time) = found.map_or(("-".into(), 0.0), |(seed, time)| {
            (seed.to_string(), time.as_secs_f64())
        });
        let range = format!("{}..{}", planted.seeds.start, planted.seeds.end);
        println!(
            "{:<22} {:<12} {range:<8} {seed:>8} {time:>8.1}  {}",
            planted.bug,
            planted.campaign,
            if control.is_ok() {
                "nothing"
            } else {
                "a violation"
            }
        );
        if let Err(why) = &control {
            eprintln!("{}: without it: {why}", planted.bug);
        }
        if let Some(file) = ledger {
            let line = json!({
                "bug": planted.bug, "campaign": planted.campaign, "seeds": range,
                "found_at": seed, "seconds": time, "control": control.err(),
            });
            Program::here().append(file, line);
        }
    }
    ExitCode::from(u8::from(wrong > 0))
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
        seed: u64,
        mut line: Value,
        result: Result<(), String>,
    ) {
        line["campaign"] = campaign.into();
        line["seed"] = seed.into();
        line["violation"] = result.err().into();
        self.append(ledger, line);
    }

    fn append(&self, ledger: &Path, mut line: Value) {
        line["commit"] = self.commit.as_str().into();
        line["program"] = self.sha256.as_str().into();
        let mut file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(ledger)
            .unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        file.sync_data().unwrap();
    }
}
