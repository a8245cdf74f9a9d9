use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::incident::IncidentsQuery;
use daybook_api::oncall::{AddMaintenance, MaintenanceView};
use daybook_manifest::span_ms;
use daybook_model::Timestamp;

use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{DIM, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// Say when somebody works on something: alerts about it open no incident, and the status page shows it.
///
/// What comes again and again is in the manifest, under `maintenance`.
#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    #[command(subcommand)]
    command: MaintenanceCommand,
}

#[derive(Debug, Subcommand)]
enum MaintenanceCommand {
    /// Make a window
    Add {
        /// What it is for. The public may read it.
        #[arg(value_name = "TITLE")]
        title: String,
        /// A service that is worked on; may be given several times. All, if there is none.
        #[arg(long = "service", value_name = "NAME")]
        services: Vec<String>,
        /// How long.
        #[arg(long = "for", value_name = "TIME", value_parser = span_ms)]
        for_ms: u64,
        /// From when on: by default from now on.
        #[arg(long, value_name = "MOMENT")]
        from: Option<Timestamp>,
    },
    /// List those that are open or planned
    Ls {
        /// Also those that ended within five days.
        #[arg(short, long)]
        all: bool,
    },
    /// End one before its time
    End {
        /// Its id.
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl Maintenance {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.command {
            MaintenanceCommand::Add { title, services, for_ms, from } => {
                let asked = AddMaintenance { key: ctx.key().await?, title, services, from, for_ms };
                let window = ctx.client().await?.add_maintenance(&asked).await?;
                ctx.data(&window, |window| added(window, now()))?;
                if let Some(id) = &window.id {
                    ctx.next(&format!("end it before: {}", ctx.command(&format!("maintenance end {id}"))));
                }
            }
            MaintenanceCommand::Ls { all } => {
                let query = IncidentsQuery { key: Some(ctx.key().await?), all };
                let windows = ctx.client().await?.maintenance(&query).await?;
                ctx.data(&windows, |windows| render(windows, now()))?;
            }
            MaintenanceCommand::End { id } => {
                let window = ctx.client().await?.end_maintenance(&id).await?;
                ctx.data(&window, |window| format!("{} maintenance is over: {}\n", paint(GOOD, "✓"), window.title))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn added(window: &MaintenanceView, now: Timestamp) -> String {
    let begins = match window.state.as_str() {
        "planned" => format!("from {} on ", words::moment(window.from, now)),
        _ => String::new(),
    };
    let id = window.id.as_deref().unwrap_or_default();
    let length = words::span(window.until.as_second() - window.from.as_second());
    format!("{} maintenance {id} of {} {begins}for {length}: {}\n", paint(GOOD, "✓"), which(window), window.title)
}

fn which(window: &MaintenanceView) -> String {
    if window.services.is_empty() { "everything".to_owned() } else { window.services.join(", ") }
}

fn render(windows: &[MaintenanceView], now: Timestamp) -> String {
    if windows.is_empty() {
        return "no maintenance is open or planned\n".to_owned();
    }
    let mut table = Table::new(&["ID", "STATE", "FROM", "UNTIL", "OF", "BY", "TITLE"]);
    for window in windows {
        let state = match window.state.as_str() {
            "open" => paint(WARN, "open"),
            "over" => paint(DIM, "over"),
            state => state.to_owned(),
        };
        table.row([
            window.id.clone().unwrap_or_else(|| "-".to_owned()),
            state,
            words::moment(window.from, now),
            words::moment(window.until, now),
            which(window),
            window.by.clone().unwrap_or_else(|| "the manifest".to_owned()),
            window.title.clone(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn windows_are_a_table() {
        let windows: Vec<MaintenanceView> = serde_json::from_str(
            r#"[{"id": "0a1b2c3d", "key": "shop/production", "title": "Larger machines", "services": ["web"], "state": "open",
                "from": "2026-12-01T10:00:00Z", "until": "2026-12-01T12:00:00Z", "by": "ann"},
                {"key": "shop/production", "title": "Updates", "services": [], "state": "planned", "every": "0 2 * * 0 UTC",
                "from": "2026-12-06T02:00:00Z", "until": "2026-12-06T04:00:00Z"}]"#,
        )
        .unwrap();
        let now = "2026-12-01T10:00:00Z".parse().unwrap();
        insta::assert_snapshot!(plain(&render(&windows, now)), @"
        ID        STATE    FROM            UNTIL           OF          BY            TITLE
        0a1b2c3d  open     10:00:00        12:00:00        web         ann           Larger machines
        -         planned  6 Dec 02:00:00  6 Dec 04:00:00  everything  the manifest  Updates
        ");
        assert_eq!(plain(&added(&windows[0], now)), "✓ maintenance 0a1b2c3d of web for 2 h: Larger machines\n");
        assert_eq!(render(&[], now), "no maintenance is open or planned\n");
    }
}
