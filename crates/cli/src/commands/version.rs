use clap::Args;
use daybook_api::client::Exit;
use daybook_api::version::VersionView;
use serde::Serialize;

use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::words;
use crate::server;

/// Show the version of this program and of the server that answers. Starts none.
#[derive(Debug, Args)]
pub(crate) struct Version {}

#[derive(Serialize)]
struct Versions {
    client: &'static str,
    server: Option<VersionView>,
}

impl Version {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let client = match ctx.elsewhere().await? {
            Some(client) => client,
            None => server::client(&ctx.state),
        };
        let server = match client.version().await {
            Ok(server) => Some(server),
            Err(error) if error.is_connection() => None,
            Err(error) => return Err(error.into()),
        };
        ctx.data(&Versions { client: env!("CARGO_PKG_VERSION"), server }, render)?;
        Ok(Exit::Ok)
    }
}

fn render(versions: &Versions) -> String {
    let mut out = format!("daybook  {}\n", versions.client);
    let Some(server) = &versions.server else {
        out.push_str("server   none runs\n");
        return out;
    };
    let since = words::ago(server.started_at, now());
    out.push_str(&format!(
        "server   {}, pid {}, started {since}, state {}\n",
        server.version, server.pid, server.state
    ));
    out.push_str(&format!("runtime  {} {}\n", server.runtime.name, server.runtime.version));
    if let Some(edge) = &server.edge {
        let at = [&edge.http, &edge.https].into_iter().flatten().cloned().collect::<Vec<_>>().join(" and ");
        out.push_str(&format!(
            "edge     generation {}, pid {}, at {at}, table {}, {}\n",
            edge.generation,
            edge.pid,
            edge.table_version,
            words::size(edge.rss)
        ));
    }
    out
}
