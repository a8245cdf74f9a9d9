//! Databases of tests, and what is run on them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod mariadb;
pub mod postgres;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use daybook_data::migrations::error::Error;
use daybook_data::migrations::history::{Row, TABLE};
use daybook_data::migrations::run::{Patience, Progress, Report, Run};
use daybook_data::migrations::server::{Place, Server, connect};
use daybook_data::migrations::set::{File, Migrations};
use daybook_data::migrations::standing::Options;
use daybook_data::migrations::version::Version;

/// Files of migrations.
#[derive(Clone, Default)]
pub struct Files(pub Vec<(String, String)>);

impl Files {
    pub fn of(all: &[(&str, &str)]) -> Self {
        Self(all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    pub fn with(&self, path: &str, text: &str) -> Self {
        let mut all = self.without(path);
        all.0.push((path.to_owned(), text.to_owned()));
        all
    }

    pub fn without(&self, path: &str) -> Self {
        Self(self.0.iter().filter(|(other, _)| other != path).cloned().collect())
    }

    pub fn read(&self) -> Migrations {
        let files: Vec<_> =
            self.0.iter().map(|(path, text)| File { path: path.clone(), bytes: text.clone().into_bytes() }).collect();
        Migrations::read(&files).unwrap()
    }

    /// Puts them into a directory for Flyway.
    pub fn write(&self, directory: &Path) {
        for (path, text) in &self.0 {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
}

/// What is asked of a run.
pub enum Command_<'a> {
    Migrate,
    Baseline(&'a str),
    Repair,
    Undo(Option<&'a str>),
}

/// A database, and how migrations are run on it.
pub struct Database {
    pub place: Place,
    pub options: Options,
    pub patience: Patience,
    pub heard: Mutex<Vec<Progress>>,
}

impl Database {
    pub fn new(url: &str) -> Self {
        let place = Place { url: url.to_owned(), schema: None, table: TABLE.to_owned() };
        Self { place, options: Options::default(), patience: Patience::default(), heard: Mutex::default() }
    }

    pub async fn server(&self) -> Box<dyn Server> {
        connect(&self.place).await.unwrap()
    }

    pub async fn run(&self, files: &Files, command: Command_<'_>) -> Result<Report, Error> {
        let files = files.read();
        let mut server = self.server().await;
        let progress = |heard| self.heard.lock().unwrap().push(heard);
        let mut run = Run {
            server: server.as_mut(),
            files: &files,
            options: self.options.clone(),
            patience: self.patience,
            progress: &progress,
        };
        match command {
            Command_::Migrate => run.migrate().await,
            Command_::Baseline(version) => run.baseline(&Version::parse(version).unwrap(), None).await,
            Command_::Repair => run.repair().await,
            Command_::Undo(target) => run.undo(target.map(|target| Version::parse(target).unwrap()).as_ref()).await,
        }
    }

    pub async fn migrate(&self, files: &Files) -> Result<Report, Error> {
        self.run(files, Command_::Migrate).await
    }

    pub async fn history(&self) -> Vec<Row> {
        self.server().await.history().await.unwrap().unwrap_or_default()
    }

    pub async fn execute(&self, sql: &str) {
        self.server().await.execute(sql).await.unwrap();
    }

    /// Whether a question, which is a statement, is not refused.
    pub async fn has(&self, table: &str) -> bool {
        self.server().await.execute(&format!("select 1 from {table}")).await.is_ok()
    }
}

/// Runs the real Flyway.
pub fn flyway(command: &str, database: &[&str; 3], directory: &Path, settings: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/flyway");
    Command::new(script).arg(command).args(database).arg(directory).args(settings).output().unwrap()
}
