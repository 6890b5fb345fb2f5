//! The ledger in any order of what its threads do, without a thread.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::ended::End;
use super::super::fake::{FakeControl, FakeDrive, Faults, Recorder};
use super::super::parts::Engine;
use super::super::state::{MIN_CHUNK, Settings, State};
use super::super::target::Presence;
use super::super::task::Shift;
use super::super::work::{ChunkResult, Work};
use super::{Done, Ledger, Order};
use crate::outcome::Signal;
use crate::plan::{During, Extent, ExtentMap, Pass, Plan, Verify};
use crate::strategy::Content;

const INTERVAL: u64 = 6 * MIN_CHUNK;
const CHUNKS: u64 = 21;
const WORKERS: usize = 3;

/// Who does something next, and how it goes.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// A worker takes a chunk, writes it, or hands it in.
    Worker(usize, Luck),
    /// The cycle goes on: begins, flushes, saves.
    Saver(Luck),
    /// Takes in what was not simply done.
    Watcher,
    /// Time goes by.
    Clock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    Bad,
    /// The drive is not what it was.
    Changed,
}

fn turn() -> impl Strategy<Value = Turn> {
    let luck =
        || prop_oneof![60 => Just(Luck::Good), 9 => Just(Luck::Bad), 1 => Just(Luck::Changed)];
    prop_oneof![
        12 => (0..WORKERS, luck()).prop_map(|(worker, luck)| Turn::Worker(worker, luck)),
        6 => luck().prop_map(Turn::Saver),
        4 => Just(Turn::Watcher),
        2 => Just(Turn::Clock),
    ]
}

/// What a worker has.
enum Hand {
    Empty,
    Takes(Work),
    Wrote(Work, ChunkResult),
}

/// How far a cycle is.
enum Round {
    None,
    Begun(Order, ExtentMap<()>),
    Synced(Order),
}

/// A drive with a cache, its threads as a list of turns, and what is on disk.
struct World<'a> {
    ledger: Ledger<'a>,
    now: Duration,
    hands: Vec<Hand>,
    round: Round,
    // written and not lost; of that what a power cut leaves; known to be bad
    cached: ExtentMap<()>,
    durable: ExtentMap<()>,
    on_disk: Option<State>,
    stopped: bool,
    // flushes that failed, and whether the drive was seen to have changed
    failed: u32,
    changed: bool,
}

impl World<'_> {
    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Worker(number, luck) => self.work(number, luck),
            Turn::Saver(luck) => self.save(luck),
            Turn::Clock => self.now += Duration::from_secs(4),
            Turn::Watcher => {
                self.ledger.take_in_results(self.now);
                self.ledger.pay(u64::MAX);
            }
        }
        self.check();
    }

    fn work(&mut self, number: usize, luck: Luck) {
        let hand = std::mem::replace(&mut self.hands[number], Hand::Empty);
        self.hands[number] = match hand {
            Hand::Empty => match self.ledger.hand_out(self.now) {
                Some(work) => {
                    let bound = self.claimed() + INTERVAL;
                    let suspended = self.ledger.unsaved.is_some();
                    assert!(suspended || work.extent.end() <= bound, "the bound");
                    Hand::Takes(work)
                }
                None => Hand::Empty,
            },
            Hand::Takes(work) => {
                let mut result = ChunkResult::of(work);
                if luck == Luck::Bad {
                    result.bad.push((work.extent, During::Write, 5));
                } else {
                    self.cached.insert(work.extent, ());
                }
                Hand::Wrote(work, result)
            }
            Hand::Wrote(work, result) => {
                self.ledger.hand_in(work, result, self.now);
                Hand::Empty
            }
        };
    }

    fn save(&mut self, luck: Luck) {
        self.round = match std::mem::replace(&mut self.round, Round::None) {
            Round::None => match self.ledger.begin_cycle(self.now) {
                Some(order) => Round::Begun(order, self.cached.clone()),
                None => Round::None,
            },
            Round::Begun(order, _) if luck == Luck::Changed => {
                self.changed = true;
                let done = Done::Changed(order.durable, "it shrank".into());
                self.ledger.end_cycle(order, done, self.now);
                Round::None
            }
            Round::Begun(order, _) if order.sync && luck == Luck::Bad => {
                self.failed += 1;
                // All that was not flushed is lost, also what was written since.
                self.cached = self.durable.clone();
                let error = std::io::Error::from_raw_os_error(5);
                let done = Done::NotSynced(error, Presence::Present);
                self.ledger.end_cycle(order, done, self.now);
                Round::None
            }
            Round::Begun(order, covered) => {
                if order.sync {
                    // The least that a flush may cover.
                    self.durable = covered;
                    self.ledger.flushed(self.now);
                }
                Round::Synced(order)
            }
            Round::Synced(order) => {
                let unsaved = (luck == Luck::Bad).then(|| "no space".to_string());
                if unsaved.is_none() {
                    self.on_disk = Some(order.state.clone());
                }
                self.ledger
                    .end_cycle(order, Done::Synced(unsaved), self.now);
                Round::None
            }
        };
    }

    /// Bytes below which the checkpoint on disk says that all is done.
    fn claimed(&self) -> u64 {
        let first = State::start().step;
        self.on_disk.as_ref().map_or(0, |state| {
            if state.step == first {
                state.position
            } else {
                CHUNKS * MIN_CHUNK
            }
        })
    }

    fn check(&self) {
        let claimed = self.claimed();
        if let Some(claims) = Extent::between(0, claimed) {
            let bad = &self.on_disk.as_ref().unwrap().bad;
            for missing in self.durable.gaps(claims) {
                assert!(
                    bad.shape().gaps(missing).is_empty(),
                    "{missing:?} is claimed"
                );
            }
        }
        if self.ledger.end().is_some() {
            assert!(
                self.ledger.due(Duration::MAX).is_none(),
                "the end is the end"
            );
            assert!(!self.ledger.has_work());
        }
        if self.on_disk.is_none() {
            assert_eq!(
                self.cached.bytes(),
                0,
                "nothing before the first checkpoint"
            );
        }
    }

    /// Everybody does what is to be done, and nothing goes wrong any more.
    fn finish(&mut self) -> End {
        for _ in 0..10_000 {
            if let Some(end) = self.ledger.end() {
                return end;
            }
            for number in 0..WORKERS {
                self.take(Turn::Worker(number, Luck::Good));
            }
            self.take(Turn::Saver(Luck::Good));
            self.take(Turn::Watcher);
            self.take(Turn::Clock);
        }
        panic!("it never ends");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_order_no_checkpoint_lies_and_the_step_ends(
        turns in proptest::collection::vec(turn(), 0..300),
        signal_at in proptest::option::of(0_usize..300),
    ) {
        let pass = Pass { content: Content::Zero, verify: Verify::None };
        let plan = Plan::new(vec![pass]).unwrap();
        let drive = FakeDrive::new(CHUNKS * MIN_CHUNK, 512, Faults::default());
        let (observer, control) = (Recorder::default(), FakeControl::default());
        let settings = Settings { chunk: MIN_CHUNK, workers: WORKERS, interval: INTERVAL, rate: None, stall: None };
        let engine = Engine { plan: &plan, settings, target: &drive, observer: &observer, control: &control };
        let shift = Arc::new(Shift::new(&engine, &State::start(), |_| {}));
        let mut world = World {
            ledger: Ledger::new(&engine, shift, (State::start(), None), true),
            now: Duration::ZERO,
            hands: (0..WORKERS).map(|_| Hand::Empty).collect(),
            round: Round::None,
            cached: ExtentMap::default(),
            durable: ExtentMap::default(),
            on_disk: None,
            stopped: false,
            failed: 0,
            changed: false,
        };
        for (number, turn) in turns.into_iter().enumerate() {
            if signal_at == Some(number) {
                world.stopped = true;
                world.ledger.stop(Signal::Int);
            }
            if world.ledger.end().is_some() {
                break;
            }
            world.take(turn);
        }
        let end = world.finish();
        let all = CHUNKS * MIN_CHUNK;
        match end {
            // The last save may have failed: then it is known that nothing is claimed.
            End::Complete if world.ledger.unsaved.is_some() => {
                prop_assert_ne!(world.ledger.durable().step, State::start().step);
            }
            End::Complete => prop_assert_eq!(world.claimed(), all),
            End::Interrupted(_) => prop_assert!(world.stopped),
            End::NotStarted(_) => prop_assert_eq!(world.cached.bytes(), 0),
            End::Failed(_) => prop_assert!(world.changed || world.failed > 1),
            End::NoMeans(why) => prop_assert!(false, "{}", why),
        }
    }
}
