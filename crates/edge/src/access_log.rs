//! The access log: one line of JSON for each request, in files of bounded size.
//!
//! A line is put into memory and written by a thread of its own a moment later, so that no request waits for
//! a disk. When the disk cannot keep up, lines are dropped and counted, never requests. The query of a URL
//! may hold secrets and is left out.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Method, Uri};

use crate::counters::Flight;
use crate::http::watched::Watch;

/// Takes lines from any task.
pub(crate) struct AccessLog {
    lines: Mutex<Vec<u8>>,
    due: Condvar,
    dropped: AtomicU64,
}

/// One file's largest size; one earlier file is kept.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;
/// The most that waits in memory.
const MOST_WAITING: usize = 1024 * 1024;
/// A write is worth its while from this size on, and due after [`WRITE_AFTER`] in any case.
const WORTH_WRITING: usize = 64 * 1024;
const WRITE_AFTER: Duration = Duration::from_millis(300);

impl AccessLog {
    /// Opens the log and starts its thread, which ends with the process.
    pub(crate) fn open(path: PathBuf) -> std::io::Result<Arc<Self>> {
        let file = append(&path)?;
        let log = Arc::new(Self { lines: Mutex::default(), due: Condvar::new(), dropped: AtomicU64::new(0) });
        let writer = log.clone();
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.write_forever(&path, file))?;
        Ok(log)
    }

    /// Lines that were dropped because the disk did not keep up.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Writes what waits now.
    pub(crate) fn flush(&self) {
        self.due.notify_one();
    }

    fn put(&self, line: &[u8]) {
        let mut lines = self.lines.lock().expect("no panic while it is held");
        if lines.len() + line.len() > MOST_WAITING {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let before = lines.len();
        lines.extend_from_slice(line);
        if before < WORTH_WRITING && lines.len() >= WORTH_WRITING {
            self.due.notify_one();
        }
    }

    fn write_forever(&self, path: &Path, mut file: File) {
        let mut size = file.metadata().map_or(0, |metadata| metadata.len());
        let mut taken = Vec::new();
        loop {
            let lines = self.lines.lock().expect("no panic while it is held");
            let (mut lines, _) = self.due.wait_timeout(lines, WRITE_AFTER).expect("no panic while it is held");
            std::mem::swap(&mut *lines, &mut taken);
            drop(lines);
            if taken.is_empty() {
                continue;
            }
            if size > LARGEST_FILE {
                let kept = std::fs::rename(path, path.with_extension("log.1"));
                if let Ok(fresh) = kept.and_then(|()| append(path)) {
                    (file, size) = (fresh, 0);
                }
            }
            match file.write_all(&taken) {
                Ok(()) => size += taken.len() as u64,
                Err(_) => {
                    self.dropped.fetch_add(1, Relaxed);
                }
            }
            taken.clear();
            taken.shrink_to(2 * WORTH_WRITING);
        }
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// A request that ends when this is dropped: then it is logged, and no longer in flight.
pub(crate) struct Ended {
    pub(crate) log: Arc<AccessLog>,
    pub(crate) flight: Option<Arc<Flight>>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) started: Instant,
    pub(crate) method: Method,
    pub(crate) host: HeaderValue,
    pub(crate) uri: Uri,
    pub(crate) id: HeaderValue,
    pub(crate) client: HeaderValue,
    /// Who answered: a replica with its environment, or nobody.
    pub(crate) by: Option<Arc<crate::backend::Endpoint>>,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) broken: bool,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let now = Instant::now();
        self.flight = None;
        self.watch.request_ended(now);
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.write(now, line);
            self.log.put(line.as_bytes());
        });
    }
}

thread_local! {
    static LINE: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

impl Ended {
    fn write(&self, now: Instant, line: &mut String) {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let took = now.saturating_duration_since(self.started);
        let _ = write!(line, "{{\"at\":{}.{:03},\"id\":\"", at.as_secs(), at.subsec_millis());
        escape(line, self.id.as_bytes());
        line.push_str("\",\"client\":\"");
        escape(line, self.client.as_bytes());
        line.push_str("\",\"method\":\"");
        escape(line, self.method.as_str().as_bytes());
        line.push_str("\",\"host\":\"");
        escape(line, self.host.as_bytes());
        line.push_str("\",\"path\":\"");
        escape(line, self.uri.path().as_bytes());
        let _ = write!(line, "\",\"status\":{},\"bytes\":{},\"us\":{}", self.status, self.bytes, took.as_micros());
        if let Some(endpoint) = &self.by {
            let _ = write!(line, ",\"environment\":\"{}\",\"replica\":\"{}\"", endpoint.key, endpoint.replica);
        }
        line.push_str(if self.broken { ",\"broken\":true}\n" } else { "}\n" });
    }
}

/// Appends text as the inside of a JSON string. Bytes that are not printable ASCII are escaped one by one.
fn escape(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' => line.push_str("\\\""),
            b'\\' => line.push_str("\\\\"),
            0x20..=0x7e => line.push(char::from(*byte)),
            _ => {
                let _ = write!(line, "\\u{byte:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r31_a_line_is_json_without_the_query() {
        let directory = tempfile::tempdir().unwrap();
        let ended = Ended {
            log: AccessLog::open(directory.path().join("access.log")).unwrap(),
            flight: None,
            watch: Watch::http1(Instant::now()),
            started: Instant::now(),
            method: Method::GET,
            host: HeaderValue::from_bytes(b"a\"\xff").unwrap(),
            uri: "/pay?token=hunter2".parse().unwrap(),
            id: HeaderValue::from_static("id"),
            client: HeaderValue::from_static("192.0.2.1"),
            by: None,
            status: 200,
            bytes: 3,
            broken: false,
        };
        let mut line = String::new();
        ended.write(Instant::now(), &mut line);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["path"].as_str(), value["host"].as_str()), (Some("/pay"), Some("a\"\u{ff}")));
        assert!(!line.contains("hunter2"));
    }
}
