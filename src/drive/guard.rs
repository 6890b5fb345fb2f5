//! Whether a device may be wiped. Pure: it looks at facts only.
//!
//! [`check`] is the only way to a [`Cleared`], and only a [`Cleared`] is opened
//! for writing. What could not be read counts as in use, and no option
//! overrides a refusal.

use std::path::Path;

use super::device::{Carried, Device, Fact, Mount, Node, Usage};
use super::in_use::{InUse, Under};
use super::transport::Attaches;

/// A device with nothing against wiping it, at the time its facts were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared(Device);

impl Cleared {
    pub fn device(&self) -> &Device {
        &self.0
    }
}

/// Clears a device, or says everything that is against it, the most specific
/// first.
pub fn check(device: Device) -> Result<Cleared, Vec<InUse>> {
    let refusals = refusals(&device);
    if refusals.is_empty() {
        Ok(Cleared(device))
    } else {
        Err(refusals)
    }
}

/// Whether a device may be read in peace: as [`check`], but one that may not be
/// written is welcome. What comes of it is never opened for writing.
pub(crate) fn check_to_read(device: Device) -> Result<Device, Vec<InUse>> {
    let mut refusals = refusals(&device);
    // Who else writes matters to what is written.
    refusals.retain(|refusal| !matches!(refusal, InUse::ReadOnly { .. } | InUse::Unseen { .. }));
    if refusals.is_empty() {
        Ok(device)
    } else {
        Err(refusals)
    }
}

/// Whether refusals may be fewer in a moment: other processes hold the device
/// open, perhaps only to look at it. What else is against it is then told alone.
pub(crate) fn may_pass(refusals: &[InUse]) -> bool {
    refusals
        .iter()
        .any(|refusal| matches!(refusal, InUse::Open(_)))
}

fn refusals(device: &Device) -> Vec<InUse> {
    let usage = &device.usage;
    let unread = &mut Vec::new();
    let under = under(device);
    let image = under == Under::File;
    let mut found = listed(&usage.mounts, unread, |it| InUse::Mounted(it.clone()));
    // Nothing else helps while the running system is on it.
    found.sort_by_key(|refusal| !is_root(refusal));
    found.extend(listed(&usage.swaps, unread, |it| InUse::Swap(it.clone())));
    found.extend(listed(&usage.holders, unread, |it| InUse::Held(it.clone())));
    let busy = flagged(&usage.busy, unread) && found.is_empty();
    let looped = |by: &String| InUse::Looped {
        by: by.clone(),
        under,
    };
    found.extend(listed(&usage.loops, unread, looped));
    found.extend(listed(&usage.openers, unread, |it| InUse::Open(it.clone())));
    found.extend(carried(usage, &found, unread));
    if flagged(&usage.carries_state, unread) {
        found.push(InUse::CarriesState { image });
    }
    found.extend(listed(&usage.caches, unread, |it| {
        InUse::Cached(it.clone())
    }));
    // What was found is told; only that nothing could be found stops the run.
    let _ = known(&usage.leftovers, unread);
    if let (Some(why), Node::Block { .. }, false) = (usage.unseen, &device.node, device.named) {
        let has_serial = device.identity.serial.is_some();
        found.push(InUse::Unseen { why, has_serial });
    }
    if let Some(inside) = known(&usage.extended, unread).flatten() {
        found.push(InUse::Extended(inside));
    }
    if flagged(&usage.host_managed, unread) {
        found.push(InUse::HostManaged);
    }
    if flagged(&usage.read_only, unread) {
        let at = usage.lies_at.clone();
        found.push(InUse::ReadOnly { image, at });
    }
    found.extend(busy.then_some(InUse::Busy));
    // One unreadable file may hide several facts.
    for why in std::mem::take(unread) {
        let refusal = InUse::Unreadable(why);
        if !found.contains(&refusal) {
            found.push(refusal);
        }
    }
    found
}

/// What of the running system is there; the most telling only, and nothing that
/// its mount has told.
fn carried(usage: &Usage, found: &[InUse], unread: &mut Vec<String>) -> Option<InUse> {
    let carries = known(&usage.carries, unread).unwrap_or_default();
    let told = found.iter().any(is_root);
    carries
        .into_iter()
        .min_by_key(|carried| *carried != Carried::System)
        .filter(|_| !told)
        .map(InUse::Carries)
}

fn is_root(refusal: &InUse) -> bool {
    matches!(
        refusal,
        InUse::Mounted(Mount { point, by: None, .. }) if point == Path::new("/")
    )
}

fn under(device: &Device) -> Under {
    match device.node {
        Node::Image { .. } => Under::File,
        Node::Block { .. } if device.identity.transport.traits().attaches == Attaches::File => {
            Under::SameFile
        }
        Node::Block { .. } => Under::Device,
    }
}

fn listed<T: Clone>(
    fact: &Fact<Vec<T>>,
    unread: &mut Vec<String>,
    refusal: impl Fn(&T) -> InUse,
) -> Vec<InUse> {
    let things = known(fact, unread).unwrap_or_default();
    things.iter().map(refusal).collect()
}

fn flagged(fact: &Fact<bool>, unread: &mut Vec<String>) -> bool {
    known(fact, unread).unwrap_or(false)
}

fn known<T: Clone>(fact: &Fact<T>, unread: &mut Vec<String>) -> Option<T> {
    match fact {
        Fact::Known(value) => Some(value.clone()),
        Fact::Unknown(why) => {
            unread.push(why.clone());
            None
        }
    }
}

#[cfg(test)]
mod tests;
