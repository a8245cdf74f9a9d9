//! Which environments there are on the daemon, ours and others'.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::query_parameters::{ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};
use daybook_model::name::EnvKey;
use tokio::net::UnixStream;

use super::DockerRuntime;
use super::engine::Engine;
use super::error::failed;
use crate::identity::Labels;
use crate::{Error, ErrorKind, Owner, Result, labels};

impl DockerRuntime {
    /// Environments that something belongs to, and whose they are if they are not ours.
    pub(super) async fn labelled_environments(&self) -> Result<BTreeMap<EnvKey, Option<Owner>>> {
        Ok(self.owners.environments(self.engine.labelled().await?))
    }

    pub(super) async fn our_environments(&self) -> Result<BTreeSet<EnvKey>> {
        let all = self.labelled_environments().await?;
        Ok(all.into_iter().filter(|(_, other)| other.is_none()).map(|(key, _)| key).collect())
    }

    pub(super) async fn others_environments(&self) -> Result<BTreeMap<EnvKey, Owner>> {
        let all = self.labelled_environments().await?;
        Ok(all.into_iter().filter_map(|(key, other)| Some((key, other?))).collect())
    }

    /// Gives the owners of an environment up, one after the other: what is there may be of several.
    pub(super) async fn take_from_others(&self, key: &EnvKey) -> Result<()> {
        let operation = format!("take over {key}");
        let mut found_one = false;
        while let Some(owner) = self.others_environments().await?.remove(key) {
            found_one = true;
            // Whatever the records say, a server that answers would go on with it.
            if UnixStream::connect(owner.state.join("daybook.sock")).await.is_ok() {
                let message = format!("it belongs to {owner}, whose server answers");
                return Err(Error::new(ErrorKind::Conflict, operation, message).hint("stop that server first"));
            }
            self.owners.take(key, &owner)?;
        }
        if found_one {
            return self.restore_addresses_of(key).await;
        }
        let message = "there is no environment of this name that belongs to another Daybook";
        Err(Error::new(ErrorKind::NotFound, operation, message).hint("`daybook env ls` names those that do"))
    }
}

impl Engine {
    /// The labels of every container, volume and network that has ours.
    pub(super) async fn labelled(&self) -> Result<Vec<Labels>> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::APP.to_owned()])]);
        let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let (containers, volumes, networks) = futures::try_join!(
            self.list_containers(&filters),
            async { self.docker.list_volumes(Some(volumes)).await.map_err(|e| failed("list volumes", &e)) },
            async { self.docker.list_networks(Some(networks)).await.map_err(|e| failed("list networks", &e)) },
        )?;
        let containers = containers.into_iter().filter_map(|container| container.labels);
        let volumes = volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.labels);
        Ok(containers.chain(volumes).chain(networks.into_iter().filter_map(|network| network.labels)).collect())
    }
}
