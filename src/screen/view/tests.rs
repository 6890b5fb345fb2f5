use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, mpsc};

use super::*;
use crate::engine::Observer;
use crate::outcome::Signal;
use crate::plan::{Bad, BadState, During, Extent, Pass, Phase, Plan, Step, Verify};
use crate::screen::display::{Display, StatusHandle};
use crate::strategy::Content;

const GB: u64 = 1_000_000_000;

fn header() -> Header {
    let pass = Pass {
        content: Content::Zero,
        verify: Verify::Full,
    };
    Header {
        name: "sdb".into(),
        serial: Some("ZR5A1B2C".into()),
        size: 10 * GB,
        sector: 512,
        what: "zero".into(),
        plan: Plan::new(vec![pass]).unwrap(),
    }
}

fn at(phase: Phase, done: u64) -> Progress {
    Progress {
        step: Step { pass: 0, phase },
        number: if phase == Phase::Write { 1 } else { 2 },
        steps: 2,
        done,
        saved: done / 2,
        size: 10 * GB,
    }
}

fn local() -> ZonedDateTime {
    "2026-01-14T02:10:07+01:00[Europe/Berlin]".parse().unwrap()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What was shown; the bar's lines begin with `BAR `.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Vec<String>>>);

impl Fake {
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Paper for Fake {
    fn line(&mut self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
    fn bar(&mut self, text: String) {
        self.0.lock().unwrap().push(format!("BAR {text}"));
    }
    fn end(&mut self) {
        self.0.lock().unwrap().push("END".into());
    }
    fn width(&self) -> usize {
        80
    }
}

fn screen(face: Face) -> (Screen, Fake) {
    let paper = Fake::default();
    (Screen::new(face, header(), Box::new(paper.clone())), paper)
}

#[test]
fn the_bar_stands_still_while_a_run_catches_up() {
    let (mut screen, paper) = screen(Face::Bar);
    let mut show = |second, event| {
        screen.event(event, s(second), &local());
        screen.tick(s(second), &local());
        paper.lines()
    };
    let first = show(0, Event::StepStarted(at(Phase::Write, 0)));
    assert!(first[0].starts_with("BAR sdb 1/2 write"), "{first:?}");
    let before = show(1, Event::Progress(at(Phase::Write, 5 * GB)));
    assert!(before[0].contains(" 50.0%"), "{before:?}");
    let failed = show(2, Event::SyncFailed { errno: 5, from: 7 });
    assert_eq!(
        failed[0],
        "wipeit: sdb: the drive's flush failed (I/O error); writing again from byte 7"
    );
    let after = show(3, Event::Progress(at(Phase::Write, 4 * GB)));
    assert!(after[0].contains(" 50.0%"), "{after:?}");
    let next = show(4, Event::StepStarted(at(Phase::Verify, 0)));
    assert!(
        next[0].contains("2/2 read-back") && next[0].contains(" 0.0%"),
        "{next:?}"
    );
    let late = show(5, Event::Progress(at(Phase::Write, 10 * GB)));
    assert!(late[0].contains("2/2 read-back"), "{late:?}");
}

#[test]
fn the_bar_is_drawn_at_most_once_a_second() {
    let (mut screen, paper) = screen(Face::Bar);
    for milliseconds in 0..3000 {
        screen.progress(at(Phase::Write, milliseconds));
        screen.tick(Duration::from_millis(milliseconds), &local());
    }
    assert_eq!(paper.lines().len(), 3);
}

#[test]
fn after_a_pause_the_speed_is_of_the_time_since() {
    let (screen, paper) = screen(Face::Plain);
    let clock = Arc::new(Mutex::new((s(0), 0)));
    let theirs = Arc::clone(&clock);
    let mut screen = screen.timed(Box::new(move || *theirs.lock().unwrap()));
    let mut status = |at: u64, pauses, done| {
        *clock.lock().unwrap() = (s(at), pauses);
        let at = screen.work();
        screen.progress(self::at(Phase::Write, done));
        screen.tick(at, &local());
        screen.status(&local());
        paper.lines().pop().unwrap()
    };
    status(0, 0, 0);
    assert!(status(10, 0, GB).contains(", 100 MB/s, "));
    // Nothing is known of the time since.
    assert!(!status(10, 1, GB).contains("/s, "));
    assert!(status(12, 1, GB + 20_000_000).contains(", 10.0 MB/s, "));
}

#[test]
fn a_log_tells_the_run_in_a_few_lines() {
    let (mut screen, paper) = screen(Face::Plain);
    let local = local();
    screen.event(Event::StepStarted(at(Phase::Write, 0)), s(0), &local);
    screen.tick(s(0), &local);
    screen.progress(at(Phase::Write, GB / 10));
    screen.tick(s(60), &local);
    screen.event(Event::Stopping, s(61), &local);
    screen.event(Event::SaveFailed("no space".into()), s(61), &local);
    screen.event(Event::SaveFailed("no space".into()), s(62), &local);
    screen.event(Event::SaveRecovered, s(62), &local);
    screen.event(Event::StepStarted(at(Phase::Verify, 0)), s(63), &local);
    screen.finish(Some(&Outcome::NotClear), &local);
    let stamp = "2026-01-14T02:10:07+01:00 sdb";
    assert_eq!(
        paper.lines(),
        [
            format!("{stamp} ZR5A1B2C 10.0 GB zero: write 1/2 starts"),
            format!("{stamp} write 1/2 1.0% 1.66 MB/s, done 2026-01-14T05:29"),
            format!("{stamp} stopping; finishing what is in flight (Ctrl+C again leaves at once)"),
            format!(
                "{stamp} warning: checkpoint could not be saved (no space); the wipe goes on, \
                 the last checkpoint stands, a crash may now lose more than the interval"
            ),
            format!("{stamp} warning: the checkpoint can be saved again"),
            format!("{stamp} read-back 2/2 0.0%, done 2026-01-14T02:11"),
            "END".to_string(),
            format!("{stamp} finished: NOT-CLEAR, exit 3"),
        ]
    );
}

#[test]
fn a_resume_is_announced_where_it_continues_and_a_stop_where_it_is() {
    let (mut screen, paper) = screen(Face::Plain);
    screen.event(
        Event::StepStarted(at(Phase::Verify, 5 * GB)),
        s(0),
        &local(),
    );
    let outcome = Outcome::Interrupted(Signal::Term);
    screen.finish(Some(&outcome), &local());
    let lines = paper.lines();
    assert!(
        lines[0].ends_with("zero: read-back 2/2 continues at 50.0%"),
        "{lines:?}"
    );
    assert!(
        lines[2].ends_with("sdb stopped: SIGTERM at read-back 2/2 50.0%"),
        "{lines:?}"
    );
}

#[test]
fn thousands_of_bad_ranges_make_few_lines() {
    let (mut screen, paper) = screen(Face::None);
    let bad = Bad {
        pass: 1,
        state: BadState::Failed,
        during: During::Write,
        errno: 5,
    };
    for i in 0..2345 {
        let extent = Extent::new(i * 512, 512).unwrap();
        screen.event(Event::BadExtent(extent, bad), s(i), &local());
    }
    screen.finish(None, &local());
    let lines = paper.lines();
    assert_eq!(
        lines[1],
        "wipeit: sdb: bad sector at byte 512: 512 bytes, write: I/O error"
    );
    assert_eq!(
        lines[10..],
        [
            "wipeit: sdb: more than 10 bad ranges; from here on they are only counted",
            "wipeit: sdb: 100 bad ranges so far",
            "wipeit: sdb: 1,000 bad ranges so far",
            "wipeit: sdb: 2,345 bad ranges in this run",
            "END",
        ]
    );
}

#[test]
fn quiet_shows_warnings_and_the_status_but_not_the_stop() {
    let (mut screen, paper) = screen(Face::None);
    screen.event(Event::StepStarted(at(Phase::Write, 0)), s(0), &local());
    screen.event(Event::Stopping, s(1), &local());
    screen.progress(at(Phase::Write, GB));
    screen.tick(s(2), &local());
    assert_eq!(paper.lines(), Vec::<String>::new());
    screen.status(&local());
    assert_eq!(
        paper.lines(),
        ["wipeit: sdb: write 1/2 10.0%, 1.00/10.0 GB, 500 MB saved, 500 MB/s, done Wed 02:10"]
    );
    screen.event(Event::StillWaiting, s(3), &local());
    assert_eq!(paper.lines().len(), 1);
}

#[test]
fn a_name_from_outside_reaches_no_terminal_raw() {
    for face in [Face::Bar, Face::Plain, Face::None] {
        let paper = Fake::default();
        let header = Header {
            name: "a\x1b[2J".into(),
            serial: Some("\u{9b}31m".into()),
            ..header()
        };
        let mut screen = Screen::new(face, header, Box::new(paper.clone()));
        screen.event(Event::StepStarted(at(Phase::Write, 0)), s(0), &local());
        screen.event(Event::SaveFailed("\x1b".into()), s(0), &local());
        screen.tick(s(0), &local());
        screen.status(&local());
        screen.finish(Some(&Outcome::Failed("\x07".into())), &local());
        let all = paper.lines().concat();
        assert!(!all.chars().any(char::is_control), "{all:?}");
    }
}

/// A terminal that takes nothing until it is let go.
struct Stuck(Arc<AtomicUsize>, Receiver<()>);

impl Paper for Stuck {
    fn line(&mut self, _: &str) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let _ = self.1.recv();
    }
    fn bar(&mut self, _: String) {}
    fn end(&mut self) {}
    fn width(&self) -> usize {
        80
    }
}

#[test]
fn a_terminal_that_stands_still_holds_neither_the_run_nor_its_end() {
    let (_let_go, held) = mpsc::channel();
    let seen = Arc::new(AtomicUsize::new(0));
    let paper = Box::new(Stuck(Arc::clone(&seen), held));
    let display = Display::on(Screen::new(Face::Plain, header(), paper)).unwrap();
    let began = Instant::now();
    display.event(Event::StepStarted(at(Phase::Write, 0)));
    for i in 0..5000 {
        display.event(Event::Progress(at(Phase::Write, i)));
        display.event(Event::SaveRecovered);
        display.handle().status();
    }
    assert!(began.elapsed() < s(1), "{:?}", began.elapsed());
    assert!(display.posted.lost.load(Ordering::SeqCst) > 0);
    display.finish(&Outcome::Wiped);
    assert!(began.elapsed() < s(4), "{:?}", began.elapsed());
}

#[test]
fn any_thread_may_tell_it_events() {
    fn shared<T: Send + Sync>() {}
    shared::<Display>();
    shared::<StatusHandle>();
}

#[test]
fn the_thread_shows_what_it_is_told_and_ends() {
    let paper = Fake::default();
    let display = Display::on(Screen::new(Face::Plain, header(), Box::new(paper.clone()))).unwrap();
    display.event(Event::StepStarted(at(Phase::Write, 0)));
    display.event(Event::StepStarted(at(Phase::Verify, 0)));
    display.event(Event::Progress(at(Phase::Verify, GB)));
    display.handle().status();
    display.finish(&Outcome::Wiped);
    let lines = paper.lines();
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("write 1/2 starts"), "{lines:?}");
    assert!(has("read-back 2/2 0.0%"), "{lines:?}");
    assert!(has("500 MB saved"), "{lines:?}");
    assert!(
        lines.last().unwrap().ends_with("finished: WIPED, exit 0"),
        "{lines:?}"
    );
}
