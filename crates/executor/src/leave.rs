//! The target that an environment leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use daybook_decide::routes::is_internal;
use daybook_model::launch::Role;
use daybook_model::route::Entry;
use daybook_model::{EnvRoutes, ReplicaId, Target};
use daybook_runtime::{Router, Seen};
use tokio::time::Instant;

use crate::act::stop_of;
use crate::drive::RunContext;
use crate::{Executor, Result};

/// Between two looks at what is in flight.
const PAUSE: Duration = Duration::from_millis(100);

impl Executor {
    pub(crate) async fn stop_at(&self, cx: &RunContext, target: &Target, id: &ReplicaId, role: Role) -> Result<()> {
        let side = self.inner.places.at(target).await?;
        Ok(side.runtime.stop(&cx.key, id, role, &stop_of(cx, id)).await?)
    }

    pub(crate) async fn remove_at(&self, cx: &RunContext, target: &Target, id: &ReplicaId, role: Role) -> Result<()> {
        let side = self.inner.places.at(target).await?;
        Ok(side.runtime.remove(&cx.key, id, role).await?)
    }

    /// Lets the edge of a target forget the environment. Requests in flight end first, within the drain bound.
    pub(crate) async fn close_at(&self, cx: &RunContext, target: &Target) -> Result<()> {
        let side = self.inner.places.at(target).await?;
        let routes = side.router.get(&cx.key).await?;
        if routes.backends.is_empty() {
            return Ok(());
        }
        let longest = routes.backends.values().map(|backend| backend.drain_ms).max().unwrap_or_default();
        side.router.set(&cx.key, EnvRoutes::default()).await?;
        until_idle(cx, side.router.as_ref(), Duration::from_millis(longest)).await
    }

    /// Gives back what an environment as a whole has at a target, when nothing else of it is there.
    pub(crate) async fn leave(&self, cx: &RunContext, target: &Target) -> Result<()> {
        let side = self.inner.places.at(target).await?;
        self.forget_addresses(cx).await?;
        let Seen { networks, volumes, .. } = side.runtime.observe(&cx.key).await?;
        for network in &networks {
            side.runtime.remove_network(&cx.key, network).await?;
        }
        if volumes.is_empty() {
            side.runtime.release(&cx.key).await?;
        }
        Ok(())
    }

    /// Entries at addresses that services had at the target that was left go from the edge.
    async fn forget_addresses(&self, cx: &RunContext) -> Result<()> {
        let mut ours = BTreeSet::new();
        for service in self.inner.router.get(&cx.key).await?.backends.keys() {
            ours.extend(self.inner.runtime.service_address(&cx.key, service).await?.map(|at| (service.clone(), at)));
        }
        self.reroute(cx, move |routes| {
            let mut is_changed = false;
            for (service, backend) in &mut routes.backends {
                let before = backend.entries.len();
                backend.entries.retain(|entry| match entry {
                    Entry::Address { listen, .. } => {
                        !is_internal(entry) || ours.contains(&(service.clone(), listen.ip()))
                    }
                    Entry::Domain { .. } => true,
                });
                is_changed |= backend.entries.len() < before;
            }
            is_changed
        })
        .await
    }
}

async fn until_idle(cx: &RunContext, router: &dyn Router, bound: Duration) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < bound {
        let traffic = router.traffic(&cx.key).await?;
        if traffic.replicas.values().all(|replica| replica.in_flight.total() == 0) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
