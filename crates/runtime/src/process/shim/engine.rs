//! `shim --engine`: becomes the database server that the replica is to be, and makes its files first where there are
//! none. It reads the variables that the official images read.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use daybook_model::database::Engine;

use super::super::engine::{FILE, Installed, program};

/// Where the manifest has files of ours.
const OURS: &str = "/run/daybook/";

/// Becomes the server. `arguments` are those of its image: the program's name, then what it is told.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let told = arguments.get(1..).unwrap_or_default();
    match Server::of_here().and_then(|server| server.begin(told)) {
        Ok(error) => eprintln!("daybook: start the database server: {error}"),
        Err(why) => eprintln!("daybook: {why}"),
    }
    ExitCode::from(127)
}

struct Server {
    installed: Installed,
    root: PathBuf,
    port: String,
}

impl Server {
    fn of_here() -> Result<Self, String> {
        let root = PathBuf::from(variable("DAYBOOK_ROOT")?);
        let path = root.join(FILE);
        let text = fs::read(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
        let installed = serde_json::from_slice(&text).map_err(|error| format!("read {}: {error}", path.display()))?;
        Ok(Self { installed, root, port: variable("PORT")? })
    }

    /// Returns only if it fails.
    fn begin(&self, told: &[OsString]) -> Result<io::Error, String> {
        let told = self.placed(told);
        match self.installed.engine {
            Engine::Postgres => Ok(self.postgres()?.args(&told).exec()),
            Engine::Mysql | Engine::Mariadb => Ok(self.mysql(&told)?.exec()),
            Engine::Redis | Engine::Valkey => Ok(self.redis(&told).exec()),
        }
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.installed.programs.join(name))
    }

    /// A path of the manifest, which is beneath the working directory.
    fn inside(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What a server is told, with files of ours where they are: beneath the working directory.
    fn placed(&self, told: &[OsString]) -> Vec<OsString> {
        let here = format!("{}/", self.inside(OURS.trim_end_matches('/')).display());
        told.iter().map(|word| word.to_string_lossy().replace(OURS, &here).into()).collect()
    }

    fn postgres(&self) -> Result<Command, String> {
        let data = self.inside(&variable("PGDATA")?);
        if !data.join("PG_VERSION").exists() {
            let password = self.secret_file("password", &variable("POSTGRES_PASSWORD")?)?;
            make_whole(&data, |fresh| {
                let mut initdb = self.program("initdb");
                initdb.arg("--pgdata").arg(fresh).args(["--username", "postgres", "--encoding", "UTF8"]);
                initdb.args(["--locale", "C.UTF-8", "--auth", "scram-sha-256"]).arg("--pwfile").arg(&password);
                run(initdb)
            })?;
            let _ = fs::remove_file(password);
        }
        let mut command = self.program(program(Engine::Postgres));
        command.arg("-D").arg(data).args(["-p", &self.port, "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories="]);
        Ok(command)
    }

    /// `told` says where its files are, as its image knows that place.
    fn mysql(&self, told: &[OsString]) -> Result<Command, String> {
        let (places, told): (Vec<_>, Vec<_>) = told.iter().partition(|one| place_of(one).is_some());
        let place = places.last().and_then(|one| place_of(one));
        let data = self.inside(place.unwrap_or("/var/lib/mysql/data"));
        let is_mysql = self.installed.engine == Engine::Mysql;
        if !data.join("mysql").exists() {
            make_whole(&data, |fresh| {
                let mut make = if is_mysql {
                    let mut make = self.program(program(Engine::Mysql));
                    make.args(["--no-defaults", "--initialize-insecure"]);
                    make
                } else {
                    let mut make = Command::new("mariadb-install-db");
                    make.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                    make
                };
                make.arg(format!("--datadir={}", fresh.display()));
                run(make)
            })?;
        }
        // Read at each start: whoever knows the password of the manifest gets in.
        let prefix = if is_mysql { "MYSQL" } else { "MARIADB" };
        let password = variable(&format!("{prefix}_ROOT_PASSWORD"))?.replace('\\', "\\\\").replace('\'', "''");
        let text = format!(
            "create user if not exists 'root'@'%' identified by '{password}';\n\
             alter user 'root'@'%' identified by '{password}';\n\
             alter user 'root'@'localhost' identified by '{password}';\n\
             drop user if exists 'root'@'127.0.0.1', 'root'@'::1', ''@'localhost';\n\
             grant all privileges on *.* to 'root'@'%' with grant option;\n"
        );
        let first = self.secret_file("first.sql", &text)?;
        let mut command = self.program(program(self.installed.engine));
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--socket=server.sock"]);
        command.arg(format!("--datadir={}", data.display())).arg(format!("--port={}", self.port));
        command.arg(format!("--pid-file={}", self.root.join("server.pid").display()));
        command.arg(format!("--init-file={}", first.display())).args(told);
        Ok(command)
    }

    /// `told` begins with the file of its configuration.
    fn redis(&self, told: &[OsString]) -> Command {
        let mut command = self.program(program(self.installed.engine));
        command.args(told);
        let speaks_tls = told.iter().any(|word| word == "--tls-port");
        command.args([if speaks_tls { "--tls-port" } else { "--port" }, &self.port]);
        command.args(["--bind", "127.0.0.1", "--dir"]).arg(self.inside("/data"));
        command
    }

    fn secret_file(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.root.join(name);
        let _ = fs::remove_file(&path);
        let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| format!("write {}: {error}", path.display()))?;
        Ok(path)
    }
}

/// Makes a directory of files beside its place, and moves it there once it is whole: what was broken off is begun anew.
fn make_whole(data: &Path, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    // The name of a place may have a dot: `10.11`.
    let mut fresh = data.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let wrong = |error: io::Error| format!("make {}: {error}", data.display());
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(wrong)?;
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&fresh).map_err(wrong)?;
    make(&fresh)?;
    fs::rename(&fresh, data).map_err(wrong)
}

fn place_of(argument: &OsString) -> Option<&str> {
    argument.to_str()?.strip_prefix("--datadir=")
}

fn run(mut command: Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed: {status}")),
        Err(error) => Err(format!("start {name}: {error}")),
    }
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the variable {name} is not set"))
}
