//! Database servers of this machine, which take the place of their images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use daybook_model::database::{DatabaseServer, Engine};
use serde::{Deserialize, Serialize};

use crate::artifacts::Source;
use crate::files::{make_directory, write_atomically};
use crate::{Error, ErrorKind, Result};

/// The file of a snapshot that says which server a replica is to be.
pub(super) const FILE: &str = "server.json";

/// A server that this machine has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installed {
    /// What it is.
    pub(super) engine: Engine,
    /// Its version in full.
    pub(super) version: String,
    /// The directory of its programs.
    pub(super) programs: PathBuf,
}

/// The artifact of a server: a file that says where its programs are, so that another version of them is a change.
pub(super) fn source(state: &Path, server: &DatabaseServer) -> Result<Source> {
    let installed = find(server)?;
    let root = state.join("servers").join(format!("{}-{}", installed.engine, installed.version));
    make_directory(&root)?;
    let text = serde_json::to_vec_pretty(&installed).expect("it is plain data");
    let path = root.join(FILE);
    if fs::read(&path).ok().as_ref() != Some(&text) {
        write_atomically(&path, &text, 0o644)?;
    }
    Ok(Source { root, extra: Vec::new() })
}

/// The server that the snapshot in `root` stands for, if it stands for one.
pub(super) fn installed(root: &Path) -> Option<Installed> {
    serde_json::from_slice(&fs::read(root.join(FILE)).ok()?).ok()
}

/// Who a server runs as where nobody says it: no database server runs as root.
pub(super) fn user(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgres",
        Engine::Mysql | Engine::Mariadb => "mysql",
        Engine::Redis => "redis",
        Engine::Valkey => "valkey",
    }
}

/// The program that is the server.
pub(super) fn program(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgres",
        Engine::Mysql => "mysqld",
        Engine::Mariadb => "mariadbd",
        Engine::Redis => "redis-server",
        Engine::Valkey => "valkey-server",
    }
}

/// The server of an engine and a version, if this machine has it.
fn find(server: &DatabaseServer) -> Result<Installed> {
    let engine = server.engine;
    let mut others = Vec::new();
    for directory in directories(server) {
        let Some(version) = version_of(&directory.join(program(engine)), engine) else { continue };
        if is_of(&version, &server.version) {
            return Ok(Installed { engine, version, programs: directory });
        }
        if !others.contains(&version) {
            others.push(version);
        }
    }
    let has = match others.as_slice() {
        [] => format!("this machine has no {}", engine.name()),
        versions => format!("this machine has {} {}", engine.name(), versions.join(", ")),
    };
    let operation = format!("use {} {}", engine.name(), server.version);
    Err(Error::new(ErrorKind::NotFound, operation, has)
        .hint(format!("install it ({}), or run its image with `--runtime docker`", package(server))))
}

fn package(server: &DatabaseServer) -> String {
    match server.engine {
        Engine::Postgres => format!("Debian: apt-get install postgresql-{}", major(&server.version)),
        Engine::Mysql => "Debian: apt-get install mysql-server".to_owned(),
        Engine::Mariadb => "Debian: apt-get install mariadb-server".to_owned(),
        Engine::Redis => "Debian: apt-get install redis-server".to_owned(),
        Engine::Valkey => "Debian: apt-get install valkey".to_owned(),
    }
}

/// Where distributions keep the programs of a server, each version of PostgreSQL in a directory of its own.
fn directories(server: &DatabaseServer) -> Vec<PathBuf> {
    let mut all = Vec::new();
    if server.engine == Engine::Postgres {
        let major = major(&server.version);
        all.push(PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")));
        all.push(PathBuf::from(format!("/usr/pgsql-{major}/bin")));
        let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        all.extend(installed.map(|entry| entry.path().join("bin")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    all.extend(std::env::split_paths(&path));
    all.extend(["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/libexec"].map(PathBuf::from));
    all
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

/// Asks a program for its version. `None`: it is not there, or is something else.
fn version_of(program: &Path, engine: Engine) -> Option<String> {
    if !program.is_file() {
        return None;
    }
    let asked = Command::new(program).arg("--version").output().ok()?;
    parse(engine, &String::from_utf8_lossy(&asked.stdout))
}

fn parse(engine: Engine, said: &str) -> Option<String> {
    let after = match engine {
        Engine::Postgres => said.split_once("(PostgreSQL) ")?.1,
        Engine::Mysql if said.contains("MariaDB") => return None,
        Engine::Mysql | Engine::Mariadb => said.split_once("Ver ")?.1,
        Engine::Redis | Engine::Valkey => said.split_once("v=")?.1,
    };
    let version: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    (!version.is_empty()).then_some(version)
}

/// Whether a version is the one that is wanted, as far as that was said: 16.4 is 16.
fn is_of(version: &str, wanted: &str) -> bool {
    // A tag of an image may say more than a version: `16-alpine`.
    let wanted = wanted.split('-').next().unwrap_or(wanted);
    version == wanted || version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_say() {
        let said = [
            (Engine::Postgres, "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "15.14"),
            (Engine::Mariadb, "mariadbd  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu", "10.11.14"),
            (Engine::Mysql, "/usr/sbin/mysqld  Ver 8.0.40 for Linux on x86_64 (Source distribution)", "8.0.40"),
            (Engine::Redis, "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", "7.0.15"),
        ];
        for (engine, text, version) in said {
            assert_eq!(parse(engine, text).as_deref(), Some(version));
        }
        assert_eq!(parse(Engine::Mysql, "mysqld  Ver 10.11.14-MariaDB"), None);
    }

    #[test]
    fn a_version_is_what_was_said_of_it_and_no_other() {
        assert!(is_of("16.4", "16") && is_of("16.4", "16.4") && is_of("16.4", "16-alpine"));
        assert!(!is_of("16.4", "1") && !is_of("16.4", "15") && !is_of("16.4", "16.40"));
    }
}
