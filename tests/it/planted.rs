//! The rig finds bugs that are planted, each by its campaign; those that take
//! longer are `campaign planted`.

use std::sync::Mutex;

use super::cuts::CUTS;
use crate::rig::planted;
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
    // What chooses among them; a name of theirs may be compared as numbers.
    let choice = "WIPEIT_PLANTED";
    assert!(has(planted::program(), choice));
    let names = planted::ALL.iter().map(|planted| planted.bug);
    for text in names.chain([choice]) {
        assert!(!has(shipped, text), "{text} in what is shipped");
    }
}

fn planted_bugs_are_found() {
    // Most of the time is spent waiting for the kernel.
    let short = Mutex::new(planted::ALL.iter().filter(|planted| planted.short));
    let missed = Mutex::new(Vec::new());
    let next = || short.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(planted) = next() {
                    if planted.hunt().is_none() {
                        missed.lock().unwrap().push(planted.bug);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
