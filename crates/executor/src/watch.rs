//! Watching new replicas against old ones.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_decide::probation::{Conduct, is_slower, sum, worse};
use daybook_model::event::{Failure, StepOutcome};
use daybook_model::launch::Role;
use daybook_model::plan::WatchPhase;
use daybook_model::traffic::{ReplicaTraffic, Traffic};
use daybook_model::{ReplicaId, ReplicaState, ServiceName};
use daybook_runtime::Seen;
use tokio::time::Instant;

use crate::drive::RunContext;
use crate::look::replica;
use crate::{Executor, Result, act};

/// Between two looks: a worse version is to be swapped back within two seconds.
const PAUSE: Duration = Duration::from_millis(200);

/// Readings at the begin of a watch, to count from.
struct Baseline {
    traffic: BTreeMap<ReplicaId, ReplicaTraffic>,
    restarts: BTreeMap<ReplicaId, u32>,
}

impl Executor {
    pub(crate) async fn watch(
        &self,
        cx: &RunContext,
        service: &ServiceName,
        phase: WatchPhase,
        new: &[ReplicaId],
        old: &[ReplicaId],
        span: Duration,
    ) -> Result<StepOutcome> {
        let base = self.baseline(cx, new, old).await?;
        let began = Instant::now();
        let (mut failing_since, mut slow_since) = (None, None);
        loop {
            let seen = self.glance(&cx.key).await?;
            let traffic = self.counted(&cx.key).await?;
            let mut now = conduct(new, &seen, &traffic, &base);
            let before = compared(phase, old, &traffic, &base);
            now.failing_ms = lasting_ms(&mut failing_since, now.failing.is_some());
            now.slow_ms = lasting_ms(&mut slow_since, is_slower(&now, before.as_ref()));
            if let Some(why) = worse(&now, before.as_ref()) {
                return Ok(StepOutcome::Failed(self.worse(cx, service, new, &why).await));
            }
            if began.elapsed() >= span && slow_since.is_none() {
                let routed = act::service(cx, service)?.has_edge();
                return Ok(StepOutcome::Done(summary(&now, before.as_ref(), routed)));
            }
            tokio::time::sleep(PAUSE.min(span)).await;
        }
    }

    async fn baseline(&self, cx: &RunContext, new: &[ReplicaId], old: &[ReplicaId]) -> Result<Baseline> {
        let traffic = self.counted(&cx.key).await?;
        let seen = self.glance(&cx.key).await?;
        let counted = new.iter().chain(old).filter_map(|id| Some((id.clone(), traffic.replicas.get(id)?.clone())));
        let restarts = new.iter().filter_map(|id| Some((id.clone(), replica(&seen, id, Role::Main)?.restarts)));
        Ok(Baseline { traffic: counted.collect(), restarts: restarts.collect() })
    }

    async fn worse(&self, cx: &RunContext, service: &ServiceName, new: &[ReplicaId], why: &str) -> Failure {
        let mut log = Vec::new();
        if let Some(first) = new.first() {
            log = self.last_lines(&cx.key, first, Role::Main).await;
        }
        Failure { why: format!("the new version of {service} is worse: {why}"), log, ..Failure::default() }
    }
}

/// For how long something has been so without a break.
fn lasting_ms(since: &mut Option<Instant>, is_so: bool) -> u64 {
    *since = is_so.then(|| since.unwrap_or_else(Instant::now));
    since.map_or(0, |since| since.elapsed().as_millis() as u64)
}

fn conduct(group: &[ReplicaId], seen: &Seen, traffic: &Traffic, base: &Baseline) -> Conduct {
    let none = ReplicaTraffic::default();
    let counts: Vec<_> = group
        .iter()
        .filter_map(|id| Some(traffic.replicas.get(id)?.since(base.traffic.get(id).unwrap_or(&none))))
        .collect();
    let mut conduct = Conduct { traffic: sum(counts.iter()), ..Conduct::default() };
    for id in group {
        match replica(seen, id, Role::Main) {
            Some(replica) => {
                let before = base.restarts.get(id).copied().unwrap_or(0);
                conduct.restarts += replica.restarts.saturating_sub(before);
                conduct.lost += u32::from(replica.state == ReplicaState::Exited);
            }
            None => conduct.lost += 1,
        }
    }
    let failing = counts.iter().find(|count| count.healthy == Some(false));
    conduct.failing = failing.map(|count| count.last_failure.clone().unwrap_or_else(|| "no answer".to_owned()));
    conduct
}

/// What the new version is compared with: the old one's share of the same time while both serve, and
/// all that the old one did before once it serves no more.
fn compared(phase: WatchPhase, old: &[ReplicaId], traffic: &Traffic, base: &Baseline) -> Option<Conduct> {
    if old.is_empty() {
        return None;
    }
    let none = ReplicaTraffic::default();
    let counts: Vec<_> = old
        .iter()
        .filter_map(|id| {
            let now = traffic.replicas.get(id)?;
            Some(match phase {
                WatchPhase::Canary => now.since(base.traffic.get(id).unwrap_or(&none)),
                WatchPhase::Probation => now.clone(),
            })
        })
        .collect();
    Some(Conduct { traffic: sum(counts.iter()), ..Conduct::default() })
}

/// How the new version did: by its answers, or, where nobody can ask it anything, by whether it kept running.
fn summary(new: &Conduct, old: Option<&Conduct>, routed: bool) -> String {
    if !routed {
        return "it kept running".to_owned();
    }
    let new = &new.traffic;
    let mut text = format!("{} requests, {} failed", new.requests(), new.errors());
    if let Some(p95) = new.quantile_ms(0.95) {
        text.push_str(&format!(", p95 {p95} ms"));
        if let Some(before) = old.and_then(|old| old.traffic.quantile_ms(0.95)) {
            text.push_str(&format!(" (old {before} ms)"));
        }
    }
    text
}
