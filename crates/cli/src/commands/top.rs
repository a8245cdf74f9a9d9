use clap::Args;
use daybook_api::client::Exit;
use daybook_api::top::{TopView, UsageView};
use serde::Serialize;

use super::pulse::{Pulse, SPARK, pulses, used};
use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{BAD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// Show what replicas and the machine use now, and what services used over the last hour.
#[derive(Debug, Args)]
pub(crate) struct Top {}

impl Top {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let client = ctx.client().await?;
        let mut top = client.top(&key).await?;
        top.replicas.sort_by(|a, b| b.cpu_cores.total_cmp(&a.cpu_cores).then_with(|| a.replica.cmp(&b.replica)));
        let told = Told { top, last_hour: pulses(client, &key, now(), SPARK).await };
        ctx.data(&told, |told| render(&told.top) + &used(&told.last_hour))?;
        Ok(Exit::Ok)
    }
}

/// What is used now, and what was.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    top: TopView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    last_hour: Vec<Pulse>,
}

fn render(top: &TopView) -> String {
    let host = &top.host;
    let total: f64 = top.replicas.iter().map(|replica| replica.cpu_cores).sum();
    let mut out = format!(
        "machine   {total:.2} of {} cores by this environment   memory {} of {}\n\n",
        host.cores,
        words::size(host.memory_used_bytes),
        words::size(host.memory_bytes)
    );
    let mut table = Table::new(&["REPLICA", "CPU>", "MEMORY>", "LIMIT>", "USED>", "PIDS>"]);
    for replica in &top.replicas {
        table.row([
            replica.replica.to_string(),
            format!("{:.2}", replica.cpu_cores),
            words::size(replica.memory_bytes),
            replica.memory_limit_bytes.map(words::size).unwrap_or_default(),
            share(replica),
            words::count(replica.pids),
        ]);
    }
    out.push_str(&table.render());
    out
}

/// How much of its memory limit a replica uses.
fn share(replica: &UsageView) -> String {
    let Some(limit) = replica.memory_limit_bytes.filter(|limit| *limit > 0) else { return String::new() };
    let percent = replica.memory_bytes.saturating_mul(100) / limit;
    let text = format!("{percent} %");
    match percent {
        ..80 => text,
        80..95 => paint(WARN, text),
        _ => paint(BAD, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn use_is_a_table_under_the_machine() {
        let top: TopView = serde_json::from_str(
            r#"{"host": {"cores": 2, "memory_bytes": 8589934592, "memory_used_bytes": 3221225472}, "replicas": [
                {"replica": "web.3", "cpu_cores": 0.51, "memory_bytes": 67108864, "memory_limit_bytes": 268435456, "pids": 9},
                {"replica": "worker.1", "cpu_cores": 0.0, "memory_bytes": 4096, "pids": 1}]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&top)), @r"
        machine   0.51 of 2 cores by this environment   memory 3.0 GB of 8.0 GB

        REPLICA    CPU  MEMORY   LIMIT  USED  PIDS
        web.3     0.51   64 MB  256 MB  25 %     9
        worker.1  0.00  4.0 kB                   1
        ");
    }
}
