//! A server that answers as a test says, and the binary run against it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The run of every test.
pub(crate) const RUN: &str = "0192f3a0-0000-7000-8000-000000000001";

/// What a test's server answers with.
pub(crate) enum Reply {
    /// A status and a JSON body.
    Json(u16, Value),
    /// An event stream of these objects that stays open for as long as the server lives.
    Stream(Vec<Value>),
    /// An event stream that breaks after these objects.
    Broken(Vec<Value>),
    /// The connection is closed without an answer, as a killed server does.
    Nothing,
}

/// A 200 answer.
pub(crate) fn ok(body: Value) -> Reply {
    Reply::Json(200, body)
}

/// A server in this process, in a state directory of its own.
pub(crate) struct Server {
    state: TempDir,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    /// Answers each request, given as `POST /v1/plan` and its body, with what `answer` says; the version
    /// is answered for.
    pub(crate) fn new(answer: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let state = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(state.path().join("daybook.sock")).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &seen, &*answer));
            }
        });
        Self { state, requests }
    }

    /// The bodies of the requests to `target`, in order.
    pub(crate) fn bodies(&self, target: &str) -> Vec<Value> {
        let requests = self.requests.lock().unwrap();
        let bodies = requests.iter().filter(|(seen, _)| seen == target).map(|(_, body)| body);
        bodies.map(|body| serde_json::from_str(body).unwrap_or(Value::Null)).collect()
    }

    /// Starts `daybook` with these arguments, for the app `shop`.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs `daybook` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait_with_output().unwrap().into()
    }

    /// Runs `daybook` to its end with this on its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// The command, not started yet. It has no terminal.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
        command.arg("--state").arg(self.state.path()).args(["--app", "shop"]).args(arguments);
        command.current_dir(self.state.path()).env_remove("DAYBOOK_STATE").env_remove("COMPOSE_PROFILES");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn serve(stream: UnixStream, seen: &Mutex<Vec<(String, String)>>, answer: &dyn Fn(&str, &str) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let target = line.rsplit_once(' ').unwrap().0.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    seen.lock().unwrap().push((target.clone(), body.clone()));
    let reply = if target == "GET /v1/version" { ok(version()) } else { answer(&target, &body) };
    // A client that has gone is what some tests are about.
    let _ = respond(stream, reply);
}

fn respond(mut stream: UnixStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Nothing => Ok(()),
        Reply::Json(status, body) => {
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes())
        }
        Reply::Broken(events) => stream_events(&mut stream, &events),
        Reply::Stream(events) => {
            stream_events(&mut stream, &events)?;
            // Until the client closes.
            stream.read(&mut [0]).map(|_| ())
        }
    }
}

fn version() -> Value {
    json!({
        "version": "0.1.0", "pid": 1, "state": "/s", "started_at": "2026-11-24T11:00:00Z",
        "runtime": {"name": "process", "version": "1"}
    })
}

fn stream_events(stream: &mut UnixStream, events: &[Value]) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for event in events {
        let event = format!("data: {event}\n\n");
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    }
    Ok(())
}

/// The environment's state, for the URLs at the end of a run.
pub(crate) fn status() -> Value {
    serde_json::from_str(include_str!("../../src/commands/fixtures/status.json")).unwrap()
}

/// A plan that is neither empty nor dangerous.
pub(crate) fn plan() -> Value {
    json!({
        "plan_id": "p", "key": "shop/production", "from": 41, "to": 42, "empty": false, "destructive": false,
        "text": "shop/production  release 41 → 42\n\n  ~ web  scale 2 → 3\n\n1 to change, 0 to add, 0 to remove.\n",
        "steps": [], "changes": [], "basis": "b"
    })
}

/// A run in a state, with a verdict where it has one.
pub(crate) fn run(state: &str, verdict: Option<&Value>) -> Value {
    let failed = verdict.is_some_and(|verdict| verdict["outcome"] != "reached");
    let last = match (state, failed) {
        ("finished", false) => "done",
        ("finished", true) => "failed",
        _ => "running",
    };
    let finished_at = (state == "finished").then_some("2026-11-24T12:00:03Z");
    json!({
        "id": RUN, "key": "shop/production", "purpose": "scale", "reason": "scale web=3",
        "actor": {"name": "ada", "origin": "cli"}, "from": 41, "to": 42, "started_at": "2026-11-24T12:00:00Z",
        "finished_at": finished_at, "state": state, "verdict": verdict,
        "steps": [
            {"plan": "p", "id": 0, "toward": "target", "action": "start", "text": "start web.3", "service": "web",
             "state": "done", "started_at": "2026-11-24T12:00:00Z", "took_ms": 120},
            {"plan": "p", "id": 1, "toward": "target", "action": "await_ready", "text": "wait until web.3 is ready",
             "service": "web", "state": last, "started_at": "2026-11-24T12:00:01Z", "took_ms": 400}
        ],
        "traffic": {"requests": 1204, "failed": 0}
    })
}

/// A server whose run of any change is as `view` says each time it is asked.
pub(crate) fn running(view: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    Server::new(move |target, _| match target.split('?').next().unwrap() {
        "POST /v1/plan" => ok(plan()),
        "POST /v1/runs" => Reply::Json(202, json!({"run": RUN, "key": "shop/production", "to": 42, "plan_id": "p"})),
        "GET /v1/events" => Reply::Stream(Vec::new()),
        "GET /v1/environments/shop/production/status" => ok(status()),
        target if target.starts_with("GET /v1/runs/") => view(),
        target if target.ends_with("/interrupt") => ok(run("running", None)),
        other => Reply::Json(404, json!({"code": "not_found", "message": format!("nothing at {other}")})),
    })
}
