//! What takes its time: where it is, and what came of it. Known while the server lives; the journal knows the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use daybook_api::backup::{OperationEnd, OperationView};
use daybook_model::BackupId;
use tokio::sync::Semaphore;

use super::archive::Archives;
use crate::App;
use crate::error::ApiError;

/// How many are remembered once they are over.
const REMEMBERED: usize = 200;
/// How many go on at once: each reads a whole database.
const AT_ONCE: usize = 2;

/// Every operation of this server.
pub(crate) struct Operations {
    all: Mutex<BTreeMap<BackupId, OperationView>>,
    turns: Arc<Semaphore>,
    /// Held while a secret is made, of which there must be one.
    pub(super) making: tokio::sync::Mutex<()>,
    /// What is known of archives.
    pub(super) archives: Archives,
}

impl Default for Operations {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            making: Default::default(),
            archives: Archives::default(),
        }
    }
}

impl Operations {
    fn all(&self) -> MutexGuard<'_, BTreeMap<BackupId, OperationView>> {
        self.all.lock().expect("no holder of this lock panics")
    }

    /// Waits until it may go on.
    pub(super) async fn turn(&self) -> tokio::sync::OwnedSemaphorePermit {
        self.turns.clone().acquire_owned().await.expect("it is never closed")
    }
}

/// One operation. It is over when this says so.
pub(super) struct Operation {
    app: App,
    pub(super) id: BackupId,
    began: Instant,
}

impl App {
    /// Begins an operation.
    pub(super) fn begin_operation(&self, id: BackupId, what: String) -> Operation {
        let mut all = self.inner.operations.all();
        // Ids sort by time: the first are the oldest.
        while all.len() >= REMEMBERED {
            let Some(over) = all.iter().find(|(_, one)| one.ended.is_some()).map(|(id, _)| *id) else { break };
            all.remove(&over);
        }
        all.insert(id, OperationView { id, what, note: String::new(), ended: None });
        drop(all);
        Operation { app: self.clone(), id, began: Instant::now() }
    }

    /// How far an operation is.
    pub(crate) fn operation(&self, id: BackupId) -> Result<OperationView, ApiError> {
        self.inner.operations.all().get(&id).cloned().ok_or_else(|| {
            ApiError::not_found(format!("nothing of the id {id} goes on here"))
                .hint("the server was started again: `daybook backup ls` shows what came of it")
        })
    }
}

impl Operation {
    /// Where it is now.
    pub(super) fn view(&self) -> OperationView {
        self.app.operation(self.id).unwrap_or_else(|_| OperationView {
            id: self.id,
            what: String::new(),
            note: String::new(),
            ended: None,
        })
    }

    /// Says where it is.
    pub(super) fn note(&self, note: impl Into<String>) {
        if let Some(view) = self.app.inner.operations.all().get_mut(&self.id) {
            view.note = note.into();
        }
    }

    /// Milliseconds since it began.
    pub(super) fn took_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// It is over.
    pub(super) fn end(&self, good: bool, said: Vec<String>) {
        if let Some(view) = self.app.inner.operations.all().get_mut(&self.id) {
            view.note.clear();
            view.ended = Some(OperationEnd { good, said, took_ms: self.took_ms() });
        }
    }
}
