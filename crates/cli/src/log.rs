//! What the long-lived processes log.

use std::io::{self, Write};

/// Standard error, on which nothing ever fails: on a full disk a log loses lines, and its process goes on.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs to standard error from now on: lines with time and level, `info` and above unless `DAYBOOK_LOG` says otherwise.
pub(crate) fn to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DAYBOOK_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Log).with_ansi(false).init();
}
