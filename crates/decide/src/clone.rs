//! Clones of environments: what they are made of, what of the first they do not have, and when they go.

use std::collections::BTreeSet;

use daybook_model::clone::{CloneData, CloneOutcome};
use daybook_model::database::{Database, Engine, Keeper, Kept, MEANWHILE};
use daybook_model::forward::Forward;
use daybook_model::oncall::OnCall;
use daybook_model::spec::{EnvValue, Kind, MountSource, Service};
use daybook_model::{BackupId, DatabaseName, EnvKey, EnvName, Event, Spec, Timestamp, VolumeName};

/// The desired state of a clone, and what a person should know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloned {
    /// The whole of it. Its secrets have no versions yet: they are its own.
    pub spec: Spec,
    /// What is not as in the first, one line for each thing.
    pub told: Vec<String>,
}

/// The clone of `spec` at `to`. An error names a database that both would write to.
pub fn cloned(spec: &Spec, to: EnvKey, data: CloneData) -> Result<Cloned, DatabaseName> {
    let shared = spec.databases.iter().find(|(_, database)| matches!(database.keeper, Keeper::Elsewhere { .. }));
    if let Some((name, _)) = shared {
        return Err(name.clone());
    }
    let mut clone = Spec {
        key: to,
        leaving: None,
        backups: None,
        remedies: Vec::new(),
        notify: Vec::new(),
        forward: Forward::default(),
        receive: None,
        on_call: OnCall::default(),
        maintenance: Vec::new(),
        protected: false,
        ..spec.clone()
    };
    let mut told = Vec::new();
    clone.secrets_mut().for_each(|secret| secret.version = None);
    clone.databases.values_mut().for_each(|database| database.backup = None);
    clone.volumes.values_mut().for_each(|volume| volume.backup = None);
    let env = clone.key.env.clone();
    let (mut hosts, mut jobs, mut published, mut smaller) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, service) in &mut clone.services {
        crate::archive::lay_nothing_down(service);
        for route in service.routes.iter_mut().filter(|route| route.host != "*") {
            route.host = host_in(&env, &route.host);
            hosts.push(route.host.clone());
        }
        service.routes.retain(|route| route.host != "*");
        for port in service.ports.iter_mut().filter(|port| port.publish.is_some()) {
            port.publish = None;
            published.push(format!("{name}:{}", port.container));
        }
        if matches!(service.kind, Kind::Job(_)) {
            service.stopped = true;
            jobs.push(name.to_string());
        }
        if service.scale.max > 1 {
            (service.scale.min, service.scale.max) = (1, 1);
            smaller.push(name.to_string());
        }
    }
    hosts.dedup();
    let mut tell = |what: &str, names: &[String]| {
        if !names.is_empty() {
            told.push(format!("{what}: {}", names.join(", ")));
        }
    };
    tell("names of its own", &hosts);
    tell("one replica of each", &smaller);
    tell("jobs that are stopped", &jobs);
    tell("ports that are not published", &published);
    let files: Vec<_> = volumes_of_files(spec).map(ToString::to_string).collect();
    tell(if data == CloneData::Full { "volumes with what they hold" } else { "volumes that are empty" }, &files);
    tell("paths of the machine that both write to", &shared_paths(spec));
    told.push("secrets of its own; it is not backed up".to_owned());
    Ok(Cloned { spec: clone, told })
}

/// `staging.shop.example.com`; a wildcard keeps its place: `*.staging.example.com`.
fn host_in(env: &EnvName, host: &str) -> String {
    match host.strip_prefix("*.") {
        Some(rest) => format!("*.{env}.{rest}"),
        None => format!("{env}.{host}"),
    }
}

/// Volumes that hold files of services, and not those of databases. Those that are somebody else's stay his.
pub fn volumes_of_files(spec: &Spec) -> impl Iterator<Item = &VolumeName> {
    let ours = spec.volumes.iter().filter(|(name, volume)| !volume.external && !is_of_database(spec, name));
    ours.map(|(name, _)| name)
}

fn shared_paths(spec: &Spec) -> Vec<String> {
    let mounts = spec.services.values().flat_map(|service| &service.container.mounts);
    let paths = mounts.filter(|mount| !mount.read_only).filter_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some(path.clone()),
        _ => None,
    });
    paths.collect::<BTreeSet<_>>().into_iter().collect()
}

fn is_of_database(spec: &Spec, volume: &daybook_model::VolumeName) -> bool {
    let kept = spec.databases.values().filter_map(Database::kept);
    let services = kept.filter_map(|kept| spec.services.get(&kept.service));
    let mut mounts = services.flat_map(|service| &service.container.mounts);
    mounts.any(|mount| matches!(&mount.source, MountSource::Volume { name, .. } if name == volume))
}

/// Of a clone, what is there before its data: volumes and the servers of its databases, which nobody uses yet.
pub fn databases_alone(clone: &Spec) -> Spec {
    let is_server = |name: &daybook_model::ServiceName| clone.databases.values().any(|one| one.is_run_by(name));
    let services = clone.services.iter().filter(|(name, _)| is_server(name));
    let databases = clone.databases.iter().filter_map(|(name, database)| {
        let kept = Kept { logins: Default::default(), ..database.kept()?.clone() };
        let keeper = Keeper::Service(Box::new(kept));
        Some((name.clone(), Database { keeper, migrations: None, ..database.clone() }))
    });
    Spec {
        services: services.map(|(name, service)| (name.clone(), service.clone())).collect(),
        databases: databases.collect(),
        ..clone.clone()
    }
}

/// Where the files of a database are, if a full clone may take them as they are instead of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The volume that they are in.
    pub volume: VolumeName,
    /// The directory beneath it.
    pub directory: String,
    /// The same, as the server knows it.
    pub place: String,
}

/// Where the files of a PostgreSQL are that the runtime runs. `None`: there are none, or not in a volume of its own.
pub fn files(spec: &Spec, name: &DatabaseName) -> Option<Files> {
    let database = spec.databases.get(name).filter(|database| database.engine == Engine::Postgres)?;
    let service = spec.services.get(&database.kept()?.service)?;
    let place = crate::upgrade::place(service)?.to_owned();
    let (volume, directory) = service.container.mounts.iter().find_map(|mount| match &mount.source {
        MountSource::Volume { name, subpath: None, .. } => {
            let beneath = place.strip_prefix(&mount.target)?.strip_prefix('/')?;
            Some((name.clone(), beneath.to_owned()))
        }
        _ => None,
    })?;
    // Another directory beside it is to be in the same volume, and nobody else in any of them.
    let is_alone = spec.databases.values().filter(|one| one.is_run_by(&service.name)).count() == 1;
    let is_ours = spec.volumes.get(&volume).is_some_and(|one| !one.external && one.outside_name.is_none());
    let is_beside = !directory.is_empty() && !directory.contains('/');
    (is_alone && is_ours && is_beside).then_some(Files { volume, directory, place })
}

/// Has a server run on other files meanwhile, so that those of another can be put in their place. Gives where those are.
pub fn run_meanwhile(service: &mut Service) -> Option<String> {
    let Some(EnvValue::Text(place)) = service.container.environment.get_mut("PGDATA") else { return None };
    *place = format!("{}/{MEANWHILE}", place.rsplit_once('/')?.0);
    Some(place.clone())
}

/// What the journal tells of an environment that is a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of which environment.
    pub from: EnvName,
    /// What it has of its data.
    pub data: CloneData,
    /// As it was at this moment. `None`: as it is.
    pub at: Option<Timestamp>,
    /// What scratch copies of the other are called, which it needs on the way.
    pub scratch: Option<BackupId>,
    /// When it was begun.
    pub begun: Timestamp,
    /// Whether the environment was not there before.
    pub is_new: bool,
    /// What came of it. `None`: nothing yet.
    pub ended: Option<CloneOutcome>,
}

impl Standing {
    /// When it goes by itself, if it does.
    pub fn expires(&self) -> Option<Timestamp> {
        match &self.ended {
            Some(CloneOutcome::Made { expires }) => *expires,
            _ => None,
        }
    }
}

/// Whether an environment is a clone, from what its journal says. One that was taken down is none any more, whatever
/// comes in its place.
pub fn standing<'e>(entries: impl IntoIterator<Item = (Timestamp, &'e Event)>) -> Option<Standing> {
    let mut standing: Option<Standing> = None;
    for (begun, event) in entries {
        match event {
            Event::CloneStarted { from, data, is_new, at, scratch } => {
                let (from, data, is_new) = (from.clone(), *data, *is_new);
                standing = Some(Standing { from, data, at: *at, scratch: *scratch, begun, is_new, ended: None });
            }
            Event::CloneFinished { outcome } => {
                if let Some(standing) = &mut standing {
                    standing.ended = Some(outcome.clone());
                }
            }
            Event::EnvironmentRetired => standing = standing.filter(|standing| standing.ended.is_none()),
            _ => {}
        }
    }
    standing.filter(|standing| !matches!(standing.ended, Some(CloneOutcome::Failed { .. })))
}

#[cfg(test)]
mod tests {
    use daybook_model::spec::{Artifact, Mount, PullPolicy, SecretRef};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn started() -> Event {
        Event::CloneStarted {
            from: "production".parse().unwrap(),
            data: CloneData::Masked,
            is_new: true,
            at: None,
            scratch: None,
        }
    }

    fn made(expires: Option<&str>) -> Event {
        Event::CloneFinished { outcome: CloneOutcome::Made { expires: expires.map(at) } }
    }

    #[test]
    fn r23_what_was_begun_and_not_ended_is_known_and_what_was_taken_down_is_no_clone() {
        let standing = |events: &[Event]| standing(events.iter().map(|event| (at("2026-11-30T00:00:00Z"), event)));
        let expires = Some("2026-12-03T00:00:00Z");
        assert_eq!(standing(&[]), None);
        assert_eq!(standing(&[started()]).unwrap().ended, None);
        // A clone that is being cleared away is taken down before that is noted.
        assert_eq!(standing(&[started(), Event::EnvironmentRetired]).unwrap().ended, None);
        assert_eq!(standing(&[started(), made(expires)]).unwrap().expires(), expires.map(at));
        // Another environment of the name must not go when the clone would have.
        assert_eq!(standing(&[started(), made(expires), Event::EnvironmentRetired]), None);
        let failed = Event::CloneFinished { outcome: CloneOutcome::Failed { why: "no space".to_owned() } };
        assert_eq!(standing(&[started(), failed]), None);
    }

    #[test]
    fn files_of_a_postgresql_are_in_a_volume_of_its_own() {
        let (name, volume): (DatabaseName, VolumeName) = ("db".parse().unwrap(), "db-data".parse().unwrap());
        let reference = "postgres:15".to_owned();
        let artifact = Artifact::Image { reference, pull: PullPolicy::Missing, digest: None, server: None };
        let mut service = Service::new("db".parse().unwrap(), artifact);
        let place = "/var/lib/postgresql/data/15";
        service.container.environment.insert("PGDATA".to_owned(), EnvValue::Text(place.to_owned()));
        service.container.mounts.push(Mount {
            target: "/var/lib/postgresql/data".to_owned(),
            source: MountSource::Volume { name: volume.clone(), subpath: None, nocopy: false },
            read_only: false,
        });
        let kept = Kept {
            service: service.name.clone(),
            port: 5432,
            name: "notes".to_owned(),
            admin: "postgres".to_owned(),
            password: SecretRef { name: "database.db.admin".parse().unwrap(), version: None, generate: true },
            logins: Default::default(),
            authority: None,
        };
        let keeper = Keeper::Service(Box::new(kept));
        let engine = Engine::Postgres;
        let database = Database { line: None, engine, keeper, migrations: None, backup: None, masking: None };
        let mut spec = Spec::empty(EnvKey::new("shop".parse().unwrap(), "production".parse().unwrap()));
        spec.services.insert(service.name.clone(), Box::new(service.clone()));
        spec.databases.insert(name.clone(), database);
        assert_eq!(files(&spec, &name), None, "nothing says what the volume is");
        spec.volumes.insert(volume.clone(), Default::default());
        let found = files(&spec, &name).unwrap();
        assert_eq!((found.volume, found.directory.as_str(), found.place.as_str()), (volume, "15", place));
        assert_eq!(run_meanwhile(&mut service).as_deref(), Some("/var/lib/postgresql/data/meanwhile"));
        let set = EnvValue::Text("/elsewhere/15".to_owned());
        spec.services.get_mut(&service.name).unwrap().container.environment.insert("PGDATA".to_owned(), set);
        assert_eq!(files(&spec, &name), None, "they are in no volume");
    }

    #[test]
    fn names_are_those_of_the_clone() {
        let env = "staging".parse().unwrap();
        assert_eq!(host_in(&env, "shop.example.com"), "staging.shop.example.com");
        assert_eq!(host_in(&env, "*.example.com"), "*.staging.example.com");
    }
}
