//! Runs a command and says what it used. This is a process of its own, as the
//! kernel keeps the peak of memory of all children together only. What is less
//! than this process uses itself cannot be seen.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The first word of the command line in this mode.
pub const MODE: &str = "measured";

/// What a command used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds from its start to its end.
    pub whole: f64,
    /// Seconds of CPU, its own and in the kernel.
    pub cpu: f64,
    /// Most bytes that it had in memory.
    pub peak: u64,
    /// Whether it says that it succeeded.
    pub success: bool,
}

/// Runs the command that these words are, and writes its [`Usage`] to stdout.
pub fn serve(mut words: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let program = words.next().context("no command")?;
    let begun = Instant::now();
    let mut child = Command::new(&program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{}", program.display()))?;
    let status = child.wait()?;
    let whole = begun.elapsed().as_secs_f64();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| Duration::from_micros(micros(time)).as_secs_f64();
    let usage = Usage {
        whole,
        cpu: seconds(used.user_time()) + seconds(used.system_time()),
        peak: used.max_rss().unsigned_abs() * 1024,
        success: status.success(),
    };
    crate::print(&serde_json::to_string(&usage)?)
}

fn micros(time: TimeVal) -> u64 {
    (time.tv_sec() * 1_000_000 + time.tv_usec()).unsigned_abs()
}

/// A process with all that it starts, in a group of its own, so that Ctrl+C
/// reaches this program alone; killed when dropped before its end.
pub struct Group(Child);

impl Group {
    /// Starts a command as it is.
    pub fn start(command: &[OsString], stdout: Stdio) -> anyhow::Result<Self> {
        let (program, words) = command.split_first().context("no command")?;
        let child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("{}", program.display()))?;
        Ok(Self(child))
    }

    /// Starts a command that is measured.
    pub fn start_measured(command: &[OsString]) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let mut words = vec![this.into(), MODE.into()];
        words.extend_from_slice(command);
        Self::start(&words, Stdio::piped())
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// What the measured command used, once it has ended.
    pub fn usage(mut self) -> anyhow::Result<Usage> {
        let read = |pipe: Option<&mut dyn std::io::Read>| {
            let mut text = String::new();
            pipe.map(|pipe| pipe.read_to_string(&mut text));
            text
        };
        let out = read(self.0.stdout.as_mut().map(|pipe| pipe as _));
        let errors = read(self.0.stderr.as_mut().map(|pipe| pipe as _));
        self.0.wait()?;
        let usage: Usage =
            serde_json::from_str(out.trim()).with_context(|| errors.trim().to_string())?;
        ensure!(usage.success, "failed: {}", errors.trim());
        Ok(usage)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }
}
