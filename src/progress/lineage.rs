//! Which wipes of one drive still say what is on it, and how bad the worst of
//! them is. A new wipe writes down which ones it supersedes, so no clock is
//! asked: it may have been wrong, or set.

use std::collections::HashSet;

use super::checkpoint::Checkpoint;
use crate::outcome::Outcome;

/// So many run ids are carried on from files that are no longer there, the
/// newest; each takes some 40 bytes of every checkpoint.
const CARRIED: usize = 256;

/// The run ids that a new wipe of a drive supersedes: those of its other
/// wipes, as far as their files are there, and what these superseded. So the
/// list does not grow beyond the files, a file that is deleted from between
/// brings none before it back, and one that is put back is still superseded.
pub(crate) fn to_supersede<'a>(wipes: impl IntoIterator<Item = &'a Checkpoint>) -> Vec<String> {
    let wipes: Vec<&Checkpoint> = wipes.into_iter().collect();
    let here: HashSet<&str> = wipes.iter().map(|wipe| wipe.run_id()).collect();
    // Who superseded the most comes last.
    let mut by_age = wipes.clone();
    by_age.sort_by_key(|wipe| wipe.supersedes().len());
    let mut ids: Vec<&String> = by_age.iter().flat_map(|wipe| wipe.supersedes()).collect();
    // Each where it stands last, so that what is old stays in front.
    let mut seen = here;
    ids.reverse();
    ids.retain(|id| seen.insert(id));
    ids.truncate(CARRIED);
    let mut out: Vec<String> = ids.into_iter().rev().cloned().collect();
    for wipe in by_age {
        let id = wipe.run_id().to_string();
        if !out.contains(&id) {
            out.push(id);
        }
    }
    out
}

/// The run ids that these wipes of one drive supersede. Where that would leave
/// none of them, as files contradict each other, none is superseded.
pub(crate) fn superseded<'a>(wipes: impl IntoIterator<Item = &'a Checkpoint>) -> HashSet<String> {
    let wipes: Vec<&Checkpoint> = wipes.into_iter().collect();
    let ids: HashSet<String> = wipes
        .iter()
        .flat_map(|wipe| wipe.supersedes().iter().cloned())
        .collect();
    if wipes.iter().all(|wipe| ids.contains(wipe.run_id())) {
        return HashSet::new();
    }
    ids
}

/// The worse the outcome of a finished wipe, the higher.
pub(crate) fn severity(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Differs => 2,
        Outcome::NotClear => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Checkpoint;
    use super::*;
    use crate::drive::example::of_1000_bytes;
    use crate::plan::{Pass, Plan, Verify};
    use crate::strategy::Content;

    fn wipe(id: &str, supersedes: &[&str]) -> Checkpoint {
        let pass = Pass {
            content: Content::Zero,
            verify: Verify::None,
        };
        let plan = Plan::new(vec![pass]).unwrap();
        let mut wipe = Checkpoint::begin(
            of_1000_bytes(),
            plan,
            4096,
            id.into(),
            "2026-01-14T02:10:07Z",
        );
        *wipe.supersedes_mut() = supersedes.iter().map(|id| (*id).to_string()).collect();
        wipe
    }

    #[test]
    fn a_new_wipe_supersedes_all_and_what_they_superseded_once() {
        let wipes = [wipe("b", &["a"]), wipe("c", &["a", "b"])];
        assert_eq!(to_supersede(&wipes), ["a", "b", "c"]);
        assert!(to_supersede(&[]).is_empty());
    }

    #[test]
    fn a_drive_that_is_wiped_a_thousand_times_keeps_its_files_and_some_before() {
        // Every record but the last is deleted each time.
        let mut last = wipe("0", &[]);
        for number in 1..1000 {
            let ids = to_supersede([&last]);
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            last = wipe(&format!("{number:x}"), &ids);
        }
        assert_eq!(last.supersedes().len(), CARRIED + 1);
        assert_eq!(last.supersedes().last().unwrap(), &format!("{:x}", 998));
        assert!(last.supersedes().contains(&format!("{:x}", 998 - CARRIED)));
        // None is deleted: all stay.
        let mut wipes: Vec<Checkpoint> = Vec::new();
        for number in 0..600 {
            let ids = to_supersede(&wipes);
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            wipes.push(wipe(&format!("{number:x}"), &ids));
        }
        assert_eq!(superseded(&wipes).len(), 599);
        assert!(!superseded(&wipes).contains(wipes[599].run_id()));
    }

    #[test]
    fn wipes_that_supersede_each_other_all_count() {
        let wipes = [wipe("a", &["b"]), wipe("b", &["a"])];
        assert!(superseded(&wipes).is_empty());
        let wipes = [wipe("a", &["b"]), wipe("b", &[])];
        assert_eq!(superseded(&wipes), HashSet::from(["b".to_string()]));
    }
}
