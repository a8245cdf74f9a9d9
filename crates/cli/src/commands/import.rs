use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use daybook_api::client::Exit;
use daybook_manifest::import::{self, Document, Imported, Note, NoteKind};
use daybook_model::AppName;

use crate::args::Format;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output;
use crate::output::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use crate::output::words::plural;

/// Make a manifest of what other tools describe, and say what does not come along.
#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Fly(Fly),
    Heroku(Heroku),
    Kamal(Kamal),
    Kubernetes(Kubernetes),
    Render(Render),
    Score(Score),
}

/// Make a manifest of a `fly.toml`, or of those of several apps.
#[derive(Debug, Args)]
struct Fly {
    /// The files; `-` for standard input.
    #[arg(value_name = "PATH", default_value = "fly.toml", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    into: Into,
}

/// Make a manifest of a `Procfile` and of an `app.json`.
#[derive(Debug, Args)]
struct Heroku {
    /// The files. Without any: those of the two that are here.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    into: Into,
}

/// Make a manifest of Kamal's `deploy.yml`, with the file of a destination behind it where there is one.
#[derive(Debug, Args)]
struct Kamal {
    /// The files; `-` for standard input. A later one takes the place of what an earlier one says.
    #[arg(value_name = "PATH", default_value = "config/deploy.yml", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    into: Into,
}

/// Make a manifest of objects of Kubernetes: YAML or JSON, as written, as rendered, or as a cluster has them.
///
/// The manifest goes to standard output, and what is not carried over, what is changed and what is to be done
/// goes to standard error, each with its line. Values of secrets go nowhere.
#[derive(Debug, Args)]
struct Kubernetes {
    /// Files, directories (their `.yaml`, `.yml` and `.json`, not those beneath), or `-` for standard input.
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    into: Into,
}

/// Make a manifest of a `render.yaml`.
#[derive(Debug, Args)]
struct Render {
    /// The files; `-` for standard input.
    #[arg(value_name = "PATH", default_value = "render.yaml", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    into: Into,
}

/// Make a manifest of workloads of Score.
#[derive(Debug, Args)]
struct Score {
    /// The files, one workload in each; `-` for standard input.
    #[arg(value_name = "PATH", default_value = "score.yaml", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    into: Into,
}

/// Where the manifest goes.
#[derive(Debug, Args)]
struct Into {
    /// Write the manifest to a file. One that is there is left alone.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Overwrite the file.
    #[arg(long, requires = "out")]
    force: bool,
}

/// Files that are larger are refused with their place.
const MAX_BYTES: u64 = (8 << 20) + 1;
/// Endings of files that are taken of a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads the files of one platform.
type Reader = fn(&[Document], Option<&AppName>) -> Imported;

impl Import {
    pub(crate) fn run(self, ctx: &Ctx) -> Result<Exit> {
        let (read, paths, into): (Reader, _, _) = match self.from {
            From::Fly(Fly { paths, into }) => (import::fly, paths, into),
            From::Heroku(Heroku { paths, into }) => (import::heroku, usual_of_heroku(paths)?, into),
            From::Kamal(Kamal { paths, into }) => (import::kamal, paths, into),
            From::Kubernetes(Kubernetes { paths, into }) => (import::kubernetes, paths, into),
            From::Render(Render { paths, into }) => (import::render, paths, into),
            From::Score(Score { paths, into }) => (import::score, paths, into),
        };
        if let Some(out) = into.out.as_deref().filter(|out| out.exists() && !into.force) {
            return Err(exists(out));
        }
        let imported = read(&documents(ctx, &paths)?, ctx.global.app.as_ref());
        into.give(ctx, &imported)
    }
}

/// The files that are meant where none is named.
fn usual_of_heroku(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    if !paths.is_empty() {
        return Ok(paths);
    }
    let here: Vec<PathBuf> =
        ["Procfile", "app.json"].map(PathBuf::from).into_iter().filter(|path| path.exists()).collect();
    if here.is_empty() {
        return Err(CommandError::failed("neither Procfile nor app.json is here").hint("name them"));
    }
    Ok(here)
}

impl Into {
    /// Gives out what came of it, and what is said of it.
    fn give(self, ctx: &Ctx, imported: &Imported) -> Result<Exit> {
        if ctx.format() != Format::Table {
            ctx.data(imported, |_| String::new())?;
        } else {
            report(ctx, &imported.notes);
        }
        let Some(text) = &imported.manifest else { return Ok(Exit::Failed) };
        match &self.out {
            Some(out) => {
                write(out, self.force, text)?;
                ctx.say(&format!("{} wrote {}", paint(GOOD, "✓"), out.display()));
                ctx.next(&format!("check it: daybook validate -f {}", out.display()));
            }
            None if ctx.format() == Format::Table => output::text(text)?,
            None => {}
        }
        Ok(Exit::Ok)
    }
}

/// Tells a person every note, and how many there are of each kind. Errors are told to whoever asked for quiet.
fn report(ctx: &Ctx, notes: &[Note]) {
    let told = |note: &&Note| note.kind == NoteKind::Error || !ctx.global.quiet;
    notes.iter().filter(told).for_each(|note| output::message(&one(note)));
    if !notes.is_empty() {
        ctx.say(&format!("\n{}", summary(notes)));
    }
}

fn one(note: &Note) -> String {
    let style = match note.kind {
        NoteKind::Error => BAD,
        NoteKind::ToDo => STRONG,
        NoteKind::NotCarried => WARN,
        NoteKind::Changed => DIM,
    };
    let place = &note.place;
    let advice = note.advice.as_ref().map(|advice| format!("\n    {advice}")).unwrap_or_default();
    let place = format!("{}:{}:{}", place.file, place.line, place.column);
    format!("{place} {} {}{advice}", paint(style, format!("{}:", note.kind)), note.what)
}

/// "2 to do, 3 not carried over, 1 changed".
fn summary(notes: &[Note]) -> String {
    let count = |kind: NoteKind| notes.iter().filter(|note| note.kind == kind).count();
    let errors = count(NoteKind::Error);
    if errors > 0 {
        return format!("{}; nothing was imported.", plural(errors as u64, "error"));
    }
    let kinds = [NoteKind::ToDo, NoteKind::NotCarried, NoteKind::Changed];
    let counts = kinds.into_iter().map(|kind| (count(kind), kind)).filter(|(count, _)| *count > 0);
    counts.map(|(count, kind)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

/// Every file that is meant, in the order of the command line, those of a directory by name.
fn documents(ctx: &Ctx, paths: &[PathBuf]) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let read = std::io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text);
            read.map_err(|error| CommandError::io("read standard input", &error))?;
            documents.push(Document { path: "-".to_owned(), text });
        } else if path.is_dir() {
            for file in files_of(ctx, path)? {
                documents.push(read(&file)?);
            }
        } else {
            documents.push(read(path)?);
        }
    }
    Ok(documents)
}

fn read(path: &Path) -> Result<Document> {
    let failed = |error: std::io::Error| CommandError::io(format_args!("read {}", path.display()), &error);
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(Document { path: path.display().to_string(), text })
}

/// The files of a directory. What lies beneath it is named: another overlay is not meant with the base.
fn files_of(ctx: &Ctx, directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| CommandError::io(format_args!("read {}", directory.display()), &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            ctx.say(&format!("{} was not read: name it as well if it is meant", path.display()));
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let error = CommandError::failed(format!("{}: no .yaml, .yml or .json file is in it", directory.display()));
        return Err(error.hint("name the files, or the directories beneath it"));
    }
    files.sort();
    Ok(files)
}

/// Writes the manifest. A file that another process made meanwhile is not overwritten either.
fn write(path: &Path, force: bool, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => CommandError::io(format_args!("write {}", path.display()), &error),
    };
    let mut options = OpenOptions::new();
    let options = options.write(true).create(force).truncate(force).create_new(!force);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn exists(path: &Path) -> CommandError {
    let error = CommandError::failed(format!("{} is here already; nothing was changed", path.display()));
    error.hint("overwrite it: --force")
}
