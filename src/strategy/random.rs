//! Keystreams: random data that can be made again from its key.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use aes::Aes256;
use aes::cipher::{
    BlockCipherDecrypt, InnerIvInit, KeyInit, KeyIvInit, StreamCipher, StreamCipherSeek,
};
use chacha20::ChaCha20Legacy;
use ctr::{Ctr64LE, CtrCore};
use serde::{Deserialize, Serialize};

use super::stream::WipeStrategy;
use crate::text::MIB;

/// Bytes of a key of either generator.
pub const KEY_BYTES: usize = 32;

/// A key of a random pass. Its `Debug` form hides it. Never all zeros: they stand
/// for one that is kept elsewhere.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(#[serde(with = "hex")] [u8; KEY_BYTES]);

impl Key {
    /// Whether it is kept elsewhere: this stands in its place.
    pub fn is_elsewhere(&self) -> bool {
        *self == Self::default()
    }

    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The generator of a random stream; named in the checkpoint, so that another
/// machine continues with the same stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generator {
    /// AES-256 in counter mode over a zero nonce: block `n` of 16 bytes is the
    /// encryption of `n` as 64 bits little-endian followed by 8 zero bytes.
    #[serde(rename = "aes256-ctr64le")]
    Aes256,
    /// The original `ChaCha20` with a 64-bit block counter and a zero nonce.
    #[serde(rename = "chacha20-ctr64")]
    ChaCha20,
}

impl Generator {
    /// As people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256 => "AES-256, counter mode",
            Self::ChaCha20 => "ChaCha20",
        }
    }

    pub fn stream(self, key: &Key) -> Box<dyn WipeStrategy> {
        match self {
            Self::Aes256 => Box::new(Aes256Stream::new(key)),
            Self::ChaCha20 => Box::new(ChaCha20Stream::new(key)),
        }
    }
}

/// The generator that is fastest on this CPU: AES where it has instructions for
/// it, as the software form runs at a hundredth of their speed.
pub fn best_generator() -> Generator {
    best_with(has_aes())
}

/// [`best_generator`] of a CPU that has AES instructions, or has not.
fn best_with(aes: bool) -> Generator {
    if aes {
        Generator::Aes256
    } else {
        Generator::ChaCha20
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("sse2")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

/// AES-256 in counter mode: block `n` is the encryption of `n` as 64 bits
/// little-endian followed by 8 zero bytes.
// The key schedule alone; the stream around it costs nothing to make.
struct Aes256Stream(Aes256);

impl Aes256Stream {
    fn new(key: &Key) -> Self {
        Self(Aes256::new(&(*key.bytes()).into()))
    }
}

impl WipeStrategy for Aes256Stream {
    fn fill(&self, offset: u64, chunk: &mut [u8]) {
        let mut stream = Ctr64LE::from_core(CtrCore::inner_iv_init(&self.0, &[0; 16].into()));
        stream.seek(offset);
        stream.write_keystream(chunk);
    }

    fn origin(&self, found: &[u8], _at: u64, size: u64) -> Option<u64> {
        // A block of the stream is the encryption of its number.
        let mut block = <[u8; 16]>::try_from(found).ok()?.into();
        self.0.decrypt_block(&mut block);
        let (number, zero) = block.split_first_chunk()?;
        let offset = u64::from_le_bytes(*number).checked_mul(16)?;
        (zero.iter().all(|byte| *byte == 0) && offset < size).then_some(offset)
    }
}

/// How many places of a target are tried at most to find where bytes belong.
const MOST_PLACES: u64 = 1 << 20;
/// How often they are tried: each time takes a fraction of a second.
const MOST_SEARCHES: u32 = 16;

/// The original `ChaCha20` with a 64-bit counter and a zero nonce.
struct ChaCha20Stream {
    key: Key,
    searches: AtomicU32,
}

impl ChaCha20Stream {
    fn new(key: &Key) -> Self {
        let (key, searches) = (*key, AtomicU32::new(0));
        Self { key, searches }
    }
}

impl WipeStrategy for ChaCha20Stream {
    fn fill(&self, offset: u64, chunk: &mut [u8]) {
        let mut stream = ChaCha20Legacy::new(&(*self.key.bytes()).into(), &[0; 8].into());
        stream.seek(offset);
        stream.write_keystream(chunk);
    }

    fn origin(&self, found: &[u8], at: u64, size: u64) -> Option<u64> {
        // The stream cannot be run backwards: places are tried that are a
        // multiple of 1 MiB, or more on large targets, away.
        if found.len() != 16 || self.searches.fetch_add(1, Ordering::Relaxed) >= MOST_SEARCHES {
            return None;
        }
        let step = (size / MOST_PLACES).next_power_of_two().max(MIB);
        let mut stream = ChaCha20Legacy::new(&(*self.key.bytes()).into(), &[0; 8].into());
        (0..MOST_PLACES)
            .map_while(|n| (at % step).checked_add(n.checked_mul(step)?))
            .take_while(|place| *place < size)
            .find(|place| {
                let mut bytes = [0; 16];
                stream.seek(*place);
                stream.write_keystream(&mut bytes);
                bytes == found
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::BlockCipherEncrypt;

    #[test]
    fn a_cpu_without_aes_gets_the_stream_that_needs_none() {
        assert_eq!(best_with(true), Generator::Aes256);
        assert_eq!(best_with(false), Generator::ChaCha20);
    }

    fn key(text: &str) -> Key {
        Key::new(hex::decode(text).unwrap().try_into().unwrap())
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    #[test]
    fn aes_agrees_with_the_published_vector_of_fips_197() {
        // FIPS 197, appendix C.3: the block cipher itself.
        let key = key("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
        let aes = Aes256::new(&(*key.bytes()).into());
        let mut block = [
            0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
            0xee, 0xff,
        ]
        .into();
        aes.encrypt_block(&mut block);
        assert_eq!(hex(&block), "8ea2b7ca516745bfeafc49904b496089");
    }

    #[test]
    fn aes_agrees_with_the_published_counter_mode_vector() {
        // NIST SP 800-38A, F.5.5 CTR-AES256: the output blocks of its counters.
        let key = key("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let aes = Aes256::new(&(*key.bytes()).into());
        for (counter, output) in [
            (
                0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff_u128,
                "0bdf7df1591716335e9a8b15c860c502",
            ),
            (
                0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_ff00,
                "5a6e699d536119065433863c8f657b94",
            ),
            (
                0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_ff01,
                "1bc12c9c01610d5d0d8bd6a3378eca62",
            ),
            (
                0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_ff02,
                "2956e1c8693536b1bee99c73a31576b6",
            ),
        ] {
            let mut block = counter.to_be_bytes().into();
            aes.encrypt_block(&mut block);
            assert_eq!(hex(&block), output);
        }
    }

    #[test]
    fn aes_agrees_with_the_all_zero_vector_of_counter_mode() {
        // NIST's GCM submission, test case 13: the encryption of the zero block
        // under the zero key, which is block 0 of our stream.
        let mut first = [0; 16];
        Aes256Stream::new(&Key::new([0; KEY_BYTES])).fill(0, &mut first);
        assert_eq!(hex(&first), "dc95c078a2408989ad48a21492842087");
    }

    #[test]
    fn aes_counts_blocks_little_endian_over_64_bits() {
        let key = Key::new([0x42; KEY_BYTES]);
        let aes = Aes256::new(&(*key.bytes()).into());
        let stream = Aes256Stream::new(&key);
        for number in [
            0,
            1,
            255,
            256,
            1 << 28,
            1 << 32,
            (1 << 34) + 5,
            (1 << 60) - 1,
        ] {
            let mut counter = [0; 16];
            counter[..8].copy_from_slice(&u64::to_le_bytes(number));
            let mut block = counter.into();
            aes.encrypt_block(&mut block);
            let mut here = [0; 16];
            stream.fill(number * 16, &mut here);
            assert_eq!(here[..], block[..], "block {number}");
        }
    }

    #[test]
    fn chacha20_agrees_with_the_published_vector() {
        // draft-strombergson-chacha-test-vectors, TC1: 256-bit zero key, zero
        // IV, 20 rounds, blocks 0 and 1.
        let mut first = [0; 128];
        ChaCha20Stream::new(&Key::new([0; KEY_BYTES])).fill(0, &mut first);
        assert_eq!(
            hex(&first[..64]),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        );
        assert_eq!(
            hex(&first[64..]),
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
        );
    }

    #[test]
    fn chacha20_does_not_repeat_after_256_gib() {
        let stream = ChaCha20Stream::new(&Key::new([1; KEY_BYTES]));
        let (mut start, mut after) = ([0; 64], [0; 64]);
        stream.fill(0, &mut start);
        stream.fill(1 << 38, &mut after);
        assert_ne!(start, after);
    }
}
