//! What a replica prints, cut into lines.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};

/// A longer line is cut.
const LONGEST: usize = 16 << 10;
/// An unfinished line (a prompt) is taken as one after so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// One of a replica's output streams. The same pipe serves all of its lives.
pub(super) struct Output {
    read: File,
    write: OwnedFd,
    lines: Lines,
}

impl Output {
    pub(super) fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        Ok(Self { read: File::from(read), write, lines: Lines::default() })
    }

    /// To wait for.
    pub(super) fn readable(&self) -> &File {
        &self.read
    }

    /// For a process to write to.
    pub(super) fn writer(&self) -> io::Result<OwnedFd> {
        self.write.try_clone()
    }

    /// Takes what is there, at most one pipe full, and gives its lines to `take`. `false`: nothing was.
    pub(super) fn read(&mut self, take: impl FnMut(&[u8])) -> bool {
        let mut buffer = vec![0; 64 << 10];
        match self.read.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.lines.feed(&buffer[..count], Instant::now(), take);
                true
            }
        }
    }

    /// Gives an unfinished line to `take` if it has waited long enough, or if `at_once`.
    pub(super) fn flush(&mut self, at_once: bool, take: impl FnMut(&[u8])) {
        if at_once || self.lines.due().is_some_and(|due| due <= Instant::now()) {
            self.lines.flush(take);
        }
    }

    /// When an unfinished line has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lines.due()
    }
}

#[derive(Default)]
struct Lines {
    unfinished: Vec<u8>,
    since: Option<Instant>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], now: Instant, mut take: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            while self.unfinished.len() > LONGEST {
                take(&self.unfinished[..LONGEST]);
                self.unfinished.drain(..LONGEST);
            }
            if self.unfinished.last() == Some(&b'\n') {
                self.unfinished.pop();
                self.flush_line(&mut take);
            }
        }
        self.since = (!self.unfinished.is_empty()).then(|| self.since.unwrap_or(now));
    }

    fn flush(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.unfinished.is_empty() {
            self.flush_line(&mut take);
        }
    }

    fn flush_line(&mut self, take: &mut impl FnMut(&[u8])) {
        take(self.unfinished.strip_suffix(b"\r").unwrap_or(&self.unfinished));
        self.unfinished.clear();
        self.since = None;
    }

    fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &mut Lines, text: &[u8]) -> Vec<String> {
        let mut taken = Vec::new();
        lines.feed(text, Instant::now(), |line| taken.push(String::from_utf8_lossy(line).into_owned()));
        taken
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let mut all = Lines::default();
        assert_eq!(lines(&mut all, b"one\ntw"), ["one"]);
        assert!(all.due().is_some());
        assert_eq!(lines(&mut all, b"o\r\n\nthree"), ["two", ""]);
        let mut rest = Vec::new();
        all.flush(|line| rest.push(line.to_vec()));
        assert_eq!(rest, [b"three"]);
        assert!(all.due().is_none());
    }

    #[test]
    fn a_long_line_is_cut() {
        let taken = lines(&mut Lines::default(), &[vec![b'x'; LONGEST + 5], b"\n".to_vec()].concat());
        assert_eq!(taken.iter().map(String::len).collect::<Vec<_>>(), [LONGEST, 5]);
    }
}
