//! The engine against a fake drive under fault schedules.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::ended::{End, Ended};
use super::event::Event;
use super::fake::{FakeControl, FakeDrive, FakeJournal, Faults, Recorder};
use super::parts::Engine;
use super::proof::Proof;
use super::run::run as run_engine;
use super::state::{MAX_INTERVAL, MIN_CHUNK, Settings, State};
use crate::plan::example::difference;
use crate::plan::{BadState, Extent, ExtentMap, Pass, Phase, Plan, Step, Verify, Wrap};
use crate::strategy;
use crate::strategy::{Content, Generator, KEY_BYTES, Key};
use crate::text::{MIB, size};

fn random(verify: bool) -> Plan {
    random_with(if verify { Verify::Full } else { Verify::None })
}

fn random_with(verify: Verify) -> Plan {
    let content = Content::Random {
        generator: Generator::Aes256,
        key: Key::new([3; KEY_BYTES]),
    };
    Plan::new(vec![Pass { content, verify }]).unwrap()
}

fn settings() -> Settings {
    Settings::new(MIN_CHUNK, 3, MIB, None)
}

fn run(
    plan: &Plan,
    settings: Settings,
    drive: &FakeDrive,
    state: State,
    stop_at: Option<u64>,
) -> (Ended, Vec<State>, Vec<Event>) {
    let check = |state: &State| check_saved(plan, drive, state);
    let mut journal = FakeJournal::new(&check);
    let observer = Recorder::default();
    let control = FakeControl {
        stop_at,
        ..FakeControl::default()
    };
    let engine = Engine {
        plan,
        settings,
        target: drive,
        observer: &observer,
        control: &control,
    };
    let ended = run_engine(&engine, state, &mut journal);
    let events = observer.0.into_inner().unwrap();
    (ended, journal.saved, events)
}

/// Runs a plan without a look at what is saved.
fn run_plain(
    plan: &Plan,
    settings: Settings,
    drive: &FakeDrive,
    state: State,
) -> (Ended, Vec<State>, Vec<Event>) {
    run_plain_under(&FakeControl::default(), plan, settings, drive, state)
}

/// The same under this clock.
fn run_plain_under(
    control: &FakeControl,
    plan: &Plan,
    settings: Settings,
    drive: &FakeDrive,
    state: State,
) -> (Ended, Vec<State>, Vec<Event>) {
    let mut journal = FakeJournal::new(&|_| {});
    let observer = Recorder::default();
    let engine = Engine {
        plan,
        settings,
        target: drive,
        observer: &observer,
        control,
    };
    let ended = run_engine(&engine, state, &mut journal);
    let events = observer.0.into_inner().unwrap();
    (ended, journal.saved, events)
}

/// Runs a plan from its start while these saves (counted from 0) fail.
fn run_with_saves_failing(
    plan: &Plan,
    drive: &FakeDrive,
    failing: BTreeSet<u64>,
    check: &(dyn Fn(&State) + Sync),
) -> (Ended, Vec<Event>) {
    let mut journal = FakeJournal::new(check);
    journal.failing = failing;
    let (observer, control) = (Recorder::default(), FakeControl::default());
    let engine = Engine {
        plan,
        settings: settings(),
        target: drive,
        observer: &observer,
        control: &control,
    };
    let ended = run_engine(&engine, State::start(), &mut journal);
    (ended, observer.0.into_inner().unwrap())
}

/// Promise 3: everything that a saved checkpoint claims survives a power cut
/// at this very moment.
fn check_saved(plan: &Plan, drive: &FakeDrive, state: &State) {
    check_saved_within(plan, drive, state, MIB);
}

/// The same of a run with so many bytes between its checkpoints.
pub(crate) fn check_saved_within(plan: &Plan, drive: &FakeDrive, state: &State, interval: u64) {
    let platter = drive.after_power_cut();
    let position = usize::try_from(state.position).unwrap();
    let (pass, claimed) = match state.step {
        // Nothing of this pass is claimed; the one before is there beyond the
        // interval.
        step if step.phase == Phase::Write && step.pass > 0 && position == 0 => (
            step.pass - 1,
            size::memory(interval).min(platter.len())..platter.len(),
        ),
        step if step.phase == Phase::Write => (step.pass, 0..position),
        step => (step.pass, 0..platter.len()),
    };
    let wrong = wrong_bytes(plan, pass, claimed.start as u64, &platter[claimed]);
    for at in wrong {
        assert!(
            state.bad.touches(Extent::new(at, 1).unwrap()),
            "byte {at} is claimed but not on the platter: {state:?}"
        );
    }
}

/// The bytes, found at an offset, that are not what the pass writes.
fn wrong_bytes(plan: &Plan, pass: usize, offset: u64, found: &[u8]) -> Vec<u64> {
    let mut expected = vec![0; found.len()];
    strategy::of(&plan.pass(pass).content).fill(offset, &mut expected);
    let mut wrong = Vec::new();
    for (number, (found, expected)) in (0..).zip(found.chunks(512).zip(expected.chunks(512))) {
        if found != expected {
            let bytes = (offset + number * 512..).zip(found.iter().zip(expected));
            wrong.extend(bytes.filter(|(_, (a, b))| a != b).map(|(at, _)| at));
        }
    }
    wrong
}

#[test]
fn every_byte_is_written_and_read_back_whatever_the_size() {
    for block in [512, 4096] {
        for size in [1, 511, 512, 513, 4095, 4096, 4097, 70_000, MIB + 3 * 512] {
            let drive = FakeDrive::new(size, block, Faults::default());
            let plan = random(true);
            let (ended, saved, _) = run(&plan, settings(), &drive, State::start(), None);
            assert!(matches!(ended.end, End::Complete), "{size}: {ended:?}");
            assert_eq!(
                wrong_bytes(&plan, 0, 0, &drive.after_power_cut()),
                [0; 0],
                "{size}"
            );
            assert!(ended.state.bad.is_empty() && ended.state.mismatches.is_empty());
            assert_eq!(saved.first().unwrap(), &State::start());
            assert_eq!(saved.last().unwrap().step.phase, Phase::Complete);
        }
    }
}

#[test]
fn a_pattern_keeps_its_phase_where_chunks_and_tail_do_not_divide_it() {
    for pattern in [
        "55",
        "55aa",
        "924924",
        "0102030405",
        "000102030405060708090a0b0c0d0e0f",
    ] {
        let pass = Pass {
            content: Content::Pattern {
                pattern: pattern.parse().unwrap(),
            },
            verify: Verify::Full,
        };
        let plan = Plan::new(vec![pass]).unwrap();
        // 12 KiB is a multiple of 3 and 4096; the size leaves part of a chunk
        // and a tail.
        let settings = Settings::new(3 * MIN_CHUNK, 2, MIB, None);
        let drive = FakeDrive::new(10 * MIN_CHUNK + 77, 4096, Faults::default());
        let (ended, _, _) = run(&plan, settings, &drive, State::start(), None);
        assert!(matches!(ended.end, End::Complete) && ended.state.mismatches.is_empty());
        assert_eq!(
            wrong_bytes(&plan, 0, 0, &drive.platter()),
            [0; 0],
            "{pattern}"
        );
    }
}

#[test]
fn the_bad_blocks_are_found_exactly_and_the_rest_is_written() {
    let unwritable = BTreeSet::from([0, 9, 10, 11, 200, 255]);
    let faults = Faults {
        unwritable: unwritable.clone(),
        ..Faults::default()
    };
    let drive = FakeDrive::new(256 * 512, 512, faults);
    let plan = random(true);
    let (ended, _, events) = run(&plan, settings(), &drive, State::start(), None);
    assert!(matches!(ended.end, End::Complete), "{ended:?}");
    let bad: Vec<_> = ended
        .state
        .bad
        .ranges()
        .iter()
        .map(|bad| (bad.extent.start() / 512, bad.extent.length() / 512))
        .collect();
    assert_eq!(bad, [(0, 1), (9, 3), (200, 1), (255, 1)]);
    let wrong: BTreeSet<u64> = wrong_bytes(&plan, 0, 0, &drive.platter())
        .iter()
        .map(|at| at / 512)
        .collect();
    assert!(wrong.is_subset(&unwritable));
    assert!(
        ended.state.mismatches.is_empty(),
        "bad blocks are not compared"
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::BadExtent(..)))
    );
}

/// More ranges that cannot be written than are kept one by one, all readable;
/// bytes that differ after a wipe with these faults besides.
fn differing_among_many_bad(besides: Faults) -> u64 {
    const BAD: u64 = 10_011;
    let unwritable: BTreeSet<u64> = (0..BAD).map(|number| 2 * number + 1).collect();
    let faults = Faults {
        unwritable,
        ..besides
    };
    let drive = FakeDrive::new(10 * MIB, 512, faults);
    // Errors that take no time: every block is searched.
    let control = FakeControl {
        tick: Duration::from_nanos(1),
        ..FakeControl::default()
    };
    let settings = Settings::new(MIB / 8, 2, 4 * MIB, None);
    let (ended, ..) = run_plain_under(&control, &random(true), settings, &drive, State::start());
    assert!(matches!(ended.end, End::Complete), "{:?}", ended.end);
    let written = ended.state.bad.unwritten();
    assert!(written.len() <= 10_000, "{} ranges", written.len());
    assert_eq!(written.amount().least, BAD * 512);
    ended.state.mismatches.amount().least
}

#[test]
fn what_could_not_be_written_in_joined_ranges_is_no_difference() {
    assert_eq!(differing_among_many_bad(Faults::default()), 0);
    // What differs besides exceeds it.
    let flipped = BTreeSet::from([4 * 512 + 7]);
    let flipped = Faults {
        flipped,
        ..Faults::default()
    };
    assert_eq!(differing_among_many_bad(flipped), 512);
    // What cannot be read is one of those that are known.
    let unreadable = Faults {
        unreadable: BTreeSet::from([1]),
        flipped: BTreeSet::from([4 * 512 + 7]),
        ..Faults::default()
    };
    assert_eq!(differing_among_many_bad(unreadable), 512);
}

#[test]
fn what_cannot_be_read_back_is_bad_and_what_differs_is_located() {
    let faults = Faults {
        unreadable: BTreeSet::from([5]),
        flipped: BTreeSet::from([20 * 512 + 7, 21 * 512, 90 * 512 + 511]),
        ..Faults::default()
    };
    let drive = FakeDrive::new(128 * 512, 512, faults);
    let check = |_: &State| {};
    let plan = random(true);
    let (ended, _) = run_with_saves_failing(&plan, &drive, BTreeSet::new(), &check);
    let differ: Vec<_> = ended
        .state
        .mismatches
        .iter()
        .map(|one| (one.extent.start() / 512, one.extent.length() / 512))
        .collect();
    assert_eq!(differ, [(20, 2), (90, 1)]);
    let bad: Vec<_> = ended
        .state
        .bad
        .ranges()
        .iter()
        .map(|bad| bad.extent.start() / 512)
        .collect();
    assert_eq!(bad, [5]);
}

#[test]
fn a_failed_sync_is_made_good_by_writing_again() {
    let faults = Faults {
        failing_syncs: BTreeSet::from([1]),
        ..Faults::default()
    };
    let drive = FakeDrive::new(4 * MIB, 512, faults);
    let plan = random(false);
    let (ended, _, events) = run(&plan, settings(), &drive, State::start(), None);
    assert!(matches!(ended.end, End::Complete), "{ended:?}");
    assert_eq!(wrong_bytes(&plan, 0, 0, &drive.after_power_cut()), [0; 0]);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::SyncFailed { .. }))
    );
}

#[test]
fn a_second_failed_sync_without_progress_ends_the_run() {
    let faults = Faults {
        failing_syncs: BTreeSet::from([2, 3]),
        ..Faults::default()
    };
    let drive = FakeDrive::new(4 * MIB, 512, faults);
    let (ended, _, _) = run(&random(false), settings(), &drive, State::start(), None);
    assert!(matches!(ended.end, End::Failed(_)), "{ended:?}");
}

#[test]
fn a_drive_that_changes_ends_the_run_and_nothing_more_is_claimed() {
    let mut ends = BTreeSet::new();
    for at in 0..30 {
        let faults = Faults {
            changed_at: Some(at),
            ..Faults::default()
        };
        let drive = FakeDrive::new(3 * MIB, 512, faults);
        let (ended, saved, _) = run(&random(true), settings(), &drive, State::start(), None);
        assert!(saved.len() as u64 <= at, "{at}: {saved:?}");
        match ended.end {
            End::Failed(error) => assert_eq!(error.why, "it shrank"),
            End::Complete => assert!(at > 4, "{at}"),
            other => panic!("{at}: {other:?}"),
        }
        ends.insert(saved.len());
        if at == 0 {
            assert_eq!(drive.platter(), vec![0xA5; drive.platter().len()]);
        }
    }
    assert!(ends.len() > 4, "{ends:?}");
}

#[test]
fn a_drive_that_goes_away_ends_the_run_and_keeps_the_checkpoint() {
    let faults = Faults {
        gone_after: Some(600),
        ..Faults::default()
    };
    let drive = FakeDrive::new(8 * MIB, 512, faults);
    let (ended, saved, _) = run(&random(false), settings(), &drive, State::start(), None);
    let End::Failed(error) = ended.end else {
        panic!("{ended:?}")
    };
    assert_eq!(error.why, "the drive has gone");
    assert!(saved.last().unwrap().position > 0);
    assert!(
        ended.state.bad.is_empty(),
        "no hunt for bad sectors on a drive that has gone"
    );
}

/// A drive on which every error takes ten seconds.
fn slow_drive(size: u64, faults: Faults) -> (FakeDrive, FakeControl) {
    let control = FakeControl::default();
    let slow_errors = Some((Arc::clone(&control.looks), 200));
    let faults = Faults {
        slow_errors,
        ..faults
    };
    (FakeDrive::new(size, 512, faults), control)
}

/// Runs a plan with this control, and checks every save.
fn run_under(
    plan: &Plan,
    drive: &FakeDrive,
    control: &FakeControl,
    state: State,
) -> (Ended, Vec<State>, Vec<Event>) {
    let check = |state: &State| check_saved(plan, drive, state);
    let mut journal = FakeJournal::new(&check);
    let observer = Recorder::default();
    let engine = Engine {
        plan,
        settings: Settings::new(16 * MIN_CHUNK, 2, MIB, None),
        target: drive,
        observer: &observer,
        control,
    };
    let ended = run_engine(&engine, state, &mut journal);
    (ended, journal.saved, observer.0.into_inner().unwrap())
}

fn states(state: &State) -> Vec<(u64, u64, BadState)> {
    let blocks = |extent: Extent| (extent.start() / 512, extent.end() / 512);
    let ranges = state.bad.ranges().into_iter();
    ranges
        .map(|one| (blocks(one.extent).0, blocks(one.extent).1, one.bad.state))
        .collect()
}

#[test]
fn a_dense_area_is_left_for_the_end_and_what_healed_by_then_is_wiped() {
    let faults = Faults {
        unwritable: (1024..1400).collect(),
        // By then everything else is written.
        healed_after: Some(40),
        ..Faults::default()
    };
    let (drive, control) = slow_drive(4 * MIB, faults);
    let plan = random(true);
    let (ended, saved, events) = run_under(&plan, &drive, &control, State::start());
    assert!(matches!(ended.end, End::Complete), "{ended:?}");
    assert_eq!(states(&ended.state), []);
    assert_eq!(wrong_bytes(&plan, 0, 0, &drive.platter()), [0; 0]);
    let deferred = |state: &State| !state.bad.deferred(1).is_empty();
    assert!(saved.iter().any(deferred), "the checkpoint knows of it");
    assert!(
        saved
            .iter()
            .all(|s| !deferred(s) || s.step.phase == Phase::Write)
    );
    let again = |event: &Event| matches!(event, Event::Retrying { .. });
    assert_eq!(events.iter().filter(|event| again(event)).count(), 1);
}

#[test]
fn the_time_for_one_area_is_capped_and_what_is_left_of_it_counts_as_bad() {
    let unwritable: BTreeSet<u64> = (1024..1400).collect();
    let faults = Faults {
        unwritable: unwritable.clone(),
        ..Faults::default()
    };
    let (drive, control) = slow_drive(4 * MIB, faults);
    let plan = random(true);
    let (ended, _, _) = run_under(&plan, &drive, &control, State::start());
    assert!(matches!(ended.end, End::Complete), "{ended:?}");
    let states = states(&ended.state);
    assert!(
        states
            .iter()
            .any(|(.., state)| *state == BadState::Abandoned)
    );
    assert!(
        states
            .iter()
            .all(|(.., state)| *state != BadState::Deferred)
    );
    let bad = |block: &u64| {
        states
            .iter()
            .any(|(start, end, _)| (start..end).contains(&block))
    };
    assert!(unwritable.iter().all(bad));
    for at in wrong_bytes(&plan, 0, 0, &drive.platter()) {
        assert!(bad(&(at / 512)), "{at} holds old data and nobody says so");
    }
    // 376 errors of ten seconds each would be more than an hour.
    let ticks = control.looks.load(std::sync::atomic::Ordering::Relaxed);
    assert!(ticks / 20 < 1500, "took {} s", ticks / 20);
}

#[test]
fn a_retry_that_is_interrupted_is_done_by_the_next_run() {
    let faults = |healed_after| Faults {
        unwritable: (1024..1400).collect(),
        healed_after,
        ..Faults::default()
    };
    let plan = random(true);
    let mut interrupted_in_retry = false;
    for stop_at in (500..6000).step_by(250) {
        let (drive, control) = slow_drive(4 * MIB, faults(None));
        let control = FakeControl {
            stop_at: Some(stop_at),
            ..control
        };
        let (ended, _, events) = run_under(&plan, &drive, &control, State::start());
        let retried = |event: &Event| matches!(event, Event::Retrying { .. });
        let interrupted = matches!(ended.end, End::Interrupted(_));
        interrupted_in_retry |= interrupted && events.iter().any(retried);
        let drive = drive.restarted(drive.after_power_cut(), faults(Some(0)));
        let control = FakeControl::default();
        let (ended, _, _) = run_under(&plan, &drive, &control, ended.state);
        assert!(matches!(ended.end, End::Complete), "{ended:?}");
        if interrupted {
            assert_eq!(states(&ended.state), [], "stopped at {stop_at}");
            assert_eq!(wrong_bytes(&plan, 0, 0, &drive.platter()), [0; 0]);
        }
    }
    assert!(interrupted_in_retry, "no stop hit the retry");
}

#[test]
fn a_flush_that_fails_in_the_retry_makes_it_be_done_again() {
    for failing in 1..6 {
        let faults = Faults {
            unwritable: (1024..1400).collect(),
            healed_after: Some(40),
            failing_syncs: BTreeSet::from([failing]),
            ..Faults::default()
        };
        let (drive, control) = slow_drive(4 * MIB, faults);
        let plan = random(true);
        let (ended, _, _) = run_under(&plan, &drive, &control, State::start());
        assert!(matches!(ended.end, End::Complete), "{failing}: {ended:?}");
        assert_eq!(states(&ended.state), []);
        assert_eq!(wrong_bytes(&plan, 0, 0, &drive.after_power_cut()), [0; 0]);
    }
}

#[test]
fn a_dense_area_that_cannot_be_read_back_is_left_for_the_end_too() {
    let faults = Faults {
        unreadable: (1024..1032).collect(),
        ..Faults::default()
    };
    let (drive, control) = slow_drive(4 * MIB, faults);
    let (ended, _, events) = run_under(&random(true), &drive, &control, State::start());
    assert!(matches!(ended.end, End::Complete), "{ended:?}");
    assert_eq!(states(&ended.state), [(1024, 1032, BadState::Failed)]);
    let again = |event: &Event| matches!(event, Event::Retrying { .. });
    assert!(events.iter().any(again));
}

#[test]
fn a_drive_with_less_memory_than_it_says_is_told_by_its_read_back() {
    for generator in [Generator::Aes256, Generator::ChaCha20] {
        let faults = Faults {
            wraps_at: Some(2 * MIB),
            ..Faults::default()
        };
        let drive = FakeDrive::new(16 * MIB, 512, faults);
        let content = Content::Random {
            generator,
            key: Key::new([3; KEY_BYTES]),
        };
        let verify = Verify::Full;
        let plan = Plan::new(vec![Pass { content, verify }]).unwrap();
        let settings = Settings::new(MIB, 2, 100 * MIB, None);
        let (ended, _, _) = run_plain(&plan, settings, &drive, State::start());
        assert!(matches!(ended.end, End::Complete), "{ended:?}");
        assert_eq!(ended.state.mismatches.amount().least, 14 * MIB);
        let wrap = ended.state.wrap.and_then(Wrap::capacity);
        assert_eq!(wrap, Some(2 * MIB), "{generator:?}");
    }
}

#[test]
fn a_write_that_is_dropped_is_found_with_the_bytes_that_stand_there() {
    let faults = Faults {
        dropped: BTreeSet::from([700]),
        ..Faults::default()
    };
    let drive = FakeDrive::new(MIB, 512, faults);
    let plan = random(true);
    let (ended, _, _) = run_plain(&plan, settings(), &drive, State::start());
    let found: Vec<_> = ended.state.mismatches.iter().collect();
    let mut expected = vec![0; 16];
    strategy::of(&plan.pass(0).content).fill(700 * 512, &mut expected);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].extent.start(), found[0].extent.length()),
        (700 * 512, 512)
    );
    assert_eq!(found[0].value.at, 700 * 512);
    assert_eq!(found[0].value.expected, expected);
    assert_eq!(found[0].value.found, [0xA5; 16]);
}

#[test]
fn a_read_back_by_samples_reads_its_samples_and_nothing_else() {
    let plan = random_with(Verify::Sample { seed: 11 });
    let size = 8 * MIB;
    let all = Extent::new(0, size).unwrap();
    let sampled = crate::plan::pieces(11, size, all);
    let mut outside = ExtentMap::default();
    for piece in &sampled {
        outside.insert(*piece, ());
    }
    let outside = outside.gaps(all);
    assert!(!outside.is_empty() && !sampled.is_empty());
    for (places, found) in [(&sampled, true), (&outside, false)] {
        let flipped: BTreeSet<u64> = places.iter().map(|place| place.end() - 1).collect();
        let faults = Faults {
            flipped: flipped.clone(),
            ..Faults::default()
        };
        let drive = FakeDrive::new(size, 512, faults);
        let settings = Settings::new(64 * MIN_CHUNK, 2, MIB, None);
        let (ended, _, _) = run_plain(&plan, settings, &drive, State::start());
        assert!(matches!(ended.end, End::Complete), "{ended:?}");
        let seen = ended.state.mismatches.len();
        assert_eq!(seen, if found { flipped.len() } else { 0 });
    }
}

#[test]
fn without_a_first_checkpoint_nothing_is_written() {
    let drive = FakeDrive::new(MIB, 512, Faults::default());
    let check = |_: &State| {};
    let plan = random(false);
    let (ended, _) = run_with_saves_failing(&plan, &drive, BTreeSet::from([0]), &check);
    assert!(matches!(ended.end, End::NotStarted(_)));
    assert!(drive.platter().iter().all(|&byte| byte == 0xA5));
}

#[test]
fn checkpoints_that_fail_are_announced_once_and_the_wipe_goes_on() {
    let drive = FakeDrive::new(6 * MIB, 512, Faults::default());
    let plan = random(true);
    let check = |state: &State| check_saved(&plan, &drive, state);
    let (ended, events) = run_with_saves_failing(&plan, &drive, BTreeSet::from([2]), &check);
    assert!(matches!(ended.end, End::Complete) && ended.unsaved.is_none());
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::SaveFailed(_))), 1);
    assert_eq!(count(|event| matches!(event, Event::SaveRecovered)), 1);
}

#[test]
fn a_pass_is_not_begun_while_the_checkpoint_speaks_of_the_one_before() {
    let drive = FakeDrive::new(4 * MIB, 512, Faults::default());
    let pass = |n| Pass {
        content: Content::Random {
            generator: Generator::ChaCha20,
            key: Key::new([n; KEY_BYTES]),
        },
        verify: Verify::None,
    };
    let plan = Plan::new(vec![pass(1), pass(2)]).unwrap();
    // The check runs at every attempt, on what was saved last.
    let check = |state: &State| check_saved(&plan, &drive, state);
    let (ended, events) = run_with_saves_failing(&plan, &drive, (2..20).collect(), &check);
    assert!(matches!(ended.end, End::Complete) && ended.unsaved.is_none());
    assert_eq!(
        events
            .iter()
            .filter(|event| **event == Event::WaitsForCheckpoint)
            .count(),
        1
    );
}

#[test]
fn a_drive_that_answers_everything_with_errors_is_dead_and_not_bad() {
    let dead = |after| Faults {
        dead_after: Some(after),
        ..Faults::default()
    };
    let write_dead = |after| Faults {
        write_dead_after: Some(after),
        ..Faults::default()
    };
    let unreadable = Faults {
        unreadable: (0..400_000).collect(),
        ..Faults::default()
    };
    for (faults, words) in [
        (dead(0), "nothing can be read from it any more"),
        (dead(30), "nothing can be read from it any more"),
        (write_dead(30), "it takes no writes any more"),
        (write_dead(0), "it took no write at all"),
        (unreadable, "nothing can be read from it any more"),
    ] {
        let drive = FakeDrive::new(100 * MIB, 4096, faults);
        let settings = Settings::new(MIB, 2, MAX_INTERVAL, None);
        let (ended, saved, _) = run(&random(true), settings, &drive, State::start(), None);
        let End::Failed(error) = &ended.end else {
            panic!("{words}: {:?}", ended.end);
        };
        assert!(error.why.contains(words), "{words}: {error}");
        // One that never took a write was searched for a good block first.
        let searched = words.contains("no write at all");
        for state in saved.iter().filter(|_| !searched) {
            assert!(state.bad.is_empty(), "{words}: {:?}", state.bad);
        }
    }
}

#[test]
fn a_drive_of_which_a_large_part_fails_is_not_dead() {
    for range in [0..3_750, 750..3_750, 2_500..4_096] {
        let faults = Faults {
            unwritable: range.clone().collect(),
            ..Faults::default()
        };
        let drive = FakeDrive::new(2 * MIB, 512, faults);
        let (ended, _, _) = run(&random(true), settings(), &drive, State::start(), None);
        assert!(matches!(ended.end, End::Complete), "{:?}", ended.end);
        let bad = ended.state.bad.amount().least;
        assert_eq!(bad, 512 * (range.end - range.start));
    }
}

#[test]
fn a_drive_whose_first_part_fails_is_wiped_behind_it() {
    // Also where a resume begins within that part.
    for (bad, start) in [(0..17_408, 0), (2_560..20_480, 10 * MIB)] {
        let faults = Faults {
            unwritable: bad.clone().collect(),
            ..Faults::default()
        };
        let drive = FakeDrive::new(100 * MIB, 4096, faults);
        let settings = Settings::new(MIB, 2, MAX_INTERVAL, None);
        let state = State {
            position: start,
            ..State::start()
        };
        let plan = random(false);
        // Errors come at once: no search is given up.
        let control = FakeControl {
            tick: Duration::ZERO,
            ..FakeControl::default()
        };
        let (ended, _, _) = run_plain_under(&control, &plan, settings, &drive, state);
        assert!(matches!(ended.end, End::Complete), "{:?}", ended.end);
        let found = ended.state.bad.ranges();
        let found: Vec<_> = found.iter().map(|bad| bad.extent).collect();
        let all = Extent::between(4096 * bad.start, 4096 * bad.end).unwrap();
        assert_eq!(found, [all]);
        let behind = size::memory(all.end());
        let rest = &drive.platter()[behind..];
        assert!(wrong_bytes(&plan, 0, all.end(), rest).is_empty());
    }
}

#[test]
fn the_content_proof_tells_a_match_from_a_change_and_from_too_little() {
    let plan = random(true);
    let drive = FakeDrive::new(8 * MIB, 512, Faults::default());
    let (ended, _, _) = run(&plan, settings(), &drive, State::start(), None);
    let mut number = 0;
    let mut draw = |below: u64| {
        number += 7919;
        number % below
    };
    let at = |phase, position| State {
        step: Step { pass: 0, phase },
        position,
        ..ended.state.clone()
    };
    let mut prove =
        |state: &State, drive: &FakeDrive| super::prove(&plan, state, drive, &mut draw).unwrap();
    assert_eq!(
        prove(&at(Phase::Write, MIB - 512), &drive),
        Proof::TooLittle
    );
    assert_eq!(prove(&at(Phase::Write, 0), &drive), Proof::TooLittle);
    let whole = prove(&at(Phase::Write, 8 * MIB), &drive);
    assert_eq!(
        whole,
        Proof::Matches {
            samples: 258,
            cryptographic: true,
            ahead: None
        }
    );
    for changed in [0, MIB - 1, 7 * MIB, 8 * MIB - 1] {
        let mut platter = drive.platter();
        platter[size::memory(changed)] ^= 1;
        let drive = drive.restarted(platter, Faults::default());
        assert_eq!(
            prove(&at(Phase::Write, 8 * MIB), &drive),
            Proof::Differs(changed / 512 * 512)
        );
        let mut known = at(Phase::Verify, 8 * MIB);
        let at = changed / 512 * 512;
        Arc::make_mut(&mut known.mismatches).insert(difference(at, at + 512));
        assert!(
            matches!(prove(&known, &drive), Proof::Matches { .. }),
            "{changed}"
        );
    }
    // At the start of a second pass both it and the one before may stand there.
    let second = Content::Random {
        generator: Generator::ChaCha20,
        key: Key::new([4; KEY_BYTES]),
    };
    let two = Plan::new(vec![
        plan.pass(0).clone(),
        Pass {
            content: second,
            verify: Verify::Full,
        },
    ])
    .unwrap();
    let mut platter = drive.platter();
    strategy::of(&two.pass(1).content).fill(512, &mut platter[512..9 * 512]);
    let begun = State {
        step: Step {
            pass: 1,
            phase: Phase::Write,
        },
        ..State::start()
    };
    let prove_two = |platter: Vec<u8>| {
        let drive = drive.restarted(platter, Faults::default());
        super::prove(&two, &begun, &drive, &mut |below| below / 2).unwrap()
    };
    assert!(matches!(
        prove_two(platter.clone()),
        Proof::Matches {
            cryptographic: true,
            ..
        }
    ));
    platter[3 * 512] ^= 1;
    assert_eq!(prove_two(platter), Proof::Differs(3 * 512));
    // What cannot be read proves nothing, but does not refute it either.
    let faults = Faults {
        unreadable: BTreeSet::from([0]),
        ..Faults::default()
    };
    let drive = drive.restarted(drive.platter(), faults);
    assert!(matches!(
        prove(&at(Phase::Verify, 0), &drive),
        Proof::Matches { .. }
    ));
    let faults = Faults {
        unreadable: (0..16384).collect(),
        ..Faults::default()
    };
    let drive = drive.restarted(drive.platter(), faults);
    assert_eq!(prove(&at(Phase::Verify, 0), &drive), Proof::TooLittle);
}

#[test]
fn ahead_of_a_read_back_a_drive_may_have_lost_what_was_written() {
    let plan = random(true);
    let drive = FakeDrive::new(8 * MIB, 512, Faults::default());
    let (ended, _, _) = run(&plan, settings(), &drive, State::start(), None);
    let prove = |platter: Vec<u8>, position| {
        let phase = Phase::Verify;
        let state = State {
            step: Step { pass: 0, phase },
            position,
            ..ended.state.clone()
        };
        let drive = drive.restarted(platter, Faults::default());
        super::prove(&plan, &state, &drive, &mut |below| below / 2).unwrap()
    };
    for changed in [0, MIB - 1, 7 * MIB, 8 * MIB - 1] {
        let mut platter = drive.platter();
        platter[size::memory(changed)] ^= 1;
        let block = changed / 512 * 512;
        // The read-back has seen it right, so it was changed since.
        let behind = prove(platter.clone(), block + 512);
        assert_eq!(behind, Proof::Differs(block));
        // The read-back has still to come there, and will tell.
        let Proof::Matches {
            cryptographic,
            ahead,
            ..
        } = prove(platter, block)
        else {
            panic!("{changed}");
        };
        assert!(cryptographic);
        assert_eq!(ahead, Some(block));
    }
    // Where nothing is left of what was written, nothing is proved.
    assert_eq!(prove(vec![7; 8 << 20], 0), Proof::Differs(0));
}

#[test]
fn the_smallest_interval_with_the_largest_chunk_does_not_hang() {
    let drive = FakeDrive::new(5 * MIB + 512, 512, Faults::default());
    let settings = Settings::new(64 * MIB, 64, 1, None);
    let (ended, _, _) = run(&random(true), settings, &drive, State::start(), None);
    assert!(matches!(ended.end, End::Complete));
}

#[test]
fn settings_are_brought_into_range() {
    let chunk =
        |chunk, workers, interval, rate| Settings::new(chunk, workers, interval, rate).chunk;
    assert_eq!(chunk(MIB, 4, 100 * MIB, None), MIB);
    assert_eq!(chunk(MIB, 4, MIB, None), MIB / 8);
    assert_eq!(chunk(5000, 4, 100 * MIB, None), 4096);
    assert_eq!(chunk(0, 0, 0, Some(0)), 4096);
    assert_eq!(chunk(MIB, 4, 100 * MIB, Some(MIB)), MIB / 8);
}

/// What happens to one run of a wipe.
#[derive(Debug, Clone)]
struct Episode {
    stop_at: Option<u64>,
    power_cut: bool,
    failing_sync: Option<u64>,
    failing_save: Option<u64>,
    chunk: u64,
    workers: usize,
}

fn episode() -> impl Strategy<Value = Episode> {
    (
        proptest::option::weighted(0.7, 0_u64..300),
        any::<bool>(),
        proptest::option::weighted(0.3, 0_u64..4),
        proptest::option::weighted(0.3, 1_u64..5),
        1_u64..9,
        1_usize..5,
    )
        .prop_map(
            |(stop_at, power_cut, failing_sync, failing_save, pages, workers)| Episode {
                stop_at,
                power_cut,
                failing_sync,
                failing_save,
                chunk: pages * MIN_CHUNK,
                workers,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn any_history_of_faults_interrupts_and_power_cuts_ends_with_every_byte_right(
        size in 1_u64..3 * MIB,
        block in prop_oneof![Just(512_u64), Just(4096)],
        passes in 1_usize..3,
        unwritable in proptest::collection::btree_set(0_u64..6000, 0..4),
        episodes in proptest::collection::vec(episode(), 0..5),
    ) {
        let pass = |n: usize| {
            let content = Content::Random { generator: Generator::ChaCha20, key: Key::new([u8::try_from(n).unwrap(); KEY_BYTES]) };
            Pass { content, verify: Verify::Full }
        };
        let plan = Plan::new((0..passes).map(pass).collect()).unwrap();
        let unwritable: BTreeSet<u64> = unwritable.into_iter().filter(|b| b * block < size).collect();
        let base = Faults { unwritable: unwritable.clone(), ..Faults::default() };
        let mut drive = FakeDrive::new(size, block, base.clone());
        let mut state = State::start();
        let mut finished = false;
        let last = Episode { stop_at: None, power_cut: false, failing_sync: None, failing_save: None, chunk: 4 * MIN_CHUNK, workers: 2 };
        for episode in episodes.into_iter().chain([last]) {
            let faults = Faults { failing_syncs: episode.failing_sync.into_iter().collect(), ..base.clone() };
            drive = drive.restarted(drive.platter(), faults);
            let check = |state: &State| check_saved(&plan, &drive, state);
            let mut journal = FakeJournal::new(&check);
            journal.failing = episode.failing_save.into_iter().collect();
            let observer = Recorder::default();
            let control = FakeControl { stop_at: episode.stop_at, ..FakeControl::default() };
            let settings = Settings::new(episode.chunk, episode.workers, MIB, None);
            let engine = Engine { plan: &plan, settings, target: &drive, observer: &observer, control: &control };
            let ended = run_engine(&engine, state.clone(), &mut journal);
            prop_assert!(!matches!(ended.end, End::Failed(_)), "{:?}", ended);
            // What a next run finds: the last state that reached the disk.
            state = journal.saved.last().unwrap().clone();
            if ended.unsaved.is_none() {
                prop_assert_eq!(&state, &ended.state);
            }
            if episode.power_cut {
                drive = drive.restarted(drive.after_power_cut(), base.clone());
            }
            finished = state.step.phase == Phase::Complete;
            if finished {
                break;
            }
        }
        prop_assert!(finished);
        prop_assert!(state.mismatches.is_empty());
        let wrong: BTreeSet<u64> = wrong_bytes(&plan, passes - 1, 0, &drive.platter()).iter().map(|at| at / block).collect();
        prop_assert!(wrong.is_subset(&unwritable));
        let bad: BTreeSet<u64> = state.bad.shape().iter().flat_map(|(e, ())| e.start() / block..e.end().div_ceil(block)).collect();
        prop_assert_eq!(bad, unwritable);
    }
}

/// Everything that a drive may do wrong.
fn faults(size: u64, block: u64) -> impl Strategy<Value = Faults> {
    use proptest::collection::btree_set;
    use proptest::option::weighted;
    let blocks = size.div_ceil(block);
    let run = (0..blocks, 1_u64..200).prop_map(move |(start, length)| {
        (start..(start + length).min(blocks)).collect::<BTreeSet<u64>>()
    });
    let unwritable = prop_oneof![
        4 => Just(BTreeSet::new()),
        2 => btree_set(0..blocks, 1..6),
        1 => run.clone(),
    ];
    let unreadable = prop_oneof![
        4 => Just(BTreeSet::new()),
        1 => btree_set(0..blocks, 1..4),
        1 => run,
    ];
    let rare = |at: std::ops::Range<u64>| btree_set(at, 0..3);
    let wraps = weighted(0.1, (1..blocks + 1).prop_map(move |n| n * block));
    (
        (unwritable, unreadable, btree_set(0_u64..6, 0..3)),
        (weighted(0.1, 0_u64..400), weighted(0.3, 0_u64..200), wraps),
        (weighted(0.1, 0_u64..400), weighted(0.1, 0_u64..400)),
        prop_oneof![3 => Just(BTreeSet::new()).boxed(), 1 => rare(0..size).boxed()],
        prop_oneof![3 => Just(BTreeSet::new()).boxed(), 1 => rare(0..blocks).boxed()],
        proptest::option::weighted(0.3, 1_u64..300),
    )
        .prop_map(|(errors, life, dead, flipped, dropped, slow)| Faults {
            unwritable: errors.0,
            unreadable: errors.1,
            failing_syncs: errors.2,
            gone_after: life.0,
            dead_after: dead.0,
            write_dead_after: dead.1,
            healed_after: life.1,
            wraps_at: life.2,
            changed_at: None,
            flipped,
            dropped,
            slow_errors: slow.map(|ticks| (Arc::default(), ticks)),
        })
}

fn content() -> impl Strategy<Value = Content> {
    let random = |generator| Content::Random {
        generator,
        key: Key::new([3; KEY_BYTES]),
    };
    prop_oneof![
        3 => Just(random(Generator::Aes256)),
        2 => Just(random(Generator::ChaCha20)),
        1 => Just(Content::Zero),
        1 => "([0-9a-f]{2}){1,40}".prop_map(|hex| Content::Pattern { pattern: hex.parse().unwrap() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_drive_does_wrong_wiped_is_said_only_where_every_byte_is_right(
        (size, block, faults) in (1_u64..400_000, prop_oneof![Just(512_u64), Just(4096)])
            .prop_flat_map(|(size, block)| (Just(size), Just(block), faults(size, block))),
        contents in proptest::collection::vec(content(), 1..3),
        stops in proptest::collection::vec(0_u64..400, 0..3),
        (pages, workers) in (1_u64..9, 1_usize..5),
    ) {
        let pass = |content| Pass { content, verify: Verify::Full };
        let plan = Plan::new(contents.into_iter().map(pass).collect()).unwrap();
        let clock = faults.slow_errors.as_ref().map(|(clock, _)| Arc::clone(clock));
        let mut drive = FakeDrive::new(size, block, faults.clone());
        let mut state = State::start();
        for stop_at in stops.into_iter().map(Some).chain([None]) {
            let mut control = FakeControl { stop_at, ..FakeControl::default() };
            if let Some(clock) = &clock {
                clock.store(0, std::sync::atomic::Ordering::Relaxed);
                control.looks = Arc::clone(clock);
            }
            let mut journal = FakeJournal::new(&|_| {});
            let engine = Engine {
                plan: &plan,
                settings: Settings::new(pages * MIN_CHUNK, workers, MIB, None),
                target: &drive,
                observer: &Recorder::default(),
                control: &control,
            };
            let ended = run_engine(&engine, state, &mut journal);
            state = journal.saved.last().unwrap().clone();
            if matches!(ended.end, End::Failed(_)) || state.step.phase == Phase::Complete {
                break;
            }
            drive = drive.restarted(drive.platter(), faults.clone());
        }
        if state.step.phase == Phase::Complete {
            let wrong = wrong_bytes(&plan, plan.passes().len() - 1, 0, &drive.contents());
            let told = |at: &u64| {
                let byte = Extent::new(*at, 1).unwrap();
                state.bad.touches(byte) || state.mismatches.touching(byte).next().is_some()
            };
            let silent = wrong.iter().find(|at| !told(at));
            prop_assert_eq!(silent, None, "wrong, and nobody says so");
            prop_assert!(state.bad.deferred(plan.passes().len()).is_empty());
        }
    }

    #[test]
    fn one_flipped_bit_is_found_wherever_it_is(
        size in 1_u64..1_200_000, place: u64, bit in 0_u32..8,
        content in content(), block in prop_oneof![Just(512_u64), Just(4096)],
        (pages, workers) in (1_u64..80, 1_usize..5),
    ) {
        let plan = Plan::new(vec![Pass { content, verify: Verify::Full }]).unwrap();
        let mut platter = vec![0; size::memory(size)];
        strategy::of(&plan.pass(0).content).fill(0, &mut platter);
        let at = place % size;
        platter[size::memory(at)] ^= 1 << bit;
        let drive = FakeDrive::new(size, block, Faults::default());
        let drive = drive.restarted(platter, Faults::default());
        let begun = State {
            step: Step { pass: 0, phase: Phase::Verify },
            ..State::start()
        };
        let settings = Settings::new(pages * MIN_CHUNK, workers, MIB, None);
        let (ended, _, _) = run_plain(&plan, settings, &drive, begun);
        prop_assert!(matches!(ended.end, End::Complete));
        let found: Vec<_> = ended.state.mismatches.iter().collect();
        prop_assert_eq!(found.len(), 1);
        let (extent, first) = (found[0].extent, &found[0].value);
        prop_assert!((extent.start()..extent.end()).contains(&at) && extent.length() <= 512);
        prop_assert_eq!(first.at, at / 16 * 16);
        let differ = first.expected.iter().zip(&first.found).map(|(a, b)| (a ^ b).count_ones());
        prop_assert_eq!(differ.sum::<u32>(), 1);
    }
}
