//! Faults that were put into a shop, and what is suspected first.

use super::*;
use crate::text::seconds;

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// So many minutes before the onset, which is at 0; negative ones are after.
fn before(minutes: f64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 - (minutes * 60.0) as i64).unwrap()
}

fn onset() -> Timestamp {
    before(0.0)
}

/// The edge leads to web and docs; web needs api and cache, api and worker need db; report is a job that reads db.
/// web, api and cache are on host-1, db and worker on host-2, docs on host-3.
fn shop() -> Related {
    let mut shop = Related::default();
    for (from, to) in [("web", "api"), ("web", "cache"), ("api", "db"), ("worker", "db"), ("report", "db")] {
        shop.need(&name(from), &name(to));
    }
    for (service, host) in [
        ("web", "host-1"),
        ("api", "host-1"),
        ("cache", "host-1"),
        ("db", "host-2"),
        ("worker", "host-2"),
        ("docs", "host-3"),
    ] {
        shop.place(&name(service), host);
    }
    shop
}

fn change(minutes: f64, services: &[&str], what: What) -> Change {
    let at = before(minutes);
    let goes_on = tables::is_seen(&what) && !matches!(what, What::OutOfMemory { .. } | What::Crash { .. });
    Change {
        at,
        ended: (!goes_on).then_some(at),
        what,
        services: services.iter().map(|one| name(one)).collect(),
        host: None,
    }
}

fn release(minutes: f64, services: &[&str], number: u64, changed: Vec<Changed>) -> Change {
    let what = What::Release { number: ReleaseNumber(number), previous: Some(ReleaseNumber(number - 1)), changed };
    change(minutes, services, what)
}

fn image() -> Vec<Changed> {
    vec![Changed::Image { from: "5f1c".to_owned(), to: "a90b".to_owned() }]
}

fn taker(who: Who) -> Taker {
    Taker { who, percent: 83, usual_percent: 2 }
}

fn host(minutes: f64, host: &str, resource: Resource, percent: u8, most_by: Option<&str>) -> Change {
    let most = most_by.map(|service| taker(Who::Service(name(service))));
    let what = What::Host { resource, percent, most };
    Change { host: Some(host.to_owned()), ..change(minutes, &[], what) }
}

/// Another environment takes the processors of a machine.
fn noisy(minutes: f64, machine: &str) -> Change {
    let most = Some(taker(Who::Neighbour("render of films/production".to_owned())));
    Change {
        host: Some(machine.to_owned()),
        ..change(minutes, &[], What::Host { resource: Resource::Cpu, percent: 99, most })
    }
}

fn away(minutes: f64, host: &str) -> Change {
    Change { host: Some(host.to_owned()), ..change(minutes, &[], What::HostAway) }
}

fn job(minutes: f64, job: &str, until: Option<f64>) -> Change {
    Change { ended: until.map(before), ..change(minutes, &[], What::Job { job: name(job) }) }
}

fn backup(minutes: f64, of: &str, until: Option<f64>) -> Change {
    Change { ended: until.map(before), ..change(minutes, &[of], What::Backup { of: of.to_owned() }) }
}

fn killed(minutes: f64, service: &str, times: u32) -> Change {
    change(minutes, &[service], What::OutOfMemory { times, limit_bytes: Some(128 << 20) })
}

fn crashed(minutes: f64, service: &str, times: u32) -> Change {
    change(minutes, &[service], What::Crash { times, code: 1 })
}

fn grew(minutes: f64, service: &str) -> Change {
    let what = What::MemoryGrowth { from_bytes: 60 << 20, to_bytes: 126 << 20, limit_bytes: Some(128 << 20) };
    change(minutes, &[service], what)
}

fn traffic(minutes: f64, service: &str, usual: f64, now: f64) -> Change {
    change(minutes, &[service], What::Traffic { usual, now, replicas: 2 })
}

fn database(minutes: f64, trouble: DatabaseTrouble) -> Change {
    change(minutes, &["db"], What::Database { database: DatabaseName::new("db").unwrap(), trouble })
}

fn outside(minutes: f64, whose: &str) -> Change {
    let what = What::Dependency { name: "payments.example.com".to_owned(), seen: "41 of 50 calls failed".to_owned() };
    change(minutes, &[whose], what)
}

fn slow_query() -> DatabaseTrouble {
    DatabaseTrouble::SlowQuery { query: "SELECT * FROM orders".to_owned(), usual_ms: 4.0, now_ms: 900.0 }
}

fn held() -> DatabaseTrouble {
    let holder = Some("web_1, which is idle in transaction for 300 s".to_owned());
    DatabaseTrouble::Locks { waiting: 9, holder }
}

fn migration() -> Changed {
    Changed::Migration { database: DatabaseName::new("db").unwrap(), what: "version 7 (add gifts)".to_owned() }
}

fn feels(service: &str, felt: Felt) -> Symptom {
    let service = (!service.is_empty()).then(|| name(service));
    Symptom { felt, at: onset(), service, host: None, by_release: Default::default() }
}

/// Shares of failures by release, newest last.
fn by_release(service: &str, shares: [(u64, f64); 2]) -> Symptom {
    let by_release = shares.into_iter().map(|(number, share)| (ReleaseNumber(number), share)).collect();
    Symptom { by_release, ..feels(service, Felt::Errors) }
}

fn suspects(symptoms: &[Symptom], changes: &[Change]) -> Vec<Suspect> {
    rank(symptoms, changes, &shop(), onset())
}

struct Scenario {
    fault: &'static str,
    symptoms: Vec<Symptom>,
    changes: Vec<Change>,
    /// The kind of the first suspect, and where it is.
    first: (&'static str, &'static str),
}

fn scenario(
    fault: &'static str,
    symptoms: Vec<Symptom>,
    changes: Vec<Change>,
    kind: &'static str,
    place: &'static str,
) -> Scenario {
    Scenario { fault, symptoms, changes, first: (kind, place) }
}

/// Each with something that distracts.
fn scenarios() -> Vec<Scenario> {
    use Felt::*;
    vec![
        scenario(
            "a bad release of web",
            vec![by_release("web", [(11, 0.2), (12, 14.0)])],
            vec![release(3.0, &["web"], 12, image()), job(10.0, "report", Some(8.0)), backup(5.0, "db", Some(4.0))],
            "release",
            "web",
        ),
        scenario(
            "a bad release of api is felt at web",
            vec![feels("web", Errors), feels("api", Errors)],
            vec![release(2.0, &["api"], 12, image()), release(9.0, &["web"], 11, image())],
            "release",
            "api",
        ),
        scenario(
            "an innocent release beside a dependency that is down",
            vec![by_release("web", [(11, 9.0), (12, 9.5)])],
            vec![release(4.0, &["web"], 12, image()), outside(0.5, "web")],
            "dependency",
            "web",
        ),
        scenario(
            "a dependency that is down, and nothing else",
            vec![feels("api", Errors), feels("web", Errors), feels("api", Latency)],
            vec![outside(0.0, "api"), release(300.0, &["api"], 9, image())],
            "dependency",
            "api",
        ),
        scenario(
            "configuration that points nowhere",
            vec![feels("worker", Crash), feels("worker", Errors)],
            vec![
                release(1.0, &["worker"], 13, vec![Changed::Configuration { keys: vec!["QUEUE_URL".to_owned()] }]),
                crashed(0.5, "worker", 6),
                traffic(20.0, "web", 20.0, 25.0),
            ],
            "configuration",
            "worker",
        ),
        scenario(
            "a secret that nobody accepts",
            vec![feels("api", Database), feels("api", Errors)],
            vec![
                release(2.0, &["api"], 14, vec![Changed::Secrets { names: vec!["db-api".to_owned()] }]),
                job(15.0, "report", Some(5.0)),
            ],
            "secret",
            "api",
        ),
        scenario(
            "a migration that locks a table",
            vec![feels("api", Latency), feels("worker", Latency), feels("db", Database)],
            vec![
                release(1.5, &["db"], 15, vec![migration()]),
                database(1.0, DatabaseTrouble::Locks { waiting: 31, holder: None }),
                traffic(5.0, "web", 20.0, 22.0),
            ],
            "migration",
            "db",
        ),
        scenario(
            "a release that is out of memory",
            vec![feels("web", Memory), feels("web", Errors)],
            vec![release(4.0, &["web"], 12, image()), killed(1.0, "web", 3), crashed(0.5, "web", 3)],
            "release",
            "web",
        ),
        scenario(
            "a leak that a release of this morning brought",
            vec![feels("web", Memory), feels("web", Latency)],
            vec![release(185.0, &["web"], 12, image()), grew(180.0, "web"), killed(0.5, "web", 1)],
            "release",
            "web",
        ),
        scenario(
            "a leak that was always there",
            vec![feels("worker", Memory), feels("worker", Crash)],
            vec![grew(400.0, "worker"), killed(0.5, "worker", 2), release(30.0, &["docs"], 12, image())],
            "memory-growth",
            "worker",
        ),
        scenario(
            "memory that was limited too much",
            vec![feels("api", Memory), feels("web", Errors)],
            vec![
                release(
                    6.0,
                    &["api"],
                    16,
                    vec![Changed::Less { resource: Resource::Memory, what: "256 MB → 64 MB".to_owned() }],
                ),
                killed(1.0, "api", 4),
            ],
            "configuration",
            "api",
        ),
        scenario(
            "replicas taken away before the evening",
            vec![feels("web", Latency), feels("web", Cpu)],
            vec![change(3.0, &["web"], What::Scale { from: 6, to: 2 }), release(240.0, &["web"], 10, image())],
            "scale",
            "web",
        ),
        scenario(
            "more replicas than the database has connections",
            vec![feels("api", Database), feels("worker", Database), feels("api", Errors)],
            vec![
                change(2.0, &["api"], What::Scale { from: 2, to: 20 }),
                database(1.0, DatabaseTrouble::Connections { used: 100, most: 100 }),
            ],
            "scale",
            "api",
        ),
        scenario(
            "a spike of traffic",
            vec![feels("web", TrafficUp), feels("web", Latency), feels("web", Cpu)],
            vec![
                traffic(1.0, "web", 20.0, 140.0),
                host(0.5, "host-1", Resource::Cpu, 99, Some("web")),
                release(50.0, &["web"], 12, image()),
                change(-0.5, &["web"], What::Scale { from: 2, to: 4 }),
            ],
            "traffic",
            "web",
        ),
        scenario(
            "a spike of traffic shortly after an innocent release",
            vec![by_release("web", [(11, 41.0), (12, 42.0)])],
            vec![traffic(0.2, "web", 10.0, 170.0), release(2.0, &["web"], 12, image())],
            "traffic",
            "web",
        ),
        scenario(
            "a spike of traffic, of which no replica of before is left",
            vec![feels("web", Errors)],
            vec![
                traffic(0.2, "web", 10.0, 170.0),
                release(2.0, &["web"], 12, vec![Changed::Configuration { keys: vec!["BUILD".to_owned()] }]),
            ],
            "traffic",
            "web",
        ),
        scenario(
            "a certificate that has expired",
            vec![feels("web", Tls), feels("web", Unreachable)],
            vec![
                change(0.0, &["web"], What::Certificate { name: "shop.example.com".to_owned(), until: onset() }),
                release(12.0, &["web"], 12, image()),
            ],
            "certificate",
            "web",
        ),
        scenario(
            "a full disk under the database",
            vec![feels("db", Disk), feels("api", Database), feels("api", Errors)],
            vec![
                host(2.0, "host-2", Resource::Disk, 100, None),
                crashed(0.5, "db", 2),
                database(0.5, DatabaseTrouble::Down),
                release(25.0, &["api"], 12, image()),
            ],
            "host",
            "",
        ),
        scenario(
            "a neighbour that takes all processors of the machine",
            vec![feels("web", Latency), feels("api", Latency), feels("cache", Cpu)],
            vec![host(1.0, "host-1", Resource::Cpu, 99, Some("cache")), release(40.0, &["web"], 12, image())],
            "host",
            "cache",
        ),
        scenario(
            "a neighbour of another environment that takes all processors",
            vec![feels("web", Latency)],
            vec![noisy(1.0, "host-1"), release(40.0, &["web"], 12, image()), backup(30.0, "db", Some(28.0))],
            "host",
            "",
        ),
        scenario(
            "a migration that drops an index",
            vec![feels("web", Latency), feels("api", Latency)],
            vec![
                release(2.0, &["db"], 15, vec![migration()]),
                database(1.0, slow_query()),
                release(50.0, &["web"], 14, image()),
            ],
            "migration",
            "db",
        ),
        scenario(
            "a session that holds a lock",
            vec![feels("web", Latency)],
            vec![database(1.0, held()), release(90.0, &["web"], 12, image()), job(20.0, "report", Some(15.0))],
            "database",
            "db",
        ),
        scenario(
            "a machine that is gone",
            vec![feels("web", Unreachable), feels("api", Errors), feels("cache", Unreachable)],
            vec![away(0.2, "host-1"), release(10.0, &["web"], 12, image()), crashed(0.0, "web", 1)],
            "host-away",
            "",
        ),
        scenario(
            "a nightly report that reads everything",
            vec![feels("api", Latency), feels("db", Cpu)],
            vec![job(1.0, "report", None), release(90.0, &["api"], 12, image()), database(0.5, slow_query())],
            "job",
            "report",
        ),
        scenario(
            "a backup that takes the disk",
            vec![feels("db", Disk), feels("api", Latency)],
            vec![
                backup(1.0, "db", None),
                host(0.5, "host-2", Resource::Io, 98, Some("db")),
                job(40.0, "report", Some(35.0)),
            ],
            "backup",
            "db",
        ),
        scenario(
            "a query that became slow by itself",
            vec![feels("api", Latency), feels("web", Latency), feels("db", Cpu)],
            vec![database(1.0, slow_query()), release(200.0, &["api"], 12, image()), backup(90.0, "db", Some(80.0))],
            "database",
            "db",
        ),
        scenario(
            "a query that a release made slow",
            vec![feels("api", Latency), feels("web", Latency), feels("db", Cpu)],
            vec![database(1.0, slow_query()), release(3.0, &["api"], 12, image())],
            "release",
            "api",
        ),
        scenario(
            "a database that does not answer",
            vec![feels("api", Database), feels("worker", Database), feels("web", Errors)],
            vec![database(0.2, DatabaseTrouble::Down), release(14.0, &["worker"], 12, image()), crashed(0.0, "api", 2)],
            "database",
            "db",
        ),
        scenario(
            "somebody stopped api",
            vec![feels("web", Errors), feels("api", Unreachable)],
            vec![change(0.5, &["api"], What::Stopped), release(8.0, &["web"], 12, image())],
            "stopped",
            "api",
        ),
        scenario(
            "somebody emptied the cache by hand",
            vec![feels("cache", Cpu), feels("web", Latency)],
            vec![
                change(1.0, &["cache"], What::Hand { what: "redis-cli in cache.1".to_owned() }),
                release(120.0, &["web"], 12, image()),
                traffic(10.0, "web", 20.0, 21.0),
            ],
            "by-hand",
            "cache",
        ),
        scenario(
            "routes that lead users elsewhere",
            vec![feels("web", TrafficDown)],
            vec![
                release(2.0, &["web"], 17, vec![Changed::Routes]),
                traffic(0.0, "web", 40.0, 2.0),
                backup(5.0, "db", None),
            ],
            "configuration",
            "web",
        ),
        scenario(
            "a job that fails since its release",
            vec![feels("report", Job)],
            vec![release(20.0, &["report"], 12, image()), release(5.0, &["docs"], 13, image())],
            "release",
            "report",
        ),
        scenario(
            "two releases, and the nearer in time has nothing to do with it",
            vec![feels("worker", Errors)],
            vec![release(9.0, &["worker"], 12, image()), release(1.0, &["docs"], 13, image())],
            "release",
            "worker",
        ),
        scenario(
            "a release after the onset",
            vec![feels("web", Errors), feels("api", Errors)],
            vec![release(-10.0, &["web"], 12, image()), database(1.0, DatabaseTrouble::Down)],
            "database",
            "db",
        ),
        scenario(
            "only the new release fails, while the disk is slow",
            vec![by_release("api", [(20, 0.1), (21, 30.0)]), feels("web", Errors)],
            vec![
                release(4.0, &["api"], 21, image()),
                host(20.0, "host-2", Resource::Io, 91, None),
                outside(2.0, "api"),
            ],
            "release",
            "api",
        ),
        scenario(
            "a crash that nothing explains",
            vec![feels("cache", Crash), feels("web", Latency)],
            vec![crashed(0.1, "cache", 1), release(600.0, &["cache"], 3, image())],
            "crash",
            "cache",
        ),
    ]
}

#[test]
fn the_first_suspect_is_the_fault() {
    let mut wrong = Vec::new();
    let all = scenarios();
    for Scenario { fault, symptoms, changes, first: (kind, place) } in &all {
        let suspects = suspects(symptoms, changes);
        let first = suspects.first();
        let is_there = |one: &Suspect| match *place {
            "" => one.services.is_empty(),
            place => one.services.contains(&name(place)),
        };
        if !first.is_some_and(|one| one.kind == *kind && is_there(one)) {
            let told: Vec<_> =
                suspects.iter().map(|one| format!("  {} %  {}  {:?}", one.share, one.title, one.factors)).collect();
            wrong.push(format!("{fault}:\n{}", told.join("\n")));
        }
    }
    assert!(all.len() >= 25);
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

/// As `daybook incident` shows it.
fn told(suspects: &[Suspect]) -> String {
    let mut out = String::new();
    for one in suspects {
        out += &format!("{} %  {} ({})\n", one.share, one.title, one.kind);
        one.evidence.iter().for_each(|line| out += &format!("      {line}\n"));
        let next = one.next.as_ref().map(daybook_model::incident::NextStep::choice);
        next.iter().for_each(|next| out += &format!("      → {}: {}\n", next.text, next.command));
    }
    out
}

#[test]
fn evidence_is_sentences_with_numbers() {
    let changes = [
        release(4.0, &["web"], 12, image()),
        killed(1.0, "web", 3),
        host(12.0, "host-1", Resource::Cpu, 91, Some("web")),
        backup(9.0, "db", Some(6.0)),
    ];
    let symptoms = [by_release("web", [(11, 0.2), (12, 14.0)]), feels("web", Memory)];
    use Felt::Memory;
    insta::assert_snapshot!(told(&suspects(&symptoms, &changes)), @"
    82 %  release 12 of web, 4 min before the onset (release)
          image 5f1c → a90b
          replicas of release 12 fail 14.0 % of requests, those before 0.2 %
          fits: errors, want of memory
          explains: web was killed for want of memory 3 times
          → swap back to release 11: daybook rollback 11
    10 %  web was killed for want of memory 3 times, 60 s before the onset (out-of-memory)
          a replica may have 128 MB
          fits: errors, want of memory
          may itself be due to: release 12 of web
          → give web more memory, and look at the plan: daybook plan
    ");
}

#[test]
fn what_needs_it_and_what_it_needs_are_told_apart() {
    let symptoms = [feels("api", Felt::Latency), feels("docs", Felt::Latency)];
    let changes = [database(2.0, slow_query()), release(1.0, &["web"], 12, image())];
    insta::assert_snapshot!(told(&suspects(&symptoms, &changes)), @"
    48 %  database db: `SELECT * FROM orders` takes 900 ms, usually 4 ms, 2 min before the onset (database)
          api needs db
          docs has nothing to do with it
          fits: slow answers
          → see what would make it fast: daybook db tune db
    30 %  release 12 of web, 60 s before the onset (release)
          image 5f1c → a90b
          web needs api
          docs has nothing to do with it
          fits: slow answers
          → swap back to release 11: daybook rollback 11
    ");
}

#[test]
fn who_takes_what_others_lack_is_told_with_numbers() {
    insta::assert_snapshot!(told(&suspects(&[feels("web", Felt::Latency)], &[noisy(1.0, "host-1")])), @"
    83 %  processors of host-1 used to 99 %, most by render of films/production, 60 s before the onset (host)
          render of films/production takes 83 % of the machine's, 2 % before, in another environment
          1 of the 3 services on host-1 suffer
          fits: slow answers
          → bound what render of films/production may use, or move it, and look at the plan: daybook plan
    ");
    insta::assert_snapshot!(told(&suspects(&[feels("api", Felt::Latency)], &[database(1.0, held())])), @"
    81 %  database db: 9 statements wait for one lock, 60 s before the onset (database)
          the lock is held by web_1, which is idle in transaction for 300 s
          api needs db
          fits: slow answers
          → see how it stands: daybook db status db
    ");
}

#[test]
fn going_back_mends_no_migration() {
    let told = suspects(&[feels("api", Felt::Latency)], &[release(2.0, &["db"], 15, vec![migration()])]);
    let next = told[0].next.as_ref().map(daybook_model::incident::NextStep::choice);
    assert_eq!(next.map(|next| next.command), Some("daybook plan".to_owned()), "{told:?}");
}

#[test]
fn a_release_that_migrates_among_others_is_a_release() {
    let feels = [feels("api", Felt::Latency)];
    let others = Changed::Others { services: vec![name("api")] };
    let told = suspects(&feels, &[release(2.0, &["db"], 15, vec![others, migration()])]);
    let swap_back = daybook_model::incident::NextStep::SwapBack { to: ReleaseNumber(14) };
    assert_eq!((told[0].kind.as_str(), told[0].next.as_ref()), ("release", Some(&swap_back)), "{told:?}");
    let first = What::Release { number: ReleaseNumber(1), previous: None, changed: vec![migration()] };
    let told = suspects(&feels, &[change(2.0, &["db"], first)]);
    assert_eq!(told[0].kind, "release", "{told:?}");
}

#[test]
fn nothing_is_suspected_where_nothing_changed() {
    assert!(suspects(&[feels("web", Felt::Errors)], &[]).is_empty());
    let later = [release(-30.0, &["web"], 12, image())];
    assert!(suspects(&[feels("web", Felt::Errors)], &later).is_empty(), "nothing causes what was before it");
    let weak = suspects(&[feels("web", Felt::Errors)], &[change(2.0, &["docs"], What::Restart)]);
    assert!(weak.is_empty(), "{}", told(&weak));
}

#[test]
fn a_change_is_suspected_less_the_longer_ago_it_was() {
    let share = |minutes| suspects(&[feels("web", Felt::Errors)], &[release(minutes, &["web"], 12, image())])[0].share;
    let shares: Vec<_> = [0.0, 5.0, 20.0, 60.0, 100.0].map(share).into();
    assert!(shares.windows(2).all(|pair| pair[0] > pair[1]), "{shares:?}");
    assert_eq!(seconds(0), "0.0 s");
}
