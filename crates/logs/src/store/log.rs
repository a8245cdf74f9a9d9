//! The log: what was acknowledged and is in no block yet.
//!
//! A frame is a batch: its length, the CRC-32 of what follows, the number of its first line, its streams, its lines. It is
//! understood without any other. A process never writes on in a segment of another one, so what is torn stays at an end.

use std::collections::BTreeSet;
use std::io;

use super::columns::Row;
use super::files::{Files, Output};
use crate::bytes::{Bytes, Corrupt, put_bytes, put_signed, put_varint};
use crate::{Level, Stream};

const MAGIC: &[u8; 8] = b"dbllog\0\x01";
const HEAD: usize = 8;
/// Longer frames are not written, and not read.
const LONGEST: usize = 256 << 20;

/// How a segment is named.
pub(super) fn name(segment: u32) -> String {
    format!("{segment:010}.log")
}

/// Which segment this is, if it is one.
pub(super) fn number(name: &str) -> Option<u32> {
    name.strip_suffix(".log")?.parse().ok()
}

/// What writes the log.
pub(super) struct Log {
    /// The segment that is written, or will be.
    segment: u32,
    open: Option<Open>,
    /// Segments that nothing is added to any more, and are not yet told to the disk.
    unsynced: Vec<(u32, Box<dyn Output>)>,
    closed: BTreeSet<u32>,
}

struct Open {
    file: Box<dyn Output>,
    bytes: u64,
    synced: bool,
}

impl Log {
    /// One that goes on after others.
    pub(super) fn new(segment: u32, closed: BTreeSet<u32>) -> Self {
        Self { segment, open: None, unsynced: Vec::new(), closed }
    }

    /// Writes a frame. When this returns, the process may die; see [`Log::sync`] for the machine.
    pub(super) fn write(&mut self, files: &dyn Files, frame: &Frame) -> io::Result<()> {
        let bytes = frame.bytes()?;
        if self.open.is_none() {
            self.open = Some(self.begin(files)?);
        }
        let Some(open) = &mut self.open else { return Err(io::Error::other("no segment is open")) };
        if let Err(error) = open.file.write(&bytes) {
            self.give_up();
            return Err(error);
        }
        open.bytes += bytes.len() as u64;
        open.synced = false;
        Ok(())
    }

    fn begin(&self, files: &dyn Files) -> io::Result<Open> {
        let name = name(self.segment);
        let mut file = files.create(&name)?;
        if let Err(error) = file.write(MAGIC) {
            // Nothing is in it. If it stays, it is a segment without a frame.
            _ = files.remove(&name);
            return Err(error);
        }
        Ok(Open { file, bytes: HEAD as u64, synced: false })
    }

    /// After a frame that was not written the next one has its own segment.
    fn give_up(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        // If it cannot be cut, its end is torn, which is no news to who reads it.
        _ = open.file.cut(open.bytes);
        self.close(open);
    }

    fn close(&mut self, open: Open) {
        if !open.synced {
            self.unsynced.push((self.segment, open.file));
        }
        self.closed.insert(self.segment);
        self.segment += 1;
    }

    /// Tells all that was written to the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        while let Some((_, file)) = self.unsynced.last_mut() {
            file.sync()?;
            self.unsynced.pop();
        }
        if let Some(open) = self.open.as_mut().filter(|open| !open.synced) {
            open.file.sync()?;
            open.synced = true;
        }
        Ok(())
    }

    /// Begins a new segment with the next frame. Returns the last one until now.
    pub(super) fn rotate(&mut self) -> u32 {
        if let Some(open) = self.open.take() {
            self.close(open);
        }
        self.segment - 1
    }

    /// Removes the segments up to this one, whose lines are all in blocks.
    pub(super) fn remove(&mut self, files: &dyn Files, last: u32) -> io::Result<()> {
        self.unsynced.retain(|(segment, _)| *segment > last);
        while let Some(segment) = self.closed.first().copied().filter(|segment| *segment <= last) {
            match files.remove(&name(segment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.closed.remove(&segment),
            };
        }
        Ok(())
    }

    /// The bytes of the segment that is written.
    pub(super) fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.bytes)
    }
}

/// A batch that is about to be written.
pub(super) struct Frame {
    first: u64,
    streams: Vec<u8>,
    named: u64,
    rows: Vec<u8>,
    count: u64,
    last: i64,
}

impl Frame {
    /// One whose first line has this number; each after it has the next one.
    pub(super) fn new(first: u64) -> Self {
        Self { first, streams: Vec::new(), named: 0, rows: Vec::new(), count: 0, last: 0 }
    }

    /// One more stream; lines have its number, which is that of how many were named before.
    pub(super) fn stream(&mut self, stream: &Stream) {
        put_varint(&mut self.streams, stream.iter().len() as u64);
        for (name, value) in stream.iter() {
            put_bytes(&mut self.streams, name.as_bytes());
            put_bytes(&mut self.streams, value.as_bytes());
        }
        self.named += 1;
    }

    /// One more line, of a stream that is named.
    pub(super) fn row(&mut self, row: &Row<'_>) {
        put_signed(&mut self.rows, row.at.wrapping_sub(self.last));
        self.last = row.at;
        put_varint(&mut self.rows, u64::from(row.stream));
        self.rows.push(row.level);
        put_varint(&mut self.rows, u64::from(row.missing));
        put_bytes(&mut self.rows, row.text);
        put_bytes(&mut self.rows, row.beside);
        self.count += 1;
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(HEAD + 40 + self.streams.len() + self.rows.len());
        bytes.extend_from_slice(&[0; HEAD]);
        put_varint(&mut bytes, self.first);
        put_varint(&mut bytes, self.named);
        bytes.extend_from_slice(&self.streams);
        put_varint(&mut bytes, self.count);
        bytes.extend_from_slice(&self.rows);
        let length = bytes.len() - HEAD;
        if length > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a batch is too long"));
        }
        let checksum = crc32fast::hash(&bytes[HEAD..]);
        bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
        bytes[4..HEAD].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// Bytes at its end that are no frame.
    pub(super) torn: usize,
    /// Frames that are broken with others after them.
    pub(super) broken: usize,
}

/// Reads a segment. `take` is told each line, with its stream.
pub(super) fn read(bytes: &[u8], mut take: impl FnMut(&Stream, Row<'_>)) -> Result<Read, Corrupt> {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        let torn = MAGIC.starts_with(bytes).then_some(bytes.len()).ok_or(Corrupt)?;
        return Ok(Read { torn, ..Read::default() });
    };
    let mut read = Read::default();
    while let Some((frame, checksum, after)) = split(rest) {
        if crc32fast::hash(frame) == checksum {
            read.broken += usize::from(read_frame(frame, &mut take).is_err());
        } else if split(after).is_some_and(|(frame, checksum, _)| crc32fast::hash(frame) == checksum) {
            read.broken += 1;
        } else {
            break;
        }
        rest = after;
    }
    read.torn = rest.len();
    Ok(read)
}

fn split(bytes: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let checksum = u32::from_le_bytes(head[4..].try_into().ok()?);
    if length == 0 || length > LONGEST {
        return None;
    }
    let (frame, after) = rest.split_at_checked(length)?;
    Some((frame, checksum, after))
}

fn read_frame(frame: &[u8], take: &mut impl FnMut(&Stream, Row<'_>)) -> Result<(), Corrupt> {
    let mut bytes = Bytes(frame);
    let first = bytes.varint()?;
    let mut streams = Vec::new();
    for _ in 0..bytes.count(1)? {
        let labels = (0..bytes.count(2)?).map(|_| Ok((bytes.text()?, bytes.text()?)));
        streams.push(Stream::new(labels.collect::<Result<Vec<_>, Corrupt>>()?));
    }
    let mut at = 0i64;
    for offset in 0..bytes.count(6)? as u64 {
        at = at.wrapping_add(bytes.signed()?);
        let stream = bytes.small()?;
        let level = bytes.byte()?;
        if usize::from(level) > Level::ALL.len() {
            return Err(Corrupt);
        }
        let missing = bytes.small()?;
        let (text, beside) = (bytes.bytes()?, bytes.bytes()?);
        let named = streams.get(stream as usize).ok_or(Corrupt)?;
        take(named, Row { at, number: first.wrapping_add(offset), stream, level, missing, text, beside });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Memory;

    /// Three frames: of one line, of two, of three.
    fn three(files: &Memory) -> Vec<u8> {
        let mut log = Log::new(1, BTreeSet::new());
        for count in 1..=3u64 {
            let mut frame = Frame::new(count * 10);
            frame.stream(&Stream::new([("service", "web")]));
            frame.stream(&Stream::new([("service", "api")]));
            for line in 0..count {
                let text = format!("line {line} of {count}");
                let stream = (line % 2) as u32;
                let at = 1000 - line as i64;
                frame.row(&Row { at, number: 0, stream, level: 3, missing: 0, text: text.as_bytes(), beside: b"" });
            }
            log.write(files, &frame).unwrap();
        }
        files.bytes(&name(1))
    }

    fn told(bytes: &[u8]) -> (Result<Read, Corrupt>, Vec<String>) {
        let mut told = Vec::new();
        let read = read(bytes, |stream, row| {
            let text = String::from_utf8_lossy(row.text);
            told.push(format!("{} {} {} {text}", row.at, row.number, stream.get("service")));
        });
        (read, told)
    }

    #[test]
    fn each_length_of_a_log_holds_the_frames_that_are_whole() {
        let bytes = three(&Memory::default());
        let (read, all) = told(&bytes);
        assert_eq!((read.unwrap(), all.len()), (Read::default(), 6));
        assert_eq!(all[4], "999 31 api line 1 of 3");
        let mut counts = Vec::new();
        for length in 0..bytes.len() {
            let (read, some) = told(&bytes[..length]);
            assert!(read.unwrap().torn < 150 && all.starts_with(&some), "{length}");
            counts.push(some.len());
        }
        counts.dedup();
        assert_eq!(counts, [0, 1, 3]);
    }

    #[test]
    fn a_flipped_byte_loses_only_its_frame() {
        let bytes = three(&Memory::default());
        let (_, all) = told(&bytes);
        for at in MAGIC.len()..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x41;
            let (read, some) = told(&flipped);
            let read = read.unwrap();
            assert!(read.torn > 0 || read.broken > 0, "{at} {read:?}");
            assert!(some.iter().all(|one| all.contains(one)), "{at}");
            assert!(read.torn > 0 || some.len() >= 3, "{at} {read:?} {some:?}");
        }
        assert_eq!(told(b"something else").0, Err(Corrupt));
    }
}
