//! Backups of many small files and of one long stream, against restic.

mod data;
mod sides;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use daybook_bench::statistics::median;
use daybook_bench::usage::{Usage, measured};
use serde_json::{Map, Value, json};

use super::say;
pub(crate) use sides::{OnceArguments, once};
use sides::{Side, Step};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Small files.
    #[arg(long, env = "FILES", default_value_t = 200_000)]
    files: u32,
    /// Size of the stream, in MiB.
    #[arg(long, env = "DUMP_MIB", default_value_t = 2_048)]
    dump_mib: u64,
    /// A dump that is there, instead of one that is made.
    #[arg(long, env = "DUMP")]
    dump: Option<PathBuf>,
    /// Measurements; the medians are shown.
    #[arg(long, env = "COUNT", default_value_t = 1)]
    count: u32,
}

/// What is backed up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Files,
    Dump,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Dump => "dump",
        }
    }
}

/// What is measured, in this order.
const PHASES: [&str; 3] = ["first", "again", "restore"];

/// One side's measurements of one kind of data: a list for each phase, and the repository's sizes.
#[derive(Default)]
struct Measured {
    phases: [Vec<Usage>; 3],
    sizes: Vec<f64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let files = directory.path().join("files");
    let files_bytes = data::write_files(&files, arguments.files)?;
    let (dump, dump_bytes) = match &arguments.dump {
        Some(dump) => (dump.clone(), data::size(dump)?),
        None => {
            let dump = directory.path().join("dump.sql");
            let bytes = data::write_dump(&dump, arguments.dump_mib << 20)?;
            (dump, bytes)
        }
    };
    let mut line = Map::new();
    line.insert("files".to_owned(), json!(arguments.files));
    line.insert("files_bytes".to_owned(), json!(files_bytes));
    line.insert("dump_bytes".to_owned(), json!(dump_bytes));
    for (what, source, bytes) in [(What::Files, &files, files_bytes), (What::Dump, &dump, dump_bytes)] {
        say(&format!("{}: {:.0} MiB, the same for both; neither has a cache", what.name(), mebibytes(bytes as f64)));
        let mut sides = [(Side::Daybook, Measured::default()), (Side::Restic, Measured::default())];
        for round in 0..arguments.count {
            // Neither has the advantage of being always the second.
            sides.sort_by_key(|(side, _)| (*side == Side::Restic) == (round % 2 == 0));
            for (side, so_far) in &mut sides {
                measure(*side, what, source, so_far)?;
            }
        }
        sides.sort_by_key(|(side, _)| *side == Side::Restic);
        for (side, so_far) in &mut sides {
            show(*side, what, so_far, &mut line)?;
        }
    }
    say(&Value::Object(line).to_string());
    Ok(())
}

/// One side backs up twice into a repository of its own, and restores.
fn measure(side: Side, what: What, source: &Path, so_far: &mut Measured) -> Result<()> {
    // On the disk of the source.
    let directory = tempfile::tempdir_in(source.parent().context("the source is in a directory")?)?;
    let repository = directory.path().join("repository");
    let restored = directory.path().join("restored");
    let (save, restore, input) = match what {
        What::Files => (Step::SaveDirectory { path: source.to_owned() }, Step::Restore { to: restored.clone() }, None),
        What::Dump => (Step::Save, Step::Read, Some(source)),
    };
    measured(side.command(&repository, &Step::Create)?, None)?;
    data::read_all(source)?;
    for (phase, step, input) in [(0, &save, input), (1, &save, input), (2, &restore, None)] {
        let mut command = side.command(&repository, step)?;
        let output = match step {
            Step::Read => File::create(&restored).context("make the file to restore to")?.into(),
            _ => std::process::Stdio::null(),
        };
        command.stdout(output);
        // What was written before must not be waited for by this.
        rustix::fs::sync();
        so_far.phases[phase].push(measured(command, input)?);
        if phase == 0 {
            so_far.sizes.push(data::size(&repository)? as f64);
        }
    }
    is_restored(side, what, source, &restored)
}

/// A backup that does not come back is not compared.
fn is_restored(side: Side, what: What, source: &Path, restored: &Path) -> Result<()> {
    let is_same = match what {
        What::Dump => data::is_same_file(source, restored)?,
        What::Files => {
            // restic restores the whole path.
            let inner = restored.join(source.strip_prefix("/").unwrap_or(source));
            let beneath: PathBuf = if side == Side::Restic { inner } else { restored.to_owned() };
            data::is_same_tree(source, &beneath)?
        }
    };
    if is_same { Ok(()) } else { bail!("{} does not restore what it has saved", side.name()) }
}

fn show(side: Side, what: What, so_far: &mut Measured, line: &mut Map<String, Value>) -> Result<()> {
    let (name, kind) = (side.name(), what.name());
    let mut text = format!("{name:<8} {kind:<5}");
    for (phase, usages) in PHASES.into_iter().zip(&so_far.phases) {
        let middle = |figure: fn(&Usage) -> f64| {
            median(&mut usages.iter().map(figure).collect::<Vec<_>>()).context("COUNT is 0")
        };
        let seconds = middle(|usage| usage.seconds)?;
        let cpu = middle(|usage| usage.cpu_seconds)?;
        let rss = middle(|usage| usage.peak_rss as f64)?;
        text += &format!("  {phase} {seconds:>7.2} s (CPU {cpu:>7.2} s, {:>6.1} MiB)", mebibytes(rss));
        for (figure, value) in [("seconds", seconds), ("cpu_seconds", cpu), ("rss", rss)] {
            line.insert(format!("{name}_{kind}_{phase}_{figure}"), json!(value));
        }
    }
    let size = median(&mut so_far.sizes).context("COUNT is 0")?;
    line.insert(format!("{name}_{kind}_repository_bytes"), json!(size));
    say(&format!("{text}  repository {:>7.1} MiB", mebibytes(size)));
    Ok(())
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
