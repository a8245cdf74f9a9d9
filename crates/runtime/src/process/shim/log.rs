//! Writes a replica's log within its bound.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use daybook_model::Timestamp;
use daybook_model::spec::LogBound;

use super::super::layout::numbered;

/// The log of one replica: `log`, and `log.1`, `log.2`, … from newer to older. A line is
/// `<RFC 3339 time with microseconds> <o or e> <text>`.
pub(super) struct Log {
    path: PathBuf,
    bound: LogBound,
    file: Option<File>,
    size: u64,
    waiting: Vec<u8>,
    lost: u64,
}

impl Log {
    pub(super) fn new(path: &Path, bound: &LogBound) -> Self {
        let mut log =
            Self { path: path.to_owned(), bound: bound.clone(), file: None, size: 0, waiting: Vec::new(), lost: 0 };
        let _ = log.open();
        log
    }

    /// Takes a line; it is on disk after [`Log::write`].
    pub(super) fn line(&mut self, at: Timestamp, stderr: bool, text: &[u8]) {
        let stream = if stderr { 'e' } else { 'o' };
        // Writing to a Vec cannot fail.
        let _ = write!(self.waiting, "{at:.6} {stream} ");
        self.waiting.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
        self.waiting.push(b'\n');
    }

    /// Writes what was taken. A disk that cannot take it (it is full) costs lines, never the replica:
    /// it goes on, and the log says how many lines are missing once it can.
    pub(super) fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.size > 0 && self.size + self.waiting.len() as u64 > self.bound.max_bytes.max(1) {
            self.rotate();
        }
        let lines = self.waiting.iter().filter(|byte| **byte == b'\n').count() as u64;
        match self.append() {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost += lines,
        }
        self.waiting.clear();
    }

    fn append(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.open()?;
        }
        let file = self.file.as_mut().expect("it was opened");
        if self.lost > 0 {
            let note = format!("{:.6} e daybook: {} lines are lost: they could not be written\n", now(), self.lost);
            file.write_all(note.as_bytes())?;
            self.size += note.len() as u64;
        }
        file.write_all(&self.waiting)?;
        self.size += self.waiting.len() as u64;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn rotate(&mut self) {
        self.file = None;
        self.size = 0;
        for number in (1..self.bound.files.max(1)).rev() {
            let _ = fs::rename(numbered(&self.path, number - 1), numbered(&self.path, number));
        }
        if self.bound.files <= 1 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_stays_within_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::new(&path, &LogBound { max_bytes: 100, files: 3 });
        for number in 0..20 {
            log.line(now(), number % 2 == 0, format!("line {number}").as_bytes());
            log.write();
        }
        let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        assert!(fs::read_to_string(&path).unwrap().contains("line 19"));
        assert!(fs::read_dir(directory.path()).unwrap().all(|e| e.unwrap().metadata().unwrap().len() <= 100));
    }

    #[test]
    fn r12_lines_that_cannot_be_written_are_counted_and_do_not_stop_anything() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("gone");
        let mut log = Log::new(&place.join("log"), &LogBound::default());
        log.line(now(), false, b"lost");
        log.write();
        fs::create_dir(&place).unwrap();
        log.line(now(), false, b"kept");
        log.write();
        let text = fs::read_to_string(place.join("log")).unwrap();
        assert!(text.contains("1 lines are lost") && text.ends_with("kept\n"), "{text}");
    }
}
