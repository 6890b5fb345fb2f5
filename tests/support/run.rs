//! Running the program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::state::{State, number};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_wipeit");

/// A run to be started: no terminal, nothing on stdin, a clean environment.
pub struct Wipe {
    program: PathBuf,
    wrapper: Vec<OsString>,
    args: Vec<OsString>,
    home: PathBuf,
    state: Option<PathBuf>,
    env: Vec<(String, OsString)>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    session: Vec<&'static str>,
    limit: Duration,
}

impl Wipe {
    /// In a scratch folder.
    pub fn new(home: &Path) -> Self {
        Self {
            program: PROGRAM.into(),
            wrapper: Vec::new(),
            args: Vec::new(),
            home: home.into(),
            state: Some(home.join("state")),
            env: Vec::new(),
            stdin: None,
            stdout: None,
            stderr: None,
            session: vec!["setsid"],
            limit: Duration::from_secs(300),
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// Words separated by spaces.
    pub fn words(self, words: &str) -> Self {
        self.args(words.split_whitespace())
    }

    pub fn yes(self) -> Self {
        self.arg("--yes")
    }

    /// Another state directory.
    pub fn state(mut self, dir: &Path) -> Self {
        self.state = Some(dir.into());
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().into()));
        self
    }

    /// These words instead of the program and its arguments.
    pub fn only<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.args = words.into_iter().map(|word| word.as_ref().into()).collect();
        self
    }

    /// Another build of the program.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.into();
        self
    }

    /// A program that runs ours: `strace`, `bash -c`.
    pub fn under<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper
            .extend(wrapper.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// Under strace with a fault; the run stays the process that was started.
    pub fn injected(self, fault: &str) -> Self {
        let call = fault.split(':').next().unwrap();
        let (trace, inject) = (format!("trace={call}"), format!("inject={fault}"));
        self.under([
            "strace",
            "-D",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ])
    }

    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.stderr = Some(to.into());
        self
    }

    /// All three on a terminal that is the controlling one.
    pub fn on_terminal(mut self, slave: &OwnedFd) -> Self {
        let stdio = || Some(Stdio::from(slave.try_clone().unwrap()));
        (self.stdin, self.stdout, self.stderr) = (stdio(), stdio(), stdio());
        self.session = vec!["setsid", "--ctty"];
        self
    }

    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// The command line as words for a shell.
    pub fn start(self) -> Running {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let out = self.home.join(format!("run{number}.out"));
        let err = self.home.join(format!("run{number}.err"));
        let mut command = Command::new(self.session[0]);
        command
            .args(&self.session[1..])
            .args(&self.wrapper)
            .arg(&self.program)
            .args(&self.args)
            .env_clear()
            .env("PATH", super::path_variable())
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .env("TERM", "dumb")
            .current_dir(&self.home)
            .stdin(self.stdin.unwrap_or_else(Stdio::null))
            .stdout(
                self.stdout
                    .unwrap_or_else(|| File::create(&out).unwrap().into()),
            )
            .stderr(
                self.stderr
                    .unwrap_or_else(|| File::create(&err).unwrap().into()),
            );
        if let Some(state) = &self.state {
            command.env("WIPEIT_STATE_DIR", state);
        }
        for (name, value) in &self.env {
            command.env(name, value);
        }
        let state = self.state.map(State::at);
        let before = state.and_then(|state| state.first_checkpoint());
        let child = command.spawn().unwrap();
        Running {
            child,
            out,
            err,
            end: Instant::now() + self.limit,
            what: format!("{:?} {:?}", self.wrapper, self.args),
            before,
            ended: None,
        }
    }

    pub fn run(self) -> Done {
        self.start().wait()
    }

    /// Runs; the exit code must be this.
    pub fn code(self, code: i32) -> Done {
        self.run().code(code)
    }
}

/// A run under way; ended with its whole session when dropped.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    end: Instant,
    what: String,
    // the checkpoint of an earlier run
    before: Option<Vec<u8>>,
    ended: Option<ExitStatus>,
}

impl Running {
    /// The process; `setsid` and most wrappers become what they run.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The same, unless it has ended.
    pub fn nudge(&mut self, signal: Signal) {
        if self.is_running() {
            self.signal(signal);
        }
    }

    /// Stops it, as Ctrl+Z does; none of its threads runs any more.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", self.pid());
        let stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
            stat.is_ok_and(|stat| {
                stat.rsplit(") ")
                    .next()
                    .is_some_and(|rest| rest.starts_with('T'))
            })
        };
        super::wait_until("all threads stand", || {
            std::fs::read_dir(&tasks).unwrap().all(stopped)
        });
    }

    /// What was written to stderr up to now.
    pub fn stderr(&self) -> String {
        read(&self.err)
    }

    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended.is_none()
    }

    /// Waits until something holds; fails when the run ends before.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        while !holds(self) {
            assert!(
                self.is_running(),
                "{} ended before: {what}\n{:?}\n{}{}",
                self.what,
                self.ended,
                self.stdout(),
                self.stderr()
            );
            assert!(
                Instant::now() < self.end,
                "{}: never: {what}\n{}",
                self.what,
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until this run has saved a checkpoint of which something holds; that
    /// of an earlier run may hold it too, if that one was stopped late.
    pub fn until_saved(&mut self, state: &State, what: &str, holds: impl Fn(&Value) -> bool) {
        let mut seen = None;
        self.until(what, |run| {
            let saved = state.first_checkpoint();
            // Looked at once: a large one takes longer to read than the next look is away.
            if saved == seen {
                return false;
            }
            seen.clone_from(&saved);
            let saved = saved.filter(|bytes| Some(bytes) != run.before.as_ref());
            let value = saved.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            value.is_some_and(|value| holds(&value))
        });
    }

    /// The same for so many bytes written.
    pub fn until_written(&mut self, state: &State, bytes: u64) {
        let written = |value: &Value| number(value, "written") >= bytes;
        self.until_saved(state, &format!("{bytes} bytes saved"), written);
    }

    /// Waits for the end; a run that hangs is ended and fails the test.
    pub fn wait(mut self) -> Done {
        while self.is_running() {
            if Instant::now() >= self.end {
                let _ = killpg(self.pid(), Signal::SIGKILL);
                let _ = self.child.wait();
                self.ended = Some(ExitStatus::from_raw(9));
                panic!("{} hangs\n{}{}", self.what, self.stdout(), self.stderr());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Done {
            status: self.ended.unwrap(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            what: self.what.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).to_string()
}

/// A run that has ended.
#[derive(Debug)]
pub struct Done {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    what: String,
}

impl Done {
    fn told(&self) -> String {
        format!(
            "{}: {}\nstdout: {}\nstderr: {}",
            self.what, self.status, self.stdout, self.stderr
        )
    }

    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}", self.told());
        self
    }

    /// The process died by this signal.
    pub fn killed_by(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{}", self.told());
        self
    }

    /// All of stdout.
    pub fn stdout(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{}", self.told());
        self
    }

    /// All of stderr.
    pub fn stderr(self, text: &str) -> Self {
        assert_eq!(self.stderr, text, "{}", self.told());
        self
    }

    /// stderr has each of these.
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in {}", self.told());
        }
        self
    }

    /// Every line on stdout says that its target was not touched; there is none
    /// where nothing was refused, or the command line is wrong.
    pub fn refuses(self) -> Self {
        let word = match self.status.code() {
            Some(6) => "BUSY ",
            _ => "REFUSED ",
        };
        let lines = self.stdout.lines();
        let untouched = |line: &str| line.starts_with(word) && line.ends_with(" nothing written");
        assert!(lines.clone().all(untouched), "{}", self.told());
        let refused = matches!(self.status.code(), Some(4 | 6));
        assert_eq!(lines.count() > 0, refused, "{}", self.told());
        self
    }

    /// The same in one line, and one line with the program's name on stderr.
    pub fn one_line(self) -> Self {
        let this = self.refuses();
        assert!(this.stdout.lines().count() <= 1, "{}", this.told());
        this.one_message()
    }

    fn one_message(self) -> Self {
        let said = self.said();
        // Where nothing is to be resumed, what is there stands above.
        let list = said.starts_with("Disks:\n") || said.starts_with("Unfinished:\n");
        let said = said
            .split_once("\nNothing was touched. Wipe one with: wipeit DEVICE\n")
            .filter(|_| list)
            .map_or(said.as_str(), |(_, said)| said);
        let whole = said.ends_with('\n') && said.matches('\n').count() == 1;
        assert!(whole, "not one line: {}", self.told());
        assert!(said.starts_with("wipeit: "), "{}", self.told());
        self
    }

    /// stderr without what hangs on the file system that the tests keep their
    /// state on.
    pub fn said(&self) -> String {
        const KEPT: [&str; 4] = [
            ": warning: may NOT survive a loss of power: ",
            ": warning: in memory: a resume will NOT survive a reboot",
            ": warning: on disk: survives a reboot; ",
            ": warning: the kernel takes the cache of the state's disk (",
        ];
        let lines = self.stderr.split_inclusive('\n');
        lines
            .filter(|line| !KEPT.iter().any(|kept| line.contains(kept)))
            .collect()
    }

    /// What stderr says, however its lines are broken.
    pub fn unbroken(&self) -> String {
        let words: Vec<&str> = self.stderr.split_whitespace().collect();
        words.join(" ")
    }

    /// The line of a finished wipe with full read-back.
    pub fn wiped(self, target: &Path, size: u64) -> Self {
        let line = format!(
            "WIPED {} - {size} bytes, 0 bad, read-back full, 0 differ\n",
            target.display()
        );
        self.code(0).stdout(&line)
    }
}
