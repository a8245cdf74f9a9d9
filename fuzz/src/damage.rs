//! Chance and damage, the same for the same seed.

/// Numbers by chance: xorshift64*, Vigna 2016.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A source that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        (number >> 16) as usize % bound
    }

    /// One of `items`, of which there is at least one.
    pub fn one_of<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        &items[self.below(items.len())]
    }
}

/// `bytes` as a failing disk or a careless hand would leave them: cut off, with bits flipped, with parts
/// repeated, removed, or overwritten.
pub fn damage(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + chance.below(64)).min(bytes.len());
        match chance.below(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => bytes[at..end].fill(0),
            _ => bytes[at..end].iter_mut().for_each(|byte| *byte = chance.below(256) as u8),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_damage_and_seeds_differ() {
        let whole = vec![7; 1_000];
        let damaged = |seed| damage(&whole, &mut Chance::new(seed));
        assert_eq!(damaged(1), damaged(1));
        let changed = (0..100).filter(|seed| damaged(*seed) != whole).count();
        assert!(changed > 80, "{changed}");
    }
}
