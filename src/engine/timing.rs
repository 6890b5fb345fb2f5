//! The engine against time: a drive, or the disk under the state directory, that
//! hangs, and a rate limit.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ended::End;
use super::event::Event;
use super::fake::{FakeControl, FakeDrive, Faults, Recorder};
use super::parts::Engine;
use super::run::run as run_engine;
use super::state::{MIN_CHUNK, Settings, State};
use super::target::{Control, Journal, Presence, Target};
use crate::outcome::Signal;
use crate::plan::{Pass, Plan, Verify};
use crate::strategy::Content;
use crate::text::MIB;

/// A clock that a look moves, and what it was told.
struct Seen {
    clock: FakeControl,
    hangs: Mutex<Vec<Duration>>,
}

impl Seen {
    fn new(tick: Duration) -> Self {
        Self {
            clock: FakeControl {
                tick,
                ..FakeControl::default()
            },
            hangs: Mutex::default(),
        }
    }
}

impl Control for Seen {
    fn stop(&self) -> Option<Signal> {
        None
    }
    fn now(&self) -> Duration {
        self.clock.now()
    }
    fn hangs(&self, _state: &State, silence: Duration) {
        self.hangs.lock().unwrap().push(silence);
    }
}

/// What hangs once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Write,
    Sync,
    Save,
    FirstSave,
}

/// Hangs once, at the call with this number, until others have looked at the
/// clock so often.
struct Hang {
    at: Call,
    calls: AtomicU64,
    number: u64,
    looks: Arc<AtomicU64>,
    for_looks: u64,
}

impl Hang {
    fn pass(&self, call: Call) {
        if call != self.at || self.calls.fetch_add(1, Ordering::SeqCst) != self.number {
            return;
        }
        let end = self.looks.load(Ordering::SeqCst) + self.for_looks;
        while self.looks.load(Ordering::SeqCst) < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Held<'a> {
    drive: FakeDrive,
    hang: &'a Hang,
    // when bytes were written: looks, and how many
    writes: Mutex<Vec<(u64, u64)>>,
}

impl Target for Held<'_> {
    fn size(&self) -> u64 {
        self.drive.size()
    }
    fn alignment(&self) -> u64 {
        self.drive.alignment()
    }
    fn physical_block(&self) -> u64 {
        self.drive.physical_block()
    }
    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.hang.pass(Call::Write);
        let at = self.hang.looks.load(Ordering::SeqCst);
        let bytes = data.len() as u64;
        self.writes.lock().unwrap().push((at, bytes));
        self.drive.write(data, offset)
    }
    fn read(&self, data: &mut [u8], offset: u64) -> io::Result<()> {
        self.drive.read(data, offset)
    }
    fn write_tail(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.drive.write_tail(data, offset)
    }
    fn read_tail(&self, data: &mut [u8], offset: u64, length: usize) -> io::Result<()> {
        self.drive.read_tail(data, offset, length)
    }
    fn sync(&self) -> io::Result<()> {
        self.hang.pass(Call::Sync);
        self.drive.sync()
    }
    fn begin_read_back(&self) -> io::Result<()> {
        Ok(())
    }
    fn is_whole(&self) -> Result<(), String> {
        Ok(())
    }
    fn presence(&self, error: &io::Error) -> Presence {
        self.drive.presence(error)
    }
}

struct Saves<'a>(&'a Hang, u64);

impl Journal for Saves<'_> {
    fn save(&mut self, _state: &State) -> Result<(), String> {
        self.1 += 1;
        self.0.pass(if self.1 == 1 {
            Call::FirstSave
        } else {
            Call::Save
        });
        Ok(())
    }
}

/// A wipe of eight megabytes during which this hangs once for so long. What the
/// engine called hanging, what it told, and when it wrote.
fn hanging(
    at: Call,
    number: u64,
    for_looks: u64,
    settings: Settings,
    tick: Duration,
) -> (Vec<Duration>, Vec<Event>, Vec<(u64, u64)>) {
    let control = Seen::new(tick);
    let hang = Hang {
        at,
        calls: AtomicU64::new(0),
        number,
        looks: Arc::clone(&control.clock.looks),
        for_looks,
    };
    let target = Held {
        drive: FakeDrive::new(8 * MIB, 512, Faults::default()),
        hang: &hang,
        writes: Mutex::default(),
    };
    let pass = Pass {
        content: Content::Zero,
        verify: Verify::None,
    };
    let (plan, observer) = (Plan::new(vec![pass]).unwrap(), Recorder::default());
    let engine = Engine {
        plan: &plan,
        settings,
        target: &target,
        observer: &observer,
        control: &control,
    };
    let ended = run_engine(&engine, State::start(), &mut Saves(&hang, 0));
    assert!(matches!(ended.end, End::Complete), "{ended:?}");
    assert_eq!(target.drive.after_power_cut(), vec![0; 8 << 20]);
    let writes = target.writes.into_inner().unwrap();
    (
        control.hangs.into_inner().unwrap(),
        observer.0.into_inner().unwrap(),
        writes,
    )
}

const SECOND: Duration = Duration::from_secs(1);

fn stall() -> Settings {
    Settings::new(MIN_CHUNK, 3, MIB, None).with_stall(Some(50 * SECOND))
}

#[test]
fn a_drive_hangs_whose_write_or_flush_does_not_come_back() {
    for at in [Call::Write, Call::Sync] {
        let (hangs, events, _) = hanging(at, 1, 1500, stall(), SECOND / 10);
        assert_eq!(hangs.len(), 1, "{at:?} {hangs:?}");
        assert!(hangs[0] >= 50 * SECOND);
        let told = |event: &Event| matches!(event, Event::NoAnswer(_));
        assert!(events.iter().any(told), "{at:?}");
        let state = |event: &Event| matches!(event, Event::StateSilent(_));
        assert!(!events.iter().any(state), "{at:?}");
    }
}

#[test]
fn a_state_disk_that_hangs_is_not_the_drive() {
    for at in [Call::FirstSave, Call::Save] {
        let (hangs, events, _) = hanging(at, 0, 2500, stall(), SECOND / 10);
        assert_eq!(hangs, [], "{at:?}");
        let told = events
            .iter()
            .filter(|event| matches!(event, Event::StateSilent(_)));
        assert_eq!(told.count(), 1, "{at:?}");
        let drive = |event: &Event| matches!(event, Event::NoAnswer(_) | Event::Slow { .. });
        assert!(!events.iter().any(drive), "{at:?}");
    }
}

/// The clock moves when a thread looks, so this does not hang on the
/// machine: in no second more than the rate and a quarter is begun.
#[test]
fn after_a_stall_a_rate_limit_is_kept_in_every_second() {
    let rate = MIB;
    let (workers, chunk) = (3, 4 * MIN_CHUNK);
    let settings = Settings::new(chunk, workers, MIB, Some(rate));
    let tick = Duration::from_millis(5);
    let second = 200;
    for at in [Call::Write, Call::Sync, Call::Save] {
        let (_, _, writes) = hanging(at, 1, 5 * second, settings, tick);
        let most = rate + rate / 4 + (workers as u64 + 1) * chunk;
        for (from, _) in &writes {
            let within = writes
                .iter()
                .filter(|(time, _)| (*from..from + second).contains(time));
            let bytes: u64 = within.map(|(_, bytes)| bytes).sum();
            assert!(
                bytes <= most,
                "{at:?}: {bytes} bytes in the second from {from}"
            );
        }
    }
}
