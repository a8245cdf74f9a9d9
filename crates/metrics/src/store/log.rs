//! The log: what was acknowledged and is in no block yet.
//!
//! A segment names each series before its first sample, so that it is understood without any other and goes as soon as all
//! of its samples are in blocks. A frame is a batch: its length, the CRC-32 of what follows, and then new series,
//! samples and histograms. A process never writes on in a segment of another one, so what is torn stays at an end.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::files::{Files, Output};
use super::index::{Symbol, Symbols};
use crate::codec::Corrupt;
use crate::codec::bits::{Bytes, put_bytes, put_signed, put_varint};
use crate::codec::histograms;
use crate::{HistogramSample, Labels, Sample};

const MAGIC: &[u8; 8] = b"dblog\0\0\x01";
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
    pub(super) segment: u32,
    most: u64,
    open: Option<Segment>,
    /// The segments before, with the time of their newest sample.
    pub(super) closed: BTreeMap<u32, i64>,
}

struct Segment {
    file: Box<dyn Output>,
    bytes: u64,
    newest: i64,
    texts: Symbols,
    series: u32,
    synced: bool,
}

/// The number of a series in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    segment: u32,
    number: u32,
}

/// A batch that is about to be written.
#[derive(Default)]
pub(super) struct Frame {
    /// How many series and texts were named before it, so that it is understood without the frames before.
    before: (u32, usize),
    series: Vec<u8>,
    named: u32,
    samples: Column,
    histograms: Column,
    newest: i64,
}

/// Samples of one kind, each named by how far its series and its time are from those before.
#[derive(Default)]
struct Column {
    bytes: Vec<u8>,
    count: u64,
    last: (i64, i64),
}

impl Column {
    fn add(&mut self, place: Place, at: i64) {
        let number = i64::from(place.number);
        put_signed(&mut self.bytes, number.wrapping_sub(self.last.0));
        put_signed(&mut self.bytes, at.wrapping_sub(self.last.1));
        self.last = (number, at);
        self.count += 1;
    }
}

impl Frame {
    fn after(series: u32, texts: usize) -> Self {
        Self { before: (series, texts), newest: i64::MIN, ..Self::default() }
    }
}

impl Log {
    /// One that goes on after others.
    pub(super) fn new(segment: u32, most: u64, closed: BTreeMap<u32, i64>) -> Self {
        Self { segment, most, open: None, closed }
    }

    /// A new frame, and a segment to write it in.
    pub(super) fn begin(&mut self, files: &dyn Files) -> io::Result<Frame> {
        if self.open.as_ref().is_some_and(|open| open.bytes >= self.most) {
            self.rotate()?;
        }
        if let Some(open) = &self.open {
            return Ok(Frame::after(open.series, open.texts.len()));
        }
        let name = name(self.segment);
        let mut file = files.create(&name)?;
        if let Err(error) = file.write(MAGIC) {
            // Nothing is in it. If it stays, it is a segment without a frame.
            _ = files.remove(&name);
            return Err(error);
        }
        let (bytes, newest, texts) = (HEAD as u64, i64::MIN, Symbols::default());
        self.open = Some(Segment { file, bytes, newest, texts, series: 0, synced: false });
        Ok(Frame::after(0, 0))
    }

    /// One more sample. `place` is where the series is named, and is changed where that is elsewhere.
    pub(super) fn add<'a>(
        &mut self,
        frame: &mut Frame,
        place: &mut Place,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        sample: Sample,
    ) {
        self.name(frame, place, labels);
        frame.samples.add(*place, sample.at);
        frame.samples.bytes.extend_from_slice(&sample.value.to_bits().to_le_bytes());
        frame.newest = frame.newest.max(sample.at);
    }

    /// One more sample that is a histogram; likewise.
    pub(super) fn add_histogram<'a>(
        &mut self,
        frame: &mut Frame,
        place: &mut Place,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        sample: &HistogramSample,
    ) {
        self.name(frame, place, labels);
        frame.histograms.add(*place, sample.at);
        histograms::put(&mut frame.histograms.bytes, &sample.value);
        frame.newest = frame.newest.max(sample.at);
    }

    /// Names a series, if this segment does not yet.
    fn name<'a>(&mut self, frame: &mut Frame, place: &mut Place, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        let Some(segment) = &mut self.open else { return };
        if place.segment == self.segment && place.number != 0 {
            return;
        }
        segment.series += 1;
        *place = Place { segment: self.segment, number: segment.series };
        let labels: Vec<_> = labels.collect();
        put_varint(&mut frame.series, labels.len() as u64);
        for (name, value) in labels {
            segment.name(name, &mut frame.series);
            segment.name(value, &mut frame.series);
        }
        frame.named += 1;
    }

    /// Writes a frame. When this returns, the process may die; see [`Log::sync`] for the machine.
    pub(super) fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let Some(segment) = &mut self.open else { return Err(io::Error::other("no segment is open")) };
        let mut bytes = vec![0; HEAD];
        put_varint(&mut bytes, u64::from(frame.before.0));
        put_varint(&mut bytes, frame.before.1 as u64);
        put_varint(&mut bytes, u64::from(frame.named));
        bytes.extend_from_slice(&frame.series);
        for column in [&frame.samples, &frame.histograms] {
            put_varint(&mut bytes, column.count);
            bytes.extend_from_slice(&column.bytes);
        }
        let length = bytes.len() - HEAD;
        let written = if length > LONGEST {
            Err(io::Error::other("a batch is too long"))
        } else {
            let checksum = crc32fast::hash(&bytes[HEAD..]);
            bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
            bytes[4..HEAD].copy_from_slice(&checksum.to_le_bytes());
            segment.file.write(&bytes)
        };
        if let Err(error) = written {
            self.give_up();
            return Err(error);
        }
        segment.bytes += bytes.len() as u64;
        segment.newest = segment.newest.max(frame.newest);
        segment.synced = false;
        Ok(())
    }

    /// After a frame that was not written, the names in it are not known to who reads: the next one has its own segment.
    fn give_up(&mut self) {
        let Some(mut segment) = self.open.take() else { return };
        // If it cannot be cut, its end is torn, which is no news to who reads it.
        _ = segment.file.cut(segment.bytes);
        self.closed.insert(self.segment, segment.newest);
        self.segment += 1;
    }

    /// Tells all that was written to the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(segment) = self.open.as_mut().filter(|segment| !segment.synced) {
            segment.file.sync()?;
            segment.synced = true;
        }
        Ok(())
    }

    /// Begins a new segment with the next frame. Returns which it is.
    pub(super) fn rotate(&mut self) -> io::Result<u32> {
        self.sync()?;
        if let Some(segment) = self.open.take() {
            self.closed.insert(self.segment, segment.newest);
            self.segment += 1;
        }
        Ok(self.segment)
    }

    /// Removes the segments before `segment` of which all samples are older than `end`.
    pub(super) fn remove(&mut self, files: &dyn Files, segment: u32, end: i64) -> io::Result<()> {
        let gone: Vec<u32> =
            self.closed.range(..segment).filter(|(_, at)| **at < end).map(|(number, _)| *number).collect();
        for number in gone {
            files.remove(&name(number))?;
            self.closed.remove(&number);
        }
        Ok(())
    }

    /// The bytes of memory that it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.bytes)
    }
}

impl Segment {
    /// A text: which it is, and what it is if it is new.
    fn name(&mut self, text: &str, out: &mut Vec<u8>) {
        let known = self.texts.len() as Symbol;
        let symbol = self.texts.intern(text);
        put_varint(out, u64::from(symbol));
        if symbol == known {
            put_bytes(out, text.as_bytes());
        }
    }
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    /// The time of its newest sample.
    pub(super) newest: Option<i64>,
    /// Bytes at its end that are no frame.
    pub(super) torn: usize,
    /// Frames that are broken with others after them.
    pub(super) broken: usize,
    /// Samples of series that only a broken frame names.
    pub(super) lost: usize,
}

/// A sample that was logged.
pub(super) enum Logged {
    Sample(Sample),
    Histogram(HistogramSample),
}

impl Logged {
    pub(super) fn at(&self) -> i64 {
        match self {
            Self::Sample(sample) => sample.at,
            Self::Histogram(sample) => sample.at,
        }
    }
}

/// Reads a segment. `take` is told each sample, with the number that its series has here and its labels when they are new.
pub(super) fn read(bytes: &[u8], take: impl FnMut(usize, Option<Labels>, Logged)) -> Result<Read, Corrupt> {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        let torn = MAGIC.starts_with(bytes).then_some(bytes.len()).ok_or(Corrupt)?;
        return Ok(Read { torn, ..Read::default() });
    };
    let mut replay = Replay { texts: Vec::new(), series: Vec::new(), read: Read::default(), take };
    while let Some((frame, checksum, after)) = split(rest) {
        if crc32fast::hash(frame) == checksum {
            replay.frame(frame)?;
        } else if split(after).is_some_and(|(frame, checksum, _)| crc32fast::hash(frame) == checksum) {
            replay.read.broken += 1;
        } else {
            break;
        }
        rest = after;
    }
    replay.read.torn = rest.len();
    Ok(replay.read)
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

struct Replay<'a, F> {
    texts: Vec<Option<&'a str>>,
    series: Vec<Named>,
    read: Read,
    take: F,
}

/// What is known of a series.
#[derive(Clone)]
enum Named {
    Lost,
    New(Labels),
    Told,
}

impl<'a, F: FnMut(usize, Option<Labels>, Logged)> Replay<'a, F> {
    fn frame(&mut self, frame: &'a [u8]) -> Result<(), Corrupt> {
        let mut bytes = Bytes(frame);
        let (series, texts) = (bytes.varint()? as usize, bytes.varint()? as usize);
        if series.max(texts) > LONGEST || series < self.series.len() || texts < self.texts.len() {
            return Err(Corrupt);
        }
        self.series.resize(series, Named::Lost);
        self.texts.resize(texts, None);
        for _ in 0..bytes.count(1)? {
            let mut labels = Some(Vec::new());
            for _ in 0..bytes.count(2)? {
                let label = self.text(&mut bytes)?.zip(self.text(&mut bytes)?);
                labels = labels.zip(label).map(|(labels, label)| [labels, vec![label]].concat());
            }
            self.series.push(labels.map_or(Named::Lost, |labels| Named::New(Labels::new(labels))));
        }
        self.column(&mut bytes, |bytes, at| Ok(Logged::Sample(Sample { at, value: f64::from_bits(bytes.word()?) })))?;
        self.column(&mut bytes, |bytes, at| {
            let value = Arc::new(histograms::take(bytes)?);
            Ok(Logged::Histogram(HistogramSample { at, value }))
        })
    }

    fn column(
        &mut self,
        bytes: &mut Bytes<'a>,
        take: impl Fn(&mut Bytes<'a>, i64) -> Result<Logged, Corrupt>,
    ) -> Result<(), Corrupt> {
        let (mut number, mut at) = (0i64, 0i64);
        for _ in 0..bytes.count(10)? {
            number = number.wrapping_add(bytes.signed()?);
            at = at.wrapping_add(bytes.signed()?);
            let sample = take(bytes, at)?;
            self.sample(number, sample)?;
        }
        Ok(())
    }

    fn text(&mut self, bytes: &mut Bytes<'a>) -> Result<Option<&'a str>, Corrupt> {
        let number = bytes.varint()? as usize;
        if number == self.texts.len() {
            self.texts.push(Some(bytes.text()?));
        }
        self.texts.get(number).copied().ok_or(Corrupt)
    }

    fn sample(&mut self, number: i64, sample: Logged) -> Result<(), Corrupt> {
        let known = number.checked_sub(1).and_then(|number| usize::try_from(number).ok()).ok_or(Corrupt)?;
        let named = self.series.get_mut(known).ok_or(Corrupt)?;
        let labels = match std::mem::replace(named, Named::Told) {
            Named::Told => None,
            Named::New(labels) => Some(labels),
            Named::Lost => {
                *named = Named::Lost;
                self.read.lost += 1;
                return Ok(());
            }
        };
        self.read.newest = self.read.newest.max(Some(sample.at()));
        (self.take)(known, labels, sample);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Memory;

    fn series(name: &str) -> Labels {
        Labels::new([("__name__", name), ("job", "web")])
    }

    fn sample(at: i64) -> Sample {
        Sample { at, value: at as f64 / 8.0 }
    }

    /// Three frames: of `a`, of `a` and `b`, of all three.
    fn three(files: &Memory) -> Vec<u8> {
        let mut log = Log::new(1, u64::MAX, BTreeMap::new());
        let mut places = [Place::default(); 3];
        for at in 1..=3 {
            let mut frame = log.begin(files).unwrap();
            for (place, name) in places.iter_mut().zip(["a", "b", "c"]).take(at) {
                let labels = series(name);
                let labels = labels.iter().map(|label| (label.name.as_str(), label.value.as_str()));
                log.add(&mut frame, place, labels, sample(at as i64));
            }
            log.write(&frame).unwrap();
        }
        files.bytes(&name(1))
    }

    fn told(bytes: &[u8]) -> (Result<Read, Corrupt>, Vec<(String, i64)>) {
        let (mut names, mut told) = (BTreeMap::new(), Vec::new());
        let read = read(bytes, |number, labels, sample| {
            labels.map(|labels| names.insert(number, labels.to_string()));
            told.push((names[&number].clone(), sample.at()));
        });
        (read, told)
    }

    #[test]
    fn each_length_of_a_log_holds_the_frames_that_are_whole() {
        let bytes = three(&Memory::default());
        let (read, all) = told(&bytes);
        assert_eq!(read.unwrap(), Read { newest: Some(3), ..Read::default() });
        assert_eq!(all.len(), 6);
        assert_eq!(all[5], (r#"c{job="web"}"#.to_owned(), 3));
        let mut counts = Vec::new();
        for length in 0..bytes.len() {
            let (read, some) = told(&bytes[..length]);
            assert!(read.unwrap().torn < 200 && all.starts_with(&some), "{length}");
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
            assert!(read.torn > 0 || some.len() + read.lost >= 4 - 1, "{at} {read:?} {some:?}");
        }
        assert_eq!(told(b"something else").0, Err(Corrupt));
    }
}
