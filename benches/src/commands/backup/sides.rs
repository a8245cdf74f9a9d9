//! The two that are compared, each step in a process of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use daybook_backup::{About, Entry, Place, Repository};
use jiff::Timestamp;

/// Both stretch it alike.
const PASSWORD: &str = "correct horse battery staple";
/// What the stream is called.
const STREAM: &str = "dump.sql";
const HOST: &str = "bench";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Daybook,
    Restic,
}

/// What one process does with a repository.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum Step {
    /// Makes the repository.
    Create,
    /// Backs standard input up.
    Save,
    /// Backs a directory up.
    SaveDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Writes the stream of the newest snapshot to standard output.
    Read,
    /// Restores the directory of the newest snapshot.
    Restore {
        /// Where to.
        to: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct OnceArguments {
    /// The repository's directory.
    repository: PathBuf,
    #[command(subcommand)]
    step: Step,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Daybook => "daybook",
            Self::Restic => "restic",
        }
    }

    /// The program that does a step.
    pub(super) fn command(self, repository: &Path, step: &Step) -> Result<Command> {
        match self {
            Self::Daybook => own(repository, step),
            Self::Restic => Ok(restic(repository, step)),
        }
    }
}

fn own(repository: &Path, step: &Step) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    command.arg("backup-once").arg(repository);
    match step {
        Step::Create => command.arg("create"),
        Step::Save => command.arg("save"),
        Step::SaveDirectory { path } => command.arg("save-directory").arg(path),
        Step::Read => command.arg("read"),
        Step::Restore { to } => command.arg("restore").arg(to),
    };
    Ok(command)
}

fn restic(repository: &Path, step: &Step) -> Command {
    let mut command = Command::new("restic");
    command.env("RESTIC_PASSWORD", PASSWORD).args(["--no-cache", "--quiet", "-r"]).arg(repository);
    match step {
        Step::Create => command.arg("init"),
        Step::Save => command.args(["backup", "--host", HOST, "--stdin", "--stdin-filename", STREAM]),
        Step::SaveDirectory { path } => command.args(["backup", "--host", HOST]).arg(path),
        Step::Read => command.args(["dump", "latest", STREAM]),
        Step::Restore { to } => command.args(["restore", "latest", "--target"]).arg(to),
    };
    command
}

/// One step of ours.
pub(crate) fn once(arguments: &OnceArguments) -> Result<()> {
    let place = Place::Directory(arguments.repository.clone());
    let repository = Repository::open_or_create(&place, PASSWORD)?;
    let about = || About {
        host: HOST.to_owned(),
        label: "bench".to_owned(),
        tags: Vec::new(),
        time: Timestamp::now(),
        description: None,
    };
    let newest = || {
        let newest = repository.snapshots()?.pop().context("there is no snapshot")?;
        Ok::<_, anyhow::Error>(newest.id)
    };
    match &arguments.step {
        Step::Create => {}
        Step::Save => {
            let entry = Entry { name: STREAM.to_owned(), content: Box::new(io::stdin()) };
            repository.save(&about(), vec![entry])?;
        }
        Step::SaveDirectory { path } => {
            repository.save_directory(&about(), path)?;
        }
        Step::Read => {
            repository.read(&newest()?, STREAM, &mut io::stdout().lock())?;
        }
        Step::Restore { to } => {
            repository.restore_directory(&newest()?, to)?;
        }
    }
    Ok(())
}
