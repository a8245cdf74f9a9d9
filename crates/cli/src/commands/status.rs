use clap::Args;
use daybook_api::client::Exit;
use daybook_api::status::{MovingView, ServiceState, ServiceView, StatusView};
use daybook_model::{EnvKey, Timestamp};
use serde::Serialize;

use super::pulse::{Pulse, SPARK, felt, pulses};
use crate::context::{Ctx, command, now};
use crate::error::Result;
use crate::output::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// Show the environment: its release, its services and where they are reached.
#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let client = ctx.client().await?;
        let status = client.status(&key).await?;
        let told = Told { last_hour: pulses(client, &key, now(), SPARK).await, status };
        ctx.data(&told, |told| render(&told.status, now()) + &felt(&told.last_hour))?;
        ctx.next(&next(&told.status));
        Ok(Exit::Ok)
    }
}

/// What is there now, and what users felt.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    status: StatusView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    last_hour: Vec<Pulse>,
}

/// The obvious next command.
fn next(status: &StatusView) -> String {
    let env = status.key.env.as_str();
    let troubled = |service: &&ServiceView| matches!(service.state, ServiceState::Failing | ServiceState::Degraded);
    match &status.coming {
        Some(coming) if coming.interrupted => return format!("let it go on: {}", command("resume", env)),
        Some(_) => return format!("follow it: {}", command("resume", env)),
        None => {}
    }
    match status.services.iter().find(troubled) {
        Some(service) => format!("find out why: {}", command(&format!("why {}", service.name), env)),
        None if status.release.is_none() => format!("deploy: {}", command("up", env)),
        None => format!("what they say: {}", command("logs -f", env)),
    }
}

fn render(status: &StatusView, now: Timestamp) -> String {
    let mut out = head(status, now);
    if !status.services.is_empty() {
        out.push('\n');
        out.push_str(&services(&status.services, now));
    }
    if !status.volumes.is_empty() {
        out.push_str(&format!("\nvolumes  {}\n", status.volumes.join(", ")));
    }
    if let Some(moving) = &status.moving {
        out.push('\n');
        out.push_str(&both_serve(&status.key, &status.target, moving));
    }
    if !status.warnings.is_empty() {
        out.push('\n');
        status.warnings.iter().for_each(|text| out.push_str(&warning(text)));
    }
    out
}

/// What is left to be done of a move.
pub(super) fn both_serve(key: &EnvKey, target: &str, moving: &MovingView) -> String {
    let entrance = match moving.entrance.as_slice() {
        [] => format!("the entrance of {target}"),
        some => some.join(", "),
    };
    let finish = format!("daybook env move {} --finish", key.env);
    format!(
        "{} {target} and {} both serve. Point its names at {entrance};\n  when nobody comes in at {} any more: {finish}\n",
        paint(WARN, "moving"),
        moving.from,
        moving.from,
    )
}

/// A line for what keeps people from reaching what runs.
pub(super) fn warning(text: &str) -> String {
    format!("{} {text}\n", paint(WARN, "!"))
}

fn head(status: &StatusView, now: Timestamp) -> String {
    let mut parts = vec![paint(STRONG, &status.key)];
    parts.push(status.release.map_or("no release yet".to_owned(), |number| format!("release {number}")));
    parts.extend(status.target.starts_with("kubernetes").then(|| format!("on {}", status.target)));
    parts.extend(status.reached.map(|at| format!("since {}", words::ago(at, now))));
    parts.extend(status.coming.as_ref().map(|coming| match coming.interrupted {
        true => paint(WARN, format!("interrupted on the way to release {}", coming.release)),
        false => paint(WARN, format!("on the way to release {}", coming.release)),
    }));
    parts.extend(status.adopted.then(|| paint(WARN, "adopted from what runs")));
    if status.requests > 0 {
        let failed = format!("{} failed", words::count(status.errors));
        let failed = if status.errors > 0 { paint(WARN, failed) } else { failed };
        parts.push(format!("{}, {failed}", words::plural(status.requests, "request")));
    }
    parts.join("   ") + "\n"
}

fn services(services: &[ServiceView], now: Timestamp) -> String {
    let mut table = Table::new(&["SERVICE", "STATE", "READY>", "IMAGE", "NOTE", "REACHED AT"]);
    for service in services {
        let ready = match service.state {
            ServiceState::Static | ServiceState::Scheduled | ServiceState::Completed => "-".to_owned(),
            _ if service.kind == "chart" => "-".to_owned(),
            _ => format!("{}/{}", service.ready, service.wanted),
        };
        table.row([
            service.name.clone(),
            state(service.state),
            ready,
            service.image.clone(),
            note(service, now),
            service.urls.join(" "),
        ]);
    }
    table.render()
}

/// What a job did and will do, or what is wrong with a replica.
fn note(service: &ServiceView, now: Timestamp) -> String {
    let last = service.last_run.as_ref().map(|run| {
        let how = match (&run.skipped, run.code) {
            (Some(why), _) => format!("skipped: {why}"),
            (None, Some(0)) => "ok".to_owned(),
            (None, Some(code)) => paint(BAD, format!("exit {code}")),
            (None, None) => "runs now".to_owned(),
        };
        format!("last {}, {how}", words::ago(run.due, now))
    });
    let next = service.next_run.map(|at| format!("next {}", words::ago(at, now)));
    let trouble = service.replicas.iter().find_map(|replica| replica.note.clone());
    [last, next, trouble].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn state(state: ServiceState) -> String {
    match state {
        ServiceState::Running => paint(GOOD, "running"),
        ServiceState::Starting => paint(WARN, "starting"),
        ServiceState::Degraded => paint(WARN, "degraded"),
        ServiceState::Failing => paint(BAD, "failing"),
        ServiceState::Stopped => paint(DIM, "stopped"),
        ServiceState::Scheduled => "scheduled".to_owned(),
        ServiceState::Completed => paint(GOOD, "completed"),
        ServiceState::Static => "static".to_owned(),
    }
}

/// A state's or health's word in its colour.
pub(super) fn paint_word(word: &str) -> String {
    match word {
        "running" | "healthy" => paint(GOOD, word),
        "restarting" | "starting" | "created" => paint(WARN, word),
        "unhealthy" => paint(BAD, word),
        "exited" => paint(DIM, word),
        other => other.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use daybook_api::status::ComingView;
    use daybook_model::ReleaseNumber;

    use super::*;
    use crate::follow::fixture;
    use crate::output::style::plain;

    pub(in crate::commands) fn status() -> StatusView {
        serde_json::from_str(include_str!("fixtures/status.json")).unwrap()
    }

    #[test]
    fn an_environment_shows_its_release_services_and_volumes() {
        insta::assert_snapshot!(plain(&render(&status(), fixture::now())), @r"
        shop/production   release 42   since 2 min ago   18,330 requests, 2 failed

        SERVICE  STATE      READY  IMAGE   NOTE                            REACHED AT
        web      running      2/2  shop:2                                  https://shop.example.com
        worker   failing      0/1  shop:2  exit 137, out of memory
        report   scheduled      -  shop:2  last 9 h ago, ok; next in 14 h
        docs     static         -                                          https://docs.example.com

        volumes  data
        ");
    }

    #[test]
    fn an_interrupted_run_and_a_taken_port_are_told() {
        let mut status = status();
        (status.services, status.volumes) = (Vec::new(), Vec::new());
        status.coming = Some(ComingView { release: ReleaseNumber(43), interrupted: true });
        status.warnings = vec!["nothing is reached at 0.0.0.0:443: the port is taken by process 7 (nginx)".into()];
        insta::assert_snapshot!(plain(&render(&status, fixture::now())), @r"
        shop/production   release 42   since 2 min ago   interrupted on the way to release 43   18,330 requests, 2 failed

        ! nothing is reached at 0.0.0.0:443: the port is taken by process 7 (nginx)
        ");
    }

    #[test]
    fn the_next_command_looks_into_what_is_wrong() {
        let mut status = status();
        assert_eq!(next(&status), "find out why: daybook why worker");
        status.services.retain(|service| service.name != "worker");
        assert_eq!(next(&status), "what they say: daybook logs -f");
        status.coming = Some(ComingView { release: ReleaseNumber(43), interrupted: false });
        assert_eq!(next(&status), "follow it: daybook resume");
        status.coming = Some(ComingView { release: ReleaseNumber(43), interrupted: true });
        assert_eq!(next(&status), "let it go on: daybook resume");
    }

    #[test]
    fn an_empty_environment_asks_to_be_deployed() {
        let status: StatusView = serde_json::from_str(r#"{"key": "shop/staging", "services": []}"#).unwrap();
        assert_eq!(plain(&render(&status, fixture::now())), "shop/staging   no release yet\n");
        assert_eq!(next(&status), "deploy: daybook up -e staging");
    }
}
