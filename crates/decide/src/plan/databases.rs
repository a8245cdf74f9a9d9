//! Databases: who may log in, and which migrations are run, before anything that uses them changes.

use daybook_model::backup::BackupPolicy;
use daybook_model::database::{Database, Keeper, Kept, Pending, RemarkKind, SeenDatabase};
use daybook_model::plan::{Change, Detail, Sign, Subject};
use daybook_model::{Action, DatabaseName, Observed, RunKind, Service, Spec, StepId};

use super::builder::Builder;
use super::{PlanContext, Problem, World};
use crate::backups::words;
use crate::upgrade::{self, Way};

/// Migrations, and lines about one of them, that a plan shows at most.
const MOST_LINES: usize = 12;

impl<'a> World<'a> {
    /// Databases that nobody of ours runs: before any service.
    pub(super) fn databases_elsewhere(&self, builder: &mut Builder) {
        for (name, database) in &self.spec.databases {
            if matches!(database.keeper, Keeper::Elsewhere { .. }) {
                let needs = builder.grounds().to_vec();
                self.database(builder, name, database, needs);
            }
        }
    }

    /// Databases that `service` runs, which has been planned.
    pub(super) fn databases_of(&self, builder: &mut Builder, service: &Service) {
        for (name, database) in self.spec.databases.iter().filter(|(_, database)| database.is_run_by(&service.name)) {
            if service.replicas() > 0 {
                let needs = [builder.grounds(), builder.ready(&service.name)].concat();
                self.database(builder, name, database, needs);
            }
        }
    }

    /// What must be done to databases before a replica of `service` starts.
    pub(super) fn database_gates(&self, builder: &Builder, service: &Service) -> Vec<StepId> {
        if self.spec.databases.is_empty() {
            return Vec::new();
        }
        let used = service.container.databases();
        let gates = used.flat_map(|used| builder.settled(&used.database));
        let waits = service.depends_on.iter().flat_map(|on| {
            let kept = self.spec.databases.iter().filter(move |(_, database)| database.is_run_by(&on.service));
            kept.flat_map(|(name, _)| builder.settled(name))
        });
        gates.chain(waits).copied().collect()
    }

    fn database(&self, builder: &mut Builder, name: &'a DatabaseName, database: &'a Database, needs: Vec<StepId>) {
        let mut last = needs;
        if let Some(why) = self.grant_due(name, database) {
            let action = Action::GrantLogins { database: name.clone() };
            last = vec![builder.step(action, why, database.line, &last)];
            builder.settles(name, &last);
        }
        if let Some((migrations, why)) = self.migrations_due(name, database) {
            if self.holds_something(name) && database.backup.is_some() && !self.is_saved_before(name, database) {
                let action = Action::BackUp { database: name.clone() };
                last = vec![builder.step(action, "it is about to be migrated", database.line, &last)];
            }
            let action = Action::Migrate { database: name.clone(), migrations };
            last = vec![builder.step(action, why, database.line, &last)];
            builder.settles(name, &last);
        }
        last.iter().for_each(|id| builder.end(*id));
    }

    /// Backs up what a server keeps before another version or another image of it opens its files: they may not be read by
    /// the one before any more.
    pub(super) fn back_up_before(&self, builder: &mut Builder, service: &Service, needs: Vec<StepId>) -> Vec<StepId> {
        let kept = self.spec.databases.iter().filter(|(_, database)| database.is_run_by(&service.name));
        let saved: Vec<_> = kept
            .filter(|(name, database)| self.is_saved_before(name, database))
            .map(|(name, database)| {
                let action = Action::BackUp { database: name.clone() };
                builder.step(action, "another version of its server is about to open its files", database.line, &needs)
            })
            .collect();
        if saved.is_empty() { needs } else { saved }
    }

    /// Whether a database is backed up because its server changes. One that does not answer cannot be.
    fn is_saved_before(&self, name: &DatabaseName, database: &Database) -> bool {
        self.server_changes(database) && matches!(self.seen.databases.get(name), Some(SeenDatabase::Answers(_)))
    }

    fn server_changes(&self, database: &Database) -> bool {
        let Some(kept) = database.kept().filter(|_| !self.cx.recovery && migrates(self.cx.purpose)) else {
            return false;
        };
        let before = self.cx.current.and_then(|release| release.spec.services.get(&kept.service));
        let after = self.spec.services.get(&kept.service);
        before.zip(after).is_some_and(|(before, after)| before.artifact.digest() != after.artifact.digest())
    }

    fn before(&self, name: &DatabaseName) -> Option<&'a Database> {
        self.cx.current?.spec.databases.get(name)
    }

    /// Why logins are to be looked after, if they are.
    fn grant_due(&self, name: &DatabaseName, database: &Database) -> Option<&'static str> {
        let kept = database.kept().filter(|_| database.engine.has_tables())?;
        if self.cx.recovery || !asks_databases(self.cx.purpose) {
            return None;
        }
        match self.seen.databases.get(name) {
            Some(SeenDatabase::Absent { .. }) => return Some("it is new"),
            Some(SeenDatabase::Answers(standing)) if !standing.locked_out.is_empty() => {
                return Some("who uses it cannot log in yet");
            }
            _ => {}
        }
        let before = self.before(name);
        // Who logs in has nothing to do with what proves the server.
        let authority = &kept.authority;
        let old = before.and_then(Database::kept).map(|old| Kept { authority: authority.clone(), ..old.clone() });
        let same = old.is_some_and(|old| old == *kept);
        // Services that migrate it by themselves may do more.
        let same_rights = before.is_some_and(|old| old.migrations.is_some() == database.migrations.is_some());
        (!same || !same_rights).then_some("who uses it has changed")
    }

    /// Whether there is something in a database that could be lost.
    fn holds_something(&self, name: &DatabaseName) -> bool {
        match self.seen.databases.get(name) {
            Some(SeenDatabase::Answers(standing)) => standing.version.is_some(),
            Some(SeenDatabase::Silent { .. }) => self.before(name).is_some(),
            _ => false,
        }
    }

    /// The migrations that are to be run, and why, if any are.
    fn migrations_due(&self, name: &DatabaseName, database: &Database) -> Option<(Vec<Pending>, &'static str)> {
        let wanted = database.migrations.as_ref()?;
        if self.cx.recovery || !migrates(self.cx.purpose) {
            return None;
        }
        let pending = match self.seen.databases.get(name)? {
            SeenDatabase::Absent { pending } => pending,
            SeenDatabase::Answers(standing) => &standing.pending,
            SeenDatabase::Silent { .. } => {
                let before = self.before(name).and_then(|before| before.migrations.as_ref());
                let same = before.is_some_and(|before| before.has_files_of(wanted));
                return (!same).then_some((Vec::new(), "what it lacks is known once it answers"));
            }
            SeenDatabase::Unreadable { .. } => return None,
        };
        (!pending.is_empty()).then(|| (pending.clone(), "it lacks them, and what starts next may need them"))
    }
}

/// Whether a run of this purpose has to know what databases hold.
pub fn asks_databases(purpose: RunKind) -> bool {
    !matches!(purpose, RunKind::Heal | RunKind::Down | RunKind::Upgrade)
}

/// Whether a run of this purpose changes databases.
fn migrates(purpose: RunKind) -> bool {
    matches!(purpose, RunKind::Up | RunKind::Move)
}

/// Why databases keep a plan from being carried out.
pub(super) fn problems(spec: &Spec, seen: &Observed, cx: &PlanContext<'_>) -> Vec<Problem> {
    if cx.recovery || !asks_databases(cx.purpose) {
        return Vec::new();
    }
    let mut problems = incompatible(spec, cx);
    for (name, database) in &spec.databases {
        let mut report = |code: &str, message: String, hint: String| {
            problems.push(Problem { code: code.to_owned(), service: None, line: database.line, message, hint });
        };
        match seen.databases.get(name) {
            Some(SeenDatabase::Silent { why }) if database.kept().is_none() && migrates(cx.purpose) => {
                let hint =
                    "its migrations are run before anything changes: see that it is up, and that the server reaches it";
                report("P0115", format!("the database `{name}` cannot be asked: {why}"), hint.to_owned());
            }
            Some(SeenDatabase::Unreadable { why }) if migrates(cx.purpose) => {
                for why in why {
                    report("P0116", format!("migrations of `{name}`: {why}"), "mend the files".to_owned());
                }
            }
            Some(SeenDatabase::Answers(standing)) => {
                for why in standing.wrong.iter().filter(|_| migrates(cx.purpose)) {
                    let hint = format!("`daybook db status {name}` shows how each migration stands");
                    report("P0117", format!("migrations of `{name}`: {why}"), hint);
                }
                for beyond in &standing.beyond {
                    if let Some(why) = hinders(beyond) {
                        let message = format!(
                            "the database `{name}` has {}, which this release does not know: {why}",
                            beyond.what
                        );
                        let hint = "write a migration that brings back what the older version needs, and roll out both";
                        report("P0118", message, hint.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    problems
}

/// Servers that would not read the files that are there.
fn incompatible(spec: &Spec, cx: &PlanContext<'_>) -> Vec<Problem> {
    let before = cx.current.map(|release| &release.spec.services).into_iter().flatten();
    let found = before.filter_map(|(name, old)| {
        let new = spec.services.get(name)?;
        let (why, hint) = match upgrade::way(old, new)? {
            Way::Files => return None,
            Way::Carried { why } => {
                (why, format!("rehearse it on a copy, then carry it over: `daybook db upgrade {name}`"))
            }
            Way::None { why, hint } => (why, hint.to_owned()),
        };
        let (from, to) = (upgrade::server_of(old)?, upgrade::server_of(new)?);
        Some(Problem {
            code: "P0119".to_owned(),
            service: Some(name.clone()),
            line: new.line,
            message: format!("`{name}` would be {from} → {to}: {why}"),
            hint,
        })
    });
    found.collect()
}

/// Why a version that does not know a migration would not work with what it left.
fn hinders(migration: &Pending) -> Option<&str> {
    let breaks = |kind| matches!(kind, RemarkKind::Breaks | RemarkKind::Loses);
    migration.remarks.iter().find(|remark| breaks(remark.kind)).map(|remark| remark.text.as_str())
}

/// What happens to databases, for people.
pub(super) fn changes(world: &World<'_>, steps: &[daybook_model::Step]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for step in steps {
        let (name, details, destructive) = match &step.action {
            Action::GrantLogins { database } => (database, vec![logins(world.spec, database)], false),
            Action::BackUp { database } => (database, vec!["a backup first".to_owned()], false),
            Action::Migrate { database, migrations } => {
                let loses = |one: &Pending| one.remarks.iter().any(|remark| remark.kind == RemarkKind::Loses);
                (database, of_migrations(world, database, migrations), migrations.iter().any(loses))
            }
            _ => continue,
        };
        let line = world.spec.databases.get(name).and_then(|database| database.line);
        let details = details.into_iter().enumerate().map(|(at, text)| Detail { text, line: line.filter(|_| at == 0) });
        let subject = Subject::Database(name.clone());
        if let Some(known) = changes.iter_mut().find(|known| known.subject == subject) {
            known.details.extend(details);
            known.destructive |= destructive;
            continue;
        }
        let is_new = matches!(world.seen.databases.get(name), Some(SeenDatabase::Absent { .. }));
        changes.push(Change {
            sign: if is_new { Sign::Add } else { Sign::Change },
            subject,
            details: details.collect(),
            downtime_ms: None,
            destructive,
            order: None,
        });
    }
    for (name, database) in &world.spec.databases {
        let known = world.cx.current.and_then(|release| release.spec.databases.get(name));
        let before = known.and_then(|before| before.backup.as_ref());
        let backups = backups(world, before, database.backup.as_ref(), database.kept().is_some());
        let details = [tls(known, database), unsaved(world, name, database), backups, masking(world, name, database)];
        let details = details.into_iter().flatten();
        let details: Vec<_> = details.map(|text| Detail { text, line: database.line }).collect();
        if details.is_empty() {
            continue;
        }
        let (subject, known_before) = (Subject::Database(name.clone()), known.is_some());
        match changes.iter_mut().find(|known| known.subject == subject) {
            Some(known) => known.details.extend(details),
            None => changes.push(Change {
                sign: if known_before { Sign::Change } else { Sign::Add },
                subject,
                details,
                downtime_ms: None,
                destructive: false,
                order: None,
            }),
        }
    }
    changes
}

/// What changes of how it is spoken to.
fn tls(before: Option<&Database>, after: &Database) -> Option<String> {
    let kept = before.and_then(Database::kept);
    let (old, new) = (kept.and_then(|kept| kept.authority.as_ref()), after.kept()?.authority.as_ref());
    Some(match (old, new) {
        (None, Some(_)) if kept.is_some() => {
            "TLS: connections without it are refused, those of what runs now as well until it is replaced".to_owned()
        }
        (None, Some(_)) => "TLS: connections without it are refused".to_owned(),
        (Some(_), None) => "no TLS: what is said to it can be read on the way".to_owned(),
        (Some(old), Some(new)) if old.version != new.version => {
            "another certificate authority; who trusts the one before gets in until it is replaced".to_owned()
        }
        _ => return None,
    })
}

/// That another version of its server opens its files without a backup before, and why.
fn unsaved(world: &World<'_>, name: &DatabaseName, database: &Database) -> Option<String> {
    let Some(SeenDatabase::Silent { why }) = world.seen.databases.get(name) else { return None };
    world
        .server_changes(database)
        .then(|| format!("no backup before its server changes, for it does not answer: {why}"))
}

/// What changes of the backups of a database or a volume, if anything does. Without a policy there may be some that were asked for.
pub(super) fn backups(
    world: &World<'_>,
    before: Option<&BackupPolicy>,
    after: Option<&BackupPolicy>,
    may_have: bool,
) -> Option<String> {
    let current = world.cx.current.map(|release| &release.spec);
    let place_of = |spec: &Spec| match &spec.backups {
        Some(store) => format!("to {}", store.to),
        None => "to the server's own disk".to_owned(),
    };
    let has_moved = current.is_some_and(|current| current.backups != world.spec.backups);
    match (before, after) {
        (None, None) => (has_moved && may_have).then(|| format!("backups go {}", place_of(world.spec))),
        (Some(_), None) => Some("it is not backed up any more; what there is stays".to_owned()),
        // Which line it stands in is nothing that changes.
        (Some(before), Some(after)) if !has_moved && BackupPolicy { line: after.line, ..before.clone() } == *after => {
            None
        }
        (_, Some(after)) => Some(format!("backup {}, {}", words(after), place_of(world.spec))),
    }
}

/// What changes of how its data is masked in clones.
fn masking(world: &World<'_>, name: &DatabaseName, database: &Database) -> Option<String> {
    let current = world.cx.current.map(|release| &release.spec);
    let before = current.and_then(|spec| spec.databases.get(name)).and_then(|before| before.masking.as_ref());
    if before == database.masking.as_ref() {
        return None;
    }
    let rules = database.masking.as_ref().map_or(0, |masking| masking.rules.len());
    Some(match rules {
        0 => "nothing of it is masked in clones".to_owned(),
        1 => "masked in clones by 1 rule".to_owned(),
        rules => format!("masked in clones by {rules} rules"),
    })
}

fn logins(spec: &Spec, name: &DatabaseName) -> String {
    let kept = spec.databases.get(name).and_then(Database::kept);
    let logins: Vec<_> = kept.into_iter().flat_map(|kept| &kept.logins).map(|(service, _)| service.as_str()).collect();
    let rights = match spec.databases.get(name).is_some_and(|database| database.migrations.is_some()) {
        true => "reads and writes rows",
        false => "may change tables",
    };
    match logins.as_slice() {
        [] => "nobody logs in to it".to_owned(),
        [one] => format!("a login of its own for {one}, which {rights}"),
        many => format!("logins of their own for {}: each {rights}", many.join(", ")),
    }
}

fn of_migrations(world: &World<'_>, name: &DatabaseName, migrations: &[Pending]) -> Vec<String> {
    if migrations.is_empty() {
        return vec!["its migrations are looked at once it answers".to_owned()];
    }
    let at = match world.seen.databases.get(name) {
        Some(SeenDatabase::Answers(standing)) => standing.version.as_deref(),
        _ => None,
    };
    let count =
        if migrations.len() == 1 { "1 migration".to_owned() } else { format!("{} migrations", migrations.len()) };
    let mut lines = vec![match at {
        Some(at) => format!("{count}; it is at version {at}"),
        None => count,
    }];
    let shown = if migrations.len() > MOST_LINES { MOST_LINES - 1 } else { migrations.len() };
    for migration in &migrations[..shown] {
        lines.push(format!("  {}", migration.what));
        lines.extend(remarks(migration));
    }
    if migrations.len() > shown {
        let rest = &migrations[shown..];
        lines.push(format!("  … {} more", rest.len()));
        // What may hurt is never left out.
        let grave = |one: &&Pending| one.remarks.iter().any(|remark| remark.kind != RemarkKind::Lock);
        for migration in rest.iter().filter(grave) {
            lines.push(format!("  {}", migration.what));
            lines.extend(remarks(migration));
        }
    }
    lines
}

fn remarks(migration: &Pending) -> Vec<String> {
    let mut lines = Vec::new();
    for remark in &migration.remarks {
        let script = migration.script.rsplit('/').next().unwrap_or(&migration.script);
        lines.push(format!("    {script}:{} {}", remark.line, remark.text));
        lines.extend(remark.instead.iter().map(|instead| format!("      instead: {instead}")));
    }
    lines
}
