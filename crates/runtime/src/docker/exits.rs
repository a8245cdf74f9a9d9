//! How the process before the present one ended.
//!
//! A daemon forgets it when it starts the next process, but its events tell. It keeps only its last few
//! hundred of them, so what was learned once is kept here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use daybook_model::Timestamp;
use daybook_model::observed::Exit;
use futures::TryStreamExt;

use super::DockerRuntime;
use super::error::failed;
use super::seen::SeenContainer;
use crate::Result;

/// By container id: how often it had been restarted, and how the process before had ended.
#[derive(Default)]
pub(super) struct Exits(Mutex<HashMap<String, (u32, Option<Exit>)>>);

/// Containers that are remembered before the memory is emptied.
const REMEMBERED: usize = 4096;

impl DockerRuntime {
    /// Fills in the last exit of a container that runs again after a crash.
    pub(super) async fn add_last_exit(&self, seen: &mut SeenContainer) -> Result<()> {
        if !seen.replica.is_running() || seen.replica.restarts == 0 {
            return Ok(());
        }
        if let Some(known) = self.exits.of(&seen.container_id, seen.replica.restarts) {
            seen.replica.last_exit = known;
            return Ok(());
        }
        let filters = HashMap::from([
            ("container", vec![seen.container_id.as_str()]),
            ("event", vec!["die", "died", "oom"]),
            ("type", vec!["container"]),
        ]);
        // Both bounds are given: without the second the daemon would go on with what comes.
        let now = Timestamp::now();
        let now = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
        let options = EventsOptionsBuilder::default().since("1").until(&now).filters(&filters).build();
        let events = self.engine.docker.events(Some(options)).try_collect::<Vec<_>>().await;
        let events = events.map_err(|e| failed(format!("ask how {} ended", seen.identity.id), &e))?;
        let last = last_exit(&events);
        seen.replica.last_exit.clone_from(&last);
        self.exits.keep(&seen.container_id, seen.replica.restarts, last);
        Ok(())
    }
}

impl Exits {
    fn of(&self, container: &str, restarts: u32) -> Option<Option<Exit>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(container)
            .filter(|(number, exit)| *number == restarts && exit.is_some())
            .map(|(_, exit)| exit.clone())
    }

    fn keep(&self, container: &str, restarts: u32, exit: Option<Exit>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(container.to_owned(), (restarts, exit));
    }
}

/// The last end among a container's events, oldest first. Podman calls it `died`.
fn last_exit(events: &[EventMessage]) -> Option<Exit> {
    let is_end = |event: &EventMessage| matches!(event.action.as_deref(), Some("die" | "died"));
    let is_oom = |event: &EventMessage| event.action.as_deref() == Some("oom");
    let end = events.iter().rposition(is_end)?;
    let before = events[..end].iter().rposition(is_end).map_or(0, |place| place + 1);
    let attributes = events[end].actor.as_ref()?.attributes.as_ref()?;
    let code = attributes.get("exitCode").or_else(|| attributes.get("containerExitCode"))?;
    Some(Exit {
        code: code.parse().ok()?,
        oom: events[before..end].iter().any(is_oom),
        error: None,
        at: events[end].time_nano.and_then(|time| Timestamp::from_nanosecond(time.into()).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, code: Option<&str>) -> EventMessage {
        let attributes = code.map(|code| HashMap::from([("exitCode".to_owned(), code.to_owned())]));
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(bollard::models::EventActor { attributes, ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn the_last_end_counts_and_memory_counts_for_its_own_end_only() {
        let ended = |events: &[EventMessage]| last_exit(events).map(|exit| (exit.code, exit.oom));
        let (oom, killed, failed) = (event("oom", None), event("die", Some("137")), event("die", Some("3")));
        assert_eq!(ended(&[]), None);
        assert_eq!(ended(&[oom.clone(), killed.clone()]), Some((137, true)));
        assert_eq!(ended(&[oom, killed, failed]), Some((3, false)));
    }
}
