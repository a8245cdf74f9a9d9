use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::oncall::{AddOverride, OnCallQuery, OverrideView, ScheduleView};
use daybook_manifest::span_ms;
use daybook_model::Timestamp;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::style::{DIM, GOOD, WARN, paint};
use crate::output::table::Table;

/// See who is on call, and let somebody take over.
///
/// Schedules, people and in which order they are woken are in the manifest, under `on_call`. Times are those of a schedule's zone.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct OnCall {
    #[command(subcommand)]
    command: Option<OnCallCommand>,
    /// Who is on call then: by default now.
    #[arg(long, value_name = "MOMENT")]
    at: Option<Timestamp>,
    /// Also show the shifts of so many days.
    #[arg(long, value_name = "N")]
    days: Option<u32>,
}

#[derive(Debug, Subcommand)]
enum OnCallCommand {
    /// Let somebody take over in a schedule for a while
    Override {
        /// The schedule.
        schedule: String,
        /// Who takes over: one of the manifest's people.
        person: String,
        /// From when on: by default from now on.
        #[arg(long, value_name = "MOMENT")]
        from: Option<Timestamp>,
        /// Until when.
        #[arg(long, value_name = "MOMENT", required_unless_present = "for_ms", conflicts_with = "for_ms")]
        until: Option<Timestamp>,
        /// How long.
        #[arg(long = "for", value_name = "TIME", value_parser = span_ms)]
        for_ms: Option<u64>,
    },
    /// Let nobody take over any more
    Rm {
        /// Its id.
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl OnCall {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.command {
            None => {
                let query = OnCallQuery { key: ctx.key().await?, at: self.at, days: self.days };
                let schedules = ctx.client().await?.on_call(&query).await?;
                ctx.data(&schedules, |schedules| match self.days {
                    None => render(schedules),
                    Some(_) => schedules.iter().map(shifts).collect::<Vec<_>>().join("\n"),
                })?;
                if schedules.is_empty() {
                    ctx.next("describe a schedule in the manifest, under `on_call`");
                }
            }
            Some(OnCallCommand::Override { schedule, person, from, until, for_ms }) => {
                let length = for_ms.and_then(|ms| i64::try_from(ms).ok()).map(SignedDuration::from_millis);
                let until = until.or_else(|| from.unwrap_or_else(now).checked_add(length?).ok());
                let until = until.ok_or_else(|| CommandError::usage("it would never end".to_owned()))?;
                let (key, client) = (ctx.key().await?, ctx.client().await?);
                let asked = AddOverride { key: key.clone(), schedule, person, from, until };
                let taken = client.add_override(&asked).await?;
                // It is done: where its zone cannot be asked for, it is told in UTC.
                let known = client.on_call(&OnCallQuery { key, at: None, days: Some(0) }).await.unwrap_or_default();
                let its = known.iter().find(|one| one.schedule == taken.schedule).map_or(TimeZone::UTC, zone);
                ctx.data(&taken, |taken| format!("{} {}\n", paint(GOOD, "✓"), words(taken, &its)))?;
                ctx.next(&format!("end it before: {}", ctx.command(&format!("oncall rm {}", taken.id))));
            }
            Some(OnCallCommand::Rm { id }) => {
                let taken = ctx.client().await?.end_override(&id).await?;
                ctx.data(&taken, |taken| {
                    let OverrideView { person, schedule, .. } = taken;
                    format!("{} {person} does not take over in {schedule} any more\n", paint(GOOD, "✓"))
                })?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn words(taken: &OverrideView, zone: &TimeZone) -> String {
    let OverrideView { person, schedule, id, .. } = taken;
    let (from, until) = (moment(taken.from, zone), moment(taken.until, zone));
    format!("{person} takes over in {schedule} from {from} until {until} ({id})")
}

/// As the clocks of a zone show it.
fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %-d %b %H:%M %Z").to_string()
}

fn zone(schedule: &ScheduleView) -> TimeZone {
    TimeZone::get(&schedule.zone).unwrap_or(TimeZone::UTC)
}

fn person(name: Option<&String>) -> String {
    name.cloned().unwrap_or_else(|| paint(WARN, "nobody"))
}

fn render(schedules: &[ScheduleView]) -> String {
    if schedules.is_empty() {
        return "there is no schedule\n".to_owned();
    }
    let mut table = Table::new(&["SCHEDULE", "ON CALL", "UNTIL", "THEN"]);
    for schedule in schedules {
        let (until, then) = match schedule.until {
            Some(until) => (moment(until, &zone(schedule)), person(schedule.next.as_ref())),
            None => ("for good".to_owned(), String::new()),
        };
        table.row([schedule.schedule.clone(), person(schedule.person.as_ref()), until, then]);
    }
    table.render() + &overrides(schedules.iter())
}

/// Who takes over, by whose word.
fn overrides<'s>(schedules: impl Iterator<Item = &'s ScheduleView>) -> String {
    let all = schedules.flat_map(|schedule| schedule.overrides.iter().map(move |one| (one, zone(schedule))));
    all.map(|(one, zone)| paint(DIM, format!("{}, says {}", words(one, &zone), one.by)) + "\n").collect()
}

fn shifts(schedule: &ScheduleView) -> String {
    let zone = zone(schedule);
    let mut table = Table::new(&["FROM", "UNTIL", "ON CALL"]);
    for shift in &schedule.shifts {
        table.row([moment(shift.from, &zone), moment(shift.until, &zone), person(shift.person.as_ref())]);
    }
    format!("{} ({})\n{}{}", schedule.schedule, schedule.zone, table.render(), overrides(std::iter::once(schedule)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn who_is_on_call_is_a_table() {
        let schedules: Vec<ScheduleView> = serde_json::from_str(
            r#"[{"key": "shop/production", "schedule": "web", "zone": "Europe/Paris", "person": "ada", "next": "bob",
                "until": "2026-12-07T08:00:00Z", "shifts": [
                {"person": "ada", "from": "2026-12-01T10:00:00Z", "until": "2026-12-07T08:00:00Z"},
                {"from": "2026-12-07T08:00:00Z", "until": "2026-12-08T10:00:00Z"}], "overrides": [
                {"id": "0a1b2c3d", "key": "shop/production", "schedule": "web", "person": "bob", "by": "ann",
                "from": "2026-12-07T08:00:00Z", "until": "2026-12-07T12:00:00Z"}]},
                {"key": "shop/production", "schedule": "db", "zone": "UTC", "shifts": [], "overrides": []}]"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&schedules)), @"
        SCHEDULE  ON CALL  UNTIL                THEN
        web       ada      Mon 7 Dec 09:00 CET  bob
        db        nobody   for good
        bob takes over in web from Mon 7 Dec 09:00 CET until Mon 7 Dec 13:00 CET (0a1b2c3d), says ann
        ");
        insta::assert_snapshot!(plain(&shifts(&schedules[0])), @"
        web (Europe/Paris)
        FROM                 UNTIL                ON CALL
        Tue 1 Dec 11:00 CET  Mon 7 Dec 09:00 CET  ada
        Mon 7 Dec 09:00 CET  Tue 8 Dec 11:00 CET  nobody
        bob takes over in web from Mon 7 Dec 09:00 CET until Mon 7 Dec 13:00 CET (0a1b2c3d), says ann
        ");
        assert_eq!(render(&[]), "there is no schedule\n");
    }
}
