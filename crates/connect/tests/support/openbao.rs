//! An OpenBao of a test's own: `bao` has to be in the PATH (`scripts/setup` puts it beside the other tools).

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The token that may do everything.
pub(crate) const ROOT: &str = "root-token-of-a-test";

/// A server in memory, unsealed, with a key/value engine of version 2 at `secret`. Ends with this value.
pub(crate) struct OpenBao {
    child: Child,
    address: String,
    authority: Option<PathBuf>,
    directory: tempfile::TempDir,
}

impl OpenBao {
    /// Starts one that speaks plain HTTP.
    pub(crate) fn start() -> Self {
        Self::with(false)
    }

    /// Starts one whose certificate is of an authority of its own: [`Self::authority`].
    #[allow(dead_code, reason = "not every test that has this file needs it")]
    pub(crate) fn start_with_tls() -> Self {
        Self::with(true)
    }

    fn with(tls: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let socket = listener.local_addr().expect("a bound socket has an address");
        drop(listener);
        let mut command = Command::new("bao");
        command.args(["server", if tls { "-dev-tls" } else { "-dev" }, "-dev-no-store-token"]);
        command.arg(format!("-dev-root-token-id={ROOT}")).arg(format!("-dev-listen-address={socket}"));
        if tls {
            command.arg(format!("-dev-tls-cert-dir={}", directory.path().display()));
        }
        let log = std::fs::File::create(directory.path().join("bao.log")).expect("a file can be made");
        command
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let child = command.spawn().expect("`bao` is in the PATH: run scripts/setup");
        let scheme = if tls { "https" } else { "http" };
        let authority = tls.then(|| authority_in(directory.path()));
        let bao = Self { child, address: format!("{scheme}://{socket}"), authority, directory };
        bao.until_it_answers();
        bao
    }

    fn until_it_answers(&self) {
        let begun = Instant::now();
        while !self.bao(&["kv", "list", "secret/"], ROOT).1.contains("No value found") {
            let log = || std::fs::read_to_string(self.directory.path().join("bao.log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "OpenBao does not come up:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The file of the authority that its certificate is from.
    #[allow(dead_code, reason = "not every test that has this file needs it")]
    pub(crate) fn authority(&self) -> &Path {
        self.authority.as_deref().expect("it was started with TLS")
    }

    /// Runs `bao` as who may do everything. Its output.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let (code, text) = self.bao(arguments, ROOT);
        assert_eq!(code, Some(0), "bao {arguments:?}: {text}");
        text
    }

    /// Runs `bao` with a token: its exit code, and what it wrote.
    pub(crate) fn bao(&self, arguments: &[&str], token: &str) -> (Option<i32>, String) {
        let mut command = Command::new("bao");
        command
            .args(arguments)
            .env("BAO_ADDR", &self.address)
            .env("BAO_TOKEN", token)
            .env("HOME", self.directory.path());
        if let Some(authority) = &self.authority {
            command.env("BAO_CACERT", authority);
        }
        let output = command.stdin(Stdio::null()).output().expect("`bao` is in the PATH: run scripts/setup");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), text)
    }

    /// Lets `policy` read what is at `path` of the engine `secret`.
    pub(crate) fn may_read(&self, policy: &str, path: &str) {
        let file = self.directory.path().join(format!("{policy}.hcl"));
        let rule = format!("path \"secret/data/{path}\" {{ capabilities = [\"read\"] }}\n");
        std::fs::write(&file, rule).expect("a file can be written");
        self.run(&["policy", "write", policy, &file.display().to_string()]);
    }

    /// A role of applications with this policy: its id and a secret id.
    pub(crate) fn app_role(&self, policy: &str) -> (String, String) {
        if !self.run(&["auth", "list"]).contains("approle/") {
            self.run(&["auth", "enable", "approle"]);
        }
        let role = format!("auth/approle/role/{policy}");
        self.run(&["write", &role, &format!("token_policies={policy}"), "token_ttl=1h"]);
        let id = self.run(&["read", "-field=role_id", &format!("{role}/role-id")]);
        let secret = self.run(&["write", "-f", "-field=secret_id", &format!("{role}/secret-id")]);
        (id.trim().to_owned(), secret.trim().to_owned())
    }
}

fn authority_in(directory: &Path) -> PathBuf {
    directory.join("vault-ca.pem")
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
