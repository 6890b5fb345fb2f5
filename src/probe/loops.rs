//! Loop devices over a target: the kernel's exclusive access knows of none.

use std::path::Path;

use super::block::Block;
use super::devices::Devices;
use super::stack::Stack;
use super::sysfs::FileId;

/// Loop devices over an image of `size` bytes. One whose file cannot be found, as
/// it was deleted or lies in another mount namespace, may be over another name of
/// the image: sysfs shows no inode, so its size has to tell. `disguised`: whether
/// the image has another inode where the loop device may see it, as on an overlay
/// the file in the layer below has.
pub(super) fn over_image(
    devices: &Devices,
    image: FileId,
    size: u64,
    disguised: bool,
) -> Result<Vec<String>, String> {
    let (mut over, mut unknown) = (Vec::new(), None);
    for (block, file) in devices.loops()? {
        if file.found == Some(image) {
            over.push(devices.shown(block));
        } else if (file.found.is_none() || disguised) && could_be_over(block, size)? {
            unknown = Some(hidden(&file.path, &devices.shown(block)));
        }
    }
    certain_first(over, unknown)
}

/// Loop devices over a device, or over a file that keeps its bytes: the kernel's
/// exclusive access knows of neither.
pub(super) fn over_block(devices: &Devices, stack: &Stack) -> Result<Vec<String>, String> {
    let is_over = |found: Option<FileId>| {
        let mut base = stack.base.iter();
        base.any(|block| found == Some(FileId::Block(block.dev)))
    };
    let (mut over, mut unknown) = (Vec::new(), None);
    for (block, file) in devices.loops()? {
        // The target itself, or what it lies over.
        if stack.below.iter().any(|(below, _)| below.dir == block.dir) {
            continue;
        }
        let mut is_twin = false;
        for (below, own) in &stack.below {
            match file.found {
                Some(_) if own.found.is_some() => is_twin |= own.found == file.found,
                // One of the two cannot be found: the other may be another name
                // of the same file.
                _ if own.path == file.path => is_twin = true,
                _ if block.size()? == below.size()? => {
                    unknown = Some(hidden(&file.path, &devices.shown(block)));
                }
                _ => {}
            }
        }
        if is_twin || is_over(file.found) {
            over.push(devices.shown(block));
        }
    }
    certain_first(over, unknown)
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
    let (offset, limit) = (
        block.number("loop/offset")?,
        block.number("loop/sizelimit")?,
    );
    let rest = size.saturating_sub(offset);
    let shown = if limit == 0 { rest } else { rest.min(limit) };
    Ok(shown > 0 && block.size()? == shown / 512 * 512)
}
