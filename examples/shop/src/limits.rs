//! What the shop cannot answer, though it wants to: it has too much to do, what it needs does not answer, or its data is
//! broken. Each is as it would be by accident.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::database::Sales;
use crate::say;
use crate::settings::Settings;

/// How long the stock may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// A file of this name in the data directory breaks the data.
const BROKEN: &str = "broken";

/// Requests of the present second.
#[derive(Default)]
pub(crate) struct Limits(Mutex<Option<(Instant, u32)>>);

impl Limits {
    /// Does what a request of the API needs. Why it gets no answer, and the status that says so.
    pub(crate) fn refuse(&self, settings: &Settings, path: &str) -> Option<(u16, &'static str)> {
        if !path.starts_with("/api/") {
            return None;
        }
        if settings.capacity.is_some_and(|capacity| !self.has_room(capacity)) {
            return Some((503, "too much to do"));
        }
        if settings.data.join(BROKEN).exists() {
            return Some((500, "the data cannot be read"));
        }
        if settings.stock.as_deref().is_some_and(|stock| answers(stock).is_none()) {
            return Some((500, "the stock does not answer"));
        }
        if let Some(Err(error)) = settings.sales.as_ref().map(Sales::ask) {
            say(&format!("ERROR the sales cannot be asked: {error}"));
            return Some((500, "the database does not answer"));
        }
        settings.work.go_through();
        None
    }

    fn has_room(&self, capacity: u32) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match second.as_mut() {
            Some((began, count)) if began.elapsed() < Duration::from_secs(1) => {
                *count += 1;
                *count <= capacity
            }
            _ => {
                *second = Some((Instant::now(), 1));
                true
            }
        }
    }
}

/// Asks the stock whether there is any.
fn answers(stock: &str) -> Option<()> {
    let address = stock.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET /api/about HTTP/1.1\r\nHost: {stock}\r\nConnection: close\r\n\r\n").ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    head.ends_with(b" 200").then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_so_many() {
        let limits = Limits::default();
        assert_eq!((0..10).filter(|_| limits.has_room(4)).count(), 4);
    }

    #[test]
    fn a_stock_that_is_not_there_does_not_answer() {
        assert_eq!(answers("127.0.0.1:1"), None);
    }
}
