//! What is there of an environment, by labels.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::ListContainersOptionsBuilder;
use daybook_model::name::EnvKey;
use futures::{StreamExt, TryStreamExt};

use super::DockerRuntime;
use super::engine::Engine;
use super::error::{failed, is_missing};
use super::seen::{SeenContainer, seen, share_addresses};
use crate::identity::{Labels, filter, has_all, identity, of_environment};
use crate::{Result, Seen};

/// Containers that are inspected at once.
const AT_ONCE: usize = 16;
/// How long a passing state is waited for, and how long until it is looked at again.
const PASSING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(50);

impl DockerRuntime {
    pub(super) async fn observe_environment(&self, key: &EnvKey) -> Result<Seen> {
        let (containers, volumes, networks) =
            futures::try_join!(self.containers_of(key), self.volume_names(key), self.network_names(key))?;
        let mut replicas: Vec<_> = containers.into_iter().map(|seen| seen.replica).collect();
        replicas.sort_by(|a, b| (&a.id, a.role).cmp(&(&b.id, b.role)));
        Ok(Seen {
            replicas,
            volumes: volumes.into_iter().collect(),
            networks: networks.into_iter().collect(),
            ..Seen::default()
        })
    }

    /// Every container of an environment, running or not.
    pub(super) async fn containers_of(&self, key: &EnvKey) -> Result<Vec<SeenContainer>> {
        let listed = self.list_containers(&of_environment(key)).await?;
        for (_, found) in &listed {
            self.owners.refuse("look at replicas", key, found)?;
        }
        let inspected = futures::stream::iter(listed).map(|(id, found)| self.inspect_listed(id, found));
        let mut all: Vec<_> =
            inspected.buffer_unordered(AT_ONCE).try_filter_map(|seen| async { Ok(seen) }).try_collect().await?;
        share_addresses(&mut all);
        Ok(all)
    }

    async fn inspect_listed(&self, id: String, found: Labels) -> Result<Option<SeenContainer>> {
        let known = match identity(&found) {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(container = id, error, "labels of ours are malformed; the container is left alone");
                return Ok(None);
            }
        };
        let operation = format!("look at {}", known.id);
        let Some(found) = self.inspect_settled(&operation, &id).await? else { return Ok(None) };
        let mut seen = seen(known, &found, self.engine.reach);
        self.add_last_exit(&mut seen).await?;
        Ok(Some(seen))
    }

    /// What the daemon says about a container, once it is in a state that can be told.
    pub(super) async fn inspect_settled(
        &self,
        operation: &str,
        name: &str,
    ) -> Result<Option<ContainerInspectResponse>> {
        let begun = Instant::now();
        loop {
            match self.engine.docker.inspect_container(name, None).await {
                Ok(found) => return Ok(Some(found)),
                Err(said) if is_missing(&said) => return Ok(None),
                Err(said) if is_passing(&said) && begun.elapsed() < PASSING => tokio::time::sleep(AGAIN).await,
                Err(said) => return Err(failed(operation, &said)),
            }
        }
    }

    /// Ids and labels of containers with all of these labels.
    pub(super) async fn list_containers(&self, wanted: &Labels) -> Result<Vec<(String, Labels)>> {
        let found = self.engine.list_containers(&filter(wanted)).await?;
        let all = found.into_iter().map(|one| (one.id.unwrap_or_default(), one.labels.unwrap_or_default()));
        Ok(all.filter(|(_, found)| has_all(found, wanted)).collect())
    }
}

impl Engine {
    /// Containers that a filter chooses, running or not.
    pub(super) async fn list_containers(
        &self,
        filters: &HashMap<String, Vec<String>>,
    ) -> Result<Vec<ContainerSummary>> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(filters).build();
        let begun = Instant::now();
        loop {
            match self.docker.list_containers(Some(options.clone())).await {
                Ok(found) => return Ok(found),
                Err(said) if is_passing(&said) && begun.elapsed() < PASSING => tokio::time::sleep(AGAIN).await,
                Err(said) => return Err(failed("list containers", &said)),
            }
        }
    }
}

/// A container that goes away while Docker 20.10 lists it makes the whole answer a 404. One that Podman
/// has not cleaned up after yet is in a state that the client does not know.
fn is_passing(said: &bollard::errors::Error) -> bool {
    is_missing(said) || matches!(said, bollard::errors::Error::JsonDataError { .. })
}
