//! The rig finds bugs that are planted, each by its campaign; those that take
//! longer are `campaign planted`.

use super::cuts::CUTS;
use crate::rig::planted::{self, Planted};
use crate::support::run::PROGRAM;
use crate::support::{NOTHING, cases};

cases![
    NOTHING => what_is_shipped_has_no_planted_bug,
    CUTS => planted_bugs_are_found,
];

fn has(program: &std::path::Path, text: &str) -> bool {
    let bytes = std::fs::read(program).unwrap();
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn what_is_shipped_has_no_planted_bug() {
    let shipped = std::path::Path::new(PROGRAM);
    let names = planted::ALL.iter().map(|planted| planted.bug);
    for text in names.chain(["WIPEIT_PLANTED"]) {
        assert!(
            has(planted::program(), text),
            "no {text} in the planted build"
        );
        assert!(!has(shipped, text), "{text} in what is shipped");
    }
}

fn planted_bugs_are_found() {
    let short = planted::ALL.iter().filter(|planted| planted.short);
    let missed: Vec<&str> = short
        .filter(|planted| planted.hunt().is_none())
        .map(|planted: &Planted| planted.bug)
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
