//! What replicas use.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use daybook_model::name::EnvKey;

use super::layout::Layout;
use super::leftovers::marked;
use super::record::{Life, Record};
use super::{Inner, ProcessRuntime, cgroup, observe, proc};
use crate::{Result, Usage};

/// A first reading has none before it to compare with: one is made so long before.
const FIRST_SPAN: Duration = Duration::from_millis(200);
const NANOS_PER_TICK: u64 = 10_000_000;

impl ProcessRuntime {
    /// What each running replica of an environment uses.
    pub(super) async fn measure(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        let again = key.clone();
        let first = self.blocking(move |inner| measure(inner, &again)).await?;
        if first.iter().all(|(_, compared)| *compared) {
            return Ok(first.into_iter().map(|(usage, _)| usage).collect());
        }
        tokio::time::sleep(FIRST_SPAN).await;
        let key = key.clone();
        let second = self.blocking(move |inner| measure(inner, &key)).await?;
        Ok(second.into_iter().map(|(usage, _)| usage).collect())
    }
}

/// With each: whether its processor time could be compared with an earlier reading.
fn measure(inner: &Inner, key: &EnvKey) -> Result<Vec<(Usage, bool)>> {
    let mut usages = Vec::new();
    for seen in
        observe::environment(&inner.layout, key)?.replicas.into_iter().filter(daybook_model::SeenReplica::is_running)
    {
        let (record, Some(life)) = observe::one(&inner.layout, key, &seen.id, seen.role)? else { continue };
        usages.push(measure_one(inner, &record, &life));
    }
    Ok(usages)
}

fn measure_one(inner: &Inner, record: &Record, life: &Life) -> (Usage, bool) {
    let place = inner.layout.cgroup(&record.key, &record.id, record.role);
    let pids = processes(&inner.layout, record, life);
    let stats: Vec<proc::Stat> = pids.iter().filter_map(|pid| proc::stat(*pid)).collect();
    let nanos =
        cgroup::cpu_nanos(&place).unwrap_or_else(|| stats.iter().map(|stat| stat.ticks * NANOS_PER_TICK).sum::<u64>());
    let memory =
        cgroup::memory_bytes(&place).unwrap_or_else(|| pids.iter().map(|pid| proc::memory_bytes(*pid)).sum::<u64>());
    let name = format!("{} {:?}", inner.layout.socket(&record.key, &record.id, record.role), life.pid);
    let cores = compare(inner, name, nanos);
    let usage = Usage {
        id: record.id.clone(),
        cpu_cores: cores.unwrap_or(0.0),
        cpu_seconds: nanos as f64 / 1e9,
        memory_bytes: memory,
        memory_limit_bytes: record.resources.memory_bytes,
        pids: cgroup::pids(&place).unwrap_or_else(|| stats.iter().map(|stat| stat.threads).sum()),
    };
    (usage, cores.is_some())
}

/// The processes of a running replica.
pub(super) fn processes(layout: &Layout, record: &Record, life: &Life) -> Vec<i32> {
    let grouped = cgroup::processes(&layout.cgroup(&record.key, &record.id, record.role));
    if !grouped.is_empty() {
        return grouped;
    }
    // Without groups: what descends from its shim, and commands that joined it.
    let mut pids = proc::descendants(life.shim.pid);
    pids.extend(marked(&layout.socket(&record.key, &record.id, record.role)));
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Cores used since the last reading under this name.
fn compare(inner: &Inner, name: String, nanos: u64) -> Option<f64> {
    let now = Instant::now();
    let mut samples = inner.samples.lock().unwrap_or_else(PoisonError::into_inner);
    // Readings of replicas that are gone.
    samples.retain(|_, (at, _)| at.elapsed() < Duration::from_hours(1));
    let (before, used) = samples.insert(name, (now, nanos))?;
    let span = now.duration_since(before).as_nanos();
    (span > 0).then(|| nanos.saturating_sub(used) as f64 / span as f64)
}
