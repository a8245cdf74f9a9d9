//! Starts a replica's process, and kills all of them.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::super::leftovers::marked;
use super::super::record::{Assignment, Begin};
use super::super::{cgroup, proc};
use super::begin::NotBegun;
use super::output::Output;

/// A program that the kernel does not start within this is given up.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);
/// A process that a kill does not end within this waits for a device, and nothing helps.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// Starts the second stage, and returns when it has become the program. The outputs are standard
/// output and error.
pub(super) fn spawn(assignment: &Assignment, outputs: &mut [Output; 2]) -> Result<Pid, NotBegun> {
    let passing = |error: io::Error| NotBegun { why: format!("start a process: {error}"), hopeless: false };
    let (ours, theirs) = UnixStream::pair().map_err(passing)?;
    let (program, arguments) = assignment.shim.split_first().expect("a shim has a command line");
    // This very program, though its file may have been replaced by a newer one meanwhile.
    let child = Command::new("/proc/self/exe")
        .arg0(program)
        .args(arguments)
        .arg("--begin")
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(outputs[0].writer().map_err(passing)?)
        .stderr(outputs[1].writer().map_err(passing)?)
        .process_group(0)
        .spawn()
        .map_err(passing)?;
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id fits")).expect("it is not 0");
    match hand_over(&assignment.begin, ours) {
        Ok(None) => Ok(pid),
        Ok(Some(failure)) => {
            let _ = waitpid(Some(pid), WaitOptions::empty());
            // What the second stage printed about it, the shim says better in the log.
            outputs[1].read(|_| ());
            Err(failure)
        }
        Err(error) => {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
            Err(passing(error))
        }
    }
}

/// Tells the second stage what to become. `None`: it has become it.
fn hand_over(begin: &Begin, mut channel: UnixStream) -> io::Result<Option<NotBegun>> {
    channel.set_read_timeout(Some(BEGIN_WITHIN))?;
    channel.write_all(&serde_json::to_vec(begin)?)?;
    channel.shutdown(std::net::Shutdown::Write)?;
    let mut failure = Vec::new();
    channel.read_to_end(&mut failure)?;
    if failure.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&failure)?)) }
}

/// Kills every process of the replica: those of its control groups, or without groups those that carry its
/// `mark`, and all that descend from the shim `me`. Orphans are reaped; `main` is left as it is, because its status is
/// wanted.
pub(super) fn kill_everything(me: i32, main: Option<Pid>, place: Option<&Path>, mark: &str) {
    let deadline = Instant::now() + KILLED_WITHIN;
    loop {
        let mut pids = proc::descendants(me);
        pids.extend(place.map_or_else(|| marked(mark), cgroup::processes));
        let pids: Vec<Pid> = pids.into_iter().filter_map(Pid::from_raw).collect();
        if pids.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in pids {
            let _ = kill_process(pid, Signal::KILL);
        }
        reap_orphans(me, main);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn reap_orphans(me: i32, main: Option<Pid>) {
    let zombies = proc::all().into_iter().filter(|stat| stat.parent == me && stat.state == 'Z');
    for pid in zombies.filter_map(|stat| Pid::from_raw(stat.pid)).filter(|pid| Some(*pid) != main) {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}
