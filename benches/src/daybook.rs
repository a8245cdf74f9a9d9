//! A Daybook of our own: the real binary, a state directory and ports that nobody else uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::process;
use crate::shop::free_address;

/// How long anything may take before a benchmark gives up, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server and its edge, which end with this value.
pub struct Daybook {
    binary: PathBuf,
    state: PathBuf,
    runtime: String,
    /// Where the edge answers HTTP.
    pub http: SocketAddr,
    https: SocketAddr,
    /// Variables of the server.
    pub variables: Vec<(&'static str, String)>,
    /// How long a command or a wait may take.
    pub patience: Duration,
    server: Option<Child>,
}

/// The binary under test: `DAYBOOK`, or the one beside this program.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DAYBOOK") {
        return Ok(path.into());
    }
    let here = std::env::current_exe().context("find this program")?;
    let found = here.ancestors().skip(1).take(2).map(|directory| directory.join("daybook")).find(|path| path.is_file());
    found.context("there is no daybook beside this program: build it, or set DAYBOOK to its path")
}

impl Daybook {
    /// Starts a server with a state directory of its own, and waits until it answers.
    pub async fn start(state: &Path, runtime: &str) -> Result<Self> {
        Self::start_with(state, runtime, Vec::new()).await
    }

    /// The same, with more variables for the server.
    pub async fn start_with(state: &Path, runtime: &str, variables: Vec<(&'static str, String)>) -> Result<Self> {
        let daybook = Self::stand_by(state, runtime, variables)?;
        daybook.answers().await?;
        Ok(daybook)
    }

    /// Starts a server that need not answer: one of several, of which another one may lead.
    pub fn stand_by(state: &Path, runtime: &str, variables: Vec<(&'static str, String)>) -> Result<Self> {
        let mut daybook = Self {
            binary: binary()?,
            state: state.to_owned(),
            runtime: runtime.to_owned(),
            http: free_address()?,
            https: free_address()?,
            variables,
            patience: PATIENCE,
            server: None,
        };
        daybook.launch()?;
        Ok(daybook)
    }

    /// Starts the server again after [`Daybook::kill_server`].
    pub async fn serve(&mut self) -> Result<()> {
        self.launch()?;
        self.answers().await
    }

    /// Starts the server, and does not wait for it.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = self.command(&["serve"]);
        command.args(["--runtime", &self.runtime]);
        command.args(["--http", &self.http.to_string(), "--https", &self.https.to_string()]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let log = std::fs::File::options().create(true).append(true).open(self.state.join("serve.out"))?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("start `daybook serve`")?;
        self.server = Some(child);
        Ok(())
    }

    /// Waits until the server answers.
    pub async fn answers(&self) -> Result<()> {
        self.until("the server answers", async |daybook| Ok(daybook.get("/v1/version").await.is_ok())).await
    }

    /// A command of this Daybook, with nothing of the caller's environment that would change it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("DAYBOOK_STATE", &self.state).env("NO_COLOR", "1").stdin(Stdio::null());
        command.env("DAYBOOK_HTTP", self.http.to_string()).env("DAYBOOK_HTTPS", self.https.to_string());
        command
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub async fn run(&self, command: &mut Command) -> Result<(i32, String, String)> {
        let output = tokio::time::timeout(self.patience, command.kill_on_drop(true).output());
        let output = output.await.context("a command of daybook takes too long")?.context("run daybook")?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr)))
    }

    /// Starts a command whose words nobody reads.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().context("run daybook")
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub async fn succeed(&self, command: &mut Command) -> Result<String> {
        match self.run(command).await? {
            (0, out, _) => Ok(out),
            (code, out, err) => bail!("daybook ended with {code}:\n{out}{err}"),
        }
    }

    /// Asks the server's API.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path).await
    }

    /// Tells the server's API to do something that needs no body.
    pub async fn post(&self, path: &str) -> Result<Value> {
        self.request("POST", path).await
    }

    async fn request(&self, method: &str, path: &str) -> Result<Value> {
        let stream = UnixStream::connect(self.state.join("daybook.sock")).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = http::Request::builder().method(method).uri(path).header("host", "daybook");
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
    }

    /// Process ids of the server and of the edge.
    pub async fn pids(&self) -> Result<(u32, u32)> {
        let version = self.get("/v1/version").await?;
        let pid = |value: &Value| value.as_u64().and_then(|pid| u32::try_from(pid).ok());
        let server = pid(&version["pid"]).context("the server tells no pid")?;
        Ok((server, pid(&version["edge"]["pid"]).context("the server tells no pid of the edge")?))
    }

    /// Kills the server with SIGKILL, as a crash would.
    pub async fn kill_server(&mut self) -> Result<()> {
        let (pid, _) = self.pids().await?;
        process::signal(pid, Signal::KILL);
        if let Some(mut server) = self.server.take() {
            server.wait().await?;
        }
        Ok(())
    }

    /// Waits until something holds; asks again every 50 ms.
    pub async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < self.patience {
            if holds(self).await.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.state.join("serve.out")).unwrap_or_default();
        bail!("waited {} s in vain until {what}; the server said:\n{log}", self.patience.as_secs())
    }

    /// Waits until a run of an environment is open.
    pub async fn busy(&self, key: &str) -> Result<()> {
        let path = format!("/v1/environments/{key}/status");
        self.until("a run is open", async |daybook| Ok(!daybook.get(&path).await?["open_run"].is_null())).await
    }

    /// Waits until no run of an environment is open, and returns its status.
    pub async fn settled(&self, key: &str) -> Result<Value> {
        let path = format!("/v1/environments/{key}/status");
        self.until("no run is open", async |daybook| Ok(daybook.get(&path).await?["open_run"].is_null())).await?;
        self.get(&path).await
    }

    /// Takes everything down: the app, the server, the edge, and whatever of ours is left.
    pub async fn end(mut self, app: &str) -> Result<()> {
        let downed = self.down(app).await;
        if let Some(server) = self.server.as_mut() {
            if let Some(pid) = server.id() {
                process::signal(pid, Signal::TERM);
            }
            let _ = tokio::time::timeout(Duration::from_secs(10), server.wait()).await;
        }
        self.sweep(Signal::TERM);
        downed
    }

    async fn down(&self, app: &str) -> Result<()> {
        let environments = self.get("/v1/environments").await?;
        let key = format!("{app}/production");
        if !environments.as_array().into_iter().flatten().any(|environment| environment["key"] == key) {
            return Ok(());
        }
        let status = self.get(&format!("/v1/environments/{key}/status")).await?;
        let names = status["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let volumes = names.collect::<Vec<_>>().join(",");
        let mut down = self.command(&["down", "--app", app, "--yes", "--no-input"]);
        if !volumes.is_empty() {
            // What stays would be the next one's past.
            down.args(["--volumes", &volumes, &format!("--confirm={key}")]);
        }
        self.succeed(&mut down).await.map(drop)
    }

    /// Signals every process that was started for this state directory.
    fn sweep(&self, signal: Signal) {
        for pid in process::of_state(&self.state) {
            process::signal(pid, signal);
        }
    }
}

impl Drop for Daybook {
    fn drop(&mut self) {
        if let Some(pid) = self.server.as_ref().and_then(Child::id) {
            process::signal(pid, Signal::KILL);
        }
        self.sweep(Signal::KILL);
    }
}
