//! The journal as a stream: what is there, then what comes, without gaps and without doubles.

use daybook_api::event::{EventView, EventsQuery};
use daybook_executor::Note;
use daybook_model::Entry;
use daybook_store::{Journal as _, Query};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::App;
use crate::error::ApiError;
use crate::view::event::Words;

/// Entries that are read from the journal at a time.
const PAGE: usize = 200;

/// How many come when nothing is said.
const USUAL: usize = 100;

/// Events that wait for a slow reader; then it reads the journal at its own pace.
const WAITING: usize = 64;

impl App {
    /// Events that are there already, oldest first.
    pub(crate) async fn events(&self, query: &EventsQuery) -> Result<Vec<EventView>, ApiError> {
        let limit = Some(query.limit.unwrap_or(USUAL));
        let entries = self.inner.store.read(&selection(query, query.after.unwrap_or(0), limit)).await?;
        let mut words = Words::new(self.inner.store.clone());
        let mut views = Vec::with_capacity(entries.len());
        for entry in &entries {
            views.push(words.entry(entry).await);
        }
        Ok(views)
    }

    /// Events that are there already, then new ones, progress notes among them. Ends when the reader is
    /// gone or the server stops.
    pub(crate) async fn follow_events(&self, query: EventsQuery) -> Result<ReceiverStream<EventView>, ApiError> {
        let (events, receiver) = mpsc::channel(WAITING);
        let following = Following {
            app: self.clone(),
            entries: self.inner.store.subscribe(),
            notes: self.inner.executor.notes(),
            words: Words::new(self.inner.store.clone()),
            seen: 0,
            query,
            events,
        };
        // The subscription stands before the journal is read: nothing falls between.
        let first = self.first_entries(&following.query).await?;
        self.spawn(async move {
            // An error means that the reader is gone.
            let _ = following.run(first).await;
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn first_entries(&self, query: &EventsQuery) -> Result<Vec<Entry>, ApiError> {
        let limit = match query.after {
            Some(_) => Some(query.limit.unwrap_or(PAGE).min(PAGE)),
            None => Some(query.limit.unwrap_or(USUAL)),
        };
        Ok(self.inner.store.read(&selection(query, query.after.unwrap_or(0), limit)).await?)
    }
}

/// With `after`, the first ones after it; without, the last ones.
fn selection(query: &EventsQuery, after: u64, limit: Option<usize>) -> Query {
    Query { key: query.key.clone(), run: query.run, after, limit, newest: query.after.is_none() }
}

struct Following {
    app: App,
    entries: broadcast::Receiver<Entry>,
    notes: broadcast::Receiver<Note>,
    words: Words,
    /// The last entry that was sent, or passed over.
    seen: u64,
    query: EventsQuery,
    events: mpsc::Sender<EventView>,
}

/// The reader is gone.
struct Gone;

impl Following {
    async fn run(mut self, first: Vec<Entry>) -> Result<(), Gone> {
        self.seen = self.query.after.unwrap_or(0);
        for entry in &first {
            self.send(entry).await?;
        }
        if self.query.after.is_some() {
            self.catch_up().await?;
        }
        loop {
            tokio::select! {
                () = self.events.closed() => return Err(Gone),
                entry = self.entries.recv() => match entry {
                    Ok(entry) => self.send(&entry).await?,
                    Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Ok(()),
                },
                note = self.notes.recv() => if let Ok(note) = note { self.send_note(note).await? },
            }
        }
    }

    /// Sends what the journal holds beyond what was sent. A journal that cannot be read now is read
    /// when the next entry comes.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        loop {
            let query = Query { newest: false, ..selection(&self.query, self.seen, Some(PAGE)) };
            let entries = match self.app.inner.store.read(&query).await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(%error, "a stream of events waits");
                    return Ok(());
                }
            };
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                self.send(entry).await?;
            }
        }
    }

    async fn send(&mut self, entry: &Entry) -> Result<(), Gone> {
        let mine = (self.query.key.is_none() || self.query.key == entry.key)
            && (self.query.run.is_none() || self.query.run == entry.run);
        if entry.seq <= self.seen || !mine {
            return Ok(());
        }
        self.seen = entry.seq;
        let view = self.words.entry(entry).await;
        self.events.send(view).await.map_err(|_| Gone)
    }

    async fn send_note(&mut self, note: Note) -> Result<(), Gone> {
        let mine = self.query.key.as_ref().is_none_or(|key| key == &note.key)
            && self.query.run.is_none_or(|run| run == note.run);
        if !mine {
            return Ok(());
        }
        let view = self.words.note(note, self.app.now());
        self.events.send(view).await.map_err(|_| Gone)
    }
}
