//! Services that a drill starts with what it has restored: rows that nothing can work with bring nobody back.

use std::collections::BTreeSet;

use daybook_model::database::{Keeper, Kept};
use daybook_model::spec::{Attachment, MountSource, Scale};
use daybook_model::{Actor, Database, DatabaseName, EnvKey, NetworkName, Service, ServiceName, Spec};

use super::drill::Wrong;
use super::scratch::scratch_spec;
use crate::App;
use crate::error::ApiError;
use crate::sealing::{Sealing, Values};

impl App {
    /// Starts services in the scratch copy of a database and waits until they are healthy. Gives what was seen, in words.
    pub(super) async fn start_on(
        &self,
        spec: &Spec,
        name: &DatabaseName,
        scratch: &EnvKey,
        services: &[ServiceName],
        actor: &Actor,
    ) -> Result<String, Wrong> {
        let wanted = with_services(spec, scratch, name, services)?;
        let mut probed = wanted.clone();
        let sealing = Sealing::of(&self.inner.store, &mut probed, Values::default()).await?;
        // Values that lead nowhere, for those that are known to people only.
        for secret in &sealing.missing {
            self.ensure_secret(scratch, secret, actor).await?;
        }
        let names: Vec<_> = services.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        let reason = format!("drill of the backups of {name}: start {names}");
        self.bring(wanted, &reason, actor)
            .await
            .map_err(|error| Wrong::Backup(vec![format!("{names} does not start on it: {}", error.0.message)]))?;
        Ok(format!("started on it, and healthy: {names}"))
    }
}

/// The scratch copy of a database with services beside it. Other databases that they use are there, and empty.
fn with_services(
    spec: &Spec,
    scratch: &EnvKey,
    name: &DatabaseName,
    started: &[ServiceName],
) -> Result<Spec, ApiError> {
    let mut made = alone(spec, scratch, name)?;
    let services = started.iter().map(|service| {
        let found = spec.services.get(service);
        found
            .ok_or_else(|| ApiError::invalid(format!("the release has no service `{service}`, which the drill starts")))
    });
    let services = services.collect::<Result<Vec<_>, _>>()?;
    let used: BTreeSet<_> =
        services.iter().flat_map(|one| one.container.databases()).map(|one| &one.database).collect();
    for other in used.into_iter().filter(|other| *other != name) {
        let beside = alone(spec, scratch, other)?;
        made.services.extend(beside.services);
        made.databases.extend(beside.databases);
        made.volumes.extend(beside.volumes);
    }
    for service in services {
        let mounts = service.container.mounts.iter();
        for mount in mounts {
            match &mount.source {
                MountSource::Volume { name, .. } => {
                    let volume = spec.volumes.get(name).cloned().unwrap_or_default();
                    refuse_shared(service, volume.external, &format!("the volume `{name}`, which others use"))?;
                    made.volumes.insert(name.clone(), volume);
                }
                MountSource::Bind { path, .. } => {
                    refuse_shared(service, !mount.read_only, &format!("`{path}` of the machine"))?;
                }
                MountSource::Anonymous | MountSource::Tmpfs { .. } => {}
            }
        }
    }
    for service in started {
        let Some(mut service) = spec.services.get(service).cloned() else { continue };
        service.routes.clear();
        service.stopped = false;
        service.scale = Scale::default();
        service.ports.iter_mut().for_each(|port| port.publish = None);
        service.container.networks = [(network(), Attachment::default())].into_iter().collect();
        made.services.insert(service.name.clone(), service);
    }
    let there: BTreeSet<_> = made.services.keys().cloned().collect();
    for service in made.services.values_mut() {
        service.depends_on.retain(|one| there.contains(&one.service));
    }
    for (name, database) in &mut made.databases {
        let (Keeper::Service(kept), Some(first)) =
            (&mut database.keeper, spec.databases.get(name).and_then(Database::kept))
        else {
            continue;
        };
        let logins = first.logins.iter().filter(|(service, _)| started.contains(service));
        **kept =
            Kept { logins: logins.map(|(service, login)| (service.clone(), login.clone())).collect(), ..first.clone() };
    }
    made.secrets_mut().for_each(|secret| secret.version = None);
    Ok(made)
}

fn alone(spec: &Spec, scratch: &EnvKey, name: &DatabaseName) -> Result<Spec, ApiError> {
    scratch_spec(spec, scratch.clone(), name).ok_or_else(|| {
        ApiError::invalid(format!(
            "the drill would start what writes to the database `{name}`, which somebody else runs"
        ))
        .hint("take what uses it out of `start` of the backup policy")
    })
}

fn refuse_shared(service: &Service, is_shared: bool, what: &str) -> Result<(), ApiError> {
    if !is_shared {
        return Ok(());
    }
    let message = format!("the drill does not start {}: it would write to {what}", service.name);
    Err(ApiError::invalid(message).hint("take it out of `start` of the backup policy"))
}

fn network() -> NetworkName {
    "default".parse().expect("it is a name")
}
