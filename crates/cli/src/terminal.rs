//! Asking a person: yes or no, a name, a secret.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::error::{CommandError, Result};

/// Whether a person sees standard error and answers on standard input.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether lines on standard error can be moved about.
pub(crate) fn shows_progress() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !dumb && !no_colour
}

/// Puts a question and reads a line.
pub(crate) fn ask(question: &str) -> Result<String> {
    let mut err = anstream::stderr().lock();
    let _ = write!(err, "{question} ");
    let _ = err.flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| CommandError::io("read the answer", &error))?;
    Ok(line.trim().to_owned())
}

/// Asks for yes or no; anything but yes is no.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    let answer = ask(&format!("{question} [y/N]"))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Reads a secret: from a person without echo, otherwise all of standard input without its last
/// line break.
pub(crate) fn secret(question: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        let _silent = Silent::new().map_err(|error| CommandError::io("silence the terminal", &error))?;
        let value = ask(question)?;
        crate::output::message("");
        return Ok(value);
    }
    let mut value = String::new();
    let read = io::stdin().lock().read_to_string(&mut value);
    read.map_err(|error| CommandError::io("read the value from standard input", &error))?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    Ok(value)
}

/// While it lives, the terminal shows nothing of what is typed.
pub(crate) struct Silent(Termios);

impl Silent {
    /// Keeps what is typed from tearing moving lines, where that is possible: on a terminal that is ours. A
    /// job in the background would be stopped for trying.
    pub(crate) fn if_in_front() -> Option<Self> {
        let front = tcgetpgrp(io::stdin()).ok()?;
        if front == rustix::process::getpgrp() { Self::new().ok() } else { None }
    }

    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// While it lives, every key goes to the replica's terminal as it is.
pub(crate) struct Raw(Termios);

impl Raw {
    /// Fails when standard input is no terminal.
    pub(crate) fn new() -> Result<Self> {
        let failed = |error: rustix::io::Errno| CommandError::io("prepare the terminal", &error.into());
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Columns and rows of the terminal.
pub(crate) fn size() -> (u16, u16) {
    rustix::termios::tcgetwinsize(io::stdout()).map_or((80, 24), |size| (size.ws_col, size.ws_row))
}
