//! What a disk of the rig holds: memory for what was written, a rule for the
//! rest, so that terabytes cost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stream::Stream;
use crate::support::content::tags;

/// Bytes of a piece of memory.
const PIECE: u64 = 64 << 10;

/// What stands where nothing was written yet.
#[derive(Clone)]
pub enum Before {
    /// Every 512 bytes say where they are.
    Tags,
    Zeros,
    /// What a pass writes, up to this byte, a multiple of a piece; then as
    /// [`Tags`](Self::Tags).
    Written(Arc<Stream>, u64),
}

impl Before {
    fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        match self {
            Self::Zeros => vec![0; length],
            Self::Written(stream, end) if offset < *end => stream.bytes(offset, length),
            Self::Tags | Self::Written(..) => tags(offset, length),
        }
    }
}

#[derive(Clone)]
pub struct Memory {
    pub size: u64,
    before: Before,
    pieces: BTreeMap<u64, Box<[u8]>>,
}

impl Memory {
    pub fn new(size: u64, before: Before) -> Self {
        Self {
            size,
            before,
            pieces: BTreeMap::new(),
        }
    }

    fn fresh(&self, piece: u64) -> Box<[u8]> {
        let length = usize::try_from(PIECE).unwrap();
        self.before.bytes(piece * PIECE, length).into()
    }

    /// What was there before anything was written.
    pub fn original(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        for (piece, from, part, _) in Self::parts(offset, length) {
            bytes.extend(self.before.bytes(piece * PIECE + from as u64, part));
        }
        bytes
    }

    /// Up to where a pass had written before; 0: nowhere.
    pub fn written_before(&self) -> u64 {
        match self.before {
            Before::Written(_, end) => end,
            Before::Tags | Before::Zeros => 0,
        }
    }

    /// Where, from this byte on, something was written.
    pub fn next_touched(&self, offset: u64) -> Option<u64> {
        let (piece, _) = self.pieces.range(offset / PIECE..).next()?;
        Some((piece * PIECE).max(offset))
    }

    /// What was written, by pieces.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let pieces = self.pieces.iter();
        pieces.map(|(piece, bytes)| (piece * PIECE, &**bytes))
    }

    /// Whether the same was written to both.
    pub fn is_same(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }

    /// The range as pieces: number, from where in it, how long, where in the
    /// range.
    fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            if done == length {
                return None;
            }
            let at = offset + done as u64;
            let from = usize::try_from(at % PIECE).unwrap();
            let part = (length - done).min(usize::try_from(PIECE).unwrap() - from);
            let place = done;
            done += part;
            Some((at / PIECE, from, part, place))
        })
    }

    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for (piece, from, part, place) in Self::parts(offset, length) {
            let into = &mut bytes[place..place + part];
            match self.pieces.get(&piece) {
                Some(memory) => into.copy_from_slice(&memory[from..from + part]),
                None => {
                    into.copy_from_slice(&self.before.bytes(piece * PIECE + from as u64, part));
                }
            }
        }
        bytes
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) {
        for (piece, from, part, place) in Self::parts(offset, data.len()) {
            if !self.pieces.contains_key(&piece) {
                let fresh = self.fresh(piece);
                self.pieces.insert(piece, fresh);
            }
            if let Some(memory) = self.pieces.get_mut(&piece) {
                memory[from..from + part].copy_from_slice(&data[place..place + part]);
            }
        }
    }

    /// Whether anything was ever written there.
    pub fn is_touched(&self, offset: u64, length: usize) -> bool {
        Self::parts(offset, length).any(|(piece, ..)| self.pieces.contains_key(&piece))
    }
}
