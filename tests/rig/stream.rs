//! What a pass writes, by the reference's sentences alone; nothing here comes
//! from the program under test.

use aes::Aes256;
use aes::cipher::{Block, BlockCipherEncrypt as _, KeyInit as _};
use serde_json::Value;

use crate::support::content::from_hex;

pub enum Stream {
    Zero,
    Pattern(Vec<u8>),
    Aes(Box<Aes256>),
    ChaCha([u32; 8]),
}

impl Stream {
    /// Of an entry of the checkpoint's `plan`.
    pub fn of(entry: &Value) -> Option<Self> {
        let text = |field: &str| entry.get(field)?.as_str().map(String::from);
        Some(match text("strategy")?.as_str() {
            "zero" => Self::Zero,
            "pattern" => Self::Pattern(from_hex(&text("pattern")?)),
            "random" => {
                let key = from_hex(&text("key")?);
                match text("generator")?.as_str() {
                    "aes256-ctr64le" => Self::Aes(Box::new(Aes256::new_from_slice(&key).ok()?)),
                    "chacha20-ctr64" => {
                        let mut words = [0; 8];
                        for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
                            *word = u32::from_le_bytes(bytes.try_into().ok()?);
                        }
                        Self::ChaCha(words)
                    }
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    /// The bytes of a range that begins at a multiple of 64.
    pub fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        match self {
            Self::Zero => {}
            Self::Pattern(pattern) => {
                let phase = usize::try_from(offset % pattern.len() as u64).unwrap();
                for (byte, value) in bytes.iter_mut().zip(pattern.iter().cycle().skip(phase)) {
                    *byte = *value;
                }
            }
            Self::Aes(cipher) => {
                for (number, out) in (offset / 16..).zip(bytes.chunks_mut(16)) {
                    let mut block = Block::<Aes256>::default();
                    block[..8].copy_from_slice(&number.to_le_bytes());
                    cipher.encrypt_block(&mut block);
                    out.copy_from_slice(&block[..out.len()]);
                }
            }
            Self::ChaCha(key) => {
                for (number, out) in (offset / 64..).zip(bytes.chunks_mut(64)) {
                    let block = chacha20(key, number);
                    out.copy_from_slice(&block[..out.len()]);
                }
            }
        }
        bytes
    }
}

/// A block of the original `ChaCha20`: 64-bit counter, zero nonce.
fn chacha20(key: &[u32; 8], counter: u64) -> [u8; 64] {
    let mut start = [0_u32; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    start[4..12].copy_from_slice(key);
    let counter = counter.to_le_bytes();
    start[12] = u32::from_le_bytes([counter[0], counter[1], counter[2], counter[3]]);
    start[13] = u32::from_le_bytes([counter[4], counter[5], counter[6], counter[7]]);
    let mut state = start;
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[x] = state[x].wrapping_add(state[y]);
            state[z] = (state[z] ^ state[x]).rotate_left(turn);
        }
    };
    for _ in 0..10 {
        for column in 0..4 {
            quarter(column, column + 4, column + 8, column + 12);
        }
        for diagonal in 0..4 {
            let turned = |row: usize| row * 4 + (diagonal + row) % 4;
            quarter(diagonal, turned(1), turned(2), turned(3));
        }
    }
    let mut out = [0; 64];
    for ((out, word), start) in out.chunks_exact_mut(4).zip(state).zip(start) {
        out.copy_from_slice(&word.wrapping_add(start).to_le_bytes());
    }
    out
}
