//! Compresses blobs, each at the level that suits those that come with it.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// The usual level: that of zstd itself.
const USUAL: i32 = 3;
/// Text with much in it that does not compress, as a dump with keys and checksums, becomes smaller at this one: fewer matches
/// leave more to the coding of single letters. It is faster as well.
const LIGHT: i32 = 1;
/// One blob in so many is compressed at both, to see which of them suits those that follow.
const TRIED: u32 = 8;
/// Only longer ones tell what follows: they are parts of one content.
const TELLING: usize = 128 << 10;

/// What a thread compresses with.
pub(crate) struct Coder {
    usual: Compressor<'static>,
    /// `None`: the repository says at which level it wants it.
    light: Option<Compressor<'static>>,
    is_light: bool,
    seen: u32,
    decompressor: Decompressor<'static>,
}

impl Coder {
    /// At the level that a repository wants; 0 is for the usual.
    pub(crate) fn new(level: i32) -> io::Result<Self> {
        let (usual, light) = if level == 0 { (USUAL, Some(LIGHT)) } else { (level, None) };
        let light = light.map(Compressor::new).transpose()?;
        let (usual, decompressor) = (Compressor::new(usual)?, Decompressor::new()?);
        Ok(Self { usual, light, is_light: false, seen: 0, decompressor })
    }

    pub(crate) fn compress(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let Some(light) = self.light.as_mut().filter(|_| bytes.len() >= TELLING) else {
            return self.usual.compress(bytes);
        };
        let tries = self.seen.is_multiple_of(TRIED);
        self.seen = self.seen.wrapping_add(1);
        if !tries {
            return if self.is_light { light.compress(bytes) } else { self.usual.compress(bytes) };
        }
        let (one, other) = (light.compress(bytes)?, self.usual.compress(bytes)?);
        self.is_light = one.len() <= other.len();
        Ok(if self.is_light { one } else { other })
    }

    /// What was compressed, where it was so many bytes.
    pub(crate) fn decompress(&mut self, compressed: &[u8], bytes: usize) -> io::Result<Vec<u8>> {
        self.decompressor.decompress(compressed, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: impl Fn(u64) -> String) -> Vec<u8> {
        (0..4_000).map(line).collect::<String>().into_bytes()
    }

    /// A row with a checksum, of which nothing comes again.
    fn row(n: u64) -> String {
        let token = u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        format!("{n}\t{}\t2026-11-30 12:00:00\tcomment on {token:032x}\n", n % 977)
    }

    /// Text in which words come again in many orders.
    fn prose(n: u64) -> String {
        const WORDS: [&str; 8] = ["replica ", "journal ", "observed ", "of ", "the ", "environment ", "is ", "moved "];
        let mut numbers = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = (0..12).map(|_| {
            numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            WORDS[(numbers >> 61) as usize]
        });
        words.collect::<String>() + "\n"
    }

    #[test]
    fn what_comes_decides_the_level_and_all_of_it_comes_back() {
        let mut coder = Coder::new(0).unwrap();
        let mut at = [USUAL, LIGHT].map(|level| Compressor::new(level).unwrap());
        for content in [text(row), text(prose), text(row)] {
            let best = at.iter_mut().map(|coder| coder.compress(&content).unwrap().len()).min().unwrap();
            let packed: Vec<_> = (0..2 * TRIED).map(|_| coder.compress(&content).unwrap()).collect();
            assert_eq!(packed.last().unwrap().len(), best, "it has come to the level that suits");
            for one in packed {
                assert_eq!(coder.decompress(&one, content.len()).unwrap(), content);
            }
        }
    }

    #[test]
    fn rows_with_checksums_become_smaller_at_the_light_level() {
        let content = text(row);
        let [usual, light] = [USUAL, LIGHT].map(|level| Compressor::new(level).unwrap().compress(&content).unwrap());
        assert!(light.len() < usual.len(), "{} and {}", light.len(), usual.len());
    }

    #[test]
    fn a_repository_that_wants_a_level_gets_it() {
        let content = text(row);
        let wanted = Compressor::new(7).unwrap().compress(&content).unwrap();
        assert_eq!(Coder::new(7).unwrap().compress(&content).unwrap(), wanted);
        let short = &content[..TELLING - 1];
        let usual = Compressor::new(USUAL).unwrap().compress(short).unwrap();
        assert_eq!(Coder::new(0).unwrap().compress(short).unwrap(), usual);
    }
}
