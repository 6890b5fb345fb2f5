//! What is to be done to a drive, decided, and the checkpoint with which it begins.

use std::path::PathBuf;

use super::open::Opened;
use super::unfinished::Unfinished;
use crate::drive::{Device, Fact};
use crate::engine::State;
use crate::plan::Plan;
use crate::progress::{self, Checkpoint, ContentBefore};
use crate::refusal::Cause;
use crate::strategy::{Draw, Key};
use crate::text::clean;

#[derive(Debug)]
pub(super) struct Job {
    pub plan: Plan,
    pub scheme: Option<String>,
    pub state: State,
    /// Bytes of one write, before they are brought into range.
    pub chunk: u64,
    pub continued: Option<Unfinished>,
    /// The files of checkpoints of this drive that the new one replaces.
    pub replaces: Vec<PathBuf>,
    /// The run ids of the wipes of this drive that this one supersedes.
    pub supersedes: Vec<String>,
    pub forgets: Vec<String>,
}

pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], Cause> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Cause::NoRandom)?;
    Ok(bytes)
}

pub(super) struct Kernel;

impl Draw<Cause> for Kernel {
    fn key(&mut self) -> Result<Key, Cause> {
        random_bytes().map(Key::new)
    }
    fn byte(&mut self) -> Result<u8, Cause> {
        random_bytes::<1>().map(|[byte]| byte)
    }
}

impl Job {
    /// The checkpoint with which the job begins, at `now` (RFC 3339).
    pub(super) fn checkpoint(&self, opened: &Opened, now: &str) -> Result<Checkpoint, Cause> {
        let device = opened.device();
        let checkpoint = if let Some(continued) = &self.continued {
            continued.checkpoint.clone()
        } else {
            let run_id = format!("{:032x}", u128::from_le_bytes(random_bytes()?));
            let (identity, plan) = (device.identity.clone(), self.plan.clone());
            let fresh = Checkpoint::begin(identity, plan, self.chunk, run_id, now);
            fresh.over(device.contents.iter().filter_map(|content| {
                Some(ContentBefore {
                    name: clean(&content.name),
                    size: content.size,
                    format: content.what?.into(),
                    label: content.label.as_deref().map(clean),
                })
            }))
        };
        let (scheme, is_cached) = (self.scheme.as_ref(), !opened.writer.is_direct());
        let mut checkpoint = checkpoint
            .for_run(device, scheme, self.chunk, &self.supersedes, is_cached)
            .entering(&self.plan, &self.state);
        if let Fact::Known(found) = &device.usage.leftovers {
            for finding in found {
                checkpoint.note(finding.clone());
            }
        }
        Ok(checkpoint)
    }

    /// The name of the checkpoint's file: a continued wipe keeps its own.
    pub(super) fn file_name(&self, device: &Device, checkpoint: &Checkpoint) -> String {
        let own = |continued: &Unfinished| Some(continued.file.file_name()?.to_str()?.to_string());
        self.continued.as_ref().and_then(own).unwrap_or_else(|| {
            let serial = device.identity.serial.as_deref();
            progress::file_name(&device.name, serial, checkpoint.run_id())
        })
    }
}
