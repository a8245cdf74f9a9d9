//! Reads what replicas printed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::observed::ReplicaState;
use daybook_model::{ReplicaId, Timestamp};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::layout::{Layout, numbered};
use super::observe;
use crate::files::failed;
use crate::{LogLine, LogQuery, Result};

/// Between two looks for new lines.
const PACE: Duration = Duration::from_millis(100);

/// The lines of a replica's log that `query` asks for.
pub(crate) fn stream(
    layout: &Layout,
    key: &EnvKey,
    id: &ReplicaId,
    role: Role,
    query: &LogQuery,
) -> Result<BoxStream<'static, Result<LogLine>>> {
    let (record, _) = observe::one(layout, key, id, role)?;
    let path = layout.replica(key, id, role).log();
    // Opened before the lines are read, so that none is between them and what follows.
    let mut tail = Tail::open(&path)?;
    let lines = written(&path, record.log.files, query, tail.position())?;
    let past = stream::iter(lines.into_iter().map(Ok));
    if !query.follow {
        return Ok(past.boxed());
    }
    let (layout, key, id) = (layout.clone(), key.clone(), id.clone());
    let since = query.since;
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (layout, key, id) = (layout.clone(), key.clone(), id.clone());
            let look = move || {
                // Asked before the look: what was printed before the end is seen.
                let ended = has_ended(&layout, &key, &id, role);
                (ended, tail.read(), tail)
            };
            let Ok((ended, fresh, same)) = tokio::task::spawn_blocking(look).await else { return };
            tail = same;
            let failed = fresh.is_err();
            let fresh = fresh.map_or_else(|error| vec![Err(error)], |lines| lines.into_iter().map(Ok).collect());
            for line in fresh.into_iter().filter(|line| line.as_ref().map_or(true, |line| is_since(line, since))) {
                if sender.send(line).await.is_err() {
                    return;
                }
            }
            if ended || failed {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = sender.closed() => return,
            }
        }
    });
    Ok(past.chain(received(receiver)).boxed())
}

fn has_ended(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role) -> bool {
    let asked = observe::one(layout, key, id, role);
    asked.map_or(true, |(_, life)| life.is_none_or(|life| life.state == ReplicaState::Exited))
}

fn received<T: Send + 'static>(receiver: tokio::sync::mpsc::Receiver<T>) -> impl stream::Stream<Item = T> {
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) })
}

fn is_since(line: &LogLine, since: Option<Timestamp>) -> bool {
    since.is_none_or(|since| line.at >= since)
}

/// What is written already, up to `end` of the newest file. With `tail` only as many files are read as
/// it takes.
fn written(path: &Path, files: u32, query: &LogQuery, end: u64) -> Result<Vec<LogLine>> {
    let wanted = query.tail.unwrap_or(usize::MAX);
    let mut lines: Vec<LogLine> = Vec::new();
    for number in 0..files.max(1) {
        let Ok(file) = File::open(numbered(path, number)) else { break };
        let bound = if number == 0 { end } else { u64::MAX };
        let text = BufReader::new(file.take(bound)).lines().map_while(std::result::Result::ok);
        let mut older: Vec<LogLine> = text.filter_map(|line| parse(&line)).collect();
        let reaches_back = older.first().is_some_and(|first| !is_since(first, query.since));
        older.retain(|line| is_since(line, query.since));
        older.append(&mut lines);
        lines = older;
        if lines.len() >= wanted || reaches_back {
            break;
        }
    }
    let surplus = lines.len().saturating_sub(wanted);
    lines.drain(..surplus);
    Ok(lines)
}

/// `<time> <o or e> <text>`; anything else is a line that was cut short by a loss of power.
fn parse(line: &str) -> Option<LogLine> {
    let (at, rest) = line.split_once(' ')?;
    let (stream, text) = rest.split_once(' ')?;
    Some(LogLine { at: at.parse().ok()?, stderr: stream == "e", text: text.to_owned() })
}

/// The growing end of a log, across its rotation.
struct Tail {
    path: PathBuf,
    file: Option<File>,
    unfinished: Vec<u8>,
}

impl Tail {
    fn open(path: &Path) -> Result<Self> {
        let mut tail = Self { path: path.to_owned(), file: None, unfinished: Vec::new() };
        if let Some(mut file) = tail.newest()? {
            file.seek(SeekFrom::End(0)).map_err(|e| failed("read", path, &e))?;
            tail.file = Some(file);
        }
        Ok(tail)
    }

    fn position(&mut self) -> u64 {
        self.file.as_mut().and_then(|file| file.stream_position().ok()).unwrap_or(0)
    }

    fn newest(&self) -> Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &self.path, &error)),
        }
    }

    /// What was added since the last look. A file that was rotated away is read to its end first.
    fn read(&mut self) -> Result<Vec<LogLine>> {
        let newest = self.newest()?;
        let moved_on = match (&self.file, &newest) {
            (Some(file), Some(newest)) => identity(file) != identity(newest),
            (None, Some(_)) => true,
            _ => false,
        };
        let mut lines = self.read_file()?;
        if moved_on {
            self.file = newest;
            lines.extend(self.read_file()?);
        }
        Ok(lines)
    }

    fn read_file(&mut self) -> Result<Vec<LogLine>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        file.read_to_end(&mut self.unfinished).map_err(|e| failed("read", &self.path, &e))?;
        let Some(end) = self.unfinished.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let whole: Vec<u8> = self.unfinished.drain(..=end).collect();
        Ok(String::from_utf8_lossy(&whole).lines().filter_map(parse).collect())
    }
}

fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn line(second: u8, text: &str) -> String {
        format!("2026-01-01T00:00:{second:02}.000000Z o {text}\n")
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn old_files_come_first_and_only_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(numbered(&path, 1), line(1, "a") + &line(2, "b")).unwrap();
        fs::write(&path, line(3, "c") + "torn\n" + &line(4, "d e")).unwrap();
        let read = |query: LogQuery| written(&path, 3, &query, u64::MAX).unwrap();
        assert_eq!(texts(&read(LogQuery::default())), ["a", "b", "c", "d e"]);
        assert_eq!(texts(&read(LogQuery { tail: Some(3), ..LogQuery::default() })), ["b", "c", "d e"]);
        let since = Some("2026-01-01T00:00:02Z".parse().unwrap());
        assert_eq!(texts(&read(LogQuery { since, ..LogQuery::default() })), ["b", "c", "d e"]);
        let since = Some("2026-01-01T00:00:04Z".parse().unwrap());
        assert_eq!(texts(&read(LogQuery { since, tail: Some(9), follow: false })), ["d e"]);
    }

    #[test]
    fn a_tail_goes_on_through_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, line(1, "old")).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{}", line(2, "a") + &line(3, "half")[..9]).unwrap();
        assert_eq!(texts(&tail.read().unwrap()), ["a"]);
        write!(file, "{}", &line(3, "half")[9..]).unwrap();
        fs::rename(&path, numbered(&path, 1)).unwrap();
        fs::write(&path, line(4, "new")).unwrap();
        assert_eq!(texts(&tail.read().unwrap()), ["half", "new"]);
        assert!(tail.read().unwrap().is_empty());
    }
}
