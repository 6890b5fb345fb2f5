//! Drives that nothing identifies: only their content tells them apart. Here a
//! loop device over a loop device, whose inode nobody knows.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGINT, SIGKILL};
use serde_json::Value;

use crate::support::content::{Content, check, tags};
use crate::support::device::{Loop, read_range};
use crate::support::pty::Terminal;
use crate::support::run::Done;
use crate::support::state::{State, number, read, unchanged};
use crate::support::{LOOP, MIB, Scratch, cases};

cases![
    LOOP => resume_never_writes_to_a_drive_that_nothing_proves,
    LOOP => a_named_drive_with_nothing_written_may_be_resumed,
    LOOP => each_of_two_like_drives_continues_its_own_wipe,
    LOOP => restart_leaves_the_checkpoint_of_a_like_drive_alone,
    LOOP => a_third_like_drive_is_wiped_beside_two_unfinished_ones,
    LOOP => zeros_and_patterns_prove_nothing_without_an_answer,
    LOOP => ensure_asks_for_a_word_where_a_wiped_drive_may_have_new_data,
    LOOP => ensure_asks_for_a_word_where_an_unfinished_drive_may_have_new_data,
    LOOP => ensure_says_why_it_wipes_again_what_only_zeros_prove,
];

const SIZE: u64 = 10 * MIB + 1536;
const SLOW: &str = "--rate-limit 16M -b 64K --checkpoint-every 1M";

/// A bay in which drives that cannot be told apart are put.
struct Bay {
    // detached in this order, before the file below goes away
    outer: Loop,
    _inner: Loop,
    scratch: Scratch,
}

impl Bay {
    fn new() -> Self {
        let scratch = Scratch::new();
        let inner = Loop::over(&scratch.tagged("below.img", SIZE));
        let outer = Loop::over(inner.path());
        Self {
            outer,
            _inner: inner,
            scratch,
        }
    }

    fn path(&self) -> &Path {
        self.outer.path()
    }

    fn state(&self) -> State {
        self.scratch.state()
    }

    /// Takes the drive out.
    fn take(&self) -> Vec<u8> {
        read_range(self.path(), 0, usize::try_from(SIZE).unwrap())
    }

    /// Puts another in. That it is there under the same names is what matters,
    /// so its content is put there.
    fn put(&self, drive: &[u8]) {
        let file = std::fs::OpenOptions::new().write(true).open(self.path());
        let file = file.unwrap();
        file.write_all_at(drive, 0).unwrap();
        file.sync_all().unwrap();
    }

    /// Wipes what is in the bay until it is some megabytes in, and takes it out
    /// with its checkpoint.
    fn stopped(&self, options: &str) -> (Vec<u8>, Value) {
        let others = self.state().pending();
        let own = || {
            let file = self
                .state()
                .pending()
                .into_iter()
                .find(|file| !others.contains(file))?;
            serde_json::from_slice::<Value>(&std::fs::read(file).ok()?).ok()
        };
        let wipe = self.scratch.wipe(self.path()).yes();
        let mut run = wipe.words(SLOW).words(options).start();
        run.until("some megabytes", |_| {
            own().is_some_and(|value| number(&value, "written") >= 3 * MIB)
        });
        run.signal(SIGINT);
        run.wait().killed_by(SIGINT);
        (self.take(), own().unwrap())
    }

    /// Wipes the drive until the first checkpoint is there, and no further.
    fn killed_at_once(&self) -> Vec<u8> {
        let wipe = self.scratch.wipe(self.path()).yes();
        let mut run = wipe.words("--rate-limit 400K -b 64K").start();
        let state = self.state();
        run.until_saved(&state, "its first checkpoint", |_| true);
        std::thread::sleep(Duration::from_millis(300));
        run.signal(SIGKILL);
        run.wait().killed_by(SIGKILL);
        assert_eq!(number(&state.checkpoint(), "written"), 0);
        self.take()
    }

    fn resume(&self, options: &str) -> Done {
        self.scratch.wipeit().arg("--resume").words(options).run()
    }

    /// What the plan says is on the drive, and a record says the same.
    fn assert_wiped(&self, checkpoint: &Value) {
        let of_run = |value: &Value| value["run_id"] == checkpoint["run_id"];
        let files = self.state().reports().into_iter();
        let mut records = files.map(|file| read(&file));
        let record: Value = records.find(of_run).expect("its record");
        assert_eq!(record["plan"], checkpoint["plan"]);
        assert_eq!(record["outcome"], "WIPED");
        check(self.path(), 0, SIZE, &Content::of(checkpoint, 1));
    }
}

/// Another drive: other old data.
fn other(seed: u8) -> Vec<u8> {
    let mut bytes = tags(0, usize::try_from(SIZE).unwrap());
    for byte in &mut bytes {
        *byte ^= seed;
    }
    bytes
}

fn resume_never_writes_to_a_drive_that_nothing_proves() {
    let bay = Bay::new();
    bay.killed_at_once();
    bay.put(&other(1));
    unchanged(&[bay.path(), bay.state().path()], || {
        bay.resume("--yes").code(4).one_line();
        bay.resume("").code(4);
    });
}

fn a_named_drive_with_nothing_written_may_be_resumed() {
    let bay = Bay::new();
    bay.killed_at_once();
    let checkpoint = bay.state().checkpoint();
    let wipe = bay.scratch.wipe(bay.path()).words("--resume --yes");
    wipe.run().wiped(bay.path(), SIZE);
    bay.assert_wiped(&checkpoint);
}

fn each_of_two_like_drives_continues_its_own_wipe() {
    let bay = Bay::new();
    let (first, of_first) = bay.stopped("");
    bay.put(&other(2));
    let (second, of_second) = bay.stopped("");
    assert_eq!(bay.state().pending().len(), 2);
    // The older one, looked for; the newer one, named.
    bay.put(&first);
    bay.resume("--yes").wiped(bay.path(), SIZE);
    bay.assert_wiped(&of_first);
    assert_eq!(bay.state().checkpoint()["run_id"], of_second["run_id"]);
    bay.put(&second);
    let wipe = bay.scratch.wipe(bay.path()).words("--resume --yes");
    wipe.run().wiped(bay.path(), SIZE);
    bay.assert_wiped(&of_second);
    assert!(bay.state().pending().is_empty());
}

fn restart_leaves_the_checkpoint_of_a_like_drive_alone() {
    let bay = Bay::new();
    let (first, of_first) = bay.stopped("");
    bay.put(&other(3));
    let (_, of_second) = bay.stopped("");
    let wipe = bay.scratch.wipe(bay.path()).words("--yes --restart");
    wipe.run().wiped(bay.path(), SIZE);
    assert_eq!(
        bay.state().checkpoint(),
        of_first,
        "the other's is as it was, this one's is gone"
    );
    let record = bay.state().report();
    assert_ne!(record["run_id"], of_second["run_id"]);
    check(bay.path(), 0, SIZE, &Content::of(&record, 1));
    bay.put(&first);
    bay.resume("--yes").wiped(bay.path(), SIZE);
    bay.assert_wiped(&of_first);
}

fn a_third_like_drive_is_wiped_beside_two_unfinished_ones() {
    let bay = Bay::new();
    bay.stopped("");
    bay.put(&other(4));
    bay.stopped("");
    bay.put(&other(5));
    let pending = bay.state().path().join("pending");
    unchanged(&[&pending], || {
        let wipe = bay.scratch.wipe(bay.path()).yes();
        wipe.run().wiped(bay.path(), SIZE);
    });
    let record = bay.state().report();
    check(bay.path(), 0, SIZE, &Content::of(&record, 1));
}

fn zeros_and_patterns_prove_nothing_without_an_answer() {
    for options in ["-s zero", "--pattern 55aa"] {
        let bay = Bay::new();
        let (_, checkpoint) = bay.stopped(options);
        unchanged(&[bay.path(), bay.state().path()], || {
            bay.resume("--yes").code(4).one_line();
            let wipe = bay.scratch.wipe(bay.path()).words("--resume --yes");
            wipe.code(4).one_line();
        });
        let mut terminal = Terminal::new();
        let wipe = bay.scratch.wipeit().arg("--resume");
        let run = wipe.on_terminal(terminal.slave()).start();
        terminal.shows("anything else to leave");
        terminal.types(&format!("{}\n", bay.outer.name()));
        run.wait().code(0);
        bay.assert_wiped(&checkpoint);
    }
}

fn ensure_asks_for_a_word_where_an_unfinished_drive_may_have_new_data() {
    for (options, new_data) in [("", true), ("-s zero", false)] {
        let bay = Bay::new();
        let (mut drive, _) = bay.stopped(options);
        if new_data {
            drive[..4096].fill(7);
        }
        bay.put(&drive);
        unchanged(&[bay.path(), bay.state().path()], || {
            let wipe = bay.scratch.wipe(bay.path()).words("--ensure --yes");
            let says = ["may be the drive of an unfinished wipe", "--restart"];
            wipe.code(4).one_line().says(&says);
        });
    }
}

fn ensure_says_why_it_wipes_again_what_only_zeros_prove() {
    let bay = Bay::new();
    let ensure = || bay.scratch.wipe(bay.path()).words("--ensure --yes -s zero");
    ensure().run().wiped(bay.path(), SIZE);
    let again = ensure().run().wiped(bay.path(), SIZE);
    again.says(&["may be the drive that was wiped on", "do not prove it"]);
}

fn ensure_asks_for_a_word_where_a_wiped_drive_may_have_new_data() {
    let bay = Bay::new();
    let ensure = || bay.scratch.wipe(bay.path()).words("--ensure --yes");
    ensure().run().wiped(bay.path(), SIZE);
    ensure().code(0).says(&["nothing was written"]);
    let first = bay.take();
    // New data on it, or another drive: nothing tells.
    bay.put(&other(6));
    unchanged(&[bay.path(), bay.state().path()], || {
        let says = ["as the drive that was wiped on", "(at byte", "--restart"];
        ensure().code(4).one_line().says(&says);
    });
    let restart = bay.scratch.wipe(bay.path()).words("--restart --yes");
    restart.run().code(0);
    // The record that fits counts, not the newest.
    ensure().code(0).says(&["nothing was written"]);
    bay.put(&first);
    ensure().code(0).says(&["nothing was written"]);
}
