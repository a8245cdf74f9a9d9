//! Requests during a run.

use daybook_api::run::RunTraffic;
use daybook_model::traffic::{ReplicaTraffic, Traffic};
use daybook_model::{EnvKey, RunId};

use crate::App;

/// Runs whose totals are remembered.
const REMEMBERED: usize = 256;

impl App {
    /// Takes the reading that a run's requests are counted from.
    pub(crate) async fn begin_traffic(&self, key: &EnvKey, run: RunId) {
        if let Ok(traffic) = self.inner.router.traffic(key).await {
            let mut live = self.live();
            live.baselines.insert(run, traffic);
            while live.baselines.len() > REMEMBERED {
                live.baselines.pop_first();
            }
        }
    }

    /// Keeps what was counted when a run is over.
    pub(crate) async fn count_traffic(&self, key: &EnvKey, run: RunId) {
        let total = self.run_traffic(key, run).await;
        let mut live = self.live();
        live.baselines.remove(&run);
        live.totals.insert(run, total);
        while live.totals.len() > REMEMBERED {
            live.totals.pop_first();
        }
    }

    /// Requests since a run began; of a run that is over, until then. Nothing is known of runs of an
    /// earlier server.
    pub(crate) async fn run_traffic(&self, key: &EnvKey, run: RunId) -> RunTraffic {
        let baseline = {
            let live = self.live();
            if let Some(total) = live.totals.get(&run) {
                return *total;
            }
            live.baselines.get(&run).cloned()
        };
        let Some(baseline) = baseline else { return RunTraffic::default() };
        match self.inner.router.traffic(key).await {
            Ok(now) => difference(&now, &baseline),
            Err(_) => RunTraffic::default(),
        }
    }
}

fn difference(now: &Traffic, before: &Traffic) -> RunTraffic {
    let none = ReplicaTraffic::default();
    let mut total = RunTraffic::default();
    for (id, counts) in &now.replicas {
        let counts = counts.since(before.replicas.get(id).unwrap_or(&none));
        total.requests += counts.requests();
        total.failed += counts.errors();
    }
    for (service, count) in &now.unserved {
        let unserved = count.saturating_sub(before.unserved.get(service).copied().unwrap_or(0));
        total.requests += unserved;
        total.failed += unserved;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_nobody_could_answer_count_as_failed() {
        let mut before = Traffic::default();
        before.unserved.insert("web".to_owned(), 2);
        let mut now = before.clone();
        now.unserved.insert("web".to_owned(), 5);
        let counts = ReplicaTraffic { by_status: [0, 7, 0, 1, 2], failed: 1, ..ReplicaTraffic::default() };
        now.replicas.insert("web.1".parse().unwrap(), counts);
        assert_eq!(difference(&now, &before), RunTraffic { requests: 14, failed: 6 });
    }
}
