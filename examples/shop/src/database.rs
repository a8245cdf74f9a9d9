//! What has been sold, which a PostgreSQL knows. It is asked by way of `psql`, so that the shop needs no library: one session,
//! which answers one question after the other.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Customers that the table knows.
const CUSTOMERS: u32 = 50_000;
/// Of so many customers is asked at a time.
const TOGETHER: u32 = 8;

/// A database with the table `sales (customer, cents)`.
pub(crate) struct Sales {
    url: String,
    session: Mutex<Option<Session>>,
}

struct Session {
    psql: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    asked: u32,
}

impl Sales {
    /// The database at a URL. It is connected to when it is asked first.
    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.to_owned(), session: Mutex::default() }
    }

    /// What the next few customers have paid, in cents.
    pub(crate) fn ask(&self) -> io::Result<u64> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match session.take() {
            Some(open) => open,
            None => Session::open(&self.url)?,
        };
        // A session that does not answer is gone; the next question has another.
        let answer = open.ask()?;
        *session = Some(open);
        Ok(answer)
    }
}

impl Session {
    fn open(url: &str) -> io::Result<Self> {
        let mut command = Command::new("psql");
        command.args([url, "-qtAX", "-v", "ON_ERROR_STOP=1"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut psql = command.spawn()?;
        let (Some(questions), Some(answers)) = (psql.stdin.take(), psql.stdout.take()) else {
            return Err(io::Error::other("psql has no pipes"));
        };
        Ok(Self { psql, questions, answers: BufReader::new(answers), asked: 0 })
    }

    fn ask(&mut self) -> io::Result<u64> {
        let first = self.asked % CUSTOMERS;
        self.asked = self.asked.wrapping_add(TOGETHER);
        let last = first + TOGETHER - 1;
        writeln!(
            self.questions,
            "select coalesce(sum((select sum(cents) from sales where customer = wanted)), 0) \
             from generate_series({first}, {last}) as wanted;"
        )?;
        self.questions.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().map_err(|_| io::Error::other(format!("the database says `{}`", line.trim())))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // One that has ended by itself needs no signal.
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_not_there_is_an_error() {
        assert!(Sales::at("postgres://nobody@127.0.0.1:1/none").ask().is_err());
    }
}
