//! What a disk of the rig holds: memory for what was written, a rule for the
//! rest, so that terabytes cost nothing.

use std::collections::HashMap;

use crate::support::content::tags;

/// Bytes of a piece of memory.
const PIECE: u64 = 64 << 10;

/// What stands where nothing was written yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Every 512 bytes say where they are.
    Tags,
    Zeros,
}

#[derive(Clone)]
pub struct Memory {
    pub size: u64,
    before: Before,
    pieces: HashMap<u64, Box<[u8]>>,
}

impl Memory {
    pub fn new(size: u64, before: Before) -> Self {
        Self {
            size,
            before,
            pieces: HashMap::new(),
        }
    }

    fn fresh(&self, piece: u64) -> Box<[u8]> {
        let length = usize::try_from(PIECE).unwrap();
        match self.before {
            Before::Tags => tags(piece * PIECE, length).into(),
            Before::Zeros => vec![0; length].into(),
        }
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
                None if self.before == Before::Zeros => {}
                None => into.copy_from_slice(&tags(piece * PIECE + from as u64, part)),
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
