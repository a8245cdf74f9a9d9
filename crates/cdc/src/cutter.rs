//! Finds where a chunk ends.

use crate::tables::Tables;

/// How many bytes a fingerprint is of.
pub const WINDOW: usize = 64;
/// Places of the content that are looked at in turns: one fingerprint waits for memory while the others are moved.
const LANES: usize = 4;
/// Below so many bytes each, lanes do not pay.
const SHORT_LANE: usize = 256;

/// How large chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// No chunk but the last of a content is shorter.
    pub least: usize,
    /// How far ends are apart on average, beyond the least: a power of two.
    pub average: usize,
    /// No chunk is longer.
    pub most: usize,
}

impl Sizes {
    /// What restic has.
    pub const RESTIC: Self = Self { least: 512 << 10, average: 1 << 20, most: 8 << 20 };
}

/// Finds where a chunk ends.
#[derive(Debug, Clone)]
pub struct Cutter {
    sizes: Sizes,
    mask: u64,
    tables: Tables,
}

impl Cutter {
    /// By an irreducible polynomial, its coefficients as bits: restic's are of degree 53. None where it or the sizes
    /// cannot be.
    #[must_use]
    pub fn new(polynomial: u64, sizes: Sizes) -> Option<Self> {
        let can_be = sizes.average.is_power_of_two() && sizes.least > WINDOW && sizes.least <= sizes.most;
        let mask = u64::try_from(sizes.average).ok()?.checked_sub(1)?;
        can_be.then_some(Self { sizes, mask, tables: Tables::of(polynomial)? })
    }

    /// How large chunks are.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The length of the chunk that `content` begins with; none where it does not end in there. For the first
    /// `without` bytes that has been asked before.
    #[must_use]
    pub fn end(&self, content: &[u8], without: usize) -> Option<usize> {
        let first = self.sizes.least.max(without + 1);
        let last = content.len().min(self.sizes.most);
        let found = if first <= last { self.find(content, first, last) } else { None };
        found.or((last == self.sizes.most).then_some(last))
    }

    /// The least length from `first` to `last` at which a chunk may end.
    fn find(&self, content: &[u8], first: usize, last: usize) -> Option<usize> {
        let lengths = last + 1 - first;
        let in_lane = if lengths < LANES * SHORT_LANE { 0 } else { lengths / LANES };
        self.find_in_lanes(content, first, in_lane)
            .or_else(|| self.find_in_turn(content, first + LANES * in_lane, last))
    }

    /// Looks at lengths one after the other.
    fn find_in_turn(&self, content: &[u8], first: usize, last: usize) -> Option<usize> {
        let mut fingerprint = self.before(content, first);
        (first..=last).find(|length| {
            fingerprint = self.tables.slide(fingerprint, content[length - 1 - WINDOW], content[length - 1]);
            fingerprint & self.mask == 0
        })
    }

    /// Looks at as many lengths in each lane, from `first` on; the lanes follow each other.
    fn find_in_lanes(&self, content: &[u8], first: usize, in_lane: usize) -> Option<usize> {
        let firsts: [usize; LANES] = std::array::from_fn(|lane| first + lane * in_lane);
        let leaves = firsts.map(|first| &content[first - 1 - WINDOW..][..in_lane]);
        let comes = firsts.map(|first| &content[first - 1..][..in_lane]);
        let mut fingerprints = firsts.map(|first| self.before(content, first));
        let mut found = None;
        for step in 0..in_lane {
            let mut ends = false;
            for lane in 0..LANES {
                fingerprints[lane] = self.tables.slide(fingerprints[lane], leaves[lane][step], comes[lane][step]);
                ends |= fingerprints[lane] & self.mask == 0;
            }
            if ends {
                let lane = fingerprints.iter().position(|fingerprint| fingerprint & self.mask == 0)?;
                let length = firsts[lane] + step;
                if lane == 0 {
                    return Some(length);
                }
                found = Some(found.map_or(length, |before: usize| before.min(length)));
            }
        }
        found
    }

    /// The fingerprint of the window before that of `length`.
    fn before(&self, content: &[u8], length: usize) -> u64 {
        let window = &content[length - 1 - WINDOW..length - 1];
        window.iter().fold(0, |fingerprint, byte| self.tables.slide(fingerprint, 0, *byte))
    }
}
