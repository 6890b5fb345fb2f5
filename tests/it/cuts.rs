//! Power cuts on this host: the rig's short forms.

use crate::rig::campaign::{self, Coverage};
use crate::rig::kills;
use crate::rig::lab::Fs;
use crate::support::{Need, cases};

const CUTS: &[Need] = &[
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
];

fn cuts_at_random_moments_lose_nothing() {
    let mut coverage = Coverage::default();
    for seed in 1..=12 {
        campaign::random(seed, &mut coverage).unwrap_or_else(|why| panic!("{why}"));
    }
    assert!(coverage.cuts() > 10, "{}", coverage.table());
}

fn a_cut_at_every_few_events_loses_nothing() {
    let mut coverage = Coverage::default();
    let (_, options, bad) = campaign::kinds()[0].clone();
    let job = campaign::small(Fs::Ext4, options, bad);
    let mut event = 1;
    while campaign::at(&job, event, &mut coverage).unwrap_or_else(|why| panic!("{why}")) {
        event += 7;
    }
    assert!(coverage.cuts() > 10, "{}", coverage.table());
}

fn signals_at_random_moments_lose_nothing() {
    let hits = (1..=10).map(|seed| kills::random(seed).unwrap_or_else(|why| panic!("{why}")));
    let hits: u64 = hits.sum();
    assert!(hits > 10, "{hits} signals hit");
}
