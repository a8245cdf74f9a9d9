use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use daybook_api::change::Change;
use daybook_api::client::Exit;
use daybook_api::plan::PlanRequest;
use daybook_decide::diagram::{Graph, Mark, c4, d2, mermaid, svg};
use daybook_manifest::Aim;

use crate::args::Format;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style::{GOOD, paint};
use crate::{manifest, output};

/// Draw the environment: who reaches what, across which boundary, and where data lies.
///
/// Of the manifest, without a server; with `--plan` of what `up` would change; with `--live` of what runs.
#[derive(Debug, Args)]
pub(crate) struct Diagram {
    /// Mark what `up` would add, change and remove.
    #[arg(long, conflicts_with = "live")]
    plan: bool,
    /// Mark what is ready and what is not.
    #[arg(long)]
    live: bool,
    /// The language of the picture; by default what the ending of --out says, else `svg`.
    #[arg(long = "as", value_name = "FORM")]
    form: Option<Form>,
    /// Write it to a file: `.svg`, `.mmd`, `.d2`, `.puml`. Overwrites.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

/// A language that pictures are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Svg,
    Mermaid,
    D2,
    C4,
}

impl Form {
    /// By the ending of a file.
    fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "svg" => Some(Self::Svg),
            "mmd" | "mermaid" | "md" => Some(Self::Mermaid),
            "d2" => Some(Self::D2),
            "puml" | "plantuml" => Some(Self::C4),
            _ => None,
        }
    }
}

impl Diagram {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let form = match (self.form, &self.out) {
            (Some(form), _) => form,
            (None, Some(out)) => Form::of(out).ok_or_else(|| {
                CommandError::usage(format!("{}: no picture has this ending", out.display()))
                    .hint("say which: --as svg, mermaid, d2 or c4")
            })?,
            (None, None) => Form::Svg,
        };
        let (spec, _) = manifest::load(&ctx.global, Aim::Look)?;
        let mut graph = Graph::of(&spec);
        let about = if self.plan {
            mark_plan(ctx, &mut graph).await?;
            "as planned"
        } else if self.live {
            mark_live(ctx, &mut graph).await?;
            "as it runs"
        } else {
            "as described"
        };
        if ctx.format() != Format::Table {
            ctx.data(&graph, |_| String::new())?;
            return Ok(Exit::Ok);
        }
        let text = match form {
            Form::Svg => svg(&graph, about),
            Form::Mermaid => mermaid(&graph),
            Form::D2 => d2(&graph),
            Form::C4 => c4(&graph),
        };
        match &self.out {
            None => output::text(&text)?,
            Some(out) => {
                std::fs::write(out, text)
                    .map_err(|error| CommandError::io(format!("write {}", out.display()), &error))?;
                let (nodes, flows) = (graph.nodes.len(), graph.flows.len());
                ctx.say(&format!("{} {} shows {nodes} nodes and {flows} flows", paint(GOOD, "✓"), out.display()));
                if form == Form::Svg {
                    ctx.next(&format!("look at it in a browser: {}", out.display()));
                }
            }
        }
        Ok(Exit::Ok)
    }
}

async fn mark_plan(ctx: &Ctx, graph: &mut Graph) -> Result<()> {
    let change = Change::Up(manifest::up(ctx, Aim::Look)?);
    let plan = ctx.client().await?.plan(&PlanRequest { change, carry_out: false }).await?;
    for change in &plan.changes {
        let mark = match change.sign.as_str() {
            "+" => Mark::Added,
            "-" => Mark::Removed,
            _ => Mark::Changed,
        };
        match change.kind.as_str() {
            "service" => graph.mark_service(&change.name, mark),
            "volume" => graph.mark_volume(&change.name, mark),
            _ => {}
        }
    }
    Ok(())
}

async fn mark_live(ctx: &Ctx, graph: &mut Graph) -> Result<()> {
    let key = ctx.key().await?;
    let status = ctx.client().await?.status(&key).await?;
    for service in &status.services {
        graph.mark_live(service.name.as_str(), service.ready.into(), service.wanted.into());
    }
    Ok(())
}
