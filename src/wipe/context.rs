//! What every step of a wipe needs besides the drive: what was asked for, the
//! machine, the state directory, and what asks the run to stop.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::unistd::Uid;

use crate::cli::Request;
use crate::drive::{Device, Tuning};
use crate::engine::Settings;
use crate::probe::{Host, Keeping};
use crate::progress::StateDir;
use crate::refusal::Cause;
use crate::screen::{Face, StatusHandle};
use crate::signal::{self, Stop};
use crate::text::{shell_word, size};

pub(crate) struct Context {
    pub request: Request,
    pub host: Host,
    pub state: StateDir,
    pub stop: Stop,
    // who answers USR1 now
    status: Arc<Mutex<Option<StatusHandle>>>,
    handlers: OnceLock<()>,
    keeping: OnceLock<Keeping>,
}

impl Context {
    pub(crate) fn new(request: Request, state: StateDir) -> Self {
        Self {
            request,
            host: Host::real(),
            state,
            stop: Stop::default(),
            status: Arc::default(),
            handlers: OnceLock::new(),
            keeping: OnceLock::new(),
        }
    }

    /// How the state is kept, as it was when it was asked for first: a drive that
    /// hangs may hold up who asks.
    pub(crate) fn keeping(&self) -> &Keeping {
        self.keeping
            .get_or_init(|| self.host.keeping(self.state.root()))
    }

    /// From here on a signal stops the run in good order.
    pub(crate) fn catch_signals(&self) -> Result<(), Cause> {
        if self.handlers.get().is_some() {
            return Ok(());
        }
        let status = Arc::clone(&self.status);
        let on_usr1 = move || {
            if let Some(display) = &*status.lock().unwrap_or_else(PoisonError::into_inner) {
                display.status();
            }
        };
        signal::install(&self.stop, on_usr1).map_err(|error| Cause::NoMeans(error.to_string()))?;
        let _ = self.handlers.set(());
        Ok(())
    }

    pub(crate) fn answer_status(&self, handle: Option<StatusHandle>) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    pub(crate) fn face(&self) -> Face {
        Face::here(self.request.progress, self.request.quiet)
    }

    /// How the engine works on this device: as the request says, or as suits it.
    pub(crate) fn settings(&self, device: &Device, chunk: u64) -> Settings {
        let request = &self.request;
        let workers = request.threads.unwrap_or(Tuning::of(device).workers);
        let (every, rate_limit) = (request.checkpoint_every, request.rate_limit);
        Settings::new(chunk, workers, every, rate_limit).with_stall(request.stall_timeout)
    }

    /// What continues the wipe of this run as it was.
    pub(crate) fn resume_command(&self) -> String {
        let command = resume_command(self.request.state_dir.as_deref());
        match self.request.rate_limit {
            // The checkpoint does not keep it: it is the machine that is spared.
            Some(rate) => format!("{command} --rate-limit {}", size::typed(rate)),
            None => command,
        }
    }
}

pub(crate) fn state_dir(asked: Option<&Path>) -> Result<StateDir, Cause> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let root = asked.map(Path::to_path_buf).or_else(|| {
        let state_home = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        StateDir::default_root(Uid::effective().is_root(), state_home, home.as_deref())
    });
    let root = root.ok_or_else(|| {
        Cause::NoHome(match &home {
            None => "is not set",
            Some(home) if home.as_os_str().is_empty() => "is empty",
            Some(_) => "is not an absolute path",
        })
    })?;
    // A relative path would mean another folder to the next run.
    let absolute = std::path::absolute(&root).unwrap_or(root);
    Ok(StateDir::new(absolute))
}

/// What continues a wipe whose state is kept in this directory.
pub(crate) fn resume_command(state_dir: Option<&Path>) -> String {
    let Some(dir) = state_dir else {
        return "wipeit --resume".into();
    };
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let word = shell_word(absolute);
    format!("wipeit --resume --state-dir {word}")
}
