//! The simulated runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::observed::{ChartState, Exit, Health, SeenChart};
use daybook_model::spec::{Artifact, ChartObjects, Check, Network, Quota, Restart, Stop, Volume};
use daybook_model::{
    Digest, EnvKey, Launch, NetworkName, ReplicaId, ReplicaState, SeenReplica, Service, ServiceName, VolumeName,
};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::world::{Replica, World};
use super::{Simulated, unavailable};
use crate::{
    Answer, Capabilities, Error, ErrorKind, Exec, ExecRequest, LogLine, LogQuery, Owner, Progress, Result, Runtime,
    Seen, Usage,
};

#[async_trait]
impl Runtime for Simulated {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "simulated".to_owned(),
            images: true,
            networks: true,
            memory_limits: true,
            service_addresses: true,
            log_streams: true,
            charts: true,
            quotas: true,
        }
    }

    async fn check(&self) -> Result<String> {
        Ok("simulated".to_owned())
    }

    async fn resolve(&self, _key: &EnvKey, artifact: &Artifact) -> Result<Digest> {
        let name = match artifact {
            Artifact::Image { reference, .. } => reference,
            Artifact::Build(build) => &build.context,
            Artifact::Static { root, .. } => root,
            Artifact::Chart(chart) => &chart.reference,
            Artifact::StatusPage(_) => return Err(crate::no_content()),
        };
        let digest = Digest::of(name.as_bytes());
        if self.lock().behaviour(&digest).unknown {
            let error = Error::new(ErrorKind::Unavailable, format!("ask the registry for {name}"), "no such host");
            return Err(error.hint("is the registry up?"));
        }
        Ok(digest)
    }

    async fn present(&self, _: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        Ok(digests.intersection(&self.lock().artifacts).copied().collect())
    }

    async fn prepare(&self, _key: &EnvKey, artifact: &Artifact, progress: Progress<'_>) -> Result<()> {
        progress("1 of 1");
        let digest = artifact.digest().copied().expect("a planned artifact is resolved");
        self.act("prepare", |world, _| {
            if world.behaviour(&digest).unavailable {
                return Err(Error::new(ErrorKind::BuildFailed, "build", "it does not compile"));
            }
            world.artifacts.insert(digest);
            Ok(())
        })
        .await
    }

    async fn observe(&self, key: &EnvKey) -> Result<Seen> {
        let now = self.elapsed();
        let world = self.lock();
        if let Some(owner) = world.others.get(key) {
            return Err(Error::new(ErrorKind::Conflict, "observe", format!("{key} belongs to {owner}")));
        }
        let of_key = world.replicas.iter().filter(|((other, ..), _)| other == key);
        let replicas = of_key.map(|((_, id, role), replica)| seen(&world, id, *role, replica, now)).collect();
        let volumes = world.volumes.iter().filter(|(other, _)| other == key).map(|(_, name)| name.clone()).collect();
        let networks = world.networks.iter().filter(|(other, _)| other == key).map(|(_, name)| name.clone()).collect();
        let of_key = world.charts.iter().filter(|((other, _), _)| other == key);
        let charts = of_key.map(|((_, name), chart)| (name.clone(), chart.clone())).collect();
        let quota = world.quotas.get(key).cloned();
        Ok(Seen { replicas, volumes, networks, charts, quota })
    }

    async fn environments(&self) -> Result<BTreeSet<EnvKey>> {
        let world = self.lock();
        let all = world.replicas.keys().map(|(key, ..)| key);
        Ok(all.filter(|key| !world.others.contains_key(key)).cloned().collect())
    }

    async fn others(&self) -> Result<BTreeMap<EnvKey, Owner>> {
        Ok(self.lock().others.clone())
    }

    async fn take_over(&self, key: &EnvKey) -> Result<()> {
        let taken = self.lock().others.remove(key);
        taken
            .map(drop)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("take over {key}"), "it is not another's"))
    }

    async fn set_quota(&self, key: &EnvKey, quota: Option<&Quota>) -> Result<()> {
        self.act("set a quota", |world, _| {
            match quota {
                Some(quota) => drop(world.quotas.insert(key.clone(), quota.clone())),
                None => drop(world.quotas.remove(key)),
            }
            Ok(())
        })
        .await
    }

    async fn create_network(&self, key: &EnvKey, name: &NetworkName, _network: &Network) -> Result<()> {
        self.act("create a network", |world, _| {
            world.networks.insert((key.clone(), name.clone()));
            Ok(())
        })
        .await
    }

    async fn create_volume(&self, key: &EnvKey, name: &VolumeName, _volume: &Volume) -> Result<()> {
        self.act("create a volume", |world, _| {
            world.volumes.insert((key.clone(), name.clone()));
            Ok(())
        })
        .await
    }

    async fn chart_objects(&self, _: &EnvKey, service: &Service) -> Result<ChartObjects> {
        let chart = service.artifact.chart().expect("only charts are asked about");
        let object = (format!("Deployment {}", service.name), Digest::of_json(&chart.values));
        Ok(ChartObjects { version: chart.version.clone().unwrap_or_default(), objects: [object].into() })
    }

    async fn release_chart(&self, key: &EnvKey, service: &Service, fingerprint: &Fingerprint) -> Result<()> {
        let operation = format!("release the chart of {}", service.name);
        let digest = service.artifact.digest().copied().expect("a planned artifact is resolved");
        self.act(&operation, |world, _| {
            let works = world.behaviour(&digest).ready_after_ms.is_some();
            let place = (key.clone(), service.name.clone());
            let revision = world.charts.get(&place).map_or(0, |chart| chart.revision) + 1;
            let state = if works { ChartState::Released } else { ChartState::Failed };
            world.charts.insert(place, SeenChart { fingerprint: fingerprint.clone(), revision, state });
            works.then_some(()).ok_or_else(|| Error::new(ErrorKind::Internal, &operation, "it does not get ready"))
        })
        .await
    }

    async fn remove_chart(&self, key: &EnvKey, service: &ServiceName) -> Result<()> {
        self.act("remove a chart", |world, _| {
            world.charts.remove(&(key.clone(), service.clone()));
            Ok(())
        })
        .await
    }

    async fn start(&self, launch: &Launch) -> Result<()> {
        let operation = format!("start {}", launch.id);
        self.act(&operation, |world, now| start(world, launch, now)).await
    }

    async fn stop(&self, key: &EnvKey, id: &ReplicaId, role: Role, _stop: &Stop) -> Result<()> {
        let operation = format!("stop {id}");
        let place = (key.clone(), id.clone(), role);
        self.act(&operation, |world, now| {
            if let Some(replica) = world.replicas.get_mut(&place).filter(|replica| replica.started.is_some()) {
                replica.started = None;
                replica.ended = Some((now, 143));
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
        let operation = format!("remove {id}");
        let place = (key.clone(), id.clone(), role);
        self.act(&operation, |world, now| {
            let running = world.replicas.get(&place).map(|replica| world.state(replica, now).0);
            if matches!(running, Some(ReplicaState::Running)) {
                return Err(Error::new(ErrorKind::Conflict, format!("remove {id}"), "it is running"));
            }
            world.replicas.remove(&place);
            Ok(())
        })
        .await
    }

    async fn service_address(&self, _key: &EnvKey, service: &ServiceName) -> Result<Option<IpAddr>> {
        let digest = Digest::of(service.as_str().as_bytes());
        let number = u64::from_str_radix(&digest.hex()[..4], 16).expect("a digest is hexadecimal");
        let [low, high, ..] = number.to_le_bytes();
        Ok(Some(IpAddr::V4(Ipv4Addr::new(127, 64, high, low))))
    }

    async fn release(&self, _key: &EnvKey) -> Result<()> {
        Ok(())
    }

    async fn remove_network(&self, key: &EnvKey, name: &NetworkName) -> Result<()> {
        self.act("remove a network", |world, _| {
            world.networks.remove(&(key.clone(), name.clone()));
            Ok(())
        })
        .await
    }

    async fn remove_volume(&self, key: &EnvKey, name: &VolumeName) -> Result<()> {
        self.act("remove a volume", |world, _| {
            world.volumes.remove(&(key.clone(), name.clone()));
            Ok(())
        })
        .await
    }

    async fn probe(&self, key: &EnvKey, replica: &SeenReplica, _check: &Check) -> Result<Answer> {
        let now = self.elapsed();
        let world = self.lock();
        let Some(found) = world.replicas.get(&(key.clone(), replica.id.clone(), replica.role)) else {
            return Ok(Answer::NotRunning);
        };
        Ok(match (world.state(found, now).0, world.is_ready(found, now)) {
            (ReplicaState::Running, true) => Answer::Good("200".to_owned()),
            (ReplicaState::Running, false) => Answer::Bad("GET /healthz answered 503".to_owned()),
            _ => Answer::NotRunning,
        })
    }

    async fn logs(
        &self,
        _key: &EnvKey,
        id: &ReplicaId,
        _role: Role,
        _query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let line = LogLine { at: self.now(), stderr: false, text: format!("{id} says hello") };
        Ok(futures::stream::iter([Ok(line)]).boxed())
    }

    async fn usage(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        let seen = self.observe(key).await?;
        let running = seen.replicas.into_iter().filter(SeenReplica::is_running);
        Ok(running
            .map(|replica| Usage {
                id: replica.id,
                cpu_cores: 0.1,
                cpu_seconds: 1.0,
                memory_bytes: 10 << 20,
                memory_limit_bytes: None,
                pids: 1,
            })
            .collect())
    }

    async fn exec(&self, _key: &EnvKey, _id: &ReplicaId, _command: &ExecRequest) -> Result<Exec> {
        Err(unavailable("exec"))
    }
}

fn start(world: &mut World, launch: &Launch, now: u64) -> Result<()> {
    let place = (launch.key.clone(), launch.id.clone(), launch.role);
    if !world.artifacts.contains(&launch.artifact) {
        return Err(Error::new(ErrorKind::NotFound, format!("start {}", launch.id), "its artifact is not here"));
    }
    if let Some(replica) = world.replicas.get(&place) {
        if replica.fingerprint != launch.fingerprint {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("start {}", launch.id),
                "it has another configuration",
            ));
        }
        if matches!(
            world.state(replica, now).0,
            ReplicaState::Running | ReplicaState::Restarting | ReplicaState::Starting
        ) {
            return Ok(());
        }
    }
    if launch.role == Role::Hook {
        *world.hook_runs.entry(launch.id.to_string()).or_default() += 1;
        let code = world.behaviour(&launch.artifact).hook_code;
        let mut ends = world.behaviour(&launch.artifact);
        ends.ends_after_ms = Some((30, code));
        let artifact = Digest::of(format!("hook of {}", launch.artifact).as_bytes());
        world.behaviours.insert(artifact, ends);
        let begins = world.begin(now);
        world.replicas.insert(place, replica(launch, artifact, begins));
        return Ok(());
    }
    let begins = world.begin(now);
    world.replicas.insert(place, replica(launch, launch.artifact, begins));
    Ok(())
}

fn replica(launch: &Launch, artifact: Digest, begins: u64) -> Replica {
    Replica {
        fingerprint: launch.fingerprint.clone(),
        release: launch.release,
        run: launch.run,
        artifact,
        restarts_itself: launch.restart != Restart::No,
        started: Some(begins),
        ended: None,
        unrouted: None,
    }
}

fn seen(world: &World, id: &ReplicaId, role: Role, replica: &Replica, now: u64) -> SeenReplica {
    let (state, code, restarts) = world.state(replica, now);
    let last_exit = code.map(|code| Exit { code, oom: false, error: None, at: None });
    SeenReplica {
        id: id.clone(),
        role,
        fingerprint: replica.fingerprint.clone(),
        release: replica.release,
        run: replica.run,
        artifact: replica.artifact,
        state,
        health: Health::Unasked,
        started_at: None,
        restarts,
        last_exit,
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ports: BTreeMap::new(),
    }
}
