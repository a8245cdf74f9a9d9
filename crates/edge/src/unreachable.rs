//! Edges that nobody can speak to any more.
//!
//! Who removes a state directory removes the socket of the edge in it, and the edge serves on: it has the ports,
//! and nobody can tell it anything. The next edge of the same directory takes its place.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::config::Config;
use crate::control;

/// How long it may take to end what it has in flight.
const END_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Ends edges that were started for the same state directory and whose socket is gone.
pub(crate) async fn end(config: &Config) {
    if config.directory().join(control::SOCKET).exists() {
        return;
    }
    for pid in running(&config.state) {
        tracing::warn!(pid = pid.as_raw_nonzero().get(), "an edge of a lost state directory still serves: it is ended");
        // It may end by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + END_WITHIN;
        while test_kill_process(pid).is_ok() {
            if Instant::now() > deadline {
                // Whoever should wait for it may not: then it stays listed, and has no port any more.
                let _ = kill_process(pid, Signal::KILL);
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Processes that run `edge --state DIRECTORY`.
fn running(state: &Path) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = pids.filter(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| serves(&line, state)));
    ours.filter_map(Pid::from_raw).collect()
}

/// Whether a command line, as `/proc` shows it, is that of an edge of `state`.
fn serves(line: &[u8], state: &Path) -> bool {
    let words: Vec<_> = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word)).collect();
    let named = words.windows(2).any(|pair| pair[0] == "--state" && Path::new(&*pair[1]) == state);
    words.get(1).is_some_and(|word| word == "edge") && named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_known_by_its_directory() {
        let state = Path::new("/var/lib/daybook");
        assert!(serves(b"/usr/bin/daybook\0edge\0--state\0/var/lib/daybook\0--http\0:80\0", state));
        assert!(!serves(b"/usr/bin/daybook\0edge\0--state\0/var/lib/daybook2\0", state));
        assert!(!serves(b"/usr/bin/daybook\0serve\0--state\0/var/lib/daybook\0", state));
        assert!(!serves(b"", state));
    }
}
