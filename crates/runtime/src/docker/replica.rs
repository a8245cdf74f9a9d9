//! The life of one replica: made, started, asked to end, removed.

use std::time::{Duration, Instant};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, ContainerUpdateBody, NetworkConnectRequest,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::spec::{MountSource, Stop};
use daybook_model::{Launch, ReplicaId};
use futures::StreamExt;

use super::body::{Joined, Surroundings, body, endpoint, networks_in_order};
use super::engine::Flavour;
use super::error::{failed, is_conflict, is_missing};
use super::{DockerRuntime, host, mounts, names};
use crate::identity::{Identity, identity};
use crate::{Error, ErrorKind, Result};

/// Making a container may copy an image's files into an empty volume first.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long the daemon gets to carry out a stop or a removal beyond what was asked for.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// Until a container is looked at again that somebody else is making.
const AGAIN: Duration = Duration::from_millis(50);

impl DockerRuntime {
    pub(super) async fn start_replica(&self, launch: &Launch) -> Result<()> {
        let name = names::container(&launch.key, &launch.id, launch.role);
        let begun = Instant::now();
        while begun.elapsed() < START_PATIENCE {
            let Some(found) = self.inspect_container(&name).await? else {
                if !self.create(launch, &name).await? {
                    tokio::time::sleep(AGAIN).await;
                }
                continue;
            };
            let operation = format!("start {}", launch.id);
            let known = self.owned(&operation, &name, &found, &launch.key, &launch.id, launch.role)?;
            if known.fingerprint != launch.fingerprint {
                let message =
                    format!("it is there with configuration {}, not {}", known.fingerprint, launch.fingerprint);
                return Err(Error::new(ErrorKind::Conflict, operation, message));
            }
            match status(&found) {
                Status::RUNNING | Status::RESTARTING | Status::PAUSED => return Ok(()),
                Status::CREATED => return self.run_first(launch, &name).await,
                Status::EXITED | Status::STOPPING => return self.run_again(launch, &name).await,
                Status::DEAD | Status::REMOVING | Status::EMPTY => self.discard(&name).await?,
            }
        }
        Err(Error::new(ErrorKind::Unavailable, format!("start {}", launch.id), "its container keeps changing"))
    }

    /// Makes the container. `false` when its name is taken: whose it is, is looked at next. A daemon
    /// takes the name before it shows the container.
    async fn create(&self, launch: &Launch, name: &str) -> Result<bool> {
        let operation = format!("make {}", launch.id);
        self.check_volumes(launch).await?;
        for directory in mounts::directories_to_make(launch) {
            std::fs::create_dir_all(directory).map_err(|e| crate::files::failed("make", directory, &e))?;
        }
        let mut options = CreateContainerOptionsBuilder::default().name(name);
        if let Some(platform) = &launch.container.options.platform {
            options = options.platform(platform);
        }
        let body = body(launch, &self.surroundings(launch).await?)?;
        match self.engine.patient(START_PATIENCE).create_container(Some(options.build()), body).await {
            Ok(_) => Ok(true),
            Err(said) if is_conflict(&said) => Ok(false),
            Err(said) => Err(failed(operation, &said)),
        }
    }

    /// Starts a container that was made, now or before a crash: whatever its making may have left out
    /// is done (again) first.
    async fn run_first(&self, launch: &Launch, name: &str) -> Result<()> {
        self.secrets.place(launch)?;
        if launch.container.options.network_mode.is_none() {
            let (networks, _) = self.networks_of(launch).await?;
            for joined in networks.into_iter().skip(1) {
                self.join(launch, name, joined).await?;
            }
        }
        self.write_configs(launch, name).await?;
        self.run(launch, name).await
    }

    /// Attaches a container to a further network: older daemons take only one when it is made.
    async fn join(&self, launch: &Launch, name: &str, Joined { network, endpoint }: Joined) -> Result<()> {
        let request = NetworkConnectRequest { container: name.to_owned(), endpoint_config: Some(endpoint) };
        match self.engine.docker.connect_network(&network, request).await {
            Err(said) if !is_joined_already(&said) => {
                Err(failed(format!("connect {} to network {network}", launch.id), &said))
            }
            _ => Ok(()),
        }
    }

    async fn run(&self, launch: &Launch, name: &str) -> Result<()> {
        let docker = self.engine.patient(START_PATIENCE);
        docker.start_container(name, None).await.map_err(|e| failed(format!("start {}", launch.id), &e))
    }

    /// Starts a replica that has ended. What lives outside of the container is made sure of first:
    /// its secrets may be gone after a reboot, its restart policy since it was stopped.
    async fn run_again(&self, launch: &Launch, name: &str) -> Result<()> {
        self.secrets.place(launch)?;
        self.set_restart(name, host::restart_policy(launch)).await?;
        self.run(launch, name).await
    }

    /// Ends a replica's process and sees that it has ended. Its restart policy goes first, because
    /// some daemons start what was stopped again when they themselves are started again.
    pub(super) async fn stop_replica(&self, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()> {
        let name = names::container(key, id, role);
        let operation = format!("stop {id}");
        let Some(found) = self.inspect_container(&name).await? else { return Ok(()) };
        self.owned(&operation, &name, &found, key, id, role)?;
        if !matches!(status(&found), Status::RUNNING | Status::RESTARTING | Status::PAUSED | Status::STOPPING) {
            return Ok(());
        }
        let never = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
        self.set_restart(&name, never).await?;
        let grace = stop.grace_ms.div_ceil(1000);
        let mut options = StopContainerOptionsBuilder::default().t(i32::try_from(grace).unwrap_or(i32::MAX));
        // Older daemons use the signal that the container was made with.
        if self.engine.has_api(1, 42) && self.engine.flavour == Flavour::Docker {
            options = options.signal(&stop.signal);
        }
        let docker = self.engine.patient(Duration::from_secs(grace) + END_PATIENCE);
        match docker.stop_container(&name, Some(options.build())).await {
            Err(said) if !is_missing(&said) => Err(failed(operation, &said)),
            _ => Ok(()),
        }
    }

    pub(super) async fn remove_replica(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
        let name = names::container(key, id, role);
        if let Some(found) = self.inspect_container(&name).await? {
            self.owned(&format!("remove {id}"), &name, &found, key, id, role)?;
            self.discard(&name).await?;
        }
        self.secrets.remove(&name)
    }

    /// Removes a container that does not run, and its anonymous volumes, and waits until it is gone.
    async fn discard(&self, name: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        let docker = self.engine.patient(END_PATIENCE);
        match docker.remove_container(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(said) if is_missing(&said) => Ok(()),
            Err(said) if is_conflict(&said) && said.to_string().contains("already in progress") => {
                let removed = WaitContainerOptionsBuilder::default().condition("removed").build();
                // The stream's end, or its "no such container", is what is waited for.
                let mut gone = std::pin::pin!(docker.wait_container(name, Some(removed)));
                while gone.next().await.is_some_and(|answer| answer.is_ok()) {}
                Ok(())
            }
            Err(said) => Err(failed(format!("remove container {name}"), &said)),
        }
    }

    /// Podman before 5.1 cannot change it, but remembers by itself what was stopped.
    async fn set_restart(&self, name: &str, policy: RestartPolicy) -> Result<()> {
        if self.engine.flavour == Flavour::Podman {
            return Ok(());
        }
        let change = ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
        match self.engine.docker.update_container(name, change).await {
            Err(said) if !is_missing(&said) => Err(failed(format!("set the restart policy of {name}"), &said)),
            _ => Ok(()),
        }
    }

    async fn surroundings<'a>(&self, launch: &'a Launch) -> Result<Surroundings<'a>> {
        let options = &launch.container.options;
        let network_mode = self.joined(launch, options.network_mode.as_deref()).await?;
        let joins_network = network_mode.as_deref().is_some_and(|mode| mode.starts_with("container:"));
        let has_own_network = network_mode.is_none();
        let (networks, reaches_edge) = self.networks_of(launch).await?;
        let edge_hosts = if reaches_edge || !has_own_network { launch.hosts.clone() } else { Vec::new() };
        Ok(Surroundings {
            owner: self.owners.labels(),
            image: self.image_for(launch).await?,
            network_mode: network_mode.or_else(|| Some(networks.first()?.network.clone())),
            joins_network,
            has_own_network,
            pid_mode: self.joined(launch, options.pid.as_deref()).await?,
            ipc_mode: self.joined(launch, options.ipc.as_deref()).await?,
            networks,
            edge_hosts,
            secrets: self.secrets.place(launch)?,
            reach: self.engine.reach,
            knows_start_interval: self.engine.has_api(1, 44),
            knows_subpath: self.engine.has_api(1, 45),
        })
    }

    /// The networks, and whether one of them leads to the addresses where the edge answers.
    async fn networks_of(&self, launch: &Launch) -> Result<(Vec<Joined>, bool)> {
        let edge_answers = self.addresses.as_ref().is_some_and(|known| known.has(&launch.key, &launch.id.service));
        let wanted = networks_in_order(launch);
        let mut reaches_edge = wanted.is_empty();
        let mut joined = Vec::new();
        for (network, attachment) in wanted {
            let Some(found) = self.inspect_network(&network).await? else {
                let message = format!("network {network} is not there");
                return Err(Error::new(ErrorKind::NotFound, format!("make {}", launch.id), message));
            };
            let internal = found.internal.unwrap_or(false);
            reaches_edge |= !internal;
            let endpoint = endpoint(launch, attachment, internal, edge_answers);
            joined.push(Joined { network, endpoint });
        }
        Ok((joined, reaches_edge))
    }

    async fn image_for(&self, launch: &Launch) -> Result<String> {
        let found = self.image_of(launch.image.as_deref(), &launch.artifact).await?;
        found.ok_or_else(|| {
            let named = launch.image.as_deref().unwrap_or("the image");
            let message = format!("{named} ({}) is not here", launch.artifact.short());
            Error::new(ErrorKind::NotFound, format!("make {}", launch.id), message).hint("`daybook up` gets it again")
        })
    }

    /// A daemon makes a volume that a container names and that is missing; it would not be ours.
    async fn check_volumes(&self, launch: &Launch) -> Result<()> {
        for mount in &launch.container.mounts {
            let MountSource::Volume { name, .. } = &mount.source else { continue };
            let called = mounts::volume_name(launch, name);
            if self.inspect_volume(&called).await?.is_none() {
                let message = format!("volume {called} is not there");
                return Err(Error::new(ErrorKind::NotFound, format!("make {}", launch.id), message));
            }
        }
        Ok(())
    }

    /// `service:NAME` as the daemon says it: `container:ID` of a running replica of that service.
    async fn joined(&self, launch: &Launch, mode: Option<&str>) -> Result<Option<String>> {
        let Some(mode) = mode else { return Ok(None) };
        let Some(service) = mode.strip_prefix("service:") else { return Ok(Some(mode.to_owned())) };
        let all = self.containers_of(&launch.key).await?;
        let running = all.iter().filter(|seen| seen.is_running_main(service));
        let newest = running.max_by_key(|seen| seen.identity.id.ordinal);
        newest.map(|seen| Some(format!("container:{}", seen.container_id))).ok_or_else(|| {
            let message = format!("`{mode}` needs a running replica of {service}");
            Error::new(ErrorKind::Unavailable, format!("make {}", launch.id), message)
        })
    }

    pub(super) async fn inspect_container(&self, name: &str) -> Result<Option<ContainerInspectResponse>> {
        let found = self.inspect_settled(&format!("look for container {name}"), name).await?;
        // A prefix of an id is as good as a name to a daemon, but not to us.
        Ok(found.filter(|found| found.name.as_deref().map(|found| found.trim_start_matches('/')) == Some(name)))
    }

    /// The container of a replica that must be there and ours.
    pub(super) async fn container_of(
        &self,
        operation: &str,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
    ) -> Result<(String, ContainerInspectResponse)> {
        let name = names::container(key, id, role);
        let found = self.inspect_container(&name).await?;
        let found = found.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, format!("{id} is not there")))?;
        self.owned(operation, &name, &found, key, id, role)?;
        Ok((name, found))
    }

    /// That a container is the replica whose name it has, and ours.
    fn owned(
        &self,
        operation: &str,
        name: &str,
        found: &ContainerInspectResponse,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
    ) -> Result<Identity> {
        let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        self.owners.refuse(operation, key, &labels)?;
        match identity(&labels) {
            Ok(known) if known.key == *key && known.id == *id && known.role == role => Ok(known),
            Ok(known) => {
                let message = format!("container {name} is replica {} of {}", known.id, known.key);
                Err(Error::new(ErrorKind::Conflict, operation, message).hint("rename the app or the environment"))
            }
            Err(why) => {
                let message = format!("container {name} is there and is not ours ({why})");
                let hint = format!("rename or remove container {name}");
                Err(Error::new(ErrorKind::Conflict, operation, message).hint(hint))
            }
        }
    }
}

/// Docker and Podman say it in different words.
fn is_joined_already(said: &bollard::errors::Error) -> bool {
    let text = said.to_string();
    text.contains("already exists in network") || text.contains("already connected to network")
}

fn status(found: &ContainerInspectResponse) -> Status {
    found.state.as_ref().and_then(|state| state.status).unwrap_or(Status::EMPTY)
}
