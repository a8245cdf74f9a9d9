//! Upgrades of database servers: which versions take over the files that are there, and how what is in them gets to a
//! server that does not.
//!
//! The server of another series begins beside the files of the one before, in a place of its own, and is filled from a
//! backup. So the way back is always there: the release before, with its own files.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::database::{DatabaseServer, Engine, MEANWHILE, RECOVERED};
use daybook_model::spec::{Artifact, EnvValue};
use daybook_model::upgrade::{RehearsalOutcome, UpgradeOutcome};
use daybook_model::{BackupId, DatabaseName, Event, ReleaseNumber, Service, ServiceName, Spec, Timestamp};

use crate::text::seconds;

/// For how long a rehearsal counts: what a database holds changes.
pub const REHEARSED_MS: i64 = 24 * 3_600_000;

/// How a database gets from the server that it has to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The other takes over the files that are there.
    Files,
    /// The other begins with none, and everything is carried over.
    Carried {
        /// Why, in words.
        why: &'static str,
    },
    /// There is none.
    None {
        /// Why, in words.
        why: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
}

/// The way of a database from the server that `before` runs to that of `after`. `None`: one of them runs no such server.
pub fn way(before: &Service, after: &Service) -> Option<Way> {
    let (old, new) = (server_of(before)?, server_of(after)?);
    if old.engine != new.engine {
        return Some(Way::None { why: "neither reads the files of the other", hint: "give the new one another name" });
    }
    if is_older(new, old) {
        return Some(Way::None {
            why: "an older version does not read what a newer one has written",
            hint: "keep the version",
        });
    }
    let has_moved = place(before) != place(after);
    Some(match unread(old, new) {
        Some(why) if has_moved => Way::Carried { why },
        Some(why) => Way::None { why, hint: "leave `datadir` out of its settings: each series has a place of its own" },
        // They were put there by a recovery, out of what this server had written, or are those of the first of a clone.
        None if is_called(after, RECOVERED) || is_called(before, MEANWHILE) => Way::Files,
        None if has_moved => Way::Carried { why: "its files would be in another place" },
        None => Way::Files,
    })
}

/// The server that a service runs, if it runs one.
pub fn server_of(service: &Service) -> Option<&DatabaseServer> {
    match &service.artifact {
        Artifact::Image { server, .. } => server.as_deref(),
        _ => None,
    }
}

/// Where a server keeps its files, as its image knows that place.
pub fn place(service: &Service) -> Option<&str> {
    if let Some(EnvValue::Text(place)) = service.container.environment.get("PGDATA") {
        return Some(place);
    }
    let mut told = service.container.command.iter().flatten().rev();
    told.find_map(|word| word.strip_prefix("--datadir="))
}

fn is_called(service: &Service, name: &str) -> bool {
    place(service).and_then(|place| place.rsplit_once('/')).is_some_and(|(_, last)| last == name)
}

/// Where the files of `server` are in the volume of a service that runs another series of it. `None`: where its own are.
pub fn place_of(service: &Service, server: &DatabaseServer) -> Option<String> {
    let own = place(service)?;
    let other = format!("{}/{}", own.rsplit_once('/')?.0, server.series()?);
    (other != own).then_some(other)
}

/// Why a server of another series is not started on the files of one before.
fn unread(before: &DatabaseServer, after: &DatabaseServer) -> Option<&'static str> {
    let (series, why) = match after.engine {
        Engine::Postgres => (1, "a major version does not read the files of another"),
        // The first two numbers are a series: 10.11, 11.4, 8.0.
        Engine::Mysql | Engine::Mariadb => {
            (2, "a newer series changes the files for good, so that a rollout that fails could not go back")
        }
        Engine::Redis | Engine::Valkey => return None,
    };
    let (old, new, same) = numbers(before, after);
    let series = same.min(series);
    (old[..series] != new[..series]).then_some(why)
}

fn is_older(this: &DatabaseServer, than: &DatabaseServer) -> bool {
    let (this, than, same) = numbers(this, than);
    this[..same] < than[..same]
}

/// The numbers of two versions, and how many can be compared: 8.0 may be anything from 8.0.0 on.
fn numbers(one: &DatabaseServer, other: &DatabaseServer) -> (Vec<u64>, Vec<u64>, usize) {
    let parts = |server: &DatabaseServer| -> Vec<u64> {
        let version = server.version.split('-').next().unwrap_or(&server.version);
        version.split('.').map_while(|part| part.parse().ok()).collect()
    };
    let (one, other) = (parts(one), parts(other));
    let same = one.len().min(other.len());
    (one, other, same)
}

/// The services that use a database and run: they are stopped while it is carried over.
pub fn users(spec: &Spec, name: &DatabaseName, run_by: &ServiceName) -> BTreeSet<ServiceName> {
    let uses = |service: &Service| {
        service.container.databases().any(|used| used.database == *name)
            || service.depends_on.iter().any(|on| on.service == *run_by)
    };
    let users = spec.services.values().filter(|service| !service.stopped && service.name != *run_by && uses(service));
    users.map(|service| service.name.clone()).collect()
}

/// The same with these services stopped.
pub fn stopped(spec: &Spec, services: &BTreeSet<ServiceName>) -> Spec {
    let mut spec = spec.clone();
    spec.services.values_mut().filter(|one| services.contains(&one.name)).for_each(|one| one.stopped = true);
    spec
}

/// The same, where the service that runs a database runs another server of it.
pub fn replaced(spec: &Spec, by: &Service) -> Spec {
    let mut spec = spec.clone();
    if let Some(service) = spec.services.get_mut(&by.name) {
        service.artifact = by.artifact.clone();
        let networks = service.container.networks.clone();
        service.container = by.container.clone();
        service.container.networks = networks;
    }
    spec
}

/// The same, where nobody but who may do everything writes to a database any more, and whoever was logged in is not: so that
/// nothing is written after its last backup.
pub fn read_only(spec: &Spec, run_by: &ServiceName) -> Spec {
    let mut spec = spec.clone();
    let Some(service) = spec.services.get_mut(run_by) else { return spec };
    let engine = server_of(service).map(|server| server.engine);
    if let Some(command) = &mut service.container.command {
        match engine {
            Some(Engine::Postgres) => command.extend(["-c", "default_transaction_read_only=on"].map(str::to_owned)),
            Some(Engine::Mysql | Engine::Mariadb) => command.push("--read-only=1".to_owned()),
            _ => {}
        }
    }
    spec
}

/// What became of upgrades in an environment, as its journal tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// One that has not come to its end.
    pub open: Option<Open>,
    /// The last rehearsal of each database that nothing has followed yet.
    pub rehearsed: BTreeMap<DatabaseName, Rehearsal>,
    /// Servers whose files are still there, though the database has another one now.
    pub left: BTreeMap<DatabaseName, Vec<DatabaseServer>>,
}

/// An upgrade that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its id.
    pub id: BackupId,
    /// The database.
    pub database: DatabaseName,
    /// The server that it had.
    pub from: DatabaseServer,
    /// The server that it gets.
    pub to: DatabaseServer,
    /// The release that was in force when it began.
    pub release: ReleaseNumber,
    /// Whether the new server has every row.
    pub is_filled: bool,
}

/// A rehearsal, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// When it ended.
    pub at: Timestamp,
    /// The server that the database had.
    pub from: DatabaseServer,
    /// The server that was tried.
    pub to: DatabaseServer,
    /// What came of it.
    pub outcome: RehearsalOutcome,
}

/// What became of upgrades, from what the journal of an environment says.
pub fn standing<'e>(entries: impl IntoIterator<Item = (Timestamp, &'e Event)>) -> Standing {
    let mut standing = Standing::default();
    for (at, event) in entries {
        match event {
            Event::UpgradeRehearsed { database, from, to, outcome } => {
                let rehearsal = Rehearsal { at, from: from.clone(), to: to.clone(), outcome: outcome.clone() };
                standing.rehearsed.insert(database.clone(), rehearsal);
            }
            Event::UpgradeStarted { upgrade, database, from, to, release } => {
                let (id, database, from, to) = (*upgrade, database.clone(), from.clone(), to.clone());
                standing.forget(&database, &to);
                standing.open = Some(Open { id, database, from, to, release: *release, is_filled: false });
            }
            Event::UpgradeFilled { upgrade, .. } => {
                if let Some(open) = standing.open.as_mut().filter(|open| open.id == *upgrade) {
                    open.is_filled = true;
                }
            }
            Event::UpgradeFinished { upgrade, outcome, .. } => {
                let Some(open) = standing.open.take_if(|open| open.id == *upgrade) else { continue };
                standing.rehearsed.remove(&open.database);
                if *outcome == UpgradeOutcome::Made {
                    standing.left.entry(open.database).or_default().push(open.from);
                }
            }
            Event::OldFilesRemoved { database, of } => standing.forget(database, of),
            Event::EnvironmentRetired => standing = Standing::default(),
            _ => {}
        }
    }
    standing
}

impl Standing {
    /// The files of a series are gone, or somebody else's from now on.
    fn forget(&mut self, database: &DatabaseName, of: &DatabaseServer) {
        if let Some(left) = self.left.get_mut(database) {
            left.retain(|server| server.series() != of.series());
            if left.is_empty() {
                self.left.remove(database);
            }
        }
    }

    /// For how long what uses a database is stopped by an upgrade, milliseconds, where that was rehearsed not long ago with
    /// these servers, and went well.
    pub fn rehearsed(
        &self,
        database: &DatabaseName,
        from: &DatabaseServer,
        to: &DatabaseServer,
        now: Timestamp,
    ) -> Option<(Timestamp, u64)> {
        let last = self.rehearsed.get(database)?;
        let age_ms = now.as_millisecond().saturating_sub(last.at.as_millisecond());
        match last.outcome {
            RehearsalOutcome::Passed { stop_ms } if last.from == *from && last.to == *to && age_ms < REHEARSED_MS => {
                Some((last.at, stop_ms))
            }
            _ => None,
        }
    }
}

/// What an upgrade would do, for people: one line for each thing.
pub fn steps(
    name: &DatabaseName,
    from: &DatabaseServer,
    to: &DatabaseServer,
    users: &BTreeSet<ServiceName>,
    old_place: &str,
    stop_ms: Option<u64>,
) -> Vec<String> {
    let named = users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let away = match stop_ms {
        Some(ms) => format!(", for about {}", seconds(ms)),
        None => String::new(),
    };
    let stop = match users.is_empty() {
        true => format!("let nobody write to {name} any more{away}"),
        false => format!("stop {named}, and let nobody write to {name} any more{away}"),
    };
    let last = match users.is_empty() {
        true => "look whether it answers".to_owned(),
        false => format!("start {named} again, with the new server"),
    };
    vec![
        stop,
        format!("back {name} up as it is then"),
        format!("start {to} with no files, fill it from the backup, and compare every row"),
        format!("{last}; should anything fail, {from} serves again as it did"),
        format!("the files of {from} stay in {old_place} of its volume, until `daybook db upgrade {name} --finish`"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(engine: Engine, version: &str) -> DatabaseServer {
        DatabaseServer { engine, version: version.to_owned() }
    }

    fn running(engine: Engine, version: &str, place: &str) -> Service {
        let server = Some(Box::new(server(engine, version)));
        let artifact = Artifact::Image {
            reference: format!("{engine}:{version}"),
            pull: daybook_model::spec::PullPolicy::Missing,
            digest: None,
            server,
        };
        let mut service = Service::new("db".parse().unwrap(), artifact);
        match engine {
            Engine::Postgres => {
                drop(service.container.environment.insert("PGDATA".to_owned(), EnvValue::Text(place.to_owned())));
                service.container.command = Some(vec!["postgres".to_owned()]);
            }
            Engine::Mysql | Engine::Mariadb => {
                service.container.command = Some(vec!["mysqld".to_owned(), format!("--datadir={place}")]);
            }
            Engine::Redis | Engine::Valkey => {}
        }
        service
    }

    /// Each in the place of its series, as a manifest has it.
    fn between(engine: Engine, from: &str, to: &str) -> Way {
        let at = |version: &str| running(engine, version, &server(engine, version).series().unwrap_or_default());
        way(&at(from), &at(to)).unwrap()
    }

    #[test]
    fn r16_no_server_is_started_on_files_that_it_cannot_read() {
        use Engine::{Mariadb, Mysql, Postgres, Redis};
        let is_carried = |engine, from, to| matches!(between(engine, from, to), Way::Carried { .. });
        let is_refused = |engine, from, to| matches!(between(engine, from, to), Way::None { .. });
        let takes_over = |engine, from, to| between(engine, from, to) == Way::Files;
        assert!(is_carried(Postgres, "15", "16") && is_carried(Postgres, "15.3", "17-alpine"));
        assert!(is_carried(Mariadb, "10.11", "11.4") && is_carried(Mysql, "8.0.36", "8.4"));
        assert!(is_refused(Postgres, "16.4", "15") && is_refused(Mariadb, "11.4", "10.11"));
        assert!(is_refused(Redis, "7.2", "7.0") && is_refused(Postgres, "15.8", "15.3"));
        assert!(takes_over(Postgres, "15.3", "15.8") && takes_over(Postgres, "15", "15-alpine"));
        assert!(takes_over(Mariadb, "10.11.2", "10.11.6") && takes_over(Redis, "7", "8"));
        // A version that says less has another place: never is a server started beside the rows without a word.
        assert!(is_carried(Mysql, "8", "8.0.36"));
        // A scratch copy goes on with the files that a recovery has put beside its own.
        let before = running(Postgres, "15", "/var/lib/postgresql/data/15");
        let way_to = |place| way(&before, &running(Postgres, "15", place)).unwrap();
        assert_eq!(way_to("/var/lib/postgresql/data/recovered"), Way::Files);
        assert!(matches!(way_to("/var/lib/postgresql/data/pgdata"), Way::Carried { .. }));
        // So does a clone with those that were put in their place.
        assert_eq!(way(&running(Postgres, "15", "/var/lib/postgresql/data/meanwhile"), &before), Some(Way::Files));
        let (mysql, mariadb) = (running(Mysql, "8", "8"), running(Mariadb, "11", "11"));
        assert!(matches!(way(&mysql, &mariadb), Some(Way::None { .. })));
        let here = |version| running(Mariadb, version, "/var/lib/mysql/data");
        assert!(matches!(way(&here("10.6"), &here("10.11")), Some(Way::None { hint, .. }) if hint.contains("datadir")));
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
    }

    fn name() -> DatabaseName {
        "db".parse().unwrap()
    }

    fn id(n: u128) -> BackupId {
        BackupId(uuid::Uuid::from_u128(n))
    }

    fn postgres(version: &str) -> DatabaseServer {
        server(Engine::Postgres, version)
    }

    fn started(n: u128) -> Event {
        let (from, to) = (postgres("15"), postgres("16"));
        Event::UpgradeStarted { upgrade: id(n), database: name(), from, to, release: ReleaseNumber(3) }
    }

    fn finished(n: u128, outcome: UpgradeOutcome) -> Event {
        Event::UpgradeFinished { upgrade: id(n), database: name(), outcome }
    }

    fn folded(events: &[Event]) -> Standing {
        standing((0..).map(at).zip(events))
    }

    #[test]
    fn what_was_begun_is_known_with_its_way_back_until_it_ended() {
        let open = folded(&[started(1)]).open.unwrap();
        assert_eq!((open.release, open.is_filled), (ReleaseNumber(3), false));
        let filled = Event::UpgradeFilled { upgrade: id(1), database: name() };
        assert!(folded(&[started(1), filled.clone()]).open.unwrap().is_filled);
        let failed = UpgradeOutcome::Failed { why: "no space".to_owned() };
        assert_eq!(folded(&[started(1), finished(1, failed)]), Standing::default());
        let made = folded(&[started(1), filled, finished(1, UpgradeOutcome::Made)]);
        assert_eq!((made.open, made.left[&name()].as_slice()), (None, &[postgres("15")][..]));
        // Somebody has removed them, by name.
        let removed = Event::OldFilesRemoved { database: name(), of: postgres("15.3") };
        assert_eq!(folded(&[started(1), finished(1, UpgradeOutcome::Made), removed]), Standing::default());
        assert_eq!(folded(&[started(1), Event::EnvironmentRetired]), Standing::default());
    }

    #[test]
    fn a_rehearsal_counts_for_a_day_and_for_the_servers_that_were_tried() {
        let rehearsed =
            |outcome| Event::UpgradeRehearsed { database: name(), from: postgres("15"), to: postgres("16"), outcome };
        let passed = rehearsed(RehearsalOutcome::Passed { stop_ms: 4_000 });
        let counts = |events: &[Event], to: &str, minute| {
            folded(events).rehearsed(&name(), &postgres("15"), &postgres(to), at(minute)).map(|(_, ms)| ms)
        };
        assert_eq!(counts(&[], "16", 1), None);
        assert_eq!(counts(std::slice::from_ref(&passed), "16", 60), Some(4_000));
        assert_eq!(counts(std::slice::from_ref(&passed), "17", 60), None);
        assert_eq!(counts(std::slice::from_ref(&passed), "16", 25 * 60), None);
        let failed = rehearsed(RehearsalOutcome::Failed { why: "no such type".to_owned() });
        assert_eq!(counts(&[passed.clone(), failed], "16", 2), None, "the last counts");
        let again = finished(1, UpgradeOutcome::Failed { why: "no space".to_owned() });
        assert_eq!(counts(&[passed, started(1), again], "16", 2), None, "after a failure it is rehearsed anew");
    }

    #[test]
    fn what_would_be_done_is_told_with_how_long_it_takes() {
        let users = ["web", "worker"].map(|name| name.parse().unwrap()).into();
        let told = steps(&name(), &postgres("15"), &postgres("16"), &users, "/var/lib/postgresql/data/15", Some(4_200));
        insta::assert_snapshot!(told.join("\n"), @r"
        stop web, worker, and let nobody write to db any more, for about 4 s
        back db up as it is then
        start PostgreSQL 16 with no files, fill it from the backup, and compare every row
        start web, worker again, with the new server; should anything fail, PostgreSQL 15 serves again as it did
        the files of PostgreSQL 15 stay in /var/lib/postgresql/data/15 of its volume, until `daybook db upgrade db --finish`
        ");
    }

    #[test]
    fn the_files_of_another_series_are_beside_those_of_its_own() {
        let service = running(Engine::Postgres, "16", "/var/lib/postgresql/data/16");
        assert_eq!(place_of(&service, &postgres("15.3")).as_deref(), Some("/var/lib/postgresql/data/15"));
        assert_eq!(place_of(&service, &postgres("16.1")), None, "never are those removed that are in use");
        let service = running(Engine::Mariadb, "11.4", "/var/lib/mysql/11.4");
        assert_eq!(place_of(&service, &server(Engine::Mariadb, "10.11")).as_deref(), Some("/var/lib/mysql/10.11"));
    }

    #[test]
    fn nobody_writes_after_the_last_backup() {
        let mut spec = Spec::empty("shop/production".parse().unwrap());
        for (name, engine) in [("db", Engine::Postgres), ("other", Engine::Mariadb)] {
            let mut service = running(engine, "15", "here");
            service.name = name.parse().unwrap();
            spec.services.insert(service.name.clone(), Box::new(service));
        }
        let told = |name: &str| {
            let name: ServiceName = name.parse().unwrap();
            let held = read_only(&spec, &name);
            held.services[&name].container.command.clone().unwrap().join(" ")
        };
        assert_eq!(told("db"), "postgres -c default_transaction_read_only=on");
        assert_eq!(told("other"), "mysqld --datadir=here --read-only=1");
    }
}
