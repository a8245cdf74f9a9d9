//! A command that runs beside a replica: same environment, directory, user and control groups.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use super::super::record::{Begin, Request};
use super::super::{control, engine, users};
use super::begin::become_it;

/// `SOCKET [--tty] [--user USER] [--directory DIRECTORY] -- PROGRAM ARGUMENT…`
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let why = match join(arguments) {
        Ok(failure) => failure,
        Err(error) => error.to_string(),
    };
    eprintln!("daybook: {why}");
    ExitCode::from(127)
}

fn join(arguments: &[OsString]) -> io::Result<String> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "these are no arguments of a command to join");
    let mut arguments = arguments.iter().map(|argument| argument.to_str().ok_or_else(wrong));
    let socket = arguments.next().ok_or_else(wrong)??;
    let mut begin: Begin = control::ask(socket, &Request::Context, control::PATIENCE)?;
    loop {
        match arguments.next().ok_or_else(wrong)?? {
            "--" => break,
            "--tty" => {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(io::stdin())?;
            }
            "--user" => {
                let user = arguments.next().ok_or_else(wrong)??;
                let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no user {user}"));
                begin.user = Some(users::find(user, &[]).ok_or_else(missing)?);
            }
            "--directory" => begin.directory = begin.directory.join(arguments.next().ok_or_else(wrong)??),
            _ => return Err(wrong()),
        }
    }
    find_its_own_programs(&mut begin);
    begin.argv = arguments.map(|argument| argument.map(str::to_owned)).collect::<io::Result<_>>()?;
    Ok(become_it(&begin).why)
}

/// Beside a database server its own programs come first: those of another version may not know its files.
fn find_its_own_programs(begin: &mut Begin) {
    let variable = |wanted: &str| begin.environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let Some(installed) = variable("DAYBOOK_ROOT").and_then(|root| engine::installed(root.as_ref())) else { return };
    let programs = installed.programs.display().to_string();
    match begin.environment.iter_mut().find(|(name, _)| name == "PATH") {
        Some((_, path)) => *path = format!("{programs}:{path}"),
        None => begin.environment.push(("PATH".to_owned(), programs)),
    }
}
