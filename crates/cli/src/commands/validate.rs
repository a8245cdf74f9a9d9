use clap::Args;
use daybook_api::client::Exit;
use daybook_manifest::Aim;
use daybook_model::Spec;

use crate::args::Format;
use crate::context::Ctx;
use crate::error::Result;
use crate::output::style::{GOOD, paint};
use crate::output::words::plural;
use crate::{manifest, output};

/// Check the manifest and show every error at once, with its line and a fix. Needs no server.
#[derive(Debug, Args)]
pub(crate) struct Validate {}

impl Validate {
    pub(crate) fn run(self, ctx: &Ctx) -> Result<Exit> {
        let (loaded, bundle) = manifest::read(&ctx.global, Aim::Look)?;
        let rendered = daybook_manifest::render(&loaded.diagnostics, &bundle, true);
        if ctx.format() != Format::Table {
            ctx.data(&loaded.diagnostics, |_| String::new())?;
        } else if loaded.spec.is_none() || !ctx.global.quiet {
            output::message(&rendered);
        }
        let Some(spec) = loaded.spec else { return Ok(Exit::Failed) };
        ctx.say(&format!("{} {}", paint(GOOD, "✓"), summary(&spec)));
        ctx.next(&format!("see what it would change: {}", ctx.command("plan")));
        Ok(Exit::Ok)
    }
}

/// "shop/production is valid: 3 services (report, web, worker), 1 volume".
fn summary(spec: &Spec) -> String {
    let names: Vec<_> = spec.services.keys().map(ToString::to_string).collect();
    let volumes = match spec.volumes.len() as u64 {
        0 => String::new(),
        volumes => format!(", {}", plural(volumes, "volume")),
    };
    format!("{} is valid: {} ({}){volumes}", spec.key, plural(names.len() as u64, "service"), names.join(", "))
}
