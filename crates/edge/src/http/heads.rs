//! Where the heads of requests are in the bytes of an HTTP/1.1 connection. hyper shows them parsed, and what it has left
//! out of them is not to be seen any more.

/// The bytes of a connection, of which those of the next head are kept.
#[derive(Debug)]
pub(super) struct Heads {
    next: Next,
    /// What is known of the next head, and perhaps of its body.
    kept: Vec<u8>,
    /// What came after that and was not kept, for there is a bound.
    dropped: u64,
    /// The last bytes of all.
    tail: [u8; 4],
}

/// Where the next head begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// After so many bytes more.
    After(u64),
    /// After a chunked body, whose end is told.
    AfterChunks,
    /// Nobody knows.
    Unknown,
}

/// The largest head of a request that is taken.
pub(crate) const LARGEST_HEAD: usize = 64 * 1024;
/// How much memory an idle connection keeps for its next head.
const KEPT_WHEN_IDLE: usize = 2048;

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// A body of so many bytes, or none.
    Bytes(u64),
    /// A chunked body.
    Chunks,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self { next: Next::After(0), kept: Vec::new(), dropped: 0, tail: [0; 4] }
    }

    /// These bytes came.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in &bytes[bytes.len().saturating_sub(4)..] {
            self.tail.rotate_left(1);
            self.tail[3] = *byte;
        }
        let Next::After(left) = self.next else { return };
        let skipped = left.min(bytes.len() as u64);
        self.next = Next::After(left - skipped);
        self.keep(&bytes[skipped as usize..]);
    }

    /// Whether something of the next head has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether the next head will be seen from its beginning on.
    pub(super) fn is_next_known(&self) -> bool {
        matches!(self.next, Next::After(_))
    }

    /// A head has been parsed: looks at its bytes, if all of them were seen. Then `follows`, and the next head.
    pub(super) fn parsed<T>(&mut self, follows: Follows, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let length = length(&self.kept);
        let looked = look(length.map(|length| &self.kept[..length]));
        match (length, follows) {
            (Some(length), Follows::Bytes(body)) => self.skip(length as u64 + body),
            (Some(_), Follows::Chunks) => self.forget(Next::AfterChunks),
            (None, _) => self.forget(Next::Unknown),
        }
        looked
    }

    /// The last chunk of a body has been parsed. Nothing ends like it but another request that came with it.
    pub(super) fn chunks_ended(&mut self) {
        if self.next == Next::AfterChunks {
            self.forget(if &self.tail == b"\r\n\r\n" { Next::After(0) } else { Next::Unknown });
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LARGEST_HEAD.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.dropped += (bytes.len() - room) as u64;
    }

    /// The next head begins after so many of the bytes that were kept, or are still to come.
    fn skip(&mut self, count: u64) {
        let here = self.kept.len() as u64;
        if count <= here {
            self.kept.drain(..count as usize);
            self.kept.shrink_to(KEPT_WHEN_IDLE);
            return;
        }
        let next = (count - here).checked_sub(self.dropped).map_or(Next::Unknown, Next::After);
        self.forget(next);
    }

    fn forget(&mut self, next: Next) {
        self.kept.clear();
        self.kept.shrink_to(KEPT_WHEN_IDLE);
        self.dropped = 0;
        self.next = next;
    }
}

/// The length of the head that `bytes` begin with, its empty line with it. Empty lines before it are a part of it.
fn length(bytes: &[u8]) -> Option<usize> {
    let mut begun = false;
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let is_empty = matches!(line, b"\r\n" | b"\n");
        if begun && is_empty {
            return Some(at);
        }
        begun |= !is_empty;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn next(heads: &mut Heads, follows: Follows) -> Option<String> {
        heads.parsed(follows, |raw| raw.map(|raw| String::from_utf8(raw.to_vec()).unwrap()))
    }

    proptest! {
        #[test]
        fn r09_each_of_many_heads_is_seen_as_it_was_sent(
            requests in proptest::collection::vec((0_usize..300, 0_usize..3), 1..6),
            cut in 1_usize..400,
            late in any::<bool>(),
        ) {
            let head = |(body, lines): (usize, usize)| "\r\n".repeat(lines) + &GET.replace("a\r", &format!("a{body}\r"));
            let bytes: Vec<u8> =
                requests.iter().flat_map(|request| (head(*request) + &"\n".repeat(request.0)).into_bytes()).collect();
            let mut heads = Heads::new();
            let mut pieces = bytes.chunks(cut);
            if late {
                pieces.by_ref().for_each(|piece| heads.read(piece));
            }
            for request in requests {
                while length(&heads.kept).is_none() {
                    heads.read(pieces.next().unwrap());
                }
                prop_assert_eq!(next(&mut heads, Follows::Bytes(request.0 as u64)), Some(head(request)));
                prop_assert!(heads.is_next_known());
            }
        }
    }

    #[test]
    fn r09_after_chunks_the_next_head_is_seen_unless_it_came_with_them() {
        let chunked = |rest: &str| {
            let mut heads = Heads::new();
            heads.read(format!("{GET}1\r\nX\r\n").as_bytes());
            assert_eq!(next(&mut heads, Follows::Chunks).as_deref(), Some(GET));
            assert!(!heads.is_next_known());
            heads.read(rest.as_bytes());
            heads.chunks_ended();
            heads
        };
        let mut heads = chunked("0\r\n\r\n");
        assert!(heads.is_next_known());
        heads.read(GET.as_bytes());
        assert_eq!(next(&mut heads, Follows::Bytes(0)).as_deref(), Some(GET));
        assert!(!chunked("0\r\n\r\nGET").is_next_known());
        let mut heads = chunked(&format!("0\r\n\r\n{GET}"));
        assert_eq!(next(&mut heads, Follows::Bytes(0)), None, "it was not seen");
        assert!(!heads.is_next_known());
    }

    #[test]
    fn a_long_body_is_skipped_and_not_kept() {
        let mut heads = Heads::new();
        heads.read(GET.as_bytes());
        heads.read(&vec![b'x'; 2 * LARGEST_HEAD]);
        assert_eq!(heads.kept.len(), LARGEST_HEAD);
        next(&mut heads, Follows::Bytes(3 * LARGEST_HEAD as u64));
        heads.read(&vec![b'x'; LARGEST_HEAD]);
        assert!(!heads.has_begun() && heads.is_next_known());
        heads.read(GET.as_bytes());
        assert_eq!(next(&mut heads, Follows::Bytes(0)).as_deref(), Some(GET));
    }
}
