//! Power cuts on this host: the rig's short forms.

use crate::rig::campaign::{self, Rig};
use crate::rig::lab::Fs;
use crate::rig::{kills, planted, states};
use crate::support::{Need, cases};

pub const CUTS: &[Need] = &[
    Need::Root,
    Need::Loop,
    Need::Fuse,
    Need::Tool("mkfs.ext4"),
    Need::Tool("mkfs.xfs"),
    Need::Tool("mkfs.btrfs"),
];

cases![
    CUTS => cuts_at_random_moments_lose_nothing,
    CUTS => a_cut_at_every_few_events_loses_nothing,
    CUTS => signals_at_random_moments_lose_nothing,
    CUTS => kills_while_a_checkpoint_is_saved_lose_nothing,
    CUTS => more_wrong_bytes_than_can_be_listed_are_saved_and_read,
    CUTS => a_state_directory_that_comes_to_harm_is_told_truly,
];

/// Seeds of a campaign, in which nothing may be wrong.
fn seeds(campaign: planted::Campaign, seeds: std::ops::Range<u64>) -> Rig {
    let mut rig = Rig::default();
    for seed in seeds {
        campaign(seed, &mut rig).unwrap_or_else(|why| panic!("{why}"));
    }
    rig
}

fn cuts_at_random_moments_lose_nothing() {
    let rig = seeds(campaign::random, 1..13);
    assert!(rig.coverage.cuts() > 10, "{}", rig.coverage.table());
}

fn a_cut_at_every_few_events_loses_nothing() {
    let mut rig = Rig::default();
    let (_, options, bad) = campaign::kinds()[0].clone();
    let job = campaign::small(Fs::Ext4, options, bad);
    let mut event = 1;
    // There are some 300.
    while event < 1000 && campaign::at(&job, event, &mut rig).unwrap_or_else(|why| panic!("{why}"))
    {
        event += 7;
    }
    let coverage = &rig.coverage;
    assert!(coverage.cuts() > 10, "{}", coverage.table());
    for step in ["temp written", "temp renamed"] {
        assert!(
            coverage.has(step),
            "no cut after {step}\n{}",
            coverage.table()
        );
    }
}

fn signals_at_random_moments_lose_nothing() {
    let rig = seeds(kills::random, 1..11);
    assert!(rig.hits + rig.kills > 10, "{} and {}", rig.hits, rig.kills);
}

fn a_state_directory_that_comes_to_harm_is_told_truly() {
    seeds(states::random, 0..12);
}

fn kills_while_a_checkpoint_is_saved_lose_nothing() {
    let rig = seeds(kills::after_a_flush, 1..3);
    assert!(rig.kills > 10, "{} were killed", rig.kills);
}

fn more_wrong_bytes_than_can_be_listed_are_saved_and_read() {
    seeds(states::crowd, 1..2);
}
