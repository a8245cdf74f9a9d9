//! A real MariaDB of a test's own. It must be installed (`scripts/setup` does it): there is no test without it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server in a temporary directory, at a free port of loopback. It ends with the value.
pub struct MariaDb {
    dir: tempfile::TempDir,
    port: u16,
    server: Child,
}

impl MariaDb {
    /// Makes the files of a server and starts it, with the database `shop` of the user `shop`.
    pub fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let data = format!("--datadir={}", dir.path().join("data").display());
        let user = users();
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", &user, &data])
            // It makes tables of the same names there each time.
            .arg(format!("--tmpdir={}", dir.path().display()))
            .output()
            .expect("MariaDB is installed: run scripts/setup");
        assert!(made.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&made.stderr));
        let begin = dir.path().join("begin.sql");
        // A statement is a line of this file.
        let text =
            "create database shop;\ncreate user shop@'%' identified by 'shop';\ngrant all on shop.* to shop@'%';\n";
        std::fs::write(&begin, text).unwrap();
        let server = Command::new(server_program())
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin", "--innodb-buffer-pool-size=32M"])
            .args([&user, &data, &format!("--port={port}"), &format!("--init-file={}", begin.display())])
            .arg(format!("--socket={}", dir.path().join("socket").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut mariadb = Self { dir, port, server };
        mariadb.await_answer();
        mariadb
    }

    fn await_answer(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(60);
        while !self.is_ready() {
            assert!(self.server.try_wait().unwrap().is_none(), "MariaDB has ended");
            assert!(Instant::now() < give_up, "MariaDB does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> bool {
        let port = format!("--port={}", self.port);
        let mut ask = Command::new("mariadb");
        ask.args(["--no-defaults", "--host=127.0.0.1", "--user=shop", "--password=shop", "--execute=select 1", "shop"]);
        ask.arg(port).output().unwrap().status.success()
    }

    /// Its database `shop`.
    pub fn text(&self) -> String {
        format!("mysql://shop:shop@127.0.0.1:{}/shop", self.port)
    }

    /// The port of loopback where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn server_program() -> &'static str {
    if std::path::Path::new("/usr/sbin/mariadbd").exists() { "/usr/sbin/mariadbd" } else { "mariadbd" }
}

/// As root it has to be told that this is meant.
fn users() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root { "--user=root".to_owned() } else { format!("--user={}", std::env::var("USER").unwrap_or_default()) }
}
