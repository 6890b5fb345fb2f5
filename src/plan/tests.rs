use proptest::prelude::*;

use super::*;
use crate::strategy::{Choice, Content, Draw, KEY_BYTES, Key, MAX_PATTERN, Pattern};

fn plan(passes: usize, how: ReadBack) -> Plan {
    let pass = Pass {
        content: Content::Zero,
        verify: Verify::None,
    };
    let plan = Plan::new(vec![pass; passes]).unwrap();
    plan.with_read_back(how, 0, 7)
}

#[test]
fn patterns_are_pairs_of_hexadecimal_digits() {
    assert_eq!("55aa".parse::<Pattern>().unwrap().bytes(), [0x55, 0xaa]);
    assert_eq!(
        "0x924924".parse::<Pattern>().unwrap().bytes(),
        [0x92, 0x49, 0x24]
    );
    for bad in ["", "0x", "5", "55a", "5g", "55 aa", "+5", "é"] {
        assert!(bad.parse::<Pattern>().is_err(), "{bad}");
    }
    assert!("00".repeat(MAX_PATTERN + 1).parse::<Pattern>().is_err());
}

#[test]
fn a_strategy_contradicts_a_scheme_that_only_begins_with_it() {
    let pass = |content| Pass {
        content,
        verify: Verify::None,
    };
    let ones = Content::Pattern {
        pattern: "ff".parse().unwrap(),
    };
    let begun = Plan::new(vec![pass(Content::Zero), pass(ones)]).unwrap();
    let wish = Wish {
        strategy: Some(Choice::Zero),
        ..Wish::default()
    };
    let why = wish.reconcile(&begun, 0, 7).unwrap_err();
    assert_eq!((why.option, &*why.begun), ("--strategy", "pattern"));
    assert!(wish.reconcile(&plan(3, ReadBack::Full), 0, 7).is_ok());
}

#[test]
fn the_steps_follow_each_other_to_complete() {
    let plan = plan(2, ReadBack::Full);
    let steps = plan.steps();
    assert_eq!(steps.len(), 3);
    for pair in steps.windows(2) {
        assert_eq!(plan.after(pair[0]), pair[1]);
    }
    let end = plan.after(steps[2]);
    assert_eq!(
        end,
        Step {
            pass: 1,
            phase: Phase::Complete
        }
    );
    assert_eq!(plan.after(end), end);
    assert_eq!(plan.work(steps[1], 5, 10), (15, 30));
    assert_eq!(plan.work(end, 0, 10), (30, 30));
}

#[test]
fn a_plan_is_entered_where_the_one_before_stopped() {
    let (with, without) = (plan(1, ReadBack::Full), plan(1, ReadBack::None));
    let at = |phase| Step { pass: 0, phase };
    assert_eq!(
        with.entry(&with, at(Phase::Verify), 7),
        (at(Phase::Verify), 7)
    );
    assert_eq!(
        without.entry(&with, at(Phase::Verify), 7),
        (at(Phase::Complete), 0)
    );
    assert_eq!(
        with.entry(&without, at(Phase::Write), 7),
        (at(Phase::Write), 7)
    );
    assert_eq!(
        with.entry(&without, at(Phase::Complete), 7),
        (at(Phase::Verify), 0)
    );
    assert_eq!(
        with.entry(&with, at(Phase::Complete), 7).0,
        at(Phase::Complete)
    );
    // What was only sampled is not read back in full.
    let sampled = plan(1, ReadBack::Sample);
    let from_the_start = (at(Phase::Verify), 0);
    assert_eq!(with.entry(&sampled, at(Phase::Verify), 7), from_the_start);
    assert_eq!(with.entry(&sampled, at(Phase::Complete), 7), from_the_start);
    assert_eq!(
        sampled.entry(&with, at(Phase::Verify), 7),
        (at(Phase::Verify), 7)
    );
}

#[test]
fn a_read_back_is_changed_only_for_passes_that_are_not_over() {
    let names = |plan: &Plan| -> Vec<&str> {
        plan.passes()
            .iter()
            .map(|pass| pass.verify.name())
            .collect()
    };
    let all = plan(3, ReadBack::All);
    assert_eq!(names(&all), ["full", "full", "full"]);
    let less = all.clone().with_read_back(ReadBack::None, 1, 7);
    assert_eq!(names(&less), ["full", "none", "none"]);
    let more = plan(3, ReadBack::None).with_read_back(ReadBack::All, 1, 7);
    assert_eq!(names(&more), ["none", "full", "full"]);
    let sampled = plan(3, ReadBack::Sample);
    assert_eq!(names(&sampled), ["none", "none", "sample"]);
    let again = sampled.clone().with_read_back(ReadBack::Sample, 0, 8);
    assert_eq!(again, sampled, "the samples that are drawn stay");
}

#[test]
fn a_sample_is_a_tenth_of_the_work_of_a_read_back() {
    let size = 1 << 40;
    let plan = plan(1, ReadBack::Sample);
    let step = plan.steps()[1];
    let tenth = plan.verify().bytes(size);
    assert!((size / 10..size / 9).contains(&tenth));
    let (none, total) = plan.work(step, 0, size);
    assert_eq!((none, total), (u128::from(size), u128::from(size + tenth)));
    assert_eq!(plan.work(step, size, size).0, total);
    assert_eq!(
        plan.work(step, size / 2, size).0,
        none + u128::from(tenth / 2)
    );
}

#[test]
fn a_key_is_not_shown_by_debug() {
    assert_eq!(format!("{:?}", Key::new([7; KEY_BYTES])), "Key(..)");
}

#[test]
fn percent_is_never_100_before_the_end() {
    assert!(percent_of(u64::MAX - 1, u64::MAX) < 100.0);
    assert!((percent(1, 3) - 33.33).abs() < f64::EPSILON);
}

/// Draws the same each time.
struct Same;

impl Draw<()> for Same {
    fn key(&mut self) -> Result<Key, ()> {
        Ok(Key::new([1; KEY_BYTES]))
    }
    fn byte(&mut self) -> Result<u8, ()> {
        Ok(1)
    }
}

#[test]
fn a_wish_for_nothing_is_one_random_pass_read_back() {
    let plan = Wish::default().plan(&mut Same, 7).unwrap();
    assert_eq!(plan.passes().len(), 1);
    assert_eq!(plan.pass(0).content.name(), "random");
    assert_eq!(plan.verify(), Verify::Full);
}

#[test]
fn options_that_contradict_a_wipe_are_named_and_verify_may_be_changed() {
    let begun = Wish::default().plan(&mut Same, 7).unwrap();
    let wish = Wish {
        strategy: Some(Choice::Zero),
        ..Wish::default()
    };
    assert_eq!(
        wish.reconcile(&begun, 0, 7).unwrap_err().option,
        "--strategy"
    );
    let wish = Wish {
        passes: Some(3),
        ..Wish::default()
    };
    assert_eq!(wish.reconcile(&begun, 0, 7).unwrap_err().option, "--passes");
    let wish = Wish {
        pattern: "55".parse().ok(),
        ..Wish::default()
    };
    assert_eq!(wish.reconcile(&begun, 0, 7).unwrap_err().begun, "random");
    let wish = Wish {
        verify: Some(ReadBack::None),
        strategy: Some(Choice::Random),
        ..Wish::default()
    };
    let plan = wish.reconcile(&begun, 0, 7).unwrap();
    assert_eq!(plan.verify(), Verify::None);
}

proptest! {
    #[test]
    fn the_cursor_keeps_its_order(steps in proptest::collection::vec((0_u8..4, 0_u64..200), 1..60)) {
        let mut cursor = Cursor::at(0, 100);
        for (what, to) in steps {
            match what {
                0 => cursor.advance_done(to),
                1 => cursor.advance_durable(to),
                2 => cursor.advance_saved(to),
                _ => cursor.rewind(),
            }
            prop_assert!(cursor.saved() <= cursor.durable());
            prop_assert!(cursor.durable() <= cursor.done());
            prop_assert!(cursor.done() <= 100);
        }
    }
}
