use clap::Args;
use daybook_api::client::Exit;
use daybook_api::why::WhyView;
use daybook_model::ServiceName;

use crate::context::Ctx;
use crate::error::Result;
use crate::follow::verdict::{last_lines, list};
use crate::output::style::{STRONG, paint};

/// Say what is wrong with a service, why, and what can be done.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The service.
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
}

impl Why {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let why = ctx.client().await?.why(&key, &self.service).await?;
        ctx.data(&why, render)?;
        Ok(Exit::Ok)
    }
}

fn render(why: &WhyView) -> String {
    let headline = why.headline.trim_end_matches('.');
    let mut out = format!("{} ({}) {headline}.\n\n", paint(STRONG, &why.service), why.key);
    list(&mut out, "Cause", why.cause.as_slice());
    list(&mut out, "Evidence", &why.evidence);
    list(&mut out, "Last", &last_lines(&why.log));
    let width = why.options.iter().map(|option| option.text.chars().count()).max().unwrap_or(0);
    let options: Vec<_> = why
        .options
        .iter()
        .zip(1..)
        .map(|(option, number)| {
            let command = option.command.as_deref().unwrap_or_default();
            format!("{number}  {:width$}     {command}", option.text).trim_end().to_owned()
        })
        .collect();
    list(&mut out, "Options", &options);
    out.truncate(out.trim_end().len());
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn r07_why_shows_cause_evidence_and_options() {
        let why: WhyView = serde_json::from_str(
            r#"{"key": "shop/production", "service": "worker",
                "headline": "restarts every 40 s; 11 times since 11:52, right after release 42.",
                "cause": "killed for memory: limit 128 MiB, reached at 12:03:07 (exit 137, oom_kill 1)",
                "evidence": ["memory grew 3.1 MiB/s in each life", "release 42 changed the image only"],
                "options": [{"text": "roll back to 41", "command": "daybook rollback 41"},
                            {"text": "raise the limit in the manifest"}]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&why)), @r"
        worker (shop/production) restarts every 40 s; 11 times since 11:52, right after release 42.

          Cause     killed for memory: limit 128 MiB, reached at 12:03:07 (exit 137, oom_kill 1)
          Evidence  memory grew 3.1 MiB/s in each life
                    release 42 changed the image only
          Options   1  roll back to 41                     daybook rollback 41
                    2  raise the limit in the manifest
        ");
    }

    #[test]
    fn a_service_that_is_well_is_one_line() {
        let why: WhyView =
            serde_json::from_str(r#"{"key": "shop/production", "service": "web", "headline": "runs as it should"}"#)
                .unwrap();
        assert_eq!(plain(&render(&why)), "web (shop/production) runs as it should.\n");
    }
}
