//! Databases of a manifest.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use daybook_manifest::{Aim, Bundle, Loaded, Options, load, render};
use daybook_model::database::{Engine, Keeper};
use daybook_model::spec::{Artifact, Condition, EnvValue, FileContent, TemplatePart};

fn loaded(text: &str, variables: &[(&str, &str)]) -> (Loaded, String) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["migrations", "seeds"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    let path = directory.path().join("daybook.yaml");
    std::fs::write(&path, text).unwrap();
    let environment =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let (bundle, _) = Bundle::collect(&[path], &environment, None);
    let options = Options { aim: Aim::Act, ..Options::new("production".parse().unwrap()) };
    let loaded = load(&bundle, &options);
    let said = render(&loaded.diagnostics, &bundle, false);
    (loaded, said)
}

const SHOP: &str = "
app: shop
services:
  web: {image: web, port: 8080, environment: {DATABASE_URL: \"${db.url}\", HOST: \"${db.host}:${db.port}\", CACHE: \"${cache.url}\"}}
  worker: {from: web, port: null, command: work}
databases:
  db: {engine: \"postgres:16\", storage: 20Gi, resources: {memory: 1Gi}, settings: {max_connections: \"50\"}, migrations: ./migrations}
  cache: {engine: \"valkey:8\"}
environments:
  production: {databases: {db: {resources: {memory: 4Gi}}}}
";

#[test]
fn a_database_becomes_a_service_with_a_volume_and_logins() {
    let (loaded, said) = loaded(SHOP, &[]);
    let spec = loaded.spec.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(said, "");
    let db = &spec.services[&"db".parse().unwrap()];
    let Artifact::Image { reference, server: Some(server), .. } = &db.artifact else { panic!("{:?}", db.artifact) };
    assert_eq!((reference.as_str(), server.engine, server.version.as_str()), ("postgres:16", Engine::Postgres, "16"));
    let command = db.container.command.clone().unwrap().join(" ");
    assert_eq!(
        command,
        "postgres -c shared_preload_libraries=pg_stat_statements -c shared_buffers=1024MB -c \
         effective_cache_size=3072MB -c maintenance_work_mem=256MB -c work_mem=10MB -c max_connections=50",
        "for the memory that this environment gives it"
    );
    assert_eq!(db.stop.signal, "SIGINT", "it does not wait for who is logged in");
    let place = EnvValue::Text("/var/lib/postgresql/data/16".to_owned());
    assert_eq!(db.container.environment.get("PGDATA"), Some(&place), "each series has a place of its own");
    assert_eq!(spec.volumes[&"db-data".parse().unwrap()].size, Some(20 << 30));
    assert!(db.stop_first(&spec.volumes), "one writer to its volume");

    let database = &spec.databases[&"db".parse().unwrap()];
    let Keeper::Service(kept) = &database.keeper else { panic!("{database:?}") };
    let logins: Vec<_> = kept.logins.values().map(|secret| (secret.name.as_str(), secret.generate)).collect();
    assert_eq!(logins, [("database.db.login.web", true), ("database.db.login.worker", true)]);
    assert_eq!((kept.password.name.as_str(), kept.name.as_str()), ("database.db.admin", "db"));
    assert!(database.migrations.as_ref().unwrap().sources[0].root.ends_with("/migrations"));
    let web = &spec.services[&"web".parse().unwrap()];
    let waits: Vec<_> = web.depends_on.iter().map(|on| (on.service.as_str(), on.condition)).collect();
    assert_eq!(waits, [("cache", Condition::Healthy), ("db", Condition::Healthy)]);
}

#[test]
fn r31_a_password_is_in_no_specification() {
    let url = "postgres://shop:swordfish@db.example.com/shop";
    let text = "app: shop\nservices:\n  web: {image: web, environment: {A: \"${db.url}\"}}\n\
databases:\n  db: {engine: postgres, url: \"${DB_URL}\", migrations: ./migrations}\n";
    let (loaded, said) = loaded(text, &[("DB_URL", url)]);
    let spec = loaded.spec.unwrap_or_else(|| panic!("{said}"));
    assert!(!format!("{spec:?}").contains("swordfish"));
    assert_eq!(loaded.provided_secrets[&"database.db.url".parse().unwrap()], url);
    assert!(spec.services.len() == 1 && spec.volumes.is_empty(), "somebody else runs it");
    let web = &spec.services[&"web".parse().unwrap()];
    let EnvValue::Template(parts) = web.container.environment.get("A").unwrap() else { panic!("no template") };
    assert!(matches!(&parts[..], [TemplatePart::Database(used)] if used.login.name.as_str() == "database.db.url"));
}

#[test]
fn a_cache_has_its_password_in_a_file() {
    let (loaded, _) = loaded(SHOP, &[]);
    let spec = loaded.spec.unwrap();
    let cache = &spec.services[&"cache".parse().unwrap()];
    let FileContent::Template(parts) = &cache.container.files[0].content else { panic!("no template") };
    assert!(parts.iter().any(|part| matches!(part, TemplatePart::Secret(_))));
    assert_eq!(cache.container.command.as_deref().unwrap()[0], "valkey-server");
    let Keeper::Service(kept) = &spec.databases[&"cache".parse().unwrap()].keeper else { panic!("not ours") };
    assert!(kept.logins.is_empty(), "one password for all who use it");
}

const SEALED: &str = "
app: shop
services:
  web: {image: web, environment: {DATABASE_URL: \"${db.url}\", CA: \"${db.ca}\", CACHE: \"${cache.url}\"}}
  other: {image: web}
databases:
  db: {engine: \"postgres:16\", tls: true, settings: {ssl: \"off\"}}
  old: {engine: \"postgres:13\", tls: true}
  main: {engine: \"mysql:8.0\", tls: true}
  cache: {engine: \"redis:7\", tls: true}
";

#[test]
fn r31_a_database_with_tls_has_an_authority_and_its_server_takes_nothing_else() {
    let (loaded, said) = loaded(SEALED, &[]);
    let spec = loaded.spec.unwrap_or_else(|| panic!("{said}"));
    let service = |name: &str| &spec.services[&name.parse().unwrap()].container;
    let files = |name: &str| {
        let files = service(name).files.iter();
        files.map(|file| (file.target.clone(), file.content.clone(), file.mode)).collect::<Vec<_>>()
    };
    let command = |name: &str| service(name).command.clone().unwrap().join(" ");
    let Keeper::Service(kept) = &spec.databases[&"db".parse().unwrap()].keeper else { panic!("not ours") };
    let authority = kept.authority.clone().unwrap();
    assert_eq!((authority.name.as_str(), authority.generate), ("database.db.authority", true));

    let (proof, key) = (FileContent::Authority(authority.clone()), FileContent::Certificate(authority));
    let hba = |method: &str| {
        FileContent::Text(format!(
            "local all all trust\nhostssl all all all {method}\nhostssl replication all 127.0.0.1/32 {method}\n\
             hostssl replication all ::1/128 {method}\n"
        ))
    };
    let of_db = [
        ("/run/daybook/authority.pem".to_owned(), proof.clone(), 0o444),
        ("/run/daybook/server.pem".to_owned(), key, 0o600),
        ("/run/daybook/hba.conf".to_owned(), hba("scram-sha-256"), 0o444),
    ];
    assert_eq!(files("db"), of_db);
    assert_eq!(files("old")[2].1, hba("md5"), "its passwords are kept in the older form");
    let last = "-c ssl=off -c ssl=on -c ssl_cert_file=/run/daybook/server.pem -c ssl_key_file=/run/daybook/server.pem \
                -c hba_file=/run/daybook/hba.conf";
    assert!(command("db").ends_with(last), "the last word counts: {}", command("db"));
    assert!(command("main").contains("--require-secure-transport=ON"), "{}", command("main"));
    assert!(command("cache").contains("--port 0 --tls-port 6379"), "{}", command("cache"));

    let web: Vec<_> = files("web").into_iter().map(|(target, content, _)| (target, content)).collect();
    assert_eq!(web[0], ("/run/daybook/db.ca.pem".to_owned(), proof));
    assert_eq!(web[1].0, "/run/daybook/cache.ca.pem");
    assert_eq!((web.len(), files("other").len()), (2, 0), "who uses it trusts it, and nobody else");
}

#[test]
fn an_environment_adds_what_only_it_is_seeded_with() {
    let text = "app: a\nservices:\n  web: {image: web}\ndatabases:\n  db: {engine: \"postgres:16\", migrations: ./migrations}\n\
environments:\n  production: {databases: {db: {migrations: [./seeds]}}}\n";
    let (loaded, said) = loaded(text, &[]);
    let spec = loaded.spec.unwrap_or_else(|| panic!("{said}"));
    let sources = &spec.databases[&"db".parse().unwrap()].migrations.as_ref().unwrap().sources;
    let ends: Vec<_> = sources.iter().map(|source| source.root.rsplit('/').next().unwrap()).collect();
    assert_eq!(ends, ["migrations", "seeds"]);
}

#[test]
fn what_cannot_be_had_is_told_where_it_stands() {
    let wrong = [
        ("db: {engine: oracle}", "M0131", "`oracle` is no engine"),
        ("db: {engine: postgress}", "M0131", "did you mean `postgres`?"),
        ("db: {engine: postgres}", "M0131", "`postgres` has no version"),
        ("db: {storage: 1Gi}", "M0131", "nothing says what `db` is"),
        ("web: {engine: \"postgres:16\"}", "M0131", "`web` is a database and a service"),
        ("db: {engine: postgres, url: \"postgres://h/d\", storage: 1Gi}", "M0131", "`storage` of `db` means nothing"),
        ("db: {engine: \"redis:7\", migrations: ./migrations}", "M0131", "Redis has no tables to migrate"),
        ("db: {engine: \"postgres:16\", migrations: ./none}", "M0411", "the directory of migrations is not there"),
        ("db: {engine: \"postgres:16\", migrations: {schema: a}}", "M0119", "`path` is missing"),
        ("db: {engine: postgres, url: \"postgres://h/d\", tls: true}", "M0131", "`tls` of `db` means nothing"),
        ("db: {engine: \"postgres:16\", migration: ./migrations}", "M0107", "did you mean `migrations`?"),
    ];
    for (database, code, words) in wrong {
        let text = format!("app: a\nservices:\n  web: {{image: web}}\ndatabases:\n  {database}\n");
        let (loaded, said) = loaded(&text, &[]);
        assert!(loaded.spec.is_none() && said.contains(code) && said.contains(words), "{database}\n{said}");
        assert!(said.contains(":5:") || said.contains(":3:"), "{said}");
    }
    let text = "app: a\nservices:\n  web: {image: web, environment: {A: \"${db.urll}\"}}\ndatabases:\n  db: {engine: \"redis:7\"}\n";
    let (_, said) = loaded(text, &[]);
    assert!(said.contains("M0306") && said.contains("did you mean `url`?"), "{said}");
    let (_, said) = loaded(&text.replace("urll", "ca"), &[]);
    assert!(said.contains("M0306") && said.contains("write `tls: true` in `databases.db`"), "{said}");
}

#[test]
fn what_a_postgresql_writes_is_archived_where_any_moment_is_wanted() {
    let with = |engine: &str, rest: &str| {
        let text = format!(
            "app: shop\nservices:\n  web: {{image: web}}\ndatabases:\n  db: {{engine: \"{engine}\", backup: {{point_in_time: true}}{rest}}}\n"
        );
        loaded(&text, &[])
    };
    let (plain, said) = with("postgres:16", ", settings: {archive_timeout: 5min}");
    let spec = plain.spec.unwrap_or_else(|| panic!("{said}"));
    let command = spec.services[&"db".parse().unwrap()].container.command.clone().unwrap();
    assert!(
        ["archive_mode=on", "wal_level=replica", "archive_timeout=5min"]
            .iter()
            .all(|one| { command.iter().filter(|word| word == one).count() == 1 })
    );
    assert!(spec.databases[&"db".parse().unwrap()].backup.as_ref().unwrap().point_in_time);
    let wrong = [
        ("mysql:8", "", "MySQL cannot be brought back to any moment"),
        ("postgres:16", ", settings: {archive_command: \"true\"}", "`archive_command` and `point_in_time`"),
        ("postgres:16", ", settings: {wal_level: minimal}", "too little is written"),
        ("postgres", ", url: {secret: x}", "somebody else runs this database"),
    ];
    for (engine, rest, why) in wrong {
        let (_, said) = with(engine, rest);
        assert!(said.contains("M0132") && said.contains(why), "{why}: {said}");
    }
}
