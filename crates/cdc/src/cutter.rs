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
        self.find_in_lanes(content, first, in_lane).or_else(|| {
            let first = first + LANES * in_lane;
            let mut lane = self.lane(content, first, last + 1 - first);
            (first..=last).find(|_| lane.next_ends())
        })
    }

    fn find_in_lanes(&self, content: &[u8], first: usize, in_lane: usize) -> Option<usize> {
        let firsts: [usize; LANES] = std::array::from_fn(|lane| first + lane * in_lane);
        let mut lanes = firsts.map(|first| self.lane(content, first, in_lane));
        let mut found = None;
        for step in 0..in_lane {
            let ends: [bool; LANES] = std::array::from_fn(|lane| lanes[lane].next_ends());
            if ends == [false; LANES] {
                continue;
            }
            if ends[0] {
                return Some(firsts[0] + step);
            }
            let here = ends.iter().zip(firsts).find(|(ends, _)| **ends).map(|(_, first)| first + step);
            found = found.into_iter().chain(here).min();
        }
        found
    }

    /// What looks at `count` lengths, from `first` on.
    fn lane<'a>(&'a self, content: &'a [u8], first: usize, count: usize) -> Lane<'a> {
        let before = &content[first - 1 - WINDOW..first - 1];
        let fingerprint = before.iter().fold(0, |fingerprint, byte| self.tables.slide(fingerprint, 0, *byte));
        let leaves = content[first - 1 - WINDOW..][..count].iter();
        let comes = content[first - 1..][..count].iter();
        Lane { cutter: self, fingerprint, moves: leaves.zip(comes) }
    }
}

/// Looks at one length after the other.
struct Lane<'a> {
    cutter: &'a Cutter,
    fingerprint: u64,
    moves: std::iter::Zip<std::slice::Iter<'a, u8>, std::slice::Iter<'a, u8>>,
}

impl Lane<'_> {
    /// Whether a chunk may end at the next length. There is none behind the last.
    #[inline(always)]
    fn next_ends(&mut self) -> bool {
        let Some((leaves, comes)) = self.moves.next() else { return false };
        self.fingerprint = self.cutter.tables.slide(self.fingerprint, *leaves, *comes);
        self.fingerprint & self.cutter.mask == 0
    }
}
