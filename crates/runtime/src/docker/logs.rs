//! Lines of a replica's log.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::{ReplicaId, Timestamp};
use futures::stream::{BoxStream, StreamExt};

use super::DockerRuntime;
use super::error::failed;
use crate::{LogLine, LogQuery, Result};

/// A line is cut here, so that a process that never breaks lines cannot fill our memory.
const LONGEST_LINE: usize = 1 << 20;

impl DockerRuntime {
    pub(super) async fn log_lines(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let operation = format!("read the log of {id}");
        let (name, _) = self.container_of(&operation, key, id, role).await?;
        let tail = query.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let mut options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).follow(query.follow).tail(&tail);
        if let Some(since) = query.since {
            options = options.since(i32::try_from(since.as_second()).unwrap_or(i32::MAX));
        }
        let docker = self.engine.docker.clone();
        let frames = docker.logs(&name, Some(options.build())).boxed();
        // The daemon counts in seconds.
        let since = query.since;
        let lines = futures::stream::unfold((frames, Lines::default()), move |(mut frames, mut lines)| {
            let operation = operation.clone();
            async move {
                loop {
                    if let Some(line) = lines.ready.pop_front() {
                        return Some((Ok(line), (frames, lines)));
                    }
                    match frames.next().await {
                        Some(Ok(frame)) => lines.add(frame),
                        Some(Err(said)) => return Some((Err(failed(operation, &said)), (frames, lines))),
                        None => lines.finish(),
                    }
                    if lines.ready.is_empty() && lines.finished {
                        return None;
                    }
                }
            }
        });
        let wanted = move |line: &Result<LogLine>| match (line, since) {
            (Ok(line), Some(since)) => line.at >= since,
            _ => true,
        };
        Ok(lines.filter(move |line| futures::future::ready(wanted(line))).boxed())
    }
}

/// Makes lines of frames. The daemon cuts a long line into frames, each with a time of its own, and
/// only the last ends with a line break.
#[derive(Default)]
struct Lines {
    ready: VecDeque<LogLine>,
    open: [Option<LogLine>; 2],
    finished: bool,
}

impl Lines {
    fn add(&mut self, frame: LogOutput) {
        let stderr = matches!(frame, LogOutput::StdErr { .. });
        let bytes = frame.into_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let (stamp, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let (at, rest) = match stamp.trim_end().parse::<Timestamp>() {
            Ok(at) => (at, rest),
            // A terminal may begin a line with its line break; the time is the line's before.
            Err(_) => (self.open[usize::from(stderr)].as_ref().map_or(Timestamp::UNIX_EPOCH, |line| line.at), &*text),
        };
        let ends = rest.ends_with('\n') || rest.is_empty();
        let open = self.open[usize::from(stderr)].get_or_insert_with(|| LogLine { at, stderr, text: String::new() });
        open.text.push_str(rest.trim_end_matches(['\n', '\r']));
        if ends || open.text.len() >= LONGEST_LINE {
            self.ready.extend(self.open[usize::from(stderr)].take());
        }
    }

    fn finish(&mut self) {
        self.finished = true;
        let open = std::mem::take(&mut self.open);
        self.ready.extend(open.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(frames: &[(bool, &str)]) -> Vec<(bool, String)> {
        let mut lines = Lines::default();
        for (stderr, text) in frames {
            let message = bytes::Bytes::copy_from_slice(text.as_bytes());
            lines.add(if *stderr { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } });
        }
        lines.finish();
        lines.ready.into_iter().map(|line| (line.stderr, line.text)).collect()
    }

    const T: &str = "2026-01-02T03:04:05.123456789Z";

    #[test]
    fn frames_become_lines() {
        let found =
            lines(&[(false, &format!("{T} one\n")), (true, &format!("{T} two\r\n")), (false, &format!("{T} \n"))]);
        assert_eq!(found, [(false, "one".into()), (true, "two".into()), (false, String::new())]);
    }

    #[test]
    fn a_cut_line_is_one_line_again() {
        let found = lines(&[(false, &format!("{T} be")), (true, &format!("{T} x\n")), (false, &format!("{T} gin\n"))]);
        assert_eq!(found, [(true, "x".into()), (false, "begin".into())]);
    }

    #[test]
    fn a_line_without_an_end_is_kept() {
        assert_eq!(lines(&[(false, &format!("{T} last"))]), [(false, "last".into())]);
    }
}
