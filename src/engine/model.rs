//! The threads of a run under a model checker: the files of the engine in which they
//! meet are compiled here once more, with `shuttle` in place of std, which chooses
//! who goes on at every lock, wait and wake.
#![allow(
    clippy::duplicate_mod,
    unreachable_pub,
    reason = "they are there twice, and here for the tests alone"
)]

use std::collections::BTreeSet;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use super::fake::{FakeControl, FakeDrive, FakeJournal, Faults, Recorder};
use super::tests::check_saved_within;
use super::{
    buffers, credit, ended, event, ledger, lost, means, narrow, pace, parts, state, target, task,
    verify, work,
};
use crate::plan::{Pass, Phase, Plan, Verify};
use crate::strategy::{Content, Generator, KEY_BYTES, Key};

#[path = "checkpointer.rs"]
mod checkpointer;
#[path = "desk.rs"]
mod desk;
#[path = "run.rs"]
mod run;
#[path = "watcher.rs"]
mod watcher;
#[path = "worker.rs"]
mod worker;

mod sync {
    use std::io;
    use std::time::Duration;

    pub use shuttle::sync::Condvar;
    pub use shuttle::sync::Mutex;
    pub use shuttle::sync::MutexGuard;
    pub use shuttle::sync::RwLock;
    pub use shuttle::thread::Scope;
    pub use shuttle::thread::scope;

    #[allow(clippy::unnecessary_wraps, reason = "as the other one")]
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        thread: impl FnOnce() + Send + 'scope,
    ) -> io::Result<()> {
        drop(scope.spawn(thread));
        Ok(())
    }

    /// Time may be over at any moment.
    pub fn wait_for<'a, T>(
        _condition: &Condvar,
        (mutex, guard): (&'a Mutex<T>, MutexGuard<'a, T>),
        _at_most: Duration,
    ) -> MutexGuard<'a, T> {
        drop(guard);
        shuttle::thread::yield_now();
        mutex.lock().unwrap()
    }
}

/// Bytes between two checkpoints.
const INTERVAL: u64 = 4 * state::MIN_CHUNK;

/// What goes wrong, and when.
#[derive(Debug, Clone, Default)]
struct Trouble {
    faults: Faults,
    failing_saves: BTreeSet<u64>,
    stop_at: Option<u64>,
}

/// Runs a plan of two passes, the last one read back, in so many orders of its
/// threads.
fn in_orders(orders: usize, trouble: Trouble) {
    let config = || {
        let mut config = Config::new();
        config.stack_size = 1 << 18;
        config
    };
    let run = move || once(&trouble);
    let random: Box<dyn Scheduler + Send> = Box::new(RandomScheduler::new(orders));
    Runner::new(random, config()).run(run.clone());
    Runner::new(PctScheduler::new(3, orders), config()).run(run);
}

fn once(trouble: &Trouble) {
    let pass = |key: u8, verify| Pass {
        content: Content::Random {
            generator: Generator::Aes256,
            key: Key::new([key; KEY_BYTES]),
        },
        verify,
    };
    let plan = Plan::new(vec![pass(1, Verify::None), pass(2, Verify::Full)]).unwrap();
    let settings = state::Settings {
        chunk: state::MIN_CHUNK,
        workers: 2,
        interval: INTERVAL,
        rate: None,
        stall: None,
    };
    let drive = FakeDrive::new(9 * state::MIN_CHUNK + 700, 512, trouble.faults.clone());
    let check = |state: &state::State| check_saved_within(&plan, &drive, state, INTERVAL);
    let mut journal = FakeJournal::new(&check);
    journal.failing.clone_from(&trouble.failing_saves);
    let (observer, mut stop_at) = (Recorder::default(), trouble.stop_at);
    let mut now = state::State::start();
    for _ in 0..6 {
        let control = FakeControl {
            stop_at,
            ..FakeControl::default()
        };
        let engine = parts::Engine {
            plan: &plan,
            settings,
            target: &drive,
            observer: &observer,
            control: &control,
        };
        let ended = run::run(&engine, now, &mut journal);
        now = journal.saved.last().unwrap().clone();
        match ended.end {
            ended::End::Complete => break,
            ended::End::Interrupted(_) | ended::End::NotStarted(_) => stop_at = None,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(now.step.phase, Phase::Complete, "it came to its end");
    assert!(now.mismatches.is_empty());
    let mut wanted = vec![0; drive.platter().len()];
    crate::strategy::of(&plan.pass(1).content).fill(0, &mut wanted);
    for (number, (found, wanted)) in drive
        .platter()
        .chunks(512)
        .zip(wanted.chunks(512))
        .enumerate()
    {
        let bad = trouble.faults.unwritable.contains(&(number as u64));
        assert!(bad || found == wanted, "block {number}");
    }
}

#[test]
fn in_any_order_of_its_threads_a_run_comes_to_its_end() {
    in_orders(400, Trouble::default());
}

#[test]
fn in_any_order_a_failed_sync_and_bad_blocks_are_made_good() {
    let faults = Faults {
        failing_syncs: [1, 4].into(),
        unwritable: [3, 60].into(),
        ..Faults::default()
    };
    in_orders(
        400,
        Trouble {
            faults,
            ..Trouble::default()
        },
    );
}

#[test]
fn in_any_order_a_run_is_stopped_and_goes_on_also_where_saves_fail() {
    for stop_at in [1, 9, 40] {
        in_orders(
            100,
            Trouble {
                failing_saves: [2, 3].into(),
                stop_at: Some(stop_at),
                ..Trouble::default()
            },
        );
    }
}
