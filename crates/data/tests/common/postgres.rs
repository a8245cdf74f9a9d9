//! A real PostgreSQL of a test's own. It must be installed (`scripts/setup` does it): there is no test without it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server in a temporary directory, on a socket in it. It ends with the value.
pub struct Postgres {
    dir: tempfile::TempDir,
    /// The port of loopback where it listens as well; it names the socket.
    port: Option<u16>,
    server: Child,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    pub fn start() -> Self {
        Self::start_at(None)
    }

    /// The same, and it listens at a free port of loopback, for whoever cannot see the socket.
    pub fn listening() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_at(Some(free))
    }

    /// The same, and whoever logs in needs a password: `secret` for the user `postgres`.
    pub fn guarded() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::make(Some(free), "scram-sha-256")
    }

    /// A standby that streams from it, in a directory and at a port of its own. It has to listen.
    pub fn standby(&self) -> Self {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let user = user();
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let copied = program("pg_basebackup", user)
            .args([
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
                "--host=127.0.0.1",
                "--username=postgres",
            ])
            .arg(format!("--port={}", self.port.unwrap()))
            .arg("-D")
            .arg(dir.path().join("data"))
            .output()
            .unwrap();
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        let port = Some(std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let server = Self::server(dir.path(), port);
        let standby = Self { dir, port, server };
        standby.await_answer();
        standby
    }

    fn start_at(port: Option<u16>) -> Self {
        Self::make(port, "trust")
    }

    fn make(port: Option<u16>, auth: &str) -> Self {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let user = user();
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let password = dir.path().join("password");
        std::fs::write(&password, "secret\n").unwrap();
        let made = program("initdb", user)
            .arg(format!("--auth={auth}"))
            .arg(format!("--pwfile={}", password.display()))
            .args(["--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
            .arg(dir.path().join("data"))
            .output();
        let made = made.expect("PostgreSQL is installed");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let server = Self::server(dir.path(), port);
        let postgres = Self { dir, port, server };
        postgres.await_answer();
        postgres
    }

    fn server(dir: &Path, port: Option<u16>) -> Child {
        let mut server = program("postgres", user());
        server.arg("-D").arg(dir.join("data")).arg("-k").arg(dir);
        server.args(["-c", "shared_buffers=16MB", "-c", "max_connections=40"]);
        server.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
        match port {
            Some(port) => server.args(["-h", "127.0.0.1", "-p", &port.to_string()]),
            None => server.args(["-h", ""]),
        };
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn await_answer(&self) {
        let give_up = Instant::now() + Duration::from_secs(60);
        while !self.is_ready() {
            assert!(Instant::now() < give_up, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let mut ask = program("pg_isready", None);
        ask.arg("-q").arg("-h").arg(self.dir.path());
        ask.args(self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()])).status().unwrap().success()
    }

    /// The directory of its socket, removed with it.
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// Where it listens, if it does.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The text of its URL.
    pub fn text(&self) -> String {
        match self.port {
            Some(port) => format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            None => format!("postgres:///postgres?user=postgres&host={}", self.dir.path().display()),
        }
    }

    /// Ends the server at once, as a crash of the machine would, and starts it again.
    pub fn crash(&mut self) {
        self.signal("-QUIT");
        self.server = Self::server(self.dir.path(), self.port);
        self.await_answer();
    }

    fn signal(&mut self, signal: &str) {
        let pid = self.server.id().to_string();
        Command::new("kill").args([signal, &pid]).status().unwrap();
        self.server.wait().unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal("-INT");
    }
}

/// A program of the newest PostgreSQL that is installed.
fn program(name: &str, user: Option<(u32, u32)>) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: run scripts/setup");
    let newest = versions.map(|version| version.unwrap().path()).max().expect("PostgreSQL is installed");
    let mut command = Command::new(newest.join("bin").join(name));
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// PostgreSQL refuses to run as root: then it runs as the user that its package made.
fn user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("the user postgres");
    let fields: Vec<_> = line.split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}
