//! News for the screen: from the server, from the keyboard, and that the process is to end.

use std::io;
use std::time::{Duration, Instant};

use daybook_api::Client;
use daybook_api::incident::IncidentsQuery;
use daybook_api::logs::LogSearch;
use daybook_model::EnvKey;
use jiff::SignedDuration;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::state::{Input, Key};
use crate::commands::pulse::pulses;
use crate::context::now;

/// Between two looks at what runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at what was measured: it is measured every ten seconds.
const MEASURED_EVERY: Duration = Duration::from_secs(10);
/// How many numbers a line has.
const NUMBERS: i64 = 60;
/// How many lines are looked at.
const LINES: usize = 500;
/// How old they may be: whoever looks further back asks `daybook logs --search`.
const OLDEST: SignedDuration = SignedDuration::from_secs(3_600);
/// A search is repeated after so many times what it took.
const REST: u32 = 5;
/// How long the keyboard is waited for before it is seen whether anybody listens.
const KEYS_WAIT: Duration = Duration::from_millis(200);

/// Sends news until nobody listens.
pub(super) fn begin(
    client: &Client,
    key: &EnvKey,
    news: &UnboundedSender<Input>,
    wanted: &watch::Receiver<Option<String>>,
    ends: Ends,
) {
    tokio::spawn(look(client.clone(), key.clone(), news.clone()));
    tokio::spawn(measure(client.clone(), key.clone(), news.clone()));
    tokio::spawn(read(client.clone(), key.clone(), news.clone(), wanted.clone()));
    tokio::spawn(ends.tell(news.clone()));
    let keys = news.clone();
    std::thread::spawn(move || watch_keys(&keys));
}

async fn look(client: Client, key: EnvKey, news: UnboundedSender<Input>) {
    let incidents = IncidentsQuery { key: Some(key.clone()), all: false };
    loop {
        let status = client.status(&key).await.map(Box::new).map_err(|error| error.to_string());
        // A build that watches nothing has no incidents.
        let incidents = client.incidents(&incidents).await.unwrap_or_default();
        let all = [Input::Tick(now()), Input::Status(status), Input::Incidents(incidents)];
        if all.into_iter().any(|input| news.send(input).is_err()) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn measure(client: Client, key: EnvKey, news: UnboundedSender<Input>) {
    while news.send(Input::Pulses(pulses(&client, &key, now(), NUMBERS).await)).is_ok() {
        tokio::time::sleep(MEASURED_EVERY).await;
    }
}

/// Searches lines for as long as somebody looks at them.
async fn read(client: Client, key: EnvKey, news: UnboundedSender<Input>, mut wanted: watch::Receiver<Option<String>>) {
    loop {
        let filter = wanted.borrow_and_update().clone();
        let Some(filter) = filter else {
            match wanted.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        };
        let began = Instant::now();
        let query = (!filter.is_empty()).then(|| filter.clone());
        let from = now().checked_sub(OLDEST).ok();
        let search = LogSearch { query, from, limit: Some(LINES), ..LogSearch::default() };
        let found = client.search_logs(&key, &search).await.map(|found| found.lines).map_err(|error| error.to_string());
        let took = began.elapsed();
        if news.send(Input::Lines(filter, found)).is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY.max(took.saturating_mul(REST))) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// The signals that a process is ended by, caught from now on, so that the terminal is given back first.
pub(super) struct Ends(Vec<Signal>);

impl Ends {
    /// Catches them: before the terminal is taken, because what comes in between would leave it taken.
    pub(super) fn caught() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
        kinds.into_iter().map(signal).collect::<io::Result<_>>().map(Self)
    }

    async fn tell(mut self, news: UnboundedSender<Input>) {
        let any = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(any).await;
        let _ = news.send(Input::Leave);
    }
}

fn watch_keys(news: &UnboundedSender<Input>) {
    while !news.is_closed() {
        let input = match event::poll(KEYS_WAIT) {
            Ok(false) => continue,
            Ok(true) => match event::read() {
                Ok(Event::Key(pressed)) if pressed.kind != KeyEventKind::Release => key(pressed).map(Input::Key),
                Ok(Event::Resize(..)) => Some(Input::Resized),
                Ok(_) => None,
                Err(_) => Some(Input::Leave),
            },
            // A terminal that is gone.
            Err(_) => Some(Input::Leave),
        };
        let is_last = matches!(input, Some(Input::Leave));
        if input.is_some_and(|input| news.send(input).is_err()) || is_last {
            return;
        }
    }
}

fn key(pressed: KeyEvent) -> Option<Key> {
    Some(match pressed.code {
        KeyCode::Char('c') if pressed.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(_) if pressed.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => return None,
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
