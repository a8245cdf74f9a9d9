//! What moves a fingerprint by one byte.

use crate::cutter::WINDOW;

/// Fingerprints of such degrees have room for a byte more, and have one to give.
const DEGREES: std::ops::RangeInclusive<u32> = 16..=55;

/// A fingerprint is moved by two tables: what its highest byte becomes, and what a byte is worth that leaves.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// How far the highest byte of a fingerprint is from its lowest bit.
    shift: u32,
    /// For each highest byte: it as it stands after a shift by a byte, and its remainder in place of it.
    carried: [u64; 256],
    /// For each byte: its remainder once it has left the window.
    left: [u64; 256],
}

impl Tables {
    /// The tables of an irreducible polynomial, its coefficients as bits. None of a degree that cannot be.
    pub(crate) fn of(polynomial: u64) -> Option<Self> {
        let degree = polynomial.checked_ilog2().filter(|degree| DEGREES.contains(degree))?;
        // The remainders of x^degree and of what comes after the window, each times 1, x, … x^7.
        let carried = powers(polynomial, degree, degree as usize);
        let left = powers(polynomial, degree, 8 * WINDOW);
        let table = |powers: [u64; 8]| std::array::from_fn(|byte| sum(powers, byte));
        let mut tables = Self { shift: degree - 8, carried: table(carried), left: table(left) };
        for (byte, value) in (0_u64..).zip(&mut tables.carried) {
            *value |= byte << degree;
        }
        Some(tables)
    }

    /// The fingerprint of a window that is one byte further.
    #[inline(always)]
    pub(crate) fn slide(&self, fingerprint: u64, leaves: u8, comes: u8) -> u64 {
        // The highest byte is that of a number of `shift` and 8 bits: there is nothing above it.
        let highest = (fingerprint >> self.shift) as u8;
        (fingerprint << 8) ^ self.carried[usize::from(highest)] ^ (self.left[usize::from(leaves)] ^ u64::from(comes))
    }
}

/// The remainders of x^`exponent` and the seven powers that follow.
fn powers(polynomial: u64, degree: u32, exponent: usize) -> [u64; 8] {
    let times_x = |remainder: u64| {
        let shifted = remainder << 1;
        if shifted >> degree & 1 == 1 { shifted ^ polynomial } else { shifted }
    };
    let first = (0..exponent).fold(1, |remainder, _| times_x(remainder));
    std::array::from_fn(|further| (0..further).fold(first, |remainder, _| times_x(remainder)))
}

/// The sum of those powers that a byte has a bit for.
fn sum(powers: [u64; 8], byte: usize) -> u64 {
    (0..8).filter(|bit| byte >> bit & 1 == 1).fold(0, |sum, bit| sum ^ powers[bit])
}
