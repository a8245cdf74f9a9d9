//! One driver call for each action.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use daybook_decide::readiness::Wanted;
use daybook_decide::routes;
use daybook_model::event::{Failure, StepOutcome};
use daybook_model::launch::Role;
use daybook_model::route::{Endpoint, Target};
use daybook_model::spec::{Artifact, Protocol, Stop};
use daybook_model::status_page::StatusPage;
use daybook_model::{Action, EnvRoutes, ReplicaId, Service, ServiceName, Step};
use daybook_runtime::ErrorKind;

use crate::drive::RunContext;
use crate::look::replica;
use crate::note::Note;
use crate::patience::patiently_telling;
use crate::{Error, Executor, Result};

impl Executor {
    /// Carries a step out. Whatever goes wrong is its outcome.
    pub(crate) async fn act(&self, cx: &RunContext, step: &Step) -> StepOutcome {
        let tell = |error: &daybook_runtime::Error| self.note(cx, step, &format!("{error}; trying again"));
        match patiently_telling(|| Box::pin(self.attempt(cx, step)), tell).await {
            Ok(outcome) => outcome,
            Err(error) => StepOutcome::Failed(failure(&error)),
        }
    }

    async fn attempt(&self, cx: &RunContext, step: &Step) -> Result<StepOutcome> {
        let runtime = &self.inner.runtime;
        let key = &cx.key;
        match &step.action {
            Action::Prepare { service } => self.prepare(cx, step, service).await?,
            Action::CreateNetwork { network } => {
                runtime
                    .create_network(key, network, cx.spec.networks.get(network).unwrap_or(&Default::default()))
                    .await?;
            }
            Action::CreateVolume { volume } => {
                runtime.create_volume(key, volume, cx.spec.volumes.get(volume).unwrap_or(&Default::default())).await?;
            }
            Action::SetQuota { quota } => runtime.set_quota(key, quota.as_ref()).await?,
            Action::GrantLogins { database } => self.grant_logins(cx, database).await?,
            Action::BackUp { database } => return self.back_up(cx, step, database).await,
            Action::Migrate { database, .. } => return self.migrate(cx, step, database).await,
            Action::RunHook { replica, .. } => return self.run_hook(cx, replica).await,
            Action::Start { replica, .. } => {
                let launch = self.launch(cx, replica, Role::Main).await?;
                runtime.start(&launch).await?;
            }
            Action::AwaitAnswer { replica } => return self.await_ready(cx, step, replica, Wanted::Answer).await,
            Action::AwaitReady { replica } => return self.await_ready(cx, step, replica, Wanted::Ready).await,
            Action::AwaitCompleted { replica } => return self.await_completed(cx, replica).await,
            Action::Route { service, endpoints } => self.route(cx, service, endpoints).await?,
            Action::Hold { service } => self.hold(cx, service).await?,
            Action::Unroute { service } => self.unroute(cx, service).await?,
            Action::Drain { replicas } => return self.drain(cx, replicas).await,
            Action::Watch { service, phase, new, old, for_ms } => {
                return self.watch(cx, service, *phase, new, old, Duration::from_millis(*for_ms)).await;
            }
            Action::Stop { replica } => runtime.stop(key, replica, Role::Main, &stop_of(cx, replica)).await?,
            Action::Remove { replica, role } => runtime.remove(key, replica, *role).await?,
            Action::StopAt { target, replica, role } => self.stop_at(cx, target, replica, *role).await?,
            Action::RemoveAt { target, replica, role } => self.remove_at(cx, target, replica, *role).await?,
            Action::CloseAt { target } => self.close_at(cx, target).await?,
            Action::Leave { target } => self.leave(cx, target).await?,
            Action::ReleaseChart { service, fingerprint } => {
                return self.release_chart(cx, step, service, fingerprint).await;
            }
            Action::RemoveChart { service } => runtime.remove_chart(key, service).await?,
            Action::RemoveNetwork { network } => runtime.remove_network(key, network).await?,
            Action::RemoveVolume { volume } => runtime.remove_volume(key, volume).await?,
        }
        self.inner.looks.outdate(key);
        Ok(StepOutcome::Done(String::new()))
    }

    pub(crate) fn note(&self, cx: &RunContext, step: &Step, text: &str) {
        // Nobody listening is fine: notes are for those who look.
        let _ = self.inner.notes.send(Note { key: cx.key.clone(), run: cx.run, step: step.id, text: text.to_owned() });
    }

    async fn prepare(&self, cx: &RunContext, step: &Step, name: &ServiceName) -> Result<()> {
        let progress = |text: &str| self.note(cx, step, text);
        let service = service(cx, name)?;
        Ok(self.inner.runtime.prepare(&cx.key, &service.artifact, &progress).await?)
    }

    async fn route(&self, cx: &RunContext, name: &ServiceName, endpoints: &[(ReplicaId, u32)]) -> Result<()> {
        let service = service(cx, name)?;
        let endpoints = self.endpoints(cx, service, endpoints).await?;
        let mut addresses: BTreeSet<_> = self.inner.runtime.service_address(&cx.key, name).await?.into_iter().collect();
        if let Some(target) = &cx.behind {
            // What still runs there calls it at its address there.
            let side = self.inner.places.at(target).await?;
            addresses.extend(side.runtime.service_address(&cx.key, name).await?);
        }
        let site = match &service.artifact {
            Artifact::Static { digest: Some(digest), .. } => {
                Some(self.inner.artifacts.join(digest.hex()).to_string_lossy().into_owned())
            }
            Artifact::StatusPage(_) => {
                Some(self.inner.pages.join(StatusPage::directory(&cx.key, name)).to_string_lossy().into_owned())
            }
            _ => None,
        };
        let backend = routes::backend(service, endpoints, addresses, site.as_deref());
        let name = name.clone();
        self.reroute(cx, move |routes| {
            routes.backends.insert(name.clone(), backend.clone());
            true
        })
        .await
    }

    async fn endpoints(
        &self,
        cx: &RunContext,
        service: &Service,
        shares: &[(ReplicaId, u32)],
    ) -> Result<Vec<Endpoint>> {
        let seen = self.glance(&cx.key).await?;
        let mut endpoints = Vec::with_capacity(shares.len());
        for (id, weight) in shares {
            let address = replica(&seen, id, Role::Main).and_then(|replica| Some((replica, replica.address?)));
            let Some((replica, address)) = address else {
                if *weight == 0 {
                    continue;
                }
                return Err(gone(id));
            };
            let ports: BTreeMap<u16, SocketAddr> = service
                .ports
                .iter()
                .filter(|port| port.protocol != Protocol::Udp)
                .map(|port| (port.container, SocketAddr::new(address, replica.port(port.container))))
                .collect();
            endpoints.push(Endpoint { replica: id.clone(), ports, weight: *weight });
        }
        Ok(endpoints)
    }

    async fn hold(&self, cx: &RunContext, name: &ServiceName) -> Result<()> {
        let (name, hold_ms) = (name.clone(), routes::hold_ms(service(cx, name)?));
        self.reroute(cx, move |routes| {
            let Some(backend) = routes.backends.get_mut(&name) else { return false };
            backend.hold_ms = Some(hold_ms);
            if let Target::Endpoints(endpoints) = &mut backend.target {
                endpoints.iter_mut().for_each(|endpoint| endpoint.weight = 0);
            }
            true
        })
        .await
    }

    async fn unroute(&self, cx: &RunContext, name: &ServiceName) -> Result<()> {
        let name = name.clone();
        self.reroute(cx, move |routes| routes.backends.remove(&name).is_some()).await
    }

    /// Changes the routes of the environment. `change` tells whether the edge must be told, and may be made twice.
    pub(crate) async fn reroute(
        &self,
        cx: &RunContext,
        change: impl Fn(&mut EnvRoutes) -> bool + Send + Sync + 'static,
    ) -> Result<()> {
        Ok(self.inner.routing.change(self.inner.router.as_ref(), &cx.key, change).await?)
    }
}

/// The service of the plan's spec. The planner names only those.
pub(crate) fn service<'a>(cx: &'a RunContext, name: &ServiceName) -> Result<&'a Service> {
    cx.spec.services.get(name).map(Box::as_ref).ok_or_else(|| Error::Illegal {
        run: cx.run,
        why: format!("the plan names service {name}, and its spec does not have it"),
    })
}

/// How a replica is asked to end: as the version that it belongs to says.
pub(crate) fn stop_of(cx: &RunContext, replica: &ReplicaId) -> Stop {
    let before = cx.previous.as_ref().and_then(|spec| spec.services.get(&replica.service));
    let service = before.or_else(|| cx.spec.services.get(&replica.service));
    service.map(|service| service.stop.clone()).unwrap_or_default()
}

fn gone(id: &ReplicaId) -> Error {
    let message = "it has no address: its process ended after it was ready";
    daybook_runtime::Error::new(ErrorKind::NotFound, format!("route requests to {id}"), message).into()
}

/// An error as a person reads it under a failed step.
pub(crate) fn failure(error: &Error) -> Failure {
    let mut failure = Failure { why: error.to_string(), ..Failure::default() };
    if let Error::Runtime(error) = error {
        let (first, rest) = error.message.split_once('\n').unwrap_or((&error.message, ""));
        failure.why = format!("{}: {first}", error.operation);
        failure.evidence.extend(error.hint.clone());
        failure.log = rest.lines().map(str::to_owned).collect();
    }
    failure
}
