//! Where the frames of a WebSocket end (RFC 6455, section 5.2), so that a close can be put between two of
//! them without reading their content.

/// Follows one direction of a WebSocket.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// What is known of a frame's head that has not arrived whole.
    head: [u8; 14],
    head_len: usize,
    /// Bytes of the present frame's payload still to come.
    payload_left: u64,
}

/// A close frame from a server: 1012, service restart (registered with IANA for RFC 6455).
pub(crate) const CLOSE_SERVICE_RESTART: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];

impl Frames {
    /// Takes note of bytes that have passed.
    pub(crate) fn passed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let count = self.payload_left.min(bytes.len() as u64);
                self.payload_left -= count;
                bytes = &bytes[count as usize..];
                continue;
            }
            self.head[self.head_len] = bytes[0];
            self.head_len += 1;
            bytes = &bytes[1..];
            if let Some(payload) = payload_length(&self.head[..self.head_len]) {
                self.payload_left = payload;
                self.head_len = 0;
            }
        }
    }

    /// Whether the last byte that passed was the last of its frame. A close may be sent now even between the
    /// parts of a fragmented message: control frames may (section 5.4).
    pub(crate) fn is_between(&self) -> bool {
        self.head_len == 0 && self.payload_left == 0
    }
}

/// The length of the payload, once the head is whole.
fn payload_length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (extended, length) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes([*head.get(2)?, *head.get(3)?]))),
        127 => (8, u64::from_be_bytes(head.get(2..10)?.try_into().ok()?)),
        length => (0, u64::from(length)),
    };
    (head.len() == 2 + extended + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match length {
            0..=125 => bytes.push(mask | length as u8),
            126..=65_535 => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![7; length + if masked { 4 } else { 0 }]);
        bytes
    }

    proptest! {
        #[test]
        fn boundaries_are_found_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0_usize..70_000, any::<bool>()), 1..4),
            cut in 1_usize..5000,
        ) {
            let mut ends = vec![0];
            let mut bytes = Vec::new();
            for (length, masked) in frames {
                bytes.extend(frame(length, masked));
                ends.push(bytes.len());
            }
            let mut seen = Frames::default();
            let mut at = 0;
            for piece in bytes.chunks(cut) {
                seen.passed(piece);
                at += piece.len();
                prop_assert_eq!(seen.is_between(), ends.contains(&at));
            }
        }
    }
}
