//! What time a run took: work, and apart from it the time in which the program
//! was stopped or the machine slept.
//!
//! Work is `CLOCK_MONOTONIC`, which nobody can set, less the time stopped. A
//! process does not learn when it is stopped (Ctrl+Z, `SIGSTOP`, a frozen
//! control group); but while it is, none of its threads looks at the clock. One
//! looks several times a second, so a long gap between two looks is a stop.
//! Sleep is what `CLOCK_BOOTTIME` counts and `CLOCK_MONOTONIC` does not; that
//! somebody set the clock is seen by the wall clock against `CLOCK_BOOTTIME`.
//! See `clock_gettime(2)`.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

use jiff::ZonedDateTime;
use nix::time::{ClockId, clock_gettime};

use super::checkpoint::ClockMark;

const PERIOD: Duration = Duration::from_millis(250);
/// A gap between two looks from which on the program counts as stopped in
/// between. On a busy machine a thread comes late, by a second at the worst, and
/// then the others did work.
const GAP: Duration = Duration::from_secs(2);
/// Sleep of less than this is none: the two clocks are not read at once.
const NAP: Duration = Duration::from_millis(500);
/// The wall clock counts as set from so many milliseconds on: a leap second and
/// what a time service corrects now and then are no setting.
pub(super) const SET: i64 = 2_000;
/// Clocks that were read further apart than this tell nothing of each other.
const APART: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    monotonic: Duration,
    // with the time asleep, and milliseconds since 1970; `None` where they could
    // not be read at the same moment
    boot_and_wall: Option<(Duration, i64)>,
}

impl Reading {
    fn now() -> Self {
        for _ in 0..4 {
            let monotonic = read(ClockId::CLOCK_MONOTONIC);
            let boot = read(ClockId::CLOCK_BOOTTIME);
            let wall = read_wall();
            let after = read(ClockId::CLOCK_BOOTTIME);
            // Stopped or asleep in between: again.
            let since = read(ClockId::CLOCK_MONOTONIC).saturating_sub(monotonic);
            if after.saturating_sub(boot) < APART && since < APART {
                return Self {
                    monotonic,
                    boot_and_wall: wall.map(|wall| (boot, wall)),
                };
            }
        }
        Self {
            monotonic: read(ClockId::CLOCK_MONOTONIC),
            boot_and_wall: None,
        }
    }
}

fn read(clock: ClockId) -> Duration {
    // Linux has had all of these clocks for long; without one no time passes.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

fn read_wall() -> Option<i64> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).ok()?;
    now.tv_sec()
        .checked_mul(1000)?
        .checked_add(now.tv_nsec() / 1_000_000)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunTimes {
    /// Without the time stopped or asleep.
    pub work: Duration,
    pub asleep: Duration,
    /// By how many milliseconds the clock was set, together.
    pub set: i64,
    pub times_set: u64,
    /// The boot, and where its clock stands.
    pub mark: Option<ClockMark>,
}

/// What time it is, from outside: RFC 3339 for people, and one that never goes
/// backwards for speeds.
pub trait Clock: Send {
    /// RFC 3339 with the zone's offset.
    fn stamp(&self) -> String;
    /// Since some fixed moment, without the time in which the program was stopped
    /// or the machine slept.
    fn elapsed(&self) -> Duration;
    fn tally(&self) -> RunTimes {
        RunTimes {
            work: self.elapsed(),
            ..RunTimes::default()
        }
    }
}

#[derive(Debug)]
struct Times {
    begun: Duration,
    // of the last look
    looked: Duration,
    stopped: Duration,
    // boot time less monotonic time at the start
    slept_before: Option<Duration>,
    // milliseconds of the wall clock less boot time; moves when it is set
    offset: Option<i64>,
    boot: Option<String>,
    tally: RunTimes,
    pauses: u64,
}

impl Times {
    fn new(now: Reading, boot: Option<String>) -> Self {
        let mut this = Self {
            begun: now.monotonic,
            looked: now.monotonic,
            stopped: Duration::ZERO,
            slept_before: None,
            offset: None,
            boot,
            tally: RunTimes::default(),
            pauses: 0,
        };
        this.look(now);
        this
    }

    fn look(&mut self, now: Reading) {
        let gap = now.monotonic.saturating_sub(self.looked);
        self.looked = self.looked.max(now.monotonic);
        if gap > GAP {
            self.stopped += gap.saturating_sub(PERIOD);
            self.pauses += 1;
        }
        let since = self.looked.saturating_sub(self.begun);
        self.tally.work = since.saturating_sub(self.stopped);
        let Some((boot, wall)) = now.boot_and_wall else {
            return;
        };
        let slept = boot.saturating_sub(now.monotonic);
        let asleep = slept.saturating_sub(*self.slept_before.get_or_insert(slept));
        if asleep >= self.tally.asleep + NAP {
            self.tally.asleep = asleep;
            self.pauses += 1;
        }
        let offset = wall.saturating_sub(millis(boot));
        let by = offset.saturating_sub(*self.offset.get_or_insert(offset));
        if by.saturating_abs() >= SET {
            self.offset = Some(offset);
            self.tally.set = self.tally.set.saturating_add(by);
            self.tally.times_set += 1;
        }
    }

    fn tally(&self) -> RunTimes {
        let mark = self.boot.clone().zip(self.offset);
        RunTimes {
            mark: mark.map(|(boot, offset_ms)| ClockMark { boot, offset_ms }),
            ..self.tally.clone()
        }
    }
}

/// Keeps the time of one run, from its start until the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Timekeeper(Arc<Clockwork>);

#[derive(Debug)]
struct Clockwork {
    times: Mutex<Times>,
    // its end ends the thread
    _end: Sender<()>,
}

impl Clockwork {
    fn looked<T>(&self, of: impl FnOnce(&Times) -> T) -> T {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        // Read while nobody else can: looks come in order.
        times.look(Reading::now());
        of(&times)
    }
}

impl Timekeeper {
    pub(crate) fn start() -> io::Result<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let boot = boot.map(|id| id.trim().to_string());
        let (end, ended) = mpsc::channel();
        let inner = Arc::new(Clockwork {
            times: Mutex::new(Times::new(Reading::now(), boot)),
            _end: end,
        });
        let kept: Weak<Clockwork> = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("clock".into())
            .spawn(move || {
                while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                    if let Some(inner) = kept.upgrade() {
                        inner.looked(|_| ());
                    }
                }
            })?;
        Ok(Self(inner))
    }

    /// Time that the run worked: it never goes backwards.
    pub(crate) fn work(&self) -> Duration {
        self.0.looked(|times| times.tally.work)
    }

    pub(crate) fn pauses(&self) -> u64 {
        self.0.looked(|times| times.pauses)
    }
}

impl Clock for Timekeeper {
    fn stamp(&self) -> String {
        let now = ZonedDateTime::now();
        now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
    }

    fn elapsed(&self) -> Duration {
        self.work()
    }

    fn tally(&self) -> RunTimes {
        self.0.looked(Times::tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Clocks that tests move, in milliseconds.
    struct Clocks {
        monotonic: u64,
        slept: u64,
        ahead: i64,
        times: Times,
    }

    impl Clocks {
        fn new() -> Self {
            let mut this = Self {
                monotonic: 1_000_000,
                slept: 5_000,
                ahead: 1_700_000_000_000,
                times: Times::new(
                    Reading {
                        monotonic: ms(0),
                        boot_and_wall: None,
                    },
                    None,
                ),
            };
            this.times = Times::new(this.reading(), Some("boot".into()));
            this
        }

        fn reading(&self) -> Reading {
            let boot = self.monotonic + self.slept;
            let wall = self.ahead + i64::try_from(boot).unwrap();
            Reading {
                monotonic: ms(self.monotonic),
                boot_and_wall: Some((ms(boot), wall)),
            }
        }

        fn look(&mut self) -> RunTimes {
            let now = self.reading();
            self.times.look(now);
            self.times.tally()
        }

        /// So many milliseconds with looks as they come.
        fn run(&mut self, time: u64) -> RunTimes {
            for _ in 0..time / 250 {
                self.monotonic += 250;
                self.look();
            }
            self.look()
        }
    }

    #[test]
    fn time_in_which_nothing_looked_is_no_work() {
        let mut clocks = Clocks::new();
        assert_eq!(clocks.run(10_000).work, ms(10_000));
        clocks.monotonic += 3_600_000;
        let tally = clocks.look();
        assert_eq!((tally.work, clocks.times.pauses), (ms(10_250), 1));
        assert_eq!(clocks.run(1_000).work, ms(11_250));
        // A thread that comes late on a busy machine was not stopped.
        clocks.monotonic += 1_900;
        assert_eq!(clocks.look().work, ms(13_150));
        assert_eq!(clocks.times.pauses, 1);
        assert_eq!((tally.asleep, tally.times_set), (ms(0), 0));
    }

    #[test]
    fn time_asleep_is_told_apart_and_is_a_pause() {
        let mut clocks = Clocks::new();
        clocks.run(1_000);
        clocks.slept += 7_200_000;
        let tally = clocks.run(1_000);
        assert_eq!((tally.work, tally.asleep), (ms(2_000), ms(7_200_000)));
        assert_eq!((tally.times_set, clocks.times.pauses), (0, 1));
        clocks.slept += 60_000;
        assert_eq!(clocks.run(1_000).asleep, ms(7_260_000));
    }

    #[test]
    fn a_clock_that_is_set_changes_no_work_and_is_counted() {
        let mut clocks = Clocks::new();
        clocks.run(1_000);
        clocks.ahead -= 3 * 3_600_000;
        let tally = clocks.run(1_000);
        assert_eq!((tally.set, tally.times_set), (-10_800_000, 1));
        clocks.ahead += 3 * 3_600_000;
        let tally = clocks.run(1_000);
        assert_eq!((tally.set, tally.times_set, tally.work), (0, 2, ms(3_000)));
        // Little by little is a setting too, once.
        for _ in 0..20 {
            clocks.ahead += 100;
            clocks.run(250);
        }
        assert_eq!(clocks.look().times_set, 3);
        let mark = clocks.look().mark.unwrap();
        assert_eq!(mark.boot, "boot");
        // A leap second is none.
        clocks.ahead += 1_000;
        assert_eq!(clocks.run(250).times_set, 3);
    }

    #[test]
    fn absurd_readings_are_taken_without_a_word() {
        let mut clocks = Clocks::new();
        for (monotonic, boot, wall) in [(0, 0, i64::MIN), (u64::MAX, 0, i64::MAX), (5, u64::MAX, 0)]
        {
            clocks.times.look(Reading {
                monotonic: ms(monotonic),
                boot_and_wall: Some((ms(boot), wall)),
            });
        }
        let before = clocks.times.tally.work;
        clocks.look();
        assert!(clocks.times.tally.work >= before, "never backwards");
    }

    #[test]
    fn the_clocks_of_this_machine_go_forward() {
        let kept = Timekeeper::start().unwrap();
        let first = kept.work();
        let tally = kept.tally();
        assert!(tally.work >= first && tally.mark.is_some(), "{tally:?}");
        assert_eq!(tally.times_set, 0);
    }
}
