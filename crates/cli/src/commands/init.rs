use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use daybook_api::client::Exit;
use daybook_manifest::init::{Directory, propose};

use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style::{GOOD, paint};
use crate::{manifest, output};

/// Look at this directory and write a short manifest for it. Never overwrites anything.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Begin with one of the organisation's templates instead.
    #[arg(long, value_name = "NAME", requires = "landing_zone")]
    template: Option<String>,
    /// Where the templates are: the organisation's landing zone.
    #[arg(long, value_name = "FILE", env = "DAYBOOK_LANDING_ZONE", value_hint = ValueHint::FilePath)]
    landing_zone: Option<PathBuf>,
}

/// The name of the manifest that is written.
const NAME: &str = "daybook.yaml";

/// Files that are larger are not what a project is recognised by.
const MAX_BYTES: u64 = 1 << 20;

impl Init {
    pub(crate) fn run(self, ctx: &Ctx) -> Result<Exit> {
        let here = std::env::current_dir().map_err(|error| CommandError::io("find the current directory", &error))?;
        let path = here.join(NAME);
        if path.exists() {
            return Err(exists(ctx));
        }
        if let (Some(name), Some(zone)) = (&self.template, &self.landing_zone) {
            let template = template(zone, name)?;
            write(ctx, &path, &template)?;
            ctx.say(&format!("{} wrote {NAME} from the template {name}", paint(GOOD, "✓")));
            output::text(&template)?;
            ctx.next(&format!("fill in what is yours, then: {}", ctx.command("validate")));
            return Ok(Exit::Ok);
        }
        let proposal = propose(&Here(here));
        let notes: String = proposal.notes.iter().map(|note| format!("  {note}\n")).collect();
        let Some(text) = proposal.text else {
            ctx.say(notes.trim_end());
            return Ok(Exit::Ok);
        };
        write(ctx, &path, &text)?;
        ctx.say(&format!("{} wrote {NAME}", paint(GOOD, "✓")));
        ctx.say(notes.trim_end());
        output::text(&text)?;
        ctx.next(&format!("see what it would do: {}      do it: {}", ctx.command("plan"), ctx.command("up")));
        Ok(Exit::Ok)
    }
}

/// The text of one of a landing zone's templates.
fn template(zone: &Path, name: &str) -> Result<String> {
    let zone = manifest::landing_zone(zone)?;
    zone.templates.get(name).map(|template| template.text.clone()).ok_or_else(|| {
        let known = zone.templates.iter().map(|(name, template)| format!("{name} ({})", template.about));
        let known = known.collect::<Vec<_>>().join(", ");
        let hint = if known.is_empty() { "it has none".to_owned() } else { format!("there is {known}") };
        CommandError::usage(format!("the landing zone has no template `{name}`")).hint(hint)
    })
}

/// Another process may write the file after we looked: it is never overwritten either.
fn write(ctx: &Ctx, path: &PathBuf, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => exists(ctx),
        _ => CommandError::io(format_args!("write {NAME}"), &error),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn exists(ctx: &Ctx) -> CommandError {
    let error = CommandError::failed(format!("{NAME} is here already; nothing was changed"));
    error.hint(format!("check it: {}", ctx.command("validate")))
}

/// The current directory.
struct Here(PathBuf);

impl Directory for Here {
    fn read(&self, name: &str) -> Option<String> {
        let path = self.0.join(name);
        if !path.is_file() {
            return None;
        }
        let mut text = String::new();
        File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    }

    fn name(&self) -> String {
        self.0.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}
