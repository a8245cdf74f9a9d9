//! What the journal says of jobs and backups, and what databases say of themselves, as samples.

use std::collections::BTreeMap;

use daybook_model::launch::Role;
use daybook_model::spec::{Kind, Tls};
use daybook_model::{EnvKey, Observed, ServiceName, Spec, Timestamp};
use daybook_store::Job;

use super::gather::seconds;
use super::samples::{Base, Samples};

/// How often each job ended badly, as far as that was seen, and which of its runs was seen last.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<(EnvKey, ServiceName), (u64, Option<Timestamp>)>);

/// How the last runs of jobs ended, and when the next are to start.
pub(super) fn jobs(spec: &Spec, jobs: &BTreeMap<ServiceName, Job>, failures: &mut Failures, out: &mut Samples) {
    let key = &spec.key;
    for (service, job) in jobs {
        let of = Base::new([("app", &key.app), ("env", &key.env), ("service", service)]);
        let described = spec.services.get(service).filter(|service| !service.stopped);
        if let Some(Kind::Job(schedule)) = described.map(|service| &service.kind)
            && let Some(next) = daybook_decide::jobs::next(schedule, job.settled)
        {
            out.add(&of, "daybook_job_next_due_timestamp_seconds", seconds(next));
        }
        out.add(&of, "daybook_job_failures_total", failures.of(key, service, job) as f64);
        out.add(&of, "daybook_job_running", f64::from(u8::from(job.running.is_some())));
        let Some(last) = &job.last else { continue };
        out.add(&of, "daybook_job_last_due_timestamp_seconds", seconds(last.due));
        let Some(code) = last.code else { continue };
        out.add(&of, "daybook_job_last_exit_code", f64::from(code));
        if code == 0 {
            out.add(&of, "daybook_job_last_success_timestamp_seconds", seconds(last.due));
        }
    }
}

impl Failures {
    /// How many there were until now. What ended before the first look counts as seen.
    fn of(&mut self, key: &EnvKey, service: &ServiceName, job: &Job) -> u64 {
        let last = job.last.as_ref();
        let due = last.map(|last| last.due);
        let (count, seen) = self.0.entry((key.clone(), service.clone())).or_insert((0, due));
        if *seen != due {
            *seen = due;
            *count += u64::from(last.and_then(|last| last.code).is_some_and(|code| code != 0));
        }
        *count
    }
}

/// What replicas may use of the processors.
pub(super) fn limits(spec: &Spec, observed: &Observed, out: &mut Samples) {
    let key = &spec.key;
    for replica in observed.replicas.iter().filter(|replica| replica.role == Role::Main && replica.is_running()) {
        let described = spec.services.get(&replica.id.service);
        let Some(millis) = described.and_then(|service| service.container.resources.cpu_millis) else { continue };
        let of = Base::new([
            ("app", &key.app),
            ("env", &key.env),
            ("service", &replica.id.service),
            ("replica", &replica.id),
            ("release", &replica.release),
        ]);
        out.add(&of, "daybook_replica_cpu_limit_cores", millis as f64 / 1000.0);
    }
}

/// Until when certificates from files are valid. What cannot be read is told by the edge, which refuses it.
pub(super) fn certificates(spec: &Spec, read: impl Fn(&str) -> Option<Vec<u8>>, out: &mut Samples) {
    let key = &spec.key;
    for (service, domain) in
        spec.services.values().flat_map(|service| service.routes.iter().map(move |one| (service, one)))
    {
        let Tls::Files { cert, .. } = &domain.tls else { continue };
        if let Some(expiry) = read(cert).and_then(|pem| expiry(&pem)) {
            let of =
                Base::new([("app", &key.app), ("env", &key.env), ("service", &service.name), ("domain", &domain.host)]);
            out.add(&of, "daybook_certificate_expiry_timestamp_seconds", expiry as f64);
        }
    }
}

/// When the first certificate of a chain ceases to be valid: seconds since 1970.
fn expiry(pem: &[u8]) -> Option<i64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    Some(pem.parse_x509().ok()?.validity().not_after.timestamp())
}

#[cfg(feature = "databases")]
pub(super) use databases::{asked, backups};

#[cfg(feature = "databases")]
mod databases {
    use std::time::Duration;

    use daybook_data::tune::Query;
    use daybook_data::vitals::Vitals;
    use daybook_decide::backups::{Backup, History};
    use daybook_model::backup::Holding;
    use daybook_model::database::Engine;
    use daybook_model::{DatabaseName, EnvKey, Spec, Timestamp};

    use super::{Base, Samples, seconds};
    use crate::App;

    /// What a query begins with.
    const QUERIES: [&str; 6] = ["select ", "insert ", "update ", "delete ", "with ", "merge "];
    /// So many characters of a query are told.
    const SHOWN: usize = 120;
    /// A database that does not answer until then counts as down.
    const ANSWER_WITHIN: Duration = Duration::from_secs(5);

    /// How what has a policy is backed up.
    pub(in crate::observe) fn backups<'a>(
        spec: &Spec,
        accepted: Timestamp,
        history: impl Fn(&Holding) -> Option<&'a History>,
        out: &mut Samples,
    ) {
        let none = History::default();
        for (holding, policy) in spec.backup_policies() {
            let history = history(&holding).unwrap_or(&none);
            let of = Base::new([("app", &spec.key.app), ("env", &spec.key.env), ("holding", &holding)]);
            for (metric, every) in [
                ("daybook_backup_interval_seconds", policy.every_ms),
                ("daybook_backup_drill_interval_seconds", policy.drill_ms),
            ] {
                every.into_iter().for_each(|ms| out.add(&of, metric, ms as f64 / 1000.0));
            }
            // Before the first of each, it is as if one had been made when backups began.
            let first = history.backups.first().map_or(accepted, |backup| backup.begun);
            let made = history.newest().map_or(first, |backup| backup.begun);
            out.add(&of, "daybook_backup_last_success_timestamp_seconds", seconds(made));
            out.add(&of, "daybook_backup_proven_timestamp_seconds", seconds(history.last_proof().unwrap_or(first)));
            if let Some(made) = history.newest().and_then(Backup::made) {
                out.add(&of, "daybook_backup_size_bytes", made.size_bytes as f64);
            }
        }
    }

    /// What each database of an environment says of itself.
    pub(in crate::observe) async fn asked(app: &App, spec: &Spec, out: &mut Samples) {
        let asked = |(name, database): (&DatabaseName, &daybook_model::database::Database)| {
            matches!(database.engine, Engine::Postgres | Engine::Mysql | Engine::Mariadb).then(|| name.clone())
        };
        for name in spec.databases.iter().filter_map(asked) {
            let asked = tokio::time::timeout(ANSWER_WITHIN, app.vitals(&spec.key, &name)).await;
            let vitals = asked.ok().and_then(Result::ok);
            let is_up = vitals.is_some();
            said(&spec.key, &name, vitals, out);
            if is_up {
                // One that does not say this, or not in time, is up all the same.
                let asked = tokio::time::timeout(ANSWER_WITHIN, app.most_time(&spec.key, &name)).await;
                counted(&spec.key, &name, &asked.ok().flatten().unwrap_or_default(), out);
            }
        }
    }

    /// How often queries were called, and for how long. Each by its id: the sum of two that begin alike would fall when
    /// one of them is no longer among those that took most time, which counters never do.
    fn counted(key: &EnvKey, name: &DatabaseName, queries: &[Query], out: &mut Samples) {
        for query in queries {
            let Some(text) = shown(&query.text) else { continue };
            let of = Base::new([("app", &key.app), ("env", &key.env), ("database", name)]);
            let of = of.with([("query", &text), ("id", &query.id)]);
            out.add(&of, "daybook_database_query_calls_total", query.calls as f64);
            out.add(&of, "daybook_database_query_seconds_total", query.total_ms / 1000.0);
        }
    }

    /// The beginning of a query, in one line. Nothing of what may hold values: a server takes them out of queries
    /// alone, and not of each, if it has to forget many. Nothing of what asks about the server itself, as we do.
    fn shown(text: &str) -> Option<String> {
        let text = without_comments(text).split_whitespace().collect::<Vec<_>>().join(" ");
        let text = without_numbers(&text);
        let lower = text.to_lowercase();
        let is_query = QUERIES.iter().any(|word| lower.starts_with(word));
        let mut words = lower.split(|c: char| !c.is_alphanumeric() && c != '_');
        let is_about_itself = words.any(|word| word.starts_with("pg_"));
        // A `$` that is none of a parameter quotes a text, as `'` does.
        let is_parameter = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        let has_text = text.contains('\'') || text.contains("*/") || !text.split('$').skip(1).all(is_parameter);
        (is_query && !is_about_itself && !has_text).then(|| text.chars().take(SHOWN).collect())
    }

    /// A query without its comments. Of one with another in it, the end is left.
    fn without_comments(text: &str) -> String {
        let (mut left, mut rest) = (String::new(), text);
        while let Some(at) = rest.find("--").into_iter().chain(rest.find("/*")).min() {
            left.push_str(&rest[..at]);
            left.push(' ');
            let end = if rest[at..].starts_with("--") { "\n" } else { "*/" };
            rest = rest[at + 2..].split_once(end).map_or("", |(_, rest)| rest);
        }
        left.push_str(rest);
        left
    }

    /// A query with `?` in the place of numbers. Those in names, and of parameters, stay.
    fn without_numbers(text: &str) -> String {
        let (mut shown, mut before, mut is_number) = (String::new(), ' ', false);
        for c in text.chars() {
            let is_in_word = |c: char| c.is_alphanumeric() || c == '_';
            if is_number && (is_in_word(c) || c == '.') {
                continue;
            }
            is_number = c.is_ascii_digit() && !is_in_word(before) && before != '$';
            shown.push(if is_number { '?' } else { c });
            before = c;
        }
        shown
    }

    fn said(key: &EnvKey, name: &DatabaseName, vitals: Option<Vitals>, out: &mut Samples) {
        let of = Base::new([("app", &key.app), ("env", &key.env), ("database", name)]);
        out.add(&of, "daybook_database_up", f64::from(u8::from(vitals.is_some())));
        let Some(vitals) = vitals else { return };
        out.add(&of, "daybook_database_size_bytes", vitals.size_bytes as f64);
        out.add(&of, "daybook_database_connections", vitals.connections as f64);
        out.add(&of, "daybook_database_max_connections", vitals.most_connections as f64);
        out.add(&of, "daybook_database_waiting_statements", vitals.waiting as f64);
        out.add(&of, "daybook_database_longest_statement_seconds", vitals.longest_ms as f64 / 1000.0);
        for standby in &vitals.standbys {
            let of = of.with([("standby", &standby.name)]);
            let running = f64::from(u8::from(standby.is_running));
            out.add(&of, "daybook_database_replication_running", running);
            for (metric, behind) in [
                ("daybook_database_replication_lag_seconds", standby.behind_seconds),
                ("daybook_database_replication_lag_bytes", standby.behind_bytes),
            ] {
                // Clocks differ, and what is asked for one after the other may have moved.
                behind.into_iter().for_each(|behind| out.add(&of, metric, behind.max(0.0)));
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use daybook_data::vitals::Standby;

        use super::*;

        #[test]
        fn a_database_that_does_not_answer_is_down() {
            let (key, name) = ("shop/production".parse().unwrap(), "db".parse().unwrap());
            let mut out = Samples::default();
            said(&key, &name, None, &mut out);
            assert_eq!(
                out.text(),
                "daybook_database_up{app=\"shop\",database=\"db\",env=\"production\",job=\"daybook\"} 0\n"
            );
            said(
                &key,
                &name,
                Some(Vitals {
                    size_bytes: 7,
                    connections: 1,
                    most_connections: 100,
                    waiting: 0,
                    longest_ms: 20,
                    standbys: vec![Standby {
                        name: "db2@10.0.0.2".to_owned(),
                        is_running: true,
                        behind_seconds: Some(-0.5),
                        behind_bytes: Some(8.0),
                    }],
                }),
                &mut out,
            );
            let text = out.text();
            for (what, value) in [("running", 1), ("lag_seconds", 0), ("lag_bytes", 8)] {
                let line = format!(
                    "daybook_database_replication_{what}{{app=\"shop\",database=\"db\",env=\"production\",job=\"daybook\",standby=\"db2@10.0.0.2\"}} {value}\n"
                );
                assert!(text.contains(&line), "{line}is not in\n{text}");
            }
            out.all_are_listed();
        }

        #[test]
        fn queries_are_counted_and_nothing_that_may_hold_values() {
            let (key, name) = ("shop/production".parse().unwrap(), "db".parse().unwrap());
            let query = |id, text: &str, calls, total_ms| Query { id, text: text.to_owned(), calls, total_ms, rows: 0 };
            let queries = [
                query(7, "select *\n  from orders where id = $1", 3, 1500.0),
                query(-8, "select * from orders where id = $1", 1, 500.0),
                query(9, "grant all on orders to web", 1, 1.0),
                query(10, "select pg_database_size(current_database())", 9, 9.0),
            ];
            let mut out = Samples::default();
            counted(&key, &name, &queries, &mut out);
            out.all_are_listed();
            let text = out.text();
            assert_eq!(text.lines().count(), 4, "each that begins alike counts for itself: {text}");
            assert_eq!(text.matches("query=\"select * from orders where id = $1\"} ").count(), 4, "{text}");
            for (id, calls, seconds) in [("7", "3", "1.5"), ("-8", "1", "0.5")] {
                let of = |line: &&str| line.contains(&format!("id=\"{id}\""));
                let values: Vec<&str> = text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()).collect();
                assert_eq!(values, [calls, seconds], "{text}");
            }
        }

        #[test]
        fn no_value_of_a_query_is_told() {
            let told = [
                (
                    "select 1 from t2 where a = $12 and b in (4111, 1.5e3)",
                    "select ? from t2 where a = $12 and b in (?, ?)",
                ),
                ("select a -- for bob\nfrom t /* of alice */ limit 5", "select a from t limit ?"),
            ];
            for (text, expected) in told {
                assert_eq!(shown(text).as_deref(), Some(expected));
            }
            for text in [
                "select * from people where mail = 'bob@example.com'",
                "select $$bob$$",
                "select $name$bob$name$",
                "select a /* of /* alice */ bob */ from t",
                "-- bob",
            ] {
                assert_eq!(shown(text), None, "{text}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use daybook_model::Timestamp;
    use daybook_store::LastRun;

    use super::*;

    #[test]
    fn a_certificate_is_told_until_when_it_is_valid() {
        let until = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000);
        let mut params = rcgen::CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
        params.not_after = until.into();
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        assert_eq!(expiry(pem.as_bytes()), Some(2_000_000_000));
        assert_eq!(expiry(key.serialize_pem().as_bytes()), None, "a key is no certificate");
        assert_eq!(expiry(b"nothing"), None);
    }

    #[test]
    fn a_job_is_told_by_its_last_run() {
        let due = Timestamp::from_second(60).unwrap();
        let job = |code| Job { settled: due, running: None, last: Some(LastRun { due, code, skipped: None }) };
        let all = BTreeMap::from([
            ("report".parse().unwrap(), job(Some(0))),
            ("sweep".parse().unwrap(), job(Some(3))),
            ("tidy".parse().unwrap(), job(None)),
        ]);
        let mut out = Samples::default();
        let spec = Spec::empty("shop/production".parse().unwrap());
        let mut failures = Failures::default();
        jobs(&spec, &all, &mut failures, &mut out);
        let text = out.text();
        assert_eq!(text.matches("daybook_job_last_success_timestamp_seconds").count(), 1);
        assert!(
            text.contains(r#"daybook_job_last_exit_code{app="shop",env="production",job="daybook",service="sweep"} 3"#)
        );
        assert_eq!(text.matches("daybook_job_last_due_timestamp_seconds").count(), 3);
        out.all_are_listed();
    }
}
