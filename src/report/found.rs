//! What a wipe found, what that means and what weakens it: once, as data. The
//! closing lines and the page tell it, each in its own layout.

use crate::drive::{Finding, Identity, Kind, Medium, Nature};
use crate::plan::{Amount, During, Verify, Wrap};
use crate::progress::Checkpoint;
use crate::text::{count, size};

/// Ranges that are listed one by one; the rest stands in the record.
pub(super) const LISTED: usize = 10;

#[derive(Clone, Copy)]
pub(super) struct Total {
    /// At least, and at most where ranges were joined.
    pub amount: Amount,
    /// A sector is a logical block.
    block: u64,
}

impl Total {
    pub(super) fn is_none(self) -> bool {
        self.amount.most == 0
    }

    /// Sectors that they take, at least.
    pub(super) fn sectors(self) -> u64 {
        self.amount.least.div_ceil(self.block)
    }

    /// In sectors, where that is known exactly; otherwise in bytes.
    pub(super) fn in_sectors(self) -> String {
        if self.amount.is_exact() {
            count(self.sectors(), "sector", "sectors")
        } else {
            self.in_bytes()
        }
    }

    pub(super) fn in_bytes(self) -> String {
        self.as_bytes(&|bytes| count(bytes, "byte", "bytes"))
    }

    /// In bytes, which are told so where they are known exactly.
    pub(super) fn as_bytes(self, exactly: &dyn Fn(u64) -> String) -> String {
        let Amount { least, most } = self.amount;
        if self.amount.is_exact() {
            return exactly(least);
        }
        let (bytes, ranges) = (count(least, "byte", "bytes"), size::grouped(most));
        format!("at least {bytes} in at most {ranges} of ranges")
    }
}

/// What weakens the guarantees of a wipe.
pub(super) enum Weak<'a> {
    Found(&'a Finding),
    Unflushed,
    Saves(u64),
}

pub(super) struct Found<'a> {
    pub checkpoint: &'a Checkpoint,
    pub noun: &'static str,
    /// What could not be written or read, and of that each.
    pub bad: Total,
    pub unwritten: Total,
    pub unread: Total,
    pub differ: Total,
    /// Bytes that a counterfeit has at most.
    pub counterfeit: Option<u64>,
    pub read_back: Verify,
    /// Whether that came from memory, maybe.
    pub from_cache: bool,
}

impl<'a> Found<'a> {
    pub(super) fn of(checkpoint: &'a Checkpoint) -> Self {
        let id = checkpoint.device_id();
        let block = u64::from(id.logical_block.max(1));
        let total = |amount| Total { amount, block };
        let read_back = checkpoint.plan().verify();
        Self {
            checkpoint,
            noun: match id.kind {
                Kind::Disk => id.nature().noun(),
                Kind::Partition => "partition",
                Kind::Loop => "loop device",
                Kind::Image => "image",
            },
            bad: total(checkpoint.bad().amount()),
            unwritten: total(checkpoint.bad().amount_during(During::Write)),
            unread: total(checkpoint.bad().amount_during(During::Read)),
            differ: total(checkpoint.mismatches().amount()),
            counterfeit: checkpoint.wrap().and_then(Wrap::capacity),
            read_back,
            from_cache: checkpoint.page_cache() && read_back != Verify::None,
        }
    }

    /// What weakens it; `write_back`: whether the kernel flushes the drive.
    pub(super) fn weak(&self, write_back: Option<bool>) -> Vec<Weak<'a>> {
        let mut all: Vec<Weak> = self.checkpoint.findings().iter().map(Weak::Found).collect();
        if write_back == Some(false) {
            all.push(Weak::Unflushed);
        }
        if self.checkpoint.failed_saves() > 0 {
            all.push(Weak::Saves(self.checkpoint.failed_saves()));
        }
        all
    }

    pub(super) fn kept_elsewhere(&self) -> impl Iterator<Item = &'a Finding> {
        let findings = self.checkpoint.findings().iter();
        findings.filter(|finding| finding.keeps_old_data())
    }

    pub(super) fn share(&self) -> String {
        let size = self.checkpoint.total_size();
        size::percent_text(self.read_back.bytes(size), size)
    }
}

pub(super) fn saves_text(failed: u64) -> String {
    let times = count(failed, "checkpoint", "checkpoints");
    format!(
        "{times} could not be saved; until the next good one a crash could have cost more than \
         the interval"
    )
}

/// What overwriting a target is called, as far as it is done: only a whole drive
/// or namespace can become Clear.
pub(super) fn method_word(medium: Medium, id: &Identity) -> &'static str {
    let whole = id.kind == Kind::Disk && !is_file(medium, id);
    if whole && id.nature().can_be_clear() {
        "Clear"
    } else {
        "Overwritten"
    }
}

/// An overwritten file is never Clear: its file system may have written
/// elsewhere.
pub(super) fn is_file(medium: Medium, id: &Identity) -> bool {
    medium == Medium::File || id.backing.is_some() || matches!(id.kind, Kind::Image | Kind::Loop)
}

/// What overwriting does not reach on this medium; the second text is empty
/// where there is nothing more to say.
pub(super) fn limits_of(medium: Medium, id: &Identity) -> [String; 2] {
    let nature = id.nature();
    let text = match medium {
        _ if is_file(medium, id) => {
            "the file system may have kept old data elsewhere (copies, snapshots, its journal)"
        }
        _ if nature.is_volume() => {
            "the drives below it hold more: metadata, copies, spare areas; wipe those themselves"
        }
        _ if matches!(nature, Nature::Memory { .. }) => {
            "it is memory of this machine: freed pages may keep old data until power-off"
        }
        Medium::Flash => &format!(
            "no overwrite reaches spare blocks{}: not checked; for Purge use the drive's own \
             sanitize",
            id.transport.traits().flash_beyond
        ),
        Medium::Rotational => "no overwrite reaches retired sectors; hidden areas: not checked",
        Medium::Unknown | Medium::File => {
            "no overwrite reaches retired sectors or spare blocks; hidden areas: not checked"
        }
    };
    let rest = match (id.kind, nature.part()) {
        (Kind::Partition, _) => "only this partition; the rest of its disk was not touched".into(),
        (_, Some(part)) => format!("only {part}; the rest of the drive was not touched"),
        _ => String::new(),
    };
    [text.into(), rest]
}
