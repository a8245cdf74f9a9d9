//! The first stage: keeps a replica's process and tells what is known of it.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use daybook_model::observed::{Exit, ReplicaState};
use daybook_model::spec::Stop;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use super::super::layout::ReplicaDir;
use super::super::record::{Assignment, Kept, Life, ProcessId, Request};
use super::super::{cgroup, control, proc, signal};
use super::begin::NotBegun;
use super::log::{Log, now};
use super::output::Output;
use super::policy::{Backoff, Next, after_exit};
use super::processes::{kill_everything, spawn};
use crate::files::write_atomically;

/// Keeps the replica of `directory`. What it must know comes on standard input; the first line of
/// standard output is `started`, or why not. Ends when the replica has ended for good.
pub(super) fn main(directory: &Path) -> ExitCode {
    match prepare(directory) {
        Ok(keeper) => {
            answer("started");
            keeper.keep();
            ExitCode::SUCCESS
        }
        Err(error) => {
            answer(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn answer(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
    // The server waits for the end of this pipe.
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

fn prepare(directory: &Path) -> io::Result<Keeper> {
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    std::env::set_current_dir("/")?;
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let assignment: Assignment = serde_json::from_slice(&text)?;
    let listener = control::listen(&assignment.socket)?;
    let mut keeper = Keeper::new(ReplicaDir(directory.to_owned()), assignment, listener)?;
    keeper.begin_life();
    Ok(keeper)
}

struct Keeper {
    directory: ReplicaDir,
    assignment: Assignment,
    cgroup: Option<PathBuf>,
    /// `None` once it has ended for good.
    listener: Option<UnixListener>,
    outputs: [Output; 2],
    log: Log,
    life: Life,
    running: Option<Running>,
    backoff: Backoff,
    restart_at: Option<Instant>,
    stopping: bool,
    kill_at: Option<Instant>,
    /// Those who asked for the end and wait for it.
    waiting: Vec<UnixStream>,
    /// Readable when a child has ended.
    child_ended: UnixStream,
    /// Readable when the shim was asked to end by a signal.
    told_to_end: UnixStream,
}

struct Running {
    pid: Pid,
    since: Instant,
    oom_kills_before: u64,
}

impl Keeper {
    fn new(directory: ReplicaDir, assignment: Assignment, listener: UnixListener) -> io::Result<Self> {
        let me = i32::try_from(std::process::id()).expect("a process id fits");
        let life = Life {
            state: ReplicaState::Created,
            pid: None,
            started_at: None,
            restarts: 0,
            last_exit: None,
            shim: proc::identity(me).unwrap_or(ProcessId { pid: me, start: 0 }),
        };
        Ok(Self {
            log: Log::new(&directory.log(), &assignment.record.log),
            cgroup: assignment.begin.cgroups.first().and_then(|group| place_of(group)),
            listener: Some(listener),
            outputs: [Output::new()?, Output::new()?],
            life,
            running: None,
            backoff: Backoff::new(),
            restart_at: None,
            stopping: false,
            kill_at: None,
            waiting: Vec::new(),
            child_ended: on_signal(signal_hook::consts::SIGCHLD)?,
            told_to_end: on_signal(signal_hook::consts::SIGTERM)?,
            directory,
            assignment,
        })
    }

    /// The one loop of the shim: every cause of work is here.
    fn keep(mut self) {
        while self.listener.is_some() {
            let ready = self.wait();
            if ready[0] {
                self.answer_request();
            }
            if ready[1] {
                drain(&self.told_to_end);
                let stop = self.assignment.record.stop.clone();
                self.stop(&stop);
            }
            if ready[2] {
                drain(&self.child_ended);
                self.reap();
            }
            self.read_outputs(false);
            self.keep_time();
        }
    }

    /// Waits for something to do: a request, a signal to the shim, the end of a child, output, time.
    fn wait(&self) -> [bool; 3] {
        let Some(listener) = &self.listener else { return [false; 3] };
        let mut waited = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(&self.told_to_end, PollFlags::IN),
            PollFd::new(&self.child_ended, PollFlags::IN),
            PollFd::new(self.outputs[0].readable(), PollFlags::IN),
            PollFd::new(self.outputs[1].readable(), PollFlags::IN),
        ];
        let due = [self.restart_at, self.kill_at, self.outputs[0].due(), self.outputs[1].due()];
        let left = due.into_iter().flatten().min().map(|due| due.saturating_duration_since(Instant::now()));
        // Rounded up, so that the time has come when the wait is over.
        let left = left.map(|left| left + Duration::from_millis(1));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut waited, left.as_ref()) {
            Ok(_) => [0, 1, 2].map(|place: usize| !waited[place].revents().is_empty()),
            Err(_) => [false; 3],
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|due| due <= now) {
            self.kill_at = None;
            self.kill_everything();
            self.reap();
        }
        if self.restart_at.is_some_and(|due| due <= now) {
            self.restart_at = None;
            self.life.restarts += 1;
            self.begin_life();
        }
    }

    fn answer_request(&mut self) {
        let Some(Ok((mut stream, request))) = self.listener.as_ref().map(control::accept) else { return };
        let _ = match request {
            Request::Who => control::send(&mut stream, &self.kept()),
            Request::Context => control::send(&mut stream, &self.assignment.begin),
            Request::Stop(stop) => {
                self.waiting.push(stream);
                self.stop(&stop);
                Ok(())
            }
        };
    }

    fn kept(&self) -> Kept {
        Kept { record: self.assignment.record.clone(), life: self.life.clone() }
    }

    /// Asked twice, the shorter grace counts.
    fn stop(&mut self, stop: &Stop) {
        self.stopping = true;
        let Some(running) = &self.running else {
            self.end();
            return;
        };
        let signal = signal::parse(&stop.signal).unwrap_or(Signal::TERM);
        let _ = kill_process_group(running.pid, signal);
        let due = Instant::now() + Duration::from_millis(stop.grace_ms);
        self.kill_at = Some(self.kill_at.map_or(due, |known| known.min(due)));
    }

    fn begin_life(&mut self) {
        let oom_kills_before = self.cgroup.as_deref().map_or(0, cgroup::oom_kills);
        match spawn(&self.assignment, &mut self.outputs) {
            Ok(pid) => {
                self.running = Some(Running { pid, since: Instant::now(), oom_kills_before });
                self.life.state = ReplicaState::Running;
                self.life.pid = Some(pid.as_raw_nonzero().get());
                self.life.started_at = Some(now());
                self.save();
            }
            Err(failure) => self.not_begun(&failure),
        }
    }

    /// A program that cannot be executed is not tried again: it would fail in the same way.
    fn not_begun(&mut self, failure: &NotBegun) {
        self.log.line(now(), true, format!("daybook: {}", failure.why).as_bytes());
        self.log.write();
        let exit = Exit { code: 127, oom: false, error: Some(failure.why.clone()), at: Some(now()) };
        if failure.hopeless || self.stopping {
            self.life.last_exit = Some(exit);
            self.end();
        } else {
            self.ended(exit, Duration::ZERO);
        }
    }

    /// Takes note of every child that has ended: the replica's process, and orphans of it.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.running.as_ref().is_some_and(|running| running.pid == pid) {
                let running = self.running.take().expect("it was just seen");
                self.main_process_ended(&running, status);
            }
        }
    }

    fn main_process_ended(&mut self, running: &Running, status: WaitStatus) {
        let code = exit_code(status);
        let oom_kills = self.cgroup.as_deref().map_or(0, cgroup::oom_kills);
        // Whatever it left behind would hold its port and its volume when it starts again.
        self.kill_everything();
        self.read_outputs(true);
        let oom = code != 0 && oom_kills > running.oom_kills_before;
        self.ended(Exit { code, oom, error: None, at: Some(now()) }, running.since.elapsed());
    }

    fn ended(&mut self, exit: Exit, lived: Duration) {
        let record = &self.assignment.record;
        let restarts = self.life.restarts;
        let next = after_exit(record.role, record.restart, exit.code, restarts, lived, &mut self.backoff);
        self.life.last_exit = Some(exit);
        self.life.pid = None;
        match next {
            Next::Restart(wait) if !self.stopping => {
                self.life.state = ReplicaState::Restarting;
                self.restart_at = Some(Instant::now() + wait);
                self.save();
            }
            _ => self.end(),
        }
    }

    /// It has ended for good: nothing of it is left but its record and its log.
    fn end(&mut self) {
        self.life.state = ReplicaState::Exited;
        self.life.pid = None;
        self.restart_at = None;
        self.save();
        let _ = std::fs::remove_dir_all(self.directory.files());
        if let Some(place) = &self.cgroup {
            cgroup::remove(place);
        }
        // First nobody answers any more, then those who wait are told: what they start next can have
        // the socket's name.
        self.listener = None;
        for mut waiting in std::mem::take(&mut self.waiting) {
            let _ = control::send(&mut waiting, &self.life);
        }
    }

    /// A state that cannot be written (a full disk, a lost directory) is still told at the socket.
    fn save(&self) {
        let text = serde_json::to_vec_pretty(&self.life).unwrap_or_default();
        let _ = write_atomically(&self.directory.life(), &text, 0o600);
    }

    fn kill_everything(&self) {
        let main = self.running.as_ref().map(|running| running.pid);
        kill_everything(self.life.shim.pid, main, self.cgroup.as_deref(), &self.assignment.socket);
    }

    fn read_outputs(&mut self, to_the_end: bool) {
        for (output, stderr) in self.outputs.iter_mut().zip([false, true]) {
            let log = &mut self.log;
            while output.read(|line| log.line(now(), stderr, line)) && to_the_end {
                log.write();
            }
            output.flush(to_the_end, |line| log.line(now(), stderr, line));
        }
        self.log.write();
    }
}

/// 128 + n for a signal n.
fn exit_code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}

fn on_signal(signal: i32) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal, theirs)?;
    ours.set_nonblocking(true)?;
    Ok(ours)
}

fn drain(mut stream: &UnixStream) {
    let mut buffer = [0; 64];
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

/// A group's place beneath the root of its hierarchy.
fn place_of(group: &Path) -> Option<PathBuf> {
    let text = group.to_str()?;
    text.find("/daybook/").map(|at| PathBuf::from(&text[at + 1..]))
}
