//! What running replicas use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bollard::models::{ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use daybook_model::name::EnvKey;
use daybook_model::{ReplicaId, Timestamp};
use futures::{StreamExt, TryStreamExt};

use super::DockerRuntime;
use super::error::{failed, is_conflict, is_missing};
use super::seen::SeenContainer;
use crate::{Result, Usage};

/// Containers that are measured at once.
const AT_ONCE: usize = 16;

/// The last sample of each container, by its id: cores in use are the growth since then.
#[derive(Default)]
pub(super) struct Samples(Mutex<HashMap<String, Sample>>);

/// Processor time of one container at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    at: Timestamp,
    nanoseconds: u64,
}

impl Samples {
    fn last(&self, container: &str) -> Option<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(container).copied()
    }

    fn keep(&self, container: &str, sample: Sample) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(container.to_owned(), sample);
    }

    fn forget_others(&self, containers: &[SeenContainer]) {
        let is_there = |id: &String| containers.iter().any(|seen| &seen.container_id == id);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| is_there(id));
    }
}

impl DockerRuntime {
    pub(super) async fn measure(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        let mut running = self.containers_of(key).await?;
        running.retain(|seen| seen.replica.is_running());
        if self.samples.0.lock().unwrap_or_else(PoisonError::into_inner).len() > 4096 {
            self.samples.forget_others(&running);
        }
        let measured = futures::stream::iter(running).map(|seen| self.measure_one(seen));
        let mut all: Vec<_> =
            measured.buffer_unordered(AT_ONCE).try_filter_map(|usage| async { Ok(usage) }).try_collect().await?;
        all.sort_by(|a: &Usage, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// `None` when it ended meanwhile.
    async fn measure_one(&self, seen: SeenContainer) -> Result<Option<Usage>> {
        let last = self.samples.last(&seen.container_id);
        // Without an earlier sample the daemon takes two, a second apart.
        let options = StatsOptionsBuilder::default().stream(false).one_shot(last.is_some()).build();
        let mut answers = std::pin::pin!(self.engine.docker.stats(&seen.container_id, Some(options)));
        let stats = match answers.next().await {
            None => return Ok(None),
            Some(Err(said)) if is_missing(&said) || is_conflict(&said) => return Ok(None),
            Some(answer) => answer.map_err(|e| failed(format!("measure {}", seen.identity.id), &e))?,
        };
        let now = sample(stats.read.as_deref(), stats.cpu_stats.as_ref());
        if let Some(now) = now {
            self.samples.keep(&seen.container_id, now);
        }
        let before = last.or_else(|| sample(stats.preread.as_deref(), stats.precpu_stats.as_ref()));
        let cores = before.zip(now).map_or(0.0, |(before, now)| cores(before, now));
        let cpu = (cores, now.map_or(0.0, |now| now.nanoseconds as f64 / 1e9));
        Ok(Some(usage(seen.identity.id, cpu, &stats, self.engine.memory)))
    }
}

fn sample(at: Option<&str>, cpu: Option<&bollard::models::ContainerCpuStats>) -> Option<Sample> {
    let at = at?.parse::<Timestamp>().ok().filter(|at| at.as_second() > 0)?;
    Some(Sample { at, nanoseconds: cpu?.cpu_usage.as_ref()?.total_usage? })
}

fn cores(before: Sample, now: Sample) -> f64 {
    let elapsed = now.at.duration_since(before.at).as_secs_f64();
    if elapsed <= 0.0 { 0.0 } else { now.nanoseconds.saturating_sub(before.nanoseconds) as f64 / 1e9 / elapsed }
}

fn usage(
    id: ReplicaId,
    (cpu_cores, cpu_seconds): (f64, f64),
    stats: &ContainerStatsResponse,
    machine_memory: u64,
) -> Usage {
    let memory = stats.memory_stats.clone().unwrap_or_default();
    Usage {
        id,
        cpu_cores,
        cpu_seconds,
        memory_bytes: kept_memory(&memory),
        // Without a limit daemons report the machine's memory.
        memory_limit_bytes: memory.limit.filter(|limit| machine_memory == 0 || *limit < machine_memory),
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or(0),
    }
}

/// Without the page cache that the kernel would drop first; its name is that of cgroup v1 or v2.
fn kept_memory(memory: &ContainerMemoryStats) -> u64 {
    let detail = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    let droppable = detail("total_inactive_file").or_else(|| detail("inactive_file")).unwrap_or(0);
    memory.usage.unwrap_or(0).saturating_sub(droppable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_growth_over_time() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let before = Sample { at: at(10), nanoseconds: 1_000_000_000 };
        let now = Sample { at: at(12), nanoseconds: 2_000_000_000 };
        assert!((cores(before, now) - 0.5).abs() < 1e-9);
        assert!(cores(now, before).abs() < 1e-9);
    }

    #[test]
    fn memory_is_what_cannot_be_dropped() {
        let stats = HashMap::from([("inactive_file".to_owned(), 30)]);
        let memory = ContainerMemoryStats { usage: Some(100), stats: Some(stats), ..Default::default() };
        assert_eq!(kept_memory(&memory), 70);
    }
}
