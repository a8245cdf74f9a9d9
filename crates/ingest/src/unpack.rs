//! Bodies as they are sent. What is too large is told before it takes memory.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::Refused;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// As a block of snappy, as remote write has it.
    Snappy,
    /// With gzip.
    Gzip,
}

impl Encoding {
    /// By the value of the header `Content-Encoding`, or `grpc-encoding`.
    pub fn of(header: &str) -> Result<Self, Refused> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "snappy" => Ok(Self::Snappy),
            "gzip" => Ok(Self::Gzip),
            other => Err(Refused::Encoding(other.to_owned())),
        }
    }
}

/// The plain bytes of a body, at most so many.
pub(crate) fn unpack(bytes: &[u8], encoding: Encoding, most: usize) -> Result<Cow<'_, [u8]>, Refused> {
    match encoding {
        Encoding::Identity if bytes.len() > most => Err(Refused::TooLarge { most }),
        Encoding::Identity => Ok(bytes.into()),
        Encoding::Snappy => {
            let length = snap::raw::decompress_len(bytes).map_err(|_| Refused::Packed)?;
            if length > most {
                return Err(Refused::TooLarge { most });
            }
            snap::raw::Decoder::new().decompress_vec(bytes).map(Cow::from).map_err(|_| Refused::Packed)
        }
        Encoding::Gzip => {
            let mut plain = Vec::new();
            let mut reader = MultiGzDecoder::new(bytes).take(most as u64 + 1);
            reader.read_to_end(&mut plain).map_err(|_| Refused::Packed)?;
            if plain.len() > most { Err(Refused::TooLarge { most }) } else { Ok(plain.into()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn what_is_too_large_unpacked_is_refused() {
        let plain = vec![7; 100_000];
        let snappy = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        for (bytes, encoding) in
            [(plain.clone(), Encoding::Identity), (snappy, Encoding::Snappy), (gzip(&plain), Encoding::Gzip)]
        {
            assert_eq!(unpack(&bytes, encoding, 100_000).unwrap(), plain);
            assert_eq!(unpack(&bytes, encoding, 99_999), Err(Refused::TooLarge { most: 99_999 }));
        }
        // Four gigabytes, it says.
        assert_eq!(unpack(&[0xff, 0xff, 0xff, 0xff, 0x0f], Encoding::Snappy, 10), Err(Refused::TooLarge { most: 10 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for encoding in [Encoding::Identity, Encoding::Snappy, Encoding::Gzip] {
                if let Ok(plain) = unpack(&bytes, encoding, 1000) {
                    prop_assert!(plain.len() <= 1000);
                }
            }
        }
    }
}
