//! All that can be saved can be read, and is small.

use proptest::prelude::*;

use super::lists::{add_run, add_sample};
use super::wire::RESERVE;
use super::{Checkpoint, LARGEST, LeftOut, Run, Sample};
use crate::drive::{Finding, Identity, Kind, Transport};
use crate::plan::{
    Bad, BadMap, BadState, Difference, Differences, During, Extent, First, MAX_PASSES, Pass, Phase,
    Plan, Verify,
};
use crate::strategy::{Content, Pattern};

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).unwrap()]
    }

    /// As much as a command line or a drive may say.
    fn text(&mut self, most: u64) -> String {
        let length = self.below(most);
        (0..length)
            .map(|_| self.one_of(&['x', '"', '\\', 'é', '\u{7f}', ' ']))
            .collect()
    }
}

/// Sizes of what is saved.
#[derive(Debug, Clone)]
struct Shape {
    seed: u64,
    bad: u64,
    different: u64,
    errors: u64,
    passes: u64,
    runs: u64,
    samples: u64,
    // bytes between two ranges at most
    gap: u64,
    // where the ranges begin: far out their numbers are long
    from: u64,
    text: u64,
}

fn shape() -> impl Strategy<Value = Shape> {
    let some = |most: u64| prop_oneof![Just(0), 1..40_u64, Just(most)];
    let lists = (some(25_000), some(21_000), some(1500), some(11_000));
    let values = (1_u64..200, prop_oneof![Just(1), Just(3), Just(99_u64)]);
    let places = (
        prop_oneof![Just(1), Just(4096), Just(1 << 30)],
        prop_oneof![Just(0), Just(1 << 62)],
        prop_oneof![Just(10), Just(4000_u64)],
    );
    (any::<u64>(), lists, values, places).prop_map(
        |(seed, (bad, different, runs, samples), (errors, passes), (gap, from, text))| Shape {
            seed: seed | 1,
            bad,
            different,
            errors,
            passes,
            runs,
            samples,
            gap,
            from,
            text,
        },
    )
}

fn identity(size: u64, dice: &mut Dice) -> Identity {
    let mut said = || Some(dice.text(200));
    Identity {
        kind: Kind::Disk,
        transport: Transport::Sata,
        vendor: said(),
        model: said(),
        serial: said(),
        wwn: said(),
        firmware: said(),
        nature: None,
        size,
        logical_block: 512,
        slice: None,
        backing: None,
    }
}

fn plan(shape: &Shape, dice: &mut Dice) -> Plan {
    let passes = (0..shape.passes).map(|_| Pass {
        content: Content::Pattern {
            pattern: Pattern::new(&vec![0xA5; dice.one_of(&[1, 4096])]).unwrap(),
        },
        verify: Verify::Full,
    });
    Plan::new(passes.collect()).unwrap()
}

fn bad_ranges(shape: &Shape, dice: &mut Dice, bad: &mut BadMap) {
    let mut at = shape.from;
    for _ in 0..shape.bad {
        at += 512 * (1 + dice.below(shape.gap));
        let what = Bad {
            pass: usize::try_from(1 + dice.below(shape.passes)).unwrap(),
            state: dice.one_of(&[BadState::Failed, BadState::Deferred, BadState::Abandoned]),
            during: dice.one_of(&[During::Write, During::Read]),
            errno: i32::try_from(dice.below(shape.errors)).unwrap() - 3,
        };
        let length = 512 * (1 + dice.below(3));
        let extent = Extent::new(at, length).unwrap();
        bad.add(extent, what);
        match dice.below(2000) {
            0 => bad.retry(extent, what.pass),
            1 => bad.settle(Extent::between(at / 2, at).unwrap_or(extent)),
            // Back to where others are known already.
            2 => at = shape.from + (at - shape.from) / 2,
            _ => {}
        }
        if bad.is_crowded() {
            bad.bound(&|gap| gap.start() % 4096 != 0);
        }
    }
    bad.bound(&|_| true);
}

fn differences(shape: &Shape, dice: &mut Dice, differ: &mut Differences) {
    let mut at = shape.from;
    for _ in 0..shape.different {
        at += 512 * (1 + dice.below(shape.gap));
        let extent = Extent::new(at, 512 * (1 + dice.below(3))).unwrap();
        let first = First {
            at: at + 16 * dice.below(32),
            expected: vec![0; 16],
            found: vec![0xFF; 16],
            written_for: Some(u64::MAX).filter(|_| dice.below(2) == 0),
        };
        differ.insert(Difference { extent, first });
        if dice.below(2000) == 0 {
            at = shape.from + (at - shape.from) / 2;
        }
        if differ.is_crowded() {
            differ.bound(&|gap| gap.start() % 4096 != 0);
        }
    }
    differ.bound(&|_| true);
}

/// What a wipe may come to that meets all of this.
fn checkpoint(shape: &Shape) -> Checkpoint {
    let dice = &mut Dice(shape.seed);
    let identity = identity(u64::MAX - 4096, dice);
    let now = "2026-01-14T02:10:07.123456789+01:00";
    let plan = plan(shape, dice);
    let mut this = Checkpoint::begin(identity, plan, 4096, "0123abcd".into(), now);
    this.set_position(this.step(), dice.below(this.total_size()));
    this.device = dice.text(4 * shape.text);
    bad_ranges(shape, dice, &mut this.bad);
    differences(shape, dice, &mut this.mismatches);
    for _ in 0..shape.runs {
        let run = Run {
            start: now.into(),
            end: Some(now.into()).filter(|_| dice.below(3) > 0),
            ended_by: Some(dice.text(shape.text)),
            ..Run::default()
        };
        add_run(&mut this.runs, run);
    }
    for index in 0..shape.samples {
        let steps = shape.passes * 2;
        let step = index * steps / shape.samples;
        let sample = Sample {
            pass: usize::try_from(1 + step / 2).unwrap(),
            phase: [Phase::Write, Phase::Verify][usize::try_from(step % 2).unwrap()],
            offset: u64::MAX - dice.below(1000),
            speed: u64::MAX - dice.below(1000),
        };
        add_sample(&mut this.samples, sample);
    }
    for _ in 0..dice.below(100) {
        this.findings.note(Finding::OldDataAt {
            place: dice.text(shape.text),
        });
    }
    this.report.note = Some(dice.text(shape.text));
    this
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn all_that_can_be_saved_is_small_and_is_read_again(shape in shape()) {
        let saved = checkpoint(&shape);
        let json = saved.to_json().unwrap();
        prop_assert!(json.len() as u64 <= LARGEST - RESERVE, "{} bytes", json.len());
        let read = Checkpoint::parse(&json).unwrap();
        if crate::progress::checkpoint::json::to_bytes(&saved).unwrap() == json {
            prop_assert!(read.bad == saved.bad, "bad");
            prop_assert!(read.mismatches == saved.mismatches, "mismatches");
            prop_assert!(read.runs == saved.runs, "runs");
            prop_assert!(read == saved, "something else");
        }
        prop_assert!(read.to_json().unwrap() == json, "it is not the same when it is saved again");
        prop_assert!(saved.bad.len() + saved.mismatches.len() <= 22_000);
        let amount = read.bad.amount();
        prop_assert!(amount.least <= amount.most);
    }
}

/// The least room: every number and text as long as it can be.
#[test]
fn the_worst_of_all_wipes_is_small_and_is_read_again() {
    let shape = Shape {
        seed: 7,
        bad: 30_000,
        different: 30_000,
        errors: 200,
        passes: MAX_PASSES as u64,
        runs: 2500,
        samples: 25_000,
        gap: 1 << 30,
        from: 1 << 62,
        text: 4000,
    };
    let saved = checkpoint(&shape);
    let json = saved.to_json().unwrap();
    assert!(
        json.len() as u64 <= LARGEST - RESERVE,
        "{} bytes",
        json.len()
    );
    let read = Checkpoint::parse(&json).unwrap();
    assert!(read.to_json().unwrap() == json);
    assert_eq!(read.bad.amount().least, saved.bad.amount().least);
    assert_eq!(
        read.mismatches.amount().least,
        saved.mismatches.amount().least
    );
}

#[test]
fn of_very_many_runs_the_first_and_the_last_are_kept_and_the_others_counted() {
    let mut runs = Vec::new();
    for number in 0..5000_u64 {
        let ended = number % 10 > 0;
        let run = Run {
            start: "2026-01-14T02:10:00+01:00".into(),
            end: ended.then(|| "2026-01-14T02:10:07+01:00".into()),
            ended_by: Some(number.to_string()),
            ..Run::default()
        };
        add_run(&mut runs, run);
    }
    assert_eq!(runs.len(), 1001);
    let names = |range: std::ops::Range<usize>| -> Vec<u64> {
        let list = runs[range].iter();
        list.map(|run| run.ended_by.as_ref().unwrap().parse().unwrap())
            .collect()
    };
    assert_eq!(names(0..100), (0..100).collect::<Vec<_>>());
    assert_eq!(names(101..1001), (4100..5000).collect::<Vec<_>>());
    let left_out = runs[100].left_out.unwrap();
    let all = LeftOut {
        runs: 4000,
        killed: 400,
        unknown: 0,
    };
    assert_eq!(left_out, all);
    assert_eq!(runs[100].work_ms, Some(3600 * 7 * 1000));
}

#[test]
fn samples_are_thinned_out_where_there_are_too_many() {
    let mut samples = Vec::new();
    for offset in 1..=30_000 {
        let sample = Sample {
            pass: 1,
            phase: Phase::Write,
            offset,
            speed: if offset % 2 == 0 { 300 } else { 100 },
        };
        add_sample(&mut samples, sample);
    }
    assert!(
        (5000..=10_000).contains(&samples.len()),
        "{}",
        samples.len()
    );
    assert_eq!(samples.last().unwrap().offset, 30_000);
    // As fast as both together.
    assert_eq!(samples[0].speed, 150);
}
