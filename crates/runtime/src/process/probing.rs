//! Asks a replica's check.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use daybook_model::name::EnvKey;
use daybook_model::spec::{Check, CheckTest};
use daybook_model::{SeenReplica, Timestamp};

use super::exec::exit_code;
use super::record::{Life, Record};
use super::shim::SETTLED;
use super::{ProcessRuntime, observe, proc, usage};
use crate::probe::{http, shown, tcp};
use crate::{Answer, Error, ErrorKind, ExecRequest, Result};

impl ProcessRuntime {
    /// Asks a check once.
    pub(super) async fn ask(&self, key: &EnvKey, replica: &SeenReplica, check: &Check) -> Result<Answer> {
        let (again, id, role) = (key.clone(), replica.id.clone(), replica.role);
        let found = self.blocking(move |inner| Ok(observe::one(&inner.layout, &again, &id, role))).await?;
        let (record, life) = match found {
            Ok((record, Some(life))) if life.pid.is_some() => (record, life),
            Ok(_) => return Ok(Answer::NotRunning),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Answer::NotRunning),
            Err(error) => return Err(error),
        };
        let patience = Duration::from_millis(check.timeout_ms);
        match &check.test {
            CheckTest::Http { path, port } => {
                let address = address(&record, *port);
                let reply = http(address, path, patience).await;
                Ok(reply.into_answer(|| self.nothing_listens(&record, &life, *port)))
            }
            CheckTest::Tcp { port } => {
                let reply = tcp(address(&record, *port), patience).await;
                Ok(reply.into_answer(|| self.nothing_listens(&record, &life, *port)))
            }
            CheckTest::Command(argv) => self.ask_command(key, replica, argv, patience).await,
            CheckTest::Running => Ok(keeps_running(replica, &life, Timestamp::now())),
            CheckTest::Disabled => Ok(Answer::Good("nothing is asked".to_owned())),
        }
    }

    /// Says what is amiss with the port, in the words of somebody who must put it right.
    fn nothing_listens(&self, record: &Record, life: &Life, port: u16) -> String {
        let address = address(record, port);
        let first = record.ports.values().next() == Some(&address.port()) && record.ports.len() == 1;
        let variable = if first { "PORT".to_owned() } else { format!("PORT_{port}") };
        let there = proc::listening(&usage::processes(&self.inner.layout, record, life));
        let there: Vec<String> = there.into_iter().map(place).collect();
        let nothing = format!("nothing listens on {address} ({variable})");
        if there.is_empty() { nothing } else { format!("{nothing}; it listens on {} instead", there.join(", ")) }
    }

    async fn ask_command(
        &self,
        key: &EnvKey,
        replica: &SeenReplica,
        argv: &[String],
        patience: Duration,
    ) -> Result<Answer> {
        let program = argv.first().cloned().unwrap_or_default();
        let request = ExecRequest { argv: argv.to_vec(), tty: None, user: None, working_dir: None };
        let mut command = self.join_command(key, &replica.id, replica.role, &request)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Dropping the command, when it is late, kills it.
        let output = match tokio::time::timeout(patience, command.output()).await {
            Err(_) => return Ok(Answer::Bad(format!("{program} did not end within {} ms", patience.as_millis()))),
            Ok(Err(error)) => return Err(Error::new(ErrorKind::Internal, format!("run the check {program}"), error)),
            Ok(Ok(output)) => output,
        };
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        match exit_code(output.status) {
            0 => Ok(Answer::Good(format!("{program} ended with 0"))),
            code => Ok(Answer::Bad(format!("{program} ended with {code}: {}", shown(&text)))),
        }
    }
}

fn address(record: &Record, port: u16) -> SocketAddr {
    let port = record.ports.get(&port).copied().unwrap_or(port);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn place(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!(":{}", address.port()) } else { address.to_string() }
}

/// A worker works if it has not ended since it was seen, and is not in the middle of ending again and
/// again.
fn keeps_running(seen: &SeenReplica, life: &Life, now: Timestamp) -> Answer {
    let Some(started) = life.started_at else { return Answer::NotRunning };
    let lived = Duration::try_from(now.duration_since(started)).unwrap_or_default();
    if life.restarts > seen.restarts || (life.restarts > 0 && lived < SETTLED) {
        let code = life.last_exit.as_ref().map_or_else(String::new, |exit| format!("; it ended with {}", exit.code));
        return Answer::Bad(format!("it was started again {} times{code}", life.restarts));
    }
    Answer::Good(format!("it has run for {:.1} s", lived.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use daybook_model::observed::{Exit, ReplicaState};

    use super::super::record::ProcessId;
    use super::*;

    #[test]
    fn a_settled_worker_is_well_whatever_was_before() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let life = |restarts, started: &str| Life {
            state: ReplicaState::Running,
            pid: Some(1),
            started_at: Some(started.parse().unwrap()),
            restarts,
            last_exit: Some(Exit { code: 3, oom: false, error: None, at: None }),
            shim: ProcessId::default(),
        };
        let seen: SeenReplica = serde_json::from_value(serde_json::json!({
            "id": "worker.1", "role": "main", "fingerprint": format!("sha256:{}", "0".repeat(64)), "release": 1,
            "run": "00000000-0000-0000-0000-000000000000", "artifact": format!("sha256:{}", "0".repeat(64)),
            "state": "running", "health": "unasked", "started_at": null, "restarts": 2, "last_exit": null,
            "address": null, "ports": {}
        }))
        .unwrap();
        let long_ago = "2026-01-01T00:00:00Z";
        assert_eq!(keeps_running(&seen, &life(2, long_ago), now), Answer::Good("it has run for 60.0 s".to_owned()));
        let bad = Answer::Bad("it was started again 3 times; it ended with 3".to_owned());
        assert_eq!(keeps_running(&seen, &life(3, long_ago), now), bad);
        assert!(matches!(keeps_running(&seen, &life(2, "2026-01-01T00:00:59Z"), now), Answer::Bad(_)));
        assert!(matches!(keeps_running(&seen, &life(0, "2026-01-01T00:00:59Z"), now), Answer::Good(_)));
    }
}
