//! The store in a directory that is in memory, which fails and dies where a test says.

mod crashes;
mod faults;
mod model;
mod reading;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::files::{Files, Input, Output};
use super::{Options, Report, SECOND, Step, Store};
use crate::query::{Direction, Query};
use crate::{Kept, Line, Stream};

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

    fn block(&self) -> String {
        self.names().into_iter().find(|name| name.ends_with(".block")).unwrap()
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
    fn act(&self) -> io::Result<(MutexGuard<'_, State>, Option<usize>)> {
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

/// Midnight of some day, in microseconds.
const START: i64 = 1_700_006_400_000_000;

/// So small that a few lines become a block, with no limit to lines.
fn small() -> Options {
    Options { block: 600, lines: None, rate: None, ..Options::default() }
}

fn open(files: &Memory, options: Options) -> (Store, Report) {
    Store::open_in(Box::new(files.clone()), options).unwrap()
}

fn stream(service: &str, replica: usize) -> Stream {
    Stream::new([("app", "shop"), ("service", service), ("replica", &replica.to_string())])
}

/// A line that is told from all others by its number.
fn line(number: i64) -> Line {
    let service = ["web", "api", "worker"][number as usize % 3];
    let text = match number % 4 {
        0 => format!(r#"{{"level":"info","msg":"request","path":"/orders/{number}","status":200}}"#),
        1 => format!("2024-01-01T00:00:00Z ERROR db: connection {number} was refused"),
        2 => format!("level=warn msg=\"slow query\" took={number}ms"),
        _ => format!("    at handler (server.js:{number}:17)"),
    };
    Line::read(START + number * SECOND, stream(service, number as usize % 2), text)
}

/// Appends lines one by one.
fn fill(store: &Store, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let receipt = store.append(&[line(number)], START + number * SECOND).unwrap();
        assert_eq!((receipt.accepted, receipt.dropped.len()), (1, 0));
    }
}

/// Tends until nothing is due.
fn settle(store: &Store, now: i64) -> Vec<Step> {
    std::iter::from_fn(|| store.tend(now).unwrap()).collect()
}

fn never() -> bool {
    false
}

/// All that a query finds, page by page.
fn found(store: &Store, query: &Query) -> Vec<Kept> {
    let mut query = query.clone();
    let mut all = Vec::new();
    loop {
        let page = store.search(&query, &never).unwrap();
        all.extend(page.lines);
        query.after = page.next;
        if page.next.is_none() {
            return all;
        }
    }
}

/// The texts of all lines, the oldest first.
fn all(store: &Store) -> Vec<String> {
    let query = Query { direction: Direction::Oldest, limit: 7, ..Query::default() };
    found(store, &query).into_iter().map(|kept| kept.line.text().into_owned()).collect()
}

fn texts(numbers: impl Iterator<Item = i64>) -> Vec<String> {
    numbers.map(|number| line(number).text().into_owned()).collect()
}
