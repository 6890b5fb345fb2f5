//! How surely the state is kept.

use crate::probe::{Durability, Keeping};

/// How surely the state is kept.
pub(crate) fn kept_text(durability: &Durability) -> String {
    match durability {
        Durability::Kept => "on disk: survives a reboot".into(),
        Durability::BySlots(kind) => format!(
            "on disk: survives a reboot; {kind} keeps no file modes: who can read it has the keys \
             of this wipe"
        ),
        Durability::Memory => {
            "in memory: a resume will NOT survive a reboot; see --state-dir".into()
        }
        Durability::Server(kind) => format!("on a server ({kind}): as safe as the server keeps it"),
        Durability::Unknown(why) => {
            format!("may NOT survive a loss of power: {why}; see --state-dir")
        }
    }
}

/// What is said of a state that no flush protects; nothing of others.
pub(crate) fn unflushed_text(keeping: &Keeping) -> Option<String> {
    let disks = keeping.unflushed.join(", ");
    (!disks.is_empty()).then(|| {
        format!(
            "the kernel takes the cache of the state's disk ({disks}) for write-through and sends \
             it no flush"
        )
    })
}
