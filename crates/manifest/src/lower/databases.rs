//! Databases: those that somebody else runs, and those that become a service of the environment.

use std::collections::BTreeMap;

use daybook_model::database::{
    DatabaseFact, DatabaseServer, DatabaseUse, Engine, Keeper, Kept, MigrationSource, Migrations,
};
use daybook_model::masking::{Masking, Rule};
use daybook_model::spec::{
    Artifact, Condition, Container, Dependency, EnvValue, FileContent, FileMount, Mount, MountSource, Port, Protocol,
    PullPolicy, SecretRef, Service, Stop, TemplatePart, Volume,
};
use daybook_model::{Database, DatabaseName, ServiceName, Spec, VolumeName};

use super::read::{bytes, flag, text, text_map};
use super::{Manifest, backups, networks, resources, secrets, tls};
use crate::context::Problem;
use crate::secrets::secret_of_database;
use crate::tree::{Entry, Node, Span, Value};

/// A database may write what it has in memory before it ends.
const GRACE_MS: u64 = 60_000;
/// Where the configuration is that a server reads.
const CONFIGURATION: &str = "/run/daybook/server.conf";
/// Where the volume of a PostgreSQL is.
const POSTGRES_FILES: &str = "/var/lib/postgresql/data";
/// Where the volume of a MySQL or MariaDB is.
const MYSQL_FILES: &str = "/var/lib/mysql";

/// What only a database that Daybook runs can have.
const OF_KEPT: [&str; 7] = ["image", "name", "storage", "resources", "networks", "settings", "tls"];

/// Every database; those that Daybook runs become services.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, spec: &mut Spec) {
    for entry in manifest.section("databases").into_iter().flat_map(|all| all.iter()) {
        let Some(name) = name(manifest, entry) else { continue };
        let Some(server) = server(manifest, entry) else { continue };
        let keeper = match entry.value.get("url") {
            Some(url) => elsewhere(manifest, &name, entry, url),
            None => kept(manifest, spec, &name, entry, &server),
        };
        let Some(keeper) = keeper else { continue };
        let line = Some(manifest.ctx.line(entry.key_span));
        let migrations = migrations(manifest, &entry.value, server.engine);
        let masking = masking(manifest, &entry.value, server.engine);
        let backup = backups::policy(manifest, &entry.value, server.engine);
        spec.databases.insert(name, Database { line, engine: server.engine, keeper, migrations, backup, masking });
    }
    depend(spec);
}

/// What a service is told of a database where it writes `${db.url}`.
pub(super) fn used(
    manifest: &Manifest<'_, '_>,
    service: &ServiceName,
    entry: &Entry,
    fact: &str,
    span: Span,
) -> Option<TemplatePart> {
    let Some((_, fact)) = DatabaseFact::ALL.into_iter().find(|(word, _)| *word == fact) else {
        let words = DatabaseFact::ALL.map(|(word, _)| word);
        let problem = Problem::new("M0306", span, format!("a database has no `{fact}`"));
        let near = manifest.ctx.nearest(fact, words);
        let label = near.map_or(format!("one of `{}`", words.join("`, `")), |near| format!("did you mean `{near}`?"));
        manifest.ctx.report(problem.label(label).help("write `$$` for a dollar sign"));
        return None;
    };
    if fact == DatabaseFact::Ca && !flag(&entry.value, "tls") {
        let problem = Problem::new("M0306", span, format!("the database `{}` has no authority", entry.key));
        let help = format!("write `tls: true` in `databases.{}`", entry.key);
        manifest.ctx.report(problem.label("who connects to it does not speak TLS").help(help));
        return None;
    }
    // What is wrong with its name or engine is told where it is described.
    let database = DatabaseName::new(entry.key.clone()).ok()?;
    let login = match entry.value.get("url") {
        Some(url) => url_of(manifest, &database, url)?,
        None => {
            let engine = text(&entry.value, "engine").and_then(|written| parse(&written))?.engine;
            if engine.has_tables() { login(&database, service) } else { password(&database) }
        }
    };
    Some(TemplatePart::Database(Box::new(DatabaseUse { database, fact, login })))
}

fn generated(database: &DatabaseName, part: &str) -> SecretRef {
    SecretRef { name: secret_of_database(database, part), version: None, generate: true }
}

fn password(database: &DatabaseName) -> SecretRef {
    generated(database, "admin")
}

fn login(database: &DatabaseName, service: &ServiceName) -> SecretRef {
    generated(database, &format!("login.{service}"))
}

fn name(manifest: &Manifest<'_, '_>, entry: &Entry) -> Option<DatabaseName> {
    let name = match DatabaseName::new(entry.key.clone()) {
        Ok(name) => name,
        Err(error) => {
            let problem = Problem::new("M0118", entry.key_span, error.to_string());
            manifest.ctx.report(problem.label("choose another name"));
            return None;
        }
    };
    if let Some(service) = manifest.section("services").and_then(|services| services.entry(&entry.key)) {
        let problem = Problem::new("M0131", entry.key_span, format!("`{name}` is a database and a service"));
        manifest
            .ctx
            .report(problem.label("a database that Daybook runs is a service").also(service.key_span, "the other"));
        return None;
    }
    Some(name)
}

/// `postgres:16`: the engine and, of one that Daybook runs, its version.
fn server(manifest: &Manifest<'_, '_>, entry: &Entry) -> Option<DatabaseServer> {
    let engines = || Engine::ALL.map(Engine::word).join("`, `");
    let Some((written, span)) = entry.value.get("engine").and_then(|node| Some((node.scalar()?, node.span))) else {
        let problem = Problem::new("M0131", entry.key_span, format!("nothing says what `{}` is", entry.key));
        let help = format!("`engine: postgres:16`; engines are `{}`", engines());
        manifest.ctx.report(problem.label("`engine` is missing").help(help));
        return None;
    };
    let Some(server) = parse(written) else {
        let problem = Problem::new("M0131", span, format!("`{written}` is no engine"));
        let near = manifest.ctx.nearest(written.split(':').next().unwrap_or(written), Engine::ALL.map(Engine::word));
        let label = near.map_or(format!("one of `{}`", engines()), |near| format!("did you mean `{near}`?"));
        manifest.ctx.report(problem.label(label).help("with its version: `postgres:16`"));
        return None;
    };
    if entry.value.get("url").is_none() && server.version.is_empty() {
        let problem = Problem::new("M0131", span, format!("`{written}` has no version"));
        let help = "the version decides how its files are read, so that it must not change by itself";
        manifest.ctx.report(problem.label("write it like `postgres:16`").help(help));
        return None;
    }
    Some(server)
}

fn parse(written: &str) -> Option<DatabaseServer> {
    let (engine, version) = written.split_once(':').unwrap_or((written, ""));
    Some(DatabaseServer { engine: engine.parse().ok()?, version: version.to_owned() })
}

fn elsewhere(manifest: &Manifest<'_, '_>, name: &DatabaseName, entry: &Entry, url: &Node) -> Option<Keeper> {
    for key in OF_KEPT {
        let Some(node) = entry.value.get(key) else { continue };
        let problem = Problem::new("M0131", node.span, format!("`{key}` of `{name}` means nothing: it has a `url`"));
        manifest
            .ctx
            .report(problem.label("who runs it decides this").help("leave it out, or let Daybook run it: no `url`"));
    }
    url_of(manifest, name, url).map(|url| Keeper::Elsewhere { url })
}

/// The secret that is a database's URL: one by name, or what is written, which is sealed.
fn url_of(manifest: &Manifest<'_, '_>, name: &DatabaseName, url: &Node) -> Option<SecretRef> {
    if let Value::Map(_) = &url.value {
        let Some(secret) = url.get("secret").and_then(|node| Some((node.scalar()?, node.span))) else {
            let problem = Problem::new("M0119", url.span, "`secret` is missing");
            manifest.ctx.report(problem.label("write `{secret: NAME}`"));
            return None;
        };
        return secrets::named(manifest, secret.0, secret.1, false);
    }
    let secret = SecretRef { name: secret_of_database(name, "url"), version: None, generate: false };
    let written = url.scalar().filter(|text| !text.is_empty());
    if let Some(value) = written {
        manifest.provided.borrow_mut().insert(secret.name.clone(), value.to_owned());
    }
    Some(secret)
}

fn kept(
    manifest: &Manifest<'_, '_>,
    spec: &mut Spec,
    database: &DatabaseName,
    entry: &Entry,
    server: &DatabaseServer,
) -> Option<Keeper> {
    let node = &entry.value;
    let service = ServiceName::new(database.as_str()).ok()?;
    let volume =
        VolumeName::new(format!("{database}-data")).ok().or_else(|| VolumeName::new(database.as_str()).ok())?;
    let name = text(node, "name").unwrap_or_else(|| database.as_str().replace(['-', '.'], "_"));
    let size = bytes(node, "storage");
    spec.volumes.entry(volume.clone()).or_insert_with(|| Volume { size, ..Volume::default() });
    let mut made = of_engine(server, database, &name, node);
    let authority = flag(node, "tls").then(|| generated(database, "authority"));
    if let Some(authority) = &authority {
        tls::serve(server, authority, &mut made.container);
    }
    made.container.mounts.insert(0, mount(made.data, volume));
    made.container.networks = networks::lower(manifest, node).into_iter().collect();
    made.container.resources = resources::lower(node);
    let reference = text(node, "image").unwrap_or_else(|| format!("{}:{}", server.engine, server.version));
    let artifact =
        Artifact::Image { reference, pull: PullPolicy::Missing, digest: None, server: Some(Box::new(server.clone())) };
    let port = server.engine.port();
    let described = Service {
        line: Some(manifest.ctx.line(entry.key_span)),
        container: made.container,
        ports: vec![Port { container: port, protocol: Protocol::Tcp, publish: None }],
        stop: Stop { signal: made.stop.to_owned(), grace_ms: GRACE_MS },
        ..Service::new(service.clone(), artifact)
    };
    spec.services.insert(service.clone(), Box::new(described));
    let admin = made.admin.to_owned();
    let kept = Kept { service, port, name, admin, password: password(database), logins: BTreeMap::new(), authority };
    Some(Keeper::Service(Box::new(kept)))
}

/// Where a server keeps its files in its volume: beneath the mount, which may hold `lost+found`, and each series in a place
/// of its own, so that one that does not read the files of another begins beside them, and they are the way back.
fn place_in(mount: &str, server: &DatabaseServer) -> String {
    match server.series() {
        Some(series) => format!("{mount}/{series}"),
        None => mount.to_owned(),
    }
}

fn mount(target: &str, name: VolumeName) -> Mount {
    let source = MountSource::Volume { name, subpath: None, nocopy: false };
    Mount { target: target.to_owned(), source, read_only: false }
}

/// What is special of an engine.
struct OfEngine {
    container: Container,
    /// Where it keeps its files.
    data: &'static str,
    /// How it is asked to end without waiting for who is logged in.
    stop: &'static str,
    admin: &'static str,
}

/// The variables that official images read, and settings by its size. Where replicas are plain processes, Daybook
/// reads the same.
fn of_engine(server: &DatabaseServer, database: &DatabaseName, name: &str, node: &Node) -> OfEngine {
    let engine = server.engine;
    let secret = |of: SecretRef| EnvValue::Secret(of);
    let written = |text: &str| EnvValue::Text(text.to_owned());
    let memory = node.get("resources").and_then(|resources| bytes(resources, "memory"));
    let mut settings = match engine {
        Engine::Postgres => {
            let archives = node.get("backup").is_some_and(|backup| flag(backup, "point_in_time"));
            for_postgres(memory).into_iter().chain(archives.then(archiving).into_iter().flatten()).collect()
        }
        Engine::Mysql | Engine::Mariadb => {
            let place = ("datadir".to_owned(), place_in(MYSQL_FILES, server));
            std::iter::once(place).chain(memory.map(for_mysql).into_iter().flatten()).collect()
        }
        Engine::Redis | Engine::Valkey => Vec::new(),
    };
    for (key, value) in text_map(node, "settings") {
        settings.retain(|(known, _)| *known != key);
        settings.push((key, value));
    }
    let mut container = Container::default();
    let mut set = |name: &str, value: EnvValue| drop(container.environment.insert(name.to_owned(), value));
    match engine {
        Engine::Postgres => {
            set("POSTGRES_DB", written(name));
            set("POSTGRES_PASSWORD", secret(password(database)));
            set("PGDATA", EnvValue::Text(place_in(POSTGRES_FILES, server)));
            let options = settings.iter().flat_map(|(key, value)| ["-c".to_owned(), format!("{key}={value}")]);
            container.command = Some(std::iter::once("postgres".to_owned()).chain(options).collect());
            OfEngine { container, data: POSTGRES_FILES, stop: "SIGINT", admin: "postgres" }
        }
        Engine::Mysql | Engine::Mariadb => {
            let (prefix, program) = if engine == Engine::Mysql { ("MYSQL", "mysqld") } else { ("MARIADB", "mariadbd") };
            set(&format!("{prefix}_DATABASE"), written(name));
            set(&format!("{prefix}_ROOT_PASSWORD"), secret(password(database)));
            let options = settings.iter().map(|(key, value)| format!("--{}={value}", key.replace('_', "-")));
            container.command = Some(std::iter::once(program.to_owned()).chain(options).collect());
            OfEngine { container, data: MYSQL_FILES, stop: "SIGTERM", admin: "root" }
        }
        Engine::Redis | Engine::Valkey => {
            let mut parts =
                vec![TemplatePart::Text("requirepass ".to_owned()), TemplatePart::Secret(password(database))];
            let rest: String = settings.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
            parts.push(TemplatePart::Text(format!("\nappendonly yes\n{rest}")));
            let content = FileContent::Template(parts);
            let target = CONFIGURATION.to_owned();
            container.files.push(FileMount { target, content, uid: None, gid: None, mode: 0o444 });
            container.command = Some(vec![format!("{engine}-server"), CONFIGURATION.to_owned()]);
            OfEngine { container, data: "/data", stop: "SIGTERM", admin: "default" }
        }
    }
}

/// Settings of PostgreSQL for a size, by the rules of thumb of its documentation: a quarter of the memory is its own
/// cache, and the planner may count on three quarters together with the system's. Queries are always counted.
fn for_postgres(memory: Option<u64>) -> Vec<(String, String)> {
    let mebibytes = |bytes: u64, least: u64| format!("{}MB", (bytes >> 20).max(least));
    let sized = memory.map(|memory| {
        [
            ("shared_buffers", mebibytes(memory / 4, 16)),
            ("effective_cache_size", mebibytes(memory / 4 * 3, 16)),
            ("maintenance_work_mem", mebibytes((memory / 16).min(2 << 30), 16)),
            ("work_mem", mebibytes(memory / 4 / 100, 4)),
        ]
    });
    let counted = ("shared_preload_libraries", "pg_stat_statements".to_owned());
    let all = std::iter::once(counted).chain(sized.into_iter().flatten());
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// By what PostgreSQL lays down each segment that it has written, in a directory of its own that no base backup has:
/// whoever keeps backups takes it from there. A segment is there as a whole, or not at all. One that is laid down a second
/// time has to be the same.
const ARCHIVE_COMMAND: &str = "d=pg_wal/daybook && mkdir -p $d && if test -f $d/%f; then cmp -s %p $d/%f; \
     else cp -p %p $d/.%f && sync $d/.%f && mv $d/.%f $d/%f && sync $d; fi";

/// A piece is laid down after so long at most, if anything was written.
const ARCHIVE_TIMEOUT: &str = "60s";

/// Settings of PostgreSQL that archive what it writes.
fn archiving() -> Vec<(String, String)> {
    let all = [
        ("wal_level", "replica"),
        ("archive_mode", "on"),
        ("archive_command", ARCHIVE_COMMAND),
        ("archive_timeout", ARCHIVE_TIMEOUT),
    ];
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}

/// Settings of MySQL for a size: half of the memory is its cache.
fn for_mysql(memory: u64) -> Vec<(String, String)> {
    vec![("innodb_buffer_pool_size".to_owned(), (memory / 2).max(5 << 20).to_string())]
}

fn migrations(manifest: &Manifest<'_, '_>, node: &Node, engine: Engine) -> Option<Migrations> {
    let node = node.get("migrations").filter(|node| !node.is_null())?;
    let paths = if node.map().is_some() { node.get("path") } else { Some(node) };
    let paths: Vec<_> =
        paths.map(Node::items).unwrap_or_default().iter().filter(|path| path.scalar().is_some()).collect();
    let Some(first) = paths.first() else {
        manifest.ctx.report(Problem::new("M0119", node.span, "`path` is missing").label("which directory?"));
        return None;
    };
    if !engine.has_tables() {
        let problem = Problem::new("M0131", first.span, format!("{} has no tables to migrate", engine.name()));
        manifest.ctx.report(problem.label("leave it out"));
        return None;
    }
    Some(Migrations {
        sources: paths.into_iter().filter_map(|path| source(manifest, path)).collect(),
        schema: text(node, "schema"),
        table: text(node, "table"),
        placeholders: text_map(node, "placeholders"),
        out_of_order: flag(node, "out_of_order"),
    })
}

/// What becomes of columns in a clone: `orders.email: fake email`.
fn masking(manifest: &Manifest<'_, '_>, node: &Node, engine: Engine) -> Option<Masking> {
    let node = node.get("masking").filter(|node| !node.is_null())?;
    if !engine.has_tables() {
        let problem = Problem::new("M0133", node.span, format!("{} has no columns to mask", engine.name()));
        manifest.ctx.report(problem.label("leave it out").help("a masked clone leaves it empty"));
        return None;
    }
    let mut masking = Masking::default();
    for entry in node.map().into_iter().flat_map(|map| map.iter()) {
        if !entry.key.contains('.') {
            let problem = Problem::new("M0133", entry.key_span, format!("`{}` is no column", entry.key));
            manifest.ctx.report(problem.label("write `TABLE.COLUMN`, or `SCHEMA.TABLE.COLUMN`"));
            continue;
        }
        // What is no text at all is YAML's own null.
        match entry.value.scalar().unwrap_or("null").parse::<Rule>() {
            Ok(rule) => drop(masking.rules.insert(entry.key.to_string(), rule)),
            Err(error) => {
                let problem = Problem::new("M0133", entry.value.span, error.to_string());
                manifest.ctx.report(problem.label("no rule"));
            }
        }
    }
    Some(masking)
}

fn source(manifest: &Manifest<'_, '_>, path: &Node) -> Option<MigrationSource> {
    let root = manifest.ctx.resolve(path.span, path.scalar()?);
    if !manifest.ctx.files.exists(&root) {
        let problem = Problem::new("M0411", path.span, "the directory of migrations is not there");
        manifest.ctx.report(problem.label("no such directory").help("paths are meant from the manifest's directory"));
    }
    Some(MigrationSource { root, digest: None })
}

/// Who uses a database waits until it answers, and has a login of its own.
fn depend(spec: &mut Spec) {
    let Spec { services, databases, .. } = spec;
    for service in services.values_mut() {
        let used: Vec<_> = service.container.databases().cloned().collect();
        for used in used {
            let Some(Keeper::Service(kept)) = databases.get_mut(&used.database).map(|found| &mut found.keeper) else {
                continue;
            };
            if let Some(authority) = &kept.authority {
                tls::trust(&mut service.container, &used.database, authority);
            }
            if used.login.name != kept.password.name {
                kept.logins.insert(service.name.clone(), used.login.clone());
            }
            let dependency = Dependency { service: kept.service.clone(), condition: Condition::Healthy };
            match service.depends_on.iter_mut().find(|known| known.service == kept.service) {
                Some(known) => *known = dependency,
                None => service.depends_on.push(dependency),
            }
        }
    }
}
