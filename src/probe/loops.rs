//! Loop devices over a target: the kernel's exclusive access knows of none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use super::host::Host;
use super::stack::Stack;
use super::sysfs::{Block, Found, number};

/// A loop device, the kernel's name for the file behind it, and what is there
/// now.
pub(super) type Behind = (Block, PathBuf, Option<Found>);

impl Host {
    /// Every loop device with a file behind it: its name for that file, and
    /// what is there now.
    fn loops(&self) -> Result<Arc<Vec<Behind>>, String> {
        let read = || {
            let mut loops = Vec::new();
            for block in self.blocks()?.iter().filter(|block| !block.is_partition()) {
                if let Some(file) = block.loop_file()? {
                    loops.push((block.clone(), file.path, file.found));
                }
            }
            Ok(loops)
        };
        self.once(|seen| &seen.loops, read)
    }

    /// Loop devices over an image. One whose file cannot be found, as it was
    /// deleted or lies in another mount namespace, may be over another name of
    /// the image: sysfs shows no inode, so its size has to tell.
    pub(super) fn loops_over_image(
        &self,
        path: &Path,
        size: u64,
        file: Found,
    ) -> Result<Vec<String>, String> {
        // On an overlay a file has another inode than in the layer below, where
        // the loop device may see it.
        let disguised = statfs(path).is_ok_and(|fs| fs.filesystem_type() == OVERLAYFS_SUPER_MAGIC);
        let (mut over, mut unknown) = (Vec::new(), None);
        for (block, path, found) in self.loops()?.iter() {
            if *found == Some(file) {
                over.push(self.shown(block));
            } else if (found.is_none() || disguised) && could_be_over(block, size)? {
                unknown = Some(hidden(path, &self.shown(block)));
            }
        }
        certain_first(over, unknown)
    }

    /// Loop devices over this device, or over a file that keeps its bytes: the
    /// kernel's exclusive access knows of neither.
    pub(super) fn loops_over_block(&self, stack: &Stack) -> Result<Vec<String>, String> {
        let is_over = |found: Option<Found>| {
            let over = |block: &Block| found == Some(Found::Block(block.dev));
            stack.base.iter().any(over)
        };
        let (mut over, mut unknown) = (Vec::new(), None);
        for (block, path, found) in self.loops()?.iter() {
            // The target itself, or what it lies over.
            if stack.below.iter().any(|below| below.dir == block.dir) {
                continue;
            }
            let mut is_twin = false;
            for below in &stack.below {
                let own = &below.file;
                match found {
                    Some(_) if own.found.is_some() => is_twin |= own.found == *found,
                    // One of the two cannot be found: the other may be another
                    // name of the same file.
                    _ if own.path == *path => is_twin = true,
                    _ if block.size()? == below.size => {
                        unknown = Some(hidden(path, &self.shown(block)));
                    }
                    _ => {}
                }
            }
            if is_twin || is_over(*found) {
                over.push(self.shown(block));
            }
        }
        certain_first(over, unknown)
    }
}

/// What is certain says more than what cannot be told.
fn certain_first(over: Vec<String>, unknown: Option<String>) -> Result<Vec<String>, String> {
    match unknown {
        Some(why) if over.is_empty() => Err(why),
        _ => Ok(over),
    }
}

fn hidden(file: &Path, by: &str) -> String {
    format!(
        "cannot tell whether {by} is over the same file: its own, {}, cannot be found, and its \
         size fits",
        file.display()
    )
}

/// Whether a loop device has the size that one over a file of `size` bytes has.
fn could_be_over(block: &Block, size: u64) -> Result<bool, String> {
    let attributes = block.dir.join("loop");
    let both = number(&attributes, "offset")
        .and_then(|offset| Ok((offset, number(&attributes, "sizelimit")?)));
    let (offset, limit) = match both {
        // It was detached while we looked.
        Err(_) if !attributes.exists() => return Ok(false),
        both => both?,
    };
    let rest = size.saturating_sub(offset);
    let shown = if limit == 0 { rest } else { rest.min(limit) };
    Ok(shown > 0 && block.size()? == shown / 512 * 512)
}
