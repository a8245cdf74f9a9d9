//! `daybook shim`: keeps one replica across restarts of the server.
//!
//! The first stage (`shim DIR`) is a process of its own session without threads. It owns the pipes
//! that the replica prints to, writes its log, starts it again with back-off, and answers at an
//! abstract socket. Nothing ties it to the server but the answer to the first start.
//!
//! The second stage (`shim --begin`) becomes the replica: it joins the control groups, sets limits,
//! directory and user, and executes the program. `shim --join` does the same for a command that runs
//! beside the replica (`daybook exec`, checks). `shim --engine` is the program of a replica that is a database server.
//!
//! The environment, which holds secrets, goes from server to shim and from shim to second stage over
//! pipes. The shim keeps it in memory only: when a shim is killed its replica is reported as ended,
//! and a server starts it anew with a launch of its own.

mod begin;
mod engine;
mod join;
mod keeper;
mod log;
mod output;
mod policy;
mod processes;

use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) use policy::SETTLED;

/// Carries out `daybook shim ARGUMENTS…` and returns the exit code. Call it before any thread is
/// started: the shim relies on being the only one in its process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match arguments.split_first() {
        Some((first, [])) if first == "--begin" => begin::main(),
        Some((first, rest)) if first == "--join" => join::main(rest),
        Some((first, rest)) if first == "--engine" => engine::main(rest),
        Some((directory, [])) => keeper::main(std::path::Path::new(directory)),
        _ => {
            eprintln!("daybook: `shim` is started by the server, with the directory of a replica");
            ExitCode::from(64)
        }
    }
}
