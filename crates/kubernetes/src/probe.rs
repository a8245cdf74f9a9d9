//! Asking a check of a replica.

use std::net::SocketAddr;
use std::time::Duration;

use daybook_model::SeenReplica;
use daybook_model::name::EnvKey;
use daybook_model::spec::{Check, CheckTest};
use daybook_runtime::probe::{self, Reply};
use daybook_runtime::{Answer, ErrorKind, ExecRequest, Result};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;

use crate::KubernetesRuntime;
use crate::cluster::answer;

/// How much of a command's output a person is shown.
const SHOWN: usize = 300;

impl KubernetesRuntime {
    pub(crate) async fn ask(&self, key: &EnvKey, replica: &SeenReplica, check: &Check) -> Result<Answer> {
        let patience = Duration::from_millis(check.timeout_ms);
        match &check.test {
            CheckTest::Http { path, port } => self.ask_port(key, replica, *port, Some(path), patience).await,
            CheckTest::Tcp { port } => self.ask_port(key, replica, *port, None, patience).await,
            CheckTest::Command(argv) => self.ask_command(key, replica, argv, patience).await,
            CheckTest::Running | CheckTest::Disabled => match self.pod(key, replica).await? {
                Some(_) => Ok(Answer::Good("running".to_owned())),
                None => Ok(Answer::NotRunning),
            },
        }
    }

    /// The pod in which a replica runs.
    async fn pod(&self, key: &EnvKey, replica: &SeenReplica) -> Result<Option<String>> {
        match self.running_pod("ask a replica", key, &replica.id, replica.role).await {
            Ok(pod) => Ok(Some(pod)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask_port(
        &self,
        key: &EnvKey,
        replica: &SeenReplica,
        port: u16,
        path: Option<&str>,
        patience: Duration,
    ) -> Result<Answer> {
        let reply = match replica.address.filter(|_| self.reaches_pods) {
            Some(ip) => {
                let place = SocketAddr::new(ip, port);
                match path {
                    Some(path) => probe::http(place, path, patience).await,
                    None => probe::tcp(place, patience).await,
                }
            }
            None => match self.pod(key, replica).await? {
                Some(pod) => self.ask_through(key, &pod, port, path, patience).await?,
                None => return Ok(Answer::NotRunning),
            },
        };
        // A bad answer may only mean that the replica has ended since it was observed.
        if !matches!(reply, Reply::Good(_)) && self.pod(key, replica).await?.is_none() {
            return Ok(Answer::NotRunning);
        }
        Ok(reply.into_answer(|| {
            format!("nothing listens on port {port} of the container (it must listen on 0.0.0.0, not on 127.0.0.1)")
        }))
    }

    /// Asks by way of the API server, which reaches every pod.
    async fn ask_through(
        &self,
        key: &EnvKey,
        pod: &str,
        port: u16,
        path: Option<&str>,
        patience: Duration,
    ) -> Result<Reply> {
        let operation = format!("reach port {port} of {pod}");
        let api = self.cluster.of::<Pod>(key);
        let mut forward = answer(&operation, api.portforward(pod, &[port])).await?;
        let (Some(stream), Some(error)) = (forward.take_stream(port), forward.take_error(port)) else {
            return Ok(Reply::Bad(format!("{operation}: the API server gave no connection")));
        };
        let asked = async {
            match path {
                Some(path) => probe::http_over(async { Ok(stream) }, "localhost", path, patience).await,
                None => probe::held_open(stream).await,
            }
        };
        // The machine says on a channel of its own that nothing listens there.
        let reply = tokio::select! {
            biased;
            Some(said) = error => if said.contains("refused") { Reply::Refused } else { Reply::Bad(said) },
            reply = asked => reply,
        };
        forward.abort();
        Ok(reply)
    }

    async fn ask_command(
        &self,
        key: &EnvKey,
        replica: &SeenReplica,
        argv: &[String],
        patience: Duration,
    ) -> Result<Answer> {
        if self.pod(key, replica).await?.is_none() {
            return Ok(Answer::NotRunning);
        }
        let request = ExecRequest { argv: argv.to_vec(), tty: None, user: None, working_dir: None };
        let ended = async {
            let mut exec = self.run_inside(key, &replica.id, &request).await?;
            drop(exec.input);
            let mut printed = Vec::new();
            while let Some(piece) = exec.output.try_next().await? {
                let room = SHOWN.saturating_sub(printed.len());
                printed.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
            }
            Ok::<_, daybook_runtime::Error>((exec.code.await?, String::from_utf8_lossy(&printed).trim().to_owned()))
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok((0, _))) => Ok(Answer::Good("exit code 0".to_owned())),
            Ok(Ok((code, printed))) => Ok(Answer::Bad(format!("exit code {code}: {printed}"))),
            Ok(Err(error)) if error.kind == ErrorKind::NotFound => Ok(Answer::NotRunning),
            Ok(Err(error)) if error.kind == ErrorKind::Refused => Ok(Answer::Bad(error.message)),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Answer::Bad(format!("the command did not end within {} ms", patience.as_millis()))),
        }
    }
}
