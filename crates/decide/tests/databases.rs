//! Databases: logins and migrations before what uses them, and what keeps them from being run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Planner, converged, db, spec, web};
use daybook_model::backup::{BackupPolicy, Keep};
use daybook_model::database::{
    DatabaseFact, DatabaseServer, DatabaseUse, Engine, Keeper, Kept, MigrationSource, Migrations, Pending, Remark,
    RemarkKind, SeenDatabase, Standing,
};
use daybook_model::spec::{Artifact, EnvValue, SecretRef, TemplatePart};
use daybook_model::{Database, DatabaseName, Digest, Observed, RunKind, Service, Spec};

fn name() -> DatabaseName {
    "db".parse().unwrap()
}

fn secret(name: &str, version: u64) -> SecretRef {
    SecretRef { name: name.parse().unwrap(), version: Some(version), generate: true }
}

fn migrations(version: &str) -> Migrations {
    Migrations {
        sources: vec![MigrationSource { root: "/migrations".to_owned(), digest: Some(Digest::of(version.as_bytes())) }],
        schema: None,
        table: None,
        placeholders: Default::default(),
        out_of_order: false,
    }
}

fn user(login: SecretRef) -> Service {
    let used = DatabaseUse { database: name(), fact: DatabaseFact::Url, login };
    let mut web = web("1");
    let value = EnvValue::Template(vec![TemplatePart::Database(Box::new(used))]);
    web.container.environment.insert("DATABASE_URL".to_owned(), value);
    web
}

/// The service `web` uses a database that the service `db` runs.
fn kept(login_version: u64, files: Option<&str>) -> Spec {
    let login = secret("login", login_version);
    let mut web = user(login.clone());
    let on = daybook_model::spec::Dependency {
        service: "db".parse().unwrap(),
        condition: daybook_model::spec::Condition::Healthy,
    };
    web.depends_on.push(on);
    let kept = Kept {
        service: "db".parse().unwrap(),
        port: 5432,
        name: "shop".to_owned(),
        admin: "postgres".to_owned(),
        password: secret("admin", 1),
        logins: [(web.name.clone(), login)].into(),
        authority: None,
    };
    let keeper = Keeper::Service(Box::new(kept));
    let database = Database {
        line: Some(9),
        engine: Engine::Postgres,
        keeper,
        migrations: files.map(migrations),
        backup: None,
        masking: None,
    };
    let mut spec = spec([web, db("16")]);
    spec.databases.insert(name(), database);
    spec
}

/// The service `web` uses a database that somebody else runs.
fn elsewhere(files: &str) -> Spec {
    let url = secret("url", 1);
    let mut spec = spec([user(url.clone())]);
    let keeper = Keeper::Elsewhere { url };
    let migrations = Some(migrations(files));
    spec.databases.insert(
        name(),
        Database { line: Some(9), engine: Engine::Postgres, keeper, migrations, backup: None, masking: None },
    );
    spec
}

fn pending(version: u32, remarks: Vec<Remark>) -> Pending {
    Pending { what: format!("version {version}"), script: format!("V{version}__.sql"), remarks }
}

fn remark(kind: RemarkKind, text: &str) -> Remark {
    Remark { line: 3, kind, text: text.to_owned(), instead: Some("do it in two releases".to_owned()) }
}

fn seen(mut world: Observed, database: SeenDatabase) -> Observed {
    world.databases.insert(name(), database);
    world
}

fn answers(standing: Standing) -> SeenDatabase {
    SeenDatabase::Answers(Box::new(standing))
}

fn at(version: u32, pending: Vec<Pending>) -> Standing {
    Standing { version: Some(version.to_string()), pending, ..Standing::default() }
}

#[test]
fn a_new_database_is_made_and_migrated_before_what_uses_it_starts() {
    let spec = kept(1, Some("1"));
    let pending = vec![pending(1, Vec::new()), pending(2, Vec::new())];
    let world = seen(Observed::nothing(spec.key.clone()), SeenDatabase::Absent { pending });
    insta::assert_snapshot!(Planner::first().show(&spec, &world));
}

/// The same, spoken to by TLS only.
fn proven(mut spec: Spec, version: u64) -> Spec {
    let Keeper::Service(kept) = &mut spec.databases.get_mut(&name()).unwrap().keeper else { panic!("not ours") };
    kept.authority = Some(secret("authority", version));
    spec
}

#[test]
fn a_plan_tells_how_a_database_is_spoken_to() {
    let (plain, first, second) = (kept(1, None), proven(kept(1, None), 1), proven(kept(1, None), 2));
    let told = |before: &Spec, after: &Spec| {
        let world = seen(converged(before), answers(Standing::default()));
        Planner::after(before).show(after, &world)
    };
    let is_new = Planner::first().show(&first, &Observed::nothing(first.key.clone()));
    assert!(is_new.contains("TLS: connections without it are refused"), "{is_new}");
    assert!(!is_new.contains("what runs now"), "{is_new}");
    let on = told(&plain, &first);
    assert!(on.contains("those of what runs now as well until it is replaced"), "{on}");
    assert!(!on.contains("a login of its own"), "who logs in has not changed: {on}");
    let other = told(&first, &second);
    assert!(other.contains("another certificate authority"), "{other}");
    let off = told(&second, &plain);
    assert!(off.contains("no TLS: what is said to it can be read on the way"), "{off}");
    assert!(!told(&first, &first).contains("TLS"));
}

#[test]
fn r22_what_a_migration_does_to_others_is_in_the_plan() {
    let (before, after) = (kept(1, Some("1")), kept(1, Some("2")));
    let grave = vec![
        remark(RemarkKind::LongLock, "nobody writes to orders while the index is made"),
        remark(RemarkKind::Loses, "the column orders.note is lost"),
    ];
    let world = seen(converged(&before), answers(at(2, vec![pending(3, grave), pending(4, Vec::new())])));
    insta::assert_snapshot!(Planner::after(&before).show(&after, &world));
}

#[test]
fn r22_a_database_with_a_policy_is_backed_up_before_it_is_migrated() {
    let with_policy = |version| {
        let mut spec = kept(1, Some(version));
        let policy = BackupPolicy {
            line: Some(10),
            every_ms: None,
            keep: Keep::USUAL,
            drill_ms: None,
            start: Vec::new(),
            expect: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            point_in_time: false,
        };
        spec.databases.get_mut(&name()).unwrap().backup = Some(policy);
        spec
    };
    let (before, after) = (with_policy("1"), with_policy("2"));
    let world = seen(converged(&before), answers(at(2, vec![pending(3, Vec::new())])));
    insta::assert_snapshot!(Planner::after(&before).show(&after, &world));
    // There is nothing to lose in a new one.
    let world =
        seen(Observed::nothing(before.key.clone()), SeenDatabase::Absent { pending: vec![pending(1, Vec::new())] });
    let shown = Planner::first().show(&before, &world);
    assert!(shown.contains("migrate") && !shown.contains("back db up"), "{shown}");
}

/// The same, run by another image of the server: as an update within its series is.
fn kept_by(image: &str, files: Option<&str>) -> Spec {
    let mut spec = kept(1, files);
    let service = spec.services.get_mut(&"db".parse().unwrap()).unwrap();
    service.artifact = db(image).artifact;
    spec
}

#[test]
fn r22_a_database_is_backed_up_before_another_version_of_its_server_opens_its_files() {
    let (before, after) = (kept(1, Some("1")), kept_by("16.9", Some("2")));
    let world = seen(converged(&before), answers(at(2, vec![pending(3, Vec::new())])));
    insta::assert_snapshot!(Planner::after(&before).show(&after, &world));
    let (plan, _) = Planner::after(&before).plan(&after, &world);
    let is_backup = |step: &&daybook_model::Step| matches!(step.action, daybook_model::Action::BackUp { .. });
    assert_eq!(plan.steps.iter().filter(is_backup).count(), 1, "once, though it is migrated as well");
    // One that does not answer cannot be backed up, and an update may be what mends it.
    let silent = SeenDatabase::Silent { why: "connection refused".to_owned() };
    let shown = Planner::after(&before).show(&kept_by("16.9", Some("1")), &seen(converged(&before), silent));
    assert!(shown.contains("no backup before its server changes") && !shown.contains("back db up"), "{shown}");
    // Whoever goes back does not wait for a backup.
    let recovery = Planner { recovery: true, ..Planner::after(&after) };
    let shown = recovery.show(&before, &seen(converged(&after), answers(at(2, Vec::new()))));
    assert!(!shown.contains("back db up"), "{shown}");
}

#[test]
fn r16_a_rollout_begins_no_server_beside_the_rows_and_an_upgrade_asks_no_database() {
    let with = |version: &str| {
        let mut spec = kept_by(version, Some("1"));
        let service = spec.services.get_mut(&"db".parse().unwrap()).unwrap();
        let place = EnvValue::Text(format!("/var/lib/postgresql/data/{version}"));
        service.container.environment.insert("PGDATA".to_owned(), place);
        if let Artifact::Image { server, .. } = &mut service.artifact {
            let version = version.to_owned();
            *server = Some(Box::new(DatabaseServer { engine: Engine::Postgres, version }));
        }
        spec
    };
    let (before, after) = (with("16"), with("17"));
    let world = seen(converged(&before), answers(at(2, vec![pending(3, Vec::new())])));
    let (_, problems) = Planner::after(&before).plan(&after, &world);
    let told: Vec<_> = problems.iter().map(|problem| (problem.code.as_str(), problem.message.as_str())).collect();
    let why = "`db` would be PostgreSQL 16 → PostgreSQL 17: a major version does not read the files of another";
    assert_eq!(told, [("P0119", why)]);
    assert!(problems[0].hint.contains("`daybook db upgrade db`"), "{}", problems[0].hint);
    let (plan, problems) = Planner { purpose: RunKind::Upgrade, ..Planner::after(&before) }.plan(&after, &world);
    assert!(problems.is_empty() && !plan.is_empty(), "{problems:?}");
    assert!(plan.steps.iter().all(|step| step.action.database().is_none()), "nothing is migrated: {plan:?}");
}

#[test]
fn what_is_there_as_it_should_be_is_left_alone() {
    let spec = kept(1, Some("1"));
    let world = seen(converged(&spec), answers(at(2, Vec::new())));
    let (plan, problems) = Planner::after(&spec).plan(&spec, &world);
    assert!(plan.is_empty() && problems.is_empty(), "{plan:?} {problems:?}");
    // Who heals neither asks databases nor changes them.
    let healer = Planner { purpose: RunKind::Heal, ..Planner::after(&spec) };
    assert!(healer.plan(&spec, &converged(&spec)).0.is_empty());
}

#[test]
fn r01_a_new_password_has_a_login_of_its_own_before_replicas_use_it() {
    let (before, after) = (kept(1, Some("1")), kept(2, Some("1")));
    let world = seen(converged(&before), answers(at(2, Vec::new())));
    let planner = Planner { purpose: RunKind::Rotate, ..Planner::after(&before) };
    insta::assert_snapshot!(planner.show(&after, &world));
}

#[test]
fn services_that_migrate_by_themselves_may_change_tables() {
    let (before, after) = (kept(1, Some("1")), kept(1, None));
    let world = seen(converged(&before), answers(at(2, Vec::new())));
    let text = Planner::after(&before).show(&after, &world);
    assert!(text.contains("a login of its own for web, which may change tables"), "{text}");
    assert!(!text.contains("migrate db"), "{text}");
}

#[test]
fn a_database_of_others_is_migrated_first_of_all() {
    let spec = elsewhere("1");
    let nothing = Observed::nothing(spec.key.clone());
    let world = seen(nothing.clone(), answers(at(1, vec![pending(2, Vec::new())])));
    insta::assert_snapshot!(Planner::first().show(&spec, &world));
    let silent = SeenDatabase::Silent { why: "connection refused".to_owned() };
    let (_, problems) = Planner::first().plan(&spec, &seen(nothing, silent));
    let told: Vec<_> = problems.iter().map(|problem| (problem.code.as_str(), problem.message.as_str())).collect();
    assert_eq!(told, [("P0115", "the database `db` cannot be asked: connection refused")]);
    assert!(problems[0].is_open(), "a plan can be shown without it");
}

#[test]
fn a_database_of_ours_that_does_not_answer_is_migrated_once_it_does() {
    let (before, after) = (kept(1, Some("1")), kept(1, Some("2")));
    let silent = || SeenDatabase::Silent { why: "no replica of db runs".to_owned() };
    let (plan, problems) = Planner::after(&before).plan(&after, &seen(converged(&before), silent()));
    assert!(problems.is_empty());
    assert!(plan.steps.iter().any(|step| step.action.database().is_some()), "{plan:?}");
    let (plan, _) = Planner::after(&before).plan(&before, &seen(converged(&before), silent()));
    assert!(plan.is_empty(), "the files are those of the release in force: {plan:?}");
}

#[test]
fn r22_a_history_that_does_not_fit_and_files_that_are_none_refuse_the_plan() {
    let spec = kept(1, Some("1"));
    let wrong = vec!["version 1 was changed".to_owned(), "version 2 was broken off".to_owned()];
    let world = seen(converged(&spec), answers(Standing { wrong, ..at(2, Vec::new()) }));
    let codes = |world: &Observed, purpose| {
        let (_, problems) = Planner { purpose, ..Planner::after(&spec) }.plan(&spec, world);
        problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&world, RunKind::Up), ["P0117", "P0117"]);
    assert_eq!(codes(&world, RunKind::Scale), [""; 0], "nothing is migrated");
    let world = seen(converged(&spec), SeenDatabase::Unreadable { why: vec!["`V__a.sql`: no version".to_owned()] });
    assert_eq!(codes(&world, RunKind::Up), ["P0116"]);
}

#[test]
fn r22_a_release_does_not_go_back_behind_what_breaks_it() {
    let (old, new) = (kept(1, Some("1")), kept(1, Some("2")));
    let back = Planner { purpose: RunKind::Rollback, ..Planner::after(&new) };
    let beyond = |remarks| answers(Standing { beyond: vec![pending(3, remarks)], ..at(3, Vec::new()) });
    let breaks = vec![remark(RemarkKind::Breaks, "the version before still calls it orders.note")];
    let (_, problems) = back.plan(&old, &seen(converged(&new), beyond(breaks)));
    let told: Vec<_> = problems.iter().map(|problem| (problem.code.as_str(), problem.message.as_str())).collect();
    let expected = "the database `db` has version 3, which this release does not know: the version before still calls it \
                    orders.note";
    assert_eq!(told, [("P0118", expected)]);
    // What only adds is no hindrance.
    let (_, problems) = back.plan(&old, &seen(converged(&new), beyond(vec![remark(RemarkKind::Lock, "a moment")])));
    assert!(problems.is_empty(), "{problems:?}");
    // A rollout that failed goes back whatever was migrated.
    let recovery = Planner { recovery: true, ..Planner::after(&new) };
    assert!(recovery.plan(&old, &converged(&new)).1.is_empty());
}
