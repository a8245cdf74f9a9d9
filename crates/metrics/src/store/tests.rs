//! The store in a directory that is in memory, which fails and dies where a test says.

mod crashes;
mod faults;
mod histograms;
mod model;
mod reading;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::files::{Files, Input, Output};
use super::{Batch, MINUTE, Options, Report, Store};
use crate::{Histogram, Labels, Matcher, NAME, Op, Source};

/// A directory in memory.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

#[derive(Default, Clone)]
struct State {
    files: BTreeMap<String, File>,
    /// How many things were done.
    done: usize,
    /// Where the process dies, and how much of what it does there is done, in quarters.
    dies: Option<(usize, usize)>,
    dead: bool,
    /// How many bytes there is room for.
    room: Option<usize>,
}

#[derive(Default, Clone)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

impl Memory {
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.0.lock().unwrap().files[name].bytes.clone()
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().files.keys().cloned().collect()
    }

    fn put(&self, name: &str, bytes: Vec<u8>) {
        self.0.lock().unwrap().files.insert(name.to_owned(), File { synced: bytes.len(), bytes });
    }

    fn used(&self) -> usize {
        self.0.lock().unwrap().files.values().map(|file| file.bytes.len()).sum()
    }

    fn room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    /// What is there after the process died, or the machine.
    fn after(&self, machine: bool) -> Self {
        let mut files = self.0.lock().unwrap().files.clone();
        if machine {
            files.values_mut().for_each(|file| file.bytes.truncate(file.synced));
        }
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// Does something, unless the process dies before. Says how many quarters of it are done if it dies in it.
    fn act(&self) -> io::Result<(std::sync::MutexGuard<'_, State>, Option<usize>)> {
        let mut state = self.0.lock().unwrap();
        if state.dead {
            return Err(io::Error::other("dead"));
        }
        let at = state.done;
        state.done += 1;
        let quarters = state.dies.filter(|(dies, _)| *dies == at).map(|(_, quarters)| quarters);
        state.dead |= quarters.is_some();
        if quarters == Some(0) { Err(io::Error::other("dead")) } else { Ok((state, quarters)) }
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

/// What a step says that was done before the process died.
fn ended(quarters: Option<usize>) -> io::Result<()> {
    if quarters.is_some() { Err(io::Error::other("dead")) } else { Ok(()) }
}

impl Files for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let (mut state, quarters) = self.act()?;
        state.files.insert(name.to_owned(), File::default());
        ended(quarters)?;
        Ok(Box::new(Handle(self.clone(), name.to_owned())))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Input>> {
        let file = self.0.lock().unwrap().files.get(name).cloned().ok_or_else(missing)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut state, quarters) = self.act()?;
        let file = state.files.remove(from).ok_or_else(missing)?;
        state.files.insert(to.to_owned(), file);
        ended(quarters)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut state, quarters) = self.act()?;
        state.files.remove(name).ok_or_else(missing)?;
        ended(quarters)
    }
}

struct Handle(Memory, String);

impl Output for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let used = self.0.used();
        let (mut state, quarters) = self.0.act()?;
        let room = state.room.map_or(usize::MAX, |room| room.saturating_sub(used));
        let length = bytes.len() * quarters.unwrap_or(4) / 4;
        let file = state.files.get_mut(&self.1).ok_or_else(missing)?;
        file.bytes.extend_from_slice(&bytes[..length.min(room)]);
        ended(quarters)?;
        if room < length { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let (mut state, quarters) = self.0.act()?;
        state.files.get_mut(&self.1).ok_or_else(missing)?.bytes.truncate(length as usize);
        ended(quarters)
    }

    fn sync(&mut self) -> io::Result<()> {
        let (mut state, quarters) = self.0.act()?;
        let file = state.files.get_mut(&self.1).ok_or_else(missing)?;
        file.synced = file.bytes.len();
        ended(quarters)
    }
}

impl Input for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let offset = offset as usize;
        self.bytes.get(offset..offset + length).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Midnight of some day.
const START: i64 = 1_700_006_400_000;

fn open(files: &Memory, options: Options) -> (Store, Report) {
    Store::open_in(Box::new(files.clone()), options).unwrap()
}

fn labels(name: &str, number: usize) -> Labels {
    Labels::new([(NAME, name.to_owned()), ("number", number.to_string()), ("job", "web".to_owned())])
}

fn metric(name: &str) -> [Matcher; 1] {
    [Matcher::new(NAME, Op::Equal, name).unwrap()]
}

/// All that is in a store: by series, times and the bits of values.
type All = BTreeMap<Labels, BTreeMap<i64, u64>>;

fn all(store: &Store) -> All {
    let every = [Matcher::new(NAME, Op::Like, ".+").unwrap()];
    let series = store.select(&every, i64::MIN, i64::MAX).unwrap();
    let mut all = All::new();
    for one in series {
        let bits = all.entry(one.labels).or_default();
        bits.extend(one.samples.iter().map(|sample| (sample.at, sample.value.to_bits())));
        bits.extend(one.histograms.iter().map(|sample| (sample.at, of_histogram(&sample.value))));
    }
    all
}

/// A number for a histogram, but for its hint. No value that tests append has these bits.
fn of_histogram(value: &Histogram) -> u64 {
    let mut bytes = Vec::new();
    let told = Histogram { reset: crate::Reset::Unknown, ..value.clone() };
    crate::codec::histograms::put(&mut bytes, &told);
    u64::from(crc32fast::hash(&bytes)) | 0xfff8_8000_0000_0000
}

/// Scrapes with a histogram of each number; its counts follow from what they are of as well.
fn mixed(count: usize, at: i64) -> Batch {
    let mut batch = scrape(count, at);
    for number in 0..count {
        batch.add_histogram(labels("seconds", number), at, latencies(number, (at - START) / MINUTE));
    }
    batch
}

/// A histogram that grows with each tick, and begins anew every five hours. Now and then its buckets are others.
fn latencies(number: usize, tick: i64) -> Histogram {
    let since = (tick % 300 + 1) as f64;
    let first = number as i32 - 3 + (tick / 1000) as i32;
    Histogram {
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: (number + 1) as f64,
        count: since * 8.0 + (number + 1) as f64,
        sum: since / 8.0,
        positive: (first..first + 8).map(|index| (index, since)).collect(),
        ..Histogram::default()
    }
}

/// Tends until nothing is due.
fn settle(store: &Store, now: i64) -> Vec<super::Step> {
    std::iter::from_fn(|| store.tend(now).unwrap()).collect()
}

/// A batch of `count` series at a time; values follow from what they are of.
fn scrape(count: usize, at: i64) -> Batch {
    let mut batch = Batch::default();
    for number in 0..count {
        let ticks = (at - START) as f64 / 1000.0;
        batch.add(labels("requests_total", number), at, (ticks * (number + 1) as f64).floor());
        batch.add(labels("bytes", number), at, ((at / 1000 * (number as i64 + 3)) % 977) as f64 * 4096.0);
    }
    batch
}

/// Appends a scrape each minute.
fn fill(store: &Store, count: usize, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        let at = START + minute * MINUTE;
        let receipt = store.append(&scrape(count, at), at).unwrap();
        assert_eq!(receipt.accepted, 2 * count as u64);
    }
}
