//! Is everything here that is needed?

mod machine;

use std::collections::BTreeSet;
use std::path::Path;

use daybook_api::doctor::{CheckResult, CheckView};
use daybook_model::{Target, Timestamp};
use daybook_store::Error;

use crate::App;
use crate::routes::targets::check;
use crate::space::free_bytes;

/// Fewer free bytes than these on the state directory's disk are a warning.
const FEW_BYTES: u64 = 2 << 30;

/// Fewer than these stand in the way.
const TOO_FEW_BYTES: u64 = 200 << 20;

/// Open files that a server needs for a few thousand connections.
const OPEN_FILES: u64 = 4_096;

/// A backup of the state that is so old is a warning.
#[cfg(feature = "databases")]
const OLD_HOURS: i64 = 48;

/// Names that are looked up at most.
const MOST_NAMES: usize = 50;

impl App {
    /// Looks at everything that a deployment depends on.
    pub(crate) async fn doctor(&self) -> Vec<CheckView> {
        let mut checks = vec![self.runtime_check().await, self.edge_check().await];
        checks.push(self.table_check().await);
        checks.extend(self.others_check().await);
        checks.push(self.journal_check().await);
        checks.extend(state_backup_check(&self.inner.state, self.now()));
        checks.push(disk_check(&self.inner.state));
        checks.push(files_check());
        checks.extend(machine::kernel(|name| {
            std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()
        }));
        checks.extend(machine::clock().await);
        checks.extend(self.runtime_findings().await);
        checks.extend(self.names_check().await);
        checks.push(machine::tool("helm", &["version", "--short"], "services that are charts").await);
        checks
    }

    /// How what runs replicas on this machine is set up.
    async fn runtime_findings(&self) -> Vec<CheckView> {
        // Not every runtime has settings; one that does not answer was told of already.
        let found = self.inner.runtime.examine(&Target::Docker).await.unwrap_or_default();
        found.into_iter().map(check).collect()
    }

    /// Whether the public names of all environments lead anywhere.
    async fn names_check(&self) -> Vec<CheckView> {
        let Ok(environments) = self.inner.store.environments().await else { return Vec::new() };
        let mut hosts = BTreeSet::new();
        for environment in environments.iter().filter(|environment| !environment.retired) {
            let Ok(Some(release)) = self.inner.store.current_release(&environment.key).await else { continue };
            let routes = release.spec.services.values().flat_map(|service| &service.routes);
            hosts.extend(routes.map(|domain| domain.host.clone()));
        }
        machine::names(hosts.into_iter().take(MOST_NAMES)).await
    }

    async fn runtime_check(&self) -> CheckView {
        let capabilities = self.inner.runtime.capabilities();
        let check = format!("runtime {}", capabilities.name);
        match self.inner.runtime.check().await {
            Ok(version) => ok(check, version),
            Err(error) => {
                let fix = error.hint.clone().unwrap_or_else(|| "start it, or use another: --runtime".to_owned());
                bad(check, error.to_string(), fix)
            }
        }
    }

    async fn edge_check(&self) -> CheckView {
        let Some(edge) = &self.inner.edge else { return warn("edge", "this server has none", None) };
        match edge.status().await {
            Ok(status) => {
                let failed = status.listeners.iter().find_map(|listener| {
                    listener.error.as_ref().map(|error| format!("{} {}: {error}", listener.kind, listener.address))
                });
                match failed {
                    Some(failed) => bad("edge", failed, "free the address, or choose others: `daybook serve --http`"),
                    None => ok("edge", format!("pid {}, generation {}", status.pid, status.generation)),
                }
            }
            Err(error) => bad("edge", error.to_string(), "restart the server: it starts an edge when none answers"),
        }
    }

    /// Environments that the edge serves and nobody knows are left-overs.
    async fn table_check(&self) -> CheckView {
        let Some(edge) = &self.inner.edge else { return ok("edge routes", "none".to_owned()) };
        let (served, known) = match (edge.environments().await, self.inner.store.environments().await) {
            (Ok(served), Ok(known)) => (served, known),
            (Err(error), _) => return bad("edge routes", error.to_string(), "see the check of the edge"),
            (_, Err(error)) => return bad("edge routes", error.to_string(), "see the check of the journal"),
        };
        let live = |key: &daybook_model::EnvKey| {
            known.iter().any(|environment| &environment.key == key && !environment.retired)
        };
        let strange: Vec<_> = served.iter().filter(|key| !live(key)).map(ToString::to_string).collect();
        if strange.is_empty() {
            let noun = if served.len() == 1 { "environment" } else { "environments" };
            return ok("edge routes", format!("{} {noun}", served.len()));
        }
        let found = format!("the edge serves {} without a record of it", strange.join(", "));
        warn("edge routes", found, Some("run `daybook up` or `daybook down` for it"))
    }

    /// Environments of another Daybook on the same runtime are nothing bad; whoever misses one of them
    /// should learn whose it is.
    async fn others_check(&self) -> Option<CheckView> {
        let others = self.inner.runtime.others().await.ok()?;
        let first = others.keys().next()?;
        let fix = format!(
            "they are left alone; of one that is no more: `daybook env adopt {} --app {}`",
            first.env, first.app
        );
        let found: Vec<_> = others.iter().map(|(key, owner)| format!("{key} belongs to {owner}")).collect();
        Some(CheckView { fix: Some(fix), ..ok("other owners", found.join("; ")) })
    }

    async fn journal_check(&self) -> CheckView {
        match self.inner.store.verify().await {
            Ok(verified) => ok("journal", format!("{} entries, none altered", verified.entries)),
            Err(error @ Error::Damaged { .. }) => bad(
                "journal",
                error.to_string(),
                "restore the state directory from a backup, or move it away: what runs is taken on",
            ),
            Err(error) => bad("journal", error.to_string(), "free disk space, and see that the disk works"),
        }
    }
}

/// Whether what is here could be had back. A state that is in a PostgreSQL is backed up there.
#[cfg(feature = "databases")]
fn state_backup_check(state: &Path, now: Timestamp) -> Option<CheckView> {
    if state.join("shared").exists() {
        return None;
    }
    let check = "backup of the state";
    let Some(record) = crate::state_backup::Record::of(state) else {
        let fix = "`daybook state backup --to PLACE`, or have it done: `daybook serve --state-backup PLACE`";
        return Some(warn(check, "none: journal, releases and secrets are on this disk only", Some(fix)));
    };
    let (old, proven) = (now.duration_since(record.at).as_hours(), record.proven.is_some());
    let found = format!("{} of {} in {}", record.snapshot.get(..8).unwrap_or_default(), record.at, record.to);
    Some(match (old, proven) {
        (OLD_HOURS.., _) => warn(check, format!("{found}: {old} h old"), Some("`daybook state backup` makes another")),
        (_, false) => warn(check, format!("{found}, unproven"), Some("`daybook state drill` tries it")),
        (_, true) => ok(check, format!("{found}, proven")),
    })
}

#[cfg(not(feature = "databases"))]
fn state_backup_check(_: &Path, _: Timestamp) -> Option<CheckView> {
    None
}

fn disk_check(state: &Path) -> CheckView {
    let check = format!("disk of {}", state.display());
    match free_bytes(state) {
        Ok(free) => {
            let found = format!("{:.1} GiB free", free as f64 / f64::from(1 << 30));
            match free {
                0..TOO_FEW_BYTES => bad(check, found, "free disk space"),
                TOO_FEW_BYTES..FEW_BYTES => warn(check, found, Some("free disk space soon")),
                _ => ok(check, found),
            }
        }
        Err(error) => bad(check, error.to_string(), "see that the directory is there"),
    }
}

fn files_check() -> CheckView {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < OPEN_FILES => {
            warn("open files", format!("at most {limit}"), Some("raise the limit: `ulimit -n 65536`"))
        }
        Some(limit) => ok("open files", format!("at most {limit}")),
        None => ok("open files", "unlimited".to_owned()),
    }
}

fn ok(check: impl Into<String>, found: String) -> CheckView {
    CheckView { check: check.into(), result: CheckResult::Ok, found, fix: None }
}

fn warn(check: impl Into<String>, found: impl Into<String>, fix: Option<&str>) -> CheckView {
    CheckView { check: check.into(), result: CheckResult::Warn, found: found.into(), fix: fix.map(str::to_owned) }
}

fn bad(check: impl Into<String>, found: String, fix: impl Into<String>) -> CheckView {
    CheckView { check: check.into(), result: CheckResult::Bad, found, fix: Some(fix.into()) }
}
