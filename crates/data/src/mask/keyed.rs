//! What is random to everybody but who has the seed: HMAC-SHA-256, and permutations by it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Rounds of a permutation. Those of the published schemes for small domains are 8 or 10.
const ROUNDS: u8 = 8;

/// A key. Keys of different labels have nothing to do with each other.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    pub(super) fn new(seed: &[u8]) -> Self {
        Self(Hmac::new_from_slice(seed).expect("HMAC takes a key of any length"))
    }

    /// The key of a purpose.
    pub(super) fn of(&self, label: &str) -> Self {
        Self::new(&self.tag(&[label.as_bytes()]))
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// What is drawn for a value. Each attempt draws something else.
    pub(super) fn draws(&self, value: &[u8], attempt: u32) -> Draws {
        Draws { key: Self::new(&self.tag(&[&attempt.to_le_bytes(), value])), block: [0; 32], used: 32, count: 0 }
    }

    /// Another number below `size`, which is at least 2: never the same one, and never that of another number.
    ///
    /// A secret permutation puts all numbers in a ring; the answer is the next in the ring.
    pub(super) fn other(&self, size: u128, number: u128) -> u128 {
        let place = self.walk(size, number, Self::forward);
        self.walk(size, (place + 1) % size, Self::backward)
    }

    /// Permutes the numbers of as many bits until one is below `size`.
    fn walk(&self, size: u128, mut number: u128, step: impl Fn(&Self, u32, u128) -> u128) -> u128 {
        let bits = (128 - (size - 1).leading_zeros()).max(2);
        loop {
            number = step(self, bits, number);
            if number < size {
                return number;
            }
        }
    }

    fn forward(&self, bits: u32, number: u128) -> u128 {
        (0..ROUNDS).fold(number, |number, round| self.round(bits, number, round))
    }

    fn backward(&self, bits: u32, number: u128) -> u128 {
        (0..ROUNDS).rev().fold(number, |number, round| self.round(bits, number, round))
    }

    /// A round of a Feistel network: changes one half by the other, and so takes itself back.
    fn round(&self, bits: u32, number: u128, round: u8) -> u128 {
        let low_bits = bits / 2;
        let low = number & ((1 << low_bits) - 1);
        let high = number >> low_bits;
        let (seen, room) = if round.is_multiple_of(2) { (low, bits - low_bits) } else { (high, low_bits) };
        let tag = self.tag(&[&[round, bits as u8], &seen.to_le_bytes()]);
        let drawn = u128::from_le_bytes(tag[..16].try_into().expect("16 bytes")) & ((1 << room) - 1);
        if round.is_multiple_of(2) { ((high ^ drawn) << low_bits) | low } else { (high << low_bits) | (low ^ drawn) }
    }
}

/// An endless sequence of bytes.
pub(super) struct Draws {
    key: Key,
    block: [u8; 32],
    used: usize,
    count: u32,
}

impl Draws {
    pub(super) fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            self.block = self.key.tag(&[&self.count.to_le_bytes()]);
            self.count += 1;
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A number below a bound. What 64 bits leave uneven is not worth a second draw.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let number = u64::from_le_bytes(self.bytes()) % bound as u64;
        usize::try_from(number).expect("below a usize")
    }

    pub(super) fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    pub(super) fn digit(&mut self) -> char {
        char::from(b'0' + self.below(10) as u8)
    }

    /// Small letters and digits.
    pub(super) fn letters(&mut self, count: usize) -> String {
        const ALL: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        (0..count).map(|_| char::from(ALL[self.below(ALL.len())])).collect()
    }

    pub(super) fn hex(&mut self, bytes: usize) -> String {
        (0..bytes).map(|_| format!("{:02x}", self.byte())).collect()
    }

    /// A random UUID, version 4.
    pub(super) fn uuid(&mut self) -> String {
        let mut bytes: [u8; 16] = self.bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_tag_is_that_of_rfc_4231() {
        let tag = Key::new(b"Jefe").tag(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn every_number_has_another_of_its_own() {
        let key = Key::new(b"seed");
        for size in [2, 3, 9, 100, 127, 1000] {
            let others: BTreeSet<_> = (0..size).map(|number| key.other(size, number)).collect();
            assert_eq!(others.len() as u128, size);
            assert!(others.iter().all(|other| *other < size));
            assert!((0..size).all(|number| key.other(size, number) != number));
        }
        let size = 10_u128.pow(38) - 1;
        assert_ne!(key.other(size, size - 1), Key::new(b"other").other(size, size - 1));
    }
}
