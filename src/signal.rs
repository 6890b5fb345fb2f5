//! Stopping by signals, and dying by them.
//!
//! Ctrl+C comes through ctrlc, TERM, HUP and USR1 through signal-hook, because
//! ctrlc cannot tell which signal came and would override nohup. Nothing here
//! saves or prints: it sets a flag that the engine looks at.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal as Posix};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use thiserror::Error;

use crate::engine::no_threads;
use crate::outcome::Signal;

/// How long after the first signal a second one means it. One Ctrl+C may
/// arrive twice: from the terminal and once more through sudo.
const SECOND_THOUGHT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    first: OnceLock<Signal>,
    so_far: Mutex<SignalsSoFar>,
}

impl Stop {
    /// The first signal that asked to stop. Cheap: it is asked for every chunk.
    pub(crate) fn requested(&self) -> Option<Signal> {
        self.0.first.get().copied()
    }

    /// A signal came; a later one of the user's may end the program here.
    fn came(&self, signal: Signal, at: Instant) {
        let so_far = self.0.so_far.lock();
        let verdict = so_far
            .unwrap_or_else(PoisonError::into_inner)
            .came(signal, at);
        match verdict {
            Verdict::Stop => drop(self.0.first.set(signal)),
            Verdict::Nothing => {}
            Verdict::Leave => leave(signal),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Stop,
    Nothing,
    /// The program is to end at once; the last checkpoint stands.
    Leave,
}

#[derive(Debug, Default)]
struct SignalsSoFar {
    first: Option<Instant>,
    terminated: bool,
}

impl SignalsSoFar {
    /// Only what a person repeats counts as a second one: systemd sends HUP
    /// right after TERM, and a closing terminal sends HUP more than once.
    fn came(&mut self, signal: Signal, at: Instant) -> Verdict {
        let again = self.terminated;
        self.terminated |= signal == Signal::Term;
        let Some(first) = self.first else {
            self.first = Some(at);
            return Verdict::Stop;
        };
        let meant = match signal {
            Signal::Int => true,
            Signal::Term => again,
            Signal::Hup => false,
        };
        if meant && at.saturating_duration_since(first) >= SECOND_THOUGHT {
            Verdict::Leave
        } else {
            Verdict::Nothing
        }
    }
}

/// Ends the program at once. By its signal where possible.
fn leave(signal: Signal) {
    die_by(signal);
    signal_hook::low_level::exit(128 + signal.number());
}

/// Ends the program while calls hang in the kernel, without waiting for other
/// threads: by the signal that asked for it, else with this exit code.
pub(crate) fn leave_hanging(signal: Option<Signal>, code: u8) {
    if let Some(signal) = signal {
        leave(signal);
    }
    signal_hook::low_level::exit(i32::from(code));
}

/// Dies by a signal, so that a shell's loop around the program stops. Returns
/// only if that is impossible: the first process of a container is not killed
/// by a signal's default action.
pub(crate) fn die_by(signal: Signal) {
    if std::process::id() != 1 {
        // Falls back to abort; an error means an unknown signal.
        let _ = signal_hook::low_level::emulate_default_handler(signal.number());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SignalSet(
    // bit n - 1: signal n
    u64,
);

impl SignalSet {
    fn contains(self, number: i32) -> bool {
        (1..=64).contains(&number) && self.0 >> (number - 1) & 1 == 1
    }

    /// The `SigIgn` line of a `/proc/PID/status` (`proc_pid_status(5)`).
    fn ignored(status: &str) -> Option<Self> {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok().map(Self)
    }
}

/// The signals that were ignored when the program started (by nohup, or by a
/// shell for what runs in the background), read once. The first call must come
/// before anything installs a handler. Where it cannot be read, none: then a
/// hang-up stops the wipe, and it can be resumed.
fn ignored_at_start() -> SignalSet {
    static START: OnceLock<SignalSet> = OnceLock::new();
    *START.get_or_init(|| {
        std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| SignalSet::ignored(&status))
            .unwrap_or(SignalSet(0))
    })
}

/// From here to [`install`], a USR1 does not kill: it may come at any time from
/// a script that asks for status lines. And a limit on the size of files makes
/// the save of a checkpoint fail instead of killing the wipe.
pub(crate) fn survive_early() -> io::Result<()> {
    let _ = ignored_at_start();
    for signal in [SIGUSR1, SIGXFSZ] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

#[derive(Debug, Error)]
pub(crate) enum NotCaught {
    #[error("{}", no_threads(.0))]
    NoThread(io::Error),
    #[error("cannot unblock signals: {0}")]
    Blocked(Errno),
    #[error("cannot handle Ctrl+C: {0}")]
    CtrlC(ctrlc::Error),
    #[error("cannot handle signals: {0}")]
    Refused(io::Error),
}

/// Installs the handlers, in threads of their own. A signal that was ignored at
/// start stays ignored; one that was blocked is let through. To be called once,
/// before other threads start: they inherit what is blocked.
pub(crate) fn install(stop: &Stop, on_usr1: impl Fn() + Send + 'static) -> Result<(), NotCaught> {
    let ignored = ignored_at_start();
    let mut blocked = SigSet::empty();
    for signal in [Posix::SIGINT, Posix::SIGTERM, Posix::SIGHUP, Posix::SIGUSR1] {
        blocked.add(signal);
    }
    blocked.thread_unblock().map_err(NotCaught::Blocked)?;
    if !ignored.contains(SIGINT) {
        let stop = stop.clone();
        let set = ctrlc::set_handler(move || stop.came(Signal::Int, Instant::now()));
        set.map_err(|error| match error {
            ctrlc::Error::System(error) if error.kind() == io::ErrorKind::WouldBlock => {
                NotCaught::NoThread(error)
            }
            error => NotCaught::CtrlC(error),
        })?;
    }
    let asked = [SIGTERM, SIGHUP].into_iter();
    let asked = asked.filter(|number| !ignored.contains(*number));
    let mut signals = Signals::new(asked.chain([SIGUSR1])).map_err(NotCaught::Refused)?;
    let stop = stop.clone();
    let thread = std::thread::Builder::new().name("signals".into());
    let spawned = thread.spawn(move || {
        for number in signals.forever() {
            match Signal::ALL.into_iter().find(|s| s.number() == number) {
                Some(signal) => stop.came(signal, Instant::now()),
                None => on_usr1(),
            }
        }
    });
    spawned.map(drop).map_err(NotCaught::NoThread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Signal::{Hup, Int, Term};
    use Verdict::{Leave, Nothing};

    /// The verdicts over signals that come at these milliseconds.
    fn verdicts(came: &[(Signal, u64)]) -> Vec<Verdict> {
        let start = Instant::now();
        let mut so_far = SignalsSoFar::default();
        came.iter()
            .map(|(signal, at)| so_far.came(*signal, start + Duration::from_millis(*at)))
            .collect()
    }

    #[test]
    fn a_second_ctrl_c_leaves_only_after_a_second() {
        let stop = Verdict::Stop;
        assert_eq!(verdicts(&[(Int, 0), (Int, 999)]), [stop, Nothing]);
        assert_eq!(
            verdicts(&[(Int, 0), (Int, 3), (Int, 1000)]),
            [stop, Nothing, Leave]
        );
        assert_eq!(verdicts(&[(Hup, 0), (Int, 5000)]), [stop, Leave]);
    }

    #[test]
    fn a_hang_up_after_term_is_not_a_second_ctrl_c_but_a_second_term_is() {
        let stop = Verdict::Stop;
        assert_eq!(verdicts(&[(Term, 0), (Hup, 5000)]), [stop, Nothing]);
        assert_eq!(verdicts(&[(Hup, 0), (Hup, 5000)]), [stop, Nothing]);
        assert_eq!(verdicts(&[(Int, 0), (Term, 5000)]), [stop, Nothing]);
        assert_eq!(
            verdicts(&[(Hup, 0), (Term, 2000), (Term, 3000)]),
            [stop, Nothing, Leave]
        );
        assert_eq!(verdicts(&[(Term, 0), (Term, 1000)]), [stop, Leave]);
    }

    #[test]
    fn the_first_signal_wins() {
        let stop = Stop::default();
        assert_eq!(stop.requested(), None);
        let other = stop.clone();
        other.came(Term, Instant::now());
        other.came(Int, Instant::now());
        assert_eq!(stop.requested(), Some(Term));
    }

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let set =
            SignalSet::ignored("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n");
        let set = set.unwrap();
        assert!(set.contains(SIGHUP) && set.contains(13));
        assert!(!set.contains(SIGINT) && !set.contains(0) && !set.contains(99));
        assert_eq!(SignalSet::ignored("Name:\tx\n"), None);
        assert_eq!(SignalSet::ignored("SigIgn:\tzz\n"), None);
    }

    #[test]
    fn an_early_usr1_does_not_kill() {
        survive_early().unwrap();
        nix::sys::signal::raise(Posix::SIGUSR1).unwrap();
    }
}
