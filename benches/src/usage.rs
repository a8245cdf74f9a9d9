//! What a process took, from its start to its end.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::process::{Memory, memory};

/// What a process took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// From its start to its end.
    pub seconds: f64,
    /// Of all processors, in the program and in the system for it.
    pub cpu_seconds: f64,
    /// The highest resident set, in bytes.
    pub peak_rss: u64,
}

/// How often a process is looked at. Its peak misses what it takes in its last moment only.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What Linux counts processor time in, on all machines that it tells users about.
const TICKS_PER_SECOND: f64 = 100.0;

/// Runs a program to its end, with a file through a pipe as its input. It must succeed.
pub fn measured(mut command: Command, input: Option<&Path>) -> Result<Usage> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut file = input.map(File::open).transpose().context("open the input")?;
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("run {program}"))?;
    let pipe = child.stdin.take();
    let feeder = std::thread::spawn(move || match (&mut file, pipe) {
        (Some(file), Some(mut pipe)) => io::copy(file, &mut pipe).map(drop),
        _ => Ok(()),
    });
    let mut usage = Usage::default();
    // It stays a zombie until `wait`, so that its times can be read.
    while !has_ended(child.id())? {
        usage.peak_rss = usage.peak_rss.max(memory(child.id(), Memory::Peak).unwrap_or(0));
        sleep(LOOK_EVERY);
    }
    usage.seconds = started.elapsed().as_secs_f64();
    usage.cpu_seconds = cpu_seconds(child.id())?;
    let status = child.wait().with_context(|| format!("wait for {program}"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    feeder.join().expect("copying does not panic").context("feed the program")?;
    Ok(usage)
}

fn has_ended(pid: u32) -> Result<bool> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("the program has a process id")?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options).context("look whether the program has ended")?.is_some())
}

fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    ticks(&text).map(|ticks| ticks / TICKS_PER_SECOND).with_context(|| format!("{path} has no times"))
}

/// Ticks of user and system. The name before them may have blanks.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut times = rest.split(' ').skip(11).map(|field| field.parse::<f64>().ok());
    Some(times.next()?? + times.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_user_and_system_are_added() {
        let stat = "7 (a b) c) Z 1 7 7 0 -1 4228 9 0 0 0 250 31 0 0 20 0 1 0 77";
        assert_eq!(ticks(stat), Some(281.0));
    }

    #[test]
    fn what_a_program_takes_is_told_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("input");
        std::fs::write(&input, vec![b'a'; 300_000]).unwrap();
        let mut command = Command::new("python3");
        let read = "import sys, time; n = len(sys.stdin.buffer.read()); time.sleep(0.05); sys.exit(n != 300000)";
        command.args(["-c", read]);
        let usage = measured(command, Some(&input)).unwrap();
        assert!(usage.seconds >= 0.05 && usage.cpu_seconds < 5.0 && usage.peak_rss > 100_000, "{usage:?}");
        assert!(measured(Command::new("false"), None).is_err());
    }
}
