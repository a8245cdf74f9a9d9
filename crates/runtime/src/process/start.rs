//! Starts replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use daybook_model::Launch;
use daybook_model::launch::Role;
use daybook_model::observed::ReplicaState;
use daybook_model::spec::MountSource;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::environment::environment;
use super::layout::{Layout, ReplicaDir};
use super::leftovers::clear;
use super::observe::read;
use super::record::{Assignment, Begin, Kept, Record, Request, UserIds};
use super::workdir::remove_tree;
use super::{cgroup, control, engine, ports, users, workdir};
use crate::files::{kind, lock, make_directory, write_atomically};
use crate::{Error, ErrorKind, Result};

/// A shim that has not answered by then will not.
const STARTED_WITHIN: Duration = Duration::from_secs(60);
/// A shim that has told of its replica's end needs this long at most to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A replica whose directory is made and whose shim can be started. Nobody else can start it
/// meanwhile: it holds the lock.
pub(crate) struct Prepared {
    dir: ReplicaDir,
    assignment: Assignment,
    _lock: File,
}

/// Makes everything that a replica needs. `None`: it runs already.
pub(crate) fn prepare(layout: &Layout, shim: &[String], launch: &Launch) -> Result<Option<Prepared>> {
    let argv = command(shim, launch)?;
    let (key, id, role) = (&launch.key, &launch.id, launch.role);
    make_directory(&layout.environment(key))?;
    let lock = lock(&layout.lock(key, id))?;
    let dir = layout.replica(key, id, role);
    let before = match kept(layout, launch)? {
        Some(kept) => {
            same(launch, &kept.record)?;
            return Ok(None);
        }
        None => read::<Record>(&dir.record()),
    };
    if let Some(before) = &before {
        same(launch, before)?;
    }
    if !layout.artifacts().holds(&launch.artifact) {
        let why = format!("the snapshot {} is not on this machine", launch.artifact.short());
        return Err(Error::new(ErrorKind::NotFound, format!("start {id}"), why).hint("plan and run again"));
    }
    let is_new = !dir.path().exists();
    if is_new {
        make_directory(dir.path())?;
    } else {
        clear(layout, key, id, role)?;
    }
    match furnish(layout, shim, launch, &dir, argv, before) {
        Ok(assignment) => Ok(Some(Prepared { dir, assignment, _lock: lock })),
        Err(error) => {
            // Nothing half made is left, secrets least of all.
            let _ = remove_tree(&if is_new { dir.path().to_owned() } else { dir.files() });
            Err(error)
        }
    }
}

/// Fills a replica's directory.
fn furnish(
    layout: &Layout,
    shim: &[String],
    launch: &Launch,
    dir: &ReplicaDir,
    argv: Vec<String>,
    before: Option<Record>,
) -> Result<Assignment> {
    let user = user(layout, launch)?;
    let record = record(layout, launch, argv, before)?;
    workdir::make(layout, dir, launch, user.as_ref())?;
    let socket = layout.socket(&launch.key, &launch.id, launch.role);
    let begin = begin(layout, dir, launch, &record, user, &socket)?;
    let _ = fs::remove_file(dir.life());
    let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
    write_atomically(&dir.record(), &text, 0o600)?;
    Ok(Assignment { record, begin, socket, shim: shim.to_vec() })
}

impl Prepared {
    /// Starts the shim, and returns when it has started the replica's process.
    pub(crate) async fn start(self) -> Result<()> {
        let result = self.start_shim().await;
        if result.is_err() {
            let _ = remove_tree(&self.dir.files());
        }
        result
    }

    async fn start_shim(&self) -> Result<()> {
        let operation = format!("start {}", self.assignment.record.id);
        let wrong = |error: io::Error| Error::new(kind(&error), &operation, format!("its shim: {error}"));
        let text = serde_json::to_vec(&self.assignment).expect("an assignment is plain data");
        let (program, arguments) = self.assignment.shim.split_first().expect("a shim has a command line");
        let complaints = OpenOptions::new().create(true).append(true).mode(0o600).open(self.dir.shim_log());
        let mut child = Command::new(program)
            .args(arguments)
            .arg(self.dir.path())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.map_err(wrong)?)
            .spawn()
            .map_err(wrong)?;
        let mut input = child.stdin.take().expect("it is piped");
        let mut output = child.stdout.take().expect("it is piped");
        // It lives on when this server ends; while the server lives it must be waited for.
        tokio::spawn(async move { child.wait().await });
        let talk = async {
            input.write_all(&text).await?;
            drop(input);
            let mut answer = String::new();
            output.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        let answer = match tokio::time::timeout(STARTED_WITHIN, talk).await {
            Ok(answer) => answer.map_err(wrong)?,
            Err(_) => return Err(Error::new(ErrorKind::Unavailable, &operation, "its shim does not answer")),
        };
        match answer.trim_end() {
            "started" => Ok(()),
            why => {
                let why = if why.is_empty() { "it ended without a word; see shim.log" } else { why };
                Err(Error::new(ErrorKind::Internal, &operation, format!("its shim: {why}")))
            }
        }
    }
}

/// Who the replica's shim keeps. Waits for one that is about to end.
fn kept(layout: &Layout, launch: &Launch) -> Result<Option<Kept>> {
    let socket = layout.socket(&launch.key, &launch.id, launch.role);
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let paused = match control::ask::<Kept>(&socket, &Request::Who, control::PATIENCE) {
            Ok(kept) if kept.life.state != ReplicaState::Exited => return Ok(Some(kept)),
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
            Err(error) => is_late(&error),
        };
        if paused || Instant::now() > deadline {
            let why = "its shim is there and does not answer: it may be paused";
            return Err(Error::new(ErrorKind::Unavailable, format!("start {}", launch.id), why));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn same(launch: &Launch, record: &Record) -> Result<()> {
    if record.fingerprint == launch.fingerprint {
        return Ok(());
    }
    let why = format!("it is there with configuration {}, not {}", record.fingerprint, launch.fingerprint);
    Err(Error::new(ErrorKind::Conflict, format!("start {}", launch.id), why))
}

fn command(shim: &[String], launch: &Launch) -> Result<Vec<String>> {
    if launch.server.is_some() && launch.role == Role::Main {
        let told = launch.container.command.iter().flatten().cloned();
        // By this name its user finds the program wherever it is, in root's home for example.
        let shim = std::iter::once("/proc/self/exe".to_owned()).chain(shim.iter().skip(1).cloned());
        return Ok(shim.chain(["--engine".to_owned()]).chain(told).collect());
    }
    let entrypoint = launch.container.entrypoint.iter().flatten();
    let argv: Vec<String> = entrypoint.chain(launch.container.command.iter().flatten()).cloned().collect();
    if argv.first().is_none_or(String::is_empty) {
        let why = format!("service {} has no command", launch.id.service);
        return Err(Error::new(ErrorKind::Refused, format!("start {}", launch.id), why)
            .hint("on the process runtime a service says what to run: `command: bin/web`"));
    }
    Ok(argv)
}

fn user(layout: &Layout, launch: &Launch) -> Result<Option<UserIds>> {
    let me = rustix::process::geteuid();
    let usual = launch.server.as_ref().filter(|_| me.is_root()).map(|server| engine::user(server.engine));
    let written = launch.container.user.as_deref().filter(|name| !name.is_empty());
    let Some(name) = written.or(usual) else { return Ok(None) };
    let refused = |why: String| Error::new(ErrorKind::Refused, format!("start {}", launch.id), why);
    let groups = &launch.container.options.group_add;
    let user = users::find(name, groups).ok_or_else(|| refused(format!("this machine has no user {name}")))?;
    if !me.is_root() && me.as_raw() != user.uid {
        return Err(refused(format!("only root can start a process as user {name}")));
    }
    if me.as_raw() == user.uid && groups.is_empty() {
        return Ok(None);
    }
    if let Some(closed) = layout.root().ancestors().find(|directory| !is_open(directory)) {
        let why = format!("user {name} cannot enter {}, where replicas live", closed.display());
        return Err(refused(why).hint(format!("chmod o+x {}", closed.display())));
    }
    Ok(Some(user))
}

fn is_open(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
}

fn record(layout: &Layout, launch: &Launch, argv: Vec<String>, before: Option<Record>) -> Result<Record> {
    let before = before.map(|before| before.ports).unwrap_or_default();
    let given = given_ports(layout, launch)?;
    let volumes = launch.container.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(name.clone()),
        _ => None,
    });
    Ok(Record {
        key: launch.key.clone(),
        id: launch.id.clone(),
        role: launch.role,
        release: launch.release,
        run: launch.run,
        fingerprint: launch.fingerprint.clone(),
        artifact: launch.artifact,
        ports: ports::assign(&launch.ports, &before, &given)?,
        volumes: volumes.collect(),
        argv,
        restart: if launch.role == Role::Main { launch.restart } else { daybook_model::spec::Restart::No },
        stop: launch.stop.clone(),
        log: launch.container.log.clone(),
        resources: launch.container.resources.clone(),
    })
}

/// Ports that other replicas were given, whether they run now or not.
fn given_ports(layout: &Layout, launch: &Launch) -> Result<BTreeSet<u16>> {
    let own = layout.replica(&launch.key, &launch.id, launch.role);
    let mut given = BTreeSet::new();
    for key in layout.environments()? {
        for dir in layout.replicas(&key)?.into_iter().filter(|dir| *dir != own) {
            given.extend(read::<Record>(&dir.record()).into_iter().flat_map(|record| record.ports.into_values()));
        }
    }
    Ok(given)
}

fn begin(
    layout: &Layout,
    dir: &ReplicaDir,
    launch: &Launch,
    record: &Record,
    user: Option<UserIds>,
    socket: &str,
) -> Result<Begin> {
    let place = layout.cgroup(&launch.key, &launch.id, launch.role);
    let made = cgroup::create(&place, &launch.container.resources);
    let cgroups = made.map_err(|e| Error::new(ErrorKind::Internal, format!("limit {}", launch.id), e))?;
    let mut ulimits: BTreeMap<_, _> = launch.container.options.ulimits.clone();
    if let (false, Some(bytes)) = (cgroup::available().contains(&"memory"), launch.container.resources.memory_bytes) {
        // Without control groups this is the nearest bound: of each process, not of all together.
        let bytes = i64::try_from(bytes).unwrap_or(-1);
        ulimits.entry("data".to_owned()).or_insert((bytes, bytes));
    }
    Ok(Begin {
        argv: record.argv.clone(),
        environment: environment(layout, dir, launch, record, socket)?,
        directory: workdir::start_directory(dir, launch)?,
        user,
        cgroups,
        ulimits,
        oom_score_adj: launch.container.options.oom_score_adj,
    })
}
