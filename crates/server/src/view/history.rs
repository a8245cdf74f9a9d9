//! Releases, and the runs that did not become one.

use std::collections::BTreeMap;

use daybook_api::history::{HistoryEntry, HistoryService};
use daybook_model::{EnvKey, Event, Release, RunId, RunKind, Spec};
use daybook_store::RunRecord;

use crate::App;
use crate::error::ApiError;

impl App {
    /// The newest runs of an environment that led, or should have led, to a release; newest first.
    pub(crate) async fn history(&self, key: &EnvKey, limit: usize) -> Result<Vec<HistoryEntry>, ApiError> {
        // Heal runs make no release; so many further ones are looked through at most.
        let runs = self.inner.store.runs(Some(key), limit.saturating_mul(4).min(1_000)).await?;
        let releases = self.inner.store.releases(key, usize::MAX).await?;
        let by_run: BTreeMap<RunId, &Release> = releases.iter().map(|release| (release.run, release)).collect();
        let current = self.inner.store.environment(key).await?.and_then(|environment| environment.release);
        let entries = runs.iter().filter_map(|record| {
            let release = record.started.run.and_then(|run| by_run.get(&run).copied());
            let mut entry = entry(record, release)?;
            entry.current = release.is_some() && Some(entry.number) == current;
            Some(entry)
        });
        Ok(entries.take(limit).collect())
    }
}

fn entry(record: &RunRecord, release: Option<&Release>) -> Option<HistoryEntry> {
    let Event::RunStarted { purpose, reason, to, spec, .. } = &record.started.event else { return None };
    if *purpose == RunKind::Heal {
        return None;
    }
    let verdict = record.finished.as_ref().and_then(|entry| match &entry.event {
        Event::RunFinished { verdict } => Some(verdict.into()),
        _ => None,
    });
    Some(HistoryEntry {
        number: *to,
        accepted_at: release.map(|release| release.accepted_at),
        started_at: record.started.at,
        run: record.started.run?,
        reason: reason.clone(),
        actor: (&record.started.actor).into(),
        current: false,
        services: services(spec),
        verdict,
    })
}

fn services(spec: &Spec) -> Vec<HistoryService> {
    let artifact = |service: &daybook_model::Service| {
        service.artifact.digest().map(|digest| digest.short().to_owned()).unwrap_or_default()
    };
    spec.services.values().map(|s| HistoryService { name: s.name.to_string(), artifact: artifact(s) }).collect()
}
