//! What one worker does.

use std::sync::mpsc::Sender;

use super::chunk::{ChunkResult, Task, narrow};
use super::gate::{Chunk, Gate};
use super::message::Message;
use super::verify;
use crate::extent::{During, Extent};
use crate::plan::Phase;
use crate::size;

/// Takes chunks until the gate is closed.
pub fn work(task: &Task, gate: &Gate, buffer: &mut [u8], replies: &Sender<Message>) {
    while let Some(chunk) = gate.take() {
        let result = match task.phase {
            Phase::Verify => verify::chunk(task, chunk.extent, buffer),
            Phase::Write | Phase::Complete => write(task, chunk.extent, buffer),
        };
        let Chunk { extent, generation } = chunk;
        if replies
            .send(Message::Chunk {
                extent,
                generation,
                result,
            })
            .is_err()
        {
            return;
        }
    }
}

fn write(task: &Task, extent: Extent, buffer: &mut [u8]) -> ChunkResult {
    let length = size::memory(extent.length());
    let data = if let Some(shared) = task.shared_at(extent) {
        shared
    } else {
        let own = &mut buffer[..length];
        task.strategy.fill(extent.start(), own);
        &*own
    };
    let mut result = ChunkResult::default();
    let mut attempt = |piece: Extent| {
        let from = size::memory(piece.start() - extent.start());
        let bytes = &data[from..from + size::memory(piece.length())];
        if piece.length().is_multiple_of(task.target.alignment()) {
            task.target.write(bytes, piece.start())
        } else {
            task.target.write_tail(bytes, piece.start())
        }
    };
    narrow(task, extent, During::Write, &mut attempt, &mut result);
    result
}
