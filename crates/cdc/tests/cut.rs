//! Chunks are cut where the definition says it.

use std::io::{self, Read};

use daybook_cdc::{Chunks, Cutter, Sizes, WINDOW};

/// One of those that restic chooses from.
const POLYNOMIAL: u64 = 0x003d_a335_8b4d_c173;
const SMALL: Sizes = Sizes { least: 200, average: 512, most: 3_000 };

/// Bytes that are the same for a seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(bytes).collect()
}

/// The remainder of a division as it is done by hand, bit by bit.
fn remainder(bytes: &[u8], polynomial: u64) -> u64 {
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u64::from(byte >> bit & 1)));
    bits.fold(0, |remainder, bit| {
        let longer = remainder << 1 | bit;
        if longer.leading_zeros() == polynomial.leading_zeros() { longer ^ polynomial } else { longer }
    })
}

/// The lengths of all chunks, by the definition.
fn defined(content: &[u8], polynomial: u64, sizes: Sizes) -> Vec<usize> {
    let (mut lengths, mut rest) = (Vec::new(), content);
    while !rest.is_empty() {
        let most = sizes.most.min(rest.len());
        let mask = sizes.average as u64 - 1;
        let ends = |length: &usize| remainder(&rest[length - WINDOW..*length], polynomial) & mask == 0;
        let length = (sizes.least..=most).find(ends).unwrap_or(most);
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

fn chunks(cutter: &Cutter, source: impl Read) -> Vec<Vec<u8>> {
    let mut chunks = Chunks::new(cutter, source, 0);
    std::iter::from_fn(|| chunks.read_chunk().expect("memory can be read")).collect()
}

fn lengths(cutter: &Cutter, content: &[u8]) -> Vec<usize> {
    chunks(cutter, content).iter().map(Vec::len).collect()
}

#[test]
fn cuts_are_where_a_division_by_hand_has_them() {
    for seed in 1..=12_u64 {
        // Any polynomial divides; irreducible ones only spread better.
        let polynomial = if seed % 3 == 0 { 1 << (15 + seed) | seed << 3 | 1 } else { POLYNOMIAL ^ (seed - 1) << 5 };
        let content = noise(seed, 30_000 + 17 * seed as usize);
        let cutter = Cutter::new(polynomial, SMALL).unwrap();
        assert_eq!(lengths(&cutter, &content), defined(&content, polynomial, SMALL), "seed {seed}");
    }
}

/// Long enough for all lanes, with ends in each.
#[test]
fn the_first_end_is_found_in_whichever_lane_it_is() {
    let sizes = Sizes { least: 2_000, average: 4_096, most: 40_000 };
    let cutter = Cutter::new(POLYNOMIAL, sizes).unwrap();
    for seed in 1..=8 {
        let content = noise(seed, 120_000);
        assert_eq!(lengths(&cutter, &content), defined(&content, POLYNOMIAL, sizes), "seed {seed}");
    }
}

#[test]
fn a_chunk_has_at_least_and_at_most_its_size() {
    let cutter = Cutter::new(POLYNOMIAL, SMALL).unwrap();
    // The remainder of zeros is zero.
    assert_eq!(lengths(&cutter, &[0; 450]), [200, 200, 50]);
    let ones = [1; 7_000];
    assert_eq!(lengths(&cutter, &ones), [3_000, 3_000, 1_000]);
    assert_eq!(lengths(&cutter, &ones[..3_000]), [3_000]);
    assert_eq!(lengths(&cutter, &ones[..199]), [199]);
    assert_eq!(lengths(&cutter, &[]), [0; 0]);
}

/// Gives a few bytes at a time, and is interrupted.
struct Slow<'a> {
    content: &'a [u8],
    reads: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.reads.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = (self.reads * 37 % 5_000 + 1).min(buffer.len());
        self.content.read(&mut buffer[..most])
    }
}

#[test]
fn chunks_are_the_content_however_it_comes() {
    let cutter = Cutter::new(POLYNOMIAL, Sizes::RESTIC).unwrap();
    let content = noise(3, 9_000_000);
    let whole = chunks(&cutter, &content[..]);
    assert!(whole.len() > 3 && whole.concat() == content);
    assert!(chunks(&cutter, Slow { content: &content, reads: 0 }) == whole);
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("pg_dump has ended with 1"))
    }
}

#[test]
fn a_source_that_fails_gives_no_last_chunk() {
    let cutter = Cutter::new(POLYNOMIAL, Sizes::RESTIC).unwrap();
    let mut chunks = Chunks::new(&cutter, io::Cursor::new(noise(4, 100)).chain(Broken), 0);
    assert_eq!(chunks.read_chunk().unwrap_err().to_string(), "pg_dump has ended with 1");
}

#[test]
fn what_cannot_cut_is_refused() {
    for polynomial in [0, 1, 0xff, 1 << 60 | 1] {
        assert!(Cutter::new(polynomial, SMALL).is_none(), "{polynomial:x}");
    }
    for sizes in [
        Sizes { least: WINDOW, ..SMALL },
        Sizes { average: 500, ..SMALL },
        Sizes { average: 0, ..SMALL },
        Sizes { most: 100, ..SMALL },
    ] {
        assert!(Cutter::new(POLYNOMIAL, sizes).is_none(), "{sizes:?}");
    }
}
