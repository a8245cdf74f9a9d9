//! The tasks that carry runs out: one for each open run that is not parked.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use daybook_executor::{Ending, Error};
use daybook_model::{EnvKey, RunId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::App;

/// The first wait before a run is driven again after the runtime, the edge or the journal could not be
/// reached; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long an interrupted run may take to come to rest before it is left where it is.
const REST_WITHIN: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Drivers {
    running: Mutex<HashMap<RunId, Driver>>,
}

#[derive(Clone)]
struct Driver {
    interrupt: CancellationToken,
    abort: CancellationToken,
    ended: watch::Receiver<bool>,
}

impl Drivers {
    fn get(&self, run: RunId) -> Option<Driver> {
        self.running.lock().expect("no holder of this lock panics").get(&run).cloned()
    }

    /// Takes a run, unless somebody drives it already.
    fn take(&self, run: RunId) -> Option<(Driver, watch::Sender<bool>)> {
        let mut running = self.running.lock().expect("no holder of this lock panics");
        if running.contains_key(&run) {
            return None;
        }
        let (ended, receiver) = watch::channel(false);
        let driver = Driver { interrupt: CancellationToken::new(), abort: CancellationToken::new(), ended: receiver };
        running.insert(run, driver.clone());
        Some((driver, ended))
    }

    fn leave(&self, run: RunId) {
        self.running.lock().expect("no holder of this lock panics").remove(&run);
    }

    /// Whether a task carries the run out now.
    pub(crate) fn is_driven(&self, run: RunId) -> bool {
        self.get(run).is_some()
    }

    /// Asks a run to stop where it is.
    pub(crate) fn interrupt(&self, run: RunId) {
        if let Some(driver) = self.get(run) {
            driver.interrupt.cancel();
        }
    }

    /// Waits until nobody carries the run out: its steps that act come to their end, within a bound.
    pub(crate) async fn rest(&self, run: RunId) {
        let Some(mut driver) = self.get(run) else { return };
        driver.interrupt.cancel();
        if tokio::time::timeout(REST_WITHIN, driver.ended.wait_for(|ended| *ended)).await.is_err() {
            driver.abort.cancel();
            // The sender is dropped when the task is, which ends this wait as well.
            let _ = driver.ended.wait_for(|ended| *ended).await;
        }
    }
}

impl App {
    /// Carries a run out in the background, from where the journal has it.
    pub(crate) fn drive(&self, key: EnvKey, run: RunId) {
        let Some((driver, ended)) = self.inner.drivers.take(run) else { return };
        let app = self.clone();
        self.spawn(async move {
            let _leave = Leave { app: app.clone(), run, ended };
            tokio::select! {
                () = driver.abort.cancelled() => {}
                () = app.drive_to_end(key, run, driver.interrupt) => {}
            }
        });
    }

    async fn drive_to_end(self, key: EnvKey, run: RunId, interrupt: CancellationToken) {
        let mut wait = FIRST_WAIT;
        loop {
            match self.inner.executor.drive(&key, run, interrupt.clone()).await {
                Ok(Ending::Over(verdict)) => {
                    tracing::info!(%key, %run, ?verdict, "the run is over");
                    self.count_traffic(&key, run).await;
                    self.write_status_pages(&key).await;
                    if let Err(error) = self.place_after_run(&key).await {
                        tracing::warn!(%key, %error, "where the environment is cannot be looked up");
                    }
                    return;
                }
                Ok(Ending::Parked) => return,
                // The run is another's by now.
                Err(Error::Journal(
                    daybook_store::Error::Ended { .. }
                    | daybook_store::Error::Locked { .. }
                    | daybook_store::Error::Deposed { .. },
                )) => return,
                Err(error @ Error::Illegal { .. }) => {
                    tracing::error!(%key, %run, %error, "the run cannot go on");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%key, %run, %error, ?wait, "the run waits");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }
}

struct Leave {
    app: App,
    run: RunId,
    ended: watch::Sender<bool>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.app.inner.drivers.leave(self.run);
        self.app.live().notes.retain(|(run, _), _| *run != self.run);
        self.ended.send_replace(true);
    }
}
