//! Counting what was tried.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What an input may take until it is named.
const SLOW: Duration = Duration::from_millis(100);

/// The inputs of one suite. When it is dropped it prints one line of JSON: `suite`, `inputs`, `slowest_ms`,
/// `over_100_ms`, and `peak_rss`, the process's largest resident memory in bytes since the suite began.
#[derive(Debug)]
pub struct Tally {
    suite: &'static str,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    inputs: u64,
    slow: u64,
    slowest: Duration,
}

impl Tally {
    /// Begins a suite. The figure of memory is the suite's own only while no other test runs in the process.
    pub fn start(suite: &'static str) -> Self {
        forget_peak_memory();
        Self { suite, counts: Mutex::default() }
    }

    /// Tries one input. A slow one is named on standard error by how it begins.
    pub fn measure<T>(&self, input: &[u8], work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.count(input, started.elapsed());
        result
    }

    /// Counts an input that was tried elsewhere and took so long.
    pub fn count(&self, input: &[u8], took: Duration) {
        let Ok(mut counts) = self.counts.lock() else { return };
        counts.inputs += 1;
        counts.slowest = counts.slowest.max(took);
        if took > SLOW {
            counts.slow += 1;
            eprintln!("{} ms: {} bytes: {}", took.as_millis(), input.len(), beginning(input));
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let Ok(counts) = self.counts.get_mut() else { return };
        let line = serde_json::json!({
            "suite": self.suite,
            "inputs": counts.inputs,
            "slowest_ms": (counts.slowest.as_secs_f64() * 10_000.0).round() / 10.0,
            "over_100_ms": counts.slow,
            "peak_rss": peak_memory(),
        });
        #[expect(clippy::print_stdout, reason = "the figures are what this is for; a passing test hides them")]
        {
            // On a line of its own, whatever the test runner has begun.
            println!("\n{line}");
        }
    }
}

fn beginning(input: &[u8]) -> String {
    String::from_utf8_lossy(&input[..input.len().min(120)]).escape_debug().to_string()
}

/// Bytes; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// 5 resets the peak of the resident memory, proc_pid_clear_refs(5). Where that is not allowed, the peak is
/// the process's.
fn forget_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
