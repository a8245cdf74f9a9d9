use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::doctor::CheckResult;
use daybook_api::target::{AddTarget, TargetView};
use daybook_model::{Target as Place, TargetName};

use super::doctor::render as render_checks;
use crate::context::Ctx;
use crate::error::Result;
use crate::output::style::{BAD, GOOD, paint};
use crate::output::table::Table;
use crate::output::words;

/// Show where environments run, and look whether a cluster has what is needed.
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give a cluster a name: `kubernetes://NAME` then means it, with its settings, in manifests and commands.
    ///
    /// The cluster must answer. What it lacks is shown, as `target check` does.
    Add {
        /// The name.
        #[arg(value_name = "NAME")]
        name: TargetName,
        /// The cluster: `kubernetes://CONTEXT[/NAMESPACE][?registry=HOST/PATH]`.
        #[arg(value_name = "CLUSTER")]
        cluster: Place,
    },
    /// Take a cluster's name away. Refused while an environment is there.
    Rm {
        /// The name.
        #[arg(value_name = "NAME")]
        name: TargetName,
    },
    /// List the targets that have names and those that environments are on, with their version, machines and capacity.
    Ls,
    /// Look whether a cluster has everything that Daybook needs: version, permissions one by one, machines, storage,
    /// registry, edge.
    Check {
        /// The cluster: `kubernetes://CONTEXT[/NAMESPACE][?registry=HOST/PATH]`.
        #[arg(value_name = "CLUSTER")]
        cluster: Place,
    },
}

impl Target {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let client = ctx.client().await?;
        match self.action {
            Action::Ls => {
                let targets = client.targets().await?;
                ctx.data(&targets, |targets| render(targets))?;
                Ok(Exit::Ok)
            }
            Action::Add { name, cluster } => {
                let checks = client.check_target(&cluster).await?;
                client.add_target(&AddTarget { name: name.clone(), target: cluster.clone() }).await?;
                ctx.data(&checks, |checks| render_checks(checks))?;
                ctx.say(&format!("{} kubernetes://{name} means {cluster}", paint(GOOD, "✓")));
                ctx.say(&format!("  deploy there: daybook up --target kubernetes://{name}"));
                Ok(Exit::Ok)
            }
            Action::Rm { name } => {
                client.remove_target(&name).await?;
                ctx.say(&format!("{} forgot target {name}", paint(GOOD, "✓")));
                Ok(Exit::Ok)
            }
            Action::Check { cluster } => {
                let checks = client.check_target(&cluster).await?;
                ctx.data(&checks, |checks| render_checks(checks))?;
                let bad = checks.iter().any(|check| check.result == CheckResult::Bad);
                Ok(if bad { Exit::Failed } else { Exit::Ok })
            }
        }
    }
}

fn render(targets: &[TargetView]) -> String {
    let mut table = Table::new(&["NAME", "TARGET", "ANSWERS", "MACHINES", "CORES>", "MEMORY>", "ENVIRONMENTS"]);
    for target in targets {
        let answers = match (&target.version, &target.error) {
            (Some(version), _) => paint(GOOD, version),
            (None, Some(error)) => paint(BAD, error),
            (None, None) => String::new(),
        };
        let machines = match (target.machines_ready, target.machines) {
            (Some(ready), Some(all)) => format!("{ready} of {all}"),
            _ => String::new(),
        };
        let environments: Vec<_> = target.environments.iter().map(ToString::to_string).collect();
        table.row([
            target.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            target.target.clone(),
            answers,
            machines,
            target.cpu_millis.map(|millis| format!("{:.1}", millis as f64 / 1000.0)).unwrap_or_default(),
            target.memory_bytes.map(words::size).unwrap_or_default(),
            environments.join(", "),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn each_target_says_what_answers_and_what_runs_there() {
        let targets: Vec<TargetView> = serde_json::from_str(
            r#"[{"target": "this machine", "version": "Docker 20.10", "environments": ["shop/staging"]},
                {"name": "prod", "target": "kubernetes://prod?pods=direct", "version": "Kubernetes v1.34.4", "machines_ready": 2, "machines": 3,
                 "cpu_millis": 7500, "memory_bytes": 17179869184, "environments": ["shop/production"]},
                {"target": "kubernetes://old", "error": "connection refused", "environments": []}]"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&targets)));
    }
}
