use clap::Args;
use daybook_api::client::Exit;
use daybook_api::status::{ReplicaView, StatusView};
use daybook_model::Timestamp;

use super::status::paint_word;
use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::table::Table;
use crate::output::words;

/// List replicas: whether they run, since when, and whether requests reach them.
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Replicas that have ended, too.
    #[arg(short, long)]
    all: bool,
}

impl Ps {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let status = ctx.client().await?.status(&key).await?;
        let mut replicas: Vec<ReplicaView> =
            status.services.iter().flat_map(|service| service.replicas.clone()).collect();
        if !self.all {
            replicas.retain(|replica| replica.state != "exited");
        }
        ctx.data(&replicas, |replicas| render(&status, replicas, now()))?;
        if replicas.is_empty() {
            ctx.next(&format!("deploy: {}", ctx.command("up")));
        } else if let Some(troubled) =
            replicas.iter().find(|replica| replica.restarts > 0 || replica.health == "unhealthy")
        {
            ctx.next(&format!("find out why: {}", ctx.command(&format!("why {}", troubled.id.service))));
        } else {
            ctx.next(&format!("what they say: {}", ctx.command("logs -f")));
        }
        Ok(Exit::Ok)
    }
}

fn render(status: &StatusView, replicas: &[ReplicaView], now: Timestamp) -> String {
    if replicas.is_empty() {
        return format!("{}: no replica runs.\n", status.key);
    }
    let mut table =
        Table::new(&["REPLICA", "STATE", "HEALTH", "RELEASE>", "SINCE", "RESTARTS>", "ADDRESS", "IN FLIGHT>"]);
    for replica in replicas {
        let role = if matches!(replica.role.as_str(), "" | "main") { "" } else { replica.role.as_str() };
        let name = if role.is_empty() { replica.id.to_string() } else { format!("{} ({role})", replica.id) };
        table.row([
            name,
            paint_word(&replica.state),
            health(replica),
            replica.release.to_string(),
            replica.started_at.map(|at| words::ago(at, now)).unwrap_or_default(),
            words::count(replica.restarts.into()),
            replica.address.clone().unwrap_or_default(),
            if replica.routed { words::count(replica.in_flight) } else { "-".to_owned() },
        ]);
    }
    table.render()
}

fn health(replica: &ReplicaView) -> String {
    match (replica.health.as_str(), &replica.note) {
        ("unasked", Some(note)) => note.clone(),
        ("unasked", None) => "-".to_owned(),
        (word, Some(note)) => format!("{}: {note}", paint_word(word)),
        (word, None) => paint_word(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::tests::status;
    use crate::output::style::plain;

    #[test]
    fn replicas_are_a_table() {
        let status = status();
        let replicas: Vec<_> = status.services.iter().flat_map(|service| service.replicas.clone()).collect();
        let shown = plain(&render(&status, &replicas, crate::follow::fixture::now()));
        insta::assert_snapshot!(shown, @r"
        REPLICA   STATE       HEALTH                   RELEASE  SINCE      RESTARTS  ADDRESS          IN FLIGHT
        web.3     running     healthy                       42  2 min ago         0  127.0.0.1:31003          4
        web.4     running     healthy                       42  2 min ago         0  127.0.0.1:31004          0
        worker.2  restarting  exit 137, out of memory       42  25 s ago         11                           -
        ");
        assert_eq!(render(&status, &[], crate::follow::fixture::now()), "shop/production: no replica runs.\n");
    }
}
