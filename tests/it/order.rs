//! The order of system calls. Killing cannot show a missing flush, as the page
//! cache survives it; strace can.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};

use crate::support::content::{Content, check};
use crate::support::device::{Loop, Mount, fill};
use crate::support::run::{Done, Running};
use crate::support::state::{State, number};
use crate::support::trace::{self, Call};
use crate::support::{MIB, NOTHING, Need, STRACE, Scratch, cases};

const STRACE_LOOP: &[Need] = &[Need::Root, Need::Loop, Need::Tool("strace")];
const ROOT: &[Need] = &[Need::Root];
const FULL: &[Need] = &[Need::Root, Need::Tool("openssl")];

cases![
    STRACE_LOOP => a_checkpoint_never_speaks_of_bytes_that_were_not_flushed,
    STRACE => the_same_holds_for_an_image_with_an_odd_tail,
    STRACE => the_first_checkpoint_is_saved_before_the_first_byte,
    STRACE => a_checkpoint_is_replaced_durably,
    STRACE => the_record_is_durable_before_the_checkpoint_goes,
    STRACE => the_target_is_opened_for_writing_once_and_never_created,
    STRACE => a_state_disk_of_5_seconds_for_each_flush_slows_the_wipe_only,
    STRACE => a_state_disk_of_a_second_for_each_flush_never_lets_it_run_ahead,
    NOTHING => the_smallest_interval_does_not_hang,
    ROOT => a_full_state_disk_does_not_stop_a_wipe_and_is_announced,
    ROOT => a_state_disk_that_is_full_for_a_while_is_used_again,
    FULL => the_next_pass_is_not_begun_without_its_checkpoint,
    FULL => killed_while_it_waits_for_the_checkpoint_of_a_pass_it_can_be_resumed,
];

const CALLS: &str = "trace=openat,open,creat,read,write,pwrite64,pwritev,pwritev2,fsync,fdatasync,\
     sync_file_range,rename,renameat,renameat2,unlink,unlinkat,ftruncate";

/// A wipe under strace.
struct Traced {
    device: Option<Loop>,
    scratch: Scratch,
    target: PathBuf,
    calls: Vec<Call>,
    done: Done,
}

fn traced(size: u64, on_device: bool, options: &str, inject: Option<&str>) -> Traced {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", size);
    let device = on_device.then(|| Loop::over(&image));
    let target = device
        .as_ref()
        .map_or(image, |device| device.path().to_path_buf());
    let log = scratch.join("strace.log");
    let mut wrapper = vec![
        "strace",
        "-f",
        "-y",
        "-s",
        "3000",
        "-e",
        CALLS,
        "-e",
        "signal=none",
    ];
    if let Some(inject) = inject {
        wrapper.extend(["-e", inject]);
    }
    wrapper.extend(["-o", log.to_str().unwrap()]);
    let done = scratch
        .wipe(&target)
        .yes()
        .words("-s zero --verify none --checkpoint-every 1M")
        .words(options)
        .under(wrapper)
        .run()
        .code(0);
    check(&target, 0, size, &Content::Zero);
    let calls = trace::read(&log);
    Traced {
        device,
        scratch,
        target,
        calls,
        done,
    }
}

/// A save of the checkpoint: write, flush, rename, flush of the folder.
struct Save {
    write: Call,
    durable: Call,
    written: u64,
    total: u64,
}

impl Traced {
    fn named(&self, name: &str) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.name == name)
    }

    fn is_target(&self, call: &Call) -> bool {
        Path::new(call.path()) == self.target
    }

    fn writes(&self) -> impl Iterator<Item = &Call> {
        for name in ["pwritev", "pwritev2"] {
            assert_eq!(self.named(name).count(), 0, "teach this test about {name}");
        }
        self.named("pwrite64").filter(|call| self.is_target(call))
    }

    fn flushes(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| {
            matches!(call.name.as_str(), "fdatasync" | "fsync")
                && self.is_target(call)
                && call.result == 0
        })
    }

    /// Every save into a folder, in order; fails when one of its steps is
    /// missing or out of order.
    fn saves(&self, folder: &str) -> Vec<Save> {
        let folder = self.scratch.state().path().join(folder);
        let folder = folder.to_str().unwrap();
        let renames: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| call.name.starts_with("rename") && call.args.contains(folder))
            .collect();
        assert!(!renames.is_empty(), "nothing was saved in {folder}");
        let mut saves = Vec::new();
        for (i, rename) in renames.iter().enumerate() {
            assert_eq!(rename.result, 0, "{rename:?}");
            let earliest = if i == 0 { 0 } else { renames[i - 1].end };
            let of_file = |call: &&Call| {
                call.path().starts_with(folder)
                    && call.path() != folder
                    && call.begin >= earliest
                    && call.end < rename.begin
            };
            let writes: Vec<&Call> = self.named("write").filter(of_file).collect();
            let first = writes
                .first()
                .unwrap_or_else(|| panic!("no write before {rename:?}"));
            let last = writes.last().unwrap();
            let synced = self
                .named("fsync")
                .filter(of_file)
                .find(|call| call.begin > last.end && call.result == 0);
            assert!(
                synced.is_some(),
                "the file is not flushed before {rename:?}"
            );
            let next = renames.get(i + 1).map_or(usize::MAX, |next| next.begin);
            let durable = self.named("fsync").find(|call| {
                call.path() == folder
                    && call.begin > rename.end
                    && call.begin < next
                    && call.result == 0
            });
            let durable = durable.unwrap_or_else(|| panic!("no flush of the folder: {rename:?}"));
            let field = |name: &str| {
                let found = writes.iter().find_map(|call| call.json_number(name));
                // The page to read has no such fields.
                let found = found.or(rename.args.contains(".html").then_some(0));
                found.unwrap_or_else(|| panic!("no {name} in {first:?}"))
            };
            saves.push(Save {
                write: (*first).clone(),
                durable: durable.clone(),
                written: field("written"),
                total: field("total_size"),
            });
        }
        saves
    }

    /// The heart of the promise: what a checkpoint calls written was written
    /// and then flushed before the checkpoint itself was begun.
    fn assert_flushed_before_saved(&self) {
        let saves = self.saves("pending");
        for save in &saves {
            if save.written == 0 {
                continue;
            }
            let flush = self
                .flushes()
                .filter(|flush| flush.end < save.write.begin)
                .last()
                .unwrap_or_else(|| panic!("{} without a flush", save.written));
            let mut covered: Vec<(u64, u64)> = self
                .writes()
                .filter(|write| write.end < flush.begin && write.result > 0)
                .map(Call::range)
                .collect();
            covered.sort_unstable();
            let mut end = 0;
            for (from, to) in covered {
                if from <= end {
                    end = end.max(to);
                }
            }
            assert!(
                end.min(save.total) >= save.written,
                "saved {}, but only {end} was flushed",
                save.written
            );
        }
    }

    /// No write ends more than the interval beyond what is durably saved.
    fn assert_never_ahead(&self, interval: u64) {
        let saves = self.saves("pending");
        for write in self.writes() {
            let durable = saves
                .iter()
                .rfind(|save| save.durable.end < write.begin)
                .map(|save| save.written);
            let durable =
                durable.unwrap_or_else(|| panic!("{:?} before any checkpoint", write.range()));
            let (_, end) = write.range();
            assert!(
                end <= durable + interval,
                "a write up to {end} while {durable} was saved"
            );
        }
    }
}

fn a_checkpoint_never_speaks_of_bytes_that_were_not_flushed() {
    for options in [
        "-b 64K --threads 1",
        "-b 64K --threads 4",
        "-b 256K --threads 2",
    ] {
        let run = traced(12 * MIB + 512, true, options, None);
        run.assert_flushed_before_saved();
        run.assert_never_ahead(MIB);
        assert!(run.saves("pending").len() >= 12, "a cycle every megabyte");
        assert!(run.device.is_some());
    }
}

fn the_same_holds_for_an_image_with_an_odd_tail() {
    let run = traced(6 * MIB + 1234, false, "-b 64K --threads 3", None);
    run.assert_flushed_before_saved();
    run.assert_never_ahead(MIB);
    let end = run.writes().map(|call| call.range().1).max();
    assert_eq!(end, Some(6 * MIB + 1234));
}

fn the_first_checkpoint_is_saved_before_the_first_byte() {
    let run = traced(2 * MIB, false, "-b 64K", None);
    let saves = run.saves("pending");
    let first = run.writes().next().unwrap();
    assert_eq!(saves[0].written, 0);
    assert!(saves[0].durable.end < first.begin);
}

fn a_checkpoint_is_replaced_durably() {
    let run = traced(4 * MIB, false, "-b 64K", None);
    let mut last = 0;
    for save in run.saves("pending") {
        assert!(save.written >= last, "it went backwards");
        last = save.written;
    }
    assert_eq!(last, 4 * MIB);
    // Never written in place.
    let truncated: Vec<&Call> = run
        .named("openat")
        .filter(|call| call.args.contains(".json\"") && call.args.contains("O_TRUNC"))
        .collect();
    assert!(truncated.is_empty(), "{truncated:?}");
}

fn the_record_is_durable_before_the_checkpoint_goes() {
    let run = traced(2 * MIB, false, "-b 64K", None);
    let record = run.saves("reports").pop().unwrap();
    let pending = run.scratch.state().path().join("pending");
    let pending = pending.to_str().unwrap();
    let gone = run
        .calls
        .iter()
        .rfind(|call| call.name.starts_with("unlink") && call.result == 0)
        .unwrap();
    assert!(gone.args.contains(pending), "{gone:?}");
    assert!(record.durable.end < gone.begin);
    let durable = run
        .named("fsync")
        .any(|call| call.path() == pending && call.begin > gone.end && call.result == 0);
    assert!(durable, "the removal is not flushed");
    // The line on stdout comes last.
    let line = run
        .named("write")
        .find(|call| call.args.contains("\"WIPED "))
        .unwrap();
    assert!(line.begin > record.durable.end);
    assert!(run.done.stdout.starts_with("WIPED "));
}

fn the_target_is_opened_for_writing_once_and_never_created() {
    let run = traced(3 * MIB + 1, false, "-b 64K", None);
    let name = format!("\"{}\"", run.target.display());
    let opens: Vec<&Call> = run
        .named("openat")
        .filter(|call| call.args.contains(&name))
        .collect();
    let writing: Vec<&&Call> = opens
        .iter()
        .filter(|call| call.args.contains("O_RDWR") || call.args.contains("O_WRONLY"))
        .collect();
    assert_eq!(writing.len(), 1, "{opens:?}");
    assert!(writing[0].args.contains("O_CLOEXEC"), "{writing:?}");
    assert!(writing[0].args.contains("O_DIRECT"), "{writing:?}");
    for call in &opens {
        assert!(!call.args.contains("O_CREAT"), "{call:?}");
        assert!(!call.args.contains("O_TRUNC"), "{call:?}");
        // Nothing opens it again once it is being written.
        assert!(call.begin <= writing[0].begin, "{call:?}");
    }
}

fn a_state_disk_of_5_seconds_for_each_flush_slows_the_wipe_only() {
    // The first four flushes after the first checkpoint.
    let inject = "inject=fsync:delay_exit=5000000:when=3..6";
    let start = Instant::now();
    let run = traced(4 * MIB, false, "-b 64K --threads 4", Some(inject));
    run.assert_flushed_before_saved();
    run.assert_never_ahead(MIB);
    assert!(
        start.elapsed() >= Duration::from_secs(15),
        "it was not slow"
    );
}

fn a_state_disk_of_a_second_for_each_flush_never_lets_it_run_ahead() {
    let inject = "inject=fsync:delay_exit=1000000";
    let run = traced(3 * MIB, false, "-b 1M --threads 4", Some(inject));
    run.assert_flushed_before_saved();
    run.assert_never_ahead(MIB);
}

fn the_smallest_interval_does_not_hang() {
    let scratch = Scratch::new();
    let size = 40 * MIB + 512;
    let image = scratch.tagged("old.img", size);
    for options in [
        "-b 1M --threads 4",
        "-b 2M --threads 8",
        "-b 4K --threads 1",
    ] {
        scratch
            .wipe(&image)
            .yes()
            .words("-s zero --checkpoint-every 1M")
            .words(options)
            .run()
            .wiped(&image, size);
        std::fs::remove_dir_all(scratch.state().path()).unwrap();
    }
}

fn a_full_state_disk_does_not_stop_a_wipe_and_is_announced() {
    let scratch = Scratch::new();
    let size = 16 * MIB;
    let image = scratch.tagged("old.img", size);
    let mount = Mount::tmpfs("64K", scratch.join("mnt"));
    let dir = mount.point().join("state");
    let state = crate::support::state::State::at(dir.clone());
    let mut run = scratch
        .wipe(&image)
        .yes()
        .state(&dir)
        .words("-s zero --rate-limit 8M -b 64K --checkpoint-every 1M")
        .start();
    run.until_saved(&state, "its first checkpoint", |_| true);
    let path = fill(mount.point());
    run.until("a warning", |run| run.stderr().contains("checkpoint"));
    let stood = number(&state.checkpoint(), "written");
    assert!(stood < size);
    let done = run.wait();
    check(&image, 0, size, &Content::Zero);
    let done = done.code(0);
    assert!(done.stdout.starts_with("WIPED "), "{done:?}");
    std::fs::remove_file(path).unwrap();
}

fn a_state_disk_that_is_full_for_a_while_is_used_again() {
    let scratch = Scratch::new();
    let size = 24 * MIB;
    let image = scratch.tagged("old.img", size);
    let mount = Mount::tmpfs("64K", scratch.join("mnt"));
    let dir = mount.point().join("state");
    let state = crate::support::state::State::at(dir.clone());
    let mut run = scratch
        .wipe(&image)
        .yes()
        .state(&dir)
        .words("-s zero --rate-limit 8M -b 64K --checkpoint-every 1M --verify none")
        .start();
    run.until_saved(&state, "its first checkpoint", |_| true);
    let path = fill(mount.point());
    run.until("a warning", |run| run.stderr().contains("checkpoint"));
    let stood = number(&state.checkpoint(), "written");
    std::fs::remove_file(path).unwrap();
    run.until_saved(&state, "a newer checkpoint", |value| {
        number(value, "written") > stood
    });
    run.wait().code(0);
    check(&image, 0, size, &Content::Zero);
    assert_eq!(state.reports().len(), 1);
    assert!(state.pending().is_empty());
}

/// A run of two passes that cannot save the checkpoint with which the second
/// begins.
struct Waiting {
    run: Running,
    mount: Mount,
    fill: PathBuf,
    image: PathBuf,
    scratch: Scratch,
}

const TWO_PASSES: u64 = 9 * MIB + 5 * 512;

impl Waiting {
    fn new() -> Self {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", TWO_PASSES);
        let mount = Mount::tmpfs("64K", scratch.join("mnt"));
        let state = State::at(mount.point().join("state"));
        let mut run = scratch
            .wipe(&image)
            .yes()
            .state(state.path())
            .words("--passes 2 --rate-limit 8M -b 64K --checkpoint-every 1M")
            .start();
        run.until_written(&state, 2 * MIB);
        let fill = fill(mount.point());
        run.until("a word that it waits", |run| {
            run.stderr()
                .contains("waiting until the checkpoint can be saved")
        });
        let this = Self {
            run,
            mount,
            fill,
            image,
            scratch,
        };
        let checkpoint = this.state().checkpoint();
        assert_eq!(checkpoint["pass"], 1);
        for _ in 0..3 {
            // All of the first pass, nothing of the second.
            let first = Content::of(&checkpoint, 1);
            check(&this.image, 0, TWO_PASSES, &first);
            std::thread::sleep(Duration::from_millis(400));
        }
        assert_eq!(this.state().checkpoint(), checkpoint);
        this
    }

    fn state(&self) -> State {
        State::at(self.mount.point().join("state"))
    }
}

fn the_next_pass_is_not_begun_without_its_checkpoint() {
    let waiting = Waiting::new();
    let (state, run) = (waiting.state(), waiting.run);
    std::fs::remove_file(&waiting.fill).unwrap();
    run.wait().wiped(&waiting.image, TWO_PASSES);
    let second = Content::of(&state.report(), 2);
    check(&waiting.image, 0, TWO_PASSES, &second);
    assert!(state.pending().is_empty());
}

fn killed_while_it_waits_for_the_checkpoint_of_a_pass_it_can_be_resumed() {
    for (by, freed) in [(SIGKILL, true), (SIGINT, false), (SIGTERM, true)] {
        let waiting = Waiting::new();
        let (state, run) = (waiting.state(), waiting.run);
        run.signal(by);
        run.wait().killed_by(by);
        if freed {
            std::fs::remove_file(&waiting.fill).unwrap();
        }
        let plan = state.checkpoint()["plan"].clone();
        let first = Content::of(&state.checkpoint(), 1);
        check(&waiting.image, 0, TWO_PASSES, &first);
        let resume = || {
            let wipe = waiting.scratch.wipe(&waiting.image).arg("--resume");
            wipe.state(state.path())
        };
        if !freed {
            // Still full: it may not begin.
            resume().code(4);
            check(&waiting.image, 0, TWO_PASSES, &first);
            std::fs::remove_file(&waiting.fill).unwrap();
        }
        resume().run().wiped(&waiting.image, TWO_PASSES);
        let report = state.report();
        assert_eq!(report["plan"], plan);
        check(&waiting.image, 0, TWO_PASSES, &Content::of(&report, 2));
    }
}
