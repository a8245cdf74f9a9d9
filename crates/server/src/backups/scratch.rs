//! Scratch copies: an environment of their own, in which a database server is all there is, and no way leads out.

use std::collections::BTreeSet;
use std::time::Duration;

use daybook_api::change::{Change, Down};
use daybook_api::run::{RunReply, RunRequest};
use daybook_decide::archive::lay_nothing_down;
use daybook_model::database::{Database, Keeper};
use daybook_model::spec::{Attachment, MountSource, Network};
use daybook_model::{
    Actor, BackupId, DatabaseName, EnvKey, EnvName, Event, NetworkName, Release, RunId, RunKind, ServiceName, Spec,
    Verdict,
};

use crate::App;
use crate::error::ApiError;
use crate::sealing::{Sealing, Values};

/// Between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a scratch copy may take to go. What is left then goes with the next server.
const GOES_WITHIN: Duration = Duration::from_secs(300);

/// The environment of a drill's scratch copy.
pub(super) fn scratch_key(key: &EnvKey, drill: BackupId) -> EnvKey {
    let env = EnvName::new(format!("drill-{}", drill.short())).expect("it is a name");
    EnvKey::new(key.app.clone(), env)
}

/// What a scratch copy is to be: the server of one database, as the release has it, and nothing else.
pub(super) fn scratch_spec(spec: &Spec, key: EnvKey, name: &DatabaseName) -> Option<Spec> {
    let database = spec.databases.get(name)?;
    let kept = database.kept()?;
    let mut service = spec.services.get(&kept.service)?.clone();
    let network: NetworkName = "default".parse().expect("it is a name");
    service.routes.clear();
    service.depends_on.clear();
    service.stopped = false;
    lay_nothing_down(&mut service);
    service.ports.iter_mut().for_each(|port| port.publish = None);
    service.container.networks = [(network.clone(), Attachment::default())].into_iter().collect();
    let volumes = service.container.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some((name.clone(), spec.volumes.get(name)?.clone())),
        _ => None,
    });
    let volumes = volumes.collect();
    let kept = daybook_model::database::Kept { logins: Default::default(), ..kept.clone() };
    let keeper = Keeper::Service(Box::new(kept));
    let scratch = Database { keeper, migrations: None, backup: None, ..database.clone() };
    let mut made = Spec {
        target: spec.target.clone(),
        services: [(service.name.clone(), service)].into(),
        databases: [(name.clone(), scratch)].into(),
        volumes,
        networks: [(network, Network { internal: true, ..Network::default() })].into(),
        ..Spec::empty(key)
    };
    // Secrets of its own.
    made.secrets_mut().for_each(|secret| secret.version = None);
    Some(made)
}

impl App {
    /// Starts a scratch copy of the server of a database, empty, and waits until it answers.
    pub(super) async fn raise_scratch(
        &self,
        release: &Release,
        name: &DatabaseName,
        drill: BackupId,
        actor: &Actor,
    ) -> Result<EnvKey, ApiError> {
        let key = scratch_key(&release.spec.key, drill);
        let spec = scratch_spec(&release.spec, key.clone(), name)
            .ok_or_else(|| ApiError::invalid(format!("nothing says how `{name}` is run")))?;
        self.bring(spec, &format!("drill of the backups of {name}"), actor).await?;
        Ok(key)
    }

    /// Carries a spec out to its end.
    pub(super) async fn bring(&self, spec: Spec, reason: &str, actor: &Actor) -> Result<(), ApiError> {
        let key = spec.key.clone();
        let planning = self.planning(&key);
        let planning = planning.lock().await;
        let mut desired = self.toward(spec).await?;
        desired.sealing = Some(Sealing::of(&self.inner.store, &mut desired.spec, Values::default()).await?);
        desired.purpose = RunKind::Up;
        desired.reason = reason.to_owned();
        let run = self.begin_desired(desired, actor.clone()).await?;
        drop(planning);
        self.come_to_end(run).await
    }

    /// Stops services of the release in force, or starts them again, and waits until that is so. Nobody else may plan
    /// meanwhile: the caller sees to that.
    pub(super) async fn set_stopped(
        &self,
        key: &EnvKey,
        services: &BTreeSet<ServiceName>,
        stopped: bool,
        reason: &str,
        actor: &Actor,
    ) -> Result<(), ApiError> {
        let current = self.require_release(key).await?;
        let mut spec = current.spec.clone();
        let meant = spec.services.values_mut().filter(|one| services.contains(&one.name) && one.stopped != stopped);
        if meant.map(|service| service.stopped = stopped).count() == 0 {
            return Ok(());
        }
        let mut desired = self.edit_of(current, spec).await?;
        desired.purpose = if stopped { RunKind::Stop } else { RunKind::Start };
        desired.reason = reason.to_owned();
        let run = self.begin_desired(desired, actor.clone()).await?;
        self.come_to_end(run).await
    }

    /// Takes an environment away with all that it has, and its secrets where these are `also` to go. Not there is fine.
    pub(super) async fn clear_environment(&self, key: &EnvKey, also: bool, actor: &Actor) -> Result<(), ApiError> {
        let known = self.inner.store.environment(key).await?;
        let Some(known) = known.filter(|known| !known.retired) else { return Ok(()) };
        if let Some(run) = known.open_run {
            self.abandon(run, actor.clone()).await?;
        }
        let seen = self.inner.runtime.observe(key).await?;
        let down = Change::Down(Down { key: key.clone(), volumes: seen.volumes.into_iter().collect() });
        let request = RunRequest { change: down, expect: None };
        let gone = async {
            match self.begin(&request, actor.clone()).await? {
                RunReply::Started(started) => self.come_to_end(started.run).await,
                RunReply::Nothing(_) => Ok(()),
            }
        };
        let gone = tokio::time::timeout(GOES_WITHIN, gone).await;
        gone.map_err(|_| ApiError::invalid(format!("{key} did not go within {} s", GOES_WITHIN.as_secs())))??;
        for secret in self.inner.store.secrets(key).await?.into_iter().filter(|_| also) {
            self.inner.store.remove_secret(actor.clone(), key, &secret.name).await?;
        }
        Ok(())
    }

    /// Waits until a run is over; an error unless it reached what it was meant to.
    pub(super) async fn come_to_end(&self, run: RunId) -> Result<(), ApiError> {
        loop {
            let record = self.inner.store.run(run).await?;
            let finished = record.and_then(|record| record.finished);
            match finished.map(|entry| entry.event) {
                Some(Event::RunFinished { verdict: Verdict::Reached }) => return Ok(()),
                Some(Event::RunFinished { verdict: Verdict::Failed(failure) | Verdict::SwappedBack(failure) }) => {
                    return Err(ApiError::invalid(failure.why));
                }
                Some(_) => return Err(ApiError::invalid("it was given up")),
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}
