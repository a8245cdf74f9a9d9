//! Processes: what they take, and how they are ended by their id.

use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A memory figure of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Resident set: shared pages count whole.
    Rss,
    /// Proportional set: shared pages count by share.
    Pss,
    /// The highest resident set so far.
    Peak,
}

/// How much memory a process takes now, in bytes.
pub fn memory(pid: u32, what: Memory) -> Result<u64> {
    let (file, key) = match what {
        Memory::Rss => ("status", "VmRSS:"),
        Memory::Pss => ("smaps_rollup", "Pss:"),
        Memory::Peak => ("status", "VmHWM:"),
    };
    let path = format!("/proc/{pid}/{file}");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    kilobytes(&text, key).with_context(|| format!("{path} has no {key}"))
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Sends a signal to one process. One that has ended is fine.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The only error that matters here is that it has ended already.
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process of this id is there and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A process's command line, its words joined by blanks.
pub fn command(pid: u32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ")
}

/// Processes that work in a directory beneath `path`.
pub fn working_beneath(path: &Path) -> Vec<u32> {
    let beneath = |pid: &u32| {
        let directory = std::fs::read_link(format!("/proc/{pid}/cwd"));
        directory.is_ok_and(|directory| directory.starts_with(path))
    };
    alive().filter(beneath).collect()
}

/// Processes that belong to a state directory: their command line or environment names it, or they
/// work beneath it. Never this process.
pub fn of_state(state: &Path) -> Vec<u32> {
    let wanted = state.to_string_lossy().into_owned();
    let mentions = |pid: u32, file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(&wanted)
    };
    let mut found = working_beneath(state);
    let named = |pid: &u32| mentions(*pid, "cmdline") || mentions(*pid, "environ");
    found.extend(alive().filter(named).filter(|pid| *pid != std::process::id()));
    found.sort_unstable();
    found.dedup();
    found
}

fn alive() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| is_alive(*pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(12 * 1024));
        let own = std::process::id();
        assert!(memory(own, Memory::Peak).unwrap() >= memory(own, Memory::Rss).unwrap() / 2);
        assert!(is_alive(own));
    }
}
