use std::net::SocketAddr;
use std::path::PathBuf;

#[cfg(feature = "databases")]
use std::time::Duration;

use clap::Args;
use daybook_api::client::Exit;
#[cfg(feature = "databases")]
use daybook_server::state_backup::{KeyCopy, Schedule};
use daybook_server::{Certificate, Config, KeySource, Receive, RuntimeChoice, Shared};

#[cfg(feature = "databases")]
use crate::args::duration;
use crate::context::Ctx;
use crate::error::{CommandError, Result};

/// Run the server in the foreground. It may be stopped, killed or upgraded at any time: what serves users
/// goes on without it.
///
/// Commands that need a server start one by themselves; it takes the same variables.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// What runs replicas: `process`, `docker`, or `auto` for Docker or Podman where one answers.
    #[arg(long, value_name = "RUNTIME", env = "DAYBOOK_RUNTIME", default_value = "auto")]
    runtime: RuntimeChoice,
    /// Where the edge serves HTTP, joined by commas: 0.0.0.0:80 for root, 0.0.0.0:8080 otherwise.
    #[arg(long, value_name = "ADDRESSES", env = "DAYBOOK_HTTP", value_delimiter = ',')]
    http: Vec<SocketAddr>,
    /// Where the edge serves HTTPS: 0.0.0.0:443 for root, 0.0.0.0:8443 otherwise.
    #[arg(long, value_name = "ADDRESSES", env = "DAYBOOK_HTTPS", value_delimiter = ',')]
    https: Vec<SocketAddr>,
    /// Keep the state in this PostgreSQL (postgres://USER:PASSWORD@HOST/NAME), which several servers may share. One of
    /// them leads; the others stand by. Better given by the variable: a command line is seen by everybody.
    #[arg(long, value_name = "URL", env = "DAYBOOK_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// The file of the master key, which seals secrets: 32 bytes. Servers that share a database have the same.
    /// By default `master.key` of the state directory, which is made when there is none.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// A program that prints the master key, with its arguments: the client of a key management service, `age
    /// --decrypt …`, `bao read …`. No shell reads it; blanks part the arguments.
    #[arg(long, value_name = "COMMAND", env = "DAYBOOK_KEY_FROM", conflicts_with = "key_file")]
    key_from: Option<String>,
    /// The file of the passphrase under which `daybook secret key --seal` has sealed the master key.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// Elect the leader by a Lease of the cluster that this server runs in, or that the current context names; without
    /// one, the servers elect it by the database.
    #[arg(long, value_name = "NAMESPACE/NAME", env = "DAYBOOK_LEASE", requires = "database")]
    lease: Option<String>,
    /// What this server is called among those that share the database: in a cluster, its pod. By default the machine.
    #[arg(long, value_name = "NAME", env = "DAYBOOK_IDENTITY", requires = "database")]
    identity: Option<String>,
    /// Answer /healthz and /leader over HTTP at this address.
    #[arg(long, value_name = "ADDRESS", env = "DAYBOOK_HEALTH", requires = "database")]
    health: Option<SocketAddr>,
    /// What the organisation asks of all its apps: a policy that every plan keeps to.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_LANDING_ZONE")]
    landing_zone: Option<PathBuf>,
    /// Answer in this directory as well, to the group that it belongs to: its members use `--state DIRECTORY`, and do
    /// under their own logins all that the API can.
    #[arg(long, value_name = "DIRECTORY", env = "DAYBOOK_SHARE")]
    share: Option<PathBuf>,
    /// Answer as a Prometheus at this address of the machine, for Grafana: http://ADDRESS.
    #[arg(long, value_name = "ADDRESS", env = "DAYBOOK_PROMETHEUS")]
    prometheus: Option<SocketAddr>,
    /// Take in at this address what other tools tell of: events for PagerDuty, alerts of Prometheus and Alertmanager, webhooks of
    /// PagerDuty. Where other machines reach it, it needs a certificate.
    #[arg(long, value_name = "ADDRESS", env = "DAYBOOK_RECEIVE")]
    receive: Option<SocketAddr>,
    /// The file of the certificate with which --receive speaks TLS, and of those that lead to its authority. What replaces it
    /// is used at once.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_RECEIVE_CERT", requires = "receive", requires = "receive_key")]
    receive_cert: Option<PathBuf>,
    /// The file of the key of that certificate.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_RECEIVE_KEY", requires = "receive_cert")]
    receive_key: Option<PathBuf>,
    /// Let channels lead to this network (10.1.0.0/16), address or host, which is not public, joined by commas: without it
    /// nobody who writes a manifest can have the server ask something inside.
    #[arg(long, value_name = "NETWORK|HOST", env = "DAYBOOK_NOTIFY_ALLOW", value_delimiter = ',')]
    notify_allow: Vec<String>,
    #[cfg(feature = "databases")]
    #[command(flatten)]
    state_backup: StateBackup,
    /// Lead a session of its own, so that it outlives the terminal that it was started from.
    #[arg(long, hide = true)]
    detached: bool,
}

/// How the server backs its own state up.
#[cfg(feature = "databases")]
#[derive(Debug, Args)]
struct StateBackup {
    /// Back up Daybook's own state by itself, to a directory or `s3://BUCKET/PREFIX`.
    #[arg(
        long = "state-backup",
        value_name = "PLACE",
        env = "DAYBOOK_STATE_BACKUP",
        requires = "state_backup_password_file"
    )]
    to: Option<String>,
    /// Between two backups of the state.
    #[arg(long = "state-backup-every", value_name = "TIME", env = "DAYBOOK_STATE_BACKUP_EVERY", value_parser = duration)]
    #[arg(default_value = "1h")]
    every: Duration,
    /// Between two drills of them, which restore the newest into a scratch directory.
    #[arg(long = "state-backup-drill", value_name = "TIME", env = "DAYBOOK_STATE_BACKUP_DRILL", value_parser = duration)]
    #[arg(default_value = "168h")]
    drill: Duration,
    /// The file whose first line is the password that encrypts them. Keep it where the machine is not.
    #[arg(id = "state_backup_password_file", long = "state-backup-password-file", value_name = "FILE")]
    #[arg(env = "DAYBOOK_STATE_BACKUP_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
    /// Leave the master key out of them.
    #[arg(long = "state-backup-without-key")]
    without_key: bool,
    #[command(flatten)]
    s3: super::state::S3,
}

#[cfg(feature = "databases")]
impl StateBackup {
    fn schedule(self) -> Result<Option<Schedule>> {
        let (Some(to), Some(password_file)) = (self.to, self.password_file) else { return Ok(None) };
        if self.every < SHORTEST || self.drill < SHORTEST {
            return Err(CommandError::usage("backups of the state are at least 10 s apart"));
        }
        let absolute = |path: PathBuf| {
            std::path::absolute(path).map_err(|error| CommandError::io("find the password of the backups", &error))
        };
        let key = if self.without_key { KeyCopy::LeftOut } else { KeyCopy::Included };
        let password_file = absolute(password_file)?;
        let (every, drill) = (self.every, self.drill);
        Ok(Some(Schedule { to, bucket: self.s3.bucket(), password_file, key, every, drill }))
    }
}

/// Between two backups of the state, at least.
#[cfg(feature = "databases")]
const SHORTEST: Duration = Duration::from_secs(10);

impl Serve {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        if self.detached {
            // Fails only for a process that leads a group already, which is as good.
            let _ = rustix::process::setsid();
        }
        let shared = self.shared()?;
        let receive = self.receive()?;
        let key = match (self.key_from, self.key_file) {
            (Some(words), _) => KeySource::Program(words.split_whitespace().map(str::to_owned).collect()),
            (None, Some(file)) => KeySource::File(file),
            (None, None) => KeySource::Own,
        };
        let exe = std::env::current_exe().map_err(|error| CommandError::io("find this program", &error))?;
        let config = Config {
            state: ctx.state.clone(),
            runtime: self.runtime,
            http: addresses(self.http, 80, 8080),
            https: addresses(self.https, 443, 8443),
            key,
            passphrase_file: self.passphrase_file,
            shared,
            landing_zone: self.landing_zone,
            share: self.share,
            prometheus: self.prometheus,
            receive,
            notify_allow: self.notify_allow,
            #[cfg(feature = "databases")]
            state_backup: self.state_backup.schedule()?,
            exe,
        };
        Box::pin(daybook_server::serve(config)).await.map_err(|error| CommandError::failed(error.to_string()))?;
        Ok(Exit::Ok)
    }

    /// Where other tools may tell of alerts, if they may.
    fn receive(&self) -> Result<Option<Receive>> {
        let Some(address) = self.receive else { return Ok(None) };
        let files = self.receive_cert.clone().zip(self.receive_key.clone());
        let certificate = files.map(|(cert, key)| Certificate { cert, key });
        Receive::new(address, certificate).map(Some).map_err(CommandError::usage)
    }

    /// How the state is shared, if it is. What is wrong with a URL is told without it: it may hold a password.
    fn shared(&self) -> Result<Option<Shared>> {
        let Some(database) = &self.database else { return Ok(None) };
        let lease = match self.lease.as_deref().map(|lease| lease.split_once('/')) {
            Some(None) => return Err(CommandError::usage("--lease is a namespace and a name: NAMESPACE/NAME")),
            Some(Some((namespace, name))) => Some((namespace.to_owned(), name.to_owned())),
            None => None,
        };
        if lease.is_some() && cfg!(not(feature = "kubernetes")) {
            return Err(CommandError::usage("this build of Daybook has no Kubernetes, and no Lease"));
        }
        let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Some(Shared {
            database: database.parse().map_err(|why: String| CommandError::usage(why))?,
            lease,
            identity: self.identity.clone().unwrap_or_else(machine),
            health: self.health,
        }))
    }
}

/// The addresses as given, or one on all interfaces: only root may take a low port.
fn addresses(given: Vec<SocketAddr>, low: u16, high: u16) -> Vec<SocketAddr> {
    if !given.is_empty() {
        return given;
    }
    let port = if rustix::process::geteuid().is_root() { low } else { high };
    vec![SocketAddr::from(([0, 0, 0, 0], port))]
}
